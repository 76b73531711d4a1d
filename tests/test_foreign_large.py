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
from l2l_widgets.judges import load_judge
from l2l_widgets.latents import face_bytes, faces_at_once
from l2l_widgets.models.own import with_judges
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes.foreign import BASE, chosen_recipes, foresee
from l2l_widgets.recipes.labelled import open_labelled, read_in_parts
from l2l_widgets.recipes.mapper import _people_apart
from tests.foreign_world import foreign_generator, write_foreign
from tests.test_foreign import settings_of, words
from tests.trained_world import small


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
    typed += ["--set=mapper.steps=60", "--set=mapper.checkpoint_every=5"]
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
    assert 0 < reached < max(steps) == 60
    assert "attributes follow.**" in (world / "REPORT.md").read_text(encoding="utf-8")
    session_face = tmp_path / "face.png"
    typed = ["edit", "--generator", str(world), "--seed", "3", "--set", "redness=+0.1"]
    assert cli.main([*typed, "--out", str(session_face)]) == 0
    assert session_face.is_file()
