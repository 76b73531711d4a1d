"""A walk between two masks, from the one that was there when the second was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.painting.painter import TRAIN
from l2l_widgets.painting.recipe import PaintError


@dataclass(frozen=True)
class Walk:
    """How far a mask has gone towards a second one, and what a hand has painted on the way.

    Attributes
    ----------
    start, other : Tensor, shape (R, R), uint8
        The mask as it was when the second was taken, and the second.
    share : float
        0 at the first, 1 at the second.
    painted : Tensor, shape (R, R), bool
        Pixels that a hand has decided since the start: they stay, however far the walk goes.
    """

    start: Tensor
    other: Tensor
    share: float
    painted: Tensor

    @classmethod
    def begin(cls, start: Tensor, other: Tensor) -> Walk:
        """At the first of two masks; nothing is painted yet."""
        return cls(start, other, 0.0, torch.zeros_like(start, dtype=torch.bool))

    def leads_to(self, other: Tensor) -> bool:
        """Whether a mask is the one that this walk goes to."""
        return torch.equal(self.other, other)

    def with_painted(self, touched: Tensor) -> Walk:
        """The same place, with more pixels that stay."""
        return replace(self, painted=self.painted | touched)

    def mask(self, model: MaskGAN | None, now: Tensor) -> Tensor:
        """The mask at this place of the walk, with what was painted on ``now``.

        Raises
        ------
        PaintError, ValueError
            Between the ends, where there is no MaskVAE.
        """
        # the two ends are the masks themselves, not what a network makes of them
        if self.share in (0, 1):
            walked = self.other if self.share else self.start
        elif model is None:
            raise PaintError(f"there is no MaskVAE to interpolate with; train it: {TRAIN}")
        else:
            shares = torch.tensor([self.share], dtype=torch.float32)
            walked = model.between(self.start, self.other, shares, exact=True)[0].cpu()
        return torch.where(self.painted, now, walked)


def share_of(operation: Mapping[str, Any]) -> float:
    """How far an operation walks; PaintError for no share."""
    share: Any = operation.get("share")
    plain = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not plain or not 0 <= float(share) <= 1:
        raise PaintError(f"share is {share!r}; allowed: 0 to 1")
    return float(share)
