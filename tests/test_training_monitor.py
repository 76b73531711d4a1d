"""The training monitor without a browser, and the fields that its form shows."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from test_training_runs import TASKS, write_presence
from test_widgets import wait_for
from training_runs import fit

from l2l_widgets.recipes import list_recipes
from l2l_widgets.recipes.fields import check_fields, fields_of
from l2l_widgets.training.presence import is_alive, read_presence
from l2l_widgets.widgets import TrainingMonitor
from l2l_widgets.widgets.training.training_values import MAX_POINTS, history_value
from l2l_widgets.widgets.words import Words


@pytest.fixture
def monitor(tmp_path):
    made = []

    def make(**options):
        made.append(TrainingMonitor(tmp_path / "runs", recipes=TASKS, **options))
        return made[-1]

    yield make
    for one in made:
        for folder in one.folder.glob("*"):
            presence = read_presence(folder)
            if presence.get("pid") != os.getpid() and is_alive(presence):
                os.kill(presence["pid"], signal.SIGKILL)
        one.close()


class Page:
    """What a browser sends, with its numbers."""

    def __init__(self, monitor):
        self.monitor, self.number = monitor, 0

    def send(self, kind, **content):
        self.number += 1
        message = {"kind": kind, "client": "page", "number": self.number, **content}
        self.monitor._handle_custom_msg(json.loads(json.dumps(message)), [])
        assert self.monitor.answered["page"] == self.number
        return self.monitor.notice.get("error") or ""


def test_the_form_says_at_the_field_what_is_wrong(monitor):
    one = monitor(recipe="regression", steps=50)
    page = Page(one)
    assert one.form["recipe"] == "regression"
    assert one.form["values"] == {"steps": "50"}
    assert one.form["fields"][0]["name"] == "steps"
    assert one.form["fields"][0]["limits"] == "a whole number from 1 to 1,000,000,000"
    assert one.form["fields"][0]["meaning"] == "Step to train to."
    for name, value in (("batch_size", "0"), ("learning_rate", "nan"), ("precision", "fp8")):
        assert page.send("field", name=name, value=value) == ""
        assert "allowed" in one.form["wrong"][name]
    assert "batch_size is" in page.send("start"), "nothing is started"
    assert not one.folder.exists()
    for name, value in (("batch_size", "8"), ("learning_rate", "0.01"), ("precision", "no")):
        page.send("field", name=name, value=value)
    assert one.form["wrong"] == {}
    assert one.form["values"] == {"steps": "50", "batch_size": "8"}, "defaults are no changes"
    page.send("folder", value="../outside")
    assert "name of a new folder" in one.form["wrong"]["folder"]
    assert "name of a new folder" in page.send("start")
    page.send("recipe", name="second")
    assert one.form["values"] == {}
    assert "regression.safetensors" in one.form["missing"]


@pytest.mark.slow
def test_a_training_started_in_one_monitor_is_found_driven_and_ended_in_another(monitor):
    first = monitor(recipe="regression", steps=100_000, pause_seconds=0.01)
    page = Page(first)
    assert page.send("start") == ""
    assert first.run["state"] == "preparing"
    assert first.run["recipe"] == "regression"
    page.send("visible", visible=True)
    assert wait_for(lambda: first.run["step"] > 3, 300), first.run
    assert wait_for(lambda: len(first.history.get("steps", [])) > 3)
    first.close()  # as when its kernel is gone

    second = monitor()
    assert second.run["name"] == "regression", "what is at work is shown"
    page = Page(second)
    assert page.send("pause") == ""
    assert wait_for(lambda: second.info.state == "paused")
    assert page.send("resume") == ""
    assert wait_for(lambda: second.info.state == "running")
    assert page.send("stop") == ""
    assert second.wait(120)
    second.refresh()
    assert second.run["state"] == "stopped"
    assert second.run["can_resume"]
    assert second.history["steps"][-1] == second.run["step"]
    assert "stopped, step" in repr(second)


def test_a_second_training_gets_a_folder_of_its_own_and_old_runs_are_listed(monitor, tmp_path):
    fit(tmp_path / "runs" / "old", 4)
    write_presence(tmp_path / "runs" / "held", state="paused")
    one = monitor()
    assert [(run["name"], run["state"]) for run in one.runs] == [
        ("held", "paused"), ("old", "finished"),
    ]  # fmt: skip
    page = Page(one)
    assert page.send("select", run="old") == ""
    assert (one.run["state"], one.run["step"]) == ("finished", 4)
    assert one.history["steps"] == [1, 2, 3, 4]
    assert "is not being trained" in page.send("pause")
    assert "is finished" in page.send("resume")
    assert "allowed: a run of" in page.send("select", run="../old")
    assert "no such request" in page.send("dance")
    page.send("new")
    assert one.run == {}
    page.send("folder", value="old")
    assert "is there already" in one.form["wrong"]["folder"]


def test_the_faces_of_any_step_can_be_gone_back_to(monitor, tmp_path):
    import torch
    from regression_task import make_task

    task = make_task(3)
    task.pictures = lambda: {"a": torch.zeros(2, 3, 8, 8)}
    task.leakage = lambda: {"smile": {"smile": 0.5, "age": 0.1}}
    fit(tmp_path / "runs" / "seen", 10, task=task)
    one = monitor()
    last = one.look["steps"][-1]
    assert (one.look["step"], one.look["follows"]) == (last, True)
    assert one.look["sheet"]["data"].startswith(b"\x89PNG")
    page = Page(one)
    page.send("look", step=0)
    assert (one.look["step"], one.look["follows"]) == (0, False)
    page.send("look", step=None)
    assert one.look["step"] == last


def test_a_hidden_monitor_reads_nothing_and_a_forgotten_one_goes(monitor, tmp_path):
    one = monitor()
    assert one._pause_between_looks() is None
    fit(tmp_path / "runs" / "late", 2)
    time.sleep(0.3)
    assert one.runs == []
    page = Page(one)
    page.send("visible", visible=True)
    assert wait_for(lambda: [run["name"] for run in one.runs] == ["late"])
    page.send("visible", visible=False)
    assert one._pause_between_looks() is None
    thread = one._poller
    one.close()
    assert wait_for(lambda: not thread.is_alive())


def test_what_does_not_fit_is_refused_when_the_monitor_is_made(tmp_path):
    for options, words in (
        ({"recipe": "mapper-lessn"}, "mapper-lessn"),
        ({"recipe": "mapper-lesson", "stepz": 3}, "stepz"),
        ({"recipe": "mapper-lesson", "steps": 0}, "steps is '0'; allowed: a whole number"),
    ):
        with pytest.raises(ValueError, match=words):
            TrainingMonitor(tmp_path, **options)


def test_curves_are_thinned_and_end_with_the_last_record():
    records = [{"step": i, "seconds": i, "loss": 1 / i, "extra": 2.0} for i in range(1, 1000)]
    del records[0]["extra"]
    value = history_value(records, Words.of("en"))
    assert len(value["steps"]) <= MAX_POINTS + 1
    assert (value["steps"][0], value["steps"][-1]) == (1, 999)
    assert set(value["losses"]) == {"loss", "extra"}
    assert value["losses"]["extra"][0] is None
    assert history_value([], Words.of("en")) == {"steps": [], "losses": {}, "labels": {}}


@pytest.mark.parametrize("name", list(list_recipes()))
def test_every_recipe_has_a_form_and_its_own_defaults_fit_it(name):
    recipe = list_recipes()[name]
    fields = fields_of(recipe)
    assert {f.name for f in fields} == set(recipe.resolved()["config"]) | set(
        recipe.resolved()["settings"]
    )
    assert check_fields(recipe, {f.name: f.default for f in fields}) == {}
    as_text = {f.name: _typed(f.default) for f in fields}
    assert check_fields(recipe, as_text) == {}
    assert all(f.meaning for f in fields if f.group == "run")
    for field in fields:
        if field.kind in ("integer", "number", "words"):
            assert field.name in check_fields(recipe, {field.name: "no such word"}), field.name
        if field.low is not None:
            assert field.name in check_fields(recipe, {field.name: field.low - 1}), field.name


def test_two_values_that_do_not_fit_together_are_said_at_one_of_them():
    lesson = list_recipes()["mapper-lesson"]
    assert (
        "above psi_high" in check_fields(lesson, {"psi_low": "0.9", "psi_high": "0.5"})["psi_low"]
    )
    assert "no attribute" in check_fields(lesson, {"attributes": "smile,hatt"})["attributes"]
    assert check_fields(lesson, {"attributes": "smile, age"}) == {}


def _typed(value):
    """A default as a person would type it."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return json.dumps(value) if not isinstance(value, str) else value
