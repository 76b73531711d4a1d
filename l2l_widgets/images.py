"""One image convention, and its way to bytes and back.

Images are float32 RGB in [-1, 1], (B, 3, H, W), or (3, H, W) for one: what the generator draws and
the regressors read. Everything that leaves the package as a file or a message goes through here.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from l2l_widgets.storage import make_folder, write_atomic

__all__ = [
    "encode_jpeg",
    "encode_png",
    "enlarge",
    "fit_square",
    "from_uint8",
    "grid",
    "load_image",
    "load_whole",
    "picture_bytes",
    "picture_format",
    "read_png_text",
    "readable_formats",
    "save_image",
    "to_pil",
    "to_uint8",
    "why_unread",
]

MAX_SCALE = 64
#: A picture from outside may claim any size; more pixels than this are refused before decoding.
MAX_PIXELS = 100_000_000
#: And a file of more bytes is not read at all.
MAX_FILE = 512 << 20
#: Formats of pictures from outside. Pillow would hand PostScript, by its content, to Ghostscript,
#: which runs the program that it is.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")


def to_uint8(image: Tensor) -> Tensor:
    """Pixels of the nearest of 256 values.

    Parameters
    ----------
    image : Tensor, any shape, floating point
        Values in [-1, 1]; what lies outside is clipped.

    Returns
    -------
    Tensor, same shape, uint8
        0 for -1, 255 for 1.
    """
    return image.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(pixels: Tensor) -> Tensor:
    """The inverse of :func:`to_uint8`: uint8 of any shape to float32 in [-1, 1]."""
    if pixels.dtype != torch.uint8:
        raise ValueError(f"pixels have dtype {pixels.dtype}; allowed: torch.uint8")
    return pixels.float().div(127.5).sub(1)


def to_pil(image: Tensor, scale: int = 1) -> Image.Image:
    """One image as a Pillow picture.

    Parameters
    ----------
    image : Tensor, shape (3, H, W) or (1, 3, H, W)
        RGB in [-1, 1].
    scale : int
        Enlargement, 1 to 64, by bicubic interpolation.

    Raises
    ------
    ValueError
        Another shape, a value that is not finite, or an impossible scale.
    """
    one = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    if one.ndim != 3 or one.shape[0] != 3 or 0 in one.shape:
        raise ValueError(f"image has shape {tuple(image.shape)}; allowed: (3, H, W)")
    if not bool(torch.isfinite(one).all()):
        raise ValueError("image holds values that are not finite; allowed: numbers in [-1, 1]")
    pixels = to_uint8(one).permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)
    return enlarge(Image.fromarray(pixels), scale)


def enlarge(picture: Image.Image, scale: int) -> Image.Image:
    """A picture with every side ``scale`` times as long, 1 to 64, by bicubic interpolation."""
    if type(scale) is not int or not 1 <= scale <= MAX_SCALE:
        raise ValueError(f"scale is {scale!r}; allowed: a whole number from 1 to {MAX_SCALE}")
    size = (picture.width * scale, picture.height * scale)
    return picture if scale == 1 else picture.resize(size, Image.Resampling.BICUBIC)


def encode_png(image: Tensor, text: Mapping[str, str] | None = None, scale: int = 1) -> bytes:
    """PNG bytes of one image, (3, H, W) in [-1, 1], with ``text`` in its text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        add = info.add_text if value.isascii() else info.add_itxt
        add(key, value)
    stream = io.BytesIO()
    to_pil(image, scale).save(stream, format="PNG", pnginfo=info)
    return stream.getvalue()


