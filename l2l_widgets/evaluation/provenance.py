"""What a report says of where its numbers come from: weights, judges, device, time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.cells import Cells
from l2l_widgets.evaluation.plan import ENOUGH_FACES
from l2l_widgets.evaluation.report import Protocol, versions

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

__all__ = ["provenance_of", "seconds_of_parts", "used_hashes"]

#: Parts whose weights decide what an evaluation reads, beside the regressors and the methods.
PARTS = ("generator", "embedder", "attribute_judge", "attribute_judge_b", "identity_judge")


def used_hashes(models: Models, methods: Iterable[str]) -> dict[str, str]:
    """Return part or method -> SHA-256 of what an evaluation of these methods uses.

    A painter or a mixer that is trained again changes no number of it.
    """
    used = {*PARTS, *methods}
    return {
        name: value
        for name, value in models.hashes.items()
        if name in used or name.startswith("regressor")
    }


def seconds_of_parts(cells: Cells) -> dict[str, float]:
    """Return part -> seconds that its cells took, whoever measured them and in which sitting."""
    found: dict[str, float] = {}
    for file, seconds in cells.seconds.items():
        part = file.partition("--")[0].removesuffix(".safetensors")
        found[part] = found.get(part, 0.0) + seconds
    return {part: round(seconds, 1) for part, seconds in found.items()}


def provenance_of(
    bench: Bench,
    cells: Cells,
    protocol: Protocol,
    *,
    hashes: Mapping[str, str],
    sources: Mapping[str, str],
    trained_seeds: Mapping[str, int],
    trained: Mapping[str, list[str]],
    truth: bool,
    wall_seconds: float,
) -> dict[str, Any]:
    """Return ``Comparison.provenance``.

    Parameters
    ----------
    bench : Bench
        What was measured on.
    cells : Cells
        What was measured.
    protocol : Protocol
        How.
    hashes, sources, trained_seeds, trained : mapping
        What it was measured with: part -> SHA-256, label -> method, label -> training seeds, label
        -> SHA-256 of those after the first.
    truth : bool
        Whether people truly changed were drawn.
    wall_seconds : float
        Of this sitting; ``cell_seconds`` are of all of them, by part.
    """
    models = bench.models
    return {
        "models": models.name,
        "hashes": dict(hashes),
        "judges": bench.readers.names,
        "identity_anchors": bench.anchors,
        "trained_seeds": dict(trained_seeds),
        "trained_hashes": dict(trained),
        "sources": dict(sources),
        "truth": truth,
        "preview": protocol.faces < ENOUGH_FACES,
        "versions": versions(),
        "device": str(models.device),
        "cells": {"measured": cells.measured, "found": cells.found, "failed": len(cells.failed)},
        "cell_seconds": seconds_of_parts(cells),
        "wall_seconds": round(wall_seconds, 1),
    }
