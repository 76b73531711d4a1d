"""Training: one loop for every recipe, a run folder that survives anything, a handle for notebooks.

`Task` says what is trained, `Settings` how, `train` does it, `TrainingHandle` does it in the
background of a notebook, `RunDirectory` reads what it left on disk.
"""

from __future__ import annotations

from l2l_widgets.training.handle import TrainingHandle
from l2l_widgets.training.loop import Control, Outcome, main_process_first, train
from l2l_widgets.training.run_directory import RunDirectory, TrainingError, load_checkpoint
from l2l_widgets.training.schedules import (
    cosine,
    derive_seed,
    make_generator,
    seeded,
    update_average,
    warmup,
)
from l2l_widgets.training.task import Context, Settings, Task

__all__ = [
    "Context",
    "Control",
    "Outcome",
    "RunDirectory",
    "Settings",
    "Task",
    "TrainingError",
    "TrainingHandle",
    "cosine",
    "derive_seed",
    "load_checkpoint",
    "main_process_first",
    "make_generator",
    "seeded",
    "train",
    "update_average",
    "warmup",
]
