"""How far a drawn picture is from the one it should be, for a generator that learns from pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def picture_loss(a: Tensor, b: Tensor) -> Tensor:
    """L1 over a pyramid of three sizes, (B, 3, R, R) each."""
    loss = (a - b).abs().mean()
    for _ in range(2):
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        loss = loss + 0.5 * (a - b).abs().mean()
    return loss


def match_loss(drawn: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L1 between feature maps, each relative to the mean size of the real one; mean over maps.

    What a network that reads attributes sees in both pictures: it tells glasses from smudges, which
    the mean over pixels does not (Wang et al. 2018, "pix2pixHD", feature matching).
    """
    parts = [
        (d.float() - r.float()).abs().mean() / r.float().abs().mean().clamp_min(1e-6)
        for d, r in zip(drawn, real, strict=True)
    ]
    return torch.stack(parts).mean()


def edge_loss(a: Tensor, b: Tensor) -> Tensor:
    """L1 between the horizontal and vertical differences of two pictures."""
    d = a - b
    return (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
