"""The embedded recipes on a handful of real renders: every phase trains, finishes, and loads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.dataset import DatasetConfig
from l2l_widgets.faceworld.factors import IDENTITY_FACTORS
from l2l_widgets.perception import AttributeNet, load_network, save_network
from l2l_widgets.recipes import build_task, list_recipes
from l2l_widgets.recipes import generator as generator_recipe
from l2l_widgets.recipes import perception as perception_recipe
from l2l_widgets.recipes.perception import degrade, ridge, verification_scores
from l2l_widgets.stylegan2 import load_generator
from l2l_widgets.training import read_look, train


@pytest.fixture(scope="module")
def small_set():
    """32 renders with the attributes of a rendered set."""
    factors = sample_factors(32, seed=3)
    drawn = render(factors, 64)
    return SimpleNamespace(
        images=((drawn.image + 1) * 127.5).round().byte(),
        masks=drawn.mask,
        landmarks=drawn.landmarks,
        factors=factors,
        identity=torch.arange(32) // 4,
        config=DatasetConfig(count=32, seed=3, population="identities"),
        __len__=lambda: 32,
    )


class _Set:
    def __init__(self, parts):
        self.__dict__.update(vars(parts))

    def __len__(self):
        return len(self.images)


@pytest.fixture
def rendered(monkeypatch, small_set):
    for module in (generator_recipe, perception_recipe):
        monkeypatch.setattr(module, "rendered_set", lambda name: _Set(small_set))
    monkeypatch.setattr(perception_recipe, "HELD_OUT", 8)


def test_every_embedded_recipe_is_listed_after_what_it_needs():
    recipes = list_recipes()
    names = list(recipes)
    assert {
        "generator_base",
        "generator",
        "regressor",
        "regressor_b",
        "embedder",
        "judge_regressor",
    } <= set(names)
    for recipe in recipes.values():
        for needed in recipe.depends_on:
            assert names.index(needed) < names.index(recipe.name)


@pytest.fixture
def regressors(tmp_path):
    """Small regressors, such as the generator's discriminator looks through."""
    for name, family in (("regressor", "residual"), ("regressor_b", "separable")):
        net = AttributeNet(DEFAULT_TABLE.names, family, width=8)
        save_network(tmp_path / f"{name}.safetensors", net)
    return tmp_path


@pytest.mark.slow
def test_the_generator_trains_through_its_four_phases(rendered, regressors, tmp_path):
    recipe = generator_recipe.RECIPES[0].replace(
        channel_base=256, channel_max=16, w_dim=16, mapping_width=160, batch_size=4,
        portraits=1000, mapping_steps=4, distil_steps=6, paired_steps=3, steps=38, log_every=1,
        checkpoint_every=100, precision="no",
    )  # fmt: skip
    task = build_task(recipe, tmp_path)
    assert [task.resolution(step) for step in (4, 6, 9)] == [16, 32, 64]
    start = {k: v.clone() for k, v in task.generator.state_dict().items()}
    records: list[dict] = []
    outcome = train(
        task, recipe.settings, tmp_path / "run", callbacks=(records.append,), progress=False
    )
    assert outcome.finished
    assert ["mapping_loss" in r for r in records] == [True] * 4 + [False] * 34
    assert records[3]["mapping_loss"] < records[0]["mapping_loss"]
    assert ["distil_loss" in r for r in records[4:]] == [True] * 6 + [False] * 28
    assert all(r["projected_loss"] > 0 for r in records[10:])
    assert [r.get("discriminator_loss", 0) > 0 for r in records[10:18]] == [
        False,
        False,
        True,
        False,
    ] * 2
    moved = [k for k, v in task.generator.state_dict().items() if not torch.equal(v, start[k])]
    assert any("noise_strength" in k for k in moved)
    assert float(task.path_mean.value) > 0, "path length regularisation never ran"
    look = read_look(tmp_path / "run", 38)
    assert look is not None, "those who watch see nothing"
    assert (look.captions[0], look.columns, look.side) == ("as drawn", 6, (64, 64))
    shipped = load_generator(tmp_path / "run" / "final" / "generator_base.safetensors")
    images = shipped(torch.randn(2, shipped.z_dim), truncation_psi=0.7)
    assert images.shape == (2, 3, 64, 64)
    assert images.std() > 0.01


@pytest.mark.slow
def test_z_is_standard_normal_and_no_coordinate_is_a_factor(rendered, regressors, tmp_path):
    small = {"channel_base": 256, "channel_max": 16, "portraits": 1000}
    task = build_task(generator_recipe.RECIPES[0].replace(**small))
    z = sample_factors(20000, seed=9).latents @ task.to_z
    assert (torch.cov(z.T) - torch.eye(z.shape[1])).abs().max() < 0.06
    assert task.to_z.abs().max() < 2.5


