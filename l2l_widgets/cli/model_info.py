"""``l2l info`` of a set of models: sizes, latents and every part, from headers and the manifest."""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

from l2l_widgets.cli.counts import counted

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

MB = 2**20


def described(models: Models) -> dict[str, Any]:
    """What is there; no network is loaded.

    Returns
    -------
    dict
        ``name``, ``folder``, ``resolution`` (pixels a side), ``latents`` (space -> the shape of
        one latent), ``attributes`` (how many), ``parts``, ``editors``, ``more`` (other networks:
        file stem -> kind), ``only_trained`` (listed, but kept out of the package: only training
        reads them), ``bytes`` (file -> size), ``hashes``, ``commands`` (what lists the attributes),
        ``can``. What the generator's file does
        not say is None.
    """
    from l2l_widgets.checkpoints import needs
    from l2l_widgets.models.zoo import PART_FILES, WEIGHTS

    parts = [part for part in PART_FILES if models.has(part)]
    config = _config(models)
    known = {*PART_FILES.values(), *(f"{name}.safetensors" for name in models.available_editors)}
    more, absent = {}, []
    for file, entry in sorted(models.manifest.items()):
        stem, _, ending = file.rpartition(".")
        if ending != "safetensors" or file in known:
            continue
        if entry.get("intermediate") and not _there(models, file):
            absent.append(stem)
        else:
            more[stem] = str(entry.get("kind") or entry.get("recipe") or "another network")
    place = str(models.folder)
    embedded = models.folder is not None and models.folder.parent == WEIGHTS
    missing = needs(models.has, models.available_editors, place)
    return {
        "name": models.name,
        "folder": str(models.folder),
        "resolution": config.get("img_resolution"),
        "latents": _latents(config),
        "attributes": len(models.table),
        "commands": {
            "attributes": "l2l attributes"
            + ("" if embedded else f" --generator {shlex.quote(place)}")
        },
        "parts": parts,
        "editors": list(models.available_editors),
        "more": more,
        "only_trained": absent,
        "bytes": {
            file: (models.folder / file).stat().st_size
            for file in sorted(models.manifest)
            if models.folder is not None and _there(models, file)
        },
        "hashes": models.hashes,
        "can": {"draw": "generator" in parts, "edit": not missing["edit"], "missing": missing},
    }


def as_text(found: dict[str, Any]) -> str:
    """A description for a terminal."""
    lines = [f"{found['name']}: {found['folder']}"]
    if found["resolution"] is not None:
        lines.append(f"  draws        {found['resolution']} x {found['resolution']} pixels")
    if found["latents"] is not None:
        z, w, (rows, width) = (found["latents"][space] for space in ("z", "w", "w+"))
        lines.append(f"  latents      z ({z[0]}), w ({w[0]}), w+ ({rows} rows of {width})")
    lines += [
        f"  reads        {counted(found['attributes'], 'attribute')} (their names: "
        f"{found['commands']['attributes']})",
        f"  parts        {', '.join(found['parts'])}",
        f"  editors      {', '.join(found['editors']) or 'none'}",
    ]
    if found["more"]:
        also = (_called(stem, kind) for stem, kind in found["more"].items())
        lines.append(f"  and          {', '.join(also)}")
    if found["only_trained"]:
        lines.append(
            f"  not here     {', '.join(found['only_trained'])} (only training reads them)"
        )
    size = sum(found["bytes"].values())
    lines.append(f"  size         {size / MB:.1f} MB in {counted(len(found['bytes']), 'file')}")
    for ability, what in found["can"]["missing"].items():
        if what:
            lines.append(f"  {ability:<12} needs {' and '.join(what)}")
    return "\n".join(lines)


def _called(stem: str, kind: str) -> str:
    """A file's name, and what it is where the name does not say so."""
    return stem if stem.replace("_", " ") == kind else f"{stem} ({kind})"


def _there(models: Models, file: str) -> bool:
    return models.folder is not None and (models.folder / file).is_file()


def _config(models: Models) -> dict[str, Any]:
    """The generator's settings, from the header of its file; empty where it is another's."""
    from l2l_widgets.models.zoo import PART_FILES
    from l2l_widgets.storage import read_metadata

    if models.folder is None or PART_FILES["generator"] not in models.manifest:
        return {}
    try:
        config = json.loads(read_metadata(models.folder / PART_FILES["generator"])["config"])
        return config if isinstance(config, dict) else {}
    except (ValueError, KeyError, OSError):
        return {}


def _latents(config: dict[str, Any]) -> dict[str, list[int]] | None:
    """Space -> the shape of one latent."""
    try:
        z, w, side = (int(config[name]) for name in ("z_dim", "w_dim", "img_resolution"))
        return {"z": [z], "w": [w], "w+": [2 * int(math.log2(side)) - 2, w]}
    except (KeyError, TypeError, ValueError):
        return None
