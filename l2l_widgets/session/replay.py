"""The recipe: a short text that replays an edit to the same pixels.

A recipe is JSON. It names the models by the SHA-256 of what drew the picture, the starting latent,
the truncation and the ordered edits::

    {"format": "l2l-recipe/1",
     "models": {"name": "faceworld-128", "hashes": {"generator": "9f...", "mapper": "07..."}},
     "latent": {"seed": 7},              or {"w": "<base64 float32>", "shape": [12, 128]}
     "truncation_psi": 0.7,
     "space": "w",
     "edits": [{"method": "mapper", "changes": {"smile": 0.3}, "targets": {"age": 0.8},
                "preserve": [],
                "rows": [0, 1, 2, 3], "space": "w"}],     rows, space: only where they were chosen
     "noise_mode": "const",
     "picture": {"scale": 4, "compare": false}}         only where a picture was saved

It travels in the ``l2l-recipe`` text chunk of every PNG that the package saves. A recipe may come
from a stranger: every field is checked before it is used, and a field that cannot be honoured is
refused by name.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, EditRequest
from l2l_widgets.images import picture_format, read_png_text
from l2l_widgets.session.arguments import must_be, not_json
from l2l_widgets.session.states import (
    MAX_EDITS,
    MAX_LATENT,
    NOISE_MODES,
    PSI_RANGE,
    Edit,
    SessionState,
    tensor_key,
)

FORMAT = "l2l-recipe/1"
PNG_KEY = "l2l-recipe"
SPACES = ("w", "w+")
EDIT_SPACES = ("w", "w+", "s")
#: No StyleGAN2 has that many rows; the generator at hand says how many there are.
MAX_ROWS = 64
SCALES = (1, 64)
MAX_TEXT = 4_000_000
MAX_FILE = 512 << 20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class RecipeError(ValueError):
    """A recipe that cannot be honoured; names the field, the value and what is allowed."""


@dataclass(frozen=True)
class Recipe:
    """What :func:`parse_recipe` read and checked.

    Parameters
    ----------
    name : str
        The models' name, for people; the hashes decide.
    hashes : mapping of str to str
        Part or method -> SHA-256. ``generator`` is always there.
    seed : int or None
        Seed of the starting latent, or None where ``w`` gives it.
    w : Tensor, shape (num_ws, w_dim), or None
        The starting latent where it has no seed.
    truncation_psi : float
        In [0, 1.5]; does not apply to ``w``.
    edits : tuple of Edit
        In the order of application.
    noise_mode : {"const", "none"}
        As in the generator's synthesis.
    picture : mapping
        ``scale`` (int) and ``compare`` (bool) of the saved picture; empty where none was saved.
    """

    name: str
    hashes: Mapping[str, str]
    seed: int | None = None
    w: Tensor | None = None
    truncation_psi: float = 1.0
    edits: tuple[Edit, ...] = ()
    noise_mode: str = "const"
    picture: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, models: Any, state: SessionState, picture: Mapping[str, Any] | None = None
    ) -> Recipe:
        """The recipe of a state that can be drawn.

        Parameters
        ----------
        models : Models
            What draws it: ``name``, ``has`` and ``hashes`` are asked for.
        state : SessionState
            Face and edits; empty edits are left out.
        picture : mapping, optional
            ``scale`` and ``compare`` of a saved picture.
        """
        edits = tuple(edit for edit in state.edits if not edit.empty)
        used = ["generator"]
        if edits:
            # Editors see the regressor's readings, so it too decides the pixels.
            used += ["regressor"] if models.has("regressor") else []
            used += sorted({edit.method for edit in edits})
        hashes = models.hashes
        return cls(
            name=models.name,
            hashes={part: hashes[part] for part in used if part in hashes},
            seed=int(state.seed) if state.w is None else None,  # numpy's integers too
            w=None if state.w is None else state.w[0],
            truncation_psi=float(state.truncation_psi),
            edits=edits,
            noise_mode=state.noise_mode,
            picture=dict(must_be("picture", picture or {}, Mapping, "scale and compare, by name")),
        )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        if self.w is None:
            latent: dict[str, Any] = {"seed": self.seed}
            space = "w"
        else:
            array = self.w.detach().cpu().numpy().astype("<f4")  # (num_ws, w_dim)
            latent = {
                "w": base64.b64encode(array.tobytes()).decode("ascii"),
                "shape": list(array.shape),
            }
            space = "w" if bool((self.w == self.w[:1]).all()) else "w+"
        out: dict[str, Any] = {
            "format": FORMAT,
            "models": {"name": self.name, "hashes": dict(self.hashes)},
            "latent": latent,
            "truncation_psi": self.truncation_psi,
            "space": space,
            "edits": [edit.to_dict() for edit in self.edits],
            "noise_mode": self.noise_mode,
        }
        if self.picture:
            out["picture"] = dict(self.picture)
        return out

    def to_json(self) -> str:
        """The recipe as text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def state(self, no_edits: tuple[Edit, ...]) -> SessionState:
        """The state that the recipe describes; ``no_edits`` stand where it has none."""
        return SessionState(
            seed=self.seed,
            truncation_psi=self.truncation_psi,
            edits=self.edits or no_edits,
            noise_mode=self.noise_mode,
            w=None if self.w is None else self.w[None],
            w_key="" if self.w is None else tensor_key(self.w),
        )

    def check_models(self, name: str, hashes: Mapping[str, str]) -> None:
        """Refuse models that would draw another picture.

        Parameters
        ----------
        name : str
            Name of the models at hand.
        hashes : mapping of str to str
            Their hashes, part or method -> SHA-256.
        """
        refuse_other_models("recipe", "picture", (self.name, self.hashes), (name, hashes))


