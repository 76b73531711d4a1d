"""Rows of a report are measured again with what is at hand, whichever part they are of."""

from __future__ import annotations

import pytest
from open_world import Moves, open_models

from l2l_widgets.evaluation import Plan, compare, verify, write_report
from l2l_widgets.evaluation.report import Protocol

PROTOCOL = Protocol(attributes=("age", "beard"), faces=8, batch=8, draws=20)


def written(out, methods, plan):
    write_report(compare(open_models(), methods, plan, out), out, figures=False)


def test_training_seeds_that_are_not_at_hand_leave_the_others_to_be_measured(tmp_path) -> None:
    seeds = [Moves(leak=0.1), Moves(leak=0.2), Moves(leak=0.3)]
    written(tmp_path, {"m": seeds}, Plan(PROTOCOL, seeds=3, parts=("request",)))
    for count in (1, 2, 3):
        checked = verify(tmp_path, open_models(), {"m": seeds[:count]}, rows=40)
        assert all(c.confirmed for c in checked)
        assert {int(c.row["seed"]) for c in checked} == set(range(count))
    with pytest.raises(ValueError, match="holds no row of what is at hand"):
        verify(tmp_path, open_models(), {"m": []}, rows=1)


def test_rows_of_five_attributes_at_once_are_measured_again(tmp_path) -> None:
    methods = {"weak": [Moves(reach=0.6, leak=0.05, person=0.01)]}
    written(tmp_path, methods, Plan(PROTOCOL, parts=("several",)))
    checked = verify(tmp_path, open_models(), methods, rows=60)
    assert {c.row["quantity"] for c in checked} == {"achieved", "others", "identity_similarity"}
    assert all(c.confirmed for c in checked)
    other = {"weak": [Moves(reach=0.5, leak=0.05, person=0.01)]}
    found = verify(tmp_path, open_models(), other, rows=60)
    assert not any(c.confirmed for c in found if c.row["quantity"] == "achieved")
