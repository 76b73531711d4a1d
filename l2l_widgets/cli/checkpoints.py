"""``l2l info``, ``l2l convert``: what a generator's file holds, and the same as safetensors."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checks import models_of
from l2l_widgets.errors import suggestion

GENERATOR_HELP = (
    "embedded models by name, a folder with a MANIFEST.json, or one generator: a StyleGAN2 as .pkl "
    "of NVIDIA's code, .pt of rosinality's or .safetensors, by path or https address, with "
    "'#sha256=...' to check it and '#class=N' to choose a class, several with commas, or all "
    "(default: the first embedded)"
)
#: The same where one must be named.
OWN_GENERATOR_HELP = GENERATOR_HELP.removesuffix(" (default: the first embedded)")
CLASS_HELP = (
    "of a class-conditional generator: one class, from 0; several with commas, or all, for a "
    "mixture in equal shares"
)

_INFO = (
    "Say what a generator's file holds and what can be done with it here. Nothing in the file is "
    "executed. PATH may be an https address: the file is fetched once and kept."
)
_CONVERT = (
    "Write a generator as safetensors of this package, with its provenance inside. Nothing in the "
    "source is executed."
)


def add_parser(subparsers: Any) -> None:
    """Add the two verbs."""
    info = subparsers.add_parser("info", help="what a generator holds", description=_INFO)
    info.add_argument("path", metavar="PATH", help="a generator's file or address, or models")
    convert = subparsers.add_parser("convert", help="to safetensors", description=_CONVERT)
    convert.add_argument(
        "source", metavar="SRC", help="a generator's file or address, or models: their generator"
    )
    convert.add_argument(
        "target", metavar="DST.safetensors", type=Path, help="file to write, in a folder that is "
        "there",
    )  # fmt: skip
    convert.add_argument("--overwrite", action="store_true", help="replace DST where it is there")
    for parser in (info, convert):
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return run_info(args) if args.verb == "info" else run_convert(args)


def run_info(args: argparse.Namespace) -> dict[str, Any]:
    """Describe a generator's file, or a set of models."""
    from l2l_widgets.models.zoo import list_models

    if args.path in list_models() or Path(args.path).is_dir():
        return _models(args)
    check_source("PATH", args.path, list_models())

    from l2l_widgets.checkpoints import describe
    from l2l_widgets.checkpoints.describing import as_text

    path, origin = _at_hand(args.path)
    report = describe(path, origin)
    if not args.json:
        print(as_text(report))
    return report


def run_convert(args: argparse.Namespace) -> dict[str, Any]:
    """Convert a generator's file, or the generator of a set of models."""
    from l2l_widgets.models.zoo import PART_FILES, list_models

    if args.source in list_models() or Path(args.source).is_dir():
        models = models_of(args.source, field="SRC")
        args.source = str(models.check_file(PART_FILES["generator"]))
    check_source("SRC", args.source, list_models())
    if args.target.suffix.lower() != ".safetensors":
        raise ValueError(f"DST is {str(args.target)!r}; allowed: a name that ends in .safetensors")
    if args.target.exists() and not args.overwrite:
        raise ValueError(f"DST is {str(args.target)!r}, which is there already; allowed: a new "
                         "name, or --overwrite")  # fmt: skip
    if not args.target.parent.is_dir():
        raise ValueError(f"DST is {str(args.target)!r}; its folder does not exist")

    from l2l_widgets.checkpoints import convert
    from l2l_widgets.checkpoints.fetching import parse_location

    path, origin = _at_hand(args.source)
    classes = parse_location(args.source).classes
    provenance = convert(path, args.target, args.overwrite, origin, classes)
    size = args.target.stat().st_size
    if not args.json:
        print(
            f"{args.target}: {size / 2**20:.1f} MB, {provenance['network']} of "
            f"{provenance['source']} ({provenance['layout']}); read back equal to the bit"
        )
        for note in provenance["notes"]:
            print(f"note: {note}")
    return {"out": str(args.target), "bytes": size, "provenance": provenance}


def check_source(field: str, text: str, names: tuple[str, ...] = ()) -> None:
    """Refuse a path where nothing lies; an address is tried, not judged by its look.

    Parameters
    ----------
    field : str
        What errors call it.
    text : str
        A path, perhaps with ``#`` and a class or a hash, or an address.
    names : tuple of str
        Names of embedded models that may have been meant.
    """
    if "://" in text or any(map(os.path.exists, (text, text.rpartition("#")[0]))):
        return
    known = (
        f", and no models are called so ({suggestion(text, names, 'there are')})" if names else ""
    )
    raise ValueError(f"{field} is {text!r}: no such file or folder{known}")


def _at_hand(text: str) -> tuple[Path, str | None]:
    """A location's file, fetched and checked where that is asked for, and its address."""
    from l2l_widgets.checkpoints.fetching import fetch, parse_location
    from l2l_widgets.storage import sha256_file

    location = parse_location(text)
    if location.is_url:
        return fetch(location), location.base
    path = Path(location.base)
    if location.sha256 is not None and (found := sha256_file(path)) != location.sha256:
        raise ValueError(f"{text!r}: its sha256 is {found}: it is another file")
    return path, None


def _models(args: argparse.Namespace) -> dict[str, Any]:
    """Describe a set of models."""
    from l2l_widgets.cli.model_info import as_text, described

    report = described(models_of(args.path, field="PATH"))
    if not args.json:
        print(as_text(report))
    return report


def with_class(name: str | None, class_index: str | None) -> str | None:
    """The ``--generator`` of a verb with its ``--class``."""
    if class_index is None:
        return name
    if name is None:
        raise ValueError(
            "--class is for a --generator that has classes; the embedded ones have none"
        )
    if os.path.isdir(name):
        raise ValueError(
            f"--class is {class_index!r}, but {name!r} is a folder of models, whose class was "
            "chosen when it was made; allowed: --class with a generator's file or address"
        )
    return f"{name}{'&' if '#' in name else '#'}class={class_index}"
