import csv
import json
import os

import numpy as np
import pytest
import torch
from conftest import write_world
from PIL import Image

from l2l_widgets import zoo
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main, world
from l2l_widgets.faceworld import MASK_CLASSES, render
from l2l_widgets.faceworld.celebamask import CELEBA_NAMES, LayoutConfig, portraits


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- render ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def portraits_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("render") / "out"
    assert main(["render", "3", "--size", "32", "--seed", "4", "--out", str(folder), "--json"]) == 0
    return folder


def test_pictures_and_masks_are_what_the_renderer_draws(portraits_folder):
    drawn = render(portraits(LayoutConfig(seed=4, size=32), 3), 32)
    for i in range(3):
        with Image.open(portraits_folder / "CelebA-HQ-img" / f"{i}.jpg") as picture:
            pixels = np.asarray(picture).astype(float)
        wanted = ((drawn.image[i] + 1) * 127.5).permute(1, 2, 0).numpy()
        assert pixels.shape == (32, 32, 3)
        assert np.abs(pixels - wanted).mean() < 6  # JPEG
        for label, part in enumerate(MASK_CLASSES):
            path = portraits_folder / "CelebAMask-HQ-mask-anno" / "0" / f"{i:05d}_{part}.png"
            seen = (drawn.mask[i] == label).numpy()
            assert path.exists() == (label > 0 and bool(seen.any()))
            if path.exists():
                with Image.open(path) as mask:
                    assert np.array_equal(np.asarray(mask), seen * np.uint8(255))


