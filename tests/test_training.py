"""The training loop: exact resuming, stops, disks that refuse, functions of the step."""

from __future__ import annotations

import json
import math
import os
import resource
import threading
import time

import pytest
import torch
from regression_task import make_task
from torch import nn
from training_runs import (
    assert_equal_states,
    fit,
    losses,
    settings,
    wait_for_state,
    wait_for_step,
)

from l2l_widgets.training import (
    Context,
    RunDirectory,
    Settings,
    TrainingError,
    TrainingHandle,
    cosine,
    derive_seed,
    load_checkpoint,
    make_generator,
    seeded,
    update_average,
    warmup,
)


# -- resuming ----------------------------------------------------------------------------------
def test_ten_resume_ten_equals_twenty_bit_for_bit(tmp_path):
    whole, _ = fit(tmp_path / "whole", 20)
    fit(tmp_path / "parts", 10)
    parts, outcome = fit(tmp_path / "parts", 20, resume=True)
    assert outcome.finished
    assert outcome.step == 20
    assert_equal_states(whole, parts)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    first = load_checkpoint(tmp_path / "whole" / "step-0000020", {}, {})
    assert first["step"] == 20
    assert first["images"] == 20 * 32


def test_resume_drops_what_happened_after_the_checkpoint_and_a_torn_line(tmp_path):
    whole, _ = fit(tmp_path / "whole", 20)
    task, _ = fit(tmp_path / "run", 10)
    with open(tmp_path / "run" / "history.jsonl", "a") as file:
        file.write('{"step": 11, "loss": 99.0}\n{"step": 12, "lo')
    (tmp_path / "run" / ".partial-step-0000015-1").mkdir()
    assert RunDirectory(tmp_path / "run").history()[-1]["step"] == 11
    task, _ = fit(tmp_path / "run", 20, resume=True)
    assert_equal_states(whole, task)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert not list((tmp_path / "run").glob(".partial*"))


def test_resume_without_a_checkpoint_starts_again(tmp_path):
    whole, _ = fit(tmp_path / "whole", 8)
    RunDirectory(tmp_path / "run").create({"settings": {}})
    task, outcome = fit(tmp_path / "run", 8, resume=True)
    assert outcome.step == 8
    assert_equal_states(whole, task)
    assert RunDirectory(tmp_path / "run").config()["settings"]["steps"] == 8


def test_a_damaged_checkpoint_is_passed_over_and_replaced(tmp_path):
    whole, _ = fit(tmp_path / "whole", 20)
    fit(tmp_path / "run", 10)
    weights = tmp_path / "run" / "step-0000010" / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        task, _ = fit(tmp_path / "run", 20, resume=True)
    assert_equal_states(whole, task)


def test_a_damaged_checkpoint_does_not_push_out_the_good_ones_that_follow(tmp_path):
    """By number the damaged step 20 is the newest for ever: with keep=1 it outlived step 15."""
    folder = tmp_path / "run"
    whole, _ = fit(tmp_path / "whole", 17)
    fit(folder, 20)
    (folder / "step-0000020" / "state.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        task, _ = fit(folder, 17, resume=True, keep=1)
    assert [path.name for path in RunDirectory(folder).checkpoints()] == ["step-0000017"]
    assert (folder / "damaged-step-0000020" / "network.safetensors").is_file()
    task, outcome = fit(folder, 17, resume=True, keep=1)
    assert outcome.step == 17
    assert_equal_states(whole, task)


def test_where_no_checkpoint_can_be_read_nothing_is_begun_anew(tmp_path):
    folder = tmp_path / "run"
    fit(folder, 10)
    before = losses(folder)
    assert len(before) == 10
    for saved in RunDirectory(folder).checkpoints():
        (saved / "network.safetensors").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="damaged checkpoint"),
        pytest.raises(TrainingError, match=r"no checkpoint in .* can be read"),
    ):
        fit(folder, 12, resume=True)
    assert losses(folder) == before
    assert len(list(folder.glob("step-*"))) == 2


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    folder = tmp_path / "run"
    fit(folder, 5)
    (folder / "pictures").mkdir(exist_ok=True)
    old = [folder / ".best.0a1b2c3d.tmp", folder / "final" / ".x.safetensors.0a1b2c3d.tmp",
           folder / "pictures" / ".step-0000005.png.0a1b2c3d.tmp"]  # fmt: skip
    written_now, of_the_user = folder / ".process.json.0a1b2c3d.tmp", folder / ".notes.tmp"
    for path in (*old, written_now, of_the_user):
        path.write_bytes(b"half")
    os.utime(old[0], (1, 1))
    os.utime(of_the_user, (1, 1))
    fit(folder, 6, resume=True)
    assert not any(path.exists() for path in old)
    assert written_now.exists()
    assert of_the_user.exists()