def encode_jpeg(image: Tensor, quality: int = 90, scale: int = 1) -> bytes:
    """JPEG bytes of one image, (3, H, W) in [-1, 1]; ``quality`` 1 to 100, full colour."""
    if type(quality) is not int or not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality!r}; allowed: a whole number from 1 to 100")
    stream = io.BytesIO()
    # In a small face colour is detail: halving it, as JPEG does by default, blurs lips and eyes.
    to_pil(image, scale).save(stream, format="JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def save_image(
    path: str | os.PathLike[str],
    image: Tensor,
    text: Mapping[str, str] | None = None,
    scale: int = 1,
) -> None:
    """Write one image as PNG or JPEG, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.png``, ``.jpg`` or ``.jpeg``. Folders that are missing are made.
    image : Tensor, shape (3, H, W)
        RGB in [-1, 1].
    text : mapping of str to str, optional
        Goes into the text chunks of a PNG; a JPEG has none.
    scale : int
        Enlargement, 1 to 64.

    Raises
    ------
    ValueError
        Another ending, an impossible image or scale, or a file that cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        data = encode_png(image, text, scale)
    elif suffix in {".jpg", ".jpeg"} and not text:
        data = encode_jpeg(image, scale=scale)
    else:
        allowed = ".png (the only one that carries text)" if text else ".png, .jpg, .jpeg"
        raise ValueError(f"file name is {Path(path).name!r}; allowed endings: {allowed}")
    make_folder(Path(path).parent)
    write_atomic(path, data)


def read_png_text(source: str | os.PathLike[str] | bytes) -> dict[str, str]:
    """The text chunks of a PNG, given as a path or as bytes; their values are data, never code.

    Raises
    ------
    ValueError
        No such file, no PNG, or a damaged one.
    """
    with _open(source, formats=("PNG",)) as picture:
        text: Any = picture.text  # reads to the end of the file
        return {str(key): str(value) for key, value in text.items()}


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def picture_format(data: bytes) -> str | None:
    """The format of a picture file, such as JPEG, by its first bytes; None for anything else."""
    try:
        with Image.open(io.BytesIO(data)) as picture:  # reads the head, decodes nothing
            return picture.format
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def load_image(path: str | os.PathLike[str] | bytes, resolution: int) -> Tensor:
    """A picture file as one image: the middle square, resized.

    Parameters
    ----------
    path : path or bytes
        Any format that Pillow reads; its orientation mark is followed.
    resolution : int
        Side of the result in pixels, at least 1.

    Returns
    -------
    Tensor, shape (1, 3, resolution, resolution)
        float32 RGB in [-1, 1].
    """
    if type(resolution) is not int or resolution < 1:
        raise ValueError(f"resolution is {resolution!r}; allowed: a whole number of at least 1")
    from PIL import ImageOps

    with _open(path) as opened:
        ImageOps.exif_transpose(opened, in_place=True)  # a large picture has no room for copies
        return fit_square(opened, resolution)


def load_whole(path: str | os.PathLike[str] | bytes) -> Tensor:
    """A picture file as it is, upright: uint8 RGB (3, H, W)."""
    from PIL import ImageOps

    with _open(path) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        pixels = np.array(opened if opened.mode == "RGB" else opened.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def fit_square(picture: Image.Image, resolution: int) -> Tensor:
    """The middle square of a picture, resized: (1, 3, resolution, resolution) in [-1, 1]."""
    from PIL import ImageOps

    size = (resolution, resolution)
    plain = picture if picture.mode == "RGB" else picture.convert("RGB")
    square = ImageOps.fit(plain, size, Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(square))  # (R, R, 3)
    return from_uint8(pixels).permute(2, 0, 1)[None].contiguous()


def grid(images: Tensor, columns: int, gap: int = 2) -> Tensor:
    """Images side by side, row by row.

    Parameters
    ----------
    images : Tensor, shape (B, 3, H, W)
        RGB in [-1, 1].
    columns : int
        At least 1; the last row is filled up with white.
    gap : int
        White pixels between neighbours.

    Returns
    -------
    Tensor, shape (3, rows (H + gap) - gap, columns (W + gap) - gap)
        RGB in [-1, 1].
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[0] == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}; allowed: (B, 3, H, W)")
    if type(columns) is not int or columns < 1:
        raise ValueError(f"columns is {columns!r}; allowed: a whole number of at least 1")
    if type(gap) is not int or gap < 0:
        raise ValueError(f"gap is {gap!r}; allowed: a whole number of at least 0")
    count, _, height, width = images.shape
    rows = math.ceil(count / columns)
    sheet = images.new_ones(3, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def picture_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a picture file; ValueError where there are too many, OSError else."""
    size = Path(path).stat().st_size
    if size > MAX_FILE:
        raise ValueError(f"it has {size >> 20} MiB; allowed: {MAX_FILE >> 20}")
    return Path(path).read_bytes()


def _open(
    source: str | os.PathLike[str] | bytes, formats: tuple[str, ...] | None = None
) -> Image.Image:
    name = "picture" if isinstance(source, bytes) else str(source)
    most = MAX_PIXELS // 1_000_000
    try:
        stream = io.BytesIO(source if isinstance(source, bytes) else picture_bytes(source))
        picture = Image.open(stream, formats=formats or readable_formats())
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(
                f"it has {picture.width} x {picture.height} pixels, too many; allowed: at most "
                f"{most} megapixels"
            )
        picture.load()
    except UnidentifiedImageError:
        wanted = " or ".join(formats) if formats else "picture"
        raise ValueError(f"{name}: not a {wanted} file") from None
    except Image.DecompressionBombError:  # Pillow's own words speak of an attack
        raise ValueError(
            f"{name}: it claims too many pixels; allowed: at most {most} megapixels"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name}: {why_unread(error)}") from None
    return picture


def why_unread(error: Exception) -> str:
    """Why Pillow did not read a picture, in words of our own for what happens to people's files."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "MAX_TEXT" in text:  # the names of Pillow's constants
        return "the text in it unpacks to too much"
    if any(word in text.lower() for word in ("truncated", "broken", "unrecognized data stream")):
        return "it is damaged or cut off"
    return text