@pytest.mark.slow
def test_the_mapping_starts_from_the_factors(rendered, regressors, tmp_path):
    task = build_task(
        generator_recipe.RECIPES[0].replace(channel_base=256, channel_max=16), tmp_path
    )
    latents, layer = sample_factors(8, seed=9).latents, task.generator.mapping.fc0
    first = latents @ task.to_z @ (layer.weight * layer.weight_gain).T
    count = latents.shape[1]
    torch.testing.assert_close(first[:, :count], latents, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(first[:, count : 2 * count], -latents, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["regressor", "regressor_b", "judge_regressor"])
def test_a_regressor_trains_and_reports_r2_of_every_attribute(rendered, tmp_path, name):
    recipe = list_recipes()[name].replace(
        width=8, features=16, batch_size=8, steps=4, log_every=1, evaluate_every=0, precision="no"
    )
    outcome = train(build_task(recipe, tmp_path), recipe.settings, tmp_path / "run", progress=False)
    network = load_network(tmp_path / "run" / "final" / f"{name}.safetensors")
    assert len([k for k in outcome.scores if k.endswith("_r2")]) == len(network.attributes) + 1
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, len(network.attributes))


def test_an_embedder_starts_from_the_regressors_trunk(rendered, tmp_path):
    recipes = list_recipes()
    small = {"width": 8, "features": 16, "batch_size": 8, "steps": 3, "precision": "no"}
    first = recipes["regressor"].replace(**small, evaluate_every=0)
    run = tmp_path / "run"
    train(build_task(first, tmp_path), first.settings, run, progress=False)
    recipe = recipes["embedder"].replace(**small, evaluate_every=0)
    task = build_task(recipe, run / "final")
    trunk = load_network(run / "final" / "regressor.safetensors").trunk.state_dict()
    for name, value in task.network.trunk.state_dict().items():
        assert torch.equal(value, trunk[name].to(value.dtype)), name
    outcome = train(task, recipe.settings, tmp_path / "run2", progress=False)
    assert 0 <= outcome.scores["tar_at_far_1pct"] <= 1
    shipped = load_network(tmp_path / "run2" / "final" / "embedder.safetensors")
    assert shipped(torch.zeros(2, 3, 64, 64)).shape == (2, len(IDENTITY_FACTORS))


def test_ridge_finds_a_line_and_passes_over_noise_and_dead_features():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4000, 5, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 1.0, 0.0])
    noise = torch.randn(4000, generator=generator)
    y = torch.stack([2 * x[:, 0] - 0.3 * x[:, 1] + 5, noise], 1)
    weight, bias = ridge(x, y, damping=1e-6)
    assert torch.allclose(weight[0, :4], torch.tensor([2.0, -0.3, 0.0, 0.0]), atol=2e-3)
    assert weight[:, 4].abs().max() == 0  # no spread, no say
    said = x @ weight.T + bias
    assert abs(float(said[:, 0].mean())) < 1e-4  # the distance from the mean
    assert said[:, 1].std() < 0.1  # what cannot be read is said to be nothing


def test_degrading_is_a_function_of_the_generator():
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    a = degrade(images, torch.Generator().manual_seed(1))
    assert torch.equal(a, degrade(images, torch.Generator().manual_seed(1)))
    assert not torch.equal(a, degrade(images, torch.Generator().manual_seed(2)))
    assert (a - images).abs().mean() > 0.01


def test_verification_of_perfect_and_blind_embeddings():
    people = torch.arange(40) // 4
    perfect = torch.eye(10)[people]
    scores = verification_scores(perfect, people)
    assert scores["tar_at_far_1pct"] == 1.0
    assert scores["same_similarity"] == 1.0
    assert scores["different_similarity"] == 0.0
    blind = torch.ones(40, 4) / 2
    assert verification_scores(blind, people)["tar_at_far_1pct"] == 0.0


@pytest.mark.parametrize(
    ("recipe", "field", "value", "message"),
    [
        (
            "generator_base",
            "channel_base",
            "7",
            "channel_base is 7; it must be at least img_resolution",
        ),
        ("generator_base", "channel_max", "0", "channel_max is 0"),
        ("regressor", "width", "0", "width is 0; allowed: 1 or more"),
        ("embedder", "family", "round", "family is 'round'; allowed: residual, separable"),
        ("judge_regressor", "sets", "people", "sets is people; allowed: population, independent"),
        ("parser", "batch_size", "-3", "batch_size is -3; allowed: 1 or more"),
        ("parser", "sets", "[]", "sets is empty; allowed: population"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_rendered(recipe, field, value, message):
    with pytest.raises(ValueError, match=message):
        list_recipes()[recipe].replace(**{field: value})
