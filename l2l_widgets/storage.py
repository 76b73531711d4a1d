"""Files that are either whole or absent.

Everything the package writes goes through `write_atomic`: the bytes go to a temporary name in the
same folder, are synced, and are then renamed over the target. A reader, a crash or a full disk
therefore meets the old file or the new one, never a half. Weights are safetensors, a format that
holds numbers and text only: no code in a foreign file can run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = [
    "InUseError",
    "StorageError",
    "available_memory",
    "load_array",
    "load_safetensors",
    "locked",
    "make_folder",
    "remove_leftovers",
    "save_safetensors",
    "sha256_file",
    "sha256_tensors",
    "sync_folder",
    "write_atomic",
    "write_together",
]


#: What :func:`write_together` calls a file that is not whole yet.
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class StorageError(ValueError):
    """A file that cannot be written, or that is missing, damaged or not what it should be."""


class InUseError(StorageError):
    """A lock file that another process holds."""


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


def write_together(files: Iterable[tuple[str | os.PathLike[str], bytes]]) -> None:
    """Write several files that belong together: all their bytes first, then only renames.

    Whatever fails before the last byte is on the disk leaves every target as it was. The renames
    follow in the order of the files, so what describes the others comes last.

    Parameters
    ----------
    files
        Pairs of a target and its whole content, as for :func:`write_atomic`; taken one by one, so
        that a generator need not hold all contents in memory.

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


def save_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors and text metadata to one safetensors file, atomically.

    Parameters
    ----------
    path
        Target file.
    tensors
        Name to tensor, any shape and device. Views and transposed layouts are made contiguous.
    metadata
        Text to text. Structured values go in as JSON.

    Raises
    ------
    StorageError
        A value is not a tensor, a metadata value is not text, or the file cannot be written.
    """
    import torch
    from safetensors.torch import save

    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise StorageError(
                f"tensors[{name!r}] is a {type(tensor).__name__}; every value must be a tensor"
            )
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise StorageError(
                f"metadata[{key!r}] is a {type(value).__name__}; keys and values must be text"
            )
    # A clone per tensor: safetensors refuses tensors that share memory.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_atomic(path, _ordered(save(plain, dict(metadata) if metadata else None)))


def _ordered(data: bytes) -> bytes:
    """The same file with its metadata in alphabetical order.

    The library writes them in the order of a hash map, another one each time: the same content
    must have the same SHA-256.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    notes = header.pop("__metadata__", None)
    if notes is None:
        return data
    ordered = {"__metadata__": dict(sorted(notes.items())), **header}
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


#: Bytes of a safetensors header that are believed; those of the format's own reader.
MAX_HEADER = 100_000_000


def load_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns
    -------
    tensors
        Name to tensor, on the CPU.
    metadata
        Text to text; empty when the file carries none.

    Raises
    ------
    StorageError
        The file is missing, truncated, or not a safetensors file. One line, naming the path.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    if not source.is_file():
        raise StorageError(f"no weight file at {str(source)!r}; expected a .safetensors file")
    try:
        with safe_open(str(source), framework="pt", device="cpu") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            metadata = dict(stream.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise StorageError(
            f"cannot read {str(source)!r}: not a whole safetensors file ({damage_of(source)})"
        ) from error
    return tensors, metadata


def damage_of(path: str | os.PathLike[str]) -> str:
    """What is wrong with a file that the safetensors library refuses, and what is allowed."""
    again = "allowed: the whole file, copied or fetched again"
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            head = stream.read(9)
            length = int.from_bytes(head[:8], "little")
            text = stream.read(max(0, min(length, 1 << 22) - 1))  # a foreign one may be endless
    except OSError as error:
        return str(error.strerror)
    if size < 10 or head[8:] != b"{" or length > MAX_HEADER:
        return f"{size} bytes of another kind, or damaged at their beginning; {again}"
    if 8 + length > size:
        return f"it ends after {size} bytes, within its header of {length}: truncated; {again}"
    try:
        parts = json.loads(b"{" + text)
        end = max(p["data_offsets"][1] for name, p in parts.items() if name != "__metadata__")
        there = size - 8 - length
        if end > there:
            return f"its tensors take {end} bytes, {there} are there: truncated; {again}"
        if end < there:
            return f"its tensors take {end} bytes, {there} are there; {again}"
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return f"its header is damaged; {again}"
    return f"what its header says of the tensors cannot be; {again}"


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file, text to text, without its tensors and without torch.

    Raises
    ------
    StorageError
        As for :func:`load_safetensors`.
    """
    source = Path(path)
    try:
        with source.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if length <= MAX_HEADER else None
        found = header.get("__metadata__", {}) if isinstance(header, dict) else None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"cannot read {str(source)!r}: no safetensors file ({error})") from None
    if not isinstance(found, dict):
        raise StorageError(f"cannot read {str(source)!r}: not a safetensors file")
    return {str(key): str(value) for key, value in found.items()}


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


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise StorageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    return digest.hexdigest()


def sha256_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors: their names in order, shapes, types and bytes."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        # Byte view: numpy does not know every dtype that torch has.
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(plain.numpy().tobytes())
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, or a power cut could undo a rename in it (POSIX)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def available_memory() -> int | None:
    """Bytes of memory that are free for a process, where the system says so."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    return None
