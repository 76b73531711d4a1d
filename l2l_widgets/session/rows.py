"""Rows of W+ as a person writes them: "coarse", "middle,fine", "0-3,7".

Torch is not needed to say that a text is none of these, so a command line says it at once.
"""

from __future__ import annotations

from l2l_widgets.errors import near

#: Names of groups of rows (:func:`l2l_widgets.latents.layer_groups` says which rows they are).
GROUPS = ("coarse", "middle", "fine")


class ScopeError(ValueError):
    """Rows or a space that cannot be; names the field, the value and what is allowed."""


def parse_rows(text: str, num_ws: int, words: tuple[str, ...] = ()) -> tuple[int, ...]:
    """Rows by name or number.

    Parameters
    ----------
    text : str
        Groups, numbers and ranges of them, with commas or spaces between.
    num_ws : int
        Rows of W+.
    words : tuple of str
        ("all",) where that word is allowed as well.

    Returns
    -------
    tuple of int
        0 to num_ws - 1, ascending, at least one.

    Raises
    ------
    ScopeError
        A word that is none of these, a range that runs backwards, or a row that does not exist.
    """
    named = (*words, *GROUPS)
    rows: set[int] = set()
    for word in str(text).lower().replace(" ", ",").split(","):
        if word in words:
            rows |= set(range(num_ws))
        elif word in GROUPS:
            from l2l_widgets.latents import layer_groups

            rows |= set(range(num_ws)[layer_groups(num_ws)[word]])
        elif word:
            rows |= set(_span(word, text, num_ws, named))
    if not rows:
        none = ", which this generator has none of" if str(text).strip() else ""
        raise ScopeError(f"rows is {text!r}{none}; allowed: {', '.join(named)}, or such as 0-3,7")
    return tuple(sorted(rows))


def _span(word: str, text: str, num_ws: int, named: tuple[str, ...]) -> range:
    first, dash, last = word.partition("-")
    last = last if dash else first
    if not all(end.isascii() and end.isdigit() for end in (first, last)):
        meant = near(word, named)
        hint = f"did you mean {meant[0]}? " if meant else ""
        raise ScopeError(
            f"rows is {text!r}; {hint}allowed: {', '.join(named)}, or rows from 0 to {num_ws - 1} "
            "such as 0-3,7"
        )
    # compared as text first: a number of a million digits must cost nothing
    low, high = (int(end) if len(end) < 6 else num_ws for end in (first, last))
    if max(low, high) >= num_ws:
        raise ScopeError(f"rows is {text!r}; allowed: rows from 0 to {num_ws - 1}, such as 0-3,7")
    if low > high:
        raise ScopeError(
            f"rows is {text!r}, where {word} runs backwards; did you mean {high}-{low}? "
            f"allowed: rows from 0 to {num_ws - 1}, the smaller number first"
        )
    return range(low, high + 1)
