"""Strokes as data: what a brush, a line, the eraser, a fill and a move do to a mask."""

from __future__ import annotations

import itertools
import time

import pytest
import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.masks import MaskError, class_index
from l2l_widgets.painting.strokes import apply_operation

HAIR, CHAIN = class_index("hair"), class_index("neck_l")


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(1, seed=3), 32)


def brush(label=CHAIN, size=3.0, points=((4, 4), (20, 4)), kind="brush"):
    return {"kind": kind, "class": label, "size": size, "points": [list(p) for p in points]}


def test_a_brush_covers_the_pixels_near_its_way():
    empty = torch.zeros(16, 16, dtype=torch.uint8)
    painted = apply_operation(empty, empty, brush(size=2.0, points=[(4, 8), (12, 8)]))
    rows, columns = (painted == CHAIN).nonzero(as_tuple=True)
    assert sorted(set(rows.tolist())) == [7, 8]
    assert (int(columns.min()), int(columns.max())) == (3, 12)
    dot = apply_operation(empty, empty, brush(size=0.5, points=[(5.2, 6.9)]))
    assert (dot == CHAIN).nonzero().tolist() == [[6, 5]], "a click without motion paints"
    outside = apply_operation(empty, empty, brush(points=[(-9, -9), (-5, -9)]))
    assert torch.equal(outside, empty)


def test_many_short_ways_cover_what_each_of_them_does():
    """A mouse gives hundreds of points a second, and they are looked at together."""
    ways = [[31.4, 3.2], [31.6, 3.9], [30.2, 5.1], [12.0, 44.5], [12.1, 44.5], [-6.0, 70.0]]
    empty = torch.zeros(48, 48, dtype=torch.uint8)
    for size in (0.5, 3.0, 11.0):
        whole = apply_operation(empty, empty, brush(size=size, points=ways))
        single = empty
        for pair in itertools.pairwise(ways):
            single = apply_operation(single, single, brush(size=size, points=pair))
        assert torch.equal(whole, single)
        y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(48) + 0.5, indexing="ij")
        a, b = torch.tensor(ways[2]), torch.tensor(ways[3])
        share = (((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()).clip(
            0, 1
        )
        gap = torch.hypot(x - a[0] - share * (b - a)[0], y - a[1] - share * (b - a)[1])
        assert bool((whole[gap < size / 2 - 1e-4] == CHAIN).all())


def test_a_long_stroke_costs_little():
    """Each of its messages has all of its points: 2,000 of them took 90 ms of a processor."""
    turns = torch.linspace(0, 60, 2000)
    points = torch.stack([32 + 20 * torch.cos(turns), 32 + 20 * torch.sin(1.3 * turns)], 1).tolist()
    mask, took = torch.zeros(64, 64, dtype=torch.uint8), []
    for _ in range(5):
        start = time.process_time()
        apply_operation(mask, mask, brush(size=4, points=points))
        took.append(time.process_time() - start)
    assert min(took) < 0.04, took


def test_line_erase_fill(faces):
    mask = faces.mask[0]
    crooked = ((2, 2), (16, 30), (30, 2))
    line = apply_operation(mask, mask, brush(points=crooked, size=1.0, kind="line"))
    assert set((line == CHAIN).nonzero()[:, 0].tolist()) <= {1, 2}
    painted = apply_operation(mask, mask, brush())
    erase = {"kind": "erase", "size": 9, "points": [[4, 4], [20, 4]]}
    assert torch.equal(apply_operation(painted, mask, erase), mask)
    filled = apply_operation(mask, mask, {"kind": "fill", "class": CHAIN, "point": [0.5, 0.5]})
    assert int(filled[0, 0]) == CHAIN
    assert (filled != mask).sum() == ((mask == mask[0, 0]) & (filled == CHAIN)).sum() > 10


def test_a_part_moves_and_what_it_leaves_is_filled_from_around():
    mask = torch.ones(16, 16, dtype=torch.uint8)
    mask[6:8, 6:8] = 2
    moved = apply_operation(mask, mask, {"kind": "move", "class": 2, "dx": 4, "dy": -1})
    assert torch.equal((moved == 2).nonzero(), (mask == 2).nonzero() + torch.tensor([-1, 4]))
    assert (moved == 1).sum() == (mask == 1).sum()
    grown = apply_operation(mask, mask, {"kind": "move", "class": 2, "scale": 2.0})
    assert (grown == 2).sum() == 16
    with pytest.raises(MaskError, match="class is neck_l; allowed: a part that the mask shows"):
        apply_operation(mask, mask, {"kind": "move", "class": CHAIN, "dx": 1, "dy": 0})
    with pytest.raises(MaskError, match="leave nothing"):
        apply_operation(mask, mask, {"kind": "move", "class": 2, "dx": 15, "dy": 0})
