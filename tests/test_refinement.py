"""Doubling a trained generator's side: what lies below stays, what is above learns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from training_runs import assert_equal_states

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.dataset import (
    DatasetConfig,
    FaceDataset,
    _shrunk,
    render_dataset,
)
from l2l_widgets.perception import AttributeNet, save_network
from l2l_widgets.recipes import build_task, refinement
from l2l_widgets.recipes.reading import draw_as_read
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors
from l2l_widgets.stylegan2 import Generator, load_generator, save_generator
from l2l_widgets.training import Control, RunDirectory, train


class _Renders:
    """Eight renders of 32 px, as a rendered set gives them."""

    config = SimpleNamespace(resolution=32)

    def __init__(self) -> None:
        self.images = ((render(sample_factors(8, 3), 32).image + 1) * 127.5).round().byte()

    def __len__(self) -> int:
        return len(self.images)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    small = Generator(
        8, 0, 8, 16, mapping_kwargs={"num_layers": 2}, channel_base=256, channel_max=16
    )
    save_generator(tmp_path / "generator_base.safetensors", small)
    net = AttributeNet(DEFAULT_TABLE.names, "residual", width=8)
    save_network(tmp_path / "regressor.safetensors", net)
    return tmp_path


def test_a_grown_generator_first_draws_the_same_picture_upsampled(weights):
    small = load_generator(weights / "generator_base.safetensors")
    large = refinement.grown(small, 32).eval()
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    before = small(z, noise_mode="none")
    assert torch.allclose(large(z, noise_mode="none", max_resolution=16), before, atol=1e-6)
    after = large(z, noise_mode="none")
    assert after.shape == (3, 3, 32, 32)
    # the official upsampling filter is smooth: averaged back, the picture is nearly itself
    assert (F.avg_pool2d(after, 2) - before).abs().mean() < 0.1 * before.std()
    with pytest.raises(ValueError, match=r"img_resolution is 64; allowed: 32"):
        refinement.grown(small, 64)


@pytest.mark.slow
def test_only_the_new_block_learns(weights, monkeypatch, tmp_path):
    monkeypatch.setattr(refinement, "rendered_set", lambda name: _Renders())
    recipe = refinement.RECIPES[0].replace(
        batch_size=4, doubling_steps=12, width=8, blocks=1, crop=16, steps=30, log_every=1,
        precision="no", average=0.5,
    )  # fmt: skip
    task = build_task(recipe, weights)
    records: list[dict] = []
    train(task, recipe.settings, tmp_path / "run", callbacks=(records.append,), progress=False)
    assert len(records) == 30
    assert all(r["doubling_loss"] > 0 for r in records[:12])
    assert all(r["block_loss"] > 0 for r in records[12:])
    assert records[-1]["block_loss"] < records[12]["block_loss"]
    small = load_generator(weights / "generator_base.safetensors")
    large = load_generator(tmp_path / "run" / "final" / refinement.OUTPUT)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(large.mapping(z)[:, 0], small.mapping(z)[:, 0])
    assert torch.equal(large(z, max_resolution=16), small(z))
    plain = refinement.grown(small, 32).eval()
    assert (large(z) - plain(z)).abs().max() > 1e-3
    assert large.faithful_from == 16
    assert set(task.modules()) == {"block", "average", "doubler", "doubler_average"}


@pytest.fixture
def tiny(weights, monkeypatch):
    """A function that builds the task of a few steps of either phase, and its settings."""
    monkeypatch.setattr(refinement, "rendered_set", lambda name: _Renders())

    def build(**fields):
        recipe = refinement.RECIPES[0].replace(
            **{
                "batch_size": 4, "doubling_steps": 5, "width": 8, "blocks": 1, "crop": 16,
                "steps": 12, "log_every": 1, "checkpoint_every": 100, "precision": "no",
                "average": 0.5, "device": "cpu", **fields,
            }
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(7)  # of the doubling network and the block
            return build_task(recipe, weights), recipe.settings

    return build


def all_losses(folder):
    """Every loss of every step, as the history has them."""
    return [
        {name: value for name, value in record.items() if name == "step" or "loss" in name}
        for record in RunDirectory(folder).history()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(3, 8), (5,)], ids=["in both phases", "between them"])
def test_a_stopped_training_goes_on_bit_for_bit_through_both_phases(tiny, tmp_path, stops):
    whole, settings = tiny()
    assert train(whole, settings, tmp_path / "whole", progress=False).finished
    for number, stop in enumerate((*stops, None)):
        control = Control()

        def stop_there(record, stop=stop, control=control):
            if record["step"] + 1 == stop:  # the step under way is finished first
                control.stop()

        parts, _ = tiny()  # of its own each time, as in a new process
        outcome = train(
            parts, settings, tmp_path / "parts", resume=number > 0, control=control,
            callbacks=(stop_there,), progress=False,
        )  # fmt: skip
        assert outcome.step == (stop or 12)
        assert outcome.finished is (stop is None)
    assert_equal_states(whole, parts)
    assert all_losses(tmp_path / "whole") == all_losses(tmp_path / "parts")
    one, other = (
        load_safetensors(tmp_path / name / "final" / refinement.OUTPUT)[0]
        for name in ("whole", "parts")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_kept_loss_holds_the_averaged_picture_to_the_small_one(tiny, tmp_path):
    """What is reported is that distance, and its weight is what keeps it small."""
    z = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))

    def distance(generator):
        averaged = F.avg_pool2d(generator(z, noise_mode="none"), 2)
        return float((averaged - generator(z, noise_mode="none", max_resolution=16)).abs().mean())

    fields = {"edge_weight": 0.0, "match_weight": 0.0, "block_rate": 0.05}
    reported, found = {}, {}
    for weight in (0.0, 20.0):
        records: list[dict] = []
        task, settings = tiny(steps=31, doubling_steps=1, kept_weight=weight, **fields)
        # a teacher that makes everything darker: what it wants is not what is to be kept
        for teacher in (task.doubler, task.doubler_average):
            torch.nn.init.constant_(teacher.last.bias, -0.5)
        run = tmp_path / f"run-{weight}"
        train(task, settings, run, callbacks=(records.append,), progress=False)
        assert "kept_loss" not in records[0]
        reported[weight] = [record["kept_loss"] for record in records[1:]]
        found[weight] = distance(load_generator(run / "final" / refinement.OUTPUT))
    # before the first step both are the same block, which only upsamples
    assert reported[0.0][0] == reported[20.0][0]
    assert found[20.0] < 0.5 * found[0.0]
    assert reported[20.0][-1] < 0.5 * reported[0.0][-1]


def test_what_is_reported_as_kept_is_the_distance_of_the_averaged_picture(tiny, monkeypatch):
    task, _ = tiny(kept_weight=3.0)
    torch.nn.init.normal_(task.block.torgb.weight)
    drawn, small = task.draw(torch.randn(3, 8, generator=torch.Generator().manual_seed(4)))
    monkeypatch.setattr(task, "draw", lambda z: (drawn, small))
    said = []
    context = SimpleNamespace(
        backward=said.append, optimize=lambda name: None, set_learning_rate=lambda name, rate: None
    )
    losses_of_step = task._train_block(torch.zeros(3, 8), 0, 4, context)
    blocks = drawn.detach().unflatten(2, (16, 2)).unflatten(4, (16, 2)).mean(dim=(3, 5))
    expected = (blocks - small).abs().mean()
    assert expected > 0.01
    assert losses_of_step["kept_loss"].item() == pytest.approx(float(expected), rel=1e-5)
    weighed = losses_of_step["block_loss"] + task.config.kept_weight * losses_of_step["kept_loss"]
    assert said[0].item() == pytest.approx(weighed.item(), rel=1e-6)


@pytest.mark.slow
def test_a_doubling_network_starts_as_interpolation_and_learns_edges():
    renders = _Renders().images.float() / 127.5 - 1
    torch.manual_seed(0)
    network = refinement.Doubler(8, 1)
    small = F.avg_pool2d(renders, 2)
    plain = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(network(small), plain)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (network(small) - renders).abs().mean().backward()
        optimizer.step()
    assert (network(small) - renders).abs().mean() < 0.8 * (plain - renders).abs().mean()


def test_softened_pictures_keep_flat_parts_and_lose_edges():
    edge = torch.zeros(2, 3, 16, 16)
    edge[..., 8:] = 1
    soft = refinement.softened(edge, torch.tensor([0.0, 1.0]))
    assert torch.equal(soft[0], edge[0])
    assert torch.equal(soft[1, ..., :5], edge[1, ..., :5])
    assert torch.allclose(soft[1, 0, 4, 6:10], torch.tensor([1, 5, 11, 15]) / 16)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("doubling_steps", 0, "1 or more"),
        ("crop", 7, "an even number, 8 or more"),
        ("softness", 1.5, "0 to 1"),
        ("average", float("nan"), "0 to 1"),
    ],
)
def test_an_impossible_setting_is_named(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} is {value}; allowed: {allowed}"):
        refinement.RefinementTraining(**{field: value})


def test_a_training_draws_what_its_networks_see(weights):
    small = load_generator(weights / "generator_base.safetensors")
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    wanted, rows = small(z), small.num_ws
    looks_at_16, looks_at_32 = (SimpleNamespace(resolution=side) for side in (16, 32))
    large = refinement.grown(small, 32).eval().requires_grad_(False)
    draw_as_read(large, [looks_at_16, looks_at_32])
    assert large(z).shape[-1] == 32  # somebody sees it whole
    draw_as_read(large, [SimpleNamespace()])
    assert large(z).shape[-1] == 32  # nobody says what is seen
    draw_as_read(large, [looks_at_16])
    assert large.img_resolution == 16
    assert large.num_ws == rows + 2
    assert torch.equal(large(z), wanted)
    draw_as_read(small, [SimpleNamespace(resolution=8)])
    assert small(z).shape[-1] == 16  # nothing was taught to look like it at 8
    with pytest.raises(ValueError, match="side is 24; it must be one of"):
        large.draw_up_to(24)


def test_a_generator_file_says_from_which_side_on_it_can_be_trusted(weights, tmp_path):
    large = refinement.grown(load_generator(weights / "generator_base.safetensors"), 32)
    path = tmp_path / "large.safetensors"
    save_generator(path, large)
    assert load_generator(path).faithful_from == 16
    tensors, metadata = load_safetensors(path)
    save_safetensors(path, tensors, {**metadata, "faithful_from": "24"})
    with pytest.raises(StorageError, match="'faithful_from' is '24'; allowed: 4, 8, 16, 32"):
        load_generator(path)


@pytest.mark.slow
def test_a_shard_is_read_at_half_its_size():
    drawn = render(sample_factors(4, 3), 32)
    shard = {
        "image": ((drawn.image + 1) * 127.5).round().byte(), "mask": drawn.mask,
        "landmarks": drawn.landmarks,
    }  # fmt: skip
    small = _shrunk(shard, 2)
    assert small["image"].shape == (4, 3, 16, 16)
    wanted = F.avg_pool2d(shard["image"].float(), 2)
    assert (small["image"].float() - wanted).abs().max() <= 0.5
    assert small["mask"].dtype == torch.uint8
    assert (shard["mask"][:, ::2, ::2] == small["mask"]).float().mean() > 0.85
    # the middle of the large picture is the middle of the small one
    middle = _shrunk({**shard, "landmarks": torch.full((4, 68, 2), 15.5)}, 2)["landmarks"]
    assert torch.allclose(middle, torch.full((4, 68, 2), 7.5))


@pytest.mark.slow
def test_a_rendered_folder_is_read_at_half_its_size(tmp_path):
    folder = render_dataset(tmp_path, DatasetConfig(count=8, seed=3, resolution=32))
    whole, half = FaceDataset(folder), FaceDataset(folder, resolution=16)
    assert whole.images.shape == (8, 3, 32, 32)
    assert half.images.shape == (8, 3, 16, 16)
    assert half.config.resolution == 16
    assert torch.equal(half.identity, whole.identity)
    with pytest.raises(ValueError, match="resolution is 64; allowed: one of 16, 32"):
        FaceDataset(folder, resolution=64)
