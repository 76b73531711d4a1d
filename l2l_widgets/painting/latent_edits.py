"""Where mask and latent meet: an edit of the sliders, seen through a painted area.

The editor never hears of the area. What it changed inside and outside is measured, and the outside
can be kept by blending, which is done to the picture: the latent stays what it was.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.painting.recipe import AREA_FORMAT, PaintError
from l2l_widgets.painting.regions import RegionChange, keep_outside, region_change
from l2l_widgets.painting.session import PaintSession
from l2l_widgets.painting.states import Face, State
from l2l_widgets.painting.strokes import KINDS
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import parse_recipe
from l2l_widgets.session.subscribers import never

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.states import EditResult


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


class AreaSession(PaintSession):
    """A slider session's face with an area painted on it, and the edit seen through that area.

    Show it in a :class:`~l2l_widgets.MaskPainter` below the sliders: whatever class is painted
    marks the area, the picture is the edit's and follows it, the line below says what the edit
    changed inside and outside, and *Keep the outside* blends the unedited face back in there.

    Parameters
    ----------
    edits : EditSession
        As the sliders have it; ``FaceEditor.session`` and ``SharedFace.session`` are such.
    feather : float
        Pixels outside over which the kept outside fades into the edit.

    Raises
    ------
    PaintError
        The session has no picture.
    """

    def __init__(self, edits: EditSession, feather: float = 3.0) -> None:
        self.edits = edits
        self._seen = edits.render()
        if self._seen.before is None:
            raise PaintError(f"the session has no picture: {self._seen.error}")
        side = self._seen.before.shape[-1]
        blank = torch.zeros(side, side, dtype=torch.uint8)
        super().__init__(None, self._seen.before, blank, feather=feather)
        self._margin = 0.0  # the area is what was painted, and nothing around it
        # held weakly: the sliders' session lives on when nobody looks through the area any more
        hear = weakref.WeakMethod(self._heard)
        self._leave = edits.subscribe(lambda *event: (hear() or _deaf)(*event), receipts=never)
        weakref.finalize(self, self._leave)

    @property
    def can_draw(self) -> bool:
        """True: the picture is the edit's."""
        return True

    def mark(self, area: Tensor) -> None:
        """Set the area, bool (R, R), or a mask whose class 0 is outside; undo takes it back."""
        self.set_mask((area != 0).to(torch.uint8) if area.dtype == torch.bool else area)

    def save(self, path: str | Path, scale: int | None = None) -> None:
        """Write the picture as PNG, its recipe inside; never a draft."""
        self._seen = self.edits.render()
        super().save(path, scale)

    def close(self) -> None:
        """Hear nothing of the sliders any more."""
        self._leave()
        super().close()

    def recipe(self) -> dict[str, Any]:
        """The edit's own recipe, and what was painted, as JSON values."""
        return {
            "format": AREA_FORMAT,
            "edit": self.edits.recipe(),
            "feather": self._first.feather,
            "operations": self.operations,
        }

    @classmethod
    def replay(cls, models: Models, recipe: Mapping[str, Any]) -> AreaSession:
        """A session in which everything has been done that :meth:`recipe` says.

        Raises
        ------
        ValueError
            Another format, other models, or an operation that cannot be.
        """
        if recipe.get("format") != AREA_FORMAT:
            raise PaintError(f"format is {recipe.get('format')!r}; allowed: {AREA_FORMAT!r}")
        edits = EditSession.from_recipe(models, parse_recipe(json.dumps(recipe.get("edit"))))
        session = cls(edits, recipe.get("feather", 3.0))
        session.follow(recipe)
        return session

    def _after(self, before: State, operation: Mapping[str, Any]) -> State:
        if operation.get("kind") == "style":  # the sliders draw, and know of none
            raise PaintError(f"kind is 'style'; allowed: {', '.join((*KINDS, 'keep', 'reset'))}")
        return super()._after(before, operation)

    def _heard(self, kind: str, value: Any) -> None:
        if kind == "result":
            self._seen = value
            if self._is_wanted():
                self.request()

    def _newest(self) -> EditResult:
        """What the sliders ask for now, drawn; a draft only while they move."""
        if self._seen.stamp != self.edits.stamp:
            self._seen = self.edits.render()
        return self._seen

    def _drawn(self, state: State, face: Face) -> tuple[Tensor, Tensor]:
        result = self._newest()
        if result.before is None or result.after is None:
            raise PaintError(f"the edit cannot be drawn: {result.error}")
        before = self._checked_image(result.before)
        if not torch.equal(before, self.image):  # another face came; the area stays where it is
            self.image = before
        return before, self._checked_image(result.after)


def _deaf(kind: str, value: Any) -> None:
    """What is called when the one who wanted to hear is gone."""


def area_painter(session: EditSession, feather: float = 3.0) -> AreaSession:
    """A slider session's edit, to be seen through an area that is painted on its face."""
    return AreaSession(session, feather)


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
