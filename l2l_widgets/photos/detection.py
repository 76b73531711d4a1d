"""Finding faces in a photo: detectors that stand beside the package, and any callable of yours.

None is required: a photo may be cut by hand, or be aligned already.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from l2l_widgets.errors import first_line
from l2l_widgets.images import from_uint8
from l2l_widgets.judges import Judge, list_declarations, load_judge
from l2l_widgets.photos.eyes import EyeFinder
from l2l_widgets.photos.reading import PhotoError

__all__ = ["DETECTORS", "DetectedFace", "Detector", "declared_detector", "find_detector"]

#: Name -> what it is and what it needs, for messages and helps.
DETECTORS = {
    "cascade": "OpenCV's frontal face cascade: pip install 'l2l-widgets[detect]'",
    "yunet=FILE.onnx": (
        "OpenCV's YuNet, better and with eyes and mouth: face_detection_yunet_2023mar.onnx of the "
        "OpenCV Zoo, run by the same package"
    ),
    "FILE.toml": "the declaration of a network of your own, of kind 'detector'",
}
#: Photos are searched at about this side, pixels: smaller faces than a tenth of it are not found.
SEARCHED = 800
#: A face's side is at least this share of the photo's shorter side.
LEAST = 0.08
#: Turns of the head that are tried until a face is found, degrees clockwise.
TURNS = (0.0, 15.0, -15.0, 30.0, -30.0)
_MIRRORED = 2  # OpenCV's BORDER_REFLECT: what comes into view holds no edge


@dataclass(frozen=True)
class DetectedFace:
    """A face in a photo.

    Parameters
    ----------
    x, y, width, height : float
        Its box, pixels of the photo.
    score : float
        How sure the detector is, in its own units.
    points : tuple of (float, float)
        Eye, eye, nose, corner, corner of the mouth, from the picture's left to its right within
        each pair; or 51 or 68 landmarks; pixels. Empty where the detector gives none.
    turn : float
        How far the box is turned about its middle, degrees clockwise.
    eyes : tuple of (float, float)
        The picture's left eye and its right one, pixels, where the detector gives only these.
    """

    x: float
    y: float
    width: float
    height: float
    score: float = 1.0
    points: tuple[tuple[float, float], ...] = ()
    turn: float = 0.0
    eyes: tuple[tuple[float, float], ...] = ()

    def to_text(self) -> str:
        """The box as a person writes it."""
        return f"{self.x:.0f},{self.y:.0f} {self.width:.0f} x {self.height:.0f}"


#: An upright RGB photo to the faces in it.
Detector = Callable[[Image.Image], list[DetectedFace]]


def find_detector(name: str | Detector | None) -> Detector | None:
    """A detector by name.

    Parameters
    ----------
    name : str, callable or None
        ``cascade``; ``yunet=FILE.onnx``; a declaration of kind "detector" (``FILE.toml``, or a
        published name as ``ultraface_320=FILE.onnx``); ``none`` for none; a callable of your own,
        which is given back; None for the cascade where it is installed, and no detector where not.

    Raises
    ------
    PhotoError
        An unknown name, a library or a file that is missing.
    JudgeError
        A declaration or its network that cannot be used.
    """
    if name is None:
        try:
            return _cascade()
        except PhotoError:
            return None
    if callable(name):
        return name
    kind, _, file = name.partition("=")
    if kind == "none" and not file:
        return None
    if kind == "cascade" and not file:
        return _cascade()
    if kind == "yunet" and file:
        return _yunet(Path(file))
    if name.endswith(".toml") or kind in list_declarations():
        return declared_detector(load_judge(name))
    raise PhotoError(
        f"detector is {name!r}; allowed: cascade, yunet=FILE.onnx, a declaration (.toml), none, or "
        "in Python a callable"
    )


def declared_detector(judge: Judge) -> Detector:
    """A detector from a network that is declared as one.

    Parameters
    ----------
    judge : Judge
        Of kind "detector", from ``load_judge`` or ``wrap_judge``.

    Raises
    ------
    PhotoError
        It is of another kind.
    """
    if judge.declaration.kind != "detector":
        raise PhotoError(f"detector declares kind {judge.declaration.kind!r}; allowed: 'detector'")
    height, width = judge.declaration.shape

    def find(image: Image.Image) -> list[DetectedFace]:
        # whole and not squeezed: what is left over, to the right or below, stays black
        scale = max(image.width / width, image.height / height)
        size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
        sheet = Image.new("RGB", (width, height))
        sheet.paste(image.resize(size, Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(np.array(sheet))  # (H, W, 3)
        found = []
        for row in judge(from_uint8(pixels).permute(2, 0, 1)[None])[0].tolist():
            x, y, right, bottom = (v * s for v, s in zip(row, 2 * (width, height), strict=False))
            points = zip(row[5::2], row[6::2], strict=True)
            found.append(DetectedFace(
                x * scale, y * scale, (right - x) * scale, (bottom - y) * scale, row[4],
                tuple((px * width * scale, py * height * scale) for px, py in points),
            ))  # fmt: skip
        return found

    return find


def in_order(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Largest first; that is how they are numbered, from 1."""
    return sorted(faces, key=lambda f: (-f.width * f.height, f.x, f.y))


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise PhotoError(
            "finding faces needs OpenCV; install it with: pip install 'l2l-widgets[detect]', or "
            "cut the face out yourself with --crop x,y,side"
        ) from None
    return cv2


