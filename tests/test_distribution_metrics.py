"""Distances between sets on features whose answers are known in closed form."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.metrics.distribution import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)


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


def test_kernel_distance_perfect_constant_adversarial():
    # by hand in one dimension: k(x, y) = (x y + 1)^3
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    within = (1.0 + 27.0) / 1  # k(0, 1) and k(1, 2), each counted twice and over 2 pairs
    across = (1 + 1 + 8 + 27) / 4  # k(0, 1), k(0, 2), k(1, 1), k(1, 2)
    found, deviation = kernel_distance(a, b)
    assert found == pytest.approx(within - 2 * across)
    assert deviation == 0
    x = normals(400, 6, 0)
    assert abs(kernel_distance(x, normals(400, 6, 1))[0]) < 0.02
    constant = torch.ones(50, 6)
    assert kernel_distance(constant, constant)[0] == pytest.approx(0, abs=1e-9)
    # equal means and covariances, other shapes: a Fréchet distance sees nothing
    two = normals(400, 1, 4).sign() * normals(400, 1, 5).abs().clamp(0.9, 1.1)
    assert kernel_distance(x[:, :1] * two, x[:, :1] + 3)[0] > 1
    mean, deviation = kernel_distance(x, x + 1, subsets=20, subset_size=50)
    assert mean == pytest.approx(kernel_distance(x, x + 1)[0], rel=0.15)
    assert deviation > 0
    with pytest.raises(ValueError, match="subset_size 1"):
        kernel_distance(x, x, subset_size=1)


def test_inception_score_perfect_constant_adversarial():
    classes = torch.eye(4).repeat(25, 1)
    assert inception_score(classes, splits=1)[0] == pytest.approx(4)
    assert inception_score(torch.full((40, 4), 0.25))[0] == pytest.approx(1)
    # sharp, but always the same class: no better than no idea at all
    collapsed = torch.eye(4)[:1].repeat(40, 1)
    assert inception_score(collapsed) == (pytest.approx(1), pytest.approx(0))
    # half sure of one of two classes: KL of (3/4, 1/4) from (1/2, 1/2) is 0.1308 nats
    half = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).repeat(20, 1)
    assert inception_score(half, splits=1)[0] == pytest.approx(2.718281828**0.130812, rel=1e-5)
    with pytest.raises(ValueError, match="rows >= 0 that sum to 1"):
        inception_score(2 * half)


class Given(torch.nn.Module):
    """Hands out features that are at hand already, in the form torchmetrics asks for."""

    num_features = 8

    def forward(self, images):
        return images[:, :, 0, 0].float()


# torchmetrics says that it keeps every feature in memory, which is what is wanted here
@pytest.mark.filterwarnings("ignore:.*save all extracted features:UserWarning")
@pytest.mark.filterwarnings("ignore:.*degrees of freedom is:UserWarning")
def test_distances_agree_with_torchmetrics_on_the_same_features():
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake = normals(300, 8, 0), 1.3 * normals(300, 8, 1) + 0.2
    shown = {True: real[:, :, None, None], False: fake[:, :, None, None]}

    def fed(metric):
        for is_real, images in shown.items():
            metric.update(images, real=is_real)
        return metric.compute()

    fid = fed(FrechetInceptionDistance(feature=Given(), normalize=False).set_dtype(torch.float64))
    assert frechet_distance(real, fake) == pytest.approx(float(fid), abs=1e-4)
    kid, _ = fed(KernelInceptionDistance(feature=Given(), subsets=1, subset_size=300))
    assert kernel_distance(real, fake)[0] == pytest.approx(float(kid), abs=1e-4)
    score = InceptionScore(feature=Given(), splits=1)
    score.update(shown[False])
    expected, _ = score.compute()
    assert inception_score(fake.softmax(dim=1), splits=1)[0] == pytest.approx(
        float(expected), abs=1e-4
    )
