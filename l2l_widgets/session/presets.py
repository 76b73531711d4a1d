"""Edits under a name: a few that come with the package, and a shelf of one's own in a file.

A preset says what to ask for, not of whom: it goes on any face, with any method that knows its
attributes. The shelf is a JSON file that a class can share::

    {"format": "l2l-presets/1",
     "presets": {"my look": {"method": "mapper", "changes": {"smile": 0.3}, "targets": {},
                             "preserve": ["age"]}}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.session.replay import RecipeError, parse_edit
from l2l_widgets.session.states import Edit
from l2l_widgets.storage import locked, write_atomic

FORMAT = "l2l-presets/1"
FILE = "l2l-presets.json"
MAX_FILE = 1 << 20
MAX_NAME = 40
MAX_PRESETS = 200

#: Name -> changes in attribute units; views translate the names.
SHIPPED: Mapping[str, Edit] = {
    "smiling": Edit(changes={"smile": 0.35, "mouth_open": 0.2}),
    "older": Edit(changes={"age": 0.25}),
    "younger": Edit(changes={"age": -0.25}),
    "bearded": Edit(changes={"beard": 0.6, "moustache": 0.5, "sideburns": 0.4}),
    "surprised": Edit(changes={"surprise": 0.6, "mouth_open": 0.3}),
    "half profile": Edit(changes={"yaw": 0.3}),
    "going grey": Edit(changes={"hair_grey": 0.6, "age": 0.12}),
    "reading glasses": Edit(targets={"glasses": 1.0}),
}


class PresetError(ValueError):
    """A name or a shelf that cannot be; says which, and what is allowed."""


class PresetShelf:
    """Presets of one's own, in a file that others may write too.

    Parameters
    ----------
    path : path
        The file; made when the first preset is kept.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def presets(self) -> dict[str, Edit]:
        """Name -> edit, as the file has them now; empty where there is no file.

        Raises
        ------
        PresetError
            The file is damaged, too large, or holds an edit that cannot be; it is left as it is.
        """
        try:
            if self.path.stat().st_size > MAX_FILE:
                raise PresetError(f"{self.path}: larger than {MAX_FILE >> 20} MiB")
            raw = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, PresetError):
                raise
            raise PresetError(f"{self.path}: cannot be read ({error})") from None
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
            raise PresetError(f"{self.path}: format is {found!r}; allowed: {FORMAT!r}")
        found = raw.get("presets")
        if not isinstance(found, dict) or len(found) > MAX_PRESETS:
            raise PresetError(f"{self.path}: presets; allowed: an object of at most {MAX_PRESETS}")
        return {name: self._edit(name, edit) for name, edit in found.items()}

    def _edit(self, name: str, raw: Any) -> Edit:
        try:
            return parse_edit(raw, f"presets.{name[:MAX_NAME]}")
        except RecipeError as error:
            raise PresetError(f"{self.path}: {str(error).removeprefix('recipe: ')}") from None

    def keep(self, name: str, edit: Edit) -> None:
        """Put an edit on the shelf; one of that name is replaced.

        Raises
        ------
        PresetError
            A name that is empty, too long or shipped; an edit that asks for nothing; a full shelf.
        """
        name = " ".join(str(name).split())
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise PresetError(f"name is {name[:60]!r}; allowed: 1 to {MAX_NAME} characters")
        if name in SHIPPED:
            raise PresetError(f"name is {name!r}, a preset of the package; allowed: another name")
        if edit.empty:
            raise PresetError(f"preset {name!r} asks for nothing; move a slider first")
        with locked(self.path.with_name(f".{self.path.name}.lock"), wait=True):
            self._write({**self.presets(), name: edit})

    def remove(self, name: str) -> None:
        """Take a preset off the shelf; a PresetError where it is not there."""
        with locked(self.path.with_name(f".{self.path.name}.lock"), wait=True):
            known = self.presets()
            if name not in known:
                raise PresetError(f"preset {name!r} is not on the shelf; there: {list(known)}")
            del known[name]
            self._write(known)

    def _write(self, presets: Mapping[str, Edit]) -> None:
        if len(presets) > MAX_PRESETS:
            raise PresetError(f"{self.path}: {MAX_PRESETS} presets are there; remove one first")
        value = {"format": FORMAT, "presets": {n: e.to_dict() for n, e in presets.items()}}
        write_atomic(self.path, json.dumps(value, indent=1).encode())
