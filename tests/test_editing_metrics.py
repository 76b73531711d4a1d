"""Every metric is tested on a perfect, a constant and an adversarial edit."""

from __future__ import annotations

import math

import pytest
import torch

from l2l_widgets.metrics import editing, resampling
from l2l_widgets.metrics.resampling import resampled_means, resampled_medians


def test_achieved_fraction_perfect_constant_adversarial() -> None:
    before = torch.tensor([0.2, 0.8])
    request = torch.tensor([0.3, -0.3])
    exact = editing.achieved_fraction(before, before + request, request)
    assert torch.allclose(exact, torch.ones(2))
    assert torch.equal(editing.achieved_fraction(before, before, request), torch.zeros(2))
    wrong_way = editing.achieved_fraction(before, before - request, request)
    assert torch.allclose(wrong_way, -torch.ones(2))
    with pytest.raises(ValueError, match="request is 0"):
        editing.achieved_fraction(before, before, torch.zeros(2))


def test_others_leak_perfect_constant_adversarial() -> None:
    perfect = torch.tensor([[0.3, 0.0, 0.0]])
    assert editing.others_leak(perfect, [0]).item() == 0
    assert editing.others_leak(torch.zeros(1, 3), [0]).item() == 0
    # opposite signs must not cancel
    adversarial = torch.tensor([[0.3, 0.4, -0.4]])
    assert editing.others_leak(adversarial, [0]).item() == pytest.approx(0.4)
    with pytest.raises(ValueError, match="every attribute was edited"):
        editing.others_leak(perfect, [0, 1, 2])


def test_entanglement_matrix_perfect_constant_adversarial() -> None:
    requests = torch.tensor([[0.3, -0.3], [0.1, 0.5]])
    perfect = torch.stack(
        [
            torch.stack([requests[0], torch.zeros(2)], 1),
            torch.stack([torch.zeros(2), requests[1]], 1),
        ]
    )
    assert torch.allclose(editing.entanglement_matrix(perfect, requests), torch.eye(2))
    assert torch.equal(editing.entanglement_matrix(perfect * 0, requests), torch.zeros(2, 2))
    swapped = editing.entanglement_matrix(perfect.flip(2), requests)
    assert torch.allclose(swapped, torch.eye(2).flip(1))


def test_reachability_counts_faces() -> None:
    assert editing.reachability_score(torch.ones(4)) == 1
    assert editing.reachability_score(torch.zeros(4)) == 0
    # one face far beyond cannot make up for the others
    assert editing.reachability_score(torch.tensor([100.0, 0.0, 0.0, 0.0])) == 0.25


def test_identity_similarity_and_its_place_on_the_scale() -> None:
    person = torch.eye(3)
    assert torch.allclose(editing.identity_similarity(person, 5 * person), torch.ones(3))
    assert torch.allclose(editing.identity_similarity(person, person.roll(1, 0)), torch.zeros(3))
    assert torch.allclose(editing.identity_similarity(person, -person), -torch.ones(3))
    placed = editing.identity_placement_score(torch.tensor([0.9, 0.2, 0.0]), 0.2, 0.9)
    assert torch.allclose(placed, torch.tensor([1.0, 0.0, -2 / 7]))
    with pytest.raises(ValueError, match="tells nobody apart"):
        editing.identity_placement_score(torch.zeros(1), 0.5, 0.5)


def test_null_error_perfect_constant_adversarial() -> None:
    w = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert editing.null_error(w, w, 2.0).tolist() == [0, 0]
    assert torch.allclose(editing.null_error(w, w + 1, 2.0), torch.full((2,), 0.5))
    sign = torch.tensor([1.0, -1.0]).repeat(6).view(3, 4)  # cancels in a signed mean
    assert torch.allclose(editing.null_error(w, w + sign, 2.0), torch.full((2,), 0.5))


