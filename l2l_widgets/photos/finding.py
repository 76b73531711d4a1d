"""From a photo to the picture a generator could have drawn: which face, cut where.

Three ways lead there. A photo that is aligned already is used as it is; a square cut by hand is
used as it was cut; anything else is searched for faces. Landmarks, where there are any, say how the
face is turned; a box alone says only where it is, and the answer says so.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL.Image import Transpose
from torch import Tensor

from l2l_widgets.images import from_uint8
from l2l_widgets.models.zoo import Models
from l2l_widgets.perception import ParsingNet
from l2l_widgets.photos.alignment import (
    FFHQ,
    Template,
    alignment_quad,
    crop_quad,
    cut_quad,
    quad_by_eyes,
    square_quad,
    template_from,
    turn_of,
)
from l2l_widgets.photos.detection import DETECTORS, DetectedFace, Detector, in_order
from l2l_widgets.photos.reading import Photo, PhotoError

__all__ = [
    "Aligned",
    "Landmarks",
    "align_photo",
    "as_tensor",
    "landmark_network",
    "share_beyond",
    "template_of",
]

#: The rule's square of a face of which only the box is known: its side and how far below the box's
#: middle it lies, in its widths: medians over renders that OpenCV's cascade finds.
BOX_SIDE, BOX_DOWN = 1.56, -0.08
#: Faces of the generator that say where it has them, and their truncation.
TEMPLATE_FACES, TEMPLATE_PSI = 48, 0.7
#: Side at which a photo without a face is searched again, turned by quarters, pixels.
TURNED_SIDE = 400
#: Landmarks are believed where their square has about the box's place and size: shares of its side.
FARTHEST, LARGEST, MOST_TURNED = 0.30, 1.6, 40.0
#: And where the detector saw the eyes, only if they say nearly the same as these do: a network that
#: knows drawn faces puts the mouth of a photograph on its chin.
EYES_FARTHEST, EYES_LARGEST, EYES_TURNED = 0.06, 1.1, 5.0

#: Sides of squares that sets of aligned faces have: FFHQ's, its thumbnails', CelebA-HQ's.
CUT_SIDES = (128, 256, 512, 1024)
#: A cut of which less than this share lies outside its photo is not worth a word.
LEAST_BEYOND = 0.01
#: Pictures (1, 3, R, R) in [-1, 1] to points (1, P, 2), shares of the side.
Landmarks = Callable[[Tensor], Tensor]

_LOCK = threading.Lock()
_READERS: weakref.WeakKeyDictionary[Models, Landmarks | None] = weakref.WeakKeyDictionary()
#: Models -> what read their faces last, and where it found them.
_TEMPLATES: weakref.WeakKeyDictionary[Models, tuple[Landmarks, Template]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True)
class Aligned:
    """A face as the generator would have it.

    Parameters
    ----------
    image : Tensor, shape (1, 3, R, R)
        RGB in [-1, 1].
    quad : tuple of (float, float)
        The square it was cut from: corners in pixels of the photo, top left, bottom left, bottom
        right, top right.
    how : str
        What decided it, in words.
    faces : tuple of DetectedFace
        All faces that were found, largest first; empty where nobody looked.
    chosen : int
        Which of them it is, from 1; 0 where nobody looked.
    notes : tuple of str
        What was done to the photo, and what to doubt.
    """

    image: Tensor
    quad: tuple[tuple[float, float], ...]
    how: str
    faces: tuple[DetectedFace, ...] = ()
    chosen: int = 0
    notes: tuple[str, ...] = ()

    @property
    def turned(self) -> float:
        """How far the square is turned, degrees clockwise."""
        return turn_of(self.quad)


def align_photo(
    photo: Photo,
    models: Models,
    detector: Detector | None = None,
    *,
    landmarks: Landmarks | None = None,
    face: int | None = None,
    aligned: bool = False,
    crop: tuple[float, float, float] | None = None,
) -> Aligned:
    """Cut the face out of a photo as a generator has its faces.

    Parameters
    ----------
    photo : Photo
        From :func:`~l2l_widgets.photos.read_photo`.
    models : Models
        Whose generator, and whose landmark network where it has one.
    detector : callable, optional
        Finds faces; see :func:`~l2l_widgets.photos.find_detector`.
    landmarks : callable, optional
        Reads landmarks of a roughly cut face; that of the models if not given.
    face : int, optional
        Which face, from 1, largest first, where there are several.
    aligned : bool
        Whether the photo is cut already: its middle square is used.
    crop : tuple of 3 float, optional
        Left, top and side of a square by hand, pixels of the upright photo.

    Raises
    ------
    PhotoError
        No face, several of which none was named, no such face, no detector, a cut beside the photo.
    """
    side = models.generator.img_resolution
    width, height = photo.size
    notes = list(photo.notes)
    if crop is not None:
        quad = _checked_crop(crop, photo)
        most = min(width, height)
        inside = (
            f"inside it lie squares with X from 0 to {width} - SIDE, Y from 0 to {height} - SIDE"
        )
        return _cut(photo, quad, side, "cut by hand", notes, f"{inside}, SIDE up to {most}")
    if aligned or _is_aligned(photo, side):
        size = min(width, height)
        quad = square_quad((width - size) / 2, (height - size) / 2, size)
        how = "taken as aligned" + ("" if width == height else ": its middle square")
        return _cut(photo, quad, side, how, notes)
    if detector is None:
        ways = "; ".join(f"{name}: {what}" for name, what in DETECTORS.items())
        raise PhotoError(
            f"photo {photo.name} ({width} x {height}): nothing here finds faces. "
            f"Allowed: a detector ({ways}), a square by hand (--crop x,y,side), or --aligned for "
            "one that is cut like the generator's faces"
        )
    faces = in_order(detector(photo.image))
    if not faces:
        raise PhotoError(_nobody(photo, detector))
    chosen = _choose(faces, face, photo)
    found, how, doubt = _quad_of(
        photo, faces[chosen - 1], models, landmarks or landmark_network(models)
    )
    if doubt:
        notes.append(doubt)
    if _looks_cut(photo) and _fills(photo, found):
        notes.append("its size is that of a face cut as FFHQ does: take all of it (--aligned)")
    if np.hypot(*(found[3] - found[0])) < side / 2:
        notes.append(f"the face is small: {np.hypot(*(found[3] - found[0])):.0f} pixels wide")
    cut = _cut(photo, found, side, how, notes)
    return Aligned(cut.image, cut.quad, how, tuple(faces), chosen, cut.notes)


def landmark_network(models: Models) -> Landmarks | None:
    """What reads landmarks among the models: their parser, where it is ours; else None."""
    with _LOCK:
        if models not in _READERS:
            _READERS[models] = _reader_of(models)
        return _READERS[models]


def _reader_of(models: Models) -> Landmarks | None:
    if not models.has("parser") or not isinstance(models.parser, ParsingNet):
        return None
    parser = models.parser

    def read(images: Tensor) -> Tensor:
        return (parser.landmarks(images) + 0.5) / images.shape[-1]

    return read


@torch.no_grad()
def template_of(models: Models, landmarks: Landmarks | None) -> Template:
    """Where a generator has its faces: read off its own, or FFHQ's where nothing reads them."""
    if landmarks is None:
        return FFHQ
    with _LOCK:
        by, known = _TEMPLATES.get(models, (None, FFHQ))
    if by is not landmarks:
        generator = models.generator
        z = torch.randn(
            TEMPLATE_FACES, generator.z_dim, generator=torch.Generator().manual_seed(0)
        ).to(generator.w_avg.device)
        ws = generator.mapping(z, truncation_psi=TEMPLATE_PSI)
        points = [
            landmarks(generator.synthesis(part, noise_mode="const").float().clamp(-1, 1)).cpu()
            for part in ws.split(8)
        ]
        known = template_from(torch.cat(points).numpy())
        with _LOCK:
            _TEMPLATES[models] = (landmarks, known)
    return known


