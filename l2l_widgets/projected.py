"""A discriminator that looks through frozen features: projected GANs.

A discriminator trained from nothing first has to learn what a face is; one that is given the
feature maps of networks that already know converges in a fraction of the pictures (Sauer et al.,
"Projected GANs Converge Faster", NeurIPS 2021). Here the networks are attribute regressors of this
package. As in the paper, every map goes through a fixed random 1x1 mixing, so that no head can lean
on the few channels it would prefer, and has a small head of its own under a hinge loss. Unlike the
paper, maps of different sizes are not mixed with each other, and the last head also sees the
deviation within groups of pictures (Karras et al. 2018), which keeps a generator from drawing one
face for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["FeatureNetwork", "ProjectedDiscriminator", "hinge_losses"]


class FeatureNetwork(Protocol):
    """What the discriminator looks through."""

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, R, R) in [-1, 1] -> maps (B, C_i, H_i, H_i), H_i a power of two, 4 or more."""
        ...


class ProjectedDiscriminator(nn.Module):
    """Heads on the feature maps of frozen networks.

    Parameters
    ----------
    networks : sequence of FeatureNetwork
        Frozen; not part of the state that is saved. Two families share fewer blind spots than one.
    resolution : int
        Side of the pictures it will see.
    channels : int
        Width of the heads, at least 1.
    group_size : int
        Pictures a deviation is taken over, at least 2; batches are a multiple of it.
    """

    def __init__(
        self,
        networks: Sequence[FeatureNetwork],
        resolution: int,
        channels: int = 32,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        if not networks:
            raise ValueError("networks is empty; allowed: one frozen network or more")
        if channels < 1 or group_size < 2:
            raise ValueError(
                f"channels is {channels}, group_size is {group_size}; allowed: 1 or more, 2 or more"
            )
        self._networks = tuple(networks)  # a tuple is not registered: heads alone are saved
        with torch.no_grad():
            maps = self.features(torch.zeros(1, 3, resolution, resolution))
        self.heads = nn.ModuleList(
            [_Head(m.shape[1], m.shape[-1], channels, group_size) for m in maps]
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps of all networks, one after another; gradients reach the pictures."""
        return [m for network in self._networks for m in network.feature_maps(images)]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of B pictures -> logits (B, heads) float32, high for real."""
        pairs = zip(self.heads, maps, strict=True)
        return torch.cat([head(m) for head, m in pairs], dim=1)


class _Head(nn.Module):
    """One map (B, C, S, S) -> one logit a picture, halving the side down to 4."""

    mixing: Tensor

    def __init__(self, in_channels: int, side: int, channels: int, group_size: int) -> None:
        super().__init__()
        if side < 4 or side & (side - 1):
            raise ValueError(f"a feature map has side {side}; allowed: a power of two, 4 or more")
        self.group_size = group_size
        mixing = torch.randn(channels, in_channels, 1, 1) / in_channels**0.5
        self.register_buffer("mixing", mixing)
        halvings: list[nn.Module] = []
        while side > 4:
            halvings += [spectral_norm(nn.Conv2d(channels, channels, 4, 2, 1)), nn.LeakyReLU(0.2)]
            side //= 2
        self.halve = nn.Sequential(*halvings)
        self.judge = nn.Sequential(
            spectral_norm(nn.Conv2d(channels + 1, channels, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(channels, 1, 4)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.halve(F.conv2d(x, self.mixing.to(x.dtype)))
        if len(x) % self.group_size:
            raise ValueError(
                f"a batch has {len(x)} pictures; allowed: a multiple of {self.group_size}"
            )
        # (group, B / group, ...): a group is every (B / group)th picture, as in StyleGAN2
        groups = x.float().unflatten(0, (self.group_size, -1))
        deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean([1, 2, 3])
        plane = deviation.repeat(self.group_size)[:, None, None, None]
        x = torch.cat([x, plane.expand(-1, 1, *x.shape[2:]).to(x.dtype)], dim=1)
        return self.judge(x).float().flatten(1)


def hinge_losses(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's hinge loss of logits (B, heads), a scalar; the generator's is -mean."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
