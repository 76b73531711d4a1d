"""How much faster: what this package does beside the plain way of doing the same.

A comparison is a reference and one or more contenders (`subjects`), each in a process of its own,
timed in turns (`rounds`). What comes out are ratios, and seconds beside them. They hold on the
machine that is named with them and say nothing of another one; `goals` holds what they should be.
"""

from __future__ import annotations

from l2l_widgets.bench.goals import GOALS, check_goals
from l2l_widgets.bench.rounds import compare, machine
from l2l_widgets.bench.subjects import ALLOCATORS, SAME_MEMORY, SUBJECTS

__all__ = ["ALLOCATORS", "GOALS", "SAME_MEMORY", "SUBJECTS", "check_goals", "compare", "machine"]