# -- inside ----------------------------------------------------------------------------------------


def _is_aligned(photo: Photo, side: int) -> bool:
    """What the generator could have drawn needs no search: its own size, or a picture of ours."""
    width, height = photo.size
    return width == height and (width == side or photo.ours)


def _checked_crop(crop: tuple[float, float, float], photo: Photo) -> np.ndarray:
    x, y, size = (float(v) for v in crop)
    width, height = photo.size
    if not (np.isfinite([x, y, size]).all() and size >= 8):
        raise PhotoError(f"crop is {x:g},{y:g},{size:g}; allowed: a side of at least 8 pixels")
    if x + size <= 0 or y + size <= 0 or x >= width or y >= height:
        raise PhotoError(
            f"crop is {x:g},{y:g},{size:g}: beside the photo, which is {width} x {height} pixels"
        )
    return square_quad(x, y, size)


def _nobody(photo: Photo, detector: Detector) -> str:
    """What may help where no face was found: first of all whether the photo lies on its side."""
    width, height = photo.size
    none = f"photo {photo.name} ({width} x {height}): no face was found. "
    if _looks_cut(photo):
        none += "Its size is that of a face cut as FFHQ does: --aligned takes it as it is. "
    return none + (
        turned_face(photo, detector)
        or "A face seen from the front, larger than a tenth of the photo, is found best; otherwise "
        "cut it yourself: --crop x,y,side"
    )


