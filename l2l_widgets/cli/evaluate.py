"""``l2l evaluate`` measures editors and writes a report folder; ``l2l verify`` re-runs its rows."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2l_widgets.attributes import PAPER_EIGHT
from l2l_widgets.cli.checks import (
    check_folder,
    check_ignored,
    check_names,
    check_needed,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.evaluate_ablations import ablate_as_asked, variants_asked
from l2l_widgets.cli.evaluate_methods import (
    check_methods,
    editors_of,
    is_file,
    sources_of,
    words_of,
)
from l2l_widgets.cli.evaluate_processes import Place, place_of, share_threads
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.cli.recipe_words import changed_fields
from l2l_widgets.errors import suggestion

DETECTORS = ("auto", "none", "haar", "cascade")
PARTS = ("request", "equal", "paper", "several", "standards")
USUAL = PARTS[:3]
#: Of --ablations, where none are named.
ABLATED = PARTS[:2]
#: Whole numbers that a plan takes, as `l2l_widgets.evaluation` checks them again.
LIMITS = {
    "faces": (2, 4000), "seed": (0, 999), "seeds": (1, 100), "paper_faces": (2, 4000),
    "positions": (2, 999), "truth_people": (0, 10_000), "sweep_faces": (2, 4000),
    "processes": (1, 64), "draws": (10, 100_000),
}  # fmt: skip


def add_parser(subparsers: Any) -> None:
    """Add the verbs' arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure editing methods on unseen faces by judges that trained nothing",
        description="Measure editing methods on unseen faces by judges that trained nothing, and "
        "write a report folder. A run that was stopped goes on in the same folder, and a whole one "
        "may be asked for more methods, parts or training seeds there.",
    )
    parser.add_argument(
        "--methods",
        default="mapper",
        metavar="A,B",
        help="editing methods, or LABEL=FILE for an editor that l2l train wrote (default: mapper)",
    )
    parser.add_argument(
        "--attributes",
        default="paper",
        metavar="A,B",
        help="names, 'paper' for the eight the paper evaluates (default), or 'all'",
    )
    parser.add_argument("--faces", default="500", metavar="N", help="faces (default: 500)")
    parser.add_argument("--seed", default="0", metavar="S", help="chooses the faces (default: 0)")
    parser.add_argument(
        "--seeds",
        default="1",
        metavar="K",
        help="training seeds of each method, as far as they were trained (default: 1): seed 0 is "
        "what ships, the others are made by l2l train METHOD --seeds K, or by --train-seeds",
    )
    parser.add_argument(
        "--train-seeds",
        action="store_true",
        help="train what is missing of --seeds first (hours on a CPU; a stopped run goes on)",
    )
    _add_trained(parser)
    parser.add_argument(
        "--ablations",
        nargs="?",
        const="all",
        metavar="A,B",
        help="measure the mapper whole and without its parts instead: ReLU for tanh, 1 to 4 "
        "layers, topologies, correction rules, each loss left out (default: all of them; names as "
        "in the table). They are trained first, into OUT/runs (hours on a CPU; a stopped run goes "
        "on)",
    )
    parser.add_argument("--steps", metavar="N", help="of each training of --ablations")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of all trainings of --ablations (repeatable; l2l train mapper-variant "
        "--dry-run shows them all)",
    )
    parser.add_argument(
        "--request",
        default="0.3",
        metavar="CHANGE",
        help="change in attribute units, asked for and to be achieved (default: 0.3)",
    )
    parser.add_argument(
        "--parts",
        default=",".join(USUAL),
        metavar="A,B",
        help="what to measure: at equal request, at equal achieved change, by the paper's "
        "protocol (default: all three; with --ablations: request,equal); several: five attributes "
        "in one request; standards: linear separability, path length, DCI, MIG, SAP",
    )
    parser.add_argument(
        "--paper-faces",
        default="50",
        metavar="N",
        help="faces of the paper's protocol (default: 50)",
    )
    parser.add_argument(
        "--positions",
        default="41",
        metavar="N",
        help="positions of the paper's protocol (default: 41)",
    )
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default="auto",
        help="what ends the range in the paper's protocol: OpenCV's face detector, scikit-image's, "
        "or nothing but the request; auto (default): the first that is installed and finds at "
        "least half of 32 unedited faces (pip install 'l2l-widgets[detect]')",
    )
    parser.add_argument(
        "--truncation-psi",
        default="0.7",
        metavar="PSI",
        help="truncation of the faces (default: 0.7)",
    )
    parser.add_argument(
        "--truth-people",
        default="60",
        metavar="N",
        help="people drawn again with the attribute truly changed: the upper end of the identity "
        "scale, and what a perfect edit reads as (faceworld only; 0: none; default: 60)",
    )
    parser.add_argument(
        "--sweep-faces",
        default="200",
        metavar="N",
        help="at equal achieved change, the first N faces are followed to the largest strength, "
        "for the curves and how steadily a method goes; the others are drawn until every reader "
        "has seen the change (default: 200)",
    )
    parser.add_argument(
        "--processes",
        default="1",
        metavar="N",
        help="processes that share the measuring, and with --device cuda the cards (default: 1, or "
        "those of accelerate launch); two on two cores take little more than half the time, and "
        "1 GB each",
    )
    parser.add_argument(
        "--draws",
        default="1000",
        metavar="N",
        help="resamples of the faces behind each interval (default: 1000)",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw no figures")
    parser.add_argument(
        "--generator", default=None, metavar="NAME|DIR",
        help="models with editors and judges: embedded ones by name, or a folder, which "
        "`l2l train NAME --generator FILE --judge DECLARATION` makes of a generator of your own",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON line")
    parser.set_defaults(run=run)
    check = subparsers.add_parser(
        "verify",
        help="measure random rows of a report again",
        description="Measure random rows of a report again and compare; exit code 2 where one "
        "differs.",
    )
    check.add_argument("report", type=Path, metavar="DIR", help="a folder that evaluate wrote")
    check.add_argument("--rows", default="8", metavar="N", help="rows to measure (default: 8)")
    check.add_argument("--seed", default="0", metavar="S", help="chooses the rows (default: 0)")
    check.add_argument(
        "--generator", default=None, help="models of the report (default: those it names)"
    )
    _add_trained(check)
    check.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    check.set_defaults(run=run)


def _add_trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trained",
        type=Path,
        metavar="DIR",
        help="folder of the other training seeds: DIR/seed1/METHOD.safetensors and so on "
        "(default: runs/seeds)",
    )


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Do the work of the verb that was typed."""
    if args.verb == "verify":
        from l2l_widgets.cli.verify import run_verify

        return run_verify(args)
    return run_evaluate(args)


def run_evaluate(args: argparse.Namespace) -> dict[str, Any] | None:
    """Evaluate, write the folder, return the summary; None in the processes that help."""
    _check_unfinished(args)
    if args.ablations is not None:
        models, plan = _asked(args)
        # the paper's table says nothing of a variant that the others do not
        if args.parts == ",".join(USUAL):
            plan = replace(plan, parts=ABLATED)
        named = () if args.ablations == "all" else words_of(args.ablations)
        truth = truth_of(plan.truth_people, models)
        return ablate_as_asked(args, models, plan, named, truth)
    place = place_of(args, _numbers(args)["processes"])
    comparison = compare_as_asked(args, place)
    if place.own:
        place.meet()
        return None  # the first process says what all have found
    if comparison is None:
        return {"out": str(args.out), "stopped": True}
    from l2l_widgets import evaluation

    comparison.provenance["command"] = shlex.join(["l2l", *args.words])
    evaluation.write_report(comparison, args.out, figures=not args.no_figures)
    if not args.json:
        marks = evaluation.stamp(comparison), evaluation.paper_mark(comparison)
        print(comparison_text(comparison, *marks))
    return {**evaluation.summary(comparison), "out": str(args.out)}


def _check_unfinished(args: argparse.Namespace) -> None:
    """Refuse a folder with a report, unless more is asked for than it has."""
    if not (args.out / "report.json").exists():
        return
    from l2l_widgets.evaluation.growth import asks_more

    try:
        held = json.loads((args.out / "run.json").read_text(encoding="utf-8"))
        parts, seeds = words_of(args.parts), int(args.seeds)
        if args.ablations is not None:
            methods = variants_asked(args.ablations)
            parts = parts if args.parts != ",".join(USUAL) else ABLATED
        else:
            methods = list(sources_of(args.methods).values())
        more = asks_more(held, methods, parts, seeds) or args.train_seeds
    except (OSError, ValueError, AttributeError):
        more = False
    if not more:
        raise ValueError(
            f"--out {args.out}: holds a report already; allowed: another folder, or more "
            "--methods, --ablations, --parts or --seeds than it has"
        )


def _numbers(args: argparse.Namespace) -> dict[str, int]:
    return {
        name: whole_number(f"--{name.replace('_', '-')}", getattr(args, name), *limits)
        for name, limits in LIMITS.items()
    }


def _asked(args: argparse.Namespace, first: bool = True) -> tuple[Any, Any]:
    """Return the models and the plan that a command names; the ``first`` process warns."""
    check_folder(args.out)
    numbers = _numbers(args)
    request = number("--request", args.request)
    if not 0 < request <= 0.5:
        raise ValueError(f"--request is {args.request!r}; allowed: a number above 0, at most 0.5")
    psi = number("--truncation-psi", args.truncation_psi, 0, 2)
    parts = _choices("--parts", args.parts, PARTS)
    _check_together(args, parts)
    models = models_of(args.generator, args.device)
    named = {"paper": PAPER_EIGHT, "all": models.table.names}
    attributes = named.get(args.attributes) or words_of(args.attributes)
    check_names(attributes, models.table, "--attributes")
    check_methods(args.methods, models)

    from l2l_widgets.storage import make_folder

    make_folder(args.out)  # refuses before the hours of work, not after them

    from l2l_widgets import evaluation
    from l2l_widgets.evaluation.report import Protocol
    from l2l_widgets.faceworld.version import WORLD

    protocol = Protocol(
        attributes=attributes,
        faces=numbers["faces"],
        seed=numbers["seed"],
        request=request,
        truncation_psi=psi,
        draws=numbers["draws"],
    )
    world = _world_of(models)
    if first and world and world != WORLD and numbers["truth_people"]:
        print(
            f"the generator draws world {world}, this release renders world {WORLD}: identity is "
            "not placed between true changes",
            file=sys.stderr,
        )
    detector = args.detector if "paper" in parts else "none"
    if detector == "auto":
        detector, why = evaluation.usable_detector(models, protocol)
        if first and detector == "none":
            print(f"no face detector ends a range: {why}", file=sys.stderr)
    plan = evaluation.Plan(
        protocol,
        seeds=numbers["seeds"],
        parts=parts,
        paper_faces=numbers["paper_faces"],
        positions=numbers["positions"],
        detector=detector,
        truth_people=numbers["truth_people"] if world == WORLD else 0,
        world=world,
        sweep_faces=numbers["sweep_faces"],
    )
    return models, plan


def compare_as_asked(args: argparse.Namespace, place: Place) -> Any:
    """Measure a process's share of what a command asks for; the first one starts the others.

    Returns the comparison, or None where a training was stopped before it.
    """
    first = place.own == 0
    models, plan = _asked(args, first)

    from l2l_widgets import evaluation

    sources = sources_of(args.methods)
    folder = args.trained or evaluation.SEEDS
    named = [source for source in sources.values() if not is_file(source)]
    wanted = named if args.train_seeds and not place.started else []
    if wanted and not _train_seeds(wanted, plan.seeds, models, folder):
        return None
    if not first:
        place.meet()
    methods, hashes = editors_of(models, sources, plan.seeds, folder)
    for label, editors in methods.items():
        if first and len(editors) < plan.seeds and not is_file(sources[label]):
            print(
                f"{label}: {len(editors)} of {plan.seeds} training seeds; --train-seeds trains the "
                "others",
                file=sys.stderr,
            )
    if place.of > 1 and not place.launched:
        share_threads(place.of)
    return evaluation.compare(
        models,
        methods,
        plan,
        args.out,
        truth=truth_of(plan.truth_people, models),
        detector=evaluation.detector_of(plan.detector),
        features=evaluation.judge_features(models),
        sources=sources,
        trained=hashes,
        progress=lambda line: print(line, file=sys.stderr),
        share=(place.own, place.of),
        helpers=place.helpers,
    )


def _check_together(args: argparse.Namespace, parts: tuple[str, ...]) -> None:
    """Refuse what another option would pass over in silence."""
    check_ignored(
        args, "--ablations", ("--methods", "--seeds", "--train-seeds", "--trained", "--detector",
                              "--processes"),
        "--ablations, which trains and measures the mapper's variants; or the other without it",
    )  # fmt: skip
    check_needed(args, ["--steps", "--set"], "--ablations")
    changed_fields(args.set)
    if args.train_seeds and str(args.seeds) == "1" and args.ablations is None:
        raise ValueError(
            "--seeds is '1', the networks that ship: nothing would be trained; allowed with "
            "--train-seeds: 2 or more"
        )
    check_needed(args, ["--trained"], "--seeds")
    if args.steps is not None:
        whole_number("--steps", args.steps, 1, 10**9)
    if "paper" not in parts:
        check_ignored(
            args, "--parts", ("--paper-faces", "--positions", "--detector"),
            "paper among --parts, whose protocol it belongs to",
        )  # fmt: skip
    if "equal" not in parts:
        check_ignored(
            args, "--parts", ("--sweep-faces",), "equal among --parts, which it belongs to"
        )


def _train_seeds(methods: list[str], seeds: int, models: Any, folder: Path) -> bool:
    from l2l_widgets.recipes.training_seeds import train_seeds

    if models.folder is None:
        raise ValueError("--train-seeds needs models of a folder; allowed: --generator FOLDER")
    return train_seeds(
        methods, seeds, models.folder, folder, say=lambda line: print(line, file=sys.stderr)
    )


def _choices(field: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    words = words_of(text)
    for word in words:
        if word not in allowed:
            raise ValueError(f"{field} holds {word!r}; {suggestion(word, allowed)}")
    if not words or len(set(words)) != len(words):
        raise ValueError(f"{field} is {text!r}; allowed: {', '.join(allowed)}, each once")
    return words


def truth_of(people: int, models: Any) -> Any:
    """Return who draws so many people with an attribute truly changed; None for none."""
    if not people:
        return None
    from l2l_widgets.faceworld.truth import people_again

    return people_again(people, models.generator.img_resolution)


def _world_of(models: Any) -> int:
    """The rendered world that the generator learned to draw, by its manifest; 0 for none."""
    entry = models.manifest.get("generator.safetensors")
    config = entry.get("config") if isinstance(entry, dict) else None
    world = config.get("world") if isinstance(config, dict) else None
    return world if isinstance(world, int) else 0
