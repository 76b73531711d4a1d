"""A second attribute judge that trained nothing: what it sees has rows of its own everywhere."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch
from open_world import A, Moves, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.entanglement import LeakageStudy, ReportStudy
from l2l_widgets.evaluation import Plan, compare, verify, write_report
from l2l_widgets.evaluation.bench import READERS, reader_names, readers_of
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.requested import evaluate
from l2l_widgets.perception import AttributeNet, PlainTrunk, load_network, save_network

AGE, SMILE = DEFAULT_TABLE.index("age"), DEFAULT_TABLE.index("smile")
PROTOCOL = Protocol(attributes=("age",), faces=40, batch=16, draws=100)
PLAN = Plan(PROTOCOL, parts=("request", "equal", "several"), sweep_faces=10)


class Blind(Reads):
    """Sees the smile of nobody change: it reads the same of all."""

    def __call__(self, images):
        out = super().__call__(images).clone()
        out[:, SMILE] = 0.5
        return out


class Slow(Reads):
    """Sees two thirds of every change of age."""

    def __call__(self, images):
        out = super().__call__(images).clone()
        out[:, AGE] = 0.5 + (out[:, AGE] - 0.5) * 2 / 3
        return out


def plants(amount=0.2):
    """An editor that adds to the smile whenever the age is edited."""
    editor = Moves()
    inner = editor.edit

    def edit(w, request):
        out = inner(w, request)
        if not request.empty:
            out[:, :, SMILE] += amount
        return out

    editor.edit = edit
    return editor


def test_a_leak_that_one_judge_overlooks_is_named_by_the_other(tmp_path) -> None:
    models = open_models(judge=Blind(), judge_b=Reads())
    result = compare(models, {"planted": [plants()]}, PLAN, tmp_path)
    leaks = {
        reader: [r["read"] for r in result.leakage
                 if r["reader"] == reader and r["verdict"] == "leak"]
        for reader in READERS
    }  # fmt: skip
    assert leaks["judge"] == []
    assert leaks["judge_b"] == ["smile"]
    rows = {r["reader"]: r for r in result.methods}
    assert list(rows) == list(READERS)
    assert rows["judge_b"]["leaks"] == 1
    assert rows["judge"]["leaks"] == 0


def test_each_judge_has_its_own_crossing(tmp_path) -> None:
    models = open_models(judge_b=Slow())
    result = compare(models, {"moves": [Moves()]}, PLAN, tmp_path)
    strength = {r["reader"]: r.get("strength_median") for r in result.equal}
    assert strength["judge"] == pytest.approx(0.3, abs=1e-3)
    assert strength["judge_b"] == pytest.approx(0.45, abs=1e-3)
    by_request = result.requested[0].methods[0]
    assert by_request["achieved_median"] == pytest.approx(1, abs=1e-3)
    assert by_request["judge_b_achieved_median"] == pytest.approx(2 / 3, abs=1e-3)
    assert [r["reader"] for r in result.several] == ["judge", "judge_b", "ensemble"]


def test_the_report_shows_both_and_its_rows_can_be_measured_again(tmp_path) -> None:
    models, editors = open_models(judge_b=Slow()), {"planted": [plants()]}
    result = compare(models, editors, PLAN, tmp_path)
    write_report(result, tmp_path, figures=False)
    assert "judges: attribute_judge, attribute_judge_b" in (tmp_path / "report.json").read_text()
    with open(tmp_path / "equal_methods.csv", newline="") as file:
        assert [row["reader"] for row in csv.DictReader(file)] == list(READERS)
    checked = verify(tmp_path, models, editors, rows=40)
    assert {c.row["reader"] for c in checked} >= {"judge", "judge_b"}
    assert all(c.confirmed for c in checked)
    study = ReportStudy(tmp_path)
    assert study.readers == READERS
    seen = study.matrix("planted", "judge_b")
    assert seen.leaks() == [("age", "smile")]
    assert "read by the attribute judge b" in seen.stamp()


def test_without_a_second_judge_nothing_speaks_of_one(tmp_path) -> None:
    models = open_models()
    assert readers_of(models) == ("judge", "ensemble", "consensus")
    assert "attribute_b" not in reader_names(models)
    row = evaluate(models, {"moves": Moves()}, PROTOCOL).methods[0]
    assert not [key for key in row if key.startswith("judge_b")]
    study = LeakageStudy(models, replace(PROTOCOL, faces=4))
    with pytest.raises(ValueError, match="'judge_b'; allowed: judge, ensemble, consensus"):
        study.matrix("moves", "judge_b")


def test_a_second_judge_that_reads_nan_is_named(tmp_path) -> None:
    class Lost(Reads):
        def __call__(self, images):
            return super().__call__(images) * float("nan")

    with pytest.raises(ValueError, match="judge_b: readings hold NaN or infinity"):
        evaluate(open_models(judge_b=Lost()), {"moves": Moves()}, PROTOCOL)


def test_the_plain_family_sees_reads_and_is_kept(tmp_path) -> None:
    torch.manual_seed(0)
    net = AttributeNet(DEFAULT_TABLE.names, family="plain", width=4, features=16).eval()
    images = torch.randn(3, 3, 128, 128)
    sides = [m.shape[-1] for m in net.feature_maps(images)]
    assert sides == [32, 16, 8, 4]
    save_network(tmp_path / "judge.safetensors", net)
    again = load_network(tmp_path / "judge.safetensors")
    assert isinstance(again.trunk, PlainTrunk)
    assert again(images).shape == (3, A)
    assert torch.allclose(again(images), net(images), atol=5e-3)
