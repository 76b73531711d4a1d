"""The training cell without a browser: messages in, traits out."""

from __future__ import annotations

import asyncio
import threading

import pytest
from test_widgets import wait_for

from l2l_widgets.recipes import build_task, get_recipe, input_hashes, list_recipes
from l2l_widgets.recipes.registry import run_config
from l2l_widgets.training import RunDirectory
from l2l_widgets.widgets import TrainingCell
from l2l_widgets.widgets.training import training_cell
from l2l_widgets.widgets.words import Words

LESSON = {"steps": 12, "faces": 64, "calibration_faces": 0, "log_every": 1, "batch_size": 4}


@pytest.fixture
def lesson(tiny_world, tmp_path):
    triplets = str(tmp_path / "triplets")

    def make(**changes):
        return TrainingCell(
            "mapper-lesson",
            tmp_path / "run",
            weights=tiny_world,
            **{**LESSON, "triplets": triplets, **changes},
        )

    cells = []
    yield lambda **changes: cells.append(make(**changes)) or cells[-1]
    for cell in cells:
        assert cell.stop(240)
        cell.close()


def two_faces(task):
    """What a lesson may draw between two steps."""
    w = task.reader.latents()[0][:2].unsqueeze(1).repeat(1, task.generator.num_ws, 1)
    return {"as drawn": task.generator.synthesis(w)}


@pytest.mark.slow
def test_training_stops_resumes_and_finishes(lesson, tiny_world):
    cell = lesson(steps=100_000)
    cell._preview = two_faces
    assert cell.status["state"] == "ready"
    cell._handle({"kind": "start", "client": "page", "number": 1})
    assert wait_for(lambda: cell.status["step"] >= 3), cell.status
    assert cell.answered == {"page": 1}
    assert len(cell.faces["rows"][0]["pictures"]) == 2
    cell._handle({"kind": "stop", "client": "page", "number": 2})
    assert cell.wait(240)
    assert cell.status["state"] == "stopped", cell.status
    at = cell.status["step"]
    assert 3 <= at < 100_000
    assert cell.history["steps"][-1] == at
    assert "attribute" in cell.history["losses"]

    later = lesson(steps=at + 5)
    assert later.status["step"] == at, "a new kernel finds the run"
    later.start()
    assert later.wait(400)
    assert later.status["state"] == "finished", later.status
    assert later.status["step"] == at + 5
    assert later.history["steps"] == list(range(1, at + 6))
    (weights,) = get_recipe("mapper-lesson").outputs
    assert (later.run_directory / "final" / weights).is_file()


@pytest.mark.slow
def test_the_wait_is_counted_from_the_first_step(lesson, monkeypatch):
    """Preparing may last longer than the wait, and the training still gets all of it."""
    begun = threading.Event()

    def slow(recipe, weights):
        begun.wait(2.0)
        return build_task(recipe, weights)

    monkeypatch.setattr(training_cell, "build_task", slow)
    cell = lesson(steps=100_000)
    cell.start()
    assert asyncio.run(cell.until_done(seconds=1.5)) is False
    assert cell.stop(240)
    assert 1 <= cell.status["step"] < 100_000
    assert 0 < cell.share_done < 1 / 3
    assert "Only" in cell.summary()
    assert "Resume" in cell.summary()
    assert "saved. Too few steps" in cell.status["message"]


def test_what_prepares_a_training_speaks_in_the_cell_and_not_on_standard_error(
    lesson, capfd, monkeypatch
):
    said = []
    cell = lesson(steps=2)
    cell._preview = two_faces
    cell.observe(lambda change: said.append(change["new"]["message"]), "status")
    cell.start()
    assert cell.wait(400)
    assert any("triplets: 64 of 64" in line for line in said), said
    # what comes after the faces takes as long: the line about them must not stand there meanwhile
    words = ("triplets: 64", "straight line", "two persons", "first faces", "Training in")
    order = [next(i for i, line in enumerate(said) if part in line) for part in words]
    assert order == sorted(order), said
    prepared = [line.split(": ", 1)[1] for line in said[order[0] : order[3]]]
    german = Words.of("de")
    assert not [line for line in prepared if german.said(line) == line]
    assert "triplets" not in capfd.readouterr().err
    assert cell.share_done == 1
    assert cell.summary().startswith("Trained to the end")


