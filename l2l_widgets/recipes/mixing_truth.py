"""Which factor of a mix followed which input: known in faceworld, where every picture's are.

Two renders go in, whose factors were drawn independently. The factors of the output are read from
it by a linear reader on what both judges see, fitted to renders; how much of a factor's variance
each input explains is then a number for each factor. What the reader cannot see on a render itself
it cannot see on a mix, so its own score stands beside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.disentangle import FaceMixer
from l2l_widgets.evaluation.mixing import correlation, on_scale, same_person_similarity
from l2l_widgets.faceworld.factors import (
    ATTRIBUTE_FACTORS,
    FACTORS,
    IDENTITY_FACTORS,
    NUISANCE_FACTORS,
)
from l2l_widgets.recipes.perception import HELD_OUT
from l2l_widgets.recipes.rendered import end_of_set, rendered_set

#: Factors of the two questions that the paper asks: what makes a head's pose and what its light.
POSE_FACTORS = ("yaw", "pitch", "roll")
LIGHT_FACTORS = ("light_azimuth", "light_elevation", "light_softness", "rim_light", "key_warmth")
#: A factor follows an input that explains at least this share of its variance, and twice the
#: other's.
FOLLOWS_FROM = 0.05
#: A factor that the reader explains less of than this, on the renders themselves, says little.
READABLE_FROM = 0.2
KINDS = {
    **dict.fromkeys(IDENTITY_FACTORS, "identity"),
    **dict.fromkeys(ATTRIBUTE_FACTORS, "attribute"),
    **dict.fromkeys(NUISANCE_FACTORS, "neither"),
}


class FactorReader:
    """Linear reader of all factors from two judges' features.

    Parameters
    ----------
    models : Models
        With both judges of this package.
    images : Tensor, shape (N, 3, R, R)
        Renders in [-1, 1].
    factors : Tensor, shape (N, len(FACTORS))
        Their latents.
    penalty : float
        Ridge, in units of the features' variance.
    """

    def __init__(self, models: Any, images: Tensor, factors: Tensor, penalty: float = 1e-3) -> None:
        self._judges = (models.attribute_judge.features, models.identity_judge.trunk)
        self._side = models.identity_judge.trunk.resolution
        seen = self.features(images)
        self.mean, self.spread = seen.mean(dim=0), seen.std(dim=0).clamp_min(1e-6)
        x = ((seen - self.mean) / self.spread).double()
        self.middle = factors.double().mean(dim=0)
        gram = x.T @ x + penalty * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        self.slope = torch.linalg.solve(gram, x.T @ (factors.double() - self.middle))

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """What the two judges see, (B, K)."""
        parts = []
        for part in images.split(128):
            if part.shape[-1] != self._side:
                part = F.interpolate(part, (self._side,) * 2, mode="bilinear", antialias=True)
            parts.append(torch.cat([judge(part).float().cpu() for judge in self._judges], dim=1))
        return torch.cat(parts)

    def __call__(self, images: Tensor) -> Tensor:
        """Factors of pictures (B, 3, R, R) in [-1, 1], (B, len(FACTORS))."""
        x = ((self.features(images) - self.mean) / self.spread).double()
        return self.middle + x @ self.slope


def follow_table(
    models: Any,
    mixer: FaceMixer,
    pairs: int = 1000,
    readers: int = 6144,
    say: Callable[[str], None] = lambda what: None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Mix renders with known factors; say which factor followed which input.

    Parameters
    ----------
    models : Models
        With both judges.
    mixer : FaceMixer
        What is measured.
    pairs : int
        Pairs of renders.
    readers : int
        Other renders, to which the reader is fitted.
    say : callable
        Told what is being done.

    Returns
    -------
    rows : list of dict
        A row a factor: ``factor``, ``kind``, ``reader_r2`` (on the renders themselves),
        ``rebuilt_r2`` (both inputs one picture), ``identity_r2`` and ``attributes_r2`` (squared
        correlation with the inputs' true values, negative where the factor moves the wrong way),
        ``follows``.
    summary : dict
        Means over the identity factors, pose and light; and the identity judge's similarities of
        the mixes to both inputs, of two strangers and of two renders of one person, with the mix's
        ratio to the latter, and its place on the scale from strangers (0) to one person (1).

    Raises
    ------
    ValueError
        The rendered set is too small.
    """
    say("reading the rendered set")
    faces = rendered_set("independent")
    if len(faces) < readers + 2 * pairs:
        raise ValueError(
            f"pairs is {pairs}; allowed: at most {(len(faces) - readers) // 2}, as the set of "
            f"{len(faces)} independent renders has them beside the reader's {readers}"
        )
    latents = faces.factors.latents
    side = models.generator.img_resolution

    def pictures(rows: slice) -> Tensor:
        images = faces.images[rows].float() / 127.5 - 1
        if images.shape[-1] > side:  # smaller ones say no more when they are enlarged
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        return images

    say("fitting the reader of factors")
    reader = FactorReader(models, pictures(slice(0, readers)), latents[:readers])
    first, second = slice(readers, readers + pairs), slice(readers + pairs, readers + 2 * pairs)
    say("mixing renders")
    people, others = mixer.signature(pictures(first)), mixer.signature(pictures(second))
    drawn = mixer.draw(mixer.latent(people, others)).cpu()
    mixed = reader(drawn)
    again = reader(mixer.draw(mixer.latent(people, people)).cpu())
    own = reader(pictures(first))
    rows = []
    for i, factor in enumerate(FACTORS):
        row: dict[str, Any] = {"factor": factor, "kind": KINDS[factor]}
        for name, read, truth in (
            ("reader_r2", own, latents[first]),
            ("rebuilt_r2", again, latents[first]),
            ("identity_r2", mixed, latents[first]),
            ("attributes_r2", mixed, latents[second]),
        ):
            row[name] = round(explained(read[:, i], truth[:, i]), 4)
        rows.append({**row, "follows": verdict(row["identity_r2"], row["attributes_r2"])})
    say("comparing renders of one person")
    # of people whom the judge has not learned from: of its own it is surer
    images, identity = end_of_set("identities", HELD_OUT)
    same = same_person_similarity(models.identity_judge, images.float() / 127.5 - 1, identity)
    alike = _similarities(models.identity_judge, drawn, pictures(first), pictures(second))
    kept = {
        **alike,
        "render_same_person_similarity": same,
        "render_identity_ratio": alike["render_identity_similarity"] / same,
        "render_identity_scale": on_scale(
            alike["render_identity_similarity"], alike["render_stranger_similarity"], same
        ),
    }
    rounded = {name: round(value, 4) for name, value in kept.items()}
    return rows, {**summary(rows), "render_pairs": pairs, **rounded}


