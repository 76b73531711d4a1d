"""``l2l bench``: how many times faster than the plain way, on this machine; ratios only."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from l2l_widgets.errors import suggestion

SIDES = (16, 1024)
LIMITS = {
    "batch": (1, 64), "rounds": (1, 1000), "threads": (1, 256),
    "codes": (1000, 1_000_000), "attributes": (1, 64), "dim": (64, 1024),
}  # fmt: skip
#: What an option is where it is not given; a subject that has no use for it takes nothing else.
DEFAULTS = {
    "size": "256", "batch": "1", "allocator": "own", "codes": "2000", "attributes": "5", "dim": "64"
}  # fmt: skip


def add_parser(subparsers: Any) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "bench",
        help="how many times faster than the plain way",
        description=_DESCRIPTION,
        epilog=_subjects,
    )
    parser.add_argument("subject", metavar="SUBJECT", help="what is compared; they stand below")
    parser.add_argument(
        "--size",
        default=DEFAULTS["size"],
        help="synthesis: side in pixels, a power of two (default: 256)",
    )
    parser.add_argument(
        "--batch",
        default=DEFAULTS["batch"],
        metavar="N[,N]",
        help="faces at once, one or more (default: 1)",
    )
    parser.add_argument(
        "--allocator",
        default=DEFAULTS["allocator"],
        help="synthesis: the C library's memory: own (each side as by itself: the fast path keeps "
        "its memory from 256 px on, the textbook's does not), kept or default (all sides alike)",
    )
    for option, what in (
        ("codes", "directions, components, map: sampled codes"),
        ("attributes", "directions: attributes whose scores are given"),
        ("dim", "directions, components, map: numbers in a code"),
    ):
        plain = DEFAULTS[option]
        parser.add_argument(f"--{option}", default=plain, help=f"{what} (default: {plain})")
    parser.add_argument("--rounds", default="7", help="timed rounds (default: 7)")
    parser.add_argument("--threads", default=None, help="of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as last line")


_DESCRIPTION = (
    "Measure how many times faster this package is than the plain way of doing the same, on this "
    "machine. Ratios only: each side runs in a process of its own, in turns, and the median of the "
    "paired ratios is printed with its quartiles."
)


def _subjects() -> str:
    from l2l_widgets.bench import CATALOGUE

    lines = "; ".join(f"{name}: {summary}" for name, (summary, _) in CATALOGUE.items())
    return f"subjects: {lines}"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, print a table, return the figures."""
    # What is wrong with a number is said before torch is imported, which takes seconds.
    size = _whole("size", args.size, SIDES)
    if size & (size - 1):
        raise ValueError(f"--size is {size}; allowed: a power of two from {SIDES[0]} to {SIDES[1]}")
    batches = [_whole("batch", word, LIMITS["batch"]) for word in args.batch.split(",")]
    rounds = _whole("rounds", args.rounds, LIMITS["rounds"])
    threads = None if args.threads is None else _whole("threads", args.threads, LIMITS["threads"])
    sizes = {
        option: _whole(option, getattr(args, option), LIMITS[option])
        for option in ("codes", "attributes", "dim")
    }

    from l2l_widgets.bench import ALLOCATORS, CATALOGUE

    if args.subject not in CATALOGUE:
        raise ValueError(
            f"SUBJECT is {args.subject!r}; {suggestion(args.subject, CATALOGUE)} "
            f"(subjects: {', '.join(CATALOGUE)})"
        )
    used = CATALOGUE[args.subject][1]
    for option, plain in DEFAULTS.items():
        given = getattr(args, option)
        if given != plain and option not in used:
            raise ValueError(
                f"--{option} is {given!r}; allowed with {args.subject}: none, it has no use for it"
            )
    if args.allocator not in ALLOCATORS:
        raise ValueError(f"--allocator is {args.allocator!r}; allowed: {', '.join(ALLOCATORS)}")

    import torch

    from l2l_widgets.bench import SAME_MEMORY, SUBJECTS, compare, machine

    threads = threads or torch.get_num_threads()
    sizes = {option: value for option, value in sizes.items() if option in used}
    sides = list(SUBJECTS[args.subject].sides)
    if args.allocator != "own":
        sides.remove(SAME_MEMORY)
    result: dict[str, Any] = {"subject": args.subject, "machine": machine(threads)}
    if args.subject == "synthesis":
        result.update(size=size, allocator=args.allocator)
    result.update(sizes)
    result.update(rounds=rounds, reference=sides[0], batches={})
    for batch in batches:
        options = {"size": size, "batch": batch, "allocator": args.allocator, **sizes}
        report = compare(
            args.subject, sides, options, rounds, threads,
            progress=lambda line: print(line, file=sys.stderr),
        )  # fmt: skip
        result["batches"][str(batch)] = report
        if not args.json:
            print(_text(batch, report, sides[0]))
    if not args.json:
        print(_machine_line(result["machine"]))
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
        if row.get("keeps_memory"):
            line += ", kept"
        if "max_difference" in row:
            line += f"  differs by at most {row['max_difference']:.1g}"
        if "cosine_median" in row:
            line += f"  cosine {row['cosine_median']:.3f}, at least {row['cosine_least']:.3f}"
        if "trustworthiness" in row:
            line += f"  first in its process {_times(row['first_ratio'])}"
            line += f"  trustworthiness {row['trustworthiness']:.3f}"
        lines.append(line)
    return "\n".join(lines)


def _times(ratio: float) -> str:
    """Two decimals, and as many more as a ratio far below 1 needs: never "0.00 times"."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _machine_line(machine: dict[str, Any]) -> str:
    return (
        f"on {machine['cpu']} ({machine['instructions']}), {machine['threads']} of "
        f"{machine['cores']} cores, torch {machine['torch']}"
    )
