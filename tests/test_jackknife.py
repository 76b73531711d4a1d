"""Intervals that leave rows out: the mean's known one, and distances of sets without a group."""

from __future__ import annotations

import math

import pytest
import torch

from l2l_widgets.metrics.distribution import kernel_distances_without
from l2l_widgets.metrics.jackknife import GROUPS, groups_of, interval_around, jackknife_interval


def normals(n, d=1, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_a_mean_it_is_students_interval_of_the_groups() -> None:
    x = normals(200)[:, 0]
    low, high = jackknife_interval(lambda kept: float(x[kept].mean()), len(x))
    means = torch.stack([x[groups_of(200) == group].mean() for group in range(GROUPS)])
    half = 2.2622 * float(means.std()) / math.sqrt(GROUPS)
    assert low == pytest.approx(float(x.mean()) - half, abs=1e-9)
    assert high == pytest.approx(float(x.mean()) + half, abs=1e-9)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(400):
        x = normals(60, seed=seed)[:, 0]
        low, high = jackknife_interval(lambda kept: float(x[kept].var()), len(x))  # noqa: B023
        held += low <= 1 <= high
    assert 0.90 <= held / 400 <= 0.98


def test_a_constant_has_no_width_and_ends_are_cut_where_nothing_can_be() -> None:
    assert jackknife_interval(lambda kept: 3.0, 50) == (3.0, 3.0)
    wide = torch.arange(float(GROUPS))
    assert interval_around(0.5, wide, low=0, high=1) == (0, 1)


def test_too_few_rows_and_groups_that_cannot_be_measured_have_none() -> None:
    assert all(map(math.isnan, jackknife_interval(lambda kept: 1.0, 2 * GROUPS - 1)))

    def needs_the_first(kept):
        if not kept[0]:
            raise ValueError("constant")
        return 1.0

    assert all(map(math.isnan, jackknife_interval(needs_the_first, 50)))


def unbiased(x, y):
    """The kernel distance written out, one pair after the other."""

    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    own = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + other - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_kernel_distances_without_a_group_are_those_of_the_rest() -> None:
    x, y = normals(9, 3, 1), normals(7, 3, 2) + 1
    of_x, of_y = torch.arange(9) % 3, torch.arange(7) % 3
    found = kernel_distances_without(x, y, of_x, of_y, 3)
    expected = [unbiased(x[of_x != g], y[of_y != g]) for g in range(3)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="lengths 3 and 2"):
        kernel_distances_without(x, y[:, :2], of_x, of_y, 3)
