"""The losses of latent-to-latent training: functions of tensors that know no model.

The five of Khodadadeh et al. (WACV 2022, section 3) are :func:`attribute_loss`, :func:`cycle_loss`,
:func:`identity_loss`, :func:`neighbourhood_loss` and :func:`face_identity_loss`; the paper invites
further conservation losses, of which :func:`background_kept_loss` is our worked example, and
:func:`surroundings_kept_loss` what our own mapper is trained with. Two parts are ours:
:class:`Augmentation`, seen by every regressor in the loss, so that an editor cannot paint what one
network happens to read, and :func:`cloud_loss`, which keeps an edited latent where the generator
was trained.

Latent losses are means over all latent numbers and expect latents divided by one global scale (the
population's standard deviation), so that one set of weights suits any generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: A user's own conservation loss: (images before, images after), each (B, 3, R, R) in [-1, 1],
#: to a scalar that is 0 when what should be kept was kept.
ConservationLoss = Callable[[Tensor, Tensor], Tensor]


def _same_shape(first: Tensor, second: Tensor, what: str) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"{what}: shapes {tuple(first.shape)} and {tuple(second.shape)} differ; "
            "allowed: equal shapes"
        )


def attribute_loss(achieved: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the squared L2 distance to the corrected target, averaged over faces.

    Parameters
    ----------
    achieved, target : Tensor, shape (B, A)
        Attribute values in [0, 1]. The target holds the old value of every attribute that is to
        stay, so the same term punishes change that nobody asked for.
    weight : Tensor, shape (A,) or (B, A), optional
        Importance of each attribute; 0 where an attribute has no target.
    """
    _same_shape(achieved, target, "attribute_loss")
    squared = (achieved - target).square()
    if weight is not None:
        squared = squared * weight
    return squared.sum(dim=1).mean()


def cycle_loss(w: Tensor, back: Tensor) -> Tensor:
    """Return the mean L1 distance of a latent to itself after an edit and its undoing."""
    _same_shape(w, back, "cycle_loss")
    return (w - back).abs().mean()


def identity_loss(w: Tensor, unchanged: Tensor) -> Tensor:
    """Return the mean L1 distance of a latent to itself after an edit that asked for nothing."""
    _same_shape(w, unchanged, "identity_loss")
    return (w - unchanged).abs().mean()


def neighbourhood_loss(w: Tensor, edited: Tensor) -> Tensor:
    """Return the mean squared L2 distance of a latent to its edit: a short step keeps the rest."""
    _same_shape(w, edited, "neighbourhood_loss")
    return (w - edited).square().mean()


def face_identity_loss(before: Tensor, after: Tensor) -> Tensor:
    """Return the squared L2 distance of face embeddings (B, D), averaged over faces."""
    _same_shape(before, after, "face_identity_loss")
    return (before - after).square().sum(dim=1).mean()


def cloud_loss(w: Tensor, mean: Tensor, whiten: Tensor, floor: float) -> Tensor:
    """Return how far latents lie outside the cloud of latents that the generator was trained on.

    The squared Mahalanobis distance per dimension is about 1 for a latent of the population; only
    what exceeds ``floor`` counts, so a latent inside the cloud is not pulled to the mean.

    Parameters
    ----------
    w : Tensor, shape (B, num_ws, w_dim)
        Latents, in their own units.
    mean : Tensor, shape (w_dim,)
        Mean of the population.
    whiten : Tensor, shape (w_dim, K)
        Maps a centred latent to K uncorrelated numbers of variance 1 (see :func:`cloud_whitening`).
    floor : float
        Allowed squared distance per dimension.
    """
    score = ((w - mean) @ whiten).square().mean(dim=-1)  # (B, num_ws)
    return F.relu(score - floor).mean()


