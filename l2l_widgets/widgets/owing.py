"""A worker that owes its answer while nobody looks: what was left is done for who comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from l2l_widgets.latest_wins import LatestWins

__all__ = ["Owing"]


class Owing:
    """Answers the newest question on a thread of its own, for who looks.

    Parameters
    ----------
    answer : callable
        Gets a question. A long one asks :meth:`left` often, and returns where it says so.
    unseen : callable
        Whether nobody sees the view now.
    name : str
        Of the thread.
    """

    def __init__(
        self, answer: Callable[[Any], None], unseen: Callable[[], bool], name: str
    ) -> None:
        self._answer, self._unseen = answer, unseen
        self._question: Any = None  # that is being answered
        self._owed: Any = None
        self._lock = threading.RLock()  # or what was just asked could leave an older one owed
        self._worker = LatestWins(self._run, name=name)
        self.drain, self.close = self._worker.drain, self._worker.close

    def __call__(self, question: Any) -> None:
        """Ask; what was asked before is forgotten."""
        with self._lock:
            self._owed = None
            self._worker(question)

    def left(self) -> bool:
        """Whether to leave the answer: a newer question waits, or nobody looks."""
        with self._lock:
            if self._worker.stale():
                return True
            if not self._unseen():
                return False
            self._owed = self._question
        self.look_again()  # who has come back meanwhile did not find it owed
        return True

    def look_again(self) -> None:
        """Answer what was left while nobody looked, once somebody does."""
        with self._lock:
            owed = self._owed
            if owed is not None and not self._unseen():
                self(owed)

    def _run(self, question: Any) -> None:
        self._question = question
        self._answer(question)
