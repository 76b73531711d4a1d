"""Seeds as a person writes them: "0-99", "7", "0-9,20,30-31"; without torch, to be quick."""

from __future__ import annotations

SEED_MAX = 2**32 - 1
MAX_ITEMS = 100_000


class BatchError(ValueError):
    """A batch that cannot be begun or gone on with; names what is wrong and what is allowed."""


def parse_seeds(text: str, what: str = "seeds") -> tuple[int, ...]:
    """Seeds as a person writes them: "0-99", "7", "0-9,20,30-31"; each once, in this order.

    Raises
    ------
    BatchError
        Names the field, the text and what is allowed.
    """
    found: dict[int, None] = {}
    wrong = BatchError(
        f"{what} is {text[:60]!r}; allowed: whole numbers from 0 to {SEED_MAX} and ranges, such as "
        f"0-99 or 3,7,20-29, at most {MAX_ITEMS}"
    )
    for word in text.replace(" ", "").split(","):
        first, dash, last = word.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdigit() and len(end) <= 10 for end in ends):
            raise wrong
        low, high = int(ends[0]), int(ends[1])
        if low > high:
            raise BatchError(
                f"{what} is {text[:60]!r}, where {word} runs backwards; did you mean {high}-{low}?"
            )
        if high > SEED_MAX or high - low + len(found) >= MAX_ITEMS:
            raise wrong
        found.update(dict.fromkeys(range(low, high + 1)))
    return tuple(found)
