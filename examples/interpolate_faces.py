"""Walk between two faces in Z and in W, and compare what the judges see half way.

    python examples/interpolate_faces.py --from-seed 1 --to-seed 15 --out walk.png

Writes the two strips one below the other, their curves beside it as walk-curves.png, and the walk
in W as a GIF with its recipe inside.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import l2l_widgets as l2l
from l2l_widgets.images import grid, save_image
from l2l_widgets.plots.interpolation import walk_figure
from l2l_widgets.walks.files import save_walk
from l2l_widgets.walks.interpolation import Interpolator, Strip, Walk


def half_way(strip: Strip, names: Sequence[str]) -> str:
    """The middle frame in numbers."""
    curves, middle = strip.curves, len(strip.t) // 2
    assert curves is not None
    first, last = curves.kept("first"), curves.kept("last")
    readings = ", ".join(f"{name} {curves.of(name)[middle]:.2f}" for name in names)
    steps = max(curves.steps) / min(curves.steps)
    alike = f"identity {first[middle]:.2f} / {last[middle]:.2f}" if first and last else ""
    return f"{readings}; {alike}; largest step {steps:.1f} times the smallest"


def main(argv: Sequence[str] | None = None) -> int:
    """Walk twice, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from-seed", type=int, default=1)
    parser.add_argument("--to-seed", type=int, default=15)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--models", help="a world or a folder (default: the embedded one)")
    parser.add_argument("--out", type=Path, default=Path("walk.png"))
    args = parser.parse_args(argv)

    models = l2l.load(args.models)
    walker = Interpolator(models)
    strips = {}
    for space in ("z", "w"):
        walk = Walk((args.from_seed, args.to_seed), space=space, frames=args.frames)
        strips[space] = walker.strip(walk)
    names = strips["w"].curves.ranked()[:3]
    for space, strip in strips.items():
        print(f"{space}: {half_way(strip, names)}")

    both = torch.cat([strips["z"].images, strips["w"].images])
    save_image(args.out, grid(both, columns=args.frames), scale=2)
    curves = {
        f"{name} in {space}": strip.curves.of(name)
        for name in names[:2]
        for space, strip in strips.items()
    }
    identity = {f"in {space}": strip.curves.kept("first") or [] for space, strip in strips.items()}
    figure = walk_figure(strips["w"].images, curves, identity)
    figure.savefig(args.out.with_name(f"{args.out.stem}-curves.png"), dpi=120)
    save_walk(args.out.with_suffix(".gif"), models, strips["w"], there_and_back=True)
    print(f"wrote {args.out}, its curves, and {args.out.with_suffix('.gif').name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
