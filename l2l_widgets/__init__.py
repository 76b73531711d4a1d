"""l2l_widgets: measured face editing in a GAN's latent space.

Public names only, each resolved when it is first used (PEP 562): ``import l2l_widgets`` imports
nothing else, so a script that never draws never pays for a widget library. ARCHITECTURE.md lists
the same names; a test compares them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable as AttributeTable
    from l2l_widgets.attributes import EditRequest as EditRequest
    from l2l_widgets.disentangle import FaceMixer as FaceMixer
    from l2l_widgets.editors import list_editors as list_editors
    from l2l_widgets.editors import make_editor as make_editor
    from l2l_widgets.editors.checks import check_editor as check_editor
    from l2l_widgets.judges import load_judge as load_judge
    from l2l_widgets.models.own import with_judges as with_judges
    from l2l_widgets.models.zoo import Models as Models
    from l2l_widgets.models.zoo import load as load
    from l2l_widgets.painting import PaintSession as PaintSession
    from l2l_widgets.painting import load_painter as load_painter
    from l2l_widgets.protocols import Editor as Editor
    from l2l_widgets.session.edit_session import EditSession as EditSession
    from l2l_widgets.session.receipt import Receipt as Receipt
    from l2l_widgets.session.replay import read_recipe as read_recipe
    from l2l_widgets.session.shared_face import SharedFace as SharedFace
    from l2l_widgets.session.states import EditResult as EditResult
    from l2l_widgets.stylegan2 import load_generator as load_generator
    from l2l_widgets.stylegan2 import save_generator as save_generator
    from l2l_widgets.training import RunDirectory as RunDirectory
    from l2l_widgets.training import TrainingHandle as TrainingHandle
    from l2l_widgets.widgets import EditorGrid as EditorGrid
    from l2l_widgets.widgets import EntanglementExplorer as EntanglementExplorer
    from l2l_widgets.widgets import FaceEditor as FaceEditor
    from l2l_widgets.widgets import Gallery as Gallery
    from l2l_widgets.widgets import IdentityMixer as IdentityMixer
    from l2l_widgets.widgets import InterpolationView as InterpolationView
    from l2l_widgets.widgets import LatentMap as LatentMap
    from l2l_widgets.widgets import MaskPainter as MaskPainter
    from l2l_widgets.widgets import PhotoInverter as PhotoInverter
    from l2l_widgets.widgets import Presenter as Presenter
    from l2l_widgets.widgets import TrainingCell as TrainingCell
    from l2l_widgets.widgets import TrainingMonitor as TrainingMonitor

__version__ = "0.1.0.dev0"

#: Public name -> the module that defines it.
_HOMES = {
    "AttributeTable": "attributes",
    "EditRequest": "attributes",
    "EditResult": "session.states",
    "EditSession": "session.edit_session",
    "Editor": "protocols",
    "EditorGrid": "widgets",
    "EntanglementExplorer": "widgets",
    "FaceEditor": "widgets",
    "FaceMixer": "disentangle",
    "Gallery": "widgets",
    "IdentityMixer": "widgets",
    "InterpolationView": "widgets",
    "LatentMap": "widgets",
    "MaskPainter": "widgets",
    "Models": "models.zoo",
    "PaintSession": "painting",
    "PhotoInverter": "widgets",
    "Presenter": "widgets",
    "Receipt": "session.receipt",
    "RunDirectory": "training",
    "SharedFace": "session.shared_face",
    "TrainingCell": "widgets",
    "TrainingHandle": "training",
    "TrainingMonitor": "widgets",
    "check_editor": "editors.checks",
    "list_editors": "editors",
    "load": "models.zoo",
    "load_generator": "stylegan2",
    "load_judge": "judges",
    "load_painter": "painting",
    "make_editor": "editors",
    "read_recipe": "session.replay",
    "save_generator": "stylegan2",
    "with_judges": "models.own",
}

__all__ = [
    "AttributeTable",
    "EditRequest",
    "EditResult",
    "EditSession",
    "Editor",
    "EditorGrid",
    "EntanglementExplorer",
    "FaceEditor",
    "FaceMixer",
    "Gallery",
    "IdentityMixer",
    "InterpolationView",
    "LatentMap",
    "MaskPainter",
    "Models",
    "PaintSession",
    "PhotoInverter",
    "Presenter",
    "Receipt",
    "RunDirectory",
    "SharedFace",
    "TrainingCell",
    "TrainingHandle",
    "TrainingMonitor",
    "check_editor",
    "list_editors",
    "load",
    "load_generator",
    "load_judge",
    "load_painter",
    "make_editor",
    "read_recipe",
    "save_generator",
    "with_judges",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        from l2l_widgets.errors import suggestion

        meant = suggestion(name, __all__, "public")
        hint = f"; {meant}" if meant.startswith("did") else ""
        raise AttributeError(f"module 'l2l_widgets' has no attribute {name!r}{hint}")
    value = getattr(importlib.import_module(f"l2l_widgets.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted({*globals(), *__all__})
