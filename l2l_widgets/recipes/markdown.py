"""Tables and paragraphs as Markdown has them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A head and its rows, a line each; the last one ends in a line break."""
    lines = ["| " + " | ".join(str(v) for v in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph in lines of at most 100 signs, those after the first one indented."""
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
