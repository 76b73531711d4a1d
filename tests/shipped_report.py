"""The report of all editors that ships: ``python -m tests.shipped_report --report DIR``.

DIR is a folder that ``l2l evaluate`` finished. Kept of it in ``docs/editors`` are tables, figures
and ``report.json``, and of the millions of rows of single faces as many as ``--rows`` says, chosen
at random, as many of each part, with what ``l2l verify docs/editors`` needs to measure them again.
``docs/editors.md`` is written from there: the tables, and what was asked beside what came.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from l2l_widgets.evaluation import read_report
from l2l_widgets.evaluation.report_folder import COLUMNS
from l2l_widgets.recipes.markdown import markdown_table, wrapped
from l2l_widgets.storage import load_safetensors, make_folder, save_safetensors, write_atomic

ROOT = Path(__file__).resolve().parent.parent
KEPT, PAGE = ROOT / "docs" / "editors", ROOT / "docs" / "editors.md"
#: Tensors of a cell that a row is measured again with.
NEEDED = {"paper": ("positions", "found"), "several": ("asked",)}
#: The method that is to be better, and the one that it is held against.
OURS, REFERENCE = "mapper", "interfacegan"
#: Readers that trained nothing, of two families.
JUDGES = ("judge", "judge_b")


def keep(report: Path, out: Path, rows: int, seed: int = 0) -> int:
    """Write what ships of a report; return how many rows of single faces it has in all."""
    read_report(report)
    shutil.rmtree(out, ignore_errors=True)
    make_folder(out / "cells")
    for path in report.rglob("*"):
        own = path.relative_to(report)
        if own.parts[0] in ("cells", "runs", "measurements.csv", "run.json") or path.is_dir():
            continue
        make_folder((out / own).parent)
        shutil.copyfile(path, out / own)
    for part, names in NEEDED.items():
        for path in (report / "cells").glob(f"{part}--*.safetensors"):
            tensors, _ = load_safetensors(path)
            if set(names) <= set(tensors):
                save_safetensors(out / "cells" / path.name, {name: tensors[name] for name in names})
    file = report / "measurements.csv"
    places: dict[str, list[int]] = {}
    with open(file, newline="", encoding="utf-8") as text:
        for place, row in enumerate(csv.DictReader(text)):
            places.setdefault(row["part"], []).append(place)
    draw, wanted = torch.Generator().manual_seed(seed), set()
    for own in places.values():  # as many of each part: some have few rows
        chosen = torch.randperm(len(own), generator=draw)[: rows // len(places)].tolist()
        wanted |= {own[i] for i in chosen}
    with (
        open(file, newline="", encoding="utf-8") as text,
        open(out / "measurements.csv", "w", newline="", encoding="utf-8") as short,
    ):
        writer = csv.writer(short, lineterminator="\n")
        writer.writerow(COLUMNS)
        following = itertools.islice(csv.reader(text), 1, None)
        writer.writerows(row for place, row in enumerate(following) if place in wanted)
    return sum(map(len, places.values()))


# -- what was asked, and what came ---------------------------------------------------------------


def goals(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return what is asked of the mapper, by whom it is read, what came, and whether it is met."""
    rows = [*_leakage_goals(report), *_paper_goals(report), *_several_goals(report)]
    return [(what, by, came, "yes" if met else "no") for what, by, came, met in rows]


