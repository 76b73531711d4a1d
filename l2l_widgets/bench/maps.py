"""A map of codes: umap-learn with its own search for neighbours, and with exact ones from torch.

The same cloud goes to every side. How far its map can be believed stands beside the time: a faster
map that lies more would be no gain. Compiling happens in the round that warms up, which is in a
fresh process: what a kernel's first map costs is ``first_seconds``, with umap-learn's import and
all that numba compiles.

A new point is added to the map that is there: by ``UMAP.transform``, and by ours. The first time is
named apart (``add_first_seconds``), for then umap-learn compiles once more.
"""

from __future__ import annotations

import statistics
import threading
import time
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
#: Points that are added, one by one, after the first one.
ADDED = 9

Work = Callable[[], Tensor]
Facts = Callable[[], "dict[str, Any]"]


def by_umap(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """umap-learn as its documentation calls it, with a fixed seed."""
    return _plain(options, {})


def by_umap_alike(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """umap-learn with our rounds and start, so that only the search for neighbours differs."""
    return _plain(options, {"n_epochs": EPOCHS, "init": "pca"})


def by_exact_neighbours(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    """Ours, as :meth:`l2l_widgets.maps.code_map.CodeMap.draw` goes about it."""
    from l2l_widgets.maps.layout import exact_neighbours, fit_layout, place, warm_up

    x = _cloud(options)
    last: dict[str, Tensor] = {}

    def work() -> Tensor:
        warming = threading.Thread(target=warm_up, daemon=True)  # over at once when it is warm
        warming.start()
        near = exact_neighbours(x, NEIGHBOURS)
        warming.join()
        last["map"] = fit_layout(x, near, epochs=EPOCHS)
        return last["map"]

    def facts() -> dict[str, Any]:
        coordinates = last["map"] if last else work()
        added = _seconds_to_add(x, lambda point: place(point, x, coordinates, NEIGHBOURS))
        return {**_facts(x, coordinates), **added}

    return work, facts


def _plain(options: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Work, Facts]:
    x = _cloud(options)
    last: dict[str, Any] = {}

    def work() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed costs parallelism
            from umap import UMAP

            # Its number of neighbours counts the point itself.
            machine = UMAP(n_neighbors=NEIGHBOURS + 1, random_state=0, **settings)
            last["map"] = torch.from_numpy(machine.fit_transform(x.numpy()))
        last["machine"] = machine
        return last["map"]

    def facts() -> dict[str, Any]:
        coordinates = last["map"] if last else work()
        added = _seconds_to_add(x, lambda point: last["machine"].transform(point.numpy()))
        return {**_facts(x, coordinates), **added, "umap-learn": version("umap-learn")}

    return work, facts


def _seconds_to_add(x: Tensor, add: Callable[[Tensor], object]) -> dict[str, float]:
    """Seconds to add one point, half way between two of the cloud: the first time, and later.

    Later ones by processor time as well, which other work on the machine disturbs less.
    """
    taken, worked = [], []
    for i in range(1 + ADDED):
        point = (x[i : i + 1] + x[i + 1 : i + 2]) / 2
        start, work = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            add(point)
        taken.append(time.perf_counter() - start)
        worked.append(time.process_time() - work)
    found = {
        "add_first_seconds": taken[0],
        "add_seconds": statistics.median(taken[1:]),
        "add_cpu_seconds": statistics.median(worked[1:]),
    }
    return {name: float(f"{seconds:.3g}") for name, seconds in found.items()}


def _cloud(options: Mapping[str, Any]) -> Tensor:
    return planted_components(options["codes"], options["dim"])[0]


def _facts(x: Tensor, coordinates: Tensor) -> dict[str, Any]:
    from l2l_widgets.maps.layout import exact_neighbours, quality

    believed = quality(x, exact_neighbours(x, NEIGHBOURS), coordinates)
    return {name: round(float(v.mean()), 4) for name, v in believed._asdict().items()}
