"""``l2l attributes``: what can be changed, by which name, and what the numbers mean."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checks import models_of
from l2l_widgets.policy import visible_table

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "attributes",
        help="the names that --set takes, and what they mean",
        description="List the attributes: the name that --set takes, what a slider calls it, what "
        "0 and 1 stand for, and the exclusive group, of which one member at most is raised.",
    )
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="models whose attributes are listed (default: the embedded ones)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the table, family by family."""
    table, note = _table(args.generator)
    table = visible_table(table)
    if not args.json:
        print(_text(table))
        if note:
            print(f"note: {note}")
    return {"attributes": [asdict(row) for row in table], "note": note}


def _table(generator: str | None) -> tuple[AttributeTable, str]:
    """The table, and what is to be said of it."""
    if generator is None:
        from l2l_widgets.attributes import DEFAULT_TABLE

        return DEFAULT_TABLE, ""  # of all embedded models; loading them takes seconds
    models = models_of(generator)
    if models.available_editors or models.has("regressor") or models.has("attribute_judge"):
        return models.table, ""
    return models.table, (
        f"{models.name!r} has nothing yet that reads or changes any: these are the package's own "
        "names. Judges bring theirs: l2l world FOLDER --generator ... --judge ..., or l2l train "
        "mapper --generator ... --judge ..."
    )


def _text(table: AttributeTable) -> str:
    names = max(len(row.name) for row in table)
    labels = max(len(row.label) for row in table)
    lines = []
    for family, rows in table.families().items():
        lines.append(family)
        for row in rows:
            span = f"{row.low:g} to {row.high:g} {row.unit}"
            group = f" One of the group {row.group!r}." if row.group else ""
            implied = f" Implies {', '.join(row.implies)}." if row.implies else ""
            lines.append(
                f"  {row.name:<{names}}  {row.label:<{labels}}  {span:<14}  "
                f"{row.definition}{group}{implied}"
            )
    first = next(iter(table))
    middle = f"{first.to_unit(0.5):g} {first.unit}"
    lines.append(f"--set takes 0 to 1 for these ranges: {first.name}=0.5 is {middle}.")
    return "\n".join(lines)
