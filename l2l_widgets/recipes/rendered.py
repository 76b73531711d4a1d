"""Rendered sets for the recipes: made once, kept in a cache folder, found again by content."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.faceworld.batches import compiler_found, render_batches
from l2l_widgets.faceworld.dataset import (
    SHARD,
    DatasetConfig,
    FaceDataset,
    render_dataset,
    shard_factors,
    shard_path,
)
from l2l_widgets.faceworld.factors import Factors
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.storage import load_safetensors

#: The sets every embedded model is trained on; all seeds differ, so no face is in two of them.
POPULATION = DatasetConfig(count=24576, seed=1, population="correlated")
INDEPENDENT = DatasetConfig(count=10240, seed=2, population="independent")
IDENTITIES = DatasetConfig(count=12288, seed=3, population="identities")
HELD_OUT = DatasetConfig(count=10240, seed=4, population="correlated")
#: Two sets of the same population that nothing was trained on: how far apart such sets are at best.
UNSEEN = DatasetConfig(count=10240, seed=5, population="correlated")
#: Larger pictures, for the last block of the generator.
LARGE = DatasetConfig(count=10240, seed=6, population="correlated", resolution=128)
SETS = {
    "population": POPULATION,
    "independent": INDEPENDENT,
    "identities": IDENTITIES,
    "held_out": HELD_OUT,
    "unseen": UNSEEN,
    "large": LARGE,
}


def cache_folder() -> Path:
    """Where sets are kept: ``L2L_DATA``, or a folder in the user's cache."""
    stated = os.environ.get("L2L_DATA")
    return Path(stated) if stated else Path.home() / ".cache" / "l2l_widgets" / "faceworld"


def check_sets(names: Sequence[str]) -> None:
    """Raise ValueError unless these are names of :data:`SETS`, at least one."""
    unknown = [name for name in names if name not in SETS]
    if unknown or not names:
        raise ValueError(f"sets is {', '.join(names) or 'empty'}; allowed: {', '.join(SETS)}")


def rendered_set(name: str, resolution: int | None = None) -> FaceDataset:
    """Read one of :data:`SETS`, rendering what is missing first (about an hour on two cores).

    ``resolution`` shrinks the pictures while they are read, see :class:`FaceDataset`.
    """
    folder = cache_folder() / f"{name}-{WORLD}"
    config = SETS[name]
    shards = range(-(-config.count // SHARD))
    missing = [k for k in shards if not shard_path(folder, k).is_file()]
    if missing:
        sys.stderr.write(f"rendering {len(missing)} shards of {name!r} into {folder}\n")
    workers = max(1, os.cpu_count() or 1)
    # compiling takes minutes: not for a few shards
    compiled = compiler_found() and len(missing) > 8
    # also where nothing is missing: the folder may say that it holds fewer
    render_dataset(folder, config, workers=workers, compiled=compiled)
    return FaceDataset(folder, config.count, resolution)


def end_of_set(name: str, count: int) -> tuple[Tensor, Tensor]:
    """Read the last pictures of one of :data:`SETS`: those that no recipe learns from.

    Only the shards of these are needed, and those that are not in the cache are drawn and not kept.

    Parameters
    ----------
    name : str
        Of the set.
    count : int
        Pictures, at most as many as the set has.

    Returns
    -------
    images : Tensor, shape (count, 3, R, R), uint8
    identity : Tensor, shape (count,), int32
    """
    config, folder = SETS[name], cache_folder() / f"{name}-{WORLD}"
    images, identity = [], []
    first = (config.count - count) // SHARD
    for k in range(first, -(-config.count // SHARD)):
        path = shard_path(folder, k)
        if path.is_file():
            shard = load_safetensors(path)[0]
            images.append(shard["image"])
            identity.append(shard["identity"])
            continue
        factors, people = shard_factors(config, k)
        images.extend(image for image, _, _ in render_batches(factors, config.resolution))
        identity.append(people)
    rows = slice(config.count - count - first * SHARD, config.count - first * SHARD)
    return torch.cat(images)[rows], torch.cat(identity)[rows]


def factors_of_set(name: str, rows: Tensor) -> Factors:
    """Factors of some pictures of one of :data:`SETS`, in the order of ``rows``; nothing is drawn.

    Parameters
    ----------
    name : str
        Of the set.
    rows : Tensor, shape (N,), int64
        Their numbers.
    """
    shards = {k: shard_factors(SETS[name], k)[0] for k in (rows // SHARD).unique().tolist()}
    latents = [shards[r // SHARD].latents[r % SHARD] for r in rows.tolist()]
    return Factors(torch.stack(latents), next(iter(shards.values())).gated)


def rows_of_set(name: str, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Read some pictures of one of :data:`SETS`, and their masks.

    Those whose shard is not in the cache are drawn, and not kept; nothing else is. Where that would
    be more than a quarter of the set, all of it is rendered and kept, by every core and compiled,
    which costs less.

    Parameters
    ----------
    name : str
        Of the set.
    rows : Tensor, shape (N,), int64
        Their numbers, in any order.

    Returns
    -------
    images : Tensor, shape (N, 3, R, R), uint8
    masks : Tensor, shape (N, R, R), uint8
    """
    config, folder = SETS[name], cache_folder() / f"{name}-{WORLD}"
    shards = {k: (rows // SHARD == k).nonzero()[:, 0] for k in (rows // SHARD).unique().tolist()}
    lacking = [k for k in shards if not shard_path(folder, k).is_file()]
    wanted = sum(len(shards[k]) for k in lacking)
    if 4 * wanted > config.count:
        faces = rendered_set(name)
        return faces.images[rows], faces.masks[rows]
    side = config.resolution
    images = torch.empty(len(rows), 3, side, side, dtype=torch.uint8)
    masks = torch.empty(len(rows), side, side, dtype=torch.uint8)
    for k in shards.keys() - set(lacking):
        shard, own = load_safetensors(shard_path(folder, k))[0], rows[shards[k]] - k * SHARD
        images[shards[k]], masks[shards[k]] = shard["image"][own], shard["mask"][own]
    if lacking:
        sys.stderr.write(f"drawing {wanted} faces of {name!r}, which are not in {folder}\n")
        places = torch.cat([shards[k] for k in lacking])
        whole = [shard_factors(config, k)[0] for k in lacking]
        latents = [f.latents[rows[shards[k]] - k * SHARD]
                   for k, f in zip(lacking, whole, strict=True)]  # fmt: skip
        factors = Factors(torch.cat(latents), whole[0].gated)
        start = 0
        for image, mask, _ in render_batches(factors, side):
            at = places[start : start + len(image)]
            images[at], masks[at], start = image, mask, start + len(image)
    return images, masks
