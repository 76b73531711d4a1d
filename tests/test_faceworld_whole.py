"""Portraits are in one piece: no holes in a head, nothing that floats beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from l2l_widgets.faceworld import MASK_CLASSES, render, sample_factors

EIGHT = np.ones((3, 3), bool)  # neighbours of a pixel
#: What may lie around background that shows through: a ring, or the gap between locks and neck.
OPEN = ("ear_r", "neck", "cloth", "hat", "eye_g")
#: Pixels of 128: less than this is the corner where three outlines meet.
LEAST_HOLE, LEAST_TUFT = 3, 12


def flaws(mask: np.ndarray) -> list[str]:
    """What is not in one piece in a mask of 128 by 128 classes."""
    found = []
    mask = np.pad(mask, 1)  # background around it joins all that reaches the border
    _, pieces = ndimage.label(mask != 0, EIGHT)
    if pieces > 1:
        found.append(f"the person is in {pieces} pieces")
    for area, around in _pieces(mask == 0, mask):
        if area >= LEAST_HOLE and not set(_names(around)) & set(OPEN):
            found.append(f"a hole of {area} pixels amid {_names(around)}")
    for area, around in _pieces(mask == MASK_CLASSES.index("hair"), mask):
        if area >= LEAST_TUFT and (around == 0).mean() > 0.9:
            found.append(f"a tuft of {area} pixels that hangs on nothing")
    return found


def _pieces(part: np.ndarray, mask: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Area of each connected piece, and the classes of the pixels around it."""
    labels, count = ndimage.label(part, EIGHT)
    out = []
    for k in range(1, count + 1):
        piece = labels == k
        if not piece[0, 0]:  # not the background around everything
            out.append((int(piece.sum()), mask[ndimage.binary_dilation(piece, EIGHT) & ~piece]))
    return out


def _names(around: np.ndarray) -> list[str]:
    return [MASK_CLASSES[k] for k in np.unique(around)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
def test_portraits_have_no_holes_and_no_floating_parts(seed):
    factors = sample_factors(24, seed)
    broken = {}
    for k in range(len(factors)):
        found = flaws(render(factors[k : k + 1], 128).mask[0].numpy())
        if found:
            broken[k] = found
    assert not broken


def test_a_hole_and_a_floating_tuft_are_found():
    mask = torch.zeros(128, 128, dtype=torch.uint8)
    mask[30:100, 40:90] = MASK_CLASSES.index("skin")
    mask[20:40, 40:90] = MASK_CLASSES.index("hair")
    assert flaws(mask.numpy()) == []
    mask[60:62, 60:62] = 0
    assert flaws(mask.numpy()) == ["a hole of 4 pixels amid ['skin']"]
    mask[60, 59] = MASK_CLASSES.index("ear_r")  # within a ring it may be seen through
    assert flaws(mask.numpy()) == []
    mask[5:10, 5:10] = MASK_CLASSES.index("hair")
    assert flaws(mask.numpy()) == [
        "the person is in 2 pieces",
        "a tuft of 25 pixels that hangs on nothing",
    ]
