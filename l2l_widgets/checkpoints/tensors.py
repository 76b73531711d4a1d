"""Tensors of a foreign file: where their numbers are, checked; read when they are wanted.

A tensor is a view of a storage: an offset, a size and a stride. All of it is checked against the
storage, and the storage against the file, before anything is reserved; a view may not repeat
numbers, so no tensor is larger than the bytes that the file holds for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from l2l_widgets.checkpoints.pickle_data import Budget, read_pickle
from l2l_widgets.checkpoints.records import Call, Name, Persistent
from l2l_widgets.checkpoints.source import CheckpointError, Source, Span, brief

__all__ = [
    "MAX_TENSORS",
    "FileTensor",
    "KeyedStorages",
    "NestedStorages",
    "Storage",
    "Storages",
    "numpy_scalar",
    "numpy_tensor",
    "read_legacy",
    "torch_tensor",
]

#: Kind of storage -> what its numbers are.
_KINDS = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
#: NumPy's short names -> the same.
_NUMPY_KINDS = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}
MAX_DIMENSIONS = 8
#: Tensors of one generator; 1024 pixels take some 200.
MAX_TENSORS = 4000


@dataclass(frozen=True)
class Storage:
    """Numbers in a file, one after the other, little-endian."""

    source: Source
    start: int
    count: int
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self.source.read(self.start, 0)
        if self.count < 0 or self.start + self.count * self.dtype.itemsize > self.source.size:
            raise CheckpointError(
                f"{self.source.name!r}: a storage of {self.count} numbers does not fit into the "
                f"file's {self.source.size} bytes: it is truncated or damaged"
            )


Change = Callable[[torch.Tensor], torch.Tensor]


class Storages(Protocol):
    """Finds the storage that a tensor's record refers to."""

    def find(self, reference: Any) -> Storage:
        """The storage; CheckpointError where there is none."""
        ...


@dataclass(frozen=True)
class FileTensor:
    """A view of a storage, not read yet.

    Parameters
    ----------
    storage, offset, size, stride
        As in torch, in numbers, not bytes; checked.
    changes
        What turns it into the tensor of the same name here, in order: views.
    finish
        What is done to its numbers after that; keeps the shape.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    changes: tuple[Change, ...] = ()
    finish: Change | None = None

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or len(self.size) > MAX_DIMENSIONS:
            raise CheckpointError(f"a tensor has {len(self.size)} sides, {len(self.stride)} steps")
        if any(type(n) is not int or not 0 <= n < 2**40 for n in numbers):
            raise CheckpointError("a tensor's offset, size or stride is no sensible whole number")
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if count and (count > self.storage.count or last >= self.storage.count):
            raise CheckpointError(
                f"a tensor of {count} numbers up to number {last} is wanted of a storage of "
                f"{self.storage.count}"
            )
        if last - self.offset > 4 * count + 64:
            # All that lies between would be read for it, once for every such tensor.
            raise CheckpointError(f"a tensor of {count} numbers is spread over {last} others")

    def changed(self, *changes: Change, finish: Change | None = None) -> FileTensor:
        """The same numbers seen otherwise, and what is done to them when they are read."""
        return replace(self, changes=self.changes + changes, finish=finish)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape after the changes."""
        if not self.changes:
            return self.size
        # One number that is shown everywhere: a view costs nothing (and a tensor on the device
        # "meta" imports much when it is first used).
        return tuple(self._with_changes(torch.empty(()).expand(self.size)).shape)

    @property
    def bytes_in_file(self) -> int:
        """Of the numbers that it shows."""
        return math.prod(self.size) * self.storage.dtype.itemsize

    def read(self) -> torch.Tensor:
        """The numbers: float32 (other floats are converted), contiguous, in memory of its own."""
        if not math.prod(self.size):
            return self._with_changes(torch.empty(self.size)).contiguous()
        last = sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        raw = torch.empty(last + 1, dtype=self.storage.dtype)
        start = self.storage.start + self.offset * raw.itemsize
        self.storage.source.read_into(start, memoryview(raw.view(torch.uint8).numpy().data))
        view = self._with_changes(raw.as_strided(self.size, self.stride))
        view = view.to(torch.float32)
        return (view if self.finish is None else self.finish(view)).contiguous()

    def _with_changes(self, tensor: torch.Tensor) -> torch.Tensor:
        for change in self.changes:
            try:
                tensor = change(tensor)
            except (RuntimeError, IndexError, ValueError) as error:
                raise CheckpointError(
                    f"a tensor has shape {self.size}, which does not fit its place "
                    f"({str(error).splitlines()[0]})"
                ) from None
        return tensor


