"""Calibration, R² and AUC on readings whose answers are known, and the figure of them."""

from __future__ import annotations

import pytest
import torch
from conftest import build_attribute_net

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation.readers import measured, score_reader
from l2l_widgets.metrics.reliability import r_squared, reliability, roc_auc
from l2l_widgets.plots.reliability import reliability_figure


def uniform(n, columns=1, seed=0):
    return torch.rand(n, columns, generator=torch.Generator().manual_seed(seed))


def test_who_reads_the_truth_is_calibrated():
    truth = uniform(1000, 2)
    curve = reliability(truth, truth, bins=4)
    assert curve.count.shape == (2, 4)
    assert curve.count.sum(dim=1).tolist() == [1000, 1000]
    assert torch.equal(curve.reading, curve.truth)
    assert curve.error.tolist() == [0.0, 0.0]


def test_who_exaggerates_is_not():
    truth = torch.full((100, 1), 0.5)
    readings = torch.tensor([[0.12], [0.92]]).repeat(50, 1)
    curve = reliability(readings, truth)
    assert curve.error.item() == pytest.approx(0.4)
    assert curve.count[0].nonzero().flatten().tolist() == [1, 9]
    assert curve.reading[0, 9].item() == pytest.approx(0.92)
    assert curve.truth[0, 9].item() == pytest.approx(0.5)
    assert curve.reading[0, 5].isnan()


def test_the_largest_reading_is_in_the_last_bin():
    assert reliability(torch.ones(3, 1), torch.ones(3, 1), 5).count[0].tolist() == [0, 0, 0, 0, 3]


def test_r2_and_auc_agree_with_scikit_learn():
    from sklearn.metrics import r2_score, roc_auc_score

    truth = uniform(300, 3)
    readings = (truth + 0.3 * uniform(300, 3, seed=1)).clamp(0, 1)
    readings = (readings * 20).round() / 20  # ties
    for i in range(3):
        own, wanted = readings[:, i].numpy(), truth[:, i].numpy()
        assert r_squared(readings, truth)[i].item() == pytest.approx(r2_score(wanted, own))
        assert roc_auc(readings, truth)[i].item() == pytest.approx(roc_auc_score(wanted > 0.5, own))


def test_what_does_not_vary_has_neither():
    constant = torch.full((10, 1), 0.2)
    assert r_squared(uniform(10), constant).isnan().all()
    assert roc_auc(uniform(10), constant).isnan().all()


@pytest.mark.parametrize(
    ("readings", "truth", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3, 1), "readings have shape"),
        (torch.full((3, 1), 1.2), torch.zeros(3, 1), "readings leave"),
        (torch.zeros(3, 1), torch.full((3, 1), float("nan")), "truth leave"),
    ],
)
def test_bad_input_is_named(readings, truth, message):
    for measure in (reliability, r_squared, roc_auc):
        with pytest.raises(ValueError, match=message):
            measure(readings, truth)
    with pytest.raises(ValueError, match="bins is 0"):
        reliability(torch.zeros(3, 1), torch.zeros(3, 1), 0)


@pytest.fixture(scope="module")
def scored():
    """A real reader, held against its own readings of the first of two attributes."""
    net = build_attribute_net(5, "transformer")
    images = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        truth = net(images.float() / 127.5 - 1)
    truth[:, 1] = 1 - truth[:, 1]
    truth[:, 2] = 0.1
    return score_reader(net, DEFAULT_TABLE.names, images, truth)


def test_a_reader_is_held_against_the_truth(scored):
    first, second, third = (scored["attributes"][n] for n in DEFAULT_TABLE.names[:3])
    assert scored["faces"] == 40
    assert first["r2"] == 1.0
    assert first["calibration_error"] == 0.0
    assert sum(first["count"]) == 40
    assert first["reading"] == first["truth"]
    assert second["r2"] < 0.5
    assert third["r2"] is None
    reached, missed = measured(scored["attributes"])
    assert DEFAULT_TABLE.names[0] in reached
    assert set(DEFAULT_TABLE.names[1:3]) <= set(missed)
    assert len(reached) + len(missed) == len(DEFAULT_TABLE)


def test_every_attribute_has_its_panel(scored):
    figure = reliability_figure({"a": scored["attributes"], "b": scored["attributes"]})
    drawn = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title().split("\n")[0] for axes in drawn] == [
        row.label for row in DEFAULT_TABLE
    ]
    curve = drawn[0].lines[1]
    known = [v for v in scored["attributes"][DEFAULT_TABLE.names[0]]["reading"] if v is not None]
    assert list(curve.get_xdata()) == known
    with pytest.raises(ValueError, match="readers hold no attributes"):
        reliability_figure({})
    with pytest.raises(ValueError, match="different ones"):
        reliability_figure({"a": scored["attributes"], "b": {"age": {}}})
