"""What the explorer's page is given: matrices, cells and trajectories as plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from l2l_widgets.entanglement import FaceChange, LeakageMatrix, Trajectories
from l2l_widgets.widgets.bridge import picture_value

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.attributes import AttributeTable

#: What the page draws of every cell.
NUMBERS = ("signed", "signed_low", "signed_high", "drift", "q", "band", "world", "truth")
#: Dots that a strip can show; of more faces every n-th is drawn.
MOST_DOTS = 400


def attribute_values(table: AttributeTable) -> list[dict[str, Any]]:
    """Return name, label, family and unit of every attribute."""
    fields = ("name", "label", "definition", "family", "low", "high", "unit")
    return [{field: getattr(row, field) for field in fields} for row in table]


def matrix_value(matrix: LeakageMatrix) -> dict[str, Any]:
    """Return a matrix with its words; numbers that are not there are None."""
    arrays = {
        name: [[_plain(value) for value in row] for row in matrix.array(name).tolist()]
        for name in NUMBERS
    }
    faces = [int(matrix.cells[e, matrix.read[0]]["faces"]) for e in matrix.edited]
    return {
        "method": matrix.method,
        "edited": list(matrix.edited),
        "read": list(matrix.read),
        "verdicts": matrix.verdicts(),
        "faces": faces,
        "failed": dict(matrix.failed),
        "stamp": matrix.stamp(),
        "preview": matrix.preview,
        "request": matrix.protocol.request,
        **arrays,
    }


def faces_value(faces: list[FaceChange]) -> list[dict[str, Any]]:
    """Return the faces behind a cell; at most :data:`MOST_DOTS` of them."""
    step = -(-len(faces) // MOST_DOTS) or 1
    return [
        {"seed": f.seed, "change": _plain(f.change), "strength": _plain(f.strength)}
        for f in faces[::step]
    ]


def pair_value(face: FaceChange, pictures: tuple[Tensor, Tensor], caption: str) -> dict[str, Any]:
    """Return one face before and after."""
    return {
        "seed": face.seed,
        "caption": caption,
        "change": _plain(face.change),
        "asked": face.asked,
        "strength": _plain(face.strength),
        "before": picture_value(pictures[0]),
        "after": picture_value(pictures[1]),
    }


def trajectory_value(found: Trajectories, label: str) -> dict[str, Any]:
    """Return the changes from the unedited face, mean and interval, by attribute."""
    low, high = found.interval()
    identity = None if found.identity is None else found.identity.double().mean(dim=0)
    return {
        "method": found.method,
        "edited": found.edited,
        "faces": found.faces,
        "label": label,
        "strengths": list(found.strengths),
        "mean": _table(found.changes().double().mean(dim=0)),
        "low": _table(low),
        "high": _table(high),
        "identity": None if identity is None else [_plain(v) for v in identity.tolist()],
    }


def best_and_worst(faces: list[FaceChange], own: bool) -> list[tuple[str, FaceChange]]:
    """Return the two faces that moved least and most, each with its caption.

    Parameters
    ----------
    faces : list of FaceChange
        Those behind a cell.
    own : bool
        Whether the cell is that of the edited attribute itself: its change is what was asked for,
        so the strength that it took stands in its place.
    """
    reached = [face for face in faces if face.reached]
    if not reached:
        return [("never came so far", face) for face in faces[:2]]
    ranked = sorted(reached, key=lambda f: f.strength if own else abs(f.change))
    if len(ranked) == 1:
        return [("the only face", ranked[0])]
    words = (
        ("least strength", "most strength") if own else ("best: moved least", "worst: moved most")
    )
    return [(words[0], ranked[0]), (words[1], ranked[-1])]


def _table(values: Tensor) -> list[list[float | None]]:
    return [[_plain(v) for v in row] for row in values.tolist()]


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
