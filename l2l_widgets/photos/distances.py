"""What beside the pixels tells how far a picture is from another, by name.

The readers of the losses serve without any further package. LPIPS (Zhang et al. 2018) has looked at
photographs and was fitted to what people call alike: for photographs it is the better one. It is
not shipped, for its networks were trained on pictures that are not ours to pass on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.errors import first_line
from l2l_widgets.inversion import Distance
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos.inverting import picture_distance
from l2l_widgets.photos.reading import PhotoError

__all__ = ["DISTANCES", "find_distance"]

#: Name -> the network that LPIPS looks through. The projector of StyleGAN2 takes VGG.
NETWORKS = {"lpips": "vgg", "lpips-alex": "alex"}
DISTANCES = ("readers", *NETWORKS)
#: LPIPS was fitted to pictures of about this side; larger ones are made smaller, as the projector
#: does (Karras et al. 2020, appendix D).
SEEN = 256


def find_distance(name: str | None, models: Models) -> Distance | None:
    """A distance of pictures by name.

    Parameters
    ----------
    name : str or None
        ``readers`` or None for what the regressors of the losses see; ``lpips`` for LPIPS through
        VGG, ``lpips-alex`` for the quicker AlexNet: both from the package ``lpips``.
    models : Models
        Whose regressors, and whose device.

    Raises
    ------
    PhotoError
        Another name, or LPIPS without its package or its networks.
    """
    if name is None or name == "readers":
        return picture_distance(models)
    if name not in NETWORKS:
        raise PhotoError(f"distance is {name!r}; allowed: {', '.join(DISTANCES)}")
    return _lpips(NETWORKS[name], models.device)


def _lpips(network: str, device: Any) -> Callable[[Tensor, Tensor], Tensor]:
    try:
        import lpips
    except ImportError as error:
        raise PhotoError(
            f"distance lpips needs a package that is not there ({first_line(error)}): "
            "pip install 'l2l-widgets[lpips]'"
        ) from None
    try:
        measure = lpips.LPIPS(net=network, verbose=False).eval().requires_grad_(False).to(device)
    except (OSError, RuntimeError) as error:
        raise PhotoError(
            f"distance lpips: its {network} network cannot be had ({first_line(error)}); it is "
            "fetched once by torchvision, which needs a connection"
        ) from None

    def apart(first: Tensor, second: Tensor) -> Tensor:
        if first.shape[-1] > SEEN:
            first, second = (F.interpolate(x, (SEEN, SEEN), mode="area") for x in (first, second))
        return measure(first, second).flatten()

    return apart
