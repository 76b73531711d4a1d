"""Faces from files: latents as arrays or tensors, and the face of a recipe or a saved picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.session.replay import read_recipe
from l2l_widgets.storage import StorageError, load_array, load_safetensors

#: Endings that can hold a face.
ENDINGS = (".npy", ".safetensors", ".json", ".png")
MAX_FILE = 64 << 20
#: Numbers in an array; one latent has some ten thousand.
MOST = 1 << 22


def face_files(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files of a folder that can hold a face, by name; of a file, the file.

    Raises
    ------
    ValueError
        No such folder, or none in it.
    """
    folder = Path(folder)
    if folder.is_file() and folder.suffix.lower() in ENDINGS:
        return (folder,)
    if not folder.is_dir():
        raise ValueError(
            f"latents: {folder}: no such folder, and no file that ends in {', '.join(ENDINGS)}"
        )
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    ]
    if not files:
        raise ValueError(f"latents: {folder}: no {', '.join(ENDINGS)} in it")
    return tuple(sorted(files, key=lambda path: path.name))


def face_of_file(path: Path) -> dict[str, Any]:
    """The face in a file, as values of a session's ``update``.

    ``.npy`` and ``.safetensors`` (one tensor, or one named ``w``) hold a latent; ``.json`` and
    ``.png`` a recipe, of which only the face is taken: seed and truncation, or latent.

    Raises
    ------
    ValueError
        Not a face; the reason names the file.
    """
    if path.suffix.lower() in (".json", ".png"):
        recipe = read_recipe(path)
        if recipe.w is not None:
            return {"w": recipe.w}
        return {"seed": recipe.seed, "truncation_psi": recipe.truncation_psi}
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path.name}: larger than {MAX_FILE >> 20} MiB; allowed: one latent")
    w = _array(path) if path.suffix.lower() == ".npy" else _tensor(path)
    return {"w": w}


def _array(path: Path) -> Tensor:
    try:
        array = load_array(path, MOST)
    except StorageError as error:
        raise ValueError(f"{path.name}: no plain array ({error})") from None
    if array.dtype.kind != "f":
        raise ValueError(f"{path.name}: not an array of floating-point numbers")
    return torch.from_numpy(array.astype(np.float32))


def _tensor(path: Path) -> Tensor:
    tensors, _ = load_safetensors(path)
    if "w" not in tensors and len(tensors) != 1:
        raise ValueError(f"{path.name}: holds {len(tensors)} tensors; allowed: one, or one named w")
    found: Tensor = tensors["w"] if "w" in tensors else next(iter(tensors.values()))
    if not found.is_floating_point():
        raise ValueError(f"{path.name}: the tensor is of {found.dtype}; allowed: floating point")
    return found.to(torch.float32)
