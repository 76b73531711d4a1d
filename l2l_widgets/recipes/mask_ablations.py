"""MaskGAN without its parts: the same training without simulated edits, SFT, or the blender.

Every variant takes as many steps as the whole, and its mapping as many updates, from the same seeds
and data, in a folder of its own. What has been published already of exactly these recipes is taken,
not trained again.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l_widgets.maskgan.model import MAPPING, VAE, WHOLE
from l2l_widgets.recipes.maskgan import EditTask
from l2l_widgets.recipes.publishing import MANIFEST, is_current, publish, read_manifest
from l2l_widgets.recipes.registry import (
    Recipe,
    RecipeError,
    get_recipe,
    input_hashes,
    list_recipes,
    run,
)
from l2l_widgets.storage import write_atomic
from l2l_widgets.training import RunDirectory

#: Variant -> what changes in dense-mapping, and in mask-edit.
VARIANTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "whole": ({}, {}),
    "no-edits": ({}, {"edits": False}),
    "no-sft": ({"sft": False}, {}),
    "no-blender": ({}, {"blender": False}),
}


def train_variants(
    weights: Path,
    runs: Path,
    *,
    variants: Sequence[str] = tuple(VARIANTS),
    changes: Mapping[str, Any] | None = None,
    steps: Mapping[str, int] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Train what is not there yet of every variant, and of the MaskVAE that all share.

    Parameters
    ----------
    weights : Path
        Folder that holds the reader, ``regressor.safetensors``; and, where they are published
        there, the MaskVAE, the mapping and the whole.
    runs : Path
        Where each variant gets a folder of weights and its runs; a stopped call goes on there.
    variants : sequence of str
        Names of :data:`VARIANTS`.
    changes : mapping, optional
        Fields of the recipes to change alike, such as ``data`` and ``batch_size``.
    steps : mapping of str to int, optional
        Recipe name -> steps, where not its own.
    say : callable
        Told one line a stage, and early in each how long it will take.

    Returns
    -------
    dict of str to Path
        Variant -> its ``maskgan.safetensors``.
    """
    known = list_recipes()
    recipes = {
        name: _changed(get_recipe(name, known), dict(changes or {}), (steps or {}).get(name))
        for name in ("mask-vae", "dense-mapping", "mask-edit")
    }
    shared = runs / "shared"
    _carry(weights, shared, "regressor.safetensors")

    def train(recipe: Recipe, folder: Path, run_name: str) -> None:
        if not _take(recipe, known, weights, folder, say):
            _train(recipe, known, folder, runs / f"run-{run_name}", say)

    train(recipes["mask-vae"], shared, "mask-vae")
    if any(not VARIANTS[name][0] for name in variants):
        train(recipes["dense-mapping"], shared, "dense-mapping")
    found = {}
    for name in variants:
        first, second = VARIANTS[name]
        own = runs / name
        for file in ("regressor.safetensors", VAE):
            _carry(shared, own, file)
        if first:
            train(recipes["dense-mapping"].replace(**first), own, f"{name}-dense-mapping")
        else:
            _carry(shared, own, MAPPING)
        train(recipes["mask-edit"].replace(**second), own, f"{name}-mask-edit")
        found[name] = own / WHOLE
    return found


def mapping_updates(steps: Mapping[str, int] | None = None) -> dict[str, int]:
    """How often the mapping of each variant moved, over both stages; ``steps`` as they were."""
    known = list_recipes()
    one, two = (
        (steps or {}).get(name, get_recipe(name, known).settings.steps)
        for name in ("dense-mapping", "mask-edit")
    )
    return dict.fromkeys(VARIANTS, one + EditTask.mapping_updates * two)


def _changed(recipe: Recipe, changes: dict[str, Any], steps: int | None) -> Recipe:
    own = {f: v for f, v in changes.items() if hasattr(recipe.config, f)}
    return recipe.replace(**own, **({} if steps is None else {"steps": steps}))


def _carry(source: Path, target: Path, file: str) -> None:
    """Copy one file of weights between folders."""
    if not (source / file).is_file():
        raise RecipeError(f"{source / file} is missing; l2l train makes it")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / file, target / file)


def _take(
    recipe: Recipe,
    known: Mapping[str, Recipe],
    source: Path,
    target: Path,
    say: Callable[[str], None],
) -> bool:
    """Copy what a folder of weights has of exactly this recipe and these inputs; False for none."""
    if not is_current(recipe, input_hashes(recipe, known, target), source):
        return False
    if not all((source / file).is_file() for file in recipe.outputs):
        return False  # an intermediate that the package's manifest lists and does not bring
    manifest = read_manifest(target)
    for file in recipe.outputs:
        _carry(source, target, file)
        manifest[file] = read_manifest(source)[file]
    write_atomic(target / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    say(f"{target.name}: {', '.join(recipe.outputs)} taken from {source}")
    return True


class _Pace:
    """Says once how long a training will take, from the time between two of its records."""

    def __init__(self, name: str, steps: int, say: Callable[[str], None]) -> None:
        self.name, self.steps, self.say = name, steps, say
        self.first: tuple[float, float] | None = None
        self.said = False

    def __call__(self, record: Mapping[str, Any]) -> None:
        now, step = time.perf_counter(), float(record["step"])
        if self.first is None:
            self.first = now, step
        elif not self.said and step > self.first[1]:
            pace = (now - self.first[0]) / (step - self.first[1])
            minutes = math.ceil(pace * (self.steps - step) / 60)
            self.say(f"{self.name}: {self.steps} steps, about {minutes} more minutes")
            self.said = True


def _train(
    recipe: Recipe,
    known: Mapping[str, Recipe],
    weights: Path,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    inputs = input_hashes(recipe, known, weights)
    if is_current(recipe, inputs, weights):
        say(f"{folder.name}: there already")
        return
    begun = RunDirectory(folder).exists()
    pace = _Pace(folder.name, recipe.settings.steps, say)
    outcome = run(recipe, folder, weights=weights, inputs=inputs, resume=begun, callbacks=(pace,))
    if not outcome.finished:
        raise RecipeError(f"{folder} was stopped at step {outcome.step}; the same command goes on")
    publish(recipe, folder, weights, inputs, outcome.scores)
    say(f"{folder.name}: trained")
