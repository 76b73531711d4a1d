"""What a generator's file holds and what can be done with it, as data and as text."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.checkpoints.conversion import provenance_of
from l2l_widgets.checkpoints.fetching import Location
from l2l_widgets.checkpoints.reading import LAYOUTS, Checkpoint, Refusals, open_checkpoint
from l2l_widgets.latents import num_ws_for
from l2l_widgets.storage import available_memory
from l2l_widgets.stylegan2.frozen import WINOGRAD_CHANNELS, WINOGRAD_SIDE
from l2l_widgets.stylegan2.layers import channel_table

__all__ = ["as_text", "describe", "drawing_mb", "needs"]

MB = 2**20
MANIFEST, LARGEST_MANIFEST = "MANIFEST.json", 16 * MB
#: What a process takes to draw anything at all, beside Python and torch: a round estimate.
ANYTHING = 100 * MB
#: What each ability needs of a set of models; one of the names of a line will do.
_NEEDS = {
    "edit": (("an editing method that was made for it", ()),),
    "targets": (("an attribute regressor, for targets such as age=0.8", ("regressor",)),),
    "receipt": (
        ("a judge of attributes", ("attribute_judge", "regressor")),
        ("a judge of identity", ("identity_judge", "embedder")),
    ),
}


def needs(
    has: Callable[[str], bool], editors: Collection[str], folder: str | None = None
) -> dict[str, list[str]]:
    """What is missing for each ability: ``edit``, ``targets``, ``receipt``; empty lists are good.

    Parameters
    ----------
    has
        Whether a part is there, by name.
    editors
        Methods that are there.
    folder
        Of models that are one, with judges: there an editing method is trained into it.
    """
    missing = {
        ability: [what for what, parts in wanted if not any(has(part) for part in parts)]
        for ability, wanted in _NEEDS.items()
    }
    way = "mapper --generator ..." if folder is None else f"own --weights {shlex.quote(folder)}"
    missing["edit"] = [] if editors else [f"{missing['edit'][0]} (l2l train {way})"]
    return missing


def describe(path: str | os.PathLike[str], origin: str | None = None) -> dict[str, Any]:
    """All that can be said of a generator's file without reading its weights.

    Parameters
    ----------
    path
        The file.
    origin
        The address that it was fetched from.

    Returns
    -------
    description
        ``path``, ``name``, ``origin`` (the address, or None), ``bytes``, ``sha256``, ``layout``,
        ``networks``, ``network`` (the one that is
        read), ``architecture``, ``config``, sizes (``z_dim``, ``w_dim``, ``num_ws``, ``classes``,
        ``classes_drawn`` (those that the file itself chooses), ``img_resolution``,
        ``img_channels``, ``channels``), ``spaces`` (name -> shape of one latent), ``parameters``,
        ``weights_mb``, ``drawing_mb`` (an estimate of what drawing takes, weights included),
        ``available_mb`` (memory that is free now; None where the system does not say),
        ``average_w``, ``notes``, ``provenance`` (what the file carries, or what a MANIFEST.json
        beside it says of a file of this name and hash; None where nobody does) and ``can``:
        ``draw``, ``convert``, ``directions``, ``train`` and ``edit``, ``commands`` (ability -> what
        to type) and what is ``missing``.

    Raises
    ------
    CheckpointError
        It is no generator that is supported.
    """
    with open_checkpoint(path) as checkpoint, Refusals(checkpoint.path):
        return _described(checkpoint, origin)


def _channels(config: Mapping[str, Any]) -> dict[int, int]:
    """Side of a block -> its channels."""
    return channel_table(
        config["img_resolution"], config.get("channel_base", 32768), config.get("channel_max", 512)
    )


def _described(checkpoint: Checkpoint, origin: str | None) -> dict[str, Any]:
    config = checkpoint.config
    side, rows = config["img_resolution"], num_ws_for(config["img_resolution"])
    channels, free = _channels(config), available_memory()
    learned = {
        name: math.prod(shape)
        for name, shape in checkpoint.shapes.items()
        if not name.endswith(("noise_const", "resample_filter", "w_avg"))
    }
    weights = 4 * sum(math.prod(shape) for shape in checkpoint.shapes.values())
    classes = config.get("c_dim", 0)
    missing = needs(lambda part: part == "generator", ())
    mapping = config.get("mapping_kwargs", {})
    drawn = mapping.get("classes")
    sha256, notes = checkpoint.sha256(), list(checkpoint.notes)
    provenance = provenance_of(checkpoint.metadata)
    if provenance is None:
        provenance = _from_manifest(checkpoint.path, sha256, notes)
    draws = bool(config["z_dim"])
    name = checkpoint.path.name if origin is None else Location(origin).file_name
    return {
        "path": str(checkpoint.path),
        "name": name,
        "origin": origin,
        "bytes": checkpoint.size,
        "sha256": sha256,
        "layout": checkpoint.layout,
        "layout_name": LAYOUTS[checkpoint.layout],
        "networks": list(checkpoint.networks),
        "network": checkpoint.network,
        "architecture": "StyleGAN2, skip generator",
        "config": config,
        "z_dim": config["z_dim"],
        "w_dim": config["w_dim"],
        "num_ws": rows,
        "classes": classes,
        "classes_drawn": drawn if isinstance(drawn, list) else None,
        "img_resolution": side,
        "img_channels": config.get("img_channels", 3),
        "channels": {str(key): value for key, value in channels.items()},
        "mapping_layers": mapping.get("num_layers", 8),
        "conv_clamp": config.get("conv_clamp"),
        "spaces": {
            "z": [config["z_dim"]],
            "w": [config["w_dim"]],
            "w+": [rows, config["w_dim"]],
        },
        "parameters": sum(learned.values()),
        "weights_mb": round(weights / MB, 1),
        "drawing_mb": drawing_mb(checkpoint),
        "available_mb": None if free is None else free // MB,
        "average_w": "mapping.w_avg" in checkpoint.shapes,
        "notes": notes,
        "provenance": provenance,
        "can": {
            "draw": draws,
            "convert": True,
            "directions": draws,
            "train": draws,
            "edit": not missing["edit"],
            "commands": _commands(checkpoint.path, name, draws, bool(classes and not drawn)),
            "missing": missing,
        },
    }


def _commands(path: Path, name: str, draws: bool, class_wanted: bool) -> dict[str, str]:
    """What to type for each ability; words in capitals are the reader's own files."""
    said = shlex.quote(f"{path}#class=0" if class_wanted else str(path))
    commands = {
        "draw": f"l2l sample --generator {said} --out sheet.png",
        "convert": f"l2l convert {said} {shlex.quote(Path(name).stem + '.safetensors')}",
        "directions": f"l2l direction FILE --space w --generator {said} --out strip.png",
        "train": f"l2l train mapper --generator {said} --judge ATTRIBUTES --judge IDENTITY "
        "--dry-run",
    }
    if path.suffix.lower() == ".safetensors":
        del commands["convert"]  # it is what it would become
    return commands if draws else {k: v for k, v in commands.items() if k == "convert"}


