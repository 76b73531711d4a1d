"""A still figure and its table, for the reader who opens the notebook without a kernel."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from l2l_widgets.entanglement import LeakageMatrix

#: Leaks that the table names, the largest first; and dots an inch of the picture.
MOST_ROWS, DOTS = 12, 110


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


def matrix_still(matrix: LeakageMatrix, key: str) -> str:
    """Return a leakage matrix as a picture with its largest leaks in words; "" while it is empty.

    Parameters
    ----------
    matrix : LeakageMatrix
        What was measured.
    key : str
        As in :func:`still_block`.
    """
    from l2l_widgets.plots.entanglement import leakage_plot

    if not matrix.edited:
        return ""
    axes = leakage_plot(
        matrix.array(), matrix.edited, matrix.read, limit=matrix.protocol.request,
        verdicts=matrix.verdicts(), title=matrix.method, stamp=matrix.stamp(),
    )  # fmt: skip
    stream = io.BytesIO()
    axes.figure.savefig(stream, format="png", dpi=DOTS)
    rows = []
    for edited, read in matrix.leaks()[:MOST_ROWS]:
        cell = matrix.cells[edited, read]
        numbers = (cell["signed"], cell["signed_low"], cell["signed_high"])
        rows.append((edited, read, *(f"{value:+.3f}" for value in numbers), f"{cell['q']:.3f}"))
    head = ("edited", "also moved", "mean", "from", "to", "q")
    return still_block(stream.getvalue(), f"Leakage of {matrix.method}.", key, head, rows)
