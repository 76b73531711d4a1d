"""A photo as people have it, to an upright picture of 8-bit sRGB: whatever is odd is said.

Only the head of a file is read before its size is judged: a picture may claim any number of pixels.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from l2l_widgets.errors import ignored
from l2l_widgets.images import readable_formats

__all__ = ["Photo", "PhotoError", "read_photo"]

#: Files larger than this are not read, bytes.
MAX_FILE = 200 << 20
_OPENING = threading.Lock()
#: A JPEG may have this many pixels, for its decoder gives it smaller; anything else has to be
#: decoded whole.
MAX_JPEG, MAX_OTHER = 400_000_000, 100_000_000
#: A picture is kept with at most about this side: faces are cut from it, nothing is printed.
KEPT_SIDE = 4096
SMALLEST = 16  # pixels
#: Lines of a deep picture that are made 8 bits at a time: their numbers take eight times the room.
STRIP = 64
FROM_DEEP = "its 16 bits became 8"
#: A PNG of this package's says so in one of its text chunks.
OURS = ("l2l-recipe",)


class PhotoError(ValueError):
    """A photo that cannot be used: what is wrong with it, and what helps."""


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    Parameters
    ----------
    image : PIL.Image.Image
        RGB, 8 bits, sRGB.
    name : str
        What to call it in messages.
    notes : tuple of str
        What had to be done to it, in words.
    ours : bool
        Whether this package drew it: then the face is where the generator has its faces.
    """

    image: Image.Image
    name: str
    notes: tuple[str, ...] = ()
    ours: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size


