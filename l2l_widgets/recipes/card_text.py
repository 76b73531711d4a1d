"""The model card's words: figures into Markdown, each with the command that measures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.evaluation.readers import measured
from l2l_widgets.faceworld.version import WORLD, known_flaws
from l2l_widgets.recipes.card_sections import (
    NOT_MEASURED,
    TRAINING,
    latency_section,
    masks_section,
)
from l2l_widgets.recipes.manifest_worlds import outdated, worlds
from l2l_widgets.recipes.mapper_text import mapper_section
from l2l_widgets.recipes.markdown import markdown_table, wrapped
from l2l_widgets.recipes.mixing_text import card_section

__all__ = ["card"]

#: How far a share may be from the population's, and how narrow a spread, before it is named.
SHARE_ERROR, LEAST_SPREAD, LARGEST_SHIFT = 0.2, 0.7, 0.05
BASE, GROWN, MAPPER = "generator_base", "generator", "mapper"


def card(name: str, manifest: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Return the model card in Markdown.

    Parameters
    ----------
    name : str
        Of the world.
    manifest : mapping
        File -> entry, as ``MANIFEST.json`` holds them.
    scores : mapping
        As ``scores.json`` holds them; parts that are not there are said to be not measured.
    """
    intro = f"""# Model card: {name}

Written by `l2l train cards`, which measures what is said here; `MANIFEST.json` has the hash,
recipe, seed and commit of every file. The faces are rendered, not photographed: the figures say
how the methods behave in this world, and nothing about photographs.
"""
    parts = [
        intro,
        _files(manifest),
        _generator(manifest, scores.get("generator"), scores.get("detection")),
        _readers(scores.get("readers")),
        _embedders(scores.get("embedders")),
        masks_section(manifest, scores),
        _mapper(manifest, scores),
        card_section(scores["mixer"]) if "mixer" in scores else "",
        latency_section(scores.get("latency"), scores.get("side"), manifest),
        TRAINING,
        _limits(manifest, scores),
    ]
    return "\n".join(part for part in parts if part)


def _files(manifest: Mapping[str, Any]) -> str:
    found = worlds(manifest)
    rows = [
        (
            f"`{file}`",
            e["kind"] + (" (not shipped: only recipes read it)" if e.get("intermediate") else ""),
            f"`l2l train {e['recipe']}`",
            e["steps"],
            e["seed"],
            "-" if found[file] is None else found[file],
        )
        for file, e in sorted(manifest.items())
    ]
    table = markdown_table(("file", "what", "trained by", "steps", "seed", "world"), rows)
    return f"## Files\n\n{table}\n{_outdated(manifest)}\n"


def _outdated(manifest: Mapping[str, Any]) -> str:
    old = outdated(manifest, WORLD)
    said = (
        f"*World* is the version of the renderer whose pictures a file learned from, itself or "
        f"through the files that it was made from; today's renderer draws world {WORLD}."
    )
    if not old:
        return wrapped(f"{said} Every file is of that world, and made from files that lie here.")
    by_reason: dict[str, list[str]] = {}
    for file, why in sorted(old.items()):
        by_reason.setdefault(why, []).append(f"`{file}`")
    names = "; ".join(f"{', '.join(files)} ({why})" for why, files in by_reason.items())
    return wrapped(
        f"{said} Older than that, or made from other files than lie here: {names}. Figures that "
        f"`l2l train cards` measures are those of these files on renders of world {WORLD}, "
        "whatever they learned from."
    )


def _generator(
    manifest: Mapping[str, Any],
    s: Mapping[str, Any] | None,
    detection: Mapping[str, Any] | None,
) -> str:
    if s is None:
        return f"## Generator\n\n{_history(manifest)}\n\n{NOT_MEASURED}"
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

{_history(manifest)}

`l2l train cards`: {s["faces"]} generated faces (seed {s["seed"]}, no truncation) against as many
held-out renders, in the attribute judge's features{_compared_at(s)}:

{markdown_table(("measure", "value"), rows)}
Attributes whose spread is below {LEAST_SPREAD} of the renders': {", ".join(narrow) or "none"}.

Attributes whose mean is off by more than {LARGEST_SHIFT}: {", ".join(shifted) or "none"}.

