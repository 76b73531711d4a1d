"""The shape of the code: which module may import which, names, sizes, what an import costs.

The tables below are the architecture. To change it, change a line here and the same line in
ARCHITECTURE.md, and say why in the commit.
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import l2l_widgets

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "l2l_widgets"

# From the bottom up. A module imports lower layers, and its own where ARROWS says so.
LAYERS = {
    "words": (
        "storage latents attributes images masks protocols face_filter policy consent errors"
        " latest_wins allocator films"
    ),
    "parts": ("judges faceworld stylegan2 projected perception losses metrics training triplets"),
    "methods": "editors inversion maskgan checkpoints",
    "assembly": (
        "models disentangle session photos walks many painting teaching plots evaluation maps"
        " entanglement"
    ),
    "runs": "recipes bench",
    "surfaces": "widgets cli server __main__",
}

# Who imports whom, by first name under l2l_widgets; every arrow is used and no other is allowed.
ARROWS = {
    "storage": "",
    "latents": "",
    "attributes": "errors",
    "images": "storage",
    "films": "storage images errors",
    "masks": "images",
    "protocols": "attributes",
    "face_filter": "attributes errors",
    "policy": "attributes",
    "consent": "",
    "errors": "",
    "latest_wins": "",
    "allocator": "",
    "judges": "storage attributes errors",
    "faceworld": "storage attributes images masks",
    "stylegan2": "storage latents allocator",
    "projected": "",
    "perception": "storage",
    "losses": "",
    "metrics": "",
    "training": "storage images",
    "triplets": "storage latents protocols",
    "editors": "storage latents attributes protocols errors losses checkpoints",
    "inversion": "latents losses",
    "maskgan": "storage images masks",
    "checkpoints": "storage latents stylegan2",
    "models": "storage attributes protocols errors judges stylegan2 perception editors checkpoints",
    "disentangle": "storage latents images films protocols perception models",
    "session": "storage latents attributes images policy errors latest_wins models",
    "photos": (
        "storage images films policy consent errors judges perception inversion models session"
    ),
    "walks": "latents attributes images films policy losses models disentangle session",
    "many": "storage latents images face_filter policy models session",
    "painting": "storage images masks protocols latest_wins judges maskgan models session",
    "teaching": "storage attributes images policy models session",
    "plots": "attributes images",
    "evaluation": (
        "storage latents attributes masks protocols policy perception metrics editors"
        " maskgan models disentangle session painting"
    ),
    "maps": "storage latents attributes images policy errors metrics models",
    "entanglement": "storage attributes policy metrics editors models session evaluation",
    "recipes": (
        "storage latents attributes images masks errors judges faceworld stylegan2"
        " projected perception losses training triplets editors inversion maskgan models"
        " disentangle plots evaluation maps"
    ),
    "bench": "attributes images allocator stylegan2 editors models session maps",
    "widgets": (
        "storage latents attributes images masks face_filter policy consent latest_wins"
        " allocator training inversion models disentangle session photos walks many painting"
        " teaching plots evaluation maps entanglement recipes"
    ),
    "cli": (
        "storage latents attributes images films masks policy consent errors judges faceworld"
        " training editors inversion maskgan checkpoints models disentangle session photos"
        " walks many painting evaluation recipes bench"
    ),
    "server": "",
    "__main__": "cli",
}

#: Never imported by `import l2l_widgets`, nor by what lies below the surfaces, at module level.
HEAVY = (
    "ipywidgets",
    "anywidget",
    "matplotlib",
    "umap",
    "sklearn",
    "skimage",
    "plotly",
    "accelerate",
    "cv2",
    "onnxruntime",
)
#: Names that say nothing about what is inside.
EMPTY_NAMES = ("utils", "util", "helpers", "helper", "common", "misc", "tools", "lib", "core")
MAX_LINES = 500


def package_files():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) >= 30, "the package was not found"
    return files


def module_of(path):
    """Dotted name of a file of the package."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def node_of(module):
    """First name under the package, which the tables speak of; None for the package itself."""
    return module.split(".")[1] if "." in module else None


