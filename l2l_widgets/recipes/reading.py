"""How large a face has to be drawn for the networks that read it in a training.

A generator whose last blocks were grown onto it (``recipes.refinement``) draws a smaller picture
that its larger one, averaged, comes close to: the block was trained to keep it. Networks that look
at 64 pixels read nearly the same in both, and a step of training need not draw what nobody looks
at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def draw_as_read(generator: Any, readers: Iterable[Any]) -> None:
    """Let a generator draw no more than its readers see, where its smaller picture is the same.

    Parameters
    ----------
    generator : Generator
        Of the caller's own, for it is changed: ``img_resolution`` falls to the smallest side that
        is neither below what a reader sees nor below ``faithful_from``. One that has no such
        mark, as a generator of another kind, stays as it is.
    readers : iterable
        Networks of ``perception``; where one's size is not known, nothing changes.
    """
    sides = [_side(reader) for reader in readers]
    least = getattr(generator, "faithful_from", None)
    if least is None or not sides or any(side is None for side in sides):
        return
    wanted = max(least, *(side for side in sides if side is not None))
    enough = [side for side in generator.synthesis.block_resolutions if side >= wanted]
    if enough and enough[0] < generator.img_resolution:
        generator.draw_up_to(enough[0])


def _side(reader: Any) -> int | None:
    """Pixels that a network looks at, or None where it does not say."""
    side = getattr(getattr(reader, "trunk", reader), "resolution", None)
    return side if isinstance(side, int) else None
