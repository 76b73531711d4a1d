"""Models put together from a generator and the judges that you bring.

``with_judges`` puts them together in memory. ``write_world`` makes a folder of them, as
``l2l_widgets.load`` opens it and ``l2l train own --weights FOLDER`` trains editors into it::

    generator.safetensors     G
    attributes.json           what the readings mean
    judge_regressor.toml      the attribute judge's declaration, its network beside it
    judge_embedder.toml       the identity judge's
    parser.toml               a face parser's, where there is one
    MANIFEST.json             the hash of every file
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2l_widgets.checkpoints.conversion import PROVENANCE
from l2l_widgets.judges import Declaration, Judge, JudgeError, load_judge
from l2l_widgets.models.checks import check_models
from l2l_widgets.models.zoo import MANIFEST, TABLE_FILE, Models
from l2l_widgets.storage import make_folder, sha256_file, write_atomic

__all__ = ["with_judges", "write_world"]

#: Kind of judge -> the parts it fills: the first enters losses, the second only judges.
PARTS = {
    "attributes": ("regressor", "attribute_judge", "attribute_judge_b"),
    "identity": ("embedder", "identity_judge"),
    "parser": ("parser",),
}
#: Kind of judge -> the file that declares it in a world's folder.
DECLARATIONS = {
    "attributes": "judge_regressor.toml",
    "identity": "judge_embedder.toml",
    "parser": "parser.toml",
}

Source = str | os.PathLike[str] | Declaration | Judge


def with_judges(models: Models, judges: Iterable[Source]) -> Models:
    """The same generator, read by judges of your own.

    Parameters
    ----------
    models : Models
        With a generator; its own readers and editors stay behind, because what they were trained
        on, or for, is not what your judges read.
    judges : iterable
        Declarations (files or names of ready ones), or judges. Of each kind the first becomes what
        losses see (``regressor``, ``embedder``), the second what only measures
        (``attribute_judge``, ``identity_judge``); a measure without a second judge says so. A third
        that reads attributes measures beside the second (``attribute_judge_b``).

    Returns
    -------
    Models
        With the attribute table of the first attribute judge.

    Raises
    ------
    JudgeError
        A judge cannot be used, there are more of a kind than parts, or two attribute judges read
        different attributes.
    """
    check_models(models)
    if isinstance(judges, (str, os.PathLike)) or not isinstance(judges, Iterable):
        raise JudgeError(f"judges is {judges!r}; allowed: a list of them, such as [{judges!r}]")
    parts: dict[str, Any] = {}
    hashes = {"generator": models.hashes["generator"]}
    table = models.table
    for judge in map(_as_judge, judges):
        kind = judge.declaration.kind
        free = [part for part in PARTS[kind] if part not in parts]
        if not free:
            raise _too_many(judge, len(PARTS[kind]))
        if free[0] == "regressor" and judge.declaration.table is not None:
            table = judge.declaration.table
        elif free[0].startswith("attribute_judge") and judge.attributes != table.names:
            missing = [name for name in table.names if name not in judge.attributes]
            raise JudgeError(
                f"judge {judge.declaration.file!r} reads {len(judge.attributes)} attributes, the "
                f"first one {len(table)}"
                + (f"; it lacks {missing[0]!r}" if missing else " in another order")
                + "; allowed: the same names in the same order"
            )
        parts[free[0]] = judge
        if judge.sha256:
            hashes[free[0]] = judge.sha256
    loaders: dict[str, Callable[[], Any]] = {"generator": lambda: models.generator}
    for name, judge in parts.items():
        loaders[name] = functools.partial(_give, judge)
    return Models(models.name, table, loaders, hashes=hashes, device=models.device)


def write_world(
    folder: str | os.PathLike[str],
    generator: Any,
    judges: Iterable[Source],
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write a folder of models from a generator and judges with files.

    Parameters
    ----------
    folder : path
        Made where it does not exist; a world that is there already is written anew, except that
        what was trained for the same generator and judges is kept.
    generator : Generator
        A StyleGAN2 of this package, as ``load_generator`` or ``load(...).generator`` gives it.
    judges : iterable
        As for :func:`with_judges`, at most one of a kind, at least one that reads attributes.
    provenance : mapping, optional
        Where the generator comes from, as ``l2l info`` shows it of the file.

    Returns
    -------
    dict of str to str
        File -> SHA-256 of what the folder's manifest lists.

    Raises
    ------
    JudgeError
        A judge cannot be used, has no file, there is none for attributes or two of a kind.
    StorageError, OSError
        The folder cannot be written.
    """
    from l2l_widgets.stylegan2 import save_generator

    folder = Path(folder)
    if getattr(generator, "c_dim", 0) and generator.mapping.classes is None:
        raise JudgeError(
            f"generator has {generator.c_dim} classes and none is chosen; allowed: one opened with "
            "'#class=N' (or --class), or after choose_classes"
        )
    found: dict[str, Judge] = {}
    for judge in map(_as_judge, judges):
        kind = judge.declaration.kind
        if kind in found:
            raise _too_many(judge, 1)
        if not judge.sha256:
            raise JudgeError(f"judge of kind {kind!r} has no file; allowed: one that was loaded")
        if judge.declaration.path.suffix != ".onnx":
            raise JudgeError(
                f"judge {judge.declaration.file!r} is a program; allowed in a folder, which may go "
                "to others: ONNX"
            )
        found[kind] = judge
    if "attributes" not in found:
        raise JudgeError(
            f"judges are of kind {', '.join(found) or 'none'}; allowed: at least one 'attributes'"
        )
    make_folder(folder)
    metadata = None if provenance is None else {PROVENANCE: json.dumps(dict(provenance))}
    save_generator(folder / "generator.safetensors", generator, metadata)
    brought = {"generator.safetensors": "generator"}
    for kind, judge in found.items():
        declaration, text = judge.declaration, DECLARATIONS[kind]
        network = Path(text).with_suffix(declaration.path.suffix).name
        if (folder / network).resolve() != declaration.path.resolve():
            write_atomic(folder / network, declaration.path.read_bytes())
        write_atomic(folder / text, replace(declaration, file=network).to_toml().encode())
        brought |= {network: "network", text: f"{kind} judge"}
    table = found["attributes"].declaration.table
    if table is not None:
        write_atomic(folder / TABLE_FILE, table.to_json().encode())
        brought[TABLE_FILE] = "attribute table"
    manifest = {
        file: {"sha256": sha256_file(folder / file), "kind": kind} for file, kind in brought.items()
    }
    manifest |= _still_good(folder, manifest)
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_atomic(folder / MANIFEST, text.encode())
    return {file: entry["sha256"] for file, entry in manifest.items()}


def _still_good(folder: Path, brought: dict[str, Any]) -> dict[str, Any]:
    """Entries of the old manifest that were trained, where nothing that was brought has changed."""
    try:
        before = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = all(before[file]["sha256"] == entry["sha256"] for file, entry in brought.items())
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {f: entry for f, entry in before.items() if same and "recipe" in entry}


def _as_judge(source: Source) -> Judge:
    judge = source if isinstance(source, Judge) else load_judge(source)
    if judge.declaration.kind not in PARTS:
        raise JudgeError(
            f"judge {judge.declaration.file!r} is of kind {judge.declaration.kind!r}, which looks "
            f"at photos; allowed among models: {', '.join(PARTS)}"
        )
    return judge


def _too_many(judge: Judge, allowed: int) -> JudgeError:
    d = judge.declaration
    return JudgeError(f"judge {d.file!r} is one of kind {d.kind!r} too many; allowed: {allowed}")


def _give(judge: Judge) -> Judge:
    return judge
