"""Where a zip file of torch.save keeps its parts; nothing is ever unpacked.

torch stores its parts as they are, so a part is a stretch of the file, and a zip file that is
compressed, encrypted, spread over several files, or that holds links or paths that leave its own
folder, was not written by torch: it is refused. Only the directory at the end is read, after its
size was checked against the file's; `zipfile` reads a directory of any size first.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass

from l2l_widgets.checkpoints.source import CheckpointError, Source

__all__ = ["Archive"]

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
MAX_ENTRIES = 20_000
MAX_DIRECTORY = 4 * 2**20


@dataclass(frozen=True)
class Archive:
    """The parts of a zip file: name -> (first byte, bytes)."""

    source: Source
    parts: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, source: Source) -> Archive:
        """Read the directory of a zip file; CheckpointError where it is damaged or unusual."""
        try:
            return cls(source, _parts(source))
        except struct.error:
            raise _refused(source, "its directory is damaged") from None

    def place(self, name: str) -> tuple[Source, int, int] | None:
        """Source, first byte and bytes of a part, or None; its own header is looked at now."""
        if name not in self.parts:
            return None
        header, length = self.parts[name]
        fields = _LOCAL.unpack(self.source.read(header, _LOCAL.size))
        if fields[0] != b"PK\x03\x04":
            raise _refused(self.source, "a part does not begin where the directory says")
        start = header + _LOCAL.size + fields[9] + fields[10]
        if start + length > self.source.size:
            raise _refused(self.source, "a part goes beyond the end: truncated?")
        return self.source, start, length


def _parts(source: Source) -> dict[str, tuple[int, int]]:
    count, size, start = _directory(source)
    if count > MAX_ENTRIES or size > MAX_DIRECTORY:
        raise _refused(source, f"a directory of {count} parts and {size} bytes; that is too many")
    data = source.read(start, size)
    parts: dict[str, tuple[int, int]] = {}
    position = 0
    for _ in range(count):
        entry = _ENTRY.unpack_from(data, position)
        signature, flags, method = entry[0], entry[3], entry[4]
        packed, length, name_length, extra_length, comment = entry[8:13]
        attributes, header = entry[15], entry[16]
        position += _ENTRY.size
        raw = data[position : position + name_length]
        extra = data[position + name_length : position + name_length + extra_length]
        position += name_length + extra_length + comment
        if signature != b"PK\x01\x02" or position > size:
            raise _refused(source, "its directory is damaged")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise _refused(source, "a part's name is no text") from None
        length, packed, header = _large(extra, length, packed, header)
        if flags & 1:
            raise _refused(source, "a part is encrypted")
        if "/code/" in name:
            raise CheckpointError(
                f"{source.name!r} is a TorchScript module, a program; supported: files of "
                "torch.save that hold tensors"
            )
        if method != 0 or packed != length:
            raise _refused(
                source,
                f"part {name[:60]!r} is compressed, which torch never does; is it a file that "
                "was packed? Unpack it first",
            )
        if stat.S_ISLNK(attributes >> 16):
            raise _refused(source, f"part {name[:60]!r} is a link")
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or "\0" in name:
            raise _refused(source, f"part {name[:60]!r} points out of the archive")
        if name in parts:
            raise _refused(source, f"part {name[:60]!r} is there twice")
        if header + length > source.size:
            raise _refused(source, f"part {name[:60]!r} goes beyond the end: truncated?")
        parts[name] = header, length
    return parts


def _directory(source: Source) -> tuple[int, int, int]:
    """Count, bytes and first byte of the directory's entries."""
    span = min(source.size, _END.size + 2**16)
    tail = source.read(source.size - span, span)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise _refused(source, "its end is missing: truncated?")
    _, disk, first, here, count, size, start, _ = _END.unpack_from(tail, at)
    if disk or first or here != count:
        raise _refused(source, "it is one of several")
    if 0xFFFF in (count,) or 0xFFFFFFFF in (size, start):
        place = source.size - span + at - _END64_PLACE.size
        signature, _, where, _ = _END64_PLACE.unpack(source.read(place, _END64_PLACE.size))
        if signature != b"PK\x06\x07":
            raise _refused(source, "its end is damaged")
        fields = _END64.unpack(source.read(where, _END64.size))
        if fields[0] != b"PK\x06\x06" or fields[4] or fields[5]:
            raise _refused(source, "its end is damaged")
        count, size, start = fields[7], fields[8], fields[9]
    return count, size, start


def _large(extra: bytes, length: int, packed: int, header: int) -> tuple[int, int, int]:
    """Sizes beyond four gigabytes, which stand in an extra field."""
    if 0xFFFFFFFF not in (length, packed, header):
        return length, packed, header
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 1:
            values = [length, packed, header]
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    (values[index],) = struct.unpack_from("<Q", field)
                    field = field[8:]
            return values[0], values[1], values[2]
    return length, packed, header


def _refused(source: Source, why: str) -> CheckpointError:
    return CheckpointError(f"{source.name!r}: zip file: {why}")
