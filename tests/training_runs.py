"""Short runs of the test task, and what the training tests ask of them."""

from __future__ import annotations

import time

import torch
from regression_task import make_task

from l2l_widgets.training import RunDirectory, Settings, look_at, train


def settings(steps, **changes):
    values = {"seed": 3, "checkpoint_every": 5, "log_every": 1, "device": "cpu", "threads": 1}
    return Settings(steps=steps, **{**values, **changes})


def fit(folder, steps, resume=False, task=None, callbacks=(), **changes):
    task = task or make_task(3)
    outcome = train(
        task,
        settings(steps, **changes),
        folder,
        resume=resume,
        callbacks=callbacks,
        progress=False,
    )
    return task, outcome


def state_of(task):
    """Everything that training changes: weights, averages, Adam's moments."""
    tensors = {}
    for name, module in task.modules().items():
        tensors.update({f"{name}.{key}": value for key, value in module.state_dict().items()})
    for name, optimizer in task.optimizers().items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors.update({f"adam.{name}.{index}.{k}": value for k, value in moments.items()})
    return tensors


def assert_equal_states(first, second):
    one, two = state_of(first), state_of(second)
    assert one.keys() == two.keys()
    assert len(one) > 12
    for key in one:
        assert torch.equal(one[key], two[key]), key


def losses(folder):
    return [(record["step"], record["loss"]) for record in RunDirectory(folder).history()]


def wait_for_step(folder, step, process=None):
    """Wait until a run has recorded a step; generous, as test machines are often busy."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        history = RunDirectory(folder).history()
        if history and history[-1]["step"] >= step:
            return
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended before step {step}: {process.communicate()}")
        time.sleep(0.02)
    raise AssertionError(f"{folder} did not reach step {step} in time")


def wait_for_state(folder, state):
    """Wait until a run says of itself that it is in a state."""
    end = time.monotonic() + 300
    while (found := look_at(folder).state) != state:
        assert time.monotonic() < end, f"{folder} is {found}, not {state}"
        time.sleep(0.02)
