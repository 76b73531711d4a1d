"""Directions that others have published: read as numbers, used only where they were fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from l2l_widgets import cli
from l2l_widgets.editors.origins import OriginError
from l2l_widgets.editors.published import load_any, load_direction

RANDOM = np.random.default_rng(4)


def saved(path, array):
    np.save(path, array)
    return path


def test_the_shapes_of_each_space(tmp_path):
    one = RANDOM.standard_normal((1, 16)).astype(np.float32)  # as InterFaceGAN's boundaries
    rows = RANDOM.standard_normal((1, 8, 16))
    w, ws = torch.randn(2, 16), torch.randn(2, 8, 16)
    boundary = saved(tmp_path / "age_w_boundary.npy", one)
    moved = load_direction(boundary, space="w").move(ws, 2.0)
    torch.testing.assert_close(moved, ws + 2 * torch.from_numpy(one)[:, None])
    assert torch.equal(load_direction(boundary, space="z").move(w, 0.0), w)
    layers = saved(tmp_path / "smile.npy", rows)
    moved = load_direction(layers, space="w+").move(ws, -1.0)
    torch.testing.assert_close(moved, ws - torch.from_numpy(rows).float())
    np.savez(tmp_path / "one.npz", direction=one)
    assert load_direction(tmp_path / "one.npz", space="w").origin.dataset == "one.npz"


def test_another_space_generator_or_size_is_refused(tmp_path):
    boundary = saved(tmp_path / "b.npy", np.ones((1, 16), np.float32))
    ws = torch.zeros(1, 8, 16)
    for space in ("", "W", "s"):
        with pytest.raises(OriginError, match=r"allowed: z, w, w\+, as the publisher"):
            load_direction(boundary, space=space)
    with pytest.raises(OriginError, match="fitted in space 'z'"):
        load_direction(boundary, space="z").move(ws, 1.0)
    with pytest.raises(OriginError, match="fitted in space 'w'"):
        load_direction(boundary, space="w").move(ws[:, 0], 1.0)
    with pytest.raises(OriginError, match=r"has shape \(16,\), the codes \(1, 8, 12\)"):
        load_direction(boundary, space="w").move(ws[..., :12], 1.0)
    with pytest.raises(OriginError, match=r"allowed in 'w': \(w_dim,\) .*of 'w\+'"):
        load_direction(saved(tmp_path / "r.npy", np.ones((8, 16))), space="w")
    known = load_direction(boundary, space="w", generator="a" * 64)
    with pytest.raises(OriginError, match="fitted for generator aaaa"):
        known.move(ws, 1.0, "b" * 64)


def test_files_that_are_no_direction(tmp_path):
    np.save(tmp_path / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "page.npy").write_text("<html>")
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
    for name, words in (
        ("none.npy", "no such file"),
        ("object.npy", "is no direction"),
        ("page.npy", "is no direction"),
        ("two.npz", r"holds 2 arrays \(a, b\)"),
        (saved(tmp_path / "whole.npy", np.ones(4, int)).name, "of type int64"),
        (saved(tmp_path / "nan.npy", np.full(4, np.nan)).name, "NaN"),
    ):
        with pytest.raises(ValueError, match=words):
            load_direction(tmp_path / name, space="w")


def test_components_walk_one_deviation(tmp_path):
    path = tmp_path / "ganspace.npz"
    vectors = np.eye(3, 16, dtype=np.float32)
    np.savez(
        path, lat_comp=vectors[:, None], lat_mean=np.zeros((1, 16), np.float32),
        lat_stdev=np.array([3, 2, 1], np.float32),
    )  # fmt: skip
    step = load_any(path, space="w", component=1).move(torch.zeros(1, 8, 16), 1.0)
    assert step[0, 5, 1] == 2
    assert step.abs().sum() == 16
    with pytest.raises(OriginError, match="fitted in space 'w'"):
        load_any(path, space="z", component=1)
    with pytest.raises(ValueError, match="component is 3; allowed: 0 to 2"):
        load_any(path, space="w", component=3)


def test_the_command_draws_and_measures(tiny_world, tmp_path, capsys):
    boundary = saved(tmp_path / "b.npy", RANDOM.standard_normal((1, 16)).astype(np.float32))
    strip = tmp_path / "strip.png"
    typed = ["direction", boundary, "--generator", tiny_world, "--out", strip]
    assert cli.main([str(w) for w in (*typed, "--space", "w", "--steps", 3, "--json")]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["strengths"] == [-3.0, 0.0, 3.0]
    assert len(answer["changes"]) == 35
    assert strip.stat().st_size > 1000
    for more, words in (
        ((), "--space is missing: 'b.npy' does not say"),
        (("--space", "w+"), "has shape (1, 16), the codes"),
        (("--space", "s"), "space is 's'"),
    ):
        assert cli.main([str(w) for w in (*typed, *more)]) == 2
        assert words in capsys.readouterr().err
    short = saved(tmp_path / "short.npy", np.ones(12, np.float32))
    typed[1] = short
    assert cli.main([str(w) for w in (*typed, "--space", "w")]) == 2
    assert "allowed: a direction of this generator" in capsys.readouterr().err
