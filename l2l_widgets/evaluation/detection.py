"""Whether a picture still shows a face, by a detector that has never seen this package's worlds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def cascade_detector(side: int = 128) -> Callable[[Tensor], Tensor]:
    """Return a frontal face detector: the local-binary-pattern cascade that scikit-image carries.

    The classifier is Viola and Jones's cascade (CVPR 2001) on local binary patterns. It looks for
    faces in photographs, and misses some of any other kind: a range is calibrated on the faces that
    it finds unedited.

    Parameters
    ----------
    side : int
        Pictures are scaled to this side, in pixels, before they are searched; at least 48.

    Returns
    -------
    callable
        Pictures (B, 3, R, R) in [-1, 1] to bool (B,).

    Raises
    ------
    ValueError
        scikit-image is not installed, or ``side`` is too small.
    """
    if side < 48:
        raise ValueError(f"side is {side}; allowed: at least 48")
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError:
        raise ValueError(
            "detector 'cascade' needs scikit-image; allowed: pip install 'l2l-widgets[detect]', "
            "or another detector"
        ) from None
    cascade = Cascade(lbp_frontal_face_cascade_filename())

    def found(images: Tensor) -> Tensor:
        scaled = torch.nn.functional.interpolate(images.float(), size=side, mode="bicubic")
        pixels = ((scaled.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).cpu().numpy()
        return torch.tensor(
            [
                bool(
                    cascade.detect_multi_scale(
                        img=picture,
                        scale_factor=1.2,
                        step_ratio=1,
                        min_size=(side // 3, side // 3),
                        max_size=(side, side),
                    )
                )
                for picture in pixels
            ]
        )

    return found