def imports_of(path):
    """(module, names taken from it, at module level?) of every import in a file, however deep."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    own = module_of(path)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    top = set()
    stack = list(tree.body)
    while stack:  # statements that run at import: not inside a function, nor under TYPE_CHECKING
        statement = stack.pop()
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            top.add(statement)
        elif isinstance(statement, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
                stack.extend(statement.orelse)
                continue
            for field in ("body", "orelse", "handlers", "finalbody"):
                stack.extend(getattr(statement, field, []))
        elif isinstance(statement, ast.ExceptHandler):
            stack.extend(statement.body)
    for found in ast.walk(tree):
        if isinstance(found, ast.Import):
            for name in found.names:
                yield name.name, (), found in top
        elif isinstance(found, ast.ImportFrom):
            base = found.module or ""
            if found.level:
                anchor = package.split(".")[: len(package.split(".")) - found.level + 1]
                base = ".".join([*anchor, *filter(None, [found.module])])
            yield base, tuple(n.name for n in found.names), found in top


def arrows_in_code():
    """{(from, to): file} over the package; imports inside functions and for types count as well."""
    arrows = {}
    for path in package_files():
        source = node_of(module_of(path))
        if source is None:
            continue  # the public list resolves names lazily, from every layer
        for module, names, _ in imports_of(path):
            if module == "l2l_widgets":
                goals = {name for name in names if not name.startswith("__")}
            elif module.startswith("l2l_widgets."):
                goals = {node_of(module)}
            else:
                continue
            for goal in goals - {source}:
                arrows.setdefault((source, goal), path.relative_to(ROOT))
    return arrows


def allowed_arrows():
    return {(source, goal) for source, goals in ARROWS.items() for goal in goals.split()}


def layer_of():
    return {n: i for i, names in enumerate(LAYERS.values()) for n in names.split()}


def test_imports_follow_the_arrows():
    found = arrows_in_code()
    assert len(found) >= 30, "hardly any import was recognised: the reader of imports is broken"
    extra = {f"{a} -> {b} (in {where})" for (a, b), where in found.items()} - {
        f"{a} -> {b} (in {found[a, b]})" for a, b in allowed_arrows() if (a, b) in found
    }
    assert not extra, f"arrows that the table does not have: {sorted(extra)}"


def test_every_arrow_is_used():
    unused = allowed_arrows() - set(arrows_in_code())
    assert not unused, f"the table has arrows that no import needs: {sorted(unused)}"


def test_arrows_point_down_and_make_no_circle():
    layer = layer_of()
    arrows = allowed_arrows()
    assert arrows
    up = sorted((a, b) for a, b in arrows if layer[a] < layer[b])
    assert not up, f"arrows that point up: {up}"
    graph = {n: set() for n in layer}
    for source, goal in arrows:
        graph[source].add(goal)
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(layer)


def test_every_module_has_a_layer():
    nodes = {node_of(module_of(p)) for p in package_files()} - {None}
    assert nodes == set(layer_of())
    assert nodes == set(ARROWS)


def test_architecture_page_has_the_same_tables():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^([a-z0-9_]+) +-> (.*)$", page, flags=re.MULTILINE))
    assert {a: set(b.replace("(nothing)", "").split()) for a, b in rows.items()} == {
        a: set(b.split()) for a, b in ARROWS.items()
    }
    drawn = {}
    for name, words in re.findall(r"^ {4}(\w[\w ]*?) {2,}(\S.*)$", page, flags=re.MULTILINE):
        drawn[name] = {w.removesuffix("/").removesuffix(".py") for w in words.split()}
    assert drawn == {name: set(words.split()) for name, words in LAYERS.items()}


def test_public_names_are_few_and_listed_and_exist():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.split("## Public names")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)` ", section, flags=re.MULTILINE))
    assert len(listed) >= 10
    assert listed == set(l2l_widgets.__all__)
    assert len(listed) <= 40
    for name in l2l_widgets.__all__:
        assert getattr(l2l_widgets, name) is not None
    assert set(l2l_widgets.__all__) <= set(dir(l2l_widgets))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = l2l_widgets.no_such_name


def test_import_is_light():
    """Every public name may cost what it needs; `import l2l_widgets` costs nothing."""
    code = (
        "import json, sys; before = set(sys.modules); import l2l_widgets;"
        "print(json.dumps(sorted(m.split('.')[0] for m in set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "l2l_widgets" in loaded
    assert not loaded & {*HEAVY, "torch", "numpy", "PIL"}


def test_the_engine_needs_no_widget_or_plot_library():
    """Models, sessions, editors and the command line stay clear of the heavy libraries."""
    modules = [
        module_of(p)
        for p in package_files()
        if node_of(module_of(p)) not in {None, "widgets"} and p.name != "__main__.py"
    ]
    assert len(modules) >= 25
    code = (
        f"import importlib, json, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "torch" in loaded
    assert not loaded & set(HEAVY)


def test_only_widgets_ask_for_widget_libraries():
    users = {
        node_of(module_of(path))
        for path in package_files()
        for module, _, _ in imports_of(path)
        if module.split(".")[0] in {"ipywidgets", "anywidget", "traitlets"}
    }
    assert users == {"widgets"}


def test_heavy_imports_are_inside_functions():
    found = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in package_files()
        for module, _, top in imports_of(path)
        if top and module.split(".")[0] in HEAVY and node_of(module_of(path)) != "widgets"
    ]
    assert not found
    seen = {m.split(".")[0] for p in package_files() for m, _, _ in imports_of(p)}
    assert seen & set(HEAVY), "no heavy import was recognised anywhere"


def test_examples_and_notebooks_use_public_modules():
    sources = {str(p.relative_to(ROOT)): p.read_text("utf-8") for p in ROOT.glob("examples/*.py")}
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        sources[path.name] = "\n".join(
            "".join(c["source"]) for c in cells if c["cell_type"] == "code"
        )
    assert len(sources) >= 4
    for where, source in sources.items():
        used = [
            (n.module, a.name)
            for n in ast.walk(ast.parse(source))
            if isinstance(n, ast.ImportFrom) and (n.module or "").split(".")[0] == "l2l_widgets"
            for a in n.names
        ]
        for module, name in used:
            assert not any(p.startswith("_") for p in [*module.split("."), name]), (
                where,
                module,
                name,
            )
            if module != "l2l_widgets":
                assert hasattr(importlib.import_module(module), name), (where, module, name)


def test_files_are_named_for_what_is_in_them():
    parts = {p for f in package_files() for p in f.relative_to(ROOT).with_suffix("").parts}
    assert "stylegan2" in parts
    assert not parts & set(EMPTY_NAMES)


def test_files_are_short_enough_to_read():
    files = [*package_files(), *ROOT.glob("tests/*.py"), *ROOT.glob("examples/*.py")]
    files += [*PACKAGE.rglob("static/*.js"), *PACKAGE.rglob("static/*.css")]
    long = {
        str(f.relative_to(ROOT)): n
        for f in files
        if (n := len(f.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert len(files) >= 40
    assert not long, f"over {MAX_LINES} lines: {long}"
    assert all(len(f.read_text("utf-8").splitlines()) <= 80 for f in ROOT.glob("examples/*.py"))


def test_every_module_says_what_it_is():
    for path in package_files():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize(
    "module",
    [
        "editors/mapper.py",
        "editors/interfacegan.py",
        "editors/conditional.py",
        "editors/ganspace.py",
        "editors/continuous_flow.py",
        "editors/styleflow.py",
        "editors/stylespace.py",
        "maskgan/networks.py",
        "maskgan/mask_vae.py",
        "maskgan/objective.py",
        "stylegan2/__init__.py",
        "stylegan2/discriminator.py",
        "disentangle/networks.py",
        "disentangle/objective.py",
        "losses.py",
    ],
)
def test_method_modules_cite_their_paper(module):
    text = ast.get_docstring(ast.parse((PACKAGE / module).read_text(encoding="utf-8")))
    assert re.search(r"arXiv|doi|et al\.|StyleGAN|WACV|CVPR", text), module


def test_global_random_state_is_left_alone():
    """Generators are arguments; only the training loop owns a process's random state."""
    found = []
    for path in package_files():
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
                ("torch.manual_seed", "np.random.seed")
            ):
                found.append(node_of(module_of(path)))
    assert set(found) <= {"training"}


def test_every_test_asserts_and_none_is_skipped():
    files = sorted(ROOT.glob("tests/**/test_*.py"))
    assert len(files) >= 10
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        unwanted = {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip"}
        assert not calls & unwanted, path
        local = {
            n.name: n
            for n in ast.walk(tree)
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        for name, function in local.items():
            if name.startswith("test_"):
                assert _asserts(function, local), f"{path.name}: {name} asserts nothing"


def _asserts(function, local, depth=3):
    """Whether a test asserts, expects an error, or calls a check or a neighbour that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"pytest.raises", "pytest.warns"} or re.search(
                r"(^|[._])(check|assert)_|^(harness|painter)\.until$", called
            ):  # `until` raises an AssertionError where what it asks for never comes
                return True
            inner = local.get(called)
            if depth and inner not in (None, function) and _asserts(inner, local, depth - 1):
                return True
    return False
