"""``l2l invert``: from a photo of a face to the latent that draws it."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, with_class
from l2l_widgets.cli.checks import (
    SEED_MAX,
    check_file,
    check_folder,
    check_ignored,
    models_of,
    whole_number,
)
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.judge_checks import check_detector, check_judge
from l2l_widgets.consent import CONSENT, LIKENESS

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

STEPS_MAX = 100_000
EVALUATED_MAX = 10_000
VISIBLE = 256  # pixels; what is smaller is enlarged
#: Renders that nothing was trained on: no rendered set has this seed.
UNSEEN_SEED = 7_000
#: What a measurement that was stopped goes on from.
FACES_FILE = "faces.json"


def add_parser(subparsers: Any) -> None:
    """Add the verb ``invert``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "invert",
        help="find the latent that draws a photo",
        description="Find the face in a photo, align it as the generator has its faces, and find "
        "the latent that comes closest, to edit it like any other. Ctrl-C keeps the best so far. "
        "The embedded generator draws portraits of its own world: a photograph becomes its "
        "likeness there, not itself.",
        epilog=CONSENT,
    )
    parser.add_argument(
        "picture", type=Path, nargs="?", metavar="PHOTO", help="a photo with a face in it"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--face", default=None, metavar="N", help="which face, from 1, where there are several"
    )
    parser.add_argument(
        "--aligned", action="store_true",
        help="the photo is cut like the generator's faces: its middle square is used",
    )  # fmt: skip
    parser.add_argument(
        "--crop", default=None, metavar="X,Y,SIDE", help="a square by hand, pixels of the photo"
    )
    parser.add_argument(
        "--detector", default=None, metavar="NAME",
        help="what finds faces: cascade, yunet=FILE.onnx, the declaration of a network of your own "
        "(kind = \"detector\") or none (default: cascade where OpenCV is installed)",
    )  # fmt: skip
    parser.add_argument(
        "--landmarks", default=None, metavar="DECLARATION",
        help="a landmark network of your own, by its declaration (kind = \"landmarks\")",
    )  # fmt: skip
    add_distance(parser)
    parser.add_argument(
        "--encoder-only", action="store_true", help="the encoder's answer at once, no descent"
    )
    parser.add_argument(
        "--space", default=None, choices=("w", "w+"),
        help="w edits best, w+ draws best (default: w+; with --evaluate both)",
    )  # fmt: skip
    parser.add_argument("--steps", default="150", metavar="N", help="of descent (default: 150)")
    parser.add_argument(
        "--seed", default="0", metavar="S", help="of the start and the noise (default: 0)"
    )
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH", help="models (default: the embedded ones)"
    )
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument(
        "--evaluate", default=None, metavar="N",
        help="instead of a photo: measure on N rendered faces that nothing was trained on, stage "
        "by stage; with --out DIR the same command goes on where it was stopped",
    )  # fmt: skip


def add_distance(parser: argparse.ArgumentParser) -> None:
    """Add ``--distance``, which every verb that inverts has."""
    parser.add_argument(
        "--distance", default=None, metavar="NAME",
        help="what beside the pixels is compared: readers, what the regressors of the losses see "
        "(default); lpips or lpips-alex, with l2l-widgets[lpips]: better for photographs",
    )  # fmt: skip


