"""Who trains in a run folder, and how far it is: a small file that the training process renews.

``process.json`` is written by the process that trains, at least every two seconds::

    {"pid": 4711, "host": "lab-3", "born": "81734", "alone": true, "state": "running",
     "message": "", "step": 120, "steps": 400, "memory": 812000000,
     "peak": 901000000, "beat": 1790000000.0}

A process that dies says nothing, so a reader does not believe the file alone. On the same machine
the process must exist and have been born when the file says (numbers of processes are used again);
from another machine, or where the birth is not known, the last beat must be recent.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from l2l_widgets.storage import StorageError, write_atomic

FILE = "process.json"
#: Seconds between two beats, and after how many without one a process does not answer.
BEAT_EVERY = 2.0
SILENT_AFTER = 30.0
#: States of a process that is at work; any other is an end.
AT_WORK = ("preparing", "running", "paused", "finishing")


class Presence:
    """Keeps ``process.json`` fresh while a block runs; says how the block ended.

    Parameters
    ----------
    folder : path
        The run folder; made where it does not exist.
    alone : bool
        Whether the process does nothing but train, so that ending it ends nothing else: a kernel
        with a training in it must not be sent a signal.

    Attributes
    ----------
    step, steps : int
        How far the training is; set by the loop at every step, written with the next beat.
    """

    def __init__(self, folder: str | os.PathLike[str], alone: bool = False) -> None:
        self.folder = Path(folder)
        self.step = self.steps = 0
        self._said = {"state": "preparing", "message": ""}
        self._who = _who(os.getpid(), alone)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Presence:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._over.clear()
        self._write()
        self._thread = threading.Thread(target=self._keep_beating, name="presence", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.tell("stopped", "Stopped before it could save")
        elif error is not None:
            self.tell("failed", " ".join(str(error).split()) or type(error).__name__)
        elif self._said["state"] in AT_WORK:
            self.tell("stopped")

    def tell(self, state: str, message: str = "") -> None:
        """Say at once what the process is doing, or how it ended."""
        self._said = {"state": state, "message": message}
        self._write()

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_EVERY):
            self._write()

    def _write(self) -> None:
        memory, peak = memory_used()
        values = {**self._who, **self._said, "step": self.step, "steps": self.steps}
        values.update(memory=memory, peak=peak, beat=time.time())
        # A disk that is full must not end a training that could go on without being watched.
        with self._lock, contextlib.suppress(OSError, StorageError):
            write_atomic(self.folder / FILE, json.dumps(values).encode())


def read_presence(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``process.json`` says; {} where there is none, or one that cannot be read."""
    try:
        values = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    complete = isinstance(values, dict) and {"pid", "host", "state", "beat"} <= set(values)
    return values if complete else {}


def announce(folder: str | os.PathLike[str], pid: int, message: str) -> None:
    """Write the first ``process.json`` of a process that will train, and nothing else."""
    values = {
        **_who(pid, alone=True), "state": "preparing", "message": message, "step": 0, "steps": 0,
        "memory": 0, "peak": 0, "beat": time.time(),
    }  # fmt: skip
    if read_presence(folder).get("pid") != pid:
        write_atomic(Path(folder) / FILE, json.dumps(values).encode())


def _who(pid: int, alone: bool) -> dict[str, Any]:
    return {"pid": pid, "host": socket.gethostname(), "born": born(pid), "alone": alone}


def is_alive(presence: dict[str, Any]) -> bool:
    """Whether the process that a presence speaks of still exists; False for {}."""
    if not presence:
        return False
    recent = time.time() - float(presence["beat"]) < SILENT_AFTER
    if presence["host"] != socket.gethostname():
        return recent
    try:
        os.kill(int(presence["pid"]), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):  # somebody else's, or no POSIX
        return recent
    now = born(int(presence["pid"]))
    return recent if now is None or presence.get("born") is None else now == presence["born"]


def born(pid: int) -> str | None:
    """When a process was started, as its system counts; None where that is not told.

    A dead process that its parent has not asked about yet counts as not there: "".
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return "" if fields[0] in "ZX" else fields[19]


def memory_used() -> tuple[int, int]:
    """Bytes of memory that this process holds now, and has held at most; 0 where not told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0, 0
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak, peak
    now = pages * os.sysconf("SC_PAGE_SIZE")
    return now, max(now, peak)
