"""A page of a gallery as a figure: faces in rows, each with its seed and its readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable, label_of
from l2l_widgets.plots.axes import grid_in, worded
from l2l_widgets.plots.edits import PAGE, rgb

__all__ = ["plot_page"]


def plot_page(
    pictures: Sequence[Any],
    seeds: Sequence[int],
    readings: Sequence[Mapping[str, float]] | None = None,
    *,
    columns: int = 8,
    title: str = "",
    width: float = PAGE,
    table: AttributeTable | None = None,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> dict[str, Any]:
    """Draw the faces that a search found, as a gallery shows them.

    Parameters
    ----------
    pictures : sequence of arrays, each of shape (3, H, W) or (H, W, 3)
        RGB in [-1, 1]; tensors will do.
    seeds : sequence of int
        One a picture.
    readings : sequence of mappings, optional
        One a picture: attribute -> its reading in [0, 1], as ``FaceSearch.reading`` gives it; what
        stands below the face. Readings that are not finite are left out.
    columns : int
        Faces in a row, at most.
    title : str
        Above the page, such as what was looked for.
    width : float
        Of the figure, in inches.
    table : AttributeTable, optional
        Labels and units; :data:`DEFAULT_TABLE` if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Of ``subplots()``: its place is taken by the page; a figure of its own if not given.

    Returns
    -------
    dict
        ``figure``, ``axes`` (list, one a face), ``captions`` (list of str, one a face).

    Raises
    ------
    ValueError
        No pictures, one that is none, another number of seeds or readings, or no columns.

    Examples
    --------
    >>> search = FaceSearch(load())  # doctest: +SKIP
    >>> found = search.find(parse_filter("smiling"), 16)  # doctest: +SKIP
    >>> faces = [from_uint8(p) for p in search.pictures(found.seeds)]  # doctest: +SKIP
    >>> plot_page(faces, found.seeds, title="smiling")  # doctest: +SKIP
    """
    faces = [rgb(picture, i) for i, picture in enumerate(pictures)]
    if not faces:
        raise ValueError("pictures is empty; allowed: at least one")
    for what, given in (("seeds", seeds), ("readings", readings)):
        if given is not None and len(given) != len(faces):
            raise ValueError(f"{what} has {len(given)} entries; allowed: {len(faces)}, as pictures")
    if type(columns) is not int or columns < 1:
        raise ValueError(f"columns is {columns!r}; allowed: a whole number of at least 1")
    say = worded(words)
    rows_of = DEFAULT_TABLE if table is None else table
    captions = []
    for i, seed in enumerate(seeds):
        known = {} if readings is None else readings[i]
        lines = [
            f"{say(label_of(name, table))} "
            + (rows_of[name].value_text(value) if name in rows_of else f"{value:.2f}")
            for name, value in known.items()
            if np.isfinite(value)
        ]
        captions.append("\n".join([say("face {seed}", seed=seed), *lines]))
    across = min(columns, len(faces))
    down = -(-len(faces) // across)
    side, below = width / across, 0.13 * max(caption.count("\n") + 1 for caption in captions)
    if ax is None:
        from l2l_widgets.plots.shown_figure import shown_figure

        above = 0.25 if title else 0.0
        size = (width, down * (side + below) + above)
        figure = shown_figure(figsize=size, layout="constrained")
        spots = figure.add_gridspec(down, across)
        if title:
            figure.suptitle(title, fontsize=8)
    else:
        figure, spots = ax.figure, grid_in(ax, down, across)
        ax.set_title(title, fontsize=8)
    axes = []
    for i, (face, caption) in enumerate(zip(faces, captions, strict=True)):
        place = figure.add_subplot(spots[i // across, i % across])
        place.imshow(face, interpolation="lanczos")
        # below the picture, where it takes no part of the next one: axis labels make room
        place.set_xlabel(caption, fontsize=6, labelpad=2)
        place.set(xticks=[], yticks=[])
        place.spines[:].set_visible(False)
        axes.append(place)
    return {"figure": figure, "axes": axes, "captions": captions}
