"""``l2l edit --seeds 0-99 --out DIR``: one edit on many faces, for :mod:`l2l_widgets.cli.edit`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from l2l_widgets.cli.counts import counted
from l2l_widgets.errors import first_line

if TYPE_CHECKING:
    from l2l_widgets.many.batch import BatchItem, BatchProgress
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.states import Edit

#: Seconds between two lines of progress where no terminal overwrites them.
QUIET = 10.0
#: Endings that are taken for a picture's name where a folder's is needed.
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of many faces to the verb ``edit``."""
    many = parser.add_argument_group(
        "many faces", "--out is then a folder: a picture a face, and table.csv with the receipts; "
        "what stands there from an interrupted run is not done again. A receipt draws and judges "
        "some 66 faces for each of these, which takes seconds on a CPU; --no-receipt does not"
    )  # fmt: skip
    many.add_argument(
        "--seeds", default=None, metavar="0-99", help="seeds, such as 0-99 or 3,7,20-29"
    )
    many.add_argument(
        "--latents", default=None, metavar="DIR",
        help="a folder of faces: .npy, .safetensors, or .json and .png with a recipe",
    )  # fmt: skip
    many.add_argument(
        "--recipe",
        default=None,
        metavar="FILE",
        help="take edits, truncation and noise of a recipe, instead of --set",
    )


def check_many(args: argparse.Namespace) -> None:
    """Refuse what is wrong with the options of many faces before anything is loaded."""
    from l2l_widgets.cli.checks import check_file, check_folder, check_ignored
    from l2l_widgets.many.seed_lists import parse_seeds

    check_ignored(args, "--seeds", ("--latents", "--seed"), "one of the two")
    check_ignored(args, "--latents", ["--seed"], "one of the two")
    check_ignored(
        args, "--recipe", ("--set", "--method", "--preserve", "--rows", "--space", "--truncation"),
        "one of the two; the recipe says the rest",
    )  # fmt: skip
    if args.recipe is not None:
        check_file("--recipe", args.recipe)
    if args.seeds is not None:
        parse_seeds(args.seeds, "--seeds")
    elif not Path(args.latents).exists():
        raise ValueError(f"--latents is {args.latents!r}; there is no such file or folder")
    if args.out.suffix.lower() in _PICTURES and not args.out.is_dir():
        given = "--latents" if args.seeds is None else "--seeds"
        raise ValueError(
            f"--out is {str(args.out)!r}, a picture's name; allowed with {given}: a folder's name"
        )
    check_folder(args.out)


def run_many(
    args: argparse.Namespace, models: Models, edits: tuple[Edit, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Do one edit to many faces, with progress on standard error."""
    from l2l_widgets.many.batch import TABLE, Batch, latents, parse_seeds, seeds

    if args.seeds is not None:
        items = seeds(parse_seeds(args.seeds, "--seeds"))
    else:
        items = latents(args.latents)
        if not (args.out / TABLE).exists():  # else a run goes on, and what is done is not read
            _check_readable(items)
    batch = Batch(
        models, edits, items, args.out, receipts=not args.no_receipt, compare=args.compare,
        **options,
    )  # fmt: skip
    with Ticker(sys.stderr) as ticker:
        report = batch.run(ticker)
    if not args.json:
        were = "was" if report.skipped == 1 else "were"
        skipped = f", {report.skipped} {were} there already" if report.skipped else ""
        failed = f", {len(report.failed)} failed" if report.failed else ""
        count = counted(report.total, "face")
        print(f"{report.folder}: {report.done} of {count} done{skipped}{failed}")
        if report.summary is not None:
            print(report.summary.to_text())
        what = "list" if report.summary is None else "receipts"
        print(f"pictures in {report.folder}, the {what} in {report.table}")
    if report.failed and report.done + report.skipped == 0:
        name, reason = next(iter(report.failed.items()))
        raise ValueError(f"no face could be done; {name}: {reason}")
    return report.to_dict()


def _check_readable(items: Sequence[BatchItem]) -> None:
    """Refuse files of which none holds a face, before a folder is made for them."""
    first = None
    for item in items:
        try:
            item.face()
            return
        except Exception as error:  # a batch would make it the row's reason
            first = first or first_line(error)
    which = "" if len(items) == 1 else f"none of the {len(items)} files holds a face; the first: "
    raise ValueError(f"--latents: {which}{first}")


class Ticker:
    """Progress on a stream: one line that is overwritten on a terminal, else now and then one.

    A face that failed is a line of its own in any case.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.width, self.last = stream, 0, time.monotonic()
        self.terminal = stream.isatty()

    def __call__(self, progress: BatchProgress) -> None:
        """Show how far it is."""
        if progress.error is not None:
            self._clear()
            print(f"l2l edit: {progress.item}: {progress.error}", file=self.stream)
        left = progress.seconds_left
        text = f"{progress.done} of {counted(progress.total, 'face')}"
        text += f", {progress.failed} failed" if progress.failed else ""
        text += f", {left:.0f} s left" if left else ""
        if self.terminal:
            self._clear()
            self.stream.write(text)
            self.stream.flush()
            self.width = len(text)
        elif time.monotonic() - self.last > QUIET:
            print(text, file=self.stream)
            self.last = time.monotonic()

    def _clear(self) -> None:
        if self.width:
            self.stream.write(f"\r{' ' * self.width}\r")
            self.width = 0

    def __enter__(self) -> Ticker:
        return self

    def __exit__(self, *error: object) -> None:
        self._clear()
