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
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from l2l_widgets.cli.checks import given_options, in_options
from l2l_widgets.errors import suggestion

#: Verb -> its module here, and one line for ``l2l --help``.
VERBS = {
    "lab": ("lab", "open JupyterLab on the notebooks"),
    "sample": ("edit", "draw a contact sheet of faces"),
    "edit": ("edit", "edit a face and say what else moved"),
    "interpolate": ("interpolate", "walk between two faces: strip, GIF or film, with curves"),
    "mix": ("mix", "the person of one face, pose and expression of another"),
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
    "film": ("film", "edit the face in a clip"),
    "judges": ("judges", "check a judge of your own: an ONNX file and its declaration"),
    "world": ("judges", "a folder of models from your generator and judges"),
    "direction": ("direction", "walk along a direction that others have published"),
    "doctor": ("world", "check the machine, the weights and the browser side"),
}


#: Verb -> one line that does something, the last of its ``--help``.
EXAMPLES = {
    "lab": "l2l lab student_3",
    "sample": "l2l sample -n 12 --seed 1 --out sheet.png",
    "edit": "l2l edit --seed 2 --set smile=+0.3 --set age=0.6 --compare --out out.png",
    "interpolate": "l2l interpolate --from-seed 1 --to-seed 15 --frames 9 --out strip.png",
    "mix": "l2l mix --identity 16 --attributes 6 --out mixed.png --inputs",
    "mix-report": "l2l mix-report --pairs 100 --no-truth --out mix_report",
    "attributes": "l2l attributes",
    "replay": "l2l replay out.png --out again.png",
    "paint": "l2l paint --image face.png --mask drawn.png --out painted.png",
    "paint-scores": "l2l paint-scores --faces 200 --out paint_report",
    "masks": "l2l masks portraits",
    "evaluate": "l2l evaluate --methods mapper,ganspace --faces 20 --parts request --out report",
    "verify": "l2l verify report --rows 4",
    "render": "l2l render 20 --size 256 --out portraits",
    "train": "l2l train interfacegan --dry-run",
    "resume": "l2l resume runs/interfacegan",
    "info": "l2l info faceworld-128",
    "convert": "l2l convert ffhq.pkl ffhq.safetensors",
    "runs": "l2l runs",
    "bench": "l2l bench mapper --rounds 3",
    "invert": "l2l invert photo.jpg --out found",
    "film": "l2l film clip.mp4 --recipe out.png --out older.mp4",
    "direction": "l2l direction age.npy --space w --out strip.png",
    "judges": "l2l judges",
    "world": "l2l world mine --generator ffhq.pkl --judge celeba_40=attributes.onnx",
    "doctor": "l2l doctor",
}


PACKAGE = Path(__file__).resolve().parents[1]
#: Exit code where nobody reads the output: what a shell says of a program that SIGPIPE ended.
BROKEN_PIPE = 128 + 13


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line with what may have been meant; usage: ``--help``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # "--crop -50,0,300": several numbers, too, may begin with a minus
        self._negative_number_matcher = re.compile(r"-[\d.][\d.,:e+-]*$")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an option that does not exist is refused by its verb, which knows the others."""
        found, rest = self.parse_known_args(args, namespace)
        own = _parser_of(self, getattr(found, "verb", None))
        if own is not None:
            found.given = given_options(found, own)
        if rest:
            (own or self).refuse(rest[0])
        return found

    def refuse(self, word: str) -> NoReturn:
        """End with what is said of a word that nothing here takes."""
        if not word.startswith("-"):
            self.error(f"{word!r} is one word too many")
        option, options = word.partition("=")[0], list(self._option_string_actions)
        longer = [name for name in options if name.startswith(option) and option != "--"]
        meant = suggestion(option, longer or options, "options")
        self.error(f"there is no option {option!r}; {meant}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            field = "/".join(action.option_strings) or action.metavar or action.dest
            meant, every = suggestion(value, action.choices), ", ".join(action.choices)
            also = f" (allowed: {every})" if meant.startswith("did") else ""
            raise argparse.ArgumentError(None, f"{field} is {value!r}; {meant}{also}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def format_help(self) -> str:
        """Return the help; an epilog that costs an import is a function, called only here."""
        epilog: Any = self.epilog
        if callable(epilog):
            self.epilog = epilog()
        example = EXAMPLES.get(self.prog.removeprefix("l2l "))
        return super().format_help() + (f"\nExample: {example}\n" if example else "")


def _parser_of(parser: argparse.ArgumentParser, verb: str | None) -> _Parser | None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and verb in action.choices:
            return action.choices[verb]
    return None


def _build_parser(verb: str | None) -> argparse.ArgumentParser:
    """Return the parser, complete for the one verb that was typed."""
    from l2l_widgets import __version__

    parser = _Parser(
        prog="l2l",
        description="Measured face editing in a GAN's latent space.",
        epilog="Begin with: l2l edit --seed 7 --set smile=+0.4 --out out.png; the names that --set "
        "takes: l2l attributes; all of a verb: l2l VERB --help.",
    )
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
        The exit code: 0, or 2 on bad input (of one of many faces, too), or 130 after Ctrl-C, or
        141 where nobody reads the output any more, as after ``| head``.
    """
    try:
        code = _main(argv)
        sys.stdout.flush()  # here, and not at the end of the interpreter, which would complain
    except BrokenPipeError:
        # what is left in the buffers goes nowhere, or the interpreter would try once more
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a stream without a file
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return BROKEN_PIPE
    return code


@contextlib.contextmanager
def _warnings_as_lines(verb: str) -> Iterator[None]:
    """Print what this package warns of as one line for people, without a line of its source."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, filename: Any, *rest: Any, **more: Any) -> None:
            if category is UserWarning and Path(filename).is_relative_to(PACKAGE):
                print(f"l2l {verb}: {message}", file=sys.stderr)
            else:
                usual(message, category, filename, *rest, **more)

        warnings.showwarning = show
        yield


def _main(argv: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # a console of a few hundred signs shows "?" for the others, and the work is not lost
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    before = words if verb is None else words[: words.index(verb)]
    if verb is not None and verb not in VERBS and not before:
        meant = suggestion(verb, VERBS, "there are")
        print(f"l2l: there is no verb {verb!r}; {meant} (see l2l --help)", file=sys.stderr)
        return 2
    parser = _build_parser(verb)
    try:
        args = parser.parse_args(words)
    except SystemExit as end:  # --help, --version, or words that argparse refused
        return end.code if isinstance(end.code, int) else 2
    args.words = words  # for reports, which say how they were made
    module = importlib.import_module(f"l2l_widgets.cli.{VERBS[args.verb][0]}")
    try:
        with _warnings_as_lines(args.verb):
            result = module.run(args)
    except BrokenPipeError:
        raise  # nobody reads what was printed; no bad input
    except (ValueError, OSError) as error:
        # some libraries' messages have several lines
        message = " ".join(str(error).split())
        own = _parser_of(parser, args.verb)
        print(f"l2l {args.verb}: {in_options(message, own or parser)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"l2l {args.verb}: interrupted", file=sys.stderr)
        return 130
    if args.json and result is not None:
        print(json.dumps(result), flush=True)
    return 2 if result is not None and result.get("items_failed") else 0
