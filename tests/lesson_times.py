"""How long each lesson takes as a student runs it: from a fresh kernel, at its full size.

    python -m tests.lesson_times                       # all of notebooks/, an hour or less
    python -m tests.lesson_times student_5 student_8   # names, or how they begin
    python -m tests.lesson_times --out times.json      # the figures as JSON beside the table

The tests run the same cells with ``L2L_SMOKE``, which is a fraction of the work. Here nothing is
made smaller, and what counts is the clock on the wall, the kernel's start included, on two cores.
What a lesson keeps between two runs (the compiled parts of a map, a downloaded file) is taken from
an empty folder each time: that is the first run of a student. Ends with 1 where a lesson takes
longer than its limit, fails, or says that it has not finished what its text is about.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that a lesson may take from top to bottom.
LIMIT = 180.0
CORES = 2
#: A lesson is given up after so many times its limit: how much too long it is, is worth knowing.
PATIENCE = 3.0
#: What a lesson says that has shown less than its text is about.
UNFINISHED = re.compile(r"still measuring|too few steps to judge|no training:", re.IGNORECASE)


@dataclass(frozen=True)
class Lesson:
    """What a run of one lesson took, in seconds, and what went wrong, if anything."""

    name: str
    seconds: float
    limit: float
    computing: float
    slowest: tuple[tuple[str, float], ...]
    wrong: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether it ran to its end, said so, and in time."""
        return not self.wrong and self.seconds <= self.limit


def chosen(asked: Sequence[str], folder: Path) -> list[Path]:
    """The notebooks of a folder whose names begin with what is asked; all where nothing is.

    Raises
    ------
    ValueError
        A name that no notebook begins with.
    """
    every = sorted(folder.glob("*.ipynb"))
    for name in asked:
        if not any(path.stem.startswith(name) for path in every):
            stems = ", ".join(path.stem for path in every)
            raise ValueError(f"lesson is {name!r}; allowed: how one of these begins: {stems}")
    return [p for p in every if not asked or any(p.stem.startswith(name) for name in asked)]


def environment(folder: Path, threads: int) -> dict[str, str]:
    """What a student's kernel has around it: no short cut, and nothing kept from an earlier run."""
    own = {
        "OMP_NUM_THREADS": str(threads),
        "IPYTHONDIR": str(folder / "ipython"),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "L2L_DATA": str(folder / "data"),
        "L2L_CACHE": str(folder / "cache"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    return {**{k: v for k, v in os.environ.items() if not k.startswith("L2L_")}, **own}


def run(path: Path, limit: float, threads: int) -> Lesson:
    """Run one notebook from top to bottom in a kernel of its own, in an empty folder.

    Parameters
    ----------
    path : Path
        The notebook; it is not written to.
    limit : float
        Seconds it may take; it is given up after :data:`PATIENCE` times as many.
    threads : int
        Threads of torch.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError

    notebook = nbformat.read(path, as_version=4)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, wrong = time.monotonic(), ""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copy(path, folder)
        client = NotebookClient(
            notebook, kernel_name="python3", store_widget_state=True,
            # whatever is left of the whole lesson's time, at least a moment
            timeout_func=lambda _: max(1, round(start + PATIENCE * limit - time.monotonic())),
            resources={"metadata": {"path": place}},
        )  # fmt: skip
        try:
            client.execute(env=environment(folder, threads))
        except CellTimeoutError:
            wrong = f"not finished after {PATIENCE * limit:.0f} s"
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            wrong = lines[-1][:200] if lines else type(error).__name__
        seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computing = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    slowest = sorted(cell_seconds(notebook), key=lambda cell: -cell[1])[:3]
    return Lesson(
        path.stem, seconds, limit, computing, tuple(slowest), wrong or unfinished(notebook)
    )


def cell_seconds(notebook: Any) -> list[tuple[str, float]]:
    """How long each cell that ran was busy, (id, seconds)."""
    found = []
    for cell in notebook.cells:
        told = cell.metadata.get("execution", {})
        ends = [told.get(f"iopub.{what}") for what in ("execute_input", "status.idle")]
        if all(ends):
            first, last = (datetime.fromisoformat(end.replace("Z", "+00:00")) for end in ends)
            found.append((str(cell.id), (last - first).total_seconds()))
    return found


def unfinished(notebook: Any) -> str:
    """The sentence by which a lesson says that it has not done what its text is about, or ""."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = "".join(output.get("text", ""))
            for line in text.splitlines():
                if UNFINISHED.search(line):
                    return f"it says: {line.strip()[:150]}"
    return ""


def table(lessons: Sequence[Lesson]) -> str:
    """The figures as a table in Markdown."""
    head = "| lesson | seconds | limit | computing | slowest cells | |"
    lines = [head, "|---|---|---|---|---|---|"]
    for one in lessons:
        slow = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in one.slowest)
        verdict = one.wrong or ("" if one.is_fine else "TOO LONG")
        lines.append(
            f"| {one.name} | {one.seconds:.0f} | {one.limit:.0f} | {one.computing:.0f} | {slow} "
            f"| {verdict} |"
        )
    return "\n".join(lines)


def machine(threads: int) -> dict[str, Any]:
    """What it was measured on: seconds say nothing without it."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": model or platform.machine(),
        "cores": cores,
        "threads": threads,
        "load_before": load,
    }


def keep_to(cores: int) -> None:
    """Let this process and the kernels that it starts run on so many cores, where that can be."""
    if hasattr(os, "sched_setaffinity"):
        own = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, own[:cores])


def main(argv: Sequence[str] | None = None) -> int:
    """Time lessons; 0 where all are fine."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lesson_times", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("lessons", nargs="*", help="how their names begin (default: all)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help=f"seconds a lesson may take (default: {LIMIT:g})"
    )
    parser.add_argument(
        "--cores", type=int, default=CORES, help=f"cores and threads (default: {CORES})"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "notebooks", help="of the notebooks")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures here as JSON")
    args = parser.parse_args(argv)
    if args.cores < 1 or not args.limit > 0:
        parser.error("--cores and --limit must be above 0")
    try:
        paths = chosen(args.lessons, args.folder)
    except ValueError as error:
        parser.error(str(error))
    keep_to(args.cores)
    where, lessons = machine(args.cores), []
    for path in paths:
        lessons.append(run(path, args.limit, args.cores))
        print(f"{path.stem}: {lessons[-1].seconds:.0f} s {lessons[-1].wrong}", file=sys.stderr)
    print(table(lessons))
    print(f"\n{json.dumps(where)}")
    if args.out is not None:
        rows = [{**asdict(one), "is_fine": one.is_fine} for one in lessons]
        args.out.write_text(json.dumps({"machine": where, "lessons": rows}, indent=1) + "\n")
    return 0 if all(one.is_fine for one in lessons) else 1


if __name__ == "__main__":
    sys.exit(main())