def test_code_in_an_optimizer_file_does_not_run(tmp_path):
    fit(tmp_path / "run", 5)
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(canary),))

    torch.save({"state": Hostile()}, tmp_path / "run" / "step-0000005" / "network.optimizer.pt")
    with (
        pytest.warns(UserWarning, match="cannot be read as an optimizer's state"),
        pytest.raises(TrainingError, match="no checkpoint"),
    ):
        fit(tmp_path / "run", 6, resume=True)
    assert not canary.exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(tmp_path / "run", 5)
    with pytest.raises(TrainingError, match=r"belongs to another model.*size mismatch"):
        fit(tmp_path / "run", 6, resume=True, task=make_task(3, width=8))
    with pytest.raises(TrainingError, match="was begun with seed 3, not 4"):
        fit(tmp_path / "run", 6, resume=True, seed=4)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(11)
    expected = torch.randn(3)
    torch.manual_seed(11)
    fit(tmp_path / "run", 3)
    assert torch.equal(torch.randn(3), expected)


# -- kills and stops ---------------------------------------------------------------------------
def test_a_kill_inside_the_checkpoint_leaves_the_one_before(tmp_path, monkeypatch):
    """Stop at every single file operation of a checkpoint; the folder must load each time."""
    import l2l_widgets.training.run_directory as module

    fit(tmp_path / "run", 5)

    class Killed(BaseException):
        pass

    for name in ("save_safetensors", "write_atomic", "sync_folder"):
        original = getattr(module, name)

        def kill(*arguments, original=original):
            if "state.json" in str(arguments[0]) or original.__name__ != "write_atomic":
                raise Killed
            return original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, kill)
            with pytest.raises(Killed):
                fit(tmp_path / "run", 10, resume=True)
        task = make_task(3)
        state = RunDirectory(tmp_path / "run").load_checkpoint(task.modules(), task.optimizers())
        assert state["step"] in (5, 10)


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    endless = settings(100_000)
    handle = TrainingHandle(make_task(3, pause_seconds=0.01), endless, tmp_path / "run")
    handle.start()
    wait_for_step(tmp_path / "run", 3)
    with pytest.raises(TrainingError, match="is being trained by another"):
        fit(tmp_path / "run", 100_000, resume=True)
    handle.stop()
    assert handle.wait(120).step >= 3


# -- notebooks ---------------------------------------------------------------------------------
def test_handle_pauses_goes_on_and_stops(tmp_path):
    seen = []
    handle = TrainingHandle(
        make_task(3, pause_seconds=0.005), settings(100_000), tmp_path / "run", on_step=seen.append
    ).start()
    wait_for_step(tmp_path / "run", 3)
    handle.pause()
    wait_for_state(tmp_path / "run", "paused")  # the step it is in is done
    held = len(handle.history)
    time.sleep(0.2)
    assert handle.is_running
    assert handle.is_paused
    assert len(handle.history) == held
    handle.resume()
    wait_for_step(tmp_path / "run", held + 3)
    handle.stop()
    outcome = handle.wait(120)
    assert not handle.is_running
    assert outcome.step == handle.history[-1]["step"] == seen[-1]["step"]
    assert {"step", "loss", "penalty", "images_per_second", "seconds"} <= seen[-1].keys()
    assert (tmp_path / "run" / f"step-{outcome.step:07d}" / "state.json").is_file()


def test_handle_hands_over_what_ended_the_run(tmp_path):
    task = make_task(3)
    with torch.no_grad():
        task.network[0].weight.fill_(math.nan)
    handle = TrainingHandle(task, settings(5), tmp_path / "run").start()
    with pytest.raises(TrainingError, match="loss became nan at step 1"):
        handle.wait(120)
    assert isinstance(handle.error, TrainingError)


