"""Gain curves: which knob value an editor needs so that the judges read what was asked.

A trained mapper under-reaches, because the losses that keep a face as it is oppose the one that
asks for a change; a linear direction has no natural unit at all. Both are measured once on fresh
faces, with the regressors of the training (never the second judges), and the inverse of the
measured curve is stored with the weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Knob values at which the response is measured.
KNOBS = (0.1, 0.25, 0.45, 0.75, 1.2, 2.0)


class GainCurve(nn.Module):
    """A monotone map from a requested change to the knob value that reaches it, per attribute.

    Piecewise linear through 0, for rises and falls apart; the identity until it is fitted.

    Parameters
    ----------
    attributes : int
        A, the number of attributes.
    points : int
        K, knots on each side.
    largest : float
        Largest knob value that may come out; beyond the measured range nothing is extrapolated.
    """

    knots: Tensor
    knobs: Tensor

    def __init__(self, attributes: int, points: int = 21, largest: float = 2.0) -> None:
        super().__init__()
        self.largest = float(largest)
        knots = torch.linspace(0, 1, points)
        self.register_buffer("knots", knots)  # (K,) size of a requested change
        # (2, A, K) knob value at each knot: [0] for rises, [1] for falls (as sizes)
        self.register_buffer("knobs", knots.expand(2, attributes, points).clone())

    def forward(self, delta: Tensor) -> Tensor:
        """Map requested changes (B, A) in [-1, 1] to knob values (B, A); 0 stays exactly 0."""
        size = delta.abs().clamp(max=1.0)
        last = self.knots.shape[0] - 1
        place = size * last
        low = place.floor().clamp(max=last - 1)
        column = torch.arange(delta.shape[1], device=delta.device)
        side = (delta < 0).long()  # (B, A)
        index = low.long()
        left, right = self.knobs[side, column, index], self.knobs[side, column, index + 1]
        return torch.sign(delta) * (left + (right - left) * (place - low)).clamp(max=self.largest)

    def limits(self) -> Tensor:
        """Return the (2, A) sizes of rises and falls beyond which no more is asked of the editor.

        The measured response ends there: the curve is flat from it to a change of 1.
        """
        moves = self.knobs.clamp(max=self.largest).diff(dim=2) > 1e-4 * self.largest
        last = torch.where(moves, torch.arange(1, len(self.knots), device=moves.device), 0)
        return self.knots[last.amax(dim=2)]

    def reach(self, column: int) -> tuple[float, float]:
        """Return how far one attribute can be asked down and up, as sizes in [0, 1].

        Beyond, the curve is flat to its end: whatever is asked, the same knob value comes out.
        """
        rises, falls = self.limits()[:, column].tolist()
        return round(falls, 6), round(rises, 6)

    def within_reach(self, delta: Tensor) -> Tensor:
        """Shorten requested changes (B, A) to what :meth:`limits` allows."""
        rises, falls = self.limits()
        return torch.minimum(torch.maximum(delta, -falls.to(delta)), rises.to(delta))

    @torch.no_grad()
    def fit(
        self,
        column: int,
        knobs: Tensor,
        response: Tensor,
        sides: tuple[int, ...] = (1, -1),
        aim: float = 1.0,
        enough: float = 1.0,
    ) -> GainCurve:
        """Set one attribute's curve from a measured response.

        Parameters
        ----------
        column : int
            The attribute.
        knobs, response : Tensor, shape (M,)
            Positive knob values, rising, and the change that each achieved, as a size in the
            direction asked. Nothing is changed where they are empty.
        sides : tuple of int
            1 for rises, -1 for falls, or both: then an edit and its undoing ask for the same knob
            value, and the editor's cycle error stays the network's own.
        aim : float
            Share of what is asked that the curve aims at: below 1 an edit is gentler and disturbs
            less.
        enough : float
            Share of the largest response that is asked for at most. What an editor reaches it often
            reaches early: beyond that, knob values grow, and with them what else moves, while the
            response does not.
        """
        if knobs.shape != response.shape or knobs.ndim != 1:
            raise ValueError(
                f"knobs {tuple(knobs.shape)} and responses {tuple(response.shape)} do not fit; "
                "allowed: two of shape (M,)"
            )
        if not 0 < aim <= 1.5:
            raise ValueError(f"aim is {aim!r}; allowed: above 0, at most 1.5")
        if not 0 < enough <= 1:
            raise ValueError(f"enough is {enough!r}; allowed: above 0, at most 1")
        if len(knobs) > 0:
            curve = self._invert(response / aim, knobs, enough)
            for side in sides:
                self.knobs[0 if side > 0 else 1, column] = curve
        return self

    @torch.no_grad()
    def raise_top(self, column: int, sides: tuple[int, ...], other: GainCurve) -> GainCurve:
        """Go over to another curve of the same attribute from half the range to its end.

        A change of 0.3 is meant on average; a change of 1 asks for glasses on this very face.

        Parameters
        ----------
        column : int
            The attribute.
        sides : tuple of int
            1 for rises, -1 for falls, or both.
        other : GainCurve
            Of the same size; its knob values hold at the end of the range, where they are larger.
        """
        share = (2 * self.knots - 1).clamp(0, 1)
        for side in (0 if s > 0 else 1 for s in sides):
            own, top = self.knobs[side, column], other.knobs[side, column]
            self.knobs[side, column] = own + share * (top - own).clamp_min(0)
        return self

    def _invert(self, response: Tensor, knobs: Tensor, enough: float) -> Tensor:
        zero = torch.zeros(1)
        x = torch.cat([zero, knobs.float().cpu()])
        # a response that falls back is noise or saturation: only its running maximum can be asked
        y = torch.cat([zero, response.float().cpu()]).cummax(0).values
        out = torch.empty(len(self.knots))
        for i, asked in enumerate(self.knots.tolist()):
            if enough < 1:
                asked = min(asked, enough * float(y[-1]))
            above = (y >= asked).nonzero()[:, 0]
            if asked == 0:
                out[i] = 0.0
            elif len(above) == 0:  # out of the measured reach: where the response was largest
                out[i] = x[int((y >= y[-1]).nonzero()[0, 0])]
            else:
                j = int(above[0])
                rise = float(y[j] - y[j - 1])
                share = (asked - float(y[j - 1])) / rise if rise > 0 else 1.0
                out[i] = x[j - 1] + (x[j] - x[j - 1]) * share
        return out.clamp(max=self.largest).cummax(0).values.to(self.knobs)


@dataclass(frozen=True)
class Response:
    """What knob values do to one attribute, on one side or on both.

    Parameters
    ----------
    column : int
        The attribute.
    sides : tuple of int
        1 for rises, -1 for falls, or both.
    typical : (Tensor, Tensor), shapes (M,)
        Knob values, and what half of the faces exceed, as :func:`measure_response` gives them.
    sure : (Tensor, Tensor), shapes (M,), optional
        The same of what nearly every face exceeds; of something that is there or not.
    worn : float
        The change that counts as "there", where ``sure`` is given.
    """

    column: int
    sides: tuple[int, ...]
    typical: tuple[Tensor, Tensor]
    sure: tuple[Tensor, Tensor] | None = None
    worn: float = 1.0

    def fit(self, gain: GainCurve, aim: float = 1.0, enough: float = 1.0) -> None:
        """Set the attribute's curve, see :meth:`GainCurve.fit`."""
        gain.fit(self.column, *self.typical, self.sides, aim, enough)

    def raise_top(self, gain: GainCurve, enough: float = 1.0) -> None:
        """Have a full request for something worn bring it on nearly every face."""
        if self.sure is not None:
            top = copy.deepcopy(gain).fit(self.column, *self.sure, self.sides, self.worn, enough)
            gain.raise_top(self.column, self.sides, top)


