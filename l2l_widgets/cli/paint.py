"""``l2l paint``, ``l2l paint-scores``, ``l2l masks``: faces by their masks, figures, data sets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.edit import whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.painting import PaintSession

ORDERS = ("official", "bisenet")
JUDGES = ("parser", "attribute_judge", "identity_judge")
_PAINT = (
    "Draw a face again with the parts of another mask. Masks are PNGs of class indices in the "
    "official order of CelebAMask-HQ, or in its colours; a mask in the other common order is "
    "refused unless --order says so."
)
PARSER_HELP = (
    "a face parser of your own: the declaration of an ONNX file, or NAME=FILE with a ready one, as "
    "face_parsing_bisenet=FILE (default: the models')"
)
_SCORES = (
    "Measure a MaskGAN on faces that it has never seen: the mask that a parser sees against the "
    "mask that was asked for, attributes, identity, Fréchet distance, pixels changed outside."
)


def add_parser(subparsers: Any) -> None:
    """Add the three verbs."""
    paint = subparsers.add_parser("paint", help="change a face by its mask", description=_PAINT)
    paint.add_argument("--image", type=Path, metavar="A.png", help="the face")
    paint.add_argument("--mask", type=Path, metavar="M.png", help="the mask to obey")
    paint.add_argument("--out", required=True, type=Path, metavar="B.png", help="file to write")
    paint.add_argument(
        "--image-mask", type=Path, metavar="M0.png",
        help="the face's own mask (default: what the parser sees)",
    )  # fmt: skip
    paint.add_argument("--parser", metavar="DECLARATION|NAME=FILE", help=PARSER_HELP)
    paint.add_argument("--style", type=Path, metavar="C.png", help="take this face's style instead")
    paint.add_argument("--style-mask", type=Path, metavar="MC.png", help="that face's own mask")
    paint.add_argument(
        "--keep-outside", action="store_true", help="keep the picture outside the changed area"
    )
    paint.add_argument(
        "--order", choices=ORDERS, default=None, help="in which order the masks' indices count"
    )
    paint.add_argument(
        "--replay", type=Path, metavar="PAINTED.png|RECIPE.json",
        help="draw what a saved painting says, instead of --image and --mask",
    )  # fmt: skip
    paint.add_argument(
        "--edit", type=Path, metavar="EDITED.png|RECIPE.json",
        help="an edit that `l2l edit` saved, seen through the area that --mask marks: what it "
        "changed inside and outside; --keep-outside blends",
    )  # fmt: skip
    _add_models(paint)

    scores = subparsers.add_parser("paint-scores", help="measure a MaskGAN", description=_SCORES)
    scores.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    scores.add_argument("--faces", default="1000", metavar="N", help="faces (default: 1000)")
    scores.add_argument(
        "--data", type=Path, metavar="DIR",
        help="a folder in CelebAMask-HQ's layout, its test split (default: unseen renders)",
    )  # fmt: skip
    scores.add_argument(
        "--ablations", action="store_true",
        help="train and measure it without simulated edits, without SFT, without the blender",
    )  # fmt: skip
    scores.add_argument(
        "--runs", type=Path, default=Path("runs") / "mask-ablations", metavar="DIR",
        help="where the ablations are trained (default: runs/mask-ablations)",
    )  # fmt: skip
    scores.add_argument(
        "--steps", metavar="N", help="steps of each stage of the ablations (default: the recipes')"
    )
    _add_models(scores)

    masks = subparsers.add_parser(
        "masks", help="look through a folder in CelebAMask-HQ's layout",
        description="Report what a data set folder holds, its gaps, and its known defects.",
    )  # fmt: skip
    masks.add_argument("folder", type=Path, metavar="DIR")
    masks.add_argument("--read", action="store_true", help="open every file as well; slow")


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="embedded models by name, or a folder with a MANIFEST.json (default: the first)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, metavar="FILE",
        help="a maskgan.safetensors or dense_mapping.safetensors of your own",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return {"paint": run_paint, "paint-scores": run_scores, "masks": run_masks}[args.verb](args)


def run_paint(args: argparse.Namespace) -> dict[str, Any]:
    """Draw one face again, or an edit of the sliders through an area."""
    if args.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {str(args.out)!r}; allowed: a name that ends in .png")
    if args.replay is None and ((args.image or args.edit) is None or args.mask is None):
        raise ValueError("--image and --mask are needed, or --edit and --mask, or --replay")
    for name in ("image", "mask", "image_mask", "style", "style_mask", "replay", "edit"):
        path = getattr(args, name)
        if path is not None and not path.is_file():
            raise ValueError(f"--{name.replace('_', '-')} is {str(path)!r}; there is no such file")

    from l2l_widgets.models.zoo import load

    session = _session(args, load(args.generator, device=args.device))
    session.save(args.out)
    result = session.render()
    change = None if result.change is None else result.change.to_text()
    if not args.json:
        print(f"{args.out}: {change or 'nothing was painted'}")
    measured = None if result.change is None else vars(result.change)
    return {"out": str(args.out), "change": measured, "seconds": round(result.seconds, 4)}


def _session(args: argparse.Namespace, models: Models) -> PaintSession:
    """What was asked for, done."""
    from l2l_widgets.masks import read_mask
    from l2l_widgets.painting import (
        AREA_FORMAT,
        AreaSession,
        PaintSession,
        load_parser,
        read_face,
        read_paint_recipe,
    )

    if args.replay is not None:
        recipe = read_paint_recipe(args.replay)
        if recipe.get("format") == AREA_FORMAT:
            return AreaSession.replay(models, recipe)
        own = load_parser(args.parser, models)
        return PaintSession.from_recipe(_painter(args, models), recipe, own)
    if args.edit is not None:
        return _area_session(args, models)
    model, parser = _painter(args, models), load_parser(args.parser, models)
    side = model.resolution

    def face_of(path: Path, own: Path | None) -> tuple[Tensor, Tensor | None]:
        image, mask = read_face(path, side, parser if own is None else None)
        return image, mask if own is None else read_mask(own, side, args.order)

    asked = read_mask(args.mask, side, args.order)
    session = PaintSession(model, *face_of(args.image, args.image_mask), parser)
    session.set_mask(asked)
    if args.style is not None:
        session.copy_style(*face_of(args.style, args.style_mask))
    if args.keep_outside:
        session.keep_outside()
    return session


def _area_session(args: argparse.Namespace, models: Models) -> PaintSession:
    from l2l_widgets.masks import read_mask
    from l2l_widgets.painting import AreaSession
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.replay import read_recipe

    session = AreaSession(EditSession.from_recipe(models, read_recipe(args.edit)))
    # an area has no parts, and so no order of them
    session.mark(read_mask(args.mask, session.side, args.order or "official") != 0)
    if args.keep_outside:
        session.keep_outside()
    return session


def _painter(args: argparse.Namespace, models: Models) -> MaskGAN:
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.painting import load_painter

    if args.weights is None:
        return load_painter(models)
    return MaskGAN.load(args.weights, args.device)


def run_scores(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, and write the report."""
    count = whole_number("--faces", args.faces, 4, 100_000)
    steps = None if args.steps is None else whole_number("--steps", args.steps, 1, 10**9)

    from l2l_widgets.evaluation import judge_features
    from l2l_widgets.evaluation.painting import (
        PaintJudges,
        compare_painting,
        score_painting,
        write_painting_report,
    )
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.models.zoo import ZooError, load
    from l2l_widgets.recipes.mask_ablations import mapping_updates, train_variants

    models = load(args.generator, device=args.device)
    for part in JUDGES:
        if not models.has(part):
            raise ZooError(
                f"models {models.name!r} have no {part}, which measures; train it: l2l train "
                f"{'parser' if part == 'parser' else 'all'} --publish"
            )
    features = judge_features(models)
    if features is None:
        raise ZooError("the attribute judge has no features to measure distances on")
    painters, updates = {}, {}
    if args.ablations:
        from l2l_widgets.recipes import DEFAULT_WEIGHTS

        source = models.folder or DEFAULT_WEIGHTS
        stages = ("mask-vae", "dense-mapping", "mask-edit")
        changes = {} if args.data is None else {"data": str(args.data)}
        each = None if steps is None else dict.fromkeys(stages, steps)
        made = train_variants(source, args.runs, changes=changes, steps=each)
        updates = mapping_updates(each)
        painters = {name: MaskGAN.load(path, args.device) for name, path in made.items()}
    else:
        painters = {"whole": _painter(args, models)}
    side = next(iter(painters.values())).resolution
    images, masks = _faces(args.data, count, side)
    judges = PaintJudges(
        parser=models.parser,
        attributes=models.attribute_judge,
        identity=models.identity_judge,
        features=features,
    )
    variants = {n: score_painting(p, images, masks, judges) for n, p in painters.items()}
    report: dict[str, Any] = {
        "protocol": "l2l-painting/1",
        "models": models.name,
        "hashes": {part: models.hashes.get(part) for part in JUDGES},
        "data": "unseen renders" if args.data is None else str(args.data),
        "variants": variants,
        "mapping_updates": updates,
        "whole_minus": compare_painting(variants, "whole") if len(variants) > 1 else {},
    }
    if args.data is None:
        report["same_person_identity"] = _same_person(judges.identity)
    write_painting_report(args.out, report)
    if not args.json:
        for name, found in variants.items():
            print(name)
            for measure, value in found["means"].items():
                low, high = found["intervals"][measure]
                print(f"  {measure:<22} {value:.3f}  [{low:.3f}, {high:.3f}]")
            print(f"  parser on true faces   {found['parser_iou']:.3f}")
            print(
                f"  Fréchet own {found['frechet_own']:.3f}, edited {found['frechet_edited']:.3f}, "
                f"two halves {found['frechet_halves']:.3f}"
            )
        if args.data is None:
            print(f"two renders of the same person: identity {report['same_person_identity']:.3f}")
        print(f"report: {args.out}")
    return json.loads(json.dumps({k: v for k, v in report.items() if k != "variants"}))


