"""The model card: what the embedded weights are, measured, with the command beside each figure.

``l2l train cards`` measures the generator against held-out renders in the judge's features, holds
every reader against the truth, runs the evaluations of the mapper and of the identity mixer where
there is one, and writes ``scores.json``, ``CARD.md`` and two pictures into the weights folder. What
was measured on the same weights is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from l2l_widgets.evaluation.readers import score_reader
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.images import from_uint8, grid, save_image
from l2l_widgets.plots.reliability import reliability_figure
from l2l_widgets.recipes.card_text import card
from l2l_widgets.recipes.registry import read_manifest
from l2l_widgets.storage import write_atomic

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

FORMAT = "l2l-scores/3"
#: Generated faces, and renders in each of two sets that nothing was trained on.
FACES = 10_000
#: Of each, those whose nearest training picture is looked for, and those that detectors search.
NEIGHBOURS, SEARCHED = 2048, 500
SCORES, CARD = "scores.json", "CARD.md"
SHEET, CURVES = "neighbours.png", "reliability.png"
#: Kinds of weights that the scores are of, or are measured with; the others' stand in the manifest.
SCORED = ("generator", "regressor", "embedder", "judge", "mapper")
#: The readers, as the zoo calls them, in the order of the card.
READERS = ("attribute_judge", "regressor", "regressor_b")


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
    """
    from l2l_widgets.models.zoo import load

    models = load(weights)
    manifest = read_manifest(weights)
    hashes = {file: entry["sha256"] for file, entry in manifest.items() if file.startswith(SCORED)}
    path = weights / SCORES
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    made_by = {"hashes": hashes, "world": WORLD, "faces": faces, "format": FORMAT}
    # what was measured with other files beside these is as good
    before = {f: sha for f, sha in known.get("hashes", {}).items() if f.startswith(SCORED)}
    same = before == hashes and all(known.get(k) == made_by[k] for k in made_by if k != "hashes")
    scores = {**known, **made_by} if same else made_by
    parts: dict[str, tuple[str, Callable[[], Any]]] = {
        "generator": ("the generator", lambda: score_generator(models, weights, faces)),
        "detection": ("faces and eyes", lambda: score_found(models, faces)),
        "readers": ("the readers", lambda: score_readers(models, weights)),
        "mapper": (
            "the mapper on the paper's eight attributes",
            lambda: _score_mapper(models, progress, PAPER_EIGHT, 500, 1000),
        ),
        "mapper_all": (
            "the mapper on all attributes",
            lambda: _score_mapper(models, progress, models.table.names, 100, 200, truth=False),
        ),
    }
    if MIXER_FILE in manifest:
        mixer_hash = manifest[MIXER_FILE]["sha256"]
        if scores.get("mixer_sha256") != mixer_hash:
            scores.pop("mixer", None)
            scores["mixer_sha256"] = mixer_hash
        parts["mixer"] = ("the identity mixer", lambda: _score_mixer(models, progress))
    for name, (what, measure) in parts.items():
        if name in scores:
            continue
        progress(f"measuring {what}")
        try:
            scores[name] = measure()
        except DetectorError as error:  # hours of training must not end at an optional library
            progress(f"not measured: {error}")
            continue
        write_atomic(path, (json.dumps(scores, indent=1) + "\n").encode())
    write_atomic(weights / CARD, card(models.name, manifest, scores).encode())
    return scores


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
    judge = models.attribute_judge
    fake = draw_faces(models.generator, len(held_out), seed)
    memorised = score_memorisation(judge, fake[:NEIGHBOURS], held_out[:NEIGHBOURS], training)
    save_image(folder / SHEET, neighbour_sheet(memorised.pairs, fake, training), scale=2)
    return {
        "faces": len(held_out),
        "seed": seed,
        **score_distribution(judge, fake, held_out, unseen),
        **score_attributes(judge, models.table.names, fake, held_out),
        "memorisation": memorised.scores,
    }


def score_found(models: Models, faces: int = FACES, seed: int = 0) -> dict[str, Any]:
    """Have detectors of real faces search the first generated faces and renders.

    Raises
    ------
    DetectorError
        OpenCV is not installed.
    """
    from l2l_widgets.recipes.rendered import rendered_set

    held_out = rendered_set("held_out").images[: min(faces, SEARCHED)]
    return score_detection(draw_faces(models.generator, len(held_out), seed), held_out, SEARCHED)


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


def _save_figure(path: Path, figure: Any) -> None:
    import io

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    write_atomic(path, stream.getvalue())


def _score_mixer(models: Models, progress: Callable[[str], None]) -> dict[str, Any]:
    from l2l_widgets.evaluation.mixing import MixProtocol
    from l2l_widgets.recipes.mixing_report import measure_mixer

    return measure_mixer(models, FaceMixer.of(models), MixProtocol(), say=progress)


def _score_mapper(
    models: Models,
    progress: Callable[[str], None],
    attributes: tuple[str, ...],
    faces: int,
    draws: int,
    truth: bool = True,
) -> dict[str, Any]:
    from l2l_widgets.evaluation import evaluate
    from l2l_widgets.evaluation.report import Protocol
    from l2l_widgets.faceworld.truth import rerendered_pairs

    side = models.generator.img_resolution

    def rendered(name: str, request: float, seed: int) -> tuple[Tensor, Tensor] | None:
        try:
            return rerendered_pairs(name, request, 60, 700_000 + seed, side)
        except ValueError:  # nobody among them can change it: identity is then not placed
            return None

    protocol = Protocol(attributes, faces, draws=draws)
    given = rendered if truth else None
    return evaluate(models, ("mapper",), protocol, truth=given, progress=progress).summary()
