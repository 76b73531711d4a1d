"""How far a method takes the attributes of one face, measured.

What an editor says of its ``reach`` holds on average over faces: one that smiles already has no
room left, whatever the average says. Here the face itself is asked for as much as a slider can ask
of it, one attribute and one way at a time, drawn, and read by the regressor whose readings the
sliders show.

A slider asks for no more than the method says it reaches, and never beyond the ends of the scale.
An editor that says nothing of its reach is asked for both ends of the scale: a slider does that as
well, and what comes of it is what has to be known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.references import CHUNK, pictures
from l2l_widgets.session.scope import within_scope
from l2l_widgets.session.states import Edit, SessionState

__all__ = ["FaceReach", "plain_edit", "reach_key", "reachable"]


def plain_edit(state: SessionState) -> Edit:
    """The last edit of a state with nothing asked and nothing held: method, rows and space."""
    edit = state.edits[-1]
    return Edit(edit.method, rows=edit.rows, space=edit.space)


def reach_key(state: SessionState) -> tuple[Any, ...]:
    """What a measured reach is of: the unedited face, the method, and where it may step."""
    return (*state.face_key(), *plain_edit(state).key())


def reachable(
    names: Sequence[str], method: str, editor: Any, table: AttributeTable
) -> tuple[str, ...]:
    """The attributes whose reach can be measured.

    Parameters
    ----------
    names : sequence of str
        Those that are asked for; all that the method can change and that may be shown, if empty.
    method : str
        Name of the editor.
    editor : Editor
        The method.
    table : AttributeTable
        Of the models.

    Raises
    ------
    AttributeRequestError
        An unknown or a hidden attribute, or one that the method cannot change.
    """
    if not names:
        return tuple(n for n in visible_table(table).names if n in editor.attributes)
    for name in names:
        table.index(name)
        check_visible((name,), table)
        if name not in editor.attributes:
            raise AttributeRequestError(
                f"method {method!r} cannot change {name!r}; allowed: {', '.join(editor.attributes)}"
            )
    return tuple(names)


class FaceReach:
    """How far one method takes one face, measured a few pictures at a time, and kept.

    Not thread-safe: whoever asks holds the renderer's turn.

    Parameters
    ----------
    models : Models
        What draws, reads and edits.
    ws : Tensor, shape (1, num_ws, w_dim)
        The unedited face.
    current : Tensor, shape (1, A)
        The regressor's reading of it.
    edit : Edit
        Method, rows and space; what it asks for is left aside.
    noise_mode : str
        As in the generator's synthesis.
    """

    def __init__(
        self, models: Models, ws: Tensor, current: Tensor, edit: Edit, noise_mode: str = "const"
    ) -> None:
        self._models, self._edit, self._noise_mode = models, edit, noise_mode
        self._editor = models.editor(edit.method)
        self._ws, self._current = ws, current
        self._own = dict(zip(models.table.names, current[0].tolist(), strict=True))
        self._left: dict[str, list[float]] = {}  # name -> changes that are still to be drawn
        self._span: dict[str, tuple[float, float]] = {}  # name -> readings up to now
        self._failed: set[str] = set()

    def missing(self, names: Sequence[str]) -> int:
        """Pictures still to be drawn before :meth:`spans` can answer for these attributes."""
        return sum(len(self._plan(name)) for name in names)

    def advance(self, names: Sequence[str], stale: Callable[[], bool] = lambda: False) -> None:
        """Draw and read the next few pictures; none where ``stale`` says True meanwhile."""
        asked = [(name, change) for name in names for change in self._plan(name)][:CHUNK]
        edited: list[Tensor | None] = []
        for name, change in asked:
            if stale():
                return
            edited.append(self._edited(name, change))
        able = [ws for ws in edited if ws is not None]
        readings: list[list[float]] = []
        if able:
            images = pictures(self._models, torch.cat(able), self._noise_mode, stale)
            if images is None:
                return
            readings = self._models.regressor(images).tolist()  # b rows of A
        readings.reverse()
        for (name, change), ws in zip(asked, edited, strict=True):
            column = self._models.table.index(name)
            self._take(name, change, math.nan if ws is None else readings.pop()[column])

    def spans(self, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Name -> lowest and highest reading that the method brings; the face's own lies between.

        An attribute is left out where the method failed on this face, or the regressor gave no
        finite number.
        """
        return {name: self._span[name] for name in names if name not in self._failed}

    def _plan(self, name: str) -> list[float]:
        """Changes of an attribute that are still to be drawn: down, up, both or none."""
        if name not in self._left:
            own = self._own[name]
            self._span[name] = own, own
            down, up = self._stated(name)
            ends = max(-down, -own), min(up, 1.0 - own)
            # a reading beyond the scale, as a regressor of one's own may give, has one way to go
            self._left[name] = [c for c, way in zip(ends, (-1, 1), strict=True) if c * way > 0]
        return self._left[name]

    def _stated(self, name: str) -> tuple[float, float]:
        """How far the method says that it reaches, down and up."""
        reach = getattr(self._editor, "reach", None)
        if not callable(reach):
            return 1.0, 1.0
        try:
            down, up = map(float, reach(name))
        except Exception:  # whatever a foreign one raises: it knows nothing of this attribute
            down = up = math.nan
        if not (math.isfinite(down) and math.isfinite(up)):
            self._failed.add(name)
            return 0.0, 0.0
        return down, up

    def _edited(self, name: str, change: float) -> Tensor | None:
        """The face with one change, (1, num_ws, w_dim); None where the method fails on it."""
        request = EditRequest({name: change}, current=self._current)
        try:
            moved = self._editor.edit(self._ws, request)
            moved = within_scope(self._edit, self._editor, self._ws, moved)
        except Exception:  # drawing the edit says why, in one line, to who asks for it
            return None
        return moved if bool(torch.isfinite(moved).all()) else None

    def _take(self, name: str, change: float, value: float) -> None:
        self._left[name].remove(change)
        low, high = self._span[name]
        if not math.isfinite(value):
            self._failed.add(name)
        elif change < 0:
            self._span[name] = min(low, value), high
        else:
            self._span[name] = low, max(high, value)
