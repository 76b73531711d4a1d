"""How good the editors of a generator of your own came out: measured, and said in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l_widgets import evaluation
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.latents import faces_at_once
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.recipes.imitation import IMITATIONS
from l2l_widgets.storage import write_atomic

__all__ = ["REPORT", "measure", "write_text"]

REPORT = "REPORT.md"
#: Median share of the request that comes: from here on an edit follows, or at least moves.
FOLLOWS, MOVES = 0.6, 0.25
#: From here on more comes than was asked, or too much comes along: the mean change of
#: the other attributes is a third of the request.
TOO_MUCH, ALONG = 1.5, 0.1
#: Share of the judge's variance that an imitation must explain, or its attribute is not to be had.
IMITATED = 0.3


def measure(
    models: Models,
    methods: Sequence[str],
    faces: int,
    folder: Path,
    progress: Callable[[str], None],
) -> tuple[dict[str, Any], Path]:
    """Measure editors by the judges, which no training has seen through; goes on where it stopped.

    Parameters
    ----------
    models : Models
        A world with its editors.
    methods : sequence of str
        Editors.
    faces : int
        Unseen faces, 3 to 4000.
    folder : Path
        Folder of the report folders; the report's name says what was measured.
    progress : callable
        Gets a line for each part.

    Returns
    -------
    report : dict
        As ``report.json`` has it.
    path : Path
        The report's folder.
    """
    plan = evaluation.Plan(
        Protocol(
            attributes=models.table.names,
            faces=faces,
            batch=faces_at_once(models.generator, Protocol.batch),
        ),
        parts=("request", "equal"),
    )
    named = json.dumps([dict(models.hashes), list(methods), faces], sort_keys=True)
    path = folder / hashlib.sha256(named.encode()).hexdigest()[:10]
    if (path / "report.json").is_file():
        return evaluation.read_report(path), path
    comparison = evaluation.compare(
        models, {name: [models.editor(name)] for name in methods}, plan, path,
        sources={name: name for name in methods}, progress=progress,
    )  # fmt: skip
    evaluation.write_report(comparison, path, figures=False)
    return evaluation.summary(comparison), path


def verdict(share: float | None, explained: float | None, others: float | None = None) -> str:
    """One attribute in words.

    Parameters
    ----------
    share : float or None
        Median share of the request that came.
    explained : float or None
        How well the judge was imitated, R2.
    others : float or None
        Mean change of the other attributes.
    """
    if share is None:
        return "not measured"
    if share > TOO_MUCH:
        return "goes too far: more comes than was asked"
    if share >= FOLLOWS:
        along = others is not None and others > ALONG
        return "takes others along: they move too" if along else "follows"
    if explained is not None and explained < IMITATED:
        return "not learned: the judge's answers are hardly explained by the pictures"
    return "moves, but less than asked" if share >= MOVES else "hardly moves"


def write_text(world: Path, report: Mapping[str, Any], folder: Path) -> str:
    """Write ``REPORT.md`` into the world: what came, how sure, and how to go on; return it.

    Parameters
    ----------
    world : Path
        The world's folder.
    report : mapping
        As :func:`measure` gives it.
    folder : Path
        The report's folder.
    """
    manifest = load(world).manifest
    scores = {
        part: manifest.get(f"{part}.safetensors", {}).get("scores", {}) for part in IMITATIONS
    }
    imitated = scores["regressor"]
    lines = [f"# Editors of {world.name}", "", report["stamp"], ""]
    for part, found in scores.items():
        if found:
            lines.append(explained_line(part, found["mean_r2"], found["faces"]))
    lines += [
        "",
        "| method | attribute | asked 0.3, came | others moved | identity | verdict |",
        "|---|---|---|---|---|---|",
    ]
    counts: dict[str, list[int]] = {}
    for row in report["attributes"]:
        share, explained = row.get("achieved_median"), imitated.get(f"{row['attribute']}_r2")
        said = verdict(share, explained, row.get("others_mean"))
        good = counts.setdefault(row["method"], [0, 0])
        good[0] += said == "follows"
        good[1] += 1
        cells = [_within(row, "achieved_median", _share), _within(row, "others_mean", _number)]
        cells.append(_within(row, "identity_similarity", _number))
        lines.append(f"| {row['method']} | {row['attribute']} | {' | '.join(cells)} | {said} |")
    lines.append("")
    for method, (follows, all_of_them) in counts.items():
        lines.append(f"**{method}: {follows} of {all_of_them} attributes follow.**")
    lines += [
        "",
        "*Came* is the median share of the request, by the judge, which no loss has seen; *others "
        "moved* the mean change of all other attributes; *identity* the cosine between the "
        "identity judge's vectors before and after.",
        f"Single faces: `{folder.relative_to(world).as_posix()}/`. Again: "
        f"`l2l verify {folder.as_posix()} --generator {world.as_posix()}`.",
        "",
        "```python",
        "from l2l_widgets import EditSession, FaceEditor, LatentMap, load",
        f'session = EditSession(load("{world.as_posix()}"))',
        "FaceEditor(session)  # the sliders; LatentMap(session) is the map",
        "```",
        "",
    ]
    text = "\n".join(lines)
    write_atomic(world / REPORT, text.encode())
    return text


def explained_line(part: str, share: float, faces: float) -> str:
    """Say how much of the judge an imitation knows, as a line of the report.

    Parameters
    ----------
    part : str
        The imitation's name.
    share : float
        Its R² on faces that it never saw: at most 1, and below 0 where it is worse than a constant.
    faces : float
        How many these were.
    """
    known = f"{share:.0%}" if share >= 0.005 else "nothing"
    return f"- `{part}` explains {known} of the judge's variance on {faces:.0f} faces it never saw"


def _within(row: Mapping[str, Any], name: str, words: Callable[[float | None], str]) -> str:
    """A figure and its interval over faces."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    value = words(row.get(name))
    return value if low is None or high is None else f"{value} [{words(low)}, {words(high)}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}".replace("-0%", "0%")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
