"""What the two training widgets send to their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.widgets.still import figure_png
from l2l_widgets.widgets.words import Words

#: Points of a curve that a screen can show; longer histories are thinned.
MAX_POINTS = 300
#: What a history record holds besides losses and scores.
NOT_LOSSES = ("step", "seconds", "images_per_second")


def history_value(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The curves of a run.

    Parameters
    ----------
    records : sequence of mapping
        History records, as ``RunDirectory.history`` gives them.

    Returns
    -------
    dict
        ``steps`` (list of int) and ``losses``: name -> values, None where a record has none. At
        most about :data:`MAX_POINTS` points, the last one among them.
    """
    stride = -(-len(records) // MAX_POINTS) or 1
    kept = list(records[::stride])
    if records and kept[-1] is not records[-1]:
        kept.append(records[-1])
    names = list(dict.fromkeys(name for r in kept for name in r if name not in NOT_LOSSES))
    return {
        "steps": [record["step"] for record in kept],
        "losses": {name: [record.get(name) for record in kept] for name in names},
    }


def attribute_label(name: str, words: Words) -> str:
    """What an attribute is called on the page; one that is not shipped keeps its name."""
    table = words.translate(DEFAULT_TABLE)
    return table[name].label if name in table else name.replace("_", " ")


def row_caption(caption: str, words: Words) -> str:
    """What stands beside a row of watched faces: "as drawn", or an edit such as "smile +1"."""
    name, space, amount = caption.rpartition(" ")
    if space and name in DEFAULT_TABLE and amount[:1] in "+-":
        return f"{attribute_label(name, words)} {amount}"
    return words.said(caption)


def curves_png(history: Mapping[str, Any]) -> bytes | None:
    """The losses of a run as a picture; None while there are fewer than two steps.

    Parameters
    ----------
    history : mapping
        As :func:`history_value` gives it.
    """
    from matplotlib.figure import Figure

    steps, losses = history.get("steps", []), history.get("losses", {})
    if len(steps) < 2:
        return None
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        known = [
            (step, value) for step, value in zip(steps, values, strict=True) if value is not None
        ]
        if known:
            axes.plot(*zip(*known, strict=True), label=name.replace("_", " "))
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(frameon=False, fontsize=8)
    return figure_png(figure)


def losses_rows(history: Mapping[str, Any], decimal: str = ".") -> list[list[str]]:
    """First and last value of every loss, for a table: name, first, last."""
    rows = []
    for name, values in history.get("losses", {}).items():
        known = [value for value in values if value is not None]
        if known:
            ends = (f"{known[i]:.4g}".replace(".", decimal) for i in (0, -1))
            rows.append([name.replace("_", " "), *ends])
    return rows
