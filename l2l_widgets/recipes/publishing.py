"""From finished runs to a folder of weights: the manifest, and training all of it in order."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from l2l_widgets.recipes.registry import (
    MANIFEST,
    Recipe,
    RecipeError,
    in_order,
    input_hashes,
    read_manifest,
    run,
)
from l2l_widgets.recipes.source_commit import source_commit
from l2l_widgets.storage import locked, remove_leftovers, sha256_file, write_together
from l2l_widgets.training import Outcome, RunDirectory, TrainingError

#: Seconds after which a half-written file among the weights is nobody's.
IDLE = 60.0


def is_current(recipe: Recipe, inputs: Mapping[str, str], weights: Path) -> bool:
    """Say whether the published outputs came from exactly this config and these inputs.

    An intermediate's file may be missing, see :func:`is_wanted`; where it lies, it must be the one.
    """
    manifest = read_manifest(weights)
    for file in recipe.outputs:
        entry = manifest.get(file, {})
        path = weights / file
        if entry.get("config_hash") != recipe.config_hash() or entry.get("inputs") != dict(inputs):
            return False
        if recipe.intermediate and not path.exists():
            continue
        if not path.is_file() or sha256_file(path) != entry.get("sha256"):
            return False
    return True


def is_wanted(recipe: Recipe, recipes: Mapping[str, Recipe], weights: Path) -> bool:
    """Say whether a file of an intermediate recipe is missing that a recipe has to read."""
    if not recipe.intermediate or all((weights / file).is_file() for file in recipe.outputs):
        return False
    for reader in shipped_recipes(recipes):
        if recipe.name in reader.depends_on:
            try:
                inputs = input_hashes(reader, recipes, weights, read=False)
            except RecipeError:
                return True  # another input is missing as well: the reader has not been trained
            if not is_current(reader, inputs, weights):
                return True
    return False


def _commit_of(run_directory: Path) -> str:
    """Return the commit a run was begun with; today's for a run that did not write it down."""
    try:
        begun_with = RunDirectory(run_directory).config().get("commit")
    except TrainingError:
        begun_with = None
    return begun_with if isinstance(begun_with, str) else source_commit()


def publish(
    recipe: Recipe,
    run_directory: Path,
    weights: Path,
    inputs: Mapping[str, str],
    scores: Mapping[str, float],
) -> dict[str, str]:
    """Copy a finished run's outputs into a weights folder and describe them in its manifest.

    All bytes are on the disk before the first file is replaced, and the manifest comes last:
    whatever ends this before leaves the world that was there, with the hashes that fit it.

    Parameters
    ----------
    recipe : Recipe
        What was trained, with its final config and settings.
    run_directory : Path
        The finished run.
    weights : Path
        Folder to publish into; made where it does not exist.
    inputs : mapping of str to str
        File -> SHA-256 of the weights that went in.
    scores : mapping of str to float
        What was measured.

    Returns
    -------
    dict of str to str
        File -> SHA-256 of what was published.
    """
    finished = {file: run_directory / "final" / file for file in recipe.outputs}
    for file, path in finished.items():
        if not path.is_file():
            raise RecipeError(f"recipe {recipe.name!r} promised {file}, but {path} is missing")
    weights.mkdir(parents=True, exist_ok=True)
    entry = {
        "kind": recipe.kind,
        "recipe": recipe.name,
        "seed": recipe.settings.seed,
        "steps": recipe.settings.steps,
        "commit": _commit_of(run_directory),
        "config": recipe.resolved()["config"],
        "config_hash": recipe.config_hash(),
        "inputs": dict(inputs),
        "scores": dict(scores),
        **({"intermediate": True} if recipe.intermediate else {}),
    }
    # one at a time: two that add to the same manifest would each lose the other's entry
    with locked(weights / ".publish.lock", wait=True):
        remove_leftovers(weights, IDLE)
        manifest = read_manifest(weights)

        def contents() -> Iterator[tuple[Path, bytes]]:
            for file, path in finished.items():
                data = path.read_bytes()
                manifest[file] = {"sha256": hashlib.sha256(data).hexdigest(), **entry}
                yield weights / file, data
            text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
            yield weights / MANIFEST, text.encode()

        write_together(contents())
    return {file: manifest[file]["sha256"] for file in recipe.outputs}


def shipped_recipes(recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """Return the recipes that make the published weights, in order; each file has one maker."""
    shipped = [recipe for recipe in in_order(recipes).values() if recipe.shipped]
    files = [file for recipe in shipped for file in recipe.outputs]
    repeated = sorted({file for file in files if files.count(file) > 1})
    if repeated:
        raise RecipeError(f"several shipped recipes make {', '.join(repeated)}")
    return shipped


def plan_all(recipes: Mapping[str, Recipe], weights: Path) -> dict[str, str]:
    """Return what `train_all` would do with each recipe, and why; changes nothing."""
    plan: dict[str, str] = {}
    for recipe in shipped_recipes(recipes):
        waits = [name for name in recipe.depends_on if plan.get(name, "current") != "current"]
        if waits:
            plan[recipe.name] = f"train: {', '.join(waits)} will change"
        elif not is_current(recipe, input_hashes(recipe, recipes, weights, read=False), weights):
            known = read_manifest(weights).keys() >= set(recipe.outputs)
            plan[recipe.name] = "train: " + ("config or inputs changed" if known else "not there")
        elif is_wanted(recipe, recipes, weights):
            plan[recipe.name] = "train: its file is not kept, and will be read"
        else:
            plan[recipe.name] = "current"
    return plan


@dataclass(frozen=True)
class Stage:
    """One recipe's turn in `train_all`: "current", "trained" or "stopped"."""

    recipe: Recipe
    status: str
    run_directory: Path
    outcome: Outcome | None = None


def run_folder(recipe: Recipe, inputs: Mapping[str, str], runs: Path) -> Path:
    """Return the run folder of a recipe with exactly this config and these inputs.

    A changed recipe gets a folder of its own, so an interrupted run is only ever resumed by the
    recipe that began it.
    """
    text = json.dumps([recipe.config_hash(), dict(inputs)], sort_keys=True)
    return runs / f"{recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def train_all(
    recipes: Mapping[str, Recipe],
    runs: Path,
    weights: Path,
    *,
    run_one: Callable[..., Outcome] = run,
) -> Iterator[Stage]:
    """Bring a weights folder up to date: train in order what is not current, and publish it.

    May be interrupted at any moment and called again: what is published is passed over, and what
    had begun is resumed.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        What there is to train; those that are not `shipped` are left out.
    runs : Path
        Folder of the run folders.
    weights : Path
        Folder that recipes read from and publish into.
    run_one : callable
        How one recipe is trained, with the signature of ``run``.

    Yields
    ------
    Stage
        One for each recipe; after a "stopped" one nothing more is trained.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "all recipes are trained in one process: launch several processes for one recipe at "
            "a time, with its name"
        )
    for recipe in shipped_recipes(recipes):
        inputs = input_hashes(recipe, recipes, weights, read=False)
        folder = run_folder(recipe, inputs, runs)
        if is_current(recipe, inputs, weights) and not is_wanted(recipe, recipes, weights):
            yield Stage(recipe, "current", folder)
            continue
        resume = (folder / "config.json").is_file()
        outcome = run_one(recipe, folder, weights=weights, inputs=inputs, resume=resume)
        if not outcome.finished:
            yield Stage(recipe, "stopped", folder, outcome)
            return
        publish(recipe, folder, weights, inputs, outcome.scores)
        yield Stage(recipe, "trained", folder, outcome)
