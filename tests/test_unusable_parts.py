"""Judges, features and editors that cannot be used: named, or marked while the rest goes on."""

from __future__ import annotations

import re

import pytest
import torch
from open_world import A, Knows, Moves, OpenWorld, Reads, open_models
from test_comparison import AGE, run

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.evaluation import Plan, stamp, write_report
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.zoo import Models


def test_an_editor_that_cannot_do_nothing_is_marked_and_the_rest_goes_on(tmp_path) -> None:
    class Restless(Moves):
        def edit(self, w, request):
            if any(abs(change) < 1e-3 for change in request.changes.values()):
                raise RuntimeError("a change of nothing")
            return super().edit(w, request)

    plan = Plan(Protocol(attributes=("age",), faces=6, draws=20), parts=("request",))
    result = run({"restless": Restless(), "fine": Moves()}, tmp_path, plan)
    assert [f["attribute"] for f in result.failed] == ["null and speed"]
    assert result.failed[0]["reason"] == "RuntimeError: a change of nothing"
    restless, fine = result.requested[0].methods
    assert restless["null_error"] is None
    assert restless["achieved_median"] == pytest.approx(1, abs=1e-3)
    assert fine["null_error"] == pytest.approx(0, abs=1e-6)
    said = comparison_text(result, stamp(result))
    assert "not measured: request restless 0 null and speed" in said
    assert "fine: asked for nothing it moves by" in said


def test_a_judge_of_one_attribute_or_of_one_that_varies_has_its_rows(tmp_path) -> None:
    """Constant labels: nothing else can be seen to move, and that is no reason to stop."""

    class Constant(Reads):
        def __call__(self, images):
            found = super().__call__(images)
            return torch.where(torch.arange(A) == AGE, found, 0.5)

    plan = Plan(Protocol(attributes=("age",), faces=40, draws=20), parts=("request", "equal"))
    models = open_models(Constant(), regressor=Constant())
    result = run({"m": Moves()}, tmp_path / "constant", plan, models)
    assert result.failed == []
    (row,) = (row for row in result.equal if row["reader"] == "judge")
    assert row["leak_mean"] == 0
    assert "attribute_dependency_mean" not in row
    assert {r["verdict"] for r in result.leakage} <= {"asked", "clear", "partner"}

    class Alone(Reads):
        attributes = ("age",)

        def __call__(self, images):
            return super().__call__(images)[:, [AGE]]

    class MovesAge(Moves):
        attributes = ("age",)

        def edit(self, w, request):
            return super().edit(w, request.__class__(changes=dict(request.changes)))

    one = Models.from_parts(
        OpenWorld(), regressor=Alone(), embedder=Knows(), attribute_judge=Alone(),
        identity_judge=Knows(), table=AttributeTable([DEFAULT_TABLE["age"]]), name="one",
    )  # fmt: skip
    result = run({"m": MovesAge()}, tmp_path / "one", plan, one)
    assert result.failed == []
    assert result.requested[0].methods[0]["others_mean"] is None
    assert result.requested[0].methods[0]["achieved_median"] == pytest.approx(1, abs=1e-3)
    (row,) = (row for row in result.equal if row["reader"] == "judge")
    assert row["reach_score"] > 0.9
    assert "leak_mean" not in row
    write_report(result, tmp_path / "one", figures=False)
    assert "NaN" not in (tmp_path / "one" / "report.json").read_text()


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        (lambda x: x[:, :5], r"judge: readings of 16 pictures have shape \(16, 5\); allowed"),
        (lambda x: x / 0, "judge: readings hold NaN or infinity; allowed: finite numbers"),
        (
            lambda x: torch.where(torch.arange(A) == AGE, torch.nan, x),
            "judge: readings of 'age' hold NaN or infinity; allowed: finite numbers",
        ),
    ],
)
def test_a_judge_that_cannot_be_used_is_one_clear_line(readings, message, tmp_path) -> None:
    class Bad(Reads):
        def __call__(self, images):
            return readings(super().__call__(images))

    with pytest.raises(ValueError, match=message):
        run({"m": Moves()}, tmp_path, models=open_models(Bad()))


def test_an_identity_judge_of_another_width_is_one_clear_line(tmp_path) -> None:
    class Flat(Knows):
        def __call__(self, images):
            return super().__call__(images)[:, 0]

    models = Models.from_parts(
        OpenWorld(), regressor=Reads(), embedder=Flat(), attribute_judge=Reads(),
        identity_judge=Flat(), name="open",
    )  # fmt: skip
    line = r"identity: vectors of 16 pictures have shape \(16,\); allowed: \(16, D\)"
    with pytest.raises(ValueError, match=line):
        run({"m": Moves()}, tmp_path, models=models)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda x: x[:, 0, 0] / 0, "hold NaN or infinity; allowed"),
        (lambda x: x[:1, 0, 0], r"features of \d+ pictures have shape \(1, 6\); allowed"),
    ],
)
def test_features_that_cannot_be_compared_mark_their_cells(found, message, tmp_path) -> None:
    plan = Plan(
        Protocol(attributes=("age",), faces=24, batch=8, draws=20),
        parts=("paper", "equal", "standards"), paper_faces=6, positions=3,
    )  # fmt: skip
    result = run({"m": Moves()}, tmp_path, plan, features=found)
    assert result.paper == []
    assert result.equal, "the rest of the run goes on"
    reasons = [f["reason"] for f in result.failed if f["part"] == "reference"]
    assert len(reasons) == 1
    assert re.search(message, reasons[0])
