"""Walks as files: a strip with its recipe inside, a GIF, an MP4; and the recipe back.

The recipe of a walk is JSON, the text chunk ``l2l-walk`` of a strip's PNG and the comment of a GIF
or an MP4::

    {"format": "l2l-walk/1",
     "models": {"name": "faceworld-128", "hashes": {"generator": "9f..."}},
     "faces": [{"seed": 3}, {"w": "<base64 float32>", "shape": [12, 128]}],
     "kind": "latent", "space": "w", "curve": "lerp", "rows": "all", "frames": 9,
     "attribute": "", "span": null, "method": null, "hold": [],
     "truncation_psi": 0.7, "noise_mode": "const", "identity_by": null}

Recipes from before there was ``identity_by`` lack it; their identity walks went by the editor.

It may come from a stranger: every field is checked before it is used.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.films import Film, FilmWriter
from l2l_widgets.images import grid, picture_format, read_png_text, save_image, to_pil
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.arguments import not_json
from l2l_widgets.session.replay import RecipeError, refuse_other_models
from l2l_widgets.session.states import MAX_LATENT
from l2l_widgets.walks.persons import MIXER_PART, hashes_of
from l2l_widgets.walks.walk import REACH, Strip, Walk

__all__ = ["read_walk", "save_walk", "walk_recipe"]

FORMAT = "l2l-walk/1"
PNG_KEY = "l2l-walk"
ENDINGS = (".png", ".gif", ".mp4")
#: Frames in a row of a strip; longer walks go on below.
COLUMNS = 12
MAX_TEXT = 16_000_000
MAX_FILE = 512 << 20
#: Seconds that a film lasts.
SECONDS = (0.1, 600.0)
#: Side that a film should at least have, for players enlarge small ones badly; a GIF, which grows
#: with every pixel, has half of it.
FILM_SIDE = {".gif": 256, ".mp4": 512}


def walk_recipe(models: Models, walk: Walk) -> dict[str, Any]:
    """The recipe of a walk as plain JSON values.

    Parameters
    ----------
    models : Models
        What draws it.
    walk : Walk
        As :class:`Strip` holds it: with everything filled in that was left to the models.
    """
    used = ["generator"]
    if walk.kind != "latent":
        used += ["regressor", walk.method or models.available_editors[0]]
    if walk.kind == "identity" and walk.identity_by != "editor":
        used += ["embedder", MIXER_PART]
    hashes = hashes_of(models)
    return {
        "format": FORMAT,
        "models": {"name": models.name, "hashes": {p: hashes[p] for p in used if p in hashes}},
        "faces": [_face_value(face) for face in walk.faces],
        "kind": walk.kind,
        "space": walk.space,
        "curve": walk.curve,
        "rows": walk.rows,
        "frames": walk.frames,
        "attribute": walk.attribute,
        "span": walk.span if walk.span is None or isinstance(walk.span, str) else list(walk.span),
        "method": walk.method,
        "hold": list(walk.hold),
        "truncation_psi": float(walk.truncation_psi),
        "noise_mode": walk.noise_mode,
        "identity_by": walk.identity_by,
    }


def _face_value(face: Any) -> dict[str, Any]:
    if not isinstance(face, Tensor):
        return {"seed": int(face)}
    array = face.detach().cpu().numpy().astype("<f4")  # (num_ws, w_dim)
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"w": data, "shape": list(array.shape)}


def save_walk(
    path: str | os.PathLike[str],
    models: Models,
    strip: Strip,
    *,
    scale: int | None = None,
    seconds: float | None = None,
    there_and_back: bool = False,
) -> dict[str, Any]:
    """Write a walk as a strip (.png), a moving picture (.gif) or a film (.mp4).

    Parameters
    ----------
    path : path
        Its ending decides. Written whole or not at all; folders that are missing are made.
    models : Models
        What drew the strip; they go into the recipe.
    strip : Strip
        The frames.
    scale : int, optional
        Enlargement of each frame, 1 to 64; 1 for a strip, and what makes a frame of a film 512
        pixels wide, of a GIF 256, if not given.
    seconds : float, optional
        How long a GIF or a film lasts, one way; an eighth of a second a frame if not given.
    there_and_back : bool
        Whether a GIF or a film goes back again to the first frame.

    Returns
    -------
    dict
        The recipe.

    Raises
    ------
    ValueError
        Another ending, a number out of its range, no PyAV for an .mp4, or a file that cannot be
        written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"file name is {path.name!r}; allowed endings: {', '.join(ENDINGS)}")
    recipe = walk_recipe(models, strip.walk)
    text = json.dumps(recipe, allow_nan=False)
    if ending == ".png":
        columns = min(len(strip.images), COLUMNS)
        sheet = grid(strip.images, columns, gap=1)
        save_image(path, sheet, {PNG_KEY: text}, scale or 1)
    else:
        side = strip.images.shape[-1]
        scale = scale or min(64, max(1, FILM_SIDE[ending] // side))
        pause = _pause(seconds, len(strip.images))
        frames = [to_pil(image) for image in strip.images]
        with FilmWriter(path, 1 / pause, text, scale) as film:
            for i in _order(len(frames), there_and_back):
                film.write(frames[i])
    return recipe


def _pause(seconds: float | None, frames: int) -> float:
    """Seconds a frame."""
    if seconds is None:
        return 0.125
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not SECONDS[0] <= seconds <= SECONDS[1]:
        raise ValueError(
            f"seconds is {seconds!r}; allowed: a number from {SECONDS[0]:g} to {SECONDS[1]:g}"
        )
    return float(seconds) / frames


def _order(count: int, there_and_back: bool) -> list[int]:
    """Frames as they are shown; the way back repeats neither end."""
    there = list(range(count))
    return there + there[-2:0:-1] if there_and_back else there


def read_walk(
    path: str | os.PathLike[str] | Mapping[str, Any], models: Models | None = None
) -> Walk:
    """The walk in a strip that the package saved, in a JSON file, or in a recipe.

    Parameters
    ----------
    path : path or mapping
        A PNG, GIF or MP4 of :func:`save_walk`, or its recipe as JSON, told apart by content; or the
        recipe itself, as :func:`save_walk` returns it.
    models : Models, optional
        What is to draw it again: other models than the recipe's, by their hashes, are refused.

    Raises
    ------
    RecipeError
        No such file, a file without a recipe, or a field that cannot be honoured, by name. What
        only the models can refuse (an attribute, a row) is refused when it is drawn.
    """
    if isinstance(path, Mapping):
        return parse_walk(json.dumps(dict(path)), models)
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise RecipeError(f"walk: {path}: larger than {MAX_FILE >> 20} MiB; too large")
        data = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"walk: {path}: {error.strerror or error}") from None
    kind = "MP4" if data[4:8] == b"ftyp" else picture_format(data)
    try:
        if kind == "PNG":
            text = read_png_text(data).get(PNG_KEY)
        elif kind == "GIF":
            text = _gif_comment(data)
        elif kind == "MP4":
            text = Film(path).comment or None
        else:
            text = data.decode("utf-8") if kind is None else None
    except UnicodeDecodeError:
        text = None
    except (ValueError, OSError, SyntaxError) as error:
        raise RecipeError(f"walk: {path}: damaged {kind} ({error})") from None
    if text is None:
        raise RecipeError(
            f"walk: {path}: carries no {PNG_KEY!r} text; allowed: a strip, GIF or film that the "
            "package saved, or its recipe as JSON"
        )
    return parse_walk(text, models)


def _gif_comment(data: bytes) -> str | None:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("GIF",)) as picture:
        comment = picture.info.get("comment")
    return comment.decode("utf-8") if isinstance(comment, bytes) else None