def responses(
    measure: Callable[..., tuple[Tensor, Tensor]],
    column: int,
    *,
    symmetric: bool,
    worn: float | None,
    sure_faces: float,
) -> Iterator[Response]:
    """Measure an attribute's responses: one for both sides, or one for each.

    Parameters
    ----------
    measure : callable
        :func:`measure_response` with all that comes before ``column``.
    column : int
        The attribute.
    symmetric : bool
        Whether rises and falls share a curve.
    worn : float or None
        The change that counts as "there"; None for what comes by degrees.
    sure_faces : float
        Share of the faces on which a full request for something worn must come.
    """
    for sides in ((1, -1),) if symmetric else ((1,), (-1,)):
        typical = measure(column, sides)
        if worn is None:
            yield Response(column, sides, typical)
        else:
            sure = measure(column, sides, quantile=1 - sure_faces)
            yield Response(column, sides, typical, sure, worn)


def faces_with_room(
    before: Tensor, column: int, sides: tuple[int, ...] = (1, -1), margin: float = 0.05
) -> tuple[Tensor, Tensor]:
    """Return which faces (R,) can change by 0.3 and ``margin`` more, and the way (R,) each goes.

    A median that counts faces pressed against 0 or 1 would say nothing about the others. With both
    ``sides`` (1 for rises, -1 for falls) a face that can go both ways is sent up and down in turn.
    """
    up = (1 - before[:, column] > 0.3 + margin) & (1 in sides)
    down = (before[:, column] > 0.3 + margin) & (-1 in sides)
    turn = torch.arange(len(before), device=before.device) % 2 == 0
    sign = torch.where(up & (~down | turn), 1.0, -1.0)
    row = (up | down).nonzero()[:, 0]
    return row, sign[row]


