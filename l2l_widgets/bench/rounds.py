"""Paired, interleaved timing.

Every side of a comparison runs in a process of its own: allocator settings and threads of one do
not reach the other. In each round every side works once, one after the other, in an order that is
turned from round to round; a slow moment of the machine then meets both, and the ratio within a
round survives it. Reported are the median of those ratios and their quartiles.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["compare", "machine"]


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Side:
    """One side of a comparison in its own process; see `l2l_widgets.bench.side`."""

    def __init__(self, subject: str, side: str, options: Mapping[str, Any], threads: int) -> None:
        self.name = side
        job = {"subject": subject, "side": side, "options": dict(options), "threads": threads}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "l2l_widgets.bench.side", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # NumPy's and SciPy's own threads, which torch's setting does not reach
            env={**os.environ, **dict.fromkeys(_THREADS, str(threads))},
        )
        try:
            self._answer()
        except ValueError:
            self.close()
            raise

    def work(self) -> dict[str, float]:
        """Have it work once: `wall` and `cpu` in seconds, `memory_mb` of the process."""
        return self._ask("work")

    def facts(self) -> dict[str, Any]:
        """What the side says of itself: differences, sizes."""
        return self._ask("facts")

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line.strip() else {"error": "it ended without an answer"}
        if "error" in answer:
            raise ValueError(f"side {self.name!r}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def compare(
    subject: str,
    sides: Sequence[str],
    options: Mapping[str, Any],
    rounds: int,
    threads: int,
    progress: Callable[[str], None] = lambda line: None,
    keep: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Time the sides of a subject against its first one.

    Parameters
    ----------
    subject
        Name in `l2l_widgets.bench.subjects.SUBJECTS`.
    sides
        Names of its sides; the first is the reference.
    options
        What the subject is built with.
    rounds
        Timed rounds after one that warms up, at least 1.
    threads
        Of torch and of NumPy, in each side.
    progress
        Gets one line before each step, and one after each round with its seconds.
    keep
        Gets the figures of the rounds so far after each timed one, without what the sides say of
        themselves, which is asked last.

    Returns
    -------
    dict
        Side -> `ratio` (how many times faster than the reference, by wall clock: median),
        `spread` (its quartiles), `cpu_ratio` (by processor time, which other work on the machine
        disturbs less), `first_ratio` (of the one round that warms up: imports and compiling
        included), `first_seconds` and `first_cpu_seconds` (of that round, by the clock and by
        processor time), `seconds` (median wall time, of this machine at this hour), `memory_mb`
        (peak of its process) and what the side says of itself.

    Raises
    ------
    ValueError
        A side cannot be built or fails, with its reason.
    """
    running: list[_Side] = []
    times: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    try:
        for name in sides:
            progress(f"{subject}: preparing {name}")
            running.append(_Side(subject, name, options, threads))
        for number in range(rounds + 1):
            progress(f"{subject}: {'warming up' if not number else f'round {number} of {rounds}'}")
            for i in range(len(running)):
                side = running[(i + number) % len(running)]
                times[side.name].append(side.work())
            took = ", ".join(f"{name} {times[name][-1]['wall']:.3g} s" for name in sides)
            progress(f"{subject}: {took}")
            if number:
                keep(_report(times))
        facts = {side.name: side.facts() for side in running}
    finally:
        for side in running:
            side.close()
    return {name: {**row, **facts[name]} for name, row in _report(times).items()}


def _report(times: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
    """The figures of each side by its rounds, the first of which warms up; the reference first."""
    reference = next(iter(times.values()))
    return {
        name: {
            **ratios(reference[1:], own[1:]),
            "seconds": _figures(statistics.median(t["wall"] for t in own[1:])),
            "first_ratio": _figures(reference[0]["wall"] / own[0]["wall"]),
            "first_seconds": _figures(own[0]["wall"]),
            "first_cpu_seconds": _figures(own[0]["cpu"]),
            "memory_mb": round(max(t["memory_mb"] for t in own)),
        }
        for name, own in times.items()
    }


def ratios(
    reference: Sequence[Mapping[str, float]], own: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """Return how many times faster one side was than another, round by round.

    Parameters
    ----------
    reference, own : sequence of mapping
        ``wall`` and ``cpu`` seconds of each round.

    Returns
    -------
    dict
        ``ratio``, ``spread`` and ``cpu_ratio`` as :func:`compare` gives them.
    """
    wall = [a["wall"] / b["wall"] for a, b in zip(reference, own, strict=True)]
    cpu = [a["cpu"] / max(b["cpu"], 1e-9) for a, b in zip(reference, own, strict=True)]
    return {
        "ratio": _figures(statistics.median(wall)),
        "spread": [_figures(q) for q in _quartiles(wall)],
        "cpu_ratio": _figures(statistics.median(cpu)),
    }


def _figures(ratio: float) -> float:
    """Four figures, wherever the point stands: a ratio of 1 in 5000 is not 0."""
    return float(f"{ratio:.4g}")


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def machine(threads: int) -> dict[str, Any]:
    """What the figures were taken on: processor, cores, threads, versions."""
    import torch

    import l2l_widgets

    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return {
        "cpu": _cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": cores,
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "l2l_widgets": l2l_widgets.__version__,
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
