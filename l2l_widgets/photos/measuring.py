"""How good inversions are, stage by stage: pictures and judges that no training has seen."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.inversion import Distance, InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos.inverting import ENCODER_FILE, invert_picture, load_encoder
from l2l_widgets.photos.reading import PhotoError
from l2l_widgets.policy import visible_table
from l2l_widgets.storage import sha256_file, write_atomic

__all__ = ["MeasuredFaces", "measure_inversion"]

#: What a good inversion keeps, and in what time: attributes to this on average, identity to that.
ATTRIBUTES_WITHIN, IDENTITY_LEAST, SECONDS_MOST = 0.1, 0.8, 20.0
RESAMPLED = 2000
#: What a face's row holds; rows of another kind are not gone on with.
ROWS = "apart, identity, seconds, processor, cloud"


class MeasuredFaces:
    """What was measured so far, on disk after every face and stage: a later call goes on there.

    Parameters
    ----------
    path : Path or None
        A JSON file; None keeps nothing.
    key : str
        Of everything that decides the figures. A file with another key is refused.

    Raises
    ------
    PhotoError
        The file was made of other models or settings, or is none of ours.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self.rows: dict[str, dict[str, Any]] = {}
        if path is None or not path.is_file():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known, rows = found["key"], dict(found["rows"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PhotoError(
                f"{path}: no measured faces ({error}); allowed: another --out"
            ) from None
        if known != key:
            raise PhotoError(
                f"{path}: measured with other models or settings, or another number of threads; "
                "allowed: the same ones, or another --out"
            )
        for name, row in rows.items():
            if not _is_row(row) or len(row["apart"]) != len(next(iter(rows.values()))["apart"]):
                raise PhotoError(
                    f"{path}: row {name} is {str(row)[:60]}; allowed: {ROWS}, in finite numbers, "
                    "or another --out"
                )
        self.rows = rows

    def get(self, number: int, way: str) -> dict[str, Any] | None:
        """The row of a face and a stage, where it is there."""
        return self.rows.get(f"{number}/{way}")

    def add(self, number: int, way: str, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.rows[f"{number}/{way}"] = row
        if self.path is not None:
            text = json.dumps({"key": self.key, "rows": self.rows})
            write_atomic(self.path, (text + "\n").encode())


def _is_row(row: Any) -> bool:
    """Whether it is what :func:`_one` gives."""
    if not isinstance(row, dict) or not isinstance(row.get("apart"), list) or not row["apart"]:
        return False
    values = [*row["apart"], *(row.get(name) for name in ROWS.split(", ")[1:])]
    return all(type(v) in (int, float) and math.isfinite(v) for v in values)


def measure_inversion(
    models: Models,
    picture_of: Callable[[int], Tensor],
    count: int,
    settings: InversionSettings | None = None,
    *,
    spaces: tuple[str, ...] = ("w", "w+"),
    distance: Distance | None = None,
    named: str = "",
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Invert pictures: by the encoder alone, where there is one, then by descent in each space.

    Parameters
    ----------
    models : Models
        With an attribute judge and an identity judge.
    picture_of : callable
        Number of a face, from 0, to its picture (1, 3, R, R), RGB in [-1, 1], aligned.
    count : int
        Faces, at least 1.
    settings : InversionSettings, optional
        Of the descent; its space is not used.
    spaces : tuple of str
        "w", "w+" or both.
    distance : callable, optional
        What counts beside the pixels; as for :func:`~l2l_widgets.photos.invert_picture`.
    named : str
        What decides the pictures, such as a seed, and names the distance where one is given: part
        of what a resumed measurement must share.
    kept : Path, optional
        A file that keeps each face's row, from which a later call goes on.
    progress : callable, optional
        Gets (stages of faces done, all of them).

    Returns
    -------
    dict
        ``n``, ``seed``, ``threads``, ``settings``, ``judges`` (part -> hash), and for each ``way``
        ("encoder", "w", "w+"): ``attribute_error``, ``identity``, ``seconds`` and
        ``processor_seconds``, which other work on the machine lengthens less (``mean`` with a 95 %
        bootstrap interval over faces, ``low`` and ``high``, and the ``quartiles``),
        ``worst_attribute``, ``attributes_within``, ``identity_reached`` and ``seconds_reached``
        (shares of the faces) and ``cloud_distance``.

    Raises
    ------
    PhotoError
        There is no second judge, no face, or ``kept`` holds something else.
    """
    for part in ("attribute_judge", "identity_judge"):
        if not models.has(part):
            raise PhotoError(f"models {models.name!r} have no {part}: nothing can be measured")
    if count < 1:
        raise PhotoError(f"count is {count}; allowed: at least one")
    settings = settings or InversionSettings()
    ways = {space: replace(settings, space=space) for space in spaces}
    if load_encoder(models) is not None:
        ways = {"encoder": replace(settings, space="w+", steps=0), **ways}
        invert_picture(models, picture_of(0), ways["encoder"])  # the first call loads everything
    hashes = {p: models.hashes.get(p, "") for p in ("attribute_judge", "identity_judge")}
    hashes["generator"] = models.hashes.get("generator", "")
    encoder = models.folder / ENCODER_FILE if models.folder and "encoder" in ways else None
    how = asdict(replace(settings, space="w"))  # the stages have spaces of their own
    # seconds of one number of threads say nothing about another's
    threads = torch.get_num_threads()
    parts = [ROWS, hashes, encoder and sha256_file(encoder), how, named, threads]
    decides = json.dumps(parts, sort_keys=True)
    measured = MeasuredFaces(kept, hashlib.sha256(decides.encode()).hexdigest())
    done = 0
    for number in range(count):
        picture = None
        for way, chosen in ways.items():
            if measured.get(number, way) is None:
                picture = picture_of(number) if picture is None else picture
                measured.add(number, way, _one(models, picture, chosen, distance))
            done += 1
            if progress is not None:
                progress(done, count * len(ways))
    rows = {way: [measured.get(n, way) for n in range(count)] for way in ways}
    return {
        "n": count, "seed": settings.seed, "threads": threads,
        "settings": asdict(settings), "judges": hashes,
        "ways": {way: _summary(models, found, settings.seed) for way, found in rows.items()},
    }  # fmt: skip


def _one(
    models: Models, picture: Tensor, settings: InversionSettings, distance: Distance | None
) -> dict[str, Any]:
    begun, worked = time.perf_counter(), time.process_time()
    found = invert_picture(models, picture, settings, distance=distance)
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    with torch.inference_mode():
        read, same = models.attribute_judge, models.identity_judge
        apart = (read(picture) - read(found.image)).abs()[0]
        cosine = float((same(picture) * same(found.image)).sum())
    return {
        "apart": [round(v, 5) for v in apart.tolist()], "identity": round(cosine, 5),
        "seconds": round(seconds, 4), "processor": round(worked, 4),
        "cloud": round(found.cloud_distance, 4),
    }  # fmt: skip


def _summary(models: Models, rows: list[Any], seed: int) -> dict[str, Any]:
    apart = np.array([row["apart"] for row in rows])  # (N, A)
    identity, seconds, processor, cloud = (
        np.array([row[name] for row in rows])
        for name in ("identity", "seconds", "processor", "cloud")
    )
    by_name, by_face = apart.mean(0), apart.mean(1)
    shown = [models.table.index(name) for name in visible_table(models.table).names]
    worst = shown[int(by_name[shown].argmax())]
    return {
        "attribute_error": _spread(by_face, seed),
        "worst_attribute": {
            "name": models.table.names[worst], "error": round(float(by_name[worst]), 4)
        },
        "attributes_within": round(float((by_face <= ATTRIBUTES_WITHIN).mean()), 4),
        "identity": _spread(identity, seed),
        "identity_reached": round(float((identity >= IDENTITY_LEAST).mean()), 4),
        "cloud_distance": round(float(cloud.mean()), 3),
        "seconds": _spread(seconds, seed), "processor_seconds": _spread(processor, seed),
        "seconds_reached": round(float((seconds <= SECONDS_MOST).mean()), 4),
    }  # fmt: skip


def _spread(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Mean, its bootstrap interval over faces, and the quartiles."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLED, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return {
        "mean": round(float(values.mean()), 4), "low": round(float(low), 4),
        "high": round(float(high), 4),
        "quartiles": [round(float(v), 4) for v in np.quantile(values, [0.25, 0.5, 0.75])],
    }  # fmt: skip
