"""``l2l train`` and ``l2l resume``: train a recipe, all of them, or go on with a run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli import foreign
from l2l_widgets.cli.checks import SEED_MAX, check_file, check_folder, whole_number
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.recipe_words import changed_fields
from l2l_widgets.errors import suggestion

if TYPE_CHECKING:
    from l2l_widgets.recipes import Recipe
    from l2l_widgets.training import Outcome

RUNS = Path("runs")
STEPS_MAX = 10**9
SEVERAL = """
several processes:
  accelerate launch --multi_gpu --num_processes 2 -m l2l_widgets train NAME
(--multi_gpu starts a process group, on CPUs too: then add --set device=cpu. Accelerate's --cpu
alone starts one process unless MPI is set up.) The batch is divided among them, so the curve is
that of one process.
"""


def add_parser(subparsers: Any) -> None:
    """Add the two verbs to the command line."""
    train = subparsers.add_parser(
        "train",
        help="train a recipe",
        description="Train a recipe in a run folder. Ctrl-C saves and stops; l2l resume goes on.",
        epilog=SEVERAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "name", nargs="?", metavar="NAME", help="a recipe, all, own, or cards (see --list)"
    )
    train.add_argument("--list", action="store_true", help="list the recipes")
    train.add_argument("--steps", metavar="N", help="train to this step")
    train.add_argument("--seed", metavar="S", help="seed of everything random in the run")
    train.add_argument(
        "--seeds",
        metavar="K",
        help="train a method's training seeds 1 to K - 1, for l2l evaluate --seeds K; seed 0 is "
        f"what is published (into --run, default: {RUNS}/seeds, as seed1/NAME.safetensors, ...)",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the recipe (repeatable); --dry-run shows them all",
    )
    train.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help=f"run folder (default: {RUNS}/NAME; for all: the folder of the run folders, {RUNS})",
    )
    train.add_argument(
        "--publish",
        action="store_true",
        help="put the finished weights into the weights folder (all always does)",
    )
    train.add_argument(
        "--weights", type=Path, metavar="DIR", help="weights folder (default: the embedded one)"
    )
    _add_recipes(train)
    foreign.add_arguments(train)
    train.add_argument(
        "--dry-run", action="store_true", help="print what would be trained, and do nothing"
    )
    resume = subparsers.add_parser(
        "resume",
        help="go on with a training run",
        description="Go on with the run in a folder, from its newest checkpoint.",
    )
    resume.add_argument("run", type=Path, metavar="DIR", help="run folder")
    resume.add_argument("--steps", metavar="N", help="train to this step instead")
    resume.add_argument(
        "--publish", action="store_true", help="put the finished weights into the weights folder"
    )
    resume.add_argument(
        "--weights", type=Path, metavar="DIR", help="weights folder (default: that of the start)"
    )
    _add_recipes(resume)


def _add_recipes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipes",
        type=Path,
        metavar="FILE.py",
        help="a Python file of your own whose RECIPES are used instead of the embedded ones",
    )


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Do what was asked.

    Raises
    ------
    ValueError
        An unknown recipe or field, a value that does not fit, a run folder that is taken or
        missing, a loss that is not finite, a disk that refuses.
    """
    _check_numbers(args)  # before the recipes, whose import takes seconds
    if args.recipes is not None:
        check_file("--recipes", args.recipes)
    if args.verb == "resume":
        _check_run(args.run)
    else:
        changes = _changes(args)
        if foreign.is_meant(args):
            return foreign.run_foreign(args, changes)
        if args.run is not None:
            check_folder(args.run, "--run")
        if args.recipes is None and not args.list:
            _check_words(args, changes)

    from l2l_widgets import recipes

    known = recipes.list_recipes(args.recipes)
    if args.verb == "resume":
        return _resume(args, known)
    if args.list:
        return _list(known)
    if args.name is None:
        raise ValueError(f"NAME is missing; there are: all, own, {', '.join(known)}")
    if args.name == "all":
        return _train_all(args, known)
    if args.seeds is not None:
        return _train_seeds(args, known)
    if args.name == "own":
        return _train_own(args)
    if args.name == "cards":
        _refuse_for_cards(args)
        return _cards(args)
    return _train_one(args, known)


def _check_numbers(args: argparse.Namespace) -> None:
    if args.steps is not None:
        whole_number("--steps", args.steps, 1, STEPS_MAX)
    if args.verb == "train" and args.seeds is not None:
        whole_number("--seeds", args.seeds, 2, 100)
        if args.seed is not None or args.publish or args.dry_run:
            raise ValueError(
                "--seeds trains the other training seeds of a method; allowed with it: --set, "
                "--steps, --run, --weights"
            )
    if args.verb == "train" and args.seed is not None:
        whole_number("--seed", args.seed, 0, SEED_MAX)


