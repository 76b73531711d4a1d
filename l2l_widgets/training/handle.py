"""Training in the background of a notebook: start, watch, pause, stop, wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from l2l_widgets.training.loop import Control, Outcome, Record, train
from l2l_widgets.training.task import Settings, Task


class TrainingHandle:
    """One run in a background thread.

    Parameters
    ----------
    task, settings, run_directory, config, resume
        As for `train`.
    on_step
        Called in the training thread with each history record.

    Attributes
    ----------
    history
        The records of this session so far.
    error
        What ended the run, or None. An exception in the thread never disappears: it is kept here
        and raised by `wait`.
    outcome
        How the run ended, or None while it runs.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        run_directory: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        resume: bool = False,
        on_step: Callable[[Record], None] | None = None,
    ) -> None:
        self.history: list[Record] = []
        self.error: BaseException | None = None
        self.outcome: Outcome | None = None
        self._control = Control()
        callbacks = (self.history.append,) if on_step is None else (self.history.append, on_step)

        def run() -> None:
            try:
                self.outcome = train(
                    task,
                    settings,
                    run_directory,
                    config=config,
                    resume=resume,
                    control=self._control,
                    callbacks=callbacks,
                    progress=False,
                )
            except BaseException as error:
                self.error = error

        # a daemon: closing the kernel must not wait for the end of a training
        self._thread = threading.Thread(target=run, name="training", daemon=True)

    def start(self) -> TrainingHandle:
        """Start the thread; return the handle itself."""
        self._thread.start()
        return self

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive (a paused run is)."""
        return self._thread.is_alive()

    @property
    def is_paused(self) -> bool:
        """Whether the run is held."""
        return self._control.paused

    def stop(self) -> None:
        """Ask the run to save and end after the step it is in."""
        self._control.stop()

    def pause(self) -> None:
        """Hold the run after the step it is in."""
        self._control.pause()

    def resume(self) -> None:
        """Let a held run go on."""
        self._control.resume()

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Wait for the end (seconds; None: for ever); raise what ended it, or return the outcome.

        Returns None when the time is over and the run still goes on.
        """
        self._thread.join(timeout)
        if self.error is not None:
            raise self.error
        return self.outcome
