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
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, EditRequest
from l2l_widgets.images import picture_format, read_png_text
from l2l_widgets.session.arguments import must_be, not_json
from l2l_widgets.session.recipe_fields import (
    MAX_TEXT,
    RecipeError,
    fields_of,
    no_constant,
    no_repeats,
    number_in,
    one_of,
    parse_edit,
    read_latent,
    shown,
    text_of,
)
from l2l_widgets.session.states import (
    MAX_EDITS,
    NOISE_MODES,
    PSI_RANGE,
    Edit,
    SessionState,
    tensor_key,
)

__all__ = [
    "FORMAT", "MAX_FILE", "PNG_KEY", "SCALES", "Recipe", "RecipeError", "check_picture",
    "check_recipe", "parse_edit", "parse_recipe", "read_recipe", "refuse_other_models",
]  # fmt: skip

FORMAT = "l2l-recipe/1"
PNG_KEY = "l2l-recipe"
SPACES = ("w", "w+")
SCALES = (1, 64)
MAX_FILE = 512 << 20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
        raw = json.loads(text, parse_constant=no_constant, object_pairs_hook=no_repeats)
    except RecipeError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"recipe: not JSON ({not_json(error)}); "
            "allowed: a PNG saved by this package, or a recipe as JSON"
        ) from None
    return _recipe_of(fields_of(raw, "", _REQUIRED, optional=("picture",)))


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
                f"recipe: {path}: begins with {shown(begins)}, neither a recipe nor a picture; "
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
        raise RecipeError(f"recipe: format is {shown(raw['format'])}; allowed: {FORMAT!r}")
    models = fields_of(raw["models"], "models", ("name", "hashes"))
    hashes = fields_of(models["hashes"], "models.hashes", ("generator",), optional=None)
    for part, value in hashes.items():
        text_of(value, f"models.hashes.{part}")
    psi = number_in(raw["truncation_psi"], "truncation_psi", *PSI_RANGE)
    seed, w = read_latent(raw["latent"])
    space = one_of(raw["space"], "space", SPACES)
    if w is not None and space == "w" and not bool((w == w[:1]).all()):
        raise RecipeError("recipe: space is 'w', but the rows of latent.w differ; allowed: 'w+'")
    edits = raw["edits"]
    if not isinstance(edits, list) or len(edits) > MAX_EDITS:
        raise RecipeError(
            f"recipe: edits is {shown(edits)}; allowed: a list of at most {MAX_EDITS}"
        )
    picture = {}
    if "picture" in raw:
        picture = fields_of(raw["picture"], "picture", ("scale", "compare"))
        scale = picture["scale"]
        if type(scale) is not int or not SCALES[0] <= scale <= SCALES[1]:
            raise RecipeError(
                f"recipe: picture.scale is {shown(scale)}; "
                f"allowed: a whole number from {SCALES[0]} to {SCALES[1]}"
            )
        if type(picture["compare"]) is not bool:
            raise RecipeError(
                f"recipe: picture.compare is {shown(picture['compare'])}; allowed: true, false"
            )
    return Recipe(
        name=text_of(models["name"], "models.name"),
        hashes=hashes,
        seed=seed,
        w=w,
        truncation_psi=psi,
        edits=tuple(parse_edit(e, f"edits[{i}]") for i, e in enumerate(edits)),
        noise_mode=one_of(raw["noise_mode"], "noise_mode", NOISE_MODES),
        picture=picture,
    )
