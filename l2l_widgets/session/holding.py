"""Attributes held still by a method that cannot promise it: edit, read, take back what drifted.

A method with ``can_preserve`` keeps its promise within the step itself. Any other is asked once
more for what its step moved by mistake: the face is drawn, the training reader says how far the
held attributes went, and the same edit is made again with that much asked back. Two rounds at most;
of all that was tried, the one with the least drift is taken.
The receipt says, by a judge that took no part, how well it worked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest

ROUNDS = 2
#: A drift of one in a hundred of the scale is left alone: a reader does not see finer.
LEAST = 0.01


def check_holding(editor: Any, method: str, preserve: tuple[str, ...], has_regressor: bool) -> None:
    """Raise an AttributeRequestError unless the named attributes can be held with this method."""
    if not preserve or editor.can_preserve:
        return
    names = ", ".join(preserve)
    if not has_regressor:
        raise AttributeRequestError(
            f"preserve is {names}; method {method!r} makes no promise itself and there is no "
            "attribute regressor to read what drifts; allowed: an empty list"
        )
    strange = [name for name in preserve if name not in editor.attributes]
    if strange:
        raise AttributeRequestError(
            f"preserve is {names}; method {method!r} cannot change {strange[0]!r}, so it cannot "
            "take its drift back; allowed: what it can change, or a method with can_preserve"
        )


def held_edit(
    editor: Any,
    ws: Tensor,
    request: EditRequest,
    table: AttributeTable,
    read: Callable[[Tensor], Tensor],
) -> Tensor:
    """The edit of one face, with ``request.preserve`` held.

    Parameters
    ----------
    editor : Editor
        Any method.
    ws : Tensor, shape (1, num_ws, w_dim)
        The face.
    request : EditRequest
        With ``current`` where the method cannot preserve.
    table : AttributeTable
        Columns of the readings.
    read : callable
        Latents (1, num_ws, w_dim) to readings (1, A).

    Returns
    -------
    Tensor, shape (1, num_ws, w_dim)
    """
    if not request.preserve or editor.can_preserve:
        edited: Tensor = editor.edit(ws, request)
        return edited
    assert request.current is not None  # check_holding saw to it
    asked = replace(request, preserve=())
    columns = {name: table.index(name) for name in request.preserve}
    edited = best = editor.edit(ws, asked)
    least = float("inf")
    back = dict.fromkeys(columns, 0.0)
    for left in range(ROUNDS, -1, -1):
        drift = (read(edited) - request.current)[0]
        worst = max(abs(float(drift[i])) for i in columns.values())
        if worst < least:
            best, least = edited, worst
        if least < LEAST or not left:
            break
        for name, i in columns.items():
            back[name] = max(-1.0, min(1.0, back[name] - float(drift[i])))
        correction = {n: v for n, v in back.items() if v and not _clashes(n, v, asked, table)}
        edited = editor.edit(ws, replace(asked, changes={**asked.changes, **correction}))
    return best


def _clashes(name: str, change: float, request: EditRequest, table: AttributeTable) -> bool:
    """Whether asking for more of it would raise two of an exclusive group."""
    group = table[name].group
    return change > 0 and group is not None and any(table[n].group == group for n in request.names)
