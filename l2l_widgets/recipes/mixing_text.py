"""What a mixer reached, as tables: for a report's folder, the model card and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2l_widgets.evaluation.plan import ENOUGH_FACES
from l2l_widgets.recipes.markdown import markdown_table

__all__ = [
    "card_section",
    "factor_table",
    "reach_table",
    "reached",
    "report_text",
    "score_table",
]

#: What a mixer should reach: a measure, in which direction, how far, and what it is.
GOALS = (
    ("closer_share", ">=", 0.95, "share of pairs nearer to the identity input"),
    ("render_closer_share", ">=", 0.95, "the same, renders in"),
    ("render_identity_ratio", ">=", 0.8, "similarity, of that of two renders of one person"),
    ("yaw_error", "<=", 4.0, "yaw against the attribute input, degrees"),
    ("pitch_error", "<=", 4.0, "pitch, degrees"),
    ("roll_error", "<=", 4.0, "roll, degrees"),
    ("mouth_open_correlation", ">=", 0.9, "opening of the mouth"),
    ("eyes_open_correlation", ">=", 0.9, "opening of the eyes"),
    ("identity_factors_identity_r2", ">=", 0.6, "identity factors, R² from the identity input"),
    ("identity_factors_attributes_r2", "<=", 0.1, "the same from the attribute input"),
    ("seconds", "<=", 0.06, "seconds of one mix"),
)
#: What a column of the table of ablations shows.
COLUMNS = (
    "closer_share", "identity_similarity", "attribute_similarity", "yaw_error",
    "mouth_open_correlation", "eyes_open_correlation", "expression_correlation", "landmark_error",
    "rebuilt_ms_ssim", "frechet_distance", "cloud_distance", "outside_share",
)  # fmt: skip
#: The upper bound that another measure puts on a goal's.
CEILINGS = {
    "mouth_open_correlation": "mouth_open_ceiling",
    "eyes_open_correlation": "eyes_open_ceiling",
    "identity_factors_identity_r2": "identity_factors_reader_r2",
}


def reached(
    measured: Mapping[str, Any], goals: Sequence[tuple[str, str, float, str]] = GOALS
) -> list[dict[str, Any]]:
    """Hold what was measured against goals, the mixer's own where no others are given.

    Returns
    -------
    list of dict
        ``measure``, ``what``, ``goal`` (a relation and a number), ``value``, ``interval`` (None
        where there is none), ``ceiling`` (what the judge itself allows; None where unknown) and
        ``reached``. What was not measured is left out.
    """
    rows = []
    for name, relation, goal, what in goals:
        value = measured.get(name)
        if value is None:
            continue
        rows.append(
            {
                "measure": name,
                "what": what,
                "goal": f"{relation} {goal:g}",
                "value": value,
                "interval": measured.get(f"{name}_interval"),
                "ceiling": measured.get(CEILINGS.get(name, "")),
                "reached": value >= goal if relation == ">=" else value <= goal,
            }
        )
    return rows


def report_text(report: Mapping[str, Any]) -> str:
    """A report as Markdown."""
    protocol = report["protocol"]
    command = _command(protocol, report["truth"], "DIR")
    parts = [
        f"# The identity mixer of {report['models']}, measured\n",
        _intro(protocol, command),
        reach_table(report["reach"]),
    ]
    if report["factors"]:
        parts += ["## Which factor followed which input\n", _followed(report["truth"])]
        parts.append(factor_table(report["factors"]))
    if report["ablation_steps"]:
        parts += [
            "## With a loss left out\n",
            f"`{command} --ablations --steps {report['ablation_steps']}`: each trained for "
            f"{report['ablation_steps']} steps from the same start, *whole* with all losses; the "
            "pictures are in `ablations.png`.\n",
            score_table({k: v for k, v in report["scores"].items() if k != "shipped"}),
        ]
    return "\n".join(parts)


def card_section(found: Mapping[str, Any]) -> str:
    """The mixer's part of the model card, from what ``mixing_report.measure_mixer`` returns."""
    protocol = found["protocol"]
    command = _command(protocol, found["truth"], "report")
    parts = ["## Identity mixer\n", _intro(protocol, command), reach_table(found["reach"])]
    if found["factors"]:
        parts += [_followed(found["truth"]), factor_table(found["factors"])]
    return "\n".join(parts)


