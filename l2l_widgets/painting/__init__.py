"""Faces changed by painting their masks: sessions, and the text that replays them.

`PaintSession` holds a face, its mask and what was done; `load_painter` finds the MaskGAN among
loaded models; `read_paint_recipe` reads what a saved picture carries; `edit_in_area` looks at an
edit of the sliders through a painted area.
"""

from __future__ import annotations

from l2l_widgets.painting.latent_edits import EditInArea, area_painter, edit_in_area
from l2l_widgets.painting.recipe import RECIPE, PaintError, model_hash, read_paint_recipe
from l2l_widgets.painting.session import PaintResult, PaintSession, load_painter

__all__ = [
    "RECIPE",
    "EditInArea",
    "PaintError",
    "PaintResult",
    "PaintSession",
    "area_painter",
    "edit_in_area",
    "load_painter",
    "model_hash",
    "read_paint_recipe",
]
