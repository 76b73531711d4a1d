"""A walk between faces for a paper: the strip, and the curves below it, frame over frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.axes import grid_in, in_percent, worded

__all__ = ["plot_curves", "plot_strip", "walk_figure"]

#: Lines differ in dash and marker, so that they can be told apart in grey and by everybody.
STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"), ((0, (6, 1)), "v"), ((0, (1, 3)), "P"))


def plot_strip(images: Any, ax: Any = None, gap: float = 0.04) -> list[Any]:
    """Draw pictures side by side, the first centred at x = 1.

    Parameters
    ----------
    images : array, shape (N, 3, R, R)
        RGB in [-1, 1]; a tensor too.
    ax : matplotlib Axes, optional
        Where to draw; the current ones of pyplot if not given.
    gap : float
        White between neighbours, in widths of a picture.

    Returns
    -------
    list of matplotlib AxesImage
        One a picture.
    """
    import numpy as np

    pixels = np.asarray(images, dtype=float)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise ValueError(f"images have shape {pixels.shape}; allowed: (N, 3, R, R)")
    ax = _axes(ax)
    half = 0.5 - gap / 2
    drawn = [
        ax.imshow(
            np.clip((picture.transpose(1, 2, 0) + 1) / 2, 0, 1),
            extent=(i - half, i + half, -half, half),
        )
        for i, picture in enumerate(pixels, 1)
    ]
    ax.set(xlim=(0.5, len(pixels) + 0.5), ylim=(-0.5, 0.5), aspect="equal")
    ax.set_axis_off()
    return drawn


def plot_curves(
    curves: Mapping[str, Sequence[float]],
    ax: Any = None,
    label: str = "",
    *,
    words: Mapping[str, str] | None = None,
) -> list[Any]:
    """Draw curves over the number of the frame, each named at its end.

    Parameters
    ----------
    curves : mapping of str to sequence of float
        Name -> a value a frame; all of one length.
    ax : matplotlib Axes, optional
        Where to draw; the current ones of pyplot if not given.
    label : str
        Of the vertical axis.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.

    Returns
    -------
    list of matplotlib Line2D
        One a curve.
    """
    lengths = {len(values) for values in curves.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"curves have lengths {sorted(lengths)}; allowed: the same for all, above 0"
        )
    ax, say = _axes(ax), worded(words)
    count = lengths.pop()
    drawn = []
    for i, (name, values) in enumerate(curves.items()):
        dash, marker = STYLES[i % len(STYLES)]
        (line,) = ax.plot(
            range(1, count + 1),
            list(values),
            linestyle=dash,
            marker=marker,
            ms=3,
            lw=1.2,
            label=name,
        )
        drawn.append(line)
    for text, (name, line), y in _ends(curves, drawn):
        ax.annotate(
            say(label_of(text or name)), (count, y), xytext=(6, 0), textcoords="offset points",
            color=line.get_color(), va="center", fontsize="small", annotation_clip=False,
        )  # fmt: skip
    ax.set(xlim=(0.5, count + 0.5), xlabel=say("frame"), ylabel=label)
    ax.spines[["top", "right"]].set_visible(False)
    return drawn


def walk_figure(
    images: Any,
    attributes: Mapping[str, Sequence[float]],
    identity: Mapping[str, Sequence[float]] | None = None,
    ax: Any = None,
    *,
    words: Mapping[str, str] | None = None,
) -> Any:
    """Return a figure: the strip, the attribute curves, and identity, one frame below the other.

    Parameters
    ----------
    images : array, shape (N, 3, R, R)
        RGB in [-1, 1].
    attributes, identity : mapping of str to sequence of float
        Name -> a value a frame.
    ax : matplotlib Axes, optional
        Of ``subplots()``: all of it is drawn in the place of these; a fresh figure if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of the axes.
    """
    from l2l_widgets.plots.shown_figure import shown_figure

    say = worded(words)
    panels = [p for p in ((attributes, say("reading")), (identity, say("identity"))) if p[0]]
    # In inches: a frame of the strip is a square, and everything else stands under it.
    frame, left, right, panel, gap = 0.8, 0.7, 1.3, 1.5, 0.25
    width = frame * len(images)
    if ax is not None:
        heights = [frame, *[panel] * len(panels)]
        spots = grid_in(ax, len(heights), 1, height_ratios=heights)
        plot_strip(images, ax.figure.add_subplot(spots[0]))
        for i, (curves, label) in enumerate(panels, 1):
            _panel(ax.figure.add_subplot(spots[i]), curves, label, words, i == len(panels))
        return ax.figure
    height = frame + len(panels) * (panel + gap) + 0.55
    figure = shown_figure(figsize=(left + width + right, height + 0.1))

    def place(top: float, tall: float) -> Any:
        whole_width, whole_height = figure.get_size_inches()
        bottom = (height - top - tall) / whole_height
        return figure.add_axes(
            (left / whole_width, bottom, width / whole_width, tall / whole_height)
        )

    plot_strip(images, place(0, frame))
    for i, (curves, label) in enumerate(panels):
        below = place(frame + gap + i * (panel + gap), panel)
        _panel(below, curves, label, words, i + 1 == len(panels))
    return figure


def _panel(
    ax: Any,
    curves: Mapping[str, Sequence[float]] | None,
    label: str,
    words: Mapping[str, str] | None,
    last: bool,
) -> None:
    """Curves under a strip; only the last panel numbers the frames."""
    assert curves is not None
    plot_curves(curves, ax, label, words=words)
    in_percent(ax.yaxis)
    if not last:
        ax.set(xlabel="", xticklabels=[])


def _ends(curves: Mapping[str, Sequence[float]], lines: list[Any]) -> list[tuple[str, Any, float]]:
    """Names at the ends of the lines, moved apart where they would lie on each other."""
    ends = sorted(zip(curves, lines, strict=True), key=lambda pair: curves[pair[0]][-1])
    values = [v for series in curves.values() for v in series]
    room = (max(values) - min(values) or 1.0) / 12
    out: list[tuple[str, Any, float]] = []
    for name, line in ends:
        y = float(curves[name][-1])
        if out:
            y = max(y, out[-1][2] + room)
        out.append((name, (name, line), y))
    return out


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.gca()