def _command(protocol: Mapping[str, Any], truth: Mapping[str, Any], out: str) -> str:
    """What to type to measure the same again."""
    words = f"l2l mix-report --pairs {protocol['pairs']} --seed {protocol['seed']}"
    if protocol["truncation_psi"] != 0.7:
        words += f" --truncation {protocol['truncation_psi']:g}"
    words += f" --truth-pairs {truth['render_pairs']}" if truth else " --no-truth"
    return f"{words} --out {out}"


def _intro(protocol: Mapping[str, Any], command: str) -> str:
    preview = "PREVIEW, " if protocol["pairs"] < ENOUGH_FACES else ""
    return (
        f"`{command}`\n\n{preview}{protocol['pairs']} pairs of unseen faces (psi "
        f"{protocol['truncation_psi']:g}), read by the second judges; in brackets 95 % of the "
        "bootstrap over pairs. *At best* is what the measure itself allows: the judge's agreement "
        "with the networks of the training on the inputs themselves, and what the reader of "
        "factors explains of renders that nobody has mixed.\n"
    )


def reach_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each goal, as :func:`reached` returns them."""
    return markdown_table(
        ("measure", "goal", "value", "at best", "reached"),
        (
            (
                row["what"],
                row["goal"],
                _value(row["value"], row["interval"]),
                _value(row["ceiling"]),
                "yes" if row["reached"] else "no",
            )
            for row in rows
        ),
    )


def _followed(truth: Mapping[str, Any]) -> str:
    return (
        f"Renders with known factors, {truth['render_pairs']} pairs. The numbers are R² of a "
        "linear reader on what both judges see: on the renders themselves (*seen*), on a render "
        "mixed with itself (*redrawn*), and on mixes, against the true factors of the identity "
        "input and of the attribute input. A factor follows the input that explains at least 0.05 "
        "of it and twice as much as the other. As they should: "
        f"{truth['identity_factors_right']} identity factors, {truth['pose_factors_right']} of "
        f"pose, {truth['light_factors_right']} of light. Of what can be seen of an identity "
        f"factor at all, {truth['identity_factors_kept_share']:.2f} comes from the identity "
        f"input ({truth['identity_factors_readable']} can be seen). Identity, on a scale from "
        f"strangers (0) to two renders of one person (1): {truth['render_identity_scale']:.2f}.\n"
    )


def factor_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each factor that can be read, or that something in the mixes follows."""
    names = ("reader_r2", "rebuilt_r2", "identity_r2", "attributes_r2")
    shown = [r for r in rows if r["reader_r2"] >= 0.1 or r["follows"] != "neither"]
    left = [r["factor"] for r in rows if r not in shown]
    table = markdown_table(
        ("factor", "kind", "seen", "redrawn", "identity", "attributes", "follows"),
        ((r["factor"], r["kind"], *(f"{r[n]:.2f}" for n in names), r["follows"]) for r in shown),
    )
    return f"{table}\nNot shown, for the reader does not see them: {', '.join(left) or 'none'}.\n"


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each measure, a column for each mixer."""
    kept = [c for c in COLUMNS if any(c in row for row in scores.values())]
    return markdown_table(
        ("measure", *scores),
        (
            (c, *(_value(row.get(c), row.get(f"{c}_interval")) for row in scores.values()))
            for c in kept
        ),
    )


def _value(value: Any, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "-"
    text = f"{value:.3g}"
    return text if interval is None else f"{text} [{interval[0]:.3g}, {interval[1]:.3g}]"
