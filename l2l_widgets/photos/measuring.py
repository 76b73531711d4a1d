"""How good inversions are: pictures and judges that no training has seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.inversion import InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos.inverting import invert_picture, load_encoder
from l2l_widgets.photos.reading import PhotoError
from l2l_widgets.policy import visible_table

__all__ = ["measure_inversion"]

#: What a good inversion keeps: attributes to this, identity to that.
ATTRIBUTES_WITHIN, IDENTITY_LEAST = 0.1, 0.8
RESAMPLED = 2000


def measure_inversion(
    models: Models,
    pictures: Sequence[Tensor],
    settings: InversionSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Invert pictures; by the encoder alone, where there is one, and with the descent.

    Parameters
    ----------
    models : Models
        With an attribute judge and an identity judge.
    pictures : sequence of Tensor
        Each (1, 3, R, R), RGB in [-1, 1], aligned.
    settings : InversionSettings, optional
        Of the descent.
    progress : callable, optional
        Gets (pictures done, pictures).

    Returns
    -------
    dict
        ``n``, ``settings``, ``judges`` (part -> hash), and for each ``way`` ("encoder", "descent"):
        ``attribute_error`` and ``identity`` (mean with a 95 % bootstrap interval over pictures),
        ``worst_attribute``, ``attributes_within`` and ``identity_reached`` (shares of the
        pictures), ``cloud_distance``, ``seconds`` (median) and ``seconds_most``.

    Raises
    ------
    PhotoError
        There is no second judge, or no picture.
    """
    for part in ("attribute_judge", "identity_judge"):
        if not models.has(part):
            raise PhotoError(f"models {models.name!r} have no {part}: nothing can be measured")
    if not pictures:
        raise PhotoError("pictures is empty; allowed: at least one")
    settings = settings or InversionSettings()
    ways = {"descent": settings}
    if load_encoder(models) is not None:
        ways = {"encoder": replace(settings, steps=0), **ways}
        invert_picture(models, pictures[0], ways["encoder"])  # the first call loads everything
    rows: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for done, picture in enumerate(pictures, 1):
        for way, how in ways.items():
            rows[way].append(_one(models, picture, how))
        if progress is not None:
            progress(done, len(pictures))
    hashes = models.hashes
    judges = {p: hashes.get(p, "") for p in ("attribute_judge", "identity_judge", "generator")}
    return {
        "n": len(pictures), "settings": asdict(settings), "judges": judges,
        "ways": {way: _summary(models, found, settings.seed) for way, found in rows.items()},
    }  # fmt: skip


def _one(models: Models, picture: Tensor, settings: InversionSettings) -> dict[str, Any]:
    begun = time.perf_counter()
    found = invert_picture(models, picture, settings)
    seconds = time.perf_counter() - begun
    with torch.inference_mode():
        read, same = models.attribute_judge, models.identity_judge
        apart = (read(picture) - read(found.image)).abs()[0]
        cosine = float((same(picture) * same(found.image)).sum())
    return {
        "apart": apart.cpu().numpy(), "identity": cosine, "seconds": seconds,
        "cloud": found.cloud_distance,
    }  # fmt: skip


def _summary(models: Models, rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    apart = np.stack([row["apart"] for row in rows])  # (N, A)
    identity = np.array([row["identity"] for row in rows])
    seconds = np.array([row["seconds"] for row in rows])
    by_name = apart.mean(0)
    shown = [models.table.index(name) for name in visible_table(models.table).names]
    worst = shown[int(by_name[shown].argmax())]
    return {
        "attribute_error": _mean(apart.mean(1), seed),
        "worst_attribute": {
            "name": models.table.names[worst], "error": round(float(by_name[worst]), 4)
        },
        "attributes_within": round(float((apart <= ATTRIBUTES_WITHIN).mean()), 4),
        "identity": _mean(identity, seed),
        "identity_reached": round(float((identity >= IDENTITY_LEAST).mean()), 4),
        "cloud_distance": round(float(np.mean([row["cloud"] for row in rows])), 3),
        "seconds": round(float(np.median(seconds)), 3),
        "seconds_most": round(float(seconds.max()), 3),
    }  # fmt: skip


def _mean(values: np.ndarray, seed: int) -> dict[str, float]:
    """Mean and its bootstrap interval over pictures."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLED, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return {"mean": round(float(values.mean()), 4), "low": round(float(low), 4),
            "high": round(float(high), 4)}  # fmt: skip
