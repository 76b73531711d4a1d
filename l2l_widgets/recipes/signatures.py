"""What the frozen networks say of every training face, in shards beside the labelled set.

A step of the mixer needs each picture's identity vector and landmarks, which never change: they are
computed once. Shards are written whole, so a killed writer goes on where it stopped.

::

    signatures-<hash>/part-00000.safetensors   person (n, D) float32, landmarks (n, P, 2) float32
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.recipes.progress import say
from l2l_widgets.storage import StorageError, load_safetensors, make_folder, save_safetensors
from l2l_widgets.training import TrainingError
from l2l_widgets.triplets import TripletReader

SHARD = 4096
FORMAT = "l2l-signatures/1"


@torch.inference_mode()
def signatures(
    reader: TripletReader,
    embedder: Any,
    landmarks: Any | None,
    origin: Mapping[str, str],
    batch: int = 64,
) -> tuple[Tensor, Tensor]:
    """Read or compute the identity vectors and landmarks of a labelled set.

    Parameters
    ----------
    reader : TripletReader
        The set.
    embedder : callable
        Pictures to unit vectors (B, D).
    landmarks : callable or None
        Pictures to points (B, P, 2), shares of the side; None leaves them out (P is 0).
    origin : mapping of str to str
        Hashes of the two; they name the folder.
    batch : int
        Pictures at a time.

    Returns
    -------
    person : Tensor, shape (N, D)
    points : Tensor, shape (N, P, 2)

    Raises
    ------
    TrainingError
        The folder cannot be written.
    """
    made_by = {k: v for k, v in origin.items() if k in ("embedder", "landmarks")}
    if landmarks is None:
        made_by.pop("landmarks", None)
    name = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    folder = reader.directory / f"signatures-{name}"
    people, points = [], []
    try:
        make_folder(folder)
        for start in range(0, len(reader), SHARD):
            size = min(SHARD, len(reader) - start)
            path = folder / f"part-{start // SHARD:05d}.safetensors"
            part = _whole(path, size)
            if part is None:
                part = _compute(reader, embedder, landmarks, range(start, start + size), batch)
                save_safetensors(path, part, {"format": FORMAT})
                say(f"signatures: {start + size} of {len(reader)}")
            people.append(part["person"])
            points.append(part["landmarks"])
    except StorageError as error:
        raise TrainingError(str(error)) from error
    return torch.cat(people), torch.cat(points)


def _whole(path: Any, size: int) -> dict[str, Tensor] | None:
    """A shard that is there and complete."""
    try:
        tensors, metadata = load_safetensors(path)
    except StorageError:
        return None
    if metadata.get("format") != FORMAT or any(len(t) != size for t in tensors.values()):
        return None
    return tensors if {"person", "landmarks"} <= set(tensors) else None


def _compute(
    reader: TripletReader, embedder: Any, landmarks: Any | None, rows: range, batch: int
) -> dict[str, Tensor]:
    people, points = [], []
    for part in torch.arange(rows.start, rows.stop).split(batch):
        images = reader.batch(part)["image"]
        people.append(embedder(images).float().cpu())
        found = torch.zeros(len(part), 0, 2) if landmarks is None else landmarks(images)
        points.append(found.float().cpu())
    return {"person": torch.cat(people), "landmarks": torch.cat(points)}
