"""Where long preparations say how far they are: the terminal, or whoever listens in this thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar


def _to_terminal(text: str) -> None:
    sys.stderr.write(f"{text}\n")


_LISTENER: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_to_terminal)


def say(text: str) -> None:
    """Tell the listener of this thread one line; standard error where nobody listens."""
    _LISTENER.get()(text)


@contextlib.contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Have ``listener`` called with each line that is said in this block, in this thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
