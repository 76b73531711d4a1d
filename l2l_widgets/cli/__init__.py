"""The command line ``l2l``: one verb a module, imported when that verb is used.

A verb's module has ``add_parser(subparsers)``, which adds the parsers of its verbs, and
``run(args) -> dict | None``, which does the work; ``args.verb`` says which verb was typed. Bad
input is a ValueError or OSError and becomes one line on standard error with exit code 2. With
``--json`` the dict is printed as one JSON object, the last line of standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

#: Verb -> its module here, and one line for ``l2l --help``.
VERBS = {
    "lab": ("lab", "open JupyterLab on the notebooks"),
    "sample": ("edit", "draw a contact sheet of faces"),
    "edit": ("edit", "edit a face and say what else moved"),
    "interpolate": ("interpolate", "walk between two faces: strip, GIF or film, with curves"),
    "mix": ("mix", "identity of one face, attributes of another"),
    "mix-report": ("mix", "measure the identity mixer"),
    "attributes": ("attributes", "list the attributes that can be edited"),
    "replay": ("edit", "replay a recipe, or a picture that carries one"),
    "paint": ("paint", "change a face by painting its mask"),
    "paint-scores": ("paint_scores", "measure a MaskGAN, and without its parts"),
    "masks": ("paint", "look through a folder in CelebAMask-HQ's layout"),
    "evaluate": ("evaluate", "measure editing methods"),
    "verify": ("evaluate", "measure random rows of a report again"),
    "render": ("world", "render faceworld pictures, masks and attributes"),
    "train": ("train", "train a recipe"),
    "resume": ("train", "go on with a training run"),
    "info": ("checkpoints", "say what a generator's file holds"),
    "convert": ("checkpoints", "write a generator as safetensors, with its provenance"),
    "runs": ("runs", "list training runs, stop or hold one"),
    "bench": ("bench", "how many times faster than the plain way, on this machine"),
    "invert": ("invert", "find the latent that draws a picture"),
    "judges": ("judges", "check a judge of your own: an ONNX file and its declaration"),
    "world": ("judges", "a folder of models from your generator and judges"),
    "doctor": ("world", "check the machine, the weights and the browser side"),
}


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line: the usage is a ``--help`` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def format_help(self) -> str:
        """Return the help; an epilog that costs an import is a function, called only here."""
        epilog: Any = self.epilog
        if callable(epilog):
            self.epilog = epilog()
        return super().format_help()


def _build_parser(verb: str | None) -> argparse.ArgumentParser:
    """Return the parser, complete for the one verb that was typed."""
    from l2l_widgets import __version__

    parser = _Parser(prog="l2l", description="Measured face editing in a GAN's latent space.")
    parser.add_argument("--version", action="version", version=f"l2l_widgets {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    chosen = VERBS[verb][0] if verb in VERBS else None
    for name, (module, summary) in VERBS.items():
        if module != chosen:
            subparsers.add_parser(name, help=summary)
    if chosen is not None:
        importlib.import_module(f"l2l_widgets.cli.{chosen}").add_parser(subparsers)
        for name, (module, _) in VERBS.items():
            if module == chosen:
                # a verb may define the option itself, with words of its own
                with contextlib.suppress(argparse.ArgumentError):
                    subparsers.choices[name].add_argument(
                        "--json", action="store_true", help="print one JSON object as the last line"
                    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``l2l``; those of the process where not given.

    Returns
    -------
    int
        The exit code: 0, or 2 on bad input (of one of many faces, too), or 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    try:
        args = _build_parser(verb).parse_args(words)
    except SystemExit as end:  # --help, --version, or words that argparse refused
        return end.code if isinstance(end.code, int) else 2
    module = importlib.import_module(f"l2l_widgets.cli.{VERBS[args.verb][0]}")
    try:
        result = module.run(args)
    except (ValueError, OSError) as error:
        # some libraries' messages have several lines
        print(f"l2l {args.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"l2l {args.verb}: interrupted", file=sys.stderr)
        return 130
    if args.json and result is not None:
        print(json.dumps(result), flush=True)
    return 2 if result is not None and result.get("items_failed") else 0
