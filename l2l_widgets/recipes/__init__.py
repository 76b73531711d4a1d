"""What is trained: the registry of recipes and how their results become embedded weights.

A `Recipe` is a name, a configuration (a frozen dataclass), the loop's settings and a function that
builds the task. Recipes live in the modules of `RECIPE_MODULES`, which are imported when first
asked for. A run's finished weights land in its folder (`final/`). `publish` copies them into a
weights folder and notes in its manifest what made them, by which `train_all` knows what to train
again.
"""

from __future__ import annotations

from l2l_widgets.recipes.publishing import (
    Stage,
    is_current,
    plan_all,
    publish,
    run_folder,
    train_all,
)
from l2l_widgets.recipes.registry import (
    DEFAULT_WEIGHTS,
    RECIPE_MODULES,
    Recipe,
    RecipeError,
    build_task,
    get_recipe,
    in_order,
    input_hashes,
    list_recipes,
    read_manifest,
    recipe_of_run,
    run,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "RECIPE_MODULES",
    "Recipe",
    "RecipeError",
    "Stage",
    "build_task",
    "get_recipe",
    "in_order",
    "input_hashes",
    "is_current",
    "list_recipes",
    "plan_all",
    "publish",
    "read_manifest",
    "recipe_of_run",
    "run",
    "run_folder",
    "train_all",
]