def test_cycle_error_perfect_constant_adversarial() -> None:
    w = torch.zeros(1, 2, 2)
    edited = torch.ones(1, 2, 2)
    assert editing.cycle_error(w, edited, w).item() == 0
    assert editing.cycle_error(w, w, w).item() == 0
    assert editing.cycle_error(w, edited, edited).item() == 1  # undoing did nothing
    assert editing.cycle_error(w, edited, 2 * edited).item() == 2  # it did the same again
    assert math.isinf(editing.cycle_error(w, w, edited).item())


def test_monotonicity_perfect_constant_adversarial() -> None:
    asked = torch.tensor([0.1, 0.2, 0.5, 0.9])
    tied = torch.tensor([0.0, 1.0, 1.0, 2.0])
    read = torch.stack([asked**3, torch.full((4,), 0.4), -asked, tied])
    scores = editing.monotonicity_score(asked, read)
    assert torch.allclose(scores, torch.tensor([1.0, 0.0, -1.0, 0.9487]), atol=1e-3)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = torch.Generator().manual_seed(1)
    hits = 0
    for i in range(100):
        low, high = editing.bootstrap_interval(
            torch.randn(80, generator=draw), "mean", seed=i, draws=200
        )
        hits += low <= 0 <= high
    assert 86 <= hits <= 100


def test_bootstrap_resamples_faces_and_not_single_numbers() -> None:
    per_face = torch.randn(40, generator=torch.Generator().manual_seed(2))
    one = editing.bootstrap_interval(per_face, seed=0)
    # ten copies of each face are no new faces: the interval must not shrink
    ten = editing.bootstrap_interval(per_face[:, None].expand(-1, 10), seed=0)
    assert ten == pytest.approx(one)


def test_bootstrap_of_a_constant_is_the_constant_and_nan_is_left_out() -> None:
    values = torch.tensor([1.0, 1.0, float("nan"), 1.0])
    assert editing.bootstrap_interval(values, "median", seed=0, draws=50) == (1.0, 1.0)
    with pytest.raises(ValueError, match="all NaN"):
        editing.bootstrap_interval(values * float("nan"), seed=0)
    with pytest.raises(ValueError, match="statistic is 'mode'"):
        editing.bootstrap_interval(values, "mode", seed=0)


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(2, 2, 2)])
def test_bootstrap_refuses_other_shapes(bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="shape"):
        editing.bootstrap_interval(bad, seed=0)


def test_counted_resamples_are_the_drawn_ones():
    """Sums by counts give what drawing the rows one resample after another gives."""
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(23, 3, generator=generator, dtype=torch.float64)
    values[values < 0.2] = float("nan")
    values[0, 0], values[1, 0], values[4] = 0.4, float("nan"), float("nan")
    values[7, 1] = values[8, 2] = values[9, 0] = 0.5  # ties
    for x in (values, values[:, :1], values[:2, :1]):
        draw = torch.Generator().manual_seed(5)
        rows = [x[torch.randint(len(x), (len(x),), generator=draw)].flatten() for _ in range(200)]
        means = torch.stack([row.nanmean() for row in rows])
        medians = torch.stack([row.nanquantile(0.5) for row in rows])
        assert torch.allclose(resampled_means(x, 5, 200), means, equal_nan=True, atol=1e-12)
        assert torch.equal(resampled_medians(x, 5, 200).isnan(), medians.isnan())
        known = ~medians.isnan()
        assert torch.equal(resampled_medians(x, 5, 200)[known], medians[known])


def test_resamples_come_in_blocks_and_know_infinity(monkeypatch):
    values = torch.tensor([[1.0], [2.0], [float("inf")], [4.0]])
    whole = resampled_means(values, 3, 50), resampled_medians(values, 3, 50)
    draw = torch.Generator().manual_seed(3)
    rows = torch.stack([torch.randint(4, (4,), generator=draw) for _ in range(50)])
    assert torch.equal(whole[0].isinf(), (rows == 2).any(dim=1))
    assert not bool(whole[0].isnan().any())
    monkeypatch.setattr(resampling, "BLOCK", 8)
    assert torch.equal(resampled_means(values, 3, 50), whole[0])
    assert torch.equal(resampled_medians(values, 3, 50), whole[1])
    assert sum(len(block) for block in resampling.resamples(4, 3, 51)) == 51
