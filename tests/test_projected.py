"""The discriminator that looks through frozen features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from l2l_widgets.perception import AttributeNet
from l2l_widgets.projected import ProjectedDiscriminator, hinge_losses


@pytest.fixture(scope="module")
def networks() -> list[AttributeNet]:
    torch.manual_seed(0)
    families = (("residual", {"width": 8}), ("separable", {"width": 8}))
    nets = [AttributeNet(("age", "smile"), family, **options) for family, options in families]
    return [net.eval().requires_grad_(False) for net in nets]


def _pictures(batch: int, stripes: bool) -> Tensor:
    noise = 0.3 * torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(batch))
    return noise + torch.sin(torch.arange(64.0))[:, None] if stripes else noise


def test_it_looks_at_every_stage_of_every_network(networks: list[AttributeNet]) -> None:
    discriminator = ProjectedDiscriminator(networks, 64, channels=4)
    maps = discriminator.features(_pictures(4, False))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4] * 2
    assert discriminator(maps).shape == (4, 8)


@pytest.mark.slow
def test_heads_learn_and_networks_stay(networks: list[AttributeNet]) -> None:
    torch.manual_seed(1)
    discriminator = ProjectedDiscriminator(networks, 64, channels=8)
    before = [p.clone() for net in networks for p in net.parameters()]
    optimizer = torch.optim.Adam(discriminator.parameters(), 5e-3)
    real = discriminator.features(_pictures(8, True))
    fake = discriminator.features(_pictures(8, False))
    losses = []
    for _ in range(25):
        loss = hinge_losses(discriminator(real), discriminator(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    after = [p for net in networks for p in net.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_its_state_is_the_heads_alone(networks: list[AttributeNet]) -> None:
    discriminator = ProjectedDiscriminator(networks, 64, channels=4)
    assert all(name.startswith("heads.") for name in discriminator.state_dict())
    known = {id(p) for net in networks for p in net.parameters()}
    assert not any(id(p) in known for p in discriminator.parameters())


def test_gradients_reach_the_pictures(networks: list[AttributeNet]) -> None:
    discriminator = ProjectedDiscriminator(networks, 64, channels=4)
    pictures = _pictures(4, False).requires_grad_(True)
    discriminator(discriminator.features(pictures)).mean().backward()
    assert pictures.grad is not None
    assert float(pictures.grad.abs().sum()) > 0


def test_equal_pictures_are_seen_to_be_equal(networks: list[AttributeNet]) -> None:
    """The deviation within a group is what tells a generator off that draws one face for all."""
    torch.manual_seed(2)
    discriminator = ProjectedDiscriminator(networks, 64, channels=8).eval()
    different = _pictures(4, False)
    same = different[:1].expand(4, -1, -1, -1)
    with torch.no_grad():
        alone = discriminator(discriminator.features(same))[0]
        among = discriminator(discriminator.features(different))[0]
    assert not torch.allclose(alone, among, atol=1e-4)


def test_hinge_loss_is_zero_beyond_the_margins() -> None:
    assert float(hinge_losses(torch.full((4, 2), 1.5), torch.full((4, 2), -1.5))) == 0.0
    assert float(hinge_losses(torch.zeros(4, 2), torch.zeros(4, 2))) == 2.0


def test_bad_input_is_refused(networks: list[AttributeNet]) -> None:
    with pytest.raises(ValueError, match="networks is empty"):
        ProjectedDiscriminator([], 64)
    with pytest.raises(ValueError, match="channels is 0"):
        ProjectedDiscriminator(networks, 64, channels=0)
    discriminator = ProjectedDiscriminator(networks, 64, channels=4)
    with pytest.raises(ValueError, match="a batch has 6 pictures"):
        discriminator(discriminator.features(_pictures(6, False)))
    judge = AttributeNet(("age",), "transformer")
    with pytest.raises(ValueError, match="transformer"):
        judge.feature_maps(_pictures(4, False))
