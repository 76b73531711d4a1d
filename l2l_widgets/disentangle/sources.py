"""Faces from what a person may name: a seed, a latent, a picture, a folder, a clip.

A picture is taken as aligned: its middle square is what the encoders see, as in the authors' code.
Before that it is looked at: a grey or tiny one, one without a face or with several is refused by
name. Faces are searched with OpenCV's frontal cascade where that is installed; a picture of exactly
the generator's size is this generator's own kind, and is not searched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.disentangle.mixer import FaceMixer, MixError
from l2l_widgets.disentangle.problems import in_short
from l2l_widgets.films import ANIMATIONS, CLIPS, Film, FilmError, picture_files
from l2l_widgets.images import fit_square, load_image, picture_bytes, readable_formats
from l2l_widgets.latents import check_ws, to_wplus, z_from_seed
from l2l_widgets.storage import load_array, load_safetensors

if TYPE_CHECKING:
    from PIL import Image

#: Numbers in a latent's file; one latent has some ten thousand.
MOST = 1 << 22
LATENTS = (".npy", ".safetensors")
#: Smallest side of a picture from outside, in pixels.
SMALLEST = 32
#: Colour whose channels differ by less than this (of 255) everywhere is grey.
GREY = 4
DEFAULT_PSI = 0.7

#: What is said of a picture with another number of faces. A search may err: whoever sees the face
#: leaves it out (``counter=None``; on the command line by an option, which says so itself).
ONE_FACE = "allowed: exactly one, seen from the front"

#: Counts the faces of an 8-bit RGB picture (H, W, 3); None where no detector is installed.
Counter = Callable[[np.ndarray], int]


@dataclass(frozen=True)
class Face:
    """A face to mix.

    Parameters
    ----------
    name : str
        What the person called it: a seed, a file.
    image : Tensor, shape (3, R, R)
        RGB in [-1, 1], R the generator's resolution.
    """

    name: str
    image: Tensor


def read_faces(
    words: Iterable[str],
    mixer: FaceMixer,
    *,
    truncation_psi: float = DEFAULT_PSI,
    counter: Counter | None = None,
    problems: list[str] | None = None,
) -> list[Face]:
    """Faces of several words; a folder gives all its pictures, by the numbers in their names.

    Parameters
    ----------
    words : iterable of str
        As for :func:`read_face`, or a folder.
    mixer : FaceMixer
        Its generator draws seeds and latents.
    truncation_psi : float
        Of seeds.
    counter : callable, optional
        As :func:`face_counter` gives.
    problems : list of str, optional
        Where given, a face that cannot be used is noted here and the rest goes on.

    Raises
    ------
    MixError
        A face that cannot be used, an empty folder, or nothing left.
    """
    found: list[Face] = []
    for word in words:
        path = Path(word)
        files = [str(p) for p in _pictures(path)] if path.is_dir() else [word]
        for file in files:
            try:
                face = read_face(file, mixer, truncation_psi=truncation_psi, counter=counter)
            except ValueError as error:
                if problems is None:
                    raise
                problems.append(str(error))
                continue
            found.append(face)
    if not found:
        raise MixError(
            "; ".join(in_short(problems or ["no face was given; allowed: at least one"]))
        )
    return found


def read_face(
    word: str | Path,
    mixer: FaceMixer,
    *,
    truncation_psi: float = DEFAULT_PSI,
    counter: Counter | None = None,
) -> Face:
    """One face.

    Parameters
    ----------
    word : str or path
        A seed (a whole number), a latent (.npy, or .safetensors with a tensor ``w``) of the
        generator, or a picture.
    mixer, truncation_psi, counter
        As for :func:`read_faces`.

    Raises
    ------
    MixError
        Nothing of that name, or a picture or latent that does not do.
    """
    text = str(word)
    generator = mixer.generator
    if text.lstrip("-").isdigit():
        try:
            z = z_from_seed(int(text), generator.z_dim)
        except ValueError as error:
            raise MixError(f"{text}: {error}") from None
        with torch.inference_mode():
            ws = generator.mapping(z.to(mixer.device), truncation_psi=truncation_psi)
        return Face(text, mixer.draw(ws)[0])
    path = Path(text)
    if path.suffix.lower() in LATENTS:
        return Face(text, mixer.draw(read_latent(path, generator))[0])
    if not path.is_file():
        raise MixError(
            f"{text!r} is no seed, and there is no such file; allowed: a whole number, a picture, "
            f"or a latent ({', '.join(LATENTS)})"
        )
    try:
        data = picture_bytes(path)
    except (OSError, ValueError) as error:
        raise MixError(f"{text!r}: cannot be read ({_reason(error)})") from None
    return Face(text, read_picture(data, path.name, generator.img_resolution, counter))


def _pictures(folder: Path) -> list[Path]:
    try:
        return picture_files(folder)
    except FilmError as error:
        raise MixError(str(error)) from None


def read_latent(path: Path, generator: Any) -> Tensor:
    """A latent from a file, (1, num_ws, w_dim); data only, no code in it runs."""
    try:
        if path.suffix.lower() == ".npy":
            w = torch.from_numpy(load_array(path, MOST)).float()
        else:
            w = load_safetensors(path)[0]["w"].float()
        return check_ws(to_wplus(w, generator.num_ws), generator.num_ws, generator.w_dim)[:1]
    except KeyError:
        raise MixError(f"{str(path)!r}: holds no tensor 'w'; allowed: a latent of that name") from (
            None
        )
    except (OSError, ValueError, TypeError) as error:
        raise MixError(f"{str(path)!r}: no latent of this generator ({error})") from None


def read_picture(data: bytes, name: str, resolution: int, counter: Counter | None = None) -> Tensor:
    """A picture file's middle square, (3, R, R) in [-1, 1], once it has been looked at.

    Raises
    ------
    MixError
        Not a picture, smaller than 32 px, grey, without a face or with several.
    """
    try:
        image = load_image(data, resolution)[0]
    except ValueError as error:
        raise MixError(f"{name}: {str(error).removeprefix('picture: ')}") from None
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=readable_formats()) as opened:
        upright = ImageOps.exif_transpose(opened) or opened
        check_picture(upright, name, resolution, counter)
    return image


def check_picture(
    picture: Image.Image, name: str, resolution: int, counter: Counter | None = None
) -> None:
    """Refuse a picture that the encoders could only misread; see :func:`read_picture`."""
    width, height = picture.size
    if min(width, height) < SMALLEST:
        raise MixError(
            f"{name}: has {width} x {height} pixels; allowed: at least {SMALLEST} a side"
        )
    pixels = np.asarray(picture.convert("RGB"))
    if int((pixels.max(axis=2) - pixels.min(axis=2)).max()) < GREY:
        raise MixError(f"{name}: is grey; allowed: a colour picture (skin and hair are colours)")
    if counter is None or (width, height) == (resolution, resolution):
        return
    faces = counter(pixels)
    if faces != 1:
        found = "no face was found" if faces == 0 else f"{faces} faces were found"
        raise MixError(f"{name}: {found}; {ONE_FACE}")


def face_counter() -> Counter | None:
    """A counter of faces: OpenCV's frontal cascade; None where OpenCV is not installed.

    A find inside another, or overlapping it by half, is the same face.
    """
    try:
        import cv2
        from cv2.data import haarcascades

        cascade = cv2.CascadeClassifier(
            str(Path(haarcascades) / "haarcascade_frontalface_default.xml")
        )
    except (ImportError, AttributeError):
        return None
    if cascade.empty():
        return None

    def count(pixels: np.ndarray) -> int:
        side = 320  # faces in small pictures are found enlarged, and large ones cost less
        scale = side / min(pixels.shape[:2])
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        grey = cv2.cvtColor(cv2.resize(pixels, size), cv2.COLOR_RGB2GRAY)
        finds = cascade.detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=4, minSize=(side // 5, side // 5)
        )
        apart: list[Any] = []
        for box in sorted(finds, key=lambda b: -int(b[2])):
            if all(_overlap(box, other) < 0.5 for other in apart):
                apart.append(box)
        return len(apart)

    return count


def _overlap(small: Any, large: Any) -> float:
    """Share of the smaller box that lies in the larger one."""
    (x, y, w, h), (u, v, s, t) = (tuple(map(int, box)) for box in (small, large))
    across = max(0, min(x + w, u + s) - max(x, u))
    down = max(0, min(y + h, v + t) - max(y, v))
    return across * down / max(1, w * h)


def is_clip(word: str | Path) -> bool:
    """Whether a name is that of a sequence of frames: a folder, an animation, a video."""
    path = Path(word)
    return path.is_dir() or path.suffix.lower() in (*ANIMATIONS, *CLIPS)


def read_frames(
    path: Path, resolution: int, problems: list[str], counter: Counter | None = None
) -> Iterator[Tensor]:
    """Frames (3, R, R) of a folder, an animation or a video, one by one.

    Parameters
    ----------
    path : Path
        What :func:`is_clip` accepts.
    resolution : int
        R.
    problems : list of str
        A frame that cannot be used is noted here and the rest goes on; so is a video that breaks
        off before the number of frames that its head states.
    counter : callable, optional
        As :func:`face_counter` gives.

    Raises
    ------
    MixError
        Nothing can be read at all.
    """
    if path.is_dir():
        named: Iterable[tuple[str, Any]] = _folder(path, problems)
    else:
        named = _film(path, problems)
    for name, found in named:
        try:
            if isinstance(found, bytes):
                yield read_picture(found, name, resolution, counter)
            else:
                check_picture(found, name, resolution, counter)
                yield fit_square(found, resolution)[0]
        except MixError as error:
            problems.append(str(error))


def count_frames(path: Path) -> int | None:
    """How many frames a sequence says it has, without reading them; None where it does not say."""
    if path.is_dir():
        return len(_pictures(path))
    try:
        return Film(path).total or None
    except FilmError:
        return None


def _folder(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    for file in _pictures(path):
        try:
            data = picture_bytes(file)
        except (OSError, ValueError) as error:
            problems.append(f"{file.name}: cannot be read ({_reason(error)})")
            continue
        yield file.name, data


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _film(path: Path, problems: list[str]) -> Iterator[tuple[str, Image.Image]]:
    try:
        film = Film(path)
    except FilmError as error:
        raise MixError(str(error)) from None
    for count, frame in enumerate(film):
        yield f"{path.name} frame {count}", frame
    if film.broken:
        problems.append(f"{path.name}: breaks off ({film.broken})")
