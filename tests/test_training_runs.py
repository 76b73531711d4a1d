"""Runs seen from outside: presence, looks, and a training in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from regression_task import make_task
from training_runs import fit, settings, wait_for_step

from l2l_widgets.recipes.processes import LOG, free_folder, resume_run, start_run
from l2l_widgets.training import (
    HistoryReader,
    Presence,
    RunDirectory,
    TrainingError,
    TrainingHandle,
    Watch,
    continue_run,
    list_runs,
    look_at,
    pause_run,
    read_look,
    steps_seen,
    stop_run,
)
from l2l_widgets.training.presence import FILE, SILENT_AFTER, born, is_alive, read_presence

TASKS = Path(__file__).resolve().parent / "regression_task.py"


def wait_for(question, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.05)
    return False


def write_presence(folder, **changes):
    """A file as a process of this machine writes it; this very process if nothing is changed."""
    folder.mkdir(exist_ok=True)
    values = {
        "pid": os.getpid(), "host": socket.gethostname(), "born": born(os.getpid()),
        "state": "running", "message": "", "step": 7, "steps": 40, "memory": 1, "peak": 2,
        "beat": time.time(), **changes,
    }  # fmt: skip
    (folder / FILE).write_text(json.dumps(values))


# -- who trains there ------------------------------------------------------------------------------


def test_a_finished_run_says_so_and_a_training_thread_is_seen_at_work(tmp_path):
    fit(tmp_path / "short", 6)
    run = look_at(tmp_path / "short")
    assert (run.state, run.step, run.steps) == ("finished", 6, 6)
    assert not run.at_work
    assert not run.can_resume
    handle = TrainingHandle(make_task(3, pause_seconds=0.01), settings(100_000), tmp_path / "long")
    handle.start()
    assert wait_for(lambda: look_at(tmp_path / "long").state == "running")
    wait_for_step(tmp_path / "long", 3)
    run = look_at(tmp_path / "long")
    assert run.at_work
    assert run.pid == os.getpid()
    assert run.memory > 1e6
    assert run.seconds_left > 0
    assert run.images_per_second > 0
    assert [r.path.name for r in list_runs(tmp_path)] == ["long", "short"]
    handle.stop()
    handle.wait(120)
    run = look_at(tmp_path / "long")
    assert run.state == "stopped"
    assert run.can_resume


def test_a_process_that_is_gone_is_not_believed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_presence(tmp_path / "gone", pid=gone.pid)
    run = look_at(tmp_path / "gone")
    assert run.state == "died"
    assert "no checkpoint had been saved yet" in run.message
    assert run.pid is None


def test_a_number_that_was_given_to_another_process_is_not_believed(tmp_path):
    write_presence(tmp_path / "other", born="1")
    alive = look_at(tmp_path / "other").state != "died"
    assert alive == (born(os.getpid()) is None), "only where the time of birth is told"


def test_a_dead_child_that_nobody_asked_about_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert wait_for(lambda: born(child.pid) in ("", None))
    child.wait()


def test_a_process_that_does_not_answer_is_silent_and_one_of_another_machine_gone(tmp_path):
    late = time.time() - SILENT_AFTER - 5
    write_presence(tmp_path / "quiet", beat=late)
    run = look_at(tmp_path / "quiet")
    assert run.state == "silent"
    assert run.at_work, "it exists, so its folder is taken"
    assert re.search(r"Not heard of for [3-9]\d s", run.message), run.message
    write_presence(tmp_path / "far", host="elsewhere", beat=late)
    assert look_at(tmp_path / "far").state == "died"
    write_presence(tmp_path / "far", host="elsewhere")
    assert look_at(tmp_path / "far").state == "running"


def test_damage_and_absence_are_words_not_errors(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FILE).write_text("{half")
    assert read_presence(tmp_path / "run") == {}
    assert not is_alive({})
    run = look_at(tmp_path / "run")
    assert run.state == "failed"
    assert "holds no run" in run.message
    assert list_runs(tmp_path / "nowhere") == []
    for ask in (stop_run, pause_run, continue_run):
        with pytest.raises(TrainingError, match="is not being trained: it is failed"):
            ask(tmp_path / "run")


def test_presence_says_how_its_block_ended(tmp_path):
    def end(error):
        with Presence(tmp_path / "run"):
            raise error

    for error, state in ((ValueError("no\nluck"), "failed"), (SystemExit(0), "stopped")):
        with pytest.raises(type(error)):
            end(error)
        assert read_presence(tmp_path / "run")["state"] == state
    with pytest.raises(ValueError, match="no"):
        end(ValueError("no\nluck"))
    assert read_presence(tmp_path / "run")["message"] == "no luck"


def test_history_is_read_piece_by_piece_and_again_after_a_rewind(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({})
    reader = HistoryReader(tmp_path / "run")
    assert not reader.read()
    for step in (1, 2, 3):
        run.append({"step": step})
    assert reader.read()
    assert not reader.read()
    with (tmp_path / "run" / "history.jsonl").open("a") as stream:
        stream.write('{"step": 4')  # being written
    assert not reader.read()
    assert [r["step"] for r in reader.records] == [1, 2, 3]
    run.rewind_history(1)
    assert reader.read()
    assert [r["step"] for r in reader.records] == [1]


# -- what it shows of itself -----------------------------------------------------------------------


class Shows:
    """A task that shows a picture, and takes a while to."""

    def __init__(self):
        self.now = 0.0
        self.cost = 1.0
        self.drawn = 0

    def pictures(self):
        self.now += self.cost
        self.drawn += 1
        return {"one": torch.zeros(2, 3, 8, 8), "two": torch.rand(2, 3, 8, 8)}

    def leakage(self):
        return {"smile": {"smile": 0.5, "age": -0.1}, "age": {"smile": float("nan")}}


def test_looks_keep_to_their_share_of_the_time(tmp_path):
    task = Shows()
    watch = Watch(task, tmp_path, clock=lambda: task.now)
    cpu = torch.device("cpu")
    before = torch.get_rng_state()
    assert watch.look(0, 0.0, cpu, always=True)
    assert not watch.look(5, 20.0, cpu), "a look of one second would be a twentieth"
    assert watch.look(10, 70.0, cpu)
    assert not watch.look(15, 71.0, cpu) or watch.spent < 0.04 * 71
    taken = sum(watch.look(step, float(step), cpu) for step in range(80, 400))
    assert 5 <= taken < 16
    assert watch.spent <= 0.04 * 400
    assert torch.equal(torch.get_rng_state(), before), "the training's numbers are left alone"
    assert steps_seen(tmp_path)[:2] == [0, 10]
    look = read_look(tmp_path, 10)
    assert (look.step, look.captions, look.columns) == (10, ("one", "two"), 2)
    assert look.side == (8, 8)
    assert look.leakage == {"smile": {"smile": 0.5, "age": -0.1}}, "what is no number is left out"
    assert read_look(tmp_path, 5) is None


def test_a_look_that_fails_ends_nothing(tmp_path):
    class Broken:
        def pictures(self):
            raise RuntimeError("no face today")

    watch = Watch(Broken(), tmp_path)
    assert not watch.look(0, 0.0, torch.device("cpu"), always=True)
    assert watch.error == "no face today"
    assert not Watch(object(), tmp_path).look(0, 0.0, torch.device("cpu"), always=True)
    assert steps_seen(tmp_path) == []


def test_many_looks_are_thinned_and_the_first_stays(tmp_path):
    task = Shows()
    task.cost = 0.0
    watch = Watch(task, tmp_path, clock=lambda: task.now)
    for step in range(64):
        assert watch.look(step, 1.0, torch.device("cpu"))
    seen = steps_seen(tmp_path)
    assert len(seen) <= 60
    assert (seen[0], seen[-1]) == (0, 63)


def test_looking_does_not_change_what_is_trained(tmp_path):
    plain, _ = fit(tmp_path / "plain", 12)
    watched = make_task(3)
    watched.pictures = lambda: {"noise": torch.rand(1, 3, 8, 8)}
    fit(tmp_path / "watched", 12, task=watched)
    assert steps_seen(tmp_path / "watched")[0] == 0
    for one, two in zip(plain.network.parameters(), watched.network.parameters(), strict=True):
        assert torch.equal(one, two)


# -- a process of its own --------------------------------------------------------------------------


@pytest.fixture
def started(tmp_path):
    """Start runs of the test recipe; what is still at work in the end is ended, by its id."""
    folders = []

    def start(name="run", **changes):
        folder = tmp_path / name
        folders.append(folder)
        values = {"pause_seconds": 0.01, "steps": 100_000, **changes}
        return folder, start_run("regression", folder, changes=values, recipes=TASKS)

    yield start
    for folder in folders:
        presence = read_presence(folder)
        if is_alive(presence):
            os.kill(presence["pid"], signal.SIGKILL)


@pytest.mark.slow
def test_a_run_of_its_own_process_is_held_freed_stopped_and_resumed(started, tmp_path):
    folder, pid = started()
    assert look_at(folder).state == "preparing"
    assert look_at(folder).recipe == "regression"
    wait_for_step(folder, 3)
    run = look_at(folder)
    assert (run.state, run.pid) == ("running", pid)
    assert os.getpgid(pid) != os.getpgid(os.getpid()), "a kernel's end would take it along"
    with pytest.raises(TrainingError, match=f"is being trained by process {pid}"):
        resume_run(folder, recipes=TASKS)

    pause_run(folder)
    assert wait_for(lambda: look_at(folder).state == "paused")
    held = look_at(folder).step
    time.sleep(0.5)
    assert look_at(folder).step == held
    continue_run(folder)
    assert wait_for(lambda: look_at(folder).step > held)
    stop_run(folder)
    assert wait_for(lambda: look_at(folder).state == "stopped")
    stopped = look_at(folder)
    assert stopped.can_resume
    assert (folder / f"step-{stopped.step:07d}").is_dir()

    again = resume_run(folder, recipes=TASKS)
    assert again != pid
    assert wait_for(lambda: look_at(folder).step > stopped.step)
    os.kill(again, signal.SIGKILL)
    assert wait_for(lambda: look_at(folder).state == "died")
    assert "is intact" in look_at(folder).message
    assert look_at(folder).can_resume


@pytest.mark.slow
def test_a_stop_before_the_first_step_is_heard_and_a_failure_says_why(started):
    folder, _ = started("early")
    stop_run(folder)
    assert wait_for(lambda: not look_at(folder).at_work)
    assert look_at(folder).state == "stopped", "asked before Python had even begun"
    assert not (folder / "config.json").exists()
    broken, _ = started("broken", dropout=2.0)
    assert wait_for(lambda: not look_at(broken).at_work)
    run = look_at(broken)
    assert run.state == "failed", run
    assert "dropout" in run.message
    # Python prints it when everything else is over.
    assert wait_for(lambda: "Traceback" in (broken / "log.txt").read_text())


def test_what_cannot_start_is_refused_before_a_process_is_made(tmp_path):
    refused = [
        ({"recipe": "regresion"}, "no recipe is named 'regresion'"),
        (
            {"changes": {"widht": 3}},
            "field 'widht' of recipe 'regression' is unknown; did you mean width",
        ),
        ({"changes": {"width": "wide"}}, "regression.width must be an integer"),
        ({"recipe": "second", "weights": tmp_path}, "needs"),
    ]
    for changes, words in refused:
        arguments = {"recipe": "regression", **changes}
        with pytest.raises(ValueError, match=words):
            start_run(folder=tmp_path / "run", recipes=TASKS, **arguments)
        assert not (tmp_path / "run").exists()
    with pytest.raises(TrainingError, match="no order to start one"):
        resume_run(tmp_path / "run")
    fit(tmp_path / "done", 2)
    with pytest.raises(TrainingError, match="already holds a run"):
        start_run("regression", tmp_path / "done", recipes=TASKS)
    with pytest.raises(TrainingError, match="is finished"):
        resume_run(tmp_path / "done", recipes=TASKS)
    write_presence(tmp_path / "taken")
    with pytest.raises(TrainingError, match=f"being trained by process {os.getpid()}"):
        start_run("regression", tmp_path / "taken", recipes=TASKS)
    assert free_folder(tmp_path / "done") == tmp_path / "done-2"


# -- the command line ------------------------------------------------------------------------------


def test_the_command_line_lists_runs_and_refuses_what_nobody_trains(tmp_path, capsys):
    from l2l_widgets.cli import main

    fit(tmp_path / "short", 3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_presence(tmp_path / "gone", pid=gone.pid)
    assert main(["runs", str(tmp_path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert {Path(run["path"]).name: run["state"] for run in listed} == {
        "gone": "died", "short": "finished",
    }  # fmt: skip
    assert main(["runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "3 of 3" in out
    assert "ended without a word" in out
    assert main(["runs", str(tmp_path), "--stop", "short"]) == 2
    assert "is not being trained: it is finished" in capsys.readouterr().err
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    assert "allowed: a folder of run folders" in capsys.readouterr().err


def test_the_command_line_holds_frees_and_stops_a_run(tmp_path, capsys):
    from l2l_widgets.cli import main

    handle = TrainingHandle(make_task(3, pause_seconds=0.01), settings(100_000), tmp_path / "long")
    handle.start()
    wait_for_step(tmp_path / "long", 2)
    assert main(["runs", str(tmp_path), "--pause", "long"]) == 0
    assert wait_for(lambda: look_at(tmp_path / "long").state == "paused")
    assert main(["runs", str(tmp_path), "--continue", "long"]) == 0
    assert wait_for(lambda: look_at(tmp_path / "long").state == "running")
    # The training is a thread of this process, which a signal would end.
    assert main(["runs", str(tmp_path), "--stop", "long"]) == 0
    assert "long" in capsys.readouterr().out
    outcome = handle.wait(120)
    assert not outcome.finished


@pytest.mark.slow
def test_a_folder_cannot_name_the_code_that_resumes_it(tmp_path):
    """A run may come from somebody else; only the caller says which file of recipes is imported."""
    folder, canary = tmp_path / "run", tmp_path / "canary"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(canary)!r}, 'w').close()\nRECIPES = ()\n", encoding="utf-8")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"recipe": "evil", "config": {}}))
    (folder / "history.jsonl").write_text("")
    (folder / "start.json").write_text(json.dumps({"recipe": "evil", "recipes": str(evil)}))
    resume_run(folder)
    assert wait_for(lambda: not look_at(folder).at_work)
    # Printed when everything else is over: by then the file would have been imported.
    said = lambda: (folder / LOG).read_text(encoding="utf-8")  # noqa: E731
    assert wait_for(lambda: "evil" in said()), "the recipe is unknown"
    assert not canary.exists()
