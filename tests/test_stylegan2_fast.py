"""The quick path: equal to the textbook at every size, restarted, given up, and as a draft."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from l2l_widgets.stylegan2 import Generator, InteractiveDrawing, PassMemory, frozen, winograd
from l2l_widgets.stylegan2.interactive import draft_is_faster
from l2l_widgets.stylegan2.textbook import draw
from l2l_widgets.stylegan2.winograd import WinogradKernel


def network(side=64, channels=64, **options):
    """A synthesis network with `channels` at each side, noise and biases, weights at rest."""
    sizes = {"channel_base": side * channels, "channel_max": channels}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(8, 0, 12, side, 3, {"num_layers": 1}, **sizes, **options)
        with torch.no_grad():
            for name, parameter in generator.named_parameters():
                if name.endswith(("noise_strength", "bias")):
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return generator.eval().requires_grad_(False).synthesis


def latents(net, batch=1, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(batch, net.num_ws, net.w_dim, generator=source)


def last(pictures):
    image = None
    for image in pictures:  # noqa: B007
        pass
    return image


@pytest.mark.parametrize("noise_mode", ["const", "none"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("side", "channels", "options"),
    [
        (64, 64, {}),  # a quarter of the products from 16 px on
        (64, 12, {}),  # plain convolutions
        (256, 8, {"conv_clamp": 0.9}),  # noise apart from the bias, doubled without a matrix
        (32, 64, {"use_noise": False}),
    ],
)
def test_equal_to_the_textbook(side, channels, options, batch, noise_mode):
    net = network(side, channels, **options)
    ws = latents(net, batch)
    expected, features = draw(net, ws, noise_mode)
    assert list(features) == net.block_resolutions
    image = net(ws, noise_mode)
    assert net._frozen
    assert image.shape == (batch, 3, side, side)
    assert float((image - expected).abs().max()) <= 1e-4


@pytest.mark.parametrize("batch", [1, 3])
def test_equal_in_strips_of_any_size(monkeypatch, batch):
    net = network(64, 64)
    ws = latents(net, batch)
    expected = draw(net, ws)[0]
    monkeypatch.setattr(frozen, "STRIP_BYTES", 2**14)
    monkeypatch.setattr(winograd, "STRIP_PIXELS", 256)
    assert float((net(ws) - expected).abs().max()) <= 1e-4
    monkeypatch.setattr(winograd, "STRIP_PIXELS", 2 * 64 * 64)  # two pictures, then one
    assert float((net(ws) - expected).abs().max()) <= 1e-4


def test_fewer_products_lose_no_more_than_six_digits():
    source = torch.Generator().manual_seed(0)
    x = torch.randn(1, 32, 32, 24, generator=source)
    weight = torch.randn(16, 24, 3, 3, generator=source)
    exact = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2).double(), weight.double(), padding=1
    ).permute(0, 2, 3, 1)
    rows = []
    kernel = WinogradKernel(weight, torch.float32)
    y = kernel(x, torch.ones(1, 24), lambda first, row, strip: rows.append((row, strip.shape[1])))
    assert float((y - exact).abs().max() / exact.std()) < 2e-5
    assert sum(count for _, count in rows) == 32


def test_a_picture_grows():
    net = network(32, 16)
    ws = latents(net)
    pictures = list(net.grow(ws))
    assert [p.shape[-1] for p in pictures] == [4, 8, 16, 32]
    for picture in pictures:
        early = net(ws, max_resolution=picture.shape[-1])
        assert torch.equal(early, picture)
    slow = list(net.grow(ws.requires_grad_()))
    assert all(p.requires_grad for p in slow)
    for quick, exact in zip(pictures, slow, strict=True):
        assert torch.allclose(quick, exact, atol=1e-4)


def test_nothing_is_drawn_ahead(monkeypatch):
    net = network(32, 16)
    net(latents(net))
    drawn = []
    plain = frozen._FrozenColour.__call__
    monkeypatch.setattr(
        frozen._FrozenColour, "__call__", lambda *args: drawn.append(1) or plain(*args)
    )
    growing = net.grow(latents(net))
    assert drawn == []
    next(growing)
    next(growing)
    assert len(drawn) == 2


@pytest.mark.parametrize("draft", [False, True])
def test_a_restart_is_the_same_to_the_bit(draft):
    net = network(64, 64)
    memory = PassMemory()
    ws = latents(net)
    assert torch.equal(
        last(net.grow(ws, draft=draft, memory=memory)), last(net.grow(ws, draft=draft))
    )
    assert memory.started_at == 0
    started = []
    for row in range(net.num_ws):
        ws = ws.clone()
        ws[:, row] += 0.1
        again = last(net.grow(ws, draft=draft, memory=memory))
        assert torch.equal(again, last(net.grow(ws, draft=draft))), row
        started.append(memory.started_at)
    # 4 px: convolution 0, colour 1; then two convolutions and a colour a block. A colour shares its
    # row with the next block's first convolution.
    assert started == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13]
    assert torch.equal(last(net.grow(ws, draft=draft, memory=memory)), again)
    assert memory.started_at == 14  # nothing changed: the picture itself


def test_another_noise_weight_batch_or_side_starts_anew():
    net = network(32, 16)
    memory = PassMemory()
    ws = latents(net)
    last(net.grow(ws, memory=memory))
    for arguments in [(ws, "none"), (ws.expand(2, -1, -1), "none"), (ws, "none", 16), (ws, "none")]:
        expected = last(net.grow(*arguments))
        assert torch.equal(last(net.grow(*arguments, memory=memory)), expected)
        assert memory.started_at == 0
    net.b8.conv1.weight.mul_(1.1)
    expected = last(net.grow(ws, "none"))
    assert torch.equal(last(net.grow(ws, "none", memory=memory)), expected)
    assert memory.started_at == 0
    memory.clear()
    assert memory.nbytes == 0


@pytest.mark.parametrize("limit", [0, 40_000, 200_000, 10**7])
def test_memory_is_bounded_and_reported(limit):
    net = network(64, 16)
    memory = PassMemory(limit)
    ws = latents(net)
    last(net.grow(ws, memory=memory))
    assert memory.nbytes <= limit
    assert (memory.nbytes == 0) is (limit == 0)
    ws = ws.clone()
    ws[:, -1] += 0.1
    assert torch.equal(last(net.grow(ws, memory=memory)), last(net.grow(ws)))
    assert memory.nbytes <= limit
    assert (memory.started_at > 0) is (limit > 0)


def test_prepared_weights_are_counted_and_old_ones_let_go():
    net = network(64, 64)
    own = sum(t.numel() * t.element_size() for t in (*net.parameters(), *net.buffers()))
    assert net.prepared_bytes == 0
    last(net.grow(latents(net)))
    picture = net.prepared_bytes
    last(net.grow(latents(net), draft=True))
    both = net.prepared_bytes
    assert own < picture < both < 1.8 * picture
    assert both < 8 * own
    with torch.no_grad():
        net.b4.const.add_(0.1)
    last(net.grow(latents(net)))
    assert net.prepared_bytes == picture  # the draft's weights were of another network
    assert copy.deepcopy(net).prepared_bytes == 0


def test_the_count_of_prepared_weights_is_what_memory_holds():
    # In a process of its own: what other tests left to their threads comes and goes meanwhile.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        counted, held = pool.submit(prepared_and_held).result(120)
    assert counted == pytest.approx(held, rel=0.02)


def prepared_and_held():
    """Bytes that a network counts as prepared, and by which living tensors have grown."""
    net = network(64, 64)
    ws = latents(net)
    before = allocated()
    last(net.grow(ws))
    return net.prepared_bytes, allocated() - before


def allocated():
    """Bytes of all tensors that live, each storage once."""
    gc.collect()
    kept = {}
    for thing in gc.get_objects():
        if type(thing) in (torch.Tensor, torch.nn.Parameter):
            storage = thing.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
    return sum(kept.values())


def test_a_stale_picture_ends_within_one_block_and_the_next_goes_on_from_there():
    net = network(64, 16)
    drawing = InteractiveDrawing(net)
    ws = latents(net)
    asked = []
    assert drawing.draw(ws, stale=lambda: asked.append(1) or len(asked) == 3) is None
    assert len(asked) == 3
    picture = drawing.draw(ws)
    assert drawing._memories[False].started_at == 7  # after three blocks
    assert torch.equal(picture, net(ws))
    assert 0 < drawing.kept_bytes <= drawing.limit
    other = latents(net, seed=1)
    assert torch.equal(drawing.draw(other), net(other))
    drawing.forget()
    assert drawing.kept_bytes == 0


def test_a_draft_is_close_and_never_the_picture():
    net = network(128, 64)
    ws = latents(net)
    exact = net(ws)
    draft = InteractiveDrawing(net).draw(ws, draft=True)
    assert draft.dtype == torch.float32
    error = (draft - exact).square().mean().sqrt() / exact.std()
    assert 0 < float(error) < 0.05
    assert torch.equal(net(ws), exact)
    assert InteractiveDrawing(network(256, 8)).can_draft() is draft_is_faster()
    assert InteractiveDrawing(net).can_draft() is False  # drawn faster than a screen shows it


KEEP = """
import torch
from l2l_widgets import allocator
from l2l_widgets.stylegan2 import Generator
with torch.no_grad():
    for side in (64, 256):
        g = Generator(4, 0, 4, side, channel_base=side, channel_max=2).eval()
        g(torch.zeros(1, 4))
        print(allocator._done)
"""


@pytest.mark.parametrize(("setting", "kept"), [("0", False), ("1", sys.platform == "linux")])
def test_the_allocator_is_set_at_the_first_large_picture_and_can_be_left_alone(setting, kept):
    done = subprocess.run(
        [sys.executable, "-c", KEEP],
        env={**os.environ, "L2L_KEEP_MEMORY": setting},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["None", str(kept)]
