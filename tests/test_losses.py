"""Losses and augmentation have known values on simple tensors."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets import losses
from l2l_widgets.losses import Augmentation, Cloud


def test_attribute_loss_sums_over_attributes_and_averages_over_faces() -> None:
    achieved = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert losses.attribute_loss(achieved, target).item() == pytest.approx(1.0)
    only_first = torch.tensor([1.0, 0.0])
    assert losses.attribute_loss(achieved, target, only_first).item() == pytest.approx(0.5)


def test_latent_losses_are_zero_without_change_and_known_with_it() -> None:
    w = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    for loss in (losses.cycle_loss, losses.identity_loss, losses.neighbourhood_loss):
        assert loss(w, w).item() == 0
    assert losses.cycle_loss(w, w + 2).item() == pytest.approx(2.0)
    assert losses.neighbourhood_loss(w, w + 2).item() == pytest.approx(4.0)


def test_face_identity_loss_is_two_minus_twice_the_cosine() -> None:
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert losses.face_identity_loss(first, first).item() == 0
    assert losses.face_identity_loss(first, second).item() == pytest.approx(2.0)


def test_shapes_that_differ_are_refused_with_both_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        losses.cycle_loss(torch.zeros(2, 3), torch.zeros(2, 4))


def test_cloud_loss_is_free_inside_the_cloud_and_grows_outside() -> None:
    draw = torch.Generator().manual_seed(1)
    spread = torch.tensor([3.0, 1.0, 0.2])
    population = torch.randn(4000, 3, generator=draw) * spread + 5
    mean, whiten = losses.cloud_whitening(population, share=1.0)
    whitened = (population - mean) @ whiten
    assert torch.cov(whitened.T).allclose(torch.eye(3), atol=0.05)
    inside = mean.expand(2, 1, 3)
    assert losses.cloud_loss(inside, mean, whiten, floor=1.5).item() == 0
    # the same step is far along the narrow axis and near along the wide one
    wide = losses.cloud_loss(inside + torch.tensor([1.0, 0, 0]), mean, whiten, floor=0.0)
    narrow = losses.cloud_loss(inside + torch.tensor([0, 0, 1.0]), mean, whiten, floor=0.0)
    assert narrow > 50 * wide > 0


def test_background_loss_sees_the_corners_and_not_the_face() -> None:
    before = torch.zeros(1, 3, 32, 32)
    face, corner = before.clone(), before.clone()
    face[..., 8:24, 8:24] = 1
    corner[..., :4, :4] = 1
    assert losses.background_kept_loss(before, face).item() == 0
    assert losses.background_kept_loss(before, corner).item() > 0
    everything = torch.ones(1, 1, 32, 32)
    whole = losses.background_kept_loss(before, torch.ones_like(before), everything)
    assert whole.item() == pytest.approx(1.0)


def test_surroundings_loss_sees_corners_and_clothes_and_not_the_face() -> None:
    before = torch.zeros(1, 3, 40, 40)
    face, corner, clothes = before.clone(), before.clone(), before.clone()
    face[..., 8:34, 8:32] = 1
    corner[..., :4, :4] = 1
    clothes[..., -4:, :] = 1
    assert losses.surroundings_kept_loss(before, face).item() == 0
    assert losses.surroundings_kept_loss(before, corner).item() > 0
    assert losses.surroundings_kept_loss(before, clothes).item() > 0
    assert losses.background_kept_loss(before, clothes).item() == 0


def test_augmentation_is_one_draw_for_both_pictures_and_differentiable() -> None:
    augmentation = Augmentation(probability=1.0)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    draw = augmentation.draw(images.shape, torch.Generator().manual_seed(3))
    again = augmentation.draw(images.shape, torch.Generator().manual_seed(3))
    assert all(torch.equal(draw[k], again[k]) for k in draw)
    assert {len(v) for v in draw.values()} == {4}
    images.requires_grad_(True)
    first, second = augmentation(draw, images, images)
    assert torch.equal(first, second)
    assert not torch.equal(first, images)
    first.square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_augmentation_of_a_slice_is_the_slice_of_the_augmentation() -> None:
    augmentation = Augmentation(probability=1.0)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    draw = augmentation.draw(images.shape, torch.Generator().manual_seed(5))
    (whole,) = augmentation(draw, images)
    (part,) = augmentation({k: v[2:] for k, v in draw.items()}, images[2:])
    assert torch.allclose(whole[2:], part, atol=1e-6)


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    images = torch.zeros(1, 3, 17, 17)
    images[..., 8, 8] = 1
    blurred = losses.gaussian_blur(images, 1.5)
    assert blurred.sum().item() == pytest.approx(3.0, rel=1e-3)
    assert blurred.max() < 0.2
    assert torch.equal(losses.gaussian_blur(images, 0.0), images)


def test_a_cloud_cuts_off_what_is_outside_and_leaves_what_is_inside() -> None:
    source = torch.Generator().manual_seed(4)
    spread = torch.tensor([4.0, 1.0, 0.5])
    cloud = Cloud(torch.randn(3000, 3, generator=source) * spread + 2)
    middle = cloud.mean.expand(1, 2, 3)
    assert torch.allclose(cloud.inside(middle, middle, 2.0), middle, atol=1e-5)
    assert float(cloud.outside(middle)) == 0
    far = middle + 5 * spread
    cut = cloud.inside(far, middle, 2.0)
    assert torch.allclose((cut - middle) / spread, torch.full((1, 2, 3), 2.0), atol=0.1)
    assert cloud.distance(far) == pytest.approx(5, rel=0.05)
    assert float(cloud.outside(far)) == pytest.approx(24, rel=0.1)
    # a path that goes further itself may be followed as far
    assert torch.allclose(cloud.inside(far, far, 2.0), far, atol=1e-4)
