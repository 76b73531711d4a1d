"""``l2l verify``: random rows of a report of ``l2l evaluate``, measured again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from l2l_widgets.cli.checks import SEED_MAX, check_device, models_of, whole_number
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.evaluate import truth_of
from l2l_widgets.cli.evaluate_methods import editors_of, is_file

__all__ = ["run_verify"]


def run_verify(args: argparse.Namespace) -> dict[str, Any]:
    """Measure random rows again; ValueError where one is not confirmed."""
    rows_wanted = whole_number("--rows", args.rows, 1, 100_000)
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    check_device(args.device)
    if not (args.report / "report.json").is_file():
        raise ValueError(
            f"DIR is {str(args.report)!r}, which holds no report.json; allowed: a folder that l2l "
            "evaluate finished"
        )
    if args.generator is not None:
        models_of(args.generator, args.device)

    from l2l_widgets import evaluation
    from l2l_widgets.faceworld.version import WORLD
    from l2l_widgets.models.zoo import load

    report = evaluation.read_report(args.report)
    plan = evaluation.plan_of(report)
    if plan.truth_people and plan.world != WORLD:
        raise ValueError(
            f"{args.report}: world is {plan.world}; allowed: {WORLD}, the only one that this "
            "release can draw people of again"
        )
    models = load(args.generator or report["models"], device=args.device)
    methods = _reported(args, models, report, plan.seeds)
    checked = evaluation.verify(
        args.report,
        models,
        methods,
        rows=rows_wanted,
        seed=seed,
        truth=truth_of(plan.truth_people, models),
    )
    rows = [{**c.row, "again": c.again, "confirmed": c.confirmed} for c in checked]
    missing = {
        label: list(range(len(methods[label]), count))
        for label, count in report["trained_seeds"].items()
        if len(methods[label]) < count
    }
    for label, seeds in missing.items():
        print(
            f"{label}: no row of training {_seeds(seeds)}, not in "
            f"{args.trained or evaluation.SEEDS}; l2l train METHOD --seeds K makes them",
            file=sys.stderr,
        )
    if not args.json:
        for row in rows:
            what = f"{row['part']}, {row['method']}, training seed {row['seed']}, "
            what += f"{row['attribute']}, face {row['face']}, "
            came = f"{float(str(row['value'])):.4f}, again {row['again']:.4f}"
            mark = "ok" if row["confirmed"] else "DIFFERS"
            print(f"{mark:<8}{what}{row['quantity']} by {row['reader']}: {came}")
    wrong = [row for row in rows if not row["confirmed"]]
    if wrong:
        first, verb = wrong[0], "differs" if len(wrong) == 1 else "differ"
        raise ValueError(
            f"{len(wrong)} of {counted(len(rows), 'row')} {verb}; "
            f"first: {first['part']} {first['method']} "
            f"{first['attribute']} face {first['face']} {first['quantity']}: {first['value']}, "
            f"again {first['again']:.5f}"
        )
    result = {"report": str(args.report), "rows": rows, "confirmed": len(rows)}
    return {**result, "seeds_not_at_hand": missing} if missing else result


def _seeds(seeds: list[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def _reported(
    args: argparse.Namespace, models: Any, report: Mapping[str, Any], seeds: int
) -> dict[str, Any]:
    """Return each label's editors, those that the report was made with, as far as they are there.

    Raises
    ------
    ValueError
        Training seeds that are there and are others.
    """
    from l2l_widgets import evaluation
    from l2l_widgets.recipes.mapper_ablations import is_ablation, reported_editors

    if is_ablation(report):
        return reported_editors(models, report, args.trained or args.report / "runs")
    folder = args.trained or evaluation.SEEDS
    methods, hashes = editors_of(models, report["sources"], seeds, folder)
    for label, found in hashes.items():
        expected = report.get("trained_hashes", {}).get(label, [])
        if is_file(report["sources"][label]):
            if found != expected:
                raise ValueError(
                    f"{label}: {report['sources'][label]} is {found[0][:12]}..., the report's was "
                    f"{''.join(expected)[:12]}...; allowed: the file that it was made with"
                )
            continue
        if found[: len(expected)] != expected[: len(found)]:
            raise ValueError(
                f"--trained {folder}: does not hold the training seeds of {label} that "
                f"{args.report} was made with; allowed: those, or none"
            )
        methods[label] = methods[label][: 1 + len(expected)]
    return methods
