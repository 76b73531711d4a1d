import json

import torch
from conftest import write_world

from l2l_widgets.cli import main, world
from l2l_widgets.models import zoo

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
    for words in (" MB\n", " ms\n", "as the manifest has them\n", "32 x 32 pixels\n"):
        assert words in out, "every figure has its unit"


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
    assert out.count("no embedded models") == 1  # one fault is one problem
    assert "1 problem:" in out


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
