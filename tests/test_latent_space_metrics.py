"""Separability, path length, DCI, MIG and SAP: perfect, constant and adversarial codes."""

from __future__ import annotations

import math

import pytest
import torch

from l2l_widgets.metrics import factors, latent_space


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_separability_perfect_constant_adversarial() -> None:
    latents = draw(400, 3) - 0.5
    scores = (0.5 + latents[:, :2]).clamp(0, 1)
    assert latent_space.linear_separability_distance(latents, scores) == pytest.approx(1, abs=0.02)
    # a space that says nothing leaves each of two balanced labels its whole bit
    balanced = torch.tensor([0.0, 1.0]).repeat(200)[:, None].expand(-1, 2)
    constant = torch.zeros(400, 3)
    found = latent_space.linear_separability_distance(constant, balanced)
    assert found == pytest.approx(4, abs=1e-6)
    # exclusive or: no plane tells it, although the space holds it
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(50, 1)
    label = (corners[:, 0] != corners[:, 1]).float()[:, None]
    found = latent_space.linear_separability_distance(corners, label)
    assert 1.5 < found <= 2 + 1e-9
    with pytest.raises(ValueError, match="column 0 are constant"):
        latent_space.linear_separability_distance(latents, torch.ones(400, 1))
    with pytest.raises(ValueError, match="NaN"):
        latent_space.linear_separability_distance(latents, scores / 0)


def test_path_length_perfect_constant_adversarial() -> None:
    step = 1e-2
    # pictures that move evenly: distance is the squared step times the squared speed
    assert latent_space.perceptual_path_length(torch.full((50,), 9 * step**2), step) == (
        pytest.approx(9)
    )
    assert latent_space.perceptual_path_length(torch.zeros(50), step) == 0
    # one jump in two hundred is cut off, as the definition says; one in five is not
    jump = torch.zeros(200)
    jump[0] = 1e6
    assert latent_space.perceptual_path_length(jump, step) == 0
    assert latent_space.perceptual_path_length(jump[:5], step) > 1e6
    with pytest.raises(ValueError, match="none below 0"):
        latent_space.perceptual_path_length(-jump, step)


def test_dci_perfect_constant_adversarial_by_hand() -> None:
    perfect = factors.dci_from_importance(2 * torch.eye(3))
    assert perfect.disentanglement == pytest.approx(1)
    assert perfect.completeness == pytest.approx(1)
    mixed = factors.dci_from_importance(torch.ones(3, 3))
    assert mixed.disentanglement == pytest.approx(0, abs=1e-9)
    assert mixed.completeness == pytest.approx(0, abs=1e-9)
    assert factors.dci_from_importance(torch.zeros(3, 3)).disentanglement == 0
    # two codes for each factor: each code serves one, but no factor is complete
    doubled = factors.dci_from_importance(torch.eye(2).repeat(2, 1))
    assert doubled.disentanglement == pytest.approx(1)
    assert doubled.completeness == pytest.approx(1 - math.log(2) / math.log(4))
    # one code serves both factors, 3 to 1: entropy of (3/4, 1/4) is 0.8113 bits
    shared = factors.dci_from_importance(torch.tensor([[0.75, 0.25], [0.0, 0.0]]))
    assert shared.disentanglement == pytest.approx(1 - 0.8113, abs=1e-4)
    assert shared.completeness == pytest.approx(1)


def test_dci_of_fitted_trees() -> None:
    truth = torch.randint(0, 3, (300, 2), generator=torch.Generator().manual_seed(0))
    good = factors.dci_scores(truth.float(), truth)
    assert good.disentanglement > 0.98
    assert good.completeness > 0.98
    assert good.informativeness == pytest.approx(1)
    noise = factors.dci_scores(draw(300, 2), truth)
    assert noise.disentanglement < 0.1
    assert noise.informativeness < 0.5
    numbers = draw(300, 2, seed=2)
    assert factors.dci_scores(numbers.flip(1), numbers).informativeness > 0.95
    with pytest.raises(ValueError, match="factor 1 is constant"):
        factors.dci_scores(draw(300, 2), truth * torch.tensor([1, 0]))


def test_mig_perfect_constant_adversarial_by_hand() -> None:
    # all four pairs of two bits, equally often
    bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat(10, 1)
    assert factors.mig_score(bits.float(), bits) == pytest.approx(1)
    assert factors.mig_score(torch.zeros(40, 2), bits) == 0
    # a second copy of every code says as much: there is no gap, however good the codes are
    assert factors.mig_score(bits.float().repeat(1, 2), bits) == pytest.approx(0)
    # a code that holds both bits (4 values) says 1 bit about each, the other code 1 bit about one
    both = torch.stack([2 * bits[:, 0] + bits[:, 1], bits[:, 0]], dim=1).float()
    assert factors.mig_score(both, bits) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="factor 0 is constant"):
        factors.mig_score(bits.float(), 0 * bits)
    with pytest.raises(ValueError, match="codes have 1 column"):
        factors.mig_score(bits[:, :1].float(), bits)


def test_mig_counts_information_like_scikit_learn() -> None:
    from sklearn.metrics import mutual_info_score

    labels = torch.randint(0, 4, (500,), generator=torch.Generator().manual_seed(0))
    codes = torch.stack([labels + draw(500), draw(500, seed=1)], dim=1)
    cut = ((codes - codes.amin(0)) / (codes.amax(0) - codes.amin(0)) * 20).long().clamp(0, 19)
    told = [mutual_info_score(labels.numpy(), c.numpy()) for c in cut.T]
    expected = (told[0] - told[1]) / mutual_info_score(labels.numpy(), labels.numpy())
    assert factors.mig_score(codes, labels[:, None]) == pytest.approx(expected, abs=1e-9)


def test_sap_perfect_constant_adversarial_by_hand() -> None:
    x = draw(300, 1)
    sign = torch.tensor([1.0, -1.0]).repeat(150)
    # the second code is uncorrelated by construction: every value meets both signs
    numbers = x[::2].repeat_interleave(2, dim=0)
    codes = torch.stack([numbers[:, 0], sign], dim=1)
    assert factors.sap_score(codes, numbers) == pytest.approx(1, abs=1e-6)
    assert factors.sap_score(torch.zeros(300, 2), numbers) == 0
    assert factors.sap_score(codes[:, :1].repeat(1, 2), numbers) == pytest.approx(0)
    # y = u + v with u, v of equal variance and uncorrelated: each explains half, so no gap
    u, v = torch.tensor([1.0, 1, -1, -1]).repeat(75), torch.tensor([1.0, -1, 1, -1]).repeat(75)
    halves = torch.stack([u, v], dim=1)
    assert factors.sap_score(halves, (u + v)[:, None]) == pytest.approx(0, abs=1e-9)
    # y = 2 u + v: 0.8 against 0.2
    assert factors.sap_score(halves, (2 * u + v)[:, None]) == pytest.approx(0.6)
    # classes: one code tells two balanced classes, the other is at chance
    label = (u > 0).long()[:, None]
    assert factors.sap_score(halves, label) == pytest.approx(0.5)
