"""Faces changed by painting their masks: sessions, and the text that replays them.

`PaintSession` holds a face, its mask and what was done; `load_painter` finds the MaskGAN among
loaded models, `load_parser` a face parser, which may be yours; `read_paint_recipe` reads what a
saved picture carries. `AreaSession` looks at the edits of the sliders through a painted area.
"""

from __future__ import annotations

from l2l_widgets.painting.latent_edits import (
    AreaSession,
    EditInArea,
    area_painter,
    edit_in_area,
)
from l2l_widgets.painting.painter import load_painter
from l2l_widgets.painting.parsing import ParserSource, find_mask, load_parser, read_face
from l2l_widgets.painting.recipe import (
    AREA_FORMAT,
    RECIPE,
    PaintError,
    model_hash,
    painting_in,
    read_paint_recipe,
)
from l2l_widgets.painting.session import PaintSession
from l2l_widgets.painting.states import PaintResult

__all__ = [
    "AREA_FORMAT",
    "RECIPE",
    "AreaSession",
    "EditInArea",
    "PaintError",
    "PaintResult",
    "PaintSession",
    "ParserSource",
    "area_painter",
    "edit_in_area",
    "find_mask",
    "load_painter",
    "load_parser",
    "model_hash",
    "painting_in",
    "read_face",
    "read_paint_recipe",
]
