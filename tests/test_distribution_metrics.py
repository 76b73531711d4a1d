"""Fréchet distance, precision and recall on sets whose answers are known in closed form."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.metrics.distribution import frechet_distance, precision_recall


def normals(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_set_is_at_no_distance_from_itself():
    x = normals(500, 8, 0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert precision_recall(x, x) == (1.0, 1.0)


def test_a_shift_costs_its_squared_length():
    x = normals(500, 8, 0)
    shift = torch.arange(8.0)
    assert frechet_distance(x, x + shift) == pytest.approx(float(shift.square().sum()), rel=1e-5)


def test_a_scale_costs_the_squared_difference_of_deviations():
    x = normals(400, 5, 1)
    expected = float(torch.cov(x.T.double()).trace())  # (2 - 1)^2 times the variance
    assert frechet_distance(x, 2 * x - x.mean(0)) == pytest.approx(expected, rel=1e-5)


def test_one_repeated_picture_is_precise_but_recalls_nothing():
    real = normals(300, 4, 2)
    fake = real[:1] + 1e-6 * normals(300, 4, 3)
    precision, recall = precision_recall(real, fake)
    assert precision == 1.0
    assert recall < 0.02


def test_far_away_nonsense_is_neither():
    real = normals(300, 4, 2)
    assert precision_recall(real, real + 100) == (0.0, 0.0)


@pytest.mark.parametrize("k", [0, 300])
def test_k_out_of_range_is_refused(k):
    x = normals(300, 4, 2)
    with pytest.raises(ValueError, match=f"k is {k}"):
        precision_recall(x, x, k)


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="lengths 4 and 5"):
        frechet_distance(normals(9, 4, 0), normals(9, 5, 0))
    with pytest.raises(ValueError, match="not finite"):
        frechet_distance(normals(9, 4, 0), normals(9, 4, 0) / 0)
