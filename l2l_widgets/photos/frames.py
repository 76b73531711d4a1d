"""The frames of a clip or of a folder, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from l2l_widgets.films import DEFAULT_FPS, MOST, Film, picture_files
from l2l_widgets.photos.reading import PhotoError, read_photo

__all__ = ["Frames"]


class Frames:
    """The frames of a film.

    Parameters
    ----------
    source : path
        A folder of pictures, in the order of the numbers in their names; or a film, as for
        :class:`~l2l_widgets.films.Film`.
    limit : int, optional
        Frames at most.

    Attributes
    ----------
    fps : float
        Of the film; 25 for a folder.
    total : int
        How many there are; 0 where a film does not say.
    broken : str
        What broke the film off, once it did; "" otherwise.

    Raises
    ------
    FilmError
        No such folder or film, no picture in it, too many pixels, or no PyAV.
    """

    def __init__(self, source: str | os.PathLike[str], limit: int | None = None) -> None:
        self.source = Path(source)
        self.broken = ""
        self._film: Film | None = None
        self._files: list[Path] = []
        if self.source.is_dir():
            self._files = picture_files(self.source)[: MOST if limit is None else limit]
            self.fps, self.total = DEFAULT_FPS, len(self._files)
        else:
            self._film = Film(self.source, limit)
            self.fps, self.total = self._film.fps, self._film.total

    def __iter__(self) -> Iterator[Image.Image]:
        """Upright RGB pictures; what breaks off ends it, and is said in ``broken``."""
        self.broken = ""
        if self._film is not None:
            yield from self._film
            self.broken = self._film.broken
        for path in self._files:
            try:
                picture = read_photo(path).image
            except PhotoError as error:
                self.broken = str(error)
                return
            yield picture
