"""StyleGAN2's residual discriminator, with the gradient penalty that trains it.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; names and
parameter shapes as in the official PyTorch code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from l2l_widgets.stylegan2.layers import (
    Conv2dLayer,
    FullyConnectedLayer,
    channel_table,
    check_size,
    compute_dtype,
    filter_taps,
)
from l2l_widgets.stylegan2.mapping import MappingNetwork

__all__ = [
    "Discriminator",
    "DiscriminatorBlock",
    "DiscriminatorEpilogue",
    "MinibatchStdLayer",
    "r1_penalty",
]


class Discriminator(nn.Module):
    """Tell real pictures from generated ones: (B, img_channels, R, R) to logits (B, 1).

    Parameters
    ----------
    c_dim
        Length of the condition vector; 0 means unconditional.
    img_resolution
        Side in pixels, a power of two, at least 8. Pictures of another side are refused.
    img_channels
        Usually 3.
    channel_base, channel_max
        Channels at side r are min(channel_base // r, channel_max).
    conv_clamp
        Bound on every convolution's output, None for none.
    cmap_dim
        Width of the mapped condition; None means the width at side 4 (0 if unconditional).
    mapping_kwargs, epilogue_kwargs
        As in the official code. `epilogue_kwargs` takes `mbstd_group_size` (4) and
        `mbstd_num_channels` (1).

    Raises
    ------
    ValueError
        A size that is not allowed or an option that is not known, by name.
    """

    resample_filter: torch.Tensor

    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        cmap_dim: int | None = None,
        mapping_kwargs: dict[str, Any] | None = None,
        epilogue_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        channels = channel_table(img_resolution, channel_base, channel_max)
        if img_resolution < 8:
            raise ValueError(f"img_resolution is {img_resolution}; it must be at least 8")
        if cmap_dim is None:
            cmap_dim = channels[4]
        cmap_dim = 0 if c_dim == 0 else cmap_dim
        check_size("c_dim", c_dim, 0)
        check_size("img_channels", img_channels, 1)
        self.c_dim = c_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.config: dict[str, Any] = {
            "c_dim": c_dim,
            "img_resolution": img_resolution,
            "img_channels": img_channels,
            "channel_base": channel_base,
            "channel_max": channel_max,
            "conv_clamp": conv_clamp,
            "cmap_dim": cmap_dim,
            "mapping_kwargs": dict(mapping_kwargs or {}),
            "epilogue_kwargs": dict(epilogue_kwargs or {}),
        }
        self.block_resolutions = [side for side in sorted(channels, reverse=True) if side > 4]
        for side in self.block_resolutions:
            block = DiscriminatorBlock(
                0 if side == img_resolution else channels[side],
                channels[side],
                channels[side // 2],
                img_channels,
                conv_clamp,
            )
            setattr(self, f"b{side}", block)
        if c_dim > 0:
            self.mapping = MappingNetwork(
                z_dim=0,
                c_dim=c_dim,
                w_dim=cmap_dim,
                num_ws=None,
                w_avg_beta=None,
                **(mapping_kwargs or {}),
            )
        self.b4 = DiscriminatorEpilogue(
            channels[4], cmap_dim, conv_clamp=conv_clamp, **(epilogue_kwargs or {})
        )

    def forward(self, img: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        """Logits, high for real.

        Parameters
        ----------
        img
            (B, img_channels, R, R) in [-1, 1].
        c
            (B, c_dim), or None when unconditional.

        Returns
        -------
        logits : (B, 1) float32

        Raises
        ------
        ValueError
            A wrong shape.
        """
        wanted = (self.img_channels, self.img_resolution, self.img_resolution)
        if img.ndim != 4 or img.shape[1:] != wanted:
            raise ValueError(
                f"img has shape {tuple(img.shape)}; it must be (B, {', '.join(map(str, wanted))})"
            )
        x = img.to(compute_dtype(self.b4.out.weight), memory_format=torch.channels_last)
        for side in self.block_resolutions:
            x = getattr(self, f"b{side}")(x)
        condition = self.mapping(None, c=c) if self.c_dim > 0 else None
        return self.b4(x, condition)


class DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions and a residual path, halving the side."""

    resample_filter: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        img_channels: int,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.register_buffer("resample_filter", filter_taps())
        if in_channels == 0:
            self.fromrgb = Conv2dLayer(
                img_channels, tmp_channels, 1, activation="lrelu", conv_clamp=conv_clamp
            )
        self.conv0 = Conv2dLayer(
            tmp_channels, tmp_channels, 3, activation="lrelu", conv_clamp=conv_clamp
        )
        self.conv1 = Conv2dLayer(
            tmp_channels, out_channels, 3, activation="lrelu", down=2, conv_clamp=conv_clamp
        )
        self.skip = Conv2dLayer(tmp_channels, out_channels, 1, bias=False, down=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels or img_channels, H, W) to (B, out_channels, H/2, W/2)."""
        if self.in_channels == 0:
            x = self.fromrgb(x)
        straight = self.skip(x, gain=math.sqrt(0.5))
        return straight.add_(self.conv1(self.conv0(x), gain=math.sqrt(0.5)))


class MinibatchStdLayer(nn.Module):
    """Append the standard deviation within groups of the batch as extra channels.

    A batch that `group_size` does not divide is grouped by the largest divisor below it, so that
    the last batch of a data set needs no special case.
    """

    def __init__(self, group_size: int | None, num_channels: int = 1) -> None:
        super().__init__()
        if group_size is not None:
            check_size("mbstd_group_size", group_size, 1)
        self.group_size = group_size
        self.num_channels = num_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C + num_channels, H, W)."""
        batch, channels, height, width = x.shape
        largest = batch if self.group_size is None else min(self.group_size, batch)
        group = next(size for size in range(largest, 0, -1) if batch % size == 0)
        # The deviation of a few numbers: bfloat16 would lose it.
        y = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(
            group, -1, self.num_channels, channels // self.num_channels, height, width
        )
        y = y - y.mean(dim=0)
        y = (y.square().mean(dim=0) + 1e-8).sqrt().mean(dim=[2, 3, 4])
        y = y.reshape(-1, self.num_channels, 1, 1).repeat(group, 1, height, width)
        return torch.cat([x, y.to(x.dtype)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """From 4x4 features to logits: minibatch deviation, a convolution, two linear layers."""

    def __init__(
        self,
        in_channels: int,
        cmap_dim: int,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.cmap_dim = cmap_dim
        self.mbstd = (
            MinibatchStdLayer(mbstd_group_size, mbstd_num_channels)
            if mbstd_num_channels > 0
            else None
        )
        self.conv = Conv2dLayer(
            in_channels + mbstd_num_channels,
            in_channels,
            3,
            activation="lrelu",
            conv_clamp=conv_clamp,
        )
        self.fc = FullyConnectedLayer(in_channels * 16, in_channels, activation="lrelu")
        self.out = FullyConnectedLayer(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """(B, in_channels, 4, 4) and (B, cmap_dim) to (B, 1) float32."""
        if self.mbstd is not None:
            x = self.mbstd(x)
        # flatten() in the official order: channel, row, column.
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if condition is not None:
            x = (x * condition).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x


def r1_penalty(
    discriminator: nn.Module, images: torch.Tensor, c: torch.Tensor | None = None
) -> torch.Tensor:
    """Squared gradient norm of the logits at real pictures, per picture.

    The R1 term of the loss is `gamma / 2 * r1_penalty(...).mean()`, times the interval when it is
    only added every so many steps. Source: Mescheder et al. 2018.

    Parameters
    ----------
    discriminator
        Maps pictures to logits.
    images
        (B, C, R, R) real pictures; not changed.

    Returns
    -------
    penalty : (B,) float32, with a graph to the discriminator's weights
    """
    leaf = images.detach().requires_grad_(True)
    logits = discriminator(leaf) if c is None else discriminator(leaf, c)
    (gradient,) = torch.autograd.grad(logits.sum(), leaf, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3])
