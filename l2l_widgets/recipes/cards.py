"""The model card: what the embedded weights are, measured, with the command beside each figure.

``l2l train cards`` measures the generator against held-out renders in the judge's features, runs
the evaluation of the mapper, and writes ``scores.json`` and ``CARD.md`` into the weights folder.
What was measured on the same weights is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE, PAPER_EIGHT
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.metrics.distribution import frechet_distance, precision_recall
from l2l_widgets.recipes.publishing import read_manifest
from l2l_widgets.storage import write_atomic

if TYPE_CHECKING:
    from l2l_widgets.zoo import Models

FACES = 2048  # generated, and in each of two unseen sets: the "2k" in the names
SCORES, CARD = "scores.json", "CARD.md"


@torch.inference_mode()
def score_generator(
    models: Models, unseen: Tensor, held_out: Tensor, seed: int = 0
) -> dict[str, Any]:
    """Compare generated faces with renders, by the attribute judge.

    Parameters
    ----------
    models : Models
        Generator and attribute judge.
    unseen, held_out : Tensor, shape (N, 3, R, R), uint8
        Two disjoint sets of renders that nothing was trained on.
    seed : int
        Of the generated faces; truncation is off.

    Returns
    -------
    dict
        ``frechet_judge_2k_distance`` and its floor between the two sets of renders; precision and
        recall (k = 3); the ratio of spreads and the difference of means of each attribute; the mean
        absolute error of the correlations.
    """
    judge: Any = models.attribute_judge  # an AttributeNet, whose features are compared
    generator = models.generator
    stream = torch.Generator().manual_seed(seed)
    codes = torch.randn(len(held_out), generator.z_dim, generator=stream)
    drawn = [
        to_bytes(generator.synthesis(generator.mapping(z), noise_mode="const"))
        for z in codes.split(64)
    ]
    sets = {"fake": torch.cat(drawn), "unseen": unseen, "held_out": held_out}
    features, readings = {}, {}
    for name, images in sets.items():
        parts = [b.float() / 127.5 - 1 for b in images.split(128)]
        features[name] = torch.cat([judge.features(p) for p in parts])
        readings[name] = torch.cat([judge(p) for p in parts])
    precision, recall = precision_recall(features["held_out"], features["fake"])
    fake, real = readings["fake"], readings["held_out"]
    spread = fake.std(0) / real.std(0)
    shift = fake.mean(0) - real.mean(0)
    correlation = (torch.corrcoef(fake.T) - torch.corrcoef(real.T)).abs().mean()
    names = models.table.names
    return {
        "faces": len(held_out),
        "seed": seed,
        "frechet_judge_2k_distance": round(
            frechet_distance(features["fake"], features["held_out"]), 3
        ),
        "frechet_judge_2k_floor": round(
            frechet_distance(features["unseen"], features["held_out"]), 3
        ),
        "precision_score": round(precision, 3),
        "recall_score": round(recall, 3),
        "correlation_error": round(float(correlation), 4),
        "spread_ratio": {n: round(float(v), 3) for n, v in zip(names, spread, strict=True)},
        "mean_shift": {n: round(float(v), 3) for n, v in zip(names, shift, strict=True)},
    }


def to_bytes(images: Tensor) -> Tensor:
    """Pictures in [-1, 1] to uint8, as a saved picture would be."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte()


