"""A film of a face, edited with one recipe.

Every frame is inverted, from where the frame before it ended; then two things are smoothed over
time, for what trembles in them is the search and not the face: the latents, and the steps that the
edit takes from them. The filter is a Gaussian without delay (the whole film is there): a frame's
latent becomes the mean of its neighbours' with weights exp(-t² / 2 σ²), t in frames, σ the
``smoothing``, cut off at 3 σ and mirrored at both ends. A σ of 1.5 frames halves at about 9 % of
the frame rate: at 25 frames a second, motion of up to some two cycles a second passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from l2l_widgets.films import FilmWriter
from l2l_widgets.images import to_pil
from l2l_widgets.inversion import Distance, InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos.alignment import crop_quad
from l2l_widgets.photos.detection import Detector
from l2l_widgets.photos.finding import Landmarks, align_photo, as_tensor, share_beyond
from l2l_widgets.photos.frames import Frames
from l2l_widgets.photos.inverting import encoded_start, invert_picture, picture_distance
from l2l_widgets.photos.reading import Photo, PhotoError
from l2l_widgets.photos.work import Square
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.states import Edit

__all__ = ["FilmReport", "FilmSettings", "edit_film", "smooth"]


@dataclass(frozen=True)
class FilmSettings:
    """How a film is inverted and smoothed.

    Parameters
    ----------
    first_steps, next_steps : int
        Of descent on the first frame, and on each of the others.
    smoothing : float
        Standard deviation of the filter over time, frames, 0 to 50; 0 leaves it out.
    space : {"w", "w+"}
        As for an inversion.
    aligned : bool
        Whether the frames are cut already: their middle squares are used.
    crop : tuple of 3 float, optional
        Left, top and side of one square for all frames.
    compare : bool
        Whether the film shows the cut frame beside the edited one.
    seed : int
        Of the search.
    """

    first_steps: int = 150
    next_steps: int = 20
    smoothing: float = 1.5
    space: str = "w+"
    aligned: bool = False
    crop: tuple[float, float, float] | None = None
    compare: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.smoothing, (int, float)) and 0 <= self.smoothing <= 50):
            raise PhotoError(f"smoothing is {self.smoothing!r}; allowed: 0 to 50 frames")
        for name in ("first_steps", "next_steps"):
            InversionSettings(self.space, steps=getattr(self, name), seed=self.seed)


@dataclass(frozen=True)
class FilmReport:
    """What became of a film.

    Parameters
    ----------
    frames, total : int
        Written, and there (0 where the clip does not say).
    fps : float
        Frames a second.
    lost : int
        Frames in which no face was found: the square of the frame before was taken.
    broken : str
        Why it ends early; "" where it does not.
    trembling : float
        Root mean square of the latents' second differences after smoothing, as a share of before:
        how much of the trembling is left.
    loss : float
        Mean distance of the frames to what was found, before smoothing.
    beyond : float
        Largest share of a square that lies outside its frame, and was filled with the mirror image.
    """

    frames: int
    total: int
    fps: float
    lost: int
    broken: str
    trembling: float
    loss: float
    beyond: float = 0.0


def smooth(values: Tensor, sigma: float) -> Tensor:
    """Smooth over time, without delay.

    Parameters
    ----------
    values : Tensor, shape (T, ...)
        One row a frame.
    sigma : float
        Standard deviation of the Gaussian, frames; 0 gives the values back.

    Returns
    -------
    Tensor, shape (T, ...)
        Constant values stay as they are; the ends are mirrored.
    """
    count = len(values)
    radius = min(math.ceil(3 * sigma), count - 1)
    if sigma <= 0 or radius < 1:
        return values.clone()
    t = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-t.square() / (2 * sigma**2))
    kernel /= kernel.sum()
    index = (torch.arange(count)[:, None] + t.long()[None]).abs()  # (T, 2 radius + 1)
    index = torch.where(index > count - 1, 2 * (count - 1) - index, index)
    flat = values.reshape(count, -1).double()
    out = torch.stack([(kernel[:, None] * flat[rows]).sum(0) for rows in index])
    return out.to(values).reshape(values.shape)


def edit_film(
    models: Models,
    source: str | Path,
    edits: Sequence[Edit],
    out: str | Path,
    settings: FilmSettings | None = None,
    *,
    detector: Detector | None = None,
    landmarks: Landmarks | None = None,
    distance: Distance | None = None,
    limit: int | None = None,
    scale: int = 1,
    comment: str = "",
    progress: Callable[[str, int, int], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> FilmReport:
    """Edit every frame of a clip or of a folder, and write an MP4.

    Parameters
    ----------
    models : Models
        What inverts, edits and draws.
    source : path
        As for :class:`~l2l_widgets.photos.frames.Frames`.
    edits : sequence of Edit
        Of a recipe; none leaves the likeness as it is.
    out : path
        Ends in ``.mp4``, or ``.gif`` for a short one: all of it is in memory.
    settings : FilmSettings, optional
        How.
    detector : callable, optional
        What finds the face; needed unless the frames are aligned or cropped.
    landmarks : callable, optional
        Reads landmarks of a roughly cut face; that of the models if not given.
    distance : callable, optional
        What counts beside the pixels; as for :func:`~l2l_widgets.photos.invert_picture`.
    limit : int, optional
        Frames at most.
    scale : int
        Enlargement of the frames, 1 to 64.
    comment : str
        Kept in the file.
    progress : callable
        Gets ("invert", "edit" or "draw", frames done, frames in all or 0).
    stop : callable
        Asked between frames; True goes on with the frames there are.

    Raises
    ------
    PhotoError, FilmError
        Nothing can be read or found; an edit that these models cannot make. A clip that breaks off
        later is no error: ``broken`` says where, and what was done is written.
    """
    settings = settings or FilmSettings()
    session = EditSession(models, truncation_psi=1.0)
    try:
        _place(session, edits)
        frames = Frames(source, limit)
        writer = FilmWriter(out, frames.fps, comment, scale)
        cuts, lost = _squares(frames, models, (detector, landmarks), settings, stop)
        tracked = _track(frames, models, cuts, settings, distance, progress, stop)
        raw, pictures, losses, beyond = tracked
        ws = smooth(raw, settings.smoothing)
        # one who has stopped already wants the frames that were found
        ask = (lambda: False) if stop() else stop
        edited = _edited(session, ws, settings, progress, ask)
        raw, ws, losses = raw[: len(edited)], ws[: len(edited)], losses[: len(edited)]
        with writer:
            for i, w in enumerate(edited, 1):
                with torch.no_grad():
                    image = models.generator.synthesis(w[None], noise_mode="const")[0].float()
                shown = [image.clamp(-1, 1)]
                if settings.compare:
                    shown.insert(0, pictures[i - 1].to(image) / 127.5 - 1)
                writer.write(to_pil(torch.cat(shown, dim=2)))
                progress("draw", i, len(edited))
    finally:
        session.close()
    return FilmReport(
        len(edited), frames.total, frames.fps, lost, frames.broken,
        _trembling(ws) / max(_trembling(raw), 1e-12) if len(ws) > 2 else 1.0,
        float(np.mean(losses)), beyond,
    )  # fmt: skip


# -- inside ----------------------------------------------------------------------------------------


def _place(session: EditSession, edits: Sequence[Edit]) -> None:
    for i, edit in enumerate(edits):
        if i:
            session.stack(edit.method)
        session.update(**{k: getattr(edit, k) for k in Edit.__dataclass_fields__})
    refused = session.render().error  # before an hour of frames, not after it
    if refused is not None:
        raise PhotoError(f"recipe: {refused}")


def _squares(
    frames: Frames,
    models: Models,
    looking: tuple[Detector | None, Landmarks | None],
    settings: FilmSettings,
    stop: Callable[[], bool],
) -> tuple[list[Square], int]:
    """Where each frame is cut: found, carried over where nothing is found, and smoothed."""
    found: list[Square | None] = []
    for image in frames:
        if stop():
            break
        photo = Photo(image, f"frame {len(found) + 1}")
        known = next((s for s in reversed(found) if s is not None), None)
        found.append(_square(photo, models, looking, settings, known))
    placed = [square for square in found if square is not None]
    if not placed:
        where = frames.broken or "no face was found in any frame: cut it with --crop x,y,side"
        raise PhotoError(f"{frames.source.name}: {where}")
    filled: list[Square] = []
    last = placed[0]
    for square in found:
        last = square or last
        filled.append(last)
    values = torch.tensor([[s.x, s.y, s.side, s.turn] for s in filled], dtype=torch.float64)
    rows = smooth(values, settings.smoothing).tolist()
    return [Square(*row) for row in rows], len(found) - len(placed)


def _square(
    photo: Photo,
    models: Models,
    looking: tuple[Detector | None, Landmarks | None],
    settings: FilmSettings,
    known: Square | None,
) -> Square | None:
    """The face's square in one frame; None where no face is found."""
    detector, landmarks = looking
    if settings.aligned or settings.crop is not None or detector is None:
        # without a detector this says what helps
        cut = align_photo(photo, models, aligned=settings.aligned, crop=settings.crop)
        return Square.of(cut.quad)
    faces = detector(photo.image)
    if not faces:
        return None
    if known is not None:  # the same person: the nearest to where the face was
        faces = [min(faces, key=lambda f: _away(f, known))]
    elif len(faces) > 1:
        faces = [max(faces, key=lambda f: f.width * f.height)]
    return Square.of(align_photo(photo, models, lambda _: faces, landmarks=landmarks).quad)


