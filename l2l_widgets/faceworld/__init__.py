"""faceworld: procedural portraits whose every attribute, mask and landmark is known."""

from l2l_widgets.faceworld.factors import (
    ATTRIBUTE_FACTORS,
    FACTORS,
    IDENTITY_FACTORS,
    NUISANCE_FACTORS,
    Factors,
    correlation_matrix,
    sample_factors,
)
from l2l_widgets.faceworld.render import MASK_CLASSES, Render, render

__all__ = [
    "ATTRIBUTE_FACTORS",
    "FACTORS",
    "IDENTITY_FACTORS",
    "MASK_CLASSES",
    "NUISANCE_FACTORS",
    "Factors",
    "Render",
    "correlation_matrix",
    "render",
    "sample_factors",
]
