"""``l2l bench``: how many times faster than the plain way, on this machine.

Ratios only. Each side runs in a process of its own, in turns, and the median of the paired ratios
is printed with its quartiles.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

SIDES = (16, 1024)
LIMITS = {"batch": (1, 64), "rounds": (1, 1000), "threads": (1, 256)}


def add_parser(subparsers: Any) -> None:
    """Add the verb's arguments."""
    from l2l_widgets.bench.subjects import SUBJECTS

    lines = "; ".join(f"{name}: {subject.summary}" for name, subject in SUBJECTS.items())
    parser = subparsers.add_parser(
        "bench", help="how many times faster than the plain way", description=__doc__, epilog=lines
    )
    parser.add_argument("subject", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument(
        "--size", default="256", help="synthesis: side in pixels, a power of two (default: 256)"
    )
    parser.add_argument(
        "--batch", default="1", metavar="N[,N]", help="faces at once, one or more (default: 1)"
    )
    parser.add_argument(
        "--allocator",
        default="own",
        help="synthesis: the C library's memory: own (each side as by itself: the fast path keeps "
        "its memory from 256 px on, the textbook's does not), kept or default (all sides alike)",
    )
    parser.add_argument("--rounds", default="7", help="timed rounds (default: 7)")
    parser.add_argument("--threads", default=None, help="of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as last line")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, print a table, return the figures."""
    import torch

    from l2l_widgets.bench import ALLOCATORS, SAME_MEMORY, SUBJECTS, compare, machine

    if args.subject not in SUBJECTS:
        raise ValueError(f"subject is {args.subject!r}; allowed: {', '.join(SUBJECTS)}")
    for option, plain in (("size", "256"), ("batch", "1"), ("allocator", "own")):
        given = getattr(args, option)
        if given != plain and option not in SUBJECTS[args.subject].options:
            raise ValueError(
                f"--{option} is {given!r}; allowed with {args.subject}: none, it has no use for it"
            )
    if args.allocator not in ALLOCATORS:
        raise ValueError(f"--allocator is {args.allocator!r}; allowed: {', '.join(ALLOCATORS)}")
    size = _whole("size", args.size, SIDES)
    if size & (size - 1):
        raise ValueError(f"--size is {size}; allowed: a power of two from {SIDES[0]} to {SIDES[1]}")
    batches = [_whole("batch", word, LIMITS["batch"]) for word in args.batch.split(",")]
    rounds = _whole("rounds", args.rounds, LIMITS["rounds"])
    threads = torch.get_num_threads()
    if args.threads is not None:
        threads = _whole("threads", args.threads, LIMITS["threads"])
    sides = list(SUBJECTS[args.subject].sides)
    if args.allocator != "own":
        sides.remove(SAME_MEMORY)
    result: dict[str, Any] = {"subject": args.subject, "machine": machine(threads)}
    if args.subject == "synthesis":
        result.update(size=size, allocator=args.allocator)
    result.update(rounds=rounds, reference=sides[0], batches={})
    for batch in batches:
        options = {"size": size, "batch": batch, "allocator": args.allocator}
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
            f"  {name:<24}{row['ratio']:>7.2f}  ({low:.2f} to {high:.2f}; {row['cpu_ratio']:.2f})"
            f"  {row['memory_mb']} MB"
        )
        if row.get("keeps_memory"):
            line += ", kept"
        if "max_difference" in row:
            line += f"  differs by at most {row['max_difference']:.1g}"
        lines.append(line)
    return "\n".join(lines)


def _machine_line(machine: dict[str, Any]) -> str:
    return (
        f"on {machine['cpu']} ({machine['instructions']}), {machine['threads']} of "
        f"{machine['cores']} cores, torch {machine['torch']}"
    )
