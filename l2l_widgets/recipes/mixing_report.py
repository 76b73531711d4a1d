"""One command's report on a mixer: judges, truth, ablations, pictures.

::

    report.json    protocol, hashes, judges, versions, scores, seconds
    REPORT.md      the same as tables, with the command that measures them
    scores.csv     one row a mixer: the whole one, and each with a loss left out
    factors.csv    one row a factor of faceworld: which input it followed
    grid.png       people down the side, attributes along the top
    ablations.png  a row a pair: both inputs, then each mixer's answer
    runs/          the trainings of the ablations, named after their settings and inputs
    parts/         what has been measured; a report that was stopped goes on there
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.disentangle import MIXER_FILE, FaceMixer, load_mixer
from l2l_widgets.evaluation.mixing import (
    MixProtocol,
    ablation_sheet,
    mix_sheet,
    score_mixes,
    unseen_faces,
)
from l2l_widgets.evaluation.report import versions
from l2l_widgets.images import grid, save_image
from l2l_widgets.recipes.landmarks import INNER
from l2l_widgets.recipes.mixing_text import reached, report_text
from l2l_widgets.recipes.mixing_truth import follow_table
from l2l_widgets.recipes.publishing import run_folder
from l2l_widgets.recipes.registry import (
    RecipeError,
    get_recipe,
    input_hashes,
    list_recipes,
    run,
)
from l2l_widgets.storage import make_folder, sha256_file, write_atomic, write_together

RECIPE = "identity-disentangle"
#: What the paper leaves out, and what it shows; and the parts of the loss that are ours.
ABLATIONS: dict[str, dict[str, float]] = {
    "without D_W": {"adversarial_weight": 0.0},
    "without landmarks": {"landmark_weight": 0.0},
    "without reconstruction": {"reconstruction_weight": 0.0},
    "without readings": {"reading_weight": 0.0},
    "without background": {"background_weight": 0.0},
}
SHEET = 6


def train_ablations(
    weights: Path, out: Path, steps: int, say: Callable[[str], None], **changes: Any
) -> dict[str, Path]:
    """Train the mixer whole and with each loss left out; return name -> file.

    Parameters
    ----------
    weights : Path
        Folder of the frozen parts.
    out : Path
        Where the runs go; one that was stopped is gone on with, a finished one is kept.
    steps : int
        Of each; as large a share of them as in the recipe is the cheap first ones.
    say : callable
        Told what is being done.
    **changes
        Fields of the recipe for all of them.
    """
    recipes = list_recipes()
    files = {}
    full = get_recipe(RECIPE, recipes)
    short = {
        "steps": steps,
        "schedule_steps": steps,
        "warm_steps": round(full.config.warm_steps * min(1.0, steps / full.settings.steps)),
    }
    for name, left_out in {"whole": {}, **ABLATIONS}.items():
        recipe = full.replace(**{**short, **changes, **left_out})
        inputs = input_hashes(recipe, recipes, weights)
        # named after all that it depends on: a file of other steps is another file
        folder = run_folder(recipe, inputs, out / "runs")
        file = folder / "final" / MIXER_FILE
        if not file.is_file():
            say(f"training: {name}")
            begun = (folder / "config.json").is_file()
            outcome = run(
                recipe, folder, weights=weights, inputs=inputs, resume=begun, progress=False
            )
            if not outcome.finished:
                raise RecipeError(
                    f"{folder}: stopped at step {outcome.step}; give the same command to go on"
                )
        files[name] = file
    return files


def mix_report(
    models: Any,
    out: Path,
    protocol: MixProtocol,
    *,
    truth: bool = True,
    truth_pairs: int = 1000,
    ablation_steps: int = 0,
    say: Callable[[str], None] = lambda what: None,
    **changes: Any,
) -> dict[str, Any]:
    """Measure the mixer of some models, and write the folder.

    Parameters
    ----------
    models : Models
        With a mixer and both judges; with a folder where ablations are asked for.
    out : Path
        A folder without a report, or with one that ablations are added to.
    protocol : MixProtocol
        Which pairs.
    truth : bool
        Whether to mix renders with known factors too: faceworld only.
    truth_pairs : int
        How many of them.
    ablation_steps : int
        Steps of each ablation; 0 trains none.
    say : callable
        Told what is being done.
    **changes
        Fields of the recipe for the ablations.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Raises
    ------
    ValueError
        A report is there already and no ablations are to be added, or a part is missing.
    """
    _check_folder(out, ablation_steps)
    if ablation_steps and models.folder is None:
        raise ValueError("ablations are trained from a folder of weights; these models have none")
    began = time.perf_counter()
    mixer = FaceMixer.of(models)
    made_by = {
        "protocol": asdict(protocol), "hashes": dict(models.hashes),
        "mixer": models.manifest[MIXER_FILE].get("sha256"),
    }  # fmt: skip
    parts = Parts(out / "parts", made_by)
    found = measure_mixer(models, mixer, protocol, truth_pairs if truth else 0, say, parts)
    _, faces = unseen_faces(models, MixProtocol(8 * 2, protocol.seed, protocol.truncation_psi))
    sheet = mix_sheet(mixer, faces[:SHEET], faces[8 : 8 + SHEET])
    save_image(out / "grid.png", grid(sheet.cpu(), SHEET + 1), scale=_scale(models))
    scores = {"shipped": found["scores"]}
    if ablation_steps:
        files = train_ablations(models.folder, out, ablation_steps, say, **changes)
        landmarks = _landmarks(models)

        def scored(one: FaceMixer, name: str) -> dict[str, Any]:
            return score_mixes(
                models, one, protocol, landmarks=landmarks,
                stale=lambda what: say(f"{name}: {what}"),
            )  # fmt: skip

        mixers = {
            name: FaceMixer(models.generator, models.embedder, load_mixer(file)[0])
            for name, file in files.items()
        }
        for name, one in mixers.items():
            scores[name] = parts.get(
                f"scores-{name}", sha256_file(files[name]), partial(scored, one, name)
            )
        sheet = ablation_sheet(list(mixers.values()), faces[:SHEET], faces[8 : 8 + SHEET])
        save_image(out / "ablations.png", grid(sheet.cpu(), 2 + len(mixers)), scale=_scale(models))
    report = {
        "format": "l2l-mix-report/2",
        "protocol": asdict(protocol),
        "models": models.name,
        "hashes": dict(models.hashes),
        "judges": {
            part: models.manifest.get(f"{file}.safetensors", {}).get("recipe", part)
            for part, file in (
                ("attribute_judge", "judge_regressor"), ("identity_judge", "judge_embedder"),
            )
        },
        "versions": versions(),
        "scores": scores,
        "truth": found["truth"],
        "factors": found["factors"],
        "reach": found["reach"],
        "ablation_steps": ablation_steps,
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    written = [
        (out / "scores.csv", table([{"mixer": name, **row} for name, row in scores.items()])),
        (out / "REPORT.md", report_text(report).encode()),
        (out / "report.json", (json.dumps(report, indent=1) + "\n").encode()),
    ]
    if found["factors"]:
        written.insert(0, (out / "factors.csv", table(found["factors"])))
    write_together(written, marked=True)
    return report


class Parts:
    """Measured parts of a report on disk: a report that was stopped does not measure them again.

    Parameters
    ----------
    folder : Path
        Where they lie.
    key : mapping
        What they depend on; a part that was measured otherwise is measured again.
    """

    def __init__(self, folder: Path | None, key: Mapping[str, Any]) -> None:
        self.folder, self.key = folder, json.dumps(key, sort_keys=True)

    def get(self, name: str, of: Any, measure: Callable[[], Any]) -> Any:
        """A part by its name: as it was kept, or measured now; ``of`` is what it measures."""
        if self.folder is None:
            return measure()
        key = f"{self.key} {of}"
        path = self.folder / f"{name.replace(' ', '-')}.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["key"] == key:
                return kept["value"]
        except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole
            pass
        value = measure()
        make_folder(self.folder)
        write_atomic(path, json.dumps({"key": key, "value": value}).encode())
        return value


def measure_mixer(
    models: Any,
    mixer: FaceMixer,
    protocol: MixProtocol,
    truth_pairs: int = 1000,
    say: Callable[[str], None] = lambda what: None,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """Measure one mixer by judges and, with ``truth_pairs`` above 0, against faceworld's truth.

    Returns
    -------
    dict
        ``protocol``; ``scores`` (see ``evaluation.mixing.score_mixes``); ``factors`` and ``truth``
        (see ``recipes.mixing_truth.follow_table``), empty without truth; ``reach`` (see
        ``recipes.mixing_text.reached``).
    """
    kept = Parts(None, {}) if parts is None else parts
    rows: list[dict[str, Any]] = []
    known: dict[str, Any] = {}
    if truth_pairs:
        rows, known = kept.get(
            "truth", truth_pairs, lambda: follow_table(models, mixer, truth_pairs, say=say)
        )
    scores = kept.get(
        "scores-shipped", "",
        lambda: score_mixes(models, mixer, protocol, landmarks=_landmarks(models), stale=say),
    )  # fmt: skip
    return {
        "protocol": asdict(protocol), "scores": scores, "factors": rows, "truth": known,
        "reach": reached({**scores, **known}),
    }  # fmt: skip


def _check_folder(out: Path, ablation_steps: int) -> None:
    """Refuse a folder with a report, unless ablations are to be added to one without."""
    try:
        kept = json.loads((out / "report.json").read_text(encoding="utf-8"))
        more = not kept["ablation_steps"] and ablation_steps > 0
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        more = False
    if not more:
        raise ValueError(
            f"--out {out}: holds a report already; allowed: another folder, or --ablations to add "
            "them to a report without any"
        )


def table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV, columns in the order in which they first come."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _landmarks(models: Any) -> Any | None:
    """What reads the 51 inner points: the parser, which no mixer has been trained against.

    Where there is none, the landmark network of the training, if it was kept.
    """
    from l2l_widgets.perception import ParsingNet, load_network

    if not models.has("parser") or not isinstance(models.parser, ParsingNet):
        file = "landmarks.safetensors"
        kept = models.folder is not None and file in models.manifest
        if not kept or not (models.folder / file).is_file():
            return None
        return load_network(models.check_file(file)).to(models.device)
    parser = models.parser

    def read(images: Tensor) -> Tensor:
        return (parser.landmarks(images)[:, INNER] + 0.5) / images.shape[-1]

    return read


def _scale(models: Any) -> int:
    return max(1, 128 // int(models.generator.img_resolution))