def _searched(image: Image.Image) -> tuple[np.ndarray, float]:
    """The photo as it is searched, (H, W, 3) uint8 RGB, and how many times smaller it is."""
    scale = max(1.0, max(image.size) / SEARCHED)
    if scale > 1:
        size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif max(image.size) < 256:  # the cascade's window is 24 pixels wide
        scale = max(image.size) / 256
        size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image), scale


def _cascade() -> Detector:
    cv2 = _opencv()
    try:
        folder = Path(cv2.data.haarcascades)
        face = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
        find_eyes = EyeFinder(cv2)
        loaded = not face.empty()
    except (AttributeError, ValueError):
        loaded = False
    if not loaded:
        raise PhotoError(
            f"OpenCV {cv2.__version__} carries no cascades; install release 4: pip install "
            "'l2l-widgets[detect]'"
        )

    def find(image: Image.Image) -> list[DetectedFace]:
        pixels, scale = _searched(image)
        plain = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        grey = cv2.equalizeHist(plain)
        least = max(24, round(LEAST * min(grey.shape)))
        height, width = grey.shape
        for turn in TURNS:  # the cascade knows upright faces only
            turned, upright = grey, plain
            if turn:
                about = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
                turned, upright = (
                    cv2.warpAffine(p, about, (width, height), borderMode=_MIRRORED)
                    for p in (grey, plain)
                )
            boxes = face.detectMultiScale(turned, 1.1, 4, minSize=(least, least))
            if len(boxes):
                return [
                    _turned_back(box, find_eyes(_inside(upright, box)), turn, grey.shape, scale)
                    for box in boxes
                ]
        return []

    return find


def _inside(grey: np.ndarray, box: Any) -> np.ndarray:
    x, y, width, height = (int(v) for v in box)
    return grey[y : y + height, x : x + width]


def _turned_back(
    box: Any, eyes: tuple[tuple[float, float], ...], turn: float, shape: Any, scale: float
) -> DetectedFace:
    """A face of a photo that was turned counter-clockwise, where it lies in the photo itself."""
    x, y, width, height = (float(v) for v in box)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def back(px: float, py: float) -> tuple[float, float]:
        dx, dy = px - shape[1] / 2, py - shape[0] / 2
        return shape[1] / 2 + cos * dx - sin * dy, shape[0] / 2 + sin * dx + cos * dy

    middle = back(x + width / 2, y + height / 2)
    seen = (back(x + ex * width, y + ey * height) for ex, ey in eyes)
    return DetectedFace(
        (middle[0] - width / 2) * scale, (middle[1] - height / 2) * scale,
        width * scale, height * scale, turn=turn,
        eyes=tuple((ex * scale, ey * scale) for ex, ey in seen),
    )  # fmt: skip


def _yunet(path: Path) -> Detector:
    cv2 = _opencv()
    if not path.is_file():
        raise PhotoError(f"detector yunet: {os.fspath(path)!r}: no such file; {_YUNET_FROM}")
    with open(path, "rb") as stream:
        head = stream.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise PhotoError(
            f"detector yunet: {os.fspath(path)!r} is a Git LFS pointer: run `git lfs pull` there"
        )
    try:
        network = cv2.FaceDetectorYN.create(os.fspath(path), "", (320, 320), 0.7, 0.3, 100)
    except cv2.error as error:
        raise PhotoError(
            f"detector yunet: {os.fspath(path)!r} cannot be read ({first_line(error)}); "
            f"{_YUNET_FROM}"
        ) from None

    def find(image: Image.Image) -> list[DetectedFace]:
        pixels, scale = _searched(image)
        height, width = pixels.shape[:2]
        try:
            network.setInputSize((width, height))
            rows = network.detect(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
        except cv2.error as error:
            raise PhotoError(
                f"detector yunet: {os.fspath(path)!r} cannot be run ({first_line(error)}); "
                f"{_YUNET_FROM}"
            ) from None
        found = []
        for row in [] if rows is None else np.asarray(rows, dtype=np.float64):
            values = row * scale
            # the person's right eye first, which is the picture's left one
            points = tuple((float(x), float(y)) for x, y in values[4:14].reshape(5, 2))
            if math.isfinite(row[14]):
                x, y, width, height = (float(v) for v in values[:4])
                found.append(DetectedFace(x, y, width, height, float(row[14]), points))
        return found

    return find


_YUNET_FROM = "wanted: face_detection_yunet_2023mar.onnx, from the OpenCV Zoo on GitHub"
