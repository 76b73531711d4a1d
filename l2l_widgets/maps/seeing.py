"""What judges and embedders see in the faces of a map, refused where it is none of a face each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

__all__ = ["check_seen", "shown_to"]


def shown_to(eye: Callable[[Tensor], Any], images: Tensor, width: int | None = None) -> Tensor:
    """What an eye sees in pictures.

    Parameters
    ----------
    eye : callable
        A judge or an embedder, which may be anybody's.
    images : Tensor, shape (B, 3, R, R)
        RGB in [-1, 1].
    width : int, optional
        How many numbers a picture must have; any if not given.

    Returns
    -------
    Tensor, shape (B, width)
        float32, on the CPU.

    Raises
    ------
    ValueError
        Another shape, or no tensor.
    """
    seen = eye(images)
    shape = tuple(getattr(seen, "shape", ()))
    if len(shape) != 2 or shape[0] != len(images) or shape[1] != (width or shape[1]):
        allowed = f"({len(images)}, {width or 'any'})"
        raise ValueError(
            f"a judge gives readings of shape {shape} for {len(images)} pictures; "
            f"allowed: {allowed}"
        )
    return seen.float().cpu()


def check_seen(values: Tensor, first: int | None, names: Sequence[str] = ()) -> None:
    """Refuse what is no number, by the seed of its face; (B, K) of faces from seed ``first`` on.

    Without a ``first`` the faces are new ones, which no seed draws.
    """
    broken = (~values.isfinite()).nonzero()  # (n, 2): face, column
    if not len(broken):
        return
    face, column = broken[0].tolist()
    value = float(values[face, column])
    if first is None:
        raise ValueError(
            f"face {face + 1} of {len(values)} that get a place is seen as a vector with {value} "
            "in it; allowed: a judge that gives finite numbers"
        )
    seed = first + face
    if names:
        raise ValueError(
            f"seed {seed} is read as {names[column]} {value}, which is not finite; allowed: a "
            "judge that gives numbers from 0 to 1"
        )
    raise ValueError(
        f"seed {seed} is seen as a vector with {value} in it; allowed: a judge that gives finite "
        "numbers"
    )
