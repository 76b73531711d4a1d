"""The factors of a portrait: how they are sampled, how they correlate, and the 35 attributes.

A portrait is a vector of standard normal *latents*, one a factor. Each latent goes through a
monotone map to a *natural* value, which the renderer draws; attributes are read off the natural
values. In the correlated population the latents are joined by a Gaussian copula and some values are
gated (no beard on a child, none on a woman); which attributes then go together, and how closely, is
planted and tabled in :mod:`l2l_widgets.faceworld.correlations`. In the independent population every
factor is drawn on its own and nothing is gated, so that a judge trained on it has no correlation to
lean on.

Shares of the correlated population (``planting.prevalence`` measures them): glasses 30 %, dark ones
8 %; hat 12 %; half bald or more 10 % (21 % of men); red hair 12 %; a beard above one quarter 25 %
(50 % of men) and above one half 18 %; moustache and sideburns above one half 31 % of men each;
earrings 27 %; men 50 %; age is even from 5 to 85. What is rarer than about 8 % is not learned by a
small generator, so the rare ones are more frequent than in photographs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.correlations import latent_correlations

EMOTIONS = (
    "anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
)  # fmt: skip

#: Latents that an attribute is made from.
ATTRIBUTE_FACTORS = (
    "age", "gender", "lip_corner", "jaw", "lids", *(f"emotion_{e}" for e in EMOTIONS),
    "beard", "moustache", "sideburns", "yaw", "pitch", "roll", "glasses", "dark_lenses",
    "baldness", "hair_tone", "hair_redness", "greyness", "hair_length", "hair_curl",
    "hair_volume", "fringe", "eye_makeup", "lip_makeup", "hat", "earrings",
)  # fmt: skip

#: Latents that make a person: held fixed, the person is the same.
IDENTITY_FACTORS = (
    "head_width", "jaw_width", "chin_length", "cheekbone", "eye_distance", "eye_size",
    "eye_tilt", "eye_height", "brow_thickness", "brow_height", "brow_arch", "nose_length",
    "nose_width", "nose_projection", "mouth_width", "upper_lip", "lower_lip", "mouth_height",
    "ear_size", "forehead", "brow_ridge", "fullness", "skin", "undertone", "eye_hue", "freckles",
    "face_asymmetry", "hairline", "brow_spacing", "eye_depth", "philtrum",
)  # fmt: skip

#: Latents that are neither.
NUISANCE_FACTORS = (
    "gaze", "part", "blush", "background_hue", "background_light", "cloth_hue", "cloth_light",
    "light_azimuth", "light_elevation", "light_softness", "frame_hue", "frame_shape", "hat_hue",
    "hair_style", "glasses_style", "hat_style", "collar", "rim_light", "background_gradient",
    "key_warmth",
)  # fmt: skip

FACTORS = ATTRIBUTE_FACTORS + IDENTITY_FACTORS + NUISANCE_FACTORS

#: What the styles run through, in equal shares of [0, 1]: a face's style is one of them, or between
#: two of them where the renderer blends.
STYLES = {
    "hair_style": ("swept back", "side-swept", "centre-parted", "tousled"),
    "glasses_style": ("round", "rectangular", "aviator", "half-rim"),
    "hat_style": ("knitted cap", "brimmed hat"),
    "collar": ("round neck", "V-neck", "shirt collar", "turtleneck"),
}

#: Latents that change sign when a portrait is mirrored; every other factor keeps its value. The
#: side to which hair is swept is the sign of ``part``.
MIRRORED = ("yaw", "roll", "gaze", "part", "light_azimuth", "face_asymmetry")

#: Face-muscle parameters of each emotion at full strength (after the action units it is known by).
MUSCLES = {
    "brow_raise": dict(anger=-0.7, fear=0.8, surprise=1.3, sadness=-0.1),
    "brow_inner": dict(fear=0.9, sadness=1.2),
    "brow_frown": dict(anger=1.15, disgust=0.55),
    "lid": dict(anger=-0.05, disgust=-0.30, fear=0.40, surprise=0.45, sadness=-0.28, contempt=-0.2),
    "squint": dict(disgust=0.7, happiness=0.6, anger=0.4),
    "nose_wrinkle": dict(disgust=1.0, anger=0.35),
    "cheek": dict(happiness=1.0),
    "lip_corner": dict(
        happiness=0.95, sadness=-0.85, anger=-0.40, disgust=-0.45, fear=-0.25, contempt=0.1
    ),
    "lip_skew": dict(contempt=1.0),
    "lip_stretch": dict(fear=1.0, happiness=0.3),
    "lip_press": dict(anger=1.0, contempt=0.3),
    "lip_raise": dict(disgust=0.8),
    "jaw": dict(surprise=0.75, fear=0.35, happiness=0.22),
}


#: Shares that each latent is cut into for balance: a prime, more than there are factors, and its
#: square just below the 20,000 of the stated check.
LEVELS = 127


@dataclass(frozen=True)
class Factors:
    """A batch of portraits.

    Parameters
    ----------
    latents : Tensor, shape (B, len(FACTORS))
        Standard normal, columns as in :data:`FACTORS`.
    gated : bool
        Whether the population's gates (no beard on a child) are applied.
    """

    latents: Tensor
    gated: bool = True

    def __len__(self) -> int:
        return self.latents.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Factors:
        return Factors(self.latents[rows], self.gated)

    def replace(self, **columns: Tensor | float) -> Factors:
        """The same portraits with some latents set; an unknown factor is refused by name."""
        latents = self.latents.clone()
        for name, value in columns.items():
            latents[:, factor_index(name)] = torch.as_tensor(value, dtype=latents.dtype)
        return Factors(latents, self.gated)

    def column(self, name: str) -> Tensor:
        """One factor's latents, (B,)."""
        return self.latents[:, factor_index(name)]

    def mirrored(self) -> Factors:
        """The factors of the mirrored pictures."""
        sign = torch.ones(len(FACTORS))
        sign[[FACTORS.index(n) for n in MIRRORED]] = -1
        return Factors(self.latents * sign, self.gated)

    def natural(self) -> dict[str, Tensor]:
        """What the renderer draws: name -> (B,) tensor. Angles are in radians."""
        return _natural(self.latents, self.gated)

    def attributes(self) -> Tensor:
        """The 35 attributes, shape (B, 35), in [0, 1], columns as in ``DEFAULT_TABLE``."""
        values = _attributes(self.natural())
        return torch.stack([values[n] for n in DEFAULT_TABLE.names], 1).clamp(0, 1)

    def identity(self) -> Tensor:
        """The identity latents, shape (B, len(IDENTITY_FACTORS))."""
        return self.latents[:, [FACTORS.index(n) for n in IDENTITY_FACTORS]]


