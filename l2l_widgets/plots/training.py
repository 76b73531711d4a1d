"""A training run as figures: its losses over the steps, and what its edits move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.plots.axes import worded
from l2l_widgets.plots.entanglement import leakage_plot

__all__ = ["NOT_LOSSES", "plot_losses", "plot_training_leakage"]

#: What a history record holds besides losses and scores.
NOT_LOSSES = ("step", "seconds", "images_per_second")


def plot_losses(
    records: Sequence[Mapping[str, Any]],
    ax: Any = None,
    *,
    axes: tuple[str, str] = ("step", "loss"),
    words: Mapping[str, str] | None = None,
) -> Any:
    """Draw every loss of a run over its steps.

    Parameters
    ----------
    records : sequence of mapping
        ``step`` and a number for every loss that has one, as ``RunDirectory(folder).history()``
        gives them.
    ax : matplotlib Axes, optional
        Where to draw; fresh ones if not given.
    axes : (str, str)
        What stands below and beside the curves.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
        Losses are looked up by their own names.

    Returns
    -------
    matplotlib Axes
        What was drawn on; its figure is ``ax.figure``.
    """
    if ax is None:
        from l2l_widgets.plots.shown_figure import shown_figure

        ax = shown_figure(figsize=(6, 3), layout="constrained").subplots()
    say = worded(words)
    for name in dict.fromkeys(n for record in records for n in record if n not in NOT_LOSSES):
        known = [(r["step"], r[name]) for r in records if r.get(name) is not None]
        if known:
            ax.plot(
                *zip(*known, strict=True), label=(words or {}).get(name, name.replace("_", " "))
            )
    ax.set(xlabel=say(axes[0]), ylabel=say(axes[1]))
    if ax.lines:
        ax.legend(frameon=False, fontsize=8)
    return ax


def plot_training_leakage(
    leakage: Mapping[str, Mapping[str, float]],
    *,
    step: int | None = None,
    table: AttributeTable | None = None,
    words: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw what the edits of a network in training move: asked downwards, moved across.

    No judge has read this, and there are no intervals: it shows whether a training goes where it
    should, and is no figure for a comparison.

    Parameters
    ----------
    leakage : mapping
        Asked attribute -> attribute -> mean change in attribute units where a whole scale was asked
        for, as ``read_look(run, step).leakage`` has it.
    step : int, optional
        When it was looked at; stands above.
    table : AttributeTable, optional
        Whose labels the attributes get, such as those of another language.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.
    ax : matplotlib Axes, optional
        Where to draw; fresh ones if not given.

    Returns
    -------
    matplotlib Axes
        What was drawn on; its figure is ``ax.figure``.

    Raises
    ------
    ValueError
        Nothing was asked for.
    """
    asked = list(leakage)
    if not asked:
        raise ValueError("leakage is empty; allowed: at least one attribute that was asked for")
    read = list(dict.fromkeys([*asked, *(name for row in leakage.values() for name in row)]))
    values = [[row.get(name, float("nan")) for name in read] for row in leakage.values()]
    say = worded(words)
    return leakage_plot(
        values, asked, read, limit=1.0, title="" if step is None else say("step {step}", step=step),
        axes=(say("moved (% of the scale),\nread by the training regressors"), say("asked by +1")),
        table=table, words=words, ax=ax,
    )  # fmt: skip
