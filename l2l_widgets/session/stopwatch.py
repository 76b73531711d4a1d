"""What the stages of a measurement take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator


class Stopwatch:
    """Adds up the seconds of named stages; a stage that never ran reports none.

    Parameters
    ----------
    tell : callable, optional
        Gets the name of a stage whenever a part of it begins.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = tell
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of a ``with`` block to a stage."""
        if self._tell is not None:
            self._tell(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def total(self, stages: tuple[str, ...] = ()) -> dict[str, float]:
        """Seconds of the stages, those of ``stages`` that never ran as 0, and ``total``."""
        out = {stage: self.seconds.get(stage, 0.0) for stage in (*stages, *self.seconds)}
        out["total"] = time.perf_counter() - self._started
        return out
