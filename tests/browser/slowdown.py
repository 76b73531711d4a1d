"""What it costs a training to be watched: ``python -m tests.browser.slowdown``.

The mapper of the second lesson is trained twice in every round, each time in a process of its own:
alone, with nothing drawn of it and nobody there, and as a person sees it, with its faces and its
leakage drawn and a `TrainingMonitor` open in Chromium, which shows the run and reads its folder
once a second. Timed is what lies between the first step and the last, with every look.

Prints one JSON object, and writes it into a file with ``--out FILE``: the median over the rounds of
what a watched training takes beyond the other of its round, as a share, by the clock and by the
processor, each with an interval that holds the true median in 95 of 100 such series; and the
seconds of processor that the notebook's kernel took for each second watched, which another core
has to spare. Ends with 1 where the median by the clock is above :data:`MOST`, or the page or its
kernel complained.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l_widgets.storage import write_atomic

from . import harness
from .latency import machine

#: A training whose steps are timed; "alone" it draws nothing of itself.
TRAIN = """
import json, sys, time
from l2l_widgets.training import loop

if sys.argv.pop(1) == "alone":
    def no_look(run, done, always=False):
        run.interval_start = time.perf_counter()
    loop._Run.look = no_look

plain = loop._loop

def timed(*args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    done = plain(*args, **kwargs)
    took = [time.perf_counter() - wall, time.process_time() - cpu]
    print("TOOK", json.dumps(took), flush=True)
    return done

loop._loop = timed
from l2l_widgets.cli import main
sys.exit(main(sys.argv[1:]))
"""
#: Share of its time that being watched may cost a training.
MOST = 0.05
#: Share of all series whose interval holds the true median, and the fewest rounds that have one:
#: the smallest and the largest of five hold it in 94 of 100.
HELD = 0.95
FEWEST = 6
#: What is the same in both; faces and calibration lie outside of what is timed.
FIELDS = ("faces=64", "calibration_faces=0", "threads=1")


def train(folder: Path, how: str, steps: int, shown=lambda name: None) -> tuple[float, float]:
    """Seconds by the clock and of the processor that the steps of one training took."""
    words = [word for field in FIELDS for word in ("--set", field)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", TRAIN, how, "train", "mapper-lesson", "--steps",
         str(steps), *words, "--run", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    shown(folder.name)
    out, errors = process.communicate()
    lines = [line for line in out.splitlines() if line.startswith("TOOK ")]
    if process.returncode or not lines:
        raise SystemExit(f"the training ended with {process.returncode}:\n{errors[-2000:]}")
    wall, cpu = json.loads(lines[-1].removeprefix("TOOK "))
    return wall, cpu


def used(pid: int) -> float:
    """Seconds of processor that a process has taken; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values that hold the true median between them, in 95 of 100 series at least.

    As many are left out at either end as a coin that is thrown once a value allows: nothing is
    taken to be normal, and single rounds that another process disturbed are left out first.

    Parameters
    ----------
    values : sequence of float
        Six or more.

    Returns
    -------
    (float, float)
    """
    n = len(values)
    if n < FEWEST:
        raise ValueError(f"values are {n}; allowed: at least {FEWEST}, fewer have no interval")
    left_out, missed = 0, 2 * 0.5**n
    while missed + 2 * math.comb(n, left_out + 1) * 0.5**n <= 1 - HELD:
        left_out += 1
        missed += 2 * math.comb(n, left_out) * 0.5**n
    ranked = sorted(values)
    return ranked[left_out], ranked[n - 1 - left_out]


def summary(pairs: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, Any]:
    """What being watched adds, over all rounds: medians with their intervals.

    Parameters
    ----------
    pairs : sequence of mapping
        One a round: ``alone`` and ``watched``, each (seconds by the clock, of the processor).
    """
    found: dict[str, Any] = {
        "rounds": len(pairs), "alone_s": statistics.median(p["alone"][0] for p in pairs)
    }  # fmt: skip
    for i, name in enumerate(("clock", "processor")):
        slower = [p["watched"][i] / p["alone"][i] - 1 for p in pairs]
        found[f"slower_by_{name}"] = round(statistics.median(slower), 4)
        found[f"slower_by_{name}_interval"] = [round(v, 4) for v in median_interval(slower)]
    return found


def complaint(figures: Mapping[str, Any]) -> str:
    """Why the figures are no good, in a line; empty where they are."""
    if figures["faults"]:
        return f"the page or its kernel complained: {figures['faults']}"
    if figures["slower_by_clock"] > MOST:
        return f"being watched costs {figures['slower_by_clock']:.1%}; allowed: {MOST:.0%}"
    return ""


def measure(folder: Path, steps: int, rounds: int) -> dict[str, Any]:
    """The figures, with one JupyterLab and one page for all rounds."""
    harness.write_notebook(
        folder,
        "watch.ipynb",
        "from l2l_widgets import TrainingMonitor\n"
        'monitor = TrainingMonitor("watched", recipe="mapper-lesson")\nmonitor',
    )
    pairs, kernel = [], []
    with harness.lab(folder, "student_2") as address, harness.page() as page:
        harness.open_notebook(page, address, "watch.ipynb", timeout=600)
        root = page.locator(".l2l-monitor").first
        root.wait_for(timeout=300_000)
        pid = harness.kernel_pid(page)

        def show(name: str) -> None:
            run = root.locator(f'.l2l-run[data-run="{name}"]')
            run.wait_for(timeout=300_000)
            run.click()

        for number in range(rounds):
            took = {}
            for how in ("alone", "watched") if number % 2 else ("watched", "alone"):
                place = folder / how / f"round-{number}"
                place.parent.mkdir(exist_ok=True)
                before, began = used(pid), time.monotonic()
                took[how] = train(place, how, steps, show if how == "watched" else lambda _: None)
                if how == "watched":
                    kernel.append((used(pid) - before) / (time.monotonic() - began))
            pairs.append(took)
            print(f"round {number + 1} of {rounds}: {_words(took)}", file=sys.stderr, flush=True)
        faults = page.faults + harness.kernel_errors(page) + harness.cell_errors(page)
    return {
        "steps": steps, **summary(pairs),
        "kernel_processor_per_second": round(statistics.median(kernel), 4),
        "machine": machine(), "load_average": os.getloadavg()[0], "faults": faults,
    }  # fmt: skip


def _words(took: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{how} {wall:.1f} s ({cpu:.1f} s)" for how, (wall, cpu) in took.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="of each training (default: 200)")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of trainings (default: 9)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps is {args.steps}; allowed: at least 1")
    if args.rounds < FEWEST:
        parser.error(
            f"--rounds is {args.rounds}; allowed: at least {FEWEST}, fewer have no interval"
        )
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), args.steps, args.rounds)
    text = json.dumps(figures)
    if args.out is not None:
        write_atomic(args.out, (text + "\n").encode())
    print(text)
    wrong = complaint(figures)
    if wrong:
        print(wrong, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
