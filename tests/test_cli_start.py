"""What the command line says before torch is imported, which takes seconds: mistakes and help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = """
import contextlib, io, json, sys
from l2l_widgets.cli import main
answers = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    answers.append([code, out.getvalue(), err.getvalue(), "torch" in sys.modules])
print(json.dumps(answers))
"""


def answers_of(commands, folder):
    """Exit code, output, errors and whether torch is there, of each command in one process."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout)


MISTAKES = {
    "nosuch": "there is no verb 'nosuch'; there are: lab, sample",
    "edti": "did you mean edit?",
    "trian": "did you mean train?",
    "edit --seed abc --out m.png": "--seed is 'abc'",
    "edit --out m.jpg": "--out is 'm.jpg'",
    "edit --set smile --out m.png": "--set is 'smile'",
    "edit --set smile=much --out m.png": "--set smile is 'much'",
    "edit --set smil=+0.3 --out m.png": "--set: attribute 'smil' is unknown; did you mean smile?",
    "edit --set smile=3 --out m.png": "--set: target of 'smile' is 3.0; allowed: a number from 0",
    "edit --set smile=1 --preserve ag --out m.png": "--preserve: attribute 'ag' is unknown",
    "edit --method interfacgan --out m.png": "--method is 'interfacgan': no such method; did you "
    "mean interfacegan",
    "edit --rows 5-2 --out m.png": "--rows is '5-2', where 5-2 runs backwards; did you mean 2-5?",
    "edit --rows 3-99 --out m.png": "--rows is '3-99'; allowed: rows from 0 to",
    "edit --rows midle --out m.png": "did you mean middle?",
    "edit --space q --out m.png": "--space is 'q'; allowed with --method mapper: w, w+",
    "edit --scale 0 --out m.png": "--scale is '0'",
    "edit --truncation x --out m.png": "--truncation is 'x'",
    "edit --truncation 7 --out m.png": "--truncation is '7'; allowed: a number from 0 to 1.5",
    "edit --device abacus --out m.png": "--device is 'abacus'",
    "edit --generator faceworld --out m.png": "--generator 'faceworld': no embedded world",
    "edit --seeds 9-3 --out d": "--seeds is '9-3', where 9-3 runs backwards; did you mean 3-9?",
    "edit --latents nowhere --out d": "--latents is 'nowhere'",
    "edit --seeds 0-1 --out m.png": "--out is 'm.png', a picture's name; allowed with --seeds: a",
    "edit --latents own.png --out d.JPG": "allowed with --latents: a folder's name",
    "edit --seeds 1-3 --recipe no.json --out d": "--recipe is 'no.json': no such file",
    "edit --out m.png --methd x": "there is no option '--methd'; did you mean --method",
    "edit --out m.png --colour": "--colour",
    "sample -n x --out m.png": "-n is 'x'",
    "sample --columns 0 --out m.png": "--columns is '0'",
    "replay nowhere.png --out m.png": "RECIPE is 'nowhere.png': no such file",
    "interpolate --from-seed 1 --to-seed 2 --kind latnet --out m.png": "did you mean latent?",
    "interpolate --from-seed 1 --to-seed 2 --space w+ --rows 5-2 --out m.png": "runs backwards",
    "interpolate --from-seed 1 --to-seed 2 --size 3 --out m.png": "--size is '3'",
    "interpolate --from-seed 1 --kind attribute --attribute smyle --out m.png": "--attribute: "
    "attribute 'smyle' is unknown; did you mean smile?",
    "interpolate --from-seed 1 --to-seed 2 --method mappr --out m.png": "did you mean mapper?",
    "interpolate --from-seed 1 --to-seed 2 --frames 1 --out m.png": "--frames is '1'",
    "mix --identity nobody --attributes 2 --out m.png": "--identity is 'nobody', which is no seed",
    "mix --identity 1 --attributes film.mp4 --out m.mp4": "of pictures, or a clip (.gif, .mp4",
    "mix --identity 1 2 --attributes 1 2 3 --out m.png": "--identity has 2 faces, --attributes 3",
    "mix-report --out d --pairs 3": "--pairs is '3'",
    "render x --out d": "N is 'x'",
    "render 3 --size 100 --out d": "--size is '100'; allowed: a power of two from 16 to 1024",
    "train maper": "NAME is 'maper': there is no such recipe; did you mean mapper",
    "train mapper --set stps=4": "--set stps: recipe 'mapper' has no such field; did you",
    "train mapper --steps x": "--steps is 'x'",
    "train mapper --set width": "--set is 'width'; allowed: FIELD=VALUE",
    "train mapper --recipes no.py": "--recipes is 'no.py': no such file",
    "resume nowhere": "DIR is 'nowhere'",
    "evaluate --faces x --out d": "--faces",
    "evaluate --faces 1 --out d": "--faces is '1'; allowed: a whole number from 2 to 4000",
    "evaluate --methods mapper,interfacgan --out d": "--methods is 'interfacgan'",
    "evaluate --attributes smil --out d": "--attributes: attribute 'smil' is unknown; did you mean",
    "evaluate --parts requst --out d": "--parts holds 'requst'; did you mean request?",
    "evaluate --request 0 --out d": "--request is '0'",
    "verify nowhere": "DIR is 'nowhere'",
    "bench sythesis": "SUBJECT is 'sythesis'; did you mean synthesis?",
    "bench mapper --rounds x": "--rounds is 'x'",
    "bench mapper --size 64": "--size is '64'; allowed with mapper: none",
    "info none.pkl": "PATH is 'none.pkl': no such file or folder",
    "convert none.pkl m.safetensors": "SRC is 'none.pkl'",
    "invert none.png --out d": "PHOTO is 'none.png'",
    "invert own.png --crop -5,0 --out d": "--crop is '-5,0'; allowed: X,Y,SIDE",
    "invert own.png --detector yunet=no.onnx --out d": "--detector yunet is 'no.onnx': no such",
    "invert own.png --detector yolo --out d": "--detector is 'yolo'; allowed: cascade, yunet",
    "invert own.png --landmarks no.toml --out d": "--landmarks 'no.toml': no such file",
    "film nowhere.mp4 --out d.mp4": "CLIP is 'nowhere.mp4'",
    "film own.png --crop 1,2 --out d.mp4": "--crop is '1,2'",
    "film own.png --out d.png": "--out is 'd.png'",
    "film own.png --recipe no.json --out d.mp4": "--recipe is 'no.json': no such file",
    "direction age.npy --space w --out m.png": "FILE is 'age.npy': no such file",
    "judges arcfac": "did you mean arcface?",
    "judges arcface": "its network 'w600k_r50.onnx' is not there; allowed: arcface=FILE",
    "world mine --generator g.pkl --judge none.toml": "--judge 'none.toml': no such file",
    "train mapper --generator g.pkl --judge celeba_40=no.onnx": "network 'no.onnx' is not there",
    "train mapper --generator g.pkl --judge none.toml": "--judge 'none.toml': no such file",
    "paint --image own.png --read-mask --parser none.toml --out m.png": "--parser 'none.toml': no",
    "paint-scores --parser arcface=no.onnx --out d": "kind 'identity'; allowed: 'parser'",
    "paint --image a.png --mask m.png --out m.png": "--image is 'a.png': no such file",
    "paint --replay area.json --weights w.st --out m.png": "--replay and --weights are both given",
    "paint-scores --faces 1 --out d": "--faces is '1'",
    "masks nowhere": "DIR is 'nowhere'",
    "runs nowhere": "DIR is 'nowhere'",
    "attributes --generator nowhere": "--generator 'nowhere': no embedded world",
    "doctor --seats x": "--seats is 'x'",
    "doctor --generator nowhere": "--generator 'nowhere': no embedded world, folder or file of",
    "doctor --device abacus": "--device is 'abacus'",
    "lab student_99 --dry-run": "NAME 'student_99' fits no notebook",
}


