"""The request of an EditorGrid: in words, and the one with which it begins."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.evaluation.one_face import SideBySide

#: What is asked for where nothing else is.
USUAL = "glasses"


def in_units(changes: Mapping[str, float], table: AttributeTable) -> str:
    """Return changes as everybody reads them, "Glasses +30 %"; those that a table lacks go."""
    return ", ".join(
        f"{table[n].label} {table[n].change_text(c, fine=True)}"
        for n, c in changes.items()
        if n in table
    )


def usual_request(side: SideBySide, table: AttributeTable) -> dict[str, float]:
    """Return a change of glasses, or else of the first shown attribute that a method can make."""
    if USUAL in table:
        return {USUAL: 0.3}
    able: set[str] = set()
    for method in side.methods:
        with contextlib.suppress(Exception):  # a broken method says so on its card
            able |= set(side.models.editor(method).attributes)
    for name in table.names:
        if name in able:
            return {name: 0.3}
    raise ValueError("no method can change an attribute that is shown; allowed: other models")
