"""A training in a process of its own, which survives whoever started it.

:func:`start_run` checks everything that can be checked in a moment, starts
``python -m l2l_widgets.recipes.processes``, and returns. What the process has to say stands in its
run folder: `training.runs` reads that, stops it, holds it and frees it, from anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l_widgets.recipes.progress import heard_by
from l2l_widgets.recipes.registry import (
    DEFAULT_WEIGHTS,
    Recipe,
    get_recipe,
    input_hashes,
    list_recipes,
    recipe_of_run,
    run,
)
from l2l_widgets.storage import StorageError, write_atomic
from l2l_widgets.training import Presence, RunDirectory, TrainingError, announce, look_at

START, LOG = "start.json", "log.txt"


def start_run(
    recipe: Recipe | str,
    folder: str | os.PathLike[str],
    *,
    changes: Mapping[str, Any] | None = None,
    weights: str | os.PathLike[str] = DEFAULT_WEIGHTS,
    recipes: Path | None = None,
    threads: int | None = None,
) -> int:
    """Train a recipe in a process of its own.

    Parameters
    ----------
    recipe : Recipe or str
        What to train; a recipe of your own must come from ``recipes``.
    folder : path
        A folder without a run.
    changes : mapping, optional
        Fields of the recipe to change.
    weights : path
        Folder of the frozen models that the recipe needs.
    recipes : Path, optional
        A Python file whose ``RECIPES`` are used instead of the embedded ones.
    threads : int, optional
        CPU threads that the process may use; what the recipe says if not given.

    Returns
    -------
    int
        The process id.

    Raises
    ------
    ValueError
        An unknown recipe, a value that does not fit, missing weights, or a folder that is taken.
    """
    name = recipe if isinstance(recipe, str) else recipe.name
    known = list_recipes(recipes)
    fitting = get_recipe(name, known).replace(**(changes or {}))
    if threads is not None:
        fitting = fitting.replace(threads=threads)
    path = Path(folder)
    RunDirectory(path).refuse_run()
    _refuse_taken(path)
    input_hashes(fitting, known, Path(weights))
    resolved = fitting.resolved()
    order = {
        "recipe": name,
        "changes": {**resolved["config"], **resolved["settings"]},
        "weights": str(Path(weights).resolve()),
    }
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot create the run folder {path}: {error}") from error
    try:
        write_atomic(path / START, (json.dumps(order, indent=1) + "\n").encode())
    except StorageError:
        if is_new:  # or its name would be taken by nothing
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    return _spawn(path, resume=False, recipes=recipes)


def resume_run(folder: str | os.PathLike[str], *, recipes: Path | None = None) -> int:
    """Go on with a run in a process of its own; returns the process id.

    A run that ended before its first step is started.

    Raises
    ------
    ValueError
        No run, a finished one, or one that is being trained.
    """
    path = Path(folder)
    run_info = look_at(path)
    _refuse_taken(path)
    if run_info.state == "finished":
        raise TrainingError(f"{path} is finished: start a new run")
    if RunDirectory(path).exists():
        return _spawn(path, resume=True, recipes=recipes)
    if not (path / START).is_file():
        raise TrainingError(f"{path} holds no run, and no order to start one")
    return _spawn(path, resume=False, recipes=recipes)


def free_folder(path: Path) -> Path:
    """``path`` with the first number that makes it new: run, run-2, run-3."""
    candidate, count = path, 1
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{path.name}-{count}")
    return candidate


def _refuse_taken(path: Path) -> None:
    run_info = look_at(path)
    if run_info.at_work:
        raise TrainingError(
            f"{path} is being trained by process {run_info.pid}: stop it first, or name another "
            "folder"
        )


def _spawn(path: Path, resume: bool, recipes: Path | None) -> int:
    """Start the process, apart from this one: its own session, its output into a file.

    Which file of recipes is imported, and so runs, is said here and never read from the folder: it
    may come from somebody else.
    """
    package = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    environment = {
        **os.environ,
        # A notebook may have found the package beside itself.
        "PYTHONPATH": os.pathsep.join([package, *filter(None, [inherited])]),
    }
    words = ["resume" if resume else "start", str(path.resolve())]
    words += [] if recipes is None else [str(recipes.resolve())]
    with (path / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "l2l_widgets.recipes.processes", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # Not of the kernel's group, which is ended as a whole when the kernel is.
            start_new_session=True,
        )
    announce(path, process.pid, "Starting: Python, torch and the recipe are loaded")
    # Asked about when it ends, or it would stay in the table of processes as long as we live.
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()
    return process.pid


def main(words: Sequence[str]) -> int:
    """What the process does: ``start|resume FOLDER [RECIPES.py]``; returns the exit code."""
    resume, folder = words[0] == "resume", Path(words[1])

    def end(number: int, frame: Any) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)  # the loop has its own, which saves
    with Presence(folder, alone=True) as presence:
        known = list_recipes(Path(words[2]) if len(words) > 2 else None)
        if resume:
            recipe, weights = recipe_of_run(folder, known)
        else:
            order = json.loads((folder / START).read_text(encoding="utf-8"))
            recipe = get_recipe(order["recipe"], known).replace(**order["changes"])
            weights = Path(order["weights"])
            weights = DEFAULT_WEIGHTS if weights == DEFAULT_WEIGHTS.resolve() else weights
        presence.steps = recipe.settings.steps
        presence.tell("preparing", "Models and training data")
        with heard_by(lambda line: presence.tell("preparing", line)):
            run(
                recipe, folder, weights=weights, inputs=input_hashes(recipe, known, weights),
                resume=resume, presence=presence, progress=False,
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
