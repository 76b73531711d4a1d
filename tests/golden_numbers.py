"""Reads `tests/golden`, where what two cases have in common is kept once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"


def numbers_of(case):
    """Name -> array of a case; those that it lists as `shared` are of `nvlabs_32px`."""
    with np.load(GOLDEN / f"{case}.npz") as numbers:
        found = {name: numbers[name] for name in numbers.files}
    shared = found.pop("shared", ())
    if len(shared):
        with np.load(GOLDEN / "nvlabs_32px.npz") as numbers:
            found |= {name: numbers[name] for name in shared}
    return found
