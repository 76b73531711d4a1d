"""A still figure and its table, for the reader who opens the notebook without a kernel."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any


def figure_png(figure: Any, dots: int = 110) -> bytes:
    """Return a matplotlib figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dots)
    return stream.getvalue()


def still_block(
    png: bytes, text: str, key: str, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Return a picture with a table below it as one piece of HTML.

    Parameters
    ----------
    png : bytes
        The picture.
    text : str
        What it shows, for those who do not see it.
    key : str
        By which the page of the living widget finds and hides it.
    head, rows : sequences of str
        Of the table; without rows there is none.
    """
    data = base64.b64encode(png).decode("ascii")
    alt = html.escape(f"{text} Run → Run All Cells brings the view back. ({key})")
    picture = f'<img alt="{alt}" title="{alt}" style="max-width:100%" '
    picture += f'src="data:image/png;base64,{data}">'
    if not rows:
        return picture
    titles = "".join(f"<th>{html.escape(word)}</th>" for word in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(word)}</td>" for word in row) + "</tr>" for row in rows
    )
    return f"{picture}<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
