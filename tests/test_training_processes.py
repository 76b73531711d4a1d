"""Training seen from outside: kills, signals, a second process, a launch of two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from regression_task import make_task
from training_runs import assert_equal_states, fit, losses, settings, wait_for_step

from l2l_widgets.cli import main
from l2l_widgets.training import RunDirectory, TrainingHandle, load_checkpoint, stop_run

ROOT = Path(__file__).resolve().parent.parent
TASKS = Path(__file__).resolve().parent / "regression_task.py"


@pytest.fixture
def run_l2l():
    """Start `l2l` with the test recipes; whatever still runs at the end is killed."""
    started = []

    def start(*words):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "l2l_widgets", *words, "--recipes", str(TASKS)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_kill_9_loses_at_most_the_last_interval(tmp_path, run_l2l):
    folder = tmp_path / "run"
    whole, _ = fit(tmp_path / "whole", 150)
    arguments = ("--set", "checkpoint_every=5", "--set", "pause_seconds=0.1", "--steps", "150")
    first = ("train", "regression", "--run", str(folder), *arguments)
    before = 0
    for wait in (7, 18, 29):  # several moments of the checkpoint's cycle, none near the end
        process = run_l2l(*(first if before == 0 else ("resume", str(folder))))
        wait_for_step(folder, wait, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(400) == -signal.SIGKILL
        run = RunDirectory(folder)
        reached = run.history()[-1]["step"]
        saved = run.checkpoints()
        assert saved, "a killed run must keep its checkpoints"
        task = make_task(3)
        state = load_checkpoint(saved[-1], task.modules(), task.optimizers())
        assert reached - state["step"] <= 5
        assert state["step"] >= before
        before = state["step"]
    task, outcome = fit(folder, 150, resume=True)
    assert outcome.finished
    assert_equal_states(whole, task)
    assert losses(folder) == losses(tmp_path / "whole")


@pytest.mark.slow
def test_sigterm_saves_and_ends_cleanly(tmp_path, run_l2l):
    folder = tmp_path / "run"
    process = run_l2l(
        "train", "regression", "--run", str(folder), "--set", "checkpoint_every=1000",
        "--set", "pause_seconds=0.02", "--steps", "2000",
    )  # fmt: skip
    wait_for_step(folder, 5, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    reached = RunDirectory(folder).history()[-1]["step"]
    assert f"stopped and saved at step {reached} of 2000" in out
    assert (folder / f"step-{reached:07d}" / "state.json").is_file()


@pytest.mark.slow
def test_another_process_stops_a_run_and_may_not_train_in_it(tmp_path, run_l2l):
    handle = TrainingHandle(make_task(3, pause_seconds=0.01), settings(100_000), tmp_path / "run")
    handle.start()
    wait_for_step(tmp_path / "run", 3)
    process = run_l2l("resume", str(tmp_path / "run"))
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert err.strip().splitlines()[-1].startswith("l2l resume: ")
    stop_run(tmp_path / "run")
    outcome = handle.wait(400)
    assert outcome is not None
    assert not outcome.finished
    assert 3 <= outcome.step < 100_000
    # the old request does not stop the next run
    _, outcome = fit(tmp_path / "run", outcome.step + 2, resume=True)
    assert outcome.finished


def launch_two(*words):
    """Run a command of `l2l` on two processes under `accelerate launch`."""
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        "--main_process_port", "0", "-m", "l2l_widgets", *words,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    two = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=900)
    assert two.returncode == 0, two.stderr
    return two


@pytest.mark.slow
def test_two_processes_give_the_mappers_curve_of_one(tmp_path, tiny_world):
    """A recipe of the package, not the test's regression: all that it draws, `batch` draws."""
    fixed = ["train", "mapper", "--weights", str(tiny_world), "--steps", "4"]
    for name, value in {
        "faces": 48, "hidden_dim": 8, "layers": 1, "batch_size": 4, "calibration_faces": 0,
        "log_every": 1, "checkpoint_every": 100, "evaluate_every": 0, "threads": 1,
        "device": "cpu", "precision": "no", "triplets": tmp_path / "triplets",
    }.items():  # fmt: skip
        fixed += ["--set", f"{name}={value}"]
    assert main([*fixed, "--run", str(tmp_path / "one")]) == 0
    launch_two(*fixed, "--run", str(tmp_path / "two"))
    one, two = (RunDirectory(tmp_path / name).history() for name in ("one", "two"))
    assert [r["step"] for r in one] == [r["step"] for r in two] == [1, 2, 3, 4]
    for alone, together in zip(one, two, strict=True):
        for name in alone.keys() - {"seconds", "images_per_second"}:
            assert together[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-6), name
    assert one[-1]["attribute"] != one[0]["attribute"]


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(tmp_path, run_l2l):
    fixed = ("--set", "dropout=0", "--set", "log_every=1", "--steps", "30")
    one = run_l2l("train", "regression", "--run", str(tmp_path / "one"), *fixed)
    assert one.wait(600) == 0
    words = ("train", "regression", "--recipes", str(TASKS), "--run", str(tmp_path / "two"))
    two = launch_two(*words, *fixed)
    assert two.stdout.count("trained to step 30") == 1
    alone, together = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in together] == list(range(1, 31))
    differences = [abs(a - b) / a for (_, a), (_, b) in zip(alone, together, strict=True)]
    print(f"largest relative difference of the loss: {max(differences):.1e}")
    assert max(differences) < 1e-5
    # a half-batch loss averaged over two processes rounds differently: they were really two
    assert max(differences) > 0


@pytest.mark.slow
def test_launched_processes_share_an_evaluation(tmp_path, tiny_world):
    """Each measures its cells, and the first alone puts them together and says what was found."""
    words = [
        "evaluate", "--generator", str(tiny_world), "--attributes", "smile", "--faces", "4",
        "--parts", "request,equal", "--no-figures", "--out",
    ]  # fmt: skip
    two = launch_two(*words, str(tmp_path / "out"))
    assert "equal, mapper, training seed 0: smile\n" in two.stderr, (
        "the second cell is the second process's"
    )
    assert two.stdout.count("at equal achieved change") == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["cells"] == {"measured": 4, "found": 0, "failed": 0}
    assert report["equal_attributes"]
