"""What an EditorGrid compares: its request, in words, and the face of which a card was made."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.evaluation.one_face import SideBySide
from l2l_widgets.session.history import MAX_NODES

if TYPE_CHECKING:
    from l2l_widgets.session.states import SessionState

#: What is asked for where nothing else is.
USUAL = "glasses"
#: Faces that are remembered with what they were made of: as many as undo remembers steps.
MAX_ORIGINS = MAX_NODES


class Origins:
    """Of which face the face of a card was made, for those that were loaded last."""

    def __init__(self) -> None:
        self._bases: dict[Any, SessionState] = {}  # the one that was loaded last stands last

    def remember(self, made: SessionState, base: SessionState) -> None:
        """Take a face that is loaded, and forget the oldest where there are too many."""
        self._bases.pop(made.face_key(), None)
        self._bases[made.face_key()] = base
        for oldest in list(self._bases)[:-MAX_ORIGINS]:
            del self._bases[oldest]

    def get(self, state: SessionState, otherwise: SessionState) -> SessionState:
        """What a face was made of; the other one where nothing is known of it."""
        return self._bases.get(state.face_key(), otherwise)


class StandIn:
    """What is compared while a request speaks of what is not shown, and then the request again."""

    def __init__(self) -> None:
        self._wanted: dict[str, float] = {}
        self._instead: dict[str, float] | None = None  # what stands in for that, if anything does

    def of(
        self, asked: Mapping[str, float], side: SideBySide, table: AttributeTable
    ) -> dict[str, float]:
        """What is compared once ``table`` is what is shown, where ``asked`` was until now."""
        wanted = self._wanted if asked == self._instead else dict(asked)
        self._wanted, self._instead = wanted, None
        if all(name in table for name in wanted):
            return wanted
        self._instead = usual_request(side, table)
        return dict(self._instead)


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
