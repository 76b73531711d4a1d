"""The faces behind a cell of a leakage matrix as a figure: a dot each, and two as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_widgets.attributes import AttributeTable, label_of
from l2l_widgets.plots.axes import grid_in, in_percent, stand_below, worded
from l2l_widgets.plots.edits import rgb
from l2l_widgets.plots.entanglement import RISES

__all__ = ["plot_faces_behind"]

#: Heights of the strip and of a picture, in inches.
STRIP, PICTURE = 1.5, 1.7


def plot_faces_behind(
    seeds: Sequence[int],
    changes: Any,
    *,
    edited: str,
    read: str,
    cell: Mapping[str, Any] | None = None,
    pairs: Mapping[int, tuple[Any, Any]] | None = None,
    captions: Mapping[int, str] | None = None,
    stamp: str = "",
    table: AttributeTable | None = None,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> dict[str, Any]:
    """Draw what an edit did to each face that a cell of the leakage matrix is a mean of.

    Parameters
    ----------
    seeds : sequence of int
        N faces.
    changes : array, shape (N,)
        Change of the read attribute in attribute units, per rise of the edited one, as
        ``LeakageStudy.faces`` gives it; where both are the same attribute, the strength that the
        edit took. NaN where the face never came so far: counted in words, not drawn.
    edited, read : str
        Names of the row and of the column.
    cell : mapping, optional
        The cell's numbers: ``signed`` with ``signed_low`` and ``signed_high``, the mean and its
        interval; ``band``, what random edits do; ``world``, what the population's own slope would
        bring. Those that it lacks are not drawn.
    pairs : mapping of int to (picture, picture), optional
        Seed -> before and after, each (3, H, W) or (H, W, 3), RGB in [-1, 1]; marked in the strip.
    captions : mapping of int to str, optional
        Seed -> what stands above its pair.
    stamp : str
        Below the figure: n, seed, judge, intervals, as ``LeakageMatrix.stamp`` says it.
    table : AttributeTable, optional
        Whose labels the attributes get, such as those of another language.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Of ``subplots()``: its place is taken by strip and pictures; a figure of its own if not
        given.

    Returns
    -------
    dict
        ``figure``, ``axes`` (the strip's), ``seeds`` (of the dots, in their order), ``missing``
        (how many faces never came so far), ``picture_axes`` (seed -> the axes of its two pictures).

    Raises
    ------
    ValueError
        No faces, a number of changes that does not fit, a pair of a face that is not there.
    """
    values = np.asarray(changes, dtype=float)
    if values.shape != (len(seeds),) or not len(seeds):
        raise ValueError(
            f"changes have shape {values.shape}; allowed: ({len(seeds)},), a face at least"
        )
    shown = {int(seed): pair for seed, pair in (pairs or {}).items()}
    strange = [seed for seed in shown if seed not in set(map(int, seeds))]
    if strange:
        raise ValueError(f"pairs holds face {strange[0]}; allowed: those in seeds")
    pictures = [
        (seed, [rgb(picture, i) for i, picture in enumerate(pair)]) for seed, pair in shown.items()
    ]
    say = worded(words)
    figure, strip, places = _places(ax, len(pictures))
    known = np.isfinite(values)
    dots = [int(seed) for seed, there in zip(seeds, known, strict=True) if there]
    labels = [say(label_of(name, table)) for name in (edited, read)]
    _draw_strip(strip, dots, values[known], set(shown), cell or {}, edited == read, labels, say)
    missing = int((~known).sum())
    title = f"{labels[0]} \u2192 {labels[1]}"
    if missing:
        title += f" ({say('{count} more never came so far', count=missing)})"
    strip.set_title(title, fontsize=8)
    picture_axes = {}
    for i, (seed, both) in enumerate(pictures):
        two = [figure.add_subplot(places[0, 2 * i + k]) for k in (0, 1)]
        for axes, picture, name in zip(two, both, ("before", "after"), strict=True):
            axes.imshow(picture, interpolation="lanczos")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_xlabel(say(name), fontsize=6)
        caption = (captions or {}).get(seed, "")
        above = say("face {seed}", seed=seed) + (f"\n{caption}" if caption else "")
        two[0].set_title(above, fontsize=6, loc="left")
        picture_axes[seed] = tuple(two)
    if stamp:
        stand_below(figure, stamp)
    return {
        "figure": figure, "axes": strip, "seeds": dots, "missing": missing,
        "picture_axes": picture_axes,
    }  # fmt: skip


def _places(ax: Any, pairs: int) -> tuple[Any, Any, Any]:
    """The figure, the strip's axes, and a grid for the pictures below it, None without any."""
    heights = [STRIP, PICTURE] if pairs else [STRIP]
    if ax is None:
        from l2l_widgets.plots.shown_figure import shown_figure

        size = (max(5.0, 2.4 * pairs), sum(heights) + 0.7)
        figure = shown_figure(figsize=size, layout="constrained")
        spots = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    else:
        figure, spots = ax.figure, grid_in(ax, len(heights), 1, height_ratios=heights)
    strip = figure.add_subplot(spots[0, 0])
    return figure, strip, spots[1, 0].subgridspec(1, 2 * pairs) if pairs else None


def _draw_strip(
    strip: Any,
    seeds: Sequence[int],
    values: Any,
    marked: set[int],
    cell: Mapping[str, Any],
    own: bool,
    labels: Sequence[str],
    say: Any,
) -> None:
    """Dots over the change; the height of a dot says nothing, and is its seed's every time."""
    band, world = cell.get("band"), cell.get("world")
    if not own and band:
        strip.axvspan(-band, band, color="0.88", lw=0, label=say("random edits"))
    strip.axvline(0, color="0.5", lw=0.6)
    if not own and world is not None and np.isfinite(world):
        strip.axvline(world, color="0.3", lw=1, ls="--", label=say("the world's slope"))
    heights = [0.3 + 0.6 * ((seed * 7919) % 97) / 97 for seed in seeds]
    sizes = [34 if seed in marked else 12 for seed in seeds]
    rings = [1.2 if seed in marked else 0.0 for seed in seeds]
    strip.scatter(
        values, heights, s=sizes, c=RISES, edgecolors="black", linewidths=rings, alpha=0.8, zorder=3
    )
    numbers = [cell.get(name) for name in ("signed", "signed_low", "signed_high")]
    if not own and all(n is not None and np.isfinite(n) for n in numbers):
        mean, low, high = numbers
        strip.plot([low, high], [0.12, 0.12], color="black", lw=1.2)
        strip.plot(mean, 0.12, "o", ms=4, color="black", label=say("mean, interval"))
    if own:
        strip.set_xlim(left=0)
        strip.set_xlabel(say("strength that it took"), fontsize=7)
    else:
        farthest = max([0.02, *np.abs(values), *(abs(n) for n in (band, world) if n)])
        strip.set_xlim(-1.08 * farthest, 1.08 * farthest)
        strip.set_xlabel(say("change of {label}, of its scale", label=labels[1]), fontsize=7)
    in_percent(strip.xaxis)
    strip.set(ylim=(0, 1), yticks=[])
    strip.tick_params(labelsize=6)
    if strip.get_legend_handles_labels()[0]:
        # beside the strip: in it, it would lie on dots
        strip.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
