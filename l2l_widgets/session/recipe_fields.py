"""The fields of a recipe, each checked before it is used.

A recipe may come from a stranger: what cannot be honoured is refused by its name, with its value
and what is allowed.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.session.states import MAX_LATENT, Edit

__all__ = [
    "MAX_TEXT", "RecipeError", "fields_of", "no_constant", "no_repeats", "number_in", "one_of",
    "parse_edit", "read_latent", "shown", "text_of",
]  # fmt: skip

EDIT_SPACES = ("w", "w+", "s")
#: No StyleGAN2 has that many rows; the generator at hand says how many there are.
MAX_ROWS = 64
MAX_TEXT = 4_000_000


class RecipeError(ValueError):
    """A recipe that cannot be honoured; names the field, the value and what is allowed."""


def parse_edit(raw: Any, where: str = "edit") -> Edit:
    """Check an edit as it stands in a recipe; a RecipeError names what is wrong with it."""
    required = ("method", "changes", "targets", "preserve")
    raw = fields_of(raw, where, required, optional=("rows", "space"))
    values: dict[str, dict[str, float]] = {}
    for kind, low in (("changes", -1.0), ("targets", 0.0)):
        given = fields_of(raw[kind], f"{where}.{kind}", (), optional=None)
        values[kind] = {k: number_in(v, f"{where}.{kind}.{k}", low, 1.0) for k, v in given.items()}
    keep = raw["preserve"]
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise RecipeError(f"recipe: {where}.preserve is {shown(keep)}; allowed: a list of names")
    method = text_of(raw["method"], f"{where}.method")
    rows, space = raw.get("rows"), raw.get("space")
    if "rows" in raw and not (
        isinstance(rows, list)
        and 0 < len(rows) == len(set(map(repr, rows))) <= MAX_ROWS
        and all(type(row) is int and 0 <= row < MAX_ROWS for row in rows)
    ):
        raise RecipeError(
            f"recipe: {where}.rows is {shown(rows)}; allowed: a list of whole numbers from 0 to "
            f"{MAX_ROWS - 1}, at least one, each once"
        )
    if "space" in raw:
        space = one_of(space, f"{where}.space", EDIT_SPACES)
    return Edit(method, values["changes"], values["targets"], tuple(keep), rows, space)


def read_latent(raw: Any) -> tuple[int | None, Tensor | None]:
    """The seed, or the latent itself, (num_ws, w_dim); the other is None."""
    if isinstance(raw, dict) and "w" in raw:
        raw = fields_of(raw, "latent", ("w", "shape"))
        return None, _decode_w(raw["w"], raw["shape"])
    seed = fields_of(raw, "latent", ("seed",))["seed"]
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise RecipeError(
            f"recipe: latent.seed is {shown(seed)}; allowed: a whole number from 0 to {2**32 - 1}"
        )
    return seed, None


def _decode_w(raw: Any, shape: Any) -> Tensor:
    sizes_ok = isinstance(shape, list) and len(shape) == 2
    if not sizes_ok or not all(type(n) is int and 0 < n <= 65536 for n in shape):
        raise RecipeError(f"recipe: latent.shape is {shown(shape)}; allowed: [num_ws, w_dim]")
    text = text_of(raw, "latent.w", longest=MAX_TEXT)
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


def fields_of(
    raw: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] | None = ()
) -> dict[str, Any]:
    """The fields of an object; ``optional=None`` lets any further name pass."""
    label = where or "the text"
    if not isinstance(raw, dict):
        raise RecipeError(f"recipe: {label} is {shown(raw)}; allowed: an object")
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


def number_in(value: Any, where: str, low: float, high: float) -> float:
    """A number within bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RecipeError(
            f"recipe: {where[:80]} is {shown(value)}; allowed: a number from {low:g} to {high:g}"
        )
    return float(value)


def text_of(value: Any, where: str, longest: int = 200) -> str:
    """A text that is neither empty nor too long."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise RecipeError(
            f"recipe: {where[:80]} is {shown(value)}; allowed: text of 1 to {longest} characters"
        )
    return value


def one_of(value: Any, where: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    if value not in allowed:
        raise RecipeError(
            f"recipe: {where} is {shown(value)}; allowed: {', '.join(map(repr, allowed))}"
        )
    return value


def shown(value: Any) -> str:
    """A value as a message shows it: not at any length."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python's reader of JSON would let pass."""
    raise RecipeError(f"recipe: {name} is no number; allowed: finite numbers")


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that gives a field twice."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise RecipeError(f"recipe: field {key[:80]!r} is given twice")
        out[key] = value
    return out
