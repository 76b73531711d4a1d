"""``l2l paint`` and ``l2l masks``: faces by their masks, and data sets of them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, with_class
from l2l_widgets.cli.checks import (
    check_file,
    check_ignored,
    check_needed,
    check_png,
    models_of,
)
from l2l_widgets.cli.judge_checks import check_judge

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.painting import PaintSession
    from l2l_widgets.painting.regions import RegionChange

ORDERS = ("official", "bisenet")
#: Files of a MaskGAN, as `l2l_widgets.maskgan` names them, the one trained farthest first.
PAINTERS = ("maskgan.safetensors", "dense_mapping.safetensors")
#: Where a saved painting's recipe stands, its formats, and the largest that is read, as
#: `l2l_widgets.painting` has them.
CHUNK, PAINTING, AREA, LARGEST = "l2l-paint", "l2l-paint/1", "l2l-area/1", 64 << 20
#: What may follow a folder's name, as `l2l_widgets.maskgan.celebamask_hq` has it.
KEPT = ("+gaps", "+defects")
_PAINT = (
    "Draw a face again with the parts of another mask. Masks are PNGs of class indices in the "
    "official order of CelebAMask-HQ, or in its colours; a mask in the other common order is "
    "refused unless --order says so. Glasses are one patch of class 3 (eye_g), frame and lenses, "
    "over the eyes: a pixel has one class, and the masks that were learned from mostly have no "
    "eyes behind lenses."
)
_FACE = ("--image", "--image-mask", "--style", "--style-mask")
#: What decides -> what means nothing beside it, and what to give.
_ALONE = {
    "--replay": (
        (*_FACE, "--mask", "--order", "--keep-outside", "--edit", "--read-mask"),
        "--replay and --out; the recipe says the rest",
    ),
    "--edit": (
        (*_FACE, "--parser", "--weights", "--read-mask"),
        "--edit with --mask, --order and --keep-outside",
    ),
    "--read-mask": (
        (*_FACE[1:], "--mask", "--order", "--keep-outside", "--weights"),
        "--read-mask with --image and --parser",
    ),
}
PARSER_HELP = (
    "a face parser of your own: the declaration of an ONNX file, or NAME=FILE with a ready one, as "
    "face_parsing_bisenet=FILE (default: the models')"
)


def add_parser(subparsers: Any) -> None:
    """Add the two verbs."""
    paint = subparsers.add_parser("paint", help="change a face by its mask", description=_PAINT)
    paint.add_argument("--image", type=Path, metavar="A.png", help="the face")
    paint.add_argument("--mask", type=Path, metavar="M.png", help="the mask to obey")
    paint.add_argument("--out", required=True, type=Path, metavar="B.png", help="file to write")
    paint.add_argument(
        "--image-mask", type=Path, metavar="M0.png",
        help="the face's own mask (default: what the parser sees)",
    )  # fmt: skip
    paint.add_argument(
        "--read-mask", action="store_true",
        help="write to --out the mask that the parser sees in --image, to draw on; nothing else",
    )  # fmt: skip
    paint.add_argument("--parser", metavar="DECLARATION|NAME=FILE", help=PARSER_HELP)
    paint.add_argument("--style", type=Path, metavar="C.png", help="take this face's style instead")
    paint.add_argument("--style-mask", type=Path, metavar="MC.png", help="that face's own mask")
    paint.add_argument(
        "--keep-outside",
        action="store_true",
        help="keep the picture outside the changed area, of a larger picture at its own size: else "
        "its middle square is drawn anew, and what was not painted may change visibly",
    )
    paint.add_argument(
        "--order", choices=ORDERS, default=None, help="in which order the masks' indices count"
    )
    paint.add_argument(
        "--replay", type=Path, metavar="PAINTED.png|RECIPE.json",
        help="draw what a saved painting says, instead of --image and --mask; of a picture kept "
        "around it, the face alone",
    )  # fmt: skip
    paint.add_argument(
        "--edit", type=Path, metavar="EDITED.png|RECIPE.json",
        help="an edit that `l2l edit` saved, seen through the area that --mask marks (black is "
        "outside): what it changed inside and outside; --keep-outside blends",
    )  # fmt: skip
    add_models(paint)

    masks = subparsers.add_parser(
        "masks", help="look through a folder in CelebAMask-HQ's layout",
        description="Report what a data set folder holds, its gaps, its known defects, and whether "
        "its l_ is the left of the picture.",
    )  # fmt: skip
    masks.add_argument(
        "folder", type=Path, metavar="DIR", help="that of the data set, or one of l2l render"
    )
    masks.add_argument("--read", action="store_true", help="open every file as well; slow")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which models draw."""
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="embedded models by name, or a folder with a MANIFEST.json (default: the first)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, metavar="FILE",
        help="a maskgan.safetensors or dense_mapping.safetensors of your own",
    )  # fmt: skip
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return run_masks(args) if args.verb == "masks" else run_paint(args)


