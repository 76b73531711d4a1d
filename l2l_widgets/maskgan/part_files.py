"""Files of CelebAMask-HQ one by one: a part's pixels, and whether a file is there to its end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from l2l_widgets.masks import check_claim
from l2l_widgets.storage import StorageError

#: How a PNG begins, what its last chunk is called, and how a JPEG begins and ends.
_PNG, _PNG_END, _JPEG, _JPEG_END = b"\x89PNG\r\n\x1a\n", b"IEND", b"\xff\xd8", b"\xff\xd9"
#: Bytes of a file's end in which its end is looked for: some programs leave more behind it.
_TAIL = 1024


class DatasetError(StorageError):
    """A folder in CelebAMask-HQ's layout that lacks something; the message names the file."""


def read_part(path: Path) -> np.ndarray:
    """Where a part is on, (H, W) bool."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            check_claim(picture, str(path))
            # a palette's first channel is what its colours say, not the index
            plain = picture.convert("RGB") if picture.mode == "P" else picture
            pixels = np.array(plain)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    return (pixels if pixels.ndim == 2 else pixels[..., 0]) != 0


def png_size(path: Path) -> tuple[int, int]:
    """Width and height that a PNG claims; DatasetError where it is none, or cut off."""
    head, tail = _ends(path)
    if not head.startswith(_PNG) or _PNG_END not in tail:
        raise DatasetError(f"{path} cannot be read: it is no PNG, or cut off")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def picture_torn(path: Path) -> None:
    """Refuse a JPEG that is none, or cut off, without decoding it."""
    head, tail = _ends(path)
    if not head.startswith(_JPEG) or _JPEG_END not in tail:
        raise DatasetError(f"{path} cannot be read: it is no JPEG, or cut off")


def _ends(path: Path) -> tuple[bytes, bytes]:
    try:
        with path.open("rb") as file:
            head = file.read(24)
            file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return head, file.read()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
