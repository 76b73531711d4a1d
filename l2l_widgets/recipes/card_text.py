"""The model card's words: figures into Markdown, each with the command that measures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.evaluation.readers import measured
from l2l_widgets.recipes.markdown import markdown_table
from l2l_widgets.recipes.mixing_text import card_section

__all__ = ["card"]

#: How far a share may be from the population's, and how narrow a spread, before it is named.
SHARE_ERROR, LEAST_SPREAD, LARGEST_SHIFT = 0.2, 0.7, 0.05


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
        _generator(manifest, scores["generator"], scores.get("detection")),
        _readers(scores["readers"]),
        _embedders(manifest),
        _parser(manifest),
        _editing("The mapper on the paper's eight attributes", "paper", scores["mapper"]),
        _editing("The mapper on every attribute", "all", scores["mapper_all"]),
        card_section(scores["mixer"]) if "mixer" in scores else "",
        LIMITS,
    ]
    return "\n".join(part for part in parts if part)


def _files(manifest: Mapping[str, Any]) -> str:
    rows = [
        (f"`{file}`", e["kind"], f"`l2l train {e['recipe']}`", e["steps"], e["seed"])
        for file, e in sorted(manifest.items())
    ]
    return "## Files\n\n" + markdown_table(("file", "what", "trained by", "steps", "seed"), rows)


def _generator(
    manifest: Mapping[str, Any], s: Mapping[str, Any], detection: Mapping[str, Any] | None
) -> str:
    config = next(e["config"] for e in manifest.values() if e["recipe"] == "generator")
    narrow = [f"{n} {_number(v)}" for n, v in s["spread_ratio"].items() if (v or 0) < LEAST_SPREAD]
    shifted = [
        f"{n} {v:+.2f}"
        for n, v in s["mean_shift"].items()
        if v is not None and abs(v) > LARGEST_SHIFT
    ]
    rows = (
        (f"Fréchet distance, `{_frechet_name(s)}`", s["frechet_distance"]),
        ("the same between two sets of renders", s["frechet_floor"]),
        ("ratio of the two", s["frechet_ratio"]),
        ("precision, recall (k = 3)", f"{s['precision_score']}, {s['recall_score']}"),
        ("mean absolute error of the attributes' correlations", s["correlation_error"]),
    )
    return f"""## Generator

A StyleGAN2 of world {config.get("world", 1)}, bootstrapped: {config["distil_steps"]} steps of
distillation from the renderer's factors, {config["paired_steps"]} adversarial steps on paired
pictures, and only then unpaired adversarial training. Directions are easier to find in such a
latent space than in one that no factor ever touched. Its discriminator looks through the features
of the two regressors that train the mapper; the judge whose features are compared below had no part
in it.

`l2l train cards`: {s["faces"]} generated faces (seed {s["seed"]}, no truncation) against as many
held-out renders, in the attribute judge's features:

{markdown_table(("measure", "value"), rows)}
Attributes whose spread is below {LEAST_SPREAD} of the renders': {", ".join(narrow) or "none"}.

Attributes whose mean is off by more than {LARGEST_SHIFT}: {", ".join(shifted) or "none"}.

{_shares(s["share"])}
{_detection(detection)}
{_memorisation(s["memorisation"])}"""


def _frechet_name(s: Mapping[str, Any]) -> str:
    """Named with its protocol: whose features, how many thousand faces."""
    return f"frechet_judge_{s['frechet_faces'][0] / 1000:g}k"


def _shares(shares: Mapping[str, Mapping[str, Any]]) -> str:
    rows, off = [], []
    for name, v in shares.items():
        rows.append(
            (
                name,
                f"{v['fake']:.3f} [{v['low']:.3f}, {v['high']:.3f}]",
                f"{v['real']:.3f}",
                _number(v["ratio"]),
            )
        )
        if v["ratio"] is not None and abs(v["ratio"] - 1) > SHARE_ERROR:
            # the interval of the generated share alone decides whether that may be chance
            near = (
                v["low"] <= (1 + SHARE_ERROR) * v["real"]
                and v["high"] >= (1 - SHARE_ERROR) * v["real"]
            )
            off.append(f"{name} {v['ratio']:.2f}" + (" (within chance)" if near else ""))
    seldom = [name for name, v in shares.items() if v["ratio"] is None]
    return f"""\
Share of the faces that have each attribute (read above 0.5; 95 % bootstrap interval):

{markdown_table(("attribute", "generated", "renders", "ratio"), rows)}
Shares off by more than {SHARE_ERROR:.0%} of the renders': {", ".join(off) or "none"} \
({len(shares) - len(off) - len(seldom)} of {len(shares)} are within it). No render has: \
{", ".join(seldom) or "none missing"}.
"""


def _detection(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Finds by detectors of real faces: not measured (needs `l2l-widgets[detect]`).\n"
    rows = [
        (
            what,
            found[what]["fake"],
            found[what]["real"],
            f"{_number(found[what]['ratio'])} [{_number(found[what]['low'])}, "
            f"{_number(found[what]['high'])}]",
        )
        for what in ("face", "eyes")
    ]
    return f"""\
