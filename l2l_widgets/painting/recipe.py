"""The text that replays a painting: what is in it, and how it travels in a saved picture."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.images import read_png_text
from l2l_widgets.masks import encode_mask
from l2l_widgets.storage import sha256_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.maskgan.model import MaskGAN

#: Key of the text chunk of a PNG, and the format's name.
RECIPE = "l2l-paint"
RECIPE_FORMAT = "l2l-paint/1"
#: And of an edit of the sliders that is seen through an area, which holds no face of its own.
AREA_FORMAT = "l2l-area/1"
#: A recipe of more bytes is not read.
MAX_FILE = 64 << 20


class PaintError(ValueError):
    """A picture, mask, recipe or set of weights that painting cannot use."""


def read_paint_recipe(source: str | Path | bytes) -> dict[str, Any]:
    """The recipe in a saved picture, or in a JSON file.

    Raises
    ------
    PaintError
        There is none in it.
    """
    if isinstance(source, bytes):
        text = source.decode("utf-8", "replace") if source[:1] == b"{" else None
    else:
        path = Path(source)
        if path.suffix == ".json" and path.stat().st_size > MAX_FILE:
            raise PaintError(f"{path}: larger than {MAX_FILE >> 20} MiB; too large for a recipe")
        text = path.read_text(encoding="utf-8") if path.suffix == ".json" else None
    if text is None:
        text = read_png_text(source).get(RECIPE)
        if text is None:
            named = "the picture" if isinstance(source, bytes) else str(source)
            raise PaintError(
                f"{named} carries no recipe of a painting; allowed: a picture that was saved "
                "from a painting, or its recipe as JSON"
            )
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PaintError(f"the recipe is no JSON: {error}") from None
    if not isinstance(recipe, dict):
        raise PaintError(
            f"the recipe is a JSON {type(recipe).__name__}; allowed: the object that was saved"
        )
    return recipe


def painting_in(source: str | Path | bytes) -> dict[str, Any] | None:
    """The recipe of a painted face in a file; None for a picture that is to be parsed.

    That is one without a recipe, or one of an edit that was seen through an area: it shows a face,
    and its recipe has none.
    """
    try:
        recipe = read_paint_recipe(source)
    except ValueError:
        return None
    is_text = source[:1] == b"{" if isinstance(source, bytes) else Path(source).suffix == ".json"
    return None if recipe.get("format") == AREA_FORMAT and not is_text else recipe


def model_hash(model: MaskGAN) -> str:
    """SHA-256 of what draws: the mapping's and the MaskVAE's tensors."""
    digest = hashlib.sha256()
    for part in (model.mapping, model.vae):
        if part is not None:
            digest.update(sha256_tensors(part.state_dict()).encode())
    return digest.hexdigest()


def as_base64(data: bytes) -> str:
    """Bytes as text that JSON can hold."""
    return base64.b64encode(data).decode("ascii")


def png_text(mask: Tensor) -> str:
    """A mask (H, W) as the base64 text of its PNG."""
    return as_base64(encode_mask(mask))


def bytes_of(source: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a base64 field; PaintError where it is none."""
    try:
        return base64.b64decode(str(source.get(name, "")), validate=True)
    except ValueError:
        raise PaintError(f"{name} is no base64 text; allowed: a PNG in base64") from None
