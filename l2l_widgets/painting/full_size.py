"""A painted face in the photo that it was cut from: the outside stays as sharp as it was."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from l2l_widgets.images import from_uint8, load_whole, to_pil


def in_photo(photo: bytes, drawn: Tensor, share: Tensor) -> Tensor | None:
    """A photo with a drawing of its middle square laid over it.

    Parameters
    ----------
    photo : bytes
        A picture file.
    drawn : Tensor, shape (3, R, R)
        RGB in [-1, 1]; enlarged to the square, for a network draws no larger than it has learned.
    share : Tensor, shape (R, R)
        How much of the drawing shows, 0 to 1. Where it is 0 all around, the photo stays to the
        last bit.

    Returns
    -------
    Tensor, shape (3, H, W), or None
        RGB in [-1, 1], of the photo's size; None where that is the drawing's own or a smaller one.
    """
    whole = load_whole(photo)
    height, width = whole.shape[1:]
    side, square = drawn.shape[-1], min(height, width)
    if square < side or height == width == side:
        return None
    corner = (width - square) // 2, (height - square) // 2
    picture = Image.fromarray(whole.permute(1, 2, 0).contiguous().numpy())
    weights = (255 * share).round().to(torch.uint8).cpu().numpy()
    picture.paste(
        to_pil(drawn).resize((square, square), Image.Resampling.BICUBIC),
        corner,
        Image.fromarray(weights).resize((square, square), Image.Resampling.BILINEAR),
    )
    return from_uint8(torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous())