def factor_index(name: str) -> int:
    """Column of a factor."""
    if name not in FACTORS:
        raise ValueError(f"factor {name!r} is unknown; known: {', '.join(FACTORS)}")
    return FACTORS.index(name)


def correlation_matrix() -> Tensor:
    """Planted correlation matrix of the latents, positive definite, (F, F) float64."""
    c = torch.eye(len(FACTORS), dtype=torch.float64)
    for (a, b), r in latent_correlations().items():
        i, j = FACTORS.index(a), FACTORS.index(b)
        c[i, j] = c[j, i] = r
    return c


def cholesky_factor() -> Tensor:
    """Lower factor that turns independent normals into the population's latents, (F, F)."""
    return torch.linalg.cholesky(correlation_matrix()).float()


def sample_factors(n: int, seed: int, correlated: bool = True, start: int = 0) -> Factors:
    """Draw ``n`` portraits of the endless row of portraits that a seed stands for.

    Every portrait is a fair draw from its population. Together they are more even than independent
    draws (see :func:`normals`), which is what makes a correlation come back from 20,000 of them.

    Parameters
    ----------
    n : int
        How many, at least 1.
    seed : int
        The same seed gives the same portraits on every machine, however many are asked for.
    correlated : bool
        The planted population, or every factor on its own and no gates.
    start : int
        Number of the first one in the row.
    """
    if n < 1:
        raise ValueError(f"n is {n}; allowed: 1 or more")
    if start < 0:
        raise ValueError(f"start is {start}; allowed: 0 or more")
    joined = cholesky_factor().T if correlated else None
    return Factors(normals(n, seed, start, joined), gated=correlated)


