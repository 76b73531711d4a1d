"""The linked plot: panels, units, what stands under the pointer, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.plots.linked import linked_plot

READINGS = {"age": [0.5, 0.25, 1.0], "smile": [0.1, 0.2, np.nan]}


def test_the_panels_share_their_faces_and_show_units():
    figure = linked_plot(READINGS, np.eye(3)[:, :2], colour="smile", seeds=[7, 8, 9])
    (plot,) = figure.data
    labels = [panel.label for panel in plot.dimensions]
    assert labels == ["map, across", "map, up", "Age (years)", "Smile (%)"]
    assert list(plot.dimensions[2]["values"]) == [45, 25, 85]
    assert plot.text[0] == "face 7<br>Age 45 years<br>Smile 10 %"
    assert plot.text[2] == "face 9<br>Age 85 years"  # what was not read is not made up
    assert plot.marker.colorbar.title.text == "Smile (%)"
    assert np.allclose(plot.marker.color[:2], [10, 20])
    assert figure.layout.dragmode == "lasso"
    assert plot.unselected.marker.opacity < plot.marker.opacity
    assert "face 7" in figure.to_json()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"readings": {}}, "readings have shapes"),
        ({"readings": {"age": [0.1], "smile": [0.1, 0.2]}}, "the same for all"),
        ({"readings": {"age": [0.1]}}, "1 panels; allowed: 2 to 8"),
        ({"readings": {n: READINGS["age"] for n in DEFAULT_TABLE.names[:9]}}, "9 panels"),
        ({"readings": READINGS, "coordinates": np.zeros((2, 2))}, "coordinates have shape"),
        ({"readings": READINGS, "colour": "hat"}, "colour is 'hat'; allowed: age, smile"),
        ({"readings": READINGS, "seeds": [1]}, "seeds has 1 entries"),
    ],
)
def test_what_does_not_fit_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        linked_plot(**words)
