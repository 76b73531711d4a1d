"""Films: one writer (H.264 in MP4, GIF) and one reader (clips, animations) for the whole package.

The head of a film is judged before a frame is decoded: it may claim any number of pixels, and a
file that is called a film may be a list of addresses. PyAV (the extra ``video``) reads and writes
clips; Pillow reads and writes animations.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import secrets
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from l2l_widgets.errors import first_line

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "ANIMATIONS",
    "CLIPS",
    "Film",
    "FilmError",
    "FilmWriter",
    "check_film_name",
    "picture_files",
]

#: Endings of pictures that make a film when they lie in a folder.
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
#: Animations, which Pillow reads, and clips, which need PyAV.
ANIMATIONS = (".gif", ".apng")
CLIPS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
#: What is written.
WRITTEN = (".gif", ".mp4")
DEFAULT_FPS = 25.0
#: Frames a second that a film may have; a head that states others is not believed.
SLOWEST, FASTEST = 0.001, 1000.0
MOST = 100_000  # frames
#: Pixels of a frame, judged before it is decoded; 8K has 33 million.
MAX_PIXELS = 40_000_000
#: Containers that are films. Others (playlists, lists of files) would open what they name.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpegts,mpeg,asf,flv,ogg,gif"
#: Constant quality of x264, 0 (lossless) to 51: no visible loss.
CRF = 16
#: Seconds that a GIF can show a frame for at least; browsers slow down what asks for less.
GIF_STEP = 0.02
_EXTRA = "install the extra: pip install 'l2l-widgets[video]'"


class FilmError(ValueError):
    """A film that cannot be read or written: what is wrong with it, and what helps."""


def check_film_name(path: str | os.PathLike[str], field: str = "out") -> None:
    """Refuse a name that no film can be written under; needs neither torch nor PyAV.

    Parameters
    ----------
    path : path
        Ends in ``.gif`` or ``.mp4``.
    field : str
        What the message calls it.

    Raises
    ------
    FilmError
        Another ending, or an MP4 without PyAV.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise FilmError(
            f"{field} is {str(path)!r}; allowed: a name that ends in {', '.join(WRITTEN)}"
        )
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise FilmError(f"{field} is {str(path)!r}: an .mp4 needs PyAV; {_EXTRA}; allowed: .gif")


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, by the numbers in their names: frame 10 comes after frame 9.

    Raises
    ------
    FilmError
        There is none.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in PICTURES]
    if not files:
        raise FilmError(
            f"{str(folder)!r}: the folder holds no picture; allowed: {', '.join(PICTURES)}"
        )
    return sorted(files, key=_natural)


def _natural(path: Path) -> tuple[Any, ...]:
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


