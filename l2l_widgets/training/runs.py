"""Runs seen from outside: which there are, how they stand, and how to stop, hold and free one.

Whoever trains (this process, another one, a kernel that has been restarted since), the folder says
so. Nothing here starts a training; `recipes.processes` does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2l_widgets.storage import write_atomic
from l2l_widgets.training.presence import AT_WORK, SILENT_AFTER, is_alive, read_presence
from l2l_widgets.training.run_directory import RunDirectory, TrainingError

#: Records over which the rate is taken: the last ones, for a machine may have become busy.
RECENT = 12
DIED = "Its process ended without a word: killed, or the machine went down"


@dataclass(frozen=True)
class RunInfo:
    """How a run stands.

    Attributes
    ----------
    path : Path
        Its folder.
    recipe : str
        What is trained; empty where the folder does not say.
    state : str
        "preparing", "running", "paused", "finishing": a process is at work. "silent": it exists
        and has not answered for half a minute. "stopped", "finished", "failed": it ended so.
        "died": it ended without a word.
    message : str
        Why, or what it is doing.
    step, steps : int
        Done, and in all; ``steps`` is 0 where not known yet.
    seconds : float
        Of training so far.
    seconds_left : float or None
        At the present rate; None where it cannot be told.
    images_per_second : float or None
        Of the last records.
    memory, peak : int
        Bytes that the process holds, and has held at most; 0 where it does not run here.
    pid : int or None
        Of the process at work.
    beat : float
        When it last spoke, seconds since 1970; 0 where never.
    """

    path: Path
    recipe: str
    state: str
    message: str = ""
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    images_per_second: float | None = None
    memory: int = 0
    peak: int = 0
    pid: int | None = None
    beat: float = 0.0

    @property
    def at_work(self) -> bool:
        """Whether a process trains, prepares or waits in this folder."""
        return self.state in (*AT_WORK, "silent")

    @property
    def can_resume(self) -> bool:
        """Whether a training can go on here."""
        return not self.at_work and self.state != "finished" and RunDirectory(self.path).exists()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**self.__dict__, "path": str(self.path)}


class HistoryReader:
    """Reads a growing ``history.jsonl`` piece by piece; starts anew where it was rewound.

    Parameters
    ----------
    folder : path
        The run folder.

    Attributes
    ----------
    records : list of dict
        What was read so far.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / "history.jsonl"
        self.records: list[dict[str, Any]] = []
        self._file: tuple[int, int] | None = None  # device and inode
        self._offset = 0

    def read(self) -> bool:
        """Read what is new; whether there was anything."""
        try:
            with self.path.open("rb") as stream:
                stat = os.fstat(stream.fileno())
                if self._file != (stat.st_dev, stat.st_ino) or stat.st_size < self._offset:
                    self._file, self._offset = (stat.st_dev, stat.st_ino), 0
                    self.records = []
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return False
        whole = data.rfind(b"\n") + 1  # a line that is being written is left for the next time
        self._offset += whole
        for line in data[:whole].splitlines():
            try:
                self.records.append(json.loads(line))
            except ValueError:
                continue
        return whole > 0