def test_mistakes_are_found_before_torch_is_imported(tmp_path):
    (tmp_path / "own.png").write_bytes(b"")
    (tmp_path / "area.json").write_text('{"format": "l2l-area/1"}')
    answers = answers_of([line.split() for line in MISTAKES], tmp_path)
    for (line, message), (code, out, err, torch) in zip(MISTAKES.items(), answers, strict=True):
        assert (code, out) == (2, ""), line
        assert message in err, f"{line}: {err}"
        assert err.count("\n") == 1, line
        assert not torch, f"{line}: torch was imported first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["area.json", "own.png"]


def test_every_argument_of_every_verb_has_its_line_of_help():
    import argparse

    from l2l_widgets import cli

    for verb in cli.VERBS:
        parser = cli._parser_of(cli._build_parser(verb), verb)
        for action in parser._actions:
            field = "/".join(action.option_strings) or action.metavar or action.dest
            assert action.help, f"l2l {verb}: {field} says nothing"
            default, text = action.default, str(action.help)
            number = isinstance(default, str) and default.replace(".", "", 1).isdigit()
            if number and default != argparse.SUPPRESS:
                assert default in text, f"l2l {verb}: {field} does not name its default {default}"


@pytest.mark.parametrize("words", [["attributes"], ["attributes", "--json"]])
def test_a_reader_that_goes_away_ends_it_silently(words):
    """As `l2l attributes | head -1` does; the pipe has no reader from the start."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [
        sys.executable,
        "-c",
        "import sys; from l2l_widgets.cli import main; sys.exit(main())",
    ]
    try:
        done = subprocess.run(
            [*command, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