def _faces(folder: Path | None, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Pictures and masks that no recipe has learned from."""
    import torch

    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ
    from l2l_widgets.masks import resize_mask
    from l2l_widgets.recipes.rendered import rendered_set

    if folder is None:
        faces = rendered_set("unseen")
        if faces.images.shape[-1] != side:
            raise ValueError(
                f"unseen renders have {faces.images.shape[-1]} pixels, the MaskGAN {side}; give "
                "--data with a folder that l2l render filled"
            )
        return faces.images[:count].float() / 127.5 - 1, faces.masks[:count]
    data = CelebAMaskHQ(folder)
    rows = (data.split("test") or data.indices)[:count]
    images = torch.stack([data.picture(i, side) for i in rows])
    return images, torch.stack([resize_mask(data.mask(i), side) for i in rows])


def _same_person(identity: Any, pairs: int = 500) -> float:
    """Mean similarity of two renders of one person, who is else the same in nothing."""
    import torch

    from l2l_widgets.recipes.rendered import rendered_set

    faces = rendered_set("identities")
    same = (faces.identity[1:] == faces.identity[:-1]).nonzero()[:pairs, 0]
    similar = []
    with torch.no_grad():
        for rows in same.split(64):
            one, two = (identity(faces.images[r].float() / 127.5 - 1) for r in (rows, rows + 1))
            similar.append((one * two).sum(1))
    return float(torch.cat(similar).mean())


def run_masks(args: argparse.Namespace) -> dict[str, Any]:
    """Report what a folder holds."""
    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ

    report = CelebAMaskHQ(args.folder).report(read=args.read)
    if not args.json:
        print(report.to_text())
    return {**vars(report), "defects": {str(k): v for k, v in report.defects.items()}}
