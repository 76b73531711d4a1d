"""``l2l interpolate``: a walk between faces as a strip, a GIF or a film, with curves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, with_class
from l2l_widgets.cli.checks import (
    PSI,
    SEED_MAX,
    check_file,
    check_ignored,
    check_method,
    check_names,
    check_place,
    check_rows,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.edit import OUT_HELP
from l2l_widgets.cli.waiting import Waiting
from l2l_widgets.films import check_film_name

_TEXT = (
    "Walk from one face to another (or sweep one attribute of a face), write the frames with the "
    "recipe inside, and say what the judges read on the way. The ending of --out decides: .png is "
    "a strip, .gif and .mp4 move (.mp4 needs the extra 'video')."
)
KINDS = ("latent", "attribute", "identity")
#: As `l2l_widgets.walks.walk` has it: torch is not imported to refuse a word.
REACH = "reach"
ENDINGS = (".png", ".gif", ".mp4")
#: What a recipe says.
_IN_RECIPE = (
    "--from-seed", "--to-seed", "--kind", "--space", "--curve", "--rows", "--attribute", "--span",
    "--method", "--hold", "--frames", "--truncation",
)  # fmt: skip
#: Pixels a side that a frame is enlarged to, by a whole factor; a film's players want more.
VISIBLE = {".png": 256, ".gif": 256, ".mp4": 512}


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("interpolate", help="walk between two faces", description=_TEXT)
    seeds = f"a seed, 0 to {SEED_MAX}"
    parser.add_argument("--from-seed", default=None, metavar="A", help=f"the first face: {seeds}")
    parser.add_argument("--to-seed", default=None, metavar="B", help=f"the last face: {seeds}")
    parser.add_argument(
        "--kind", default="latent", choices=KINDS,
        help="latent: from A to B; attribute: A with --attribute swept; identity: from A to the "
        "person of B with the attributes of A, as near as the models get (default: latent)",
    )  # fmt: skip
    parser.add_argument(
        "--space", default="w", type=str.lower, choices=("z", "w", "w+"),
        help="where to walk (default: w)",
    )  # fmt: skip
    parser.add_argument(
        "--curve", default=None, choices=("slerp", "lerp"),
        help="great circle or straight line (default: slerp in z, lerp elsewhere)",
    )  # fmt: skip
    parser.add_argument(
        "--rows", default="all",
        help="rows of W+ that walk, with --space w+: coarse, middle, fine, or numbers as in 0-3,8 "
        "(default: all)",
    )  # fmt: skip
    parser.add_argument("--attribute", default=None, metavar="NAME", help="with --kind attribute")
    parser.add_argument(
        "--span", default=None, metavar="LOW:HIGH",
        help="from which to which value, 0 to 1, or reach: as far as the method goes (default: as "
        "far as half of the identity is kept)",
    )  # fmt: skip
    parser.add_argument("--method", default=None, help="the editor (default: the first one)")
    parser.add_argument(
        "--hold", action="append", default=[], metavar="NAME",
        help="an attribute that --kind identity holds, as often as needed (default: all)",
    )  # fmt: skip
    parser.add_argument("--frames", default="9", metavar="N", help="2 to 600 (default: 9)")
    parser.add_argument(
        "--truncation", default="0.7", metavar="PSI", help="0 to 1.5 (default: 0.7)"
    )
    parser.add_argument(
        "--recipe", default=None, metavar="STRIP", type=Path,
        help="a strip, GIF, film or JSON to draw again, in place of all of the above",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=OUT_HELP)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--size", default=None, metavar="PIXELS",
        help="enlarge each frame, bicubic, until it is at least so wide, 16 to 4096 (default: 256, "
        "a film 512)",
    )  # fmt: skip
    size.add_argument(
        "--scale", default=None, metavar="N",
        help="or by this whole factor, 1 to 64 (1: the generator's own pixels)",
    )  # fmt: skip
    parser.add_argument("--seconds", default=None, metavar="S", help="how long a GIF or film lasts")
    parser.add_argument("--back", action="store_true", help="a GIF or film goes back again")
    parser.add_argument("--no-curves", action="store_true", help="draw only; measure nothing")
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="embedded models by name, or a folder (default: the first)",
    )  # fmt: skip
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Draw, measure, write."""
    # Before anything is computed: a wrong word should not cost a minute.
    if args.out.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"--out is {str(args.out)!r}; allowed: a name that ends in {', '.join(ENDINGS)}"
        )
    check_place(args.out)
    if args.out.suffix.lower() == ".png":
        check_ignored(args, "--out", ("--seconds", "--back"), "them with a .gif or .mp4")
    else:
        check_film_name(args.out, "--out")
    check_ignored(args, "--recipe", _IN_RECIPE, "--recipe and --out; the recipe says the rest")
    scale = None if args.scale is None else whole_number("--scale", args.scale, 1, 64)
    wanted = VISIBLE[args.out.suffix.lower()]
    size = wanted if args.size is None else whole_number("--size", args.size, 16, 4096)
    seconds = None if args.seconds is None else number("--seconds", args.seconds, 0.1, 600)
    values = None if args.recipe is not None else _values(args)
    if args.recipe is not None:
        check_file("--recipe", args.recipe)
    models = models_of(with_class(args.generator, args.class_index), args.device)
    if values is not None:
        check_method(args.method, models)
        check_names(args.hold, models.table, "--hold")
        check_names([args.attribute] if args.attribute else [], models.table, "--attribute")
        check_rows(args.rows, models, ("all",))

    from l2l_widgets.walks.files import read_walk, save_walk
    from l2l_widgets.walks.interpolation import Interpolator, Walk

    walk = read_walk(args.recipe, models) if values is None else Walk(**values)
    interpolator = Interpolator(models)
    with Waiting("drawing the walk", sys.stderr) as waiting:
        strip = interpolator.draw(walk, waiting)
        if strip is not None and not args.no_curves:
            waiting.what = "reading the faces of the walk"
            strip = interpolator.measure(strip, waiting)
    assert strip is not None  # nothing makes it stale here
    side = int(strip.images.shape[-1])
    scale = scale or min(64, -(-size // side))
    recipe = save_walk(
        args.out, models, strip, scale=scale, seconds=seconds, there_and_back=args.back
    )
    report: dict[str, Any] = {
        "out": str(args.out), "frames": len(strip.t), "scale": scale, "size": scale * side,
        "recipe": recipe,
    }  # fmt: skip
    curves = strip.curves
    if curves is not None:
        from l2l_widgets.policy import visible_table

        shown = visible_table(models.table)
        report |= {
            "summary": strip.to_text(models.table),
            "attributes": {n: curves.of(n) for n in curves.names if n in shown}
            if curves.readings is not None else None,
            "identity_to_first": curves.to_first,
            "identity_to_last": curves.to_last,
            "strangers": curves.strangers,
            "steps": curves.steps,
            "judges": dict(curves.judges),
        }  # fmt: skip
    if not args.json:
        times = f", the generator's {side} enlarged {scale} times" if scale > 1 else ""
        print(f"{args.out}: {len(strip.t)} frames of {scale * side} pixels a side{times}")
        if report.get("summary"):
            print(report["summary"])
    return report


def _values(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a walk, from words."""
    if args.from_seed is None:
        raise ValueError("--from-seed is missing; allowed: a seed, or --recipe")
    faces = [whole_number("--from-seed", args.from_seed, 0, SEED_MAX)]
    if args.kind == "attribute":
        if args.attribute is None:
            raise ValueError(
                "--attribute is missing with --kind attribute; the names: l2l attributes"
            )
        if args.to_seed is not None:
            raise ValueError("--to-seed is given with --kind attribute; allowed: one face")
    elif args.to_seed is None:
        raise ValueError(f"--to-seed is missing with --kind {args.kind}; allowed: a seed")
    else:
        faces.append(whole_number("--to-seed", args.to_seed, 0, SEED_MAX))
    if args.attribute is not None and args.kind != "attribute":
        raise ValueError(f"--attribute is given with --kind {args.kind}; allowed: --kind attribute")
    if args.hold and args.kind != "identity":
        raise ValueError(f"--hold is given with --kind {args.kind}; allowed: --kind identity")
    if args.span is not None and args.kind != "attribute":
        raise ValueError(f"--span is given with --kind {args.kind}; allowed: --kind attribute")
    if args.kind == "identity" and args.space == "z":
        raise ValueError("--space is 'z' with --kind identity; allowed: w, w+")
    if args.rows != "all" and (args.space != "w+" or args.kind != "latent"):
        raise ValueError(
            f"--rows is {args.rows!r} with --space {args.space} and --kind {args.kind}; allowed: "
            "--space w+ with --kind latent, where each row has a w of its own"
        )
    span: Any = args.span
    if span not in (None, REACH):
        low, colon, high = args.span.partition(":")
        if not colon:
            raise ValueError(
                f"--span is {args.span!r}; allowed: two numbers as in 0.2:0.9, or {REACH}"
            )
        span = number("--span", low, 0, 1), number("--span", high, 0, 1)
        if span[0] == span[1]:
            raise ValueError(f"--span is {args.span!r}; allowed: two different numbers")
    return {
        "faces": tuple(faces),
        "kind": args.kind,
        "space": args.space,
        "curve": args.curve,
        "rows": args.rows,
        "frames": whole_number("--frames", args.frames, 2, 600),
        "attribute": args.attribute or "",
        "span": span,
        "method": args.method,
        "hold": tuple(args.hold),
        "truncation_psi": number("--truncation", args.truncation, *PSI),
    }
