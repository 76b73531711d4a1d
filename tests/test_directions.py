"""Linear directions recover what was planted, in attribute units."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.editors.directions import METHODS, fit_directions


@pytest.fixture(scope="module")
def planted():
    """2000 latents of 12 numbers, unevenly spread; two readings follow two known directions."""
    draw = torch.Generator().manual_seed(0)
    ws = torch.randn(2000, 12, generator=draw) * torch.linspace(2.0, 0.5, 12)
    slopes = torch.zeros(2, 12)
    slopes[0, 1], slopes[1, 7] = 0.05, 0.2
    noise = 0.01 * torch.randn(2000, 3, generator=draw)
    readings = 0.5 + torch.cat([ws @ slopes.T, torch.zeros(2000, 1)], dim=1) + noise
    return ws, readings, slopes


@pytest.mark.parametrize("method", METHODS)
def test_a_step_changes_its_reading_by_what_was_asked(planted, method) -> None:
    ws, readings, slopes = planted
    found = fit_directions(ws, readings, ["a", "b", "noise"], method)
    response = slopes @ found.steps[:2].T  # (readings, steps)
    assert torch.allclose(response.diagonal(), torch.ones(2), atol=0.15)
    # a unit of the first is a long step: a small angle shows
    assert response.fill_diagonal_(0).abs().max() < 0.3
    assert found.explained[0] > 0.9
    assert found.explained[1] > 0.8
    # an attribute that the latent does not hold gets no step off the map
    assert found.explained[2] < 0.1
    assert found.steps[2].norm() < 60


def test_an_attribute_that_never_varies_gets_no_step(planted) -> None:
    ws, readings, _ = planted
    constant = readings.clone()
    constant[:, 0] = 0.25
    for method in METHODS:
        found = fit_directions(ws, constant, ["a", "b", "noise"], method)
        assert bool(torch.isfinite(found.steps).all())
        assert found.steps[0].norm() < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "lasso"}, "'lasso' is unknown; allowed: svm"),
        ({"names": ["a"]}, "3 readings for 1 names"),
        ({"ws": torch.randn(5, 12), "values": torch.rand(5, 3)}, "5 faces are too few"),
        ({"values": torch.rand(7, 3)}, "do not fit"),
    ],
)
def test_bad_input_is_refused(planted, change, message) -> None:
    ws, readings, _ = planted
    arguments = {"ws": ws, "values": readings, "names": ["a", "b", "c"], **change}
    with pytest.raises(ValueError, match=message):
        fit_directions(**arguments)


def test_nan_is_refused(planted) -> None:
    ws, readings, _ = planted
    readings = readings.clone()
    readings[3, 1] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        fit_directions(ws, readings, ["a", "b", "c"])