def _check_words(args: argparse.Namespace, changes: Mapping[str, str]) -> None:
    """Refuse a recipe or a field that no recipe here has, without importing the recipes."""
    from l2l_widgets.cli.recipe_words import field_names, recipe_modules

    modules = recipe_modules()
    if modules is None:
        return
    words = ("all", "own", "cards", *modules)
    if args.name is None:
        raise ValueError(f"NAME is missing; there are: {', '.join(words)}")
    if args.name not in words:
        raise ValueError(
            f"NAME is {args.name!r}: there is no such recipe; "
            f"{suggestion(args.name, words, 'there are')}"
        )
    own = modules.get(args.name)
    if own is None or not changes:
        return
    # a recipe's fields may stand in another module than itself: only what none has is refused here
    everywhere = set(field_names(*own.parent.glob("*.py")))
    for field in changes:
        if field not in everywhere:
            meant = suggestion(field, field_names(own), "")
            raise ValueError(
                f"--set {field}: recipe {args.name!r} has no such field"
                + (f"; {meant}" if meant.startswith("did") else "")
                + f" (l2l train {args.name} --dry-run shows all of them)"
            )


def _check_run(folder: Path) -> None:
    """Say where a run was looked for, and which ones lie nearby."""
    if (folder / "config.json").is_file():
        return
    what = "holds no run" if folder.is_dir() else "does not exist"
    found = _runs_nearby(folder)
    hint = f"runs nearby: {', '.join(found)}" if found else "there is no run nearby either"
    raise ValueError(f"DIR is {str(folder)!r}: {folder.absolute()} {what}; {hint}")


def _runs_nearby(folder: Path, most: int = 6) -> list[str]:
    """Run folders in and around the place that was named, and where runs usually are."""
    here = Path()
    beside = folder.parent if folder.parent.is_dir() else here
    up = Path("..")
    places = [folder, beside, here, here / RUNS, up, up / RUNS]
    places += sorted(child / RUNS for child in here.iterdir() if child.is_dir())
    found: dict[Path, str] = {}
    for place in places:
        if place.is_dir():
            for child in sorted(place.iterdir()):
                # a run's settings, not any file of that name
                if (child / "config.json").is_file() and (child / "history.jsonl").is_file():
                    found.setdefault(child.resolve(), str(child))
    return list(found.values())[:most]


def _list(known: Mapping[str, Recipe]) -> dict[str, Any]:
    width = max((len(name) for name in known), default=0)
    for name, recipe in known.items():
        needs = f" (needs {', '.join(recipe.depends_on)})" if recipe.depends_on else ""
        steps = counted(recipe.settings.steps, "step")
        print(f"{name:{width}}  {steps:>13}  {recipe.summary}{needs}")
    return {
        "recipes": [
            {
                **recipe.resolved(),
                "summary": recipe.summary,
                "outputs": list(recipe.outputs),
                "depends_on": list(recipe.depends_on),
            }
            for recipe in known.values()
        ]
    }


