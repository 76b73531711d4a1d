"""The painter's figures in words: for the model card, for `docs/painting.md` and for the README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.recipes.markdown import markdown_table, wrapped
from l2l_widgets.recipes.mixing_text import reach_table, reached

__all__ = ["GOALS", "PAINTED", "ablation_text", "painting_section", "readme_text"]

#: What the painter's figures are called.
PAINTED = {
    "own_iou": "overlap of the mask asked for and the one that the parser sees, own mask",
    "own_iou_asked": "the same, over the classes asked for alone",
    "own_identity": "likeness of drawing and picture, cosine",
    "own_attributes": "share of the attributes that the judge reads alike",
    "own_annotated": "share of the data set's notes that the judge reads in the drawing",
    "true_annotated": "the same, in the picture itself",
    "edited_iou": "overlap, edited mask",
    "edited_iou_asked": "the same, over the classes asked for alone",
    "edited_identity": "likeness, edited mask",
    "edited_attributes": "what the edit is about reads as in the face it is from",
    "moved_iou": "overlap, mask moved by the mask autoencoder towards another's and away from it",
    "moved_iou_asked": "the same, over the classes asked for alone",
    "moved_identity": "likeness, mask moved so",
    "changed_outside": "share of the pixels outside the edited area that changed visibly",
    "changed_outside_kept": "the same with the outside kept by blending",
}
#: Figures that no face has of its own.
ONCE = {
    "asked_attributes": "of the edits that ask for another reading than the face's own, obeyed",
    "identity_share": "likeness, own mask, as a share of that of two renders of one person who "
    "are else the same in nothing",
    "identity_share_same_mask": "the same as a share of that of two renders of one person with "
    "one pose and mask, in other light and colours",
    "frechet_own": "Fréchet distance, own masks",
    "frechet_edited": "Fréchet distance, edited masks",
    "frechet_halves": "Fréchet distance of two halves of the renders",
    "frechet_share": "Fréchet distance, own masks, as a multiple of that of two halves",
}
#: What is asked of a painter.
GOALS = (
    ("own_iou", ">=", 0.75, "overlap, own mask"),
    ("edited_iou", ">=", 0.75, "overlap, edited mask"),
    ("identity_share", ">=", 0.9, "likeness, as a share of two renders of one person"),
    (
        "identity_share_same_mask",
        ">=",
        0.9,
        "likeness, as a share of two renders of one person with one pose and mask",
    ),
    ("frechet_share", "<=", 5.0, "Fréchet distance, as a multiple of two halves of the renders"),
)
#: What a variant is called in a sentence.
VARIANTS = {
    "whole": "shipped",
    "no-edits": "without simulated edits",
    "no-sft": "without SFT",
    "no-blender": "without the blender",
}
#: Of these, less is better.
LESS = ("changed_outside", "changed_outside_kept")


def painting_section(s: Mapping[str, Any]) -> str:
    """The card's section of one painter, from what ``score_painter`` gave."""
    asked = ""
    if "asked_faces" in s:  # a table without these attributes has no such edits
        asked = (
            f" {s['asked_faces']} of the edits ask for another reading than the face's own; the "
            "others count as obeyed where nothing changes."
        )
    said = wrapped(
        f"{s['faces']} unseen renders, drawn from their own masks and from edited ones; the parser "
        "sees masks, the second judges read; in brackets 95 % of the bootstrap over faces, of "
        "Fréchet distances the range over random halvings. Overlap is the mean over the classes "
        "that are asked for or seen. On the true pictures the parser itself overlaps by "
        f"{s['parser_iou']:.3f} ({s['parser_iou_asked']:.3f} over the classes asked for alone), "
        f"the most that can be reached.{asked}"
    )
    small = wrapped(
        f"The Fréchet multiple is of {s['frechet_sets'][0]} faces a side, where chance is most of "
        "either distance: with more faces both shrink, the renders' own faster, and the multiple "
        "grows."
    )
    rows = [(label, _cell(s, name)) for name, label in _labels(s).items()]
    return f"""`l2l paint-scores --faces {s["faces"]} --seed 0 --out report`

{said}

{markdown_table(("measure", "value"), rows)}
{reach_table(reached(_figures(s), GOALS))}
{small}"""


def readme_text(report: Mapping[str, Any]) -> str:
    """The README's sentences of a report of ``l2l paint-scores``, in lines of at most 120 signs."""
    s = report["variants"]["whole"]
    flat = _figures(s)
    short = {row["measure"]: row["goal"].split()[1] for row in reached(flat, GOALS)
             if not row["reached"]}  # fmt: skip

    def falls_short(name: str, sign: str = ",") -> str:
        return f"{sign} below the {short[name]} asked" if name in short else ""

    def value(name: str) -> str:
        return f"{s['means'][name]:.3f} [{', '.join(f'{x:.3f}' for x in s['intervals'][name])}]"

    share, same = s["identity_share"][0], s["identity_share_same_mask"][0]
    return (
        f"On {s['faces']} unseen faces (`l2l paint-scores --faces {s['faces']} --seed "
        f"{report['seed']} --out report`) the parser finds in the drawing what the mask asked for, "
        f"and nothing else, with a mean IoU of {value('own_iou')}{falls_short('own_iou')} "
        f"({s['parser_iou']:.2f} on the true pictures), and of {value('edited_iou')} after "
        f"edits{falls_short('edited_iou')}. A face that is drawn from its own mask is like its "
        f"picture {share:.2f} times as much as two renders of one person who share nothing else"
        f"{falls_short('identity_share')}, and {same:.2f} times as much as two with one pose and "
        "mask, in other light and colours"
        f"{falls_short('identity_share_same_mask')}. Outside of what was painted "
        f"{100 * s['means']['changed_outside']:.0f} % of the pixels change visibly, "
        f"{100 * s['means']['changed_outside_kept']:.0f} % with the outside kept. The Fréchet "
        f"distance is {s['frechet']['frechet_share'][0]:.2f} times that of two halves of the "
        f"renders, {s['frechet_sets'][0]} faces each, where chance is most of either."
    )


