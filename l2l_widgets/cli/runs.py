"""``l2l runs``: the trainings in a folder, whoever started them, and how to stop or hold one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

RUNS = Path("runs")


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "runs",
        help="list training runs, stop or hold one",
        description="List the runs in a folder with their state: a process that is gone is not "
        "believed, whatever its file says. A run that has ended goes on with l2l resume.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=RUNS, metavar="DIR",
        help=f"folder of run folders (default: {RUNS})",
    )  # fmt: skip
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--stop", metavar="RUN", help="have it save and end")
    one.add_argument("--pause", metavar="RUN", help="have it hold, in memory")
    one.add_argument("--continue", dest="go_on", metavar="RUN", help="let a held one go on")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List the runs, after doing what was asked.

    Raises
    ------
    ValueError
        No such folder, or a run that nobody trains.
    """
    if args.folder == RUNS and not args.folder.exists():
        if not args.json:
            print(f"nothing has been trained here yet: there is no folder {str(RUNS)!r}")
        return {"runs": []}
    if not args.folder.is_dir():
        raise ValueError(f"DIR is {str(args.folder)!r}; allowed: a folder of run folders")
    from l2l_widgets.training import continue_run, list_runs, pause_run, stop_run

    for name, act in ((args.stop, stop_run), (args.pause, pause_run), (args.go_on, continue_run)):
        if name is not None:
            act(args.folder / name)
    runs = list_runs(args.folder)
    if not args.json:
        for info in runs:
            steps = f"{info.step} of {info.steps or '?'}"
            left = "" if info.seconds_left is None else f"  {info.seconds_left / 60:.0f} min left"
            print(f"{info.path.name:28} {info.state:10} {steps:>16}  {info.recipe}{left}")
            if info.message and info.state in ("failed", "died", "silent"):
                print(f"  {info.message}")
        if not runs:
            print(f"no runs in {args.folder}")
    return {"runs": [info.to_dict() for info in runs]}