@torch.inference_mode()
def _similarities(judge: Any, drawn: Tensor, first: Tensor, second: Tensor) -> dict[str, float]:
    """The judge's mean similarity of mixes of renders to both inputs, and of the two inputs."""
    out, one, two = (
        torch.cat([judge(part).float().cpu() for part in images.split(64)])
        for images in (drawn, first, second)
    )
    to_one, to_two = (out * one).sum(dim=1), (out * two).sum(dim=1)
    return {
        "render_closer_share": float((to_one > to_two).float().mean()),
        "render_identity_similarity": float(to_one.mean()),
        "render_attribute_similarity": float(to_two.mean()),
        "render_stranger_similarity": float((one * two).sum(dim=1).mean()),
    }


def explained(read: Tensor, truth: Tensor) -> float:
    """Share of variance that (N,) truths explain, in [-1, 1]; negative where they point away."""
    value = correlation(read, truth)
    return value * abs(value)


def verdict(identity: float, attributes: float) -> str:
    """Which input a factor followed: "identity", "attributes", "both" or "neither"."""
    if max(identity, attributes) < FOLLOWS_FROM:
        return "neither"
    if identity >= 2 * attributes:
        return "identity"
    return "attributes" if attributes >= 2 * identity else "both"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over groups of factors, and how many followed the input that they should.

    ``NAME_factors_kept_share`` is how much of what the reader sees of a factor on the renders it
    still sees on the mixes, a mean over the factors that it can read at all.
    """
    out: dict[str, Any] = {}
    for name, group, wanted in (
        ("identity", IDENTITY_FACTORS, "identity"),
        ("pose", POSE_FACTORS, "attributes"),
        ("light", LIGHT_FACTORS, "attributes"),
    ):
        chosen = [row for row in rows if row["factor"] in group]
        for column in ("reader_r2", "rebuilt_r2", "identity_r2", "attributes_r2"):
            out[f"{name}_factors_{column}"] = round(
                sum(row[column] for row in chosen) / max(1, len(chosen)), 4
            )
        right = sum(row["follows"] == wanted for row in chosen)
        out[f"{name}_factors_right"] = f"{right} of {len(chosen)}"
        seen = [row for row in chosen if row["reader_r2"] >= READABLE_FROM]
        shares = [row[f"{wanted}_r2"] / row["reader_r2"] for row in seen]
        out[f"{name}_factors_readable"] = f"{len(seen)} of {len(chosen)}"
        out[f"{name}_factors_kept_share"] = round(sum(shares) / max(1, len(shares)), 4)
    return out
