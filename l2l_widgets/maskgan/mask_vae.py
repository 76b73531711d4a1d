"""MaskVAE (Lee et al., CVPR 2020): masks to a space in which one may walk from face to face.

The slides print ``z = mu + r exp(sigma)`` beside a divergence that only fits where sigma is a log
variance; the authors' code draws with ``exp(sigma / 2)``, and so do we.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.masks import CLASS_COUNT, one_hot

KL_REDUCTIONS = ("sum", "mean")


@dataclass(frozen=True)
class MaskVAEConfig:
    """Size of a :class:`MaskVAE`.

    Parameters
    ----------
    resolution : int
        Side of the masks in pixels.
    width : int
        Channels after the first halving; doubled by every further one.
    downs : int
        Halvings.
    latent_dim : int
        Length of a code.
    """

    resolution: int = 64
    width: int = 20
    downs: int = 4
    latent_dim: int = 96

    def __post_init__(self) -> None:
        if min(self.width, self.latent_dim, self.downs) < 1 or self.resolution % 2**self.downs:
            raise ValueError(
                f"width is {self.width}, latent_dim {self.latent_dim}, downs {self.downs} at "
                f"resolution {self.resolution}; allowed: 1 or more each, and halvings that divide "
                "the resolution"
            )

    @property
    def channels(self) -> list[int]:
        """Channels after each halving."""
        return [self.width * 2**i for i in range(self.downs)]

    @property
    def side(self) -> int:
        """Side of the smallest map."""
        return self.resolution >> self.downs

    @classmethod
    def paper(cls) -> MaskVAEConfig:
        """The paper's: 512 pixels, seven halvings to 2,048 channels of 4 x 4, a code of 1,024."""
        return cls(resolution=512, width=32, downs=7, latent_dim=1024)

    @classmethod
    def scaled(cls, resolution: int) -> MaskVAEConfig:
        """The same shape for small masks; the paper's for 512 pixels."""
        if resolution == 512:
            return cls.paper()
        return cls(resolution=resolution, downs=max(1, resolution.bit_length() - 3))


class MaskVAE(nn.Module):
    """One-hot masks to codes, and codes to class logits."""

    def __init__(self, config: MaskVAEConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        encoder: list[nn.Module] = []
        for i, o in zip([CLASS_COUNT, *c], c, strict=False):
            encoder += [nn.Conv2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*encoder)
        flat = c[-1] * config.side**2
        self.mean = nn.Linear(flat, config.latent_dim)
        self.log_variance = nn.Linear(flat, config.latent_dim)
        self.expand = nn.Linear(config.latent_dim, flat)
        decoder: list[nn.Module] = []
        back = [*reversed(c[:-1]), CLASS_COUNT]
        for k, (i, o) in enumerate(zip(reversed(c), back, strict=True)):
            decoder += [
                nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, 1, 1, padding_mode="replicate")
            ]  # fmt: skip
            if k < len(back) - 1:  # the last gives plain logits
                decoder += [nn.BatchNorm2d(o, eps=1e-3), nn.LeakyReLU(0.2)]
        self.decoder = nn.Sequential(*decoder)

    def encode(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """One-hot masks (B, 19, R, R) to means and log variances of codes, both (B, latent_dim)."""
        x = self.encoder(masks).flatten(1)
        return self.mean(x), self.log_variance(x)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, latent_dim) to class logits (B, 19, R, R)."""
        side = self.config.side
        x = F.relu(self.expand(codes)).unflatten(1, (-1, side, side))
        return self.decoder(x)

    def forward(self, masks: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log variances; codes are the means where no ``noise`` is given."""
        mean, log_variance = self.encode(masks)
        codes = mean if noise is None else mean + noise * torch.exp(log_variance / 2)
        return self.decode(codes), mean, log_variance

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor, shares: Tensor, exact: bool = False) -> Tensor:
        """Masks on the straight line between two masks' codes.

        Parameters
        ----------
        first, second : Tensor, shape (R, R), uint8
            Two masks.
        shares : Tensor, shape (N,)
            0 is the first, 1 the second, as this network sees them; values outside go beyond.
        exact : bool
            Whether what the network does not rebuild of each mask is put back, in shares of the
            way: the walk then begins and ends at the masks themselves, without a jump.

        Returns
        -------
        Tensor, shape (N, R, R), uint8
        """
        ends = one_hot(torch.stack([first, second])).to(self.mean.weight)
        mean, _ = self.encode(ends)
        shares = shares.to(mean)[:, None]
        seen = self.decode(mean[:1] + shares * (mean[1:] - mean[:1]))
        if exact:
            lost = ends - self.decode(mean).softmax(1)  # of each end, (2, 19, R, R)
            way = shares[:, :, None, None]
            seen = seen.softmax(1) + (1 - way) * lost[:1] + way * lost[1:]
        return seen.argmax(1).to(torch.uint8)


def divergence(mean: Tensor, log_variance: Tensor, reduction: str = "sum") -> Tensor:
    """Kullback-Leibler divergence of codes from a standard normal, averaged over the batch.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (B, D)
    reduction : {"sum", "mean"}
        Over the D numbers of a code. The paper weighs the term with 1e-5 and does not say which;
        the sum is the default, for with the mean at that weight nothing would hold the codes
        together.
    """
    if reduction not in KL_REDUCTIONS:
        raise ValueError(f"kl_reduction is {reduction!r}; allowed: {', '.join(KL_REDUCTIONS)}")
    each = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
    return each.sum(1).mean() if reduction == "sum" else each.mean()
