"""What could not be used, said once: many frames of a clip fail for one reason."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NAMED", "in_short"]

#: Names that are given where one reason holds for many.
NAMED = 3


def in_short(problems: Iterable[str]) -> list[str]:
    """Join problems with the same reason to one line with their number.

    Parameters
    ----------
    problems : iterable of str
        Each a name, a colon and a space, a reason: "7.png: no face was found".

    Returns
    -------
    list of str
        A line a reason, in the order in which they first came; a reason that came once is left as
        it was, and so is a text without a colon.
    """
    names: dict[tuple[bool, str], list[str]] = {}
    for problem in problems:
        name, colon, reason = problem.partition(": ")
        key = (True, reason) if colon else (False, problem)
        names.setdefault(key, []).append(name)
    return [_line(who, reason, named) for (named, reason), who in names.items()]


def _line(names: list[str], reason: str, named: bool) -> str:
    if not named:
        return reason if len(names) == 1 else f"{reason} ({len(names)} times)"
    if len(names) == 1:
        return f"{names[0]}: {reason}"
    rest = len(names) - NAMED
    shown = ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"{len(names)} of them ({shown}): {reason}"
