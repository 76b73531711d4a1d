"""The folder of one training run: what is written, in which order, and how it is read back.

::

    config.json        the resolved configuration, written first
    history.jsonl      one JSON object a line, append-only
    step-0001200/      one checkpoint: <module>.safetensors, <optimizer>.optimizer.pt, state.json
    best               text file holding the name of a checkpoint
    damaged-step-...   a checkpoint that could not be read, set aside
    final/             the finished weights
    process.json       who trains, and how far it is (`presence.py`)
    pictures/          what the training shows of itself (`watch.py`)
    stop               created by anybody who wants the run to save and end
    pause              the same, to hold until it is removed

A checkpoint is written under a temporary name, synced to disk and then renamed, so a folder that
is named `step-NNNNNNN` is complete whatever happened to the process. All files are read as data:
safetensors, JSON, and `torch.load(weights_only=True)`; no code in a file ever runs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from l2l_widgets.storage import (
    InUseError,
    StorageError,
    load_safetensors,
    locked,
    remove_leftovers,
    save_safetensors,
    sync_folder,
    write_atomic,
)

STEP_NAME = re.compile(r"step-(\d{7,})")
#: Seconds after which a half-written file of the run folder itself is nobody's: other processes
#: write there too, to say how the run stands and to ask it to stop.
IDLE = 60.0


class TrainingError(ValueError):
    """A run that cannot start or go on; the message says why and what is still safe on disk."""


def _module_tensors(name: str, module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a CPU copy of a module's state; numbers that are not finite raise StorageError."""
    tensors = {}
    for key, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise StorageError(f"{name}.{key} holds NaN or infinity")
        # clone: safetensors refuses tensors that share memory (tied weights do)
        tensors[key] = value.detach().cpu().contiguous().clone()
    return tensors


