"""A generator by its location, as `zoo.load` wants it: named, hashed, loaded when it is drawn."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import torch

from l2l_widgets.checkpoints.classes import choose, label_of
from l2l_widgets.checkpoints.describing import drawing_mb
from l2l_widgets.checkpoints.fetching import fetch, parse_location
from l2l_widgets.checkpoints.reading import open_checkpoint
from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.storage import available_memory, sha256_file
from l2l_widgets.stylegan2 import Generator

__all__ = ["GeneratorFile", "is_generator_file"]


def is_generator_file(text: str | os.PathLike[str]) -> bool:
    """Whether it is an address, or a path (with a fragment or without) where a file lies."""
    location = parse_location(text)
    return location.is_url or (os.path.exists(location.base) and not os.path.isdir(location.base))


class GeneratorFile:
    """One generator in one file.

    Parameters
    ----------
    text
        A location, see `fetching`. An address is fetched now.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        What recipes and errors call it.
    sha256 : str
        Of the file; with a class that was asked for, of that and the class.
    classes : tuple of int or None
        What is drawn of a class-conditional generator.
    drawing_mb : int
        About what drawing takes, MB, weights included.

    Raises
    ------
    CheckpointError
        No generator that is supported; nothing is decoded for that yet.
    """

    def __init__(self, text: str | os.PathLike[str]) -> None:
        location = parse_location(text)
        self.path = self.path_of(text)
        asked = location.classes
        self.name = Path(location.file_name).stem
        with open_checkpoint(self.path) as checkpoint:
            self.classes = choose(str(self.path), checkpoint.config, asked)
            self.drawing_mb = drawing_mb(checkpoint)
            if not checkpoint.config.get("z_dim"):
                raise CheckpointError(f"{str(self.path)!r} draws from its class alone (z_dim 0)")
        self._stamp = self._state()
        found = sha256_file(self.path)
        if location.sha256 not in (None, found):
            raise CheckpointError(
                f"{str(self.path)!r}: sha256 is {found[:12]}..., '#sha256=' says "
                f"{str(location.sha256)[:12]}...: it is another file"
            )
        self.sha256 = found
        if asked is not None:
            label = label_of(asked)
            short = label.replace(",", "+") if len(asked) < 9 else f"es-{len(asked)}"
            self.name = f"{self.name}-class{short}"
            self.sha256 = hashlib.sha256(f"{found}#class={label}".encode()).hexdigest()

    @staticmethod
    def path_of(text: str | os.PathLike[str]) -> Path:
        """Where the file of a location lies; an address is fetched."""
        location = parse_location(text)
        return fetch(location) if location.is_url else Path(location.base)

    def load(self, device: str = "cpu") -> Generator:
        """The generator, ready to draw; CheckpointError where the file is not the same any more.

        Warns where drawing would take more memory than is free, before any is taken.
        """
        if self._state() != self._stamp:
            raise CheckpointError(
                f"{str(self.path)!r} has changed since it was opened; load it anew"
            )
        free = available_memory()
        if device == "cpu" and free is not None and self.drawing_mb * 2**20 > free:
            warnings.warn(
                f"{self.path.name}: drawing takes about {self.drawing_mb} MB of memory, "
                f"{free >> 20} MB are free: end other programs, or it becomes slow or is ended",
                stacklevel=2,
            )
        # Normal tensors even when first asked for inside inference mode.
        with torch.inference_mode(False), torch.no_grad():
            with open_checkpoint(self.path) as checkpoint:
                network = checkpoint.generator()
            network.choose_classes(self.classes)
            return network.to(device)

    def _state(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot read {str(self.path)!r}: {error.strerror}") from None
        return found.st_size, found.st_mtime_ns
