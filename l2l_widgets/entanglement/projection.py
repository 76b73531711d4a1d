"""What conditional projection promises for stored boundaries, before it is tried."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from l2l_widgets.editors.conditional import ProjectionCheck, check_projection
from l2l_widgets.editors.interfacegan import InterFaceGANEditor
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.references import attribute_judge

PLAIN, HELD = "interfacegan", "interfacegan-conditional"


def stored_projection(
    models: Models,
    primal: str,
    conditions: Sequence[str] | None = None,
    *,
    ws: Tensor | None = None,
    plain: str = PLAIN,
    held: str = HELD,
) -> ProjectionCheck:
    """Work out what holding attributes does to the stored boundary of another.

    Parameters
    ----------
    models : Models
        With both editors, where no conditions are given.
    primal : str
        The attribute that is to change.
    conditions : sequence of str, optional
        Those that are to stay; what the conditional editor holds for it where not given.
    ws : Tensor, shape (F, num_ws, w_dim), optional
        Faces to measure on with the judge.
    plain, held : str
        Names of the two methods.

    Raises
    ------
    ValueError
        A method that is not there or holds no boundaries, an attribute without one or that is
        hidden, or nothing that is held.
    """
    check_visible((primal, *(conditions or ())), models.table)
    editor = models.editor(plain)
    if not isinstance(editor, InterFaceGANEditor):
        raise ValueError(f"method {plain!r} holds no boundaries; allowed: {PLAIN}")
    if conditions is None:
        known = getattr(models.editor(held), "details", {}).get("conditions", {})
        conditions = known.get(primal, ())
        if not conditions:
            visible = visible_table(models.table)
            raise ValueError(
                f"{held} holds nothing while it changes {primal!r}; allowed: "
                f"{', '.join(n for n, c in known.items() if c and n in visible)}"
            )
    if ws is None:
        return check_projection(editor.boundary_set(), primal, conditions)
    judge = attribute_judge(models)

    def read(latents: Tensor) -> Tensor:
        with torch.inference_mode():
            return judge(models.generator.synthesis(latents, noise_mode="const")).float()

    return check_projection(editor.boundary_set(), primal, conditions, read, ws)
