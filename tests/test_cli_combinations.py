"""Options that another one would pass over in silence are refused, and before torch is imported."""

from __future__ import annotations

import shlex

import pytest
from conftest import build_generator
from test_cli_start import answers_of

from l2l_widgets.cli import main, paint_scores
from l2l_widgets.films import FilmWriter

PAINT_EDIT = "allowed: --edit with --mask, --order and --keep-outside"
REPLAY = "allowed: --replay and --out; the recipe says the rest"
MISTAKES = {
    "paint --edit e.png --mask m.png --style s.png --out o.png": (
        f"--edit and --style are both given; {PAINT_EDIT}"
    ),
    "paint --edit e.png --mask m.png --image i.png --out o.png": (
        f"--edit and --image are both given; {PAINT_EDIT}"
    ),
    "paint --edit e.png --mask m.png --parser p.toml --out o.png": (
        f"--edit and --parser are both given; {PAINT_EDIT}"
    ),
    "paint --replay r.png --mask m.png --out o.png": (
        f"--replay and --mask are both given; {REPLAY}"
    ),
    "paint --replay r.png --edit e.png --out o.png": (
        f"--replay and --edit are both given; {REPLAY}"
    ),
    "paint --replay r.png --keep-outside --out o.png": (
        f"--replay and --keep-outside are both given; {REPLAY}"
    ),
    "paint --read-mask --image i.png --style s.png --out o.png": (
        "--read-mask and --style are both given"
    ),
    "paint --image i.png --mask m.png --style-mask s.png --out o.png": (
        "--style-mask is given without --style; allowed: with it"
    ),
    "evaluate --ablations --methods ganspace --out r": "--ablations and --methods are both given",
    "evaluate --ablations --seeds 5 --out r": "--ablations and --seeds are both given",
    "evaluate --ablations --detector cascade --out r": "--ablations and --detector are both given",
    "evaluate --ablations --processes 2 --out r": "--ablations and --processes are both given",
    "evaluate --parts request --sweep-faces 9 --out r": "--parts and --sweep-faces are both given",
    "evaluate --processes 0 --out r": "--processes is '0'; allowed: a whole number from 1 to 64",
    "evaluate --steps 10 --out r": "--steps is given without --ablations; allowed: with it",
    "evaluate --ablations --steps x --out r": "--steps is 'x'; allowed: a whole number",
    "evaluate --parts request --positions 5 --out r": "--parts and --positions are both given",
    "paint-scores --steps 5 --out r": "--steps is given without --ablations; allowed: with it",
    "paint-scores --runs there --out r": "--runs is given without --ablations; allowed: with it",
    "paint-scores --ablations --weights w --out r": "--ablations and --weights are both given",
    "paint-scores --ablations no-eyes --out r": "--ablations is 'no-eyes'; allowed: no-edits, no-",
    "paint-scores --ablations --steps x --out r": "--steps is 'x'",
    "paint-scores --faces 10241 --out r": "--faces is '10241'; allowed: a whole number from 4 to",
    "invert --evaluate 3 --encoder-only": "--evaluate and --encoder-only are both given; allowed: "
    "--evaluate, which measures the encoder alone and the descent",
    "invert --evaluate 3 photo.jpg": "--evaluate and PHOTO are both given",
    "invert https://example.org/me.jpg --out d": "PHOTO is an address; allowed: a file on this",
    "invert photo.jpg --encoder-only --steps 9 --out d": "--encoder-only and --steps are both",
    "invert photo.jpg --aligned --detector cascade --out d": "--aligned and --detector are both",
    "invert photo.jpg --detector cascad --out d": "--detector is 'cascad'; allowed: cascade, ",
    "interpolate --recipe s.png --frames 5 --out o.gif": "--recipe and --frames are both given",
    "interpolate --from-seed 1 --to-seed 2 --back --out o.png": "--out and --back are both given",
    "mix --identity 1 --attributes 2 --space z --out o.png": "--space is given without --travel",
    "mix --identity 1 --attributes 2 --fps 5 --out o.png": "--out and --fps are both given",
    "mix --identity 1 --attributes film.mp4 --inputs --out o.mp4": (
        "--attributes and --inputs are both given; allowed: for a clip or --frames, one --identity"
    ),
    "mix --identity 1 --attributes text.mp4 --out o.mp4": "text.mp4: not a film that can be read",
    "mix-report --steps 5 --out r": "--steps is given without --ablations",
    "mix-report --no-truth --truth-pairs 9 --out r": "--no-truth and --truth-pairs are both given",
    "edit --seeds 1-3 --recipe r.json --method ganspace --out d": (
        "--recipe and --method are both given; allowed: one of the two; the recipe says the rest"
    ),
    # what a film needs is asked for before anything is loaded
    "film gone.mp4 --out o.mp4": "CLIP is 'gone.mp4': no such file",
    "film text.mp4 --out o.mp4": "text.mp4: not a film that can be read (damaged, cut off, or no",
    "film empty --out o.mp4": "'empty': the folder holds no picture",
    "film film.mp4 --out o.avi": "--out is 'o.avi'; allowed: a name that ends in .gif, .mp4",
    "film film.mp4 --out text.mp4/o.mp4": "text.mp4 is a file, not a folder",
    "film film.mp4 --recipe gone.json --out o.mp4": "--recipe is 'gone.json': no such file",
    "film film.mp4 --smoothing 51 --out o.mp4": "--smoothing is '51'; allowed: a number from 0 to",
    "film film.mp4 --detector cascad --out o.mp4": "--detector is 'cascad'",
    "film film.mp4 --aligned --crop 1,2,3 --out o.mp4": "--aligned and --crop are both given",
    "film film.mp4 --generator nobody --out o.mp4": "--generator 'nobody'",
    # a class is for a generator that has some
    "film film.mp4 --class 3 --out o.mp4": "--class is for a --generator that has classes",
    "interpolate --from-seed 1 --to-seed 2 --class 3 --out o.png": "--class is for a --generator",
    "mix --identity 1 --attributes 2 --class 3 --out o.png": "--class is for a --generator",
    "invert text.mp4 --class 3 --out d": "--class is for a --generator",
    "paint --image text.mp4 --mask text.mp4 --class 3 --out o.png": "--class is for a --generator",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("combinations")
    (folder / "text.mp4").write_text("no film")
    (folder / "empty").mkdir()
    with FilmWriter(folder / "film.mp4", 12) as film:
        film.write(Image.new("RGB", (32, 32)))
    return dict(
        zip(MISTAKES, answers_of([shlex.split(words) for words in MISTAKES], folder), strict=True)
    )


@pytest.mark.parametrize("words", MISTAKES)
def test_a_combination_is_refused_in_one_line_before_torch(answers, words):
    code, out, err, torch = answers[words]
    assert (code, out) == (2, ""), err
    assert MISTAKES[words] in err
    assert err.count("\n") == 1
    assert not torch, "torch was imported to say so"


def test_what_the_command_knows_of_the_recipes_is_what_they_have():
    from l2l_widgets.recipes.mask_ablations import VARIANTS
    from l2l_widgets.recipes.rendered import UNSEEN

    assert ("whole", *paint_scores.ABLATIONS) == tuple(VARIANTS)
    assert UNSEEN.count == paint_scores.UNSEEN


def test_a_class_is_walked_through(tmp_path, capsys):
    from l2l_widgets.stylegan2 import Generator, save_generator

    generator = Generator(**{**build_generator().config, "c_dim": 3})
    save_generator(tmp_path / "g.safetensors", generator)
    words = ["interpolate", "--from-seed", "1", "--to-seed", "2", "--frames", "2", "--no-curves"]
    words += ["--generator", str(tmp_path / "g.safetensors")]
    pictures = []
    for index in ("0", "2"):
        out = tmp_path / f"{index}.png"
        assert main([*words, "--class", index, "--out", str(out)]) == 0, capsys.readouterr().err
        pictures.append(out.read_bytes())
    assert pictures[0] != pictures[1]
    assert main([*words, "--class", "3", "--out", str(tmp_path / "x.png")]) == 2
    assert "class" in capsys.readouterr().err
