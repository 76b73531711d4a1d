"""Write a comparison as a folder that a reviewer can check and a paper can include.

::

    run.json, cells/        what was asked, and every measurement of single faces as tensors
    measurements.csv        one row per part, method, seed, attribute, face, reader and quantity
    methods.csv             at equal request: one row a method
    attributes.csv          the same by attribute
    rescoring.csv           the re-scoring matrix: what a request moves, edited by read attribute
    equal_methods.csv       at equal achieved change: one row a method and reader
    equal_attributes.csv    the same by attribute
    groups.csv              the same by groups of faces; one of too few faces says so
    readers.csv             how far the readers agree on the unedited faces, by attribute
    leakage.csv             one row per method, seed, reader, edited and read attribute; an
                            attribute that could not be edited has one row, with the reason
    pairs.csv               paired differences of methods
    paper.csv               the paper's rows, ours beside the paper's own
    several.csv             five attributes in one request: one row a method, seed and reader
    standards.csv           separability, path length, DCI, MIG, SAP, each with its caveat
    curves.csv              what else moves, and identity, over the achieved change
    failed.csv              what could not be measured, and why
                            (of too few faces, every row of the others ends in PREVIEW)
    tables/*.tex            equal_methods and paper as LaTeX (booktabs)
    figures/*.svg, *.png    leakage matrices, and what moves as the target moves
    report.json             all but the two matrices and single faces; it comes last, and while
                            the others are replaced there is none
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from l2l_widgets.evaluation.equal_change import (
    CURVE,
    FALSE_DISCOVERIES,
    RANDOM_DIRECTIONS,
    RANDOM_FACES,
)
from l2l_widgets.evaluation.paper_protocol import FACES, OF_FEATURES, PAPER_FIGURES, PAPER_METHODS
from l2l_widgets.evaluation.report import Comparison
from l2l_widgets.metrics.leakage import BAND
from l2l_widgets.storage import make_folder, write_together

#: Columns of ``measurements.csv``.
COLUMNS = (
    "part", "method", "seed", "attribute", "face", "requested", "reader", "quantity", "value",
)  # fmt: skip


#: Verdict of a row of ``leakage.csv`` that stands for a whole line of a matrix.
NOT_MEASURED = "not measured"
#: What the bands in the figures and the ends in the tables are.
INTERVALS = "95 % bootstrap intervals over faces"
#: What a method that was trained once must say: no interval here knows of another training.
ONE_TRAINING = "1 training seed (another training may differ by more than the intervals)"


def stamp(comparison: Comparison) -> str:
    """Return what every table and figure carries: n, seeds, judge, and whether it is a preview."""
    p, plan = comparison.provenance, comparison.plan
    counts = set(p["trained_seeds"].values())
    if len(counts) == 1:
        (count,) = counts
        seeds = f"{count} training seeds" if count > 1 else ONE_TRAINING
    else:  # some were trained more often than others
        each = ", ".join(f"{label} {count}" for label, count in p["trained_seeds"].items())
        seeds = f"training seeds: {each}"
    preview = "PREVIEW, " if p["preview"] else ""
    judges = f"judge: {p['judges']['attribute']}"
    if "attribute_b" in p["judges"]:
        judges = f"judges: {p['judges']['attribute']}, {p['judges']['attribute_b']}"
    return (
        f"{preview}n = {plan.protocol.faces} faces, face seed {plan.protocol.seed}, "
        f"{seeds}, {judges}, {INTERVALS}"
    )


def paper_mark(comparison: Comparison) -> str:
    """Return what the paper's table is of, which has fewer faces than the rest of a report."""
    plan = comparison.plan
    faces = min(plan.paper_faces, plan.protocol.faces)
    ends = (
        "the whole range that may be requested, as no face detector was asked"
        if plan.detector == "none"
        else f"ranges end where the detector {plan.detector!r} no longer finds faces"
    )
    preview = comparison.provenance["preview"] or faces < FACES
    return (
        f"{'PREVIEW, ' if preview else ''}{faces} faces at {plan.positions} positions, training "
        f"seed 0 alone; {ends}; distances of pictures against those of all "
        f"{plan.protocol.faces} unedited faces"
    )


