"""The tables of ``l2l evaluate`` for a terminal."""

from __future__ import annotations

import textwrap
from typing import Any

#: What the columns of the two tables are.
_REQUESTED = (
    "achieved: median share of the request that the judge reads; others: mean change of the other "
    "attributes, of their scale; identity: cosine, 1 for the same face; placed: the same from "
    "strangers (0) to one person (1); cycle: what the edit and its undoing leave, of its length. "
    "In brackets: 95 % of the bootstrap over faces"
)
_EQUAL = (
    "reached: share of faces that reach the change; others, identity: as above, there; leaks: "
    "attributes that move beyond chance, of those that are decided"
)


def comparison_text(comparison: Any, mark: str, paper: str = "") -> str:
    """Return the tables for a terminal; ``paper`` is what the paper's table is of."""
    lines: list[str] = []
    for seed, report in comparison.requested.items():
        lines += requested_lines(report, f"of training seed {seed}" if seed else "")
    if comparison.methods:
        head = (
            f"{'method':<26}{'reader':<11}{'seeds':>6}{'reached':>9}{'others':>9}{'interval':>18}"
        )
        lines += ["", "at equal achieved change", f"{head}{'identity':>10}{'leaks':>12}"]
    for row in comparison.methods:
        found = number_cell(row, "leak_mean", 9)
        interval = "-"
        if row.get("leak_mean") is not None:
            interval = f"{row['leak_mean_low']:.3f} .. {row['leak_mean_high']:.3f}"
        lines.append(
            f"{row['method']:<26}{row['reader']:<11}{row['seeds']:>6}{row['reach_score']:>9.3f}"
            f"{found}{interval:>18}{number_cell(row, 'identity_similarity', 10)}"
            f"{row['leaks']:>5} of {row['cells']}"
        )
    if comparison.methods:
        lines += textwrap.wrap(_EQUAL, 96)
    if comparison.paper:
        labels = list(dict.fromkeys(row["method"] for row in comparison.paper))
        lines += ["", "the paper's protocol: identity distance and picture quality"]
        lines.append(f"{'':<22}" + "".join(f"{label:>31}" for label in labels))
        for name in dict.fromkeys(row["row"] for row in comparison.paper):
            ours = {r["method"]: r for r in comparison.paper if r["row"] == name}
            shown = "".join(f"{_with_ends(ours.get(label, {})):>31}" for label in labels)
            lines.append(f"{name:<22}{shown}")
        lines += textwrap.wrap(paper, 96)
    lines += _agreement_lines(comparison.readers)
    lines += _several_lines(comparison.several)
    lines += _standards_lines(comparison.standards)
    for cell in comparison.failed:
        where = " ".join(str(cell[k]) for k in ("part", "method", "seed", "attribute"))
        lines.append(f"not measured: {where}: {cell['reason']}")
    lines.append(mark)
    readers = comparison.provenance["judges"].items()
    lines.append(f"read by {', '.join(f'{judge} ({what})' for what, judge in readers)}")
    return "\n".join(lines)


def _agreement_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return how far the readers agree, a line a pair."""
    lines = []
    for pair in dict.fromkeys((row["first"], row["second"]) for row in rows):
        told = [
            row for row in rows
            if (row["first"], row["second"]) == pair and row["correlation"] is not None
        ]  # fmt: skip
        if told:
            told.sort(key=lambda row: row["correlation"])
            middle, least = told[len(told) // 2], told[0]
            lines.append(
                f"{pair[0]} and {pair[1]} on the faces unedited: correlation "
                f"{middle['correlation']:.2f} in the middle of {len(told)} attributes, least "
                f"{least['attribute']} {least['correlation']:.2f} [{least['low']:.2f}, "
                f"{least['high']:.2f}]"
            )
    return ["", "how far the readers agree", *lines] if lines else []


def _several_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return what came of requests for several attributes."""
    if not rows:
        return []
    lines = ["", f"{rows[0]['at_once']} attributes in one request"]
    lines.append(
        f"{'method':<28}{'reader':<10}{'faces':>6}{'achieved':>22}{'each 70 %':>10}{'least':>22}"
        f"{'all 70 %':>22}{'others':>8}{'identity':>10}"
    )
    for row in rows:
        name = f"{row['method']} (seed {row['seed']})" if row["seed"] else row["method"]
        achieved, least, everything = (
            interval_cell(row, key, 22)
            for key in ("achieved_median", "least_median", "all_enough_score")
        )
        each = f"{row['attributes_enough']} of {row['attributes']}"
        lines.append(
            f"{name:<28}{row['reader']:<10}{row['faces']:>6}{achieved}{each:>10}{least}{everything}"
            f"{number_cell(row, 'others_mean', 8)}{number_cell(row, 'identity_similarity', 10)}"
        )
    lines += textwrap.wrap(
        "achieved: median share of each request that came; each 70 %: attributes that came by "
        "70 % in the median over the faces that were asked for them and four others; least: of "
        "each face's least one; all 70 %: share of the faces of which every one came by 70 %; "
        "others: what no request may change on purpose",
        96,
    )
    return lines


