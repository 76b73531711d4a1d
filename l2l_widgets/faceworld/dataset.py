"""Rendered sets on disk: what judges and generators are trained on.

A set is a folder of shards, each one safetensors file with ``image`` (N, 3, R, R) uint8, ``mask``
(N, R, R) uint8, ``landmarks`` (N, 68, 2) float32 in pixels, ``latents`` (N, F) float32 and
``identity`` (N,) int32. Shards are written whole or not at all, so an interrupted run goes on where
it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.batches import render_batches
from l2l_widgets.faceworld.factors import (
    FACTORS,
    IDENTITY_FACTORS,
    Factors,
    factor_index,
    sample_factors,
)
from l2l_widgets.faceworld.processes import ShareError, share_out
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.storage import (
    StorageError,
    load_safetensors,
    locked,
    save_safetensors,
    write_atomic,
)

SHARD = 512
RESOLUTIONS = (16, 32, 64, 128, 256, 512, 1024)
POPULATIONS = ("correlated", "independent", "identities")


@dataclass(frozen=True)
class DatasetConfig:
    """What a set holds.

    Parameters
    ----------
    count : int
        Pictures.
    seed : int
        Shard ``k`` holds portraits ``k * SHARD`` on of the seed's row of portraits.
    population : {"correlated", "independent", "identities"}
        The planted population, independent factors, or several pictures of each person: identity
        factors shared, everything else drawn anew from the independent population.
    resolution : int
        Picture size.
    per_identity : int
        Pictures of each person in "identities".
    world : int
        Version of the renderer, see ``faceworld.version``.
    """

    count: int
    seed: int
    population: str = "correlated"
    resolution: int = 64
    per_identity: int = 4
    world: int = WORLD

    def __post_init__(self) -> None:
        if self.population not in POPULATIONS:
            raise ValueError(
                f"population is {self.population!r}; allowed: {', '.join(POPULATIONS)}"
            )
        if self.world != WORLD:
            raise ValueError(
                f"world is {self.world}; allowed: {WORLD}, the only one this version can draw"
            )
        if self.resolution not in RESOLUTIONS or self.seed < 0:
            raise ValueError(
                f"resolution is {self.resolution}, seed is {self.seed}; allowed: one of "
                f"{', '.join(map(str, RESOLUTIONS))}, and 0 or more"
            )
        if self.count < 1 or self.per_identity < 1 or SHARD % self.per_identity:
            raise ValueError(
                f"count is {self.count}, per_identity {self.per_identity}; allowed: a positive "
                f"count, and a divisor of {SHARD}"
            )


def shard_factors(config: DatasetConfig, shard: int) -> tuple[Factors, Tensor]:
    """Factors and identity numbers of one shard."""
    correlated = config.population == "correlated"
    factors = sample_factors(SHARD, config.seed, correlated, start=shard * SHARD)
    people = torch.arange(SHARD, dtype=torch.int32) + shard * SHARD
    if config.population == "identities":
        people = people // config.per_identity
        first = torch.arange(SHARD) // config.per_identity * config.per_identity
        latents = factors.latents.clone()
        columns = [factor_index(n) for n in IDENTITY_FACTORS]
        latents[:, columns] = latents[first][:, columns]
        factors = Factors(latents, factors.gated)
    return factors, people


def render_dataset(
    folder: str | Path, config: DatasetConfig, workers: int = 1, compiled: bool = False
) -> Path:
    """Render what is missing of a set.

    Parameters
    ----------
    folder : path
        Created when missing; a folder that holds another set is refused. One that holds fewer
        pictures of the same set is filled up, one that holds more is left as it is.
    config : DatasetConfig
        What to render.
    workers : int
        Processes of one thread each.
    compiled : bool
        Compile the renderer first: minutes of set-up with a C++ compiler, then four times the
        speed.

    Raises
    ------
    ValueError
        Another set in the folder, a folder or disk that cannot be written, or a shard that cannot
        be rendered: the first one that fails ends the call. Shards are whole or absent, and the
        same call goes on from them.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write into {folder}: {error.strerror or error}") from error
    if _holds(folder, config) and not _missing(folder, config):
        return folder  # nothing is written, not even a lock: it may lie where nobody may write
    # Recipes that start together want the same set: one renders it, the others wait and find it.
    with locked(folder / ".lock", wait=True):
        if not _holds(folder, config):
            write_atomic(folder / "config.json", json.dumps(asdict(config)).encode())
        _render_missing(folder, config, workers, compiled)
    return folder


def _holds(folder: Path, config: DatasetConfig) -> bool:
    """Whether a folder says that it holds this set or more of it; ValueError where another."""
    stated = folder / "config.json"
    if not stated.exists():
        return False
    held = _read_config(stated)
    # sets that differ in their count alone share their first shards
    if {**held, "count": config.count} != asdict(config):
        raise ValueError(f"folder {folder} holds another set ({held}); choose an empty one")
    return int(held["count"]) >= config.count


