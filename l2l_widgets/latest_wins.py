"""A worker thread for which only the newest request counts.

Sliders send more than a renderer can draw. Instead of a queue there is one slot: a new value takes
the place of the one that waits.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

_log = logging.getLogger(__name__)
#: Workers that have a thread. One that is inside torch while the interpreter is taken down aborts
#: the process, so a script's end waits for them, a little.
_working: weakref.WeakSet[LatestWins] = weakref.WeakSet()
_door = threading.Lock()  # a set that grows while it is gone through raises
AT_EXIT = 5.0  # seconds, for all of them together


def at_work() -> list[LatestWins]:
    """The workers of this process that have a thread."""
    with _door:
        return list(_working)


@atexit.register
def _end_all() -> None:
    """Close every worker and wait until its running call has returned."""
    workers = at_work()
    for worker in workers:
        worker.close()
    until = time.monotonic() + AT_EXIT
    for worker in workers:
        worker.drain(max(0.0, until - time.monotonic()))


class LatestWins:
    """Run a function on one worker thread; only the newest value counts.

    Values that arrive while the function is busy replace each other. A long function polls
    :meth:`stale` and returns early when a newer value waits. The thread starts with the first
    value.

    Parameters
    ----------
    function : callable
        Gets each value that is still the newest when its turn comes. What it raises is logged.
    name : str
        Of the thread.
    """

    _EMPTY = object()

    def __init__(self, function: Callable[[Any], None], name: str = "l2l-latest-wins") -> None:
        self._function = function
        self._name = name
        self._condition = threading.Condition()
        self._slot: Any = self._EMPTY
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def __call__(self, value: Any) -> None:
        """Ask for ``value``; whatever was waiting is dropped."""
        with self._condition:
            if self._closed:
                raise RuntimeError("this worker is closed")
            if self._slot is not self._EMPTY:
                self.dropped += 1
            self._slot = value
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
                with _door:
                    _working.add(self)
            self._condition.notify_all()

    def stale(self) -> bool:
        """Whether the running call should give up: a newer value waits, or the worker closes."""
        return self._slot is not self._EMPTY or self._closed

    def rested(self, seconds: float) -> bool:
        """Wait within the running call; False as soon as it is out of date."""
        with self._condition:
            return not self._condition.wait_for(self.stale, seconds)

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until nothing waits and nothing runs; False when that took too long."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._slot is self._EMPTY and not self._busy, timeout
            )

    def close(self) -> None:
        """Drop what waits and end the thread when its running call returns."""
        with self._condition:
            self._closed = True
            self._slot = self._EMPTY
            self._condition.notify_all()

    def _take(self) -> Any:
        value, self._slot = self._slot, self._EMPTY
        return value

    def _loop(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._slot is not self._EMPTY or self._closed)
                if self._closed:
                    return
                value, self._busy = self._take(), True
            try:
                self._function(value)
            except Exception:  # a fault of one value must not end the worker
                _log.exception("a worker call failed")


class InTurn(LatestWins):
    """Run a function on one worker thread for every value, in the order in which they came.

    For what is done for its own sake, such as a file: a newer one does not replace it.

    Parameters
    ----------
    function : callable
        Gets each value. What it raises is logged.
    name : str
        Of the thread.
    """

    _END = object()

    def __init__(self, function: Callable[[Any], None], name: str = "l2l-in-turn") -> None:
        super().__init__(self._call, name)
        self._each = function
        self._queue: deque[Any] = deque()  # behind the slot
        self._ends = False

    def __call__(self, value: Any) -> None:
        """Ask for ``value`` as well."""
        with self._condition:
            if self._ends:
                raise RuntimeError("this worker is closed")
            if self._slot is self._EMPTY:
                super().__call__(value)
            else:
                self._queue.append(value)

    def stale(self) -> bool:
        """Whether the running call should give up: the worker closes."""
        return self._closed

    def finish(self) -> None:
        """Take nothing more, and end the thread when all that was asked for is done."""
        with self._condition:
            if self._thread is None:
                self.close()
            elif not self._ends and not self._closed:
                self(self._END)
            self._ends = True

    def close(self) -> None:
        """Drop what waits, and say so; the thread ends when its running call returns."""
        with self._condition:
            waiting = [v for v in (self._slot, *self._queue) if v is not self._EMPTY]
            dropped = sum(value is not self._END for value in waiting)
            self._queue.clear()
            super().close()
        if dropped:
            _log.warning("%s: calls that were dropped: %d", self._name, dropped)

    def _take(self) -> Any:
        value = super()._take()
        if self._queue:
            self._slot = self._queue.popleft()
        return value

    def _call(self, value: Any) -> None:
        if value is self._END:
            self.close()
        else:
            self._each(value)


def drain_all(workers: Iterable[Any], timeout: float) -> bool:
    """Wait until all have nothing to do, one after the other, so long in all; whether they have.

    Parameters
    ----------
    workers : iterable
        Each with a ``drain(timeout)`` as of :class:`LatestWins`.
    timeout : float
        Seconds.
    """
    end = time.monotonic() + timeout
    return all(worker.drain(max(0.0, end - time.monotonic())) for worker in workers)


def weakly(method: Callable[..., None]) -> Callable[..., None]:
    """A bound method that does not keep its object alive, and does nothing once it is gone."""
    held = weakref.WeakMethod(method)

    def call(*values: Any) -> None:
        function = held()
        if function is not None:
            function(*values)

    return call
