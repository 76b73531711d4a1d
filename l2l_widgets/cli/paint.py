"""``l2l paint``, ``l2l paint-scores``, ``l2l masks``: faces by their masks, figures, data sets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checks import (
    check_file,
    check_folder,
    check_png,
    models_of,
    whole_number,
)

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.models.zoo import Models

ORDERS = ("official", "bisenet")
#: Files of a MaskGAN, as `l2l_widgets.maskgan` names them, the one trained farthest first.
PAINTERS = ("maskgan.safetensors", "dense_mapping.safetensors")
JUDGES = ("parser", "attribute_judge", "identity_judge")
_PAINT = (
    "Draw a face again with the parts of another mask. Masks are PNGs of class indices in the "
    "official order of CelebAMask-HQ, or in its colours; a mask in the other common order is "
    "refused unless --order says so."
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
        help="the face's own mask (default: what the models' parser sees)",
    )  # fmt: skip
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
    """Draw one face again."""
    check_png(args.out)
    if args.replay is None and (args.image is None or args.mask is None):
        raise ValueError("--image and --mask are needed, or --replay")
    for name in ("image", "mask", "image_mask", "style", "style_mask", "replay"):
        path = getattr(args, name)
        if path is not None:
            check_file(f"--{name.replace('_', '-')}", path)
    models = models_of(args.generator, args.device)
    _check_weights(args, models)

    from l2l_widgets.images import load_image
    from l2l_widgets.masks import read_mask
    from l2l_widgets.painting import PaintSession, read_paint_recipe

    model = _painter(args, models)
    parser = models.parser if models.has("parser") else None
    if args.replay is not None:
        session = PaintSession.from_recipe(model, read_paint_recipe(args.replay), parser)
    else:
        side = model.resolution

        def mask_of(path: Path | None) -> Tensor | None:
            return None if path is None else read_mask(path, side, args.order)

        asked = read_mask(args.mask, side, args.order)
        image = load_image(args.image, side)[0]
        session = PaintSession(model, image, mask_of(args.image_mask), parser)
        session.set_mask(asked)
        if args.style is not None:
            session.copy_style(load_image(args.style, side)[0], mask_of(args.style_mask))
        if args.keep_outside:
            session.keep_outside()
    session.save(args.out)
    result = session.render()
    change = None if result.change is None else result.change.to_text()
    if not args.json:
        print(f"{args.out}: {change or 'the mask is that of the face'}")
    measured = None if result.change is None else vars(result.change)
    return {"out": str(args.out), "change": measured, "seconds": round(result.seconds, 4)}


def _check_weights(args: argparse.Namespace, models: Models) -> None:
    """Refuse at once where there is nothing to paint with."""
    if args.weights is not None:
        check_file("--weights", args.weights)
    elif not any(file in models.manifest for file in PAINTERS):
        raise ValueError(
            f"models {models.name!r} have no MaskGAN ({PAINTERS[0]}); train it: "
            "l2l train mask-vae, then dense-mapping, then mask-edit, each with --publish; or give "
            "--weights"
        )


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
    check_folder(args.out)
    models = models_of(args.generator, args.device)
    if not args.ablations:
        _check_weights(args, models)

    from l2l_widgets.evaluation import judge_features
    from l2l_widgets.evaluation.painting import (
        PaintJudges,
        compare_painting,
        score_painting,
        write_painting_report,
    )
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.models.zoo import ZooError
    from l2l_widgets.recipes.mask_ablations import mapping_updates, train_variants

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
    if not args.folder.is_dir():
        raise ValueError(f"DIR is {str(args.folder)!r}; there is no such folder")
    if not (args.folder / "CelebA-HQ-img").is_dir():
        raise ValueError(
            f"DIR is {str(args.folder)!r}, which has no folder CelebA-HQ-img; allowed: the folder "
            "of CelebAMask-HQ, or one that l2l render filled"
        )

    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ

    report = CelebAMaskHQ(args.folder).report(read=args.read)
    if not args.json:
        print(report.to_text())
    return {**vars(report), "defects": {str(k): v for k, v in report.defects.items()}}