class Film:
    """The frames of a clip or an animation, one after the other.

    Parameters
    ----------
    path : path
        An animation (GIF, APNG), or a clip that FFmpeg reads.
    limit : int, optional
        Frames at most.

    Attributes
    ----------
    fps : float
        Frames a second; 25 where the file does not say.
    size : tuple of 2 int
        Width and height in pixels, as the head has them.
    total : int
        How many frames the head states; 0 where it does not say.
    comment : str
        What its writer kept in it, as :class:`FilmWriter` does; "" otherwise.
    broken : str
        What broke the film off, once it did; "" otherwise.

    Raises
    ------
    FilmError
        No such file, no film, more than 40 megapixels a frame, or no PyAV.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int | None = None) -> None:
        self.path = Path(path)
        self.limit = MOST if limit is None else min(limit, MOST)
        self.broken = self.comment = ""
        if not self.path.is_file():
            raise FilmError(f"{str(self.path)!r}: no such clip or folder")
        self._animated = self.path.suffix.lower() in ANIMATIONS
        if self._animated:
            with self._animation() as picture:
                try:
                    stated = int(getattr(picture, "n_frames", 1))
                    pause = float(picture.info.get("duration", 0))
                    self.comment = _text(picture.info.get("comment", b""))
                except Exception as error:  # Pillow's readers raise what they like
                    raise FilmError(
                        f"{self.path.name}: damaged or cut short ({first_line(error)})"
                    ) from None
                self.fps = _believable(1000 / pause if pause else DEFAULT_FPS)
                self.size = picture.size
        else:
            with self._clip() as container:
                stream = container.streams.video[0]
                rate = stream.average_rate or stream.guessed_rate
                self.fps = _believable(float(rate) if rate else DEFAULT_FPS)
                self.size = (stream.width, stream.height)
                stated = int(stream.frames or 0)
                self.comment = str(container.metadata.get("comment", ""))
        self.total = min(stated, self.limit)

    def __iter__(self) -> Iterator[Image.Image]:
        """Upright RGB pictures; what breaks off ends it, and is said in ``broken``."""
        self.broken, made = "", 0
        for picture in self._moving() if self._animated else self._decoded():
            yield picture
            made += 1
            if made >= self.limit:
                return
        if not self.broken and made < self.total:
            self.broken = f"it ends after {made} of {self.total} frames"

    def _animation(self) -> Image.Image:
        from PIL import Image, UnidentifiedImageError

        try:
            picture = Image.open(self.path, formats=("GIF", "PNG", "WEBP"))
        except UnidentifiedImageError:
            raise FilmError(f"{self.path.name}: not an animation that can be read") from None
        except Image.DecompressionBombError:
            raise self._too_large() from None
        except (OSError, ValueError, SyntaxError) as error:
            raise FilmError(f"{self.path.name}: cannot be read ({first_line(error)})") from None
        if picture.width * picture.height > MAX_PIXELS:
            picture.close()
            raise self._too_large(picture.size)
        return picture

    def _too_large(self, size: tuple[int, int] | None = None) -> FilmError:
        claimed = "more" if size is None else f"{size[0]} x {size[1]}"
        return FilmError(
            f"{self.path.name}: its frames claim {claimed} pixels; allowed: {MAX_PIXELS:,} a "
            "frame: make it smaller"
        )

    def _moving(self) -> Iterator[Image.Image]:
        made = 0
        with self._animation() as picture:
            while True:
                try:
                    picture.seek(made)
                    if picture.width * picture.height > MAX_PIXELS:  # a later frame may grow
                        raise self._too_large(picture.size)
                    shown = picture.convert("RGB")
                except EOFError:
                    return
                except Exception as error:  # Pillow's readers raise what they like
                    self.broken = f"frame {made + 1}: {first_line(error)}"
                    return
                yield shown
                made += 1

    def _clip(self) -> Any:
        av = _pyav(str(self.path.name))
        # for the search for streams and for the decoder: a frame may differ from the head
        bounds = {"max_pixels": str(MAX_PIXELS)}
        only = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        try:
            container = av.open(str(self.path), options=bounds, container_options=only)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or first_line(error)
            if isinstance(error, av.error.InvalidDataError):
                why = "damaged, cut off, or no film at all"
            raise FilmError(
                f"{self.path.name}: not a film that can be read ({why}); allowed: a "
                "whole one (an .mp4 that broke off has lost its index), or its frames in a folder"
            ) from None
        try:
            if not container.streams.video:
                raise FilmError(f"{self.path.name}: it holds no pictures")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise FilmError(f"{self.path.name}: its pictures are in a form not known here")
            if stream.width * stream.height > MAX_PIXELS:
                raise self._too_large((stream.width, stream.height))
            stream.codec_context.options = bounds
        except BaseException:
            container.close()
            raise
        return container

    def _decoded(self) -> Iterator[Image.Image]:
        made = 0
        with self._clip() as container:
            try:
                for frame in container.decode(video=0):
                    # what a phone says of how it was held
                    turn = getattr(frame, "rotation", 0) or 0
                    image = frame.to_image()
                    yield image.rotate(turn, expand=True) if turn else image
                    made += 1
            except (_pyav("").error.FFmpegError, OSError, ValueError) as error:
                self.broken = f"frame {made + 1}: {first_line(error)}"


class FilmWriter:
    """A film that is written frame by frame, and stands under its name when it is whole.

    Used as a context. What was written when Ctrl+C ends it is kept all the same; any other
    exception leaves what stood under the name before, and without a frame there is no file.

    Parameters
    ----------
    path : path
        Ends in ``.mp4`` (H.264, which every browser plays) or ``.gif``.
    fps : float
        Frames a second, 0.001 to 1000; a GIF cannot show more than 50.
    comment : str
        Kept in the file: what was done to it.
    scale : int
        Enlargement of the frames, 1 to 64, bicubic.

    Raises
    ------
    FilmError
        Another ending or rate, no PyAV, or a film that cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], fps: float, comment: str = "", scale: int = 1
    ) -> None:
        self.path, self.fps, self.comment, self.scale = Path(path), fps, comment, scale
        check_film_name(self.path)
        if not SLOWEST <= fps <= FASTEST:
            raise FilmError(f"fps is {fps:g}; allowed: {SLOWEST:g} to {FASTEST:g}")
        self._moving = self.path.suffix.lower() == ".gif"
        if not self._moving:
            _pyav(f"out is {self.path.name!r}")
        self.count = 0
        self._frames: list[Image.Image] = []
        self._container: Any = None
        self._temporary: Path | None = None

    def __enter__(self) -> FilmWriter:
        return self

    def write(self, picture: Image.Image) -> None:
        """Add one RGB picture; all must have the size of the first, enlarged here."""
        from l2l_widgets.images import enlarge

        large = enlarge(picture, self.scale)
        if self._moving:
            # One palette a frame: faces of different colours must not share 256. It is chosen from
            # the picture before it is enlarged, which adds pixels and hardly a colour.
            self._frames.append(large.quantize(palette=picture.quantize(256)))
        else:
            self._encode(large)
        self.count += 1

    def _encode(self, picture: Image.Image) -> None:
        av = _pyav("")
        if self._container is None:
            self._begin(av, picture.size)
        box = (0, 0, self._stream.width, self._stream.height)
        try:
            self._container.mux(self._stream.encode(av.VideoFrame.from_image(picture.crop(box))))
        except av.error.FFmpegError as error:
            raise self._cannot(error) from None

    def _begin(self, av: Any, size: tuple[int, int]) -> None:
        from l2l_widgets.storage import make_folder

        # the pixel format that every player knows needs even sides
        width, height = (2 * (n // 2) for n in size)
        if min(width, height) < 2:
            raise FilmError(f"frames are {size[0]} x {size[1]} pixels; allowed: at least 2 a side")
        make_folder(self.path.parent)
        try:
            # FFmpeg writes to a name: beside the target, and moved when it is whole
            name = self.path.with_name(f".{self.path.stem}.{secrets.token_hex(4)}.mp4")
            name.open("xb").close()  # as readable as any new file of this user
            self._temporary = name
            self._container = av.open(str(name), "w", format="mp4")
        except (OSError, av.error.FFmpegError) as error:
            raise self._cannot(error) from None
        self._container.metadata["comment"] = self.comment
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(self.fps).limit_denominator(1001)
        )
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(CRF), "threads": "1"}

    def _cannot(self, error: BaseException) -> FilmError:
        # the reason alone: the name in the error is that of the file beside, which is gone
        why = getattr(error, "strerror", None) or first_line(error)
        return FilmError(f"out is {str(self.path)!r}: cannot be written ({why})")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wanted = kind is None or issubclass(kind, KeyboardInterrupt)
        try:
            if self.count and wanted and self._moving:
                self._end_animation()
            elif self.count and wanted:
                self._end_clip()
        finally:
            if self._container is not None:
                with contextlib.suppress(Exception):  # it may be closed, or beyond closing
                    self._container.close()
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)

    def _end_animation(self) -> None:
        from l2l_widgets.storage import make_folder, write_atomic

        first, *rest = self._frames
        stream = io.BytesIO()
        first.save(
            stream, format="GIF", save_all=True, append_images=rest,
            duration=max(GIF_STEP, 1 / self.fps) * 1000, loop=0, comment=self.comment.encode(),
        )  # fmt: skip
        make_folder(self.path.parent)
        write_atomic(self.path, stream.getvalue())

    def _end_clip(self) -> None:
        assert self._temporary is not None
        av = _pyav("")
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
            os.replace(self._temporary, self.path)
        except (OSError, av.error.FFmpegError) as error:
            raise self._cannot(error) from None


def _text(comment: Any) -> str:
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)


def _believable(fps: float) -> float:
    return fps if SLOWEST <= fps <= FASTEST else DEFAULT_FPS


def _pyav(what: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise FilmError(
            f"{what}: films need PyAV, which is not there ({error}); {_EXTRA}; without it, "
            "allowed: a .gif, or a folder of pictures"
        ) from None
    return av
