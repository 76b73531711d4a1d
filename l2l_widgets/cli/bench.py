"""``l2l bench``: how many times faster than the plain way, on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checks import check_place
from l2l_widgets.cli.counts import counted
from l2l_widgets.errors import suggestion

SIDES = (16, 1024)
LIMITS = {
    "batch": (1, 64), "rounds": (1, 1000), "threads": (1, 256),
    "codes": (1000, 1_000_000), "attributes": (1, 64), "dim": (64, 1024),
    "components": (1000, 1_000_000),
}  # fmt: skip
#: A picture takes memory that an edit does not.
LIMITS_OF = {"mapper": {"batch": (1, 10_000)}}
#: What an option is where it is not given, and for a subject of which something is asked at a size,
#: that size; a subject that has no use for an option takes none.
DEFAULTS = {
    "size": "256", "batch": "1", "allocator": "own", "codes": "2000", "attributes": "5",
    "dim": "64", "components": "1000000", "rounds": "7",
}  # fmt: skip
DEFAULTS_OF = {
    "directions": {"codes": "100000", "attributes": "35", "dim": "128", "rounds": "2"},
    "components": {"codes": "1000000", "dim": "128", "rounds": "3"},
    "mapper": {"batch": "1,1000"},
    "map": {"codes": "10000", "dim": "128", "rounds": "1"},
}


def add_parser(subparsers: Any) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "bench",
        help="how many times faster than the plain way",
        description=_DESCRIPTION,
        epilog=_subjects,
    )
    parser.add_argument("subject", metavar="SUBJECT", help="what is compared; they stand below")
    parser.add_argument("--size", help="synthesis: side in pixels, a power of two (default: 256)")
    parser.add_argument(
        "--batch", metavar="N[,N]", help="faces at once, one or more (default: 1; mapper: 1,1000)"
    )
    parser.add_argument(
        "--allocator",
        help="synthesis: the C library's memory: own (each side as by itself: the fast path keeps "
        "its memory from 256 px on, the textbook's does not), kept or default (all sides alike)",
    )
    for option, what in (
        ("codes", "directions, components, map: sampled codes"),
        ("attributes", "directions: attributes whose scores are given"),
        ("dim", "directions, components, map: numbers in a code"),
        ("components", "directions: codes of the PCA that is compared after them; 0: none"),
        ("rounds", "timed rounds"),
    ):
        own = [f"{name}: {one[option]}" for name, one in DEFAULTS_OF.items() if option in one]
        plain = "; ".join([DEFAULTS[option], *own])
        parser.add_argument(f"--{option}", help=f"{what} (default: {plain})")
    parser.add_argument("--threads", default=None, help="of torch (default: torch's own choice)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json",
        help="keep the figures in a file, written after every round: a run that is stopped leaves "
        "what it found, marked as not finished",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object as last line")


_DESCRIPTION = (
    "Measure how many times faster this package is than the plain way of doing the same, on this "
    "machine. Each side runs in a process of its own, in turns, and the median of paired ratios is "
    "printed with its quartiles; seconds are this machine's, at this hour. Where something is "
    "asked of a subject at a size, the default, it says whether it was found."
)


def _subjects() -> str:
    from l2l_widgets.bench import CATALOGUE

    lines = "; ".join(f"{name}: {summary}" for name, (summary, _) in CATALOGUE.items())
    return f"subjects: {lines}"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, print a table, return the figures."""
    # What is wrong with a number is said before torch is imported, which takes seconds.
    given = {option: getattr(args, option) for option in DEFAULTS}
    own = DEFAULTS_OF.get(args.subject, {})
    words = {o: own.get(o, DEFAULTS[o]) if w is None else w for o, w in given.items()}
    limits = LIMITS | LIMITS_OF.get(args.subject, {})
    size = _whole("size", words["size"], SIDES)
    if size & (size - 1):
        raise ValueError(f"--size is {size}; allowed: a power of two from {SIDES[0]} to {SIDES[1]}")
    batches = [_whole("batch", word, limits["batch"]) for word in words["batch"].split(",")]
    rounds = _whole("rounds", words["rounds"], limits["rounds"])
    threads = None if args.threads is None else _whole("threads", args.threads, limits["threads"])
    sizes = {o: _whole(o, words[o], limits[o]) for o in ("codes", "attributes", "dim")}
    beside = 0
    if words["components"] != "0":
        beside = _whole("components", words["components"], limits["components"])

    from l2l_widgets.bench import ALLOCATORS, CATALOGUE

    if args.subject not in CATALOGUE:
        raise ValueError(
            f"SUBJECT is {args.subject!r}; {suggestion(args.subject, CATALOGUE)} "
            f"(subjects: {', '.join(CATALOGUE)})"
        )
    takes = {*CATALOGUE[args.subject][1], "rounds"}
    for option, word in given.items():
        if word not in (None, DEFAULTS[option]) and option not in takes:
            raise ValueError(
                f"--{option} is {word!r}; allowed with {args.subject}: none, it has no use for it"
            )
    if words["allocator"] not in ALLOCATORS:
        raise ValueError(f"--allocator is {words['allocator']!r}; allowed: {', '.join(ALLOCATORS)}")
    if args.out is not None:
        if args.out.suffix != ".json":
            raise ValueError(f"--out is {str(args.out)!r}; allowed: a name that ends in .json")
        check_place(args.out)

    import torch

    from l2l_widgets.bench import machine

    threads = threads or torch.get_num_threads()
    options = {"size": size, "allocator": words["allocator"], **sizes}
    result: dict[str, Any] = {"subject": args.subject, "machine": machine(threads)}
    result |= _compared(args, args.subject, options, batches, rounds, threads, dict(result))
    if args.subject == "directions" and beside:  # what finds components is compared as well
        options["codes"] = beside
        if args.rounds is None:
            rounds = int(DEFAULTS_OF["components"]["rounds"])
        result["components"] = _compared(args, "components", options, [1], rounds, threads, result)
    _keep(args, result)
    if not args.json:
        print(_machine_line(result["machine"]))
    return result


