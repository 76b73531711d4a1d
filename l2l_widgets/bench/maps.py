"""A map of codes: umap-learn with its own search for neighbours, and with exact ones from torch.

The same cloud goes to every side. How far its map can be believed stands beside the time: a faster
map that lies more would be no gain. Compiling happens in the round that warms up; what a kernel's
first map costs is that round's ratio, ``first_ratio``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.bench.linear import planted_components

__all__ = ["by_exact_neighbours", "by_umap", "by_umap_alike"]

#: As many as the package's own maps have.
NEIGHBOURS = 15
EPOCHS = 200

Work = Callable[[], Tensor]
Facts = Callable[[], "dict[str, Any]"]


def by_umap(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """umap-learn as its documentation calls it, with a fixed seed."""
    return _plain(options, {})


def by_umap_alike(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """umap-learn with our rounds and start, so that only the search for neighbours differs."""
    return _plain(options, {"n_epochs": EPOCHS, "init": "pca"})


def by_exact_neighbours(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """Ours: :func:`l2l_widgets.maps.layout.fit_layout` on exact neighbours."""
    from l2l_widgets.maps.layout import exact_neighbours, fit_layout

    x = _cloud(options)

    def work() -> Tensor:
        return fit_layout(x, exact_neighbours(x, NEIGHBOURS), epochs=EPOCHS)

    return work, lambda: _facts(x, work())


def _plain(options: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Work, Facts]:
    x = _cloud(options)

    def work() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed costs parallelism
            from umap import UMAP

            # Its number of neighbours counts the point itself.
            machine = UMAP(n_neighbors=NEIGHBOURS + 1, random_state=0, **settings)
            return torch.from_numpy(machine.fit_transform(x.numpy()))

    return work, lambda: {**_facts(x, work()), "umap-learn": version("umap-learn")}


def _cloud(options: Mapping[str, Any]) -> Tensor:
    return planted_components(options["codes"], options["dim"])[0]


def _facts(x: Tensor, coordinates: Tensor) -> dict[str, Any]:
    from l2l_widgets.maps.layout import exact_neighbours, quality

    believed = quality(x, exact_neighbours(x, NEIGHBOURS), coordinates)
    return {name: round(float(v.mean()), 4) for name, v in believed._asdict().items()}
