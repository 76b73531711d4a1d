"""The same method trained several times: what its figures owe to chance.

Training seed 0 is what is published. Training seed k has another seed for all that is random: the
start, the order, the sampled faces. It lies in ``FOLDER/seedK/`` under the method's usual file
name, with a manifest, so ``l2l evaluate --seeds K`` finds it and knows what made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l_widgets.recipes.publishing import is_current, publish, run_folder
from l2l_widgets.recipes.registry import Recipe, RecipeError, input_hashes, list_recipes, run

__all__ = ["STRIDE", "method_recipe", "of_seed", "train_seeds"]

#: Between the seeds of two training seeds: more than recipes are apart.
STRIDE = 1000


def method_recipe(method: str, recipes: Mapping[str, Recipe] | None = None) -> Recipe:
    """Return the recipe whose published weights a method is.

    Raises
    ------
    RecipeError
        No recipe makes ``METHOD.safetensors``.
    """
    known = list_recipes() if recipes is None else recipes
    makers = {
        file.removesuffix(".safetensors"): recipe
        for recipe in known.values()
        if recipe.shipped and recipe.kind == "editor"
        for file in recipe.outputs
    }
    if method not in makers:
        raise RecipeError(f"method is {method!r}; allowed with --seeds: {', '.join(makers)}")
    return makers[method]


def of_seed(recipe: Recipe, seed: int) -> Recipe:
    """Return a recipe with all that is random in it drawn anew; training seed 0 is the recipe."""
    changes: dict[str, Any] = {"seed": recipe.settings.seed + STRIDE * seed}
    if hasattr(recipe.config, "data_seed"):
        changes["data_seed"] = recipe.config.data_seed + STRIDE * seed
    # other faces need a folder of their own
    if seed and hasattr(recipe.config, "triplets") and recipe.config.triplets:
        changes["triplets"] = f"{recipe.config.triplets}-seed{seed}"
    return recipe.replace(**changes)


def train_seeds(
    methods: Sequence[str],
    seeds: int,
    weights: Path,
    folder: Path,
    *,
    recipes: Mapping[str, Recipe] | None = None,
    changes: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Train what is not there yet of training seeds 1 to ``seeds`` - 1.

    May be stopped at any moment and called again: what is there is passed over, what had begun is
    resumed. Under ``accelerate launch`` every training divides its batches among the processes.

    Parameters
    ----------
    methods : sequence of str
        Methods; one recipe may make several.
    seeds : int
        Training seeds in all, the published one included.
    weights : Path
        Folder of the frozen parts.
    folder : Path
        Gets ``seed1``, ``seed2``, ... and the runs.
    recipes : mapping of str to Recipe, optional
        All recipes; the embedded ones by default.
    changes : mapping, optional
        Fields of the recipes to change alike, such as ``steps``; a recipe that lacks one is left
        as it is in that.
    say : callable
        Told one line a training.

    Returns
    -------
    bool
        Whether all of it is there; False where a training was stopped.

    Raises
    ------
    RecipeError
        A method that no recipe makes, or a field that none of the recipes has.
    """
    known = list_recipes() if recipes is None else recipes
    made = [method_recipe(method, known) for method in methods]
    wanted = {recipe.name: _changed(recipe, changes or {}) for recipe in made}
    for name in changes or {}:
        if not any(name in _fields(recipe) for recipe in made):
            made[0].replace(**{name: ""})  # says which fields there are
    for seed in range(1, seeds):
        own = folder / f"seed{seed}"
        for name, plain in wanted.items():
            recipe = of_seed(plain, seed)
            inputs = input_hashes(recipe, known, weights)
            if is_current(recipe, inputs, own):
                say(f"{name}, training seed {seed}: there already")
                continue
            place = run_folder(recipe, inputs, folder / "runs")
            begun = (place / "config.json").is_file()
            outcome = run(recipe, place, weights=weights, inputs=inputs, resume=begun)
            if not outcome.finished:
                say(f"{name}, training seed {seed}: stopped; go on with the same command")
                return False
            if outcome.is_main:
                publish(recipe, place, own, inputs, outcome.scores)
                say(f"{name}, training seed {seed}: trained, in {own}")
    return True


def _fields(recipe: Recipe) -> set[str]:
    return {*vars(recipe.config), *vars(recipe.settings)}


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Change the fields that a recipe has."""
    fields = _fields(recipe)
    return recipe.replace(**{name: value for name, value in changes.items() if name in fields})
