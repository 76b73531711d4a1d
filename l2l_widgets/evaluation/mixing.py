"""How well a mixer keeps one face's person and another's pose, expression and light.

Read by judges that trained nothing, on pairs of faces that no training used. The question of Nitzan
et al. (2020) is whether the output's person is the identity input's and the rest the attribute
input's; their answer is a difference of similarities, and so is ours, with an interval over pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.disentangle import FaceMixer, MixError, Signature
from l2l_widgets.disentangle.objective import ms_ssim
from l2l_widgets.evaluation.report import FIRST_FACE
from l2l_widgets.latents import to_wplus, z_from_seed, z_from_seeds
from l2l_widgets.metrics.distribution import frechet_distance
from l2l_widgets.metrics.significance import mean_intervals

POSE = ("yaw", "pitch", "roll")
OPENING = ("mouth_open", "eyes_open")
#: Family of the attribute table that says what a face expresses.
EXPRESSION = ("Expression", "Emotion")


@dataclass(frozen=True)
class MixProtocol:
    """Which pairs are mixed.

    Parameters
    ----------
    pairs : int
        Pairs of different faces, at least 8.
    seed : int
        Chooses them; at most 999.
    truncation_psi : float
        Of the faces.
    batch : int
        Faces computed at a time.
    """

    pairs: int = 1000
    seed: int = 0
    truncation_psi: float = 0.7
    batch: int = 32

    def __post_init__(self) -> None:
        for name, least, most in (("pairs", 8, 100_000), ("seed", 0, 999), ("batch", 1, 4096)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}; allowed: an integer from {least} to {most}")
        if not 0 <= self.truncation_psi <= 2:
            raise ValueError(f"truncation_psi is {self.truncation_psi!r}; allowed: 0 to 2")


@torch.inference_mode()
def unseen_faces(models: Any, protocol: MixProtocol) -> tuple[Tensor, Tensor]:
    """Latents (2 pairs, w_dim) and pictures (2 pairs, 3, R, R) of faces from seeds of their own."""
    first = FIRST_FACE + 500_000 + protocol.seed * 4000
    generator = models.generator
    codes = [z_from_seed(first + i, generator.z_dim) for i in range(2 * protocol.pairs)]
    w, images = [], []
    for z in torch.cat(codes).split(protocol.batch):
        ws = generator.mapping(z.to(models.device), truncation_psi=protocol.truncation_psi)
        w.append(ws[:, 0])
        images.append(generator.synthesis(to_wplus(ws, generator.num_ws), noise_mode="const"))
    return torch.cat(w), torch.cat(images)


@torch.inference_mode()
def score_mixes(
    models: Any,
    mixer: FaceMixer,
    protocol: MixProtocol,
    *,
    landmarks: Callable[[Tensor], Tensor] | None = None,
    stale: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Measure a mixer.

    Parameters
    ----------
    models : Models
        With both judges.
    mixer : FaceMixer
        What is measured.
    protocol : MixProtocol
        On which pairs.
    landmarks : callable, optional
        Pictures to points (B, P, 2), shares of the side.
    stale : callable
        Told what is being done.

    Returns
    -------
    dict
        ``closer_share``, ``identity_similarity``, ``attribute_similarity`` and
        ``stranger_similarity``; ``identity_share_of_rebuilt`` (0 strangers, 1 as alike as a face
        and itself redrawn by this mixer: what of the person that it can rebuild at all is still
        there in a mix. Who rebuilds worse stands higher, so it compares no two mixers;
        ``render_identity_scale`` of ``recipes.mixing_truth`` does); ``yaw_error``, ``pitch_error``
        and ``roll_error`` in the table's units; ``NAME_correlation`` of openings and their
        ``NAME_ceiling`` (how well the regressors that the mixer was trained with agree with the
        judge on the inputs themselves: no mixer can be expected to do better);
        ``expression_correlation``; ``landmark_error`` (share of the side); ``rebuilt_ms_ssim``,
        ``rebuilt_psnr`` and ``rebuilt_similarity`` of faces mixed with themselves;
        ``frechet_distance`` and ``frechet_floor``; ``cloud_distance`` (1 is the population's) and
        ``outside_share``; ``seconds`` of one mix. Means and correlations over pairs come with
        ``NAME_interval``, 95 % of the bootstrap over pairs.
    """
    count, batch = protocol.pairs, protocol.batch
    stale("drawing faces")
    _, images = unseen_faces(models, protocol)
    stale("mixing")
    signature = mixer.signature(images)
    mixed_w = mixer.latent(signature[:count], signature[count:])
    mixed = mixer.draw(mixed_w)
    rebuilt = mixer.draw(mixer.latent(signature[:count], signature[:count]))
    stale("judging")

    def read(judge: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
        return torch.cat([judge(part).float().cpu() for part in pictures.split(batch)])

    person, given = read(models.identity_judge, images), read(models.attribute_judge, images)
    found, came = read(models.identity_judge, mixed), read(models.attribute_judge, mixed)
    kept = (found * person[:count]).sum(dim=1)
    leaked = (found * person[count:]).sum(dim=1)
    over_pairs = {
        "closer_share": (kept > leaked).float(),
        "identity_similarity": kept,
        "attribute_similarity": leaked,
        "stranger_similarity": (person[:count] * person[count:]).sum(dim=1),
    }
    if landmarks is not None:
        apart = read(landmarks, mixed) - read(landmarks, images[count:])
        over_pairs["landmark_error"] = apart.norm(dim=2).mean(dim=1)
    over_pairs |= pose_errors(models.table, came, given[count:])
    scores: dict[str, Any] = {"pairs": count, **means(over_pairs, protocol.seed)}
    scores |= openings_kept(models.table, came, given[count:], protocol.seed)
    if models.regressors:
        seen = torch.stack([read(r, images[count:]) for r in models.regressors]).mean(dim=0)
        for name in (n for n in OPENING if n in models.table):
            i = models.table.index(name)
            scores[f"{name}_ceiling"] = correlation(seen[:, i], given[count:, i])
    scores |= _rebuilt(
        images[:count], rebuilt, person[:count], read(models.identity_judge, rebuilt)
    )
    scores["identity_share_of_rebuilt"] = on_scale(
        scores["identity_similarity"],
        scores["stranger_similarity"],
        scores["rebuilt_similarity"],
    )
    features = getattr(models.attribute_judge, "features", None)
    if features is not None:
        half = [read(features, part) for part in (images[:count], images[count:], mixed)]
        scores["frechet_distance"] = frechet_distance(half[2], half[0])
        scores["frechet_floor"] = frechet_distance(half[1], half[0])
    scores |= cloud_scores(_population(models.generator, protocol), mixed_w.cpu())
    stale("timing")
    scores["seconds"] = mix_seconds(mixer, images[:1], images[1:2])
    return {name: _round(value) for name, value in scores.items()}


def means(over_pairs: Mapping[str, Tensor], seed: int) -> dict[str, Any]:
    """Means of columns (N,) with their intervals, as ``NAME`` and ``NAME_interval``."""
    columns = torch.stack(list(over_pairs.values()), dim=1)
    low, high = mean_intervals(columns, seed=seed)
    found: dict[str, Any] = {}
    for i, name in enumerate(over_pairs):
        found[name] = float(columns[:, i].double().mean())
        found[f"{name}_interval"] = [float(low[i]), float(high[i])]
    return found


def pose_errors(table: Any, came: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Error of each angle, (N,) in the table's units: readings (N, A) of outputs and of inputs."""
    errors = {}
    for name in (n for n in POSE if n in table):
        attribute, i = table[name], table.index(name)
        errors[f"{name}_error"] = (came[:, i] - wanted[:, i]).abs() * (
            attribute.high - attribute.low
        )
    return errors


def openings_kept(table: Any, came: Tensor, wanted: Tensor, seed: int = 0) -> dict[str, Any]:
    """How well openings and expression follow: readings (N, A) of outputs and of inputs."""
    scores: dict[str, Any] = {}
    groups = {name: [table.index(name)] for name in OPENING if name in table}
    shown = [table.index(a.name) for a in table if a.family in EXPRESSION]
    if shown:
        groups["expression"] = shown
    for name, columns in groups.items():
        value, low, high = mean_correlation(came[:, columns], wanted[:, columns], seed)
        scores[f"{name}_correlation"] = value
        scores[f"{name}_correlation_interval"] = [low, high]
    return scores


def mean_correlation(
    first: Tensor, second: Tensor, seed: int = 0, draws: int = 1000
) -> tuple[float, float, float]:
    """Mean over columns of Pearson's correlation of (N, K) pairs; and 95 % of its bootstrap.

    Whole pairs are resampled; a column that is constant counts as 0.
    """
    a, b = ((x.double() - x.double().mean(0)) for x in (first, second))
    n, source = len(a), torch.Generator().manual_seed(seed)
    counts = torch.zeros(draws + 1, n, dtype=torch.float64)
    drawn = torch.randint(n, (draws, n), generator=source)
    counts[1:].scatter_add_(1, drawn, torch.ones(draws, n, dtype=torch.float64))
    counts[0] = 1  # the pairs themselves
    one, two, both, left, right = (counts @ x / n for x in (a, b, a * b, a * a, b * b))
    size = ((left - one.square()).clamp_min(0) * (right - two.square()).clamp_min(0)).sqrt()
    found = torch.where(size > 1e-12, (both - one * two) / size.clamp_min(1e-12), 0.0).mean(dim=1)
    ends = torch.quantile(found[1:], torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(found[0]), float(ends[0]), float(ends[1])


def on_scale(value: float, low: float, high: float) -> float:
    """Where a similarity stands between two others: 0 at ``low``, 1 at ``high``."""
    return (value - low) / max(high - low, 1e-6)


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's correlation of two (N,) tensors; 0 where one of them is constant."""
    a, b = first.double() - first.double().mean(), second.double() - second.double().mean()
    size = float(a.norm() * b.norm())
    return 0.0 if size < 1e-12 else float((a * b).sum()) / size


@torch.inference_mode()
def _population(generator: Any, protocol: MixProtocol, count: int = 8192) -> Tensor:
    """Latents (count, w_dim) of as many faces as show the shape of W, whatever is mixed."""
    z = z_from_seeds(FIRST_FACE + 400_000, count, generator.z_dim).to(generator.w_avg.device)
    w: Tensor = generator.mapping(z, truncation_psi=protocol.truncation_psi)[:, 0]
    return w.float().cpu()


def cloud_scores(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How far mixed latents (N, w_dim) lie from the cloud of real ones (M, w_dim).

    ``cloud_distance`` is the mean squared Mahalanobis distance, divided by the real latents' own;
    ``outside_share`` the share beyond the farthest hundredth of the real ones.
    """
    mean = real.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov((real.double() - mean).T))
    # few faces do not fill the space: directions that they do not show say nothing
    kept = values > float(values.max()) * 1e-4
    scale = vectors[:, kept] / values[kept].sqrt()

    def distance(rows: Tensor) -> Tensor:
        return ((rows.double() - mean) @ scale).square().mean(dim=1)

    own, other = distance(real), distance(fake)
    edge = torch.quantile(own, 0.99)
    return {
        "cloud_distance": float(other.mean() / own.mean()),
        "outside_share": float((other > edge).double().mean()),
    }


def _rebuilt(images: Tensor, again: Tensor, person: Tensor, found: Tensor) -> dict[str, float]:
    """A face mixed with itself beside the face, as they would be seen: within [-1, 1]."""
    images, again = images.float().clamp(-1, 1), again.float().clamp(-1, 1)
    error = (images - again).square().mean(dim=(1, 2, 3)) / 4  # in units of [0, 1]
    similar = [
        float(ms_ssim(a, b)) * len(a)
        for a, b in zip(images.split(64), again.split(64), strict=True)
    ]
    return {
        "rebuilt_ms_ssim": sum(similar) / len(images),
        "rebuilt_psnr": float((-10 * error.clamp_min(1e-10).log10()).mean()),
        "rebuilt_similarity": float((person * found).sum(dim=1).mean()),
    }


def mix_seconds(mixer: FaceMixer, first: Tensor, second: Tensor, rounds: int = 7) -> float:
    """Median seconds from two pictures to the picture of their mix, at batch 1."""
    if len(first) != 1 or len(second) != 1:
        raise MixError(f"{len(first)} and {len(second)} pictures; allowed: one and one")
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        mixer.draw(mixer.mix(first, second))
        times.append(time.perf_counter() - began)
    return sorted(times[2:])[rounds // 2]


@torch.inference_mode()
def mix_sheet(mixer: FaceMixer, people: Tensor, attributes: Tensor) -> Tensor:
    """Pictures of a grid with its inputs: (1 + N) rows of (1 + M), the first corner blank.

    Parameters
    ----------
    people : Tensor, shape (N, 3, R, R)
        Down the left side.
    attributes : Tensor, shape (M, 3, R, R)
        Along the top.

    Returns
    -------
    Tensor, shape ((1 + N) (1 + M), 3, R, R)
        Row by row.
    """
    rows, columns = mixer.signature(people), mixer.signature(attributes)
    cells = mixer.grid(rows, columns)
    lines = [torch.ones_like(people[:1]), attributes]
    for i in range(len(people)):
        lines += [people[i : i + 1], mixer.draw(cells[i])]
    return torch.cat(lines)


@torch.inference_mode()
def ablation_sheet(mixers: Sequence[FaceMixer], people: Tensor, attributes: Tensor) -> Tensor:
    """A row for each pair: both inputs, then what each mixer makes of them.

    Parameters
    ----------
    mixers : sequence of FaceMixer
        M of them.
    people, attributes : Tensor, shape (P, 3, R, R)
        Pictures in [-1, 1], pair by pair.

    Returns
    -------
    Tensor, shape (P * (2 + M), 3, R, R)
        Row by row.
    """
    columns = [people, attributes]
    for mixer in mixers:
        columns.append(mixer.draw(mixer.mix(people, attributes)))
    return torch.stack(columns, dim=1).flatten(0, 1)


def same_person_similarity(
    judge: Callable[[Tensor], Tensor], images: Tensor, people: Tensor
) -> float:
    """Mean similarity of two pictures of one person, over all such pairs.

    Parameters
    ----------
    judge : callable
        Pictures to unit vectors (B, D).
    images : Tensor, shape (N, 3, R, R)
        In [-1, 1].
    people : Tensor, shape (N,)
        Who is on them.
    """
    with torch.inference_mode():
        vectors = torch.cat([judge(part).float().cpu() for part in images.split(64)])
    alike = people[:, None] == people[None]
    pairs = torch.triu(alike, 1)
    if not bool(pairs.any()):
        raise ValueError("people: nobody is on two pictures; allowed: at least one pair")
    return float((vectors @ vectors.T)[pairs].mean())


def _round(value: Any) -> Any:
    if isinstance(value, list):
        return [_round(v) for v in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


__all__ = [
    "MixProtocol",
    "Signature",
    "ablation_sheet",
    "cloud_scores",
    "correlation",
    "mean_correlation",
    "means",
    "mix_seconds",
    "mix_sheet",
    "on_scale",
    "openings_kept",
    "pose_errors",
    "same_person_similarity",
    "score_mixes",
    "unseen_faces",
]
