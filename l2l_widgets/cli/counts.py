"""A number and what it counts: "1 face", "2 faces"."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    Parameters
    ----------
    number : int
        How many.
    noun, plural : str
        What one of them is called, and several: with an s where not given.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
