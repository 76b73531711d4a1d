"""Where an edit applies: in which space its step is taken, and on which rows of W+.

A method says where the face should go; an edit may take a part of that step. Rows of W+ steer
coarse things (pose, shape), middle ones (features) and fine ones (colour), so the same edit on
other rows is another experiment. The spaces:

``w``
    One step for all rows. Of a method that steps each row apart it is the mean of those steps.
``w+``
    The method's own step in each row.
``s``
    Channels of the styles, realised in W+ (StyleSpace only, which knows no other).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from l2l_widgets.session.rows import ScopeError as ScopeError
from l2l_widgets.session.rows import parse_rows as parse_rows
from l2l_widgets.session.states import Edit

SPACES = ("w", "w+", "s")


def spaces_of(editor: Any) -> tuple[str, ...]:
    """The spaces in which a method's step is another one, its own first.

    A method of W takes the same step in every row, so that for it ``w+`` is ``w`` by another name;
    an edit may say so, but nobody is offered the same twice.
    """
    origin = getattr(editor, "origin", None)
    if getattr(origin, "space", None) == "s":
        return ("s",)
    return ("w",) if editor.space == "w" else ("w+", "w")


def own_names(editor: Any) -> tuple[str, ...]:
    """What an edit may call the method's own space."""
    own = spaces_of(editor)[:1]
    return (*own, "w+") if own == ("w",) else own


def check_scope(edit: Edit, editor: Any, num_ws: int) -> None:
    """Raise a ScopeError unless the method and the generator can honour the edit's scope."""
    allowed = tuple(dict.fromkeys((*own_names(editor), *spaces_of(editor))))
    if edit.space is not None and edit.space not in allowed:
        raise ScopeError(
            f"space is {edit.space!r}; allowed with method {edit.method!r}: "
            f"{', '.join(map(repr, allowed))}"
        )
    if edit.rows is None:
        return
    rows = edit.rows
    whole = all(type(row) is int and 0 <= row < num_ws for row in rows)
    if not rows or not whole or len(set(rows)) != len(rows):
        raise ScopeError(
            f"rows is {list(rows)!r}; allowed: whole numbers from 0 to {num_ws - 1}, "
            "at least one, each once"
        )


def within_scope(edit: Edit, editor: Any, before: Tensor, after: Tensor) -> Tensor:
    """What of a method's step the edit takes.

    Parameters
    ----------
    edit : Edit
        Its rows and space.
    editor : Editor
        Whose step it is.
    before, after : Tensor, shape (B, num_ws, w_dim)
        The latent, and where the method takes it.

    Returns
    -------
    Tensor, shape (B, num_ws, w_dim)
        Rows that were not chosen are those of ``before``, to the bit.
    """
    if edit.space is not None and edit.space != spaces_of(editor)[0] and edit.space == "w":
        after = before + (after - before).mean(dim=1, keepdim=True)
    if edit.rows is None:
        return after
    chosen = before.clone()
    rows = list(edit.rows)
    chosen[:, rows] = after[:, rows]
    return chosen
