"""Frames to a folder of pictures, an animation or a video; whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from l2l_widgets.images import save_image, to_pil
from l2l_widgets.storage import make_folder, write_atomic


def write_frames(out: Path, images: Iterable[Tensor], scale: int, fps: int) -> int:
    """Write frames as they come.

    Parameters
    ----------
    out : Path
        A folder (``frame-00000.png``, ...), a ``.gif`` or an ``.mp4``.
    images : iterable of Tensor, each (3, R, R)
        RGB in [-1, 1].
    scale : int
        Enlargement.
    fps : int
        Frames a second; a folder has none.

    Returns
    -------
    int
        Frames written.

    Raises
    ------
    ValueError
        A video without OpenCV, or one that cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix == ".gif":
        return _write_gif(out, images, scale, fps)
    if suffix == ".mp4":
        return _write_video(out, images, scale, fps)
    count = 0
    for image in images:
        save_image(out / f"frame-{count:05d}.png", image, scale=scale)
        count += 1
    return count


def _write_gif(out: Path, images: Iterable[Tensor], scale: int, fps: int) -> int:
    pictures = [to_pil(image, scale) for image in images]
    if pictures:
        stream = io.BytesIO()
        pictures[0].save(
            stream, format="GIF", save_all=True, append_images=pictures[1:],
            duration=round(1000 / fps), loop=0,
        )  # fmt: skip
        make_folder(out.parent)
        write_atomic(out, stream.getvalue())
    return len(pictures)


def _write_video(out: Path, images: Iterable[Tensor], scale: int, fps: int) -> int:
    try:
        import cv2
    except ImportError:
        raise ValueError(
            f"--out is {str(out)!r}: a video needs OpenCV (pip install 'l2l-widgets[detect]'); "
            "allowed without it: a folder, .gif"
        ) from None
    make_folder(out.parent)
    # OpenCV writes to a name, not to a stream: beside the target, and read again when it is whole
    handle, name = tempfile.mkstemp(suffix=".mp4", dir=out.parent)
    os.close(handle)
    writer, count = None, 0
    try:
        for image in images:
            pixels = np.asarray(to_pil(image, scale))[:, :, ::-1]
            if writer is None:
                size = (pixels.shape[1], pixels.shape[0])
                writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                if not writer.isOpened():
                    raise ValueError(f"--out is {str(out)!r}: this OpenCV writes no .mp4")
            writer.write(np.ascontiguousarray(pixels))
            count += 1
        if writer is not None:
            writer.release()
            write_atomic(out, Path(name).read_bytes())  # a temporary file is its maker's alone
    finally:
        Path(name).unlink(missing_ok=True)
    return count
