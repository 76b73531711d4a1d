"""Recipes: what can be trained, with which defaults, and how a run of one is started."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2l_widgets.errors import suggestion
from l2l_widgets.recipes.source_commit import source_commit
from l2l_widgets.storage import sha256_file
from l2l_widgets.training import (
    Outcome,
    RunDirectory,
    Settings,
    Task,
    TrainingError,
    main_process_first,
    seeded,
    train,
)

#: Modules that hold recipes; each names its own in a tuple ``RECIPES``.
RECIPE_MODULES = (
    "l2l_widgets.recipes.generator",
    "l2l_widgets.recipes.refinement",
    "l2l_widgets.recipes.perception",
    "l2l_widgets.recipes.parser",
    "l2l_widgets.recipes.landmarks",
    "l2l_widgets.recipes.encoder",
    "l2l_widgets.recipes.identity",
    "l2l_widgets.recipes.mapper",
    "l2l_widgets.recipes.mapper_ablations",
    "l2l_widgets.recipes.directions",
    "l2l_widgets.recipes.styleflow",
    "l2l_widgets.recipes.imitation",
    "l2l_widgets.recipes.maps",
    "l2l_widgets.recipes.mask_vae",
    "l2l_widgets.recipes.maskgan",
)
#: Where the embedded weights lie: what recipes read, and where ``publish`` puts what they make.
DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "faceworld-128"
MANIFEST = "MANIFEST.json"


class RecipeError(ValueError):
    """A recipe, one of its fields, or the weights it needs do not exist or do not fit."""


@dataclass(frozen=True)
class Recipe:
    """One thing that can be trained.

    Parameters
    ----------
    name : str
        What ``l2l train NAME`` is given.
    summary : str
        One line for ``l2l train --list``.
    config : dataclass instance
        Frozen; the defaults of the task's own fields.
    settings : Settings
        The defaults of the loop: steps, seed, intervals.
    build : callable
        ``build(config, weights) -> Task``, called with torch's random numbers seeded. ``weights``
        is the folder that holds the outputs of the recipes it depends on.
    outputs : tuple of str
        The files that ``Task.finish`` writes.
    depends_on : tuple of str
        Names of the recipes whose outputs ``build`` reads.
    kind : str
        What the weights are, for the manifest: generator, regressor, ...
    shipped : bool
        Whether ``l2l train all`` makes it; False for variants and lessons.
    intermediate : bool
        Whether only other recipes read its outputs. The manifest keeps their hashes and scores, a
        package need not carry the files; they are trained again when a reader has to be.

    Raises
    ------
    RecipeError
        The config is no dataclass, or repeats a field of the settings.
    """

    name: str
    summary: str
    config: Any
    settings: Settings
    build: Callable[[Any, Path], Task]
    outputs: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    kind: str = ""
    shipped: bool = True
    intermediate: bool = False

    def __post_init__(self) -> None:
        if not dataclasses.is_dataclass(self.config) or isinstance(self.config, type):
            raise RecipeError(f"recipe {self.name!r}: config must be a dataclass instance")
        shared = _field_names(self.config) & _field_names(self.settings)
        if shared:
            raise RecipeError(f"recipe {self.name!r}: config repeats settings: {sorted(shared)}")

    def replace(self, **changes: Any) -> Recipe:
        """Return the recipe with fields of its config or settings changed.

        Values may be text, as the command line has them, or JSON values.

        Raises
        ------
        RecipeError
            No such field (the message lists them), or a value of another type.
        """
        known = _field_names(self.config) | _field_names(self.settings)
        for name in changes:
            if name not in known:
                raise RecipeError(
                    f"field {name!r} of recipe {self.name!r} is unknown; "
                    f"{suggestion(name, sorted(known), 'it has')}"
                )
        parts: dict[str, Any] = {}
        for part, owner in (("config", self.config), ("settings", self.settings)):
            kinds = typing.get_type_hints(type(owner))
            own = {
                name: _as_kind(f"{self.name}.{name}", value, kinds[name])
                for name, value in changes.items()
                if name in _field_names(owner)
            }
            parts[part] = dataclasses.replace(owner, **own)
        return dataclasses.replace(self, **parts)

    def resolved(self) -> dict[str, Any]:
        """Return everything that decides a run, as JSON values."""
        resolved = {
            "recipe": self.name,
            "config": asdict(self.config),
            "settings": asdict(self.settings),
        }
        return typing.cast("dict[str, Any]", json.loads(json.dumps(resolved)))

    def config_hash(self) -> str:
        """Return a hash of what decides the weights: the config, the steps, seed and precision."""
        settings = {name: getattr(self.settings, name) for name in ("steps", "seed", "precision")}
        text = json.dumps([self.name, asdict(self.config), settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _field_names(instance: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(instance)}


def _as_kind(name: str, value: Any, kind: Any) -> Any:
    """Return `value` (text from the command line, or a JSON value) as `kind`."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if type(None) in options and value in (None, "none", "null"):
            return None
        kind = next(option for option in options if option is not type(None))
    if kind is not str and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            if typing.get_origin(kind) is not tuple:
                raise RecipeError(f"{name} must be {_say(kind)}, not {value!r}") from None
            value = value.split(",")  # age,smile needs no JSON quotes
    if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        item = typing.get_args(kind)[0]
        return tuple(_as_kind(name, element, item) for element in value)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise RecipeError(f"{name} must be {_say(kind)}, not {value!r}")


