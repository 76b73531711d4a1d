"""A still picture beside a widget, for the reader who opens the notebook without its kernel.

A front end that has lost a widget's model says so, and offers nothing in its place: an output's
widget view has no fallback. So the picture is an output of its own. While the widget lives its page
hides the still, by the key in its ``alt`` text.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

from l2l_widgets.images import to_pil

if TYPE_CHECKING:
    from l2l_widgets.session.states import EditResult

#: Width of the pair on the page, in CSS pixels.
WIDTH = 516


def still_html(result: EditResult, key: str) -> str:
    """The pair before and after as one image element.

    Parameters
    ----------
    result : EditResult
        Without an error.
    key : str
        What the page finds the picture by.
    """
    stream = io.BytesIO()
    to_pil(result.compare()).save(stream, format="PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    seed = "" if result.state.seed is None else f" {result.state.seed}"
    text = f"Face{seed} before and after. Run → Run All Cells brings the sliders back. ({key})"
    return (
        f'<img alt="{html.escape(text)}" title="{html.escape(text)}" width="{WIDTH}" '
        f'src="data:image/png;base64,{data}">'
    )


def picture_html(figure: Any, text: str, key: str) -> str:
    """A matplotlib figure as one image element.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to show.
    text : str
        What it is, for a reader who cannot see it.
    key : str
        What the page finds the picture by.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    words = html.escape(f"{text} ({key})")
    return f'<img alt="{words}" title="{words}" src="data:image/png;base64,{data}">'
