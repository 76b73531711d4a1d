"""How near generated faces are to the pictures that they were learned from.

Three questions: do the two populations agree (Fréchet distance, precision and recall, shares,
spreads and correlations of the attributes, all read by the second judge), do detectors of real
faces find faces and eyes in both alike, and is any training picture memorised?
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.evaluation.detection import haar_counter
from l2l_widgets.metrics.distribution import frechet_distance, precision_recall
from l2l_widgets.metrics.neighbours import nearest_rows, neighbour_ratio
from l2l_widgets.metrics.significance import mean_intervals

__all__ = [
    "Memorised",
    "draw_faces",
    "score_attributes",
    "score_detection",
    "score_distribution",
    "score_memorisation",
]

#: A face has an attribute where the judge reads more than this.
PRESENT = 0.5
#: Side to which pictures are averaged before they are compared pixel by pixel: a shift of a pixel
#: must not hide a copy.
COMPARED_SIDE = 16


@torch.inference_mode()
def draw_faces(
    generator: Any, count: int, seed: int = 0, batch: int = 64, side: int | None = None
) -> Tensor:
    """Draw faces without truncation.

    Parameters
    ----------
    generator : Generator
        As in :mod:`l2l_widgets.protocols`.
    count : int
        Faces.
    seed : int
        Of their codes.
    batch : int
        Faces at a time.
    side : int, optional
        Average them down to so many pixels, so that they compare with renders of that size.

    Returns
    -------
    Tensor, shape (count, 3, R, R), uint8
        Rounded as a saved picture is.
    """
    stream = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, generator.z_dim, generator=stream)
    parts = []
    for z in codes.split(batch):
        images = generator.synthesis(generator.mapping(z), noise_mode="const").clamp(-1, 1)
        if side is not None and side != images.shape[-1]:
            images = F.interpolate(images, (side, side), mode="area")
        parts.append(((images + 1) * 127.5).round().byte().cpu())
    return torch.cat(parts)


@torch.inference_mode()
def score_distribution(
    judge: Any, fake: Tensor, held_out: Tensor, unseen: Tensor
) -> dict[str, Any]:
    """Compare two sets in the judge's features.

    Parameters
    ----------
    judge : AttributeNet
        With ``features``.
    fake, held_out, unseen : Tensor, shape (N, 3, R, R), uint8
        Generated faces, and two disjoint sets of renders that nothing was trained on: how far they
        lie apart is the floor.

    Returns
    -------
    dict
        ``frechet_distance``, ``frechet_floor``, ``frechet_ratio``, ``precision_score`` and
        ``recall_score`` (k = 3), ``frechet_faces``.
    """
    features = {
        name: torch.cat([judge.features(part) for part in _in_parts(images)])
        for name, images in (("fake", fake), ("held_out", held_out), ("unseen", unseen))
    }
    precision, recall = precision_recall(features["held_out"], features["fake"])
    distance = frechet_distance(features["fake"], features["held_out"])
    floor = frechet_distance(features["unseen"], features["held_out"])
    return {
        "frechet_faces": [len(fake), len(held_out), len(unseen)],
        "frechet_distance": round(distance, 3),
        "frechet_floor": round(floor, 3),
        "frechet_ratio": round(distance / floor, 2) if floor > 0 else None,
        "precision_score": round(precision, 3),
        "recall_score": round(recall, 3),
    }


@torch.inference_mode()
def score_attributes(
    judge: Any, names: tuple[str, ...], fake: Tensor, real: Tensor, draws: int = 1000
) -> dict[str, Any]:
    """Compare shares, spreads, means and correlations of the attributes, by a judge.

    Parameters
    ----------
    judge : callable
        Pictures (B, 3, R, R) in [-1, 1] to readings (B, A) in [0, 1].
    names : tuple of str
        Its columns.
    fake, real : Tensor, shape (N, 3, R, R), uint8
        Generated faces and renders of the population.
    draws : int
        Resamples of the faces behind each interval.

    Returns
    -------
    dict
        ``share``: name -> share of the faces that have the attribute among the generated (``fake``,
        with its 95 % bootstrap interval ``low``, ``high``) and the renders (``real``), and
        ``ratio``, None where no render has it; ``spread_ratio`` and ``mean_shift``: name -> value,
        None where a set does not vary; ``correlation_error``: mean absolute error of the matrix of
        correlations.
    """
    readings = [torch.cat([judge(p) for p in _in_parts(images)]) for images in (fake, real)]
    ours, theirs = (r.double().cpu() for r in readings)
    has = (ours > PRESENT).double()
    low, high = mean_intervals(has, seed=0, draws=draws)
    shares: dict[str, Any] = {}
    for i, name in enumerate(names):
        own, wanted = float(has[:, i].mean()), float((theirs[:, i] > PRESENT).double().mean())
        shares[name] = {
            "fake": round(own, 4),
            "low": round(float(low[i]), 4),
            "high": round(float(high[i]), 4),
            "real": round(wanted, 4),
            "ratio": round(own / wanted, 3) if wanted else None,
        }
    error = (torch.corrcoef(ours.T) - torch.corrcoef(theirs.T)).abs().mean()
    return {
        "share": shares,
        "spread_ratio": _by_name(names, ours.std(0) / theirs.std(0)),
        "mean_shift": _by_name(names, ours.mean(0) - theirs.mean(0)),
        "correlation_error": round(float(error), 4),
    }


def score_detection(
    fake: Tensor,
    real: Tensor,
    count: int = 500,
    counters: dict[str, Callable[[Tensor], Tensor]] | None = None,
) -> dict[str, Any]:
    """Have detectors of real faces look for faces and eyes in both sets, upscaled alike.

    Parameters
    ----------
    fake, real : Tensor, shape (N, 3, R, R), uint8
        Generated faces and renders.
    count : int
        The first so many of each are searched.
    counters : mapping of str to callable, optional
        Name -> pictures (B, 3, R, R) in [-1, 1] to finds (B,); OpenCV's cascades for "face" and
        "eyes" if not given.

    Returns
    -------
    dict
        Name -> finds a picture ``fake`` and ``real``, and their ``ratio`` with its 95 % bootstrap
        interval ``low``, ``high``, None where nothing is found in the renders; ``faces``.

    Raises
    ------
    DetectorError
        OpenCV is not installed and no counters are given.
    """
    if counters is None:
        counters = {what: haar_counter(what) for what in ("face", "eyes")}
    out: dict[str, Any] = {"faces": min(count, len(fake), len(real))}
    for name, counter in counters.items():
        finds = [
            torch.cat([counter(p) for p in _in_parts(x[: out["faces"]])]).double()
            for x in (fake, real)
        ]
        stream = torch.Generator().manual_seed(0)
        rows = (torch.randint(len(f), (1000, len(f)), generator=stream) for f in finds)
        fakes, reals = (f[r].mean(dim=1) for f, r in zip(finds, rows, strict=True))
        means = [float(f.mean()) for f in finds]
        entry: dict[str, float | None] = {"fake": round(means[0], 3), "real": round(means[1], 3)}
        entry |= {"ratio": None, "low": None, "high": None}
        if bool((reals > 0).all()):
            ends = (fakes / reals).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
            entry["ratio"] = round(means[0] / means[1], 3)
            entry["low"], entry["high"] = (round(float(v), 3) for v in ends)
        out[name] = entry
    return out


class Memorised(NamedTuple):
    """Which training pictures lie nearest to generated ones.

    Attributes
    ----------
    scores : dict
        Space ("pixels" or "features") -> ``ratio``, ``low``, ``high`` and ``closer_share`` of
        :func:`l2l_widgets.metrics.neighbours.neighbour_ratio`; ``faces``, ``training_faces``.
    pairs : dict
        Space -> (generated row, training row) of the generated faces nearest to the training set,
        nearest first.
    """

    scores: dict[str, Any]
    pairs: dict[str, list[tuple[int, int]]]


@torch.inference_mode()
def score_memorisation(
    judge: Any, fake: Tensor, held_out: Tensor, training: Tensor, shown: int = 12
) -> Memorised:
    """Compare the way to the nearest training picture from generated and from held-out faces.

    Parameters
    ----------
    judge : AttributeNet
        With ``features``.
    fake, held_out : Tensor, shape (N, 3, R, R), uint8
        Generated faces, and renders that nothing was trained on; as many of each.
    training : Tensor, shape (M, 3, R, R), uint8
        What the generator learned from.
    shown : int
        Pairs to name in each space.
    """
    spaces: dict[str, Callable[[Tensor], Tensor]] = {
        "pixels": lambda x: F.adaptive_avg_pool2d(x, COMPARED_SIDE).flatten(1),
        "features": judge.features,
    }
    scores: dict[str, Any] = {"faces": len(fake), "training_faces": len(training)}
    pairs = {}
    for name, read in spaces.items():
        ours, unseen, known = (
            torch.cat([read(p).float() for p in _in_parts(x)]) for x in (fake, held_out, training)
        )
        distance, row = nearest_rows(ours, known)
        found = neighbour_ratio(distance, nearest_rows(unseen, known)[0])
        scores[name] = {k: round(v, 4) for k, v in found._asdict().items()}
        order = distance.argsort()[:shown].tolist()
        pairs[name] = [(i, int(row[i])) for i in order]
    return Memorised(scores, pairs)


def _in_parts(images: Tensor, size: int = 128) -> Iterator[Tensor]:
    """Pictures in [-1, 1] from uint8, some at a time."""
    for part in images.split(size):
        yield part.float() / 127.5 - 1


def _by_name(names: tuple[str, ...], values: Tensor) -> dict[str, float | None]:
    named = zip(names, values.tolist(), strict=True)
    return {n: round(v, 3) if math.isfinite(v) else None for n, v in named}
