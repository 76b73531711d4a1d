"""What the axes of all figures share: changes and readings are per cent of an attribute's scale."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
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


def worded(words: Mapping[str, str] | None) -> Callable[..., str]:
    """Return what gives the words of a figure, and the labels of attributes, as ``words`` has them.

    Parameters
    ----------
    words : mapping of str to str, optional
        English -> what stands in its place, such as ``Words.of("de").plots`` of
        :mod:`l2l_widgets.widgets.words`; words that it lacks stay English.

    Returns
    -------
    callable
        ``say(text, **places)``: the words, with their places filled in.

    Examples
    --------
    >>> say = worded({"frame": "Bild", "{b} less {a}": "{b} minus {a}"})
    >>> say("frame"), say("step"), say("{b} less {a}", a="A", b="B")
    ('Bild', 'step', 'B minus A')
    """

    def say(text: str, **places: object) -> str:
        told = text if words is None else words.get(text, text)
        return told.format(**places) if places else told

    return say


def stand_below(figure: Any, stamp: str, size: float = 5) -> None:
    """Write a stamp below a figure, on as many lines as its width needs.

    Parameters
    ----------
    figure : matplotlib Figure
        With a constrained layout, which makes room for it.
    stamp : str
        n, seed, judge, intervals, and whether it is a preview.
    size : float
        Of its letters, in points.
    """
    # a letter is a little more than half as wide as it is high
    letters = max(20, int(figure.get_figwidth() * 72 / (0.56 * size)))
    text = "\n".join(textwrap.wrap(stamp, letters))
    figure.supxlabel(text, fontsize=size, x=0.01, ha="left")


def grid_in(ax: Any, rows: int, columns: int, **ratios: Any) -> Any:
    """Return a grid of subplots in the place of ``ax``, which itself is emptied.

    Parameters
    ----------
    ax : matplotlib Axes
        Of ``subplots()`` or ``add_subplot()``: one that was placed by hand has no grid.
    rows, columns : int
        Of the grid.
    **ratios
        ``height_ratios``, ``width_ratios``, ``hspace``, ``wspace``.

    Returns
    -------
    matplotlib SubplotSpec grid
    """
    spot = ax.get_subplotspec()
    if spot is None:
        raise ValueError(
            "ax was placed by hand; allowed: one that subplots() or add_subplot() gave"
        )
    ax.set_axis_off()
    return spot.subgridspec(rows, columns, **ratios)
