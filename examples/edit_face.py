"""Edit one face from a script, and print what else moved.

    python examples/edit_face.py --seed 7 --change smile=0.4 --change glasses=0.8 --out out.png

Writes the edited face with its recipe inside; ``examples/replay_recipe.py`` draws it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import l2l_widgets as l2l


def change(text: str) -> tuple[str, float]:
    """``smile=0.4`` as a name and a change in attribute units."""
    name, _, value = text.partition("=")
    return name, float(value)


def print_receipt(session: l2l.EditSession, worst: int = 5) -> None:
    """Requested and achieved changes, and the attributes that moved most without being asked."""
    receipt = session.measure()
    if receipt is None or receipt.error is not None:
        raise ValueError(receipt.error if receipt else "the measurement was abandoned")
    for name, requested in receipt.requested.items():
        print(f"{name:>12}  asked {requested:+.2f}  achieved {receipt.achieved[name]:+.2f}")
    moved = sorted(receipt.others, key=lambda name: -abs(receipt.others[name]))
    for name in moved[:worst]:
        low, high = receipt.band[name]
        print(
            f"{name:>12}  moved {receipt.others[name]:+.2f}  random edits {low:+.2f}..{high:+.2f}"
        )
    if receipt.identity is not None:
        print(f"    identity  {receipt.identity:.3f} (cosine; 1 is the same face)")


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, edit, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--change", type=change, action="append", metavar="NAME=DELTA")
    parser.add_argument("--method", default="mapper")
    parser.add_argument("--models", help="a world or a folder (default: the embedded one)")
    parser.add_argument("--out", default="out.png")
    args = parser.parse_args(argv)

    session = l2l.EditSession(l2l.load(args.models), method=args.method, seed=args.seed)
    session.set_changes(dict(args.change or [("smile", 0.4)]))
    try:
        session.save(args.out, scale=4, compare=True)
    except ValueError as error:
        parser.error(str(error))
    print(f"wrote {args.out}: before and after, seed {args.seed}")
    print_receipt(session)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
