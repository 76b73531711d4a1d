"""Small networks that look at faces: attribute regressors (H), embedders (F), a parser, encoders.

Two convolutional trunks serve the losses; a transformer over convolutional patches (Xiao et al.,
"Early convolutions help transformers see better", NeurIPS 2021) serves as judge and never enters a
loss. A judge of another family does not share the shortcuts that an edit may have learned to paint.

All take pictures (B, 3, R, R) in [-1, 1]; another size than the network's own is resampled first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

FORMAT = "l2l-perception/1"


def _conv(i: int, o: int, stride: int = 1, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ResidualTrunk(nn.Module):
    """Strided residual convolutions down to 4 x 4, then one hidden layer.

    Parameters
    ----------
    width : int
        Channels after the first layer; 6 times as many at the end.
    features : int
        Length of the output.
    """

    resolution = 64

    def __init__(self, width: int = 24, features: int = 192) -> None:
        super().__init__()
        c = width
        self.layers = nn.Sequential(
            _conv(3, c, 2), nn.ReLU(), ResidualBlock(c),
            _conv(c, 2 * c, 2), nn.ReLU(), ResidualBlock(2 * c),
            _conv(2 * c, 4 * c, 2), nn.ReLU(), ResidualBlock(4 * c),
            _conv(4 * c, 6 * c, 2), nn.ReLU(),
        )  # fmt: skip
        self.hidden = nn.Linear(6 * c * 16, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        return F.relu(self.hidden(self.layers(images).flatten(1)))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 64, 64) -> what each stage ends with: maps of side 32, 16, 8 and 4."""
        maps, x = [], images
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if isinstance(layer, ResidualBlock) or i == len(self.layers) - 1:
                maps.append(x)
        return maps


