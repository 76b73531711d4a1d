"""What ships of a report is small, says what was asked and met, and can be measured again."""

from __future__ import annotations

import pytest
from open_world import Moves, open_models

from l2l_widgets.entanglement import ReportStudy
from l2l_widgets.evaluation import Plan, compare, verify, write_report
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.verification import read_report
from tests import shipped_report


@pytest.fixture(scope="module")
def methods():
    return {
        "mapper": [Moves(leak=0.05), Moves(leak=0.06)],
        "interfacegan": [Moves(leak=0.3, person=0.05)],
        "ganspace": [Moves(leak=0.2, person=0.05)],
    }


@pytest.fixture(scope="module")
def kept(methods, tmp_path_factory):
    whole, out = (tmp_path_factory.mktemp(name) for name in ("whole", "kept"))
    protocol = Protocol(attributes=("age", "beard"), faces=10, batch=10, draws=20)
    plan = Plan(
        protocol, seeds=2, parts=("request", "equal", "paper", "several"), paper_faces=3,
        positions=3, sweep_faces=2,
    )  # fmt: skip
    found = compare(open_models(), methods, plan, whole, trained={"mapper": ["ab" * 32]})
    write_report(found, whole, figures=False)
    return out, shipped_report.keep(whole, out, 120)


def test_its_rows_can_be_measured_again_by_who_has_the_shipped_seeds(kept, methods) -> None:
    out, count = kept
    assert count > 500
    assert 100 < len((out / "measurements.csv").read_text().splitlines()) <= 121
    shipped = {label: editors[:1] for label, editors in methods.items()}
    checked = verify(out, open_models(), shipped, rows=60)
    assert all(c.confirmed for c in checked)
    assert {c.row["part"] for c in checked} == {"request", "equal", "paper", "several"}
    other = {**shipped, "mapper": [Moves(leak=0.5)]}
    assert not all(c.confirmed for c in verify(out, open_models(), other, rows=60))


def test_its_matrix_opens_and_says_that_the_faces_behind_it_did_not_ship(kept) -> None:
    study = ReportStudy(kept[0])
    assert study.matrix("mapper").cells["age", "smile"]["signed"] == pytest.approx(0.015, abs=1e-3)
    with pytest.raises(ValueError, match="allowed: a row that the report measured"):
        study.faces("mapper", "age", "smile")


def test_it_says_what_was_asked_and_what_came(kept) -> None:
    report = read_report(kept[0])
    met = {(what, by): (came, yes) for what, by, came, yes in shipped_report.goals(report)}
    half = "mean leakage at most half of interfacegan's", "judge"
    assert met[half] == ("0.18", "yes")
    assert met["identity distance lowest on at least 1 of 2 attributes", "judge"][1] == "yes"
    for row in report["equal_methods"]:
        if row["method"] == "mapper":
            row["leak_mean"] *= 4
    for row in report["pairs"]:
        row["lower"] = "tie"
    worse = {(what, by): (came, yes) for what, by, came, yes in shipped_report.goals(report)}
    assert worse[half] == ("0.73", "no")
    below = "mean leakage below every other's, the paired interval apart", "judge"
    assert (met[below], worse[below]) == (
        ("below all", "yes"), ("not below interfacegan, ganspace", "no")
    )  # fmt: skip
    text = shipped_report.page(report, 120)
    assert "PREVIEW, n = 10 faces" in text
    assert "| mean leakage at most half of interfacegan's | judge | 0.73 | no |" in text
    assert "| mapper | judge | 2 |" in text
