"""Leakage at equal achieved change, on sweeps whose answers are known in closed form."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.metrics import leakage, significance

KNOBS = torch.tensor([0.0, 0.25, 0.5, 1.0])


def test_matched_position_perfect_constant_adversarial() -> None:
    exact = KNOBS.expand(2, -1)
    assert torch.allclose(leakage.matched_position(KNOBS, exact, 0.3), torch.tensor(0.3).double())
    assert leakage.matched_position(KNOBS, torch.zeros(1, 4), 0.3).isnan().all()
    # overshoots, comes back, goes the wrong way: the first crossing counts, or none
    odd = torch.tensor([[0.0, 0.6, 0.1, 0.0], [0.0, -0.5, -0.1, 0.29], [0.0, 0.1, 0.1, 0.3]])
    found = leakage.matched_position(KNOBS, odd, 0.3)
    assert found[0].item() == pytest.approx(0.125)
    assert found[1].isnan()
    assert found[2].item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"change is 0; allowed: above 0"):
        leakage.matched_position(KNOBS, exact, 0)


def test_read_at_follows_lines_between_strengths_and_keeps_gaps() -> None:
    values = torch.stack([KNOBS, 2 * KNOBS, torch.full((4,), 0.7)], dim=-1)[None].expand(2, -1, -1)
    found = leakage.read_at(KNOBS, values, torch.tensor([0.6, float("nan")]))
    assert torch.allclose(found[0], torch.tensor([0.6, 1.2, 0.7]).double())
    assert found[1].isnan().all()
    with pytest.raises(ValueError, match="leaves the sweep"):
        leakage.read_at(KNOBS, values, torch.tensor([0.1, 1.5]))
    with pytest.raises(ValueError, match="not rising from 0"):
        leakage.read_at(KNOBS.flip(0), values, torch.zeros(2))
    with pytest.raises(ValueError, match="NaN or infinity"):
        leakage.read_at(KNOBS, values * float("nan"), torch.zeros(2))


def test_identity_curve_perfect_constant_adversarial() -> None:
    achieved = KNOBS.expand(1, -1)
    changes = torch.tensor([0.1, 0.5, 0.9])
    kept = leakage.identity_curve(KNOBS, achieved, torch.ones(1, 4), changes)
    assert torch.equal(kept, torch.ones(1, 3).double())
    idle = leakage.identity_curve(KNOBS, 0 * achieved, torch.ones(1, 4), changes)
    assert idle.isnan().all()
    # loses the person in proportion to the change
    lost = leakage.identity_curve(KNOBS, achieved, 1 - 2 * KNOBS[None], changes)
    assert torch.allclose(lost, torch.tensor([[0.8, 0.0, -0.8]]).double())


def test_leakage_matrix_perfect_constant_adversarial() -> None:
    nan = float("nan")
    perfect = 0.3 * torch.eye(2)[:, None].expand(-1, 5, -1)
    assert torch.allclose(leakage.leakage_matrix(perfect), 0.3 * torch.eye(2).double())
    assert torch.equal(leakage.leakage_matrix(0 * perfect), torch.zeros(2, 2).double())
    # edits the other attribute, and one face of the first is unreached
    swapped = perfect.flip(2).clone()
    swapped[0, 0] = nan
    found = leakage.leakage_matrix(swapped)
    assert torch.allclose(found, 0.3 * torch.eye(2).flip(1).double())
    assert leakage.leakage_matrix(torch.full((1, 3, 2), nan)).isnan().all()


def test_regression_slopes_perfect_constant_adversarial() -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.rand(4000, generator=draw)
    follows, alone = 0.5 * a + 0.1, torch.rand(4000, generator=draw)
    constant = torch.full((4000,), 0.3)
    slopes = leakage.regression_slopes(torch.stack([a, follows, alone, constant], dim=1))
    assert slopes[0, 1].item() == pytest.approx(0.5, abs=1e-6)
    assert slopes[1, 0].item() == pytest.approx(2.0, abs=1e-5)
    assert slopes[0, 2].abs() < 0.05
    assert slopes[3].isnan().all()
    assert torch.allclose(slopes.diagonal()[:3], torch.ones(3).double())


def test_random_direction_band_perfect_constant_adversarial() -> None:
    still = torch.zeros(20, 4, 3)
    assert torch.equal(leakage.random_direction_band(still), torch.zeros(3).double())
    constant = still + torch.tensor([0.1, -0.2, 0.0])
    expected = torch.tensor([0.1, 0.2, 0.0]).double()
    assert torch.allclose(leakage.random_direction_band(constant), expected)
    # moves every face, but not their mean: nothing that a leak could be taken for
    opposed = torch.tensor([1.0, -1.0])[None, :, None].expand(20, -1, 3)
    assert torch.equal(leakage.random_direction_band(opposed), torch.zeros(3).double())


def test_the_band_goes_on_as_it_grew_beyond_what_was_measured() -> None:
    lengths = torch.tensor([0.0, 1.0, 2.0, 4.0])
    bands = torch.stack([lengths, lengths.sqrt(), lengths.clamp(max=1), 0 * lengths], dim=1)
    inside, extrapolated = leakage.band_at(lengths, bands, 3.0)
    assert not extrapolated
    assert inside.tolist() == pytest.approx([3.0, (2**0.5 + 2) / 2, 1.0, 0.0])
    assert not leakage.band_at(lengths, bands, 4.0)[1]
    beyond, extrapolated = leakage.band_at(lengths, bands, 16.0)
    assert extrapolated
    assert beyond.tolist() == pytest.approx([16.0, 4.0, 1.0, 0.0], abs=1e-6)
    # chance may let a band shrink, or leap: it is not carried on
    odd = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.3, 0.01], [0.2, 0.4]])
    assert leakage.band_at(lengths, odd, 8.0)[0].tolist() == pytest.approx([0.2, 0.8])
    with pytest.raises(ValueError, match=r"length is -1\.0, of 4 known; allowed: 0 or more"):
        leakage.band_at(lengths, bands, -1.0)


def test_attribute_dependency_perfect_constant_adversarial() -> None:
    spread = torch.tensor([0.1, 0.2, 0.4, 0.0])
    perfect = torch.tensor([[0.3, 0.0, 0.0, 0.0]])
    mean, largest, target = leakage.attribute_dependency(perfect, spread, 0)
    assert (mean.item(), largest.item()) == (0, 0)
    assert target.item() == pytest.approx(3)
    assert sum(x.item() for x in leakage.attribute_dependency(0 * perfect, spread, 0)) == 0
    # signs must not cancel, and what never varies has no unit to count in
    adversarial = torch.tensor([[0.3, 0.4, -0.4, 9.0]])
    mean, largest, _ = leakage.attribute_dependency(adversarial, spread, 0)
    assert mean.item() == pytest.approx((2 + 1) / 2)
    assert largest.item() == pytest.approx(2)
    with pytest.raises(ValueError, match="constant over unedited faces"):
        leakage.attribute_dependency(perfect, spread, 3)


def test_outside_region_error_perfect_constant_adversarial() -> None:
    before = torch.zeros(2, 3, 4, 4)
    region = torch.zeros(4, 4, dtype=torch.bool)
    region[:2] = True
    inside = before.clone()
    inside[:, :, :2] = 1
    assert leakage.outside_region_error(before, inside, region).tolist() == [0, 0]
    assert leakage.outside_region_error(before, before, region).tolist() == [0, 0]
    # darker here and brighter there must not cancel
    outside = before.clone()
    outside[:, :, 2], outside[:, :, 3] = 0.5, -0.5
    assert leakage.outside_region_error(before, outside, region).tolist() == [0.5, 0.5]
    everywhere = torch.ones(2, 4, 4, dtype=torch.bool)
    assert leakage.outside_region_error(before, outside, everywhere).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"region is torch\.float32"):
        leakage.outside_region_error(before, outside, region.float())


def test_intervals_of_means_cover_and_a_constant_has_none() -> None:
    values = torch.randn(60, 400, generator=torch.Generator().manual_seed(0))
    low, high = significance.mean_intervals(values, seed=0, draws=400)
    assert 0.9 <= ((low <= 0) & (high >= 0)).double().mean() <= 0.98
    low, high = significance.mean_intervals(torch.full((9, 2), 0.25), seed=0, draws=50)
    assert torch.allclose(low, torch.tensor(0.25).double())
    assert torch.allclose(high, low)


def test_p_values_of_the_t_test_known_by_hand() -> None:
    # mean 1, deviation 1, 4 faces: t = 2 with 3 degrees of freedom, p = 0.1393
    values = torch.tensor([[0.0], [0.6], [1.4], [2.0]])
    values = 1 + (values - 1) / values.std()
    assert significance.mean_p_values(values).item() == pytest.approx(0.13933, abs=1e-4)
    constant = torch.tensor([[0.0, 0.2], [0.0, 0.2]])
    assert significance.mean_p_values(constant).tolist() == [1, 0]
    with pytest.raises(ValueError, match="NaN or infinity"):
        significance.mean_p_values(constant / 0)


def test_false_discoveries_are_controlled() -> None:
    # the smallest q that Benjamini and Hochberg allow, by hand: 0.01 * 4 / 1, 0.03 * 4 / 3, ...
    p = torch.tensor([[0.01, 0.8], [0.02, 0.03]])
    q = significance.false_discovery_q_values(p)
    expected = torch.tensor([[0.04, 0.8], [0.04, 0.04]]).double()
    assert torch.allclose(q, expected)
    assert torch.equal(significance.false_discovery_q_values(torch.ones(5)), torch.ones(5).double())
    # a thousand empty cells hold no discovery, where 5 % each would give fifty
    empty = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert int((empty < 0.05).sum()) > 30
    assert int((significance.false_discovery_q_values(empty) < 0.05).sum()) == 0
    gaps = significance.false_discovery_q_values(torch.tensor([0.01, float("nan")]))
    assert gaps[0].item() == pytest.approx(0.01)
    assert gaps[1].isnan()


def test_q_values_are_those_of_scipy() -> None:
    from scipy.stats import false_discovery_control

    p = torch.rand(200, generator=torch.Generator().manual_seed(3)).double() ** 3
    expected = torch.from_numpy(false_discovery_control(p.numpy()))
    assert torch.allclose(significance.false_discovery_q_values(p), expected)
