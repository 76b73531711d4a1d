"""The Dense Mapping Network of MaskGAN (Lee et al., CVPR 2020), at the paper's size and smaller.

``G_A(mask, image_mask, image)``: a backbone draws a face from the edited mask; its normalisation
takes shift and scale from a style vector, read off the picture to be edited by an encoder whose
features that picture's own mask modulates (spatial feature transform, Wang et al. 2018). The style
is one vector: positions in the mask act on the features before they are pooled, as in the authors'
code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.masks import CLASS_COUNT


@dataclass(frozen=True)
class MappingConfig:
    """Size of a :class:`DenseMappingNetwork`.

    Parameters
    ----------
    resolution : int
        Side of pictures and masks in pixels.
    base : int
        Channels of the backbone at full size; doubled by every halving.
    downs : int
        Halvings of the backbone.
    blocks : int
        Residual blocks at its smallest side.
    style_base : int
        Channels of the style encoder at full size; four times as many at a quarter of the side.
    style_downs : int
        Halvings of the style encoder between its two modulations.
    sft : bool
        Whether the mask modulates the style encoder; False is the ablation.
    """

    resolution: int = 64
    base: int = 24
    downs: int = 2
    blocks: int = 4
    style_base: int = 16
    style_downs: int = 2
    sft: bool = True

    def __post_init__(self) -> None:
        for name in ("base", "blocks", "style_base"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        # reflection needs at least two pixels at the smallest side
        for name, halvings in (("downs", self.downs), ("style_downs", 2 + self.style_downs)):
            if getattr(self, name) < 1 or self.resolution % 2**halvings:
                raise ValueError(
                    f"{name} is {getattr(self, name)} at resolution {self.resolution}; allowed: 1 "
                    "or more halvings that divide the resolution"
                )
            if self.resolution >> halvings < 4:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; allowed at resolution {self.resolution}: "
                    "few enough to leave 4 pixels a side"
                )

    @property
    def width(self) -> int:
        """Channels of the residual blocks."""
        return self.base * 2**self.downs

    @property
    def style_dim(self) -> int:
        """Length of the style: shift and scale of each channel of each block's two layers."""
        return self.blocks * 2 * 2 * self.width

    @classmethod
    def paper(cls) -> MappingConfig:
        """The paper's network at 512 pixels: 1,024 channels in the middle, a style of 16,384."""
        return cls(resolution=512, base=64, downs=4, blocks=4, style_base=16, style_downs=3)

    @classmethod
    def scaled(cls, resolution: int) -> MappingConfig:
        """A network of the same shape for small pictures; the paper's for 512 pixels."""
        if resolution == 512:
            return cls.paper()
        # 16 pixels in the middle, or 8 of pictures below 64
        downs = max(2, resolution.bit_length() - 5)
        return cls(
            resolution=resolution, base=24, downs=downs, style_downs=2 if resolution >= 64 else 1
        )


