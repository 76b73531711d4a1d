"""Gain curves undo a known response, and measure one in a world that is known."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.editors.calibration import GainCurve, measure_response

KNOBS = torch.tensor([0.2, 0.5, 1.0, 2.0])


def test_a_fresh_curve_is_the_identity() -> None:
    delta = torch.tensor([[0.0, 0.3, -0.7, 1.0]])
    assert torch.allclose(GainCurve(4)(delta), delta)


def test_a_fitted_curve_undoes_each_side_apart() -> None:
    # rises come out at half of the knob, falls at a quarter
    curve = GainCurve(1).fit(0, KNOBS, 0.5 * KNOBS, (1,)).fit(0, KNOBS, 0.25 * KNOBS, (-1,))
    asked = torch.tensor([[0.3], [-0.3], [0.0], [1.0], [-1.0]])
    expected = torch.tensor([[0.6], [-1.2], [0.0], [2.0], [-2.0]])  # -1 is out of reach: the last
    assert torch.allclose(curve(asked), expected, atol=1e-5)


def test_one_curve_for_both_sides_asks_the_opposite_for_the_opposite() -> None:
    curve = GainCurve(1).fit(0, KNOBS, 0.375 * KNOBS)
    asked = torch.linspace(0, 1, 11)[:, None]
    assert torch.equal(curve(asked), -curve(-asked))
    assert curve(torch.tensor([[0.375]])).item() == pytest.approx(1.0, abs=1e-2)


def test_aiming_lower_asks_for_less() -> None:
    curve = GainCurve(1).fit(0, KNOBS, 0.5 * KNOBS, aim=0.8)
    assert curve(torch.tensor([[0.5]])).item() == pytest.approx(0.8, abs=1e-4)


def test_a_noisy_response_gives_a_monotone_curve() -> None:
    curve = GainCurve(1).fit(0, KNOBS, torch.tensor([0.2, 0.15, 0.5, 0.4]))
    out = curve(torch.linspace(0, 1, 50)[:, None])[:, 0]
    assert (out.diff() >= 0).all()
    # beyond the best that was measured, more knob is only more damage
    assert out.max() == pytest.approx(1.0)


def test_only_the_attribute_that_was_measured_changes() -> None:
    curve = GainCurve(2).fit(1, KNOBS, 0.5 * KNOBS)
    delta = torch.tensor([[0.4, 0.4]])
    assert torch.allclose(curve(delta), torch.tensor([[0.4, 0.8]]))
    nothing = torch.empty(0)
    assert torch.allclose(GainCurve(2).fit(0, nothing, nothing)(delta), delta)


def test_bad_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        GainCurve(1).fit(0, KNOBS, torch.zeros(3))
    with pytest.raises(ValueError, match=r"aim is 0\.0; allowed: above 0"):
        GainCurve(1).fit(0, KNOBS, KNOBS, aim=0.0)


def test_curves_travel_in_the_state() -> None:
    curve = GainCurve(1).fit(0, KNOBS, 0.2 * KNOBS)
    again = GainCurve(1)
    again.load_state_dict(curve.state_dict())
    delta = torch.tensor([[0.15]])
    assert torch.equal(again(delta), curve(delta))


def measure(response, sides=(1, -1), **options):
    """The response measured in a world whose latents are its readings."""
    ws = torch.rand(300, 1, 2, generator=torch.Generator().manual_seed(0))
    return measure_response(
        lambda w, knob: w + (knob.sign() * response(knob.abs()))[:, None],
        lambda w: w[:, 0].clamp(0, 1),
        ws,
        ws[:, 0],
        1,
        sides,
        **options,
    )


@pytest.mark.parametrize("sides", [(1,), (-1,), (1, -1)])
def test_the_measured_response_is_the_one_that_was_planted(sides) -> None:
    knobs, response = measure(lambda knob: 0.4 * knob, sides, knobs=(0.1, 0.5, 0.75))
    assert torch.allclose(response, 0.4 * knobs, atol=1e-3)


def test_a_step_is_measured_closely_and_hit() -> None:
    """Glasses are there or not: nothing until 0.83, then all."""
    knobs, response = measure(lambda knob: torch.sigmoid(60 * (knob - 0.83)))
    assert ((knobs > 0.7) & (knobs < 0.95)).sum() >= 3
    curve = GainCurve(2).fit(1, knobs, response)
    knob = curve(torch.tensor([[0.0, 0.3]]))[0, 1]
    assert abs(torch.sigmoid(60 * (knob - 0.83)).item() - 0.3) < 0.15


def test_faces_that_hit_the_end_do_not_pull_the_others_down() -> None:
    _, response = measure(lambda knob: 0.6 * knob, knobs=(1.0,), rounds=0)
    assert response[0] > 0.58


def test_an_attribute_without_faces_that_have_room_is_not_measured() -> None:
    ws = torch.full((50, 1, 1), 0.9)
    arguments = (lambda w, knob: w, lambda w: w[:, 0], ws, ws[:, 0], 0)
    knobs, response = measure_response(*arguments, sides=(1,))
    assert len(knobs) == len(response) == 0
    _, response = measure_response(*arguments, sides=(-1,))
    assert torch.equal(response, torch.zeros_like(response))


def test_the_top_of_the_range_goes_over_to_the_surer_curve() -> None:
    own = GainCurve(2).fit(0, KNOBS, KNOBS)
    sure = GainCurve(2).fit(0, KNOBS, 0.5 * KNOBS)
    own.raise_top(0, (1, -1), sure)
    asked = torch.tensor([[0.3, 0.3], [0.5, 0.5], [1.0, 1.0], [-1.0, -1.0]])
    expected = torch.tensor([[0.3, 0.3], [0.5, 0.5], [2.0, 1.0], [-2.0, -1.0]])
    assert torch.allclose(own(asked), expected, atol=1e-5)


def test_a_lower_quantile_asks_for_more() -> None:
    # half of the faces answer the knob fully, half at a third of it
    slow = torch.tensor([1.0, 1 / 3]).repeat(32)

    def respond(w, knob):
        return torch.cat([w[:, 0], w[:, 0, :1] + knob[:, :1] * w[:, 0, 1:2]], 1)[:, None]

    ws = torch.stack([torch.full((64,), 0.1), slow], 1)[:, None]
    arguments = (respond, lambda w: w[:, 0, -1:], ws, ws[:, 0, :1])
    _, middle = measure_response(*arguments, 0, sides=(1,), knobs=(0.3,), rounds=0)
    _, low = measure_response(*arguments, 0, sides=(1,), knobs=(0.3,), rounds=0, quantile=0.1)
    assert middle.item() == pytest.approx(0.2, abs=1e-3)
    assert low.item() == pytest.approx(0.1, abs=1e-3)


def test_the_reach_is_where_the_curve_goes_flat() -> None:
    curve = GainCurve(2)
    assert torch.equal(curve.limits(), torch.ones(2, 2))
    # a response that ends at 0.2 leaves nothing to ask beyond it
    curve.fit(1, torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.1, 0.2, 0.2]), (1,))
    assert torch.allclose(curve.limits(), torch.tensor([[1.0, 0.2], [1.0, 1.0]]))
    asked = torch.tensor([[0.7, 0.7], [-0.7, -0.7], [0.1, 0.1]])
    allowed = curve.within_reach(asked)
    assert torch.allclose(allowed, torch.tensor([[0.7, 0.2], [-0.7, -0.7], [0.1, 0.1]]))
    assert torch.equal(curve(asked[:, 1:].expand(-1, 2))[:, 1], curve(allowed)[:, 1])


def test_the_last_tenth_of_a_saturating_response_is_not_asked_for() -> None:
    knobs, response = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.3, 0.4, 0.41])
    whole = GainCurve(1).fit(0, knobs, response)
    gentle = GainCurve(1).fit(0, knobs, response, enough=0.9)
    assert float(whole(torch.tensor([[1.0]]))) == pytest.approx(2.0)
    assert float(gentle(torch.tensor([[1.0]]))) == pytest.approx(0.845, abs=1e-3)  # 0.369 there
    low = torch.tensor([[0.2]])
    assert torch.equal(gentle(low), whole(low)), "what is reached is asked for as before"
    with pytest.raises(ValueError, match=r"enough is 1\.2; allowed: above 0, at most 1"):
        GainCurve(1).fit(0, knobs, response, enough=1.2)


def test_the_reach_ends_where_the_curve_is_flat_to_its_end() -> None:
    curve = GainCurve(3)
    assert curve.reach(0) == (1.0, 1.0)
    knobs = torch.tensor([0.25, 0.5, 1.0, 2.0])
    curve.fit(1, knobs, knobs * 0.2, sides=(1,))  # the largest knob value brings 0.4
    down, up = curve.reach(1)
    assert (down, up) == (1.0, pytest.approx(0.4, abs=0.051))
    curve.fit(2, knobs, torch.zeros(4))
    assert curve.reach(2)[1] <= 0.05