def _from_manifest(path: Path, sha256: str, notes: list[str]) -> dict[str, Any] | None:
    """What the MANIFEST.json in the file's folder says of it; a note where it is of another."""
    manifest = path.parent / MANIFEST
    try:
        if manifest.stat().st_size > LARGEST_MANIFEST:
            return None
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    entry = found.get(path.name) if type(found) is dict else None
    if type(entry) is not dict:
        return None
    if entry.get("sha256") != sha256:
        notes.append(f"the {MANIFEST} beside it is of another file of this name (by its sha256)")
        return None
    return {"manifest": str(manifest), **entry}


def drawing_mb(checkpoint: Checkpoint) -> int:
    """About what drawing takes, MB: weights, their prepared form, and activations that are kept."""
    config = checkpoint.config
    side, w_dim = config["img_resolution"], config["w_dim"]
    rows, channels = num_ws_for(side), _channels(config)
    weights = 4 * sum(math.prod(shape) for shape in checkpoint.shapes.values())
    prepared, kept, largest = 0, 0, 0
    inputs = channels[4]
    for side, count in channels.items():
        quick = count >= WINOGRAD_CHANNELS and side >= WINOGRAD_SIDE
        prepared += 9 * inputs * count + (36 if quick else 9) * count * count
        kept += 2 * side * side * count
        largest = max(largest, side * side * count)
        inputs = count
    width = max(channels.values())
    prepared += rows * width * (width + w_dim)
    # A session keeps at most 384 MB of activations between two pictures (stylegan2.restart).
    kept_bytes = min(4 * kept, 384 * MB)
    return round((ANYTHING + weights + 4 * prepared + kept_bytes + 3 * 4 * largest) / MB)


