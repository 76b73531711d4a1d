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
    from l2l_widgets.editors import list_editors as list_editors
    from l2l_widgets.editors import make_editor as make_editor
    from l2l_widgets.editors.checks import check_editor as check_editor
    from l2l_widgets.protocols import Editor as Editor
    from l2l_widgets.receipt import Receipt as Receipt
    from l2l_widgets.replay import read_recipe as read_recipe
    from l2l_widgets.session import EditSession as EditSession
    from l2l_widgets.states import EditResult as EditResult
    from l2l_widgets.stylegan2 import load_generator as load_generator
    from l2l_widgets.stylegan2 import save_generator as save_generator
    from l2l_widgets.training import RunDirectory as RunDirectory
    from l2l_widgets.training import TrainingHandle as TrainingHandle
    from l2l_widgets.widgets import FaceEditor as FaceEditor
    from l2l_widgets.widgets import Presenter as Presenter
    from l2l_widgets.widgets import TrainingCell as TrainingCell
    from l2l_widgets.widgets import TrainingMonitor as TrainingMonitor
    from l2l_widgets.zoo import Models as Models
    from l2l_widgets.zoo import load as load

__version__ = "0.1.0.dev0"

#: Public name -> the module that defines it.
_HOMES = {
    "AttributeTable": "attributes",
    "EditRequest": "attributes",
    "EditResult": "states",
    "EditSession": "session",
    "Editor": "protocols",
    "FaceEditor": "widgets",
    "Models": "zoo",
    "Presenter": "widgets",
    "Receipt": "receipt",
    "RunDirectory": "training",
    "TrainingCell": "widgets",
    "TrainingHandle": "training",
    "TrainingMonitor": "widgets",
    "check_editor": "editors.checks",
    "list_editors": "editors",
    "load": "zoo",
    "load_generator": "stylegan2",
    "make_editor": "editors",
    "read_recipe": "replay",
    "save_generator": "stylegan2",
}

__all__ = [
    "AttributeTable",
    "EditRequest",
    "EditResult",
    "EditSession",
    "Editor",
    "FaceEditor",
    "Models",
    "Presenter",
    "Receipt",
    "RunDirectory",
    "TrainingCell",
    "TrainingHandle",
    "TrainingMonitor",
    "check_editor",
    "list_editors",
    "load",
    "load_generator",
    "make_editor",
    "read_recipe",
    "save_generator",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'l2l_widgets' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"l2l_widgets.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted({*globals(), *__all__})
