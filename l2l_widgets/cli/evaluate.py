"""``l2l evaluate``: measure editors by the second judges and write a report folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from l2l_widgets.attributes import PAPER_EIGHT


def add_parser(subparsers: Any) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure editors on unseen faces by judges that trained nothing",
        description=__doc__,
    )
    parser.add_argument(
        "--methods", default="mapper", metavar="A,B", help="editing methods (default: mapper)"
    )
    parser.add_argument(
        "--attributes",
        default="paper",
        metavar="A,B",
        help="names, 'paper' for the eight the paper evaluates (default), or 'all'",
    )
    parser.add_argument("--faces", type=int, default=500, help="faces (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the faces (default: 0)")
    parser.add_argument(
        "--request", type=float, default=0.3, help="change in attribute units (default: 0.3)"
    )
    parser.add_argument(
        "--truncation-psi", type=float, default=0.7, help="truncation of the faces (default: 0.7)"
    )
    parser.add_argument(
        "--truth-people",
        type=int,
        default=60,
        help="people drawn again with the attribute truly changed, the upper end of the identity "
        "scale (faceworld only; 0: do not place identity; default: 60)",
    )
    parser.add_argument("--generator", default=None, help="embedded models' name, or a folder")
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate, write the folder, return the summary."""
    from l2l_widgets.evaluation import evaluate
    from l2l_widgets.report import Protocol
    from l2l_widgets.zoo import load

    if (args.out / "report.json").exists():
        raise ValueError(f"--out {args.out}: holds a report already; allowed: another folder")
    if args.truth_people < 0:
        raise ValueError(f"--truth-people is {args.truth_people}; allowed: 0 or more")
    models = load(args.generator, device=args.device)
    named = {"paper": PAPER_EIGHT, "all": models.table.names}
    attributes = named.get(args.attributes) or tuple(
        a.strip() for a in args.attributes.split(",") if a.strip()
    )
    protocol = Protocol(
        attributes=attributes,
        faces=args.faces,
        seed=args.seed,
        request=args.request,
        truncation_psi=args.truncation_psi,
    )
    truth = None
    if args.truth_people and models.name.startswith("faceworld"):
        truth = _faceworld_truth(args.truth_people, models.generator.img_resolution)
    methods = [m.strip() for m in args.methods.split(",") if m.strip()]
    report = evaluate(
        models, methods, protocol, truth=truth, progress=lambda line: print(line, file=sys.stderr)
    )
    report.write(args.out)
    if not args.json:
        print(_text(report))
    return {**report.summary(), "out": str(args.out)}


def _faceworld_truth(people: int, resolution: int) -> Any:
    from l2l_widgets.faceworld.truth import rerendered_pairs

    def truth(name: str, request: float, seed: int) -> Any:
        try:
            return rerendered_pairs(name, request, people, 700_000 + seed, resolution)
        except ValueError:  # nobody among them can change it: identity is then not placed
            return None

    return truth


def _text(report: Any) -> str:
    """Return the tables for a terminal."""
    head = (
        f"{'method':<12}{'attribute':<14}{'faces':>6}{'achieved':>10}{'others':>9}{'identity':>10}"
    )
    lines = [f"{head}{'placed':>8}{'cycle':>8}"]
    rows = [*report.attributes, *({**m, "attribute": "all"} for m in report.methods)]
    for row in rows:
        numbers = (
            (row["achieved_median"], 10), (row["others_mean"], 9), (row["identity_similarity"], 10),
            (row["identity_placement_score"], 8), (row["cycle_error_mean"], 8),
        )  # fmt: skip
        shown = "".join(f"{'-' if v is None else format(v, '.3f'):>{w}}" for v, w in numbers)
        lines.append(f"{row['method']:<12}{row['attribute']:<14}{row['faces']:>6}{shown}")
    for m in report.methods:
        lines.append(
            f"{m['method']}: null error {m['null_error']:.2g} of std(w), "
            f"{m['milliseconds_per_edit']:.2f} ms an edit"
        )
    lines.append(f"read by {report.provenance['judges']}")
    return "\n".join(lines)
