"""Masks for pictures that come without one: the models' parser, or your own by its declaration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.images import load_image
from l2l_widgets.judges import Declaration, Judge, load_judge
from l2l_widgets.masks import (
    BISENET_CLASSES,
    MASK_CLASSES,
    MaskError,
    check_mask,
    guess_order,
    resize_mask,
)
from l2l_widgets.painting.recipe import PaintError
from l2l_widgets.protocols import Segmenter

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

#: What can be named as a parser, see :func:`load_parser`.
ParserSource = str | os.PathLike[str] | Declaration | Segmenter
#: What a declaration says of a network that numbers its classes as the common BiSeNet does.
BISENET_NUMBERS = [MASK_CLASSES.index(name) for name in BISENET_CLASSES]

#: By how much the other order must fit what a parser sees: nobody can say that it is right all the
#: same, as of a mask that is read from a file, and a parser that numbers otherwise does it always.
SURE = 0.3


def load_parser(source: ParserSource | None, models: Models | None = None) -> Segmenter | None:
    """A face parser: yours, or the one among loaded models.

    Parameters
    ----------
    source : str, path, Declaration, callable or None
        The declaration (``.toml``) of an ONNX file; ``NAME=FILE`` for a network whose declaration
        is ready, such as ``face_parsing_bisenet=faces.onnx``; or anything that takes pictures and
        gives classes. None: the models' own.
    models : Models, optional
        As :func:`l2l_widgets.load` gave them.

    Returns
    -------
    Segmenter or None
        None where nothing was given and the models have none.

    Raises
    ------
    JudgeError
        The declaration or its network cannot be used.
    PaintError
        It declares something else than a parser.
    """
    if source is None:
        return models.parser if models is not None and models.has("parser") else None
    if not isinstance(source, (str, os.PathLike, Declaration)):
        if not callable(source):
            raise PaintError(
                f"parser is {source!r}; allowed: a declaration, or what takes pictures and gives "
                "classes"
            )
        return source
    judge = load_judge(source)
    if judge.declaration.kind != "parser":
        raise PaintError(
            f"parser {str(source)!r} declares kind {judge.declaration.kind!r}; allowed: 'parser'"
        )
    return judge


def find_mask(parser: Segmenter, image: Tensor, side: int) -> Tensor:
    """What a parser sees in one picture.

    Parameters
    ----------
    parser : Segmenter
        Takes pictures (1, 3, S, S).
    image : Tensor, shape (3, S, S)
        RGB in [-1, 1].
    side : int
        Of the result.

    Returns
    -------
    Tensor, shape (side, side), uint8
        In the official order.

    Raises
    ------
    MaskError
        It gives something else than classes, or numbers them in the other common order.
    """
    with torch.no_grad():
        found: Any = parser(image[None].to(_place_of(parser)))
    whole = check_mask(found, image.shape[-1], "the parser's mask").cpu()
    if whole.ndim != 3 or len(whole) != 1:
        raise MaskError(f"the parser's masks are {tuple(whole.shape)}; allowed: one a picture")
    mask = whole[0]
    if guess_order(mask, SURE) == "bisenet":
        raise MaskError(
            "the parser's mask looks numbered in the BiSeNet order (17 is hair, 14 is neck), not "
            f"the official one; state classes = {BISENET_NUMBERS} in its declaration"
        )
    return mask if len(mask) == side else resize_mask(mask, side)


def _place_of(parser: Segmenter) -> torch.device:
    """Where a network's weights lie: pictures come from files, and are brought there."""
    own = next(parser.parameters(), None) if isinstance(parser, torch.nn.Module) else None
    return torch.device("cpu") if own is None else own.device


def read_face(
    source: str | os.PathLike[str] | bytes, side: int, parser: Segmenter | None
) -> tuple[Tensor, Tensor | None]:
    """A picture file at a side, and the mask that a parser finds in it.

    A parser that you bring looks at the picture at the size it was made for: little is left of
    brows and lips in 64 pixels.

    Returns
    -------
    image : Tensor, shape (3, side, side)
        RGB in [-1, 1].
    mask : Tensor, shape (side, side), uint8, or None
        None where there is no parser.
    """
    image = load_image(source, side)[0]
    if parser is None:
        return image, None
    own = parser.declaration.size if isinstance(parser, Judge) else side
    seen = image if own <= side else load_image(source, own)[0]
    return image, find_mask(parser, seen, side)
