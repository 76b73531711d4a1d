"""Leakage matrices and attribute trajectories as figures for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2l_widgets.attributes import AttributeTable, label_of
from l2l_widgets.plots.axes import in_percent, stand_below, worded

__all__ = ["leakage_plot", "trajectory_plot"]

#: What a person with any colour vision tells apart: blue falls, orange rises.
FALLS, RISES = "#2166ac", "#b35806"
#: Verdicts that decide nothing are hatched.
UNDECIDED = ("clear", "pending", "untested")


def leakage_plot(
    values: Any,
    edited: Sequence[str],
    read: Sequence[str],
    *,
    limit: float = 0.3,
    verdicts: Sequence[Sequence[str]] | None = None,
    numbers: bool = True,
    title: str = "",
    stamp: str = "",
    table: AttributeTable | None = None,
    axes: tuple[str, str] | None = None,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw a leakage matrix: colour, a number in every cell, and hatching where nothing is decided.

    Parameters
    ----------
    values : array, shape (K, A)
        Mean changes in attribute units; NaN where there is none.
    edited, read : sequence of str
        Names of the rows and of the columns.
    limit : float
        Change with the full colour, above 0.
    verdicts : sequence of sequences of str, optional
        (K, A), as :meth:`LeakageMatrix.verdicts` gives them.
    numbers : bool
        Whether each cell says its value, in hundredths.
    title, stamp : str
        Above and below the figure.
    table : AttributeTable, optional
        Whose labels the rows and columns get, such as those of another language.
    axes : (str, str), optional
        What stands below the columns and beside the rows.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure where not given.

    Returns
    -------
    matplotlib Axes
        What was drawn on; its figure is ``.figure``.

    Raises
    ------
    ValueError
        Values that do not fit the names, or a limit of 0 or less.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    from l2l_widgets.plots.shown_figure import shown_figure

    cells = np.asarray(values, dtype=float)
    if cells.shape != (len(edited), len(read)) or not cells.size:
        raise ValueError(
            f"values have shape {cells.shape}; allowed: ({len(edited)}, {len(read)}), not empty"
        )
    if not limit > 0:
        raise ValueError(f"limit is {limit!r}; allowed: above 0")
    if ax is None:
        # no wider than needed: a notebook shrinks what does not fit, and its type with it
        size = (1.6 + 0.205 * len(read), 1.9 + 0.27 * len(edited))
        ax = shown_figure(figsize=size, layout="constrained").add_subplot()
    colours = LinearSegmentedColormap.from_list("leakage", [FALLS, "#f7f7f7", RISES])
    image = ax.imshow(cells, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    for row, name in enumerate(edited):
        for column, other in enumerate(read):
            value = cells[row, column]
            verdict = verdicts[row][column] if verdicts is not None else ""
            corner = (column - 0.5, row - 0.5)
            if verdict in UNDECIDED:
                ax.add_patch(Rectangle(corner, 1, 1, hatch="////", fill=False, lw=0, alpha=0.35))
            if name == other:
                ax.add_patch(Rectangle(corner, 1, 1, fill=False, lw=1.2))
            if numbers and np.isfinite(value):
                ink = "white" if abs(value) > 0.6 * limit else "0.2"
                weight = "bold" if verdict == "leak" else "normal"
                text = f"{round(100 * value):+d}".replace("-", "\u2212").replace("+0", "0")
                ax.text(
                    column, row, text, ha="center", va="center", color=ink, fontsize=6,
                    fontweight=weight,
                )  # fmt: skip
    say = worded(words)
    labels = [[say(label_of(name, table)) for name in names] for names in (read, edited)]
    ax.set_xticks(range(len(read)), labels[0], rotation=90, fontsize=6)
    ax.set_yticks(range(len(edited)), labels[1], fontsize=6)
    below = say("read (% of the scale)") if numbers else say("read")
    below, beside = axes or (below, say("edited"))
    ax.set_xlabel(below, fontsize=7)
    ax.set_ylabel(beside, fontsize=7)
    ax.set_title(title, fontsize=8)
    scale = ax.figure.colorbar(image, ax=ax)
    scale.ax.tick_params(labelsize=6)
    in_percent(scale.ax.yaxis)
    if stamp:
        stand_below(ax.figure, stamp)
    return ax


def trajectory_plot(
    strengths: Sequence[float],
    change: Any,
    names: Sequence[str],
    *,
    low: Any = None,
    high: Any = None,
    edited: str = "",
    named: int = 5,
    stamp: str = "",
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the change of every attribute over the strength of one edit, the farthest ones named.

    Parameters
    ----------
    strengths : sequence of float
        S requested changes, rising.
    change : array, shape (S, A)
        Mean changes from the unedited face, in attribute units.
    names : sequence of str
        Of the A attributes.
    low, high : array, shape (S, A), optional
        Ends of the bands around it.
    edited : str
        The attribute that was asked for; drawn thick.
    named : int
        How many of the others are named and coloured.
    stamp : str
        Below the figure.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure where not given.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Shapes that do not fit.
    """
    import numpy as np

    from l2l_widgets.plots.shown_figure import shown_figure

    table = np.asarray(change, dtype=float)
    if table.shape != (len(strengths), len(names)):
        raise ValueError(
            f"change has shape {table.shape}; allowed: ({len(strengths)}, {len(names)})"
        )
    if ax is None:
        ax = shown_figure(figsize=(5, 3.4), layout="constrained").add_subplot()
    say = worded(words)
    farthest = np.argsort(-np.abs(table).max(axis=0))
    shown = [i for i in farthest if names[i] != edited][:named]
    for i, name in enumerate(names):
        if name != edited and i not in shown:
            ax.plot(strengths, table[:, i], color="0.85", lw=0.6, zorder=1)
    styles = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
    own = [list(names).index(edited)] if edited in names else []
    for place, i in enumerate([*own, *shown]):
        thick = i in own
        colour = "0.1" if thick else f"C{(place - len(own)) % 10}"
        line = {"color": colour, "lw": 2.2 if thick else 1.2}
        line["ls"] = "-" if thick else styles[(place - len(own)) % len(styles)]
        ax.plot(strengths, table[:, i], label=say(label_of(names[i])), zorder=3, **line)
        if low is not None and high is not None:
            ends = (np.asarray(low)[:, i], np.asarray(high)[:, i])
            ax.fill_between(strengths, *ends, color=colour, alpha=0.18, lw=0, zorder=2)
    ax.axhline(0, color="0.6", lw=0.6)
    label = say(label_of(edited)) if edited else ""
    below = say("{label} asked for", label=label) if edited else say("asked for")
    ax.set_xlabel(below, fontsize=7)
    ax.set_ylabel(say("change read by the judge, of each scale"), fontsize=7)
    in_percent(ax.xaxis)
    in_percent(ax.yaxis)
    ax.tick_params(labelsize=6)
    ax.legend(fontsize=6, frameon=False)
    if stamp:
        stand_below(ax.figure, stamp)
    return ax