def cloud_whitening(ws: Tensor, share: float = 0.995) -> tuple[Tensor, Tensor]:
    """Return the (w_dim,) mean and (w_dim, K) whitening of a population of latents (N, w_dim).

    The K leading principal directions that hold ``share`` of the variance are scaled to variance 1;
    a direction outside them is scaled like the last of them, as dividing by a vanishing variance
    would forbid any step there.
    """
    if ws.ndim != 2 or ws.shape[0] < 2:
        raise ValueError(f"latents have shape {tuple(ws.shape)}; allowed: (N >= 2, w_dim)")
    mean = ws.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov((ws - mean).T.double()))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    held = values.cumsum(0) / values.sum().clamp_min(1e-12)
    last = min(int((held < share).sum()), len(values) - 1)
    scale = values.clamp_min(float(values[last].clamp_min(1e-12))).rsqrt()
    return mean, (vectors * scale).to(ws.dtype)


class Cloud:
    """The cloud of a generator's W: where it lies, how wide it is, what is outside of it.

    Parameters
    ----------
    w : Tensor, shape (N >= 2, w_dim)
        Latents of the population.
    """

    def __init__(self, w: Tensor) -> None:
        self.w = w
        self.mean, self.whiten = cloud_whitening(w)
        self.scale = float((w - self.mean).std())
        # back from standard deviations: the columns of `whiten` are orthogonal
        self.colour = (self.whiten / self.whiten.square().sum(dim=0)).T  # (K, w_dim)

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Any, faces: int, seed: int = 0, truncation_psi: float = 1.0) -> Cloud:
        """Draw the latents of ``faces`` seeds at random."""
        source = torch.Generator().manual_seed(seed)
        z = torch.randn(faces, generator.z_dim, generator=source).to(generator.w_avg.device)
        ws = generator.mapping(z, truncation_psi=truncation_psi)
        return cls((ws if ws.ndim == 2 else ws[:, 0]).float())

    def outside(self, ws: Tensor, typical: float = 1.0) -> Tensor:
        """How far beyond the typical squared distance latents (B, num_ws, w_dim) lie."""
        return cloud_loss(ws, self.mean, self.whiten, typical)

    def distance(self, ws: Tensor) -> float:
        """Of the farthest row of (B, num_ws, w_dim), relative to a typical latent's."""
        return float(((ws - self.mean) @ self.whiten).square().mean(-1).max().sqrt())

    def inside(self, ws: Tensor, path: Tensor, limit: float) -> Tensor:
        """``ws`` cut off at ``limit`` standard deviations along every direction of the cloud.

        Where ``path`` itself goes further, as far as that; both are (N, num_ws, w_dim), and every
        row is looked at by itself.
        """
        place, allowed = ((x - self.mean) @ self.whiten for x in (ws, path))
        most = allowed.abs().clamp_min(limit)
        return self.mean + place.clamp(-most, most) @ self.colour


def border_mask(resolution: int, width: float = 0.12, height: float = 0.45) -> Tensor:
    """Return a (1, 1, R, R) mask of the two upper corners, where a portrait shows no face.

    Parameters
    ----------
    resolution : int
        R, in pixels.
    width, height : float
        Size of a corner as a share of the picture.
    """
    mask = torch.zeros(1, 1, resolution, resolution)
    columns, rows = max(1, round(width * resolution)), max(1, round(height * resolution))
    mask[..., :rows, :columns] = 1
    mask[..., :rows, -columns:] = 1
    return mask


