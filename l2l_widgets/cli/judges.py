"""``l2l judges`` and ``l2l world``: judges of your own, and a world of them and a generator."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, OWN_GENERATOR_HELP, with_class
from l2l_widgets.cli.checks import check_folder, models_of
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.foreign import provenance
from l2l_widgets.cli.judge_checks import check_judge, check_judges


def add_parser(subparsers: Any) -> None:
    """Add the two verbs."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "judges",
        help="check a judge of your own",
        description="Without a name: list the published models whose declarations are ready. "
        "With one: read the declaration, run the network once, and say what it reads.",
    )
    parser.add_argument(
        "judge",
        nargs="?",
        metavar="JUDGE",
        help="a declaration (.toml), or NAME=FILE for a published model",
    )

    world = subparsers.add_parser(
        "world",
        help="a folder of models from your generator and judges",
        description="Write a folder of models: your generator, your judges, what they read. Then "
        "`l2l train own --weights DIR` trains every editor into it, and --generator DIR uses it.",
    )
    world.add_argument("folder", type=Path, metavar="DIR", help="the folder to write")
    world.add_argument("--generator", required=True, metavar="PATH|URL", help=OWN_GENERATOR_HELP)
    world.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    world.add_argument(
        "--judge", action="append", default=[], required=True, metavar="DECLARATION",
        help="a declaration (.toml), or NAME=FILE for a published model; repeatable: one that "
        "reads attributes, one for identity, one parser",
    )  # fmt: skip
    world.add_argument(
        "--overwrite", action="store_true",
        help="write into a folder that holds something already; editors that were trained for the "
        "same generator and judges stay",
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do what was asked; returns what was printed, as data."""
    return _world(args) if args.verb == "world" else _judges(args)


def _world(args: argparse.Namespace) -> dict[str, Any]:
    _check_target(args)
    check_judges(args.judge)
    models = models_of(with_class(args.generator, args.class_index))

    from l2l_widgets.models.own import write_world
    from l2l_widgets.models.zoo import load

    files = write_world(args.folder, models.generator, args.judge, provenance(args.generator))
    table = load(args.folder).table
    if not args.json:
        print(f"{args.folder}: {', '.join(sorted(files))}")
        print(f"reads {counted(len(table), 'attribute')}: {', '.join(table.names)}")
        print(f"train the editors with: l2l train own --weights {args.folder}")
    return {"folder": str(args.folder), "files": files, "attributes": list(table.names)}


def _check_target(args: argparse.Namespace) -> None:
    """What lies in the folder already is not lost to a mistyped name."""
    folder = args.folder
    check_folder(folder, "DIR")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if there and not args.overwrite:
        what = "a world" if "MANIFEST.json" in there else "something else"
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise ValueError(
            f"DIR is {str(folder)!r}, which holds {what} already ({', '.join(there[:3])}{more}); "
            "allowed: a folder that is new or empty, or --overwrite"
        )


def _judges(args: argparse.Namespace) -> dict[str, Any]:
    """List or check."""
    from l2l_widgets.judges import list_declarations, published_declaration

    if args.judge is None:
        found = {name: published_declaration(name) for name in list_declarations()}
        if not args.json:
            wide, wider = max(map(len, found)), max(len(d.file) for d in found.values())
            for name, d in found.items():
                print(f"{name:{wide}}  {d.kind:10}  {d.file:{wider}}  {d.about}")
            print("Use one with: l2l judges NAME=FILE (the networks themselves are not shipped).")
            print("OpenCV's YuNet needs no declaration: l2l invert --detector yunet=FILE.onnx")
        return {
            name: {"kind": d.kind, "file": d.file, "about": d.about} for name, d in found.items()
        }
    check_judge("JUDGE", args.judge)  # what is wrong with it is said before torch is imported

    import torch

    from l2l_widgets.judges import load_judge

    judge = load_judge(args.judge)
    d = judge.declaration
    height, width = d.shape
    images = torch.zeros(1, 3, height, width)
    start = time.perf_counter()
    judge(images)
    seconds = time.perf_counter() - start
    answer = {
        "kind": d.kind, "file": str(d.path), "sha256": judge.sha256, "size": d.size,
        "colours": d.colours, "attributes": list(judge.attributes),
        "embedding_dim": judge.embedding_dim, "seconds": round(seconds, 4), "about": d.about,
    }  # fmt: skip
    if not args.json:
        names = judge.attributes
        what = {
            "attributes": f"{counted(len(names), 'attribute')}: {', '.join(names)}",
            "identity": f"an identity vector of {judge.embedding_dim} numbers",
            "parser": f"{len(set(d.classes))} of the 19 classes of CelebAMask-HQ",
            "landmarks": "landmarks of a face, for l2l invert --landmarks",
            "detector": "the faces in a photo"
            + (", each with five points" if d.points else "")
            + ", for l2l invert --detector",
        }[d.kind]
        print(f"{d.path} reads {what}")
        print(f"one picture of {width} x {height} pixels, {d.colours}: {1000 * seconds:.0f} ms")
        print(f"sha256 {judge.sha256}")
    return answer
