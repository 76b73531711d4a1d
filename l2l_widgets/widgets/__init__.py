"""What a notebook shows: the face editor and the training cell.

Widgets are views. They compute nothing: an `EditSession` or a `TrainingHandle` does, and the same
object answers scripts, tests and the command line. This module is the one place that asks for the
widget libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l_widgets.widgets.face_editor import FaceEditor as FaceEditor
    from l2l_widgets.widgets.presenter import Presenter as Presenter
    from l2l_widgets.widgets.training_cell import TrainingCell as TrainingCell
    from l2l_widgets.widgets.training_monitor import TrainingMonitor as TrainingMonitor

__all__ = ["FaceEditor", "Presenter", "TrainingCell", "TrainingMonitor"]

_HOMES = {
    "FaceEditor": "face_editor",
    "Presenter": "presenter",
    "TrainingCell": "training_cell",
    "TrainingMonitor": "training_monitor",
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