class SeparableTrunk(nn.Module):
    """Inverted bottlenecks with 5x5 depthwise convolutions and pooled rows and columns.

    A second convolutional family for the ensemble in the losses: other kernels, other pooling.
    """

    resolution = 64

    def __init__(self, width: int = 32, features: int = 192) -> None:
        super().__init__()
        c = width
        self.stem = nn.Sequential(_conv(3, c, 2, kernel=5), nn.ReLU())
        stages: list[nn.Module] = []
        for i, o in ((c, 2 * c), (2 * c, 3 * c), (3 * c, 4 * c)):
            stages.append(nn.Sequential(_conv(i, o, 2), nn.SiLU()))
            stages.append(_Separable(o))
            stages.append(_Separable(o))
        self.stages = nn.Sequential(*stages)
        self.hidden = nn.Linear(4 * c * 16, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        return F.silu(self.hidden(self.stages(self.stem(images)).flatten(1)))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, 64, 64) -> what each stage ends with: maps of side 32, 16, 8 and 4."""
        x = self.stem(images)
        maps = [x]
        for i, layer in enumerate(self.stages):
            x = layer(x)
            if i % 3 == 2:
                maps.append(x)
        return maps


class _Separable(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth = _conv(channels, channels, kernel=5, groups=channels)
        self.wide = _conv(channels, 2 * channels, kernel=1)
        self.narrow = _conv(2 * channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.silu(self.wide(self.depth(x))))


class TransformerTrunk(nn.Module):
    """Self-attention over 64 patches of a convolutional stem.

    Parameters
    ----------
    width : int
        Length of a token.
    depth : int
        Attention blocks.
    features : int
        Length of the output.
    """

    resolution = 64

    def __init__(self, width: int = 96, depth: int = 4, features: int = 192) -> None:
        super().__init__()
        c = width // 4
        self.stem = nn.Sequential(
            _conv(3, c, 2), nn.GELU(), _conv(c, 2 * c, 2), nn.GELU(), _conv(2 * c, width, 2)
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.blocks = nn.ModuleList([_Attention(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.squeeze = nn.Linear(width, width // 4)
        self.hidden = nn.Linear(width // 4 * 64, features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) -> (B, features)."""
        tokens = self.stem(images).flatten(2).transpose(1, 2) + self.position  # (B, 64, width)
        for block in self.blocks:
            tokens = block(tokens)
        return F.gelu(self.hidden(F.gelu(self.squeeze(self.norm(tokens))).flatten(1)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
        x = x + self.project(mixed)
        return x + self.mlp(self.norm2(x))


Trunk = ResidualTrunk | SeparableTrunk | TransformerTrunk
TRUNKS: dict[str, type[Trunk]] = {
    "residual": ResidualTrunk,
    "separable": SeparableTrunk,
    "transformer": TransformerTrunk,
}


def _make_trunk(family: str, options: Mapping[str, Any]) -> Trunk:
    if family not in TRUNKS:
        raise ValueError(f"family is {family!r}; allowed: {', '.join(TRUNKS)}")
    return TRUNKS[family](**options)


def resampled(images: Tensor, resolution: int) -> Tensor:
    """Check pictures and bring them to the network's size."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; allowed: (B, 3, R, R)")
    if images.shape[-1] == resolution:
        return images
    return F.interpolate(images, (resolution, resolution), mode="bilinear", antialias=True)


def _stages(trunk: Trunk, images: Tensor) -> list[Tensor]:
    """Maps of a trunk's convolutional stages; ValueError for a transformer, which has none."""
    if isinstance(trunk, TransformerTrunk):
        raise ValueError("family is 'transformer'; allowed for feature maps: the other two")
    return trunk.feature_maps(resampled(images, trunk.resolution))


class AttributeNet(nn.Module):
    """Attribute regressor, H in the paper: pictures (B, 3, R, R) in [-1, 1] -> (B, A) in [0, 1].

    Parameters
    ----------
    attributes : sequence of str
        Names of the outputs, in order.
    family : {"residual", "separable", "transformer"}
        Which trunk.
    **options
        Given to the trunk.
    """

    def __init__(self, attributes: Sequence[str], family: str = "residual", **options: Any) -> None:
        super().__init__()
        self.attributes = tuple(attributes)
        self.config = {"attributes": list(attributes), "family": family, **options}
        self.trunk = _make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, len(self.attributes))

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features, (B, D): what Fréchet distances are measured on."""
        return self.trunk(resampled(images, self.trunk.resolution))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What each convolutional stage ends with: for a discriminator that looks through H."""
        return _stages(self.trunk, images)

    def logits(self, images: Tensor) -> Tensor:
        """Readings before the sigmoid, (B, A)."""
        return self.head(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        """Readings, (B, A) float32 in [0, 1]."""
        return torch.sigmoid(self.logits(images).float())


class FaceEmbeddingNet(nn.Module):
    """Identity embedder, F in the paper: pictures (B, 3, R, R) in [-1, 1] -> (B, D), unit length.

    Parameters
    ----------
    embedding_dim : int
        D.
    family, **options
        As in :class:`AttributeNet`.
    """

    def __init__(self, embedding_dim: int = 64, family: str = "residual", **options: Any) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.config = {"embedding_dim": embedding_dim, "family": family, **options}
        self.trunk = _make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, embedding_dim)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What each convolutional stage ends with, as for :class:`AttributeNet`."""
        return _stages(self.trunk, images)

    def project(self, images: Tensor) -> Tensor:
        """The embedding before it is normalised, (B, D)."""
        return self.head(self.trunk(resampled(images, self.trunk.resolution)))

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors, (B, D) float32; their dot product is the identity similarity."""
        return F.normalize(self.project(images).float(), dim=1)


class LandmarkNet(nn.Module):
    """Landmarks straight from a trunk: a fraction of a parser's cost, for use inside a loss.

    Parameters
    ----------
    points : int
        Landmarks; 51 are the inner ones of the usual 68, without the line of the jaw.
    family, **options
        As in :class:`AttributeNet`.
    """

    def __init__(self, points: int = 51, family: str = "residual", **options: Any) -> None:
        super().__init__()
        if points < 1:
            raise ValueError(f"points is {points}; allowed: 1 or more")
        self.points = points
        self.config = {"points": points, "family": family, **options}
        self.trunk = _make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, 2 * points)

    def forward(self, images: Tensor) -> Tensor:
        """(B, points, 2) float32: x to the right, y down, shares of the picture's side."""
        features = self.trunk(resampled(images, self.trunk.resolution))
        return 0.5 + self.head(features).float().unflatten(1, (self.points, 2))


