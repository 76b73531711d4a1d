"""Training the inversion encoder on a tiny world, and what its file is refused for."""

from __future__ import annotations

import pytest
import torch
from trained_world import write_open_world

from l2l_widgets.perception import LatentEncoder, load_network, save_network
from l2l_widgets.recipes import RecipeError, build_task, encoder, get_recipe
from l2l_widgets.training import RunDirectory, TrainingError, train

SMALL = {
    "faces": 96, "ensemble": 1, "batch_size": 4, "warm_batch": 16, "width": 4, "features": 16,
    "start_from": "", "sets": "[]", "device": "cpu", "precision": "no", "evaluate_every": 0,
    "checkpoint_every": 50, "log_every": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_open_world(tmp_path_factory.mktemp("encoder") / "world")


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return tmp_path_factory.mktemp("triplets") / "set"


@pytest.fixture(autouse=True)
def _few_scored(monkeypatch):
    monkeypatch.setattr(encoder, "SCORED", 16)


def small(triplets, **changes):
    recipe = get_recipe("encoder")
    return recipe.replace(**{**SMALL, "triplets": str(triplets), "steps": 4, **changes})


def test_both_kinds_of_step_train_and_the_file_reads_pictures(world, triplets, tmp_path):
    recipe = small(triplets, warm_steps=2)
    task = build_task(recipe, world)
    task.renders = [torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8)]
    task.unseen = task.renders[0]
    outcome = train(task, recipe.settings, tmp_path / "run", progress=False)
    assert outcome.finished
    assert {"w_r2_score", "identity_similarity", "render_reading_error"} <= set(outcome.scores)
    first, *_, last = RunDirectory(tmp_path / "run").history()
    assert "pixel" not in first, "first steps draw nothing"
    assert {"latent", "pixel", "feature", "identity", "cloud", "offset"} <= set(last)
    network = load_network(tmp_path / "run" / "final" / "encoder.safetensors")
    pictures = task.reader.batch(torch.arange(3))["image"]
    assert network(pictures).shape == (3, 16)
    rows = network.rows(pictures)
    assert rows.shape == (3, task.generator.num_ws, 16)
    assert torch.isfinite(rows).all()


@pytest.mark.slow
def test_a_short_training_lowers_the_distance_to_the_true_latents(world, tmp_path):
    recipe = small(
        tmp_path / "few", faces=64, warm_batch=64, steps=40, warm_steps=40, learning_rate=2e-2,
        degraded=0.0,
    )  # fmt: skip
    train(build_task(recipe, world), recipe.settings, tmp_path / "run", progress=False)
    losses = [r["latent"] for r in RunDirectory(tmp_path / "run").history()]
    assert losses[-1] < 0.8 * losses[0], losses


def test_the_head_that_linear_algebra_gives_is_better_than_none(world, triplets):
    plain = build_task(small(triplets), world)
    fitted = build_task(small(triplets, start_from="regressor.safetensors"), world)

    def missed(task):
        batch = task.reader.batch(torch.arange(96))
        with torch.no_grad():
            found = task.network.eval()(batch["image"])
        return float((found - batch["w"][:, 0]).square().mean())

    assert missed(fitted) < 0.9 * missed(plain)


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(world, triplets, tmp_path):
    def train_to(steps, folder, resume=False):
        recipe = small(triplets, steps=steps, warm_steps=1, checkpoint_every=2)
        train(build_task(recipe, world), recipe.settings, folder, resume=resume, progress=False)
        return load_network(folder / "final" / "encoder.safetensors").state_dict()

    whole = train_to(4, tmp_path / "a")
    train_to(2, tmp_path / "b")
    again = train_to(4, tmp_path / "b", resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_an_untrained_encoder_draws_the_middle_of_the_cloud(tmp_path):
    mean, basis = torch.randn(6), torch.randn(6, 6)
    encoder = LatentEncoder(6, 4, mean=mean, basis=basis, width=4, features=8).eval()
    rows = encoder.rows(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(rows, mean.expand(2, 4, 6))
    save_network(tmp_path / "e.safetensors", encoder)
    again = load_network(tmp_path / "e.safetensors")
    torch.testing.assert_close(again.mean, mean, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("family", "circle", "family is 'circle'"),
        ("warm_batch", 1, "warm_batch is 1"),
        ("pixel_weight", -1.0, "pixel_weight is -1.0"),
        ("degraded", 2.0, "degraded is 2.0"),
        ("sets", "nowhere", "sets is nowhere"),
    ],
)
def test_a_bad_field_is_named(field, value, says):
    with pytest.raises((ValueError, RecipeError), match=says):
        get_recipe("encoder").replace(**{field: value})


def test_what_is_missing_or_does_not_fit_is_named(world, triplets, tmp_path):
    with pytest.raises(TrainingError, match=r"start_from is 'regressor.safetensors'"):
        build_task(small(triplets, start_from="regressor.safetensors", width=8), world)
    with pytest.raises(TrainingError, match="ensemble is 9"):
        build_task(small(triplets, ensemble=9), world)
