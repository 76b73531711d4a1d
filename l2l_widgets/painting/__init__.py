"""Faces changed by painting their masks: sessions, and the text that replays them.

`PaintSession` holds a face, its mask and what was done; `load_painter` finds the MaskGAN among
loaded models; `read_paint_recipe` reads what a saved picture carries.
"""

from __future__ import annotations

from l2l_widgets.painting.recipe import RECIPE, PaintError, model_hash, read_paint_recipe
from l2l_widgets.painting.session import PaintResult, PaintSession, load_painter

__all__ = [
    "RECIPE",
    "PaintError",
    "PaintResult",
    "PaintSession",
    "load_painter",
    "model_hash",
    "read_paint_recipe",
]
