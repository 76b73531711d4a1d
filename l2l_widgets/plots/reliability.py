"""Figures from plain numbers; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.axes import grid_in, worded

__all__ = ["reliability_figure"]


def reliability_figure(
    readers: Mapping[str, Mapping[str, Mapping[str, Any]]],
    columns: int = 7,
    ax: Any = None,
    *,
    words: Mapping[str, str] | None = None,
) -> Any:
    """Return a matplotlib figure of calibration curves, an attribute a panel.

    Parameters
    ----------
    readers : mapping
        Reader -> attribute -> ``reading``, ``truth`` (lists in [0, 1], None in an empty bin) and
        ``calibration_error``, as :func:`l2l_widgets.evaluation.readers.score_reader` gives them;
        every reader with the same attributes.
    columns : int
        Panels beside each other.
    ax : matplotlib Axes, optional
        Of ``subplots()``: all panels are drawn in the place of these; a fresh figure if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of the axes. What was read to the right, what is true upwards; on the diagonal a
        reader is calibrated.

    Raises
    ------
    ValueError
        No reader, or readers of different attributes.
    """
    names = [list(attributes) for attributes in readers.values()]
    if not names or not names[0] or any(own != names[0] for own in names):
        raise ValueError("readers hold no attributes, or different ones; allowed: the same for all")
    from l2l_widgets.plots.shown_figure import shown_figure

    say = worded(words)
    rows = -(-len(names[0]) // columns)
    if ax is None:
        figure = shown_figure(figsize=(1.5 * columns, 1.6 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    else:
        figure, spots = ax.figure, grid_in(ax, rows, columns)
        grid = spots.subplots(squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, names[0], strict=False):
        axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        errors = []
        for i, (reader, attributes) in enumerate(readers.items()):
            row = attributes[name]
            points = [p for p in zip(row["reading"], row["truth"], strict=True) if None not in p]
            axes.plot(*zip(*points, strict=True), ".-", ms=3, lw=0.8, color=f"C{i}", label=reader)
            errors.append(f"{row['calibration_error']:.3f}")
        axes.set_title(f"{say(label_of(name))}\n{', '.join(errors)}", fontsize=6)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.tick_params(labelsize=5)
    for axes in grid.flat[len(names[0]) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    if ax is None:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=7)
        figure.supxlabel(say("read"), fontsize=7)
        figure.supylabel(say("true"), fontsize=7)
    else:  # the figure has other parts as well: the words belong to the panels
        grid[0, 0].legend(handles, labels, fontsize=5, frameon=False)
        for row in grid:
            row[0].set_ylabel(say("true"), fontsize=6)
        for axes in grid[-1]:
            axes.set_xlabel(say("read"), fontsize=6)
    return figure