def refuse_other_models(
    kind: str,
    what: str,
    drawn_by: tuple[str, Mapping[str, str]],
    here: tuple[str, Mapping[str, str]],
) -> None:
    """Refuse models that would not draw the same again.

    Parameters
    ----------
    kind, what : str
        What is read ("recipe"), and what it drew ("picture").
    drawn_by, here : (name, hashes)
        Of the models that are named there, part or method -> SHA-256; of those at hand.

    Raises
    ------
    RecipeError
        The first part that differs; a generator, on which all else stands, in so many words.
    """
    for part, wanted in drawn_by[1].items():
        found = here[1].get(part)
        if found != wanted:
            said = "drawn by another generator: " if found and part == "generator" else ""
            have = f"{found[:12]}..." if found else "none"
            line = (
                f"models.hashes.{part[:80]} is {str(wanted)[:12]}... (of {drawn_by[0]!r}), models "
                f"{here[0]!r} have {have}; allowed: the models that drew the {what}"
            )
            raise RecipeError(f"{kind}: {said}{line}")


def parse_recipe(text: str | bytes) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    text : str or bytes
        JSON; bytes must be UTF-8.

    Raises
    ------
    RecipeError
        Names the field, the value, and what is allowed.
    """
    if len(text) > MAX_TEXT:
        raise RecipeError(f"recipe: {len(text)} characters long; allowed: {MAX_TEXT}")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"recipe: byte {error.start} is not UTF-8 text") from None
    try:
        raw = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
    except RecipeError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"recipe: not JSON ({not_json(error)}); "
            "allowed: a PNG saved by this package, or a recipe as JSON"
        ) from None
    return _recipe_of(_fields(raw, "", _REQUIRED, optional=("picture",)))


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe of a PNG that the package saved, or of a JSON file; told apart by content.

    Raises
    ------
    RecipeError
        No such file, a PNG without a recipe, a damaged PNG, or a recipe with a fault.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise RecipeError(f"recipe is {path!r}; allowed: the path of a saved PNG or of a JSON file")
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise RecipeError(f"recipe: {path}: larger than {MAX_FILE >> 20} MiB; too large")
        data = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"recipe: {path}: {error.strerror or error}") from None
    if not data.startswith(_PNG_SIGNATURE):
        kind = picture_format(data)
        if kind is not None:
            raise RecipeError(_no_recipe(path, f"a {kind} picture"))
        try:
            begins = data.decode("utf-8").strip().partition("\n")[0]
        except UnicodeDecodeError:
            raise RecipeError(_no_recipe(path, "it is neither text nor a picture, and")) from None
        if not begins:
            raise RecipeError(_no_recipe(path, "the empty file"))
        if not begins.startswith(("{", "[")):
            raise RecipeError(
                f"recipe: {path}: begins with {_show(begins)}, neither a recipe nor a picture; "
                "allowed: a PNG saved by this package, or a recipe as JSON"
            )
        return parse_recipe(data)
    try:
        chunks = read_png_text(data)
    except (ValueError, OSError, SyntaxError) as error:
        raise RecipeError(f"recipe: {path}: damaged PNG ({error})") from None
    if PNG_KEY not in chunks:
        raise RecipeError(_no_recipe(path, "the picture"))
    return parse_recipe(chunks[PNG_KEY])


def check_picture(path: str | os.PathLike[str], scale: int) -> Path:
    """The path of a picture that can carry a recipe; ValueError for another name or scale."""
    path = Path(must_be("path", path, (str, os.PathLike), "a file's name"))
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"file name is {path.name!r}; allowed: one that ends in .png, "
            "the format that carries the recipe"
        )
    if type(scale) is not int or not SCALES[0] <= scale <= SCALES[1]:
        raise ValueError(
            f"scale is {scale!r}; allowed: a whole number from {SCALES[0]} to {SCALES[1]}"
        )
    return path


def check_recipe(recipe: Any, models: Any) -> None:
    """Refuse what is no recipe, one of other models, and edits of attributes these lack."""
    allowed = "what read_recipe gives"
    must_be("recipe", recipe, Recipe, allowed).check_models(models.name, models.hashes)
    for i, edit in enumerate(recipe.edits):
        try:
            EditRequest(edit.changes, edit.targets, edit.preserve).validate(models.table)
        except AttributeRequestError as error:
            raise RecipeError(f"recipe: edits[{i}]: {error}") from None


def _no_recipe(path: Path, what: str) -> str:
    return (
        f"recipe: {path}: {what} carries no {PNG_KEY!r} text; "
        "allowed: a PNG saved by this package, or a recipe as JSON"
    )


_REQUIRED = ("format", "models", "latent", "truncation_psi", "space", "edits", "noise_mode")


def _recipe_of(raw: dict[str, Any]) -> Recipe:
    if raw["format"] != FORMAT:
        raise RecipeError(f"recipe: format is {_show(raw['format'])}; allowed: {FORMAT!r}")
    models = _fields(raw["models"], "models", ("name", "hashes"))
    hashes = _fields(models["hashes"], "models.hashes", ("generator",), optional=None)
    for part, value in hashes.items():
        _text(value, f"models.hashes.{part}")
    psi = _number(raw["truncation_psi"], "truncation_psi", *PSI_RANGE)
    seed, w = _latent(raw["latent"])
    space = _choice(raw["space"], "space", SPACES)
    if w is not None and space == "w" and not bool((w == w[:1]).all()):
        raise RecipeError("recipe: space is 'w', but the rows of latent.w differ; allowed: 'w+'")
    edits = raw["edits"]
    if not isinstance(edits, list) or len(edits) > MAX_EDITS:
        raise RecipeError(
            f"recipe: edits is {_show(edits)}; allowed: a list of at most {MAX_EDITS}"
        )
    picture = {}
    if "picture" in raw:
        picture = _fields(raw["picture"], "picture", ("scale", "compare"))
        scale = picture["scale"]
        if type(scale) is not int or not SCALES[0] <= scale <= SCALES[1]:
            raise RecipeError(
                f"recipe: picture.scale is {_show(scale)}; "
                f"allowed: a whole number from {SCALES[0]} to {SCALES[1]}"
            )
        if type(picture["compare"]) is not bool:
            raise RecipeError(
                f"recipe: picture.compare is {_show(picture['compare'])}; allowed: true, false"
            )
    return Recipe(
        name=_text(models["name"], "models.name"),
        hashes=hashes,
        seed=seed,
        w=w,
        truncation_psi=psi,
        edits=tuple(_edit(e, f"edits[{i}]") for i, e in enumerate(edits)),
        noise_mode=_choice(raw["noise_mode"], "noise_mode", NOISE_MODES),
        picture=picture,
    )


def _edit(raw: Any, where: str) -> Edit:
    required = ("method", "changes", "targets", "preserve")
    raw = _fields(raw, where, required, optional=("rows", "space"))
    values: dict[str, dict[str, float]] = {}
    for kind, low in (("changes", -1.0), ("targets", 0.0)):
        given = _fields(raw[kind], f"{where}.{kind}", (), optional=None)
        values[kind] = {k: _number(v, f"{where}.{kind}.{k}", low, 1.0) for k, v in given.items()}
    keep = raw["preserve"]
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise RecipeError(f"recipe: {where}.preserve is {_show(keep)}; allowed: a list of names")
    method = _text(raw["method"], f"{where}.method")
    rows, space = raw.get("rows"), raw.get("space")
    if "rows" in raw and not (
        isinstance(rows, list)
        and 0 < len(rows) == len(set(map(repr, rows))) <= MAX_ROWS
        and all(type(row) is int and 0 <= row < MAX_ROWS for row in rows)
    ):
        raise RecipeError(
            f"recipe: {where}.rows is {_show(rows)}; allowed: a list of whole numbers from 0 to "
            f"{MAX_ROWS - 1}, at least one, each once"
        )
    if "space" in raw:
        space = _choice(space, f"{where}.space", EDIT_SPACES)
    return Edit(method, values["changes"], values["targets"], tuple(keep), rows, space)


def parse_edit(raw: Any, where: str = "edit") -> Edit:
    """Check an edit as it stands in a recipe; a RecipeError names what is wrong with it."""
    return _edit(raw, where)


def _latent(raw: Any) -> tuple[int | None, Tensor | None]:
    if isinstance(raw, dict) and "w" in raw:
        raw = _fields(raw, "latent", ("w", "shape"))
        return None, _decode_w(raw["w"], raw["shape"])
    seed = _fields(raw, "latent", ("seed",))["seed"]
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise RecipeError(
            f"recipe: latent.seed is {_show(seed)}; allowed: a whole number from 0 to {2**32 - 1}"
        )
    return seed, None


def _decode_w(raw: Any, shape: Any) -> Tensor:
    sizes_ok = isinstance(shape, list) and len(shape) == 2
    if not sizes_ok or not all(type(n) is int and 0 < n <= 65536 for n in shape):
        raise RecipeError(f"recipe: latent.shape is {_show(shape)}; allowed: [num_ws, w_dim]")
    text = _text(raw, "latent.w", longest=MAX_TEXT)
    wanted = 4 * shape[0] * shape[1]
    # Compare lengths before decoding: a huge shape must cost nothing.
    if len(text) != 4 * math.ceil(wanted / 3):
        raise RecipeError(
            f"recipe: latent.w has {len(text)} characters; "
            f"allowed: {4 * math.ceil(wanted / 3)} for the shape {shape}"
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecipeError(f"recipe: latent.w is not base64 ({error})") from None
    if len(data) != wanted:
        raise RecipeError(f"recipe: latent.w holds {len(data)} bytes; allowed: {wanted}")
    array = np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)  # (num_ws, w_dim)
    if not np.isfinite(array).all() or np.abs(array).max() > MAX_LATENT:
        raise RecipeError(
            f"recipe: latent.w has an entry that is not finite or beyond {MAX_LATENT:g}; "
            f"allowed: numbers from {-MAX_LATENT:g} to {MAX_LATENT:g}"
        )
    return torch.from_numpy(array)


def _fields(
    raw: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] | None = ()
) -> dict[str, Any]:
    """The fields of an object; ``optional=None`` lets any further name pass."""
    label = where or "the text"
    if not isinstance(raw, dict):
        raise RecipeError(f"recipe: {label} is {_show(raw)}; allowed: an object")
    dot = f"{where}." if where else ""
    for name in required:
        if name not in raw:
            raise RecipeError(f"recipe: field {dot + name!r} is missing")
    if optional is not None:
        known = (*required, *optional)
        for name in raw:
            if name not in known:
                raise RecipeError(
                    f"recipe: field {(dot + name)[:80]!r} is unknown; known: {', '.join(known)}"
                )
    return raw


def _number(value: Any, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RecipeError(
            f"recipe: {where[:80]} is {_show(value)}; allowed: a number from {low:g} to {high:g}"
        )
    return float(value)


def _text(value: Any, where: str, longest: int = 200) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise RecipeError(
            f"recipe: {where[:80]} is {_show(value)}; allowed: text of 1 to {longest} characters"
        )
    return value


def _choice(value: Any, where: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise RecipeError(
            f"recipe: {where} is {_show(value)}; allowed: {', '.join(map(repr, allowed))}"
        )
    return value


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _no_constant(name: str) -> float:
    raise RecipeError(f"recipe: {name} is no number; allowed: finite numbers")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise RecipeError(f"recipe: field {key[:80]!r} is given twice")
        out[key] = value
    return out
