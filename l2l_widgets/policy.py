"""Attributes that a teacher keeps out of the room, everywhere at once.

A hidden attribute has no slider and no bar, stands on no receipt and in no list, and an edit or a
recipe that asks for it is refused by name. The models still know it. The list comes from one place:

- ``hide_attributes(["gender"])`` in a running Python, or
- ``L2L_HIDE_ATTRIBUTES="gender, beard"`` in the environment, or
- ``L2L_HIDE_ATTRIBUTES=@/path/to/list.txt``: a text file, a name or several a line, ``#`` comments.

The first that is given counts. Open views follow ``hide_attributes`` at once: see :func:`listen`.
What their face was asked of a hidden attribute is let go in the same step; undo leads back to it.

What measures for a researcher is not covered: the reports and tables of ``l2l evaluate``, training
logs and model cards hold every attribute, for a comparison without a column would be another one.
Only what is shown of them in a view keeps to the list.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeRequestError, AttributeTable

VARIABLE = "L2L_HIDE_ATTRIBUTES"
MAX_FILE = 1 << 20

_said: tuple[str, ...] | None = None
_listeners: list[weakref.WeakMethod[Callable[[], None]]] = []
_lock = threading.Lock()  # of the listeners, never while one is called


def hide_attributes(names: Iterable[str] | None) -> None:
    """Hide attributes in this process from now on; None goes back to what the environment says.

    Parameters
    ----------
    names : iterable of str or None
        Checked when a table is asked for, which is at once where a view is open; an empty list
        hides nothing.

    Raises
    ------
    ValueError
        No list, or a name that the models of an open view lack: the list that was there stays.
    """
    global _said
    if isinstance(names, str):
        raise ValueError(f"names is {names!r}; allowed: a list of names, such as [{names!r}]")
    before, _said = _said, None if names is None else tuple(names)
    try:
        _tell()
    except ValueError:
        _said = before
        _tell()  # those that had heard of the refused list
        raise


def listen(method: Callable[[], None]) -> None:
    """Have a bound method called after every change of the list; forgotten with its object.

    Parameters
    ----------
    method : callable
        A bound method. It may refuse the list with a ValueError, before it shows anything of it.
    """
    with _lock:
        _listeners[:] = [held for held in _listeners if held() is not None]
        _listeners.append(weakref.WeakMethod(method))


def _tell() -> None:
    with _lock:
        methods = [held() for held in _listeners]
    for method in methods:
        if method is not None:
            method()


def hidden_attributes() -> tuple[str, ...]:
    """The names on the list.

    Raises
    ------
    ValueError
        A file that cannot be read.
    """
    if _said is not None:
        return _said
    text = os.environ.get(VARIABLE, "").strip()
    if text.startswith("@"):
        text = _file_text(Path(text[1:]))
    lines = [line.partition("#")[0] for line in text.splitlines()]
    return tuple(word for line in lines for word in re.split(r"[\s,;]+", line) if word)


def visible_table(table: AttributeTable, also: Iterable[str] = ()) -> AttributeTable:
    """The table without what is hidden.

    Parameters
    ----------
    table : AttributeTable
        All rows.
    also : iterable of str
        Names that one view hides beside those of the list.

    Raises
    ------
    ValueError
        The list names an attribute that does not exist: a typing error must not show it.
    """
    # A list may speak of more attributes than these models have, but not of none at all.
    hidden = [name for name in hidden_attributes() if name in table or name not in DEFAULT_TABLE]
    try:
        listed = table.hide(hidden) if hidden else table
    except AttributeRequestError as error:
        raise ValueError(f"{_source()}: {error}") from None
    more = [name for name in also if name not in table or name in listed]
    return listed.hide(more) if more else listed


def check_visible(names: Iterable[str], table: AttributeTable) -> None:
    """Raise an AttributeRequestError where a hidden attribute is asked for."""
    hidden = hidden_attributes()
    if not hidden:
        return
    visible = visible_table(table)
    for name in names:
        if name in table and name not in visible:
            raise AttributeRequestError(
                f"attribute {name!r} is hidden here (by {_source()}); allowed: the others"
            )


def _source() -> str:
    return VARIABLE if _said is None else "hide_attributes"


def _file_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"{VARIABLE}: {path}: larger than {MAX_FILE >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise ValueError(f"{VARIABLE}: {path}: {reason}; allowed: a text file of names") from None