def parse_walk(text: str, models: Models | None = None) -> Walk:
    """The walk that a recipe describes; as :func:`read_walk`, from JSON text."""
    if len(text) > MAX_TEXT:
        raise RecipeError(f"walk: {len(text)} characters long; allowed: {MAX_TEXT}")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"walk: not JSON ({not_json(error)}); allowed: a strip, GIF or film that the package "
            "saved, or its recipe as JSON"
        ) from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else raw
        raise RecipeError(f"walk: format is {found!r:.80}; allowed: {FORMAT!r}")
    for name in raw:
        if name not in _FIELDS:
            raise RecipeError(f"walk: field {name[:80]!r} is unknown; known: {', '.join(_FIELDS)}")
    raw.setdefault("identity_by", "editor" if raw.get("kind") == "identity" else None)
    for name, (sound, allowed) in _FIELDS.items():
        if name not in raw:
            raise RecipeError(f"walk: field {name!r} is missing")
        if not sound(raw[name]):
            raise RecipeError(f"walk: {name} is {raw[name]!r:.80}; allowed: {allowed}")
    if models is not None:
        drawn_by = raw["models"]["name"], raw["models"]["hashes"]
        refuse_other_models("walk", "walk", drawn_by, (models.name, hashes_of(models)))
    span, psi = raw["span"], raw["truncation_psi"]
    return Walk(
        faces=tuple(_face_of(face, f"faces[{i}]") for i, face in enumerate(raw["faces"])),
        kind=raw["kind"],
        space=raw["space"],
        curve=raw["curve"],
        rows=raw["rows"],
        frames=raw["frames"],
        attribute=raw["attribute"],
        span=tuple(span) if isinstance(span, list) else span,
        method=raw["method"],
        hold=tuple(raw["hold"]),
        truncation_psi=psi,
        noise_mode=raw["noise_mode"],
        identity_by=raw["identity_by"],
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e6


def _list_of(sound: Callable[[Any], bool], fewest: int, most: int) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, list) and fewest <= len(v) <= most and all(map(sound, v))


