"""Two recipes side by side: both faces, what differs between them, and whether it is one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.references import (
    attribute_judge,
    checked_embedding,
    checked_readings,
    identity_judge,
    judge_names,
)
from l2l_widgets.session.replay import Recipe


@dataclass(frozen=True)
class RecipePair:
    """What :func:`compare_recipes` found.

    Parameters
    ----------
    images : (Tensor, Tensor), each of shape (3, R, R)
        The edited faces, RGB in [-1, 1].
    readings : (mapping, mapping)
        Attribute -> value in [0, 1], as the judge reads each; hidden attributes are left out.
    identity : float or None
        Cosine similarity of the two faces; None without an identity judge.
    recipes : (Recipe, Recipe)
        What was compared.
    judges : mapping of str to str
        Who read.
    """

    images: tuple[Tensor, Tensor]
    readings: tuple[dict[str, float], dict[str, float]]
    identity: float | None
    recipes: tuple[Recipe, Recipe]
    judges: dict[str, str]

    def differences(self) -> dict[str, float]:
        """Attribute -> second minus first, the largest first."""
        first, second = self.readings
        found = {name: second[name] - value for name, value in first.items()}
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Fields in which the recipes differ -> both values, None where one has none."""
        first, second = (_flat(recipe.to_dict()) for recipe in self.recipes)
        names = dict.fromkeys([*first, *second])
        return {
            n: (first.get(n), second.get(n)) for n in names if first.get(n) != second.get(n)
        }  # fmt: skip


def compare_recipes(models: Models, first: Recipe, second: Recipe) -> RecipePair:
    """Draw two recipes and read what differs.

    Parameters
    ----------
    models : Models
        Must be those of both recipes, by their hashes, and hold an attribute judge or a regressor.
    first, second : Recipe
        From :func:`l2l_widgets.session.replay.read_recipe` or ``parse_recipe``.

    Raises
    ------
    ValueError
        A recipe that these models cannot honour; it says which of the two.
    """
    if not (models.has("attribute_judge") or models.has("regressor")):
        raise ValueError(f"models {models.name!r} hold no attribute judge; allowed: some that do")
    images: list[Tensor] = []
    for which, recipe in (("first", first), ("second", second)):
        try:
            session = EditSession.from_recipe(models, recipe)
            result = session.render()
            if result.error is not None:
                raise ValueError(result.error)
        except ValueError as error:
            raise ValueError(f"{which} recipe: {error}") from None
        assert result.after is not None
        images.append(result.after)
    table, visible = models.table, visible_table(models.table)
    readings, vectors = [], []
    with torch.inference_mode():
        for image in images:  # one at a time, as a receipt reads
            batch = image[None].to(models.device)
            values = checked_readings(attribute_judge(models)(batch), "judge", table)[0].tolist()
            named = dict(zip(table.names, values, strict=True))
            readings.append({name: named[name] for name in visible.names})
            if models.has("identity_judge") or models.has("embedder"):
                vectors.append(checked_embedding(identity_judge(models)(batch)))
    identity = float((vectors[0] * vectors[1]).sum()) if vectors else None
    return RecipePair(
        (images[0], images[1]), (readings[0], readings[1]), identity, (first, second),
        judge_names(models),
    )  # fmt: skip


def _flat(value: dict[str, Any], dot: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, inner in value.items():
        if name == "edits":
            inner = {str(i): edit for i, edit in enumerate(inner)}
        if name in ("picture", "format", "hashes"):
            continue
        if isinstance(inner, dict):
            out.update(_flat(inner, f"{dot}{name}."))
        else:
            out[f"{dot}{name}"] = inner
    return out
