"""The model card: what the embedded weights are, measured, with the command beside each figure.

``l2l train cards`` measures the generator against held-out renders in the judge's features, holds
every reader, embedder and mask network against the truth, runs the evaluations of the mapper and of
the identity mixer where there is one, and writes ``scores.json``, ``CARD.md`` and two pictures into
the weights folder. Each part is kept when it is measured, with the hashes of the files that it
speaks of: what was measured on the same files is not measured again. The text is built before
anything is measured and after each part, so that a fault in it shows at once.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE, PAPER_EIGHT
from l2l_widgets.disentangle import MIXER_FILE, FaceMixer
from l2l_widgets.evaluation.detection import DetectorError
from l2l_widgets.evaluation.generated import (
    draw_faces,
    score_attributes,
    score_detection,
    score_distribution,
    score_memorisation,
)
from l2l_widgets.evaluation.painting import PROTOCOL as PAINTING
from l2l_widgets.evaluation.readers import score_embedder, score_reader
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.images import from_uint8, grid, save_image
from l2l_widgets.maskgan.model import VAE, WHOLE
from l2l_widgets.plots.reliability import reliability_figure
from l2l_widgets.recipes.card_text import card
from l2l_widgets.recipes.mask_scores import (
    PAINTED,
    NotMeasurableError,
    score_own_masks,
    score_own_parser,
    score_painter,
)
from l2l_widgets.recipes.registry import read_manifest
from l2l_widgets.storage import write_atomic

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

FORMAT = "l2l-scores/4"
#: Generated faces, and renders in each of two sets that nothing was trained on.
FACES = 10_000
#: Of each, those whose nearest training picture is looked for, and those that detectors search.
NEIGHBOURS, SEARCHED = 2048, 500
#: Chooses the mapper's faces. Nobody read those of another number before choosing something: the
#: budget for side effects was lowered after a look at what the judge had read on seed 0.
FACE_SEED = 1
#: People drawn again with an attribute truly changed, as ``l2l evaluate`` draws them by itself.
PEOPLE = 60
SCORES, CARD, LATENCY = "scores.json", "CARD.md", "latency.json"
SHEET, CURVES = "neighbours.png", "reliability.png"
#: The readers, as the zoo calls them, in the order of the card.
READERS = ("attribute_judge", "attribute_judge_b", "regressor", "regressor_b")
EMBEDDERS = ("embedder", "identity_judge")
PARSER = "parser.safetensors"

#: Beginnings of the names of files that a part is of, or is measured with.
_JUDGES = ("judge_regressor.", "judge_embedder.")
_READERS = ("judge_regressor", "regressor")
_EDITING = ("generator.", "mapper.", "judge_embedder.", *_READERS)


@dataclass(frozen=True)
class _Part:
    """What is measured, on which files, at which sizes, and how."""

    what: str
    files: tuple[str, ...]
    sizes: Mapping[str, Any]
    measure: Callable[[], Any]

    def made_by(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Return what must be the same for a figure to be as good as a new one."""
        hashes = {f: e["sha256"] for f, e in manifest.items() if f.startswith(self.files)}
        return {"format": FORMAT, "world": WORLD, "hashes": hashes, **self.sizes}


def plan_cards(weights: Path, faces: int = FACES) -> dict[str, str]:
    """Return, for every part of a card, "kept" or "measure": what :func:`make_cards` would do."""
    from l2l_widgets.models.zoo import load

    parts = _parts(load(weights), weights, faces, lambda _: None)
    kept = _kept(parts, weights / SCORES, read_manifest(weights))
    return {name: "kept" if name in kept else "measure" for name in parts}


def make_cards(
    weights: Path, progress: Callable[[str], None], faces: int = FACES
) -> dict[str, Any]:
    """Measure what has changed, and write scores, card and pictures.

    Parameters
    ----------
    weights : Path
        A weights folder whose parts are all published.
    progress : callable
        Gets a line for each part that is measured.
    faces : int
        Generated faces to compare with as many renders; the sets hold 10,240.

    Raises
    ------
    ValueError
        ``latency.json`` in the folder is none, or the mapper cannot be measured.
    """
    from l2l_widgets.models.zoo import load

    models = load(weights)
    manifest = read_manifest(weights)
    path = weights / SCORES
    parts = _parts(models, weights, faces, progress)
    made_by = {name: part.made_by(manifest) for name, part in parts.items()}
    kept = _kept(parts, path, manifest)
    scores: dict[str, Any] = {
        "format": FORMAT,
        "world": WORLD,
        "side": models.generator.img_resolution,
        "made_by": {name: made_by[name] for name in kept},
        **kept,
    }
    latency = read_latency(weights / LATENCY)
    if latency is not None:
        scores["latency"] = latency
    text = card(models.name, manifest, scores)  # a fault in it shows before hours of measuring
    for name, part in parts.items():
        if name in scores:
            continue
        progress(f"measuring {part.what}")
        try:
            scores[name] = part.measure()
        except (DetectorError, NotMeasurableError) as error:
            # hours of training must not end at an optional library
            progress(f"not measured: {error}")
            continue
        scores["made_by"][name] = made_by[name]
        write_atomic(path, _as_text(scores, parts))
        text = card(models.name, manifest, scores)
    write_atomic(path, _as_text(scores, parts))
    write_atomic(weights / CARD, text.encode())
    return scores