def summary(comparison: Comparison) -> dict[str, Any]:
    """Return the content of ``report.json``."""
    plan = comparison.plan
    protocol = {**asdict(plan.protocol), "attributes": list(plan.protocol.attributes)}
    own = {k: v for k, v in asdict(plan).items() if k != "protocol"}
    first = comparison.requested.get(0)
    return {
        "format": "l2l-evaluation/2",
        "protocol": protocol,
        "plan": {**own, "parts": list(plan.parts)},
        **comparison.provenance,
        "stamp": stamp(comparison),
        "paper_stamp": paper_mark(comparison) if comparison.paper else "",
        "methods": first.methods if first else [],
        "attributes": first.attributes if first else [],
        "methods_of_seeds": {
            str(seed): report.methods for seed, report in comparison.requested.items() if seed
        },
        "equal_methods": comparison.methods,
        "equal_attributes": comparison.equal,
        "groups": comparison.groups,
        "readers": comparison.readers,
        "pairs": comparison.pairs,
        "paper": comparison.paper,
        "several": comparison.several,
        "standards": comparison.standards,
        "random_edits": {
            "directions": RANDOM_DIRECTIONS, "faces": min(RANDOM_FACES, plan.protocol.faces),
            "share_within": BAND,
        },
        "false_discoveries": FALSE_DISCOVERIES,
        "failed": comparison.failed,
    }  # fmt: skip


def write_report(comparison: Comparison, out: str | Path, *, figures: bool = True) -> Path:
    """Write the report folder; ``report.json`` comes last, so it marks a whole one.

    All files are made before one is replaced. Figures of an earlier report that this one does not
    have, such as those of a method that is gone, are removed with the earlier ``report.json``.

    Parameters
    ----------
    comparison : Comparison
        What was measured.
    out : path
        The folder of its cells.
    figures : bool
        Whether to draw; needs matplotlib.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    StorageError
        A file cannot be written. Up to the last byte of the last one an earlier report stays.
    """
    folder = Path(out)
    make_folder(folder / "tables")
    if figures:
        make_folder(folder / "figures")
    write_together(_files_of(comparison, folder, figures), marked=True)
    return folder


def _files_of(comparison: Comparison, folder: Path, figures: bool) -> Iterator[tuple[Path, bytes]]:
    """Every file of a report and its content, ``report.json`` last."""
    requested = {
        table: [
            {**row, "seed": seed}
            for seed, report in comparison.requested.items()
            for row in getattr(report, table)
        ]
        for table in ("methods", "attributes")
    }
    preview = bool(comparison.provenance["preview"])
    yield folder / "measurements.csv", long_csv(comparison.measurements)
    for name, table in (
        ("methods", requested["methods"]),
        ("attributes", requested["attributes"]),
        ("equal_methods", comparison.methods),
        ("equal_attributes", comparison.equal),
        ("rescoring", comparison.rescoring),
        ("groups", comparison.groups),
        ("readers", comparison.readers),
        ("leakage", _leakage_rows(comparison)),
        ("pairs", comparison.pairs),
        ("paper", paper_table(comparison)),
        ("several", comparison.several),
        ("standards", comparison.standards),
        ("curves", curve_rows(comparison)),
        ("failed", comparison.failed),
    ):
        few = paper_mark(comparison).startswith("PREVIEW") if name == "paper" else preview
        mark_of = {"preview": "PREVIEW"} if few and name != "failed" else {}
        yield folder / f"{name}.csv", as_csv([{**row, **mark_of} for row in table])
    mark = stamp(comparison)
    for name, table, said, title in (
        (
            "equal_methods",
            _shown_methods(comparison),
            mark,
            "What else moved at equal achieved change.",
        ),
        (
            "paper",
            _shown_paper(comparison),
            paper_mark(comparison),
            "The paper's protocol. Columns marked 'paper' are the paper's own figures, of another "
            "generator; rows of a judge's features are ours, those marked (paper) of Inception's.",
        ),
    ):
        text = as_latex(table, f"{title} {said}.", f"tab:{name}")
        yield folder / "tables" / f"{name}.tex", text.encode()
    drawn = []
    if figures:
        from l2l_widgets.evaluation.figures import draw_figures

        for name, data in draw_figures(comparison, mark):
            drawn.append(name)
            yield folder / "figures" / name, data
    text = json.dumps(_finite(summary(comparison)), indent=1, allow_nan=False) + "\n"
    yield folder / "report.json", text.encode()
    _forget_figures(folder, drawn)


def _leakage_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """The cells of all matrices, and a row with its reason for each line that is missing."""
    missing = [
        {
            "method": cell["method"], "seed": cell["seed"], "edited": cell["attribute"],
            "verdict": NOT_MEASURED, "reason": cell["reason"],
        }
        for cell in comparison.failed
        if cell["part"] == "equal"
    ]  # fmt: skip
    return comparison.leakage + missing


