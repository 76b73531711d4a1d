"""The networks of identity disentanglement (Nitzan et al., ACM TOG 39(6), 2020; arXiv 2005.07728).

z is the identity vector of one picture beside the attribute features of another; the mapper M takes
z to one w, which the frozen generator draws; the discriminator D_W says whether a w could have come
from the generator's own mapping network.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.perception import TRUNKS
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

FORMAT = "l2l-mixer/1"
#: Slope of every LeakyReLU for negative numbers, as in the authors' code.
SLOPE = 0.2


@dataclass(frozen=True)
class MixerConfig:
    """Sizes of a mixer.

    Parameters
    ----------
    embedding_dim : int
        Length of the identity vector, 512 in the paper.
    w_dim : int
        Length of w.
    family : {"residual", "separable", "transformer"}
        Trunk of the attribute encoder: a small one for small pictures. The paper's is InceptionV3
        at 299 px; a module of your own goes to :class:`MixerNetwork`.
    width : int
        Of that trunk.
    features : int
        Length of the attribute features, 2048 in the paper.
    hidden : tuple of int
        Widths between the mapper's layers; three of them make the paper's four layers
        (2048, 1024, 512 there).
    """

    embedding_dim: int
    w_dim: int
    family: str = "residual"
    width: int = 24
    features: int = 192
    hidden: tuple[int, ...] = (256, 256, 128)

    def __post_init__(self) -> None:
        if self.family not in TRUNKS:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(TRUNKS)}")
        for name in ("embedding_dim", "w_dim", "width", "features"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; allowed: an integer of at least 1")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden is {self.hidden!r}; allowed: at least one width of 1 or more")


class AttributeEncoder(nn.Module):
    """E_attr: everything of a picture that is not the person; trained with the mapper."""

    def __init__(self, family: str, width: int, features: int) -> None:
        super().__init__()
        self.trunk = TRUNKS[family](width=width, features=features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> (B, features)."""
        side = self.trunk.resolution
        if images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        return self.trunk(images)


class MixerNetwork(nn.Module):
    """E_attr and M: an identity vector and a picture to one w.

    M's output is in units of the cloud's spread around its mean, so that an untrained mixer draws
    the average face and every loss starts from a face.

    Parameters
    ----------
    config : MixerConfig
        Sizes.
    person : Tensor, shape (2, embedding_dim), optional
        Mean and standard deviation of the population's identity vectors: the vectors of one world
        lie close together, and what sets people apart would be lost beside the attribute features.
    cloud : Tensor, shape (2, w_dim), optional
        Mean and standard deviation of w.
    encoder : nn.Module, optional
        An attribute encoder of your own, pictures to (B, features); it is not stored by
        :func:`save_mixer`.
    """

    person: Tensor
    cloud: Tensor

    def __init__(
        self,
        config: MixerConfig,
        person: Tensor | None = None,
        cloud: Tensor | None = None,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        own = AttributeEncoder(config.family, config.width, config.features)
        self.encoder = own if encoder is None else encoder
        widths = (config.embedding_dim + config.features, *config.hidden, config.w_dim)
        layers = [nn.Linear(i, o) for i, o in pairwise(widths)]
        with torch.no_grad():
            for layer in layers[-2:]:  # the later layers start as He et al. have it
                nn.init.kaiming_normal_(layer.weight, SLOPE)
                nn.init.zeros_(layer.bias)
            layers[-1].weight.mul_(0.1)
        self.layers = nn.ModuleList(layers)
        for name, value, length in (
            ("person", person, config.embedding_dim), ("cloud", cloud, config.w_dim),
        ):  # fmt: skip
            plain = torch.stack([torch.zeros(length), torch.ones(length)])
            if value is not None and tuple(value.shape) != (2, length):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}; allowed: (2, {length}), mean and "
                    "standard deviation"
                )
            self.register_buffer(name, plain if value is None else value.clone().float())

    def attributes(self, images: Tensor) -> Tensor:
        """Attribute features of pictures, (B, features) float32."""
        return self.encoder(images).float()

    def latent(self, embedding: Tensor, attributes: Tensor) -> Tensor:
        """M: identity vectors (B, D) and attribute features (B, features) to w, (B, w_dim)."""
        if embedding.shape[-1] != self.config.embedding_dim:
            raise ValueError(
                f"the embedder gives vectors of length {embedding.shape[-1]}; this mixer was "
                f"trained with one of {self.config.embedding_dim}: use that embedder, or train "
                "again (l2l train identity-disentangle)"
            )
        mean, spread = self.person
        x = torch.cat([(embedding - mean) / spread, attributes], dim=1)
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else F.leaky_relu(x, SLOPE))
        return self.cloud[0] + self.cloud[1] * x.float()

    def forward(self, embedding: Tensor, images: Tensor) -> Tensor:
        """Identity vectors (B, D) and attribute pictures (B, 3, R, R) to w, (B, w_dim)."""
        return self.latent(embedding, self.attributes(images))


