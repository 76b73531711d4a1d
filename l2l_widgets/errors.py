"""Errors as data: one line for a person, the rest for the log; and what a mistyped name meant.

Warnings that are none of a person's business are left out here too.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

_log = logging.getLogger(__name__)
_ignored: Counter[Any] = Counter()  # entry of Python's list of filters -> who asked for it
_door = threading.Lock()


class TooLittleError(ValueError):
    """A method finds nothing to learn from here: too few faces, or none that shows an attribute."""


def error_line(error: BaseException) -> str:
    """One line for a person; an error that is not about bad input is logged in full."""
    line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, (ValueError, OSError)) and line:
        return line
    _log.error("unexpected error in a session", exc_info=error)
    return f"{type(error).__name__}: {line}"


@contextlib.contextmanager
def ignored(category: type[Warning] = Warning, module: str = ".") -> Iterator[None]:
    """Ignore warnings for a while, on whatever thread.

    ``warnings.catch_warnings`` is of the whole process: on a worker's thread it silences the main
    thread as well, and in the end puts back a list of filters that the main thread has changed
    meanwhile. This adds one entry to the list, and takes out that one.

    Parameters
    ----------
    category : type of Warning
        What is ignored, with its subclasses.
    module : str
        A regular expression that the names of the modules begin with whose warnings these are.
    """
    entry = ("ignore", None, category, re.compile(module), 0)
    with _door:
        _ignored[entry] += 1
        warnings.filterwarnings("ignore", category=category, module=module)
    try:
        yield
    finally:
        with _door:
            _ignored[entry] -= 1
            if not _ignored[entry]:
                del _ignored[entry]
                with contextlib.suppress(ValueError):  # who had the list before has put it back
                    cast("list[Any]", warnings.filters).remove(entry)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def near(typed: object, known: Iterable[str], words: Mapping[str, str] | None = None) -> list[str]:
    """Up to three of the known names that a mistyped one may have meant, the nearest first.

    Parameters
    ----------
    typed : object
        What was given.
    known : iterable of str
        The names there are.
    words : mapping of str to str, optional
        Further words by which names are found: word -> name.
    """
    folded = {word.lower(): name for word, name in (words or {}).items()}
    folded |= {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(typed).strip().lower()[:80], folded, n=3, cutoff=0.6)
    return list(dict.fromkeys(folded[word] for word in close))


def suggestion(
    typed: object,
    known: Iterable[str],
    listed: str = "allowed",
    words: Mapping[str, str] | None = None,
) -> str:
    """The rest of the sentence "method 'mappr' is unknown; ...", for whatever goes by a name.

    Parameters
    ----------
    typed, known, words
        As for :func:`near`.
    listed : str
        What the list of all is called, where no name is near.

    Returns
    -------
    str
        "did you mean mapper?", or "allowed: mapper, interfacegan, ...".
    """
    names = list(known)
    meant = near(typed, names, words)
    if not meant:
        return f"{listed}: {', '.join(names) or 'none'}"
    *others, last = meant
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
