"""Bytes of a foreign file, read where and when they are wanted, never beyond its end.

Everything above works with positions in a file, not with copies of it: the weights of a network
that nobody asks for are stepped over. Nothing is mapped into memory, so that a file that shrinks
while it is read is an error and not a crash.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from l2l_widgets.storage import StorageError

__all__ = ["CheckpointError", "Source", "Span", "brief"]


class CheckpointError(StorageError):
    """A file that cannot be read as a generator; one line that says why and what is supported."""


class Source:
    """A readable file, or bytes in memory.

    Parameters
    ----------
    file
        Seekable, binary.
    size
        Its length in bytes.
    name
        What errors call it.
    """

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self.file = file
        self.size = size
        self.name = name

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Source:
        """Open a regular file; anything else (a folder, a pipe, a device) is a CheckpointError."""
        where = Path(path)
        try:
            # Looked at before it is opened: opening a pipe would wait for its other end.
            kind = os.stat(where).st_mode
            if not stat.S_ISREG(kind):
                what = "a folder" if stat.S_ISDIR(kind) else "no regular file"
                raise CheckpointError(f"{str(where)!r} is {what}; a generator is one file")
            file = open(where, "rb", buffering=1 << 16)  # noqa: SIM115 - closed by close()
            return cls(file, os.fstat(file.fileno()).st_size, str(where))
        except (OSError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise CheckpointError(f"cannot read {str(where)!r}: {reason}") from None

    @classmethod
    def of_bytes(cls, data: bytes, name: str) -> Source:
        """Bytes at hand as a source."""
        return cls(io.BytesIO(data), len(data), name)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def read(self, start: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``start``; CheckpointError where the file has fewer."""
        self._check(start, length)
        self.file.seek(start)
        data = self.file.read(length)
        if len(data) != length:
            raise CheckpointError(f"{self.name!r} changed while it was read")
        return data

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``start`` without a copy in between."""
        self._check(start, buffer.nbytes)
        self.file.seek(start)
        done = 0
        while done < buffer.nbytes:
            count = self.file.readinto(buffer[done:])  # type: ignore[attr-defined]
            if not count:
                raise CheckpointError(f"{self.name!r} changed while it was read")
            done += count

    def _check(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.size:
            raise CheckpointError(
                f"{self.name!r}: {length} bytes are wanted at byte {start}, the file has "
                f"{self.size}: it is truncated or damaged"
            )


@dataclass(frozen=True)
class Span:
    """A long string of a file that was stepped over: where it is, not what it holds."""

    source: Source
    start: int
    length: int
    is_text: bool = False

    def read(self) -> bytes:
        """The bytes; those of a text are UTF-8."""
        return self.source.read(self.start, self.length)


def brief(value: object) -> str:
    """A foreign value for an error message: short, printable, and never walked into."""
    if isinstance(value, str):
        text = repr(value[:80])
    elif isinstance(value, (bool, int, float, type(None))):
        text = repr(value)
    elif isinstance(value, bytes):
        text = f"{len(value)} bytes"
    else:
        text = f"a {type(value).__name__}"
    return text