def _kept(
    parts: Mapping[str, _Part], path: Path, manifest: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the parts of a scores file that were measured with what the manifest still has."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    made_by = known.get("made_by", {})
    return {
        name: known[name]
        for name, part in parts.items()
        if name in known and made_by.get(name) == part.made_by(manifest)
    }


def _parts(
    models: Models, weights: Path, faces: int, progress: Callable[[str], None]
) -> dict[str, _Part]:
    """What there is to measure, what takes least first."""
    parts = {
        "readers": _Part("the readers", _READERS, {}, lambda: score_readers(models, weights)),
        "embedders": _Part(
            "the embedders", ("embedder.", "judge_embedder."), {},
            lambda: score_embedders(models),
        ),
        "detection": _Part(
            "faces and eyes", ("generator.",), {"faces": min(faces, SEARCHED)},
            lambda: score_found(models, faces),
        ),
    }  # fmt: skip
    if models.has("parser"):
        parts["parser"] = _Part("the parser", (PARSER,), {}, lambda: score_own_parser(models))
    if VAE in models.manifest and (weights / VAE).is_file():
        parts["mask_vae"] = _Part(
            "the mask autoencoder", (VAE,), {"faces": PAINTED}, lambda: score_own_masks(models)
        )
    if WHOLE in models.manifest and (weights / WHOLE).is_file() and models.has("parser"):
        parts["painting"] = _Part(
            "the painter", (WHOLE, VAE, PARSER, *_JUDGES),
            {"faces": PAINTED, "protocol": PAINTING}, lambda: score_painter(models),
        )  # fmt: skip
    parts["mapper_all"] = _mapper_part(
        models, progress, "the mapper on all attributes", models.table.names, 100, 0
    )
    parts["mapper"] = _mapper_part(
        models, progress, "the mapper on the paper's eight attributes", PAPER_EIGHT, 500, PEOPLE
    )
    parts["generator"] = _Part(
        "the generator", ("generator.", "judge_regressor."), {"faces": faces},
        lambda: score_generator(models, weights, faces),
    )  # fmt: skip
    if MIXER_FILE in models.manifest:
        parts["mixer"] = _Part(
            "the identity mixer",
            (MIXER_FILE, "generator.", "embedder", PARSER, "landmarks", "regressor", *_JUDGES), {},
            lambda: _score_mixer(models, progress),
        )  # fmt: skip
    return parts


def _as_text(scores: Mapping[str, Any], parts: Iterable[str]) -> bytes:
    """Scores as JSON, in one order whichever part was measured last."""
    order = ["format", "world", "side", "made_by", "latency", *parts]
    made_by = {name: scores["made_by"][name] for name in order if name in scores["made_by"]}
    ordered = {name: scores[name] for name in order if name in scores} | {"made_by": made_by}
    return (json.dumps(ordered, indent=1) + "\n").encode()


def read_latency(path: Path) -> dict[str, Any] | None:
    """Return what ``python -m tests.browser.latency --out FILE`` measured; None without a file.

    Raises
    ------
    ValueError
        The file is not such a report.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error}); measure it again") from None
    wanted = ("n", "median_ms", "p95_ms", "first_face_s", "side", "kernel_mb")
    missing = [name for name in wanted if not isinstance(found, dict) or name not in found]
    if missing:
        raise ValueError(
            f"{path}: holds no {missing[0]}; allowed: what python -m tests.browser.latency --out "
            "writes, without --all-views"
        )
    return dict(found)


def score_generator(
    models: Models, folder: Path, faces: int = FACES, seed: int = 0
) -> dict[str, Any]:
    """Compare generated faces with renders, and write the sheet of nearest training pictures.

    Parameters
    ----------
    models : Models
        Generator and attribute judge.
    folder : Path
        Where the sheet goes.
    faces : int
        Of each set, at most 10,240.
    seed : int
        Of the generated faces; truncation is off.
    """
    from l2l_widgets.recipes.rendered import rendered_set

    held_out, unseen = (rendered_set(name).images[:faces] for name in ("held_out", "unseen"))
    training = rendered_set("population").images
    judge, side = models.attribute_judge, held_out.shape[-1]
    fake = draw_faces(models.generator, len(held_out), seed, side=side)
    near = (fake[:NEIGHBOURS], held_out[:NEIGHBOURS])
    memorised = score_memorisation(judge, *near, training)
    save_image(folder / SHEET, neighbour_sheet(memorised.pairs, fake, training), scale=2)
    return {
        "faces": len(held_out),
        "seed": seed,
        "side": int(side),
        **score_distribution(judge, fake, held_out, unseen),
        **score_attributes(judge, models.table.names, fake, held_out),
        "memorisation": {"population": memorised.scores, **_large(models, judge, *near)},
    }


def _large(models: Models, judge: Any, fake: Tensor, held_out: Tensor) -> dict[str, Any]:
    """The same against the larger renders, where the generator's last block learned from them.

    They are shrunk to the others' size: what is compared, 16 x 16 means and the judge's features,
    is of no finer detail.
    """
    from l2l_widgets.recipes.rendered import SETS, rendered_set

    if models.generator.img_resolution != SETS["large"].resolution:
        return {}
    training = rendered_set("large", fake.shape[-1]).images
    return {"large": score_memorisation(judge, fake, held_out, training).scores}


def score_found(models: Models, faces: int = FACES, seed: int = 0) -> dict[str, Any]:
    """Have detectors of real faces search the first generated faces and renders.

    Raises
    ------
    DetectorError
        OpenCV is not installed.
    """
    from l2l_widgets.recipes.rendered import rendered_set

    held_out = rendered_set("held_out").images[: min(faces, SEARCHED)]
    fake = draw_faces(models.generator, len(held_out), seed, side=held_out.shape[-1])
    return score_detection(fake, held_out, SEARCHED)


def neighbour_sheet(
    pairs: Mapping[str, list[tuple[int, int]]], fake: Tensor, training: Tensor
) -> Tensor:
    """Return a picture (3, H, W) in [-1, 1]: generated faces above their nearest training pictures.

    Two such rows a space, the nearest pairs first.
    """
    rows = [
        images[[pair[side] for pair in found]]
        for found in pairs.values()
        for side, images in ((0, fake), (1, training))
    ]
    return grid(from_uint8(torch.cat(rows)), columns=len(rows[0]))


def score_readers(models: Models, folder: Path) -> dict[str, Any]:
    """Hold every regressor and the judge against the truth, and draw their calibration curves.

    The faces are those of the independent population that no recipe trains on.
    """
    from l2l_widgets.recipes.perception import HELD_OUT
    from l2l_widgets.recipes.rendered import rendered_set

    data = rendered_set("independent")
    images, truth = data.images[-HELD_OUT:], data.factors.attributes()[-HELD_OUT:]
    scores = {
        name: score_reader(models.part(name), DEFAULT_TABLE.names, images, truth)
        for name in READERS
        if models.has(name)
    }
    figure = reliability_figure({name: s["attributes"] for name, s in scores.items()})
    _save_figure(folder / CURVES, figure)
    return scores


def score_embedders(models: Models) -> dict[str, Any]:
    """Let every embedder tell people apart whom no recipe learns from, with intervals over them."""
    from l2l_widgets.recipes.perception import HELD_OUT
    from l2l_widgets.recipes.rendered import end_of_set

    faces = end_of_set("identities", HELD_OUT)
    return {name: score_embedder(models.part(name), *faces) for name in EMBEDDERS
            if models.has(name)}  # fmt: skip


def _save_figure(path: Path, figure: Any) -> None:
    import io

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    write_atomic(path, stream.getvalue())


def _score_mixer(models: Models, progress: Callable[[str], None]) -> dict[str, Any]:
    from l2l_widgets.evaluation.mixing import MixProtocol
    from l2l_widgets.recipes.mixing_report import measure_mixer

    return measure_mixer(models, FaceMixer.of(models), MixProtocol(), say=progress)


def _mapper_part(
    models: Models,
    progress: Callable[[str], None],
    what: str,
    attributes: tuple[str, ...],
    faces: int,
    people: int,
) -> _Part:
    sizes = {
        "attributes": list(attributes), "faces": faces, "seed": FACE_SEED, "people": people,
    }  # fmt: skip
    return _Part(
        what, _EDITING, sizes, lambda: score_mapper(models, attributes, faces, people, progress)
    )


def score_mapper(
    models: Models,
    attributes: tuple[str, ...],
    faces: int,
    people: int,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run the part at equal request of ``l2l evaluate``, as its command does.

    Parameters
    ----------
    models : Models
        With a mapper.
    attributes : tuple of str
        What is edited.
    faces, people : int
        Faces; people drawn again with the attribute truly changed, 0 for none.
    progress : callable
        Gets a line for each method and part.

    Returns
    -------
    dict
        As :func:`l2l_widgets.evaluation.summary`.

    Raises
    ------
    ValueError
        An attribute could not be measured.
    """
    from l2l_widgets.evaluation import Plan, compare, summary
    from l2l_widgets.evaluation.report import Protocol
    from l2l_widgets.faceworld.truth import people_again

    protocol = Protocol(attributes, faces, seed=FACE_SEED)
    plan = Plan(protocol, parts=("request",), truth_people=people, world=WORLD)
    truth = people_again(people, models.generator.img_resolution) if people else None
    with tempfile.TemporaryDirectory() as folder:  # its cells; a part is kept or measured whole
        methods = {"mapper": [models.editor("mapper")]}
        found = compare(models, methods, plan, folder, truth=truth, progress=progress)
    if found.failed:
        first = found.failed[0]
        raise ValueError(f"mapper, {first['attribute']}: {first['reason']}")
    return summary(found)