def ablation_text(report: Mapping[str, Any], floor: tuple[float, int] | None = None) -> str:
    """Every variant's figures, what the shipped one is ahead by, and what that comes to.

    Parameters
    ----------
    report : mapping
        As ``l2l paint-scores`` writes it.
    floor : tuple of float and int, optional
        The Fréchet distance of two large sets of renders in the same features, and of how many
        faces each is.
    """
    variants = report["variants"]
    names = list(variants)
    whole = variants["whole"]
    goals = {name: f"{relation} {goal:g}" for name, relation, goal, _ in GOALS}
    labels = _labels(whole)
    values = markdown_table(
        ("measure", "asked", *(_name(name) for name in names)),
        (
            (label, goals.get(key, ""), *(_cell(variants[name], key) for name in names))
            for key, label in labels.items()
        ),
    )
    missed = [row for row in reached(_figures(whole), GOALS) if not row["reached"]]
    short = [f"{row['what']}: {row['value']:.3f} ({row['goal']})" for row in missed]
    gaps = report["whole_minus"]
    edits = gaps.get("no-edits", {}).get("edited_iou")
    if edits is not None and edits[1] <= 0:
        short.append(
            f"that simulated edits raise the overlap on edited masks: {_plain_gap(edits)} (above 0)"
        )
    said = f"**Asked for and not reached: {'; '.join(short) or 'nothing'}.**"
    absent = [f"{_name(name)} (`{name}`)" for name in VARIANTS if name not in variants]
    if absent:
        said += f" Not measured: {', '.join(absent)}."
    parts = [values, wrapped(said) + "\n", wrapped(_of_chance(whole, floor)) + "\n"]
    if gaps:
        parts += [
            wrapped(
                "How much more the shipped painter has, face by face; bold where the interval "
                "leaves 0 out:"
            ) + "\n",
            markdown_table(
                ("measure", *(f"than {_name(name)}" for name in gaps)),
                (
                    (PAINTED[key], *(_gap(gaps[name][key]) for name in gaps))
                    for key in next(iter(gaps.values()))
                ),
            ),
            *(_verdict(name, found) for name, found in gaps.items()),
        ]  # fmt: skip
    return "\n".join(parts)


def _of_chance(s: Mapping[str, Any], floor: tuple[float, int] | None) -> str:
    """How much of the Fréchet distances is chance, and what the multiple of it is therefore not."""
    (own, *_), (halves, *_), (share, *_) = (
        s["frechet"][name] for name in ("frechet_own", "frechet_halves", "frechet_share")
    )
    text = (
        f"The multiple of {share:.2f} is of {s['frechet_sets'][0]} faces a side, which flatters: "
        f"two halves of true renders are {halves:.1f} apart for no other reason "
        "than that they are small. With more faces that shrinks, and the multiple grows."
    )
    if floor is not None:
        above, (distance, faces) = own - halves, floor
        text += (
            f" What the drawings have above it is about {above:.1f}, and two sets of {faces:,} "
            f"renders are {distance:.2f} apart (the model card has that): of so many faces the "
            f"multiple would be some {above / distance:.0f}."
        )
    return text


def _verdict(variant: str, gaps: Mapping[str, Any]) -> str:
    """What a part is worth, by the intervals alone."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "no difference is shown": []}
    for name, (_, low, high) in gaps.items():
        ahead = (low > 0) - (high < 0)
        word = ("no difference is shown", "better", "worse")[-ahead if name in LESS else ahead]
        found[word].append(f"`{name}`")
    said = "; ".join(f"{word}: {', '.join(names)}" for word, names in found.items() if names)
    return wrapped(f"- The shipped painter against one {_name(variant)}. {said}.", "  ") + "\n"


def _name(variant: str) -> str:
    return VARIANTS.get(variant, variant)


def _labels(s: Mapping[str, Any]) -> dict[str, str]:
    """Key -> label of what a painter's scores hold, with the key where a sentence names it."""
    there = {**s["means"], **s["frechet"], **s}
    return {k: f"{v} (`{k}`)" for k, v in {**PAINTED, **ONCE}.items() if k in there}


def _figures(s: Mapping[str, Any]) -> dict[str, Any]:
    """Measure -> value, and ``..._interval``, as goals are held against them."""
    out: dict[str, Any] = {}
    for name, value in s["means"].items():
        out[name], out[f"{name}_interval"] = value, s["intervals"][name]
    for name, (value, *interval) in s["frechet"].items():
        out[name], out[f"{name}_interval"] = value, interval
    for name in ONCE:
        if name in s:
            out[name], out[f"{name}_interval"] = s[name][0], s[name][1:]
    return out


def _cell(s: Mapping[str, Any], name: str) -> str:
    figures = _figures(s)
    if name not in figures:
        return "-"
    low, high = figures[f"{name}_interval"]
    count = f", n = {s['asked_faces']}" if name == "asked_attributes" else ""
    return f"{figures[name]:.3f} [{low:.3f}, {high:.3f}]{count}"


def _plain_gap(values: tuple[float, float, float]) -> str:
    mean, low, high = values
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _gap(values: tuple[float, float, float]) -> str:
    _, low, high = values
    return f"**{_plain_gap(values)}**" if low > 0 or high < 0 else _plain_gap(values)