def background_kept_loss(before: Tensor, after: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean L1 change of the background: a conservation loss as the paper invites.

    Parameters
    ----------
    before, after : Tensor, shape (B, 3, R, R)
        Images in [-1, 1].
    mask : Tensor, shape (1 or B, 1, R, R), optional
        1 where the background is, from a segmenter or by hand; the picture's upper corners
        (:func:`border_mask`) where none is given.
    """
    _same_shape(before, after, "background_kept_loss")
    if mask is None:
        mask = border_mask(before.shape[-1])
    mask = mask.to(before)
    change = ((before - after).abs() * mask).sum(dim=(1, 2, 3))
    return (change / (3 * mask.sum(dim=(1, 2, 3)).clamp_min(1))).mean()


def surroundings_mask(resolution: int, foot: float = 0.1) -> Tensor:
    """Return a (1, 1, R, R) mask of a portrait's background and of its clothes.

    Parameters
    ----------
    resolution : int
        R, in pixels.
    foot : float
        Height of the strip at the lower edge, where the clothes are, as a share of the picture.
    """
    mask = border_mask(resolution)
    mask[..., -max(1, round(foot * resolution)) :, :] = 1
    return mask


def surroundings_kept_loss(before: Tensor, after: Tensor) -> Tensor:
    """Return the mean L1 change of a portrait's background and clothes.

    Parameters
    ----------
    before, after : Tensor, shape (B, 3, R, R)
        Images in [-1, 1].
    """
    return background_kept_loss(before, after, surroundings_mask(before.shape[-1]))


@dataclass(frozen=True)
class Augmentation:
    """Blur, noise, shift and contrast, differentiable in the images and drawn from a generator.

    The same draw is applied to both pictures of an edit, so that their difference in attributes is
    the edit's and not the draw's.

    Parameters
    ----------
    blur : float
        Largest standard deviation of the blur, in pixels at 64 px (grows with the resolution).
    noise : float
        Largest standard deviation of the pixel noise, in image units of [-1, 1].
    shift : float
        Largest shift, as a share of the picture's side.
    zoom : float
        Largest relative change of size.
    contrast : float
        Largest relative change of contrast.
    probability : float
        Share of batches that are blurred, and (drawn apart) made noisy.
    """

    blur: float = 1.0
    noise: float = 0.08
    shift: float = 0.03
    zoom: float = 0.05
    contrast: float = 0.1
    probability: float = 0.7

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw for images of a (B, C, R, R) shape; every tensor's first dimension is B.

        Apart from the call below, so that one draw for a global batch can be sliced among
        processes.
        """
        count, side = shape[0], shape[-1]
        signed = torch.rand(4, count, generator=generator) * 2 - 1
        gates = torch.rand(2, generator=generator) < self.probability
        sizes = torch.rand(2, generator=generator)
        sigma = float(gates[0]) * float(sizes[0]) * self.blur * side / 64
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = 1 + self.zoom * signed[0]
        # a shift of 1 in grid coordinates is half a side
        theta[:, 0, 2], theta[:, 1, 2] = 2 * self.shift * signed[1], 2 * self.shift * signed[2]
        level = float(gates[1]) * float(sizes[1]) * self.noise
        return {
            "theta": theta,
            "gain": 1 + self.contrast * signed[3],
            "sigma": torch.full((count,), sigma),  # one kernel for the batch
            "grain": torch.randn(tuple(shape), generator=generator) * level,
        }

    def __call__(self, draw: dict[str, Tensor], *batches: Tensor) -> tuple[Tensor, ...]:
        """Return the (B, C, R, R) batches under one common draw."""
        first = batches[0]
        grid = F.affine_grid(draw["theta"], list(first.shape), align_corners=False).to(first)
        gain = draw["gain"].view(-1, 1, 1, 1).to(first)
        grain = draw["grain"].to(first)
        sigma = float(draw["sigma"][0])
        out = []
        for images in batches:
            moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
            out.append(gaussian_blur(moved * gain, sigma) + grain)
        return tuple(out)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Return (B, C, H, W) images blurred by a Gaussian of ``sigma`` pixels (edges replicated)."""
    if sigma < 0.1:
        return images
    radius = min(max(1, round(3 * sigma)), images.shape[-1] - 1)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = (kernel / kernel.sum()).to(images.dtype)
    channels = images.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    images = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    images = F.conv2d(images, across, groups=channels)
    return F.conv2d(images, across.transpose(2, 3), groups=channels)
