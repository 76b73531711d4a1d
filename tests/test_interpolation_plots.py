"""Static plots of a walk: what they draw, where, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from l2l_widgets.plots.interpolation import plot_curves, plot_strip, walk_figure


def test_pictures_stand_at_the_number_of_their_frame():
    ax = Figure().subplots()
    images = torch.linspace(-1, 1, 3)[:, None, None, None].expand(3, 3, 4, 4)
    drawn = plot_strip(images, ax)
    assert len(drawn) == 3
    for number, (picture, value) in enumerate(zip(drawn, (0, 0.5, 1), strict=True), 1):
        left, right, _, _ = picture.get_extent()
        assert (left + right) / 2 == pytest.approx(number)
        assert np.allclose(picture.get_array(), value)


def test_curves_are_told_apart_without_colour_and_named_at_their_ends():
    ax = Figure().subplots()
    lines = plot_curves({"age": [0, 0.5, 1], "smile": [0.2, 0.4, 1.0]}, ax, "reading")
    assert [list(line.get_xdata()) for line in lines] == [[1, 2, 3]] * 2
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2
    names = {text.get_text(): text.xy for text in ax.texts}
    assert names.keys() == {"Age", "Smile"}, "the labels of the sliders"
    assert abs(names["Age"][1] - names["Smile"][1]) > 0.05, "names lie on each other"
    assert ax.get_ylabel() == "reading"


def test_a_figure_has_the_strip_and_its_panels_frame_below_frame(tmp_path):
    images = torch.rand(5, 3, 8, 8) * 2 - 1
    figure = walk_figure(images, {"age": [0, 1, 2, 3, 4]}, {"first": [1, 0.8, 0.5, 0.2, 0]})
    strip, attributes, identity = figure.axes
    assert len({round(ax.get_position().x0, 6) for ax in figure.axes}) == 1
    assert len({round(ax.get_position().width, 6) for ax in figure.axes}) == 1
    assert {ax.get_xlim() for ax in figure.axes} == {(0.5, 5.5)}
    assert strip.get_position().y0 > attributes.get_position().y1 > identity.get_position().y1
    width, height = figure.get_size_inches()
    frame = strip.get_position().width * width / 5, strip.get_position().height * height
    assert frame[0] == pytest.approx(frame[1])
    figure.savefig(tmp_path / "walk.svg")
    assert (tmp_path / "walk.svg").stat().st_size > 1000


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="images have shape"):
        plot_strip(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="lengths"):
        plot_curves({"age": [0, 1], "smile": [0]})
