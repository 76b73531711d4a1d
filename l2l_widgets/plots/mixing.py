"""The mix grid as an illustration: people down the side, attributes along the top, every mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from l2l_widgets.images import to_pil
from l2l_widgets.plots.axes import worded

INK, QUIET, PAPER = "#1c2430", "#6b7686", "#ffffff"


def mix_figure(
    people: Tensor,
    attributes: Tensor,
    mixes: Tensor,
    names: Sequence[str],
    ax: Any = None,
    *,
    words: Mapping[str, str] | None = None,
) -> Any:
    """Inputs along the edges, apart from the mixes, every picture with air.

    Parameters
    ----------
    people : Tensor, shape (P, 3, R, R)
        The identity inputs, in [-1, 1].
    attributes : Tensor, shape (A, 3, R, R)
        The attribute inputs.
    mixes : Tensor, shape (P, A, 3, R, R)
        The person of the row with the attributes of the column.
    names : sequence of str
        A short name for each column.
    ax : matplotlib Axes, optional
        Where to draw, with words that fit; a fresh figure if not given.
    words : mapping of str to str, optional
        English words of the figure -> what stands in their place, see
        :func:`l2l_widgets.plots.axes.worded`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of the axes.
    """
    from matplotlib.patches import FancyBboxPatch

    from l2l_widgets.plots.shown_figure import shown_figure

    if mixes.shape[:2] != (len(people), len(attributes)) or len(names) != len(attributes):
        raise ValueError(
            f"mixes have shape {tuple(mixes.shape)}, names are {len(names)}; allowed: "
            f"({len(people)}, {len(attributes)}, 3, R, R) and {len(attributes)}"
        )
    side, air, edge = 1.0, 0.12, 0.42  # of one picture
    rows, columns = len(people), len(attributes)
    left, top = 0.86, 0.98
    width = left + side + edge + columns * (side + air) + 0.2
    height = top + side + edge + rows * (side + air) + 0.2
    axes, size = ax, 1.0
    if ax is None:
        figure = shown_figure(figsize=(1.28 * width, 1.28 * height), facecolor=PAPER, dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
    else:  # words keep their size beside the pictures
        place_of, inches = ax.get_position(), ax.figure.get_size_inches()
        across, down = place_of.width * inches[0] / width, place_of.height * inches[1] / height
        size = min(across, down) / 1.28
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")

    def place(image: Tensor, x: float, y: float, *, framed: bool) -> None:
        shape = FancyBboxPatch(
            (x, y), side, side, boxstyle="round,pad=0,rounding_size=0.09",
            facecolor="none", edgecolor=INK if framed else "none",
            linewidth=1.6 * size * framed,
        )  # fmt: skip
        picture = axes.imshow(
            to_pil(image), extent=(x, x + side, y + side, y), interpolation="bicubic"
        )
        axes.add_patch(shape)
        picture.set_clip_path(shape)

    lefts = [left + side + edge + i * (side + air) for i in range(columns)]
    tops = [top + side + edge + i * (side + air) for i in range(rows)]
    for image, x, name in zip(attributes, lefts, names, strict=True):
        axes.text(x + side / 2, top - 0.12, name, ha="center", color=QUIET, fontsize=13 * size)
        place(image, x, top, framed=True)
    for image, y, line in zip(people, tops, mixes, strict=True):
        place(image, left, y, framed=True)
        for mixed, x in zip(line, lefts, strict=True):
            place(mixed, x, y, framed=False)
    middle = (lefts[0] + lefts[-1] + side) / 2
    say = worded(words)
    bold: dict[str, Any] = {"color": INK, "fontsize": 18 * size, "fontweight": "bold"}
    axes.text(middle, 0.46, say("pose and expression of the column"), ha="center", **bold)
    middle = (tops[0] + tops[-1] + side) / 2
    down = say("person of the row")
    axes.text(0.46, middle, down, ha="center", va="center", rotation=90, **bold)
    axes.text(
        left + side / 2, top + side / 2, say("framed: the inputs"),
        ha="center", va="center", color=QUIET, fontsize=11 * size, linespacing=1.5,
    )  # fmt: skip
    axes.set_aspect("equal")
    return axes.figure
