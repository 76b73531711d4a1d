"""What a view of a mix holds: two faces, two sliders, a grid. Plain Python, no widget.

The two sliders span the square between two faces. At (1, 1) stands the mix, the first face's person
with the second's attributes; (1, 0) and (0, 1) redraw the two faces themselves, and (0, 0) is the
mix the other way round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.disentangle.mixer import SPACES, FaceMixer, MixError, Signature
from l2l_widgets.disentangle.sources import (
    DEFAULT_PSI,
    Counter,
    Face,
    face_counter,
    read_face,
    read_latent,
    read_picture,
)
from l2l_widgets.latents import to_wplus

SIDES = ("identity", "attributes")
#: Faces a side of the grid.
MOST = 8


@dataclass(frozen=True)
class Mix:
    """One answer.

    Parameters
    ----------
    w : Tensor, shape (1, num_ws, w_dim)
        The mix as a latent: every row is equal.
    image : Tensor, shape (3, R, R)
        RGB in [-1, 1].
    seconds : float
        What the mix and its picture took.
    """

    w: Tensor
    image: Tensor
    seconds: float


class MixState:
    """Two faces to mix, how far each half has travelled, and a grid of people and attributes.

    Parameters
    ----------
    mixer : FaceMixer
        Mixes.
    identity, attributes : int or str or Tensor
        The two faces: seeds, files, or pictures (3, R, R) in [-1, 1].
    rows, columns : sequence of int
        Seeds of the grid's further people, and of its further attributes; the two faces come first.
    truncation_psi : float
        Of seeds.

    Raises
    ------
    MixError
        A face that cannot be used.
    """

    def __init__(
        self,
        mixer: FaceMixer,
        identity: Any = 0,
        attributes: Any = 1,
        rows: Sequence[int] = (2, 3, 4),
        columns: Sequence[int] = (5, 6, 7),
        truncation_psi: float = DEFAULT_PSI,
    ) -> None:
        self.mixer, self.truncation_psi = mixer, truncation_psi
        self.counter: Counter | None = face_counter()
        self.shares = {"identity": 1.0, "attributes": 1.0}
        self.space = "w"
        self._lock = threading.RLock()
        self._faces: dict[str, Face] = {}
        self._signatures: dict[str, Signature] = {}
        self._more: dict[str, tuple[list[Face], Signature | None]] = {}
        self.set_face("identity", identity)
        self.set_face("attributes", attributes)
        self.set_grid(rows, columns)

    def face(self, side: str) -> Face:
        """One of the two faces."""
        return self._faces[_side(side)]

    def set_face(self, side: str, source: Any) -> Face:
        """Take another face: a seed, a file, a picture (3, R, R), or another :class:`Face`.

        Raises
        ------
        MixError
            It cannot be used; the face that was there stays.
        """
        _side(side)
        if isinstance(source, Face):
            face = source
        elif isinstance(source, Tensor):
            face = Face("a picture", source)
        elif isinstance(source, bool) or not isinstance(source, (int, str, Path)):
            raise MixError(f"{side} is {source!r}; allowed: a seed, a file, a picture")
        else:
            face = read_face(
                str(source), self.mixer, truncation_psi=self.truncation_psi, counter=self.counter
            )
        signature = self.mixer.signature(face.image[None])
        with self._lock:
            self._faces[side], self._signatures[side] = face, signature
        return face

    def set_picture(self, side: str, data: bytes, name: str, called: str = "") -> Face:
        """Take a dropped file: a picture, or a latent by its ending; ``called`` as it is shown."""
        called = called or name
        suffix = Path(name).suffix.lower()
        if suffix in (".npy", ".safetensors"):
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"dropped{suffix}"
                path.write_bytes(data)
                w = read_latent(path, self.mixer.generator)
            return self.set_face(side, Face(called, self.mixer.draw(w)[0]))
        resolution = self.mixer.generator.img_resolution
        image = read_picture(data, called, resolution, self.counter)
        return self.set_face(side, Face(called, image))

    def set_share(self, side: str, share: float) -> None:
        """Set a slider: 1 is the face of that side, 0 the other one's."""
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise MixError(f"{_side(side)} is {share!r}; allowed: a number from 0 to 1")
        self.shares[_side(side)] = float(share)

    def set_space(self, space: str) -> None:
        """Choose where the sliders travel: "w", or "z" before the mapper."""
        if space not in SPACES:
            raise MixError(f"space is {space!r}; allowed: {', '.join(SPACES)}")
        self.space = space

    def swap(self) -> None:
        """Exchange the two faces."""
        with self._lock:
            faces, known = self._faces, self._signatures
            faces["identity"], faces["attributes"] = faces["attributes"], faces["identity"]
            known["identity"], known["attributes"] = known["attributes"], known["identity"]

    def mix(self) -> Mix:
        """The mix where the sliders stand."""
        began = time.perf_counter()
        with self._lock:
            first, second = self._signatures["identity"], self._signatures["attributes"]
        w = self.mixer.square(
            first, second, 1 - self.shares["identity"], self.shares["attributes"], self.space
        )
        return self._drawn(w, began)

    # -- the grid ----------------------------------------------------------------------------------

    def set_grid(self, rows: Sequence[int], columns: Sequence[int]) -> None:
        """Choose the further people and attributes by their seeds, at most 7 a side."""
        for name, side, seeds in (("rows", "identity", rows), ("columns", "attributes", columns)):
            if len(seeds) > MOST - 1:
                raise MixError(f"{name} has {len(seeds)} faces; allowed: at most {MOST - 1}")
            psi = self.truncation_psi
            faces = [read_face(str(s), self.mixer, truncation_psi=psi) for s in seeds]
            signature = None
            if faces:
                signature = self.mixer.signature(torch.stack([f.image for f in faces]))
            with self._lock:
                self._more[side] = (faces, signature)

    def grid_faces(self, side: str) -> list[Face]:
        """The faces beside the rows ("identity") or above the columns ("attributes")."""
        return [self._faces[_side(side)], *self._more[side][0]]

    def grid(self) -> list[list[Mix]]:
        """All mixes, a row for each person, a column for each attribute face."""
        began = time.perf_counter()
        with self._lock:
            people, attributes = (self._line(side) for side in SIDES)
        w = self.mixer.grid(people, attributes)  # (N, M, w_dim)
        flat = w.flatten(0, 1)
        images = self.mixer.draw(flat)
        ws = to_wplus(flat, self.mixer.generator.num_ws)
        seconds = (time.perf_counter() - began) / len(flat)
        count = len(attributes)
        return [
            [Mix(ws[i : i + 1], images[i], seconds) for i in range(r * count, (r + 1) * count)]
            for r in range(len(people))
        ]

    def cell(self, row: int, column: int) -> Mix:
        """One mix of the grid.

        Raises
        ------
        MixError
            There is no such cell.
        """
        for name, side, value in (("row", "identity", row), ("column", "attributes", column)):
            count = len(self.grid_faces(side))
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
                raise MixError(
                    f"{name} is {value!r}; allowed: a whole number from 0 to {count - 1}"
                )
        began = time.perf_counter()
        with self._lock:
            people, attributes = (self._line(side) for side in SIDES)
        w = self.mixer.latent(people[row : row + 1], attributes[column : column + 1])
        return self._drawn(w, began)

    def _line(self, side: str) -> Signature:
        more = self._more[side][1]
        own = self._signatures[side]
        return own if more is None else Signature.join([own, more])

    def _drawn(self, w: Tensor, began: float) -> Mix:
        image = self.mixer.draw(w)[0]
        ws = to_wplus(w, self.mixer.generator.num_ws)
        return Mix(ws, image, time.perf_counter() - began)


def _side(side: str) -> str:
    if side not in SIDES:
        raise MixError(f"side is {side!r}; allowed: {', '.join(SIDES)}")
    return side