def normals(n: int, seed: int, start: int = 0, joined: Tensor | None = None) -> Tensor:
    """Rows ``start`` to ``start + n`` of a seed's standard normals, (n, len(FACTORS)) float32.

    They are multiplied by ``joined``, where that is given.

    In every block of ``LEVELS ** 2`` rows each two columns are balanced: cut both into
    :data:`LEVELS` equal shares, and every one of the ``LEVELS ** 2`` combinations occurs once (a
    randomised orthogonal array of strength 2, Owen 1992). Each row alone is a fair draw, and the
    rows are in random order, so a few of them are as good as independent. The largest of the 595
    sampling errors of a 35 x 35 correlation matrix is about .023 with 20,000 independent draws;
    with these it is about .015.
    """
    block = LEVELS**2
    first, last = start // block, (start + n - 1) // block
    blocks = [_balanced_normals(seed, k) for k in range(first, last + 1)]
    if joined is not None:  # block by block: a product's last bit depends on its number of rows
        blocks = [z @ joined for z in blocks]
    return torch.cat(blocks)[start - first * block :][:n].clone()


@functools.lru_cache(maxsize=2)
def _balanced_normals(seed: int, block: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + block) % 2**63)
    n, columns = LEVELS**2, len(FACTORS)
    order = torch.randperm(n, generator=generator)
    i, k = order // LEVELS, order % LEVELS
    array = (i[:, None] + k[:, None] * torch.arange(columns)) % LEVELS  # (n, F), Bose's
    shuffled = torch.rand(LEVELS, columns, generator=generator).argsort(0)
    share = shuffled.gather(0, array) + torch.rand(
        n, columns, generator=generator, dtype=torch.float64
    )
    share = (share / LEVELS).clamp(1e-7, 1 - 1e-7)
    return (math.sqrt(2) * torch.erfinv(2 * share - 1)).float()


