"""``l2l film``: a clip or a folder of frames, edited with one recipe, to an MP4."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, GENERATOR_HELP, with_class
from l2l_widgets.cli.checks import (
    SEED_MAX,
    check_file,
    check_place,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.invert import (
    STEPS_MAX,
    VISIBLE,
    add_distance,
    check_cut,
    check_distance,
    interruptible,
    landmarks_of,
    square_of,
)
from l2l_widgets.cli.judge_checks import check_judge
from l2l_widgets.consent import CONSENT
from l2l_widgets.films import Film, check_film_name, picture_files


def add_parser(subparsers: Any) -> None:
    """Add the verb ``film``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "film",
        help="edit the face in a clip",
        description="Invert every frame of a clip or of a folder of pictures, smooth the latents "
        "over time, edit all of them with one recipe, and write an MP4 or GIF. Ctrl-C writes what "
        "is done. The embedded generator draws likenesses: expect a portrait that moves like the "
        "clip.",
        epilog=CONSENT,
    )
    parser.add_argument("source", type=Path, metavar="CLIP|DIR", help="a clip, or a folder")
    parser.add_argument(
        "--recipe", default=None, metavar="FILE",
        help="JSON, or a PNG that carries a recipe: its edits are made (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--out", required=True, type=Path, metavar="OUT.mp4|OUT.gif", help="film to write"
    )
    parser.add_argument(
        "--smoothing", default="1.5", metavar="FRAMES",
        help="standard deviation of the filter over time; 0 leaves it out (default: 1.5)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", default="20", metavar="N", help="of descent a frame (default: 20)"
    )
    parser.add_argument(
        "--first-steps",
        default="150",
        metavar="N",
        help="of descent on the first frame (default: 150)",
    )
    parser.add_argument("--space", default="w+", choices=("w", "w+"), help="as for l2l invert")
    parser.add_argument("--frames", default=None, metavar="N", help="at most so many")
    parser.add_argument("--compare", action="store_true", help="the cut frame beside the edited")
    parser.add_argument("--aligned", action="store_true", help="the frames are cut already")
    parser.add_argument("--crop", default=None, metavar="X,Y,SIDE", help="one square for all")
    parser.add_argument("--detector", default=None, metavar="NAME", help="as for l2l invert")
    parser.add_argument(
        "--landmarks", default=None, metavar="DECLARATION", help="as for l2l invert"
    )
    add_distance(parser)
    parser.add_argument("--seed", default="0", metavar="S", help="of the search (default: 0)")
    parser.add_argument("--generator", default=None, metavar="NAME|PATH", help=GENERATOR_HELP)
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Edit one film.

    Raises
    ------
    ValueError
        A setting out of range, no clip, no face in it, a recipe that cannot be honoured.
    """
    smoothing = number("--smoothing", args.smoothing, 0, 50)
    steps = whole_number("--steps", args.steps, 0, STEPS_MAX)
    first = whole_number("--first-steps", args.first_steps, 0, STEPS_MAX)
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    limit = None if args.frames is None else whole_number("--frames", args.frames, 1, 100_000)
    crop = None if args.crop is None else square_of(args.crop)
    check_cut(args)
    check_distance(args.distance)
    check_judge("--landmarks", args.landmarks, "landmarks")
    check_film_name(args.out, "--out")
    check_place(args.out)
    if args.recipe is not None:
        check_file("--recipe", args.recipe)
    if not args.source.is_dir():
        check_file("CLIP", args.source)
    # what cannot be read is refused by its head, before torch is imported
    _ = picture_files(args.source) if args.source.is_dir() else Film(args.source)
    models = models_of(with_class(args.generator, args.class_index))

    from tqdm import tqdm

    from l2l_widgets.photos import find_detector
    from l2l_widgets.photos.distances import find_distance
    from l2l_widgets.photos.film import FilmSettings, edit_film
    from l2l_widgets.session.replay import read_recipe

    settings = FilmSettings(
        first, steps, smoothing, args.space, args.aligned, crop, args.compare, seed
    )
    edits: tuple[Any, ...] = ()
    if args.recipe is not None:
        recipe = read_recipe(args.recipe)
        recipe.check_models(models.name, models.hashes)
        edits = recipe.edits
    scale = -(-VISIBLE // models.generator.img_resolution)
    with tqdm(unit="frame", disable=None) as bar, interruptible() as asked:

        def progress(what: str, done: int, total: int) -> None:
            bar.set_description(what)
            bar.total = total or None
            bar.update(done - bar.n)

        report = edit_film(
            models, args.source, edits, args.out, settings,
            detector=find_detector(args.detector), landmarks=landmarks_of(args.landmarks),
            distance=find_distance(args.distance, models), limit=limit, scale=scale,
            comment="edited by l2l_widgets: a likeness, not a recording", progress=progress,
            stop=asked,
        )  # fmt: skip
    answer = {"out": str(args.out), **dataclasses.asdict(report), "smoothing": smoothing}
    if not args.json:
        print(f"wrote {args.out}: {counted(report.frames, 'frame')} at {report.fps:g} a second")
        if report.broken:
            print(f"note: the clip breaks off ({report.broken}); what came before is written")
        if report.lost:
            lost = counted(report.lost, "frame")
            print(f"note: no face was found in {lost}; the square before was taken")
        if report.beyond >= 0.01:
            print(
                f"note: up to {report.beyond:.0%} of a square lies outside its frame and is filled "
                "with the mirror image, out of focus"
            )
        if report.frames > 2:  # fewer have no second differences
            print(f"smoothing {smoothing:g} leaves {report.trembling:.0%} of the trembling")
        print(CONSENT)
    return answer
