"""Training: one loop for every recipe, a run folder that survives anything, a handle for notebooks.

`Task` says what is trained, `Settings` how, `train` does it, `TrainingHandle` does it in the
background of a notebook, `RunDirectory` reads what it left on disk.
"""

from __future__ import annotations

from l2l_widgets.training.handle import TrainingHandle
from l2l_widgets.training.loop import Control, Outcome, main_process_first, train
from l2l_widgets.training.presence import Presence, announce
from l2l_widgets.training.run_directory import RunDirectory, TrainingError, load_checkpoint
from l2l_widgets.training.runs import (
    HistoryReader,
    RunInfo,
    continue_run,
    list_runs,
    look_at,
    pause_run,
    stop_run,
)
from l2l_widgets.training.schedules import (
    cosine,
    derive_seed,
    make_generator,
    seeded,
    update_average,
    warmup,
)
from l2l_widgets.training.task import Context, Settings, Task
from l2l_widgets.training.watch import Look, Watch, read_look, steps_seen

__all__ = [
    "Context",
    "Control",
    "HistoryReader",
    "Look",
    "Outcome",
    "Presence",
    "RunDirectory",
    "RunInfo",
    "Settings",
    "Task",
    "TrainingError",
    "TrainingHandle",
    "Watch",
    "announce",
    "continue_run",
    "cosine",
    "derive_seed",
    "list_runs",
    "load_checkpoint",
    "look_at",
    "main_process_first",
    "make_generator",
    "pause_run",
    "read_look",
    "seeded",
    "steps_seen",
    "stop_run",
    "train",
    "update_average",
    "warmup",
]
