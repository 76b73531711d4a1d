"""Numpy's files from strangers: judged by their head before any room is taken for them."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from l2l_widgets.storage.faults import StorageError

if TYPE_CHECKING:
    import numpy as np


#: Bytes of a number that numpy knows, and of an array's head: what a packed one may be larger by.
_WIDEST, _HEAD = 16, 1 << 16


def load_array(
    path: str | os.PathLike[str], most: int, name: str | None = None
) -> np.ndarray[Any, Any]:
    """Read the numbers of an ``.npy``, or of one array of an ``.npz``.

    What the head promises is judged before any room is taken for it, and nothing in it is executed.

    Parameters
    ----------
    path
        The file; what it is is seen by its first bytes.
    most
        How many numbers it may hold.
    name
        Which array of an ``.npz``; where not given, it must hold a single one.

    Raises
    ------
    StorageError
        Missing, damaged, shorter than it says, of too many numbers, or of something else than
        numbers. The message is the reason alone: whoever asked names the file.
    """
    source = Path(path)
    if not source.is_file():
        raise StorageError("no such file")
    try:
        with source.open("rb") as stream:
            packed = stream.read(4) == b"PK\x03\x04"
            stream.seek(0)
            if not packed:
                return _read_array(stream, os.fstat(stream.fileno()).st_size, most)
            with zipfile.ZipFile(stream) as archive:
                members = [
                    m for m in archive.infolist() if name is None or m.filename == f"{name}.npy"
                ]
                if name is not None and not members:
                    raise StorageError(f"holds no array {name!r}")
                if len(members) != 1:
                    names = ", ".join(m.filename.removesuffix(".npy") for m in members[:5])
                    raise StorageError(f"holds {len(members)} arrays ({names}); allowed: one")
                if members[0].file_size > most * _WIDEST + _HEAD:
                    raise StorageError(
                        f"unpacks to {members[0].file_size} bytes; allowed: {most} numbers"
                    )
                with archive.open(members[0]) as member:
                    return _read_array(member, members[0].file_size, most)
    except StorageError:
        raise
    except (
        OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, MemoryError,
        RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise StorageError(f"no whole array: {reason}") from None


def _read_array(stream: IO[bytes], size: int, most: int) -> np.ndarray[Any, Any]:
    """An array from a stream of so many bytes, once its head has been judged."""
    import numpy as np
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = npy.read_array_header_2_0(stream)
    else:
        raise StorageError(f"format {version} is none of plain numbers; allowed: 1.0 and 2.0")
    if dtype.kind not in "biuf":
        raise StorageError(f"holds {dtype}; allowed: numbers")
    count = math.prod(shape)
    if any(side < 0 for side in shape) or count > most:
        raise StorageError(f"has shape {shape}; allowed: at most {most} numbers")
    wanted, there = count * dtype.itemsize, size - stream.tell()
    if there < wanted:
        raise StorageError(f"breaks off: {there} bytes of {wanted}")
    found = np.frombuffer(stream.read(wanted), dtype)
    if len(found) != count:
        raise StorageError(f"breaks off: {found.nbytes} bytes of {wanted}")
    # a copy that may be written to, in this machine's order of bytes
    return found.reshape(shape, order="F" if by_columns else "C").astype(dtype.newbyteorder("="))