{_shares(s["share"])}
{_detection(detection)}
{_memorisation(s["memorisation"])}"""


def _history(manifest: Mapping[str, Any]) -> str:
    """How the generator came about: its own recipe alone, or a base and a block grown onto it."""
    by_recipe = {e["recipe"]: e for e in manifest.values()}
    base, block = by_recipe.get(BASE), by_recipe.get(GROWN)
    first = base or block
    if first is None:
        return "A StyleGAN2 whose training `MANIFEST.json` does not list."
    config = first["config"]
    steps = [
        f"{config[name]} {what}"
        for name, what in (
            ("mapping_steps", "steps in which the mapping network alone learns where a portrait's "
             "looks lie in z"),
            ("distil_steps", "steps of distillation from the renderer's factors"),
            ("paired_steps", "adversarial steps on paired pictures"),
        )
        if name in config
    ]  # fmt: skip
    parts = [
        f"A StyleGAN2 of world {config.get('world', 1)}, bootstrapped: {', '.join(steps)}, and "
        "only then unpaired adversarial training. Directions are easier to find in such a latent "
        "space than in one that no factor ever touched. The discriminator of that training looks "
        "through the features of the two regressors that train the mapper; the judge whose "
        "features are compared below had no part in it."
    ]
    if base is not None and block is not None:
        doubling = block["config"].get("doubling_steps")
        learns = "learns to double renders" + (f", {doubling} steps" if doubling else "")
        parts += [
            f"In two recipes: `l2l train {BASE}` does all of this at 64 px, {base['steps']} steps. "
            f"Then `l2l train {GROWN}`, {block['steps']} steps, freezes it and trains one more "
            "block on top, for 128 px. That block has no discriminator and is not adversarial: a "
            f"small network {learns}, and the block learns to draw what that network makes of the "
            "picture of 64 px. W, and the picture of 64 px that the skip output still gives, stay "
            "what they were to the bit; averaged over 2 x 2 pixels, the picture of 128 px is "
            "taught to be that one: close to it, not equal. The block learned from faces of one w "
            "in all rows alone: of codes whose rows differ (W+, style mixing), which the layers "
            "below it have met, it has seen none.",
            "Readers, judges, editors, the mixer and the painter look at 64 px, in training and "
            "below; a larger picture is shrunk for them. So every figure of quality in this card "
            "is taken of pictures of 64 px, and none says how crisp those of 128 px are.",
        ]
    return "\n\n".join(wrapped(part) for part in parts)


def _compared_at(scores: Mapping[str, Any]) -> str:
    """Say at which side the pictures were compared, where the scores know it."""
    side = scores.get("side")
    if side is None:
        return ""
    return f""". Both are compared at {side} px, the
size that the judge looks at: larger generated pictures are averaged down to it first, so neither
distance, precision nor recall says anything of finer detail"""


def _frechet_name(s: Mapping[str, Any]) -> str:
    """Named with its protocol: whose features, at which side, how many thousand faces."""
    side = f"_{s['side']}px" if s.get("side") else ""
    return f"frechet_judge{side}_{s['frechet_faces'][0] / 1000:g}k"


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


def _memorisation(sets: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            f"{which}, {s['training_faces']}",
            space,
            f"{s[space]['ratio']:.3f} [{s[space]['low']:.3f}, {s[space]['high']:.3f}]",
            f"{s[space]['closer_share']:.3f}",
        )
        for which, s in sets.items()
        for space in ("pixels", "features")
    ]
    faces = next(iter(sets.values()))["faces"]
    large = ""
    if "large" in sets:
        large = (
            "`large` are the renders of the block's own size that taught the network which taught "
            "it. They are averaged down as well: a copy of fine detail alone would not be seen."
        )
    said = wrapped(
        f"Distance to the nearest training picture: median over {faces} generated faces, as a "
        "ratio to that of as many held-out renders; and the share of generated faces that lie "
        "nearer than 99 % of the held-out ones (0.01 where nothing is memorised). Compared are "
        "means over 16 x 16 pieces of the picture, and the judge's features. "
        f"{large} `neighbours.png`, which the command writes beside this card, shows the nearest "
        "pairs of `population`:"
    )
    head = ("training set, pictures", "space", "ratio", "closer")
    return f"""\
{said}

