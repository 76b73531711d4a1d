"""Tensors and arrays that somebody saved with ``torch.save`` or ``pickle``, as names and numbers.

Directions, boundaries and components are published so: one tensor, or a dictionary of them, often
saved from a GPU, sometimes as NumPy arrays. They are pickles as much as a generator is, and are
read by the same machine: nothing in them runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.checkpoints.pickle_data import Budget, read_pickle
from l2l_widgets.checkpoints.reading import Refusals, refuse_strangers, torch_zip
from l2l_widgets.checkpoints.records import MAPPINGS, Call
from l2l_widgets.checkpoints.source import CheckpointError, Source, brief
from l2l_widgets.checkpoints.tensors import (
    MAGIC,
    FileTensor,
    NestedStorages,
    Storages,
    numpy_tensor,
    read_legacy,
    torch_tensor,
)

__all__ = ["TENSOR_FILES", "read_tensors"]

TENSOR_FILES = ".pt of torch.save, or a pickle of NumPy arrays"
#: Tensors of one file, and how deep its dictionaries and lists may lie in each other.
MOST_TENSORS, DEPTH = 1000, 3


def read_tensors(path: str | os.PathLike[str], most: int) -> dict[str, Tensor]:
    """Read every tensor and array of a file; nothing in it is executed.

    Parameters
    ----------
    path
        What ``torch.save`` (zip or legacy) or ``pickle.dump`` wrote of a tensor, an array, or of
        dictionaries and lists of them. Its name does not matter.
    most
        How many numbers all of them may hold together.

    Returns
    -------
    tensors
        Name -> float32 on the CPU; of nested dictionaries and lists, names joined by dots, list
        items by their place. A lone tensor has the name "". Whole numbers and truth values are left
        out, as is all that is no tensor.

    Raises
    ------
    CheckpointError
        Another kind of file, which is named; no tensor in it, or too many numbers; an instruction
        that no such file needs.
    """
    where = Path(path)
    with Refusals(where, TENSOR_FILES):
        source = Source.open(where)
        try:
            value, storages, budget = _value(where, source)
            found = dict(_tensors(value, storages, budget))
            count = sum(math.prod(tensor.size) for tensor in found.values())
            if count > most:
                raise CheckpointError(f"it holds {count} numbers; allowed: at most {most}")
            if not found:
                raise CheckpointError(
                    f"no tensor of real numbers is in it; supported: {TENSOR_FILES}"
                )
            return {name: tensor.read() for name, tensor in found.items()}
        finally:
            source.close()
    raise AssertionError("unreachable")


def _value(path: Path, source: Source) -> tuple[Any, Storages, Budget]:
    head = source.read(0, min(source.size, 512))
    refuse_strangers(path, head, TENSOR_FILES)
    budget = Budget(encoded=source.size)
    if head.startswith(b"PK"):
        return *torch_zip(source, budget, TENSOR_FILES), budget
    if head[:1] not in (b"\x80", b"(", b"}", b"]", b"c"):
        raise CheckpointError(f"{str(path)!r} holds no tensors; supported: {TENSOR_FILES}")
    value, _ = read_pickle(source, 0, source.size, budget)
    if type(value) is int and value == MAGIC:
        return *read_legacy(source, 0, source.size, budget), budget
    return value, NestedStorages(budget), budget


def _tensors(value: Any, storages: Storages, budget: Budget) -> Iterator[tuple[str, FileTensor]]:
    """Every tensor of floats, with its name; each container is walked through once."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    count = 0
    while waiting:
        name, item, depth = waiting.pop()
        if isinstance(item, Call) and (item.name.module, item.name.name) in MAPPINGS:
            item = item.items
        if isinstance(item, Call):
            tensor = _one(item, storages, budget, f"tensor {brief(name)}")
            if tensor is None:
                continue
            count += 1
            if count > MOST_TENSORS:
                raise CheckpointError(f"more than {MOST_TENSORS} tensors are in it")
            yield name, tensor
        elif type(item) in (dict, list, tuple) and id(item) not in seen and depth < DEPTH:
            seen.add(id(item))
            inside = item.items() if type(item) is dict else enumerate(item)
            joined = f"{name}." if name else ""
            waiting += [
                (f"{joined}{str(key)[:80]}", part, depth + 1) for key, part in reversed([*inside])
            ]


def _one(record: Call, storages: Storages, budget: Budget, what: str) -> FileTensor | None:
    """The tensor or array that a record stands for; None for whole numbers and for others."""
    module, kind = record.name.module, record.name.name
    if module == "torch._utils":
        tensor = torch_tensor(record, storages, what)
    elif module.startswith("numpy") and kind in ("_reconstruct", "_frombuffer"):
        tensor = numpy_tensor(record, budget, what)
    else:
        return None
    return tensor if tensor.storage.dtype.is_floating_point else None
