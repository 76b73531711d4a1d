"""Which version of the renderer each published file learned from, as far as the manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["outdated", "worlds"]


def worlds(manifest: Mapping[str, Any]) -> dict[str, int | None]:
    """Return each file's world: what its settings name, or the oldest of what it was made from.

    Parameters
    ----------
    manifest : mapping
        File -> entry, as ``MANIFEST.json`` holds them.

    Returns
    -------
    dict
        File -> number; None where neither the settings nor the inputs that lie here name one.
    """
    found: dict[str, int | None] = {}

    def of(file: str) -> int | None:
        if file in found:
            return found[file]
        found[file] = None  # a manifest whose inputs run in a circle ends here
        entry = manifest[file]
        named = entry.get("config", {}).get("world")
        if named is None:
            made_from = [
                of(name)
                for name, sha in entry.get("inputs", {}).items()
                if manifest.get(name, {}).get("sha256") == sha
            ]
            known = [world for world in made_from if world is not None]
            named = min(known) if known and len(known) == len(made_from) else None
        found[file] = named
        return named

    return {file: of(file) for file in manifest}


def outdated(manifest: Mapping[str, Any], current: int) -> dict[str, str]:
    """Return what is older than the renderer, or made from other files than lie beside it.

    Returns
    -------
    dict
        File -> why, in words; current ones are left out, and so are those that learned from
        pictures of somebody's own (``data`` in their settings).
    """
    found = {}
    for file, world in worlds(manifest).items():
        entry = manifest[file]
        others = [
            f"`{name}`"
            for name, sha in sorted(entry.get("inputs", {}).items())
            if manifest.get(name, {}).get("sha256") != sha
        ]
        why = []
        if not entry.get("config", {}).get("data"):
            if world is None:
                why.append("its settings name no world")
            elif world != current:
                why.append(f"world {world}")
        if others:
            why.append(f"made with another {', '.join(others)} than the one here")
        if why:
            found[file] = "; ".join(why)
    return found
