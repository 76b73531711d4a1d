"""Which share of an evaluation's cells a process measures, and where the others come from.

``l2l evaluate --processes N`` starts the others itself; under ``accelerate launch`` they are there
already, one a device.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Place", "place_of", "share_threads"]


def _nobody() -> None:
    """There is nobody to wait for."""


@dataclass(frozen=True)
class Place:
    """A process among those that share an evaluation.

    Parameters
    ----------
    own, of : int
        Which share of how many; the first, 0, puts together what all have measured.
    meet : callable
        Waits until every process has come so far; a process that was started by the first needs
        not.
    helpers : callable, optional
        As :func:`l2l_widgets.evaluation.compare` takes it; of the first process.
    started, launched : bool
        Whether the first process started it, or ``accelerate launch``.
    """

    own: int = 0
    of: int = 1
    meet: Callable[[], None] = _nobody
    helpers: Callable[[], Callable[[], None]] | None = None
    started: bool = False
    launched: bool = False


def place_of(args: argparse.Namespace, processes: int) -> Place:
    """Return this process's place: alone, the first of some, or one of a launch.

    Raises
    ------
    ValueError
        Both ``--processes`` and a launch.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count < 2:
        return Place(0, processes, helpers=lambda: _start(args, processes))
    if processes > 1:
        raise ValueError(
            f"--processes is {processes}, and accelerate launch has started {count}; allowed: one "
            "or the other"
        )
    from accelerate import PartialState  # slow to import

    # the last process may need hours more than the first; the usual limit is half an hour
    state = PartialState(cpu=args.device == "cpu", timeout=timedelta(days=30))
    if args.device == "cuda":
        args.device = f"cuda:{state.local_process_index}"

    def helpers() -> Callable[[], None]:
        state.wait_for_everyone()  # they wait for the faces
        return state.wait_for_everyone

    return Place(
        state.process_index, state.num_processes, state.wait_for_everyone,
        None if state.process_index else helpers, launched=True,
    )  # fmt: skip


def share_threads(of: int) -> None:
    """Leave each process its part of the cores."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // of))


def _start(args: argparse.Namespace, of: int) -> Callable[[], None]:
    """Start the processes of all shares but the first; the answer waits for them."""
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    started = [
        context.Process(target=_measure, args=(args, own, of), daemon=True) for own in range(1, of)
    ]
    for process in started:
        process.start()

    def wait() -> None:
        for process in started:
            process.join()
        ended = sum(bool(process.exitcode) for process in started)
        if ended:
            print(
                f"{ended} of {len(started)} helping processes ended early; what they left is "
                "measured here",
                file=sys.stderr,
            )

    return wait


def _measure(args: argparse.Namespace, own: int, of: int) -> None:
    from l2l_widgets.cli.evaluate import compare_as_asked

    if args.device == "cuda":
        import torch

        args.device = f"cuda:{own % torch.cuda.device_count()}"
    compare_as_asked(args, Place(own, of, started=True))