class LatentEncoder(nn.Module):
    """Inversion encoder: pictures (B, 3, R, R) in [-1, 1] to the latents that would draw them.

    One w a picture, and for each row of W+ an offset from it (Tov et al. 2021, "e4e", section 4).
    The head speaks in principal coordinates of the cloud of W, all of variance 1, so that an
    untrained encoder draws the average face and every coordinate weighs alike.

    Parameters
    ----------
    w_dim, num_ws : int
        Sizes of the generator's latents.
    mean : Tensor, shape (w_dim,), optional
        Middle of the cloud.
    basis : Tensor, shape (w_dim, w_dim), optional
        Principal directions of the cloud as rows, each as long as its standard deviation.
    family, **options
        As in :class:`AttributeNet`.
    """

    mean: Tensor
    basis: Tensor

    def __init__(
        self,
        w_dim: int,
        num_ws: int,
        family: str = "residual",
        mean: Tensor | None = None,
        basis: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.w_dim, self.num_ws = w_dim, num_ws
        self.config = {"w_dim": w_dim, "num_ws": num_ws, "family": family, **options}
        self.trunk = _make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, w_dim)
        self.offsets = nn.Linear(self.trunk.hidden.out_features, num_ws * w_dim)
        for layer in (self.head, self.offsets):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(w_dim) if mean is None else mean.clone().float())
        self.register_buffer("basis", torch.eye(w_dim) if basis is None else basis.clone().float())

    def coordinates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Principal coordinates: of the one w, (B, w_dim), and of the offsets, (B, num_ws, w_dim).

        Float32; in standard deviations of the cloud along each direction.
        """
        features = self.trunk(resampled(images, self.trunk.resolution))
        offsets = self.offsets(features).float().unflatten(1, (self.num_ws, self.w_dim))
        return self.head(features).float(), offsets

    def rows(self, images: Tensor) -> Tensor:
        """W+ with an offset for each row, (B, num_ws, w_dim): draws the picture best."""
        one, offsets = self.coordinates(images)
        return self.mean + (one[:, None] + offsets) @ self.basis

    def forward(self, images: Tensor) -> Tensor:
        """The one w of each picture, (B, w_dim): edits best."""
        return self.mean + self.coordinates(images)[0] @ self.basis


class ParsingNet(nn.Module):
    """Face parser: which part of the face each pixel is, and where its landmarks lie.

    A U-Net (Ronneberger et al. 2015) with two heads: class logits at full size, and one heat map a
    landmark at half size, whose expected position is the landmark (Nibali et al. 2018), so that it
    is found to a fraction of a pixel.

    Parameters
    ----------
    classes : int
        Labels of the segmentation.
    points : int
        Landmarks.
    width : int
        Channels at full size; 2, 4 and 6 times as many after each of three halvings.
    """

    resolution = 64

    def __init__(self, classes: int = 19, points: int = 68, width: int = 16) -> None:
        super().__init__()
        if min(classes, points, width) < 1:
            raise ValueError(
                f"classes is {classes}, points is {points}, width is {width}; allowed: 1 or more"
            )
        self.config = {"classes": classes, "points": points, "width": width}
        c = [width, 2 * width, 4 * width, 6 * width]
        self.down = nn.ModuleList(
            [_pair(3, c[0])] + [_pair(i, o, stride=2) for i, o in pairwise(c)]
        )
        self.bottom = ResidualBlock(c[3])
        self.up = nn.ModuleList([_pair(c[i + 1] + c[i], c[i]) for i in (2, 1, 0)])
        self.parts = nn.Conv2d(c[0], classes, 1)
        self.heat = nn.Conv2d(c[1], points, 1)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, R, R) -> class logits (B, classes, 64, 64), heat maps (B, points, 32, 32)."""
        x = resampled(images, self.resolution)
        kept = []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        x = self.bottom(kept.pop())
        heat = x
        for layer in self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = layer(torch.cat([x, kept.pop()], dim=1))
            if len(kept) == 1:
                heat = x
        return self.parts(x), self.heat(heat)

    def forward(self, images: Tensor) -> Tensor:
        """Classes (B, R, R) uint8 of pictures (B, 3, R, R) in [-1, 1], as a `Segmenter` gives them.

        0 is background; the order of the others is CelebAMask-HQ's.
        """
        return self.logits(images).argmax(dim=1).to(torch.uint8)

    def logits(self, images: Tensor) -> Tensor:
        """Class logits at the pictures' own size, (B, classes, R, R) float32."""
        logits = self.maps(images)[0].float()
        if logits.shape[-1] != images.shape[-1]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear")
        return logits

    def landmarks(self, images: Tensor) -> Tensor:
        """Landmarks (B, points, 2) float32: x to the right, y down, in pixels of the pictures."""
        return expected_positions(self.maps(images)[1]) * images.shape[-1] - 0.5


