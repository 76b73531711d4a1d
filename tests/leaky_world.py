"""The open world with editors that leak what, where and as much as a test says."""

from __future__ import annotations

from open_world import Moves, OpenWorld, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.models.zoo import Models

SMILE = DEFAULT_TABLE.index("smile")


class Plants(Moves):
    """Adds 0.2 to smile whenever age is edited, whichever way; perfect elsewhere."""

    name = "plants"

    def edit(self, w, request):
        out = super().edit(w, request)
        if "age" in request.changes and not request.empty:
            out[:, :, SMILE] += 0.2
        return out


class Follows(Moves):
    """Adds two thirds of every change of age to smile: a leak that follows the edit."""

    name = "follows"

    def edit(self, w, request):
        out = super().edit(w, request)
        out[:, :, SMILE] += 2 / 3 * request.changes.get("age", 0.0)
        return out


def world(**editors):
    parts = open_models()
    return Models.from_parts(
        OpenWorld(), regressor=parts.regressor, embedder=parts.embedder,
        attribute_judge=parts.attribute_judge, identity_judge=parts.identity_judge,
        editors=editors, name="open",
    )  # fmt: skip
