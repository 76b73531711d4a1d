"""``l2l direction``: walk along a direction that somebody published, and see what moves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, GENERATOR_HELP, with_class
from l2l_widgets.cli.checks import (
    SEED_MAX,
    check_file,
    check_png,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.edit import OUT_HELP

STEPS_MAX = 64


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "direction",
        help="walk along a published direction",
        description="Draw a face along a direction or component that others have published (.npy, "
        ".npz, .pt, .safetensors), and print what the judge sees move. Nothing in the file is "
        "executed. It does not say in which space it was fitted: --space does, and another use is "
        "refused.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=".npy, .npz, .pt or .safetensors")
    parser.add_argument(
        "--space", default=None, metavar="z|w|w+", help="where it was fitted, as its publisher says"
    )
    parser.add_argument("--name", default=None, help="of a file that holds several directions")
    parser.add_argument(
        "--component", default=None, metavar="K", help="of GANSpace or SeFa components, from 0"
    )
    parser.add_argument("--seed", default="0", help=f"of the face, 0 to {SEED_MAX} (default: 0)")
    parser.add_argument(
        "--reach", default="3", metavar="X", help="from -X to X times the direction (default: 3)"
    )
    parser.add_argument("--steps", default="5", metavar="N", help="pictures (default: 5)")
    parser.add_argument(
        "--truncation", default="0.7", metavar="PSI", help="of the face (default: 0.7)"
    )
    parser.add_argument("--generator", default=None, metavar="NAME|PATH|URL", help=GENERATOR_HELP)
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument("--out", required=True, type=Path, metavar="STRIP.png", help=OUT_HELP)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Load, check, walk, draw.

    Raises
    ------
    ValueError
        A file that is no direction, a space that is missing or another, words that do not fit.
    """
    check_png(args.out)
    check_file("FILE", args.file)
    if args.space is None:
        raise ValueError(
            f"--space is missing: {args.file.name!r} does not say where it was fitted; allowed: "
            "z, w or w+, as its publisher says"
        )
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    steps = whole_number("--steps", args.steps, 2, STEPS_MAX)
    reach, psi = number("--reach", args.reach), number("--truncation", args.truncation)
    component = None
    if args.component is not None:
        component = whole_number("--component", args.component, 0, 100_000)

    models = models_of(with_class(args.generator, args.class_index))

    import torch

    from l2l_widgets.editors.published import load_any
    from l2l_widgets.images import grid, save_image
    from l2l_widgets.latents import z_from_seed

    direction = load_any(args.file, space=args.space, component=component, name=args.name)
    generator, sha = models.generator, models.hashes["generator"]
    strengths = torch.linspace(-reach, reach, steps).tolist()
    with torch.inference_mode():
        z = z_from_seed(seed, generator.z_dim)
        if direction.origin.space == "z":
            moved = torch.cat([direction.move(z, s, sha) for s in strengths])
            ws = generator.mapping(moved, truncation_psi=psi)
        else:
            w = generator.mapping(z, truncation_psi=psi)
            ws = torch.cat([direction.move(w, s, sha) for s in strengths])
        images = torch.cat([generator.synthesis(part) for part in ws.split(4)]).clone()
    save_image(args.out, grid(images, columns=steps, gap=1), scale=max(1, 192 // images.shape[-1]))
    changes = _changes(models, images)
    if not args.json:
        print(f"{args.out}: seed {seed}, {direction.origin.dataset}, {-reach:g} to {reach:g}")
        for name, change in list(changes.items())[:8]:
            print(f"  {name:<16} {change:+.2f} from one end to the other")
        if not changes:
            print(f"  what moves is not measured: {models.name!r} lacks a judge of attributes")
    return {
        "out": str(args.out), "seed": seed, "space": direction.origin.space,
        "strengths": strengths, "models": models.name, "changes": changes,
    }  # fmt: skip


def _changes(models: Any, images: Any) -> dict[str, float]:
    """What the judge reads at the last picture less at the first, largest first."""
    import torch

    from l2l_widgets.policy import visible_table

    part = "attribute_judge" if models.has("attribute_judge") else "regressor"
    if not models.has(part):
        return {}
    with torch.inference_mode():
        first, last = models.part(part)(images[[0, -1]]).float()
    named = dict(zip(models.table.names, (last - first).tolist(), strict=True))
    shown = {name: named[name] for name in visible_table(models.table).names}
    return dict(sorted(shown.items(), key=lambda item: -abs(item[1])))
