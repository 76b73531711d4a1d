"""The editors of a method, one a training seed.

What ships is seed 0. Other seeds lie in a folder that ``l2l train METHOD --seeds K`` fills:
``FOLDER/seed1/METHOD.safetensors`` and so on, each with a manifest. A folder of models may also
hold them itself, as ``METHOD.seed1.safetensors``, listed in its manifest like every other file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.storage import sha256_file

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor

#: Where other training seeds are put and looked for, in the folder of the moment.
SEEDS = Path("runs") / "seeds"


class _WithFile:
    """Models whose file of a method is another one."""

    def __init__(self, models: Models, path: Path) -> None:
        self._models = models
        self._path = path

    def file(self, name: str) -> Path:
        return self._path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)


def editor_from(models: Models, method: str, path: Path) -> Editor:
    """Return a method's editor with the weights of another file than the models' own."""
    from l2l_widgets.editors import make_editor

    return make_editor(method, _WithFile(models, path))


def seed_files(
    models: Models, method: str, seeds: int, folder: str | Path | None = None
) -> list[Path]:
    """Return the files of training seeds 1, 2, ... of a method, below ``seeds``, without gap.

    Parameters
    ----------
    models : Models
        Whose generator they edit.
    method : str
        The method.
    seeds : int
        Training seeds that are wanted, the published one included.
    folder : path, optional
        Holds ``seed1``, ``seed2``, ...; only the models' own folder is looked into without it.

    Raises
    ------
    ZooError
        A file that is not the manifest's.
    ValueError
        A file that was trained for another generator, or is not what its manifest says.
    """
    found: list[Path] = []
    for seed in range(1, seeds):
        own = f"{method}.seed{seed}.safetensors"
        if own in models.manifest:
            found.append(models.check_file(own))
            continue
        path = None if folder is None else _file_of(Path(folder) / f"seed{seed}", method, models)
        if path is None:
            break
        found.append(path)
    return found


def _file_of(folder: Path, method: str, models: Models) -> Path | None:
    """Return a method's file of one training seed, checked; None where there is none."""
    file = f"{method}.safetensors"
    path = folder / file
    try:
        entry = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8")).get(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / 'MANIFEST.json'}: not readable ({error})") from None
    if entry is None:
        return None
    found = sha256_file(path) if path.is_file() else "missing"
    if found != entry.get("sha256"):
        raise ValueError(
            f"{path}: is {found[:12]}, its manifest says {str(entry.get('sha256'))[:12]}; allowed: "
            "what was trained; train it again"
        )
    used, own = entry.get("inputs", {}).get("generator.safetensors"), models.hashes["generator"]
    if used is not None and used != own:
        raise ValueError(
            f"{path}: was trained for generator {used[:12]}..., not {own[:12]}...; allowed: seeds "
            "of these models; train them into another folder"
        )
    return path


def trained_editors(
    models: Models, method: str, seeds: int, folder: str | Path | None = None
) -> list[Editor]:
    """Return a method's editors, seed 0 first, as many of ``seeds`` as there are files without gap.

    Parameters
    ----------
    models, method, seeds, folder
        As for :func:`seed_files`.

    Raises
    ------
    ZooError
        A method that these models do not have, or a file that is not the manifest's.
    ValueError
        As for :func:`seed_files`.
    """
    files = seed_files(models, method, seeds, folder)
    return [models.editor(method), *(editor_from(models, method, path) for path in files)]


def trained_hashes(
    models: Models, method: str, seeds: int, folder: str | Path | None = None
) -> list[str]:
    """Return the SHA-256 of the files of :func:`seed_files`."""
    return [sha256_file(path) for path in seed_files(models, method, seeds, folder)]


def labelled(methods: Sequence[str]) -> dict[str, str]:
    """Return label -> method; the second time that a method is named it becomes ``NAME (2)``."""
    out: dict[str, str] = {}
    for method in methods:
        label, count = method, 1
        while label in out:
            count += 1
            label = f"{method} ({count})"
        out[label] = method
    return out
