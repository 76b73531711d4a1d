"""One process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from l2l_widgets.storage.faults import InUseError, StorageError


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], wait: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs, so that one process at a time is in it.

    The lock is a file of its own: a file that is replaced while it is held guards nothing. It is
    made here and removed at the end; the system lets go of it when the process ends, however it
    ends, and what is left then is an empty file. Systems without `fcntl`, and network folders
    without locks, go unguarded.

    Parameters
    ----------
    path
        The lock file, in an existing folder.
    wait
        Whether to wait for another process to let go of it.

    Raises
    ------
    InUseError
        Another process holds it, and `wait` is False.
    StorageError
        The file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    mode = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(descriptor, mode)
            except BlockingIOError:
                raise InUseError(f"{str(path)!r} is held by another process") from None
            except OSError:  # a network folder without locks
                yield
                return
            if not _is_still(path, descriptor):
                continue  # its last holder removed it meanwhile: the lock is another file now
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            return
        finally:
            os.close(descriptor)


def _is_still(path: str | os.PathLike[str], descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
