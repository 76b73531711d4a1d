"""The MaskGAN among loaded models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2l_widgets.maskgan.model import MAPPING, VAE, WHOLE, MaskGAN
from l2l_widgets.models.checks import check_models
from l2l_widgets.painting.recipe import PaintError

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

TRAIN = "l2l train mask-vae, then dense-mapping, then mask-edit, each with --publish"


def load_painter(models: Models) -> MaskGAN:
    """The MaskGAN among models that :func:`l2l_widgets.load` gave.

    What has been trained farthest is taken, and the MaskVAE beside it where there is one.

    Raises
    ------
    PaintError
        There is none; the message says what to train.
    """
    check_models(models)
    listed = models.manifest
    trained = [file for file in (WHOLE, MAPPING) if file in listed]
    if not trained:
        raise PaintError(f"models {models.name!r} have no MaskGAN ({WHOLE}); train it: {TRAIN}")
    painter = MaskGAN.load(models.check_file(trained[0]), models.device)
    if painter.vae is None and VAE in listed:
        painter.vae = MaskGAN.load(models.check_file(VAE), models.device).vae
    return painter