def _away(face: Any, square: Square) -> float:
    return math.hypot(face.x + face.width / 2 - square.x, face.y + face.height / 2 - square.y)


def _track(
    frames: Frames,
    models: Models,
    cuts: Sequence[Square],
    settings: FilmSettings,
    distance: Distance | None,
    progress: Callable[[str, int, int], None],
    stop: Callable[[], bool],
) -> tuple[Tensor, list[Tensor], list[float], float]:
    """Latents (T, num_ws, w_dim) of the frames, each from where the one before ended.

    With them the cut frames as bytes, where they are to be shown, the distances, and the largest
    share of a square that lies outside its frame.
    """
    rows: list[Tensor] = []
    pictures: list[Tensor] = []
    losses: list[float] = []
    beyond = 0.0
    last: Tensor | None = None
    side = models.generator.img_resolution
    for image, square in zip(_again(frames), cuts, strict=False):
        if rows and stop():
            break
        beyond = max(beyond, share_beyond(image.size, square.quad))
        picture = as_tensor(crop_quad(image, square.quad, side))
        steps = settings.first_steps if last is None else settings.next_steps
        # a start that is nearly there must not be shaken
        how = InversionSettings(
            settings.space, steps=steps, seed=settings.seed, noise=0.1 if last is None else 0.0
        )
        start = None
        if last is not None:
            start = _better_start(models, picture, last, settings.space, distance)
        found = invert_picture(models, picture, how, start=start, distance=distance)
        last = found.ws
        rows.append(found.ws[0].cpu())
        if settings.compare:
            pictures.append(((picture[0] + 1) * 127.5).round().to(torch.uint8).cpu())
        losses.append(found.loss)
        progress("invert", len(rows), len(cuts))
    return torch.stack(rows), pictures, losses, beyond


