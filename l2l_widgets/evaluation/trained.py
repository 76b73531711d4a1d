"""The editors of a method, one a training seed.

What ships is seed 0. Other seeds of a folder of models are files beside it,
``METHOD.seed1.safetensors`` and so on, listed in its manifest like every other file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor


class _OfSeed:
    """Models whose file of a method is that of another training seed."""

    def __init__(self, models: Models, seed: int) -> None:
        self._models = models
        self._seed = seed

    def file(self, name: str) -> Path:
        return self._models.check_file(f"{name}.seed{self._seed}.safetensors")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)


def trained_editors(models: Models, method: str, seeds: int) -> list[Editor]:
    """Return a method's editors, seed 0 first, as many of ``seeds`` as there are files without gap.

    Raises
    ------
    ZooError
        A method that these models do not have, or a file that is not the manifest's.
    """
    from l2l_widgets.editors import make_editor

    found = [models.editor(method)]
    for seed in range(1, seeds):
        if f"{method}.seed{seed}.safetensors" not in models.manifest:
            break
        found.append(make_editor(method, _OfSeed(models, seed)))
    return found


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
