"""A lock that one thread cannot keep by taking it again and again."""

from __future__ import annotations

import threading

__all__ = ["Turns"]


class Turns:
    """A reentrant lock that goes to whoever waits before it goes back to who just had it.

    Python's own locks promise no order: a thread that measures in many short pieces takes the lock
    again before a waiting one has woken up, and a thumbnail waits for seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._door = threading.Lock()  # held by the one who is next
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> Turns:
        me = threading.get_ident()
        if self._owner == me:  # true of nobody else: only the owner writes its own number
            self._lock.acquire()
        else:
            with self._door:
                self._lock.acquire()
            self._owner = me
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()
