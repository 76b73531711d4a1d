"""Safetensors: written the same way each time, read with a word about what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from l2l_widgets.storage.faults import StorageError
from l2l_widgets.storage.writing import write_atomic

if TYPE_CHECKING:
    import torch


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