def _finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _forget_figures(folder: Path, drawn: Sequence[str]) -> None:
    """Remove what an earlier report drew and this one does not, and that report with it."""
    old = [
        path
        for kind in ("svg", "png")
        for stem in ("leakage_*", "curves")
        for path in (folder / "figures").glob(f"{stem}.{kind}")
        if path.name not in drawn
    ]
    if old:
        (folder / "report.json").unlink(missing_ok=True)
    for path in old:
        path.unlink(missing_ok=True)


def curve_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the curves as rows: a quantity at an achieved change, its interval and its faces."""
    rows: list[dict[str, Any]] = []
    for curve in comparison.curves:
        own = {key: curve[key] for key in ("method", "seed", "attribute")}
        ends, reached = curve["others_interval"], curve["identity_interval"]
        found = [("others", curve["achieved"], curve["others"], ends, curve["faces"])]
        if curve["identity"] is not None:
            faces = curve["identity_faces"]
            found.append(("identity_similarity", CURVE, curve["identity"], reached, faces))
        for quantity, places, values, (low, high), counts in found:
            for row in zip(places, values, low, high, counts, strict=True):
                named = zip(("achieved", "value", "low", "high", "faces"), row, strict=True)
                rows.append({**own, "quantity": quantity, "reader": "judge", **dict(named)})
    return rows


def paper_table(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the paper's rows: our methods by this world, then the paper's own of another one.

    Distances of a judge's features have rows of their own, and the paper's of Inception's features
    follow under a name that says whose they are.
    """
    labels = list(dict.fromkeys(row["method"] for row in comparison.paper))
    names = dict.fromkeys(row["row"] for row in comparison.paper)
    rows = []

    def add(
        name: str, ours: Mapping[str, Mapping[str, Any]], theirs: Sequence[float | None]
    ) -> None:
        row: dict[str, Any] = {"row": name}
        for label in labels:
            for column, key in (
                (label, "value"),
                (f"{label} low", "low"),
                (f"{label} high", "high"),
            ):
                row[column] = _rounded(ours.get(label, {}).get(key))
        row |= {
            f"paper (other generator): {method}": value
            for method, value in zip(PAPER_METHODS, theirs, strict=True)
        }
        rows.append(row)

    nothing = (None,) * len(PAPER_METHODS)
    order = [n for n in PAPER_FIGURES if n in names or n in OF_FEATURES]
    for name in dict.fromkeys((*order, *names)):
        start = OF_FEATURES.get(name)
        found = [n for n in names if n == name or (start and n.startswith(f"{start}_"))]
        for one in found:
            ours = {r["method"]: r for r in comparison.paper if r["row"] == one}
            add(one, ours, nothing if start else PAPER_FIGURES.get(one, nothing))
            names.pop(one)
        if start and found:
            add(f"{name} (paper)", {}, PAPER_FIGURES[name])
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.4g}")


def _shown_paper(comparison: Comparison) -> list[dict[str, Any]]:
    """The paper's rows with each interval behind its number."""
    labels = list(dict.fromkeys(row["method"] for row in comparison.paper))
    shown = []
    for row in paper_table(comparison):
        out = dict(row)
        for label in labels:
            low, high = out.pop(f"{label} low"), out.pop(f"{label} high")
            if low is not None:
                out[label] = f"{out[label]} [{low}, {high}]"
        shown.append(out)
    return shown


def _shown_methods(comparison: Comparison) -> list[dict[str, Any]]:
    shown = []
    for row in comparison.methods:
        out = {key: row[key] for key in ("method", "reader", "seeds")}
        for name in ("reach_score", "leak_mean", "identity_similarity"):
            value = row.get(name)
            out[name] = (
                None
                if value is None
                else f"{value:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
            )
        shown.append({**out, "leaks": f"{row['leaks']} of {row['cells']}"})
    return shown


def long_csv(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return single measurements as CSV: of a thousand faces there are millions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue().encode()


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as CSV; every key in order of appearance is a column."""
    names = tuple(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_latex(rows: Sequence[Mapping[str, Any]], caption: str, label: str) -> str:
    """Return rows as a LaTeX table for the booktabs package."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'r' * max(0, len(names) - 1)}}}",
        r"\toprule",
        " & ".join(_escape(name) for name in names) + r" \\",
        r"\midrule",
        *(
            " & ".join(_escape("" if row.get(n) is None else str(row[n])) for n in names) + r" \\"
            for row in rows
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(named.get(c) or (f"\\{c}" if c in "&%$#_{}" else c) for c in text)
