"""Draw a contact sheet of the people that the embedded world is made of.

    python examples/render_people.py --count 32 --columns 8 --size 128 --out people.png

These are renders, whose every attribute is known; the generator has learned from such pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import grid, save_image


def main(argv: Sequence[str] | None = None) -> int:
    """Sample, render in small parts, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--size", type=int, default=128, help="pixels a face")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="people.png")
    args = parser.parse_args(argv)
    try:
        people = sample_factors(args.count, args.seed)
        # a few at a time: more would not fit the processor's cache
        parts = [render(people[i : i + 4], args.size).image for i in range(0, args.count, 4)]
        save_image(args.out, grid(torch.cat(parts), columns=args.columns, gap=0))
    except ValueError as error:
        parser.error(str(error))
    print(f"wrote {args.out}: {args.count} people, seed {args.seed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
