"""Where mask and latent meet: an edit of the sliders, seen through a painted area.

The editor never hears of the area. What it changed inside and outside is measured, and the outside
can be kept by blending, which is done to the picture: the latent stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.maskgan.regions import RegionChange, keep_outside, region_change
from l2l_widgets.painting.recipe import PaintError
from l2l_widgets.painting.session import PaintSession

if TYPE_CHECKING:
    from l2l_widgets.session.edit_session import EditSession


@dataclass(frozen=True)
class EditInArea:
    """An edit of a latent, and an area.

    Attributes
    ----------
    before, after, kept : Tensor, shape (3, R, R)
        The face, its edit, and the edit with the outside of the area kept; RGB in [-1, 1].
    change, kept_change : RegionChange
        What the edit changed where, and what is left of it where the outside is kept.
    """

    before: Tensor
    after: Tensor
    kept: Tensor
    change: RegionChange
    kept_change: RegionChange


def area_painter(session: EditSession) -> PaintSession:
    """A blank mask over a session's unedited face, on which an area can be painted.

    Show it in a :class:`~l2l_widgets.MaskPainter`; whatever class is painted, its ``region`` is the
    area. Nothing is drawn from it.
    """
    before = session.render().before
    if before is None:
        raise PaintError("the session has no picture yet; allowed: one that can be drawn")
    side = before.shape[-1]
    painter = PaintSession(None, before, torch.zeros(side, side, dtype=torch.uint8))
    painter.missing = "this mask marks an area; nothing is drawn from it"
    return painter


def edit_in_area(session: EditSession, area: Tensor, feather: float = 3.0) -> EditInArea:
    """Look at a session's edit through an area.

    Parameters
    ----------
    session : EditSession
        As the sliders left it.
    area : Tensor, shape (R, R), bool
        For example the ``region`` of a :class:`PaintSession`.
    feather : float
        Pixels outside over which the kept outside fades into the edit.

    Raises
    ------
    ValueError
        The edit cannot be drawn, or the area has another size than its picture.
    """
    result = session.render()
    if result.error is not None or result.before is None or result.after is None:
        raise PaintError(f"the edit cannot be drawn: {result.error}")
    before, after = result.before, result.after
    change = region_change(before, after, area)
    kept = keep_outside(before, after, area, feather)
    return EditInArea(before, after, kept, change, region_change(before, kept, area))
