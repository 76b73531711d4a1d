"""What the command line says before torch is imported, which takes seconds: mistakes and help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
        timeout=120,
    )
    return json.loads(done.stdout)


def test_mistakes_are_found_before_torch_is_imported(tmp_path):
    mistakes = {
        "edit --seed abc --out m.png": "--seed is 'abc'",
        "edit --out m.jpg": "--out is 'm.jpg'",
        "edit --set smile --out m.png": "--set is 'smile'",
        "edit --set smile=much --out m.png": "--set smile is 'much'",
        "edit --scale 0 --out m.png": "--scale is '0'",
        "edit --truncation x --out m.png": "--truncation is 'x'",
        "edit --out m.png --colour": "--colour",
        "sample -n x --out m.png": "-n is 'x'",
        "sample --columns 0 --out m.png": "--columns is '0'",
        "replay nowhere.png --out m.png": "nowhere.png: no such file",
        "render x --out d": "N is 'x'",
        "train mapper --steps x": "--steps is 'x'",
        "train mapper --set width": "--set 'width'",
        "resume nowhere": "DIR is 'nowhere'",
        "evaluate --faces x --out d": "--faces",
        "bench mapper --rounds x": "--rounds is 'x'",
        "doctor --seats x": "--seats is 'x'",
        "nosuch": "'nosuch'",
    }
    answers = answers_of([line.split() for line in mistakes], tmp_path)
    for (line, message), (code, out, err, torch) in zip(mistakes.items(), answers, strict=True):
        assert (code, out) == (2, ""), line
        assert message in err, line
        assert err.count("\n") == 1, line
        assert not torch, f"{line}: torch was imported first"
    assert list(tmp_path.iterdir()) == []
