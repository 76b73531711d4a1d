"""The figure that all functions of this package draw into: a notebook shows it as a picture.

matplotlib's own figure is shown as the value of a cell only after pyplot has been used in that
kernel; nothing here uses pyplot, which keeps every figure that it made and is not made for threads.
"""

from __future__ import annotations

import io
import struct

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A matplotlib figure that is shown where it is the value of a cell.

    Examples
    --------
    >>> figure = ShownFigure(figsize=(3, 2))
    >>> axes = figure.subplots()
    >>> data, size = figure._repr_png_()
    >>> size["width"] < 300  # empty margins are cut off
    True
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, with twice the pixels of its size on the page: small type stays sharp."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=2 * self.dpi, bbox_inches="tight")
        data = stream.getvalue()
        width, height = struct.unpack(">II", data[16:24])  # of the PNG's header
        return data, {"width": width // 2, "height": height // 2}
