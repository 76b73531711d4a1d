"""Whether a picture still shows a face, by detectors that have never seen this package's worlds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.latents import z_from_seeds

if TYPE_CHECKING:
    from l2l_widgets.evaluation.report import Protocol
    from l2l_widgets.models.zoo import Models

__all__ = [
    "DetectorError",
    "cascade_detector",
    "detector_of",
    "haar_counter",
    "haar_detector",
    "usable_detector",
]

#: What is looked for -> OpenCV's cascade, the smallest and largest side that counts and the lines
#: that are searched (as shares of the picture), the step between sizes, the hits that make a find,
#: and how many there can be in a portrait.
HAAR = {
    "face": ("haarcascade_frontalface_default.xml", (0.34, 1.0), (0.0, 1.0), 1.1, 3, 1),
    "eyes": ("haarcascade_eye.xml", (0.08, 0.34), (0.2, 0.7), 1.05, 3, 2),
}


#: Of so many unedited faces a detector must find half to be used.
ASKED_FACES = 32


class DetectorError(ValueError):
    """A detector's library is not installed, or lacks its classifier."""


def cascade_detector(side: int = 128) -> Callable[[Tensor], Tensor]:
    """Return a frontal face detector: the local-binary-pattern cascade that scikit-image carries.

    The classifier is Viola and Jones's cascade (CVPR 2001) on local binary patterns. It looks for
    faces in photographs, and misses some of any other kind: a range is calibrated on the faces that
    it finds unedited.

    Parameters
    ----------
    side : int
        Pictures are scaled to this side, in pixels, before they are searched; at least 48.

    Returns
    -------
    callable
        Pictures (B, 3, R, R) in [-1, 1] to bool (B,).

    Raises
    ------
    DetectorError
        scikit-image is not installed.
    ValueError
        ``side`` is too small.
    """
    _check_side(side)
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError:
        raise DetectorError(
            "detector 'cascade' needs scikit-image; allowed: pip install 'l2l-widgets[detect]', "
            "or another detector"
        ) from None
    cascade = Cascade(lbp_frontal_face_cascade_filename())

    def found(images: Tensor) -> Tensor:
        return torch.tensor(
            [
                bool(
                    cascade.detect_multi_scale(
                        img=picture,
                        scale_factor=1.2,
                        step_ratio=1,
                        min_size=(side // 3, side // 3),
                        max_size=(side, side),
                    )
                )
                for picture in _scaled(images, side)
            ]
        )

    return found


def haar_counter(what: str, side: int = 128) -> Callable[[Tensor], Tensor]:
    """Return a counter of faces or eyes: OpenCV's cascades, trained on photographs of people.

    The classifiers are those of Lienhart and Maydt (ICIP 2002). They need edges where photographs
    have them: a blurred picture passes, one without eyes does not. Compare only rates on pictures
    of equal size.

    Parameters
    ----------
    what : {"face", "eyes"}
        A portrait has one face and two eyes: more finds than that are not counted.
    side : int
        Pictures are scaled to this side, in pixels, before they are searched; at least 48.

    Returns
    -------
    callable
        Pictures (B, 3, R, R) in [-1, 1] to int64 (B,): 0 or 1 face, 0 to 2 eyes.

    Raises
    ------
    DetectorError
        OpenCV is not installed or has no cascades: 5.0 has none.
    ValueError
        Another ``what``, or a ``side`` that is too small.
    """
    _check_side(side)
    if what not in HAAR:
        raise ValueError(f"what is {what!r}; allowed: {', '.join(HAAR)}")
    file, (smallest, largest), (top, bottom), step, hits, most = HAAR[what]
    try:
        import cv2
        from cv2.data import haarcascades

        cascade = cv2.CascadeClassifier(str(Path(haarcascades) / file))
    except (ImportError, AttributeError):
        raise DetectorError(
            "counting faces and eyes needs opencv-python-headless 4; allowed: pip install "
            "'l2l-widgets[detect]'"
        ) from None
    if cascade.empty():
        raise DetectorError(f"OpenCV {cv2.__version__} carries no {file}; allowed: release 4")
    lines = slice(round(top * side), round(bottom * side))

    def count(images: Tensor) -> Tensor:
        finds = [
            cascade.detectMultiScale(
                cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[lines],
                scaleFactor=step,
                minNeighbors=hits,
                minSize=(round(smallest * side),) * 2,
                maxSize=(round(largest * side),) * 2,
            )
            for picture in _scaled(images, side)
        ]
        return torch.tensor([min(len(f), most) for f in finds])

    return count


def haar_detector(side: int = 128) -> Callable[[Tensor], Tensor]:
    """Return a face detector: whether :func:`haar_counter` finds a face. Errors as there."""
    count = haar_counter("face", side)
    return lambda images: count(images) > 0


def detector_of(name: str) -> Callable[[Tensor], Tensor] | None:
    """Return the detector that a plan names: "haar", "cascade"; None for "none".

    Raises
    ------
    DetectorError
        Its library is not installed.
    """
    made: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "haar": haar_detector, "cascade": cascade_detector,
    }  # fmt: skip
    if name not in (*made, "none"):
        raise ValueError(f"detector is {name!r}; allowed: none, {', '.join(made)}")
    return None if name == "none" else made[name]()


def usable_detector(models: Models, protocol: Protocol) -> tuple[str, str]:
    """Return the name of the first detector that knows these faces, and why the others do not.

    A detector that finds fewer than half of the first faces unedited says nothing of edits, as with
    a generator of other things than faces.

    Parameters
    ----------
    models : Models
        Whose faces.
    protocol : Protocol
        Chooses them.

    Returns
    -------
    name : str
        Of :func:`detector_of`; "none" where none can be used.
    why : str
        One clause for each that was passed over; "" for none.
    """
    generator, why = models.generator, []
    count = min(ASKED_FACES, protocol.faces)
    codes = z_from_seeds(protocol.face_seeds()[0], count, generator.z_dim)
    codes = codes.to(generator.w_avg.device)
    pictures: list[Tensor] = []
    for name in ("haar", "cascade"):
        try:
            detector = detector_of(name)
        except DetectorError as error:
            why.append(str(error))
            continue
        assert detector is not None
        if not pictures:
            with torch.inference_mode():
                ws = generator.mapping(codes, truncation_psi=protocol.truncation_psi)
                pictures = [generator.synthesis(part) for part in ws.split(protocol.batch)]
        found = float(torch.cat([detector(part) for part in pictures]).float().mean())
        if found >= 0.5:
            return name, "; ".join(why)
        why.append(f"{name} finds {found:.0%} of {len(codes)} unedited faces")
    return "none", "; ".join(why)


def _check_side(side: int) -> None:
    if side < 48:
        raise ValueError(f"side is {side}; allowed: at least 48")


def _scaled(images: Tensor, side: int) -> list[Any]:
    """(B, 3, R, R) in [-1, 1] to B NumPy arrays (side, side, 3) uint8."""
    scaled = torch.nn.functional.interpolate(images.float(), size=side, mode="bicubic")
    pixels = ((scaled.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1)
    return list(pixels.contiguous().cpu().numpy())
