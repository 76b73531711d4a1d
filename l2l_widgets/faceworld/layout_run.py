"""Fill a folder in CelebAMask-HQ's layout, in this process or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from l2l_widgets.faceworld.batches import compiler_found
from l2l_widgets.faceworld.celebamask import (
    CONFIG,
    LayoutConfig,
    check,
    check_room,
    claim,
    survey,
    write_portraits,
    write_tables,
)
from l2l_widgets.faceworld.processes import share_out

#: Rays from which on compiling pays: about what is drawn without it while the compiler works.
WORTH_COMPILING = 100_000_000
#: Portraits of 128 pixels a process draws while another one starts.
WORTH_A_PROCESS = 32


def write_layout(
    folder: str | Path,
    config: LayoutConfig,
    count: int,
    progress: Callable[[int], None] = lambda done: None,
    jobs: int | None = 1,
    device: str = "cpu",
    compiled: bool | None = False,
) -> int:
    """Render what is missing of the first ``count`` portraits.

    Parameters
    ----------
    folder : path
        Created when missing. A folder that holds something else is refused.
    config : LayoutConfig
        What to render.
    count : int
        Pictures the folder shall hold, at least 1.
    progress : callable
        Told how many pictures are there: once before the first is drawn, then after every few.
    jobs : int or None
        Processes of one thread each; None for as many as pay, at most one a core. A graphics card
        takes one.
    device : str
        Where to draw.
    compiled : bool or None
        Compile the renderer first; None to do so where there is a compiler and enough to draw.

    Returns
    -------
    int
        Pictures that were rendered now; the others were there already.

    Raises
    ------
    ValueError
        An impossible count, seed or size, a folder of another kind or that cannot be written, or a
        disk without room. What was drawn before is whole, and the same call goes on from it.
    """
    check(config, count)
    folder = Path(folder)
    if not (folder / CONFIG).exists():  # refused before anything of it is made
        check_room(folder, config, count, count)
    with claim(folder, config):
        count, missing = survey(folder, count)
        check_room(folder, config, len(missing), count)
        done = count - len(missing)
        progress(done)
        small = (config.size / 128) ** 2
        if jobs is None:
            jobs = min(_cores(), int(len(missing) * small / WORTH_A_PROCESS))
        jobs = 1 if torch.device(device).type != "cpu" else max(1, min(jobs, len(missing)))
        if compiled is None:
            rays = len(missing) * (2 * config.size) ** 2 / jobs
            compiled = rays > WORTH_COMPILING and compiler_found()
        for more in _write(folder, config, missing, jobs, device, compiled):
            done += more
            progress(done)
        write_tables(folder, config, count)
    return len(missing)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # what a container leaves us
    return os.cpu_count() or 1


def _write(
    folder: Path, config: LayoutConfig, missing: list[int], jobs: int, device: str, compiled: bool
) -> Iterator[int]:
    if jobs == 1:
        yield from write_portraits(folder, config, missing, device, compiled)
        return
    shares = [(folder, config, missing[k::jobs], "cpu", compiled) for k in range(jobs)]
    for _, more in share_out(write_portraits, shares):
        yield more
