"""The losses of a training run over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NOT_LOSSES", "plot_losses"]

#: What a history record holds besides losses and scores.
NOT_LOSSES = ("step", "seconds", "images_per_second")


def plot_losses(
    records: Sequence[Mapping[str, Any]],
    ax: Any = None,
    *,
    axes: tuple[str, str] = ("step", "loss"),
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

    Returns
    -------
    matplotlib Axes
        What was drawn on; its figure is ``ax.figure``.
    """
    if ax is None:
        from l2l_widgets.plots.shown_figure import shown_figure

        ax = shown_figure(figsize=(6, 3), layout="constrained").subplots()
    for name in dict.fromkeys(n for record in records for n in record if n not in NOT_LOSSES):
        known = [(r["step"], r[name]) for r in records if r.get(name) is not None]
        if known:
            ax.plot(*zip(*known, strict=True), label=name.replace("_", " "))
    ax.set(xlabel=axes[0], ylabel=axes[1])
    if ax.lines:
        ax.legend(frameon=False, fontsize=8)
    return ax