def _uniform(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _step(x: Tensor, threshold: float, steepness: float = 6.0) -> Tensor:
    return torch.sigmoid(steepness * (x - threshold))


def _bounded(x: Tensor, limit: float) -> Tensor:
    return limit * torch.tanh(x / limit)


def _natural(latents: Tensor, gated: bool) -> dict[str, Tensor]:
    r = {name: latents[:, i] for i, name in enumerate(FACTORS)}
    p: dict[str, Tensor] = {}
    p["age"] = _uniform(r["age"])
    p["gender"] = _step(r["gender"], 0.0, 2.6)
    male = _step(p["gender"], 0.55, 14.0) if gated else torch.ones_like(p["age"])
    adult = _step(p["age"], 0.14, 25.0) if gated else torch.ones_like(p["age"])
    p["yaw"], p["pitch"] = _bounded(r["yaw"] * 0.30, 0.75), _bounded(r["pitch"] * 0.16, 0.40)
    p["roll"] = _bounded(r["roll"] * 0.08, 0.25)
    p.update(_expression(r))
    p["beard"] = _step(r["beard"], 0.25, 3.5) * male * adult
    p["moustache"] = _step(r["moustache"], 0.35, 3.5) * male * adult
    p["sideburns"] = _step(r["sideburns"], 0.35, 3.5) * male * adult
    p["glasses"] = _step(r["glasses"], 0.525, 40.0)
    p["dark_lenses"] = _step(r["dark_lenses"], 0.62, 30.0)
    p["baldness"] = _step(r["baldness"], 0.40, 3.5) * male
    p["hair_tone"] = _uniform(r["hair_tone"] - 0.15)
    p["hair_redness"] = _step(r["hair_redness"], 1.0, 6.0)
    p["greyness"] = _step(r["greyness"], 0.75, 4.0)
    for name in ("hair_length", "hair_curl", "hair_volume"):
        p[name] = _uniform(r[name])
    p["fringe"] = _step(r["fringe"], 0.5, 4.0) * (1 - p["baldness"])
    made_up = (1 - male) if gated else torch.ones_like(male)
    p["lip_makeup"] = _step(r["lip_makeup"], 0.25, 3.5) * made_up
    p["eye_makeup"] = _step(r["eye_makeup"], 0.30, 3.5) * made_up
    p["hat"], p["earrings"] = _step(r["hat"], 1.175, 40.0), _step(r["earrings"], 0.6, 30.0)
    for name in IDENTITY_FACTORS:
        p[name] = _bounded(r[name], 1.9)
    p["skin"] = _uniform(r["skin"] - 0.3)
    p["fullness"], p["eye_hue"] = _uniform(r["fullness"]), _uniform(r["eye_hue"])
    p["freckles"] = _step(r["freckles"], 0.9, 4.0)
    p["gaze"], p["part"] = _bounded(r["gaze"], 1.8) * 0.4, _bounded(r["part"], 2.0)
    for name in NUISANCE_FACTORS[2:]:
        p[name] = _uniform(r[name])
    p["light_azimuth"] = _bounded(r["light_azimuth"] * 0.6, 1.2)
    p["light_elevation"] = 0.45 + _bounded(r["light_elevation"] * 0.28, 0.6)
    return p


def _expression(r: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Emotion shares (they sum to 1) and the face-muscle parameters they drive."""
    prior = {"neutral": 0.9, "happiness": 0.9}
    logits = torch.stack([r[f"emotion_{e}"] + prior.get(e, 0.0) for e in EMOTIONS], 1)
    shares = torch.softmax(3.0 * logits, 1)
    p = {e: shares[:, i] for i, e in enumerate(EMOTIONS)}
    for muscle, weights in MUSCLES.items():
        p[muscle] = sum((w * p[e] for e, w in weights.items()), torch.zeros_like(shares[:, 0]))
    p["lip_corner"] = _bounded(p["lip_corner"] + 0.28 * r["lip_corner"], 1.15)
    p["jaw"] = 1 - (1 - p["jaw"].clamp(0, 1)) * (1 - 0.75 * _step(r["jaw"], 0.9, 4.0))
    blink = _step(-r["lids"], 1.5, 6.0)
    p["lid"] = (0.95 + p["lid"] + 0.14 * r["lids"].clamp(-1.5, 2.5)) * (1 - 0.92 * blink)
    p["lid"] = p["lid"].clamp(0.04, 1.6)
    return p


def _attributes(p: Mapping[str, Tensor]) -> dict[str, Tensor]:
    degrees = {k: torch.rad2deg(p[k]) for k in ("yaw", "pitch", "roll")}
    a = {k: DEFAULT_TABLE[k].from_unit(v) for k, v in degrees.items()}
    same = (
        "age", "gender", "beard", "moustache", "sideburns", "glasses", "baldness", "hair_length",
        "hair_curl", "hair_volume", "fringe", "eye_makeup", "lip_makeup", "hat", "earrings",
        *EMOTIONS,
    )  # fmt: skip
    a.update({k: p[k] for k in same})
    a["smile"] = 0.5 + 0.5 * p["lip_corner"] / 1.15
    a["mouth_open"] = p["jaw"]
    a["eyes_open"] = p["lid"] / 1.6
    a["sunglasses"] = p["glasses"] * p["dark_lenses"]
    a["hair_grey"] = p["greyness"]
    coloured = 1 - p["greyness"]
    a["hair_red"] = coloured * p["hair_redness"]
    plain = coloured * (1 - p["hair_redness"])
    black, blond = _step(-p["hair_tone"], -0.27, 18.0), _step(p["hair_tone"], 0.62, 18.0)
    a["hair_black"], a["hair_blond"] = plain * black, plain * blond * (1 - black)
    a["hair_brown"] = plain * (1 - black) * (1 - blond)
    return a
