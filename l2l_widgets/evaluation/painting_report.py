"""What painters scored, compared, written and kept: tables of ``evaluation.painting``'s numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.painting import DISTANCES, SPLITS
from l2l_widgets.evaluation.plan import ENOUGH_FACES
from l2l_widgets.metrics.significance import mean_intervals
from l2l_widgets.storage import make_folder, write_atomic, write_together

#: The painter's likeness to the picture as a share of that of two renders of one person: who are
#: else the same in nothing, and who differ in light, colours and background alone.
SHARES = ("identity_share", "identity_share_same_mask")


def compare_painting(scores: Mapping[str, Mapping[str, Any]], against: str) -> dict[str, Any]:
    """How far one variant is ahead of each other one, face by face.

    Parameters
    ----------
    scores : mapping
        Variant -> what :func:`score_painting` gave for the same faces.
    against : str
        The variant that the others are compared with.

    Returns
    -------
    dict
        Other variant -> number of ``PER_FACE`` -> mean difference, low and high end of its 95 %
        interval. An interval without 0 is a difference.
    """
    names = list(scores[against]["means"])

    def table(of: Mapping[str, Any]) -> Tensor:
        return torch.tensor([[row[name] for name in names] for row in of["rows"]])

    found = {}
    for variant, one in scores.items():
        if variant == against:
            continue
        gap = table(scores[against]) - table(one)
        low, high = mean_intervals(gap, seed=0)
        found[variant] = {
            name: [float(gap[:, i].mean()), float(low[i]), float(high[i])]
            for i, name in enumerate(names)
        }
    return found


def painting_table(report: Mapping[str, Any]) -> list[tuple[str, str, float, float, float]]:
    """A report as rows: variant, measure, value, low, high.

    The parser's own overlap and what was measured once have no interval: low and high are the
    value. Rows of a variant named ``whole - OTHER`` are differences, face by face.
    """
    rows: list[tuple[str, str, float, float, float]] = []

    def add(variant: str, name: str, value: float, low: float, high: float) -> None:
        rows.append((variant, name, value, low, high))

    for variant, scores in report["variants"].items():
        for name, value in scores["means"].items():
            add(variant, name, value, *scores["intervals"][name])
        if "asked_attributes" in scores:
            add(variant, "asked_attributes", *scores["asked_attributes"])
        for name in ("parser_iou", "parser_iou_asked"):
            add(variant, name, *[scores[name]] * 3)
        for name in DISTANCES:
            add(variant, name, *scores["frechet"][name])
        for name in SHARES:
            if name in scores:
                add(variant, name, *scores[name])
    for other, gaps in report["whole_minus"].items():
        for name, values in gaps.items():
            add(f"whole - {other}", name, *values)
    return rows


def write_painting_report(folder: Path, report: Mapping[str, Any]) -> None:
    """``table.csv``, ``table.md`` and ``report.json``: of one report, or no ``report.json``."""
    make_folder(folder)
    rows = painting_table(report)
    lines = ["variant,measure,mean,low,high"]
    lines += [f"{v},{m},{value:.5f},{low:.5f},{high:.5f}" for v, m, value, low, high in rows]
    preview = "PREVIEW, " if report["faces"] < ENOUGH_FACES else ""
    said = [
        f"{preview}{report['faces']} faces ({report['data']}, seed {report['seed']}); 95 % "
        f"intervals over faces, of Fréchet distances the range over {SPLITS} random halvings into "
        f"{report['faces'] // 2} a side. One training a variant: intervals do not cover another.",
        "", "| variant | measure | value | from | to |", "|---|---|---:|---:|---:|",
    ]  # fmt: skip
    said += [
        f"| {v} | {m} | {value:.3f} | {low:.3f} | {high:.3f} |" for v, m, value, low, high in rows
    ]
    texts = {
        "table.csv": "\n".join(lines), "table.md": "\n".join(said),
        "report.json": json.dumps(report, indent=1),
    }  # fmt: skip
    write_together([(folder / n, f"{t}\n".encode()) for n, t in texts.items()], marked=True)


def kept_scores(
    folder: Path, variant: str, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What was measured of a variant before, if it is of the same ``key``; else measure and keep.

    Parameters
    ----------
    folder : Path
        Of the report; scores lie in ``variants/NAME.json`` there, so that a stopped command goes
        on where it was.
    variant : str
        A file name.
    key : mapping
        Everything that decides the scores, as JSON values: hashes, faces, seed.
    measure : callable
        Gives the scores.
    """
    path = folder / "variants" / f"{variant}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == dict(key):
            scores: dict[str, Any] = kept["scores"]
            return scores
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or half a file of somebody else's
    scores = measure()
    make_folder(path.parent)
    write_atomic(path, json.dumps({"key": dict(key), "scores": scores}).encode())
    return scores
