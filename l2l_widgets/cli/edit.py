"""``l2l sample``, ``l2l edit``, ``l2l replay``: faces, edits with a receipt, edits repeated.

The sign decides what ``--set`` means: ``age=0.8`` is a target, ``smile=+0.3`` and ``smile=-0.3``
are changes from where the face stands.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, GENERATOR_HELP, with_class
from l2l_widgets.cli.checks import (
    PSI,
    SEED_MAX,
    check_file,
    check_method,
    check_png,
    check_request,
    check_rows,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.edit_many import add_arguments, check_many, run_many
from l2l_widgets.cli.waiting import Waiting

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.receipt import Receipt
    from l2l_widgets.session.states import Edit

SAMPLES_MAX = 1024
METHOD = "mapper"
#: Pixels a side that a saved face, and one on a sheet, are enlarged to, by a whole factor.
VISIBLE, VISIBLE_ON_SHEET = 512, 192

#: Attributes on a receipt that were not asked for, and more where more left the band.
OTHERS_LISTED = 6
OUT_HELP = "file to write; a folder that is missing is made"
SET_HELP = (
    "an attribute and its value, as often as needed: NAME=0.8 is a target from 0 to 1, "
    "NAME=+0.3 or NAME=-0.3 a change from where the face stands; the names: l2l attributes"
)


def add_parser(subparsers: Any) -> None:
    """Add the three verbs."""
    sample = subparsers.add_parser("sample", help="a contact sheet of faces", description=_SAMPLE)
    sample.add_argument("-n", default="16", metavar="N", help="faces (default: 16)")
    sample.add_argument(
        "--seed", default="0", help="of the first face; the others follow on (default: 0)"
    )
    sample.add_argument("--columns", default=None, help="faces in a row (default: a square)")
    _add_face_arguments(sample, "SHEET.png", VISIBLE_ON_SHEET)

    edit = subparsers.add_parser("edit", help="edit a face, say what else moved", description=_EDIT)
    edit.add_argument("--seed", default="0", help=f"of the face, 0 to {SEED_MAX} (default: 0)")
    edit.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help=SET_HELP
    )
    edit.add_argument("--method", default=METHOD, help=f"editing method (default: {METHOD})")
    edit.add_argument(
        "--preserve", action="append", default=[], metavar="NAME",
        help="an attribute that must not move: promised by methods that can, corrected for others",
    )  # fmt: skip
    edit.add_argument(
        "--rows", default=None, metavar="ROWS",
        help="rows of W+ that may change: coarse, middle, fine, or such as 0-3,7 (default: all)",
    )  # fmt: skip
    edit.add_argument(
        "--space", default=None, metavar="w|w+|s",
        help="where the step is taken, where the method can (default: the method's own)",
    )  # fmt: skip
    edit.add_argument("--compare", action="store_true", help="write before and after side by side")
    edit.add_argument("--no-receipt", action="store_true", help="draw only; measure nothing")
    add_arguments(edit)
    _add_face_arguments(edit, "OUT.png|DIR", VISIBLE)

    replay = subparsers.add_parser("replay", help="repeat an edit exactly", description=_REPLAY)
    replay.add_argument(
        "recipe", metavar="RECIPE.json|IMAGE.png", type=Path, help="what was saved with a recipe"
    )
    replay.add_argument("--out", required=True, type=Path, metavar="OUT.png", help=OUT_HELP)
    replay.add_argument("--generator", default=None, metavar="NAME|PATH", help=GENERATOR_HELP)
    replay.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    replay.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    replay.add_argument("--json", action="store_true", help="print one JSON object at the end")


_SAMPLE = "Draw the faces of consecutive seeds on one sheet."
_EDIT = (
    "Edit the face of a seed, save it with its recipe inside, and print the receipt: what was "
    "asked, what came, and what else moved beside the band of random edits of the same size."
)
_REPLAY = (
    "Draw again what a recipe describes, to the same pixels. The recipe is JSON, or a PNG that "
    "was saved with one."
)


def _add_face_arguments(parser: argparse.ArgumentParser, out: str, visible: int) -> None:
    parser.add_argument("--out", required=True, type=Path, metavar=out, help=OUT_HELP)
    parser.add_argument(
        "--truncation", default="0.7", metavar="PSI",
        help="0 is the average face, 1 the whole variety (default: 0.7)",
    )  # fmt: skip
    parser.add_argument("--generator", default=None, metavar="NAME|PATH|URL", help=GENERATOR_HELP)
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument(
        "--scale", default=None, metavar="N",
        help="enlarge the picture N times each way, bicubic, 1 to 64 (default: the first N that "
        f"makes a face at least {visible} pixels wide)",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return {"sample": run_sample, "edit": run_edit, "replay": run_replay}[args.verb](args)


def run_sample(args: argparse.Namespace) -> dict[str, Any]:
    """Draw a contact sheet."""
    check_png(args.out)
    count = whole_number("-n", args.n, 1, SAMPLES_MAX)
    first = whole_number("--seed", args.seed, 0, SEED_MAX + 1 - count)
    columns = (
        max(1, round(count**0.5))
        if args.columns is None
        else whole_number("--columns", args.columns, 1, SAMPLES_MAX)
    )
    psi = number("--truncation", args.truncation, *PSI)
    wanted_scale = _scale(args.scale)
    models = models_of(with_class(args.generator, args.class_index), args.device)

    import torch

    from l2l_widgets.images import grid, save_image
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.storage import make_folder

    make_folder(args.out.parent)  # refuses before the drawing, not after it
    session = EditSession(models, truncation_psi=psi)
    scale = wanted_scale or _visible(session.models.generator.img_resolution, VISIBLE_ON_SHEET)
    faces = []
    for seed in range(first, first + count):
        session.set_seed(seed)
        faces.append(_drawn(session).after)
    sheet = grid(torch.stack(faces), columns=min(columns, count), gap=1)
    save_image(args.out, sheet, scale=scale)
    if not args.json:
        print(f"{args.out}: {_seeds(first, count)}")
    return {
        "out": str(args.out),
        "seeds": list(range(first, first + count)),
        "columns": min(columns, count),
        "truncation_psi": psi,
        "models": session.models.name,
        "pixels_sha256": pixels_sha256(sheet),
    }


def run_edit(args: argparse.Namespace) -> dict[str, Any]:
    """Edit one face, save it, print the receipt; or many faces, into a folder."""
    many = args.seeds is not None or args.latents is not None
    if many:
        check_many(args)
    else:
        check_png(args.out)
        if args.recipe is not None:
            raise ValueError("--recipe goes with --seeds or --latents; for one face: l2l replay")
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    changes, targets = parse_settings(args.settings)
    psi = number("--truncation", args.truncation, *PSI)
    wanted_scale = _scale(args.scale)
    models = models_of(with_class(args.generator, args.class_index), args.device)
    check_request(changes, targets, args.preserve, models.table)
    if changes or targets or args.method != METHOD:  # a lone generator draws without any
        check_method(args.method, models)
    _check_space(args.space, args.method)
    check_rows(args.rows, models)

    from l2l_widgets.checkpoints import needs
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.replay import read_recipe
    from l2l_widgets.session.scope import parse_rows
    from l2l_widgets.session.states import Edit

    rows = None if args.rows is None else parse_rows(args.rows, models.generator.num_ws)
    edit = Edit(args.method, changes, targets, tuple(args.preserve), rows, args.space)
    if many:
        scale = wanted_scale or _visible(models.generator.img_resolution, VISIBLE)
        if args.recipe is None:
            return run_many(args, models, (edit,), {"scale": scale, "truncation_psi": psi})
        taken = read_recipe(args.recipe)
        taken.check_models(models.name, models.hashes)
        # truncation and noise belong to how a recipe's face was drawn, and so to these
        options = {"truncation_psi": taken.truncation_psi, "noise_mode": taken.noise_mode}
        return run_many(args, models, taken.edits, {"scale": scale, **options})
    session = EditSession(models, seed=seed, truncation_psi=psi)
    session.update(**{name: getattr(edit, name) for name in Edit.__dataclass_fields__})
    result = _drawn(session)
    scale = wanted_scale or _visible(result.after.shape[-1], VISIBLE)
    recipe = session.save(args.out, scale=scale, compare=args.compare)
    report: dict[str, Any] = {
        "out": str(args.out),
        "seed": seed,
        "method": args.method,
        "pixels_sha256": pixels_sha256(result.after),
        "seconds": dict(result.seconds),
        "recipe": recipe,
        "receipt": None,
    }
    took = f"{result.seconds['total'] * 1000:.0f} ms to load the networks, edit and draw"
    lines = [f"{args.out}: seed {seed}, {args.method}; {took}"]
    missing = needs(models.has, models.available_editors)["receipt"]
    if missing and not args.no_receipt:
        lines.append(f"no receipt: {models.name!r} lacks {' and '.join(missing)}")
    elif not args.no_receipt:
        with Waiting("measuring", sys.stderr) as waiting:
            receipt = session.measure(waiting, waiting.begins)
        assert receipt is not None  # nothing makes it stale here
        if receipt.error is not None:
            raise ValueError(f"{args.out} is written; its receipt is not: {receipt.error}")
        report["receipt"] = receipt.to_dict()
        lines.append(receipt_text(receipt, session.models.table))
    if not args.json:
        print("\n".join(lines))
    return report


def run_replay(args: argparse.Namespace) -> dict[str, Any]:
    """Draw what a recipe describes."""
    check_png(args.out)
    check_file("RECIPE", args.recipe)
    if args.generator is not None:
        models_of(with_class(args.generator, args.class_index), args.device)

    from l2l_widgets.models.zoo import list_models, load
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.replay import read_recipe

    recipe = read_recipe(args.recipe)
    # Only a name that is embedded here is followed: a recipe must not choose a path.
    named = recipe.name if recipe.name in list_models() else None
    chosen = args.generator if args.generator is not None else named
    models = load(with_class(chosen, args.class_index), device=args.device)
    session = EditSession.from_recipe(models, recipe)
    result = _drawn(session)
    picture = recipe.picture or {
        "scale": _visible(result.after.shape[-1], VISIBLE),
        "compare": False,
    }
    written = session.save(args.out, scale=picture["scale"], compare=picture["compare"])
    if not args.json:
        print(f"{args.out}: replayed on {models.name}: {edits_text(recipe.edits)}")
    return {
        "out": str(args.out),
        "models": models.name,
        "pixels_sha256": pixels_sha256(result.after),
        "seconds": dict(result.seconds),
        "recipe": written,
    }


def edits_text(edits: Iterable[Edit]) -> str:
    """What edits ask for, change by change, as ``--set`` takes it: "smile=+0.4, age=0.6 by mapper".

    Parameters
    ----------
    edits : iterable of Edit
        One after the other; those that ask for nothing are left out.
    """
    steps = []
    for edit in (edit for edit in edits if not edit.empty):
        asked = [f"{name}={value:+.3g}" for name, value in edit.changes.items()]
        asked += [f"{name}={value:.3g}" for name, value in edit.targets.items()]
        text = f"{', '.join(asked)} by {edit.method}"
        if edit.preserve:
            text += f", preserving {', '.join(edit.preserve)}"
        if edit.rows is not None:
            text += f", in rows {','.join(map(str, sorted(edit.rows)))}"
        if edit.space is not None:
            text += f", in {edit.space.upper()}"
        steps.append(text)
    return "; then ".join(steps) or "the face as it is, for nothing is asked for"


def receipt_text(receipt: Receipt, table: AttributeTable) -> str:
    """The receipt for a terminal, with every attribute that moved beyond the band."""
    listed = max(OTHERS_LISTED, len(receipt.outside_band()))
    rest = len(receipt.others) - listed
    return "\n".join(
        # all that left the band are listed, so there is one thing to say of the rest
        f"the other {rest if rest > 1 else 'one'} stayed within the band of random edits"
        + line.partition("random edits")[2]
        if line.startswith(f"and {rest} other")
        else line
        for line in receipt.to_text(table, others=listed).splitlines()
    )


def parse_settings(settings: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Read ``NAME=VALUE`` words.

    Parameters
    ----------
    settings : iterable of str
        A value with a sign is a change, one without is a target.

    Returns
    -------
    changes, targets : dict of str to float
        Ranges and names are checked later, against the models' table.

    Raises
    ------
    ValueError
        A word without ``=``, a value that is no number, a name that is set twice.
    """
    changes: dict[str, float] = {}
    targets: dict[str, float] = {}
    for setting in settings:
        name, sign, value = (part.strip() for part in setting.partition("="))
        if not name or not sign or not value:
            raise ValueError(
                f"--set is {setting!r}; allowed: NAME=0.8 (a target), NAME=+0.3 or NAME=-0.3 "
                "(a change)"
            )
        if name in changes or name in targets:
            raise ValueError(f"--set gives {name!r} twice; allowed: once")
        is_change = value[0] in "+-"
        try:
            # what lies outside is refused later: the table knows what may have been meant
            found = number(f"--set {name}", value)
        except ValueError as error:
            allowed = "from -1 to 1 (a change)" if is_change else "from 0 to 1 (a target)"
            raise ValueError(f"{error} {allowed}") from None
        (changes if is_change else targets)[name] = found
    return changes, targets