def _say(kind: Any) -> str:
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_say(typing.get_args(kind)[0])}"
    return words.get(kind, str(kind))


def list_recipes(file: Path | None = None) -> dict[str, Recipe]:
    """Return all recipes by name, each after those it depends on.

    Parameters
    ----------
    file : Path, optional
        A Python file of your own whose ``RECIPES`` are used instead of the embedded ones. It is
        imported: its code runs.

    Raises
    ------
    RecipeError
        The file is missing or names no recipes, two recipes share a name, or a dependency does not
        exist.
    """
    if file is None:
        modules = [importlib.import_module(module) for module in RECIPE_MODULES]
    else:
        modules = [_import_file(file)]
    found: dict[str, Recipe] = {}
    for module in modules:
        for recipe in module.RECIPES:
            if recipe.name in found:
                raise RecipeError(f"two recipes are named {recipe.name!r}")
            found[recipe.name] = recipe
    return in_order(found)


def _import_file(file: Path) -> types.ModuleType:
    if not file.is_file():
        raise RecipeError(f"{file} does not exist; a Python file that defines RECIPES is wanted")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    if "RECIPES" not in vars(module):
        raise RecipeError(f"{file} defines no RECIPES")
    return module


def in_order(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
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
    return ordered


def get_recipe(name: str, recipes: Mapping[str, Recipe] | None = None) -> Recipe:
    """Return one recipe; an unknown name lists the known ones."""
    known = list_recipes() if recipes is None else recipes
    if name not in known:
        raise RecipeError(f"no recipe is named {name!r}; {suggestion(name, known, 'there are')}")
    return known[name]


def read_manifest(weights: Path) -> dict[str, Any]:
    """Return what the manifest says about each file; {} where there is none."""
    path = weights / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise RecipeError(f"{path} must hold a JSON object")
    return manifest


def input_hashes(
    recipe: Recipe, recipes: Mapping[str, Recipe], weights: Path, *, read: bool = True
) -> dict[str, str]:
    """Return the SHA-256 of every file the recipe reads; a missing one is refused by name.

    Parameters
    ----------
    recipe : Recipe
        Whose inputs.
    recipes : mapping of str to Recipe
        All recipes.
    weights : Path
        Folder of the files.
    read : bool
        Whether the files are about to be read. If not, the manifest's word is enough for those of
        intermediate recipes, which a package does not carry.

    Raises
    ------
    RecipeError
        A file is missing.
    """
    hashes = {}
    manifest = {} if read else read_manifest(weights)
    for name in recipe.depends_on:
        needed = get_recipe(name, recipes)
        for file in needed.outputs:
            path = weights / file
            if not path.is_file():
                if needed.intermediate and file in manifest:
                    hashes[file] = manifest[file]["sha256"]
                    continue
                raise RecipeError(
                    f"recipe {recipe.name!r} needs {path}, which recipe {name!r} makes: "
                    f"run `l2l train {name} --publish` first"
                )
            hashes[file] = sha256_file(path)
    return hashes


def build_task(recipe: Recipe, weights: Path = DEFAULT_WEIGHTS) -> Task:
    """Build a recipe's task; its initial weights are a function of the recipe's seed."""
    with seeded(recipe.settings.seed, "build"):
        return recipe.build(recipe.config, weights)


def run(
    recipe: Recipe,
    run_directory: Path,
    *,
    weights: Path = DEFAULT_WEIGHTS,
    inputs: Mapping[str, str] | None = None,
    resume: bool = False,
    **options: Any,
) -> Outcome:
    """Train a recipe in a run folder.

    Parameters
    ----------
    recipe : Recipe
        With its final config and settings.
    run_directory : Path
        A folder without a run, or with one when `resume` is set.
    weights : Path
        Folder of the weights that the recipe reads.
    inputs : mapping of str to str
        Their hashes; a resumed run whose inputs have changed since is refused.
    resume : bool
        Go on where the run stopped.
    **options
        Passed to ``training.train``: control, callbacks, progress.

    Returns
    -------
    Outcome
        How it ended.
    """
    directory = RunDirectory(run_directory)
    config = run_config(recipe, weights, inputs or {})
    with main_process_first(recipe.settings) as is_main:
        # checked before the task is built, which may take long (data, judges)
        if not resume and is_main:
            directory.refuse_run()
        if resume:
            _refuse_other_inputs(directory, config["inputs"])
        task = build_task(recipe, weights)
    return train(task, recipe.settings, run_directory, config=config, resume=resume, **options)


def run_config(recipe: Recipe, weights: Path, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return what a run folder keeps about its beginning: recipe, inputs, weights, commit."""
    config: dict[str, Any] = {**recipe.resolved(), "inputs": dict(inputs)}
    if weights != DEFAULT_WEIGHTS:
        config["weights"] = str(weights.resolve())
    return {**config, "commit": source_commit()}


def refuse_other_run(directory: RunDirectory, recipe: Recipe, inputs: Mapping[str, str]) -> None:
    """Raise TrainingError where a folder's run is of another recipe, config or other inputs.

    Settings may differ, the number of steps above all; the loop itself refuses another seed. A
    field that the folder does not know is one the recipe has got since.
    """
    held, asked = directory.config(), recipe.resolved()
    if held.get("recipe") != recipe.name:
        raise TrainingError(
            f"{directory.path} was begun by recipe {held.get('recipe')!r}, not {recipe.name!r}: "
            "start a new run"
        )
    for name, value in dict(held.get("config") or {}).items():
        if asked["config"].get(name) != value:
            raise TrainingError(
                f"{directory.path} was begun with {name} {value!r}, not "
                f"{asked['config'].get(name)!r}: start a new run"
            )
    _refuse_other_inputs(directory, inputs)


def _refuse_other_inputs(directory: RunDirectory, inputs: Mapping[str, str]) -> None:
    for file, begun_with in directory.config().get("inputs", {}).items():
        if file in inputs and inputs[file] != begun_with:
            raise TrainingError(
                f"{directory.path} was begun with another {file} (sha256 {begun_with[:12]}..., "
                f"now {inputs[file][:12]}...): start a new run"
            )


def recipe_of_run(
    run_directory: Path, recipes: Mapping[str, Recipe], **changes: Any
) -> tuple[Recipe, Path]:
    """Return the recipe a run folder was started with, and the weights folder it reads.

    Parameters
    ----------
    run_directory : Path
        A run folder.
    recipes : mapping of str to Recipe
        All recipes.
    **changes
        Fields to change, such as ``steps``.
    """
    config = RunDirectory(run_directory).config()
    name = str(config.get("recipe"))
    if name not in recipes:
        raise RecipeError(
            f"{run_directory} was trained by recipe {name!r}; there are: {', '.join(recipes)}"
        )
    stored = {**config.get("config", {}), **config.get("settings", {})}
    recipe = recipes[name].replace(**{**stored, **changes})
    return recipe, Path(config.get("weights", DEFAULT_WEIGHTS))
