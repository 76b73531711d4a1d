"""Pictures of unedited faces, drawn once for all who ask for them at about the same time.

A pointer rests on a face and somebody clicks: the view under the pointer and the session that
loads the face want the same picture. Whoever is first draws it, beside the other, who gets the same
pixels: the same latent from the seed, the same way of drawing, one face at a time.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.latents import to_wplus, z_from_seed
from l2l_widgets.models.drawing import Face, FaceDrawing
from l2l_widgets.models.zoo import Models

__all__ = ["Glances"]

#: What a face that is looked at is drawn with, the noise that sessions begin with.
NOISE = "const"
#: Pictures that are kept, and seconds that somebody waits for one that another one draws.
KEPT, PATIENCE = 6, 0.2

_OF_MODELS: weakref.WeakKeyDictionary[Models, Glances] = weakref.WeakKeyDictionary()
_OF_MODELS_LOCK = threading.Lock()


class _Picture:
    """A picture that is there, or on its way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.image: Tensor | None = None  # (1, 3, R, R)


class Glances:
    """The pictures of the faces that were looked at last. Thread-safe.

    Use :meth:`of`, so that all views and sessions of some models share one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[Any, ...], _Picture] = OrderedDict()

    @classmethod
    def of(cls, models: Models) -> Glances:
        """Those of these models: the same object as long as the models live."""
        with _OF_MODELS_LOCK:
            if models not in _OF_MODELS:
                _OF_MODELS[models] = cls()
            return _OF_MODELS[models]

    def draw(self, models: Models, seed: int, truncation_psi: float) -> Tensor:
        """The picture of a seed's face, (3, R, R) in [-1, 1], for who does not load it."""
        generator = models.generator
        with torch.inference_mode():
            z = z_from_seed(seed, generator.z_dim).to(models.device)
            ws = generator.mapping(z, truncation_psi=float(truncation_psi))
            key = ("seed", seed, truncation_psi, NOISE)
            face = Face(to_wplus(ws, generator.num_ws), key)
            drawing = FaceDrawing(models)
            image = self.share(face, lambda: drawing.image(face, NOISE, lambda: False))
        return image[0].clone()

    def share(self, face: Face, draw: Callable[[], Tensor]) -> Tensor:
        """The picture of a face, (1, 3, R, R): drawn now, unless another one draws it or has.

        Parameters
        ----------
        face : Face
            An unedited one, with its key; it gets the picture.
        draw : callable
            Draws it; what it raises goes through, and the next one draws.
        """
        assert face.key is not None
        with self._lock:
            entry = self._pictures.get(face.key)
            mine = entry is None
            if entry is None:
                entry = self._pictures[face.key] = _Picture()
                while len(self._pictures) > KEPT:
                    self._pictures.popitem(last=False)
            else:
                self._pictures.move_to_end(face.key)
        if not mine:
            entry.done.wait(PATIENCE)
            face.image = entry.image
            return draw() if entry.image is None else entry.image
        try:
            entry.image = draw()
            return entry.image
        finally:
            if entry.image is None:
                with self._lock:
                    self._pictures.pop(face.key, None)
            entry.done.set()
