"""What the mapper reached, for the model card: figures with intervals, goals, and who misses them.

The tables hold what :func:`l2l_widgets.evaluation.summary` says of a comparison at equal request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.recipes.markdown import markdown_table, wrapped
from l2l_widgets.recipes.mixing_text import reach_table, reached

__all__ = ["GOALS", "mapper_section", "misses"]

#: What the mapper should reach over all attributes: a measure, in which direction, how far, and
#: what it is.
GOALS = (
    ("achieved_median", ">=", 0.7, "achieved"),
    ("others_mean", "<=", 0.05, "others"),
    ("identity_placement_score", ">=", 0.75, "placed"),
    ("cycle_error_mean", "<=", 0.1, "cycle"),
    ("null_error", "<=", 0.02, "null edit, of std(w)"),
    ("milliseconds_per_edit", "<=", 1.0, "milliseconds of one edit"),
)
#: Rises and falls, each of which has to reach the first goal: together they may hide one another.
SIDES = {"achieved_median_rise": "rises", "achieved_median_fall": "falls"}
#: Measure -> digits in the table of attributes, in the order of its columns.
COLUMNS = {
    "achieved_median": 2, "achieved_median_rise": 2, "achieved_median_fall": 2, "others_mean": 3,
    "others_unrelated_mean": 3, "identity_similarity": 2,
    "identity_placement_score": 2, "cycle_error_mean": 3, "judge_b_achieved_median": 2,
    "judge_b_others_mean": 3, "ensemble_achieved_median": 2, "ensemble_others_mean": 3,
}  # fmt: skip
HEAD = (
    "attribute", "faces", "achieved", "rises", "falls", "others", "unrelated", "identity",
    "placed", "cycle", "achieved, by judge b", "others, by judge b", "achieved, by the training",
    "others, by the training",
)  # fmt: skip


def mapper_section(title: str, which: str, report: Mapping[str, Any]) -> str:
    """One section of the card.

    Parameters
    ----------
    title : str
        Its heading.
    which : str
        What ``--attributes`` was: "paper" or "all".
    report : mapping
        As :func:`l2l_widgets.evaluation.summary` returns it, one method in it.
    """
    method = report["methods"][0]
    rows = [
        (row["attribute"], row["faces"], *(figure(row, name, n) for name, n in COLUMNS.items()))
        for row in (*report["attributes"], {**method, "attribute": "all together"})
    ]
    p = report["protocol"]
    asked = wrapped(
        f"Requests of ±{p['request']} within reach on unseen seeds, read by the second judges; in "
        f"brackets 95 % of {p['draws']} bootstrap resamples of the faces. *Achieved* is the median "
        "share of the request that came, *rises* and *falls* the same of those alone; *others* "
        "the mean absolute change of the other attributes, in attribute units, *unrelated* of "
        "those that neither share the movement nor are of the same exclusive group; *identity* "
        "the cosine of what the identity judge sees "
        f"before and after. {_placed(report)} *Cycle* is what an edit and its undoing leave "
        "behind, as a share of the edit's length in W+; it is asked without readings, so no target "
        "is corrected on the way. *Judge b* is a second attribute judge of another family, which "
        "trained nothing either. The last two columns are read by the regressors that trained the "
        "mapper: where they see more of the request, or less of the rest, than the judge does, the "
        "mapper has learned something that only they believe."
    )
    return f"""## {title}

`{command(which, report)}`

{wrapped(report["stamp"])}.

{asked}

{markdown_table(HEAD, rows)}
{reach_table(reached(_with_intervals(method), GOALS))}
{_missing(report)}"""


def command(which: str, report: Mapping[str, Any]) -> str:
    """What to type to measure the same again."""
    p, plan = report["protocol"], report["plan"]
    truth = "" if plan["truth_people"] == 60 else f" --truth-people {plan['truth_people']}"
    return (
        f"l2l evaluate --attributes {which} --faces {p['faces']} --seed {p['seed']} "
        f"--parts {','.join(plan['parts'])}{truth} --out report"
    )


def misses(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which attributes miss a goal.

    Returns
    -------
    dict
        "achieved >= 0.7" and so on -> attribute and value of each that misses it, with
        "(within chance)" where the goal lies inside the interval; goals that nobody misses are
        left out.
    """
    found: dict[str, list[str]] = {}
    for row in report["attributes"]:
        for goal in reached(_with_intervals(row), GOALS):
            if goal["reached"]:
                continue
            limit = float(goal["goal"].split()[1])
            ends = goal["interval"]
            near = ends is not None and ends[0] <= limit <= ends[1]
            digits = COLUMNS.get(goal["measure"], 2)
            text = f"{row['attribute']} {goal['value']:.{digits}f}"
            found.setdefault(f"{goal['what']} {goal['goal']}", []).append(
                text + (" (within chance)" if near else "")
            )
        for name, side in SIDES.items():
            value, least = row.get(name), GOALS[0][2]
            if value is not None and value < least:
                label = f"{GOALS[0][3]} {GOALS[0][1]} {least:g} on {side}"
                found.setdefault(label, []).append(f"{row['attribute']} {value:.2f}")
    return found


def figure(row: Mapping[str, Any], name: str, digits: int) -> str:
    """A value with its interval, as far as they are there."""
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text if low is None or high is None else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _placed(report: Mapping[str, Any]) -> str:
    people = report["plan"]["truth_people"]
    if not people or not report["identity_anchors"].get("same"):
        return "*Placed*, identity between strangers and the same person, was not asked for."
    return (
        "*Placed* is that identity on a scale from two different people (0) to the same person "
        "drawn again with the attribute truly changed (1). The upper end comes from renders of at "
        f"most n = {people} people an attribute and counts as exact: the intervals know nothing "
        "of its chance."
    )


def _missing(report: Mapping[str, Any]) -> str:
    lines = [f"- Not {goal}: {', '.join(names)}." for goal, names in misses(report).items()]
    if not lines:
        return "Every attribute reaches every goal.\n"
    count = len(report["attributes"])
    return f"Of {count} attributes, those that miss a goal:\n\n" + "\n".join(lines) + "\n"


def _with_intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with each ``_low`` and ``_high`` as one ``_interval``, as :func:`reached` wants."""
    ends = {
        f"{name}_interval": (row[f"{name}_low"], row[f"{name}_high"])
        for name, *_ in GOALS
        if row.get(f"{name}_low") is not None
    }
    return {**row, **ends}
