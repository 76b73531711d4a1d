"""The face parser: the part of the face that each pixel is, and the landmarks."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.perception.trunks import ResidualBlock, conv_norm, resampled


class ParsingNet(nn.Module):
    """Face parser: which part of the face each pixel is, and where its landmarks lie.

    A U-Net (Ronneberger et al. 2015) with two heads: class logits at full size, and one heat map a
    landmark at half size, whose expected position is the landmark (Nibali et al. 2018), so that it
    is found to a fraction of a pixel.

    Parameters
    ----------
    classes : int
        Labels of the segmentation.
    points : int
        Landmarks.
    width : int
        Channels at full size; 2, 4 and 6 times as many after each of three halvings.
    """

    resolution = 64

    def __init__(self, classes: int = 19, points: int = 68, width: int = 16) -> None:
        super().__init__()
        if min(classes, points, width) < 1:
            raise ValueError(
                f"classes is {classes}, points is {points}, width is {width}; allowed: 1 or more"
            )
        self.config = {"classes": classes, "points": points, "width": width}
        c = [width, 2 * width, 4 * width, 6 * width]
        self.down = nn.ModuleList(
            [_pair(3, c[0])] + [_pair(i, o, stride=2) for i, o in pairwise(c)]
        )
        self.bottom = ResidualBlock(c[3])
        self.up = nn.ModuleList([_pair(c[i + 1] + c[i], c[i]) for i in (2, 1, 0)])
        self.parts = nn.Conv2d(c[0], classes, 1)
        self.heat = nn.Conv2d(c[1], points, 1)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, R, R) -> class logits (B, classes, 64, 64), heat maps (B, points, 32, 32)."""
        x = resampled(images, self.resolution)
        kept = []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        x = self.bottom(kept.pop())
        heat = x
        for layer in self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = layer(torch.cat([x, kept.pop()], dim=1))
            if len(kept) == 1:
                heat = x
        return self.parts(x), self.heat(heat)

    def forward(self, images: Tensor) -> Tensor:
        """Classes (B, R, R) uint8 of pictures (B, 3, R, R) in [-1, 1], as a `Segmenter` gives them.

        0 is background; the order of the others is CelebAMask-HQ's.
        """
        return self.logits(images).argmax(dim=1).to(torch.uint8)

    def logits(self, images: Tensor) -> Tensor:
        """Class logits at the pictures' own size, (B, classes, R, R) float32."""
        logits = self.maps(images)[0].float()
        if logits.shape[-1] != images.shape[-1]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear")
        return logits

    def landmarks(self, images: Tensor) -> Tensor:
        """Landmarks (B, points, 2) float32: x to the right, y down, in pixels of the pictures."""
        return expected_positions(self.maps(images)[1]) * images.shape[-1] - 0.5


def _pair(i: int, o: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv_norm(i, o, stride), nn.ReLU(), conv_norm(o, o), nn.ReLU())


def expected_positions(heat: Tensor) -> Tensor:
    """Heat maps (B, K, H, W) -> expected positions (B, K, 2) in [0, 1], x then y."""
    share = heat.float().flatten(2).softmax(dim=2).unflatten(2, heat.shape[2:])
    y, x = ((torch.arange(n, device=heat.device) + 0.5) / n for n in heat.shape[2:])
    return torch.stack([(share.sum(2) * x).sum(2), (share.sum(3) * y).sum(2)], dim=2)
