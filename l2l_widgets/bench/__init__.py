"""How much faster: what this package does beside the plain way of doing the same.

A comparison is a reference and one or more contenders (`subjects`), each in a process of its own,
timed in turns (`rounds`). What comes out are ratios, and seconds beside them. They hold on the
machine that is named with them and say nothing of another one; `goals` holds what they should be.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from l2l_widgets.bench.catalogue import ALLOCATORS, CATALOGUE
from l2l_widgets.bench.goals import GOALS, check_goals

if TYPE_CHECKING:
    from l2l_widgets.bench.rounds import compare, machine
    from l2l_widgets.bench.subjects import SAME_MEMORY, SUBJECTS

__all__ = [
    "ALLOCATORS", "CATALOGUE", "GOALS", "SAME_MEMORY", "SUBJECTS", "check_goals", "compare",
    "machine",
]  # fmt: skip

_HOMES = {
    "SAME_MEMORY": "subjects", "SUBJECTS": "subjects", "compare": "rounds", "machine": "rounds"
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What measures needs torch; the catalogue of what can be measured does not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