def check_distance(name: str | None) -> None:
    """Refuse a ``--distance`` that there is not, before torch is imported."""
    if name not in (None, "readers", "lpips", "lpips-alex"):
        raise ValueError(f"--distance is {name!r}; allowed: readers, lpips, lpips-alex")
    if name not in (None, "readers") and importlib.util.find_spec("lpips") is None:
        raise ValueError(
            f"--distance is {name!r}, which needs the package lpips: "
            "pip install 'l2l-widgets[lpips]'; allowed without it: readers"
        )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Invert one photo, or measure inversion.

    Raises
    ------
    ValueError
        A setting out of range, a photo that cannot be read, without a face or with several.
    """
    steps = whole_number("--steps", args.steps, 0, STEPS_MAX)
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    face = None if args.face is None else whole_number("--face", args.face, 1, 1000)
    crop = None if args.crop is None else square_of(args.crop)
    check_ignored(
        args, "--evaluate",
        ("PHOTO", "--encoder-only", "--face", "--aligned", "--crop", "--detector", "--landmarks"),
        "--evaluate, which measures the encoder alone and the descent on renders; or a PHOTO",
    )  # fmt: skip
    check_ignored(args, "--encoder-only", ["--steps", "--distance"],
                  "one of them: the encoder takes no steps")  # fmt: skip
    check_cut(args)
    check_distance(args.distance)
    if args.evaluate is not None:
        count = whole_number("--evaluate", args.evaluate, 1, EVALUATED_MAX)
        return _evaluate(args, count, steps, seed)
    if args.picture is None or args.out is None:
        missing = "PHOTO" if args.picture is None else "--out"
        raise ValueError(f"{missing} is missing; allowed: PHOTO --out DIR, or --evaluate N")
    check_file("PHOTO", args.picture)
    check_folder(args.out)
    check_judge("--landmarks", args.landmarks, "landmarks")
    models = models_of(with_class(args.generator, args.class_index))

    from tqdm import tqdm

    from l2l_widgets.images import save_image
    from l2l_widgets.inversion import InversionSettings, check_picture
    from l2l_widgets.models.zoo import list_models
    from l2l_widgets.photos import align_photo, find_detector, invert_picture, read_photo
    from l2l_widgets.photos.distances import find_distance
    from l2l_widgets.photos.inverting import load_encoder, read_back
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.storage import make_folder, write_atomic

    photo = read_photo(args.picture)
    aligned = align_photo(
        photo, models, find_detector(args.detector), landmarks=landmarks_of(args.landmarks),
        face=face, aligned=args.aligned, crop=crop,
    )  # fmt: skip
    if args.encoder_only:
        if load_encoder(models) is None:
            raise ValueError(
                f"--encoder-only: models {models.name!r} have no encoder; allowed: the same "
                "without it, from sampled faces, or a folder of models with one (l2l train encoder "
                "--weights FOLDER --publish)"
            )
        steps = 0
    settings = InversionSettings(space=args.space or "w+", steps=steps, seed=seed)
    picture = aligned.image
    distance = find_distance(args.distance, models)
    check_picture(picture, models.generator.img_resolution)
    make_folder(args.out)  # refuses before a minute of work, not after it
    with tqdm(total=steps, unit="step", disable=None) as bar:

        def progress(made: int, loss: float, image: Any) -> None:
            bar.update(made - bar.n)
            bar.set_postfix(loss=f"{loss:.3f}")

        with interruptible() as asked:
            found = invert_picture(
                models, picture, settings, distance=distance, progress=progress, stop=asked
            )
    session = EditSession(models, truncation_psi=1.0)
    session.set_latent(found.ws)
    scale = -(-VISIBLE // models.generator.img_resolution)
    session.save(args.out / "inverted.png", scale=scale)
    session.close()
    save_image(args.out / "picture.png", picture[0], scale=scale)
    answer: dict[str, Any] = {
        "picture": str(args.picture), "out": str(args.out), "stopped": found.stopped,
        "aligned": aligned.how, "quad": [[round(v, 1) for v in p] for p in aligned.quad],
        "faces": [f.to_text() for f in aligned.faces], "face": aligned.chosen,
        "notes": list(aligned.notes),
        "likeness": LIKENESS if models.name in list_models() else "",
        "start": "encoder" if load_encoder(models) is not None else "sampled faces",
        "steps": found.steps, "loss": round(found.loss, 4),
        "start_loss": round(found.start_loss, 4),
        "cloud_distance": round(found.cloud_distance, 3), "editability": found.editability,
        "rows_apart": round(found.rows_apart, 3), "seconds": round(found.seconds, 2),
        "distance": args.distance or "readers",
        "settings": dataclasses.asdict(settings), **read_back(models, picture, found.image),
    }  # fmt: skip
    write_atomic(args.out / "inversion.json", (json.dumps(answer, indent=1) + "\n").encode())
    if not args.json:
        _print(answer, args.out / "inverted.png", next_command(args, models))
    return answer


def next_command(args: argparse.Namespace, models: Models) -> str:
    """What to type to edit what was found, with an attribute that this world's editor changes."""
    generator = "" if args.generator is None else f" --generator {args.generator}"
    editors = models.available_editors
    if not editors:
        return "to edit it, these models need an editor: l2l train mapper --help"
    changed = models.editor(editors[0]).attributes
    name = "smile" if "smile" in changed else changed[0]
    made = args.out / "inverted.png"
    return f"edit it with: l2l edit --latents {made}{generator} --set {name}=+0.3 --out edited"


def _print(answer: dict[str, Any], made: Path, then: str) -> None:
    several = f" (face {answer['face']} of {len(answer['faces'])})" if answer["faces"] else ""
    print(f"{answer['aligned']}{several}")
    for note in answer["notes"]:
        print(f"note: {note}")
    print(f"wrote {made}: it carries its latent, and replays like an edit")
    print(then)
    if answer["steps"]:
        took = f"{counted(answer['steps'], 'step')} from {answer['start']}"
        print(
            f"difference {answer['start_loss']:.3f} -> {answer['loss']:.3f} (0: the same picture) "
            f"in {took}, {answer['seconds']:.1f} s"
        )
    else:
        print(
            f"difference {answer['loss']:.3f} (0: the same picture), by the first look alone "
            f"({answer['start']})"
        )
    if "identity" in answer and "attributes" in answer:
        largest = answer["largest"]
        print(
            f"identity {answer['identity']:.2f} (1: the same face), attributes off by "
            f"{answer['attributes']:.3f} of their scale on average, most in {largest['name']} "
            f"({largest['difference']:.2f})"
        )
        if answer["partial"]:
            print("note: read by networks that the search itself compared: expect less")
    print(
        f"distance to the cloud of W {answer['cloud_distance']:.2f} (a sampled face: about 1): "
        f"{answer['editability']}"
    )
    if answer["likeness"]:
        print(answer["likeness"])
    print(CONSENT)