class LatentDiscriminator(nn.Module):
    """D_W: whether a w comes from the generator's mapping network; logits (B, 1).

    Parameters
    ----------
    cloud : Tensor, shape (2, w_dim)
        Mean and standard deviation of w, in whose units it is judged.
    hidden : tuple of int
        Widths between the layers.
    """

    cloud: Tensor

    def __init__(self, cloud: Tensor, hidden: tuple[int, ...] = (256, 128, 64)) -> None:
        super().__init__()
        self.register_buffer("cloud", cloud.clone().float())
        widths = (cloud.shape[1], *hidden, 1)
        layers = [nn.Linear(i, o) for i, o in pairwise(widths)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, w: Tensor) -> Tensor:
        """(B, w_dim) to logits (B, 1); above 0 it looks real."""
        x = (w.float() - self.cloud[0]) / self.cloud[1]
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else F.leaky_relu(x, SLOPE))
        return x


def load_trunk(network: MixerNetwork, source: nn.Module) -> None:
    """Start the attribute encoder from a trained reader's trunk, as the authors start Inception.

    Raises
    ------
    ValueError
        The trunks differ in family or size.
    """
    trunk = getattr(source, "trunk", None)
    own = getattr(network.encoder, "trunk", None)
    try:
        if trunk is None or own is None:
            raise RuntimeError("one of them has no trunk")
        own.load_state_dict(trunk.state_dict())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(
            f"start_from: the trunk does not fit the attribute encoder ({reason})"
        ) from error


def save_mixer(
    path: str | os.PathLike[str], network: MixerNetwork, origin: Mapping[str, str] | None = None
) -> None:
    """Write a mixer with its sizes and the hashes of the parts it was trained with, atomically.

    Stored in half precision: the figures of a mix are the same to their third digit.
    """
    if not isinstance(network.encoder, AttributeEncoder):
        raise ValueError(
            f"encoder is a {type(network.encoder).__name__}; allowed: this package's own "
            "(keep yours beside the file, and give it to MixerNetwork)"
        )
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(network.config)),
        "origin": json.dumps(dict(origin or {})),
    }
    save_safetensors(path, tensors, metadata)


def load_mixer(path: str | os.PathLike[str]) -> tuple[MixerNetwork, dict[str, str]]:
    """Read what :func:`save_mixer` wrote.

    Returns
    -------
    network : MixerNetwork
        In eval mode, without gradients.
    origin : dict of str to str
        Part (generator, embedder) -> SHA-256 of what it was trained with.

    Raises
    ------
    StorageError
        The file is missing, damaged, or holds something else.
    """
    tensors, metadata = load_safetensors(path)
    name = str(Path(path))
    if metadata.get("format") != FORMAT:
        raise StorageError(f"{name!r}: format is {metadata.get('format')!r}; allowed: {FORMAT!r}")
    try:
        stored: dict[str, Any] = json.loads(metadata["config"])
        stored["hidden"] = tuple(stored["hidden"])
        network = MixerNetwork(MixerConfig(**stored))
        network.load_state_dict(tensors)
        origin = {str(k): str(v) for k, v in json.loads(metadata.get("origin", "{}")).items()}
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StorageError(f"{name!r} holds no mixer that this version reads: {reason}") from error
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise StorageError(f"{name!r}: a weight is not finite; the file is damaged")
    return network.eval().requires_grad_(False), origin


def count_parameters(module: nn.Module) -> int:
    """Numbers that a module learns."""
    return sum(math.prod(p.shape) for p in module.parameters())
