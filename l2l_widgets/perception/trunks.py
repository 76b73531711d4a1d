"""Trunks: what a small network sees with, before its head says what it saw.

Two convolutional trunks serve the losses. A transformer over convolutional patches (Xiao et al.,
"Early convolutions help transformers see better", NeurIPS 2021) and plain convolutions with pooling
(Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015) serve as judges and never
enter a loss: a judge of another family does not share the shortcuts that an edit may have learned
to paint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(i: int, o: int, stride: int = 1, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the side (or divides it by ``stride``), normalised."""
    return nn.Sequential(
        nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv_norm(channels, channels), conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ResidualTrunk(nn.Module):
    """Strided residual convolutions down to 4 x 4, then one hidden layer.

    Parameters
    ----------
    width : int
        Channels after the first layer; 6 times as many at the end.
    features : int
        Length of the output.
    """

    resolution = 64

    def __init__(self, width: int = 24, features: int = 192) -> None:
        super().__init__()
        c = width
        self.layers = nn.Sequential(
            conv_norm(3, c, 2), nn.ReLU(), ResidualBlock(c),
            conv_norm(c, 2 * c, 2), nn.ReLU(), ResidualBlock(2 * c),
            conv_norm(2 * c, 4 * c, 2), nn.ReLU(), ResidualBlock(4 * c),
            conv_norm(4 * c, 6 * c, 2), nn.ReLU(),
        )  # fmt: skip
        self.hidden = nn.Linear(6 * c * 16, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        return F.relu(self.hidden(self.layers(images).flatten(1)))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 64, 64) -> what each stage ends with: maps of side 32, 16, 8 and 4."""
        maps, x = [], images
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if isinstance(layer, ResidualBlock) or i == len(self.layers) - 1:
                maps.append(x)
        return maps


class SeparableTrunk(nn.Module):
    """Inverted bottlenecks with 5x5 depthwise convolutions and pooled rows and columns.

    A second convolutional family for the ensemble in the losses: other kernels, other pooling.
    """

    resolution = 64

    def __init__(self, width: int = 32, features: int = 192) -> None:
        super().__init__()
        c = width
        self.stem = nn.Sequential(conv_norm(3, c, 2, kernel=5), nn.ReLU())
        stages: list[nn.Module] = []
        for i, o in ((c, 2 * c), (2 * c, 3 * c), (3 * c, 4 * c)):
            stages.append(nn.Sequential(conv_norm(i, o, 2), nn.SiLU()))
            stages.append(_Separable(o))
            stages.append(_Separable(o))
        self.stages = nn.Sequential(*stages)
        self.hidden = nn.Linear(4 * c * 16, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        return F.silu(self.hidden(self.stages(self.stem(images)).flatten(1)))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 64, 64) -> what each stage ends with: maps of side 32, 16, 8 and 4."""
        x = self.stem(images)
        maps = [x]
        for i, layer in enumerate(self.stages):
            x = layer(x)
            if i % 3 == 2:
                maps.append(x)
        return maps


class _Separable(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth = conv_norm(channels, channels, kernel=5, groups=channels)
        self.wide = conv_norm(channels, 2 * channels, kernel=1)
        self.narrow = conv_norm(2 * channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.silu(self.wide(self.depth(x))))


class TransformerTrunk(nn.Module):
    """Self-attention over 64 patches of a convolutional stem.

    Parameters
    ----------
    width : int
        Length of a token.
    depth : int
        Attention blocks.
    features : int
        Length of the output.
    """

    resolution = 64

    def __init__(self, width: int = 96, depth: int = 4, features: int = 192) -> None:
        super().__init__()
        c = width // 4
        self.stem = nn.Sequential(
            conv_norm(3, c, 2),
            nn.GELU(),
            conv_norm(c, 2 * c, 2),
            nn.GELU(),
            conv_norm(2 * c, width, 2),
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.blocks = nn.ModuleList([_Attention(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.squeeze = nn.Linear(width, width // 4)
        self.hidden = nn.Linear(width // 4 * 64, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        tokens = self.stem(images).flatten(2).transpose(1, 2) + self.position  # (B, 64, width)
        for block in self.blocks:
            tokens = block(tokens)
        return F.gelu(self.hidden(F.gelu(self.squeeze(self.norm(tokens))).flatten(1)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
        x = x + self.project(mixed)
        return x + self.mlp(self.norm2(x))


class PlainTrunk(nn.Module):
    """Plain 3x3 convolutions in pairs, each pair followed by the largest of 2 x 2, down to 4 x 4.

    No shortcut, no stride, no attention: what it overlooks, the other families may see, and the
    reverse.

    Parameters
    ----------
    width : int
        Channels of the first pair; 2, 4 and 6 times as many in those that follow.
    features : int
        Length of the output.
    """

    resolution = 64

    def __init__(self, width: int = 12, features: int = 128) -> None:
        super().__init__()
        c, stages = width, []
        for i, o in ((3, c), (c, 2 * c), (2 * c, 4 * c)):
            pair = (conv_norm(i, o), nn.ReLU(), conv_norm(o, o), nn.ReLU())
            stages.append(nn.Sequential(*pair, nn.MaxPool2d(2)))
        stages.append(nn.Sequential(conv_norm(4 * c, 6 * c), nn.ReLU(), nn.MaxPool2d(2)))
        self.stages = nn.Sequential(*stages)
        self.hidden = nn.Linear(6 * c * 16, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        return F.relu(self.hidden(self.stages(images).flatten(1)))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 64, 64) -> what each stage ends with: maps of side 32, 16, 8 and 4."""
        maps, x = [], images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


Trunk = ResidualTrunk | SeparableTrunk | TransformerTrunk | PlainTrunk
TRUNKS: dict[str, type[Trunk]] = {
    "residual": ResidualTrunk,
    "separable": SeparableTrunk,
    "transformer": TransformerTrunk,
    "plain": PlainTrunk,
}


def make_trunk(family: str, options: Mapping[str, Any]) -> Trunk:
    """Make a trunk by the name of its family; ValueError names those that there are."""
    if family not in TRUNKS:
        raise ValueError(f"family is {family!r}; allowed: {', '.join(TRUNKS)}")
    return TRUNKS[family](**options)


def resampled(images: Tensor, resolution: int) -> Tensor:
    """Check pictures and bring them to the network's size."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; allowed: (B, 3, R, R)")
    if images.shape[-1] == resolution:
        return images
    return F.interpolate(images, (resolution, resolution), mode="bilinear", antialias=True)


def stage_maps(trunk: Trunk, images: Tensor) -> list[Tensor]:
    """Maps of a trunk's convolutional stages; ValueError for a transformer, which has none."""
    if isinstance(trunk, TransformerTrunk):
        raise ValueError("family is 'transformer'; allowed for feature maps: the others")
    return trunk.feature_maps(resampled(images, trunk.resolution))
