"""Every script in examples/ runs as its docstring says, on the embedded models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py"))


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_known_examples_are_there():
    assert {"edit_face", "new_editor", "render_people", "replay_recipe", "train_mapper"} <= {*NAMES}
    assert "interpolate_faces" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_example_says_how_it_is_called_and_has_help(name, capsys):
    module = load_example(name)
    assert f"python examples/{name}.py" in module.__doc__
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_edit_then_replay_gives_the_same_pixels(tmp_path, capsys):
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    argv = ["--seed", "7", "--change", "smile=0.4", "--change", "glasses=0.8", "--out", str(out)]
    assert load_example("edit_face").main(argv) == 0
    said = capsys.readouterr().out
    assert "smile  asked +0.40" in said
    assert "identity" in said
    with Image.open(out) as picture:
        assert picture.width > picture.height > 100  # before and after side by side
        assert "l2l-recipe" in picture.text

    assert load_example("replay_recipe").main([str(out), "--out", str(again)]) == 0
    assert "the same pixels" in capsys.readouterr().out
    assert again.is_file()


def test_edit_refuses_an_unknown_attribute_by_name(tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        load_example("edit_face").main(
            ["--change", "smyle=0.4", "--out", str(tmp_path / "out.png")]
        )
    assert refused.value.code == 2
    assert "'smyle' is unknown; did you mean smile?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_walk_in_z_and_in_w_side_by_side(tmp_path, capsys):
    out = tmp_path / "walk.png"
    assert load_example("interpolate_faces").main(["--frames", "4", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "z: " in said
    assert "largest step" in said
    with Image.open(out) as strips, Image.open(tmp_path / "walk-curves.png") as curves:
        assert strips.width > strips.height > 100
        assert len(curves.convert("RGB").getcolors(curves.width * curves.height)) > 100
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 6
        assert b"l2l-walk" in film.info["comment"]


@pytest.mark.slow
def test_new_editor_passes_the_contract(capsys):
    assert load_example("new_editor").main([]) == 0
    assert "check_editor" in capsys.readouterr().out


@pytest.mark.slow
def test_train_mapper_with_a_loss_of_ones_own(tmp_path, capsys):
    argv = ["--steps", "4", "--faces", "64", "--run", str(tmp_path / "run")]
    assert load_example("train_mapper").main(argv) == 0
    assert "trained 4 steps" in capsys.readouterr().out
    assert '"conservation"' in (tmp_path / "run" / "history.jsonl").read_text()
    with Image.open(tmp_path / "run" / "edit.png") as picture:
        assert picture.width > picture.height > 100


def test_people_are_drawn_on_one_sheet(tmp_path, capsys):
    out = tmp_path / "people.png"
    argv = ["--count", "6", "--columns", "3", "--size", "32", "--out", str(out)]
    assert load_example("render_people").main(argv) == 0
    assert "6 people" in capsys.readouterr().out
    with Image.open(out) as sheet:
        assert sheet.size == (96, 64)
        assert len(sheet.convert("RGB").getcolors(96 * 64)) > 500
    with pytest.raises(SystemExit):
        load_example("render_people").main(["--size", "100", "--out", str(out)])
    assert "resolution is 100" in capsys.readouterr().err


def test_the_mix_grid_is_drawn_from_any_models_with_a_mixer(tmp_path, capsys):
    from mixing_world import write_mixing_world

    out = tmp_path / "grid.png"
    argv = ["--generator", str(write_mixing_world(tmp_path / "world")), "--out", str(out)]
    example = load_example("mix_grid")
    assert example.main([*argv, "--candidates", "80", "--people", "2"]) == 0
    said = capsys.readouterr().out
    chosen = [int(word.strip("[],")) for word in said.split() if word.strip("[],").isdigit()]
    assert len(set(chosen)) == 2 + len(example.COLUMNS), said
    with Image.open(out) as picture:
        assert picture.width > picture.height > 300
    with pytest.raises(SystemExit):
        example.main([*argv, "--candidates", "20"])
    assert "--candidates is 20; allowed with 4 people: at least 100, " in capsys.readouterr().err
