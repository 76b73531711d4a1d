"""Every check of an exercise is timed: a student who waits for a verdict asks no second question.

``conftest.py`` puts this under all tests of a process; a kernel of its own calls
:func:`time_every_check` in a cell.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

from l2l_widgets.teaching.exercises import Exercise

#: Seconds that a student waits for a verdict at most, computing or not.
SECONDS = 5.0


def queued():
    """Seconds that this thread has stood in the queue for a core; 0 where the system has no count.

    They are the other processes' of a shared machine. A student waits for all the rest: for what
    the check computes, in whatever thread, and for what it only waits for.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def timed(check, limit=SECONDS):
    """A check that refuses to have kept a student waiting for more than ``limit`` seconds."""

    @functools.wraps(check)
    def run(self, *answer):
        start, before = time.perf_counter(), queued()
        verdict = check(self, *answer)
        spent = time.perf_counter() - start - (queued() - before)
        assert spent < limit, f"{self.name}: its check took {spent:.1f} s"
        run.checked += 1
        return verdict

    run.checked = 0
    return run


def time_every_check():
    """Have every exercise of this process checked within the limit, from now on."""
    if not hasattr(Exercise.check, "checked"):
        Exercise.check = timed(Exercise.check)
