"""The re-scoring matrix at equal request, against answers known in closed form."""

from __future__ import annotations

import csv

import pytest
from open_world import Moves, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation import Plan, compare, write_report
from l2l_widgets.evaluation.report import Protocol


def test_rescoring_perfect_idle_and_leaky(tmp_path) -> None:
    protocol = Protocol(attributes=("age", "beard"), faces=12, batch=12, draws=50)
    methods = {
        "perfect": [Moves()], "idle": [Moves(reach=0.0)], "weak": [Moves(reach=0.6, leak=0.2)],
        "backwards": [Moves(reach=-1.0)],
    }  # fmt: skip
    result = compare(open_models(), methods, Plan(protocol, parts=("request",)), tmp_path)
    rows = {(r["method"], r["edited"], r["read"]): r for r in result.rescoring}
    assert len(rows) == len(result.rescoring) == 4 * 2 * len(DEFAULT_TABLE)
    for method, target, other, share in (
        ("perfect", 1, 0, 0), ("idle", 0, 0, None), ("weak", 0.6, 0.2, 1 / 3),
        ("backwards", -1, 0, None),
    ):  # fmt: skip
        row = rows[method, "age", "age"]
        assert row["per_request"] == pytest.approx(target, abs=1e-4)
        assert row["low"] - 1e-4 <= target <= row["high"] + 1e-4
        row = rows[method, "age", "smile"]
        assert row["per_request"] == pytest.approx(other, abs=1e-4)
        assert row["of_target"] == pytest.approx(share, abs=1e-3)
        assert row["faces"] == 12
    write_report(result, tmp_path, figures=False)
    with open(tmp_path / "rescoring.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(result.rescoring)
    assert {row["preview"] for row in table} == {"PREVIEW"}
    # what is found again gives the same matrix
    assert compare(
        open_models(), methods, Plan(protocol, parts=("request",)), tmp_path
    ).rescoring == (result.rescoring)
