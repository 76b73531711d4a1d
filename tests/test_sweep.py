"""A face is left where every reader has seen enough; the numbers are those of the whole sweep."""

from __future__ import annotations

import pytest
import torch
from open_world import A, Moves, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation import Plan, compare
from l2l_widgets.evaluation.bench import Bench, Readers, readers_of
from l2l_widgets.evaluation.equal_change import measure_equal
from l2l_widgets.evaluation.quick_readers import common_side, prepared
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.sweep import KNOBS
from l2l_widgets.perception import AttributeNet, FaceEmbeddingNet

AGE = DEFAULT_TABLE.index("age")
PROTOCOL = Protocol(attributes=("age",), faces=60, batch=16, draws=50)


class Bends(Moves):
    """Reaches a change at another strength for every face, and leaks as it goes."""

    def edit(self, w, request):
        share = 0.4 + 3 * w[:, :1, -1:]  # from hardly anything to far too much
        return w + share * (super().edit(w, request) - w)


class Blind(Reads):
    """Sees half of every change of age."""

    def __call__(self, images):
        readings = super().__call__(images).clone()
        readings[:, AGE] = 0.25 + readings[:, AGE] / 2
        return readings


def measured(editor, sweep_faces, request=0.3):
    models = open_models(Blind())
    protocol = Protocol(attributes=("age",), faces=60, batch=16, request=request)
    bench = Bench.of(models, protocol)
    bench.regions = {"age": torch.arange(36).reshape(6, 6) < 18}
    drawn = []

    def counted(ws):
        drawn.append(len(ws))
        return models.generator.synthesis(ws)

    bench.readers.draw = counted
    asked = bench.requests("age", protocol)
    cell = measure_equal(editor, bench, "age", asked, protocol, sweep_faces)
    return cell, sum(drawn), int((~asked.isnan()).sum())


@pytest.mark.parametrize("request_size", [0.06, 0.3, 0.5])
def test_what_is_read_at_the_change_is_that_of_the_whole_sweep(request_size) -> None:
    editor = Bends(leak=0.2)
    whole, all_pictures, faces = measured(editor, None, request_size)
    early, pictures, _ = measured(editor, 10, request_size)
    assert all_pictures == faces * len(KNOBS)  # with the unedited, for what lies outside
    assert pictures < 0.8 * all_pictures
    kinds = readers_of(open_models())
    at_change = [f"{r}:{what}" for r in kinds for what in ("position", "changes", "length")]
    for key in (*at_change, "similarity", "outside"):
        assert torch.equal(early[key].nan_to_num(9), whole[key].nan_to_num(9)), key
    reached = ~whole["judge:position"].isnan()
    assert 0 < int(reached.sum()) <= faces
    for key in ("achieved", "others", "curve", "monotonicity"):
        assert torch.equal(early[key][:10].nan_to_num(9), whole[key][:10].nan_to_num(9)), key
        assert bool(early[key][10:].isnan().all()), f"{key} of a face that was left early"


def test_a_report_says_of_how_many_faces_the_whole_sweep_is(tmp_path) -> None:
    plan = Plan(PROTOCOL, parts=("equal",), sweep_faces=10)
    result = compare(open_models(), {"m": [Moves(leak=0.1)]}, plan, tmp_path)
    rows = {row["reader"]: row for row in result.equal}
    assert rows["judge"]["monotonicity_faces"] == 10
    assert rows["judge"]["monotonicity_score"] == pytest.approx(1)
    assert rows["judge"]["reached"] > 50
    assert "monotonicity_faces" not in rows["ensemble"]
    (curve,) = result.curves
    assert curve["achieved"] == pytest.approx(list(KNOBS), abs=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        AttributeNet(["a", "b"], family="residual", width=4, features=8),
        AttributeNet(["a", "b"], family="transformer", width=16, depth=1, features=8),
        FaceEmbeddingNet(5, family="separable", width=4, features=8),
    ],
    ids=lambda network: network.config["family"],
)
def test_a_prepared_reader_reads_the_same(network) -> None:
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    images = torch.rand(3, 3, 128, 128) * 2 - 1
    assert prepared(network.train()) is network, "its batch norms do not rest"
    with torch.inference_mode():
        quick = prepared(network.eval())
        assert quick is not network
        assert any(isinstance(m, torch.nn.Identity) for m in quick.modules())
        assert torch.allclose(quick(images), network(images), atol=1e-5)
    assert not any(isinstance(m, torch.nn.Identity) for m in network.modules())


def test_readers_share_a_resampling_only_where_all_look_at_one_side(tiny_models) -> None:
    readers = Readers.of(tiny_models)
    assert readers.side == 64
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.inference_mode():
        seen = readers.look(images, features=True)
        assert torch.allclose(seen["judge"], tiny_models.attribute_judge(images), atol=1e-5)
        own = tiny_models.attribute_judge.features(images)
        assert torch.allclose(seen["features"], own, atol=1e-4)
        assert "ensemble" not in readers.look(images, ensemble=False)
    assert common_side([tiny_models.attribute_judge, Reads()]) is None
    assert Readers.of(open_models()).side is None
    assert len(Readers.of(open_models()).models.table) == A
