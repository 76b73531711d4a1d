"""What a hand would paint on a face for a wider smile, longer hair and glasses.

Places are read off the mask, as an eye does it, so that the strokes fit any face that looks at us.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.masks import class_index

#: Name of an edit -> the class whose reading by a judge should go up.
EDITS = {"smile": "smile", "longer hair": "hair_length", "glasses": "glasses"}


@dataclass(frozen=True)
class Stroke:
    """One drag of the brush: the class in hand, its size, and a way in shares of the mask."""

    name: str
    size: float
    points: tuple[tuple[float, float], ...]


def calm_face(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture and mask of a face that looks at us, with short hair, no glasses and no smile."""
    faces = render(sample_factors(48, seed=21)[31:32], side)
    return faces.image[0], faces.mask[0]


def strokes(mask: torch.Tensor, edit: str) -> list[Stroke]:
    """The strokes of one edit on a mask (R, R)."""
    if edit == "smile":
        return _smile(mask)
    return _hair(mask) if edit == "longer hair" else _glasses(mask)


def operations(mask: torch.Tensor, edit: str) -> list[dict]:
    """The same as a session's operations."""
    side = mask.shape[-1]
    return [
        {
            "kind": "brush", "class": class_index(s.name), "size": s.size,
            "points": [[x * side, y * side] for x, y in s.points],
        }
        for s in strokes(mask, edit)
    ]  # fmt: skip


def _smile(mask: torch.Tensor) -> list[Stroke]:
    """Skin over the old mouth, then teeth between two lips whose corners go up."""
    side = mask.shape[-1]
    left, top, right, bottom = _box(mask, "mouth", "u_lip", "l_lip")
    middle, half = (left + right) / 2, max((right - left) / 2, 0.09) + 0.015
    y, pixel = (top + bottom) / 2, 1 / side

    def bow(lift: float, sag: float, width: float) -> tuple[tuple[float, float], ...]:
        ends = width * half
        return (
            (middle - ends, y - lift), (middle - ends / 2, y + sag / 2), (middle, y + sag),
            (middle + ends / 2, y + sag / 2), (middle + ends, y - lift),
        )  # fmt: skip

    over = Stroke("skin", max(3, round((bottom - top) * side)), ((left, y), (right, y)))
    return [
        over,
        Stroke("l_lip", 2, bow(pixel, 3.5 * pixel, 0.95)),
        Stroke("mouth", 2, bow(pixel, 1.5 * pixel, 0.9)),
        Stroke("u_lip", 2, bow(2.5 * pixel, -0.5 * pixel, 1.0)),
    ]


def _hair(mask: torch.Tensor) -> list[Stroke]:
    """A broad stroke beside each cheek, from the ears to the shoulders."""
    left, top, right, bottom = _box(mask, "skin")
    start = top + 0.4 * (bottom - top)
    ways = [(max(0.08, left - 0.05), -0.02), (min(0.92, right + 0.05), 0.02)]
    return [Stroke("hair", 9, ((x, start), (x + out, 0.86))) for x, out in ways]


def _glasses(mask: torch.Tensor) -> list[Stroke]:
    """Two filled lenses and a bridge: the class covers the eyes, as in the data set."""
    found, centres = [], []
    for name in ("l_eye", "r_eye"):
        left, top, right, bottom = _box(mask, name)
        x, y, half = (left + right) / 2, (top + bottom) / 2, 0.055
        centres.append((x, y))
        found += [
            Stroke("eye_g", 3, ((x - half, y + dy), (x + half, y + dy))) for dy in (-0.025, 0.03)
        ]
    return [*found, Stroke("eye_g", 2, tuple(centres))]


def _box(mask: torch.Tensor, *names: str) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of some classes, in shares of the mask."""
    labels = torch.tensor([class_index(n) for n in names], dtype=torch.uint8)
    places = torch.isin(mask, labels).nonzero().float() / mask.shape[-1]
    (top, left), (bottom, right) = places.min(0).values.tolist(), places.max(0).values.tolist()
    pixel = 1 / mask.shape[-1]
    return left, top, right + pixel, bottom + pixel
