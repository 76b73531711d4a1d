"""A figure that a function of this package made is a picture in a notebook, without pyplot."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from IPython.core.formatters import PNGFormatter
from PIL import Image

import l2l_widgets
from l2l_widgets.plots.entanglement import leakage_plot
from l2l_widgets.plots.maps import plot_map
from l2l_widgets.plots.shown_figure import shown_figure

PACKAGE = Path(l2l_widgets.__file__).parent


@pytest.mark.parametrize(
    "axes",
    [
        lambda: leakage_plot([[0.1, -0.2]], ["age"], ["age", "smile"], limit=0.3),
        lambda: plot_map([[0.0, 0.0], [2.0, 1.0]]),
    ],
    ids=["leakage", "map"],
)
def test_it_is_shown_as_the_value_of_a_cell(axes):
    figure = axes().figure
    data, size = PNGFormatter()(figure)  # what a kernel asks of the value of a cell
    width, height = Image.open(io.BytesIO(data)).size
    assert (width, height) == pytest.approx((2 * size["width"], 2 * size["height"]), abs=2)
    most = figure.get_size_inches() * figure.dpi
    assert 0.5 * most[0] < size["width"] < most[0] + 20
    assert size["height"] < most[1] + 20


def test_all_functions_draw_into_such_figures():
    for path in (PACKAGE / "plots").glob("*.py"):
        text = path.read_text("utf-8")
        if path.stem != "shown_figure":
            assert "matplotlib.figure import" not in text, path.name
        assert "pyplot as" not in text, path.name
    assert shown_figure(figsize=(1, 1)).get_axes() == []
