"""Maps as static figures: a cloud in the plane, coloured, with paths on it; two groups compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.axes import in_percent, worded

__all__ = ["CAVEAT", "plot_groups", "plot_map", "plot_strangeness"]

#: What has to stand beside every map.
CAVEAT = (
    "Near neighbours mean something, as far as their trust says. Distances across the map, sizes "
    "of groups and the empty space between them do not; the axes have no unit."
)
#: From this many times the usual distance on, a linear axis would press the near curves together.
DOUBLINGS_FROM = 3.0
#: One colour, one line and one marker a method: told apart without colour as well (Okabe and Ito).
STYLES = (
    ("#0072b2", "-", "o"), ("#d55e00", "--", "s"), ("#009e73", "-.", "^"),
    ("#cc79a7", ":", "D"), ("#6b4c9a", (0, (5, 1)), "v"), ("#7f7f00", (0, (3, 1, 1, 1)), "P"),
)  # fmt: skip


def plot_map(
    coordinates: Any,
    values: Any = None,
    *,
    label: str = "",
    limits: tuple[float, float] = (0.0, 1.0),
    paths: Mapping[str, Any] | None = None,
    face: Sequence[float] | None = None,
    caveat: str = CAVEAT,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw a map of codes.

    Parameters
    ----------
    coordinates : array, shape (N, 2)
        The points.
    values : array, shape (N,), optional
        What colours them; NaN is drawn grey.
    label : str
        What the values are, with their unit.
    limits : tuple of float
        Values at the ends of the colour scale.
    paths : mapping of str to array (S, 2), optional
        Lines over the map, such as an edit's way by each method.
    face : (x, y), optional
        A point to mark.
    caveat : str
        What stands below it: :data:`CAVEAT`, or the same in another language.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib axes, optional
        Where to draw; a figure of its own where not given.

    Returns
    -------
    matplotlib axes
        What was drawn on; its figure is ``ax.figure``.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    points = _plane("coordinates", coordinates)
    ax = _axes(ax, (6, 5.6))
    if values is None:
        ax.scatter(*points.T, s=3, color="0.55", linewidths=0)
    else:
        colours = np.asarray(values, dtype=float)
        if colours.shape != (len(points),):
            raise ValueError(f"values have shape {colours.shape}; allowed: ({len(points)},)")
        known = np.isfinite(colours)
        ax.scatter(*points[~known].T, s=3, color="0.75", linewidths=0)
        drawn = ax.scatter(
            *points[known].T, s=3, c=colours[known], cmap="viridis", vmin=limits[0],
            vmax=limits[1], linewidths=0,
        )  # fmt: skip
        ax.figure.colorbar(drawn, ax=ax, label=label, fraction=0.04, pad=0.02)
    for i, (name, path) in enumerate((paths or {}).items()):
        colour, line, marker = STYLES[i % len(STYLES)]
        way = _plane(f"paths[{name!r}]", path)
        ax.plot(*way.T, color="white", lw=3.5)
        ax.plot(*way.T, color=colour, ls=line, marker=marker, ms=4, lw=1.5, label=name)
    if face is not None:
        ax.plot(*face, marker="*", ms=15, mec="white", mfc="black", ls="")
    if paths:
        ax.legend(fontsize=8)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(_wrapped(worded(words)(caveat)), fontsize=7)
    return ax


def plot_strangeness(
    ways: Mapping[str, tuple[Any, Any]],
    usual: tuple[float, float],
    *,
    label: str,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw how far from the cloud each method goes, over the change that it is asked for.

    Where one goes far, distances are drawn in doublings: the others stay apart from each other.

    Parameters
    ----------
    ways : mapping
        Method -> (changes (S,), distances (S,) in units of what is usual in the cloud).
    usual : tuple of float
        The range in which nine of ten codes lie.
    label : str
        What the changes are.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib axes, optional
        Where to draw.

    Returns
    -------
    matplotlib axes
    """
    if not ways:
        raise ValueError("ways is empty; allowed: at least one method")
    ax = _axes(ax, (5, 3.2))
    say = worded(words)
    ax.axhspan(*usual, color="0.9", lw=0, label=say("nine of ten faces"))
    for i, (name, (changes, distances)) in enumerate(ways.items()):
        colour, line, marker = STYLES[i % len(STYLES)]
        x, y = np.asarray(changes, dtype=float), np.asarray(distances, dtype=float)
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError(f"ways[{name!r}] has shapes {x.shape} and {y.shape}; allowed: equal")
        ax.plot(x, y, color=colour, ls=line, marker=marker, ms=3.5, lw=1.3, label=name)
    farthest = max(float(np.asarray(distances).max()) for _, distances in ways.values())
    if farthest > DOUBLINGS_FROM:
        ax.set_yscale("log", base=2)
        ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel=label, ylabel=say("distance to the cloud (1: as usual)"))
    ax.legend(fontsize=7)
    return ax


def plot_groups(
    rows: Sequence[tuple[str, float, float, float, bool]], *, labels: tuple[str, str] = ("A", "B"),
    words: Mapping[str, str] | None = None, ax: Any = None,
) -> Any:  # fmt: skip
    """Draw what sets two groups apart, largest first.

    Parameters
    ----------
    rows : sequence of (name, difference, low, high, decided)
        Differences of B from A with their intervals; undecided ones are drawn hollow.
    labels : tuple of str
        Names of the groups.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib axes, optional
        Where to draw.

    Returns
    -------
    matplotlib axes
    """
    if not rows:
        raise ValueError("rows is empty; allowed: at least one attribute")
    ax = _axes(ax, (5, 0.6 + 0.22 * len(rows)))
    for i, (_, difference, low, high, decided) in enumerate(rows):
        ax.plot([low, high], [i, i], color="0.35", lw=1.2)
        ax.plot(difference, i, "o", ms=5, mec="#0072b2", mfc="#0072b2" if decided else "white")
    ax.axvline(0, color="0.6", lw=0.8)
    say = worded(words)
    ax.set_yticks(range(len(rows)), [say(label_of(row[0])) for row in rows], fontsize=7)
    ax.invert_yaxis()
    told = "{b} less {a}, of each scale (hollow: undecided)"
    ax.set_xlabel(say(told, a=labels[0], b=labels[1]))
    in_percent(ax.xaxis)
    return ax


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    from l2l_widgets.plots.shown_figure import shown_figure

    return shown_figure(figsize=size, layout="constrained").add_subplot()


def _plane(name: str, points: Any) -> Any:
    found = np.asarray(points, dtype=float)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) == 0:
        raise ValueError(f"{name} have shape {found.shape}; allowed: (N >= 1, 2)")
    return found


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 90))
