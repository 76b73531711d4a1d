"""Which classes of a class-conditional generator are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.checkpoints.source import CheckpointError, brief

__all__ = ["choose", "label_of"]


def choose(
    name: str, config: Mapping[str, Any], classes: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The classes to draw, checked.

    Parameters
    ----------
    name : str
        What errors call the generator.
    config : mapping
        Of the generator.
    classes : tuple of int or None
        What was asked for; empty for all of them, None for what the file itself says.

    Returns
    -------
    tuple of int or None
        None where there are no classes.

    Raises
    ------
    CheckpointError
        None are given where they are needed, some where there are none, or one that is not there.
    """
    count = int(config.get("c_dim", 0))
    kept = config.get("mapping_kwargs", {}).get("classes")
    if count == 0:
        if classes is not None:
            raise CheckpointError(
                f"{name}: class is {label_of(classes)}; this generator has no classes"
            )
        return None
    if classes is None:
        if kept is not None:
            whole = isinstance(kept, list) and all(type(c) is int for c in kept)
            if not (whole and kept and min(kept) >= 0 and max(kept) < count):
                raise CheckpointError(f"{name}: its classes are {brief(kept)}; allowed: a list")
            return tuple(kept)
        raise CheckpointError(
            f"{name} is class-conditional: say which of its {count} classes, 0 to {count - 1}, as "
            f"in '{name}#class=0' (or --class 0); several with commas, or 'all', are mixed"
        )
    wrong = [c for c in classes if not 0 <= c < count]
    if wrong:
        raise CheckpointError(f"{name}: class is {wrong[0]}; allowed: 0 to {count - 1}, or all")
    return classes or tuple(range(count))


def label_of(classes: tuple[int, ...]) -> str:
    """Classes as ``--class`` takes them."""
    return ",".join(map(str, classes)) or "all"
