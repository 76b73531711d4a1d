"""``l2l mix``: one face's person with another's attributes; ``l2l mix-report``: how well."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.checkpoints import CLASS_HELP, with_class
from l2l_widgets.cli.checks import (
    PSI,
    SEED_MAX,
    check_folder,
    check_ignored,
    check_needed,
    check_place,
    models_of,
    number,
    whole_number,
)
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.mix_text import closeness_lines, report_lines
from l2l_widgets.films import ANIMATIONS, CLIPS, Film, FilmWriter, check_film_name

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.disentangle import Face, FaceMixer, Signature
    from l2l_widgets.disentangle.closeness import Closeness
    from l2l_widgets.models.zoo import Models

#: The mixer's file, as `l2l_widgets.disentangle` has it.
MIXER = "identity_mixer.safetensors"
_FACE = "a seed, a picture, a latent (.npy, .safetensors), or a folder of pictures"
_MIX = (
    "Put the person of one face on the pose and expression of another (Nitzan et al. 2020). Which "
    "factor really follows which input (hair, say, or light, which may follow neither) is measured "
    "by `l2l mix-report`; the model card has its table. Faces are seeds, pictures or latents. "
    "Several on both sides make pairs, or all pairs with --grid. --travel draws the way from one "
    "face's identity (or attributes) to another's. Where --attributes is a clip, or --frames says "
    "so, every frame gets the identity."
)
_REPORT = (
    "Measure the identity mixer by judges that trained nothing and, in faceworld, against the "
    "truth: which factor followed which input. With --ablations, train it with each loss left out "
    "and compare. A report that was stopped goes on in the same folder. Without "
    "ablations it draws --pairs mixes of faces and --truth-pairs of renders, some minutes' work."
)


def add_parser(subparsers: Any) -> None:
    """Add the two verbs."""
    mix = subparsers.add_parser("mix", help="one face as another holds itself", description=_MIX)
    mix.add_argument(
        "--identity", required=True, nargs="+", metavar="A", help=f"the person: {_FACE}"
    )
    mix.add_argument(
        "--attributes", required=True, nargs="+", metavar="B",
        help=f"whose pose and expression: {_FACE}; or a clip (.gif, .mp4, ...)",
    )  # fmt: skip
    mix.add_argument(
        "--out", required=True, type=Path, metavar="C",
        help="a .png; for frames a folder, or a .gif or .mp4",
    )  # fmt: skip
    mix.add_argument("--grid", action="store_true", help="every identity with every attribute face")
    mix.add_argument(
        "--travel", choices=("identity", "attributes"),
        help="go from A's identity to B's with A's attributes held, or the other way round",
    )  # fmt: skip
    mix.add_argument(
        "--space", choices=("w", "z"), default="w", help="where --travel goes (default: w)"
    )
    mix.add_argument("--steps", default="9", metavar="N", help="pictures of --travel (default: 9)")
    mix.add_argument("--frames", action="store_true", help="B is a folder of frames, in order")
    mix.add_argument("--fps", default="12", help="frames a second of a .gif or .mp4 (default: 12)")
    mix.add_argument("--inputs", action="store_true", help="draw the inputs beside the mixes")
    mix.add_argument(
        "--any-picture", action="store_true", help="do not look for exactly one face in a picture"
    )
    mix.add_argument("--truncation", default="0.7", metavar="PSI", help="of seeds (default: 0.7)")
    mix.add_argument(
        "--latents", type=Path, metavar="W.safetensors",
        help="write the mixes' latents too, as tensor w (N, num_ws, w_dim)",
    )  # fmt: skip
    mix.add_argument("--scale", default=None, metavar="N", help="enlarge the pictures N times")
    _add_models(mix)

    report = subparsers.add_parser("mix-report", help="how well the mixer keeps a person",
                                   description=_REPORT)  # fmt: skip
    report.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    report.add_argument("--pairs", default="1000", metavar="N", help="pairs (default: 1000)")
    report.add_argument("--seed", default="0", help="chooses the pairs (default: 0)")
    report.add_argument(
        "--truncation", default="0.7", metavar="PSI", help="of the faces (default: 0.7)"
    )
    report.add_argument(
        "--no-truth", action="store_true",
        help="leave out the renders with known factors (their sets are rendered where missing)",
    )  # fmt: skip
    report.add_argument(
        "--truth-pairs", default="1000", metavar="N", help="of renders (default: 1000)"
    )
    report.add_argument(
        "--ablations", action="store_true",
        help="train the mixer whole and with each of four losses left out, and compare: five "
        "trainings of --steps each, hours on a CPU; may be added to a report",
    )  # fmt: skip
    report.add_argument(
        "--steps", default="6000", metavar="N", help="of each ablation's training (default: 6000)"
    )
    _add_models(report)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--generator", default=None, metavar="NAME|PATH",
        help="embedded models by name, or a folder with a MANIFEST.json (default: the first)",
    )  # fmt: skip
    parser.add_argument("--class", default=None, metavar="N", dest="class_index", help=CLASS_HELP)
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return run_report(args) if args.verb == "mix-report" else run_mix(args)


def run_mix(args: argparse.Namespace) -> dict[str, Any]:
    """Mix, and write what came."""
    steps = whole_number("--steps", args.steps, 2, 1024)
    fps = whole_number("--fps", args.fps, 1, 120)
    scale = None if args.scale is None else whole_number("--scale", args.scale, 1, 64)
    psi = number("--truncation", args.truncation, *PSI)
    frames = args.frames or (
        len(args.attributes) == 1
        and Path(args.attributes[0]).suffix.lower() in (*ANIMATIONS, *CLIPS)
    )
    _check_out(args, frames)
    for word in args.identity:
        _check_face("--identity", word)
    for word in args.attributes:
        _check_face("--attributes", word)
    if frames and len(args.attributes) == 1 and not Path(args.attributes[0]).is_dir():
        Film(args.attributes[0])  # a clip that cannot be read is refused by its head
    models = _models(args)
    try:
        return _mix(args, models, frames, psi, (steps, fps, scale))
    except ValueError as error:
        raise ValueError(_with_way_out([str(error)])[0]) from None


def _mix(
    args: argparse.Namespace, models: Models, frames: bool, psi: float,
    numbers: tuple[int, int, int | None],
) -> dict[str, Any]:  # fmt: skip
    """Read the faces, mix, say what was left out."""
    from l2l_widgets.disentangle import FaceMixer, read_faces
    from l2l_widgets.disentangle.problems import in_short
    from l2l_widgets.disentangle.sources import face_counter

    steps, fps, scale = numbers
    mixer = FaceMixer.of(models)
    scale = scale or max(1, -(-256 // mixer.generator.img_resolution))
    counter = None if args.any_picture else face_counter()
    problems: list[str] = []
    many = len(args.identity) > 1 or any(Path(word).is_dir() for word in args.identity)
    reading: dict[str, Any] = {"truncation_psi": psi, "counter": counter}
    people = read_faces(args.identity, mixer, **reading, problems=problems if many else None)
    if frames:
        report = _mix_frames(args, mixer, people, counter, problems, scale, fps)
    else:
        several = len(args.attributes) > 1 or Path(args.attributes[0]).is_dir()
        others = read_faces(
            args.attributes, mixer, **reading, problems=problems if several else None
        )
        if problems and many and several and not args.grid:
            raise ValueError(
                f"{'; '.join(in_short(problems))}: without what is left out the pairs would shift; "
                "allowed: faces that can all be used, or --grid"
            )
        report = _mix_faces(args, mixer, people, others, problems, scale, steps, models)
    for line in _with_way_out(in_short(problems)):
        print(f"left out: {line}", file=sys.stderr)
    if not args.json:
        print(report.pop("text"))
    report.pop("text", None)
    return {**report, "left_out": problems}


def _with_way_out(lines: list[str]) -> list[str]:
    """The lines; one about a search that found no face, or several, says how to go without."""
    from l2l_widgets.disentangle.sources import ONE_FACE

    return [
        f"{line}; where you see one yourself: --any-picture" if ONE_FACE in line else line
        for line in lines
    ]


def _check_face(field: str, word: str) -> None:
    """Refuse a word that is neither a seed nor something that lies here."""
    if word.lstrip("-").isdigit():
        whole_number(field, word, 0, SEED_MAX)
    elif not Path(word).exists():
        clip = ", or a clip (.gif, .mp4, ...)" if field == "--attributes" else ""
        raise ValueError(
            f"{field} is {word!r}, which is no seed, and there is no such file or folder; "
            f"allowed: a whole number from 0 to {SEED_MAX}, a picture, a latent (.npy, "
            f".safetensors), or a folder of pictures{clip}"
        )


def _models(args: argparse.Namespace) -> Models:
    """The models, refused at once where their folder lists no mixer."""
    models = models_of(with_class(args.generator, args.class_index), args.device)
    if MIXER not in models.manifest:
        raise ValueError(
            f"models {models.name!r} have no identity mixer ({MIXER}); train one with "
            "`l2l train landmarks --publish` and `l2l train identity-disentangle --publish`"
        )
    return models


def _check_out(args: argparse.Namespace, frames: bool) -> None:
    """A wrong name should not cost a minute."""
    check_ignored(args, "--grid", ["--travel"], "one of the two")
    check_needed(args, ("--space", "--steps"), "--travel")
    if frames:
        check_ignored(
            args, "--attributes", ("--grid", "--travel", "--inputs", "--latents"),
            "for a clip or --frames, one --identity and --out, and none of these",
        )  # fmt: skip
        if args.out.suffix.lower() not in ("", ".gif", ".mp4"):
            raise ValueError(
                f"--out is {str(args.out)!r}; allowed for frames: a folder, .gif, .mp4"
            )
        if args.out.suffix:
            check_film_name(args.out, "--out")
    elif args.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {str(args.out)!r}; allowed: a name that ends in .png")
    if args.out.suffix.lower() not in (".gif", ".mp4"):
        check_ignored(args, "--out", ["--fps"], "--fps with a .gif or .mp4, which move")
    check_place(args.out)
    ones = all(not Path(w).is_dir() for w in (*args.identity, *args.attributes))
    if frames or args.grid or not ones:
        return
    one, two = len(args.identity), len(args.attributes)
    if args.travel and (one, two) != (1, 1):
        raise ValueError(f"--travel goes between two faces; {one} and {two} were given")
    if one != two and 1 not in (one, two):
        raise ValueError(
            f"--identity has {one} faces, --attributes {two}; allowed for pairs: equal numbers, or "
            "one face on one side; for all pairs: --grid"
        )


def _mix_faces(
    args: argparse.Namespace, mixer: FaceMixer, people: list[Face], others: list[Face],
    problems: list[str], scale: int, steps: int, models: Models,
) -> dict[str, Any]:  # fmt: skip
    import torch

    first = torch.stack([f.image for f in people])
    second = torch.stack([f.image for f in others])
    began = time.perf_counter()
    one, two = mixer.signature(first), mixer.signature(second)
    if args.travel:
        if len(one) != 1 or len(two) != 1:
            raise ValueError(
                f"--travel goes between two faces; {len(one)} and {len(two)} were given"
            )
        w, columns = mixer.travel(one, two, args.travel, steps, args.space), steps
    elif args.grid:
        w, columns = mixer.grid(one, two).flatten(0, 1), len(two)
    else:
        if len(one) != len(two) and 1 not in (len(one), len(two)):
            lost = f" ({len(problems)} could not be used)" if problems else ""
            raise ValueError(
                f"--identity has {counted(len(one), 'face')}, --attributes {len(two)}{lost}; "
                "allowed for pairs: equal numbers, or one face on one side; for all pairs: --grid"
            )
        w, columns = mixer.latent(one, two), 1
    images = mixer.draw(w)
    seconds = (time.perf_counter() - began) / len(images)
    sheet, columns = _sheet(args, images, first, second, columns)
    _save(args, sheet, w, mixer, columns, scale)
    kind = f"{args.travel} travels in {args.space.upper()}" if args.travel else "mixed"
    close = _closeness(args, models, images, people, others)
    return {
        "out": str(args.out),
        "identity": [f.name for f in people],
        "attributes": [f.name for f in others],
        "mixes": len(images),
        "closeness": [
            {"identity": person, "attributes": other, **one.to_dict()}
            for person, other, one in close
        ],
        "seconds": round(seconds, 4),
        "text": "\n".join(
            [
                f"{args.out}: {counted(len(images), 'face')}, {kind}; "
                f"{1000 * seconds:.0f} ms a face",
                *closeness_lines(close),
            ]
        ),
    }


def _closeness(
    args: argparse.Namespace, models: Models, images: Tensor, people: list[Face],
    others: list[Face],
) -> list[tuple[str, str, Closeness]]:  # fmt: skip
    """How close each mix is to both of its faces, by the second embedder; empty without one.

    Nothing is said of a travel: the half that travels belongs to both faces.
    """
    import torch

    from l2l_widgets.disentangle.closeness import closeness

    if args.travel or not models.has("identity_judge"):
        return []
    single = 1 in (len(people), len(others))
    pairs = [
        (i, j)
        for i in range(len(people))
        for j in range(len(others))
        if args.grid or single or i == j
    ]
    first = torch.stack([people[i].image for i, _ in pairs])
    second = torch.stack([others[j].image for _, j in pairs])
    parts = (part.to(models.device) for part in (images, first, second))
    found = closeness(models.identity_judge, *parts)
    return [
        (people[i].name, others[j].name, close) for (i, j), close in zip(pairs, found, strict=True)
    ]


def _sheet(
    args: argparse.Namespace, images: Tensor, first: Tensor, second: Tensor, columns: int
) -> tuple[Tensor, int]:
    """The pictures to write, with the inputs beside them where they are asked for."""
    import torch

    if args.grid and args.inputs:
        lines = [torch.ones_like(first[:1]), second]
        for i in range(len(first)):
            lines += [first[i : i + 1], images[i * columns : (i + 1) * columns]]
        return torch.cat(lines), columns + 1
    if args.travel:
        return (
            (torch.cat([first, images, second]), columns + 2) if args.inputs else (images, columns)
        )
    if args.inputs and not args.grid:
        count = len(images)
        whole = [part.expand(count, -1, -1, -1) for part in (first, second)]
        return torch.stack([*whole, images], dim=1).flatten(0, 1), 3
    return images, columns if args.grid else min(len(images), 8)


def _save(
    args: argparse.Namespace, sheet: Tensor, w: Tensor, mixer: FaceMixer, columns: int, scale: int
) -> None:
    from l2l_widgets.images import grid, save_image
    from l2l_widgets.latents import to_wplus
    from l2l_widgets.storage import save_safetensors

    save_image(args.out, grid(sheet.cpu(), columns, gap=1), scale=scale)
    if args.latents is not None:
        save_safetensors(args.latents, {"w": to_wplus(w, mixer.generator.num_ws)})


def _mix_frames(
    args: argparse.Namespace, mixer: FaceMixer, people: list[Face], counter: Any,
    problems: list[str], scale: int, fps: int,
) -> dict[str, Any]:  # fmt: skip
    from l2l_widgets.disentangle.problems import in_short
    from l2l_widgets.disentangle.sources import count_frames, read_frames

    if len(people) != 1 or len(args.attributes) != 1:
        raise ValueError(
            f"{counted(len(people), 'identity', 'identities')} and "
            f"{counted(len(args.attributes), 'clip')}; allowed: one of each"
        )
    import torch

    person: Signature = mixer.signature(torch.stack([people[0].image]))
    clip = Path(args.attributes[0])
    source = read_frames(clip, mixer.generator.img_resolution, problems, counter)
    total = count_frames(clip)
    began = time.perf_counter()

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            of = "" if total is None else f" of {total}"
            sys.stderr.write(f"\rframe {done}{of}")
            sys.stderr.flush()

    images = (image.cpu() for _, image in mixer.frames(person, source, progress))
    count = _write_frames(args.out, images, scale, fps)
    if sys.stderr.isatty():
        sys.stderr.write("\r")
    if count == 0:
        raise ValueError(
            f"--attributes {str(clip)!r}: no frame could be used: {'; '.join(in_short(problems))}"
        )
    seconds = (time.perf_counter() - began) / count
    return {
        "out": str(args.out),
        "identity": [people[0].name],
        "attributes": [str(clip)],
        "frames": count,
        "seconds": round(seconds, 4),
        "text": f"{args.out}: {counted(count, 'frame')} of {clip.name} as {people[0].name}; "
        f"{1000 * seconds:.0f} ms a frame",
    }


def _write_frames(out: Path, images: Iterable[Tensor], scale: int, fps: int) -> int:
    """Write frames, (3, R, R) each, to a folder or a film as they come; how many there were."""
    from l2l_widgets.images import save_image, to_pil

    if out.suffix:
        with FilmWriter(out, fps, "mixed by l2l_widgets: a likeness, no recording", scale) as film:
            for image in images:
                film.write(to_pil(image))
        return film.count
    count = 0
    for image in images:
        save_image(out / f"frame-{count:05d}.png", image, scale=scale)
        count += 1
    return count


def run_report(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, write the folder, return the summary."""
    psi = number("--truncation", args.truncation)
    pairs = whole_number("--pairs", args.pairs, 8, 100_000)
    seed = whole_number("--seed", args.seed, 0, 999)
    steps = whole_number("--steps", args.steps, 1, 10_000_000)
    truth_pairs = whole_number("--truth-pairs", args.truth_pairs, 8, 100_000)

    check_needed(args, ["--steps"], "--ablations")
    check_ignored(args, "--no-truth", ["--truth-pairs"], "one of the two")
    check_folder(args.out)
    models = _models(args)

    from l2l_widgets.evaluation.mixing import MixProtocol
    from l2l_widgets.recipes.mixing_report import mix_report

    report = mix_report(
        models,
        args.out,
        MixProtocol(pairs=pairs, seed=seed, truncation_psi=psi),
        truth=not args.no_truth,
        truth_pairs=truth_pairs,
        ablation_steps=steps if args.ablations else 0,
        say=lambda what: print(f"{what} ...", file=sys.stderr),
    )
    if not args.json:
        print("\n".join(report_lines(report)))
    return report
