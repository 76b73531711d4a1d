"""Triplets are written once, resumed exactly, and read back as what the generator drew."""

from __future__ import annotations

import json

import pytest
import torch

from l2l_widgets.latents import to_wplus
from l2l_widgets.triplets import TripletError, TripletReader, sample_latents, write_triplets


@pytest.fixture
def label(tiny_parts):
    return tiny_parts["regressor"]


def test_a_triplet_is_a_latent_its_picture_and_its_label(tmp_path, tiny_generator, label) -> None:
    write_triplets(tmp_path / "t", tiny_generator, label, 10, 3, attributes=["x"], shard=4, batch=3)
    reader = TripletReader(tmp_path / "t")
    assert len(reader) == 10
    assert reader.attributes == ("x",)
    batch = reader.batch(torch.tensor([9, 0, 5]))
    assert batch["w"].shape == (3, tiny_generator.num_ws, tiny_generator.w_dim)
    with torch.inference_mode():
        drawn = tiny_generator.synthesis(batch["w"], noise_mode="const")
        read = label(drawn)
    assert (batch["image"] - drawn.clamp(-1, 1)).abs().max() < 2 / 127  # 8 bits
    assert torch.allclose(batch["a"], read, atol=1e-4)
    ws, readings = reader.latents()
    assert torch.equal(to_wplus(ws[[9, 0, 5]], tiny_generator.num_ws), batch["w"])
    assert torch.equal(readings[[9, 0, 5]], batch["a"])


def test_a_killed_writer_goes_on_and_ends_with_the_same_files(
    tmp_path, tiny_generator, label
) -> None:
    whole = write_triplets(tmp_path / "whole", tiny_generator, label, 9, 3, shard=4)
    calls = 0

    def dies(images):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return label(images)

    with pytest.raises(KeyboardInterrupt):
        write_triplets(tmp_path / "cut", tiny_generator, dies, 9, 3, shard=4)
    kept = (tmp_path / "cut" / "shard-00000.safetensors").stat().st_mtime_ns
    # a shard torn by a disk fault is written again, a whole one is not
    cut = write_triplets(tmp_path / "cut", tiny_generator, label, 9, 3, shard=4)
    assert (cut / "shard-00000.safetensors").stat().st_mtime_ns == kept
    names = sorted(p.name for p in whole.iterdir())
    assert names == sorted(p.name for p in cut.iterdir())
    for name in names:
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


def test_a_torn_shard_is_refused_by_the_reader_and_mended_by_the_writer(
    tmp_path, tiny_generator, label
) -> None:
    folder = write_triplets(tmp_path, tiny_generator, label, 6, 3, shard=4)
    path = folder / "shard-00001.safetensors"
    good = path.read_bytes()
    for damaged in (good[:-7], good[:5], b"\xff" * 40, b""):
        path.write_bytes(damaged)
        with pytest.raises(TripletError, match=r"shard-00001"):
            TripletReader(folder)
    write_triplets(folder, tiny_generator, label, 6, 3, shard=4)
    assert path.read_bytes() == good


def test_another_set_in_the_folder_is_refused_by_field(tmp_path, tiny_generator, label) -> None:
    write_triplets(tmp_path, tiny_generator, label, 4, 3, shard=4)
    with pytest.raises(TripletError, match="seed 3; asked for 4"):
        write_triplets(tmp_path, tiny_generator, label, 4, 4, shard=4)
    # the same set may grow
    write_triplets(tmp_path, tiny_generator, label, 8, 3, shard=4)
    assert len(TripletReader(tmp_path)) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"psi": (1.0, 0.5)}, "psi"),
        ({"shard": True}, "shard is True"),
    ],
)
def test_bad_sizes_are_refused_before_anything_is_written(
    tmp_path, tiny_generator, label, change, message
) -> None:
    arguments = {"n": 4, "seed": 0, **change}
    with pytest.raises(TripletError, match=message):
        write_triplets(tmp_path / "t", tiny_generator, label, **arguments)
    assert not (tmp_path / "t").exists()


def test_a_folder_without_triplets_is_refused(tmp_path) -> None:
    with pytest.raises(TripletError, match="holds no triplets"):
        TripletReader(tmp_path)
    (tmp_path / "triplets.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(TripletError, match="format is 'other'"):
        TripletReader(tmp_path)


def test_indices_outside_the_set_are_refused(tmp_path, tiny_generator, label) -> None:
    write_triplets(tmp_path, tiny_generator, label, 4, 3)
    for bad in (-1, 4):
        with pytest.raises(TripletError, match=r"\[0, 4\)"):
            TripletReader(tmp_path).batch(torch.tensor([bad]))


def test_latents_follow_their_seed_and_truncation(tiny_generator) -> None:
    with torch.no_grad():
        one = sample_latents(tiny_generator, 64, (1, 2), (1.0, 1.0))
        assert torch.equal(one, sample_latents(tiny_generator, 64, (1, 2), (1.0, 1.0)))
        assert not torch.equal(one, sample_latents(tiny_generator, 64, (1, 3), (1.0, 1.0)))
        none = sample_latents(tiny_generator, 4, (1, 2), (0.0, 0.0))
    assert torch.allclose(none, tiny_generator.w_avg.expand(4, -1))


def test_triplets_of_other_models_are_refused_by_part(tmp_path, tiny_generator, label) -> None:
    """Sizes and seed of two generators agree; their latents have nothing in common."""
    made_by = {"generator": "a" * 64, "regressor": "b" * 64}

    def write(folder, **options):
        return write_triplets(tmp_path / folder, tiny_generator, label, 4, 3, shard=4, **options)

    folder = write("t", origin=made_by)
    before = (folder / "triplets.json").read_bytes()
    for part in made_by:
        with pytest.raises(
            TripletError, match=rf"made by {part} {made_by[part][:12]}; asked for c"
        ):
            write("t", origin={**made_by, part: "c" * 64})
    with pytest.raises(TripletError, match="made by regressor_b none; asked for d"):
        write("t", origin={**made_by, "regressor_b": "d" * 64})
    write("t", origin=made_by)
    write("t")  # whoever names no models does not take the names away
    assert (folder / "triplets.json").read_bytes() == before
    write("old")
    with pytest.raises(TripletError, match="do not say which models"):
        write("old", origin=made_by)
    old = write("old", origin=made_by, named_after_origin=True)
    assert json.loads((old / "triplets.json").read_text())["origin"] == made_by


def test_what_a_killed_writer_left_among_the_shards_is_removed(
    tmp_path, tiny_generator, label
) -> None:
    left = tmp_path / ".shard-00000.safetensors.0a1b2c3d.tmp"
    left.write_bytes(b"half")
    write_triplets(tmp_path, tiny_generator, label, 4, 3, shard=4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "shard-00000.safetensors",
        "triplets.json",
    ]
