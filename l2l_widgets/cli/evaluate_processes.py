"""The other processes of ``l2l evaluate --processes N``: each measures its share of the cells."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable

__all__ = ["share_threads", "start_helpers"]


def start_helpers(args: argparse.Namespace, of: int) -> Callable[[], None]:
    """Start the processes of all shares but the first; the answer waits for them.

    Parameters
    ----------
    args : argparse.Namespace
        The command's words, checked.
    of : int
        Shares in all.
    """
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


def share_threads(of: int) -> None:
    """Leave each process its part of the cores."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // of))


def _measure(args: argparse.Namespace, own: int, of: int) -> None:
    from l2l_widgets.cli.evaluate import compare_as_asked

    if args.device == "cuda":
        import torch

        args.device = f"cuda:{own % torch.cuda.device_count()}"
    compare_as_asked(args, (own, of))