def _leakage_goals(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    leak = {(r["method"], r["reader"]): r.get("leak_mean") for r in report["equal_methods"]}
    for reader in JUDGES:
        ours, theirs = leak.get((OURS, reader)), leak.get((REFERENCE, reader))
        if ours is not None and theirs:
            what = f"mean leakage at most half of {REFERENCE}'s"
            yield what, reader, f"{ours / theirs:.2f}", ours / theirs <= 0.5
        lower = {
            ({row["first"], row["second"]} - {OURS}).pop(): row["lower"] == OURS
            for row in report["pairs"]
            if row["quantity"] == "others" and row["reader"] == reader
            and OURS in (row["first"], row["second"]) and row["first"] != row["second"]
        }  # fmt: skip
        if lower:
            above = [label for label, less in lower.items() if not less]
            came = f"not below {', '.join(above)}" if above else "below all"
            yield (
                "mean leakage below every other's, the paired interval apart",
                reader,
                came,
                (not above),
            )


def _paper_goals(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    values: dict[str, dict[str, float]] = {}
    for row in report["paper"]:
        if row["value"] is not None:
            values.setdefault(row["row"], {})[row["method"]] = row["value"]
    attributes = {r["row"] for r in report["paper"] if r["quantity"] == "identity distance"}
    rows = [values[name] for name in attributes if OURS in values.get(name, {})]
    if rows:
        least = sum(min(row, key=lambda label: row[label]) == OURS for row in rows)
        asked = max(1, len(rows) - 1)
        what = f"identity distance lowest on at least {asked} of {len(rows)} attributes"
        yield what, "judge", f"{least} of {len(rows)}", least >= asked
    for name, row in values.items():
        if name.startswith("kernel_") and OURS in row:
            best = min(row, key=lambda label: row[label])
            yield "kernel distance of its edits lowest", "judge", f"lowest: {best}", best == OURS


def _several_goals(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    for row in report["several"]:
        if row["method"] == OURS and not row["seed"] and row["reader"] in JUDGES:
            enough, of = row["attributes_enough"], row["attributes"]
            what = f"{row['at_once']} attributes at once: each comes by 70 % in the median"
            yield what, row["reader"], f"{enough} of {of}", enough == of


# -- the page --------------------------------------------------------------------------------------


def page(report: Mapping[str, Any], rows: int) -> str:
    """The text of ``docs/editors.md``."""
    parts = [
        "# The editors beside one another",
        wrapped(
            f"Written by `python -m tests.shipped_report`. {report['stamp']}. Its tables, figures "
            "and `report.json` are in [docs/editors](editors); "
            f"`l2l verify docs/editors` measures random ones of {rows} rows of single faces again. "
            "Training seeds but the first do not ship: their rows need `--trained`."
        ),
        f"    {report['command']}" if report.get("command") else "",
        "## What was asked, and what came",
        markdown_table(("asked of the mapper", "read by", "came", "met"), goals(report)),
        "## At equal achieved change",
        markdown_table(
            ("method", "read by", "training seeds", "reach it", "others move", "between seeds",
             "identity similarity", "leaks"),
            [_method(row) for row in report["equal_methods"]],
        ),
    ]  # fmt: skip
    if report["paper"]:
        parts += [
            "## By the paper's protocol",
            wrapped(f"{report['paper_stamp']}."),
            _paper(report),
        ]
    if report["failed"]:
        reasons = [
            (r["part"], r["method"], r["seed"], r["attribute"], r["reason"])
            for r in report["failed"]
        ]
        head = ("part", "method", "training seed", "attribute", "reason")
        parts += ["## What could not be measured", markdown_table(head, reasons)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _method(row: Mapping[str, Any]) -> tuple[str, ...]:
    spread = row.get("leak_mean_seed_spread")
    return (
        row["method"], row["reader"], str(row["seeds"]), _figure(row, "reach_score", 2),
        _figure(row, "leak_mean", 4), "-" if spread is None else f"{spread:.4f}",
        _figure(row, "identity_similarity", 3), f"{row['leaks']} of {row['cells']}",
    )  # fmt: skip


def _paper(report: Mapping[str, Any]) -> str:
    labels = list(dict.fromkeys(row["method"] for row in report["paper"]))
    rows = []
    for name in dict.fromkeys(row["row"] for row in report["paper"]):
        own = {row["method"]: row for row in report["paper"] if row["row"] == name}
        rows.append((name, *(_value(own.get(label)) for label in labels)))
    return markdown_table(("", *labels), rows)


def _value(row: Mapping[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    low, high = row.get("low"), row.get("high")
    ends = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    return f"{row['value']:.3g}{ends}"


def _figure(row: Mapping[str, Any], name: str, digits: int) -> str:
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main(argv: list[str] | None = None) -> int:
    """Keep a report, and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, metavar="DIR", help="take the figures from here")
    parser.add_argument("--rows", type=int, default=2000, help="rows of single faces that are kept")
    args = parser.parse_args(argv)
    if args.report is not None:
        keep(args.report, KEPT, args.rows)
    with open(KEPT / "measurements.csv", newline="", encoding="utf-8") as text:
        rows = sum(1 for _ in text) - 1
    write_atomic(PAGE, page(read_report(KEPT), rows).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