def check_cut(args: argparse.Namespace) -> None:
    """Refuse two ways to cut the face out, and a detector that is none."""
    found = ("--face", "--detector", "--landmarks")  # of a face that is looked for
    check_ignored(args, "--aligned", ("--crop", *found), "one of them")
    check_ignored(args, "--crop", found, "one of them")
    check_detector(args.detector)


def square_of(text: str) -> tuple[float, float, float]:
    """``X,Y,SIDE`` as numbers."""
    try:
        x, y, side = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--crop is {text!r}; allowed: X,Y,SIDE, left, top and side of a square in pixels"
        ) from None
    return x, y, side


def landmarks_of(declaration: str | None) -> Any:
    """A landmark network of the user's own; None where none is named."""
    if declaration is None:
        return None
    from l2l_widgets.judges import load_judge

    return load_judge(declaration)


def _evaluate(args: argparse.Namespace, count: int, steps: int, seed: int) -> dict[str, Any]:
    """Measure on renders, by the second judges."""
    from tqdm import tqdm

    from l2l_widgets.faceworld import render, sample_factors
    from l2l_widgets.images import from_uint8, to_uint8
    from l2l_widgets.inversion import InversionSettings
    from l2l_widgets.photos.distances import find_distance
    from l2l_widgets.photos.measuring import measure_inversion
    from l2l_widgets.storage import make_folder, write_atomic

    if args.out is not None:
        check_folder(args.out)
    models = models_of(with_class(args.generator, args.class_index))
    if args.out is not None:
        make_folder(args.out)
    settings = InversionSettings(steps=steps, seed=seed)
    side = models.generator.img_resolution

    def picture_of(number: int) -> Any:
        drawn = render(sample_factors(1, UNSEEN_SEED + seed, start=number), side)
        return from_uint8(to_uint8(drawn.image))  # as a picture file has them: 256 values

    named = f"{UNSEEN_SEED + seed}, {side} px" + (f", {args.distance}" if args.distance else "")
    with tqdm(unit="stage", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        found = measure_inversion(
            models, picture_of, count, settings,
            spaces=(args.space,) if args.space else ("w", "w+"),
            distance=find_distance(args.distance, models), named=named,
            kept=None if args.out is None else args.out / FACES_FILE, progress=progress,
        )  # fmt: skip
    found = {
        "faces": f"renders of seed {UNSEEN_SEED + seed}, which nothing was trained on",
        "distance": args.distance or "readers",
        **found,
    }
    if args.out is not None:
        write_atomic(args.out / "inversions.json", (json.dumps(found, indent=1) + "\n").encode())
    if not args.json:
        _print_measured(found)
    return found


def _print_measured(found: dict[str, Any]) -> None:
    judges = ", ".join(f"{part} {digest[:8]}" for part, digest in found["judges"].items())
    print(
        f"n = {found['n']} {found['faces']}; {found['settings']['steps']} steps, seed "
        f"{found['seed']}, {found['threads']} threads"
    )
    print(f"by {judges}; mean [95 % interval over faces]; quartiles in brackets")
    for way, row in found["ways"].items():
        error, identity, seconds = row["attribute_error"], row["identity"], row["seconds"]
        worst = row["worst_attribute"]
        print(f"{way if way != 'encoder' else 'encoder alone'}:")
        print(
            f"  attributes off by {_words(error)}; at most 0.1 in {row['attributes_within']:.0%} "
            f"of the faces; most in {worst['name']} ({worst['error']:.2f})"
        )
        print(f"  identity {_words(identity)}; at least 0.8 in {row['identity_reached']:.0%}")
        print(
            f"  {_words(seconds, 2)} s a face, {row['processor_seconds']['mean']:.2f} s of the "
            f"processor; at most 20 s in {row['seconds_reached']:.0%}; distance to the cloud "
            f"{row['cloud_distance']:.2f}"
        )


def _words(row: dict[str, Any], digits: int = 3) -> str:
    quartiles = " / ".join(f"{v:.{digits}f}" for v in row["quartiles"])
    mean, low, high = (f"{row[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}] ({quartiles})"


class interruptible:  # noqa: N801 - reads as a statement
    """While open, Ctrl-C asks for a stop instead of raising; a second one raises."""

    def __enter__(self) -> Any:
        import signal
        import threading

        self.asked = False
        self.before: Any = None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._ask)
        return lambda: self.asked

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error: object) -> None:
        import signal

        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
