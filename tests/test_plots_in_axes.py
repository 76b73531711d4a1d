"""Every figure can be drawn into axes that are there already, and says what it drew."""

import pytest
import torch
from matplotlib.figure import Figure

from l2l_widgets.plots.axes import grid_in
from l2l_widgets.plots.interpolation import walk_figure
from l2l_widgets.plots.mixing import mix_figure
from l2l_widgets.plots.reliability import reliability_figure
from l2l_widgets.plots.training import plot_losses

READER = {
    name: {"reading": [0.1, 0.5, None], "truth": [0.1, 0.4, None], "calibration_error": 0.05}
    for name in ("age", "smile", "hat")
}
RECORDS = [
    {"step": 0, "loss": 1.0, "seconds": 3.0},
    {"step": 5, "loss": 0.5, "leakage_loss": 0.2},
    {"step": 9, "loss": 0.25, "images_per_second": 8.0},
]


def draw_walk(ax):
    images = torch.zeros(5, 3, 8, 8)
    curves = {"smile": [0.1, 0.2, 0.3, 0.4, 0.5]}
    return walk_figure(images, curves, {"first": [1.0, 0.8, 0.6, 0.5, 0.4]}, ax=ax)


def draw_mixes(ax):
    people, attributes = torch.zeros(2, 3, 8, 8), torch.zeros(3, 3, 8, 8)
    return mix_figure(people, attributes, torch.zeros(2, 3, 3, 8, 8), ["a", "b", "c"], ax)


def draw_reliability(ax):
    return reliability_figure({"judge": READER, "regressor": READER}, columns=2, ax=ax)


def draw_losses(ax):
    return plot_losses(RECORDS, ax).figure


DRAWINGS = (draw_walk, draw_mixes, draw_reliability, draw_losses)


def inside(inner, outer):
    return all(
        low >= lower - 1e-6 and high <= upper + 1e-6
        for low, high, lower, upper in zip(
            (inner.x0, inner.y0), (inner.x1, inner.y1), (outer.x0, outer.y0), (outer.x1, outer.y1),
            strict=True,
        )
    )  # fmt: skip


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_figure_is_drawn_in_the_place_of_the_axes_it_is_given(draw):
    figure = Figure(figsize=(10, 5))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1])
    place = right.get_position()
    assert draw(right) is figure
    figure.canvas.draw()
    own = [ax for ax in figure.axes if ax is not left]
    assert any(ax.lines or ax.images for ax in own)
    for ax in own:
        assert inside(ax.get_position(), place), "drawn beyond the axes that were given"
    assert len(left.lines) == 1
    assert not left.images


@pytest.mark.parametrize("draw", DRAWINGS)
def test_without_axes_it_makes_its_own(draw, tmp_path):
    figure = draw(None)
    figure.savefig(tmp_path / "own.svg")
    assert any(ax.lines or ax.images for ax in figure.axes)


def test_both_ways_draw_the_same():
    for draw in DRAWINGS:
        alone, beside = draw(None), draw(Figure().subplots())
        counts = [
            (sum(len(ax.lines) for ax in figure.axes), sum(len(ax.images) for ax in figure.axes))
            for figure in (alone, beside)
        ]
        assert counts[0] == counts[1], draw.__name__


def test_words_of_a_small_mix_keep_their_size_beside_the_pictures():
    ax = Figure(figsize=(3, 3)).subplots()
    draw_mixes(ax)
    alone = draw_mixes(None).axes[0]
    sizes = [[text.get_fontsize() for text in axes.texts] for axes in (ax, alone)]
    assert all(small < large for small, large in zip(*sizes, strict=True))


def test_losses_are_drawn_where_a_record_has_them():
    ax = plot_losses(RECORDS)
    assert {line.get_label(): list(line.get_xdata()) for line in ax.lines} == {
        "loss": [0, 5, 9],
        "leakage loss": [5],
    }
    assert plot_losses([]).lines[:] == []


def test_axes_without_a_grid_are_refused():
    with pytest.raises(ValueError, match="ax was placed by hand; allowed"):
        grid_in(Figure().add_axes((0, 0, 1, 1)), 2, 1)
