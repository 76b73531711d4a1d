"""``l2l judges``: the ready declarations of published models, or a check of your own."""

from __future__ import annotations

import argparse
import time
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb ``judges``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "judges",
        help="check a judge of your own",
        description="Without a name: list the published models whose declarations are ready. "
        "With one: read the declaration, run the network once, and say what it reads.",
    )
    parser.add_argument(
        "judge",
        nargs="?",
        help="a declaration (.toml), or NAME=FILE for a published model",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List or check; returns what was printed, as data."""
    from l2l_widgets.judges import list_declarations, load_judge, published_declaration

    if args.judge is None:
        found = {name: published_declaration(name) for name in list_declarations()}
        if not args.json:
            for name, d in found.items():
                print(f"{name:22} {d.kind:11} {d.file:28} {d.about}")
            print("Use one with: l2l judges NAME=FILE (the networks themselves are not shipped).")
        return {
            name: {"kind": d.kind, "file": d.file, "about": d.about} for name, d in found.items()
        }
    import torch

    judge = load_judge(args.judge)
    d = judge.declaration
    images = torch.zeros(1, 3, d.size, d.size)
    start = time.perf_counter()
    judge(images)
    seconds = time.perf_counter() - start
    answer = {
        "kind": d.kind, "file": str(d.path), "sha256": judge.sha256, "size": d.size,
        "colours": d.colours, "attributes": list(judge.attributes),
        "embedding_dim": judge.embedding_dim, "seconds": round(seconds, 4), "about": d.about,
    }  # fmt: skip
    if not args.json:
        what = {
            "attributes": f"{len(judge.attributes)} attributes: {', '.join(judge.attributes)}",
            "identity": f"an identity vector of {judge.embedding_dim} numbers",
            "parser": f"{len(set(d.classes))} of the 19 classes of CelebAMask-HQ",
        }[d.kind]
        print(f"{d.path} reads {what}")
        print(f"one picture of {d.size} x {d.size} pixels, {d.colours}: {1000 * seconds:.0f} ms")
        print(f"sha256 {judge.sha256}")
    return answer