# -- the folder --------------------------------------------------------------------------------
def test_two_checkpoints_and_the_best_stay(tmp_path):
    _, _ = fit(tmp_path / "run", 40, checkpoint_every=5, evaluate_every=5, best_metric="test_loss")
    run = RunDirectory(tmp_path / "run")
    scored = {r["step"]: r["test_loss"] for r in run.history() if "test_loss" in r}
    assert sorted(scored) == list(range(5, 41, 5))
    best = min(scored, key=scored.get)
    assert run.best().name == f"step-{best:07d}"
    assert {path.name for path in run.checkpoints()} == {
        "step-0000035", "step-0000040", f"step-{best:07d}",
    }  # fmt: skip
    scores = json.loads((tmp_path / "run" / "final" / "scores.json").read_text())
    assert scores["test_loss"] == pytest.approx(scored[40])


def test_the_best_one_survives_when_it_is_old(tmp_path):
    task = make_task(3)
    values = iter([3.0, 1.0, 2.0, 5.0, 4.0, math.nan])
    task.evaluate = lambda step: {"test_loss": next(values)}
    task.finish = lambda directory: {}
    fit(tmp_path / "run", 12, task=task, checkpoint_every=2, evaluate_every=2,
        best_metric="test_loss")  # fmt: skip
    run = RunDirectory(tmp_path / "run")
    assert [p.name for p in run.checkpoints()] == ["step-0000004", "step-0000010", "step-0000012"]
    assert run.best().name == "step-0000004"
    assert run.history()[-1]["test_loss"] is None  # undefined, and still valid JSON


