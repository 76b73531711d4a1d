"""One measurement a file, so that a killed run goes on where it was.

A cell is whole or absent: it is written under a temporary name and renamed. Cells of another
protocol, or of other weights, must not be mixed with these: ``run.json`` says what was asked, and
a folder that was begun with something else is refused by the first field that differs, but for
what a run may gain (``growth.py``).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from l2l_widgets.evaluation.growth import STALE, with_what_may_grow
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors, write_atomic

T = TypeVar("T")


class Cells:
    """The measurements of one run, kept in a folder.

    Parameters
    ----------
    folder : path
        The report's folder; made where it does not exist.
    settings : mapping
        All that decides what the numbers are, as JSON values.
    may_grow : bool
        Whether a run may be gone on with that has fewer methods, parts or training seeds than
        these settings; ``run.json`` then says what these say.

    Raises
    ------
    ValueError
        The folder holds a run with other settings.
    """

    def __init__(
        self, folder: str | Path, settings: Mapping[str, Any], may_grow: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.failed: list[dict[str, Any]] = []
        self._measured: set[str] = set()
        self._found: set[str] = set()
        #: Seconds that each cell took, of those that were asked for, whoever measured it and when.
        self.seconds: dict[str, float] = {}
        plain = json.loads(json.dumps(settings))
        path = self.folder / "run.json"
        if not path.is_file():
            (self.folder / "cells").mkdir(parents=True, exist_ok=True)
            write_atomic(path, (json.dumps(plain, indent=1) + "\n").encode())
        elif (begun := _begun_with(path, plain, may_grow)) != plain:
            if any(begun.get(field) != plain.get(field) for field in ("methods", "trained")):
                for cell in (self.folder / "cells").glob(f"{STALE}--*.safetensors"):
                    cell.unlink()
            write_atomic(path, (json.dumps(plain, indent=1) + "\n").encode())
        #: What was at hand when the run was begun, or gone on with: the rest is this run's work,
        #: whichever of its processes did it.
        self._began = {file.name for file in (self.folder / "cells").glob("*.safetensors")}

    @property
    def measured(self) -> int:
        """Cells that this run measured, of those that were asked for."""
        return len(self._measured)

    @property
    def found(self) -> int:
        """Cells that were at hand before, of those that were asked for."""
        return len(self._found)

    def path(self, *key: str | int) -> Path:
        """Return the file of a cell; ``key`` is e.g. part, method, seed, attribute."""
        name = "--".join(plain_name(str(word)) for word in key)
        return self.folder / "cells" / f"{name}.safetensors"

    def get(
        self, key: tuple[str | int, ...], measure: Callable[[], Mapping[str, Tensor] | None]
    ) -> dict[str, Tensor] | None:
        """Return a cell, measured only where it is not at hand; None where it failed.

        A failure is noted in :attr:`failed` with its reason and the run goes on; it is tried again
        when the run is resumed. None from ``measure`` says that there is nothing to measure.
        """
        path = self.path(*key)
        try:
            if path.is_file():
                tensors, said = load_safetensors(path)
                (self._found if path.name in self._began else self._measured).add(path.name)
                self.seconds[path.name] = float(said.get("seconds", 0))
                return dict(sorted(tensors.items()))
        except StorageError:
            path.unlink()  # not a whole cell: measured again
            self._began.discard(path.name)
        began = time.perf_counter()
        made = self.attempt(key, lambda: dict(measure() or {}))
        if made is None:
            return None
        self.seconds[path.name] = took = time.perf_counter() - began
        save_safetensors(path, made, {"seconds": f"{took:.2f}"})
        self._measured.add(path.name)
        # in one order, whether measured now or found: rows of a report follow it
        return dict(sorted(made.items()))

    def attempt(self, key: tuple[str | int, ...], measure: Callable[[], T]) -> T | None:
        """Measure something that is not kept; None where it failed, which is noted as in `get`."""
        try:
            return measure()
        except Exception as error:  # whatever a foreign editor or judge raises is that cell's
            reason = " ".join(str(error).split()) or type(error).__name__
            part, method, seed, attribute = (*key, "", "", "", "")[:4]
            self.failed.append(
                {
                    "part": part, "method": method, "seed": seed, "attribute": attribute,
                    "reason": f"{type(error).__name__}: {reason}",
                }
            )  # fmt: skip
            return None


def plain_name(label: str) -> str:
    """Return a label in letters that every file system allows."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", label)


def _begun_with(path: Path, settings: Mapping[str, Any], may_grow: bool) -> Any:
    """Return the settings that a run has, of which these are what it may become; or refuse."""
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None
    same = isinstance(begun, dict) and may_grow
    grown = with_what_may_grow(begun, settings) if same else begun
    if grown != settings:
        field, held, asked = _first_difference(grown, settings)
        more = " (methods, parts and training seeds may be more)" if may_grow else ""
        raise ValueError(
            f"{path.parent}: holds a run whose {field} is {_short(held)}, not {_short(asked)}; "
            f"allowed: the same settings{more}, or another folder"
        )
    return begun


def _first_difference(held: Any, asked: Any, name: str = "") -> tuple[str, Any, Any]:
    """Name the innermost field that differs, e.g. ``plan.world``, and its two values."""
    if isinstance(held, dict) and isinstance(asked, dict) and (not name or set(held) == set(asked)):
        for key in sorted(set(held) | set(asked)):
            if held.get(key) != asked.get(key):
                inner = f"{name}.{key}" if name else key
                return _first_difference(held.get(key), asked.get(key), inner)
    return name or "form", held, asked


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 90 else text[:87] + "..."
