"""What a paint session goes through: states, the faces they are of, and what was drawn of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from l2l_widgets.painting.regions import RegionChange
from l2l_widgets.painting.walk import Walk


@dataclass(frozen=True)
class PaintResult:
    """What a session drew.

    Attributes
    ----------
    image : Tensor or None, shape (3, R, R)
        RGB in [-1, 1]; None where ``error`` says why.
    mask : Tensor, shape (R, R), uint8
        The mask it obeys.
    change : RegionChange or None
        Against the original picture and the painted area; None where nothing was painted.
    error : str or None
        One line.
    seconds : float
        To draw it.
    stamp : int
        Of the state; larger is newer.
    source : Tensor, shape (3, R, R)
        The original picture; by now the session may have another.
    styled : bool
        Whether it has the style of another face.
    """

    image: Tensor | None
    mask: Tensor
    change: RegionChange | None
    error: str | None
    seconds: float
    stamp: int
    source: Tensor
    styled: bool


@dataclass(frozen=True)
class State:
    """What one operation left behind."""

    mask: Tensor
    style: tuple[Tensor, Tensor] | None  # another face's picture and mask
    keep: bool
    feather: float
    walk: Walk | None = None  # where a second mask was taken


#: An operation, what it left behind, and the gesture that it was part of.
Step = tuple[dict[str, Any], State, Any]


@dataclass(frozen=True)
class Face:
    """A picture, its mask, and what was done to it: one face of a session's history."""

    image: Tensor
    original: Tensor
    first: State
    done: list[Step]
    undone: list[Step]
    photo: bytes | None = None  # the file that the picture is the middle square of
