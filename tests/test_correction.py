"""Target correction: each named rule does what its name says, and no rule invents an edit."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.correction import RULES, TargetCorrection, held_columns

TABLE = DEFAULT_TABLE


def faces(**values):
    row = torch.full((1, len(TABLE)), 0.1)
    for name, value in values.items():
        row[0, TABLE.index(name)] = value
    return row


def change(**values):
    row = torch.zeros(1, len(TABLE))
    for name, value in values.items():
        row[0, TABLE.index(name)] = value
    return row


def population(count=200):
    """Readings in which grey hair follows age and nothing else follows anything."""
    draw = torch.Generator().manual_seed(0)
    readings = torch.rand(count, len(TABLE), generator=draw)
    readings[:, TABLE.index("hair_grey")] = readings[:, TABLE.index("age")]
    return readings


def of(delta, name):
    return delta[0, TABLE.index(name)].item()


def test_threshold_clears_the_group_of_a_member_that_becomes_present() -> None:
    correct = TargetCorrection(TABLE, "threshold")
    start = faces(neutral=0.7, happiness=0.2)
    delta = correct(start, change(happiness=0.5))
    assert of(delta, "happiness") == pytest.approx(0.5)
    assert of(delta, "neutral") == pytest.approx(-0.7)
    assert of(delta, "hair_black") == 0
    # below the threshold nothing is present yet, so nothing gives way
    weak = correct(start, change(happiness=0.2))
    assert of(weak, "neutral") == 0
    # a member that falls pushes nobody out
    falls = correct(faces(neutral=0.9, happiness=0.2), change(neutral=-0.2))
    assert of(falls, "happiness") == 0


def test_threshold_keeps_implications_both_ways() -> None:
    correct = TargetCorrection(TABLE, "threshold")
    dark = correct(faces(), change(sunglasses=0.8))
    assert of(dark, "glasses") == pytest.approx(0.8)
    off = correct(faces(glasses=0.9, sunglasses=0.8), change(glasses=-0.8))
    assert of(off, "sunglasses") == pytest.approx(-0.7)  # to no more than the glasses have
    # asked for more glasses, nobody loses the dark lenses there are
    more = correct(faces(glasses=0.1, sunglasses=0.6), change(glasses=0.3))
    assert of(more, "glasses") == pytest.approx(0.3)
    assert of(more, "sunglasses") == 0
    on = correct(faces(), change(glasses=0.8))
    assert of(on, "sunglasses") == 0


def test_nearest_takes_the_rest_from_a_face_that_exists() -> None:
    readings = population()
    correct = TargetCorrection(TABLE, "nearest", population=readings)
    start = readings[:1].clone()
    delta = correct(start, change(age=0.3 if start[0, 0] < 0.5 else -0.3))
    rest = [i for i in range(len(TABLE)) if i != TABLE.index("age")]
    target = (start + delta)[:, rest]
    assert (target - readings[:, rest]).abs().amax(dim=1).min() < 1e-6


def test_plausible_moves_what_comes_along_and_little_else() -> None:
    correct = TargetCorrection(TABLE, "plausible", population=population(4000))
    start = torch.full((1, len(TABLE)), 0.5)
    delta = correct(start, change(age=0.3))
    assert of(delta, "age") == pytest.approx(0.3)
    assert of(delta, "hair_grey") == pytest.approx(0.3, abs=0.02)
    assert abs(of(delta, "yaw")) < 0.03


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_edits_a_face_that_nobody_asked_to_edit(rule) -> None:
    correct = TargetCorrection(TABLE, rule, population=population())
    start = faces(anger=0.9, happiness=0.9, sunglasses=0.9)
    assert torch.equal(correct(start, change()), torch.zeros_like(start))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_stays_in_range_and_keeps_the_edit(rule) -> None:
    correct = TargetCorrection(TABLE, rule, population=population())
    start = torch.rand(50, len(TABLE), generator=torch.Generator().manual_seed(3))
    delta = correct(start, change(beard=1.0))
    target = start + delta
    assert target.min() >= -1e-6
    assert target.max() <= 1 + 1e-6
    assert torch.allclose(target[:, TABLE.index("beard")], torch.ones(50))


def test_none_only_clips() -> None:
    delta = TargetCorrection(TABLE, "none")(faces(neutral=0.8), change(happiness=1.0))
    assert of(delta, "happiness") == pytest.approx(0.9)
    assert delta.count_nonzero() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "guess"}, "'guess' is unknown; allowed: threshold"),
        ({"rule": "nearest"}, "needs a population"),
        ({"rule": "plausible", "population": torch.rand(9, 3)}, "needs a population"),
        ({"threshold": 1.0}, "threshold is 1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        TargetCorrection(TABLE, **arguments)


def test_readings_of_another_table_are_refused() -> None:
    with pytest.raises(ValueError, match=r"allowed: \(B, 35\)"):
        TargetCorrection(TABLE)(torch.rand(2, 3), torch.zeros(2, 3))


def held(**asked) -> set[str]:
    """Names without a target of their own when that is asked for."""
    row = held_columns(TABLE, change(**asked))[0]
    return {name for name, one in zip(TABLE.names, row.tolist(), strict=True) if one == 0}


def test_what_shares_the_movement_has_no_target_unless_it_was_asked_for() -> None:
    assert held() == set()
    assert held(age=0.3) == set()
    assert held(smile=0.3) == {"happiness", "neutral", "sadness", "contempt"}
    assert held(smile=-0.3, happiness=0.2) == {"neutral", "sadness", "contempt"}
    assert held(surprise=0.5) == {"eyes_open", "mouth_open"}


def test_a_movement_is_shared_from_both_sides() -> None:
    for row in TABLE:
        for other in row.moves_with:
            if TABLE[other].group == "emotion":  # an emotion is made of movements, not they of it
                assert row.name in TABLE[other].moves_with
