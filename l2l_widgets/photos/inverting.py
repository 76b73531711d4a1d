"""A picture of a face to the latent that draws it, with what a set of models has for it.

The encoder gives the start where there is one; the networks of the losses, attribute regressors and
embedder, see what the descent compares.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.inversion import (
    Distance,
    Inversion,
    InversionSettings,
    check_picture,
    invert,
    perceptual_distance,
)
from l2l_widgets.models.zoo import Models
from l2l_widgets.perception import LatentEncoder, TransformerTrunk, load_network
from l2l_widgets.photos.reading import PhotoError
from l2l_widgets.policy import visible_table
from l2l_widgets.storage import load_safetensors

__all__ = [
    "encoded_start",
    "invert_picture",
    "load_encoder",
    "picture_distance",
    "read_back",
]

ENCODER_FILE = "encoder.safetensors"

_LOCK = threading.Lock()
_ENCODERS: weakref.WeakKeyDictionary[Models, LatentEncoder | None] = weakref.WeakKeyDictionary()


def load_encoder(models: Models) -> LatentEncoder | None:
    """The inversion encoder beside a generator; None where there is none.

    Raises
    ------
    PhotoError
        The file was trained for another generator, or holds another network.
    """
    with _LOCK:
        if models not in _ENCODERS:
            listed = models.folder is not None and ENCODER_FILE in models.manifest
            _ENCODERS[models] = _read_encoder(models) if listed else None
        return _ENCODERS[models]


def _read_encoder(models: Models) -> LatentEncoder:
    path = models.check_file(ENCODER_FILE)
    network, generator = load_network(path), models.generator
    if not isinstance(network, LatentEncoder):
        raise PhotoError(f"{path} holds a {type(network).__name__}; allowed: a LatentEncoder")
    try:
        made_for = json.loads(load_safetensors(path)[1].get("origin", "{}")).get("generator")
    except (ValueError, AttributeError):
        made_for = "unreadable"
    sizes = (network.w_dim, network.num_ws)
    if sizes != (generator.w_dim, generator.num_ws) or (
        made_for is not None and made_for != models.hashes.get("generator")
    ):
        raise PhotoError(
            f"{path} was trained for another generator (sha256 {str(made_for)[:12]}...); train one "
            "for this: l2l train encoder --publish"
        )
    return network.to(models.device)


@torch.no_grad()
def encoded_start(models: Models, picture: Tensor, space: str) -> Tensor | None:
    """What the encoder says of a picture (1, 3, R, R): (1, w_dim) for W, rows for W+; or None."""
    encoder = load_encoder(models)
    if encoder is None:
        return None
    picture = picture.to(models.generator.w_avg.device)
    return encoder(picture) if space == "w" else encoder.rows(picture)


def picture_distance(models: Models) -> Distance | None:
    """What beside pixels counts: what the networks of the losses see; None without any.

    Attribute regressors, and the embedder, which sees the person: without it a face is found that
    has every attribute and is somebody else. The second judges are never among them: they measure
    what is found.
    """
    networks = [*models.regressors, *([models.embedder] if models.has("embedder") else [])]
    seeing = [network for network in networks if _has_stages(network)]
    return perceptual_distance(seeing) if seeing else None


def _has_stages(network: Any) -> bool:
    """Whether a network has feature maps: a judge of one's own and a transformer have not."""
    trunk = getattr(network, "trunk", None)
    return hasattr(network, "feature_maps") and not isinstance(trunk, TransformerTrunk)


def invert_picture(
    models: Models,
    picture: Tensor,
    settings: InversionSettings | None = None,
    *,
    start: Tensor | None = None,
    encoder: bool = True,
    distance: Distance | None = None,
    progress: Callable[[int, float, Tensor], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Inversion:
    """Look for the latent of an aligned face.

    Parameters
    ----------
    models : Models
        A generator, and what it has for this: encoder, regressors.
    picture : Tensor, shape (1, 3, R, R)
        RGB in [-1, 1], as :func:`~l2l_widgets.photos.align_photo` cuts it.
    settings : InversionSettings, optional
        How; ``steps=0`` gives the encoder's answer itself.
    start : Tensor, optional
        (1, w_dim) or (1, num_ws, w_dim), instead of the encoder's.
    encoder : bool
        Whether the encoder may give the start; the best of sampled faces otherwise.
    distance : callable, optional
        What counts beside the pixels, such as LPIPS with weights of yours:
        ``lambda a, b: lpips_net(a, b).flatten()``. What the regressors see if not given.
    progress, stop
        As for :func:`l2l_widgets.inversion.invert`.
    """
    settings = settings or InversionSettings()
    check_picture(picture, models.generator.img_resolution)
    if start is None and encoder:
        start = encoded_start(models, picture, settings.space)
    return invert(
        models.generator, picture, distance or picture_distance(models), settings,
        start=start, progress=progress, stop=stop,
    )  # fmt: skip


def read_back(models: Models, picture: Tensor, image: Tensor) -> dict[str, Any]:
    """What the second judges say of a picture and its inversion, as far as there are judges.

    Returns
    -------
    dict
        ``identity`` (cosine), ``attributes`` (mean absolute difference), ``largest`` (name and
        difference of the attribute that is farthest off), ``partial`` (whether one of them was
        read by a network that the search itself compared, for want of a second judge).
    """
    answer: dict[str, Any] = {"partial": False}
    with torch.inference_mode():
        for part in ("identity_judge", "embedder"):
            if models.has(part) and "identity" not in answer:
                judge = models.part(part)
                answer["partial"] |= part == "embedder" and _has_stages(judge)
                answer["identity"] = round(float((judge(picture) * judge(image)).sum()), 4)
        for part in ("attribute_judge", "regressor"):
            if models.has(part) and "attributes" not in answer:
                judge = models.part(part)
                answer["partial"] |= part == "regressor" and _has_stages(judge)
                apart = (judge(picture) - judge(image)).abs()[0]
                answer["attributes"] = round(float(apart.mean()), 4)
                shown = [models.table.index(n) for n in visible_table(models.table).names]
                worst = shown[int(apart[shown].argmax())]
                answer["largest"] = {
                    "name": models.table.names[worst], "difference": round(float(apart[worst]), 4)
                }  # fmt: skip
    return answer
