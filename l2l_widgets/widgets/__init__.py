"""What a notebook shows: one class a view, all of them views of one face.

Widgets are views. They compute nothing: an `EditSession` or a `TrainingHandle` does, and the same
object answers scripts, tests and the command line. This module is the one place that asks for the
widget libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l_widgets.widgets.compare.editor_grid import EditorGrid as EditorGrid
    from l2l_widgets.widgets.compare.entanglement_explorer import (
        EntanglementExplorer as EntanglementExplorer,
    )
    from l2l_widgets.widgets.editor.face_editor import FaceEditor as FaceEditor
    from l2l_widgets.widgets.faces.gallery_view import Gallery as Gallery
    from l2l_widgets.widgets.faces.interpolation_view import InterpolationView as InterpolationView
    from l2l_widgets.widgets.latent_map.latent_map import LatentMap as LatentMap
    from l2l_widgets.widgets.lesson.presenter import Presenter as Presenter
    from l2l_widgets.widgets.mixer.identity_mixer import IdentityMixer as IdentityMixer
    from l2l_widgets.widgets.paint.mask_painter import MaskPainter as MaskPainter
    from l2l_widgets.widgets.photo.photo_inverter import PhotoInverter as PhotoInverter
    from l2l_widgets.widgets.training.training_cell import TrainingCell as TrainingCell
    from l2l_widgets.widgets.training.training_monitor import TrainingMonitor as TrainingMonitor

__all__ = [
    "EditorGrid",
    "EntanglementExplorer",
    "FaceEditor",
    "Gallery",
    "IdentityMixer",
    "InterpolationView",
    "LatentMap",
    "MaskPainter",
    "PhotoInverter",
    "Presenter",
    "TrainingCell",
    "TrainingMonitor",
]

_HOMES = {
    "EditorGrid": "compare.editor_grid",
    "EntanglementExplorer": "compare.entanglement_explorer",
    "FaceEditor": "editor.face_editor",
    "Gallery": "faces.gallery_view",
    "IdentityMixer": "mixer.identity_mixer",
    "InterpolationView": "faces.interpolation_view",
    "LatentMap": "latent_map.latent_map",
    "MaskPainter": "paint.mask_painter",
    "PhotoInverter": "photo.photo_inverter",
    "Presenter": "lesson.presenter",
    "TrainingCell": "training.training_cell",
    "TrainingMonitor": "training.training_monitor",
}


def __getattr__(name: str) -> Any:
    """Import a widget when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module("anywidget")
    except ImportError as error:
        raise ImportError(
            f"{name} needs the notebook libraries ({error}); install them with: "
            "pip install anywidget ipywidgets jupyterlab"
        ) from error
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted({*globals(), *__all__})
