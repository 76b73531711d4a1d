"""Editors: latents in, latents out, requests in attribute units.

Every method implements :class:`l2l_widgets.protocols.Editor`, owns the calibration of its strength,
and passes :func:`l2l_widgets.editors.checks.check_editor`.
"""

from __future__ import annotations

from typing import Any

from l2l_widgets.editors.mapper import MapperConfig, MapperEditor, MapperNetwork

__all__ = ["MapperConfig", "MapperEditor", "MapperNetwork", "list_editors", "make_editor"]

_EDITORS = {MapperEditor.name: MapperEditor}


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
        What ``zoo.load`` returned: ``models.file(name)`` is the method's checked weights file and
        ``models.device`` where it goes.

    Raises
    ------
    ValueError
        An unknown method, or a weights file that is missing, damaged or of another method.
    """
    if name not in _EDITORS:
        raise ValueError(f"method {name!r} is unknown; allowed: {', '.join(_EDITORS)}")
    return _EDITORS[name].load(models.file(name), models.device)
