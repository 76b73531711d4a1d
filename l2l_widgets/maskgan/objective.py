"""What MaskGAN is trained towards (Lee et al., CVPR 2020): an adversary and two kinds of features.

``L = adversarial + 10 feature matching + 10 perceptual``, with the multi-scale patch discriminator
and the feature matching of pix2pixHD (Wang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.masks import CLASS_COUNT

#: LSGAN is what the authors' code does, and the default; the logarithm is what their slides print.
ADVERSARIES = ("lsgan", "log")
#: VGG-19 after its ReLUs 1_1 to 5_1: channels, or "M" where the side is halved.
VGG_LAYERS: tuple[int | str, ...] = (
    64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512,
)  # fmt: skip
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class PatchDiscriminator(nn.Module):
    """Says of overlapping patches whether picture and mask belong together.

    Parameters
    ----------
    width : int
        Channels of its first layer; doubled up to eight times.
    layers : int
        Halvings.
    """

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        if width < 1 or layers < 1:
            raise ValueError(f"width is {width}, layers {layers}; allowed: 1 or more")
        sizes = [CLASS_COUNT + 3, *(width * min(2**i, 8) for i in range(layers + 1))]
        stages: list[nn.Module] = []
        for k in range(layers + 1):
            conv = nn.Conv2d(sizes[k], sizes[k + 1], 4, 2 if k < layers else 1, 2)
            norm = [nn.InstanceNorm2d(sizes[k + 1])] if k else []
            stages.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
        stages.append(nn.Conv2d(sizes[-1], 1, 4, 1, 2))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 22, R, R) to what every stage gives; the last are logits, high for real."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of the picture at full, half, ... size."""

    def __init__(self, width: int = 64, layers: int = 3, scales: int = 2) -> None:
        super().__init__()
        if scales < 1:
            raise ValueError(f"scales is {scales}; allowed: 1 or more")
        self.scales = nn.ModuleList([PatchDiscriminator(width, layers) for _ in range(scales)])

    def forward(self, mask: Tensor, image: Tensor) -> list[list[Tensor]]:
        """One-hot masks (B, 19, R, R) and pictures (B, 3, R, R) to each scale's stages."""
        x = torch.cat([mask, image], dim=1)
        found = []
        for i, part in enumerate(self.scales):
            if i:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            found.append(part(x))
        return found


def adversarial_loss(found: list[list[Tensor]], real: bool, kind: str = "lsgan") -> Tensor:
    """How far the logits of each scale are from saying ``real``, averaged over the scales.

    Parameters
    ----------
    found : list
        As :class:`MultiscaleDiscriminator` gives it.
    real : bool
        What they should say.
    kind : {"lsgan", "log"}
        Squared distance to 1 or 0, or binary cross entropy.
    """
    if kind not in ADVERSARIES:
        raise ValueError(f"adversary is {kind!r}; allowed: {', '.join(ADVERSARIES)}")
    total = []
    for stages in found:
        logits = stages[-1].float()
        wanted = torch.full_like(logits, float(real))
        measure = F.mse_loss if kind == "lsgan" else F.binary_cross_entropy_with_logits
        total.append(measure(logits, wanted))
    return torch.stack(total).mean()


def feature_matching_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between a discriminator's features of real and drawn pictures.

    Each stage counts 4 / (layers + 1) and each scale 1 / scales, as in the authors' code.
    """
    terms = []
    for true_stages, drawn_stages in zip(real, fake, strict=True):
        weight = 4 / (len(true_stages) - 1) / len(real)
        pairs = zip(true_stages[:-1], drawn_stages[:-1], strict=True)
        terms += [weight * F.l1_loss(drawn, true.detach()) for true, drawn in pairs]
    return torch.stack(terms).sum()


class PerceptualLoss(nn.Module):
    """L1 between a frozen reader's features of two pictures.

    Parameters
    ----------
    features : callable
        Pictures (B, 3, R, R) in [-1, 1] to a list of maps, from shallow to deep: VGG-19, or a
        network of our own that reads faces and never judges them.
    weights : sequence of float
        Of the last maps of that list, deepest last.
    relative : bool
        Divide each map's distance by the mean size of the true picture's features, so that the
        weights mean the same for any reader; VGG-19's are used as they are.
    network : nn.Module, optional
        Whose method ``features`` is, so that it moves to a device with the loss.
    """

    def __init__(
        self,
        features: Callable[[Tensor], list[Tensor]],
        weights: Sequence[float] = VGG_WEIGHTS,
        relative: bool = False,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.features, self.weights, self.relative = features, tuple(weights), relative
        self.network = network

    def forward(self, drawn: Tensor, true: Tensor) -> Tensor:
        """Two batches (B, 3, R, R) in [-1, 1] to a number, 0 for equal pictures."""
        with torch.no_grad():
            wanted = self.features(true)
        count = min(len(self.weights), len(wanted))
        got = self.features(drawn)[-count:]
        terms = []
        for weight, a, b in zip(self.weights[-count:], got, wanted[-count:], strict=True):
            size = b.abs().mean().clamp_min(1e-6) if self.relative else 1.0
            terms.append(weight * F.l1_loss(a, b) / size)
        return torch.stack(terms).sum()


class VGG19(nn.Module):
    """VGG-19 (Simonyan and Zisserman 2015) up to relu5_1, in the layout of torchvision's weights.

    Its weights are not part of the package: :meth:`load` reads the user's own file.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for size in VGG_LAYERS:
            if isinstance(size, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, size, 3, padding=1), nn.ReLU()]
                channels = size
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (B, 3, R, R) in [-1, 1], R at least 16, to relu1_1, 2_1, 3_1, 4_1 and 5_1."""
        x = ((images + 1) / 2 - self.mean) / self.deviation
        found, fresh = [], True
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                fresh = True
            elif isinstance(layer, nn.ReLU) and fresh:
                found.append(x)
                fresh = False
        return found

    @classmethod
    def load(cls, state: dict[str, Any]) -> VGG19:
        """A frozen network with the convolutions of torchvision's ``vgg19`` state dict.

        Raises
        ------
        ValueError
            No state dict, or a convolution is missing or has another shape.
        """
        if not isinstance(state, Mapping):
            raise ValueError(
                f"VGG-19 weights are a {type(state).__name__}; allowed: torchvision's vgg19 state "
                "dict, names to tensors"
            )
        network = cls()
        own = {k: v for k, v in network.state_dict().items() if k.startswith("features")}
        for name, value in own.items():
            given = state.get(name)
            if not isinstance(given, Tensor) or given.shape != value.shape:
                shape = tuple(given.shape) if isinstance(given, Tensor) else "missing"
                raise ValueError(
                    f"VGG-19 weights: {name} is {shape}; allowed: {tuple(value.shape)}, as in "
                    "torchvision's vgg19"
                )
        network.load_state_dict({k: state[k] for k in own}, strict=False)
        return network.eval().requires_grad_(False)