def read_photo(source: str | os.PathLike[str] | bytes, name: str = "") -> Photo:
    """Read a photo from a file or its bytes.

    Turned by its EXIF mark; CMYK, grey, palettes and 16 bits become 8-bit RGB; an embedded colour
    profile is followed; what is transparent becomes white; of an animation the first frame is
    taken. ``notes`` says what of this happened.

    Parameters
    ----------
    source : path or bytes
        Any format that Pillow reads.
    name : str
        What messages call it; the file's name if empty.

    Raises
    ------
    PhotoError
        No such file, no picture (a Git LFS pointer, a web page and HEIC are named as such), too
        large, too small, or damaged.
    """
    data, name = _bytes_of(source, name)
    _refuse_lookalikes(data, name)
    try:
        # our own bound, named in our own words, stands below
        with ignored(Image.DecompressionBombWarning):
            picture = _open_unbounded(data, name)
            notes: list[str] = []
            _check_size(picture, name)
            ours, whole = _is_ours(picture), max(picture.size)
            if picture.format in ("JPEG", "MPO") and max(picture.size) > KEPT_SIDE:
                # the decoder leaves out what would be thrown away
                picture.draft("RGB", (KEPT_SIDE // 2, KEPT_SIDE // 2))
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                notes.append(f"it is animated: the first of {frames} frames is taken")
                picture.seek(0)
            if _is_deep_colour(picture):  # its decoder leaves the lower bits out, and is silent
                notes.append(FROM_DEEP)
            picture.load()
            image = _as_eight_bits(picture, notes)
            del picture
            if max(image.size) > KEPT_SIDE:  # of one plane as long as it is one
                image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
            image = image.convert("RGB")
    except PhotoError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PhotoError(f"photo {name}: damaged or cut short ({reason})") from None
    if max(image.size) < whole:
        notes.append(
            f"it was read at {image.width} x {image.height} pixels: boxes and squares count these"
        )
    return Photo(image, name, tuple(notes), ours)


def _bytes_of(source: str | os.PathLike[str] | bytes, name: str) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        name = name or "picture"
        if len(source) > MAX_FILE:
            raise PhotoError(f"photo {name}: {len(source) >> 20} MB; allowed: {MAX_FILE >> 20} MB")
        return source, name
    path = Path(source)
    name = name or path.name
    try:
        if path.is_dir():
            raise PhotoError(f"photo {str(path)!r} is a folder; allowed: a picture file")
        size = path.stat().st_size
        if size > MAX_FILE:
            raise PhotoError(f"photo {name}: {size >> 20} MB; allowed: {MAX_FILE >> 20} MB")
        return path.read_bytes(), name
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise PhotoError(f"photo {str(path)!r}: {reason}") from None


def _refuse_lookalikes(data: bytes, name: str) -> None:
    """Name what people have instead of a picture."""
    head = data[:64]
    if not data:
        raise PhotoError(f"photo {name}: the file is empty")
    if head.startswith(b"version https://git-lfs"):
        raise PhotoError(f"photo {name}: a Git LFS pointer, not the picture: run `git lfs pull`")
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise PhotoError(f"photo {name}: a web page, not the picture: save the picture itself")
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        raise PhotoError(
            f"photo {name}: HEIC, which is not read here; export it as JPEG (on the phone: "
            "Settings, Camera, Formats, Most Compatible)"
        )
    if head[4:8] == b"ftyp" and head[8:12] != b"avif":
        raise PhotoError(
            f"photo {name}: a film; allowed: a picture (a film: l2l film FILE --recipe R --out O)"
        )


def _open_unbounded(data: bytes, name: str) -> Image.Image:
    """Open a picture's head; Pillow's own bound would refuse without saying the size."""
    try:
        with _OPENING:  # two at once would take each other's bound for Pillow's
            kept = Image.MAX_IMAGE_PIXELS
            try:
                Image.MAX_IMAGE_PIXELS = None
                return Image.open(io.BytesIO(data), formats=readable_formats())
            finally:
                Image.MAX_IMAGE_PIXELS = kept
    except UnidentifiedImageError:
        raise PhotoError(
            f"photo {name}: no picture that can be read; allowed: JPEG, PNG, WebP, TIFF ..."
        ) from None


def _check_size(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    most = MAX_JPEG if picture.format in ("JPEG", "MPO") else MAX_OTHER
    if width * height > most:
        raise PhotoError(
            f"photo {name}: {width} x {height} is {width * height / 1e6:.1f} megapixels of "
            f"{picture.format}; allowed: at most {most // 1_000_000}: make it smaller, or cut the "
            "face out"
        )
    if min(width, height) < SMALLEST:
        raise PhotoError(
            f"photo {name}: {width} x {height} pixels; allowed: at least {SMALLEST} a side"
        )


def _is_ours(picture: Image.Image) -> bool:
    text: Any = getattr(picture, "info", {})
    return picture.format == "PNG" and any(key in text for key in OURS)


def _is_deep_colour(picture: Image.Image) -> bool:
    """Whether a colour picture that is not decoded yet has more than 8 bits a colour in its file.

    Pillow has no such mode: what its decoder is told tells it.
    """
    if picture.mode not in ("RGB", "RGBA", "RGBX", "LA", "CMYK"):
        return False
    for tile in getattr(picture, "tile", ()):
        told = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(word, str) and ";16" in word for word in told):
            return True
        # of a PPM: the number that means white
        if tile[0] == "ppm" and any(type(word) is int and word > 255 for word in told):
            return True
    return False


def _as_eight_bits(turned: Image.Image, notes: list[str]) -> Image.Image:
    """RGB, or one plane of grey; the picture that is given is used up."""
    profile = turned.info.get("icc_profile")
    if turned.getexif().get(0x0112, 1) not in (0, 1):
        notes.append("it was turned upright by its EXIF mark")
    ImageOps.exif_transpose(turned, in_place=True)  # else it is copied, turned or not
    if turned.mode.startswith("I") or turned.mode == "F":
        notes.append(FROM_DEEP)
        return _from_deep(turned)
    if turned.mode == "CMYK":
        notes.append("its printing colours (CMYK) became RGB")
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        rgba = turned.convert("RGBA")
        opacity = rgba.getchannel("A")
        if opacity.getextrema() != (255, 255):
            notes.append("what is transparent became white")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=opacity)
        return white
    if profile and turned.mode in ("RGB", "CMYK", "L"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                turned, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
    return turned.convert("RGB")


def _from_deep(picture: Image.Image) -> Image.Image:
    """A picture of one plane of 16 or 32 bits, or of floats, as 8-bit grey; a strip at a time."""
    width, height = picture.size

    def strips() -> Iterator[tuple[int, np.ndarray]]:
        for top in range(0, height, STRIP):
            strip = picture.crop((0, top, width, min(top + STRIP, height)))
            yield top, np.nan_to_num(np.asarray(strip).astype(np.float64))

    # floats of film scans are shares; whole numbers use 16 bits, whatever their container
    shares = picture.mode == "F" and all(values.max(initial=0) <= 1 for _, values in strips())
    grey = np.empty((height, width), np.uint8)
    for top, values in strips():
        eight = np.clip(values / (1.0 if shares else 65535.0) * 255, 0, 255).round()
        grey[top : top + len(eight)] = eight
    return Image.fromarray(grey, "L")
