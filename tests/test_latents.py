"""Latent codes: the official draws, shapes, truncation, blending."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from l2l_widgets.latents import (
    check_ws,
    layer_groups,
    lerp,
    num_ws_for,
    slerp,
    to_wplus,
    truncate,
    z_from_seed,
    z_from_seeds,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("side", "rows"), [(4, 2), (32, 8), (64, 10), (256, 14), (1024, 18)])
def test_num_ws(side, rows):
    assert num_ws_for(side) == rows


@pytest.mark.parametrize("side", [0, 2, 48, -64, 64.0, "64", True, None])
def test_num_ws_refuses_other_sides(side):
    with pytest.raises(ValueError, match="img_resolution is"):
        num_ws_for(side)


def test_layer_groups_cover_every_row_once():
    for rows in (1, 2, 4, 6, 8, 10, 18):
        groups = layer_groups(rows)
        assert [r for g in groups.values() for r in range(rows)[g]] == list(range(rows))
    assert layer_groups(18) == {"coarse": slice(0, 4), "middle": slice(4, 8), "fine": slice(8, 18)}
    with pytest.raises(ValueError, match="num_ws is 0"):
        layer_groups(0)


def test_z_from_seed_is_the_official_draw():
    z = z_from_seed(7, 64)
    assert z.shape == (1, 64)
    assert z.dtype == torch.float32
    expected = np.random.RandomState(7).randn(1, 64)
    assert np.array_equal(z.numpy(), expected.astype(np.float32))
    assert not torch.equal(z, z_from_seed(8, 64))
    assert z_from_seed(np.int64(2**32 - 1), 2).isfinite().all()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", True, None, float("nan")])
def test_z_from_seed_refuses_other_seeds(seed):
    with pytest.raises(
        ValueError, match=r"^seed is .*; allowed: a whole number from 0 to 42949672"
    ):
        z_from_seed(seed, 8)


def test_check_ws():
    ws = normal(2, 8, 16)
    assert check_ws(ws, 8, 16) is ws
    bad = ws.clone()
    bad[1, 3, 5] = math.nan
    for wrong, message in [
        (normal(2, 16), r"shape \(2, 16\); it must be \(B, 8, 16\)"),
        (normal(2, 10, 16), r"shape \(2, 10, 16\)"),
        (ws.long(), "dtype torch.int64"),
        (bad, "NaN or infinity"),
        (ws.numpy(), "ndarray"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_ws(wrong, 8, 16)


def test_to_wplus_repeats_a_single_w():
    w = normal(2, 16)
    ws = to_wplus(w, 8)
    assert ws.shape == (2, 8, 16)
    assert torch.equal(ws[:, 5], w)
    ws[0, 0, 0] = 9.0  # its own memory: rows can be edited apart
    assert ws[0, 1, 0] != 9.0
    assert to_wplus(w[0], 8).shape == (1, 8, 16)
    assert to_wplus(ws, 8) is ws
    with pytest.raises(ValueError, match=r"shape \(2, 8, 16\)"):
        to_wplus(ws, 10)


def test_truncate():
    ws, average = normal(2, 8, 16), normal(16, seed=1)
    assert torch.equal(truncate(ws, average, 1), ws)
    assert torch.allclose(truncate(ws, average, 0), average.expand_as(ws))
    half = truncate(ws, average, 0.5, cutoff=3)
    assert torch.allclose(half[:, :3], (average + ws[:, :3]) / 2, atol=1e-6)
    assert torch.equal(half[:, 3:], ws[:, 3:])
    assert torch.equal(truncate(ws, average, 0.5, cutoff=0), ws)
    assert torch.allclose(truncate(ws, average, 0.5, 99), truncate(ws, average, 0.5))


@pytest.mark.parametrize(
    ("psi", "cutoff", "message"),
    [
        (math.nan, None, "truncation_psi is nan"),
        (None, None, "truncation_psi is None"),
        ("0.7x", None, "truncation_psi is '0.7x'"),
        (0.5, -1, "truncation_cutoff is -1"),
        (0.5, 1.5, "truncation_cutoff is 1.5"),
    ],
)
def test_truncate_refuses(psi, cutoff, message):
    with pytest.raises(ValueError, match=message):
        truncate(normal(1, 8, 16), normal(16), psi, cutoff)


def test_truncate_refuses_shapes():
    with pytest.raises(ValueError, match=r"w_avg has shape \(15,\)"):
        truncate(normal(1, 8, 16), normal(15), 0.5)
    with pytest.raises(ValueError, match="needs ws of shape"):
        truncate(normal(1, 16), normal(16), 0.5, 2)


def test_lerp_ends_and_middle():
    a, b = normal(2, 8), normal(2, 8, seed=1)
    assert torch.allclose(lerp(a, b, 0), a)
    assert torch.allclose(lerp(a, b, 1), b)
    assert torch.allclose(lerp(a, b, 0.25), 0.75 * a + 0.25 * b, atol=1e-6)
    steps = torch.tensor([[0.0], [1.0]])
    assert torch.allclose(lerp(a, b, steps), torch.stack([a[0], b[1]]))
    with pytest.raises(ValueError, match="same shape"):
        lerp(a, b[:1], 0.5)
    with pytest.raises(ValueError, match="t is inf"):
        lerp(a, b, math.inf)


def test_slerp_keeps_the_radius_and_turns_evenly():
    a, b = normal(3, 64), normal(3, 64, seed=1)
    assert torch.allclose(slerp(a, b, 0.0), a, atol=1e-5)
    assert torch.allclose(slerp(a, b, 1.0), b, atol=1e-5)
    middle = slerp(a, b, 0.5)
    assert torch.allclose(middle.norm(dim=1), (a.norm(dim=1) + b.norm(dim=1)) / 2, rtol=1e-5)
    to_a = torch.cosine_similarity(middle, a)
    assert torch.allclose(to_a, torch.cosine_similarity(middle, b), atol=1e-5)


def test_slerp_of_parallel_opposite_and_zero_vectors():
    a = normal(1, 8)
    assert torch.allclose(slerp(a, 3 * a, 0.5), 2 * a, atol=1e-5)
    opposite = slerp(a, -a, 0.5)
    assert torch.allclose(opposite.norm(), a.norm(), rtol=1e-4)
    assert abs(float((opposite * a).sum())) < 1e-3
    assert torch.allclose(slerp(torch.zeros(1, 8), a, 0.5), a / 2, atol=1e-6)


def test_many_seeds_are_drawn_as_each_is_by_itself():
    for first in (0, 2**32 - 5):
        one_by_one = torch.cat([z_from_seed(first + i, 7) for i in range(5)])
        assert torch.equal(z_from_seeds(first, 5, 7), one_by_one)
    for bad in ((-1, 5), (2**32 - 4, 5), (0, 0), (0.5, 2)):
        with pytest.raises(ValueError, match=r"seed|count"):
            z_from_seeds(*bad, 7)
