"""The mapper without its parts: the same training with ReLU, other depths, or a loss left out.

The paper (Khodadadeh et al. 2022) argues for tanh and against ReLU, which loses information, tries
1 to 4 layers, corrects targets by a rule that it does not tell, and has losses for the attributes,
the identity and the way there and back. Here each choice is taken back alone: the same faces, seeds
and steps, and then the same measurement at equal achieved change, beside the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2l_widgets.evaluation import (
    Comparison,
    Plan,
    compare,
    editor_from,
    stamp,
    write_report,
)
from l2l_widgets.recipes.mapper import INPUTS, SETTINGS, MapperTraining, build_from
from l2l_widgets.recipes.publishing import run_folder
from l2l_widgets.recipes.registry import (
    Recipe,
    RecipeError,
    get_recipe,
    input_hashes,
    list_recipes,
    run,
)
from l2l_widgets.storage import sha256_file, write_atomic

__all__ = [
    "RECIPES",
    "VARIANTS",
    "MapperVariant",
    "ablate",
    "ablation_rows",
    "is_ablation",
    "reported_editors",
    "train_variants",
]

NAME = "mapper-variant"
FILE = f"{NAME}.safetensors"
#: Variant -> what is changed. The identity loss acts with a learned null edit only, as the other
#: forms have an exact one by structure: it is taken away beside a variant that has it. A comma
#: would divide a name in two on the command line.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "whole": {},
    "relu": {"activation": "relu"},
    "width of the input": {"hidden_dim": 0},
    "shared topology": {"topology": "shared"},
    "grouped topology": {"topology": "grouped"},
    "per-style topology": {"topology": "per-style"},
    "1 layer": {"layers": 1},
    "3 layers": {"layers": 3},
    "4 layers": {"layers": 4},
    "no linear term": {"linear": False},
    "no attribute loss": {"attribute_loss_weight": 0.0},
    "no cycle loss": {"cycle_loss_weight": 0.0},
    "no neighbourhood loss": {"neighbourhood_loss_weight": 0.0},
    "no face loss": {"face_loss_weight": 0.0},
    "no cloud loss": {"cloud_loss_weight": 0.0},
    "no background loss": {"background_loss_weight": 0.0},
    "nothing left free": {"leave_free": False},
    "no correction": {"correction": "none"},
    "nearest correction": {"correction": "nearest"},
    "plausible correction": {"correction": "plausible"},
    "learned null edit": {"null": "learned"},
    "learned without identity loss": {"null": "learned", "identity_loss_weight": 0.0},
}


@dataclass(frozen=True)
class MapperVariant(MapperTraining):
    """What `l2l train mapper-variant --set FIELD=VALUE` may change.

    Parameters
    ----------
    activation : str
        Between the layers: tanh or relu.
    **others
        As in ``MapperTraining``.
    """

    activation: str = "tanh"


def train_variants(
    weights: Path,
    runs: Path,
    names: tuple[str, ...] = tuple(VARIANTS),
    *,
    changes: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Path] | None:
    """Train what is not there yet of every variant; a stopped call goes on where it was.

    Parameters
    ----------
    weights : Path
        Folder of the frozen parts.
    runs : Path
        Where each variant has its run, named after what is trained.
    names : tuple of str
        Of :data:`VARIANTS`.
    changes : mapping, optional
        Fields of the recipe for all of them, such as ``steps``; with it the schedule follows.
    say : callable
        Told one line a variant.

    Returns
    -------
    dict of str to Path, or None
        Variant -> its weights; None where a training was stopped, and in the other processes of
        several.

    Raises
    ------
    RecipeError
        An unknown variant or field.
    """
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or "whole" not in names:
        raise RecipeError(
            f"variants are {', '.join(names)}; allowed: whole, and any of {', '.join(VARIANTS)}"
        )
    known = list_recipes()
    fields = dict(changes or {})
    if "steps" in fields:
        fields.setdefault("schedule_steps", fields["steps"])
    recipe = get_recipe(NAME, known).replace(**fields)
    variants = {name: recipe.replace(**VARIANTS[name]) for name in names}
    found: dict[str, Path] = {}
    is_main = True
    for name, variant in variants.items():
        inputs = input_hashes(variant, known, weights)
        folder = run_folder(variant, inputs, runs)
        file = folder / "final" / FILE
        if file.is_file():
            say(f"{name}: there already")
        else:
            say(f"{name}: training, {variant.settings.steps} steps")
            begun = (folder / "config.json").is_file()
            outcome = run(variant, folder, weights=weights, inputs=inputs, resume=begun)
            if not outcome.finished:
                say(f"{name}: stopped at step {outcome.step}; go on with the same command")
                return None
            is_main = outcome.is_main
        found[name] = file
    return found if is_main else None


def ablate(
    models: Any,
    out: Path,
    plan: Plan,
    names: tuple[str, ...] = tuple(VARIANTS),
    *,
    changes: Mapping[str, Any] | None = None,
    truth: Any = None,
    figures: bool = True,
    say: Callable[[str], None] = print,
    command: str = "",
) -> Comparison | None:
    """Train the variants, measure them beside the whole, and write the report and its table.

    Parameters
    ----------
    models : Models
        Of a folder.
    out : Path
        Folder of the report; the runs lie in ``out/runs``.
    plan : Plan
        What is measured; the parts "request" and "equal" fill the table.
    names, changes, say
        As for :func:`train_variants`.
    truth : callable, optional
        As for ``compare``.
    figures : bool
        Whether figures are drawn.
    command : str
        What was typed, for ``report.json``.

    Returns
    -------
    Comparison or None
        None where a training was stopped.
    """
    if models.folder is None:
        raise RecipeError("ablations are trained from a folder of weights; these models have none")
    files = train_variants(models.folder, out / "runs", names, changes=changes, say=say)
    if files is None:
        return None
    comparison = compare(
        models,
        {name: [editor_from(models, "mapper", path)] for name, path in files.items()},
        plan,
        out,
        truth=truth,
        sources={name: f"{NAME}: {name}" for name in files},
        trained={name: [sha256_file(path)] for name, path in files.items()},
        progress=say,
    )
    if command:
        comparison.provenance["command"] = command
    write_report(comparison, out, figures=figures)
    rows = ablation_rows(comparison)
    steps = get_recipe(NAME).replace(**dict(changes or {})).settings.steps
    said = [f"{steps} steps each", *(f"{k} = {v}" for k, v in (changes or {}).items())]
    mark = "; ".join([stamp(comparison), *(s for s in said if not s.startswith("steps = "))])
    write_atomic(out / "ablations.md", _markdown(rows, mark).encode())
    return comparison


def is_ablation(report: Mapping[str, Any]) -> bool:
    """Whether a ``report.json`` is of :func:`ablate`."""
    return bool(report["sources"]) and all(
        str(source).startswith(f"{NAME}: ") for source in report["sources"].values()
    )


def reported_editors(models: Any, report: Mapping[str, Any], runs: Path) -> dict[str, list[Any]]:
    """The editors that a report of :func:`ablate` was made with, found by their hashes.

    Parameters
    ----------
    models : Models
        Of the report.
    report : mapping
        Its ``report.json``.
    runs : Path
        Where the variants were trained: ``runs`` in the report's folder.

    Returns
    -------
    dict of str to list of Editor
        Variant -> its one editor.

    Raises
    ------
    RecipeError
        A variant whose weights are not among the runs.
    """
    there = {sha256_file(path): path for path in sorted(runs.glob(f"*/final/{FILE}"))}
    found = {}
    for name, hashes in report["trained_hashes"].items():
        if len(hashes) != 1 or hashes[0] not in there:
            raise RecipeError(
                f"{runs}: holds no training of the variant {name!r} with the hash that the report "
                f"has ({', '.join(hashes)[:12]}...); allowed: the runs that it was made with"
            )
        found[name] = [editor_from(models, "mapper", there[hashes[0]])]
    return found


def ablation_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one row a variant and reader: what else moved at equal change, and against the whole.

    Returns
    -------
    list of dict
        ``variant``, ``changed``, ``reader``, ``reached``, ``others`` with its interval,
        ``against_whole`` ("less", "more" or "tie": what else moves, paired by face),
        ``identity_similarity``, and at equal request ``cycle_error`` and ``null_error``.
    """
    paired = {
        (row["second"], row["reader"]): row
        for row in comparison.pairs
        if row["first"] == "whole" and row["quantity"] == "others"
    }
    asked = comparison.requested.get(0)
    at_request = {row["method"]: row for row in (asked.methods if asked else [])}
    rows = []
    for row in comparison.methods:
        name, pair = row["method"], paired.get((row["method"], row["reader"]))
        lower = None if pair is None else pair["lower"]
        rows.append(
            {
                "variant": name,
                "changed": ", ".join(f"{k} = {v}" for k, v in VARIANTS[name].items()),
                "reader": row["reader"],
                "reached": row["reach_score"],
                "others": row.get("leak_mean"),
                "low": row.get("leak_mean_low"),
                "high": row.get("leak_mean_high"),
                "against_whole": {None: "", "tie": "tie", name: "less"}.get(lower, "more"),
                "identity_similarity": row.get("identity_similarity"),
                "cycle_error": at_request.get(name, {}).get("cycle_error_mean"),
                "null_error": at_request.get(name, {}).get("null_error"),
            }
        )
    return rows


def _markdown(rows: list[dict[str, Any]], mark: str) -> str:
    head = list(rows[0]) if rows else []
    lines = [mark, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(map(_cell, row.values()))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


RECIPES = (
    Recipe(
        name="mapper-variant",
        summary="the mapper with another activation too: what l2l evaluate --ablations trains",
        config=MapperVariant(**asdict(MapperTraining())),
        settings=SETTINGS,
        build=lambda config, weights: build_from(Path(weights), config, FILE),
        outputs=(FILE,),
        depends_on=INPUTS,
        kind="editor",
        shipped=False,
    ),
)
