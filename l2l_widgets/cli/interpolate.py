"""``l2l interpolate``: a walk between faces as a strip, a GIF or a film, with curves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from l2l_widgets.cli.edit import OUT_HELP, SEED_MAX, Waiting, number, whole_number

_TEXT = (
    "Walk from one face to another (or sweep one attribute of a face), write the frames with the "
    "recipe inside, and say what the judges read on the way. The ending of --out decides: .png is "
    "a strip, .gif and .mp4 move (.mp4 needs the extra 'video')."
)
KINDS = ("latent", "attribute", "identity")
ENDINGS = (".png", ".gif", ".mp4")


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("interpolate", help="walk between two faces", description=_TEXT)
    seeds = f"a seed, 0 to {SEED_MAX}"
    parser.add_argument("--from-seed", default=None, metavar="A", help=f"the first face: {seeds}")
    parser.add_argument("--to-seed", default=None, metavar="B", help=f"the last face: {seeds}")
    parser.add_argument(
        "--kind", default="latent", choices=KINDS,
        help="latent: from A to B; attribute: A with --attribute swept; identity: from A to B, "
        "the attributes held at those of A (default: latent)",
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
        help="from which to which value, 0 to 1 (default: as far as the method reaches)",
    )  # fmt: skip
    parser.add_argument("--method", default=None, help="the editor (default: the first one)")
    parser.add_argument(
        "--hold", action="append", default=[], metavar="NAME",
        help="an attribute that --kind identity holds, as often as needed (default: all)",
    )  # fmt: skip
    parser.add_argument("--frames", default="9", metavar="N", help="2 to 600 (default: 9)")
    parser.add_argument("--truncation", default="0.7", metavar="PSI", help="0 to 1.5")
    parser.add_argument(
        "--recipe", default=None, metavar="STRIP", type=Path,
        help="a strip, GIF or JSON to draw again, in place of all of the above",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=OUT_HELP)
    parser.add_argument("--scale", default=None, metavar="N", help="enlarge each frame, 1 to 64")
    parser.add_argument("--seconds", default=None, metavar="S", help="how long a GIF or film lasts")
    parser.add_argument("--back", action="store_true", help="a GIF or film goes back again")
    parser.add_argument("--no-curves", action="store_true", help="draw only; measure nothing")
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="embedded models by name, or a folder (default: the first)",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Draw, measure, write."""
    # Before anything is computed: a wrong word should not cost a minute.
    if args.out.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"--out is {str(args.out)!r}; allowed: a name that ends in {', '.join(ENDINGS)}"
        )
    scale = None if args.scale is None else whole_number("--scale", args.scale, 1, 64)
    seconds = None if args.seconds is None else number("--seconds", args.seconds)
    values = None if args.recipe is not None else _values(args)

    from l2l_widgets.models.zoo import load
    from l2l_widgets.policy import visible_table
    from l2l_widgets.walks.files import read_walk, save_walk
    from l2l_widgets.walks.interpolation import Interpolator, Walk

    models = load(args.generator, device=args.device)
    walk = read_walk(args.recipe, models) if values is None else Walk(**values)
    interpolator = Interpolator(models)
    with Waiting("drawing", sys.stderr) as waiting:
        strip = interpolator.draw(walk, waiting)
        if strip is not None and not args.no_curves:
            strip = interpolator.measure(strip, waiting)
    assert strip is not None  # nothing makes it stale here
    recipe = save_walk(
        args.out, models, strip, scale=scale, seconds=seconds, there_and_back=args.back
    )
    report: dict[str, Any] = {"out": str(args.out), "frames": len(strip.t), "recipe": recipe}
    curves = strip.curves
    if curves is not None:
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
        print(f"{args.out}: {len(strip.t)} frames")
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
    span = None
    if args.span is not None:
        low, colon, high = args.span.partition(":")
        if not colon:
            raise ValueError(f"--span is {args.span!r}; allowed: two numbers as in 0.2:0.9")
        span = number("--span", low), number("--span", high)
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
        "truncation_psi": number("--truncation", args.truncation),
    }
