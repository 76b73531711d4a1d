"""What the axes of all figures share: changes and readings are per cent of an attribute's scale."""

from __future__ import annotations

from typing import Any


def in_percent(axis: Any) -> None:
    """Label an axis of attribute units, 0 to 1 or changes of them, in per cent of the scale.

    Parameters
    ----------
    axis : matplotlib Axis
        ``ax.xaxis`` or ``ax.yaxis``.
    """
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, symbol=" %"))
