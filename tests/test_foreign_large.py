"""A foreign generator that is large, or whose training is killed: what is kept to, what goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from conftest import build_embedder

from l2l_widgets import cli
from l2l_widgets.checkpoints import describe
from l2l_widgets.editors.checks import check_editor
from l2l_widgets.judges import load_judge
from l2l_widgets.latents import face_bytes, faces_at_once
from l2l_widgets.models.own import with_judges
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes.foreign import BASE, _one_gradient, chosen_recipes, foresee
from l2l_widgets.recipes.labelled import open_labelled, read_in_parts
from l2l_widgets.recipes.mapper import _people_apart
from l2l_widgets.session.edit_session import EditSession
from tests import checkpoint_files as files
from tests.foreign_world import foreign_generator, write_foreign, write_judges
from tests.test_foreign import settings_of, words
from tests.trained_world import SMALL, small


def of_size(side, channels):
    block = SimpleNamespace(conv1=SimpleNamespace(weight=torch.zeros(channels, 1, 3, 3)))
    return SimpleNamespace(img_resolution=side, synthesis=SimpleNamespace(**{f"b{side}": block}))


def test_as_many_faces_are_drawn_together_as_fit():
    assert faces_at_once(foreign_generator()) == 64
    official, largest = of_size(256, 128), of_size(1024, 32)
    assert face_bytes(official) == 4 * 4 * 128 * 256**2
    assert faces_at_once(official) * face_bytes(official) <= 2**29
    assert faces_at_once(official) < 64
    assert faces_at_once(largest) == 1, "one is drawn, however large"
    assert faces_at_once(official, 2) == 2
    assert faces_at_once(SimpleNamespace(img_resolution=64)) == 64


def test_no_preparation_draws_more_together_than_fit(tmp_path, monkeypatch):
    generator = foreign_generator(classes=0)
    drawn = []
    generator.synthesis.register_forward_pre_hook(lambda module, given: drawn.append(len(given[0])))
    few = {"faces_at_once": lambda generator, most=64: 7}
    for module in ("labelled", "imitation"):
        monkeypatch.setattr(f"l2l_widgets.recipes.{module}.faces_at_once", few["faces_at_once"])
    config = small("mapper", tmp_path / "faces").config

    def read(images):
        return images.mean((2, 3)).clamp(0, 1)

    # a world's cache keeps no pictures above 64 px: there they are drawn again
    monkeypatch.setattr("l2l_widgets.recipes.labelled.PICTURES_KEPT", 0)
    reader = open_labelled(config, generator, [read], SimpleNamespace(names=("r", "g", "b")), {})
    apart = _people_apart(build_embedder(1), reader)
    assert apart > 0
    ws = torch.randn(20, generator.num_ws, generator.w_dim)
    together = read_in_parts(generator, [read], ws)
    assert together.shape == (20, 3)
    assert max(drawn) <= 7
    assert sum(drawn) >= 200 + 200 + 20


def test_the_memory_that_is_said_counts_what_is_drawn(tmp_path, monkeypatch):
    # a picture costs the same in both plans: on a busy machine two timings differ by more
    monkeypatch.setattr("l2l_widgets.recipes.foreign._seconds", lambda call: 0.01)
    monkeypatch.setattr(
        "l2l_widgets.recipes.foreign._one_gradient",
        lambda generator, ws: (0.01, _one_gradient(generator, ws)[1]),
    )
    path, *judges = write_foreign(tmp_path, classes=0)
    judges = [load_judge(judge) for judge in judges]
    models = with_judges(load(str(path)), judges)
    generator = models.generator
    plan = foresee(chosen_recipes("interfacegan", True, 100, {}), models, judges)
    assert plan.memory_bytes >= BASE + faces_at_once(generator) * face_bytes(generator)
    bare, calibrated = (
        foresee(chosen_recipes("mapper", True, 100, {"calibration_faces": n}), models, judges)
        for n in ("0", "100000")
    )
    assert calibrated.seconds["mapper"] > bare.seconds["mapper"]


@pytest.mark.slow
def test_a_killed_pipeline_goes_on_with_the_same_command(tmp_path, capsys):
    world = tmp_path / "world"
    brought = write_foreign(tmp_path)
    typed = ["train", "mapper", *words(brought, "--class", "1", "--faces", 100)]
    typed += ["--weights", str(world), "--report-faces", "3", "--json"]
    typed += settings_of(("regressor", "regressor_b", "embedder", "mapper"))
    typed += ["--set=mapper.steps=300", "--set=mapper.checkpoint_every=5"]
    process = subprocess.Popen([sys.executable, "-m", "l2l_widgets", *typed])
    end = time.monotonic() + 300
    while not list(world.glob("runs/mapper*/step-*")) and time.monotonic() < end:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (world / "mapper.safetensors").exists()
    reached = max(int(p.name[5:]) for p in world.glob("runs/mapper*/step-*"))
    assert cli.main(typed) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["finished"]
    assert answer["stages"] == {
        "regressor": "current", "regressor_b": "current", "embedder": "current",
        "mapper": "trained",
    }  # fmt: skip
    (history,) = world.glob("runs/mapper*/history.jsonl")
    steps = [json.loads(line)["step"] for line in history.read_text().splitlines()]
    assert steps == sorted(set(steps)), "no step is there twice"
    assert 0 < reached < max(steps) == 300
    assert "attributes follow.**" in (world / "REPORT.md").read_text(encoding="utf-8")
    session_face = tmp_path / "face.png"
    typed = ["edit", "--generator", str(world), "--seed", "3", "--set", "redness=+0.1"]
    assert cli.main([*typed, "--out", str(session_face)]) == 0
    assert session_face.is_file()


METHODS = {
    *("mapper", "interfacegan", "interfacegan-conditional"),
    *("ganspace", "styleflow", "stylespace"),
}


def write_large(folder):
    """An official pickle of 256 px with blocks in half precision, and two judges."""
    generator = files.make_generator(
        5, 256, z_dim=24, w_dim=40, channel_base=512, channel_max=8, conv_clamp=256.0
    )
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "torgb" in name and name.endswith("weight"):
                parameter.mul_(0.25)
            if "torgb" in name and name.endswith("affine.weight"):
                parameter.mul_(3)
        z = torch.randn(512, 24, generator=torch.Generator().manual_seed(1))
        generator.mapping.w_avg.copy_(generator.mapping(z)[:, 0].mean(0))
    path = folder / "large.pkl"
    path.write_bytes(files.nvlabs_bytes(generator, fp16_sides=(64, 128, 256)))
    return path, *write_judges(folder)


@pytest.mark.slow
def test_one_command_then_every_editor_and_view_at_256_pixels(tmp_path, capsys):
    from l2l_widgets import widgets
    from l2l_widgets.maps.code_map import CodeMap

    brought, world = write_large(tmp_path), tmp_path / "world"
    common = [*words(brought), "--faces", "200", "--weights", str(world), "--report-faces", "3"]
    imitations = settings_of(("regressor", "regressor_b", "embedder"))
    stages = ("regressor", "regressor_b", "embedder", "mapper")
    assert cli.main(["train", "mapper", *common, *settings_of(stages), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["finished"]
    assert answer["stages"] == dict.fromkeys(stages, "trained")
    assert "attributes follow.**" in (world / "REPORT.md").read_text(encoding="utf-8")
    # the same world goes on: nothing is trained twice
    assert cli.main(["train", "own", *common, *imitations, *settings_of(SMALL), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {n for n, status in answer["stages"].items() if status == "current"} == set(stages)
    assert {n for n, s in answer["stages"].items() if s == "trained"} == SMALL.keys() - {"mapper"}

    models = load(world)
    generator = models.generator
    assert (generator.img_resolution, generator.w_dim, generator.num_ws) == (256, 40, 14)
    told = describe(world / "generator.safetensors")
    assert (told["conv_clamp"], told["provenance"]["source"]) == (256.0, "large.pkl")
    assert set(models.available_editors) == METHODS
    z = torch.randn(3, 24, generator=torch.Generator().manual_seed(2))
    w = generator.mapping(z, truncation_psi=0.7)
    readings = models.attribute_judge(generator.synthesis(w))
    for name in METHODS:
        assert len(check_editor(models.editor(name), w, readings)) > 5, name

    # the evaluation
    assert {row["method"] for row in answer["attributes"]} == METHODS
    assert cli.main(["verify", answer["report"], "--generator", str(world), "--rows", "1"]) == 0

    # the map and the views
    session = EditSession(models, method="mapper", n_random=2)
    faces = CodeMap(models, 64, neighbours=5)
    faces.read()
    assert torch.isfinite(torch.as_tensor(faces.lay_out("w", 0, epochs=20).coordinates)).all()
    explorer = widgets.EntanglementExplorer(session, faces=4, chance=2)
    walk = widgets.InterpolationView(session, 8, frames=3)
    gallery = widgets.Gallery(session, page_size=2)
    views = [
        *(explorer, walk, gallery, widgets.FaceEditor(session), widgets.PhotoInverter(session)),
        widgets.LatentMap(session, code_map=faces),
        widgets.EditorGrid(session, request={"redness": 0.1}, n_random=2),
        widgets.Presenter([("Redder", {"redness": 0.1})], session),
    ]
    explorer.start()
    for view in (explorer, walk, gallery):
        assert view.wait(300), view
    assert explorer.matrix["edited"] == list(models.table.names)
    assert walk.strip.images.shape == (3, 3, 256, 256)
    session.set_changes({"redness": 0.1})
    receipt = session.measure()
    assert receipt.error is None
    assert set(receipt.others) == {"greenness", "blueness"}
    for view in views:
        view.close()
    session.close()
