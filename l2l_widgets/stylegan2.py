"""StyleGAN2: mapping and synthesis networks, in plain PyTorch and quick on a CPU.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN". Module names,
`state_dict` keys and numbers follow the official PyTorch code; weights move between the two.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from l2l_widgets.discriminator import Discriminator, r1_penalty
from l2l_widgets.latents import truncate
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors
from l2l_widgets.stylegan2_layers import Conv2dLayer, FullyConnectedLayer
from l2l_widgets.stylegan2_synthesis import (
    SynthesisBlock,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGBLayer,
)

__all__ = [
    "Conv2dLayer",
    "Discriminator",
    "FullyConnectedLayer",
    "Generator",
    "MappingNetwork",
    "SynthesisBlock",
    "SynthesisLayer",
    "SynthesisNetwork",
    "ToRGBLayer",
    "load_generator",
    "path_lengths",
    "r1_penalty",
    "save_generator",
    "update_ema",
]

GENERATOR_FORMAT = "l2l-stylegan2-generator/1"


class Generator(nn.Module):
    """z to picture: a mapping network and a synthesis network.

    Parameters
    ----------
    z_dim, c_dim, w_dim
        Lengths of z, of the condition (0 for none) and of w.
    img_resolution
        Side in pixels, a power of two, at least 4.
    img_channels
        Usually 3.
    mapping_kwargs
        `num_layers` (8), `lr_multiplier` (0.01), `w_avg_beta` (0.995), `embed_features`,
        `layer_features`.
    **synthesis_kwargs
        `channel_base` (32768), `channel_max` (512), `conv_clamp` (None), `use_noise` (True).

    Attributes
    ----------
    config : dict
        Arguments that build the same network again: `Generator(**G.config)`.

    Raises
    ------
    ValueError
        A size that is not allowed or an option that is not known, by name.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        mapping_kwargs: Mapping[str, Any] | None = None,
        **synthesis_kwargs: Any,
    ) -> None:
        super().__init__()
        for name, value, low in (
            ("z_dim", z_dim, 0 if c_dim else 1),
            ("c_dim", c_dim, 0),
            ("w_dim", w_dim, 1),
            ("img_channels", img_channels, 1),
        ):
            if value < low:
                raise ValueError(f"{name} is {value}; it must be at least {low}")
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        _refuse_unknown("synthesis option", synthesis_kwargs, SynthesisNetwork.OPTIONS)
        _refuse_unknown("mapping_kwargs", mapping_kwargs or {}, MappingNetwork.OPTIONS)
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))
        self.config: dict[str, Any] = {
            "z_dim": z_dim,
            "c_dim": c_dim,
            "w_dim": w_dim,
            "img_resolution": img_resolution,
            "img_channels": img_channels,
            "mapping_kwargs": dict(mapping_kwargs or {}),
            **synthesis_kwargs,
        }

    @property
    def w_avg(self) -> torch.Tensor:
        """Running mean of w, (w_dim,): the face that truncation pulls towards."""
        return self.mapping.w_avg

    def forward(
        self,
        z: torch.Tensor,
        c: torch.Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        max_resolution: int | None = None,
        noise_generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """(B, z_dim) to pictures (B, img_channels, R, R), roughly in [-1, 1], not clipped."""
        ws = self.mapping(z, truncation_psi, truncation_cutoff, c=c)
        return self.synthesis(ws, noise_mode, max_resolution, noise_generator)

    def mixed_ws(
        self,
        z: torch.Tensor,
        probability: float = 0.9,
        c: torch.Tensor | None = None,
        mixing_generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Style mixing: W+ whose fine rows come from a second z, for some of the batch.

        Each face draws its own row from which the second code takes over.

        Parameters
        ----------
        z
            (B, z_dim).
        probability
            Share of the faces that are mixed, in [0, 1].
        mixing_generator
            Source of the second z and of the rows; None means torch's own.

        Returns
        -------
        ws : (B, num_ws, w_dim)
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"probability is {probability}; it must be in 0 to 1")
        ws = self.mapping(z, c=c)
        if probability == 0:
            return ws
        where = z.device if mixing_generator is None else mixing_generator.device
        draw = {"generator": mixing_generator, "device": where}
        batch = z.shape[0]
        second = torch.randn(z.shape, dtype=z.dtype, **draw).to(z.device)
        start = torch.randint(1, self.num_ws, (batch, 1), **draw).to(z.device)
        mixed = (torch.rand((batch, 1), **draw) < probability).to(z.device)
        rows = torch.arange(self.num_ws, device=z.device)
        from_second = (mixed & (rows >= start)).unsqueeze(2)
        return torch.where(from_second, self.mapping(second, c=c, skip_w_avg_update=True), ws)


class MappingNetwork(nn.Module):
    """z (and condition) to w, repeated over the rows of W+.

    Parameters
    ----------
    num_ws
        Rows to repeat over; None returns w itself, (B, w_dim).
    num_layers
        Linear layers with leaky ReLU.
    embed_features, layer_features
        Widths of the condition's embedding and of the inner layers; None means w_dim.
    lr_multiplier
        Learning rate of these layers relative to the rest.
    w_avg_beta
        Decay of the running mean of w, which training mode updates; None keeps no mean.
    """

    OPTIONS = (
        "num_layers",
        "embed_features",
        "layer_features",
        "activation",
        "lr_multiplier",
        "w_avg_beta",
    )
    w_avg: torch.Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}; it must be at least 1")
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
        self.num_ws = num_ws
        self.num_layers = num_layers
        self.w_avg_beta = w_avg_beta
        embedded = 0 if c_dim == 0 else w_dim if embed_features is None else embed_features
        inner = w_dim if layer_features is None else layer_features
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embedded)
        widths = [z_dim + embedded] + [inner] * (num_layers - 1) + [w_dim]
        for index in range(num_layers):
            layer = FullyConnectedLayer(
                widths[index],
                widths[index + 1],
                activation=activation,
                lr_multiplier=lr_multiplier,
            )
            setattr(self, f"fc{index}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: torch.Tensor | None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        c: torch.Tensor | None = None,
        skip_w_avg_update: bool = False,
    ) -> torch.Tensor:
        """Map latent codes.

        Parameters
        ----------
        z
            (B, z_dim); each code is scaled to unit mean square first.
        truncation_psi, truncation_cutoff
            See `l2l_widgets.latents.truncate`.
        c
            (B, c_dim) when the network is conditional.
        skip_w_avg_update
            Leave the running mean alone in training mode.

        Returns
        -------
        ws : (B, num_ws, w_dim) float32

        Raises
        ------
        ValueError
            A wrong shape, or truncation without a running mean.
        """
        device = self.fc0.weight.device
        with torch.autocast(device.type, enabled=False):
            x = self._inputs(z, c)
            for index in range(self.num_layers):
                x = getattr(self, f"fc{index}").exact(x)
            if self.num_ws is None:
                return x
            if self.training and self.w_avg_beta is not None and not skip_w_avg_update:
                with torch.no_grad():
                    self.w_avg.copy_(x.mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
            ws = x.unsqueeze(1).repeat(1, self.num_ws, 1)
            if truncation_psi == 1:
                return ws
            if self.w_avg_beta is None:
                raise ValueError(
                    f"truncation_psi is {truncation_psi}; it must be 1, as this network was built "
                    "with w_avg_beta=None and keeps no average w"
                )
            return truncate(ws, self.w_avg, truncation_psi, truncation_cutoff)

    def _inputs(self, z: torch.Tensor | None, c: torch.Tensor | None) -> torch.Tensor:
        parts = []
        dtype = self.fc0.weight.dtype
        if self.z_dim > 0:
            parts.append(_unit_mean_square(_rows("z", z, self.z_dim).to(dtype)))
        if self.c_dim > 0:
            embedded = self.embed.exact(_rows("c", c, self.c_dim).to(dtype))
            parts.append(_unit_mean_square(embedded))
        elif c is not None and c.numel() > 0:
            raise ValueError(
                f"c has shape {tuple(c.shape)}; this network takes no condition (c_dim 0)"
            )
        if len({part.shape[0] for part in parts}) > 1:
            raise ValueError(
                f"z and c must have the same number of rows; they have {parts[0].shape[0]} "
                f"and {parts[1].shape[0]}"
            )
        return torch.cat(parts, dim=1)


def path_lengths(
    images: torch.Tensor, ws: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Length of the picture's change per unit of w, along a random picture direction.

    Path length regularisation keeps it near its running mean. Source: Karras et al. 2020,
    section 3.2.

    Parameters
    ----------
    images
        (B, C, R, R), drawn from `ws` with a graph.
    ws
        (B, num_ws, w_dim), requiring gradients.
    generator
        Source of the random direction; None means torch's own.

    Returns
    -------
    lengths : (B,), with a graph to the generator's weights
    """
    where = images.device if generator is None else generator.device
    noise = torch.randn(images.shape, generator=generator, device=where).to(images)
    noise = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


@torch.no_grad()
def update_ema(average: nn.Module, source: nn.Module, decay: float) -> None:
    """Move `average`'s parameters towards `source`'s and copy its buffers, in place.

    Parameters
    ----------
    average, source
        Networks of the same shape.
    decay
        Share of the old value that stays, in [0, 1].

    Raises
    ------
    ValueError
        `decay` is outside [0, 1].
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is {decay}; it must be in 0 to 1")
    kept = list(average.parameters())
    new = [
        parameter.detach().to(old) for parameter, old in zip(source.parameters(), kept, strict=True)
    ]
    torch._foreach_lerp_(kept, new, 1 - decay)
    for old, buffer in zip(average.buffers(), source.buffers(), strict=True):
        old.copy_(buffer)


def save_generator(
    path: str | os.PathLike[str],
    generator: Generator,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a generator's weights and configuration to one safetensors file, atomically.

    Parameters
    ----------
    metadata
        Further text entries, for instance the recipe and the seed.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    entries = dict(metadata or {})
    entries["format"] = GENERATOR_FORMAT
    entries["config"] = json.dumps(generator.config)
    save_safetensors(path, generator.state_dict(), entries)


def load_generator(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Generator:
    """Read a generator that `save_generator` wrote; in eval mode, without gradients.

    Raises
    ------
    StorageError
        The file is missing, damaged, or not a generator of this package.
    """
    tensors, metadata = load_safetensors(path)
    found = metadata.get("format")
    if found != GENERATOR_FORMAT:
        raise StorageError(
            f"{str(path)!r} is not a StyleGAN2 generator of this package: its metadata field "
            f"'format' is {found!r}, wanted {GENERATOR_FORMAT!r}"
        )
    try:
        generator = Generator(**json.loads(metadata["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{str(path)!r}: its metadata field 'config' builds no generator ({error})"
        ) from error
    _load_exactly(path, generator, tensors)
    return generator.eval().requires_grad_(False).to(device)


def _load_exactly(
    path: str | os.PathLike[str], module: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise StorageError(
            f"{str(path)!r} does not fit its own configuration: "
            f"missing tensors {missing[:3]}, unknown tensors {unknown[:3]}"
        )
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            raise StorageError(
                f"{str(path)!r}: tensor {name!r} has shape {tuple(tensors[name].shape)}; "
                f"it must be {tuple(tensor.shape)}"
            )
    module.load_state_dict(dict(tensors))


def _refuse_unknown(kind: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{kind} {name!r} is not known; it must be one of {known}")


def _rows(name: str, value: torch.Tensor | None, length: int) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.ndim != 2 or value.shape[1] != length:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else value
        raise ValueError(f"{name} is or has shape {shape}; it must be (B, {length})")
    return value


def _unit_mean_square(x: torch.Tensor) -> torch.Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
