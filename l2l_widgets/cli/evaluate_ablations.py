"""``l2l evaluate --ablations``: the mapper whole, and without its parts."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

from l2l_widgets.cli.evaluate_text import number_cell
from l2l_widgets.cli.recipe_words import changed_fields

__all__ = ["ablate_as_asked", "variants_asked"]


def variants_asked(text: str) -> list[str]:
    """What a report calls the variants that ``--ablations`` names."""
    from l2l_widgets.cli.evaluate_methods import words_of
    from l2l_widgets.recipes.mapper_ablations import NAME, VARIANTS

    names = VARIANTS if text == "all" else ("whole", *words_of(text))
    return [f"{NAME}: {name}" for name in dict.fromkeys(names)]


def ablate_as_asked(
    args: argparse.Namespace, models: Any, plan: Any, named: tuple[str, ...], truth: Any
) -> dict[str, Any]:
    """Train the mapper's variants, all where none is named, measure them, print their table."""
    from l2l_widgets import evaluation
    from l2l_widgets.recipes.mapper_ablations import VARIANTS, ablate, ablation_rows

    names = tuple(dict.fromkeys(("whole", *named))) if named else tuple(VARIANTS)
    comparison = ablate(
        models,
        args.out,
        plan,
        names,
        changes={
            **changed_fields(args.set),
            **({} if args.steps is None else {"steps": int(args.steps)}),
        },
        truth=truth,
        figures=not args.no_figures,
        say=lambda line: print(line, file=sys.stderr),
        command=shlex.join(["l2l", *args.words]),
    )
    if comparison is None:
        return {"out": str(args.out), "stopped": True}
    rows = ablation_rows(comparison)
    if not args.json:
        head = f"{'variant':<27}{'reader':<10}{'reached':>9}{'others':>9}{'interval':>18}"
        print(f"{head}{'to whole':>10}{'identity':>10}{'cycle':>8}{'null':>10}")
        for row in rows:
            interval = "-"
            if row["low"] is not None:
                interval = f"{row['low']:.3f} .. {row['high']:.3f}"
            null = "-" if row["null_error"] is None else f"{row['null_error']:.2g}"
            print(
                f"{row['variant']:<27}{row['reader']:<10}{number_cell(row, 'reached', 9)}"
                f"{number_cell(row, 'others', 9)}{interval:>18}{row['against_whole']:>10}"
                f"{number_cell(row, 'identity_similarity', 10)}{number_cell(row, 'cycle_error', 8)}"
                f"{null:>10}"
            )
        print(evaluation.stamp(comparison))
    return {**evaluation.summary(comparison), "ablations": rows, "out": str(args.out)}
