"""Where mask and latent meet: what an edit changed inside an area and outside of it.

Any two pictures of one face will do, whether a mask was painted or a latent was moved. Keeping the
outside by blending is what the authors of MaskGAN advise (Lee et al., CVPR 2020) to those who lose
the identity: draw again only what was edited.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.masks import check_mask

#: A pixel counts as changed from this mean difference of its three colours on, of 255.
VISIBLE = 8.0


@dataclass(frozen=True)
class RegionChange:
    """What changed where.

    Attributes
    ----------
    area : float
        The area's share of the picture.
    inside, outside : float
        Mean change of a pixel's colours there, of 255.
    changed_inside, changed_outside : float
        Share of the pixels there that changed visibly, by at least ``VISIBLE``.
    stays_inside : float
        Share of all change that lies inside; 1 where nothing changed at all.
    """

    area: float
    inside: float
    outside: float
    changed_inside: float
    changed_outside: float
    stays_inside: float

    def to_text(self) -> str:
        """One line for a person."""
        return (
            f"inside the area ({self.area:.0%} of the picture) {self.changed_inside:.0%} of the "
            f"pixels changed, by {self.inside:.0f} of 255 on average; outside "
            f"{self.changed_outside:.0%}, by {self.outside:.0f}; {self.stays_inside:.0%} of all "
            "change stayed inside"
        )


def region_change(before: Tensor, after: Tensor, region: Tensor) -> RegionChange:
    """Measure a change against an area.

    Parameters
    ----------
    before, after : Tensor, shape (3, R, R)
        RGB in [-1, 1].
    region : Tensor, shape (R, R), bool

    Raises
    ------
    ValueError
        Sizes that differ.
    """
    _check(before, after, region)
    change = (after.float() - before.float()).abs().mean(0) * 127.5  # (R, R), of 255
    inside, outside = change[region], change[~region]
    total = float(change.sum())

    def mean(values: Tensor) -> float:
        return float(values.mean()) if values.numel() else 0.0

    return RegionChange(
        area=float(region.float().mean()),
        inside=mean(inside),
        outside=mean(outside),
        changed_inside=mean((inside >= VISIBLE).float()),
        changed_outside=mean((outside >= VISIBLE).float()),
        stays_inside=float(inside.sum()) / total if total > 0 else 1.0,
    )


def edited_region(old: Tensor, new: Tensor, grow: float = 2.0) -> Tensor:
    """Where two masks (R, R) differ, and ``grow`` pixels around it: bool (R, R)."""
    differs = (check_mask(old) != check_mask(new)).cpu()
    return _distance(differs) <= grow if bool(differs.any()) else differs


def keep_outside(before: Tensor, after: Tensor, region: Tensor, feather: float = 3.0) -> Tensor:
    """Blend: ``after`` inside the area, ``before`` outside of it.

    Parameters
    ----------
    before, after : Tensor, shape (3, R, R)
    region : Tensor, shape (R, R), bool
    feather : float
        Pixels outside the area over which one fades into the other; beyond them every pixel is
        that of ``before``, to the last bit.
    """
    _check(before, after, region)
    share = fade(region, feather).to(before)
    return torch.where(share > 0, before + share * (after - before), before)


def fade(region: Tensor, feather: float = 3.0) -> Tensor:
    """How much of an edit shows where its outside is kept: 1 inside, 0 beyond the feather, (R, R).

    Parameters
    ----------
    region : Tensor, shape (R, R), bool
    feather : float
        Pixels outside the area over which it falls.
    """
    if not 0 <= feather <= region.shape[-1]:
        raise ValueError(f"feather is {feather}; allowed: 0 to {region.shape[-1]}")
    if not bool(region.any()):
        return torch.zeros(region.shape)
    return (1 - _distance(region.cpu()) / (feather + 1)).clamp(0, 1)


def _distance(region: Tensor) -> Tensor:
    """Pixels from each pixel to the nearest one of the area, (R, R) float32; 0 inside."""
    from scipy import ndimage

    outside = ~region.numpy()
    return torch.from_numpy(ndimage.distance_transform_edt(outside).astype(np.float32))


def _check(before: Tensor, after: Tensor, region: Tensor) -> None:
    if before.ndim != 3 or before.shape[0] != 3 or before.shape != after.shape:
        raise ValueError(
            f"pictures have shapes {tuple(before.shape)} and {tuple(after.shape)}; allowed: "
            "(3, R, R), alike"
        )
    if region.dtype != torch.bool or region.shape != before.shape[1:]:
        raise ValueError(
            f"region is {region.dtype} of shape {tuple(region.shape)}; allowed: bool of shape "
            f"{tuple(before.shape[1:])}"
        )
