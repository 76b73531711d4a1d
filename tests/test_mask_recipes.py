"""Training MaskGAN on a few real renders: each recipe learns, and writes what the next reads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import MaskGAN, MaskVAE, MaskVAEConfig
from l2l_widgets.maskgan.objective import VGG19
from l2l_widgets.perception import AttributeNet, save_network
from l2l_widgets.recipes import build_task, get_recipe, mask_faces
from l2l_widgets.storage import save_safetensors
from l2l_widgets.training import RunDirectory, TrainingError, train


class _Faces(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.images)


SMALL = {
    "resolution": 32, "sets": ["population"], "batch_size": 4, "precision": "no",
    "log_every": 1, "evaluate_every": 0, "checkpoint_every": 1000,
}  # fmt: skip
TINY = {
    **SMALL, "base": 4, "style_base": 4, "discriminator_width": 4, "adversary_after": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    faces = render(sample_factors(12, seed=3), 32)
    return _Faces(images=((faces.image + 1) * 127.5).round().byte(), masks=faces.mask)


@pytest.fixture
def weights(drawn, monkeypatch, tmp_path):
    """A folder with a reader; the rendered sets are twelve faces."""
    monkeypatch.setattr(mask_faces, "rendered_set", lambda name: drawn)
    monkeypatch.setattr(mask_faces, "set_side", lambda name: 32)
    torch.manual_seed(0)
    save_network(tmp_path / "regressor.safetensors", AttributeNet(("a",), width=4, features=8))
    return tmp_path


def fit(name, weights, steps, **changes):
    recipe = get_recipe(name).replace(**changes, steps=steps)
    task = build_task(recipe, weights)
    folder = weights / f"run-{name}-{steps}"
    outcome = train(task, recipe.settings, folder, progress=False)
    assert outcome.finished
    return task, outcome, RunDirectory(folder).history()


def publish(outcome, weights):
    for file in (outcome.run_directory / "final").glob("*.safetensors"):
        (weights / file.name).write_bytes(file.read_bytes())


def mean(history, name, rows):
    return sum(record[name] for record in history[rows]) / len(history[rows])


@pytest.mark.slow
def test_all_three_learn_in_a_row(weights):
    changes = {**SMALL, "width": 4, "latent_dim": 8}
    task, outcome, history = fit("mask-vae", weights, 24, **changes)
    assert mean(history, "pixel_loss", slice(-5, None)) < 0.9 * history[0]["pixel_loss"]
    assert 0 < outcome.scores["mask_accuracy"] <= 1
    publish(outcome, weights)

    task, outcome, history = fit("dense-mapping", weights, 16, **TINY)
    assert mean(history, "pixel_loss", slice(-4, None)) < mean(history, "pixel_loss", slice(0, 4))
    assert set(history[0]) >= {"fooling_loss", "feature_loss", "perceptual_loss", "adversary_loss"}
    publish(outcome, weights)
    own = MaskGAN.load(weights / "dense_mapping.safetensors")
    assert own.mapping.config.base == 4

    task, outcome, history = fit("mask-edit", weights, 4, **TINY)
    assert {"blend_pixel_loss", "blend_fooling_loss"} <= set(history[0])
    publish(outcome, weights)
    whole = MaskGAN.load(weights / "maskgan.safetensors")
    assert whole.blender is not None
    moved = [
        float((a - b).abs().max())
        for a, b in zip(own.mapping.parameters(), whole.mapping.parameters(), strict=True)
    ]
    assert max(moved) > 1e-4, "stage two trains the mapping as well"

    masks = task.faces.masks[:4]
    inner, outer = task.simulated_edits(masks, masks.flip(0))
    same = task.simulated_edits(masks, masks)
    assert torch.equal(*same), "towards oneself there is nowhere to go"
    assert inner.shape == outer.shape == masks.shape
    code = task.vae.encode(mask_planes(masks))[0]
    gap = (task.vae.encode(mask_planes(masks.flip(0)))[0] - code) * 0.4
    assert torch.equal(task.vae.decode(code + gap).argmax(1), inner), "1 / 2.5 of the way"

    plain, _, _ = fit("mask-edit", weights, 3, **TINY, edits=False)
    assert "edit" not in plain.optimizers()
    assert updates(plain, "mapping") == 3 * plain.mapping_updates
    assert updates(task, "mapping") + updates(task, "edit") == 4 * task.mapping_updates
    assert (updates(plain, "adversary"), updates(task, "adversary")) == (3, 4)
    batch = plain.batch(0, torch.Generator().manual_seed(1))
    assert len(batch["image"]) == 2 * TINY["batch_size"]
    assert not torch.equal(*batch["image"].chunk(2)), "the second update has a batch of its own"
    plain = build_task(get_recipe("mask-edit").replace(**TINY, blender=False), weights)
    one, two = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert torch.equal(plain.blend(one, two), 0.5 * two)


def test_a_blender_that_learned_nothing_is_not_saved_and_one_that_is_there_is_read(weights):
    own = build_task(get_recipe("dense-mapping").replace(**TINY), weights).mapping
    MaskGAN(own).save(weights / "dense_mapping.safetensors")
    vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
    MaskGAN(vae=vae).save(weights / "mask_vae.safetensors")
    for changes, learned in (({}, True), ({"blender": False}, False)):
        task = build_task(get_recipe("mask-edit").replace(**TINY, **changes), weights)
        task.finish(weights)
        assert (MaskGAN.load(weights / "maskgan.safetensors").blender is not None) is learned
    # as runs of before wrote it: the file has one all the same
    MaskGAN(own, None, task.blender).save(weights / "maskgan.safetensors")
    assert MaskGAN.load(weights / "maskgan.safetensors").blender is not None


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"base": 8}, "base is 8, and the mapping of dense_mapping.safetensors has 4; allowed"),
        ({}, {"style_base": 2}, "style_base is 2, and the mapping"),
        ({}, {"sft": False}, "sft is False, and the mapping of dense_mapping.safetensors has it"),
        ({"sft": False}, {"sft": False}, None),
        ({"sft": False}, {"base": 0, "style_base": 0}, None),  # as the ablation trains it
    ],
)
def test_the_second_stage_refuses_another_size_than_the_first_has(weights, first, second, words):
    own = build_task(get_recipe("dense-mapping").replace(**TINY, **first), weights).mapping
    MaskGAN(own).save(weights / "dense_mapping.safetensors")
    vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
    MaskGAN(vae=vae).save(weights / "mask_vae.safetensors")
    recipe = get_recipe("mask-edit").replace(**{**TINY, **second})
    if words is None:
        assert build_task(recipe, weights).mapping.config == own.config
        return
    with pytest.raises(TrainingError, match=words):
        build_task(recipe, weights)


def test_a_resumed_second_stage_ends_where_an_unbroken_one_does(weights, tmp_path):
    """To the last bit: every network and the moments of all three optimizers come back."""
    own = build_task(get_recipe("dense-mapping").replace(**TINY), weights).mapping
    MaskGAN(own).save(weights / "dense_mapping.safetensors")
    vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
    MaskGAN(vae=vae).save(weights / "mask_vae.safetensors")

    def train_to(steps, folder, resume=False):
        # the rate falls in the second half of a run alone: the first two steps are alike
        recipe = get_recipe("mask-edit").replace(**{**TINY, "adversary_after": 1}, steps=steps)
        task = build_task(recipe, weights)
        train(task, recipe.settings, folder, resume=resume, progress=False)
        parts = [task.mapping, task.blender, task.adversary]
        return {f"{i}.{k}": v for i, part in enumerate(parts) for k, v in part.state_dict().items()}

    whole = train_to(4, tmp_path / "a")
    half = train_to(2, tmp_path / "b")
    again = train_to(4, tmp_path / "b", resume=True)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not all(torch.equal(whole[name], half[name]) for name in whole)


def updates(task, name):
    """How often an optimizer moved the first weights that it has."""
    return int(next(iter(task.optimizer[name].state.values()))["step"])


def mask_planes(masks):
    from l2l_widgets.masks import one_hot

    return one_hot(masks)


@pytest.mark.parametrize("changes", [{"adversary": "log"}, {"sft": False}, {"flip": True}])
def test_the_choices_run(weights, changes):
    _, outcome, history = fit("dense-mapping", weights, 1, **TINY, **changes)
    assert len(history) == 1
    own = MaskGAN.load(outcome.run_directory / "final" / "dense_mapping.safetensors").mapping
    assert own.config.sft is changes.get("sft", True)


def test_vgg_reads_where_its_weights_are_named(weights, monkeypatch):
    file = weights / "vgg19.safetensors"
    save_safetensors(file, VGG19().state_dict())
    task = build_task(get_recipe("dense-mapping").replace(**TINY, reader=str(file)), weights)
    assert isinstance(task.reader.features, VGG19)
    assert len(task.reader.features(torch.zeros(1, 3, 32, 32))) == 5
    save_safetensors(file, {"a": torch.zeros(1)})
    torch.save([1, 2], weights / "list.pth")
    (weights / "text.pth").write_text("no weights")

    def render(name):
        raise AssertionError("an hour of rendering, before the file was looked at")

    monkeypatch.setattr(mask_faces, "rendered_set", render)
    for reader, words in (
        (str(file), "features.0.weight is missing"), ("no.pth", "no such file"),
        (str(weights / "list.pth"), "VGG-19 weights are a list; allowed: torchvision's vgg19"),
        (str(weights / "text.pth"), "text.pth' cannot be read as tensors and nothing else"),
        (str(weights), "which is a folder; allowed: own"),
    ):  # fmt: skip
        with pytest.raises(TrainingError, match=words):
            build_task(get_recipe("dense-mapping").replace(**TINY, reader=reader), weights)


def test_what_cannot_be_trained_is_refused_before_it_begins(weights):
    for changes, words in (
        ({"adversary": "hinge"}, "adversary is 'hinge'; allowed: lsgan, log"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"sets": ["mine"]}, "sets is mine"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; allowed: a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; allowed: a number above 0"),
        ({"pixel_weight": -1.0}, "pixel_weight is -1.0; allowed: 0 or more"),
        ({"base": -4}, "base is -4; allowed: 0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            get_recipe("dense-mapping").replace(**changes)
    with pytest.raises(ValueError, match="lambda_inter is 0"):
        get_recipe("mask-edit").replace(lambda_inter=0.0)
    with pytest.raises(ValueError, match="lambda_inter is nan"):
        get_recipe("mask-edit").replace(lambda_inter=float("nan"))
    with pytest.raises(ValueError, match="kl_weight is inf; allowed: 0 or more"):
        get_recipe("mask-vae").replace(kl_weight=float("inf"))
    with pytest.raises(ValueError, match="kl_reduction is 'max'"):
        get_recipe("mask-vae").replace(kl_reduction="max")
    with pytest.raises(TrainingError, match="resolution is 64; the rendered sets have 32"):
        build_task(get_recipe("mask-vae").replace(resolution=64), weights)
