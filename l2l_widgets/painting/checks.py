"""What a paint session is given: said to be wrong at once, and not where it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from l2l_widgets.images import from_uint8, to_uint8
from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.masks import MaskError, check_mask
from l2l_widgets.painting.recipe import PaintError


def check_model(model: Any) -> MaskGAN | None:
    """What draws, or None; PaintError for anything else."""
    if model is not None and not isinstance(model, MaskGAN):
        raise PaintError(
            f"model is {type(model).__name__}; allowed: a MaskGAN, as load_painter(models) gives "
            "it, or None"
        )
    return model


def one_image(image: Any) -> Tensor:
    """A picture (3, H, W), also where it is given as a batch of one; PaintError for no floats."""
    if not isinstance(image, Tensor):
        raise PaintError(
            f"image is {type(image).__name__}; allowed: a tensor (3, R, R) in [-1, 1], as "
            "load_image reads it from a file"
        )
    if not image.is_floating_point():
        raise PaintError(f"image has dtype {image.dtype}; allowed: floats, -1 to 1")
    return image[0] if image.ndim == 4 and len(image) == 1 else image


def checked_image(image: Any, side: int) -> Tensor:
    """A picture (3, side, side), in the colours that a file can hold; a larger square is shrunk.

    Raises
    ------
    PaintError
        No picture, another shape, or values that are not finite.
    """
    one, wanted = one_image(image), (3, side, side)
    if one.ndim == 3 and one.shape[-1] == one.shape[-2] > side:
        one = interpolate(one[None].float(), (side, side), mode="bilinear", antialias=True)[0]
    if tuple(one.shape) != wanted:
        raise PaintError(f"image has shape {tuple(one.shape)}; allowed: {wanted}")
    if not bool(torch.isfinite(one).all()):
        raise PaintError("image holds values that are not finite; allowed: -1 to 1")
    # what a file can hold, so that a recipe replays to the same pixels
    return from_uint8(to_uint8(one.detach().cpu()))


def one_mask(mask: Any, side: int, name: str = "mask") -> Tensor:
    """A mask (side, side) uint8, also where it is given as a batch of one; MaskError otherwise."""
    found = check_mask(mask, side, name)
    if found.ndim == 3 and len(found) != 1:
        raise MaskError(f"{name} is {tuple(found.shape)}; allowed: one mask, ({side}, {side})")
    return found.reshape(side, side).cpu()


def check_feather(feather: Any, side: int) -> float:
    """A width in pixels; PaintError for no number, or one that no picture has room for."""
    plain = isinstance(feather, (int, float)) and not isinstance(feather, bool)
    if not plain or not 0 <= feather <= side:
        raise PaintError(f"feather is {feather!r}; allowed: 0 to {side}")
    return float(feather)


def check_switch(on: Any) -> bool:
    """True or False; PaintError for anything else, such as "no", which would count as true."""
    if not isinstance(on, bool):
        raise PaintError(f"on is {on!r}; allowed: true or false")
    return on


def check_photo(photo: Any) -> bytes | None:
    """The bytes of a picture file, or None; PaintError for anything else."""
    if photo is not None and not isinstance(photo, bytes):
        raise PaintError(
            f"photo is {type(photo).__name__}; allowed: the bytes of a picture file, or None"
        )
    return photo


def check_operation(operation: Any) -> Mapping[str, Any]:
    """An operation; PaintError where it is no mapping."""
    if not isinstance(operation, Mapping):
        raise PaintError(f"operation is {operation!r}; allowed: a mapping with its kind")
    return operation
