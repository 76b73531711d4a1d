"""What is trained: the registry of recipes and how their results become embedded weights.

A `Recipe` is a name, a configuration (a frozen dataclass), the loop's settings and a function that
builds the task. Recipes live in the modules of `RECIPE_MODULES`, each of which names its recipes
in a tuple `RECIPES`; they are imported when first asked for.

A recipe's finished weights land in the run folder (`final/`). `publish` copies them into a weights
folder and notes in its `MANIFEST.json` what made them: configuration, seed, steps, commit, scores,
and the hashes of the weights that went in, by which `is_current` knows whether to train again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import subprocess
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2l_widgets.storage import sha256_file, write_atomic
from l2l_widgets.training import Outcome, Settings, Task, TrainingError, seeded, train

RECIPE_MODULES = (
    "l2l_widgets.recipes.generator",
    "l2l_widgets.recipes.perception",
    "l2l_widgets.recipes.mapper",
)
DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "faceworld-64"


class RecipeError(ValueError):
    """A recipe, one of its fields, or the weights it needs do not exist or do not fit."""


@dataclass(frozen=True)
class Recipe:
    """One thing that can be trained.

    Parameters
    ----------
    name
        What `l2l train NAME` is given.
    summary
        One line for `l2l train --list`.
    config
        A frozen dataclass instance holding the defaults of the task's own fields.
    settings
        Defaults of the loop: steps, seed, intervals.
    build
        `build(config, weights) -> Task`, called with torch's random numbers seeded. `weights` is
        the folder that holds the outputs of the recipes it depends on.
    outputs
        The files that `Task.finish` writes.
    depends_on
        Names of the recipes whose outputs `build` reads.
    kind
        What the weights are, for the manifest ("generator", "regressor", ...).
    """

    name: str
    summary: str
    config: Any
    settings: Settings
    build: Callable[[Any, Path], Task]
    outputs: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    kind: str = ""

    def __post_init__(self) -> None:
        if not dataclasses.is_dataclass(self.config) or isinstance(self.config, type):
            raise RecipeError(f"recipe {self.name!r}: config must be a dataclass instance")
        shared = _field_names(self.config) & _field_names(self.settings)
        if shared:
            raise RecipeError(f"recipe {self.name!r}: config repeats settings: {sorted(shared)}")

    def replace(self, **changes: Any) -> Recipe:
        """Return the recipe with fields of its config or settings changed, checked by type."""
        known = _field_names(self.config) | _field_names(self.settings)
        for name in changes:
            if name not in known:
                raise RecipeError(
                    f"recipe {self.name!r} has no field {name!r}; it has: "
                    f"{', '.join(sorted(known))}"
                )
        parts = {}
        for part in ("config", "settings"):
            owner = getattr(self, part)
            own = {k: v for k, v in changes.items() if k in _field_names(owner)}
            kinds = typing.get_type_hints(type(owner))
            own = {k: _coerce(f"{self.name}.{k}", v, kinds[k]) for k, v in own.items()}
            parts[part] = dataclasses.replace(owner, **own)
        return dataclasses.replace(self, **parts)

    def resolved(self) -> dict[str, Any]:
        """Return everything that decides the run, as JSON types."""
        resolved = {
            "recipe": self.name,
            "config": asdict(self.config),
            "settings": asdict(self.settings),
        }
        return json.loads(json.dumps(resolved))

    def config_hash(self) -> str:
        """Return a hash of what decides the weights: the config, the steps, seed and precision."""
        settings = {name: getattr(self.settings, name) for name in ("steps", "seed", "precision")}
        text = json.dumps([self.name, asdict(self.config), settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _field_names(instance: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(instance)}


def _coerce(name: str, value: Any, kind: Any) -> Any:
    """Return `value` (text from the command line, or JSON) as `kind`, or raise RecipeError."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if type(None) in options and value in (None, "none", "null"):
            return None
        kind = next(option for option in options if option is not type(None))
    if kind is not str and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise RecipeError(f"{name} must be {_say(kind)}, not {value!r}") from None
    if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        item = typing.get_args(kind)[0]
        return tuple(_coerce(name, element, item) for element in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise RecipeError(f"{name} must be {_say(kind)}, not {value!r}")


def _say(kind: Any) -> str:
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    return words.get(kind) or f"a JSON value of type {kind}"


def list_recipes(modules: Iterable[str] = RECIPE_MODULES) -> dict[str, Recipe]:
    """Return all recipes by name, in the order of `modules`."""
    found: dict[str, Recipe] = {}
    for module in modules:
        for recipe in importlib.import_module(module).RECIPES:
            if recipe.name in found:
                raise RecipeError(f"two recipes are named {recipe.name!r}")
            found[recipe.name] = recipe
    return found


def get_recipe(name: str, modules: Iterable[str] = RECIPE_MODULES) -> Recipe:
    """Return one recipe; an unknown name lists the known ones."""
    known = list_recipes(modules)
    if name not in known:
        raise RecipeError(f"no recipe is named {name!r}; there are: {', '.join(known)}")
    return known[name]


def in_order(recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """Return the recipes so that each comes after those it depends on."""
    ordered: dict[str, Recipe] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise RecipeError(f"recipes depend on each other: {' -> '.join([*above, name])}")
        if name not in recipes:
            raise RecipeError(f"recipe {above[-1]!r} depends on {name!r}, which does not exist")
        for needed in recipes[name].depends_on:
            add(needed, (*above, name))
        ordered.setdefault(name, recipes[name])

    for name in recipes:
        add(name, ())
    return list(ordered.values())


def read_manifest(weights: Path) -> dict[str, Any]:
    """Return what `MANIFEST.json` says about each file; {} where there is none."""
    try:
        manifest = json.loads((weights / "MANIFEST.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RecipeError(f"{weights / 'MANIFEST.json'} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise RecipeError(f"{weights / 'MANIFEST.json'} must hold a JSON object")
    return manifest


def input_hashes(recipe: Recipe, recipes: Mapping[str, Recipe], weights: Path) -> dict[str, str]:
    """Return the sha256 of every file the recipe reads; a missing one is refused by name."""
    hashes = {}
    for name in recipe.depends_on:
        if name not in recipes:
            raise RecipeError(f"recipe {recipe.name!r} depends on {name!r}, which does not exist")
        for file in recipes[name].outputs:
            path = weights / file
            if not path.is_file():
                raise RecipeError(
                    f"recipe {recipe.name!r} needs {path}, which recipe {name!r} makes: "
                    f"train and publish {name!r} first"
                )
            hashes[file] = sha256_file(path)
    return hashes


def is_current(recipe: Recipe, inputs: Mapping[str, str], weights: Path) -> bool:
    """Say whether the published outputs came from exactly this config and these inputs."""
    manifest = read_manifest(weights)
    for file in recipe.outputs:
        entry = manifest.get(file, {})
        path = weights / file
        if entry.get("config_hash") != recipe.config_hash() or entry.get("inputs") != dict(inputs):
            return False
        if not path.is_file() or sha256_file(path) != entry.get("sha256"):
            return False
    return True


def _commit() -> str:
    """Return the git commit of the source tree, "" outside one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def publish(
    recipe: Recipe,
    run_directory: Path,
    weights: Path,
    inputs: Mapping[str, str],
    scores: Mapping[str, float],
) -> None:
    """Copy a finished run's outputs into `weights` and describe them in its manifest.

    Every file is written atomically and the manifest last: a reader that checks hashes never
    takes a half-published file for whole.
    """
    manifest = read_manifest(weights)
    weights.mkdir(parents=True, exist_ok=True)
    for file in recipe.outputs:
        path = run_directory / "final" / file
        if not path.is_file():
            raise RecipeError(f"recipe {recipe.name!r} promised {file}, but {path} is missing")
        write_atomic(weights / file, path.read_bytes())
        manifest[file] = {
            "sha256": sha256_file(weights / file),
            "recipe": recipe.name,
            "kind": recipe.kind,
            "seed": recipe.settings.seed,
            "steps": recipe.settings.steps,
            "commit": _commit(),
            "config": recipe.resolved()["config"],
            "config_hash": recipe.config_hash(),
            "inputs": dict(inputs),
            "scores": dict(scores),
        }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_atomic(weights / "MANIFEST.json", text.encode())


def build_task(recipe: Recipe, weights: Path = DEFAULT_WEIGHTS) -> Task:
    """Build a recipe's task, its initial weights a function of the recipe's seed."""
    with seeded(recipe.settings.seed, "build"):
        return recipe.build(recipe.config, weights)


def run(
    recipe: Recipe,
    run_directory: Path,
    *,
    weights: Path = DEFAULT_WEIGHTS,
    resume: bool = False,
    **options: Any,
) -> Outcome:
    """Train a recipe in a run folder; `options` go to `training.train`."""
    if not resume and (Path(run_directory) / "config.json").exists():
        raise TrainingError(f"{run_directory} already holds a run: resume it, or name another")
    task = build_task(recipe, weights)
    return train(
        task,
        recipe.settings,
        run_directory,
        config=recipe.resolved(),
        resume=resume,
        **options,
    )


def recipe_of_run(
    run_directory: Path, recipes: Mapping[str, Recipe], **changes: Any
) -> Recipe:
    """Return the recipe a run folder was started with, with `changes` to its settings."""
    from l2l_widgets.training import RunDirectory

    config = RunDirectory(run_directory).config()
    name = config.get("recipe")
    if name not in recipes:
        raise RecipeError(
            f"{run_directory} was trained by recipe {name!r}; there are: {', '.join(recipes)}"
        )
    stored = {**config.get("config", {}), **config.get("settings", {})}
    return recipes[name].replace(**{**stored, **changes})
