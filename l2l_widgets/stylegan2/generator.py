"""StyleGAN2's generator: z to w to picture, its file, and the measures that train it.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors
from l2l_widgets.stylegan2.interactive import InteractiveDrawing
from l2l_widgets.stylegan2.layers import channel_table, check_size
from l2l_widgets.stylegan2.mapping import MappingNetwork
from l2l_widgets.stylegan2.synthesis import SynthesisNetwork

__all__ = ["Generator", "load_generator", "path_lengths", "save_generator"]

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
        `layer_features`, `classes`.
    **synthesis_kwargs
        `channel_base` (32768), `channel_max` (512), `conv_clamp` (None), `use_noise` (True).

    Attributes
    ----------
    config : dict
        Arguments that build the same network again: `Generator(**G.config)`.
    faithful_from : int
        Smallest side whose skip output is the whole picture averaged, as far as its training could
        see to it; the full side where it was never taught.

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
        check_size("z_dim", z_dim, 0 if c_dim else 1)
        check_size("c_dim", c_dim, 0)
        check_size("w_dim", w_dim, 1)
        check_size("img_channels", img_channels, 1)
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.faithful_from = img_resolution
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

    def choose_classes(self, classes: Sequence[int] | None) -> None:
        """Draw these classes where no condition is given; they are saved with the network.

        Parameters and errors as in `MappingNetwork.choose_classes`.
        """
        self.mapping.choose_classes(classes)
        options = {k: v for k, v in self.config["mapping_kwargs"].items() if k != "classes"}
        if classes is not None:
            options["classes"] = list(classes)
        self.config["mapping_kwargs"] = options

    def draw_up_to(self, side: int) -> None:
        """Make the skip output of a smaller side the picture of this network, from now on.

        The blocks above stay as they are and are not computed. `num_ws` stays too.

        Raises
        ------
        ValueError
            A side that the network has no block of.
        """
        allowed = self.synthesis.block_resolutions
        if side not in allowed:
            raise ValueError(f"side is {side!r}; it must be one of {allowed}")
        self.synthesis.img_resolution = self.img_resolution = side

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

    def interactive(self) -> InteractiveDrawing:
        """A way to draw one picture after another, for a session; each call makes a new one."""
        return InteractiveDrawing(self.synthesis)

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
        source = mixing_generator
        where = z.device if source is None else source.device
        batch = z.shape[0]
        second = torch.randn(z.shape, dtype=z.dtype, generator=source, device=where).to(z.device)
        start = torch.randint(1, self.num_ws, (batch, 1), generator=source, device=where)
        mixed = torch.rand((batch, 1), generator=source, device=where) < probability
        start, mixed = start.to(z.device), mixed.to(z.device)
        rows = torch.arange(self.num_ws, device=z.device)
        from_second = (mixed & (rows >= start)).unsqueeze(2)
        return torch.where(from_second, self.mapping(second, c=c, skip_w_avg_update=True), ws)


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
    if generator.faithful_from != generator.config["img_resolution"]:
        entries["faithful_from"] = str(generator.faithful_from)
    save_safetensors(path, generator.state_dict(), entries)


def load_generator(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Generator:
    """Read a generator that `save_generator` wrote; in eval mode, without gradients.

    Raises
    ------
    StorageError
        The file is missing, damaged, or not a generator of this package.
    """
    try:
        tensors, metadata = load_safetensors(path)
    except StorageError as error:
        if str(path).lower().endswith((".pkl", ".pt", ".pth")):
            raise StorageError(
                f"path is {str(path)!r}; allowed: a .safetensors file that save_generator wrote "
                "(l2l_widgets.load reads the files of other code bases)"
            ) from error
        raise
    found = metadata.get("format")
    if found != GENERATOR_FORMAT:
        raise StorageError(
            f"{str(path)!r} is not a StyleGAN2 generator of this package: its metadata field "
            f"'format' is {found!r}, wanted {GENERATOR_FORMAT!r}"
        )
    try:
        config = json.loads(metadata["config"])
        _check_claims(config, tensors)
        generator = Generator(**config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{str(path)!r}: its metadata field 'config' builds no generator ({error})"
        ) from error
    wanted = generator.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise StorageError(
            f"{str(path)!r} does not fit its own metadata field 'config': "
            f"missing tensors {missing[:3]}, unknown tensors {unknown[:3]}"
        )
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            raise StorageError(
                f"{str(path)!r}: tensor {name!r} has shape {tuple(tensors[name].shape)}; "
                f"by its metadata field 'config' it must be {tuple(tensor.shape)}"
            )
    generator.load_state_dict(tensors)
    stated = metadata.get("faithful_from", str(generator.img_resolution))
    allowed = [str(side) for side in generator.synthesis.block_resolutions]
    if stated not in allowed:
        raise StorageError(
            f"{str(path)!r}: its metadata field 'faithful_from' is {stated!r}; allowed: "
            f"{', '.join(allowed)}"
        )
    generator.faithful_from = int(stated)
    return generator.eval().requires_grad_(False).to(device)


def _check_claims(config: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    # Before anything is built: a damaged configuration may claim more than the memory holds, but
    # the sizes of tensors that are there already are safe.
    side, mapping = config["img_resolution"], config.get("mapping_kwargs", {})
    channels = channel_table(
        side, config.get("channel_base", 32768), config.get("channel_max", 512)
    )
    embedded = (mapping.get("embed_features") or config["w_dim"]) if config["c_dim"] else 0
    layers = mapping.get("num_layers", 8)
    inner = (mapping.get("layer_features") or config["w_dim"]) if layers > 1 else config["w_dim"]
    claims = {
        f"synthesis.b{side}.torgb.weight": (config["img_channels"], channels[side], 1, 1),
        "synthesis.b4.torgb.affine.weight": (channels[4], config["w_dim"]),
        "mapping.fc0.weight": (inner, config["z_dim"] + embedded),
        f"mapping.fc{layers - 1}.bias": (config["w_dim"],),
    }
    if config["c_dim"]:
        claims["mapping.embed.weight"] = (embedded, config["c_dim"])
    for name, claimed in claims.items():
        found = tuple(tensors[name].shape) if name in tensors else "not there"
        if found != claimed:
            raise ValueError(f"it asks for tensor {name!r} of shape {claimed}, which is {found}")


def _refuse_unknown(kind: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{kind} {name!r} is not known; it must be one of {known}")
