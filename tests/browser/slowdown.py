"""What it costs a training to be watched: ``python -m tests.browser.slowdown``.

The mapper of the second lesson is trained twice in every round, each time in a process of its own:
alone, with nothing drawn of it and nobody there, and as a person sees it, with its faces and its
leakage drawn and a `TrainingMonitor` open in Chromium, which shows the run and reads its folder
once a second. Timed is what lies between the first step and the last, with every look.

Prints one JSON object, and writes it into a file with ``--out FILE``: the median over the rounds of
what a watched training takes beyond the other of its round, as a share, by the clock and by the
processor; and the seconds of processor that the notebook's kernel took for each second watched,
which another core has to spare.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def measure(folder: Path, steps: int, rounds: int) -> dict:
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
    slower = [[p["watched"][i] / p["alone"][i] - 1 for p in pairs] for i in (0, 1)]
    return {
        "steps": steps, "rounds": rounds,
        "alone_s": statistics.median(p["alone"][0] for p in pairs),
        "slower_by_clock": round(statistics.median(slower[0]), 4),
        "slower_by_processor": round(statistics.median(slower[1]), 4),
        "kernel_processor_per_second": round(statistics.median(kernel), 4),
        "machine": machine(), "load_average": os.getloadavg()[0], "faults": faults,
    }  # fmt: skip


def _words(took: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{how} {wall:.1f} s ({cpu:.1f} s)" for how, (wall, cpu) in took.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="of each training (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of trainings (default: 5)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args()
    if args.steps < 1 or args.rounds < 1:
        parser.error("--steps and --rounds are at least 1")
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(measure(Path(folder), args.steps, args.rounds))
    if args.out is not None:
        write_atomic(args.out, (text + "\n").encode())
    print(text)


if __name__ == "__main__":
    main()
