"""The discriminator: the official arithmetic written out plainly, its penalty, bad input."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from l2l_widgets.stylegan2.discriminator import Discriminator, MinibatchStdLayer, r1_penalty

OFFICIAL_NAMES = {
    "b8.fromrgb.weight",
    "b8.fromrgb.bias",
    "b8.conv0.weight",
    "b8.conv0.bias",
    "b8.conv1.weight",
    "b8.conv1.bias",
    "b8.skip.weight",
    "b4.conv.weight",
    "b4.conv.bias",
    "b4.fc.weight",
    "b4.fc.bias",
    "b4.out.weight",
    "b4.out.bias",
}


def tiny(side=8, seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Discriminator(
            options.pop("c_dim", 0), side, 3, channel_base=32, channel_max=6, **options
        )
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_()
    return net


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_logits(net, images):
    """Every step by its definition, a channel and a tap at a time where that is clearer."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=images.dtype)
    taps = torch.outer(taps, taps) / 64

    def blur(x, padding):
        x = F.pad(x, (padding,) * 4)
        height, width = x.shape[2] - 3, x.shape[3] - 3
        return sum(
            taps[i, j] * x[:, :, i : i + height, j : j + width] for i in range(4) for j in range(4)
        )

    def conv(x, layer, stride=1, padding=0):
        weight = layer.weight / math.sqrt(layer.weight[0].numel())
        return F.conv2d(x, weight, stride=stride, padding=padding)

    def act(x, layer):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return F.leaky_relu(x + layer.bias.reshape(shape), 0.2) * math.sqrt(2)

    x = images
    for side in net.block_resolutions:
        block = getattr(net, f"b{side}")
        if block.in_channels == 0:
            x = act(conv(x, block.fromrgb), block.fromrgb)
        short = conv(blur(x, 1)[:, :, ::2, ::2], block.skip)
        x = act(conv(x, block.conv0, padding=1), block.conv0)
        x = act(conv(blur(x, 2), block.conv1, stride=2), block.conv1)
        x = (x + short) * math.sqrt(0.5)
    groups = x.reshape(net.b4.mbstd.group_size, -1, *x.shape[1:])
    deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    deviation = deviation.repeat(net.b4.mbstd.group_size)
    x = torch.cat([x, deviation[:, None, None, None].expand(-1, 1, 4, 4)], dim=1)
    x = act(conv(x, net.b4.conv, padding=1), net.b4.conv).flatten(1)
    x = act(x @ net.b4.fc.weight.t() / math.sqrt(x.shape[1]), net.b4.fc)
    return x @ net.b4.out.weight.t() / math.sqrt(x.shape[1]) + net.b4.out.bias


@pytest.mark.parametrize("side", [8, 16])
def test_logits_are_the_plain_arithmetic(side):
    net = tiny(side, epilogue_kwargs={"mbstd_group_size": 2})
    images = normal(4, 3, side, side)
    assert torch.allclose(net(images), plain_logits(net, images), atol=1e-5)


def test_names_and_configuration():
    net = tiny()
    names = {n for n, _ in net.named_parameters()}
    assert names == OFFICIAL_NAMES
    assert {n for n, _ in net.named_buffers()} == {
        f"{m}resample_filter"
        for m in (
            "b8.",
            "b8.fromrgb.",
            "b8.conv0.",
            "b8.conv1.",
            "b8.skip.",
            "b4.conv.",
        )
    }
    again = Discriminator(**net.config)
    again.load_state_dict(net.state_dict())
    images = normal(2, 3, 8, 8)
    assert torch.equal(again(images), net(images))


def test_minibatch_deviation_groups_any_batch():
    layer = MinibatchStdLayer(4)
    assert layer(normal(6, 2, 4, 4)).shape == (6, 3, 4, 4)  # groups of 3
    assert layer(normal(5, 2, 4, 4))[:, 2].abs().max() < 1e-3  # groups of 1: no deviation
    whole = MinibatchStdLayer(None)(normal(7, 2, 4, 4))
    assert len(whole[:, 2].unique()) == 1


def test_r1_is_the_squared_gradient_and_trains_the_weights():
    net = tiny()
    images = normal(2, 3, 8, 8)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf).sum(), leaf)
    penalty = r1_penalty(net, images)
    assert torch.allclose(penalty, gradient.square().sum(dim=(1, 2, 3)), rtol=1e-5)
    assert not images.requires_grad
    penalty.mean().backward()
    for name in ("b8.fromrgb.weight", "b8.conv0.weight", "b8.conv1.weight", "b8.skip.weight"):
        assert float(net.get_parameter(name).grad.abs().max()) > 0, name


def test_r1_gradient_equals_the_difference_quotient():
    net = tiny(16).double()
    images = normal(2, 3, 16, 16).double()
    parameters = [p for p in net.parameters() if p.ndim > 1]
    directions = [normal(*p.shape, seed=i).double() for i, p in enumerate(parameters)]
    gradients = torch.autograd.grad(r1_penalty(net, images).sum(), parameters, allow_unused=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)

    def moved(step):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
        value = float(r1_penalty(net, images).sum().detach())
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.sub_(direction, alpha=step)
        return value

    quotient = (moved(1e-7) - moved(-1e-7)) / 2e-7
    assert quotient == pytest.approx(float(slope.detach()), rel=1e-4)


def test_r1_in_autocast_is_close():
    net = tiny(16)
    images = normal(4, 3, 16, 16)
    exact = r1_penalty(net, images).mean()
    with torch.autocast("cpu", torch.bfloat16):
        rough = r1_penalty(net, images).mean()
    rough.backward()
    assert float(rough.detach()) == pytest.approx(float(exact.detach()), rel=0.05)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())


def test_conditions_and_clamps():
    net = tiny(8, c_dim=3, conv_clamp=0.5, mapping_kwargs={"num_layers": 2})
    images = normal(2, 3, 8, 8)
    first = net(images, torch.eye(3)[:2])
    assert first.shape == (2, 1)
    assert not torch.allclose(first, net(images, torch.eye(3)[1:]))
    features = net.b8(images.contiguous(memory_format=torch.channels_last))
    bound = 0.5 * math.sqrt(0.5) + 1e-5
    straight = net.b8.skip(net.b8.fromrgb(images), gain=math.sqrt(0.5))
    change = (features - straight).abs().max().detach()
    assert bound - 2e-5 <= float(change) <= bound  # reached, and not passed
    with pytest.raises(ValueError, match="c is None"):
        net(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 4}, "img_resolution is 4; it must be at least 8"),
        ({"side": 12}, "img_resolution is 12; it must be a power of two"),
        ({"side": 64}, "channel_base is 32"),
        ({"c_dim": -1}, "c_dim is -1"),
        ({"epilogue_kwargs": {"mbstd_group_size": 0}}, "mbstd_group_size is 0"),
    ],
)
def test_impossible_networks_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_pictures_of_another_side_are_refused():
    with pytest.raises(ValueError, match=r"img has shape \(1, 3, 16, 16\); it must be \(B, 3, 8"):
        tiny()(torch.zeros(1, 3, 16, 16))