def _is_models(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"name", "hashes"}:
        return False
    hashes = value["hashes"]
    return _is_text(value["name"]) and isinstance(hashes, dict) and "generator" in hashes


#: Field -> what is sound, and how to say so. What the models decide is checked when it is drawn.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format": (_is_text, repr(FORMAT)),
    "models": (_is_models, "an object of a name and hashes, the generator's among them"),
    "faces": (_list_of(lambda v: isinstance(v, dict), 1, 64), "a list of 1 to 64 objects"),
    "kind": (_is_text, "text"),
    "space": (_is_text, "text"),
    "curve": (_is_text, "text"),
    "rows": (_is_text, "text"),
    "frames": (lambda v: type(v) is int, "a whole number"),
    "attribute": (_is_text, "text"),
    "span": (
        lambda v: v is None or v == REACH or _list_of(_is_number, 2, 2)(v),
        f"null, {REACH!r} or two numbers",
    ),
    "method": (lambda v: v is None or _is_text(v), "null or text"),
    "hold": (_list_of(_is_text, 0, 1000), "a list of names"),
    "truncation_psi": (_is_number, "a number"),
    "noise_mode": (_is_text, "text"),
    "identity_by": (lambda v: v is None or _is_text(v), "null or text"),
}


def _face_of(raw: dict[str, Any], where: str) -> Any:
    if set(raw) == {"w", "shape"}:
        return _latent_of(raw["w"], raw["shape"], where)
    seed = raw.get("seed")
    if set(raw) != {"seed"} or type(seed) is not int or not 0 <= seed < 2**32:
        raise RecipeError(
            f"walk: {where} is {raw!r:.80}; allowed: a seed from 0 to {2**32 - 1}, or w and shape"
        )
    return seed


def _latent_of(text: Any, shape: Any, where: str) -> Tensor:
    """(num_ws, w_dim) from base64; lengths are compared first, a huge shape must cost nothing."""
    allowed = f"base64 of finite float32 up to {MAX_LATENT:g}, and its shape [num_ws, w_dim]"
    sizes = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
    if not sizes or not all(0 < n <= 65536 for n in shape) or not isinstance(text, str):
        raise RecipeError(f"walk: {where}.shape is {shape!r:.80}; allowed: {allowed}")
    count = shape[0] * shape[1]
    try:
        data = base64.b64decode(text, validate=True) if len(text) < 6 * count + 8 else b""
    except ValueError:  # binascii's own is one
        data = b""
    array = np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float32)
    if len(data) != 4 * count or not (np.abs(array) <= MAX_LATENT).all():  # NaN is not below
        raise RecipeError(f"walk: {where}.w has {len(text)} characters; allowed: {allowed}")
    return torch.from_numpy(array.reshape(shape))