def _plain(value: Any) -> str:
    """A value of a file's metadata for a terminal, which escape codes in it must not reach."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value)[:200])


def as_text(found: dict[str, Any]) -> str:
    """A description for a terminal."""
    can = found["can"]
    classes = found["classes"]
    drawn = found["classes_drawn"]
    choice = f"{classes}: choose with #class=0 to {classes - 1}, or all" if classes else "none"
    if drawn:
        choice = f"{classes}; it draws {', '.join(map(str, drawn[:9]))}{'...' * (len(drawn) > 9)}"
    lines = [
        f"{found['name']}: {found['architecture']}, {found['img_resolution']} px",
        f"  file         {found['layout_name']}, {found['bytes'] / MB:.1f} MB",
        f"  sha256       {found['sha256']}",
        f"  fetched      from {found['origin']}" if found["origin"] else "",
        f"  read of it   {found['network']}  (it holds {', '.join(found['networks'])})",
        f"  latents      z ({found['z_dim']}), w ({found['w_dim']}), "
        f"w+ ({found['num_ws']} rows of {found['w_dim']})",
        f"  classes      {choice}",
        f"  mapping      {found['mapping_layers']} layers",
        "  channels     " + ", ".join(f"{side}: {n}" for side, n in found["channels"].items()),
        f"  clamp        {'none' if found['conv_clamp'] is None else found['conv_clamp']}",
        f"  weights      {found['parameters'] / 1e6:.1f} million, {found['weights_mb']} MB; "
        f"drawing takes about {found['drawing_mb']} MB",
    ]
    free = found["available_mb"]
    if free is not None and free < found["drawing_mb"]:
        lines.append(f"  memory       too little for that: {free} MB are free")
    lines += [f"  note         {note}" for note in found["notes"]]
    was = found["provenance"] or {}
    if "manifest" in was:
        told = [f"{k} {was[k]}" for k in ("recipe", "seed", "steps", "commit") if was.get(k)]
        lines.append(f"  made by      {', '.join(told) or was.get('kind')} ({MANIFEST})")
    elif was:
        lines.append(
            f"  converted    {_plain(was.get('converted') or 'copied')} from "
            f"{_plain(was.get('origin') or was.get('source'))} ({_plain(was.get('layout'))}, "
            f"sha256 {_plain(was.get('source_sha256'))[:12]}...) "
            f"by {_plain(was.get('tool', 'l2l train or l2l world'))}"
        )
    else:
        lines.append("  provenance   the file tells none; its sha256 alone says whose it is")
    lines += [f"  {ability:<12} {typed}" for ability, typed in can["commands"].items()]
    if not can["draw"]:
        lines.append("  draw         no: z_dim is 0")
    for ability, missing in can["missing"].items():
        lines.append(f"  {ability:<12} needs {' and '.join(missing)}" if missing else "")
    return "\n".join(line for line in lines if line)
