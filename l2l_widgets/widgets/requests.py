"""What pages ask for: which request of whom has been answered, and files that come as text."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import Any

#: What refusals call a file of somebody's own: they stand in a trait, which is saved with the
#: notebook, and the name may be a person's.
NEUTRAL = "as chosen"


class Requests:
    """The requests of a view's pages, each with its client and number. Thread-safe.

    A page sends a few requests at a time and waits for answers; a result answers all requests up
    to its stamp, a notice the one that it is about.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: list[tuple[int, str, int]] = []  # (stamp, client, number)
        self._answers: dict[str, int] = {}
        self._notices = 0

    def begin(self, stamp: int, message: Mapping[str, Any]) -> None:
        """A request was taken; the result of ``stamp``, or a later one, answers it."""
        with self._lock:
            self._under_way.append((stamp, *_sender(message)))

    def answered(self, stamp: int) -> tuple[dict[str, int], int]:
        """A result is there: client -> its newest answered number, and how many are answered."""
        with self._lock:
            done = [entry for entry in self._under_way if entry[0] <= stamp]
            self._under_way = [entry for entry in self._under_way if entry[0] > stamp]
            for _, client, number in done:
                self._note(client, number)
            return dict(self._answers), len(done)

    def notice(self, message: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        """A notice that answers one request; the count makes two equal ones differ."""
        with self._lock:
            self._note(*_sender(message))
            self._notices += 1
            return {**said, "count": self._notices, "answers": dict(self._answers)}

    def _note(self, client: str, number: int) -> None:
        self._answers[client] = max(number, self._answers.get(client, 0))


def _sender(message: Mapping[str, Any]) -> tuple[str, int]:
    return str(message.get("client", "")), int(message.get("number", 0))


def decoded_file(text: Any, most: int) -> bytes:
    """A file that was dropped on a page, from base64.

    Parameters
    ----------
    text : str
        As the page sends it.
    most : int
        Bytes that it may have.

    Raises
    ------
    ValueError
        It did not arrive whole, or is too large; what is too large is not decoded.
    """
    text = str(text)
    if len(text) > 4 * (most // 3 + 2):
        raise ValueError(f"the file has about {3 * len(text) // 4} bytes; allowed: at most {most}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the file did not arrive whole; try again") from None
    if len(data) > most:
        raise ValueError(f"the file has {len(data)} bytes; allowed: at most {most}")
    return data
