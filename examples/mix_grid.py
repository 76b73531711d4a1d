"""Draw the mix grid: people down the side, poses and expressions along the top, every mix of them.

    python examples/mix_grid.py --out mix_grid.png

Nobody is chosen by hand: ``l2l_widgets.disentangle.casting`` has the rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from l2l_widgets import FaceMixer, load
from l2l_widgets.disentangle.casting import COLUMNS, cast_grid
from l2l_widgets.plots.mixing import mix_figure


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, mix, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("mix_grid.png"))
    parser.add_argument("--generator", default=None, help="models, as for l2l mix")
    parser.add_argument("--candidates", type=int, default=400, help="seeds to choose from")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    args = parser.parse_args(argv)
    if not 2 <= args.people <= 8:
        parser.error(f"--people is {args.people}; allowed: 2 to 8")
    least = 10 * (args.people + len(COLUMNS))
    if args.candidates < least:
        parser.error(
            f"--candidates is {args.candidates}; allowed with {args.people} people: at least "
            f"{least}, ten for each of them and of the {len(COLUMNS)} columns"
        )
    try:
        models = load(args.generator)
        mixer = FaceMixer.of(models)
    except ValueError as error:
        parser.error(str(error))
    faces, signature, rows, columns = cast_grid(
        models, mixer, args.first, args.candidates, args.people
    )
    mixes = mixer.grid(signature[rows], signature[columns])
    drawn = mixer.draw(mixes.flatten(0, 1)).unflatten(0, mixes.shape[:2])
    names = [name for name, _, _ in COLUMNS]
    figure = mix_figure(faces[rows], faces[columns], drawn, names)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, facecolor=figure.get_facecolor())
    seeds = [[args.first + i for i in part] for part in (rows, columns)]
    print(f"wrote {args.out}: people {seeds[0]}, attributes {seeds[1]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
