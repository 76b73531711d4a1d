"""Arguments of the wrong kind, refused by name where they are given: not later, nor by Python."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, TypeVar

T = TypeVar("T")


def named_values(field: str, value: Any) -> dict[str, Any]:
    """A copy of what gives attributes values; the values themselves are judged when it is drawn.

    Raises
    ------
    ValueError
        No mapping, or one with names that are no text.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(
            f"{field} is {_short(value)}; allowed: attribute names and numbers, such as "
            "{'smile': 0.3}"
        )
    return dict(value)


def several_names(field: str, value: Any) -> tuple[str, ...]:
    """Attribute names; a lone one is not taken for its letters."""
    found = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(name, str) for name in found):
        raise ValueError(f"{field} is {_short(value)}; allowed: attribute names, such as ['age']")
    return found


def row_numbers(value: Any) -> tuple[Any, ...] | None:
    """Rows of W+, or None for all; the generator judges each of them when it is drawn."""
    if value is not None and (isinstance(value, str) or not isinstance(value, Iterable)):
        raise ValueError(f"rows is {_short(value)}; allowed: None, or numbers, such as [0, 1]")
    return None if value is None else tuple(value)


def must_be(field: str, value: Any, kind: type[T] | tuple[type, ...], allowed: str) -> Any:
    """The value, if it is of a kind; ``allowed`` says what would have been."""
    if not isinstance(value, kind):
        raise ValueError(f"{field} is {_short(value)}; allowed: {allowed}")
    return value


def must_be_callable(field: str, value: Any) -> Any:
    """The value, if it can be called."""
    if not callable(value):
        raise ValueError(f"{field} is {_short(value)}; allowed: a function")
    return value


def must_be_whole(field: str, value: Any, low: int, high: int) -> int:
    """The value, if it is a whole number from ``low`` to ``high``."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= high:
        raise ValueError(
            f"{field} is {_short(value)}; allowed: a whole number from {low} to {high}"
        )
    return int(value)


def _short(value: Any) -> str:
    return f"{value!r:.80}"


def not_json(error: ValueError | RecursionError) -> str:
    """Say where a text stops being JSON, without the parser's own words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, json.JSONDecodeError):
        return "a number has too many digits"
    at = f"line {error.lineno}, column {error.colno}"
    rest = error.doc[error.pos : error.pos + 20]
    return f"{at}: {rest!r}" if rest.strip() else f"{at}: the text ends there"
