"""Edits as figures for a paper: a strip of faces, and under each what came and what else moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.axes import grid_in, in_percent, worded

__all__ = ["edit_strip", "paper_style", "receipt_bars"]

#: Widths of a figure in inches: one column and both columns of a two-column page.
COLUMN, PAGE = 3.25, 6.75
#: Told apart without colour too: what was asked is filled, what was not is hatched.
ASKED, OTHER = "#1f5fa8", "#c76a1b"


def paper_style(size: float = 8.0, family: str = "DejaVu Sans") -> dict[str, Any]:
    """Settings for ``matplotlib.rc_context``: type that stays type, sizes that fit a column.

    Parameters
    ----------
    size : float
        Of the text in points, as printed; captions in a paper have 8 to 9.
    family : str
        Font. Its glyphs are embedded as TrueType, which journals ask for, and SVG keeps its text.
    """
    if not 1 <= size <= 72:
        raise ValueError(f"size is {size!r}; allowed: points from 1 to 72")
    return {
        "font.family": family,
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": 0.9 * size,
        "ytick.labelsize": 0.9 * size,
        "legend.fontsize": 0.9 * size,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "hatch.linewidth": 0.6,
    }


def receipt_bars(
    receipt: Mapping[str, Any],
    names: Sequence[str] | None = None,
    *,
    others: int = 4,
    limit: float | None = None,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> dict[str, Any]:
    """What an edit did, as bars: what was asked, what came, what else moved, and chance.

    Parameters
    ----------
    receipt : mapping
        As ``Receipt.to_dict()`` gives it: ``requested``, ``achieved``, ``others`` and ``band``,
        each by attribute, in attribute units.
    names : sequence of str, optional
        Attributes to show, from the top; those asked for and the ``others`` largest if not given.
    others : int
        How many of the attributes that nobody asked for are shown.
    limit : float, optional
        Half the width of the axis, so that several receipts share it; fitted if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Where to draw; a figure of its own if not given.

    Returns
    -------
    dict
        ``figure``, ``axes``, ``names`` (from the top), ``bars`` (name -> change), ``limit``.

    Raises
    ------
    ValueError
        A receipt with an error, or a name that it does not hold.
    """
    if receipt.get("error"):
        raise ValueError(f"the receipt holds an error: {receipt['error']}")
    requested, band = receipt["requested"], receipt.get("band", {})
    changes = {**receipt["achieved"], **receipt["others"]}
    if names is None:
        ranked = sorted(receipt["others"], key=lambda n: -abs(changes[n]))
        names = [*requested, *ranked[:others]]
    unknown = [name for name in names if name not in changes]
    if unknown or not names:
        raise ValueError(f"names holds {unknown or 'nothing'}; allowed: {', '.join(changes)}")
    ax = _axes(ax, (COLUMN, 0.22 * len(names) + 0.65))
    values = [float(changes[name]) for name in names]
    asked = [float(requested.get(name, 0.0)) for name in names]
    reach = [abs(v) for name in names for v in band.get(name, ())]
    if limit is None:
        limit = 1.1 * max(0.05, *map(abs, [*values, *asked]), *reach)
    for row, name in enumerate(names):
        low, high = band.get(name, (0.0, 0.0))
        ax.barh(row, high - low, 0.86, left=low, color="0.88", zorder=1)
        wanted = name in requested
        ax.barh(
            row, values[row], 0.5, zorder=2, color=ASKED if wanted else "white",
            edgecolor=ASKED if wanted else OTHER, hatch=None if wanted else "/////", linewidth=0.8,
        )  # fmt: skip
        if wanted:
            ax.plot([asked[row]] * 2, [row - 0.42, row + 0.42], color="black", lw=1.4, zorder=3)
    ax.axvline(0, color="0.3", lw=0.6, zorder=0)
    ax.set(xlim=(-limit, limit), ylim=(len(names) - 0.4, -0.6))
    say = worded(words)
    ax.set_yticks(range(len(names)), [say(label_of(name)) for name in names])
    in_percent(ax.xaxis)
    ax.set_xlabel(say("change, in % of the attribute's scale"))
    ax.tick_params(axis="y", length=0)
    return {
        "figure": ax.figure,
        "axes": ax,
        "names": list(names),
        "bars": dict(zip(names, values, strict=True)),
        "limit": limit,
    }


def edit_strip(
    pictures: Sequence[Any],
    titles: Sequence[str] | None = None,
    receipts: Sequence[Mapping[str, Any] | None] | None = None,
    *,
    others: int = 3,
    width: float = PAGE,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> dict[str, Any]:
    """Faces side by side, each with its receipt under it.

    Parameters
    ----------
    pictures : sequence of arrays, each of shape (3, H, W) or (H, W, 3)
        RGB in [-1, 1]; tensors will do.
    titles : sequence of str, optional
        One above each picture.
    receipts : sequence of mappings or None, optional
        One for each picture, as for :func:`receipt_bars`; None where a picture has none. All share
        one axis and the attributes that moved most in any of them.
    others : int
        Attributes that nobody asked for, in each receipt.
    width : float
        Of the figure, in inches.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Its place is taken by the strip; a figure of its own if not given.

    Returns
    -------
    dict
        ``figure``, ``axes`` (list of the pictures' axes), ``receipt_axes`` (list, None where there
        is none), ``names`` (attributes in the receipts, from the top).

    Raises
    ------
    ValueError
        No pictures, one that is none, or another number of titles or receipts.
    """
    arrays = [rgb(picture, i) for i, picture in enumerate(pictures)]
    if not arrays:
        raise ValueError("pictures is empty; allowed: at least one")
    for what, given in (("titles", titles), ("receipts", receipts)):
        if given is not None and len(given) != len(arrays):
            raise ValueError(
                f"{what} has {len(given)} entries; allowed: {len(arrays)}, as pictures"
            )
    kept = [r for r in receipts or [] if r is not None]
    names = _shared_names(kept, others)
    side = width / len(arrays)
    below = 0.2 * len(names) + 0.5 if kept else 0.0
    figure, spots = _grid(ax, len(arrays), width, side, below)
    faces: list[Any] = []
    bars: list[Any] = []
    limit = None
    if kept:
        reach = [abs(v) for r in kept for n in names for v in _reaches(r, n)]
        limit = 1.1 * max(0.05, *reach)
    for i, array in enumerate(arrays):
        face = figure.add_subplot(spots[0, i])
        face.imshow(array, interpolation="lanczos")
        face.set_axis_off()
        if titles is not None:
            face.set_title(titles[i], pad=3)
        faces.append(face)
        receipt = receipts[i] if receipts is not None else None
        if receipt is None:
            bars.append(None)
            continue
        axes = figure.add_subplot(spots[1, i])
        receipt_bars(receipt, names, limit=limit, words=words, ax=axes)
        axes.set_xlabel(worded(words)("change"))  # the panels are narrow
        if any(b is not None for b in bars):  # the names stand once, at the first
            axes.set_yticklabels([])
        bars.append(axes)
    return {"figure": figure, "axes": faces, "receipt_axes": bars, "names": names}


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    from l2l_widgets.plots.shown_figure import shown_figure

    return shown_figure(figsize=size, layout="constrained").subplots()


def _grid(ax: Any, columns: int, width: float, side: float, below: float) -> tuple[Any, Any]:
    """The figure, and a grid of one or two rows in it, in the place of ``ax`` where given."""
    rows, heights = (2, [side, below]) if below else (1, [side])
    if ax is not None:
        return ax.figure, grid_in(ax, rows, columns, height_ratios=heights)
    from l2l_widgets.plots.shown_figure import shown_figure

    figure = shown_figure(figsize=(width, side + below + 0.2), layout="constrained")
    return figure, figure.add_gridspec(rows, columns, height_ratios=heights)


def rgb(picture: Any, number: int) -> Any:
    """A picture as (H, W, 3) in [0, 1]; ValueError with its number where it is none."""
    array = np.asarray(picture, dtype=float)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[-1] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] != 3 or not np.isfinite(array).all():
        raise ValueError(
            f"pictures[{number}] has shape {array.shape}; allowed: (3, H, W) or (H, W, 3), finite"
        )
    return np.clip((array + 1) / 2, 0, 1)


def _shared_names(receipts: Sequence[Mapping[str, Any]], others: int) -> list[str]:
    """What was asked in any receipt, then what moved most in any of them unasked."""
    asked = dict.fromkeys(name for r in receipts for name in r["requested"])
    moved: dict[str, float] = {}
    for receipt in receipts:
        for name, change in receipt["others"].items():
            if name not in asked:
                moved[name] = max(moved.get(name, 0.0), abs(change))
    return [*asked, *sorted(moved, key=lambda n: -moved[n])[:others]]


def _reaches(receipt: Mapping[str, Any], name: str) -> list[float]:
    changes = {**receipt["achieved"], **receipt["others"]}
    return [
        float(changes.get(name, 0.0)), float(receipt["requested"].get(name, 0.0)),
        *map(float, receipt.get("band", {}).get(name, ())),
    ]  # fmt: skip
