"""Drawing shared out to processes of one thread each; the first that fails stops the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch


class ShareError(ValueError):
    """What ended one share of the work.

    Parameters
    ----------
    share : int
        Which one.
    reason : str
        One line.
    """

    def __init__(self, share: int, reason: str) -> None:
        super().__init__(reason)
        self.share = share


def share_out(
    work: Callable[..., Iterable[int]], shares: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, int]]:
    """Do each share in a process of its own.

    Parameters
    ----------
    work : callable
        A module's function that yields a number each time something is done.
    shares : sequence of tuple
        Its arguments, for one process each.

    Yields
    ------
    (share, number)
        As they come.

    Raises
    ------
    ShareError
        The first failure, after every process has been stopped. So it is when the caller stops
        asking, and a process whose parent is gone ends by itself.
    """
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    ends: dict[Connection, int] = {}
    try:
        for number, share in enumerate(shares):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, share, theirs), daemon=True)
            process.start()
            theirs.close()  # or its end would never be seen
            processes.append(process)
            ends[ours] = number
        while ends:
            for end in wait(list(ends)):
                assert isinstance(end, Connection)
                try:
                    said = end.recv()
                except EOFError:
                    number = ends.pop(end)
                    processes[number].join()
                    if code := processes[number].exitcode:
                        raise ShareError(
                            number,
                            f"a rendering process ended with code {code}; what is there is whole, "
                            "and the same command goes on from it",
                        ) from None
                    continue
                if isinstance(said, str):
                    raise ShareError(ends[end], said)
                yield ends[end], said
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _work(work: Callable[..., Iterable[int]], share: tuple[Any, ...], parent: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)
    with contextlib.suppress(BrokenPipeError):
        try:
            for done in work(*share):
                parent.send(done)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            parent.send(str(error))
        except Exception as error:  # a fault of ours: its kind says where to look
            parent.send(f"{type(error).__name__}: {' '.join(str(error).split())}")
