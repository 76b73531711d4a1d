"""Models put together from a generator and the judges that you bring."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from l2l_widgets.judges import Declaration, Judge, JudgeError, load_judge
from l2l_widgets.zoo import Models

__all__ = ["with_judges"]

#: Kind of judge -> the parts it fills: the first enters losses, the second only judges.
PARTS = {
    "attributes": ("regressor", "attribute_judge"),
    "identity": ("embedder", "identity_judge"),
    "parser": ("parser",),
}


def with_judges(
    models: Models, judges: Iterable[str | os.PathLike[str] | Declaration | Judge]
) -> Models:
    """The same generator, read by judges of your own.

    Parameters
    ----------
    models : Models
        With a generator; its own readers and editors stay behind, because what they were trained
        on, or for, is not what your judges read.
    judges : iterable
        Declarations (files or names of ready ones), or judges. Of each kind the first becomes what
        losses see (``regressor``, ``embedder``), the second what only measures
        (``attribute_judge``, ``identity_judge``); a measure without a second judge says so.

    Returns
    -------
    Models
        With the attribute table of the first attribute judge.

    Raises
    ------
    JudgeError
        A judge cannot be used, there are more of a kind than parts, or two attribute judges read
        different attributes.
    """
    parts: dict[str, Any] = {}
    hashes = {"generator": models.hashes["generator"]}
    table = models.table
    for source in judges:
        judge = source if isinstance(source, Judge) else load_judge(source)
        kind = judge.declaration.kind
        free = [part for part in PARTS[kind] if part not in parts]
        if not free:
            raise JudgeError(
                f"judge {judge.declaration.file!r} is one of kind {kind!r} too many; "
                f"allowed: {len(PARTS[kind])}"
            )
        if free[0] == "regressor" and judge.declaration.table is not None:
            table = judge.declaration.table
        elif free[0] == "attribute_judge" and judge.attributes != table.names:
            missing = [name for name in table.names if name not in judge.attributes]
            raise JudgeError(
                f"judge {judge.declaration.file!r} reads {len(judge.attributes)} attributes, the "
                f"first one {len(table)}"
                + (f"; it lacks {missing[0]!r}" if missing else " in another order")
                + "; allowed: the same names in the same order"
            )
        parts[free[0]] = judge
        if judge.sha256:
            hashes[free[0]] = judge.sha256
    loaders: dict[str, Callable[[], Any]] = {"generator": lambda: models.generator}
    for name, judge in parts.items():
        loaders[name] = functools.partial(_give, judge)
    return Models(models.name, table, loaders, hashes=hashes, device=models.device)


def _give(judge: Judge) -> Judge:
    return judge
