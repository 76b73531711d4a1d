"""One photo on its way to a latent: the square that is cut, the descent, and how to end it early.

Plain Python, for a view, a script or a test: each step is a call, and none keeps the photo longer
than it is the photo at hand.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from l2l_widgets.inversion import Inversion, InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos.alignment import crop_quad, turn_of
from l2l_widgets.photos.detection import Detector
from l2l_widgets.photos.finding import Aligned, align_photo, as_tensor, turned_face
from l2l_widgets.photos.inverting import encoded_start, invert_picture, read_back
from l2l_widgets.photos.reading import Photo, PhotoError

__all__ = ["PhotoWork", "Square"]

SMALLEST = 16.0  # pixels of the photo
FIRST_SHARE = 0.8  # of the photo's shorter side, where nobody found a face


@dataclass(frozen=True)
class Square:
    """A square in a photo.

    Parameters
    ----------
    x, y : float
        Its middle, pixels of the upright photo.
    side : float
        Pixels.
    turn : float
        Degrees clockwise.
    """

    x: float
    y: float
    side: float
    turn: float = 0.0

    @classmethod
    def of(cls, quad: Any) -> Square:
        """The square with these corners, (4, 2)."""
        q = np.asarray(quad, dtype=np.float64)
        x, y = q.mean(0)
        return cls(float(x), float(y), float(np.hypot(*(q[3] - q[0]))), turn_of(q))

    @property
    def quad(self) -> np.ndarray:
        """Corners (4, 2): top left, bottom left, bottom right, top right."""
        a, half = math.radians(self.turn), self.side / 2
        across = np.array([math.cos(a), math.sin(a)]) * half
        down = np.array([-math.sin(a), math.cos(a)]) * half
        middle = np.array([self.x, self.y])
        return np.stack([middle - across - down, middle - across + down,
                         middle + across + down, middle + across - down])  # fmt: skip

    def within(self, width: int, height: int) -> Square:
        """The nearest square whose middle is in a photo and whose side makes sense there."""
        values = (self.x, self.y, self.side, self.turn)
        if not all(math.isfinite(v) for v in values):
            raise PhotoError(f"square is {values}; allowed: finite numbers")
        return Square(
            min(max(self.x, 0.0), float(width)), min(max(self.y, 0.0), float(height)),
            min(max(self.side, SMALLEST), 2.0 * max(width, height)),
            (self.turn + 180) % 360 - 180,
        )  # fmt: skip


class PhotoWork:
    """A photo, the square on it, and the best latent so far.

    Parameters
    ----------
    models : Models
        What inverts.
    detector : callable, optional
        What finds faces.
    """

    def __init__(self, models: Models, detector: Detector | None = None) -> None:
        self.models, self.detector = models, detector
        self.photo: Photo | None = None
        self.square: Square | None = None
        self.aligned: Aligned | None = None
        self.found: Inversion | None = None
        self.notes: tuple[str, ...] = ()
        self.how = ""
        self._stop = threading.Event()

    def take(self, photo: Photo) -> None:
        """Make this the photo, and propose a square: around the largest face, where one is found.

        Nothing here is an error: a photo without a face gets a square in its middle, and a note.
        """
        self.photo, self.found = photo, None
        width, height = photo.size
        side = FIRST_SHARE * min(width, height)
        try:
            aligned = align_photo(photo, self.models, self.detector)
        except PhotoError as error:
            if "say which" in str(error):
                self.choose(1)
                return
            self.aligned, self.square = None, Square(width / 2, height / 2, side)
            why = "no face was found" if self.detector else "nothing that finds faces is installed"
            turned = turned_face(photo, self.detector) if self.detector else ""
            notes = (*photo.notes, f"{why}: move the square", turned)
            self.how, self.notes = "placed by nobody", tuple(note for note in notes if note)
            return
        self._enter(aligned)

    def choose(self, face: int) -> None:
        """Take another of the faces that were found, from 1; PhotoError where there is none."""
        photo = self._photo()
        aligned = align_photo(photo, self.models, self.detector, face=face)
        self._enter(aligned)
        if len(aligned.faces) > 1:
            self.notes = (*self.notes, f"{len(aligned.faces)} faces were found: this is {face}")

    def place(self, square: Square) -> None:
        """Cut by hand; the best so far is forgotten, for it is of another picture."""
        photo = self._photo()
        self.square, self.found = square.within(*photo.size), None
        self.how, self.notes = "cut by hand", photo.notes

    def picture(self) -> Tensor:
        """What the square shows, as the generator would have it: (1, 3, R, R) in [-1, 1]."""
        photo = self._photo()
        assert self.square is not None  # placed with the photo
        side = self.models.generator.img_resolution
        return as_tensor(crop_quad(photo.image, self.square.quad, side))

    def invert(
        self,
        settings: InversionSettings,
        progress: Callable[[int, float, Tensor], None] | None = None,
        stale: Callable[[], bool] = lambda: False,
    ) -> Inversion:
        """Look for the latent, from where the last descent on this square ended.

        Parameters
        ----------
        settings : InversionSettings
            How; with 0 steps the encoder's answer.
        progress : callable, optional
            As for ``inversion.invert``.
        stale : callable
            Asked before each step; True ends with the best so far, as :meth:`stop` does, which
            holds until :meth:`go_on`.
        """
        picture, start = self.picture(), None
        if self.found is not None and settings.steps:
            start = self.found.ws
        if start is None:
            start = encoded_start(self.models, picture, settings.space)
        if start is None and not settings.steps:
            settings = replace(settings, candidates=64)  # a first look must not take long
        self.found = invert_picture(
            self.models, picture, settings, start=start, progress=progress,
            stop=lambda: self._stop.is_set() or stale(),
        )  # fmt: skip
        return self.found

    def stop(self) -> None:
        """End a descent on another thread, or one about to begin; the best so far is its result."""
        self._stop.set()

    def go_on(self) -> None:
        """Forget an earlier stop: what is asked for from now on runs."""
        self._stop.clear()

    def read_back(self) -> dict[str, Any]:
        """What the second judges say; see :func:`~l2l_widgets.photos.inverting.read_back`."""
        if self.found is None:
            return {}
        return read_back(self.models, self.picture(), self.found.image)

    def _photo(self) -> Photo:
        if self.photo is None:
            raise PhotoError("there is no photo yet; drop or choose one")
        return self.photo

    def _enter(self, aligned: Aligned) -> None:
        self.aligned, self.found = aligned, None
        self.square, self.how, self.notes = Square.of(aligned.quad), aligned.how, aligned.notes
