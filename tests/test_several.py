"""Five attributes in one request: what came of each, against answers that are known."""

from __future__ import annotations

import pytest
import torch
from open_world import Moves, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.evaluation import Plan, compare, stamp
from l2l_widgets.evaluation.bench import Bench, partners
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.several import AT_ONCE, choose_several

PROTOCOL = Protocol(attributes=("age",), faces=40, batch=16, draws=50)


class Drops(Moves):
    """Forgets one attribute of a request for several, as a method that adds directions may."""

    def edit(self, w, request):
        out = super().edit(w, request)
        if len(request.changes) > 1:
            forgotten = DEFAULT_TABLE.index(sorted(request.changes)[0])
            out[:, :, forgotten] = w[:, :, forgotten]
        return out


def test_requests_have_room_and_do_not_meet() -> None:
    bench = Bench.of(open_models(), PROTOCOL)
    asked = choose_several(bench, DEFAULT_TABLE.names, PROTOCOL)
    assert torch.equal(asked, choose_several(bench, DEFAULT_TABLE.names, PROTOCOL))
    chosen = asked != 0
    assert set(chosen.sum(dim=1).tolist()) <= {0, AT_ONCE}
    assert bool(chosen.any(dim=1).float().mean() > 0.9)
    assert int(chosen.any(dim=0).sum()) > 25, "over the faces nearly all are asked for"
    target = bench.before["judge"] + asked
    assert float(target.min()) >= 0
    assert float(target.max()) <= 1
    for row in chosen:
        names = [DEFAULT_TABLE.names[i] for i in row.nonzero()[:, 0].tolist()]
        for name in names:
            others = {DEFAULT_TABLE.index(n) for n in names if n != name}
            assert not others & set(partners(DEFAULT_TABLE, name))
    with pytest.raises(ValueError, match="4 attributes can be changed by every method"):
        choose_several(bench, DEFAULT_TABLE.names[:4], PROTOCOL)


def test_a_perfect_a_weak_and_a_forgetful_editor(tmp_path) -> None:
    less = Moves(leak=0.1)
    less.attributes = DEFAULT_TABLE.names[3:]
    methods = {
        "perfect": [Moves()],
        "weak": [Moves(reach=0.6)],
        "drops": [Drops()],
        "leaks": [less],
    }
    plan = Plan(PROTOCOL, parts=("several",))
    result = compare(open_models(), methods, plan, tmp_path)
    assert not result.failed
    rows = {(row["method"], row["reader"]): row for row in result.several}
    for reader in ("judge", "ensemble"):
        perfect = rows["perfect", reader]
        assert perfect["achieved_median"] == pytest.approx(1, abs=1e-3)
        assert perfect["all_enough_score"] == 1
        assert perfect["others_mean"] == pytest.approx(0, abs=1e-4)
        assert rows["weak", reader]["achieved_median"] == pytest.approx(0.6, abs=1e-3)
        assert rows["weak", reader]["all_enough_score"] == 0
        assert perfect["attributes_enough"] == perfect["attributes"] > 20
        assert rows["weak", reader]["attributes_enough"] == 0
        assert 0 < rows["drops", reader]["attributes_enough"] < perfect["attributes"]
        # four of five come whole: the median does not see it, the least one does
        assert rows["drops", reader]["achieved_median"] == pytest.approx(1, abs=1e-3)
        assert rows["drops", reader]["least_median"] == pytest.approx(0, abs=1e-3)
        assert rows["drops", reader]["all_enough_score"] == 0
        assert rows["leaks", reader]["others_mean"] > 0.005
    assert perfect["at_once"] == 5
    assert perfect["faces"] > 30
    text = comparison_text(result, stamp(result))
    assert "5 attributes in one request" in text
    again = compare(open_models(), methods, plan, tmp_path)
    assert again.several == result.several
    assert again.provenance["cells"]["measured"] == 0
