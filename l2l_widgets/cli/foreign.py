"""``l2l train NAME --generator X --judge Y``: from a generator's file to measured editors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, OWN_GENERATOR_HELP, check_source, with_class
from l2l_widgets.cli.checks import whole_number
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.judge_checks import check_judges

WORLDS, RUNS = Path("worlds"), Path("runs")
FACES_MAX = 10_000_000


def add_arguments(train: argparse.ArgumentParser) -> None:
    """Add what a generator of your own needs to ``l2l train``."""
    own = train.add_argument_group(
        "a generator of your own",
        # this help keeps its lines as they are written
        "NAME is an editor, or own for all of them. The world is made, faces are\nsampled and "
        "labelled, the judges imitated, the editor trained and measured;\nthe same command goes on "
        "where it was stopped. --set takes\nRECIPE.FIELD=VALUE too.",
    )
    own.add_argument("--generator", metavar="PATH|URL", help=OWN_GENERATOR_HELP)
    own.add_argument(
        "--judge", action="append", default=[], metavar="DECLARATION",
        help="a declaration (.toml), or NAME=FILE for a published model; repeatable: one that "
        "reads attributes, one for identity (the mapper needs it)",
    )  # fmt: skip
    own.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    own.add_argument(
        "--faces", metavar="N", help="sampled and labelled latents (default: 400000, the paper's)"
    )
    own.add_argument(
        "--report-faces", metavar="N", default="200",
        help="unseen faces on which the result is measured; 0: not (default: 200)",
    )  # fmt: skip


def is_meant(args: argparse.Namespace) -> bool:
    """Whether the words are about a generator of your own; ValueError where they are half so."""
    given = {
        "--judge": bool(args.judge), "--class": args.class_index is not None,
        "--faces": args.faces is not None,
    }  # fmt: skip
    if args.generator is None:
        wrong = [name for name, there in given.items() if there]
        if wrong:
            raise ValueError(f"{wrong[0]} is given without --generator; allowed: with it")
        return False
    if not args.judge:
        raise ValueError(
            "--judge is missing; allowed: the declaration of a network that reads attributes "
            "(l2l judges lists ready ones), and one for identity"
        )
    return True


def run_foreign(args: argparse.Namespace, changes: Mapping[str, str]) -> dict[str, Any]:
    """Make the world, train, measure; say first what it will take.

    Raises
    ------
    ValueError
        Anything that is missing or does not fit, before anything is written.
    """
    faces = None if args.faces is None else whole_number("--faces", args.faces, 64, FACES_MAX)
    measured = whole_number("--report-faces", args.report_faces, 0, 4000)
    if 0 < measured < 3:
        raise ValueError(f"--report-faces is {args.report_faces!r}; allowed: 0, or 3 to 4000")
    if args.name is None:
        raise ValueError("NAME is missing; allowed with --generator: own, or an editor")

    from l2l_widgets.models.zoo import list_models

    check_judges(args.judge)
    if args.generator not in list_models():
        check_source("--generator", args.generator, list_models())

    import torch

    from l2l_widgets.errors import TooLittleError
    from l2l_widgets.judges import load_judge
    from l2l_widgets.models.own import with_judges, write_world
    from l2l_widgets.models.zoo import load
    from l2l_widgets.recipes import train_all
    from l2l_widgets.recipes.foreign import FACES, chosen_recipes, claim_world, foresee

    models = load(with_class(args.generator, args.class_index))
    judges = [load_judge(text) for text in args.judge]
    judged = with_judges(models, judges)
    kinds = {judge.declaration.kind for judge in judges}
    recipes = chosen_recipes(args.name, "identity" in kinds, faces or FACES, changes)
    world = args.weights or WORLDS / models.name
    plan = foresee(recipes, judged, judges)
    say = (lambda line: None) if args.json else _say
    trained = ", ".join(name for name in recipes if name != "generator")
    say(
        f"{world}: {models.name}, {models.generator.img_resolution} px, "
        f"{counted(len(judged.table), 'attribute')}; trains {trained}"
    )
    say(plan.text())
    answer: dict[str, Any] = {
        "world": str(world), "stages": {}, "foreseen": plan.as_dict(), "finished": False,
    }  # fmt: skip
    if args.dry_run:
        return answer
    plan.refuse_what_does_not_fit(world, on_gpu=torch.cuda.is_available())
    source = {
        "generator": models.hashes["generator"],
        "judges": sorted(judge.sha256 for judge in judges),
    }
    claim_world(world, source)
    write_world(world, models.generator, judges, provenance(args.generator))
    while recipes:
        try:
            for stage in train_all(recipes, args.run or world / RUNS, world):
                answer["stages"].setdefault(stage.recipe.name, stage.status)
                say(f"{stage.recipe.name}: {stage.status}")
                if stage.status == "stopped":
                    say("go on with the same command")
                    return answer
            break
        except TooLittleError as error:
            name = next(n for n in recipes if n != "generator" and n not in answer["stages"])
            if args.name != "own" or recipes[name].kind != "editor":
                raise
            # this generator has nothing for that method; the others do not wait for it
            answer["stages"][name] = f"not possible: {error}"
            say(f"{name}: {answer['stages'][name]}")
            del recipes[name]
    answer["finished"] = True
    # a recipe may make two methods: interfacegan, and interfacegan-conditional
    editors = (recipe for recipe in recipes.values() if recipe.kind == "editor")
    methods = [Path(file).stem for recipe in editors for file in recipe.outputs]
    if measured and methods:
        answer |= _measure(world, methods, measured, say)
    for name in methods[:1]:
        say(f"edit with: l2l edit --generator {world} --method {name} --seed 1 --out face.png")
    return answer


def provenance(text: str) -> dict[str, Any]:
    """Where a world's generator came from; the same each time, or a world would never be whole."""
    from l2l_widgets.checkpoints import GeneratorFile, describe, is_generator_file
    from l2l_widgets.checkpoints.fetching import parse_location

    if not is_generator_file(text):
        return {"source": text}
    location, path = parse_location(text), GeneratorFile.path_of(text)
    found = describe(path)
    return {
        "source": location.file_name,
        "source_sha256": found["sha256"],
        "source_bytes": found["bytes"],
        "origin": location.base if location.is_url else None,
        "layout": found["layout"],
        "network": found["network"],
        "notes": found["notes"],
        **({"earlier": found["provenance"]} if found["provenance"] else {}),
    }


def _measure(world: Path, methods: list[str], faces: int, say: Any) -> dict[str, Any]:
    from l2l_widgets.models.zoo import load
    from l2l_widgets.recipes.foreign_report import REPORT, measure, write_text

    report, folder = measure(
        load(world), methods, faces, world / "reports",
        lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    say(write_text(world, report, folder))
    return {"report": str(folder), "text": str(world / REPORT), "attributes": report["attributes"]}


def _say(line: str) -> None:
    print(line, flush=True)
