"""From a picture to the latent whose face comes closest to it.

The start is the best of some hundred sampled faces, or an encoder's answer; then W or W+ is
descended on what networks see in both pictures, with the projector's decaying noise on the latent
(Karras et al. 2020, "StyleGAN2", appendix D). Two terms hold the result where edits work: a latent
far from the cloud of W draws the picture well and edits badly (Tov et al. 2021, "e4e", section 3),
and rows of W+ that differ much are far from every face the generator was trained on. How far the
result lies from the cloud is therefore part of the answer.

The generator's noise images stay as they are: fitted to the picture they would draw what no edit
can move.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.latents import to_wplus
from l2l_widgets.losses import Cloud

__all__ = [
    "Inversion",
    "InversionError",
    "InversionSettings",
    "check_picture",
    "invert",
    "perceptual_distance",
    "pixel_distance",
]

SPACES = ("w", "w+")
#: Squared Mahalanobis distance per dimension of a latent of the population, on average.
TYPICAL = 1.0
#: Latents that show where the cloud of W lies.
CLOUD_FACES = 4096

_LOCK = threading.Lock()
_CLOUDS: weakref.WeakKeyDictionary[Any, dict[tuple[int, str, float], Cloud]] = (
    weakref.WeakKeyDictionary()
)

#: (B, 3, R, R) twice, in [-1, 1], to one distance each, (B,).
Distance = Callable[[Tensor, Tensor], Tensor]


class InversionError(ValueError):
    """A picture or a setting that cannot be used: field, value and what is allowed are named."""


@dataclass(frozen=True)
class InversionSettings:
    """How a latent is looked for.

    Parameters
    ----------
    space : {"w", "w+"}
        One latent for all rows, which edits best, or one a row, which draws best.
    steps : int
        Of descent; 0 gives the start itself.
    candidates : int
        Sampled faces among which the start is chosen, where no encoder gives it.
    learning_rate : float
        Of Adam, in standard deviations of W; it rises over the first twentieth of the steps and
        falls over the last quarter.
    pixel_weight, feature_weight : float
        Of the difference of the pictures, and of what networks see in them.
    cloud_weight : float
        Of the squared Mahalanobis distance per dimension to the cloud of W, beyond ``TYPICAL``: as
        much as the difference of a photograph, which never goes away and would win otherwise.
    rows_weight : float
        Of the rows' squared distance to their mean, in W+, in variances of W.
    noise : float
        Noise on the latent at the first step, in standard deviations of W; gone after three
        quarters of the steps.
    seed : int
        Of candidates and noise.
    """

    space: str = "w+"
    steps: int = 150
    candidates: int = 256
    learning_rate: float = 0.08
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    cloud_weight: float = 3.0
    rows_weight: float = 0.5
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise InversionError(f"space is {self.space!r}; allowed: {', '.join(SPACES)}")
        for name, least, most in (
            ("steps", 0, 100_000), ("candidates", 1, 1_000_000), ("seed", 0, 2**32 - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise InversionError(f"{name} is {value!r}; allowed: {least} to {most}, whole")
        for name in (
            "learning_rate", "pixel_weight", "feature_weight", "cloud_weight", "rows_weight",
            "noise",
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise InversionError(f"{name} is {value!r}; allowed: a number of at least 0")


@dataclass(frozen=True)
class Inversion:
    """What was found.

    Parameters
    ----------
    ws : Tensor
        (1, num_ws, w_dim), the best latent.
    image : Tensor
        (1, 3, R, R) in [-1, 1], what it draws.
    loss, start_loss : float
        Distance of that picture to the wanted one, and of the start's.
    steps : int
        Of descent that were made.
    stopped : bool
        Whether it was stopped before the last.
    cloud_distance : float
        Root of the mean squared Mahalanobis distance per dimension of the farthest row: about 1 for
        a sampled face; from about 1.5 on edits do less and disturb more.
    rows_apart : float
        Root mean squared distance of the rows to their mean, in standard deviations of W.
    seconds : float
        That it took.
    """

    ws: Tensor
    image: Tensor
    loss: float
    start_loss: float
    steps: int
    stopped: bool
    cloud_distance: float
    rows_apart: float
    seconds: float

    @property
    def editability(self) -> str:
        """What the distance to the cloud means for edits, in words."""
        if self.cloud_distance < 1.25:
            return "edits like a sampled face"
        if self.cloud_distance < 1.6:
            return "at the edge of the sampled faces: large edits may disturb more than usual"
        return "outside the sampled faces: expect weaker edits that disturb more; try space 'w'"


class PerceptualDistance:
    """Distance of what networks see; :func:`perceptual_distance` makes one.

    Parameters
    ----------
    networks : sequence
        Each with ``feature_maps(images) -> list of (B, C, H, W)``.
    """

    def __init__(self, networks: Sequence[Any]) -> None:
        self.networks = tuple(networks)

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Two batches of pictures, (B, 3, R, R) in [-1, 1], to (B,)."""
        return self._apart(self._maps(first), self._maps(second))

    @torch.no_grad()
    def to_picture(self, picture: Tensor) -> Callable[[Tensor], Tensor]:
        """The distance of pictures (B, 3, R, R) to this one, (1, 3, R, R), which is seen only once.

        A descent compares hundreds of pictures with the same one.
        """
        known = self._maps(picture)
        return lambda images: self._apart(self._maps(images), known)

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Every network's maps, their channels scaled to length 1 at each place."""
        maps = (m.float() for network in self.networks for m in network.feature_maps(images))
        return [m / (m.norm(dim=1, keepdim=True) + 1e-6) for m in maps]

    def _apart(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        total = first[0].new_zeros(len(first[0]))
        for a, b in zip(first, second, strict=True):
            total = total + (a - b).square().sum(1).mean((1, 2))
        return total


def perceptual_distance(networks: Sequence[Any]) -> PerceptualDistance:
    """Distance of what networks see: squared difference of their feature maps.

    Means over places, and sums over maps and networks: another network adds what it sees, and takes
    no weight from the others.

    Each map's channels are scaled to length 1 at each place first, as LPIPS does (Zhang et al.
    2018, section 3); no channel is weighted, for nobody has asked people about these networks.

    Parameters
    ----------
    networks : sequence
        With ``feature_maps(images) -> list of (B, C, H, W)``; others are passed over.

    Returns
    -------
    callable
        Two batches of pictures, (B, 3, R, R) in [-1, 1], to (B,).

    Raises
    ------
    InversionError
        None of the networks has feature maps.
    """
    seeing = [n for n in networks if hasattr(n, "feature_maps")]
    if not seeing:
        raise InversionError(
            "networks: none has feature_maps; allowed: convolutional regressors, or a distance of "
            "your own, such as LPIPS"
        )
    return PerceptualDistance(seeing)


def invert(
    generator: Any,
    picture: Tensor,
    distance: Distance | None = None,
    settings: InversionSettings | None = None,
    *,
    start: Tensor | None = None,
    progress: Callable[[int, float, Tensor], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Inversion:
    """Look for the latent that draws a picture.

    Parameters
    ----------
    generator : Generator
        G, with gradients through its synthesis.
    picture : Tensor
        (1, 3, R, R), RGB in [-1, 1], the face where the generator has its faces.
    distance : callable, optional
        What beside the pixels counts; see :func:`perceptual_distance`.
    settings : InversionSettings, optional
        How.
    start : Tensor, optional
        (1, w_dim) or (1, num_ws, w_dim), as an encoder gives it.
    progress : callable, optional
        Gets (steps made, the best loss, its picture) some twenty times.
    stop : callable
        Asked before each step; True ends with the best so far.

    Returns
    -------
    Inversion

    Raises
    ------
    InversionError
        The picture has another shape, values that are not finite, or nothing in it.
    """
    begun = time.perf_counter()
    settings = settings or InversionSettings()
    check_picture(picture, generator.img_resolution)
    device = generator.w_avg.device
    picture = picture.float().clamp(-1, 1).to(device)
    cloud = _cloud_of(generator, settings.seed)

    seen: Callable[[Tensor], Tensor] | None = None
    if isinstance(distance, PerceptualDistance) and settings.feature_weight:
        seen = distance.to_picture(picture)

    def compare(images: Tensor) -> Tensor:
        wanted = picture.expand(len(images), -1, -1, -1)
        loss = settings.pixel_weight * pixel_distance(images, wanted)
        if seen is not None:
            loss = loss + settings.feature_weight * seen(images)
        elif distance is not None and settings.feature_weight:
            loss = loss + settings.feature_weight * distance(images, wanted)
        return loss

    with torch.no_grad():
        if start is None:
            start = _best_candidate(generator, compare, cloud, settings.candidates)
        ws = _as_rows(start.float().to(device), generator, settings.space)
    best = _Best(generator, compare, ws)
    made, stopped = 0, False
    latent = ws.clone().requires_grad_(True)
    descent = Adam(latent)
    noise = torch.Generator().manual_seed(settings.seed + 1)
    for step in range(settings.steps):
        if stop():
            stopped = True
            break
        share = step / settings.steps
        learning_rate = settings.learning_rate * cloud.scale * _rate(share)
        shaken = settings.noise * cloud.scale * max(0.0, 1 - share / 0.75) ** 2
        draw = torch.randn(latent.shape, generator=noise).to(device)
        rows = (latent + shaken * draw).expand(-1, generator.num_ws, -1)
        images = generator.synthesis(rows, noise_mode="const").float()
        found = compare(images).sum()
        loss = found + settings.cloud_weight * cloud.outside(rows, TYPICAL)
        if settings.space == "w+":
            apart = (rows - rows.mean(1, keepdim=True)).square().mean() / cloud.scale**2
            loss = loss + settings.rows_weight * apart
        (gradient,) = torch.autograd.grad(loss, [latent])
        descent.step(gradient, learning_rate)
        made = step + 1
        if made % max(1, settings.steps // 20) == 0 or made == settings.steps:
            best.offer(latent)
            if progress is not None:
                progress(made, best.loss, best.image)
    if stopped:
        best.offer(latent)
    rows_apart = (best.ws - best.ws.mean(1, keepdim=True)).square().mean().sqrt() / cloud.scale
    return Inversion(
        best.ws, best.image, best.loss, best.start_loss, made, stopped,
        cloud.distance(best.ws), float(rows_apart), time.perf_counter() - begun,
    )  # fmt: skip


class _Best:
    """The best latent so far, compared without noise."""

    def __init__(self, generator: Any, compare: Callable[[Tensor], Tensor], ws: Tensor) -> None:
        self.generator, self.compare = generator, compare
        self.loss = math.inf
        self.offer(ws)
        self.start_loss = self.loss

    @torch.no_grad()
    def offer(self, latent: Tensor) -> None:
        """Keep the latent if it is the best."""
        ws = latent.detach().expand(-1, self.generator.num_ws, -1)
        image = self.generator.synthesis(ws, noise_mode="const").float().clamp(-1, 1)
        loss = float(self.compare(image))
        if loss < self.loss:
            self.loss, self.ws, self.image = loss, ws.clone(), image


def _cloud_of(generator: Any, seed: int) -> Cloud:
    """The cloud, sampled once a generator: an encoder's answer takes less time than that."""
    # a generator that is still being trained has another cloud after every step
    key = (seed, str(generator.w_avg.device), float(generator.w_avg.double().sum()))
    with _LOCK:
        try:
            known = _CLOUDS.setdefault(generator, {})
        except TypeError:  # one that cannot be referred to weakly
            return Cloud.of(generator, CLOUD_FACES, seed)
        if key not in known:
            known.clear()
            known[key] = cloud = Cloud.of(generator, CLOUD_FACES, seed)
            cloud.w = cloud.w.clone()  # a row of W+ keeps all of its rows in memory
        return known[key]


class Adam:
    """Adam on one latent (Kingma and Ba 2015), as torch.optim has it.

    The first optimizer of torch.optim in a process brings torch's compiler along: tens of
    megabytes in a notebook's kernel, and seconds before the first step.

    Parameters
    ----------
    latent : Tensor
        Changed in place.
    betas : pair of float
        How much is kept of the mean gradient and of its mean square.
    eps : float
        Added to the root of the latter.
    """

    def __init__(
        self, latent: Tensor, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8
    ) -> None:
        self.latent, self.betas, self.eps, self.count = latent, betas, eps, 0
        self.mean, self.square = torch.zeros_like(latent), torch.zeros_like(latent)

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: float) -> None:
        """Go one step down the gradient."""
        self.count += 1
        first, second = self.betas
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (self.square.sqrt() / (1 - second**self.count) ** 0.5).add_(self.eps)
        self.latent.addcdiv_(self.mean, root, value=-learning_rate / (1 - first**self.count))


def _best_candidate(
    generator: Any, compare: Callable[[Tensor], Tensor], cloud: Cloud, count: int
) -> Tensor:
    """The one of ``count`` latents of the cloud, half of them near its middle, that looks best."""
    w = cloud.w[:count]
    w = torch.cat([w[::2], w[1::2].lerp(cloud.mean, 0.4)])
    losses = []
    for part in w.split(32):
        images = generator.synthesis(to_wplus(part, generator.num_ws), noise_mode="const").float()
        losses.append(compare(images))
    return w[torch.cat(losses).argmin()][None]


def _as_rows(start: Tensor, generator: Any, space: str) -> Tensor:
    """A start as what is descended: (1, 1, w_dim) in W, (1, num_ws, w_dim) in W+."""
    if start.ndim == 2:
        start = start[:, None]
    wanted = ((1, 1, generator.w_dim), (1, generator.num_ws, generator.w_dim))
    if tuple(start.shape) not in wanted:
        raise InversionError(
            f"start has shape {tuple(start.shape)}; allowed: {wanted[0]} or {wanted[1]}"
        )
    if space == "w":
        return start.mean(1, keepdim=True)
    return start.expand(-1, generator.num_ws, -1).clone()


def check_picture(picture: Tensor, side: int) -> None:
    """Refuse what is no picture of the generator's size; InversionError as for `invert`."""
    if picture.shape != (1, 3, side, side):
        raise InversionError(
            f"picture has shape {tuple(picture.shape)}; allowed: (1, 3, {side}, {side})"
        )
    if not bool(torch.isfinite(picture).all()):
        raise InversionError("picture has values that are not finite; allowed: -1 to 1")
    if float(picture.std()) < 0.02:
        raise InversionError(
            f"picture is one plain colour (standard deviation {float(picture.std()):.3f}); "
            "allowed: a picture of a face"
        )


def pixel_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference over a pyramid of three sizes, (B,)."""
    total = first.new_zeros(len(first))
    for level in range(3):
        if level:
            first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
        total = total + (first - second).abs().mean((1, 2, 3)) / 2**level
    return total


def _rate(share: float) -> float:
    """Rise over the first twentieth, fall over the last quarter (Karras et al. 2020)."""
    return min(1.0, share / 0.05 + 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - share) * 4)))