Finds a picture by OpenCV's cascades, which were trained on photographs, upscaled alike to 128 px;
{found["faces"]} faces of each kind (a weak test: blurred faces pass it):

{markdown_table(("what", "generated", "renders", "ratio"), rows)}"""


def _memorisation(s: Mapping[str, Any]) -> str:
    rows = [
        (
            space,
            f"{s[space]['ratio']:.3f} [{s[space]['low']:.3f}, {s[space]['high']:.3f}]",
            f"{s[space]['closer_share']:.3f}",
        )
        for space in ("pixels", "features")
    ]
    return f"""\
Distance to the nearest of {s["training_faces"]} training pictures: median over {s["faces"]}
generated faces, as a ratio to that of as many held-out renders; and the share of generated faces
that lie nearer than 99 % of the held-out ones (0.01 where nothing is memorised). `neighbours.png`,
which the command writes beside this card, shows the nearest pairs:

{markdown_table(("space", "ratio", "closer"), rows)}"""


def _readers(readers: Mapping[str, Mapping[str, Any]]) -> str:
    first = next(iter(readers.values()))
    rows = [
        (
            name,
            *(
                f"{_number(s['attributes'][name]['r2'])} / {_number(s['attributes'][name]['auc'])}"
                f" / {_number(s['attributes'][name]['calibration_error'], 3)}"
                for s in readers.values()
            ),
        )
        for name in first["attributes"]
    ]
    means = [
        (
            "mean",
            *(f"{_number(s['mean_r2'])} / - / {_number(s['mean_calibration_error'], 3)}"
              for s in readers.values()),
        )
    ]  # fmt: skip
    verdicts = []
    for reader, s in readers.items():
        reached, missed = measured(s["attributes"])
        verdicts.append(
            f"- {reader}: R² of at least 0.9 or AUC of at least 0.98 on {len(reached)} of "
            f"{len(s['attributes'])} ({', '.join(reached) or 'none'}); not on: "
            f"{', '.join(missed) or 'none'}."
        )
    listed = "\n".join(verdicts)
    return f"""## Regressors and their judge

`l2l train cards`: {first["faces"]} faces of the independent population that nothing was trained on.
R², AUC (true degree above 0.5) and expected calibration error (reading against truth in 10 bins):

{markdown_table(("attribute", *readers), means + rows)}
{listed}

Calibration curves, pooled over the attributes; those of each attribute are in `scores.json`, and
drawn in `reliability.png`, which the command writes beside this card:

{_curves(readers)}"""


def _curves(readers: Mapping[str, Mapping[str, Any]]) -> str:
    """Bins of the reading, pooled over attributes: what is true where so much was read."""
    rows = []
    bins = len(next(iter(next(iter(readers.values()))["attributes"].values()))["count"])
    for b in range(bins):
        row: list[object] = [f"{b / bins:.1f} to {(b + 1) / bins:.1f}"]
        for s in readers.values():
            cells = [
                (a["count"][b], a["reading"][b], a["truth"][b])
                for a in s["attributes"].values()
                if a["count"][b]
            ]
            total = sum(count for count, _, _ in cells)
            if not total:
                row.append("-")
                continue
            read, true = (sum(c[0] * c[k] for c in cells) / total for k in (1, 2))
            row.append(f"{read:.3f} / {true:.3f} ({total})")
        rows.append(row)
    return markdown_table(("read", *(f"{name}: read / true (n)" for name in readers)), rows)


def _embedders(manifest: Mapping[str, Any]) -> str:
    scores = {f.removesuffix(".safetensors"): e["scores"] for f, e in sorted(manifest.items())}
    seen = ("tar_at_far_1pct", "same_similarity", "different_similarity", "people")
    people = [(f, *(s[k] for k in seen)) for f, s in scores.items() if seen[0] in s]
    return f"""## Embedders

Verification on unseen people, every other attribute drawn anew, by the recipes themselves:

{markdown_table(("embedder", "TAR at 1 % FAR", "same", "different", "people"), people)}"""


def _parser(manifest: Mapping[str, Any]) -> str:
    # others divide pictures or find landmarks; it does both
    both = {"mean_iou_score", "landmark_error"}
    entry = next((e for e in manifest.values() if both <= e["scores"].keys()), None)
    if entry is None:
        return ""
    s = entry["scores"]
    parts = sorted((k.removesuffix("_iou"), v) for k, v in s.items() if k.endswith("_iou"))
    return f"""## Parser

`l2l train parser`, on {s["faces"]:.0f} held-out faces of the independent population. Mean
intersection over union of the {len(parts)} classes that they show: {s["mean_iou_score"]:.3f}.
Landmarks: mean error {s["landmark_error"]:.4f} of the distance between the eyes' outer corners.

{markdown_table(("class", "intersection over union"), parts)}"""


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

{markdown_table(head, rows)}
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
