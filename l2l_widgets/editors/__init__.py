"""Editors: latents in, latents out, requests in attribute units.

Every method implements :class:`l2l_widgets.protocols.Editor`, owns the calibration of its strength,
and passes :func:`l2l_widgets.editors.checks.check_editor`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from l2l_widgets.errors import suggestion

if TYPE_CHECKING:
    from l2l_widgets.editors.mapper import MapperConfig, MapperEditor, MapperNetwork

__all__ = ["MapperConfig", "MapperEditor", "MapperNetwork", "list_editors", "make_editor"]

#: Method -> its module here, and the class in it; a module is imported when its method is made.
_EDITORS = {
    "mapper": ("mapper", "MapperEditor"),
    "interfacegan": ("interfacegan", "InterFaceGANEditor"),
    "interfacegan-conditional": ("conditional", "ConditionalEditor"),
    "ganspace": ("ganspace", "GANSpaceEditor"),
    "styleflow": ("styleflow", "StyleFlowEditor"),
    "stylespace": ("stylespace", "StyleSpaceEditor"),
}


def list_editors() -> tuple[str, ...]:
    """Return the method names that :func:`make_editor` knows."""
    return tuple(_EDITORS)


def make_editor(name: str, models: Any) -> Any:
    """Return the editor of one method for one set of models.

    Parameters
    ----------
    name : str
        One of :func:`list_editors`.
    models : Models
        What ``zoo.load`` returned: ``models.file(name)`` is the method's checked weights file,
        ``models.device`` where it goes, ``models.hashes["generator"]`` what it must be made for.

    Raises
    ------
    ValueError
        An unknown method; a weights file that is missing, damaged or of another method; directions
        that were fitted for another generator.
    """
    if name not in _EDITORS:
        raise ValueError(f"method {name!r} is unknown; {suggestion(name, _EDITORS)}")
    if not hasattr(models, "file"):
        raise ValueError(f"models is {models!r}; allowed: the Models that load() gives")
    module, kind = _EDITORS[name]
    made = getattr(importlib.import_module(f"{__name__}.{module}"), kind)
    path = models.file(name)
    editor = made.load(path, models.device)
    if name != "mapper":  # of a mapper, the manifest names the generator it was trained on
        editor.origin.require(f"{path.name}", generator=models.hashes["generator"])
    return editor


def __getattr__(name: str) -> Any:
    """The mapper's classes, whose networks cost the import of torch; a list of names does not."""
    if name not in ("MapperConfig", "MapperEditor", "MapperNetwork"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.mapper"), name)
