"""A still picture and a table beside a view, for the reader who opens the notebook without kernel.

A front end that has lost a widget's model says so, and offers nothing in its place: an output's
widget view has no fallback. So the still is an output of its own, plain HTML in which no script
runs. While the view lives its page hides the still, which it finds by its key.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from l2l_widgets.images import encode_jpeg

#: Dots an inch of a drawn figure.
DOTS = 110
#: What every PNG begins with.
PNG = b"\x89PNG\r\n\x1a\n"
#: Width below which faces are shown twice as large, in pixels.
SMALL = 400


class Still(NamedTuple):
    """What stands still.

    Attributes
    ----------
    picture : Tensor of shape (3, H, W) in [-1, 1], bytes or None
        Faces as they are, or a JPEG or PNG; None where there is none yet.
    words : str
        What it shows, for those who do not see it as well.
    head, rows : sequences of str
        The table; without rows there is none.
    width : int or None
        Of the picture on the page, in CSS pixels; its own, or twice that of small faces, if not
        given.
    """

    picture: Tensor | bytes | None
    words: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    width: int | None = None


def still_html(still: Still, key: str, back: str) -> str:
    """A still as one piece of HTML.

    Parameters
    ----------
    still : Still
        What to show.
    key : str
        What the page finds it by.
    back : str
        What brings the view back in a notebook that was opened again, in words. Its own cell alone
        would not do: the names that it uses are gone with the kernel.
    """
    words = still.words.strip()
    words += "" if words.endswith((".", "!", "?")) else "."
    parts = [f'<span title="{html.escape(key)}"></span>']
    if still.picture is not None:
        picture = still.picture
        # It is saved with the notebook, and JupyterLab parses all of it at each change.
        encoded = picture if isinstance(picture, bytes) else encode_jpeg(picture)
        kind = "png" if encoded.startswith(PNG) else "jpeg"
        data = base64.b64encode(encoded).decode("ascii")
        width = still.width
        if width is None and isinstance(picture, Tensor) and picture.shape[-1] < SMALL:
            width = 2 * picture.shape[-1]
        size = "" if width is None else f' width="{width}"'
        parts.append(
            f'<img alt="{html.escape(words)}"{size} style="max-width:100%" '
            f'src="data:image/{kind};base64,{data}">'
        )
    parts.append(f"<p>{html.escape(words)} {html.escape(back)}.</p>")
    if still.rows:
        heads = "".join(f"<th>{html.escape(value)}</th>" for value in still.head)
        lines = ("".join(f"<td>{html.escape(v)}</td>" for v in row) for row in still.rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
    return f"<div>{''.join(parts)}</div>"


def figure_jpeg(figure: Any, dots: int = DOTS) -> bytes:
    """A matplotlib figure as a JPEG."""
    stream = io.BytesIO()
    # halved colours, the default, would blur coloured letters and thin lines
    figure.savefig(stream, format="jpeg", dpi=dots, pil_kwargs={"quality": 90, "subsampling": 0})
    return stream.getvalue()
