"""Who looks at the drawings that ``l2l paint-scores`` measures, and what they have seen before."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l2l_widgets.evaluation.painting import PaintJudges
    from l2l_widgets.models.zoo import Models

JUDGES = ("attribute_judge", "identity_judge")


def painting_judges(args: argparse.Namespace, models: Models) -> tuple[PaintJudges, dict[str, str]]:
    """Who looks at the drawings, and the hash of each."""
    from l2l_widgets.evaluation.painting import judges_of
    from l2l_widgets.models.zoo import ZooError
    from l2l_widgets.painting import load_parser

    parser = load_parser(args.parser, models)
    if parser is None:
        raise ZooError(
            f"models {models.name!r} have no parser, which sees what was drawn; train it: l2l "
            "train parser --publish, or bring yours: --parser"
        )
    for part in JUDGES:
        if not models.has(part):
            raise ZooError(f"models {models.name!r} have no {part}, which measures")
    judges = judges_of(models, parser)
    if judges is None:
        raise ZooError("the attribute judge has no features to measure distances on")
    hashes = {part: str(models.hashes.get(part)) for part in JUDGES}
    own = getattr(parser, "sha256", "") if args.parser is not None else ""
    hashes["parser"] = own or str(models.hashes.get("parser"))
    return judges, hashes


def warn_of_photographs(args: argparse.Namespace, models: Models) -> None:
    """Say which judges have only ever seen renders, before they read pictures of another kind."""
    from l2l_widgets.models.zoo import PART_FILES
    from l2l_widgets.recipes.manifest_worlds import worlds

    parts = [*JUDGES, *(["parser"] if args.parser is None else [])]
    seen = worlds(models.manifest)
    drawn = [part for part in parts if seen.get(PART_FILES[part]) is not None]
    if drawn:
        warnings.warn(
            f"{str(args.data)!r} holds no renders, and {', '.join(drawn)} learned from renders "
            "alone: what they say of other pictures is not checked, and only differences between "
            "painters that all of them read tell something; give models whose judges learned from "
            "such pictures: --generator, --parser",
            stacklevel=1,
        )
