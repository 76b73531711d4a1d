"""The exercises of student_8: unanswered they say so; right answers pass, wrong ones fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.maskgan.regions import region_change
from l2l_widgets.masks import MASK_CLASSES
from l2l_widgets.painting import PaintSession

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "student_8_paint_a_face.ipynb"

#: Exercise -> a right answer and a wrong one.
ANSWERS = {
    1: (
        "return (mask == MASK_CLASSES.index(name)).float().mean()",
        "return (mask == MASK_CLASSES.index(name)).sum()",
    ),
    2: (
        "swapped = list(range(19))\n"
        "    for a, b in ((4, 5), (6, 7), (8, 9)):\n"
        "        swapped[a], swapped[b] = b, a\n"
        "    return torch.tensor(swapped, dtype=torch.uint8)[mask.flip(-1).long()]",
        "return mask.flip(-1)",
    ),
    3: ("return old != new", "return old == new"),
}


@pytest.fixture(scope="module")
def world():
    """What the cells above the exercises have made, at a smaller size."""
    faces = render(sample_factors(2, seed=11), 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MaskGAN(DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))).eval()
    session = PaintSession(model, faces.image[0], faces.mask[0])
    points = [[8, 8], [24, 8]]
    session.apply({"kind": "brush", "class": 14, "size": 6, "points": points})
    drawn = session.render()
    yield {
        "torch": torch, "MASK_CLASSES": MASK_CLASSES, "faces": faces, "session": session,
        "drawn": drawn, "region_change": region_change,
    }  # fmt: skip
    session.close()


def cell(number):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    (found,) = [s for s in sources if f"# exercise {number}:" in s]
    return found


def answered(number, answer):
    lines = cell(number).splitlines()
    (at,) = [i for i, line in enumerate(lines) if f"# exercise {number}:" in line]
    return "\n".join([*lines[:at], f"    {answer}", *lines[at + 1 :]])


@pytest.mark.parametrize("number", sorted(ANSWERS))
def test_an_exercise_waits_passes_and_fails(number, world, capsys):
    exec(cell(number), dict(world))
    assert capsys.readouterr().out.strip() == f"exercise {number}: not yet"
    right, wrong = ANSWERS[number]
    exec(answered(number, right), dict(world))
    assert f"exercise {number}: right" in capsys.readouterr().out
    with pytest.raises(AssertionError):
        exec(answered(number, wrong), dict(world))