def turned_face(photo: Photo, detector: Detector) -> str:
    """How to turn a photo that lies on its side; "" where that shows no face either."""
    small = photo.image.copy()
    small.thumbnail((TURNED_SIDE, TURNED_SIDE))
    for turn, words in (
        (Transpose.ROTATE_270, "to the right"), (Transpose.ROTATE_90, "to the left"),
        (Transpose.ROTATE_180, "upside down"),
    ):  # fmt: skip
        if detector(small.transpose(turn)):
            return f"There seems to be one if it is turned {words}: turn the file so first"
    return ""


def _looks_cut(photo: Photo) -> bool:
    """Whether a photo has a size that cameras do not make, and sets of aligned faces do."""
    width, height = photo.size
    return width == height and width in CUT_SIDES


def _fills(photo: Photo, quad: np.ndarray) -> bool:
    """Whether a face's square is about the whole photo."""
    side = float(np.hypot(*(quad[3] - quad[0])))
    return 1 / LARGEST < side / min(photo.size) < LARGEST


def _choose(faces: list[DetectedFace], face: int | None, photo: Photo) -> int:
    listed = "; ".join(f"{i}: {f.to_text()}" for i, f in enumerate(faces, 1))
    if face is None and len(faces) > 1:
        raise PhotoError(
            f"photo {photo.name}: {len(faces)} faces; say which with --face N. {listed}"
        )
    chosen = 1 if face is None else face
    if not 1 <= chosen <= len(faces):
        raise PhotoError(
            f"photo {photo.name}: face {chosen}; allowed: 1 to {len(faces)} ({listed})"
        )
    return chosen


