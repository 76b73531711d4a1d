"""How well a reader reads where the truth is known: R², AUC, calibration; one person or two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.metrics.reliability import r_squared, reliability, roc_auc
from l2l_widgets.metrics.same_person import true_accept_interval, true_accept_rate

__all__ = ["MEASURED_AUC", "MEASURED_R2", "measured", "score_embedder", "score_reader"]

#: An attribute counts as measured from this R² or this AUC on.
MEASURED_R2, MEASURED_AUC = 0.9, 0.98


@torch.inference_mode()
def score_reader(
    reader: Any, names: tuple[str, ...], images: Tensor, truth: Tensor, bins: int = 10
) -> dict[str, Any]:
    """Hold a reader against the truth.

    Parameters
    ----------
    reader : callable
        Pictures (B, 3, R, R) in [-1, 1] to readings (B, A) in [0, 1].
    names : tuple of str
        Its columns.
    images : Tensor, shape (N, 3, R, R), uint8
        Pictures it was not trained on.
    truth : Tensor, shape (N, A)
        Their true degrees, in [0, 1].
    bins : int
        Of the reading, in the calibration curve.

    Returns
    -------
    dict
        ``faces``; ``mean_r2``; ``mean_calibration_error``; ``attributes``: name -> ``r2``, ``auc``
        (None where all faces have it or none), ``calibration_error``, and the curve: ``count``,
        ``reading`` and ``truth`` of each bin, None in an empty one.
    """
    read = torch.cat([reader(part.float() / 127.5 - 1) for part in images.split(128)]).cpu()
    r2, auc = r_squared(read, truth), roc_auc(read, truth)
    curve = reliability(read, truth, bins)
    attributes = {
        name: {
            "r2": _plain(r2[i]),
            "auc": _plain(auc[i]),
            "calibration_error": _plain(curve.error[i]),
            "count": curve.count[i].tolist(),
            "reading": [_plain(v, 3) for v in curve.reading[i]],
            "truth": [_plain(v, 3) for v in curve.truth[i]],
        }
        for i, name in enumerate(names)
    }
    return {
        "faces": len(images),
        "mean_r2": _plain(r2.nanmean()),
        "mean_calibration_error": _plain(curve.error.mean()),
        "attributes": attributes,
    }


@torch.inference_mode()
def score_embedder(
    embedder: Any, images: Tensor, people: Tensor, *, seed: int = 0, draws: int = 1000
) -> dict[str, Any]:
    """Let an embedder tell people apart.

    Parameters
    ----------
    embedder : callable
        Pictures (B, 3, R, R) in [-1, 1] to unit vectors (B, D).
    images : Tensor, shape (N, 3, R, R), uint8
        Several pictures of each person, none of whom it was trained on.
    people : Tensor, shape (N,)
        Whose picture each is.
    seed, draws : int
        Of the bootstrap over people.

    Returns
    -------
    dict
        ``people``, ``pictures``; ``true_accept_rate``, the share of pairs of one person that are
        more alike than all but 1 % of the pairs of two, and 95 % of it over people, ``low`` and
        ``high``, by ``draws`` resamples of ``seed``; ``same_similarity`` and
        ``different_similarity``, the mean cosine of both kinds of pairs.
    """
    vectors = torch.cat([embedder(part.float() / 127.5 - 1).cpu() for part in images.split(128)])
    vectors = vectors.float()
    low, high = true_accept_interval(vectors, people, seed=seed, draws=draws)
    similarity = vectors @ vectors.T
    same = people[:, None] == people[None]
    pairs = torch.ones_like(same).triu(1)
    return {
        "people": len(people.unique()),
        "pictures": len(people),
        "seed": seed,
        "draws": draws,
        "true_accept_rate": round(true_accept_rate(vectors, people), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "same_similarity": _plain(similarity[pairs & same].mean()),
        "different_similarity": _plain(similarity[pairs & ~same].mean()),
    }


def measured(attributes: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Divide a reader's attributes into those that it measures well enough, and the rest.

    Parameters
    ----------
    attributes : mapping
        As :func:`score_reader` gives them.

    Returns
    -------
    reached, missed : list of str
        With R² of at least 0.9 or AUC of at least 0.98, and without.
    """
    reached = [
        name
        for name, row in attributes.items()
        if (row["r2"] or 0.0) >= MEASURED_R2 or (row["auc"] or 0.0) >= MEASURED_AUC
    ]
    return reached, [name for name in attributes if name not in reached]


def _plain(value: Tensor, digits: int = 4) -> float | None:
    number = float(value)
    return round(number, digits) if math.isfinite(number) else None