def _again(frames: Frames) -> Iterable[Image.Image]:
    """A second pass over the same frames: none is kept in memory between the two."""
    broken = frames.broken
    yield from frames
    frames.broken = broken or frames.broken


@torch.no_grad()
def _better_start(
    models: Models, picture: Tensor, last: Tensor, space: str, distance: Distance | None
) -> Tensor:
    """The last frame's latent, or the encoder's answer where the scene has changed."""
    encoded = encoded_start(models, picture, space)
    if encoded is None:
        return last
    generator = models.generator
    rows = (encoded[:, None] if encoded.ndim == 2 else encoded).expand(-1, generator.num_ws, -1)
    both = torch.cat([last, rows.to(last)])
    images = generator.synthesis(both, noise_mode="const").float().clamp(-1, 1)
    wanted = picture.to(images).expand(2, -1, -1, -1)
    loss = (images - wanted).abs().mean((1, 2, 3))
    distance = distance or picture_distance(models)
    if distance is not None:
        loss = loss + distance(images, wanted)
    return both[int(loss.argmin())][None]


def _edited(
    session: EditSession,
    ws: Tensor,
    settings: FilmSettings,
    progress: Callable[[str, int, int], None],
    stop: Callable[[], bool],
) -> Tensor:
    """Latents after the edits, whose steps are smoothed like the latents; fewer where stopped."""
    steps: list[Tensor] = []
    for w in ws:
        if steps and stop():
            break
        session.set_latent(w[None])
        result = session.render()
        if result.error is not None or result.w_edited is None:
            raise PhotoError(f"recipe: {result.error}")
        steps.append((result.w_edited[0].cpu() - w).detach())
        progress("edit", len(steps), len(ws))
    return ws[: len(steps)] + smooth(torch.stack(steps), settings.smoothing)


def _trembling(ws: Tensor) -> float:
    """Root mean square of the second differences over time."""
    second = ws[2:] - 2 * ws[1:-1] + ws[:-2]
    return float(second.square().mean().sqrt())
