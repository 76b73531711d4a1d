"""TrainingCell: a recipe's training inside a notebook, with Start, Stop and Resume.

The training runs in a background thread and writes an ordinary run folder: other cells keep
working, the kernel may be killed, and `l2l resume` would go on from the same folder. The cell only
starts, asks to stop, and shows what the run reports.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor

from l2l_widgets.images import grid
from l2l_widgets.policy import listen
from l2l_widgets.recipes import DEFAULT_WEIGHTS, build_task, get_recipe, input_hashes, list_recipes
from l2l_widgets.recipes.processes import free_folder
from l2l_widgets.recipes.progress import heard_by
from l2l_widgets.recipes.registry import refuse_other_run, run_config
from l2l_widgets.training import RunDirectory, Task, TrainingHandle
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.training.training_values import (
    curves_png,
    history_value,
    losses_rows,
    names_hidden,
)
from l2l_widgets.widgets.view import View

Preview = Callable[[Any], Mapping[str, Tensor]]

#: Seconds between two updates of the curves, and of the faces, which cost a pass of the generator.
CURVES_EVERY = 0.25
FACES_EVERY = 1.5
#: Seconds between two stills: who loses the kernel finds a picture that is hardly older.
STILL_EVERY = 20.0
#: Share of the steps below which a stopped run says that it is too early to judge.
ENOUGH = 1 / 3


class TrainingCell(View):
    """Train a recipe and watch it learn.

    Parameters
    ----------
    recipe : str
        Name of a recipe, as `l2l train --list` prints.
    run_directory : path
        Where the run is written. If it already holds a run, Resume goes on with it.
    preview : callable, optional
        Gets the task, between two steps; returns rows of faces, caption -> Tensor (B, 3, R, R),
        RGB in [-1, 1], which are drawn anew while the training goes on. If it raises, the message
        stands in the cell, nothing more is drawn, and the training goes on.
    weights : path
        Folder of the frozen models that the recipe needs.
    **changes
        Fields of the recipe to change, such as ``steps=200``.

    Attributes
    ----------
    task : Task or None
        What is trained; None until the first start.

    Raises
    ------
    ValueError
        No such recipe or field.
    """

    _esm = scripted("training", "curves.js", "training_cell.js")
    _css = themed("l2l-training-cell", "training", "training_cell.css")

    status = traitlets.Dict(help="state, step, steps, seconds left, message").tag(sync=True)
    history = traitlets.Dict(help="steps, losses (name -> values) and their labels").tag(sync=True)
    faces = traitlets.Dict(help="rows of pictures, and the step they were drawn at").tag(sync=True)

    def __init__(
        self,
        recipe: str,
        run_directory: str | Path,
        *,
        preview: Preview | None = None,
        weights: str | Path = DEFAULT_WEIGHTS,
        language: str | None = None,
        **changes: Any,
    ) -> None:
        self._recipe = get_recipe(recipe).replace(**changes)
        self._weights = Path(weights)
        self._preview = preview
        self.task: Task | None = None
        self.run_directory = Path(run_directory)
        self._run_handle: TrainingHandle | None = None
        self._thread: threading.Thread | None = None
        self._stop_wanted = threading.Event()
        self._records: list[dict[str, Any]] = []
        self._told = self._drawn = self._stood = 0.0
        self._rows_up: Mapping[str, Tensor] = {}
        self._undrawn = ""
        super().__init__(language=language)
        self._read_run()
        listen(self._hide_anew)

    # -- from Python or the page -------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the training, or what prepares it, is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start, or go on where the run stopped; does nothing while it runs."""
        with self._lock:
            if self.is_running:
                return
            self._stop_wanted.clear()
            self._thread = threading.Thread(target=self._run, name="l2l-training", daemon=True)
            self._thread.start()

    def start_over(self) -> None:
        """Start a new run in a new folder beside the old one, which is kept."""
        with self._lock:
            if self.is_running:
                return
            self.run_directory = free_folder(self.run_directory)
            self._records, self.task, self._rows_up = [], None, {}
        self.history, self.faces = {}, {}
        self.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """Stop after the step it is in, with a checkpoint written.

        Parameters
        ----------
        timeout : float
            Seconds to wait for it.

        Returns
        -------
        bool
            Whether it has stopped.
        """
        self._stop_wanted.set()  # there may be nothing to stop yet: asked before the first step
        thread, handle = self._thread, self._run_handle
        if handle is not None:
            handle.stop()
        if thread is not None:
            thread.join(timeout)
        return not self.is_running

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end (seconds; None: for ever); whether it came.

        It is drawn meanwhile, though no message of its page may be heard while Python waits.
        """
        if self._thread is not None:
            with self._awaited():
                self._thread.join(timeout)
        return not self.is_running

    async def until_done(self, seconds: float) -> bool:
        """Wait for the end without holding the kernel: Stop and the other widgets keep working.

        Parameters
        ----------
        seconds : float
            Longest wait, counted from the moment when the training takes its first step: a slow
            machine may need as long to prepare.

        Returns
        -------
        bool
            Whether the training has ended, by itself or by Stop.
        """
        end = math.inf
        while self.is_running and time.monotonic() < end:
            if end == math.inf and self._run_handle is not None:
                end = time.monotonic() + seconds
            await asyncio.sleep(0.1)
        self._send_history()  # which the next cell may read, though nobody looks at this one
        return not self.is_running

    @property
    def share_done(self) -> float:
        """Steps made, of all, in [0, 1]."""
        return self._step / self._recipe.settings.steps

    def summary(self) -> str:
        """One sentence for the cell below: how far the training is, and whether that is enough."""
        say = self._words
        steps = say("steps_of", step=self._step, steps=self._recipe.settings.steps)
        if self._state == "failed":
            return say("no_training", message=self.status["message"])
        if self.share_done >= 1:
            return say("trained_to_end", steps=steps)
        if self.share_done < ENOUGH:
            return say("only_steps", steps=steps, too_early=say("too_early"))
        return say("stopped_after", steps=steps)

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "start":
            self.start()
        elif kind == "start over":
            self.start_over()
        elif kind == "stop":
            with self._lock:  # said first: the end, which may come at once, is the last word
                handle = self._run_handle if self._state == "running" else None
                if handle is not None:
                    self._tell("stopping", self._words("stopping_after_step"))
            if handle is not None:  # not waited for: the page hears of the end through the status
                handle.stop()
        else:
            raise ValueError(f"{kind!r} is no request of this view")

    # -- the run, in its thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._train()
        except Exception as error:
            # Errors are data here too: the line stands in the cell, and the next start may work.
            self._send_history()
            self._tell("failed", self._words.said(f"{error}") or type(error).__name__)
        finally:
            self._run_handle = None
            self._show_still()

    def _train(self) -> None:
        recipe = self._recipe
        if self.task is None:
            self._tell("preparing", self._words("preparing_models"))
            inputs = input_hashes(recipe, list_recipes(), self._weights)
            if RunDirectory(self.run_directory).exists():
                refuse_other_run(RunDirectory(self.run_directory), recipe, inputs)
            with heard_by(self._tell_preparing):
                self.task = build_task(recipe, self._weights)
            self._config = run_config(recipe, self._weights, inputs)
        self._undrawn = ""  # the cell with the preview may have been mended and run again
        if self._preview is not None:
            self._tell("preparing", self._words("preparing_faces"))
        self._draw_faces(self._step)
        if self._stop_wanted.is_set():
            self._tell("stopped", self._words("stopped_before"))
            return
        self._run_handle = TrainingHandle(
            self.task,
            recipe.settings,
            self.run_directory,
            config=self._config,
            resume=RunDirectory(self.run_directory).exists(),
            on_step=self._on_step,
        ).start()
        self._tell("running", self._words("learning"))  # not before there is something to stop
        if self._stop_wanted.is_set():  # while it was started
            self._run_handle.stop()
        outcome = self._run_handle.wait()
        assert outcome is not None  # waiting without a limit ends with an outcome or an error
        self._send_history()
        self._draw_faces(outcome.step)
        if outcome.finished:
            self._tell("finished", self._words("finished_after", step=outcome.step))
        else:
            early = outcome.step < ENOUGH * recipe.settings.steps
            say, steps = self._words, recipe.settings.steps
            next_step = say("too_early" if early else "resume_goes_on")
            line = say("stopped_and_saved", step=outcome.step, steps=steps, next=next_step)
            self._tell("stopped", line)

    def _tell_preparing(self, line: str) -> None:
        self._tell("preparing", self._words("preparing_line", line=self._words.said(line)))

    def _on_step(self, record: dict[str, Any]) -> None:
        self._records = [r for r in self._records if r["step"] < record["step"]]
        self._records.append(dict(record))
        if self.is_hidden:  # what is up is brought up to date when somebody looks
            return
        now = time.monotonic()
        if now - self._told >= CURVES_EVERY:
            self._told = now
            self._send_history()
            with self._lock:  # it may be told to stop while it is asked
                if self._state == "running":
                    self._tell("running", self._words("learning"))
        if now - self._drawn >= FACES_EVERY:
            self._draw_faces(record["step"])
        if now - self._stood >= STILL_EVERY:
            self._stood = now
            self._show_still()

    def _seen_anew(self) -> None:
        """Show how far it has come meanwhile; its faces are drawn after the next step."""
        with self._lock:  # it may end while it is asked
            if not self.is_hidden and self._state == "running":
                self._send_history()
                self._tell("running", self._words("learning"))

    @property
    def _step(self) -> int:
        return int(self._records[-1]["step"]) if self._records else 0

    @property
    def _state(self) -> str:
        return str(self.status.get("state", ""))

    # -- to the page -------------------------------------------------------------------------------

    def _read_run(self) -> None:
        """Show what the folder already holds: a kernel may have died since."""
        directory = RunDirectory(self.run_directory)
        if directory.exists():
            self._records = directory.history()
            self._send_history()
            self._tell("stopped", self._words("holds_run", step=self._step))
        else:
            self._tell("ready", f"{self._recipe.name}: {self._summary()}".rstrip(": "))

    def _summary(self) -> str:
        """What the recipe is for; "" where that names a hidden attribute."""
        summary = self._recipe.summary
        return "" if names_hidden(summary) else self._words.said(summary)

    def _tell(self, state: str, message: str = "") -> None:
        steps = self._recipe.settings.steps
        last = self._records[-1] if self._records else {}
        seconds = float(last.get("seconds", 0.0))
        if self._undrawn and state != "failed":
            message = f"{message}. {self._words('no_preview', message=self._undrawn)}"
        with self._lock:
            self.status = {
                "state": state,
                "message": message,
                "step": self._step,
                "steps": steps,
                "seconds": seconds,
                "seconds_left": seconds / self._step * (steps - self._step) if self._step else None,
                "run_directory": str(self.run_directory),
            }

    def _send_history(self) -> None:
        self.history = history_value(list(self._records), self._words)  # it goes on meanwhile

    def _draw_faces(self, step: int) -> None:
        if self._preview is None or self.task is None or self._undrawn:
            return
        # The preview is the user's code and must not disturb what is trained, nor end it.
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                rows = self._preview(self.task)
            rows = {name: images for name, images in rows.items() if not names_hidden(name)}
            pictures = [
                {"caption": caption, "pictures": [picture_value(image.float()) for image in images]}
                for caption, images in rows.items()
            ]
            rows_up = {caption: images.float().cpu() for caption, images in rows.items()}
        except Exception as error:
            self._undrawn = self._words.said(" ".join(f"{error}".split())) or type(error).__name__
            return
        self.faces = {"step": step, "rows": pictures}
        self._rows_up = rows_up
        self._drawn = time.monotonic()

    def _hide_anew(self) -> None:
        """The list of hidden attributes changed: rows that name one go."""
        rows = [row for row in self.faces.get("rows", []) if not names_hidden(row["caption"])]
        self._rows_up = {n: up for n, up in self._rows_up.items() if not names_hidden(n)}
        if self.faces:
            self.faces = {**self.faces, "rows": rows}
        if self._state == "ready":
            self._read_run()
        self._show_still()

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        steps = self._recipe.settings.steps
        return self._words("about_cell", recipe=self._recipe.name, step=self._step, steps=steps)

    def _without_still(self) -> str:
        summary = self._summary().rstrip(".") or self._recipe.name
        return self._words(
            "still_cell_nothing", about=self._about(), summary=summary, recipe=self._recipe.name
        )

    def _still_parts(self) -> Still | None:
        """The faces that were drawn last, or else the curves."""
        say = self._words
        rows = losses_rows(self.history, say)
        words = f"{self._about()}. {self.status.get('message', '')}".rstrip(". ")
        head = (say("head_loss"), say("head_first"), say("head_last"))
        lines = list(self._rows_up.items())
        if lines:
            columns = max(len(images) for _, images in lines)
            blank = torch.ones_like(lines[0][1][0])
            cells = [
                image
                for _, images in lines
                for image in (*images, *([blank] * (columns - len(images))))
            ]
            names = ", ".join(caption for caption, _ in lines)
            words = say("rows_named", about=words, names=names)
            return Still(grid(torch.stack(cells), columns), words, head, rows)
        curves = curves_png(self.history, self._words)
        return None if curves is None else Still(curves, words, head, rows)
