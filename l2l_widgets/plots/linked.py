"""Linked plots: the same faces in several panels; what is lassoed in one stands out in all.

A scatter matrix of plotly, whose selection is shared by its panels in the page itself: it needs no
kernel, and goes on working in a notebook that is read only, or saved with ``write_html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable, label_of
from l2l_widgets.plots.axes import worded

__all__ = ["linked_plot"]

#: More panels than this are too small to draw a lasso in.
MOST = 8


def linked_plot(
    readings: Mapping[str, Any],
    coordinates: Any = None,
    *,
    colour: str | None = None,
    seeds: Sequence[int] | None = None,
    table: AttributeTable | None = None,
    words: Mapping[str, str] | None = None,
) -> Any:
    """An interactive figure of faces: every two readings against each other, and the map.

    Parameters
    ----------
    readings : mapping of str to array, each of shape (N,)
        Attribute -> its reading of each face in attribute units, [0, 1]; two or more together with
        the map's two axes, at most eight panels.
    coordinates : array, shape (N, 2), optional
        Where the faces lie on a map, as ``Layout.coordinates``; two more panels.
    colour : str, optional
        The attribute that colours the points; the first one if not given.
    seeds : sequence of int, optional
        What the faces are called under the pointer; their number if not given.
    table : AttributeTable, optional
        Labels and units; :data:`DEFAULT_TABLE` if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.

    Returns
    -------
    plotly.graph_objects.Figure
        Lasso or box in one panel: the same faces stand out in all others.

    Raises
    ------
    ValueError
        Lengths that differ, too few or too many panels, or a colour that is not among the readings.

    Examples
    --------
    >>> found = LatentMap(session).code_map  # doctest: +SKIP
    >>> readings = {n: found.values(n) for n in ("age", "smile", "hat")}  # doctest: +SKIP
    >>> linked_plot(readings, found.lay_out("w", 0).coordinates)  # doctest: +SKIP
    """
    rows = DEFAULT_TABLE if table is None else table
    columns = {name: np.asarray(values, dtype=float) for name, values in readings.items()}
    plane = None if coordinates is None else np.asarray(coordinates, dtype=float)
    shapes = {name: values.shape for name, values in columns.items()}
    count = (
        next(iter(columns.values())).shape[0] if columns and len(set(shapes.values())) == 1 else 0
    )
    if count == 0 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"readings have shapes {shapes}; allowed: (N >= 1,), the same for all")
    if plane is not None and plane.shape != (count, 2):
        raise ValueError(f"coordinates have shape {plane.shape}; allowed: ({count}, 2)")
    panels = len(columns) + (0 if plane is None else 2)
    if not 2 <= panels <= MOST:
        raise ValueError(f"readings and map make {panels} panels; allowed: 2 to {MOST}")
    if seeds is not None and len(seeds) != count:
        raise ValueError(f"seeds has {len(seeds)} entries; allowed: {count}, as readings")
    chosen = next(iter(columns)) if colour is None else colour
    if chosen not in columns:
        raise ValueError(f"colour is {colour!r}; allowed: {', '.join(columns)}")

    from plotly import graph_objects

    shown = {name: _in_units(rows, name, values) for name, values in columns.items()}
    say = worded(words)
    dimensions = [{"label": _title(rows, name), "values": shown[name]} for name in columns]
    if plane is not None:
        # the axes of a map have no unit and no zero
        dimensions = [
            {"label": say("map, across"), "values": plane[:, 0]},
            {"label": say("map, up"), "values": plane[:, 1]},
            *dimensions,
        ]
    figure = graph_objects.Figure(
        graph_objects.Splom(
            dimensions=dimensions,
            showupperhalf=False,
            diagonal_visible=False,
            text=_hover(rows, columns, range(count) if seeds is None else seeds, say),
            hovertemplate="%{text}<extra></extra>",
            marker={
                "size": 4, "opacity": 0.7, "color": shown[chosen], "colorscale": "Viridis",
                "showscale": True, "colorbar": {"title": _title(rows, chosen)},
            },
            unselected={"marker": {"opacity": 0.06}},
        )
    )  # fmt: skip
    figure.update_layout(
        dragmode="lasso", hovermode="closest", width=130 * panels + 160, height=130 * panels + 60,
        margin={"l": 60, "r": 20, "t": 20, "b": 60}, template="plotly_white",
    )  # fmt: skip
    return figure


def _in_units(rows: AttributeTable, name: str, values: Any) -> Any:
    return rows[name].to_unit(values) if name in rows else values


def _title(rows: AttributeTable, name: str) -> str:
    unit = rows[name].unit if name in rows else ""
    return f"{label_of(name, rows)} ({unit})" if unit else label_of(name, rows)


def _hover(
    rows: AttributeTable, columns: Mapping[str, Any], seeds: Sequence[int], say: Any
) -> list[str]:
    """What stands under the pointer: the face, and all its readings in their units."""
    lines = []
    for i, seed in enumerate(seeds):
        words = [
            f"{label_of(name, rows)} "
            + (rows[name].value_text(values[i]) if name in rows else f"{values[i]:.2f}")
            for name, values in columns.items()
            if np.isfinite(values[i])
        ]
        lines.append("<br>".join([say("face {seed}", seed=seed), *words]))
    return lines
