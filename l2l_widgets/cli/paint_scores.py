"""``l2l paint-scores``: a MaskGAN's figures, and those of it without its parts, by one command."""

from __future__ import annotations

import argparse
import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checkpoints import with_class
from l2l_widgets.cli.checks import (
    check_device,
    check_file,
    check_folder,
    check_ignored,
    check_needed,
    models_of,
    whole_number,
)
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.judge_checks import check_judge
from l2l_widgets.cli.paint import PAINTERS, PARSER_HELP, add_models, check_weights, painter_of
from l2l_widgets.cli.painting_judges import painting_judges, warn_of_photographs

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.evaluation.painting import Annotations, PaintJudges
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ
    from l2l_widgets.maskgan.mask_vae import MaskVAE
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.recipes.measured_faces import MeasuredFaces

ALL = "all"
#: As `l2l_widgets.recipes` has them: the parts that can be left out, and how many unseen renders
#: there are.
ABLATIONS = ("no-edits", "no-sft", "no-blender")
UNSEEN = 10_240
_SCORES = (
    "Measure a MaskGAN on faces that it has never seen: the mask that a parser sees against the "
    "mask that was asked for, attributes, identity, Fréchet distance, pixels changed outside. "
    "Fréchet distances compare one half of the faces with the other: of 1,000 a side with 2,000. "
    "What has been measured or trained into the same folders is not done again."
)


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    scores = subparsers.add_parser("paint-scores", help="measure a MaskGAN", description=_SCORES)
    scores.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    scores.add_argument("--faces", default="1000", metavar="N", help="faces (default: 1000)")
    scores.add_argument(
        "--seed", default="0", metavar="S", help="which faces, and in what order (default: 0)"
    )
    scores.add_argument(
        "--data", type=Path, metavar="DIR",
        help="a folder in CelebAMask-HQ's layout, its test split (default: unseen renders); "
        "pictures with known faults are left out, or kept where DIR ends in +defects; +gaps leaves "
        "out what cannot be read",
    )  # fmt: skip
    scores.add_argument("--parser", metavar="DECLARATION|NAME=FILE", help=PARSER_HELP)
    scores.add_argument(
        "--ablations", nargs="?", const=ALL, default=None, metavar="NAMES",
        help="train and measure it without simulated edits, without SFT, without the blender, at "
        "the size of the models' own painter; or only those named: no-edits,no-sft,no-blender",
    )  # fmt: skip
    scores.add_argument(
        "--runs", type=Path, default=Path("runs") / "mask-ablations", metavar="DIR",
        help="where the ablations are trained (default: runs/mask-ablations)",
    )  # fmt: skip
    scores.add_argument(
        "--steps", metavar="N", help="steps of each stage of the ablations (default: the recipes')"
    )
    add_models(scores)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and write the report."""
    began = time.perf_counter()
    count = whole_number("--faces", args.faces, 4, UNSEEN if args.data is None else 100_000)
    seed = whole_number("--seed", args.seed, 0, 2**31)
    check_needed(args, ("--steps", "--runs"), "--ablations")
    check_ignored(args, "--ablations", ["--weights"], "one of them, for the ablations are trained")
    steps = None if args.steps is None else whole_number("--steps", args.steps, 1, 10**9)
    asked = _asked(args.ablations)
    check_folder(args.out)
    check_judge("--parser", args.parser, "parser")
    if args.weights is not None:
        check_file("--weights", args.weights)
    check_device(args.device)
    models = models_of(with_class(args.generator, args.class_index), args.device)
    if not args.ablations:
        check_weights(args, models)
    known = None if args.data is None else _known(args, count)

    from l2l_widgets.evaluation.painting import PROTOCOL
    from l2l_widgets.evaluation.painting_report import (
        compare_painting,
        kept_scores,
        write_painting_report,
    )
    from l2l_widgets.evaluation.plan import ENOUGH_FACES
    from l2l_widgets.evaluation.report import versions
    from l2l_widgets.recipes.mask_scores import identity_shares
    from l2l_widgets.recipes.measured_faces import MeasuredFaces
    from l2l_widgets.storage import sha256_tensors

    # progress must not stand before the object that --json promises to print last, and alone
    say: Callable[[str], None] = (lambda _: None) if args.json else print
    judges, hashes = painting_judges(args, models)
    if known is not None and not known[0].rendered:
        warn_of_photographs(args, models)
    # a gap in a folder is found before hours of training; renders are drawn when they are needed
    side = _side(args, models)
    faces = MeasuredFaces(known, count, seed, side)
    painters, trained = _painters(args, models, asked, steps, side, say)
    alike = None if known is not None else _likeness(args.out, judges.identity, hashes)
    vae = _vae(args, models, painters)
    notes = faces.notes(judges.names)
    moved_by = None if vae is None else sha256_tensors(vae.state_dict())
    # the MaskVAE apart, which only moves masks: it may lie in a painter's file or beside it
    weights = {
        name: sha256_tensors({k: v for k, v in one.state_dict().items() if k[:4] != "vae."})
        for name, one in painters.items()
    }
    variants: dict[str, Any] = {}
    for name, painter in painters.items():
        key = {
            "protocol": PROTOCOL, "judges": hashes, "data": faces.origin, "seed": seed,
            "faces": count, "weights": weights[name], "vae": moved_by,
        }  # fmt: skip
        measure = functools.partial(
            _score, painter, faces, judges, vae, notes, _Pace(name, count, say)
        )
        scores = kept_scores(args.out, name, key, measure)
        if alike is not None:
            scores = {**scores, **identity_shares(scores["rows"], alike)}
        variants[name] = scores
    report: dict[str, Any] = {
        "protocol": PROTOCOL,
        "models": models.name,
        "weights": weights,
        "judges": hashes,
        "data": "unseen renders" if args.data is None else str(args.data),
        "split": None if known is None else known[1],
        "left_out": 0 if known is None else len(known[0].left_out),
        "faces": count,
        "preview": count < ENOUGH_FACES,
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 1),
        "resolution": side,
        "seed": seed,
        "variants": variants,
        "training": trained,
        "whole_minus": compare_painting(variants, "whole") if len(variants) > 1 else {},
        "same_person_identity": None if alike is None else _mean(alike["else_different"]),
        "same_mask_identity": None if alike is None else _mean(alike["same_mask"]),
    }
    write_painting_report(args.out, report)
    if not args.json:
        _show(report)
        print(f"report: {args.out}")
    return json.loads(json.dumps({k: v for k, v in report.items() if k != "variants"}))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _score(
    painter: MaskGAN,
    faces: MeasuredFaces,
    judges: PaintJudges,
    vae: MaskVAE | None,
    notes: Annotations | None,
    pace: _Pace,
) -> dict[str, Any]:
    """Measure one variant, on faces that are read or drawn only now."""
    from l2l_widgets.evaluation.painting import score_painting

    images, masks = faces.of(painter.resolution)
    pace.start = time.perf_counter()  # drawing the faces is not its pace
    return score_painting(painter, images, masks, judges, vae, annotations=notes, progress=pace)


def _vae(
    args: argparse.Namespace, models: Models, painters: Mapping[str, MaskGAN]
) -> MaskVAE | None:
    """What moves masks, the same for all variants: theirs, the one they share, or the models'.

    Beside weights of the user's own it is the one in their folder. One of another size moves
    nothing.
    """
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.maskgan.model import VAE

    own = next((painter.vae for painter in painters.values() if painter.vae is not None), None)
    if own is not None:
        return own
    if args.ablations is not None:
        return MaskGAN.load(args.runs / "shared" / VAE, args.device).vae
    if args.weights is not None and args.weights.with_name(VAE).is_file():
        vae = MaskGAN.load(args.weights.with_name(VAE), args.device).vae
    elif VAE in models.manifest:
        vae = MaskGAN.load(models.check_file(VAE), args.device).vae
    else:
        return None
    sides = {painter.resolution for painter in painters.values()}
    return vae if vae is not None and sides == {vae.config.resolution} else None


def _painters(
    args: argparse.Namespace, models: Models, asked: list[str], steps: int | None, side: int,
    say: Callable[[str], None],
) -> tuple[dict[str, MaskGAN], dict[str, Any]]:  # fmt: skip
    """Variant -> what draws; and how the variants were trained, where they were."""
    if args.ablations is None:
        return {"whole": painter_of(args, models)}, {}
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.recipes import DEFAULT_WEIGHTS
    from l2l_widgets.recipes.mask_ablations import mapping_updates, train_variants

    each = None
    if steps is not None:
        each = dict.fromkeys(("mask-vae", "dense-mapping", "mask-edit"), steps)
    say(f"the whole and its ablations draw {side} x {side} pixels")
    changes: dict[str, Any] = {"resolution": side}
    if args.data is not None:
        changes["data"] = str(args.data)
    made = train_variants(
        models.folder or DEFAULT_WEIGHTS, args.runs, variants=["whole", *asked], changes=changes,
        steps=each, say=say,
    )  # fmt: skip
    painters = {name: MaskGAN.load(path, args.device) for name, path in made.items()}
    updates = mapping_updates(each)
    return painters, {"mapping_updates": {name: updates[name] for name in made}}


def _asked(ablations: str | None) -> list[str]:
    """The ablations of a command; an unknown one is refused."""
    asked = list(ABLATIONS) if ablations == ALL else (ablations or "").split(",")
    unknown = [name for name in asked if name not in ABLATIONS]
    if ablations is not None and unknown:
        raise ValueError(f"--ablations is {unknown[0]!r}; allowed: {', '.join(ABLATIONS)}")
    return asked


def _known(args: argparse.Namespace, count: int) -> tuple[CelebAMaskHQ, str, list[int]]:
    """A folder, which of its pictures are measured (the test split, or all), and their numbers."""
    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ
    from l2l_widgets.recipes.measured_faces import check_count

    data = CelebAMaskHQ(args.data)
    test = data.split("test")
    if not test and args.ablations is not None:
        raise ValueError(
            f"--data {str(args.data)!r} has no test split, and the ablations would be measured on "
            "faces that they learn from; allowed: a folder with one, or none (unseen renders)"
        )
    indices = test or data.usable()
    check_count(count, len(indices))
    return data, "test" if test else ALL, indices


def _side(args: argparse.Namespace, models: Models) -> int:
    """Side of the pictures that will be drawn: the painter's, or without one the recipes'."""
    if args.ablations is None or any(file in models.manifest for file in PAINTERS):
        return painter_of(args, models).resolution
    from l2l_widgets.recipes import get_recipe, list_recipes

    return int(get_recipe("dense-mapping", list_recipes()).config.resolution)


def _likeness(
    out: Path, identity: Callable[[Tensor], Tensor], hashes: Mapping[str, str]
) -> dict[str, list[float]]:
    """Likeness of two renders of one person, one pair of each person whom no judge learned from."""
    from l2l_widgets.evaluation.painting import PROTOCOL
    from l2l_widgets.evaluation.painting_report import kept_scores
    from l2l_widgets.faceworld.version import WORLD
    from l2l_widgets.recipes.mask_scores import same_person_likeness

    key = {"protocol": PROTOCOL, "judge": hashes["identity_judge"], "world": WORLD}
    return kept_scores(out, "same-person", key, lambda: same_person_likeness(identity))


class _Pace:
    """Says once, early, how long the rest will take at the speed so far."""

    def __init__(self, name: str, count: int, say: Callable[[str], None]) -> None:
        self.name, self.count, self.say = name, count, say
        self.start, self.said = time.perf_counter(), False

    def __call__(self, done: int) -> None:
        left = (self.count - done) * (time.perf_counter() - self.start) / done
        if not self.said and left > 60:
            self.say(f"{self.name}: about {counted(math.ceil(left / 60), 'more minute')}")
        self.said = True


def _show(report: Mapping[str, Any]) -> None:
    """The table for a person, and what the issue of simulated edits comes to."""
    from l2l_widgets.evaluation.painting_report import painting_table

    variant = None
    for name, measure, value, low, high in painting_table(report):
        if name != variant:
            variant = name
            print(name)
        between = "" if low == value == high else f"  [{low:.3f}, {high:.3f}]"
        print(f"  {measure:<24} {value:7.3f}{between}")
    if report["preview"]:
        print(f"PREVIEW, n = {counted(report['faces'], 'face')}, seed {report['seed']}")
    half, length = report["variants"]["whole"]["frechet_sets"]
    if half < length:
        print(
            f"Fréchet distances are of {counted(half, 'face')} a side and {length} features: with "
            f"fewer faces than features chance decides most of them; --faces {2 * length} or more "
            "tells"
        )
    found = report["whole_minus"].get("no-edits", {})
    for measure, what in (
        ("edited_iou", "overlap on edited masks"),
        ("moved_iou", "overlap on masks that the MaskVAE moved"),
        ("moved_identity", "likeness on masks that the MaskVAE moved"),
    ):
        if measure in found:
            gap, low, high = found[measure]
            verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
            print(
                f"simulated edits against none, {what}: {gap:+.3f} "
                f"[{low:+.3f}, {high:+.3f}], {counted(report['faces'], 'face')}: {verdict}"
            )
    if report["same_person_identity"] is not None:
        print(
            f"two renders of the same person: identity {report['same_person_identity']:.3f}; with "
            "the same pose and mask, in other light and colours: "
            f"{report['same_mask_identity']:.3f}"
        )