def _missing(folder: Path, config: DatasetConfig) -> list[int]:
    shards = range((config.count + SHARD - 1) // SHARD)
    return [k for k in shards if not shard_path(folder, k).is_file()]


def _render_missing(folder: Path, config: DatasetConfig, workers: int, compiled: bool) -> None:
    for left in folder.glob(".*.tmp"):  # by a run that was killed
        left.unlink(missing_ok=True)
    missing = _missing(folder, config)
    workers = max(1, min(workers, len(missing)))
    shares = [missing[i::workers] for i in range(workers)]
    done = [0] * workers
    try:
        if workers == 1:
            if compiled:
                torch.set_num_threads(1)
            for _ in _render_shards(folder, config, missing, compiled):
                done[0] += 1
        else:
            jobs = [(folder, config, share, compiled) for share in shares]
            for share, _ in share_out(_render_shards, jobs):
                done[share] += 1
    except (ValueError, OSError, RuntimeError) as error:
        share = error.share if isinstance(error, ShareError) else 0
        at = min(done[share], len(shares[share]) - 1)
        for left in folder.glob(".*.tmp"):  # by the others, stopped half way
            left.unlink(missing_ok=True)
        raise ValueError(
            f"shard {shares[share][at]} of folder {folder} was not rendered, those that are there "
            f"are whole: {error}"
        ) from error


def shard_path(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{shard:05d}.safetensors"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(held, dict) and held.keys() <= {f.name for f in fields(DatasetConfig)}:
            return {"count": 0, **held}
        problem = "it is no description of a rendered set"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise ValueError(f"{path} cannot be read: {problem}; choose an empty folder")


def _render_shards(
    folder: Path, config: DatasetConfig, shards: list[int], compiled: bool
) -> Iterator[int]:
    for k in shards:
        factors, people = shard_factors(config, k)
        batches = list(render_batches(factors, config.resolution, compiled=compiled))
        images, masks, points = zip(*batches, strict=True)
        tensors = {
            "image": torch.cat(images), "mask": torch.cat(masks), "landmarks": torch.cat(points),
            "latents": factors.latents.contiguous(),
            "identity": people,
        }  # fmt: skip
        save_safetensors(shard_path(folder, k), tensors, {"shard": str(k)})
        yield k


class FaceDataset:
    """A rendered set, read into memory.

    Parameters
    ----------
    folder : path
        As :func:`render_dataset` wrote it.
    limit : int, optional
        Read only the first so many portraits.
    resolution : int, optional
        Side to shrink the pictures to while they are read, so that a set of a larger size costs no
        more memory than one of this: colours are averaged, and a mask's pixel is the class that
        most of its area has. None keeps the set's own.

    Attributes
    ----------
    images : Tensor, shape (N, 3, R, R), uint8
    masks : Tensor, shape (N, R, R), uint8
    landmarks : Tensor, shape (N, 68, 2), pixels
    factors : Factors, N rows
    identity : Tensor, shape (N,), int32
    """

    def __init__(
        self, folder: str | Path, limit: int | None = None, resolution: int | None = None
    ) -> None:
        folder = Path(folder)
        if not (folder / "config.json").exists():
            raise ValueError(f"folder {folder} holds no rendered set")
        stated = _read_config(folder / "config.json")
        if stated.get("world") != WORLD:
            raise ValueError(
                f"folder {folder} was rendered by world {stated.get('world', 1)}, this is world "
                f"{WORLD}; render it again"
            )
        self.config = DatasetConfig(**stated)
        side = self.config.resolution
        if resolution is not None and (resolution not in RESOLUTIONS or resolution > side):
            raise ValueError(
                f"resolution is {resolution}; allowed: one of "
                f"{', '.join(str(r) for r in RESOLUTIONS if r <= side)}, as folder {folder} was "
                f"rendered at {side}"
            )
        factor = side // (resolution or side)
        self.config = replace(self.config, resolution=side // factor)
        count = self.config.count if limit is None else min(limit, self.config.count)
        parts: dict[str, list[Tensor]] = {}
        for k in range((count + SHARD - 1) // SHARD):
            path = shard_path(folder, k)
            if not path.exists():
                raise ValueError(f"folder {folder}: {path.name} is missing; render the set again")
            for name, tensor in _shrunk(load_safetensors(path)[0], factor).items():
                parts.setdefault(name, []).append(tensor)
        whole = {name: torch.cat(tensors)[:count] for name, tensors in parts.items()}
        if whole["latents"].shape[1] != len(FACTORS):
            raise ValueError(f"folder {folder} was rendered with other factors; render it again")
        self.images, self.masks = whole["image"], whole["mask"]
        self.landmarks, self.identity = whole["landmarks"], whole["identity"]
        self.factors = Factors(whole["latents"], self.config.population == "correlated")

    def __len__(self) -> int:
        return self.images.shape[0]


def _shrunk(shard: dict[str, Tensor], factor: int) -> dict[str, Tensor]:
    """A shard's tensors with pictures of a side ``factor`` times smaller."""
    if factor == 1:
        return shard
    images = F.avg_pool2d(shard["image"].float(), factor).round().to(torch.uint8)
    blocks = shard["mask"].unfold(1, factor, factor).unfold(2, factor, factor)
    masks = blocks.flatten(3).mode(dim=3).values
    # a pixel's centre is half a pixel from its corner, at either size
    landmarks = (shard["landmarks"] + 0.5) / factor - 0.5
    return {**shard, "image": images, "mask": masks.contiguous(), "landmarks": landmarks}
