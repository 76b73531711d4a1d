"""Gain curves: which knob value an editor needs so that the judges read what was asked.

A trained mapper under-reaches, because the losses that keep a face as it is oppose the one that
asks for a change; a linear direction has no natural unit at all. Both are measured once on fresh
faces, with the regressors of the training (never the second judges), and the inverse of the
measured curve is stored with the weights.
"""

from __future__ import annotations

from collections.abc import Callable

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

    @torch.no_grad()
    def fit(self, response: Tensor, knobs: Tensor, *, symmetric: bool) -> GainCurve:
        """Set the curves from measured responses.

        Parameters
        ----------
        response : Tensor, shape (2, A, M)
            Median change achieved at each knob value, as a size in the direction asked: [0] for
            rises, [1] for falls. NaN where it could not be measured.
        knobs : Tensor, shape (M,)
            Knob values, rising, all positive.
        symmetric : bool
            Use the mean of both sides on both: then an edit and its undoing ask for the same knob
            value, and the editor's cycle error stays the network's own.
        """
        if response.ndim != 3 or response.shape[0] != 2 or response.shape[2] != len(knobs):
            raise ValueError(
                f"responses have shape {tuple(response.shape)}; allowed: (2, A, {len(knobs)})"
            )
        if symmetric:
            response = torch.nanmean(response, dim=0, keepdim=True).expand(2, -1, -1)
        for side in range(2):
            for column in range(response.shape[1]):
                self.knobs[side, column] = self._invert(response[side, column], knobs)
        return self

    def _invert(self, response: Tensor, knobs: Tensor) -> Tensor:
        known = ~response.isnan()
        if int(known.sum()) == 0:
            return self.knots.clone()
        zero = torch.zeros(1)
        x = torch.cat([zero, knobs[known].float().cpu()])
        # a response that falls back is noise or saturation: only its running maximum can be asked
        y = torch.cat([zero, response[known].float().cpu()]).cummax(0).values
        out = torch.empty(len(self.knots))
        for i, asked in enumerate(self.knots.tolist()):
            above = (y >= asked).nonzero()[:, 0]
            if asked == 0:
                out[i] = 0.0
            elif len(above) == 0:  # out of the measured reach: the strongest knob measured
                out[i] = x[-1]
            else:
                j = int(above[0])
                rise = float(y[j] - y[j - 1])
                share = (asked - float(y[j - 1])) / rise if rise > 0 else 1.0
                out[i] = x[j - 1] + (x[j] - x[j - 1]) * share
        return out.clamp(max=self.largest).cummax(0).values.to(self.knobs)


@torch.no_grad()
def measure_response(
    move: Callable[[Tensor, Tensor], Tensor],
    read: Callable[[Tensor], Tensor],
    ws: Tensor,
    knobs: tuple[float, ...] = KNOBS,
    margin: float = 0.05,
    columns: tuple[int, ...] | None = None,
    faces: int = 96,
) -> Tensor:
    """Return the median change of each attribute at each knob value, for rises and falls.

    Parameters
    ----------
    move : callable
        (w (B, num_ws, w_dim), knob values (B, A)) -> edited w.
    read : callable
        w -> attribute readings (B, A) in [0, 1], by the mean of several regressors.
    ws : Tensor, shape (N, num_ws, w_dim)
        Faces to measure on; of them the ``faces`` with room for each direction are used.
    knobs : tuple of float
        Rising positive knob values.
    margin : float
        A response is measured only on faces that have room for it: a median that counts faces
        pressed against 0 or 1 would say nothing about the others.
    columns : tuple of int, optional
        Attributes to measure; all by default, the others stay NaN.
    faces : int
        Faces for each attribute and direction.

    Returns
    -------
    Tensor, shape (2, A, M)
        Sizes in the direction asked; NaN where fewer than 8 faces had room.
    """
    before = torch.cat([read(part) for part in ws.split(64)])
    attributes = before.shape[1]
    out = torch.full((2, attributes, len(knobs)), float("nan"))
    for column in range(attributes) if columns is None else columns:
        for side, sign in enumerate((1.0, -1.0)):
            room = 1 - before[:, column] if sign > 0 else before[:, column]
            chosen = (room > 0.3 + margin).nonzero()[:, 0][:faces]
            if len(chosen) < 8:
                continue
            start, free = before[chosen, column], room[chosen]
            for m, knob in enumerate(knobs):
                delta = torch.zeros(len(chosen), attributes, device=ws.device)
                delta[:, column] = sign * knob
                after = torch.cat(
                    [
                        read(move(w, d))
                        for w, d in zip(ws[chosen].split(64), delta.split(64), strict=True)
                    ]
                )
                change = sign * (after[:, column] - start)
                # a face without room left censors the median from above: count it as reached
                pressed = change > free - margin
                change = torch.where(pressed, torch.maximum(change, free), change)
                out[side, column, m] = change.median()
                if float(change.median()) > 0.9:
                    break
    return out