def test_the_tables_hold_the_truth(portraits_folder):
    factors = portraits(LayoutConfig(seed=4, size=32), 3)
    values = factors.attributes()
    with open(portraits_folder / "factors.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["idx"] for row in rows] == ["0", "1", "2"]
    for row, truth in zip(rows, values, strict=True):
        read = torch.tensor([float(row[name]) for name in DEFAULT_TABLE.names])
        torch.testing.assert_close(read, truth, atol=1e-5, rtol=0)
    lines = (portraits_folder / "CelebAMask-HQ-attribute-anno.txt").read_text().splitlines()
    assert lines[0] == "3"
    names = lines[1].split()
    assert names == list(CELEBA_NAMES)
    assert len(lines) == 5
    for i, line in enumerate(lines[2:]):
        file, *signs = line.split()
        assert file == f"{i}.jpg"
        assert set(signs) <= {"1", "-1"}
        male = float(values[i, DEFAULT_TABLE.index("gender")]) >= 0.5
        assert (signs[names.index("Male")] == "1") == male
        old = float(values[i, DEFAULT_TABLE.index("age")]) >= 0.5
        assert (signs[names.index("Young")] == "-1") == old
    lines = (portraits_folder / "CelebAMask-HQ-pose-anno.txt").read_text().splitlines()
    assert lines[:2] == ["3", "Yaw Pitch Roll"]
    yaw = float(lines[2].split()[1])
    assert yaw == pytest.approx(-45 + 90 * float(values[0, DEFAULT_TABLE.index("yaw")]), abs=1e-3)


def test_a_stopped_run_goes_on_and_a_folder_grows(capsys, portraits_folder, tmp_path):
    whole = files_of(portraits_folder)
    folder = tmp_path / "out"
    words = ("render", "--size", 32, "--seed", 4, "--out", folder)
    code, out, err = run(capsys, *words, 1, "--json")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["rendered"] == 1
    code, out, _ = run(capsys, *words, 3)
    assert code == 0
    assert "3 portraits, 2 of them new" in out
    assert files_of(folder) == whole
    (folder / "CelebA-HQ-img" / "1.jpg").unlink()
    assert "1 of them new" in run(capsys, *words, 3)[1]
    assert files_of(folder) == whole
    assert "0 of them new" in run(capsys, *words, 1)[1]
    assert files_of(folder) == whole


def test_independent_factors_are_another_set():
    independent = portraits(LayoutConfig(seed=4, correlated=False), 3)
    assert not torch.equal(independent.latents, portraits(LayoutConfig(seed=4), 3).latents)
    many = portraits(LayoutConfig(seed=4), 70)
    assert torch.equal(many.latents[:3], portraits(LayoutConfig(seed=4), 3).latents)
    assert not torch.equal(many.latents[:3], portraits(LayoutConfig(seed=5), 3).latents)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0"], "N is '0'; allowed: a whole number from 1"),
        (["many"], "N is 'many'"),
        (["2", "--size", "100"], "size is 100; allowed: 16, 32, 64, 128, 256, 512, 1024"),
        (["2", "--size", "big"], "--size is 'big'"),
        (["2", "--seed", "-1"], "--seed is '-1'"),
    ],
)
def test_an_impossible_set_is_refused_and_nothing_is_written(capsys, tmp_path, words, message):
    code, out, err = run(capsys, "render", *words, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_of_another_kind_is_refused(capsys, portraits_folder, tmp_path):
    words = ("render", 1, "--size", 32, "--seed", 5, "--out", portraits_folder)
    before = files_of(portraits_folder)
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "holds portraits with seed=4" in err
    assert files_of(portraits_folder) == before
    (tmp_path / "diary.txt").write_text("dear diary")
    code, _, err = run(capsys, "render", 1, "--size", 32, "--out", tmp_path)
    assert code == 2
    assert "holds other files" in err
    assert os.listdir(tmp_path) == ["diary.txt"]
    (tmp_path / "render.json").write_text("{")
    code, _, err = run(capsys, "render", 1, "--size", 32, "--out", tmp_path)
    assert code == 2
    assert "damaged" in err


# -- doctor ----------------------------------------------------------------------------------------


def doctor(capsys, *words):
    """Exit code, the printed text, and the report."""
    try:
        code = main(["doctor", *map(str, words)])
    except SystemExit as end:
        code = end.code
    out, _ = capsys.readouterr()
    return code, out


def test_a_fit_machine_has_no_problems(capsys, tiny_world):
    code, out = doctor(capsys, "--generator", tiny_world, "--json")
    report = json.loads(out.splitlines()[-1])
    assert report["problems"] == []
    assert code == 0
    assert report["machine"]["torch"] == torch.__version__
    assert report["machine"]["cores"] >= 1
    assert set(report["weights"]["files"].values()) == {"ok"}
    assert report["weights"]["hashes"]["generator"]
    assert report["speed"]["resolution"] == 32
    assert report["speed"]["edit_ms"] > 0
    assert report["browser"]["packages"]["jupyterlab"]
    assert report["browser"]["extensions"]["anywidget"]
    assert report["memory"]["kernel_mb"] > 50


def test_the_doctor_speaks_in_sections(capsys, tiny_world):
    code, out = doctor(capsys, "--generator", tiny_world)
    assert code == 0
    for section in ("machine", "weights", "speed", "browser", "memory"):
        assert section in out.splitlines()
    assert out.splitlines()[-1] == "no problems"


def test_damaged_weights_are_a_named_problem_and_exit_code_1(capsys, tmp_path):
    folder = write_world(tmp_path / "broken")
    path = folder / "regressor.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    code, out = doctor(capsys, "--generator", folder, "--json")
    assert code == 1
    report = json.loads(out.splitlines()[-1])
    assert not report["ok"]
    assert report["weights"]["files"]["regressor.safetensors"] == "damaged"
    assert any(p.startswith("weights: ") and "regressor" in p for p in report["problems"])
    assert report["browser"] is not None  # the other sections still ran


def test_missing_weights_are_a_named_problem(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    code, out = doctor(capsys)
    assert code == 1
    assert "weights: no embedded models" in out
    assert "problem(s):" in out


def test_a_missing_browser_side_is_a_named_problem(capsys, tiny_world, tmp_path, monkeypatch):
    monkeypatch.setattr(world, "_jupyter_path", lambda name: [str(tmp_path)])
    code, out = doctor(capsys, "--generator", tiny_world)
    assert code == 1
    assert "extension 'anywidget' is not installed" in out
    assert "pip install --force-reinstall anywidget" in out


def test_too_many_seats_are_a_named_problem(capsys, tiny_world):
    code, out = doctor(capsys, "--generator", tiny_world, "--seats", 10_000)
    assert code == 1
    assert "memory: 10000 seats need" in out


def test_an_impossible_number_of_seats_is_bad_input(capsys):
    code = main(["doctor", "--seats", "0"])
    assert code == 2
    assert "--seats is '0'" in capsys.readouterr().err
