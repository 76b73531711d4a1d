"""Figures of a comparison: leakage matrices, and what moves as the target moves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from l2l_widgets.attributes import label_of
from l2l_widgets.evaluation.cells import plain_name
from l2l_widgets.evaluation.equal_change import CURVE
from l2l_widgets.evaluation.report import Comparison
from l2l_widgets.evaluation.report_folder import INTERVALS

#: How the mark ends under a matrix.
HATCHED = "hatched: no discovery, by bootstrap over faces"
#: Correlation with another reader on the unedited faces below which an attribute's name is grey:
#: what a judge reads of it is near chance.
DOUBTFUL = 0.5


def draw_figures(comparison: Comparison, mark: str) -> Iterator[tuple[str, bytes]]:
    """Draw every figure as SVG and PNG; the mark is printed under each.

    Parameters
    ----------
    comparison : Comparison
        What was measured; figures of parts that were not are left out.
    mark : str
        n, seeds, judge, and whether it is a preview.

    Yields
    ------
    name : str
        Of a file; each figure has two.
    data : bytes
        Its content.
    """
    drawn = {}
    for label in dict.fromkeys(row["method"] for row in comparison.leakage):
        name = plain_name(f"leakage_{label}")
        drawn[name] = leakage_figure(comparison, label)
    if comparison.curves:
        drawn["curves"] = curves_figure(comparison)
    from matplotlib import rc_context

    for name, figure in drawn.items():
        # a matrix draws no intervals: its hatching says which cells they leave undecided
        said = mark.replace(INTERVALS, HATCHED)
        if doubtful(comparison, "judge"):
            said += "; grey: readers disagree"
        if name == "curves":
            said = mark
            faces, whole = comparison.plan.protocol.faces, comparison.plan.sweep_faces
            if whole < faces:
                said += f"; these curves: the first {whole} of them"
        figure.text(0.01, 0.005, said, fontsize=6, va="bottom")
        for kind in ("svg", "png"):
            # no date and no random names: equal numbers give equal files
            extra = {"metadata": {"Date": None}} if kind == "svg" else {}
            with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
                figure.savefig(data := io.BytesIO(), format=kind, dpi=130, **extra)
            yield f"{name}.{kind}", data.getvalue()


def doubtful(comparison: Comparison, reader: str) -> set[str]:
    """Return the attributes on which a reader and another one do not agree (:data:`DOUBTFUL`)."""
    return {
        row["attribute"]
        for row in comparison.readers
        if reader in (row["first"], row["second"])
        and (row["correlation"] is None or row["correlation"] < DOUBTFUL)
    }


def leakage_figure(comparison: Comparison, label: str, reader: str = "judge") -> Any:
    """Return a matplotlib figure of one method's leakage matrix; what was no discovery is hatched.

    Parameters
    ----------
    comparison : Comparison
        What was measured.
    label : str
        The method.
    reader : str
        By which reader.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows = [
        row
        for row in comparison.leakage
        if (row["method"], row["reader"], row["seed"]) == (label, reader, 0)
    ]
    edited = list(dict.fromkeys(row["edited"] for row in rows))
    read = list(dict.fromkeys(row["read"] for row in rows))
    table = [[float("nan")] * len(read) for _ in edited]
    for row in rows:
        table[edited.index(row["edited"])][read.index(row["read"])] = row.get(
            "signed", float("nan")
        )
    change = comparison.plan.protocol.request
    figure = Figure(
        figsize=(2.2 + 0.24 * len(read), 1.7 + 0.24 * len(edited)), layout=_room_below(0.05)
    )
    axes = figure.add_subplot()
    image = axes.imshow(table, cmap="RdBu_r", vmin=-change, vmax=change, aspect="auto")
    for row in rows:
        if row["verdict"] in ("clear", "untested"):
            corner = (read.index(row["read"]) - 0.5, edited.index(row["edited"]) - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", lw=0, alpha=0.25))
    axes.set_xticks(range(len(read)), map(label_of, read), rotation=90, fontsize=6)
    axes.set_yticks(range(len(edited)), map(label_of, edited), fontsize=6)
    grey = doubtful(comparison, reader)
    for labels, names in ((axes.get_xticklabels(), read), (axes.get_yticklabels(), edited)):
        for label_text, name in zip(labels, names, strict=True):
            if name in grey:
                label_text.set_color("0.6")
    axes.set_xlabel("read", fontsize=7)
    axes.set_ylabel("edited", fontsize=7)
    axes.set_title(f"{label}: mean change at an achieved change of {change:g}", fontsize=8)
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=6)
    return figure


def curves_figure(comparison: Comparison) -> Any:
    """Return a matplotlib figure: what else moved, and identity, over the achieved change."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["attribute"] for row in comparison.curves))
    labels = list(dict.fromkeys(row["method"] for row in comparison.curves))
    figure = Figure(figsize=(7, 1 + 1.7 * len(names)), layout=_room_below(0.02))
    grid = figure.subplots(len(names), 2, squeeze=False, sharex=True)
    for (left, right), name in zip(grid, names, strict=True):
        for row in comparison.curves:
            if row["attribute"] != name or row["seed"]:
                continue
            colour = f"C{labels.index(row['method']) % 10}"
            left.plot(row["achieved"], row["others"], ".-", color=colour, label=row["method"])
            _band(left, row["achieved"], row["others_interval"], colour)
            if row["identity"] is not None:
                right.plot(CURVE, row["identity"], ".-", color=colour)
                _band(right, CURVE, row["identity_interval"], colour)
        left.set_ylabel(f"{label_of(name)}\nothers moved", fontsize=7)
        right.set_ylabel("identity cosine", fontsize=7)
        for axes in (left, right):
            axes.tick_params(labelsize=6)
    grid[0][0].legend(fontsize=6)
    for axes in grid[-1]:
        axes.set_xlabel("achieved change", fontsize=7)
    return figure


def _band(axes: Any, x: Any, interval: Any, colour: str) -> None:
    """The interval around a curve, which the mark under the figure speaks of."""
    axes.fill_between(x, *interval, color=colour, alpha=0.18, lw=0)


def _room_below(share: float) -> Any:
    """Return a layout that leaves a strip at the bottom for the mark."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share))
