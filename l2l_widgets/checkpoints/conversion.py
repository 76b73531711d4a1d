"""A foreign generator as safetensors of ours, with where it came from."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from l2l_widgets.checkpoints.classes import choose
from l2l_widgets.checkpoints.fetching import Location
from l2l_widgets.checkpoints.reading import open_checkpoint
from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.storage import sha256_tensors
from l2l_widgets.stylegan2 import load_generator, save_generator

__all__ = ["PROVENANCE", "convert", "provenance_of"]

#: Metadata field of a converted file; its value is JSON.
PROVENANCE = "provenance"


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    overwrite: bool = False,
    origin: str | None = None,
    classes: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Write a generator of any supported layout as safetensors, and read it back to compare.

    Parameters
    ----------
    source
        A file of a layout of `reading.LAYOUTS`.
    target
        Ends in ``.safetensors``, in an existing folder.
    overwrite
        Whether an existing target may be replaced.
    origin
        Where the source was fetched from.
    classes
        Of a class-conditional generator: what the new file draws by itself; empty for all. Without
        it the class is chosen whenever the file is opened.

    Returns
    -------
    provenance
        As it is written: ``source``, ``source_sha256``, ``source_bytes``, ``origin``, ``layout``,
        ``network``, ``tensors_sha256``, ``converted`` (UTC), ``tool``, ``notes``; ``classes``,
        where they were chosen; ``earlier``, the provenance of a source that was converted before.

    Raises
    ------
    CheckpointError
        The source is no generator, the target is there or of another name, or what was written
        reads otherwise.
    """
    from l2l_widgets import __version__

    where, to = Path(source), Path(target)
    if to.suffix.lower() != ".safetensors":
        raise CheckpointError(f"target is {str(to)!r}; allowed: a name that ends in .safetensors")
    if to.exists() and (not overwrite or (where.exists() and os.path.samefile(where, to))):
        raise CheckpointError(f"target {str(to)!r} is there already; it was left as it is")
    if not to.parent.is_dir():
        raise CheckpointError(f"target is {str(to)!r}; its folder does not exist")
    with open_checkpoint(where) as checkpoint:
        generator = checkpoint.generator()
        chosen = None if classes is None else choose(where.name, checkpoint.config, classes)
        if chosen is not None:
            generator.choose_classes(chosen)
        earlier = provenance_of(checkpoint.metadata)
        provenance: dict[str, Any] = {
            "source": where.name if origin is None else Location(origin).file_name,
            "source_sha256": checkpoint.sha256(),
            "source_bytes": checkpoint.size,
            "origin": origin,
            "layout": checkpoint.layout,
            "network": checkpoint.network,
            "tensors_sha256": sha256_tensors(generator.state_dict()),
            "converted": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "tool": f"l2l_widgets {__version__}",
            "notes": checkpoint.notes,
        }
        if chosen is not None:
            provenance["classes"] = list(chosen)
        if earlier is not None:
            provenance["earlier"] = earlier
        kept = {k: v for k, v in checkpoint.metadata.items() if k not in ("format", "config")}
    save_generator(to, generator, {**kept, PROVENANCE: json.dumps(provenance)})
    if sha256_tensors(load_generator(to).state_dict()) != provenance["tensors_sha256"]:
        raise CheckpointError(f"{str(to)!r} reads otherwise than it was written: a faulty disk?")
    return provenance


def provenance_of(metadata: dict[str, str]) -> dict[str, Any] | None:
    """The provenance in a file's metadata, or None."""
    try:
        found = json.loads(metadata.get(PROVENANCE, ""))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
