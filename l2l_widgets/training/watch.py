"""What a training shows of itself: the same faces at every checkpoint, and what its edits disturb.

A task may have two more methods than `Task` asks for::

    def pictures(self) -> Mapping[str, Tensor]:            # caption -> (B, 3, H, W) in [-1, 1]
    def leakage(self) -> Mapping[str, Mapping[str, float]]:  # asked -> what moved -> by how much

Their answers lie in ``pictures/`` of the run folder, one PNG a checkpoint, which carries captions
and leakage in its text. Looking must not cost much: the first look and the last are always taken;
between them one that would take those beyond :data:`SHARE` of the training's time is left out.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.images import grid, read_png_text, save_image
from l2l_widgets.training.schedules import seeded

#: Share of the training's time that looks between the first and the last may take.
SHARE = 0.04
#: Looks that are kept; of more, every other one is let go, the first and the last excepted.
MOST = 60
FOLDER = "pictures"
KEY = "l2l-watch"
#: White pixels between the faces of a sheet.
GAP = 2


@dataclass(frozen=True)
class Look:
    """One look at a training.

    Attributes
    ----------
    step : int
        When.
    path : Path
        The sheet, a PNG: a caption's pictures in a row.
    captions : tuple of str
        Of its rows, from the top.
    columns : int
        Pictures in a row.
    side : tuple of int
        Height and width of one picture, in pixels.
    leakage : mapping
        Asked attribute -> attribute -> mean change; empty for what edits nothing.
    """

    step: int
    path: Path
    captions: tuple[str, ...] = ()
    columns: int = 0
    side: tuple[int, int] = (0, 0)
    leakage: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Watch:
    """Looks at a task, within its share of the time.

    Parameters
    ----------
    task
        What is trained.
    folder : path
        The run folder.
    seed : int
        Of whatever the task draws for a look; the training's own random numbers are left alone.
    clock : callable
        Seconds; for tests.

    Attributes
    ----------
    spent : float
        Seconds of the looks that count towards their share.
    error : str
        Why there is nothing to see, if looking failed: the training goes on.
    """

    def __init__(
        self,
        task: Any,
        folder: str | os.PathLike[str],
        seed: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.folder = Path(folder) / FOLDER
        self.spent = self.longest = 0.0
        self.error = ""
        self._pictures = getattr(task, "pictures", None)
        self._leakage = getattr(task, "leakage", None)
        self._seed, self._clock = seed, clock
        self._last = -1

    def look(self, step: int, seconds: float, device: torch.device, always: bool = False) -> bool:
        """Look, where it is worth its time; whether it was done.

        Parameters
        ----------
        step : int
            Steps made.
        seconds : float
            Of training so far.
        device : torch.device
            Whose random numbers are put back afterwards.
        always : bool
            Whatever it costs: at the beginning and at the end.
        """
        if self._pictures is None or self.error or step == self._last:
            return False
        if not always and self.spent + self.longest > SHARE * seconds:
            return False
        start = self._clock()
        try:
            with torch.no_grad(), seeded(self._seed, "watch", device=device):
                rows = self._pictures()
                leakage = {} if self._leakage is None else self._leakage()
            self._write(step, rows, leakage)
        except Exception as error:  # what is only looked at must never end a training
            self.error = " ".join(str(error).split()) or type(error).__name__
            return False
        self._last = step
        took = self._clock() - start
        # An estimate of the next one: the very first is dearer, kernels are chosen and memory asked
        # for, so old ones are forgotten by and by.
        self.longest = max(0.5 * self.longest, took)
        self.spent += 0.0 if always else took
        return True

    def _write(
        self, step: int, rows: Mapping[str, Tensor], leakage: Mapping[str, Mapping[str, float]]
    ) -> None:
        images = torch.cat([row.detach().float().cpu() for row in rows.values()]).clamp(-1, 1)
        columns = len(next(iter(rows.values())))
        described = {
            "step": step,
            "captions": list(rows),
            "columns": columns,
            "side": list(images.shape[-2:]),
            "leakage": {
                asked: {name: round(float(v), 4) for name, v in moved.items()}
                for asked, moved in leakage.items()
                if all(math.isfinite(v) for v in moved.values())
            },
        }
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step-{step:07d}.png"
        save_image(path, grid(images, columns, GAP), text={KEY: json.dumps(described)})
        kept = sorted(self.folder.glob("step-*.png"))
        for old in kept[1:-1:2] if len(kept) > MOST else ():
            old.unlink(missing_ok=True)


def steps_seen(folder: str | os.PathLike[str]) -> list[int]:
    """The steps of which a run folder holds a look, in order."""
    found = (Path(folder) / FOLDER).glob("step-*.png")
    return sorted(int(p.stem[5:]) for p in found if p.stem[5:].isdigit())


def read_look(folder: str | os.PathLike[str], step: int) -> Look | None:
    """The look at a step; None where there is none, or one that cannot be read."""
    path = Path(folder) / FOLDER / f"step-{step:07d}.png"
    try:
        values = json.loads(read_png_text(path)[KEY])
        return Look(
            step=int(values["step"]),
            path=path,
            captions=tuple(map(str, values["captions"])),
            columns=int(values["columns"]),
            side=(int(values["side"][0]), int(values["side"][1])),
            leakage=values["leakage"],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
