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
from l2l_widgets.images import load_image, readable_formats
from l2l_widgets.latents import check_ws, to_wplus, z_from_seed
from l2l_widgets.storage import load_array, load_safetensors

if TYPE_CHECKING:
    from PIL import Image

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
#: Numbers in a latent's file; one latent has some ten thousand.
MOST = 1 << 22
LATENTS = (".npy", ".safetensors")
#: Clips that Pillow reads frame by frame, and those that need OpenCV.
ANIMATIONS = (".gif", ".apng")
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
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
    """Faces of several words; a folder gives all its pictures, in the order of their names.

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
        files = folder_pictures(path) if path.is_dir() else [word]
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
        data = path.read_bytes()
    except OSError as error:
        raise MixError(f"{text!r}: cannot be read ({error.strerror})") from None
    return Face(text, read_picture(data, path.name, generator.img_resolution, counter))


def folder_pictures(folder: Path) -> list[str]:
    """Paths of a folder's pictures, sorted by name; an empty folder is refused."""
    files = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    if not files:
        raise MixError(
            f"{str(folder)!r}: the folder holds no picture; allowed: {', '.join(PICTURES)}"
        )
    return files


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
    return path.is_dir() or path.suffix.lower() in (*ANIMATIONS, *VIDEOS)


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
    suffix = path.suffix.lower()
    if path.is_dir():
        named: Iterable[tuple[str, bytes]] = _folder(path, problems)
    elif not path.is_file():
        raise MixError(f"{str(path)!r}: no such file; allowed: a folder of pictures, or a clip")
    elif suffix in ANIMATIONS:
        named = _animation(path, problems)
    else:
        named = _video(path, problems)
    for name, data in named:
        try:
            yield read_picture(data, name, resolution, counter)
        except MixError as error:
            problems.append(str(error))


def count_frames(path: Path) -> int | None:
    """How many frames a sequence says it has, without reading them; None where it does not say."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return len(folder_pictures(path))
    if not path.is_file():
        return None
    if suffix in ANIMATIONS:
        from PIL import Image

        try:
            with Image.open(path, formats=readable_formats()) as opened:
                return int(getattr(opened, "n_frames", 1))
        except (OSError, SyntaxError):
            return None
    try:
        import cv2
    except ImportError:
        return None
    reader = cv2.VideoCapture(str(path))
    stated = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    reader.release()
    return stated if stated > 0 else None


def _folder(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    for file in map(Path, folder_pictures(path)):
        try:
            data = file.read_bytes()
        except OSError as error:
            problems.append(f"{file.name}: cannot be read ({error.strerror})")
            continue
        yield file.name, data


def _animation(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(path, formats=readable_formats())
    except (OSError, UnidentifiedImageError):
        raise MixError(f"{path.name}: not an animation that can be read") from None
    with opened:
        count = getattr(opened, "n_frames", 1)
        for i in range(count):
            try:
                opened.seek(i)
                stream = io.BytesIO()
                opened.convert("RGB").save(stream, format="PNG")
            except (OSError, EOFError, SyntaxError) as error:
                problems.append(f"{path.name}: breaks off at frame {i} of {count} ({error})")
                return
            yield f"{path.name} frame {i}", stream.getvalue()


def _video(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        import cv2
    except ImportError:
        raise MixError(
            f"{path.name}: a video needs OpenCV (pip install 'l2l-widgets[detect]'); allowed "
            f"without it: a folder of pictures, {', '.join(ANIMATIONS)}"
        ) from None
    reader = cv2.VideoCapture(str(path))
    try:
        stated = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        if not reader.isOpened():
            raise MixError(
                f"{path.name}: not a video that can be read; allowed: a whole one (an .mp4 that "
                "broke off has lost its index), or its frames in a folder"
            )
        count = 0
        while True:
            more, frame = reader.read()
            if not more:
                break
            _, data = cv2.imencode(".png", frame)
            yield f"{path.name} frame {count}", data.tobytes()
            count += 1
        if count == 0:
            raise MixError(f"{path.name}: holds no frame that can be read")
        if count < stated:
            problems.append(f"{path.name}: breaks off after frame {count} of {stated}")
    finally:
        reader.release()