def _standards_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return what papers on latent spaces report, and what each kind of number is worth."""
    if not rows:
        return []
    lines = ["", "latent spaces, and the methods' edit coordinates"]
    lines.append(f"{'of':<28}{'quantity':<28}{'value':>30}{'better':>9}{'faces':>8}")
    for row in rows:
        name = f"{row['of']} (seed {row['seed']})" if row["seed"] else row["of"]
        lines.append(
            f"{name:<28}{row['quantity']:<28}{_with_ends(row):>30}{row['better']:>9}"
            f"{row['faces']:>8}"
        )
    kinds = {row["caveat"]: row["quantity"] for row in reversed(rows)}
    for caveat, first in reversed(kinds.items()):
        kind = "DCI, MIG, SAP" if first.startswith(("dci", "mig", "sap")) else first
        lines += textwrap.wrap(f"{kind}: {caveat}", 96)
    return lines


def _with_ends(row: dict[str, Any]) -> str:
    """Return a row's value to four digits, and its interval where it has one."""
    value, low, high = (row.get(key) for key in ("value", "low", "high"))
    text = "-" if value is None else format(value, ".4g")
    if any(end is None or end != end for end in (low, high)):
        return text
    return f"{text} [{low:.3g}, {high:.3g}]"


def number_cell(row: dict[str, Any], key: str, width: int) -> str:
    """Return a figure of a row to three digits, or a dash where there is none."""
    value = row.get(key)
    return f"{'-' if value is None else format(value, '.3f'):>{width}}"


def interval_cell(row: dict[str, Any], key: str, width: int, digits: int = 2) -> str:
    """Return a figure of a row with its interval, as far as they are there; else a dash."""
    value, low, high = (row.get(f"{key}{end}") for end in ("", "_low", "_high"))
    text = "-" if value is None else f"{value:.{digits}f}"
    if value is not None and low is not None and high is not None:
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{text:>{width}}"


#: Measure -> what heads its column, its width, and digits.
_COLUMNS = {
    "achieved_median": ("achieved", 22, 2), "others_mean": ("others", 23, 3),
    "identity_similarity": ("identity", 22, 2), "identity_placement_score": ("placed", 22, 2),
    "cycle_error_mean": ("cycle", 23, 3),
}  # fmt: skip


def requested_lines(report: Any, title: str = "") -> list[str]:
    """Return the table of one report at equal request, a line a row, and what its columns are."""
    head = "".join(f"{name:>{width}}" for name, width, _ in _COLUMNS.values())
    title = f"at equal request {title}".rstrip()
    rows = [*report.attributes, *({**m, "attribute": "all"} for m in report.methods)]
    wide, long = (
        2 + max(len(name) for name in (key, *(row[key] for row in rows)))
        for key in ("method", "attribute")
    )
    lines = [title, f"{'method':<{wide}}{'attribute':<{long}}{'faces':>6}{head}"]
    for row in rows:
        shown = "".join(interval_cell(row, k, w, d) for k, (_, w, d) in _COLUMNS.items())
        lines.append(f"{row['method']:<{wide}}{row['attribute']:<{long}}{row['faces']:>6}{shown}")
    for m in report.methods:
        if m["null_error"] is None:  # why stands among what was not measured
            continue
        lines.append(
            f"{m['method']}: asked for nothing it moves by {m['null_error']:.2g} standard "
            f"deviations of W; {m['milliseconds_per_edit']:.2f} ms an edit"
        )
    return [*lines, *textwrap.wrap(_REQUESTED, 96)]
