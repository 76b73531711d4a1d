"""Who hears of a session's pictures and receipts, and whether anybody waits for a receipt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from l2l_widgets.session.arguments import must_be_callable

__all__ = ["Subscribers", "never"]

_log = logging.getLogger(__name__)


def _always() -> bool:
    return True


def never() -> bool:
    """What a subscriber gives that wants no receipts."""
    return False


class Subscribers:
    """Callbacks, each with whether it wants receipts now. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[tuple[Callable[[str, Any], None], Callable[[], bool]]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self, callback: Callable[[str, Any], None], receipts: Callable[[], bool] | None = None
    ) -> Callable[[], None]:
        """Call ``callback(kind, value)`` from now on; what is returned ends it.

        Parameters
        ----------
        callback : callable
            Gets what is published.
        receipts : callable, optional
            Asked before a receipt is measured: whether this one wants it. Always, if not given.
        """
        asked = _always if receipts is None else must_be_callable("receipts", receipts)
        entry = (must_be_callable("callback", callback), asked)
        with self._lock:
            self._entries.append(entry)

        def end() -> None:
            with self._lock:
                if entry in self._entries:
                    self._entries.remove(entry)

        return end

    @property
    def want_receipts(self) -> bool:
        """Whether anybody waits for a receipt: measuring one for nobody is time lost."""
        with self._lock:
            entries = tuple(self._entries)
        return any(receipts() for _, receipts in entries)

    def publish(self, kind: str, value: Any) -> None:
        """Give it to all of them, in the calling thread."""
        with self._lock:
            entries = tuple(self._entries)
        for callback, _ in entries:
            try:
                callback(kind, value)
            except Exception:  # one broken view must not blind the others
                _log.exception("a subscriber of the session failed on a %s", kind)