{markdown_table(head, rows)}"""


def _readers(readers: Mapping[str, Mapping[str, Any]] | None) -> str:
    if readers is None:
        return f"## Regressors and their judge\n\n{NOT_MEASURED}"
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


def _embedders(embedders: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Verification, measured; what a recipe reports of its own training has no interval."""
    if not embedders:
        return f"## Embedders\n\n{NOT_MEASURED}"
    first = next(iter(embedders.values()))
    rows = [
        (
            name,
            f"{s['true_accept_rate']:.3f} [{s['low']:.3f}, {s['high']:.3f}]",
            f"{s['same_similarity']:.3f}",
            f"{s['different_similarity']:.3f}",
        )
        for name, s in embedders.items()
    ]
    said = wrapped(
        f"`l2l train cards`: {first['people']} people whom no recipe learned from, in "
        f"{first['pictures']} renders with every other attribute drawn anew. TAR at 1 % FAR is the "
        "share of pairs of one person that are more alike than all but 1 % of the pairs of two; in "
        f"brackets 95 % of {first['draws']} bootstrap resamples of the people (seed "
        f"{first['seed']}). Then the mean cosine of both kinds of pairs:"
    )
    head = ("embedder", "TAR at 1 % FAR", "same", "different")
    return f"## Embedders\n\n{said}\n\n{markdown_table(head, rows)}"


def _mapper(manifest: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """How the mapper is built, and what it reached on both lists of attributes."""
    parts = [f"## The mapper\n\n{_mapper_built(manifest)}\n"]
    for key, which, title in (
        ("mapper", "paper", "The mapper on the paper's eight attributes"),
        ("mapper_all", "all", "The mapper on every attribute"),
    ):
        if key in scores:
            parts.append(mapper_section(title, which, scores[key]))
        else:
            parts.append(f"## {title}\n\n{NOT_MEASURED}")
    return "\n".join(parts)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _mapper_built(manifest: Mapping[str, Any]) -> str:
    entry = next((e for e in manifest.values() if e["recipe"] == MAPPER), None)
    config = {} if entry is None else entry["config"]
    if "topology" not in config:
        return "`MANIFEST.json` does not say how it is built."
    width = config["hidden_dim"] or "the latent's size of"
    text = (
        f"Topology {config['topology']}, {config['layers']} hidden layers of {width} units"
        f"{' (the paper has layers of the size of the input)' if config['hidden_dim'] else ''}, "
        f"output {config['output']}, null {config['null']}."
    )
    if config.get("leave_free"):
        text += (
            " What shares the movement that was asked for had no target in its training (a smile "
            "may take happiness along); the figures below count it among the others all the same."
        )
    if config["null"] == "symmetric":
        looks = config.get("halfways", 1)
        text += (
            " An edit runs the network for the change and its opposite, at the start and at the "
            f"half-way point, which is looked for {_times(looks)}; the time below is that of all "
            f"{2 * looks + 2} runs."
        )
    if config.get("identity_floor"):
        text += (
            " A request for something that comes by degrees ends where the training embedder "
            f"finds less than {config['identity_floor']:g} of the person left, though not below "
            "0.3: what is out of reach is not in the figures."
        )
    return wrapped(text)


def _limits(manifest: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    recipes = {e["recipe"]: e for e in manifest.values()}
    side, seen = scores.get("side"), scores.get("generator", {}).get("side", 64)
    size = f"The generator draws {side} px. " if side else ""
    size += (
        f"What readers, judges and editors learned from is {seen} px wide: what is thinner than a "
        "pixel of these (fine wrinkles, lashes) is neither edited nor measured, whatever the "
        "generator draws of it."
    )
    gains = "The mapper's gains are chosen by the regressors that trained it"
    budget = recipes.get(MAPPER, {}).get("config", {}).get("others_budget")
    if budget is not None:
        gains += (
            f", with a budget of {budget:g} for the mean change of the other attributes. The "
            "budget is a choice: it was lowered after a second judge had been seen to read more "
            "side effects than the regressors do, on other faces than those of this card"
        )
    found = scores["mapper"]["methods"][0].get("others_mean") if "mapper" in scores else None
    if found is not None:
        gains += f". Here the second judge, who trained nothing, reads {_number(found, 4)}"
    flaws = "; ".join(known_flaws())
    points = (
        size,
        f"What is still wrong with the renders of world {scores.get('world', WORLD)}: {flaws}.",
        "The judges saw renders, not generated faces; where the generator draws what the renderer "
        "never does, their readings are extrapolation.",
        "The attributes and their correlations are ours; gender is a rendered presentation, no "
        "more.",
        f"{gains}.",
        "The identity judge tells people apart only as well as its TAR says, so *placed* is a "
        "noisy scale. Its upper end is measured on renders, its lower end on renders or on "
        "generated faces, whichever are more alike.",
        "Intervals are over faces: another training of the same recipe may differ by more.",
    )
    return "## Limits\n\n" + "\n".join(wrapped(f"- {point}", "  ") for point in points) + "\n"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