def make_cards(weights: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure what has changed, and write ``scores.json`` and ``CARD.md``.

    Parameters
    ----------
    weights : Path
        A weights folder whose parts are all published.
    progress : callable
        Gets a line for each part that is measured.
    """
    from l2l_widgets.evaluation import evaluate
    from l2l_widgets.faceworld.truth import rerendered_pairs
    from l2l_widgets.recipes.rendered import rendered_set
    from l2l_widgets.report import Protocol
    from l2l_widgets.zoo import load

    models = load(weights)
    side = models.generator.img_resolution
    hashes = {file: entry["sha256"] for file, entry in read_manifest(weights).items()}
    path = weights / SCORES
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    made_by = {"hashes": hashes, "world": WORLD, "faces": FACES, "format": "l2l-scores/2"}
    same = all(known.get(field) == value for field, value in made_by.items())
    scores = {**known} if same else made_by

    def truth(name: str, request: float, seed: int) -> tuple[Tensor, Tensor] | None:
        try:
            return rerendered_pairs(name, request, 60, 700_000 + seed, side)
        except ValueError:  # nobody among them can change it: identity is then not placed
            return None

    if "generator" not in scores:
        progress("measuring the generator")
        held_out, unseen = rendered_set("held_out"), rendered_set("unseen")
        scores["generator"] = score_generator(models, unseen.images, held_out.images)
        write_atomic(path, _json(scores))
    if "mapper" not in scores:
        progress("measuring the mapper on the paper's eight attributes")
        protocol = Protocol(PAPER_EIGHT, 500)
        report = evaluate(models, ("mapper",), protocol, truth=truth, progress=progress)
        scores["mapper"] = report.summary()
        write_atomic(path, _json(scores))
    if "mapper_all" not in scores:
        progress("measuring the mapper on all attributes")
        protocol = Protocol(models.table.names, 100, draws=200)
        scores["mapper_all"] = evaluate(models, ("mapper",), protocol, progress=progress).summary()
        write_atomic(path, _json(scores))
    write_atomic(weights / CARD, card(models.name, read_manifest(weights), scores).encode())
    return scores


def card(name: str, manifest: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Return the model card in Markdown."""
    intro = f"""# Model card: {name}

Written by `l2l train cards`, which measures what is said here; `MANIFEST.json` has the hash,
recipe, seed and commit of every file. The faces are rendered, not photographed: the figures say
how the methods behave in this world, and nothing about photographs.
"""
    parts = [
        intro,
        _files(manifest),
        _generator(manifest, scores["generator"]),
        _judges(manifest),
        _editing("The mapper on the paper's eight attributes", "paper", scores["mapper"]),
        _editing("The mapper on every attribute", "all", scores["mapper_all"]),
        LIMITS,
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(str(v) for v in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def _files(manifest: Mapping[str, Any]) -> str:
    rows = [
        (f"`{file}`", e["kind"], f"`l2l train {e['recipe']}`", e["steps"], e["seed"])
        for file, e in sorted(manifest.items())
    ]
    return "## Files\n\n" + _table(("file", "what", "trained by", "steps", "seed"), rows)


def _generator(manifest: Mapping[str, Any], s: Mapping[str, Any]) -> str:
    config = next(e["config"] for e in manifest.values() if e["recipe"] == "generator")
    narrow = [f"{n} {v:.2f}" for n, v in s["spread_ratio"].items() if v < 0.7]
    shifted = [f"{n} {v:+.2f}" for n, v in s["mean_shift"].items() if abs(v) > 0.05]
    rows = (
        ("Fréchet distance, `frechet_judge_2k`", s["frechet_judge_2k_distance"]),
        ("the same between two sets of renders", s["frechet_judge_2k_floor"]),
        ("precision, recall (k = 3)", f"{s['precision_score']}, {s['recall_score']}"),
        ("mean absolute error of the attributes' correlations", s["correlation_error"]),
    )
    return f"""## Generator

A StyleGAN2 of 64 px, of world {config.get("world", 1)}, bootstrapped: {config["distil_steps"]}
steps of distillation from the renderer's factors, {config["paired_steps"]} adversarial steps on
paired pictures, and only then unpaired adversarial training. Directions are easier to find in such
a latent space than in one that no factor ever touched. Its discriminator looks through the features
of the two regressors that train the mapper; the judge whose features are compared below had no part
in it.

Against {s["faces"]} held-out renders, in the attribute judge's features (seed {s["seed"]}, no
truncation):

{_table(("measure", "value"), rows)}
Attributes whose spread is below 0.7 of the renders': {", ".join(narrow) or "none"}.

Attributes whose mean is off by more than 0.05: {", ".join(shifted) or "none"}.
"""


def _judges(manifest: Mapping[str, Any]) -> str:
    entries = {f.removesuffix(".safetensors"): e for f, e in sorted(manifest.items())}
    readers = {f: e["scores"] for f, e in entries.items() if "mean_r2" in e["scores"]}
    embedders = {f: e["scores"] for f, e in entries.items() if "tar_at_far_1pct" in e["scores"]}
    keys = ("mean_r2", *(f"{n}_r2" for n in DEFAULT_TABLE.names))
    r2 = [(k.removesuffix("_r2"), *(f"{s[k]:.2f}" for s in readers.values())) for k in keys]
    seen = ("tar_at_far_1pct", "same_similarity", "different_similarity", "people")
    people = [(f, *(s[k] for k in seen)) for f, s in embedders.items()]
    return f"""## Regressors, embedders, judges

R² on 1,024 held-out faces of the independent population, by the recipes themselves:

{_table(("attribute", *readers), r2)}
Verification on unseen people, every other attribute drawn anew:

{_table(("embedder", "TAR at 1 % FAR", "same", "different", "people"), people)}"""


def _editing(title: str, which: str, report: Mapping[str, Any]) -> str:
    p, method = report["protocol"], report["methods"][0]
    truth = "" if report.get("identity_anchors", {}).get("same") else " --truth-people 0"
    rows = []
    for row in report["attributes"]:
        low, high = row.get("achieved_median_low"), row.get("achieved_median_high")
        rows.append(
            (
                row["attribute"],
                row["faces"],
                f"{_number(row['achieved_median'])} [{_number(low)}, {_number(high)}]",
                _number(row["others_mean"], 3),
                _number(row["identity_similarity"]),
                _number(row["identity_placement_score"]),
                _number(row["cycle_error_mean"], 3),
            )
        )
    head = ("attribute", "faces", "achieved", "others", "identity", "placed", "cycle")
    together = ", ".join(
        (
            f"achieved {_number(method['achieved_median'])}",
            f"others {_number(method['others_mean'], 4)}",
            f"placed {_number(method['identity_placement_score'])}",
        )
    )
    return f"""## {title}

`l2l evaluate --attributes {which} --faces {p["faces"]} --seed {p["seed"]}{truth} --out report`

Requests of ±{p["request"]} within reach on unseen seeds, read by the second judges. *Achieved* is
the median share of the request that came, with its 95 % bootstrap interval over faces; *others*
the mean absolute change of the other attributes; *placed* is identity on a scale from two
different people (0) to the same person drawn again with the attribute truly changed (1).

{_table(head, rows)}
All together: {together}; intervals from {p["draws"]} resamples.

Null edit: {method["null_error"]:.2g} of std(w). One edit: {method["milliseconds_per_edit"]:.2f} ms.
"""


LIMITS = """## Limits

- Sixty-four pixels: what is thinner than a pixel (fine wrinkles, lashes) cannot be edited.
- What is still wrong with the renders of world 2: the edge of a brimmed hat is ragged; short hair
  with a fringe hints at a bowl; long hair tucked behind the ears ends in lobes; full hair and hats
  touch the picture's upper edge; earrings are drawn over hair; glasses half way between absent and
  present are see-through; shirt collars are all alike; freckles are regular; with thin lips on dark
  skin the red of lip makeup hardly shows; the mouth of a wide smile shows too few teeth.
- The judges saw renders, not generated faces; where the generator draws what the renderer never
  does, their readings are extrapolation.
- The 35 attributes and their correlations are ours; gender is a rendered presentation, no more.
- The mapper's gains are chosen by the regressors that trained it, with a budget of 0.05 for side
  effects. The second judge reads more of them than they do. With a budget of 0.04 it reads 0.0497,
  and 0.68 of what was asked.
- The identity judge tells people apart only as well as its TAR says, so *placed* is a noisy scale.
  Its upper end is measured on renders, its lower end on renders or on generated faces, whichever
  are more alike.
"""


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
