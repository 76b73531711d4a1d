"""``l2l invert``: from a picture of a face to the latent that draws it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checks import SEED_MAX, check_file, check_folder, models_of, whole_number

STEPS_MAX = 100_000
VISIBLE = 256  # pixels; what is smaller is enlarged
CONSENT = (
    "A picture of a person stays on this machine. Ask before you edit somebody else's face, and "
    "remember that attribute judges were taught by pictures: they err more on faces unlike those."
)


def add_parser(subparsers: Any) -> None:
    """Add the verb ``invert``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "invert",
        help="find the latent that draws a picture",
        description="Find the latent whose face comes closest to a picture, to edit it like any "
        "other. Ctrl-C keeps the best so far. The embedded generator draws portraits of its own "
        "world: a photograph becomes its likeness there, not itself.",
        epilog=CONSENT,
    )
    parser.add_argument(
        "picture", type=Path, metavar="PHOTO", help="a face, upright; its middle square is used"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--space", default="w+", choices=("w", "w+"),
        help="w edits best, w+ draws best (default: w+)",
    )  # fmt: skip
    parser.add_argument("--steps", default="150", metavar="N", help="of descent (default: 150)")
    parser.add_argument("--seed", default="0", metavar="S", help="of the start and the noise")
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH", help="models (default: the embedded ones)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Invert one picture.

    Raises
    ------
    ValueError
        A setting out of range, a picture that cannot be read or is no face's.
    """
    steps = whole_number("--steps", args.steps, 0, STEPS_MAX)
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    check_file("PHOTO", args.picture)
    check_folder(args.out)
    models = models_of(args.generator)

    from tqdm import tqdm

    from l2l_widgets.images import load_image, save_image
    from l2l_widgets.inversion import (
        InversionSettings,
        check_picture,
        invert,
        perceptual_distance,
    )
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.storage import make_folder, write_atomic

    picture = load_image(args.picture, models.generator.img_resolution)
    settings = InversionSettings(space=args.space, steps=steps, seed=seed)
    distance = perceptual_distance(models.regressors) if models.has("regressor") else None
    check_picture(picture, models.generator.img_resolution)
    make_folder(args.out)  # refuses before a minute of work, not after it
    stopped = False
    with tqdm(total=steps, unit="step", disable=None) as bar:

        def progress(made: int, loss: float, image: Any) -> None:
            bar.update(made - bar.n)
            bar.set_postfix(loss=f"{loss:.3f}")

        with _interruptible() as asked:
            found = invert(
                models.generator, picture, distance, settings, progress=progress, stop=asked
            )
        stopped = found.stopped
    session = EditSession(models, truncation_psi=1.0)
    session.set_latent(found.ws)
    scale = -(-VISIBLE // models.generator.img_resolution)
    session.save(args.out / "inverted.png", scale=scale)
    session.close()
    save_image(args.out / "picture.png", picture[0], scale=scale)
    answer: dict[str, Any] = {
        "picture": str(args.picture), "out": str(args.out), "stopped": stopped,
        "steps": found.steps, "loss": round(found.loss, 4),
        "start_loss": round(found.start_loss, 4),
        "cloud_distance": round(found.cloud_distance, 3), "editability": found.editability,
        "rows_apart": round(found.rows_apart, 3), "seconds": round(found.seconds, 2),
        "settings": dataclasses.asdict(settings), **_read(models, picture, found.image),
    }  # fmt: skip
    write_atomic(args.out / "inversion.json", (json.dumps(answer, indent=1) + "\n").encode())
    if not args.json:
        made = args.out / "inverted.png"
        print(f"wrote {made}: it carries its latent, and replays like an edit")
        print(f"edit it with: l2l edit --latents {made} --set smile=+0.3 --out edited")
        print(f"difference {found.start_loss:.3f} -> {found.loss:.3f} in {found.steps} steps")
        if "identity" in answer and "attributes" in answer:
            print(
                f"identity {answer['identity']:.2f}, attributes off by {answer['attributes']:.3f}"
            )
        print(f"distance to the cloud {found.cloud_distance:.2f}: {found.editability}")
        print(CONSENT)
    return answer


def _read(models: Any, picture: Any, image: Any) -> dict[str, float]:
    """What the judges say of both pictures, as far as there are judges."""
    import torch

    answer: dict[str, float] = {}
    with torch.inference_mode():
        for part in ("identity_judge", "embedder"):
            if models.has(part) and "identity" not in answer:
                judge = models.part(part)
                answer["identity"] = round(float((judge(picture) * judge(image)).sum()), 4)
        for part in ("attribute_judge", "regressor"):
            if models.has(part) and "attributes" not in answer:
                judge = models.part(part)
                answer["attributes"] = round(float((judge(picture) - judge(image)).abs().mean()), 4)
    return answer


class _interruptible:  # noqa: N801 - reads as a statement
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
