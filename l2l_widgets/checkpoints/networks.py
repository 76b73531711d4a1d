"""A generator that was found in a file: its tensors by our names, its configuration, its weights.

The configuration follows from the shapes of the tensors that are there, so it cannot claim more
than the file holds; only what leaves no trace in a shape (the clamp, the mapping network's learning
rate) is taken from what the file says. A network is laid out without memory first, compared tensor
by tensor, and only then are the numbers read, each straight into its place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from l2l_widgets.checkpoints.source import CheckpointError, brief
from l2l_widgets.checkpoints.tensors import FileTensor
from l2l_widgets.stylegan2 import Generator
from l2l_widgets.stylegan2.layers import filter_taps

__all__ = ["FoundGenerator", "build", "configuration"]

#: Latents whose mean stands in for an average w that a file lacks (rosinality's own number).
MEAN_OF = 4096
MAX_LAYERS = 64


@dataclass
class FoundGenerator:
    """A generator in a file, not read yet.

    Parameters
    ----------
    layout
        Key of `reading.LAYOUTS`.
    tensors
        Our names -> tensors; all that a generator of this shape needs, but perhaps for the average
        w and the constant noise.
    options
        What shapes do not tell: ``conv_clamp``, ``lr_multiplier``, ``w_avg_beta``,
        ``channel_base``, ``channel_max``.
    network
        Which network of the file it is, as the file calls it.
    networks
        All that are in the file.
    filters
        Low-pass filters of the file, which must be the one that we know.
    notes
        What a reader should know: what was missing and how it was made up.
    """

    layout: str
    tensors: dict[str, FileTensor]
    options: dict[str, Any] = field(default_factory=dict)
    network: str = "G_ema"
    networks: tuple[str, ...] = ("G_ema",)
    filters: list[FileTensor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """Arguments of `stylegan2.Generator`."""
        shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
        return configuration(shapes, self.options)


def configuration(
    shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What builds the generator whose tensors have these shapes.

    Raises
    ------
    CheckpointError
        Tensors are missing or do not fit together, or channels follow no rule that we know.
    """
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in shapes)
    sides = sorted(
        int(found[1])
        for name in shapes
        if (found := re.fullmatch(r"synthesis\.b(\d{1,5})\.conv1\.weight", name))
    )
    if not layers or not sides:
        raise CheckpointError(
            "no mapping or no synthesis network of a StyleGAN2 is in it; supported: StyleGAN2"
        )
    if layers > MAX_LAYERS or sides != [2**k for k in range(2, 2 + len(sides))]:
        raise CheckpointError(f"{layers} mapping layers and blocks of sides {sides[:12]} fit no G")
    first = _sides(shapes, "mapping.fc0.weight", 2)
    w_dim = _sides(shapes, f"mapping.fc{layers - 1}.weight", 2)[0]
    embedded, c_dim = 0, 0
    if "mapping.embed.weight" in shapes:
        embedded, c_dim = _sides(shapes, "mapping.embed.weight", 2)
    channels = {side: _sides(shapes, f"synthesis.b{side}.conv1.weight", 4)[0] for side in sides}
    last = f"synthesis.b{sides[-1]}.torgb.weight"
    if last not in shapes:
        raise CheckpointError(
            "its blocks add no colour (architecture 'orig' or 'resnet'); supported: 'skip'"
        )
    mapping: dict[str, Any] = {"num_layers": layers}
    if c_dim and embedded != w_dim:
        mapping["embed_features"] = embedded
    if layers > 1 and first[0] != w_dim:
        mapping["layer_features"] = first[0]
    for name, default in (("lr_multiplier", 0.01), ("w_avg_beta", 0.995)):
        value = options.get(name, default)
        if value != default:
            mapping[name] = value
    config: dict[str, Any] = {
        "z_dim": first[1] - embedded,
        "c_dim": c_dim,
        "w_dim": w_dim,
        "img_resolution": sides[-1],
        "img_channels": _sides(shapes, last, 4)[0],
        "mapping_kwargs": mapping,
        **_channel_rule(channels, options),
    }
    if options.get("conv_clamp") is not None:
        config["conv_clamp"] = options["conv_clamp"]
    if not any(name.endswith("noise_strength") for name in shapes):
        config["use_noise"] = False
    return config