def test_a_folder_with_a_run_is_refused_and_untouched(tmp_path):
    fit(tmp_path / "run", 5)
    before = sorted(p.name for p in (tmp_path / "run").iterdir())
    with pytest.raises(TrainingError, match="already holds a run"):
        fit(tmp_path / "run", 5)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before
    with pytest.raises(TrainingError, match="holds no run"):
        fit(tmp_path / "nowhere", 5, resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot create the run folder .*file/run"):
        fit(tmp_path / "file" / "run", 5)


# -- disks and numbers -------------------------------------------------------------------------
def test_a_disk_that_refuses_the_checkpoint(tmp_path):
    """A real refusal: the system lets no file grow beyond 1,000 bytes from step 7 on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk(record):
        if record["step"] == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    try:
        with pytest.raises(TrainingError, match=r"cannot save step 10 .*step-0000005 is intact"):
            fit(tmp_path / "run", 20, callbacks=(fill_disk,), log_every=7)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "run").glob(".*"))
    whole, _ = fit(tmp_path / "whole", 20)
    task, _ = fit(tmp_path / "run", 20, resume=True)
    assert_equal_states(whole, task)


def test_a_disk_that_refuses_the_history(tmp_path):
    history = tmp_path / "run" / "history.jsonl"

    def fill_disk(record):
        if record["step"] == 7:
            history.rename(tmp_path / "kept.jsonl")
            history.symlink_to("/dev/full")

    with pytest.raises(TrainingError, match=r"history\.jsonl.*No space left.*step-0000005 is"):
        fit(tmp_path / "run", 20, callbacks=(fill_disk,))
    history.unlink()
    (tmp_path / "kept.jsonl").rename(history)
    whole, _ = fit(tmp_path / "whole", 20)
    task, _ = fit(tmp_path / "run", 20, resume=True)
    assert_equal_states(whole, task)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_loss_that_is_not_finite_ends_the_run_with_the_last_checkpoint_intact(tmp_path):
    task = make_task(3)

    def spoil(record):
        if record["step"] == 7:
            with torch.no_grad():
                task.network[0].weight[0, 0] = math.nan

    message = r"loss became nan at step 8; step-0000005 is intact"
    with pytest.raises(TrainingError, match=message):
        fit(tmp_path / "run", 20, task=task, callbacks=(spoil,))
    assert RunDirectory(tmp_path / "run").history()[-1]["step"] == 7
    whole, _ = fit(tmp_path / "whole", 20)
    again, _ = fit(tmp_path / "run", 20, resume=True)
    assert_equal_states(whole, again)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    task = make_task(3)

    def spoil(record):
        if record["step"] == 10:  # after the loss of step 10, before its checkpoint
            with torch.no_grad():
                task.average[0].weight[0, 0] = math.nan

    with pytest.raises(
        TrainingError, match=r"average\.0\.weight holds NaN .*step-0000005 is intact"
    ):
        fit(tmp_path / "run", 20, task=task, callbacks=(spoil,))
    assert [p.name for p in RunDirectory(tmp_path / "run").checkpoints()] == ["step-0000005"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, not 0"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"seed": True}, "seed must be an integer"),
        ({"checkpoint_every": 2.5}, "checkpoint_every must be an integer"),
        ({"precision": "fp16"}, r"precision must be one of .*bf16.*not 'fp16'"),
        ({"device": "tpu"}, "device must be one of"),
        ({"best_metric": "loss_of_face"}, "best_metric must end in"),
    ],
)
def test_settings_say_what_is_allowed(changes, message):
    with pytest.raises(TrainingError, match=message):
        Settings(**{"steps": 5, **changes})


def test_a_best_metric_that_is_not_evaluated_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"'other_loss' is not among .*: test_loss"):
        fit(tmp_path / "run", 5, evaluate_every=5, best_metric="other_loss")


def test_a_batch_whose_tensors_disagree_is_refused(tmp_path):
    task = make_task(3)
    task.batch = lambda step, generator: {"x": torch.zeros(4, 2), "y": torch.zeros(3, 1)}
    with pytest.raises(TrainingError, match=r"one first dimension, but they have \[4, 3\]"):
        fit(tmp_path / "run", 5, task=task)


# -- several processes, precision --------------------------------------------------------------
@pytest.mark.slow
def test_bf16_trains_with_float32_weights(tmp_path):
    before = make_task(3).evaluate(0)["test_loss"]
    task, outcome = fit(tmp_path / "run", 150, precision="bf16", log_every=50)
    assert task.network[0].weight.dtype == torch.float32
    assert outcome.scores["test_loss"] < 0.8 * before
    fit(tmp_path / "exact", 150, log_every=50)
    assert losses(tmp_path / "run") != losses(tmp_path / "exact")


def test_clipping_bounds_the_averaged_gradient():
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([parameter], lr=1.0)

    class OneProcess:
        device = torch.device("cpu")
        num_processes = 1
        process_index = 0

    context = Context(OneProcess(), {"p": optimizer}, steps=1)
    context.backward((parameter * 100).sum())
    context.optimize("p", max_norm=1.0)
    assert parameter.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert parameter.grad is None


# -- functions of the step ---------------------------------------------------------------------
def test_schedules_in_closed_form():
    assert [warmup(step, 4) for step in (0, 1, 3, 10)] == [0.25, 0.5, 1.0, 1.0]
    assert [warmup(step, 4) for step in (-100, -2, -1)] == [0, 0, 0]
    assert cosine(5, 10, 20) == 1.0
    assert cosine(15, 10, 20) == pytest.approx(0.5)
    assert cosine(15, 10, 20, floor=0.2) == pytest.approx(0.6)
    assert cosine(99, 10, 20, floor=0.2) == 0.2


def test_seeds_of_different_streams_share_nothing():
    seeds = {derive_seed(seed, step, "batch") for seed in range(20) for step in range(20)}
    assert len(seeds) == 400
    assert torch.equal(torch.rand(3, generator=make_generator(1, 2)),
                       torch.rand(3, generator=make_generator(1, 2)))  # fmt: skip
    with seeded(5, "a"):
        one = torch.rand(3)
    with seeded(5, "b"):
        two = torch.rand(3)
    assert not torch.equal(one, two)


def test_the_average_follows_by_its_decay():
    source, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    with torch.no_grad():
        source.weight.fill_(3.0)
        source.running_mean.fill_(7.0)
    update_average(average, source, 0.75)
    assert average.weight.tolist() == [1.5, 1.5, 1.5]
    assert average.running_mean.tolist() == [7.0, 7.0, 7.0]


def test_training_works_outside_the_main_thread(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(tmp_path / "run", 5)[1]))
    thread.start()
    thread.join(120)
    assert results[0].finished
