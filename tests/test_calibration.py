"""Gain curves undo a known response, and measure one in a world that is known."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.editors.calibration import GainCurve, measure_response


def test_a_fresh_curve_is_the_identity() -> None:
    delta = torch.tensor([[0.0, 0.3, -0.7, 1.0]])
    assert torch.allclose(GainCurve(4)(delta), delta)


def test_a_fitted_curve_undoes_each_side_apart() -> None:
    knobs = torch.tensor([0.2, 0.5, 1.0, 2.0])
    # rises come out at half of the knob, falls at a quarter
    response = torch.stack([0.5 * knobs, 0.25 * knobs])[:, None]
    curve = GainCurve(1).fit(response, knobs, symmetric=False)
    asked = torch.tensor([[0.3], [-0.3], [0.0], [1.0], [-1.0]])
    expected = torch.tensor([[0.6], [-1.2], [0.0], [2.0], [-2.0]])  # -1 is out of reach: the last
    assert torch.allclose(curve(asked), expected, atol=1e-5)


def test_a_symmetric_curve_asks_the_opposite_for_the_opposite() -> None:
    knobs = torch.tensor([0.2, 0.5, 1.0, 2.0])
    response = torch.stack([0.5 * knobs, 0.25 * knobs])[:, None]
    curve = GainCurve(1).fit(response, knobs, symmetric=True)
    asked = torch.linspace(0, 1, 11)[:, None]
    assert torch.equal(curve(asked), -curve(-asked))
    assert curve(torch.tensor([[0.375]])).item() == pytest.approx(1.0, abs=1e-4)


def test_a_noisy_response_gives_a_monotone_curve() -> None:
    knobs = torch.tensor([0.2, 0.5, 1.0, 2.0])
    response = torch.tensor([0.2, 0.15, 0.5, 0.4]).expand(2, 1, 4)
    curve = GainCurve(1).fit(response, knobs, symmetric=False)
    out = curve(torch.linspace(0, 1, 50)[:, None])[:, 0]
    assert (out.diff() >= 0).all()
    assert out.max() <= 2.0


def test_what_could_not_be_measured_keeps_the_identity() -> None:
    curve = GainCurve(2).fit(torch.full((2, 2, 3), float("nan")), torch.rand(3), symmetric=False)
    delta = torch.tensor([[0.4, -0.9]])
    assert torch.allclose(curve(delta), delta)
    with pytest.raises(ValueError, match=r"allowed: \(2, A, 3\)"):
        curve.fit(torch.zeros(2, 2, 4), torch.rand(3), symmetric=False)


def test_curves_travel_in_the_state() -> None:
    knobs = torch.tensor([0.5, 1.0])
    curve = GainCurve(1).fit(torch.tensor([0.1, 0.2]).expand(2, 1, 2), knobs, symmetric=False)
    again = GainCurve(1)
    again.load_state_dict(curve.state_dict())
    delta = torch.tensor([[0.15]])
    assert torch.equal(again(delta), curve(delta))


def test_the_measured_response_is_the_one_that_was_planted() -> None:
    """Latents are readings; the editor reaches 0.4 of each knob."""
    ws = torch.rand(300, 1, 2, generator=torch.Generator().manual_seed(0))
    response = measure_response(
        lambda w, knob: w + 0.4 * knob[:, None], lambda w: w[:, 0].clamp(0, 1), ws, (0.1, 0.5, 1.0)
    )
    assert response.shape == (2, 2, 3)
    assert torch.allclose(response[..., :2], torch.tensor([0.04, 0.2]).expand(2, 2, 2), atol=1e-3)
    # faces that hit the end must not pull the median of those that did not
    assert (response[..., 2] > 0.38).all()


def test_an_attribute_without_faces_that_have_room_is_not_measured() -> None:
    ws = torch.full((50, 1, 1), 0.9)
    response = measure_response(lambda w, knob: w, lambda w: w[:, 0], ws, (0.1,))
    assert torch.isnan(response[0]).all()
    assert torch.equal(response[1], torch.zeros(1, 1))