class DenseMappingNetwork(nn.Module):
    """A mask and a style to a face.

    Parameters
    ----------
    config : MappingConfig
        Its size.
    """

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        self.config = config
        c = [config.base * 2**i for i in range(config.downs + 1)]
        down: list[nn.Module] = [
            nn.ReflectionPad2d(3), nn.Conv2d(CLASS_COUNT, c[0], 7), nn.InstanceNorm2d(c[0]),
            nn.ReLU(),
        ]  # fmt: skip
        for i in range(config.downs):
            down += [
                nn.Conv2d(c[i], c[i + 1], 3, stride=2, padding=1),
                nn.InstanceNorm2d(c[i + 1]),
                nn.ReLU(),
            ]
        self.down = nn.Sequential(*down)
        self.blocks = nn.ModuleList([AdaptiveBlock(c[-1]) for _ in range(config.blocks)])
        up: list[nn.Module] = []
        for i in range(config.downs, 0, -1):
            up += [
                nn.ConvTranspose2d(c[i], c[i - 1], 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(c[i - 1]),
                nn.ReLU(),
            ]
        self.up = nn.Sequential(*up, nn.ReflectionPad2d(3), nn.Conv2d(c[0], 3, 7), nn.Tanh())
        self.style = StyleEncoder(config)

    def forward(self, mask: Tensor, image_mask: Tensor, image: Tensor) -> Tensor:
        """Draw the face of ``image`` with the parts of ``mask``.

        Parameters
        ----------
        mask, image_mask : Tensor, shape (B, 19, R, R), float32
            The edited mask and the picture's own, one-hot.
        image : Tensor, shape (B, 3, R, R)
            RGB in [-1, 1].

        Returns
        -------
        Tensor, shape (B, 3, R, R)
            RGB in [-1, 1].
        """
        return self.draw(mask, self.style(image, image_mask))

    def draw(self, mask: Tensor, style: Tensor) -> Tensor:
        """Masks (B, 19, R, R) and styles (B, style_dim) to pictures (B, 3, R, R) in [-1, 1]."""
        x = self.down(mask)
        for block, own in zip(self.blocks, style.chunk(len(self.blocks), dim=1), strict=True):
            x = block(x, own)
        return self.up(x)


class AdaptiveBlock(nn.Module):
    """Two convolutions around a shortcut, each normalised to the style's shift and scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))
        self.second = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, C, H, W) and (B, 4 C) to (B, C, H, W)."""
        one, two = style.chunk(2, dim=1)
        y = F.relu(adaptive_norm(self.first(x), one))
        return x + adaptive_norm(self.second(y), two)


def adaptive_norm(x: Tensor, style: Tensor) -> Tensor:
    """AdaIN (Huang and Belongie 2017): each channel to the shift and scale that the style states.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
    style : Tensor, shape (B, 2 C)
        First the shifts, then the scales, as in the authors' code.
    """
    shift, scale = style.chunk(2, dim=1)
    return F.instance_norm(x) * scale[..., None, None] + shift[..., None, None]


class StyleEncoder(nn.Module):
    """A picture and its mask to a style vector (B, style_dim)."""

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        c, self.sft = config.style_base, config.sft
        top = 4 * c
        self.picture = nn.ModuleList([_stem(3, c), _deep(top, config.style_downs)])
        if self.sft:
            # the last convolution of each stage has no activation: what modulates may be negative
            self.label = nn.ModuleList(
                [_stem(CLASS_COUNT, c)[:-1], _deep(top, config.style_downs)[:-1]]
            )
            self.modulate = nn.ModuleList([SpatialTransform(top), SpatialTransform(top)])
        self.out = nn.Conv2d(top, config.style_dim, 1)
        # Every layer begins with shift 0 and scale 1: a scale near 0, as by chance, learns slowly.
        with torch.no_grad():
            self.out.bias.zero_()  # type: ignore[union-attr]
            self.out.bias.view(-1, 2, config.width)[:, 1] = 1  # type: ignore[union-attr]

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] and (B, 19, R, R) to (B, style_dim)."""
        x, condition = image, mask
        for i, stage in enumerate(self.picture):
            x = stage(x)
            if self.sft:
                condition = self.label[i](condition if i == 0 else F.relu(condition))
                x = self.modulate[i](x, condition)
        return self.out(x.mean(dim=(2, 3), keepdim=True)).flatten(1)


class SpatialTransform(nn.Module):
    """SFT (Wang et al. 2018): features times a scale plus a shift, both read off a condition.

    The scale is the prediction itself, not one plus it, as in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 1),
                nn.LeakyReLU(0.1),
                nn.Conv2d(channels, channels, 1),
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Both (B, C, H, W)."""
        return x * self.scale(condition) + self.shift(condition)


def _stem(channels: int, c: int) -> nn.Sequential:
    """A 7x7 convolution and two halvings, to four times the channels."""
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels, c, 7), nn.ReLU(),
        *_halving(c, 2 * c), nn.ReLU(), *_halving(2 * c, 4 * c), nn.ReLU(),
    )  # fmt: skip


def _deep(c: int, downs: int) -> nn.Sequential:
    return nn.Sequential(*(part for _ in range(downs) for part in (*_halving(c, c), nn.ReLU())))


def _halving(i: int, o: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(i, o, 4, stride=2)]


class AlphaBlender(nn.Module):
    """B of the paper: two drawings of one face to the share of the first in each pixel and colour.

    Parameters
    ----------
    base, downs, blocks : int
        Channels at full size, halvings, and residual blocks; 32, 3 and 3 in the paper.
    """

    def __init__(self, base: int = 32, downs: int = 3, blocks: int = 3) -> None:
        super().__init__()
        if base < 1 or downs < 0 or blocks < 0:
            raise ValueError(
                f"base is {base}, downs {downs}, blocks {blocks}; allowed: 1, 0 and 0 or more"
            )
        self.config = {"base": base, "downs": downs, "blocks": blocks}
        c = [base * 2**i for i in range(downs + 1)]
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3), nn.Conv2d(6, c[0], 7), nn.InstanceNorm2d(c[0]), nn.ReLU()
        ]  # fmt: skip
        for i in range(downs):
            layers += [
                nn.Conv2d(c[i], c[i + 1], 3, stride=2, padding=1),
                nn.InstanceNorm2d(c[i + 1]),
                nn.ReLU(),
            ]
        layers += [_PlainBlock(c[-1]) for _ in range(blocks)]
        for i in range(downs, 0, -1):
            layers += [
                nn.ConvTranspose2d(c[i], c[i - 1], 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(c[i - 1]),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(c[0], 3, 7), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(self, inner: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
        """Two drawings (B, 3, R, R) to their blend and alpha, both (B, 3, R, R)."""
        alpha = self.layers(torch.cat([inner, outer], dim=1))
        return alpha * inner + (1 - alpha) * outer, alpha


class _PlainBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
