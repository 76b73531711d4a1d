"""Recipes label faces, fit, measure gains and write editors that the zoo then has."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conftest import build_attribute_net, build_generator, write_manifest, write_world

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.perception import save_network
from l2l_widgets.recipes import build_task, list_recipes
from l2l_widgets.storage import load_safetensors
from l2l_widgets.training import train
from l2l_widgets.zoo import load


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An untrained world whose regressors at least tell its faces apart."""
    folder = write_world(tmp_path_factory.mktemp("weights") / "tiny-world")
    generator = build_generator()
    z = torch.randn(64, generator.z_dim, generator=torch.Generator().manual_seed(3))
    images = generator.synthesis(generator.mapping(z)).detach()
    for name, seed in (("regressor", 1), ("regressor_b", 4)):
        net = build_attribute_net(seed)
        with torch.no_grad():
            features = net.features(images)
            net.head.weight.mul_(1.5 / (features @ net.head.weight.T).std(0)[:, None])
            net.head.bias.copy_(-(features.mean(0) @ net.head.weight.T))
        save_network(folder / f"{name}.safetensors", net)
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return tmp_path_factory.mktemp("labelled") / "triplets"


SMALL = {
    "interfacegan": {"chosen": 0.1},
    "ganspace": {"pca_codes": 400, "fresh_codes": 100, "components": 4, "effect_faces": 4},
    "stylespace": {"candidates": 1, "effect_faces": 4},
    "styleflow": {"hidden_layers": 1, "batch_size": 16, "tolerance": 1e-2, "edit_steps": 2},
}


def small(name, triplets, **changes):
    common = {"faces": 200, "calibration_faces": 16, "triplets": str(triplets)}
    settings = {"steps": 2, "log_every": 1, "checkpoint_every": 1, "device": "cpu"}
    recipe = list_recipes()[name].replace(**common, **settings, **SMALL[name], **changes)
    return dataclasses.replace(recipe)


def run(recipe, world, folder):
    return train(build_task(recipe, world), recipe.settings, folder, resume=False, progress=False)


@pytest.mark.parametrize("name", ["interfacegan", "ganspace", "stylespace"])
def test_a_recipe_makes_editors_that_the_zoo_has(world, triplets, tmp_path, name) -> None:
    recipe = small(name, triplets)
    outcome = run(recipe, world, tmp_path / "run")
    assert outcome.finished
    for path in world.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for file in recipe.outputs:
        (tmp_path / file).write_bytes((tmp_path / "run" / "final" / file).read_bytes())
    write_manifest(tmp_path)
    models = load(tmp_path)
    for file in recipe.outputs:
        method = file.removesuffix(".safetensors")
        assert method in models.available_editors
        editor = models.editor(method)
        assert editor.origin.generator == models.hashes["generator"]
        assert "200 codes" in editor.origin.dataset or name == "ganspace"
        assert set(editor.provenance) == {"generator", "regressor", "regressor_b"}
        ws = torch.zeros(1, 8, 16)
        assert not torch.equal(
            editor.edit(ws, EditRequest(changes={editor.attributes[0]: 0.2})), ws
        )
        assert outcome.scores[f"{method.replace('-', '_')}_attributes"] == len(editor.attributes)


def test_a_killed_fit_goes_on_with_the_next_attribute(world, triplets, tmp_path) -> None:
    recipe = small("interfacegan", triplets)
    run(recipe, world, tmp_path / "whole")
    first = dataclasses.replace(recipe.settings, steps=1)
    train(build_task(recipe, world), first, tmp_path / "cut", progress=False)
    train(build_task(recipe, world), recipe.settings, tmp_path / "cut", resume=True, progress=False)
    for file in recipe.outputs:
        whole, cut = (
            load_safetensors(tmp_path / run_folder / "final" / file)[0]
            for run_folder in ("whole", "cut")
        )
        assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_the_flow_trains_and_edits(world, triplets, tmp_path) -> None:
    recipe = small("styleflow", triplets, calibration_faces=0)
    task = build_task(recipe, world)
    start = {k: v.clone() for k, v in task.network.state_dict().items()}
    outcome = train(task, recipe.settings, tmp_path / "run", progress=False)
    assert outcome.finished
    assert "nll_loss" in outcome.scores
    moved = [k for k, v in task.network.state_dict().items() if not torch.equal(v, start[k])]
    assert any("dynamics" in k for k in moved)
    (path,) = (tmp_path / "run" / "final").glob("*.safetensors")
    tensors, metadata = load_safetensors(path)
    assert metadata["editor"] == "styleflow"
    assert tensors["rows"][DEFAULT_TABLE.index("glasses")].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_recipes_are_listed_with_what_they_need() -> None:
    recipes = list_recipes()
    for name in (*SMALL, "styleflow-paper"):
        assert recipes[name].depends_on == ("generator", "regressor", "regressor_b")
        assert recipes[name].kind == "editor"
    assert recipes["styleflow-paper"].config.blocks == 4
    assert not recipes["styleflow-paper"].shipped
    # the very set of the mapper, so that faces are labelled once
    shared = ("faces", "psi_low", "psi_high", "data_seed", "ensemble", "triplets")
    for name in SMALL:
        for field in shared:
            mapper = getattr(recipes["mapper"].config, field)
            assert getattr(recipes[name].config, field) == mapper, (name, field)


def test_a_missing_part_and_a_large_ensemble_are_refused(world, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"generator\.safetensors is missing: recipe 'ganspace'"):
        build_task(list_recipes()["ganspace"], tmp_path)
    with pytest.raises(ValueError, match="ensemble is 3; allowed: 1 to 2"):
        build_task(list_recipes()["ganspace"].replace(ensemble=3), world)
