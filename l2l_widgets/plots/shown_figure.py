"""The figure that all functions of this package draw into: a notebook shows it as a picture.

matplotlib's own figure is shown as the value of a cell only after pyplot has been used in that
kernel; nothing here uses pyplot, which keeps every figure that it made and is not made for threads.
"""

from __future__ import annotations

import functools
import io
import struct
from typing import Any

__all__ = ["shown_figure"]


def shown_figure(**options: Any) -> Any:
    """Return a new figure that is shown where it is the value of a cell.

    Parameters
    ----------
    **options
        Of :class:`matplotlib.figure.Figure`.

    Examples
    --------
    >>> figure = shown_figure(figsize=(3, 2))
    >>> axes = figure.subplots()
    >>> data, size = figure._repr_png_()
    >>> size["width"] < 300  # empty margins are cut off
    True
    """
    from matplotlib.figure import Figure

    figure: Any = Figure(**options)
    figure._repr_png_ = functools.partial(_picture_of, figure)  # what IPython asks a value for
    return figure


def _picture_of(figure: Any) -> tuple[bytes, dict[str, int]]:
    """The picture, with twice the pixels of its size on the page: small type stays sharp."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=2 * figure.dpi, bbox_inches="tight")
    data = stream.getvalue()
    width, height = struct.unpack(">II", data[16:24])  # of the PNG's header
    return data, {"width": width // 2, "height": height // 2}
