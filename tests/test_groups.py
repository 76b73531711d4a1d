"""Who reads alike, and a method that leaks on some faces alone: found in their group."""

from __future__ import annotations

import pytest
import torch
from open_world import Moves, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.evaluation import Plan, compare, stamp, write_report
from l2l_widgets.evaluation.figures import leakage_figure
from l2l_widgets.evaluation.groups import LEAST
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics.reliability import agreement

AGE, BEARD, SMILE = (DEFAULT_TABLE.index(name) for name in ("age", "beard", "smile"))


def test_agreement_perfect_constant_adversarial() -> None:
    draw = torch.Generator().manual_seed(0)
    x, noise = torch.rand(400, 3, generator=draw), torch.rand(400, 3, generator=draw)
    other = torch.stack([x[:, 0], torch.full((400,), 0.3), 1 - x[:, 2]], dim=1)
    found, low, high = agreement(x, other, seed=0, draws=50)
    assert found[[0, 2]].tolist() == pytest.approx([1, -1])
    assert (float(low[0]), float(high[2])) == pytest.approx((1, -1))
    assert bool(found[1].isnan() & low[1].isnan())
    found, low, high = agreement(x, 0.6 * x + 0.8 * noise, seed=0, draws=200)
    assert bool(((low < 0.6) & (high > 0.6)).all()), "0.6 by construction"
    wanted = [float(torch.corrcoef(torch.stack([a, b]))[0, 1])
              for a, b in zip(x.T, (0.6 * x + 0.8 * noise).T, strict=True)]  # fmt: skip
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)
    for first, second, message in (
        (x, x[:, :2], "shapes"),
        (x[:1], x[:1], "shapes"),
        (x / 0, x, "NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            agreement(first, second, seed=0)


class LeaksOnSome(Moves):
    """Adds 0.2 to smile, but only on faces with a beard."""

    def edit(self, w, request):
        out = super().edit(w, request)
        if not request.empty:
            out[:, :, SMILE] += 0.2 * (w[:, :1, BEARD] > 0.5)
        return out


def test_a_leak_on_some_faces_is_found_in_their_group(tmp_path) -> None:
    protocol = Protocol(attributes=("age", "beard"), faces=140, batch=70, draws=50)
    plan = Plan(protocol, parts=("equal",), sweep_faces=2)
    methods = {"some": [LeaksOnSome()], "clean": [Moves()]}
    result = compare(open_models(), methods, plan, tmp_path)
    rows = {
        (r["method"], r["attribute"], r["group"]): r for r in result.groups
        if r["reader"] == "judge"
    }  # fmt: skip
    with_beard, without = (rows["some", "beard", g] for g in ("above 0.5", "at most 0.5"))
    assert with_beard["leak_mean"] > 5 * without["leak_mean"]
    assert with_beard["leak_mean_low"] > without["leak_mean_high"]
    assert with_beard["faces"] + without["faces"] + with_beard["undecided"] == 140
    assert rows["clean", "beard", "above 0.5"]["leak_mean"] == pytest.approx(0, abs=1e-4)
    assert with_beard["reach_score"] == 1
    write_report(result, tmp_path, figures=False)
    assert (tmp_path / "groups.csv").read_text().startswith("method,reader,attribute,group,faces")


def test_a_small_group_is_refused_and_faces_that_readers_dispute_are_in_none(tmp_path) -> None:
    class Contrary(Reads):
        """Reads beards the other way round."""

        def __call__(self, images):
            readings = super().__call__(images).clone()
            readings[:, BEARD] = 1 - readings[:, BEARD]
            return readings

    protocol = Protocol(attributes=("age", "beard"), faces=40, batch=40, draws=20)
    models = open_models(judge_b=Contrary())
    plan = Plan(protocol, parts=("equal",), sweep_faces=2)
    result = compare(models, {"m": [Moves()]}, plan, tmp_path)
    assert {row["reader"] for row in result.groups} == {"judge", "judge_b"}
    for row in result.groups:
        if row["attribute"] == "beard":
            assert (row["faces"], row["undecided"]) == (0, 40)
        assert ("refused" in row) == (row["faces"] < LEAST)
        assert ("leak_mean" in row) != ("refused" in row)
    pairs = {(r["first"], r["second"], r["attribute"]): r for r in result.readers}
    assert pairs["judge", "judge_b", "beard"]["correlation"] == pytest.approx(-1)
    assert pairs["judge", "ensemble", "beard"]["correlation"] == pytest.approx(1)
    shown = comparison_text(result, stamp(result))
    line = next(line for line in shown.splitlines() if line.startswith("judge and judge_b"))
    assert "least beard -1.00" in line
    axes = leakage_figure(result, "m").axes[0]
    colours = {text.get_text(): text.get_color() for text in axes.get_xticklabels()}
    assert colours.pop(DEFAULT_TABLE["beard"].label) == "0.6", "grey: the judges do not agree"
    assert "0.6" not in colours.values()
