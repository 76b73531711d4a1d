"""Two edits beside each other: the faces, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.axes import in_percent, worded

__all__ = ["recipe_pair_figure"]


def recipe_pair_figure(
    images: tuple[Any, Any],
    differences: Mapping[str, float],
    identity: float | None = None,
    *,
    names: tuple[str, str] = ("A", "B"),
    most: int = 12,
    words: Mapping[str, str] | None = None,
    axes: tuple[Any, Any, Any] | None = None,
) -> Any:
    """Return a matplotlib figure of two faces and of the attributes in which they differ.

    Parameters
    ----------
    images : pair of arrays, each of shape (3, R, R)
        RGB in [-1, 1], as :attr:`RecipePair.images` holds them.
    differences : mapping of str to float
        Attribute -> second minus first, in attribute units; the largest are drawn.
    identity : float, optional
        Cosine similarity of the two; stands in the title.
    names : pair of str
        What the two are called.
    most : int
        Attributes that are drawn.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    axes : three matplotlib axes, optional
        Where to draw: the two faces and the bars; those of a new figure if not given.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of the axes.

    Raises
    ------
    ValueError
        No differences, or pictures of another shape.
    """
    pictures = [np.asarray(image, dtype=float) for image in images]
    if len(pictures) != 2 or any(p.ndim != 3 or p.shape[0] != 3 for p in pictures):
        shapes = [p.shape for p in pictures]
        raise ValueError(f"images have shapes {shapes}; allowed: two of (3, R, R)")
    if not differences:
        raise ValueError("differences are empty; allowed: at least one attribute")
    if axes is None:
        from l2l_widgets.plots.shown_figure import shown_figure

        figure = shown_figure(figsize=(7.2, 2.6), layout="constrained")
        axes = tuple(figure.subplots(1, 3, width_ratios=(1, 1, 1.4)))
    for place, picture, name in zip(axes[:2], pictures, names, strict=True):
        place.imshow(np.clip((picture.transpose(1, 2, 0) + 1) / 2, 0, 1))
        place.set_title(name, fontsize=9)
        place.set_axis_off()
    ranked = sorted(differences.items(), key=lambda item: -abs(item[1]))[:most]
    say = worded(words)
    labels = [say(label_of(name)) for name, _ in ranked][::-1]
    values = [value for _, value in ranked][::-1]
    bars = axes[2]
    bars.barh(labels, values, color="0.35", height=0.6)
    bars.axvline(0, color="0.6", lw=0.8)
    bars.tick_params(labelsize=7)
    below = say("{b} minus {a}, of each scale", a=names[0], b=names[1])
    bars.set_xlabel(below, fontsize=8)
    in_percent(bars.xaxis)
    if identity is not None:
        bars.set_title(f"{say('identity')} {identity:.2f}", fontsize=9)
    return bars.figure
