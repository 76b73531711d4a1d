"""Where a face is cut out of a photo: the square of FFHQ, from the eyes and the mouth.

The rule is that of Karras et al. 2019 ("A style-based generator architecture", appendix A; the
arithmetic is that of the data set's published script): the square turns with the line of the eyes,
its side is the larger of 4 eye distances and 3.6 distances from eyes to mouth, its middle lies a
tenth of the latter below the eyes.

A generator that was trained on other cuts has its faces elsewhere in its pictures. There the same
rule is applied to its own faces first, which gives a :class:`Template`: where in its pictures the
rule's square lies. A photo is cut so that its square comes to lie there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from l2l_widgets.photos.reading import PhotoError

__all__ = [
    "FFHQ", "Template", "alignment_quad", "crop_quad", "cut_quad", "quad_by_eyes", "template_from",
]  # fmt: skip

#: Points of an eye or a mouth corner, by how many landmarks there are. 68 are Multi-PIE's, 51 the
#: same without the line of the jaw; 5 are eye, eye, nose, corner, corner of the mouth, each pair
#: from the picture's left to its right.
LAYOUTS: dict[int, tuple[list[int], list[int], list[int], list[int]]] = {
    68: (list(range(36, 42)), list(range(42, 48)), [48], [54]),
    51: (list(range(19, 25)), list(range(25, 31)), [31], [37]),
    5: ([0], [1], [3], [4]),
}


#: From the line of the eyes to the mouth, in distances of the eyes: in the five points to which
#: recognisers align (Deng et al., CVPR 2019) 1.15; from 1.11 on the rule goes by the mouth.
MOUTH_DOWN = 1.1


@dataclass(frozen=True)
class Template:
    """Where a generator's pictures have the rule's square.

    Parameters
    ----------
    x, y : float
        Its middle, as shares of the picture.
    side : float
        Its side, as a share of the picture's.
    """

    x: float = 0.5
    y: float = 0.5
    side: float = 1.0


#: A generator of FFHQ, CelebA-HQ and the like: the square is the picture.
FFHQ = Template()


def alignment_quad(points: Any) -> np.ndarray:
    """The rule's square around a face.

    Parameters
    ----------
    points : array, shape (68, 2), (51, 2) or (5, 2)
        Landmarks, x to the right and y down, in pixels.

    Returns
    -------
    array, shape (4, 2)
        Its corners in pixels: top left, bottom left, bottom right, top right, as the face sees it.

    Raises
    ------
    PhotoError
        Another number of points, values that are not finite, or eyes and mouth in one place.
    """
    p = np.asarray(points, dtype=np.float64)
    if p.ndim != 2 or p.shape[1:] != (2,) or len(p) not in LAYOUTS:
        raise PhotoError(
            f"landmarks have shape {p.shape}; allowed: {', '.join(f'({n}, 2)' for n in LAYOUTS)}"
        )
    if not np.isfinite(p).all():
        raise PhotoError("landmarks hold values that are not finite")
    left, right, corner, other = (p[rows].mean(0) for rows in LAYOUTS[len(p)])
    eyes, across = (left + right) / 2, right - left
    down = (corner + other) / 2 - eyes
    # the eyes give the direction, the mouth steadies it
    x = across - np.array([-down[1], down[0]])
    length = float(np.hypot(*x))
    if length < 1e-6:
        raise PhotoError("landmarks have eyes and mouth in one place")
    x *= max(float(np.hypot(*across)) * 2.0, float(np.hypot(*down)) * 1.8) / length
    y = np.array([-x[1], x[0]])
    middle = eyes + 0.1 * down
    return np.stack([middle - x - y, middle - x + y, middle + x + y, middle + x - y])


def quad_by_eyes(eyes: Any) -> np.ndarray:
    """The rule's square where only the eyes are known: the mouth lies where mouths mostly do.

    Parameters
    ----------
    eyes : array, shape (2, 2)
        Left and right in the picture, x and y, pixels.

    Returns
    -------
    array, shape (4, 2)
        As :func:`alignment_quad` gives it, and with its errors.
    """
    left, right = np.asarray(eyes, dtype=np.float64)
    across = right - left
    down = MOUTH_DOWN * np.array([-across[1], across[0]])
    corners = [(left + right) / 2 + down + side * across / 2 for side in (-1.0, 1.0)]
    return alignment_quad([left, right, (left + right) / 2 + down / 2, *corners])


def template_from(landmarks: Any) -> Template:
    """Where pictures have the rule's square, the median over faces.

    Parameters
    ----------
    landmarks : array, shape (N, P, 2)
        Of N faces, as shares of the picture's side; P as for :func:`alignment_quad`.
    """
    quads = np.stack([alignment_quad(p) for p in np.asarray(landmarks, dtype=np.float64)])
    middles = quads.mean(1)  # (N, 2)
    sides = np.hypot(*(quads[:, 3] - quads[:, 0]).T)
    x, y = np.median(middles, axis=0)
    return Template(float(x), float(y), float(np.median(sides)))


def cut_quad(quad: Any, template: Template = FFHQ) -> np.ndarray:
    """The square to cut, so that the rule's square comes to lie where the template has it.

    Parameters
    ----------
    quad : array, shape (4, 2)
        From :func:`alignment_quad`.
    template : Template
        The generator's.

    Returns
    -------
    array, shape (4, 2)
        Corners in the same order.
    """
    q = np.asarray(quad, dtype=np.float64)
    x = (q[3] - q[0]) / template.side  # one side of the picture that is cut
    y = (q[1] - q[0]) / template.side
    corner = q.mean(0) - template.x * x - template.y * y
    return np.stack([corner, corner + y, corner + x + y, corner + x])


def square_quad(x: float, y: float, side: float) -> np.ndarray:
    """An upright square by its top left corner and side, pixels, as (4, 2) corners."""
    return np.array([[x, y], [x, y + side], [x + side, y + side], [x + side, y]], dtype=np.float64)


def turn_of(quad: Any) -> float:
    """How far a square is turned, degrees clockwise."""
    q = np.asarray(quad, dtype=np.float64)
    across = q[3] - q[0]
    return math.degrees(math.atan2(across[1], across[0]))


def crop_quad(image: Image.Image, quad: Any, side: int) -> Image.Image:
    """Cut a square out of a photo; what lies beyond its edge is mirrored and fades out of focus.

    Parameters
    ----------
    image : PIL.Image.Image
        RGB.
    quad : array, shape (4, 2)
        Corners: top left, bottom left, bottom right, top right, in pixels; 0 is the photo's edge.
    side : int
        Of the result, pixels.

    Raises
    ------
    PhotoError
        The square has no size, or lies beside the photo.
    """
    q = np.asarray(quad, dtype=np.float64)
    size = float(np.hypot(*(q[3] - q[0])))
    if not np.isfinite(q).all() or size < 2:
        raise PhotoError(f"the cut is {size:.1f} pixels wide; allowed: at least 2")
    low, high = q.min(0), q.max(0)
    if (high < 1).any() or (low > np.array(image.size) - 1).any():
        raise PhotoError("the cut lies beside the photo")
    # only what is needed, no larger than it is needed: 4 samples a pixel
    margin = max(round(size * 0.1), 3)
    left, top = (max(0, math.floor(v) - margin) for v in low)
    right = min(image.width, math.ceil(high[0]) + margin)
    bottom = min(image.height, math.ceil(high[1]) + margin)
    image, q = image.crop((left, top, right, bottom)), q - np.array([left, top])
    shrink = max(1.0, size / (4 * side))
    if shrink > 1:
        small = (max(1, round(image.width / shrink)), max(1, round(image.height / shrink)))
        q = q * (np.array(small) / np.array(image.size))
        image, size = image.resize(small, Image.Resampling.LANCZOS), size / shrink
    image, q = _padded(image, q, size)
    work = max(side, min(4 * side, round(size)))
    found = image.transform(
        (work, work), Image.Transform.QUAD, q.flatten().tolist(),
        Image.Resampling.BICUBIC,
    )  # fmt: skip
    return found if work == side else found.resize((side, side), Image.Resampling.LANCZOS)


def _padded(image: Image.Image, quad: np.ndarray, size: float) -> tuple[Image.Image, np.ndarray]:
    """Room around a picture for a square that leaves it: mirrored, and blurred outwards."""
    low, high = np.floor(quad.min(0)), np.ceil(quad.max(0))
    left, top = (int(max(0, -v)) for v in low)
    right, bottom = (int(max(0, v)) for v in high - np.array(image.size))
    if max(left, top, right, bottom) < 1:
        return image, quad
    left, top, right, bottom = (v + 2 for v in (left, top, right, bottom))
    pixels = np.asarray(image)
    # "symmetric" may be wider than the picture itself
    wide = np.pad(pixels, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
    whole = Image.fromarray(wide)
    soft = whole.filter(ImageFilter.GaussianBlur(max(1.0, size * 0.02)))
    y, x = np.mgrid[: wide.shape[0], : wide.shape[1]]
    beyond = np.maximum.reduce(
        [left - x, x - (wide.shape[1] - 1 - right), top - y, y - (wide.shape[0] - 1 - bottom)]
    )
    share = np.clip(beyond / max(4.0, size * 0.1), 0, 1)
    mask = Image.fromarray((share * 255).astype(np.uint8))
    return Image.composite(soft, whole, mask), quad + np.array([left, top])
