"""The frames of a clip or of a folder, one after the other, and films written as they come."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from l2l_widgets.photos.reading import PhotoError, read_photo
from l2l_widgets.storage import make_folder

__all__ = ["FilmWriter", "Frames"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
DEFAULT_FPS = 25.0
MOST = 100_000  # frames
#: Of H.264: 18 is as good as no loss to the eye.
CRF = 18


class Frames:
    """The frames of a film.

    Parameters
    ----------
    source : path
        A folder of pictures, in the order of the numbers in their names; or a clip that FFmpeg
        reads.
    limit : int, optional
        Frames at most.

    Attributes
    ----------
    fps : float
        Of the clip; 25 for a folder.
    total : int
        How many there are; 0 where a clip does not say.
    broken : str
        What broke the clip off, once it did; "" otherwise.

    Raises
    ------
    PhotoError
        No such folder or clip, no picture in it, or no PyAV.
    """

    def __init__(self, source: str | os.PathLike[str], limit: int | None = None) -> None:
        self.source = Path(source)
        self.limit = MOST if limit is None else min(limit, MOST)
        self.broken = ""
        self.fps = DEFAULT_FPS
        self._files: list[Path] = []
        if self.source.is_dir():
            self._files = sorted(
                (p for p in self.source.iterdir() if p.suffix.lower() in PICTURES), key=_natural
            )
            if not self._files:
                raise PhotoError(
                    f"frames: {str(self.source)!r} holds no picture; allowed: {', '.join(PICTURES)}"
                )
            self.total = min(len(self._files), self.limit)
            return
        if not self.source.is_file():
            raise PhotoError(f"CLIP|DIR is {str(self.source)!r}: no such folder or clip")
        with _open(self.source) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else DEFAULT_FPS
            self.total = min(int(stream.frames or 0), self.limit)

    def __iter__(self) -> Iterator[Image.Image]:
        """Upright RGB pictures; what breaks off ends it, and is said in ``broken``."""
        made = 0
        for image in self._pictures() if self._files else self._decoded():
            yield image
            made += 1
            if made >= self.limit:
                return
        if not self.broken and self.total and made < self.total:
            self.broken = f"it ends after {made} of {self.total} frames"

    def _pictures(self) -> Iterator[Image.Image]:
        for path in self._files:
            try:
                yield read_photo(path).image
            except PhotoError as error:
                self.broken = str(error)
                return

    def _decoded(self) -> Iterator[Image.Image]:
        made = 0
        try:
            with _open(self.source) as container:
                for frame in container.decode(video=0):
                    # what a phone says of how it was held
                    turn = getattr(frame, "rotation", 0) or 0
                    image = frame.to_image()
                    yield image.rotate(turn, expand=True) if turn else image
                    made += 1
        except PhotoError:
            raise
        except (OSError, ValueError) as error:  # PyAV's own errors are both
            self.broken = f"frame {made + 1}: {_line(error)}"


class FilmWriter:
    """An MP4 that is written frame by frame, and stands under its name when it is whole.

    Used as a context. What was written when an exception ends it is kept all the same.

    Parameters
    ----------
    path : path
        Ends in ``.mp4``.
    fps : float
        Frames a second.
    comment : str
        Kept in the file: what was done to it.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, comment: str = "") -> None:
        self.path, self.fps, self.comment = Path(path), fps, comment
        if self.path.suffix.lower() != ".mp4":
            raise PhotoError(f"out is {self.path.name!r}; allowed: a name that ends in .mp4")
        _av()
        self.count = 0
        self._container: Any = None

    def __enter__(self) -> FilmWriter:
        make_folder(self.path.parent)
        handle, name = tempfile.mkstemp(suffix=".mp4", dir=self.path.parent)
        os.close(handle)
        self._temporary = Path(name)
        return self

    def write(self, image: Image.Image) -> None:
        """Add one RGB picture; all must have the size of the first."""
        av = _av()
        if self._container is None:
            self._container = av.open(str(self._temporary), "w", format="mp4")
            self._container.metadata["comment"] = self.comment
            rate = Fraction(self.fps).limit_denominator(1001)
            self._stream = self._container.add_stream("libx264", rate=rate)
            # the pixel format that every player knows needs even sides
            self._stream.width, self._stream.height = (2 * (n // 2) for n in image.size)
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(CRF), "threads": "1"}
        box = (0, 0, self._stream.width, self._stream.height)
        self._container.mux(self._stream.encode(av.VideoFrame.from_image(image.crop(box))))
        self.count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode())
                self._container.close()
                self._temporary.chmod(0o644)  # made for the maker's eyes only
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise PhotoError(
            f"films need PyAV, which is not there ({error}); install the extra: pip install "
            "'l2l-widgets[video]'; a folder of pictures can be read without it"
        ) from None
    return av


def _open(path: Path) -> Any:
    av = _av()
    try:
        container = av.open(str(path))
    except (OSError, ValueError) as error:
        raise PhotoError(f"clip {path.name}: cannot be read ({_line(error)})") from None
    if not container.streams.video:
        container.close()
        raise PhotoError(f"clip {path.name}: it holds no pictures")
    return container


def _natural(path: Path) -> tuple[Any, ...]:
    """Frame 10 comes after frame 9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