def pixels_sha256(image: Tensor) -> str:
    """SHA-256 of a picture's 8-bit pixels, (3, R, R) in that order, before any enlargement."""
    from l2l_widgets.images import to_uint8

    return hashlib.sha256(to_uint8(image).contiguous().cpu().numpy().tobytes()).hexdigest()


def _drawn(session: EditSession) -> Any:
    """The session's picture; its error becomes this command's."""
    result = session.render()
    if result.error is not None:
        raise ValueError(result.error)
    return result


def _check_space(space: str | None, method: str) -> None:
    """Refuse a space that no method steps in, and S for another than the one that knows it."""
    if space is None:
        return
    allowed = {"stylespace": ("s",)}.get(method, ("w", "w+"))
    if space not in ("w", "w+", "s") or (space == "s") != ("s" in allowed):
        raise ValueError(
            f"--space is {space!r}; allowed with --method {method}: {', '.join(allowed)}"
        )


def _seeds(first: int, count: int) -> str:
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}, row by row"


def _scale(text: str | None) -> int | None:
    return None if text is None else whole_number("--scale", text, 1, 64)


def _visible(resolution: int, pixels: int) -> int:
    """The smallest whole factor that makes a face at least ``pixels`` wide."""
    return min(64, -(-pixels // resolution))
