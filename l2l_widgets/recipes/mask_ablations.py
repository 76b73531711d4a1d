"""MaskGAN without its parts: the same training without simulated edits, SFT, or the blender.

Every variant takes as many steps as the whole, and its mapping as many updates, from the same seeds
and data, in a folder of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.maskgan.model import MAPPING, VAE, WHOLE
from l2l_widgets.recipes.maskgan import EditTask
from l2l_widgets.recipes.publishing import is_current, publish
from l2l_widgets.recipes.registry import (
    Recipe,
    RecipeError,
    get_recipe,
    input_hashes,
    list_recipes,
    run,
)
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
    changes: Mapping[str, Any] | None = None,
    steps: Mapping[str, int] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Train what is not there yet of every variant, and of the MaskVAE that all share.

    Parameters
    ----------
    weights : Path
        Folder that holds the reader, ``regressor.safetensors``.
    runs : Path
        Where each variant gets a folder of weights and its runs; a stopped call goes on there.
    changes : mapping, optional
        Fields of the recipes to change alike, such as ``data`` and ``batch_size``.
    steps : mapping of str to int, optional
        Recipe name -> steps, where not its own.
    say : callable
        Told one line a stage.

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
    _train(recipes["mask-vae"], known, shared, runs / "run-mask-vae", say)
    _train(recipes["dense-mapping"], known, shared, runs / "run-dense-mapping", say)
    found = {}
    for name, (first, second) in VARIANTS.items():
        own = runs / name
        for file in ("regressor.safetensors", VAE):
            _carry(shared, own, file)
        if first:
            recipe = recipes["dense-mapping"].replace(**first)
            _train(recipe, known, own, runs / f"run-{name}-dense-mapping", say)
        else:
            _carry(shared, own, MAPPING)
        recipe = recipes["mask-edit"].replace(**second)
        _train(recipe, known, own, runs / f"run-{name}-mask-edit", say)
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
    outcome = run(recipe, folder, weights=weights, inputs=inputs, resume=begun)
    if not outcome.finished:
        raise RecipeError(f"{folder} was stopped at step {outcome.step}; the same command goes on")
    publish(recipe, folder, weights, inputs, outcome.scores)
    say(f"{folder.name}: trained")
