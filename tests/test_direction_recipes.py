"""Recipes label faces, fit, measure gains and write editors that the zoo then has."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conftest import build_attribute_net, build_generator, write_manifest
from torch import nn
from trained_world import SMALL, run, small, write_open_world

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.checks import check_editor
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes import build_task, list_recipes
from l2l_widgets.recipes.directions import DirectionTask, boundaries, channels, components
from l2l_widgets.recipes.labelled import LabelledFaces, LabelledWorld
from l2l_widgets.recipes.styleflow import FlowTask
from l2l_widgets.storage import load_safetensors
from l2l_widgets.training import TrainingError, train

LINEAR = ("interfacegan", "ganspace", "stylespace")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_open_world(tmp_path_factory.mktemp("weights") / "tiny-world")


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return tmp_path_factory.mktemp("labelled") / "triplets"


def test_mapper_and_directions_learn_from_one_labelled_set():
    config = {name: recipe.config for name, recipe in list_recipes().items()}
    wanted = {
        name: [getattr(config[name], field.name) for field in dataclasses.fields(LabelledFaces)]
        for name in ("mapper", "mapper-plain", "interfacegan", "stylespace")
    }
    assert len({tuple(values) for values in wanted.values()}) == 1, wanted
    assert config["mapper-lesson"].faces < config["mapper"].faces


@pytest.mark.parametrize("name", LINEAR)
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
    run(recipe, world, tmp_path / "cut", resume=True)
    for file in recipe.outputs:
        whole, cut = (
            load_safetensors(tmp_path / run_folder / "final" / file)[0]
            for run_folder in ("whole", "cut")
        )
        assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_the_flow_trains_and_knows_its_rows(world, triplets, tmp_path) -> None:
    recipe = small("styleflow", triplets, calibration_faces=0, rows="published")
    task = build_task(recipe, world)
    start = {k: v.clone() for k, v in task.network.state_dict().items()}
    outcome = train(task, recipe.settings, tmp_path / "run", progress=False)
    assert outcome.finished
    assert outcome.scores["inversion_error"] < 1e-3
    assert "held_out_nll_loss" in outcome.scores
    moved = [k for k, v in task.network.state_dict().items() if not torch.equal(v, start[k])]
    assert any("dynamics" in k for k in moved)
    (path,) = (tmp_path / "run" / "final").glob("*.safetensors")
    tensors, metadata = load_safetensors(path)
    assert metadata["editor"] == "styleflow"
    assert tensors["rows"][DEFAULT_TABLE.index("glasses")].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_recipes_are_listed_with_what_they_need() -> None:
    recipes = list_recipes()
    for name in (*LINEAR, "styleflow", "styleflow-paper"):
        assert recipes[name].depends_on == ("generator", "regressor", "regressor_b")
        assert recipes[name].kind == "editor"
        assert recipes[name].shipped == (name != "styleflow-paper")
    assert recipes["styleflow-paper"].config.blocks == 4
    # the very set of the mapper, so that faces are labelled once; GANSpace only needs their spread
    shared = ("faces", "psi_low", "psi_high", "data_seed", "ensemble", "triplets")
    for name in set(SMALL) - {"ganspace"}:
        for field in shared:
            mapper = getattr(recipes["mapper"].config, field)
            assert getattr(recipes[name].config, field) == mapper, (name, field)


def test_a_missing_part_and_a_large_ensemble_are_refused(world, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"generator\.safetensors is missing: recipe 'ganspace'"):
        build_task(list_recipes()["ganspace"], tmp_path)
    with pytest.raises(ValueError, match="ensemble is 3; allowed: 1 to 2"):
        build_task(list_recipes()["ganspace"].replace(ensemble=3), world)


class Hostile(nn.Module):
    """A regressor that reads one attribute as NaN, one as constant, and one on next to nobody."""

    def __init__(self, net, width=None):
        super().__init__()
        self.net, self.width = net, width

    def forward(self, images):
        readings = self.net(images).clone()
        readings[:, DEFAULT_TABLE.index("anger")] = torch.nan
        readings[:, DEFAULT_TABLE.index("fear")] = 0.5
        rare = readings[:, DEFAULT_TABLE.index("hat")] > 0.985
        readings[:, DEFAULT_TABLE.index("hat")] = rare.to(readings)
        return readings[:, : self.width]


REASONS = {
    "anger": "NaN or infinity",
    "fear": "constant",
    "hat": r"[0-9] codes plainly have it; allowed: at least 10|constant|differ by",
}


def hostile_world(config, world, width=None):
    regressor = Hostile(load(world).regressor, width)
    return LabelledWorld(config, build_generator(), [regressor], DEFAULT_TABLE, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in SMALL if n != "mapper"])
def test_what_cannot_be_read_is_left_out_with_its_reason(world, tmp_path, name) -> None:
    recipe = small(name, tmp_path / "hostile", ensemble=1)
    known = hostile_world(recipe.config, world)
    if name == "styleflow":
        task = FlowTask(recipe.config, known)
        noise = torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
        loss = task.network.nll(known.codes[:16], task.scores[:16], noise, task.solver)
        assert bool(torch.isfinite(loss).all())
    else:
        fit = {"interfacegan": boundaries, "ganspace": components, "stylespace": channels}[name]
        task = DirectionTask(recipe.config, known, fit)
        known.calibrate(next(iter(task.editors.values())).steps, 0)
    task.finish(tmp_path)
    path = tmp_path / f"{name}.safetensors"
    from l2l_widgets.editors import make_editor

    models = load(world)
    models.file = lambda _: path
    editor = make_editor(name, models)
    ws = known.codes[:3, None].repeat(1, 8, 1)
    for attribute, reason in REASONS.items():
        assert attribute not in editor.attributes
        with pytest.raises(ValueError, match=f"{name} cannot change it.*({reason})"):
            editor.edit(ws, EditRequest(changes={attribute: 0.1}))
    assert check_editor(editor, ws, known.scores[:3].nan_to_num(0.5))


def test_a_regressor_of_another_width_is_refused(world, tmp_path) -> None:
    config = small("ganspace", tmp_path / "narrow", ensemble=1).config
    with pytest.raises(TrainingError, match="read 12 attributes of a face; allowed: 35"):
        hostile_world(config, world, width=12)


def test_a_flow_needs_enough_faces_and_something_to_fit(world, triplets, tmp_path) -> None:
    with pytest.raises(TrainingError, match="held_out is 190 of 200 faces; allowed: at least 2"):
        build_task(small("styleflow", triplets, held_out=190), world)
    with pytest.raises(ValueError, match="rows is 'all'; allowed: published, measured"):
        small("styleflow", triplets, rows="all")
    flat = build_attribute_net(1)
    with torch.no_grad():
        flat.head.weight.zero_()
    config = small("styleflow", tmp_path / "flat", ensemble=1).config
    known = LabelledWorld(config, build_generator(), [flat], DEFAULT_TABLE, {})
    with pytest.raises(TrainingError, match="no attribute can be fitted; age: its scores are cons"):
        FlowTask(config, known)