def _sides(shapes: Mapping[str, tuple[int, ...]], name: str, count: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != count or 0 in shape:
        raise CheckpointError(f"tensor {name!r} is {'missing' if shape is None else shape}")
    return shape


def _channel_rule(channels: Mapping[int, int], options: Mapping[str, Any]) -> dict[str, int]:
    """``channel_base`` and ``channel_max`` that give these channels; the file's own if they do."""
    largest = max(channels.values())
    # the first side below the maximum fixes the base; without one, any base that is large enough
    narrow = [side for side, count in channels.items() if count < largest]
    base = channels[narrow[0]] * narrow[0] if narrow else largest * max(channels)
    rules = [(32768, 512), (16384, 512), (base, largest)]
    said, most = options.get("channel_base"), options.get("channel_max")
    if type(said) is int and type(most) is int and min(said, most) > 0:
        rules.insert(0, (said, most))
    for rule in rules:
        if all(min(rule[0] // side, rule[1]) == count for side, count in channels.items()):
            return {"channel_base": rule[0], "channel_max": rule[1]}
    raise CheckpointError(
        f"its channels by side are {dict(channels)}; supported: min(base // side, max)"
    )


class _WithoutWeights(TorchFunctionMode):
    """Random weights become names and shapes without memory.

    A block under ``torch.device("meta")`` does the same, but imports much for random numbers and
    to divide what is not there.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Stand in for one function of torch."""
        if func is torch.randn:
            return torch.empty(*args, device="meta")
        if func in (torch.Tensor.div, torch.Tensor.__truediv__) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def build(found: FoundGenerator) -> Generator:
    """Read a found generator's numbers.

    Returns
    -------
    generator
        In eval mode, without gradients, on the CPU.

    Raises
    ------
    CheckpointError
        A tensor is missing, has another shape or is damaged; it is named.
    """
    config = found.config
    needed = sum(tensor.bytes_in_file for tensor in found.tensors.values())
    held = {id(t.storage.source): t.storage.source.size for t in found.tensors.values()}
    if needed > sum(held.values()):
        raise CheckpointError("its tensors show the same numbers again and again")
    try:
        with _WithoutWeights():
            generator = Generator(**config)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"no generator can be built of it ({error})") from None
    wanted = {name: tuple(t.shape) for name, t in generator.state_dict().items()}
    _check_names(found.tensors, wanted)
    _check_filters(found.filters)
    state: dict[str, torch.Tensor] = {}
    for name in wanted:
        if name.endswith("resample_filter"):
            state[name] = filter_taps()
        elif name in found.tensors:
            try:
                state[name] = found.tensors[name].read()
            except CheckpointError as error:
                raise CheckpointError(f"tensor {name!r}: {error}") from None
        elif name.endswith("noise_const"):
            state[name] = _made_up_noise(name, wanted[name])
        else:
            state[name] = torch.zeros(wanted[name])
    generator.load_state_dict(state, assign=True)
    generator.eval().requires_grad_(False)
    if "mapping.w_avg" in wanted and "mapping.w_avg" not in found.tensors:
        generator.mapping.w_avg.copy_(_mean_w(generator))
    return generator


def _check_names(tensors: Mapping[str, FileTensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    optional = ("resample_filter", "noise_const", "mapping.w_avg")
    missing = [n for n in wanted if n not in tensors and not n.endswith(optional)]
    unknown = sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise CheckpointError(
            f"its tensors are not those of a StyleGAN2: missing {missing[:3]}, unknown "
            f"{[name[:80] for name in unknown[:3]]}"
        )
    for name, shape in wanted.items():
        if name in tensors and tensors[name].shape != shape:
            raise CheckpointError(
                f"tensor {name!r} has shape {tensors[name].shape}; by the others it must be {shape}"
            )


def _check_filters(filters: list[FileTensor]) -> None:
    taps = filter_taps()
    for tensor in filters:
        if math.prod(tensor.shape) != taps.numel():
            raise CheckpointError(f"its low-pass filter has shape {tensor.shape}; supported: 4 x 4")
        found = tensor.read().reshape(4, 4)
        # Every code base scales it in its own way; its form is what matters.
        if not bool(torch.allclose(found / found.sum(), taps, atol=1e-5)):
            raise CheckpointError("its low-pass filter is not [1, 3, 3, 1], the one supported")


def _made_up_noise(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    side = shape[0]
    source = torch.Generator().manual_seed(2 * side + name.endswith("conv1.noise_const"))
    return torch.randn(shape, generator=source)


def _mean_w(generator: Generator) -> torch.Tensor:
    if generator.c_dim or not generator.z_dim:
        raise CheckpointError(
            f"it has no average w and {brief(generator.c_dim)} classes to average over; supported "
            "without one: unconditional generators"
        )
    source = torch.Generator().manual_seed(0)
    z = torch.randn(MEAN_OF, generator.z_dim, generator=source)
    return torch.cat([generator.mapping(part)[:, 0] for part in z.split(512)]).mean(dim=0)