class RunDirectory:
    """Reads and writes one run folder.

    Parameters
    ----------
    path
        The folder. Nothing is created until `create` is called.
    keep
        How many of the newest checkpoints stay; the best one stays besides.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2) -> None:
        self.path = Path(path)
        self.keep = keep
        self._damaged: list[Path] = []

    # -- configuration ---------------------------------------------------------------------------
    def exists(self) -> bool:
        """Say whether the folder holds a run."""
        return (self.path / "config.json").is_file()

    def refuse_run(self) -> None:
        """Raise TrainingError where the folder already holds a run."""
        if self.exists():
            raise TrainingError(
                f"{self.path} already holds a run: resume it, or name another folder"
            )

    def create(self, config: Mapping[str, Any]) -> None:
        """Create the folder and write `config.json`; a folder with a run is refused."""
        self.refuse_run()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"cannot create the run folder {self.path}: {error}") from error
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json`."""
        write_atomic(self.path / "config.json", (json.dumps(config, indent=1) + "\n").encode())

    def config(self) -> dict[str, Any]:
        """Return what `config.json` says."""
        try:
            loaded = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TrainingError(f"{self.path} holds no run: config.json is missing") from None
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.path / 'config.json'} cannot be read: {error}") from error
        if not isinstance(loaded, dict):
            raise TrainingError(f"{self.path / 'config.json'} must hold a JSON object")
        return loaded

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: a second process (or notebook) that trains in it is refused.

        As `storage.locked`.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self.path / "lock"))
            except InUseError:
                raise TrainingError(
                    f"{self.path} is being trained by another process or notebook"
                ) from None
            yield

    # -- history ---------------------------------------------------------------------------------
    def append(self, record: Mapping[str, Any]) -> None:
        """Append one line to `history.jsonl`."""
        try:
            with open(self.path / "history.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise TrainingError(
                f"cannot write {self.path / 'history.jsonl'}: {error}; {self.what_is_safe()}"
            ) from error

    def history(self) -> list[dict[str, Any]]:
        """Return all complete lines of `history.jsonl`; a line torn by a kill ends the list."""
        try:
            text = (self.path / "history.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        records = []
        for line in text.split(b"\n")[:-1]:  # what follows the last newline was never finished
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def rewind_history(self, step: int) -> None:
        """Drop the records after `step` and any torn line: those steps are about to run again."""
        if not (self.path / "history.jsonl").exists():
            return
        kept = [record for record in self.history() if record.get("step", 0) <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomic(self.path / "history.jsonl", text.encode())

    # -- checkpoints -----------------------------------------------------------------------------
    def checkpoints(self) -> list[Path]:
        """Return the complete checkpoints, oldest first."""
        return [entry for entry in self._step_folders() if (entry / "state.json").is_file()]

    def _step_folders(self) -> list[Path]:
        found = []
        for entry in self.path.iterdir() if self.path.is_dir() else []:
            if match := STEP_NAME.fullmatch(entry.name):
                found.append((int(match.group(1)), entry))
        return [entry for _, entry in sorted(found)]

    def save_checkpoint(
        self,
        step: int,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        state: Mapping[str, Any],
    ) -> Path:
        """Write `step-NNNNNNN/`, sync it, rename it into place, prune."""
        target = self.path / f"step-{step:07d}"
        temporary = self.path / f".partial-{target.name}-{os.getpid()}"
        try:
            temporary.mkdir()
            for name, module in modules.items():
                save_safetensors(
                    temporary / f"{name}.safetensors", _module_tensors(name, module), {}
                )
            for name, optimizer in optimizers.items():
                buffer = io.BytesIO()
                torch.save(optimizer.state_dict(), buffer)
                write_atomic(temporary / f"{name}.optimizer.pt", buffer.getvalue())
            write_atomic(temporary / "state.json", json.dumps({"step": step, **state}).encode())
            if target.exists():  # left by a run that was begun anew in this folder
                shutil.rmtree(target)
            os.rename(temporary, target)
            sync_folder(self.path)
        except (OSError, StorageError) as error:
            raise TrainingError(
                f"cannot save step {step} in {self.path}: {error}; {self.what_is_safe()}"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._prune()
        return target

    def mark_best(self, step: int) -> None:
        """Point `best` at the checkpoint of `step`; it is then never pruned."""
        write_atomic(self.path / "best", f"step-{step:07d}".encode())

    def best(self) -> Path | None:
        """Return the best checkpoint so far, or None."""
        try:
            name = (self.path / "best").read_text(encoding="utf-8").strip()
        except OSError:
            return None
        path = self.path / name
        return path if STEP_NAME.fullmatch(name) and path.is_dir() else None

    def load_checkpoint(
        self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
    ) -> dict[str, Any] | None:
        """Load the newest checkpoint that is whole; return its state, or None where there is none.

        A damaged checkpoint (a disk fault, not a kill: those leave none) is passed over with a
        warning, the one before it is used, and `clean` sets the damaged one aside. Where none is
        whole, TrainingError is raised: starting again at step 0 would overwrite what a repair of
        the disk might bring back.
        """
        self._damaged = []
        last: StorageError | None = None
        for path in reversed(self._step_folders()):
            try:
                return load_checkpoint(path, modules, optimizers)
            except StorageError as error:
                warnings.warn(f"passing over a damaged checkpoint: {error}", stacklevel=2)
                self._damaged.append(path)
                last = last or error
        if last is not None:
            raise TrainingError(
                f"no checkpoint in {self.path} can be read, and nothing has been changed: {last}; "
                "bring one back from a copy, or start a new run in another folder"
            )
        return None

    def clean(self) -> None:
        """Remove what a killed process left half-written, and old requests.

        The damaged checkpoints that `load_checkpoint` met are set aside under another name: by
        number they would count among the newest, which stay, and a good one would be pruned.
        """
        for entry in self.path.glob(".partial-*"):
            shutil.rmtree(entry, ignore_errors=True)
        remove_leftovers(self.path, IDLE)
        for folder in ("final", "pictures"):  # nobody but who trains writes there
            remove_leftovers(self.path / folder)
        for path in self._damaged:
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rename(path, aside)
        self._damaged = []
        for name in ("stop", "pause"):
            (self.path / name).unlink(missing_ok=True)

    def stop_requested(self) -> bool:
        """Say whether somebody asked for a stop."""
        return (self.path / "stop").exists()

    def request_pause(self) -> None:
        """Ask the process that trains in this folder, whichever it is, to hold."""
        self.config()  # refuses a folder without a run
        write_atomic(self.path / "pause", b"")

    def withdraw_pause(self) -> None:
        """Let a held run go on."""
        (self.path / "pause").unlink(missing_ok=True)

    def pause_requested(self) -> bool:
        """Say whether somebody asked the run to hold."""
        return (self.path / "pause").exists()

    def _prune(self) -> None:
        best = self.best()
        for path in self.checkpoints()[: -self.keep]:
            if path != best:
                shutil.rmtree(path, ignore_errors=True)

    def write_scores(self, scores: Mapping[str, float]) -> None:
        """Write the finished weights' scores beside them: `final/` is complete once it has this."""
        text = json.dumps(scores, indent=1) + "\n"
        write_atomic(self.path / "final" / "scores.json", text.encode())

    def what_is_safe(self) -> str:
        """Say in words which checkpoint an error has left on disk."""
        saved = self.checkpoints()
        return f"{saved[-1].name} is intact" if saved else "no checkpoint had been saved yet"


def load_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Any]:
    """Load one checkpoint folder into `modules` and `optimizers`, in place; return `state.json`.

    Everything is read before anything is changed, so a damaged file leaves the objects as they
    were. Raises StorageError for damage, TrainingError where names or shapes do not fit.
    """
    weights = {name: load_safetensors(path / f"{name}.safetensors")[0] for name in modules}
    states = {name: _read_optimizer(path / f"{name}.optimizer.pt") for name in optimizers}
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path / 'state.json'} cannot be read: {error}") from error
    try:
        for name, module in modules.items():
            module.load_state_dict(weights[name])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(states[name])
    except (RuntimeError, ValueError, KeyError) as error:
        message = " ".join(str(error).split())
        raise TrainingError(f"{path} belongs to another model: {message}") from error
    return state


def _read_optimizer(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damage: all mean the same here
        message = " ".join(str(error).split())[:200]
        raise StorageError(f"{path} cannot be read as an optimizer's state: {message}") from error