def run_paint(args: argparse.Namespace) -> dict[str, Any]:
    """Draw one face again, or an edit of the sliders through an area."""
    check_png(args.out)
    for option, (ignored, allowed) in _ALONE.items():
        check_ignored(args, option, ignored, allowed)
    check_needed(args, ["--style-mask"], "--style")
    if args.read_mask:
        return _read_mask(args)
    if args.replay is None and ((args.image or args.edit) is None or args.mask is None):
        raise ValueError("--image and --mask are needed, or --edit and --mask, or --replay")
    for name in ("image", "mask", "image_mask", "style", "style_mask", "replay", "edit"):
        path = getattr(args, name)
        if path is not None:
            check_file(f"--{name.replace('_', '-')}", path)
    check_judge("--parser", args.parser, "parser")
    saved = None if args.replay is None else _saved_format(args.replay)
    if saved == AREA:
        check_ignored(
            args, "--replay", ("--parser", "--weights"),
            f"--replay alone, for {args.replay} is an edit seen through an area, which no painter "
            "draws and no parser reads",
        )  # fmt: skip
    models = models_of(with_class(args.generator, args.class_index), args.device)
    if saved == PAINTING if args.replay else args.edit is None:
        check_weights(args, models)

    session = _session(args, models)
    session.save(args.out)
    result = session.render()
    gone, new = _parts(session)
    if not args.json:
        text = _change_text(args, result.change, _parts_text(gone, new))
        print(f"{args.out}: {text}{_without_photo(args)}")
    measured = None if result.change is None else vars(result.change)
    return {
        "out": str(args.out), "change": measured, "gone": gone, "new": new,
        "seconds": round(result.seconds, 4),
    }  # fmt: skip


def _parts(session: PaintSession) -> tuple[list[str], list[str]]:
    """Classes that the face has and the mask lacks, and the other way round; none of an area."""
    from l2l_widgets.masks import MASK_CLASSES
    from l2l_widgets.painting import AreaSession

    if isinstance(session, AreaSession):
        return [], []
    had, has = (set(mask.unique().tolist()) for mask in (session.original, session.mask))
    gone, new = ([MASK_CLASSES[i] for i in sorted(some)] for some in (had - has, has - had))
    return gone, new


def _parts_text(gone: list[str], new: list[str]) -> str:
    """What of a face is no more, and what is new in it: a mask may lack parts by mistake."""
    from l2l_widgets.masks import LABELS, class_index

    lists = ((". Parts that the mask lacks: ", gone), (". New parts: ", new))
    return "".join(
        head + ", ".join(LABELS[class_index(name)] for name in names)
        for head, names in lists
        if names
    )


def _saved_format(path: Path) -> str | None:
    """Which format a saved painting says it has; None where it says none.

    What reads it whole says what is wrong with it, but imports torch.
    """
    from PIL import Image

    try:
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST else ""
        else:
            with Image.open(path, formats=("PNG",)) as picture:
                text = str(picture.info.get(CHUNK, ""))  # stands before the pixels
        recipe = json.loads(text)
    except (OSError, SyntaxError, ValueError, RecursionError, Image.DecompressionBombError):
        return None
    found = recipe.get("format") if isinstance(recipe, dict) else None
    return found if isinstance(found, str) else None


def _change_text(args: argparse.Namespace, change: RegionChange | None, parts: str) -> str:
    """What was changed, which parts it was, and how to keep what should not have been."""
    if change is None and args.mask is None:
        return "drawn anew by the painter: the painting asks for no change"
    if change is None:
        return (
            f"drawn anew by the painter, for {args.mask} asks for nothing else than what the face "
            "has already: change some of its pixels to the number of another part (--read-mask "
            "lists them)"
        )
    text = change.to_text() + parts
    if change.changed_outside >= 0.01 and args.replay is None and not args.keep_outside:
        text += ". To keep the picture outside the area as it was: --keep-outside"
    return text


def _without_photo(args: argparse.Namespace) -> str:
    """What is said of a replay whose picture was kept around the face."""
    from l2l_widgets.painting import read_paint_recipe

    if args.replay is None or not read_paint_recipe(args.replay).get("photo"):
        return ""
    return ". The picture around the face is not in the recipe: this is the face alone"


