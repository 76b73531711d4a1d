"""Pictures of faces, drawn the quickest way that the generator offers.

A generator with an interactive way of drawing (`protocols.InteractiveGenerator`) starts where the
latent changed, gives drafts and early pictures, and may be stopped between blocks; any other draws
whole pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor

from l2l_widgets.models.zoo import Models
from l2l_widgets.protocols import Drawing, InteractiveGenerator

__all__ = ["Abandoned", "Face", "FaceDrawing", "cached", "request_reader"]

Stale = Callable[[], bool]
Early = Callable[[Tensor], None]


def request_reader(models: Models) -> Callable[[Tensor], Tensor] | None:
    """What reads the values a request starts from, in a session as in an evaluation.

    One regressor, and not the mean of those that trained the editors: a session reads each face
    while somebody waits. None where the models have none; requests then carry no readings.
    """
    return models.regressor if models.has("regressor") else None


class Abandoned(Exception):  # noqa: N818 - it is no error
    """Nobody waits for this picture any more."""


class Face:
    """A latent and what is known of its picture; filled in as it is asked for."""

    def __init__(self, ws: Tensor, key: tuple[Any, ...] | None = None) -> None:
        self.ws = ws  # (1, num_ws, w_dim)
        self.key = key  # of an unedited face, the same for all who load it
        self.image: Tensor | None = None  # (1, 3, R, R)
        self._shown: Tensor | None = None
        self.readings: dict[str, Tensor] = {}  # who read -> (1, A)
        self.embedding: Tensor | None = None  # (1, D)

    def shown(self) -> Tensor:
        """The picture for a caller, (3, R, R), the same object while the face is the same.

        A copy made outside inference mode is an ordinary tensor, fit for autograd.
        """
        if self._shown is None:
            assert self.image is not None
            self._shown = self.image[0].clone()
        return self._shown

    @property
    def nbytes(self) -> int:
        """Bytes of its pictures."""
        pictures = [t for t in (self.image, self._shown) if t is not None]
        return sum(t.numel() * t.element_size() for t in pictures)


class FaceDrawing:
    """Draws faces; not thread-safe.

    Parameters
    ----------
    models : Models
        Whose generator draws. It is loaded with the first picture.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._line: Drawing | None = None

    @property
    def kept_bytes(self) -> int:
        """Bytes of activations that are kept for the next picture."""
        return 0 if self._line is None else self._line.kept_bytes

    @property
    def prepared_bytes(self) -> int:
        """Bytes of weights prepared for drawing; every session of these models shares them."""
        return 0 if self._line is None else self._line.prepared_bytes

    def image(
        self, face: Face, noise_mode: str, stale: Stale, early: Early | None = None
    ) -> Tensor:
        """The picture, (1, 3, R, R); Abandoned when ``stale`` said True meanwhile.

        ``early`` may be given a rough one first, where the generator takes long; it must not draw.
        """
        if face.image is None:
            line = self._interactive()
            if line is None:
                face.image = self._models.generator.synthesis(face.ws, noise_mode=noise_mode)
            else:
                face.image = _whole(line.draw(face.ws, noise_mode, stale=stale, early=early))
        return face.image

    def draft(
        self, face: Face, noise_mode: str, stale: Stale, early: Early | None = None
    ) -> Tensor | None:
        """A rough picture, (1, 3, R, R); None where there is a better one, or none quicker."""
        line = self._interactive()
        if face.image is not None or line is None or not line.can_draft():
            return None
        return _whole(line.draw(face.ws, noise_mode, draft=True, stale=stale, early=early))

    def _interactive(self) -> Drawing | None:
        generator = self._models.generator
        if self._line is None and isinstance(generator, InteractiveGenerator):
            self._line = generator.interactive()
        return self._line


def _whole(image: Tensor | None) -> Tensor:
    if image is None:
        raise Abandoned
    return image


def cached(
    store: OrderedDict[tuple[Any, ...], Any],
    key: tuple[Any, ...],
    compute: Callable[[], Any],
    most: int,
) -> Any:
    """The value of ``key``, computed when missing; the least recently used ones are dropped."""
    if key in store:
        store.move_to_end(key)
        return store[key]
    value = store[key] = compute()
    while len(store) > most:
        store.popitem(last=False)
    return value
