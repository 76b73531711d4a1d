"""A generator and judges that the package has never seen: a world of one's own, end to end."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from l2l_widgets.cli import main
from l2l_widgets.editors.checks import check_editor
from l2l_widgets.judges import JudgeError, load_judge
from l2l_widgets.models.own import write_world
from l2l_widgets.models.zoo import ZooError, load
from l2l_widgets.recipes import RecipeError, plan_all, train_all
from l2l_widgets.recipes.imitation import own_recipes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.storage import sha256_file
from l2l_widgets.stylegan2 import Generator, save_generator
from tests.test_judges import declare, write_network

TABLE = """
kind = "attributes"
file = "net.onnx"
size = 16
range = [-1.0, 1.0]
outputs = "logits"
[attributes]
smile = 0
redness = 1
blueness = {column = 2, low = -1, high = 1}
[table.redness]
label = "Red"
family = "colour"
"""


def make_generator():
    torch.manual_seed(3)
    generator = Generator(
        16, 0, 24, 32, 3, mapping_kwargs={"num_layers": 2}, channel_base=256, channel_max=16
    )
    for name, p in generator.named_parameters():  # fresh networks draw nearly the same grey
        if "torgb" in name and name.endswith("weight"):
            p.data.mul_(6)
    return generator.eval().requires_grad_(False)


@pytest.fixture
def brought(tmp_path):
    """A generator's file and the declarations of an attribute judge and an identity judge."""
    save_generator(tmp_path / "g.safetensors", make_generator())
    write_network(tmp_path / "net.onnx", np.eye(3) * [[3], [3], [1]], 16)
    write_network(tmp_path / "id.onnx", np.random.default_rng(1).normal(size=(3, 6)), 16)
    attributes = declare(tmp_path, TABLE, "attributes.toml")
    identity = declare(tmp_path, 'kind = "identity"\nfile = "id.onnx"\nsize = 16\n', "id.toml")
    return tmp_path / "g.safetensors", attributes, identity


@pytest.fixture
def world(brought, tmp_path, capsys):
    generator, attributes, identity = brought
    folder = tmp_path / "world"
    words = ["world", str(folder), "--generator", str(generator), "--json"]
    assert main([*words, "--judge", str(attributes), "--judge", str(identity)]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["attributes"] == ["smile", "redness", "blueness"]
    return folder


def test_a_world_without_editors_says_how_to_train_one(world, capsys):
    assert main(["info", str(world)]) == 0
    said = f"made for it (l2l train own --weights {world})"
    assert said in capsys.readouterr().out
    words = ["--seed", "1", "--set", "redness=+0.1", "--out", str(world.parent / "e.png")]
    assert main(["edit", "--generator", str(world), *words]) == 2
    assert said in capsys.readouterr().err


def small(recipes, folder):
    """The same recipes, a few steps long."""
    few = {
        "regressor": {"faces": 64, "steps": 3, "width": 8, "features": 16, "batch_size": 8},
        "regressor_b": {"faces": 64, "steps": 3, "width": 8, "features": 16, "batch_size": 8},
        "embedder": {"faces": 64, "steps": 3, "width": 8, "features": 16, "batch_size": 8},
        "mapper": {
            "faces": 64, "steps": 3, "batch_size": 4, "calibration_faces": 0, "hidden_dim": 16,
            "triplets": str(folder / "triplets"), "start": "ridge",
        },
    }  # fmt: skip
    return {
        name: recipe.replace(**few[name], precision="no") if name in few else recipe
        for name, recipe in recipes.items()
        if name in few or name == "generator"
    }


def test_a_world_of_ones_own_opens_like_any_other(world, brought):
    models = load(world)
    assert models.table.names == ("smile", "redness", "blueness")
    assert models.table["redness"].family == "colour"
    w = models.generator.mapping(torch.zeros(1, 16))
    picture = models.generator.synthesis(w)
    judged = models.attribute_judge(picture)
    torch.testing.assert_close(judged, load_judge(brought[1])(picture))
    assert models.identity_judge.embedding_dim == 6
    with pytest.raises(ZooError, match="part 'regressor' is missing"):
        _ = models.regressor


def test_a_file_that_was_changed_is_refused(world):
    network = world / "judge_regressor.onnx"
    network.write_bytes(network.read_bytes() + b"\x00")
    with pytest.raises(ZooError, match="the manifest says"):
        _ = load(world).attribute_judge


def test_every_stage_runs_and_the_mapper_edits(world, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recipes = small(own_recipes(world), tmp_path)
    stages = {s.recipe.name: s.status for s in train_all(recipes, tmp_path / "runs", world)}
    assert stages == dict.fromkeys(("regressor", "regressor_b", "embedder", "mapper"), "trained")
    assert set(plan_all(recipes, world).values()) == {"current"}, "a second call would train again"
    models = load(world)
    assert models.available_editors == ("mapper",)
    editor = models.editor("mapper")
    assert editor.attributes == models.table.names
    w = models.generator.mapping(torch.randn(4, 16), truncation_psi=0.7)
    readings = models.attribute_judge(models.generator.synthesis(w))
    assert len(check_editor(editor, w, readings)) > 5
    session = EditSession(models)
    session.set_changes({"redness": 0.2})
    receipt = session.measure()
    assert receipt is not None
    assert receipt.error is None
    assert set(receipt.others) == {"smile", "blueness"}
    session.close()


def test_an_imitation_learns_the_judge(world, tmp_path, monkeypatch):
    from l2l_widgets.recipes import build_task
    from l2l_widgets.training import train

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recipe = own_recipes(world)["regressor"].replace(
        faces=256,
        steps=40,
        width=8,
        features=32,
        batch_size=32,
        precision="no",
        log_every=1,
        learning_rate=2e-2,  # forty steps are all warm-up
    )
    records: list[dict] = []
    task = build_task(recipe, world)
    assert task.images.shape == (256, 3, 64, 64)
    train(task, recipe.settings, tmp_path / "run", callbacks=(records.append,), progress=False)
    losses = [r["imitation_loss"] for r in records]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_without_an_identity_judge_there_is_no_mapper(brought, tmp_path):
    folder = tmp_path / "world"
    write_world(folder, make_generator(), [brought[1]])
    assert "mapper" not in own_recipes(folder)
    assert {"regressor", "regressor_b", "interfacegan"} <= set(own_recipes(folder))


def test_what_was_trained_survives_the_same_world_written_again(brought, tmp_path):
    folder = tmp_path / "world"
    write_world(folder, make_generator(), brought[1:])
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    (folder / "mapper.safetensors").write_bytes(b"x")
    trained = {"sha256": "0" * 64, "recipe": "mapper"}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest | {"mapper.safetensors": trained}))
    assert "mapper.safetensors" in write_world(folder, make_generator(), brought[1:])
    other = dataclasses.replace(load_judge(brought[1]).declaration, outputs="scores")
    assert "mapper.safetensors" not in write_world(folder, make_generator(), [other, brought[2]])