@torch.no_grad()
def measure_response(
    move: Callable[..., Tensor],
    read: Callable[[Tensor], Tensor],
    ws: Tensor,
    before: Tensor,
    column: int,
    sides: tuple[int, ...] = (1, -1),
    knobs: tuple[float, ...] = KNOBS,
    faces: int = 64,
    margin: float = 0.05,
    rounds: int = 3,
    quantile: float = 0.5,
    with_current: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the median change of one attribute at knob values, close together where it is steep.

    A regressor reads glasses as absent or present and little between: its response is a step, and
    a straight line between two coarse knob values would miss what is asked.

    Parameters
    ----------
    move : callable
        (w (B, num_ws, w_dim), knob values (B, A)) -> edited w; with ``with_current`` also given
        the readings (B, A) of w.
    read : callable
        w -> attribute readings (B, A) in [0, 1], by the mean of several regressors.
    ws : Tensor, shape (N, num_ws, w_dim)
        Faces to measure on.
    before : Tensor, shape (N, A)
        Their readings.
    column : int
        The attribute.
    sides : tuple of int
        1 for rises, -1 for falls; with both, each face goes where it has room.
    knobs : tuple of float
        Rising positive knob values to begin with.
    faces : int
        Faces, of those that have room for the change.
    margin : float
        Only faces with room for a change of 0.3 and this much more count, see
        :func:`faces_with_room`.
    rounds : int
        How often knob values are put half way between two whose responses are far apart.
    quantile : float
        Which quantile over faces is the response: 0.5 is the median, 0.1 what nine faces of ten
        exceed.
    with_current : bool
        Whether ``move`` edits a face by its readings.

    Returns
    -------
    knobs, response : Tensor, shape (M,)
        Rising knob values and sizes in the direction asked; empty where fewer than 8 faces have
        room.
    """
    row, sign = faces_with_room(before, column, sides, margin)
    row, sign = row[:faces], sign[:faces]
    if len(row) < 8:
        return torch.empty(0), torch.empty(0)
    start = before[row, column]
    free = torch.where(sign > 0, 1 - start, start)

    def respond(knob: float) -> float:
        delta = torch.zeros(len(row), before.shape[1], device=ws.device)
        delta[:, column] = sign * knob
        given = (ws[row], delta, before[row]) if with_current else (ws[row], delta)
        parts = zip(*(part.split(64) for part in given), strict=True)
        after = torch.cat([read(move(*part)) for part in parts])[:, column]
        change = sign * (after - start)
        # a face without room left censors the median from above: count it as reached
        change = torch.where(change > free - margin, torch.maximum(change, free), change)
        return float(change.float().quantile(quantile))

    found: dict[float, float] = {0.0: 0.0}
    for knob in knobs:
        found[knob] = respond(knob)
        if found[knob] > 0.8:
            break
    for _ in range(rounds):
        known = sorted(found)
        for low, high in pairwise(known):
            if found[high] - found[low] > 0.15:
                found[(low + high) / 2] = respond((low + high) / 2)
    # where an edit breaks the face so badly that nothing is read, there is no response
    known = sorted(knob for knob, change in found.items() if knob > 0 and math.isfinite(change))
    return torch.tensor(known), torch.tensor([found[k] for k in known])
