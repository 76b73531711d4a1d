"""Saved maps: one safetensors file that opens in well under a second, because nothing is drawn.

Coordinates are 16-bit floats, qualities and readings bytes, the thumbnails one JPEG; what they mean
stands as JSON in the file's header. Latents are not in it: a map knows its faces by their seeds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.maps.layout import Quality
from l2l_widgets.models.zoo import Models
from l2l_widgets.storage import load_safetensors, save_safetensors

__all__ = ["MAP_FILE", "open_map", "save_map"]

#: What lies beside the generator that the map is of.
MAP_FILE = "map.safetensors"
FORMAT = 1


def save_map(code_map: CodeMap, path: str | os.PathLike[str]) -> None:
    """Write a map as one file, whole or not at all.

    Readings go in once every face has been read.

    Raises
    ------
    ValueError
        The map has no layout, or the file cannot be written.
    """
    if not code_map.layouts:
        raise ValueError("layouts is empty; allowed: a map with at least one layout")
    tensors: dict[str, Tensor] = {}
    for (space, seed), layout in code_map.layouts.items():
        tensors[f"{space}.{seed}.coordinates"] = layout.coordinates.half()
        if layout.quality is not None:
            for name, values in layout.quality._asdict().items():
                tensors[f"{space}.{seed}.{name}"] = (values * 255).round().to(torch.uint8)
    if code_map.readings is not None and code_map.known == code_map.count:
        tensors["readings"] = code_map.readings
    atlas = dict(code_map.atlas)
    if atlas:
        tensors["atlas"] = torch.frombuffer(bytearray(atlas.pop("data")), dtype=torch.uint8)
    _ = code_map.usual  # measures the cloud, where nobody has asked for it yet
    facts = {
        "format": FORMAT,
        "generator": code_map.models.hashes.get("generator", ""),
        "models": code_map.models.name,
        "count": code_map.count,
        "first_seed": code_map.first_seed,
        "truncation_psi": code_map.truncation_psi,
        "neighbours": code_map.neighbours,
        "edges": code_map.edges,
        "attributes": code_map.models.table.names,
        "atlas": atlas,
        "layouts": [
            [space, seed, layout.quality is not None]
            for (space, seed), layout in code_map.layouts.items()
        ],
    }
    save_safetensors(path, tensors, {"map": json.dumps(facts)})


def open_map(models: Models, path: str | os.PathLike[str] | None = None) -> CodeMap:
    """Open a saved map of these models' generator.

    Parameters
    ----------
    models : Models
        Those whose generator the map was made of, by its hash.
    path : path, optional
        The file; where not given, the one that lies beside the models.

    Raises
    ------
    ValueError
        There is none, it is damaged, or it is of another generator.
    """
    source = models.check_file(MAP_FILE) if path is None else Path(path)
    tensors, metadata = load_safetensors(source)
    try:
        return _from_tensors(models, tensors, metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{source}: no map of these models: {reason}") from None


def _from_tensors(models: Models, tensors: dict[str, Tensor], metadata: dict[str, str]) -> CodeMap:
    facts = json.loads(metadata["map"])
    if facts["format"] != FORMAT:
        raise ValueError(f"format is {facts['format']!r}; allowed: {FORMAT}")
    made_of, here = facts["generator"], models.hashes.get("generator", "")
    if made_of != here:
        raise ValueError(
            f"it is of generator {made_of[:12]}... ({facts['models']!r}), the models have "
            f"{here[:12]}...; l2l train map makes another"
        )
    found = CodeMap(
        models,
        facts["count"],
        truncation_psi=facts["truncation_psi"],
        first_seed=facts["first_seed"],
        neighbours=facts["neighbours"],
    )
    low, middle, high = (float(edge) for edge in facts["edges"])
    found.edges = (low, middle, high)
    for space, seed, measured in facts["layouts"]:
        stem, believed = f"{space}.{seed}", None
        if measured:
            fields = (_sized(tensors, f"{stem}.{f}", found.count) for f in Quality._fields)
            believed = Quality(*(values.float() / 255 for values in fields))
        coordinates = _sized(tensors, f"{stem}.coordinates", found.count, 2).float()
        found.layouts[space, seed] = Layout(space, seed, coordinates, believed)
    if "readings" in tensors and tuple(facts["attributes"]) == models.table.names:
        found.readings = _sized(tensors, "readings", found.count, len(models.table))
        found.known = found.count
    if facts["atlas"]:
        found.atlas = {**facts["atlas"], "data": tensors["atlas"].numpy().tobytes()}
    return found


def _sized(tensors: dict[str, Tensor], name: str, *shape: int) -> Tensor:
    found = tensors[name]
    if tuple(found.shape) != shape or not bool(torch.isfinite(found.float()).all()):
        raise ValueError(f"{name} has shape {tuple(found.shape)}; allowed: {shape}, finite numbers")
    return found