def _read_mask(args: argparse.Namespace) -> dict[str, Any]:
    """Write what the parser sees."""
    if args.image is None:
        raise ValueError("--read-mask needs --image")
    check_file("--image", args.image)
    check_judge("--parser", args.parser, "parser")
    models = models_of(with_class(args.generator, args.class_index), args.device)

    import torch

    from l2l_widgets.masks import LABELS, encode_mask
    from l2l_widgets.painting import load_painter, load_parser, read_face
    from l2l_widgets.storage import make_folder, write_atomic

    parser = load_parser(args.parser, models)
    if parser is None:
        raise ValueError(f"--read-mask: models {models.name!r} have no parser; give --parser")
    # at the painter's own size: a mask that comes back undrawn-on must ask for nothing
    paints = any(file in models.manifest for file in PAINTERS)
    side = load_painter(models).resolution if paints else models.generator.img_resolution
    found = read_face(args.image, side, parser)[1]
    assert found is not None
    make_folder(args.out.parent)
    write_atomic(args.out, encode_mask(found))
    counts = torch.bincount(found.flatten().long(), minlength=len(LABELS)).tolist()
    height, width = found.shape
    if not args.json:
        whose = "the painter" if paints else "the generator"
        print(
            f"{args.out}: a mask of {width} x {height} pixels, the size that {whose} works at; "
            "what has another size is brought to it. Number, part, pixels of it here:"
        )
        for i, (label, count) in enumerate(zip(LABELS, counts, strict=True)):
            print(f"{i:>4}  {label:<12}{count:>8}")
    return {
        "out": str(args.out),
        "size": [width, height],
        "classes": dict(enumerate(LABELS)),
        "pixels": dict(enumerate(counts)),
    }


def check_weights(args: argparse.Namespace, models: Models) -> None:
    """Refuse at once where there is nothing to paint with."""
    if args.weights is not None:
        check_file("--weights", args.weights)
    elif not any(file in models.manifest for file in PAINTERS):
        raise ValueError(
            f"models {models.name!r} have no MaskGAN ({PAINTERS[0]}); train it: "
            "l2l train mask-vae, then dense-mapping, then mask-edit, each with --publish; or give "
            "--weights"
        )


def _session(args: argparse.Namespace, models: Models) -> PaintSession:
    """What was asked for, done."""
    from l2l_widgets.images import picture_bytes
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
        return PaintSession.from_recipe(painter_of(args, models), recipe, own)
    if args.edit is not None:
        return _area_session(args, models)
    model, parser = painter_of(args, models), load_parser(args.parser, models)
    side = model.resolution

    def face_of(path: Path, own: Path | None) -> tuple[Tensor, Tensor | None]:
        image, mask = read_face(path, side, parser if own is None else None)
        return image, mask if own is None else read_mask(own, side, args.order)

    asked = read_mask(args.mask, side, args.order)
    photo = picture_bytes(args.image) if args.keep_outside else None
    face = face_of(args.image, args.image_mask)
    session = PaintSession(model, *face, parser, photo=photo)
    session.set_mask(asked)
    if args.style is not None:
        session.copy_style(*face_of(args.style, args.style_mask))
    if args.keep_outside:
        session.keep_outside()
    return session


def _area_session(args: argparse.Namespace, models: Models) -> PaintSession:
    from l2l_widgets.masks import read_area
    from l2l_widgets.painting import AreaSession
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.replay import read_recipe

    session = AreaSession(EditSession.from_recipe(models, read_recipe(args.edit)))
    session.mark(read_area(args.mask, session.side))
    if args.keep_outside:
        session.keep_outside()
    return session


def painter_of(args: argparse.Namespace, models: Models) -> MaskGAN:
    """The MaskGAN of ``--weights``, or the one among the models."""
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.painting import load_painter

    if args.weights is None:
        return load_painter(models)
    painter = MaskGAN.load(args.weights, args.device)
    if painter.mapping is None:
        raise ValueError(
            f"--weights is {str(args.weights)!r}, which holds no network that draws; allowed: a "
            f"{' or '.join(PAINTERS)}"
        )
    return painter


def run_masks(args: argparse.Namespace) -> dict[str, Any]:
    """Report what a folder holds."""
    folder = args.folder
    while not folder.is_dir() and folder.name.endswith(KEPT):
        folder = folder.with_name(folder.name.rpartition("+")[0])
    if not folder.is_dir():
        raise ValueError(f"DIR is {str(args.folder)!r}; there is no such folder")
    if not (folder / "CelebA-HQ-img").is_dir():
        raise ValueError(
            f"DIR is {str(args.folder)!r}, which has no folder CelebA-HQ-img; allowed: the folder "
            "of CelebAMask-HQ, or one that l2l render filled"
        )

    from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ
    from l2l_widgets.maskgan.celebamask_report import look_through

    report = look_through(CelebAMaskHQ(args.folder), read=args.read)
    if not args.json:
        print(report.to_text())
    told = {**vars(report), "sides_swapped": report.sides_swapped}
    return {**told, "defects": {str(k): v for k, v in report.defects.items()}}
