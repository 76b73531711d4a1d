"""Every check of an exercise is timed: a student who waits for a verdict asks no second question.

``conftest.py`` puts this under all tests of a process; a kernel of its own calls
:func:`time_every_check` in a cell.
"""

from __future__ import annotations

import functools
import time

from l2l_widgets.teaching.exercises import Exercise

#: Seconds of computing that a check may take, whatever else the machine does meanwhile.
SECONDS = 5.0


def timed(check, limit=SECONDS):
    """A check that refuses to have computed for more than ``limit`` seconds on its own thread."""

    @functools.wraps(check)
    def run(self, *answer):
        start = time.thread_time()
        verdict = check(self, *answer)
        spent = time.thread_time() - start
        assert spent < limit, f"{self.name}: its check took {spent:.1f} s of computing"
        run.checked += 1
        return verdict

    run.checked = 0
    return run


def time_every_check():
    """Have every exercise of this process checked within the limit, from now on."""
    if not hasattr(Exercise.check, "checked"):
        Exercise.check = timed(Exercise.check)
