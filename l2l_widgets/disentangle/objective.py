"""The losses of identity disentanglement (Nitzan et al. 2020), as functions of tensors.

Every form is the authors' code's; where a mean stands for their sum, or a unit is made independent
of the picture's size, the function says so. MS-SSIM (Wang et al. 2003) is torchmetrics'.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Weights of MS-SSIM's five scales, finest first (Wang, Simoncelli and Bovik 2003).
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Side of its Gaussian window, in pixels, of standard deviation 1.5.
WINDOW = 11
#: Share of MS-SSIM in the reconstruction loss; the rest is L1 (Zhao et al. 2017).
STRUCTURE = 0.84
#: Landmarks are compared in pixels of a picture of this side, the authors' network's own.
LANDMARK_SIDE = 160


def identity_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of unit identity vectors (B, D)."""
    return (first - second).abs().mean()


def landmark_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference of landmarks (B, P, 2), given as shares of the picture's side.

    In squared pixels of a picture of 160 px, whatever the true size: the authors' unit, in which
    their weight is 0.001.
    """
    return (LANDMARK_SIDE * (first - second)).square().mean()


def scales_for(side: int) -> int:
    """How many of MS-SSIM's five scales a picture has room for.

    The coarsest scale must be larger than the window of 11 px: five scales need 176 px, and a
    picture of 64 px has room for three (64, 32 and 16 px), one of 128 px for four.

    Parameters
    ----------
    side : int
        Of the picture, in pixels.

    Raises
    ------
    ValueError
        There is room for none.
    """
    if side < WINDOW:
        raise ValueError(f"pictures have {side} px a side; allowed for MS-SSIM: at least {WINDOW}")
    return min(len(MS_SSIM_WEIGHTS), 1 + int(math.log2(side / WINDOW)))


def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Multi-scale structural similarity, a mean over pictures; 1 for equals, differentiable.

    Parameters
    ----------
    first, second : Tensor, shape (B, 3, R, R)
        Pictures in [-1, 1], R at least 11. With fewer than five scales (see :func:`scales_for`)
        their weights are scaled to sum to 1.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    weights = MS_SSIM_WEIGHTS[: scales_for(first.shape[-1])]
    total = sum(weights)
    value = multiscale_structural_similarity_index_measure(
        (first.float() + 1) / 2,
        (second.float() + 1) / 2,
        sigma=1.5,
        kernel_size=WINDOW,
        data_range=1.0,
        betas=tuple(w / total for w in weights),
        # a structure that is opposed would have no real power
        normalize="relu",
    )
    assert isinstance(value, Tensor)
    return value


def border_weights(side: int) -> Tensor:
    """Weights (side, side) of the L1 term: they sum to 1, and the corners weigh most.

    1 less a Gaussian of standard deviation 80 px at 256 px around the middle: the identity loss
    and the landmarks hold the middle already.
    """
    place = torch.arange(side) - (side - 1) / 2
    bell = torch.exp(-0.5 * (place / (80 / 256 * side)).square())
    weights = 1 - bell[:, None] * bell[None]
    return weights / weights.sum()


def reconstruction_distance(first: Tensor, second: Tensor) -> Tensor:
    """0.84 (1 - MS-SSIM) + 0.16 L1 of pictures (B, 3, R, R) in [-1, 1].

    Only for pairs whose two inputs are one picture. The authors sum the L1 term over the batch and
    the channels; here it is a mean, so that the weight does not depend on the batch's size.
    """
    weights = border_weights(first.shape[-1]).to(first)
    away = ((first - second).float().abs() / 2 * weights).sum(dim=(2, 3)).mean()
    return STRUCTURE * (1 - ms_ssim(first, second)) + (1 - STRUCTURE) * away


def discriminator_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of D_W from logits (B, 1) of real and of mapped w."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def mapper_distance(fake: Tensor) -> Tensor:
    """What M pays for a w that D_W tells apart: BCE to 1 on logits (B, 1)."""
    return F.softplus(-fake).mean()


def r1_distance(logits: Tensor, w: Tensor, spread: Tensor) -> Tensor:
    """Half the mean squared gradient norm of D_W at real w (B, w_dim) (Mescheder et al. 2018).

    ``spread`` (w_dim,) is the standard deviation of w: the gradient is taken in its units, so that
    one gamma suits any generator.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), w, create_graph=True)
    return 0.5 * (gradient * spread).square().sum(dim=1).mean()


class LinearSwap:
    """The mix that linear algebra alone gives: a teacher for the first steps, and a baseline.

    Identity vectors and readings are linear in w up to noise. The most likely change of w_j that
    brings person i and leaves pose and expression is then known in closed form: the mean of a
    Gaussian, given that its identity vector moves by e_i less the fitted vector of w_j and that the
    readings do not move. It needs no picture, so a step against it costs next to nothing.

    Parameters
    ----------
    w : Tensor, shape (N, w_dim)
        The population.
    embeddings : Tensor, shape (N, D)
        Their identity vectors.
    readings : Tensor, shape (N, K)
        Readings that must not move; K may be 0.
    """

    def __init__(self, w: Tensor, embeddings: Tensor, readings: Tensor) -> None:
        if not len(w) == len(embeddings) == len(readings) or len(w) <= w.shape[1] + 1:
            raise ValueError(
                f"{len(w)}, {len(embeddings)} and {len(readings)} faces; allowed: equal numbers, "
                f"more than {w.shape[1] + 1}"
            )
        w, embeddings, readings = w.double(), embeddings.double(), readings.double()
        self.mean = w.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((w - self.mean).T))
        spread = values.clamp_min(float(values.max()) * 1e-6).sqrt()
        self.colour = vectors * spread  # from white noise to w
        white = (w - self.mean) @ (vectors / spread)
        both = torch.cat([embeddings, readings], dim=1)
        self.middle = both.mean(dim=0)
        slope = torch.linalg.lstsq(white, both - self.middle).solution  # (w_dim, D + K)
        noise = (both - self.middle - white @ slope).var(dim=0).clamp_min(1e-8)
        # posterior mean of the change: prior 1 in white space, noise as fitted
        gain = slope.T @ slope + torch.diag(noise)
        self.solve = torch.linalg.solve(gain, slope.T).T  # (w_dim, D + K)
        self.slope, self.white = slope, vectors / spread
        self.dim = embeddings.shape[1]

    def __call__(self, w: Tensor, embedding: Tensor) -> Tensor:
        """Latents (B, w_dim) with other people's identity vectors (B, D): (B, w_dim)."""
        white = (w.double() - self.mean) @ self.white
        fitted = self.middle + white @ self.slope
        step = torch.zeros_like(fitted)
        step[:, : self.dim] = embedding.double() - fitted[:, : self.dim]
        moved = w.double() + step @ self.solve.T @ self.colour.T
        return moved.to(w.dtype)
