"""The names that a checkpoint may mention, and the inert records that they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from l2l_widgets.checkpoints.source import CheckpointError, brief

__all__ = ["ALLOWED", "MAPPINGS", "Call", "Name", "Persistent", "mapping"]

_STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
_DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "uint8", "bool")
_NUMPY = ("numpy.core", "numpy._core")

#: Everything that a supported layout names, and nothing else. None of it is ever imported here.
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    [
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("builtins", "set"),
        ("__builtin__", "set"),
        ("builtins", "dict"),
        ("__builtin__", "dict"),
        ("argparse", "Namespace"),
        ("_codecs", "encode"),
        ("dnnlib", "EasyDict"),
        ("dnnlib.util", "EasyDict"),
        ("dnnlib.tflib.network", "Network"),
        ("torch_utils.persistence", "_reconstruct_persistent_obj"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *((f"{root}.multiarray", "scalar") for root in _NUMPY),
        *((f"{root}.multiarray", "_reconstruct") for root in _NUMPY),
        *((f"{root}.numeric", "_frombuffer") for root in _NUMPY),
        ("torch", "Size"),
        ("torch", "device"),
        *(("torch", f"{kind}Storage") for kind in _STORAGES),
        *(("torch", kind) for kind in _DTYPES),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.storage", "UntypedStorage"),
    ]
)
MAPPINGS = frozenset(
    [
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("builtins", "dict"),
        ("__builtin__", "dict"),
        ("dnnlib", "EasyDict"),
        ("dnnlib.util", "EasyDict"),
    ]
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a pickle mentions; never looked up."""

    module: str
    name: str


@dataclass(eq=False, repr=False, slots=True)
class Call:
    """What a pickle would have called or made; a record and nothing more."""

    name: Name
    args: Any
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Call({self.name.module}.{self.name.name})"

    def is_(self, module: str, *names: str) -> bool:
        """Whether it calls one of ``names`` of ``module``."""
        return self.name.module == module and self.name.name in names


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Persistent:
    """A reference to what a file keeps beside the pickle."""

    value: Any


def mapping(value: Any, what: str) -> dict[Any, Any]:
    """A dictionary, or one of the records that stand for one, as a plain dictionary.

    Raises
    ------
    CheckpointError
        It is something else; ``what`` names it.
    """
    if type(value) is dict:
        return value
    if isinstance(value, Call) and (value.name.module, value.name.name) in MAPPINGS:
        return value.items
    raise CheckpointError(f"{what} is {brief(value)}, not a dictionary")