def look_at(folder: str | os.PathLike[str], history: HistoryReader | None = None) -> RunInfo:
    """Say how the run in a folder stands; a folder without one is "failed", with the reason.

    Parameters
    ----------
    folder : path
        The run folder.
    history : HistoryReader, optional
        One that has read this folder before: then only what is new is read.
    """
    path = Path(folder)
    history = history or HistoryReader(path)
    history.read()
    records = history.records
    presence = read_presence(path)
    config: dict[str, Any] = {}
    message = str(presence.get("message", ""))
    try:
        config = RunDirectory(path).config()
    except TrainingError as error:
        message = message or str(error)
    state, alive = _state(path, presence, bool(config))
    if state == "died" and RunDirectory(path).stop_requested():
        state, message = "stopped", "Stopped before it could save"
    elif state == "died":
        safe = RunDirectory(path).what_is_safe()
        message = f"{DIED}; {safe}"
    elif state == "silent":
        message = f"Not heard of for {time.time() - float(presence['beat']):.0f} s"
    last = records[-1] if records else {}
    step = int(presence.get("step", 0)) if alive else 0
    step = max(step, int(last.get("step", 0)))
    steps = int(config.get("settings", {}).get("steps", 0) or presence.get("steps", 0))
    pace, rate = _rate(records)
    return RunInfo(
        path=path,
        recipe=str(config.get("recipe") or _started(path).get("recipe", "")),
        state=state,
        message=message,
        step=step,
        steps=steps,
        seconds=float(last.get("seconds", 0.0)),
        seconds_left=None if pace is None or not alive else pace * max(0, steps - step),
        images_per_second=rate,
        memory=int(presence.get("memory", 0)) if alive else 0,
        peak=int(presence.get("peak", 0)) if alive else 0,
        pid=int(presence["pid"]) if alive else None,
        beat=float(presence.get("beat", 0.0)),
    )


def list_runs(folder: str | os.PathLike[str]) -> list[RunInfo]:
    """The runs in a folder of run folders, those at work first, then the newest."""
    path = Path(folder)
    children = sorted(path.iterdir()) if path.is_dir() else []
    found = [
        child for child in children
        if (child / "config.json").is_file() or read_presence(child)
    ]  # fmt: skip
    runs = [look_at(child) for child in found]
    return sorted(runs, key=lambda run: (not run.at_work, -max(run.beat, _changed(run.path))))


def stop_run(folder: str | os.PathLike[str]) -> RunInfo:
    """Ask whoever trains in the folder to save and end after the step it is in.

    Raises
    ------
    TrainingError
        Nobody trains there.
    """
    run = _working(folder)
    presence = read_presence(run.path)
    write_atomic(run.path / "stop", b"")  # the loop looks for it, and it says why a process ended
    here = os.name == "posix" and presence["host"] == socket.gethostname()
    if here and presence.get("alone") is True:
        # Also heard while it prepares, before the loop looks for requests. The process is the one
        # that wrote the file: its time of birth has just been compared.
        os.kill(int(presence["pid"]), signal.SIGTERM)
    return run


def pause_run(folder: str | os.PathLike[str]) -> RunInfo:
    """Have whoever trains in the folder hold after the step it is in; its memory is kept."""
    run = _working(folder)
    RunDirectory(run.path).request_pause()
    return run


def continue_run(folder: str | os.PathLike[str]) -> RunInfo:
    """Let a held run go on."""
    run = _working(folder)
    RunDirectory(run.path).withdraw_pause()
    return run


def _working(folder: str | os.PathLike[str]) -> RunInfo:
    run = look_at(folder)
    if not run.at_work:
        raise TrainingError(f"{run.path} is not being trained: it is {run.state}")
    return run


def _state(path: Path, presence: dict[str, Any], has_run: bool) -> tuple[str, bool]:
    """The state's name, and whether a process is there."""
    state = str(presence.get("state", ""))
    if state in AT_WORK:
        if not is_alive(presence):
            return "died", False
        quiet = time.time() - float(presence["beat"]) > SILENT_AFTER
        return ("silent" if quiet else state), True
    if state:
        return state, False
    if (path / "final" / "scores.json").is_file():
        return "finished", False
    return ("stopped" if has_run else "failed"), False


def _started(path: Path) -> dict[str, Any]:
    try:
        values = json.loads((path / "start.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _rate(records: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Seconds a step and images a second over the last records."""
    recent = [r for r in records[-RECENT:] if "seconds" in r]
    if not recent:
        return None, None
    first = recent[0] if len(recent) > 1 else {"step": 0, "seconds": 0.0}
    steps = recent[-1]["step"] - first["step"]
    seconds = recent[-1]["seconds"] - first["seconds"]
    rates = [r["images_per_second"] for r in recent if "images_per_second" in r]
    return (
        seconds / steps if steps > 0 else None,
        sum(rates) / len(rates) if rates else None,
    )


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
