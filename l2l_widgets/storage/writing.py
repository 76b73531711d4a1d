"""Writing files whole or not at all, one of them or several that belong together."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from l2l_widgets.storage.faults import StorageError

#: What :func:`write_together` calls a file that is not whole yet.
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that no reader ever sees a part of it.

    Parameters
    ----------
    path
        Target file. Its folder must exist; an existing file is replaced.
    data
        The whole content.

    Raises
    ------
    StorageError
        The folder is missing or not writable, the disk is full, or the path is a folder. The
        temporary file is removed and an existing target is left as it was.
    """
    write_together([(path, data)])


def write_together(
    files: Iterable[tuple[str | os.PathLike[str], bytes]], *, marked: bool = False
) -> None:
    """Write several files that belong together: all their bytes first, then only renames.

    Whatever fails before the last byte is on the disk leaves every target as it was. The renames
    follow in the order of the files, so what describes the others comes last.

    Parameters
    ----------
    files
        Pairs of a target and its whole content, as for :func:`write_atomic`; taken one by one, so
        that a generator need not hold all contents in memory.
    marked
        Whether the last file says that the others are there and belong to it. Its old one is
        removed before the first rename: whoever meets it meets the files that it speaks of.

    Raises
    ------
    StorageError
        As :func:`write_atomic`.
    """
    staged: list[tuple[Path, Path]] = []
    target = Path()
    try:
        for path, data in files:
            target = Path(path)
            # Random: two processes that write the same target must not share a temporary file.
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
            staged.append((temporary, target))
            with open(temporary, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        if marked and staged:
            staged[-1][1].unlink(missing_ok=True)
        for temporary, target in staged:
            os.replace(temporary, target)
        for folder in dict.fromkeys(target.parent for _, target in staged):
            sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write {str(target)!r}: {error.strerror or error}; "
            "it must name a file in an existing, writable folder with room on its disk"
        ) from error
    finally:
        # After a rename there is nothing left to remove; after any failure, Ctrl-C included,
        # the temporary must not stay.
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                temporary.unlink()


def remove_leftovers(folder: str | os.PathLike[str], idle: float = 0.0) -> None:
    """Remove the temporary files of writers that were killed (SIGKILL, a power cut).

    Parameters
    ----------
    folder
        Where they wrote; one that does not exist holds none.
    idle
        Seconds since anybody wrote to one. More than 0 where others may be writing just now.
    """
    for left in Path(folder).glob(".*.tmp"):
        with contextlib.suppress(OSError):  # its writer may finish meanwhile
            if LEFTOVER.fullmatch(left.name) and time.time() - left.stat().st_mtime >= idle:
                left.unlink()


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it, where they are missing.

    Raises
    ------
    StorageError
        A file is in the way, or the place is not writable.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the folder {str(path)!r}: {error.strerror or error}; "
            "it must name a place where you may write"
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, or a power cut could undo a rename in it (POSIX)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