def test_bad_worlds_are_named(brought, tmp_path, capsys):
    generator, attributes, identity = brought
    with pytest.raises(JudgeError, match="at least one 'attributes'"):
        write_world(tmp_path / "w", make_generator(), [identity])
    with pytest.raises(JudgeError, match="too many"):
        write_world(tmp_path / "w", make_generator(), [attributes, attributes])
    assert not (tmp_path / "w").exists(), "a refused world was half written"
    with pytest.raises(RecipeError, match="holds no judge_regressor"):
        own_recipes(tmp_path)
    assert main(["train", "own"]) == 2
    assert "--weights is missing" in capsys.readouterr().err
    assert main(["world", "w", "--generator", str(generator), "--judge", "none.toml"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_corrected_declaration_is_asked_anew(brought, tmp_path, monkeypatch):
    from l2l_widgets.recipes.imitation import Imitation, label_faces

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config, generator = Imitation(faces=64), make_generator()
    _, first = label_faces(config, generator, load_judge(brought[1]), "g")
    brought[1].write_text(brought[1].read_text() + "\n", encoding="utf-8")
    _, same = label_faces(config, generator, load_judge(brought[1]), "g")
    assert torch.equal(first, same)
    text = brought[1].read_text(encoding="utf-8")
    brought[1].write_text('colours = "BGR"\n' + text, encoding="utf-8")
    _, turned = label_faces(config, generator, load_judge(brought[1]), "g")
    assert not torch.allclose(first, turned)


def test_a_folder_that_holds_something_is_not_written_over(world, brought, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in world.iterdir()}
    generator, attributes, identity = brought[0], brought[1], brought[2]
    words = ["world", str(world), "--generator", str(generator), "--judge", str(attributes)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "which holds a world already" in error
    assert "--overwrite" in error
    assert {path.name: path.read_bytes() for path in world.iterdir()} == before
    assert main([*words, "--judge", str(identity), "--overwrite"]) == 0
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    assert main(["world", str(tmp_path / "thesis"), *words[2:]]) == 2
    assert "which holds something else already (chapter.txt)" in capsys.readouterr().err


def test_a_folder_of_models_runs_no_program(world):
    """Whoever sends a world cannot vouch for what is in it."""
    declaration = world / "judge_regressor.toml"
    (world / "judge_regressor.onnx").rename(world / "judge_regressor.pt")
    declaration.write_text(declaration.read_text().replace(".onnx", ".pt"), encoding="utf-8")
    manifest = json.loads((world / "MANIFEST.json").read_text())
    manifest["judge_regressor.pt"] = manifest.pop("judge_regressor.onnx")
    manifest["judge_regressor.toml"]["sha256"] = sha256_file(declaration)
    (world / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(ZooError, match="is TorchScript, a program"):
        _ = load(world).attribute_judge