def _pair(i: int, o: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(i, o, stride), nn.ReLU(), _conv(o, o), nn.ReLU())


def expected_positions(heat: Tensor) -> Tensor:
    """Heat maps (B, K, H, W) -> expected positions (B, K, 2) in [0, 1], x then y."""
    share = heat.float().flatten(2).softmax(dim=2).unflatten(2, heat.shape[2:])
    y, x = ((torch.arange(n, device=heat.device) + 0.5) / n for n in heat.shape[2:])
    return torch.stack([(share.sum(2) * x).sum(2), (share.sum(3) * y).sum(2)], dim=2)


NETWORKS: dict[str, type[nn.Module]] = {
    "AttributeNet": AttributeNet,
    "FaceEmbeddingNet": FaceEmbeddingNet,
    "LandmarkNet": LandmarkNet,
    "LatentEncoder": LatentEncoder,
    "ParsingNet": ParsingNet,
}


def save_network(
    path: str | os.PathLike[str], network: nn.Module, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a network of this module with its configuration, atomically.

    Weights are stored in half precision: the error is far below a network's own.
    """
    name = type(network).__name__
    if name not in NETWORKS:
        raise ValueError(f"network is a {name}; allowed: {', '.join(NETWORKS)}")
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    entries = {**(metadata or {}), "format": FORMAT, "network": name}
    save_safetensors(path, tensors, {**entries, "config": json.dumps(network.config)})


def load_network(path: str | os.PathLike[str]) -> Any:
    """Read what :func:`save_network` wrote; in eval mode, without gradients.

    Raises
    ------
    StorageError
        The file is missing, damaged, or not a network of this package.
    """
    tensors, metadata = load_safetensors(path)
    if metadata.get("format") != FORMAT or metadata.get("network") not in NETWORKS:
        field, wanted = "format", repr(FORMAT)
        if metadata.get("format") == FORMAT:
            field, wanted = "network", f"one of {', '.join(NETWORKS)}"
        raise StorageError(
            f"{str(Path(path))!r} is not a perception network of this package: its metadata field "
            f"{field!r} is {metadata.get(field)!r}, wanted {wanted}"
        )
    try:
        network = NETWORKS[metadata["network"]](**json.loads(metadata["config"]))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise StorageError(f"{str(Path(path))!r} does not build its network: {first}") from error
    return network.eval().requires_grad_(False)
