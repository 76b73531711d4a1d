"""The panel that does one edit to many faces: a batch in the background, told to the page."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.many.batch import Batch, BatchProgress, latents, parse_seeds, seeds

if TYPE_CHECKING:
    from l2l_widgets.session.edit_session import EditSession

#: Seconds between two messages to the page.
PAUSE = 0.2


class ManyFaces:
    """Runs at most one batch at a time.

    Parameters
    ----------
    session : EditSession
        Whose edits are done to the faces.
    publish : callable
        Gets the state of the run as plain values.
    folder : Path
        Output folders without a path of their own lie in it.
    """

    def __init__(
        self, session: EditSession, publish: Callable[[dict[str, Any]], None], folder: Path
    ) -> None:
        self._session, self._publish, self._folder = session, publish, folder
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        weakref.finalize(self, self._stop.set)

    @property
    def running(self) -> bool:
        """Whether a batch is under way."""
        return self._thread is not None and not self._ended.is_set()

    def handle(self, message: Mapping[str, Any]) -> bool:
        """Take ``start-many`` or ``stop-many``; False where it is neither."""
        kind = message.get("kind")
        if kind == "stop-many":
            self._stop.set()
        elif kind == "start-many":
            try:
                self._start(message)
            except Exception as error:  # here an exception would show nowhere in the page
                said = {"error": _line(error), "told": time.time()}
                self._publish({"running": self.running, **said})
        else:
            return False
        return True

    def close(self) -> None:
        """Stop after the face that is under way."""
        self._stop.set()

    def join(self, timeout: float = 60.0) -> bool:
        """Wait for the end; False when it took longer."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

    def _start(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            if self.running:
                raise ValueError("a run is under way; stop it first")
            where = str(message.get("out", "")).strip()
            if not where or "\x00" in where:
                raise ValueError(f"folder is {where!r}; allowed: a name or a path")
            faces = str(message.get("faces", "")).strip()
            if message.get("source") == "latents":
                items = latents(self._folder / faces)
            else:
                items = seeds(parse_seeds(faces))
            state, models = self._session.state, self._session.models
            scale = max(1, -(-256 // models.generator.img_resolution))
            batch = Batch(
                models, state.edits, items, self._folder / where,
                truncation_psi=state.truncation_psi, noise_mode=state.noise_mode, scale=scale,
                receipts=bool(message.get("receipts", True)),
            )  # fmt: skip
            self._stop, self._ended = stop, ended = threading.Event(), threading.Event()
            self._publish({"running": True, "done": 0, "total": len(items), "failed": 0})
            self._thread = threading.Thread(
                target=_run,
                args=(batch, stop, self._publish, ended, self._lock),
                name="l2l-many",
                daemon=True,
            )
            self._thread.start()


def _line(error: Exception) -> str:
    """An error as one line; of a file first its path, as the lines of this package have it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    line = (str(error).splitlines() or [""])[0]
    return re.sub(r"\s+", " ", line).strip() or type(error).__name__


def _run(
    batch: Batch,
    stop: threading.Event,
    publish: Callable[[dict[str, Any]], None],
    ended: threading.Event,
    starting: threading.Lock,
) -> None:
    """One batch on its thread; holds no panel, so that a forgotten one can end it."""
    last = 0.0
    state: dict[str, Any] = {"running": True, "done": 0, "total": len(batch.items), "failed": 0}

    def tell(progress: BatchProgress) -> None:
        nonlocal last, state
        state = {
            "running": True,
            "done": progress.done,
            "total": progress.total,
            "failed": progress.failed,
            "left": progress.seconds_left,
            "said": state.get("said", "")
            if progress.error is None
            else f"{progress.item}: {progress.error}",
        }
        if time.monotonic() - last > PAUSE:
            last = time.monotonic()
            publish(state)

    try:
        report = batch.run(tell, stop.is_set)
        last_word = {
            "done": report.done + report.skipped,
            "failed": len(report.failed),
            "folder": str(report.folder),
            "stopped": report.stopped,
            "finished": True,
        }
    except Exception as error:  # told where the run was started
        last_word = {"error": _line(error)}
    with starting:  # who reads that it is over may start the next one
        publish({**state, "running": False, **last_word})
        ended.set()