def torch_tensor(record: Any, storages: Storages, what: str) -> FileTensor:
    """What torch's pickles say of a tensor or parameter, as a `FileTensor`."""
    for _ in range(2):
        if isinstance(record, Call) and record.is_("torch._utils", "_rebuild_parameter"):
            record = _arguments(record, what, 1)[0]
    if not (
        isinstance(record, Call)
        and record.is_("torch._utils", "_rebuild_tensor", "_rebuild_tensor_v2")
    ):
        raise CheckpointError(f"{what} is {brief(record)}, not a tensor")
    storage, offset, size, stride = _arguments(record, what, 4)[:4]
    if isinstance(size, Call) and size.is_("torch", "Size"):
        size = _arguments(size, what, 1)[0]
    if type(size) is not tuple or type(stride) is not tuple:
        raise CheckpointError(f"{what}: its size is {brief(size)}, its stride {brief(stride)}")
    try:
        return FileTensor(storages.find(storage), offset, size, stride)
    except CheckpointError as error:
        raise CheckpointError(f"{what}: {error}") from None


def storage_reference(reference: Any) -> tuple[torch.dtype, str, int]:
    """Kind, key and count of what a persistent id says of a storage."""
    value = reference.value if isinstance(reference, Persistent) else None
    if type(value) is not tuple or len(value) not in (5, 6) or value[0] != "storage":
        raise CheckpointError(f"a storage is {brief(reference)}, not a reference to one")
    kind, key, count = value[1], value[2], value[4]
    if not isinstance(kind, Name) or kind.module != "torch" or kind.name not in _KINDS:
        named = f"{kind.module}.{kind.name}" if isinstance(kind, Name) else brief(kind)
        raise CheckpointError(f"a storage is of kind {named}; supported: {', '.join(_KINDS)}")
    if type(key) is not str or type(count) is not int or not 0 <= count < 2**40:
        raise CheckpointError("a storage has no sensible key and count")
    if len(value) == 6 and value[5] is not None:
        raise CheckpointError("a storage is a view of another one, as no supported file has it")
    return _KINDS[kind.name], key, count


def numpy_tensor(record: Any, budget: Budget, what: str) -> FileTensor:
    """What NumPy's pickles say of an array, as a `FileTensor`; arrays of objects are refused."""
    axes = None
    if isinstance(record, Call) and record.name.name == "_frombuffer":
        arguments = _arguments(record, what, 4)
        raw, kind, shape, order = arguments[:4]
        fortran = order == "F"
        if type(order) is str and order == "K" and len(arguments) == 5:
            axes = arguments[4]
    elif isinstance(record, Call) and record.name.name == "_reconstruct":
        state = record.state
        if type(state) is not tuple or len(state) != 5:
            raise CheckpointError(f"{what}: an array without its numbers")
        _, shape, kind, fortran, raw = state
    elif isinstance(record, Call) and record.name.name == "scalar":
        # a variable without dimensions: TensorFlow's sessions give numbers, not arrays
        kind, raw = _arguments(record, what, 2)[:2]
        shape, fortran = (), False
    else:
        raise CheckpointError(f"{what} is {brief(record)}, not an array")
    dtype = _numpy_dtype(kind, what)
    span = _as_span(raw, budget, what)
    if type(shape) is not tuple or len(shape) > MAX_DIMENSIONS:
        raise CheckpointError(f"{what}: an array of no sensible shape")
    if any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
        raise CheckpointError(f"{what}: an array of no sensible shape")
    if math.prod(shape) * dtype.itemsize != span.length:
        raise CheckpointError(
            f"{what}: {span.length} bytes are there for an array of {math.prod(shape)} numbers"
        )
    stride, step = [], 1
    for side in shape if fortran else reversed(shape):
        stride.append(step)
        step *= max(side, 1)
    steps = tuple(stride if fortran else reversed(stride))
    if axes is not None:  # in memory order, and how its dimensions are to be read
        if type(axes) is not tuple or sorted(n for n in axes if type(n) is int) != [
            *range(len(shape))
        ]:
            raise CheckpointError(f"{what}: an array whose axes have no order")
        shape, steps = tuple(shape[n] for n in axes), tuple(steps[n] for n in axes)
    storage = Storage(span.source, span.start, math.prod(shape), dtype)
    return FileTensor(storage, 0, shape, steps)


def numpy_scalar(value: Any) -> Any:
    """A plain number for a NumPy one; anything else as it is."""
    if isinstance(value, Call) and value.name.name == "scalar" and len(value.args) == 2:
        kind, raw = value.args
        dtype = _numpy_dtype(kind, "a number")
        span = _as_span(raw, Budget(), "a number")
        if span.length == dtype.itemsize:
            data = bytearray(span.read())
            return torch.frombuffer(data, dtype=dtype).item()
    return value


def _numpy_dtype(kind: Any, what: str) -> torch.dtype:
    if isinstance(kind, Call) and kind.is_("numpy", "dtype") and kind.args:
        name, state = kind.args[0], kind.state
        order = state[1] if type(state) is tuple and len(state) > 1 else "<"
        if type(name) is str and name in _NUMPY_KINDS and order in ("<", "|", "="):
            return _NUMPY_KINDS[name]
        name = f"{brief(name)}, byte order {brief(order)}"
        raise CheckpointError(f"{what}: an array of kind {name}; supported: {list(_NUMPY_KINDS)}")
    raise CheckpointError(f"{what}: an array whose kind is {brief(kind)}")