@pytest.mark.slow
def test_starting_over_keeps_the_old_run(lesson, tmp_path):
    cell = lesson()
    cell.start()
    assert cell.wait(400)
    cell._handle({"kind": "start over", "client": "page", "number": 1})
    assert cell.wait(400)
    assert cell.status["state"] == "finished", cell.status
    assert cell.run_directory == tmp_path / "run-2"
    assert (tmp_path / "run" / "final").is_dir()


def test_a_training_that_cannot_begin_says_why(tmp_path):
    cell = TrainingCell("mapper-lesson", tmp_path / "run", weights=tmp_path / "empty")
    cell.start()
    assert cell.wait(400)
    assert cell.status["state"] == "failed"
    assert "generator.safetensors" in cell.status["message"]
    assert not (tmp_path / "run").exists()
    cell.close()


def test_a_folder_with_another_run_is_not_gone_on_with(tiny_world, tmp_path):
    """It went on with what lay there, and wrote one recipe's steps into another's history."""
    weights = {"weights": tiny_world, **LESSON}
    cell = TrainingCell("mapper-lesson", tmp_path / "run", **weights)
    inputs = input_hashes(cell._recipe, list_recipes(), tiny_world)
    config = run_config(cell._recipe.replace(learning_rate=0.5), tiny_world, inputs)
    RunDirectory(tmp_path / "run").create(config)
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    cell.start()
    assert cell.wait(400)
    assert cell.status["state"] == "failed"
    assert "was begun with learning_rate 0.5, not" in cell.status["message"]
    assert cell.task is None
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    cell.close()


def test_a_preview_that_raises_is_a_line_and_not_the_end(lesson):
    calls = []

    def preview(task):
        calls.append(task)
        raise KeyError("no such row")

    cell = lesson(steps=2)
    cell._preview = preview
    cell.start()
    assert cell.wait(240)
    assert cell.status["state"] == "finished", cell.status
    assert "The preview cannot be drawn" in cell.status["message"]
    assert "no such row" in cell.status["message"]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [("mapper-lessn", {}, "mapper-lessn"), ("mapper-lesson", {"stepz": 3}, "stepz")],
)
def test_a_recipe_that_does_not_exist_is_refused(tmp_path, recipe, changes, words):
    with pytest.raises(ValueError, match=words):
        TrainingCell(recipe, tmp_path / "run", **changes)


def test_without_its_kernel_a_cell_says_what_brings_it_back(lesson):
    assert "Run All Cells" in repr(lesson())


@pytest.fixture
def preparing(lesson, monkeypatch):
    """A cell that has begun to prepare, and the event that lets it go on."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*args):
        begun.set()
        assert go_on.wait(400)
        return build_task(*args)

    monkeypatch.setattr("l2l_widgets.widgets.training.training_cell.build_task", slowly)
    cell = lesson(steps=100_000)
    cell.start()
    assert begun.wait(400)
    return cell, go_on


def test_a_wait_does_not_end_before_there_is_anything_to_wait_for(preparing):
    """A notebook that waited a minute for a slow machine went on without a mapper."""
    cell, go_on = preparing
    threading.Timer(0.5, go_on.set).start()
    assert not asyncio.run(cell.until_done(seconds=0.1))
    assert cell.task is not None


def test_a_stop_while_it_prepares_is_not_lost(preparing):
    cell, go_on = preparing
    assert not cell.stop(timeout=0.1)
    go_on.set()
    assert cell.wait(240)
    assert (cell.status["state"], cell.status["step"]) == ("stopped", 0)


def test_a_stop_finds_something_to_stop_as_soon_as_it_is_offered(lesson):
    """It was offered before there was a training that could be stopped, and was lost."""
    cell, pressed = lesson(steps=100_000), []

    def press(change):
        if change["new"]["state"] == "running" and not pressed:
            pressed.append(change["new"]["step"])
            cell._handle({"kind": "stop", "client": "page", "number": 1})

    cell.observe(press, "status")
    cell.start()
    assert cell.wait(240)
    assert cell.status["state"] == "stopped", cell.status
    assert pressed[0] <= cell.status["step"] < 100_000