def _quad_of(
    photo: Photo, face: DetectedFace, models: Models, landmarks: Landmarks | None
) -> tuple[np.ndarray, str, str]:
    """The square to cut for a face, what decided it, and what to doubt about it."""
    template = template_of(models, landmarks)
    if face.points:
        quad = alignment_quad(face.points)
        return cut_quad(quad, template), f"aligned by the detector's {len(face.points)} points", ""
    if face.eyes:
        roughly, by, doubt = quad_by_eyes(face.eyes), "aligned by the eyes", ""
    else:
        roughly, by = _box_quad(face), "placed by the face's box"
        doubt = "only its box is known: a turned head stays turned"
    cut = cut_quad(roughly, template)
    if landmarks is None:
        return cut, by, doubt
    for _ in range(5):  # each cut is nearer to what the network was trained on
        points = _points_in(photo, cut, landmarks)
        quad = alignment_quad(points)
        if not _is_plausible(quad, roughly, bool(face.eyes)):
            unread = "the landmark network cannot read this face: it knows the generator's own"
            return cut_quad(roughly, template), by, "" if face.eyes else unread
        cut = cut_quad(quad, template)
    return cut, f"aligned by {len(points)} landmarks", ""


def _box_quad(face: DetectedFace) -> np.ndarray:
    """The rule's square of a face of which only the box is known."""
    size = max(face.width, face.height)
    middle = np.array([face.x + face.width / 2, face.y + face.height / 2])
    half = BOX_SIDE * size / 2
    cos, sin = np.cos(np.radians(face.turn)), np.sin(np.radians(face.turn))
    turned = np.array([[cos, sin], [-sin, cos]])  # rows times this turn clockwise
    upright = square_quad(-half, -half + BOX_DOWN * size, 2 * half)
    return middle + upright @ turned


@torch.no_grad()
def _points_in(photo: Photo, cut: np.ndarray, landmarks: Landmarks, side: int = 128) -> np.ndarray:
    """Landmarks of a roughly cut face, in pixels of the photo."""
    picture = as_tensor(crop_quad(photo.image, cut, side))
    share = landmarks(picture)[0].float().cpu().numpy().astype(np.float64)  # (P, 2)
    return cut[0] + share[:, :1] * (cut[3] - cut[0]) + share[:, 1:] * (cut[1] - cut[0])


def _is_plausible(quad: np.ndarray, roughly: np.ndarray, by_eyes: bool) -> bool:
    """Whether landmarks say about the same as a box, or nearly the same as the eyes."""
    size, expected = (float(np.hypot(*(q[3] - q[0]))) for q in (quad, roughly))
    away = float(np.hypot(*(quad.mean(0) - roughly.mean(0))))
    turned = abs(turn_of(quad) - (turn_of(roughly) if by_eyes else 0.0))
    farthest, largest, most = (
        (EYES_FARTHEST, EYES_LARGEST, EYES_TURNED) if by_eyes else (FARTHEST, LARGEST, MOST_TURNED)
    )
    return away < farthest * expected and 1 / largest < size / expected < largest and turned < most


def _cut(
    photo: Photo, quad: np.ndarray, side: int, how: str, notes: list[str], allowed: str = ""
) -> Aligned:
    share = share_beyond(photo.size, quad)
    if share >= LEAST_BEYOND:
        width, height = photo.size
        notes.append(
            f"{share:.0%} of the cut lies outside the photo ({width} x {height} pixels) and is "
            "filled with its mirror image, out of focus" + (f"; {allowed}" if allowed else "")
        )
    image = as_tensor(crop_quad(photo.image, quad, side))
    corners = tuple((float(x), float(y)) for x, y in quad)
    return Aligned(image, corners, how, notes=tuple(notes))


def share_beyond(size: tuple[int, int], quad: np.ndarray, grid: int = 64) -> float:
    """Share of a square (4, 2) that lies outside a picture of that width and height, in pixels.

    It is counted on a grid of points.
    """
    steps = (np.arange(grid) + 0.5) / grid
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    points = quad[0] + steps[:, None, None] * across + steps[None, :, None] * down  # (G, G, 2)
    return float(((points < 0) | (points > np.array(size))).any(-1).mean())


def as_tensor(picture: Any) -> Tensor:
    """A Pillow picture as (1, 3, R, R) in [-1, 1]."""
    pixels = torch.from_numpy(np.array(picture))  # (R, R, 3)
    return from_uint8(pixels).permute(2, 0, 1)[None].contiguous()