def _as_span(raw: Any, budget: Budget, what: str) -> Span:
    """Bytes as they are written by the protocols: as such, or as text (protocol 2 and before)."""
    if isinstance(raw, Call) and raw.is_("_codecs", "encode") and raw.args:
        raw = raw.args[0]
        if isinstance(raw, Span):
            # The same text may be asked for again and again: all of it is paid from one purse.
            budget.encoded -= raw.length
            if budget.encoded < 0:
                raise CheckpointError(f"{what}: the same bytes are asked for again and again")
            try:
                raw = raw.read().decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                raise CheckpointError(f"{what}: bytes as text that is no text") from None
    if type(raw) is str:
        try:
            raw = raw.encode("latin-1")
        except UnicodeEncodeError:
            raise CheckpointError(f"{what}: bytes as text that are no bytes") from None
    if type(raw) is bytes:
        return Span(Source.of_bytes(raw, what), 0, len(raw))
    if isinstance(raw, Span):
        return raw
    raise CheckpointError(f"{what}: {brief(raw)} where bytes belong")


def _arguments(record: Call, what: str, least: int) -> tuple[Any, ...]:
    if type(record.args) is not tuple or len(record.args) < least:
        raise CheckpointError(f"{what}: a record with too few arguments")
    return record.args


class NestedStorages:
    """Storages inside a pickle: each is a whole file of torch.save in a string.

    torch itself un-pickles these without any restriction; here they are read by the same machine.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._found: dict[int, tuple[Any, Storage]] = {}

    def find(self, reference: Any) -> Storage:
        """The storage of ``torch.storage._load_from_bytes(...)``."""
        known = self._found.get(id(reference))
        if known is not None:
            return known[1]
        if not (isinstance(reference, Call) and reference.is_("torch.storage", "_load_from_bytes")):
            raise CheckpointError(f"a storage is {brief(reference)}, not bytes of torch.save")
        span = _as_span(_arguments(reference, "a storage", 1)[0], self._budget, "a storage")
        value, storages = read_legacy(
            span.source, span.start, span.start + span.length, self._budget
        )
        storage = storages.find(value)
        self._found[id(reference)] = reference, storage  # keeps the record, and so its id, alive
        return storage


class KeyedStorages:
    """Storages beside a pickle, by key: key -> (source, first byte, bytes there)."""

    def __init__(self, places: dict[str, tuple[Source, int, int]]) -> None:
        self._places = places

    def find(self, reference: Any) -> Storage:
        """The storage of a persistent id."""
        dtype, key, count = storage_reference(reference)
        if key not in self._places:
            raise CheckpointError(f"storage {brief(key)} is not in the file")
        source, start, there = self._places[key]
        if count * dtype.itemsize > there:
            raise CheckpointError(
                f"storage {brief(key)} has {there} bytes, {count} numbers are wanted of it"
            )
        return Storage(source, start, count, dtype)


MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
MAX_STORAGES = 20_000


def read_legacy(source: Source, start: int, end: int, budget: Budget) -> tuple[Any, KeyedStorages]:
    """Read what torch.save wrote before it wrote zip files: five pickles, then the numbers.

    Returns
    -------
    value
        What was saved.
    storages
        Where its tensors' numbers are.
    """
    magic, position = read_pickle(source, start, end, budget)
    version, position = read_pickle(source, position, end, budget)
    if type(magic) is not int or magic != MAGIC or version != LEGACY_VERSION:
        raise CheckpointError(f"{source.name!r}: no file of torch.save of a version known here")
    system, position = read_pickle(source, position, end, budget)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise CheckpointError(f"{source.name!r}: its numbers are big-endian; save it anew")
    value, position = read_pickle(source, position, end, budget, persistent=True)
    keys, position = read_pickle(source, position, end, budget)
    if type(keys) is not list or len(keys) > MAX_STORAGES:
        raise CheckpointError(f"{source.name!r}: no list of its storages")
    kinds = _kinds_by_key(value)
    places: dict[str, tuple[Source, int, int]] = {}
    for key in keys:
        if type(key) is not str or key not in kinds or key in places:
            raise CheckpointError(f"{source.name!r}: storage {brief(key)} belongs to no tensor")
        if position + 8 > end:
            raise CheckpointError(f"{source.name!r}: it ends before its storages: truncated?")
        count = int.from_bytes(source.read(position, 8), "little")
        length = count * kinds[key].itemsize
        if position + 8 + length > min(end, source.size):
            raise CheckpointError(
                f"{source.name!r}: storage {brief(key)} of {count} numbers goes beyond the end: "
                "truncated?"
            )
        places[key] = source, position + 8, length
        position += 8 + length
    return value, KeyedStorages(places)


def _kinds_by_key(value: Any) -> dict[str, torch.dtype]:
    """The kind of every storage that is referred to anywhere; each record is visited once."""
    kinds: dict[str, torch.dtype] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Persistent):
            dtype, key, _ = storage_reference(item)
            if kinds.setdefault(key, dtype) != dtype:
                raise CheckpointError(f"storage {brief(key)} is of two kinds")
            continue
        if not isinstance(item, (list, tuple, dict, Call)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Call):
            waiting += [item.args, item.state, *item.items.values()]
        else:
            waiting += item.values() if isinstance(item, dict) else item
    return kinds
