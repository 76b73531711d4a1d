"""How far an attribute can be swept before the face is somebody else.

A method reaches as far as it moves the attribute, whoever the face is by then. A walk that is to
hold the identity ends sooner: where a judge that trained nothing finds less than half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.session.references import identity_judge
from l2l_widgets.walks.walk import HALF, kept_shares

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

__all__ = ["has_identity", "identity_kept", "kept_span"]

#: Places looked at on the way to one end, and then between the last that is the person and the
#: next one: the end is found to a 32nd of the way.
COARSE, FINE = 8, 4

#: Identity kept at some values of the attribute, 0 for strangers, 1 for the face itself; None when
#: nobody waits any more.
Kept = Callable[[Sequence[float]], Sequence[float] | None]


def has_identity(models: Models) -> bool:
    """Whether these models have anything that tells people apart."""
    return models.has("identity_judge") or models.has("embedder")


def identity_kept(
    models: Models,
    picture: Callable[[Tensor], Tensor],
    face: Tensor,
    edited: Callable[[float], Tensor],
    strangers: Callable[[], float | None],
) -> Kept:
    """What tells how much of a face's identity is kept at values of an attribute.

    Parameters
    ----------
    models : Models
        Whose judge of identity tells.
    picture : callable
        Latents (B, num_ws, w_dim) -> pictures.
    face : Tensor, shape (1, num_ws, w_dim)
        Before any edit.
    edited : callable
        Value -> the face edited to it, shaped as ``face``.
    strangers : callable
        Gives the zero of the scale; None when nobody waits any more.
    """
    own = identity_judge(models)(picture(face))[0]  # (D,)

    def kept(places: Sequence[float]) -> Sequence[float] | None:
        zero = strangers()
        if zero is None:
            return None
        images = picture(torch.cat([edited(place) for place in places]))
        alike = (identity_judge(models)(images) @ own).tolist()
        # Where all faces are one (no truncation left), nobody can be lost.
        return kept_shares(alike, zero) or [1.0] * len(places)

    return kept


def kept_span(kept: Kept, value: float, low: float, high: float) -> tuple[float, float] | None:
    """The part of a sweep in which at least half of the identity is kept.

    Parameters
    ----------
    kept : callable
        Measures.
    value : float
        Of the face as it is, in attribute units.
    low, high : float
        Where the method's reach ends.

    Returns
    -------
    (float, float) or None
        Around ``value``; never empty where the reach is not: the first place of the finer search
        stays even where the identity is lost there. None when ``kept`` gave None.
    """
    first = _last_kept(kept, value, low)
    last = None if first is None else _last_kept(kept, value, high)
    return None if first is None or last is None else (first, last)


def _last_kept(kept: Kept, value: float, end: float) -> float | None:
    """How far towards an end: the last place before the first at which the person is lost."""
    if end == value:
        return value
    places = [value + (end - value) * (i + 1) / COARSE for i in range(COARSE)]
    places[-1] = end  # to the last bit
    shares = kept(places)
    if shares is None:
        return None
    lost = next((i for i, share in enumerate(shares) if share < HALF), None)
    if lost is None:
        return end
    near, far = (places[lost - 1] if lost else value), places[lost]
    between = [near + (far - near) * (i + 1) / FINE for i in range(FINE - 1)]
    shares = kept(between)
    if shares is None:
        return None
    lost = next((i for i, share in enumerate(shares) if share < HALF), FINE - 1)
    if lost:
        return between[lost - 1]
    return between[0] if near == value else near
