"""The built wheel carries weights, notebooks and settings, and works where the sources are not."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from l2l_widgets.recipes import list_recipes

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "l2l_widgets"
#: Import name -> distribution, where the two differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
}
#: Come with a declared distribution, and are part of its interface.
CARRIED = {
    "IPython": "ipywidgets",
    "traitlets": "ipywidgets",
    "jupyter_core": "jupyterlab",
    "jupyter_server": "jupyterlab",
    "requests": "pooch",
    "tornado": "jupyterlab",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """An environment that holds the wheel alone, and sees this one's third-party packages."""
    home = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    paths = sysconfig.get_paths(vars={"base": home, "platbase": home})
    # Path entries, not site folders: an editable install's own .pth file stays out.
    others = [p for p in sys.path if p.endswith("site-packages")]
    assert others
    Path(paths["purelib"], "others.pth").write_text("\n".join(others), encoding="utf-8")
    return home


def run_in(bare, folder, *command):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    executable, *rest = command
    return subprocess.run(
        [bare / "bin" / executable, *rest],
        cwd=folder,
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def last_json(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_wheel_holds_everything_it_needs_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = [p for p in (PACKAGE / "weights").rglob("*") if p.is_file()]
    # the pictures beside a card are for whoever measures, not for whoever installs
    tracked = {p.relative_to(PACKAGE).as_posix() for p in found if p.suffix != ".png"}
    # nor are files that only training reads
    kept = {f for recipe in list_recipes().values() if recipe.intermediate for f in recipe.outputs}
    tracked -= {name for name in tracked if Path(name).name in kept}
    assert not [n for n in names if Path(n).name in kept]
    size = sum((PACKAGE / name).stat().st_size for name in tracked)
    assert size <= 30e6, f"{size / 1e6:.1f} MB of weights"
    assert not [n for n in names if n.startswith("l2l_widgets/weights") and n.endswith(".png")]
    assert any(n.endswith("/generator.safetensors") for n in tracked)
    missing = {n for n in tracked if f"l2l_widgets/{n}" not in names}
    assert not missing
    for path in ROOT.glob("notebooks/*.ipynb"):
        assert f"l2l_widgets/notebooks/{path.name}" in names
    assert "l2l_widgets/py.typed" in names
    static = [*PACKAGE.rglob("static/**/*.js"), *PACKAGE.rglob("static/**/*.css")]
    assert len(static) > 50, "the scripts and rules of the views were not found"
    assert {f"l2l_widgets/{p.relative_to(PACKAGE).as_posix()}" for p in static} <= {*names}
    config = r"\.data/data/etc/jupyter/jupyter_server_config\.d/l2l_widgets\.json$"
    assert [n for n in names if re.search(config, n)]
    assert not [n for n in names if re.search(r"(^|/)(tests|\.venv|runs|__pycache__)/", n)]
    assert wheel.stat().st_size < 80e6


@pytest.mark.slow
def test_wheel_draws_edits_and_replays_without_the_sources(bare, tmp_path):
    where = run_in(bare, tmp_path, "python", "-c", "import l2l_widgets as l; print(l.__file__)")
    assert where.returncode == 0, where.stderr
    assert Path(where.stdout.strip()).is_relative_to(bare)

    sheet = run_in(bare, tmp_path, "l2l", "sample", "-n", "2", "--seed", "1", "--out", "sheet.png")
    assert sheet.returncode == 0, sheet.stderr
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")

    edit = ("l2l", "edit", "--seed", "7", "--set", "smile=+0.3", "--out", "out.png", "--json")
    receipt = last_json(run_in(bare, tmp_path, *edit))
    assert "smile" in json.dumps(receipt)
    replay = run_in(bare, tmp_path, "l2l", "replay", "out.png", "--out", "again.png")
    assert replay.returncode == 0, replay.stderr

    wrong = run_in(
        bare, tmp_path, "l2l", "edit", "--seed", "7", "--set", "smyle=+0.3", "--out", "no.png"
    )
    assert wrong.returncode == 2
    assert len(wrong.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "no.png").exists()


@pytest.mark.slow
def test_wheel_brings_notebooks_and_the_server_extension(bare, tmp_path):
    plan = last_json(run_in(bare, tmp_path, "l2l", "lab", "--dry-run", "--json"))
    assert Path(plan["notebook"]).name.startswith("student_1")
    shipped = list(bare.glob("lib/python*/site-packages/l2l_widgets/notebooks/student_1*.ipynb"))
    assert len(shipped) == 1
    config = bare / "etc" / "jupyter" / "jupyter_server_config.d" / "l2l_widgets.json"
    extensions = json.loads(config.read_text("utf-8"))["ServerApp"]["jpserver_extensions"]
    assert extensions == {"l2l_widgets.server": True}
    code = "from l2l_widgets.server import _jupyter_server_extension_points as p; print(p())"
    assert "l2l_widgets.server" in run_in(bare, tmp_path, "python", "-c", code).stdout


def test_every_third_party_import_is_a_declared_dependency():
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ("detect", "lpips", "onnx", "video")
    optional = [d for extra in extras for d in project["optional-dependencies"][extra]]
    wanted = [*project["dependencies"], *optional]
    declared = {re.match(r"[A-Za-z0-9_-]+", d).group() for d in wanted}
    assert len(declared) >= 10
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    third = found - set(sys.stdlib_module_names) - {"l2l_widgets"}
    assert "torch" in third
    assert {CARRIED.get(m, DISTRIBUTIONS.get(m, m)) for m in third} <= declared
    assert project["requires-python"] == ">=3.10"


def test_constraints_pin_every_dependency_once():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [re.match(r"([a-z0-9._-]+)==([^;\s]+)", line) for line in lines if line[:1] not in "#"]
    assert all(pins)
    names = [p.group(1) for p in pins]
    assert len(names) == len(set(names)) >= 50
    # A local version would exist in one place only; the plain one is found as any build of it.
    assert not [p.group() for p in pins if "+" in p.group(2)]
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    block = pyproject.split("\ndependencies = [")[1].split("\n]")[0]
    block += pyproject.split("\ntest = [")[1].split("\n]")[0]
    for name in re.findall(r'^ +"([A-Za-z0-9_-]+)', block, flags=re.MULTILINE):
        assert name.lower() in names, name
