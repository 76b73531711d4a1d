"""What a hand would paint on a face for a wider smile, longer hair and glasses.

Places are read off the mask, as an eye does it, so that the strokes fit any face that looks at us.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld import Factors, render, sample_factors
from l2l_widgets.faceworld.truth import with_attribute
from l2l_widgets.masks import class_index

#: Name of an edit -> the class whose reading by a judge should go up.
EDITS = {"smile": "smile", "longer hair": "hair_length", "glasses": "glasses"}


@dataclass(frozen=True)
class Stroke:
    """One drag of the brush: the class in hand, its size, and a way in shares of the mask."""

    name: str
    size: float
    points: tuple[tuple[float, float], ...]


def plain_faces(count: int, side: int) -> tuple[torch.Tensor, torch.Tensor, Factors]:
    """Pictures, masks and factors of the first faces of a row that have none of what is painted.

    The row is that of population seed 21, which no set of the recipes has. Left out is who has a
    hat, more than half of a smile, of long hair or of glasses, or looks far to a side, up or down:
    the truth decides that, not a reader, and nothing that was drawn.
    """
    row = sample_factors(200, seed=21)
    known = row.attributes()
    without = [known[:, DEFAULT_TABLE.index(name)] < 0.5 for name in (*EDITS.values(), "hat")]
    ahead = [(known[:, DEFAULT_TABLE.index(n)] - 0.5).abs() < 0.2 for n in ("yaw", "pitch")]
    chosen = torch.stack([*without, *ahead]).all(0).nonzero()[:count, 0]
    faces = render(row[chosen], side)
    return faces.image, faces.mask, row[chosen]


def truly(factors: Factors, edit: str, side: int) -> torch.Tensor:
    """Pictures of the same people who truly have what an edit is about: 0.9, or what they can."""
    target = torch.full((len(factors),), 0.9)
    return render(with_attribute(factors, EDITS[edit], target)[0], side).image


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
        Stroke("l_lip", 2, bow(pixel, 4.5 * pixel, 0.95)),
        Stroke("mouth", 2.5, bow(pixel, 2.5 * pixel, 0.9)),
        Stroke("u_lip", 2, bow(2.5 * pixel, 0, 1.0)),
    ]


def _hair(mask: torch.Tensor) -> list[Stroke]:
    """Down each side of the face, over the ears to the shoulders, joined to the hair.

    It begins in the hair that is there, or on the crown of a head that has next to none.
    """
    left, top, right, bottom = _box(mask, "skin")
    high, ears = top + 0.02, top + 0.45 * (bottom - top)
    bald = (mask == class_index("hair")).float().mean() < 0.02
    crown = (((left + right) / 2, high),) if bald else ()
    return [
        Stroke(
            "hair", 9,
            (*crown, (edge - 0.06 * out, high), (edge + 0.02 * out, ears), (edge, bottom),
             (edge + 0.01 * out, 0.88)),
        )
        for edge, out in ((left, -1), (right, 1))
    ]  # fmt: skip


def _glasses(mask: torch.Tensor) -> list[Stroke]:
    """Two filled lenses, a bridge and the arms: the class covers the eyes, as in the data set."""
    lenses, ends = [], []
    edges = _box(mask, "skin")
    for name in ("l_eye", "r_eye"):
        left, top, right, bottom = _box(mask, name)
        x, y, half = (left + right) / 2, (top + bottom) / 2, 0.06
        ends.append((x, y))
        lenses += [
            Stroke("eye_g", 3, ((x - half, y + dy), (x + half, y + dy)))
            for dy in (-0.025, 0.005, 0.035)
        ]
    ends.sort()
    (x0, y0), (x1, y1) = ends
    arms = [((edges[0], y0 - 0.01), (x0, y0)), ((x1, y1), (edges[2], y1 - 0.01))]
    return [*lenses, Stroke("eye_g", 2, tuple(ends)), *(Stroke("eye_g", 1, a) for a in arms)]


def _box(mask: torch.Tensor, *names: str) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of some classes, in shares of the mask."""
    labels = torch.tensor([class_index(n) for n in names], dtype=torch.uint8)
    places = torch.isin(mask, labels).nonzero().float() / mask.shape[-1]
    (top, left), (bottom, right) = places.min(0).values.tolist(), places.max(0).values.tolist()
    pixel = 1 / mask.shape[-1]
    return left, top, right + pixel, bottom + pixel
