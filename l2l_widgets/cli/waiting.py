"""What is being computed, on standard error, where it takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

#: Stage of a receipt -> what a person calls it.
STAGES = {
    "read": "reading the face",
    "random edits": "measuring random edits of the same size",
    "strangers": "measuring different faces, the zero of the identity scale",
}


class Waiting:
    """Says what takes more than two seconds: on a terminal in one line, which is gone at the end.

    Where no terminal overwrites it, a line for each thing that is begun or goes on after that.
    Called between short pieces of work; returns False, which a measurement takes as "go on".

    Parameters
    ----------
    what : str
        What is done; may be set anew while it is.
    stream : TextIO
        Where it is said.
    clock : callable
        Seconds.
    """

    AFTER = 2.0

    def __init__(
        self, what: str, stream: TextIO, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.what, self.stream, self.clock = what, stream, clock
        self.terminal = stream.isatty()
        self.start = clock()
        self.width = 0
        self.said = ""

    def begins(self, stage: str) -> None:
        """Take the name of a stage of a measurement that begins."""
        self.what = STAGES.get(stage, self.what)

    def __call__(self) -> bool:
        """Show what is done, and how long it has taken; False."""
        seconds = self.clock() - self.start
        if seconds <= self.AFTER:
            return False
        if self.terminal:
            text = f"{self.what}: {seconds:.0f} s"
            self.stream.write(f"\r{text.ljust(self.width)}")
            self.width = max(self.width, len(text))
        elif self.said != self.what:
            self.stream.write(f"{self.what} ...\n")
        self.said = self.what
        self.stream.flush()
        return False

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *error: object) -> None:
        if self.width:
            self.stream.write(f"\r{' ' * self.width}\r")
            self.stream.flush()
