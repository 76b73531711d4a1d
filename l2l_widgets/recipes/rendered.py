"""Rendered sets for the recipes: made once, kept in a cache folder, found again by content."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from l2l_widgets.faceworld.batches import compiler_found
from l2l_widgets.faceworld.dataset import (
    SHARD,
    DatasetConfig,
    FaceDataset,
    render_dataset,
    shard_path,
)
from l2l_widgets.faceworld.version import WORLD

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
