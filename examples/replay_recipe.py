"""Draw a saved edit again from the recipe inside its PNG, and compare the pixels.

    python examples/replay_recipe.py out.png --out again.png

The recipe names the models by their hashes: with another generator it is refused, not approximated.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image

import l2l_widgets as l2l


def same_pixels(first: str, second: str) -> bool:
    """Whether two pictures are equal in every pixel."""
    with Image.open(first) as a, Image.open(second) as b:
        return a.size == b.size and bool(np.array_equal(np.asarray(a), np.asarray(b)))


def main(argv: Sequence[str] | None = None) -> int:
    """Read, replay, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="a PNG that the package saved, or a recipe as JSON")
    parser.add_argument("--models", help="a world or a folder (default: the embedded one)")
    parser.add_argument("--out", default="again.png")
    args = parser.parse_args(argv)

    recipe = l2l.read_recipe(args.recipe)
    session = l2l.EditSession.from_recipe(l2l.load(args.models), recipe)
    picture = {"scale": 1, "compare": False, **recipe.picture}
    session.save(args.out, **picture)
    for edit in recipe.edits:
        print(f"{edit.method}: changes {dict(edit.changes)} targets {dict(edit.targets)}")
    if args.recipe.lower().endswith(".png"):
        same = same_pixels(args.recipe, args.out)
        print(f"{args.out}: " + ("the same pixels" if same else "OTHER PIXELS"))
        return 0 if same else 1
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
