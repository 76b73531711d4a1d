"""Directions that others have published: read as numbers, used only where they were fitted."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch

from l2l_widgets import cli
from l2l_widgets.editors.origins import OriginError
from l2l_widgets.editors.published import load_any, load_direction
from l2l_widgets.storage import save_safetensors

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


def torch_saved(path, value, zipped=True):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save_are_directions(tmp_path, zipped):
    one = torch.randn(1, 16)
    rows = torch.randn(8, 16, dtype=torch.float64)
    ws = torch.randn(2, 8, 16)
    path = torch_saved(tmp_path / "age.pt", one, zipped)
    assert torch.equal(load_direction(path, space="w").move(ws, 2.0), ws + 2 * one[:, None])
    # parameters on a graph, views of a larger tensor, half precision: all are numbers
    for value in (torch.nn.Parameter(one), torch.stack([one, one])[1], one.half()):
        vector = load_direction(torch_saved(path, value, zipped), space="z").vector
        assert torch.allclose(vector, one[0], atol=1e-3)
    several = {"smile": one, "editing": {"pose": rows[None], "count": torch.tensor(3)}, "note": "x"}
    path = torch_saved(tmp_path / "several.pth", several, zipped)
    found = load_direction(path, space="w+", name="editing.pose")
    assert torch.equal(found.vector, rows.float())
    assert found.origin.dataset == "several.pth, editing.pose"
    with pytest.raises(OriginError, match="fitted in space 'w'"):
        load_direction(path, space="w", name="smile").move(torch.zeros(2, 16), 1.0)
    with pytest.raises(OriginError, match=r"shape \(1, 8, 16\); allowed in 'w': \(w_dim,\)"):
        load_direction(path, space="w", name="editing.pose")
    listed = r"smile \(1, 16\), editing.pose \(1, 8, 16\)"
    with pytest.raises(ValueError, match=f"holds 2 tensors; say which: by its name. .*{listed}"):
        load_direction(path, space="w")
    with pytest.raises(ValueError, match=f"holds no tensor 'age'; there are: {listed}"):
        load_direction(path, space="w", name="age")


def test_arrays_in_pickles_and_safetensors(tmp_path):
    one = RANDOM.standard_normal((1, 16)).astype(np.float32)
    ws = torch.zeros(1, 8, 16)
    wanted = torch.from_numpy(one)[:, None].expand(1, 8, 16)
    for protocol in (2, 4, 5):
        (tmp_path / "b.pkl").write_bytes(pickle.dumps({"age": one}, protocol))
        found = load_direction(tmp_path / "b.pkl", space="w", name="age")
        assert torch.equal(found.move(ws, 1.0), wanted)
    (tmp_path / "lone.pkl").write_bytes(pickle.dumps(torch.from_numpy(one)))
    assert torch.equal(load_direction(tmp_path / "lone.pkl", space="w").move(ws, 1.0), wanted)
    torch_saved(tmp_path / "array.pt", [one, np.ones(3)])
    assert torch.equal(
        load_direction(tmp_path / "array.pt", space="w", name="0").move(ws, 1.0), wanted
    )
    save_safetensors(tmp_path / "b.safetensors", {"age": torch.from_numpy(one)})
    assert torch.equal(load_direction(tmp_path / "b.safetensors", space="w").move(ws, 1.0), wanted)
    np.savez(tmp_path / "two.npz", age=one, pose=one)
    assert load_direction(tmp_path / "two.npz", space="w", name="pose").origin.space == "w"


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_a_direction_that_is_a_program_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_saved(tmp_path / "a.pt", {"age": torch.ones(1, 16), "more": Harm()})
    torch_saved(tmp_path / "b.pt", Harm(), zipped=False)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps([np.ones(16), Harm()]))
    for name in ("a.pt", "b.pt", "c.pkl"):
        with pytest.raises(ValueError, match=r"asks for 'posix.system', .*Nothing of the file"):
            load_direction(tmp_path / name, space="w")
        with pytest.raises(ValueError, match=r"asks for 'posix.system'"):
            load_any(tmp_path / name, space="w", component=0)
    assert not (tmp_path / "harmed").exists()


def test_other_files_with_the_ending_of_torch_are_named(tmp_path):
    def written(name, data):
        (tmp_path / name).write_bytes(data)
        return name

    itself = []
    itself.append(itself)
    wide = [[]] * 300
    for _ in range(3):
        wide = [wide] * 300  # some eight billion, if each were walked through
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    for name, words in (
        (written("lfs.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "Git LFS"),
        (written("page.pt", b"<!DOCTYPE html><html>"), "a web page"),
        (written("empty.pt", b""), "is empty"),
        (written("words.pt", b"Not found: no such file here.\n"), "is text"),
        (
            written("cut.pt", torch_saved(tmp_path / "x", torch.ones(99)).read_bytes()[:900]),
            "trunc",
        ),
        (written("zip.pt", (tmp_path / "arrays.npz").read_bytes()), "a zip file of NumPy arrays"),
        (written("itself.pt", pickle.dumps(itself)), "no tensor of real numbers"),
        (written("wide.pt", pickle.dumps(wide)), "no tensor of real numbers"),
        (torch_saved(tmp_path / "whole.pt", torch.arange(16)).name, "no tensor of real numbers"),
        (torch_saved(tmp_path / "nan.pt", torch.full((16,), np.nan)).name, "NaN"),
        (torch_saved(tmp_path / "zero.pt", torch.zeros(16)).name, "only zeros"),
        (torch_saved(tmp_path / "large.pt", torch.zeros(2**22 + 1)).name, "allowed: at most"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            load_direction(tmp_path / name, space="w")
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_factors_of_sefa_are_columns(tmp_path):
    columns = torch.linalg.qr(torch.randn(16, 16))[0]
    path = torch_saved(tmp_path / "factor.pt", {"ckpt": "ffhq.pt", "eigvec": columns})
    found = load_any(path, space="w", component=3)
    assert torch.equal(found.vector, columns[:, 3])
    with pytest.raises(OriginError, match="fitted in space 'w'"):
        load_any(path, space="w+", component=3)
    with pytest.raises(ValueError, match="component is 16; allowed: 0 to 15"):
        load_any(path, space="w", component=16)
    with pytest.raises(ValueError, match="a name and a component"):
        load_any(path, space="w", component=1, name="eigvec")


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
    both = torch_saved(tmp_path / "both.pt", {"age": torch.ones(1, 16), "pose": torch.ones(16)})
    typed[1] = both
    assert cli.main([str(w) for w in (*typed, "--space", "w", "--name", "pose")]) == 0
    assert "both.pt, pose" in capsys.readouterr().out
    assert cli.main([str(w) for w in (*typed, "--space", "w")]) == 2
    assert "say which: by its name" in capsys.readouterr().err
    shape = {"mean": torch.ones(1, 16), "comp": torch.ones(3, 1, 16), "std": torch.ones(3)}
    typed[1] = torch_saved(tmp_path / "pca.pt", shape)
    assert cli.main([str(w) for w in (*typed, "--space", "w")]) == 2
    assert "say which: one of its components (component=K, --comp" in capsys.readouterr().err
    short = saved(tmp_path / "short.npy", np.ones(12, np.float32))
    typed[1] = short
    assert cli.main([str(w) for w in (*typed, "--space", "w")]) == 2
    assert "allowed: a direction of this generator, of shape (16,)" in capsys.readouterr().err