def _changes(args: argparse.Namespace) -> dict[str, str]:
    """Return the fields that --set, --steps and --seed change, as text."""
    changes = changed_fields(args.set)
    for name in ("steps", "seed"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    return changes


def _check_values(recipe: Recipe, changes: Mapping[str, str]) -> None:
    """Refuse what a field cannot be: now, and not after minutes of preparing.

    What is no field at all is left to the recipe, which knows what may be meant.
    """
    from l2l_widgets.recipes.fields import check_fields, fields_of

    names = {field.name for field in fields_of(recipe)}
    known = {name: value for name, value in changes.items() if name in names}
    for name, problem in check_fields(recipe, known).items():
        said = f" is {problem}" if "; allowed: " in problem else f": {problem}"
        if problem.startswith("is "):  # the recipe's own words, its field's name taken off
            said = f" {problem}"
        raise ValueError(f"--set {name}{said}")


def _train_one(args: argparse.Namespace, known: Mapping[str, Recipe]) -> dict[str, Any] | None:
    from l2l_widgets import recipes

    recipe, changes = recipes.get_recipe(args.name, known), _changes(args)
    _check_values(recipe, changes)
    recipe = recipe.replace(**changes)
    folder = args.run or RUNS / recipe.name
    weights = args.weights or recipes.DEFAULT_WEIGHTS
    if args.dry_run:
        plan = {**recipe.resolved(), "run": str(folder), "weights": str(weights)}
        print(json.dumps(plan, indent=1))
        return plan
    inputs = recipes.input_hashes(recipe, known, weights)
    outcome = recipes.run(recipe, folder, weights=weights, inputs=inputs)
    return _report(args, recipe, outcome, weights, inputs)


def _resume(args: argparse.Namespace, known: Mapping[str, Recipe]) -> dict[str, Any] | None:
    from l2l_widgets import recipes

    changes = {} if args.steps is None else {"steps": args.steps}
    recipe, weights = recipes.recipe_of_run(args.run, known, **changes)
    weights = args.weights or weights
    inputs = recipes.input_hashes(recipe, known, weights)
    outcome = recipes.run(recipe, args.run, weights=weights, inputs=inputs, resume=True)
    return _report(args, recipe, outcome, weights, inputs)


def _report(
    args: argparse.Namespace,
    recipe: Recipe,
    outcome: Outcome,
    weights: Path,
    inputs: Mapping[str, str],
) -> dict[str, Any] | None:
    """Publish where asked, say how it went, and return the same for --json."""
    from l2l_widgets import recipes

    if not outcome.is_main:
        return None
    folder = outcome.run_directory
    report: dict[str, Any] = {
        "recipe": recipe.name,
        "run": str(folder),
        "step": outcome.step,
        "steps": recipe.settings.steps,
        "finished": outcome.finished,
        "scores": outcome.scores,
    }
    if not outcome.finished:
        print(f"stopped and saved at step {outcome.step} of {recipe.settings.steps}")
        print(f"go on with: l2l resume {folder}")
        return report
    print(f"trained to step {outcome.step}; the weights are in {folder / 'final'}")
    for name, value in outcome.scores.items():
        print(f"  {name} {value:.4g}")
    if args.publish:
        report["published"] = recipes.publish(recipe, folder, weights, inputs, outcome.scores)
        print(f"published into {weights}: {', '.join(report['published'])}")
    return report


def _train_all(args: argparse.Namespace, known: Mapping[str, Recipe]) -> dict[str, Any]:
    from l2l_widgets import recipes

    if args.set or args.steps or args.seed:
        raise ValueError("--set, --steps and --seed change one recipe: give its name, not all")
    weights = args.weights or recipes.DEFAULT_WEIGHTS
    if args.dry_run:
        plan = recipes.plan_all(known, weights)
        for name, status in plan.items():
            print(f"{name}: {status}")
        return {"plan": plan, "weights": str(weights)}
    stages: dict[str, Any] = {}
    for stage in recipes.train_all(known, args.run or RUNS, weights):
        stages[stage.recipe.name] = stage.status
        print(f"{stage.recipe.name}: {stage.status}", flush=True)
        if stage.status == "stopped":
            print("go on with the same command")
            return {"stages": stages, "weights": str(weights)}
    report = {"stages": stages, "weights": str(weights)}
    if args.recipes is None:  # the card describes the embedded recipes' weights
        report["scores"] = _cards(args)
    return report


def _train_own(args: argparse.Namespace) -> dict[str, Any]:
    """Train the editors of a world that ``l2l world`` made."""
    from l2l_widgets.recipes.imitation import own_recipes

    if args.weights is None:
        raise ValueError("--weights is missing; allowed: a folder that `l2l world` made")
    check_folder(args.weights, "--weights")
    args.recipes = args.weights  # its card is the evaluation's report, not the embedded world's
    return _train_all(args, own_recipes(args.weights))


def _train_seeds(args: argparse.Namespace, known: Mapping[str, Recipe]) -> dict[str, Any]:
    """Train the other training seeds of the method that a recipe makes."""
    from l2l_widgets import recipes
    from l2l_widgets.recipes.training_seeds import train_seeds

    folder = args.run or RUNS / "seeds"
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    finished = train_seeds(
        [args.name], int(args.seeds), args.weights or recipes.DEFAULT_WEIGHTS, folder,
        recipes=known, changes=_changes(args), say=say,
    )  # fmt: skip
    return {"folder": str(folder), "finished": finished, "trained": lines}


def _refuse_for_cards(args: argparse.Namespace) -> None:
    """A card has the protocol that it names: nothing of it is set on the command line."""
    given = {"--steps": args.steps, "--seed": args.seed, "--set": args.set, "--run": args.run,
             "--publish": args.publish}  # fmt: skip
    for option, value in given.items():
        if value not in (None, [], False):
            raise ValueError(f"{option} says nothing to cards; allowed: --weights, --dry-run")


def _cards(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the embedded weights and write their model card."""
    from l2l_widgets import recipes
    from l2l_widgets.recipes.cards import make_cards, plan_cards

    weights = args.weights or recipes.DEFAULT_WEIGHTS
    if args.dry_run:
        plan = plan_cards(weights)
        for name, what in plan.items():
            print(f"{name}: {what}")
        return {"parts": plan, "weights": str(weights)}
    scores = make_cards(weights, lambda line: print(line, flush=True))
    print(f"wrote {weights / 'CARD.md'}")
    return scores