def _keep(args: argparse.Namespace, result: dict[str, Any], finished: bool = True) -> None:
    """Write what is known so far, where a file was asked for."""
    if args.out is None:
        return
    from l2l_widgets.storage import make_folder, write_atomic

    make_folder(args.out.parent)
    text = json.dumps({**result, "finished": finished}, indent=1) + "\n"
    write_atomic(args.out, text.encode())


def _compared(
    args: argparse.Namespace,
    subject: str,
    options: dict[str, Any],
    batches: list[int],
    rounds: int,
    threads: int,
    known: dict[str, Any],
) -> dict[str, Any]:
    """Compare the sides of one subject, print their table, return the figures.

    What is found on the way is kept beside what is ``known``.
    """
    from l2l_widgets.bench import SAME_MEMORY, SUBJECTS, check_goals, compare

    used = SUBJECTS[subject].options
    sides = list(SUBJECTS[subject].sides)
    if options["allocator"] != "own" and SAME_MEMORY in sides:
        sides.remove(SAME_MEMORY)
    result: dict[str, Any] = {o: v for o, v in options.items() if o in used}
    result.update(rounds=rounds, reference=sides[0], batches={}, goals=[])

    def keep(batch: int, report: dict[str, Any]) -> None:
        result["batches"][str(batch)] = report
        own = result if subject == args.subject else {subject: result}
        _keep(args, {**known, **own}, finished=False)

    for batch in batches:
        sizes = {**options, "batch": batch}
        report = compare(
            subject, sides, sizes, rounds, threads,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
            keep=partial(keep, batch),
        )  # fmt: skip
        goals = check_goals(subject, sizes, report)
        result["goals"] += goals
        keep(batch, report)
        if not args.json:
            if subject != args.subject:
                print(subject)
            print("\n".join([_text(batch, report, sides[0]), *map(_goal_line, goals)]), flush=True)
    return result


def _whole(name: str, word: str, limits: tuple[int, int]) -> int:
    low, high = limits
    try:
        value = int(word)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"--{name} is {word!r}; allowed: a whole number from {low} to {high}")
    return value


def _text(batch: int, report: dict[str, Any], reference: str) -> str:
    lines = [
        f"batch {batch}, times as fast as {reference!r} (quartiles; by processor time), peak memory"
    ]
    for name, row in report.items():
        low, high = row["spread"]
        line = (
            f"  {name:<24}{_times(row['ratio']):>7}  ({_times(low)} to {_times(high)}; "
            f"{_times(row['cpu_ratio'])})"
            f"  {row['memory_mb']} MB"
        )
        if "seconds" in row:
            line += f"  {row['seconds']:.3g} s"
        if row.get("keeps_memory"):
            line += ", kept"
        if "max_difference" in row:
            line += f"  differs by at most {row['max_difference']:.1g}"
        if "cosine_median" in row:
            line += f"  cosine {row['cosine_median']:.3f}, at least {row['cosine_least']:.3f}"
        if "trustworthiness" in row:
            line += f"  first in its process {row['first_seconds']:.3g} s"
            line += (
                f" ({_times(row['first_ratio'])}; {row['first_cpu_seconds']:.3g} s of processor)"
            )
            line += f"  trustworthiness {row['trustworthiness']:.3f}"
            line += f"  adds a point in {row['add_seconds']:.2g} s"
            line += f" ({row['add_cpu_seconds']:.2g} s of processor)"
            line += f", the first in {row['add_first_seconds']:.2g} s"
        lines.append(line)
    return "\n".join(lines)


def _goal_line(goal: dict[str, Any]) -> str:
    found = f"{goal['found']:.3g}, asked: {goal['what']}"
    if goal["what"].endswith("below"):
        found = f"cosine {goal['found']:+.4f}, asked: {goal['what']} the reference's"
    return f"  {'met' if goal['met'] else 'MISSED'}: {goal['side']}: {found}"


def _times(ratio: float) -> str:
    """Two decimals, and as many more as a ratio far below 1 needs: never "0.00 times"."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _machine_line(machine: dict[str, Any]) -> str:
    return (
        f"on {machine['cpu']} ({machine['instructions']}), {machine['threads']} of "
        f"{counted(machine['cores'], 'core')}, torch {machine['torch']}"
    )
