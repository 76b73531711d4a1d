"""Files of rosinality's stylegan2-pytorch: torch.save of names and tensors.

A dictionary with ``g_ema`` (or only ``g``), perhaps ``d``, optimisers and ``latent_avg``. A bare
``state_dict`` is read too, with these names or with the official ones.
"""

from __future__ import annotations

import math
import re
from typing import Any

from torch import Tensor

from l2l_widgets.checkpoints.networks import FoundGenerator
from l2l_widgets.checkpoints.nvlabs import state_tensors
from l2l_widgets.checkpoints.records import Call, mapping
from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.checkpoints.tensors import Change, FileTensor, Storages, torch_tensor

__all__ = ["read_torch_file"]


def _first(tensor: Tensor) -> Tensor:
    return tensor[0]


def _scalar(tensor: Tensor) -> Tensor:
    return tensor.reshape(())


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1)


def _square(tensor: Tensor) -> Tensor:
    return tensor[0, 0]


_FILES = (
    "rosinality's files with 'g_ema' or 'g', or the state_dict of a StyleGAN2 generator, of "
    "rosinality's names or the official ones"
)
#: End of one of their names -> end of ours, and what takes its dimensions of one away.
_SUFFIXES: dict[str, tuple[str, Change | None]] = {
    "conv.weight": ("weight", _first),
    "conv.modulation.weight": ("affine.weight", None),
    "conv.modulation.bias": ("affine.bias", None),
    "noise.weight": ("noise_strength", _scalar),
    "activate.bias": ("bias", None),
    "bias": ("bias", _flat),
}


def read_torch_file(value: Any, storages: Storages) -> FoundGenerator:
    """Find the generator in what torch.save wrote.

    Raises
    ------
    CheckpointError
        There is none, or it is not a StyleGAN2.
    """
    if isinstance(value, Call) and value.name.module == "torch._utils":
        raise CheckpointError(
            "it holds one tensor and no generator (a published direction? 'l2l direction' reads "
            f"those); supported: {_FILES}"
        )
    top = mapping(value, "what the file holds")
    names = tuple(k for k in ("g", "d", "g_ema") if _is_state(top.get(k)))
    network = next((name for name in ("g_ema", "g") if name in names), "")
    if network:
        state = mapping(top[network], network)
    elif "d" in names:
        raise CheckpointError(
            "it holds a discriminator ('d') and no generator; supported: files with 'g_ema' or 'g'"
        )
    elif _is_state(value):
        state, network, names = top, "state_dict", ("state_dict",)
    else:
        _refuse_relatives(top)
        raise CheckpointError(
            f"it holds {_some(top)} and no generator that is known here; supported: {_FILES}"
        )
    _refuse_others(state)
    if any(str(name).startswith(("synthesis.", "mapping.")) for name in state):
        return _official_names(state, storages, network, names)
    found = FoundGenerator("rosinality", {}, network=network, networks=names)
    found.tensors, found.filters = _renamed(state, storages)
    _guess_learning_rate(found)
    if network == "g":
        found.notes.append("the file has no 'g_ema': 'g' was read, without its running average")
    if "latent_avg" in top:
        average = torch_tensor(top["latent_avg"], storages, "tensor 'latent_avg'")
        found.tensors["mapping.w_avg"] = average.changed(_flat)
    else:
        found.notes.append(
            "the file has no 'latent_avg': the average w is the mean of 4096 mapped latents"
        )
    if not any(name.endswith("noise_const") for name in found.tensors):
        found.notes.append("the file has no constant noise: it was drawn from fixed seeds")
    return found


def _refuse_others(state: dict[Any, Any]) -> None:
    """Name the networks that other code bases save as a bare state_dict."""
    names = [name for name in state if type(name) is str]
    if any("style_mod" in name or "epi1." in name for name in names):
        raise CheckpointError(
            "it is a StyleGAN1 generator (its layers have 'style_mod'); supported: StyleGAN2 only"
        )
    if not any(name.startswith(("synthesis.", "style.", "convs.", "input.")) for name in names):
        raise CheckpointError(
            f"it is the state_dict of another network ({_some(state)}); supported: {_FILES}"
        )


def _is_state(value: Any) -> bool:
    """Whether it is a state_dict: names with dots -> tensors."""
    try:
        items = mapping(value, "")
    except CheckpointError:
        return False
    tensors = sum(
        isinstance(item, Call) and item.name.module == "torch._utils" for item in items.values()
    )
    return tensors > 3 and 2 * tensors > len(items)


def _some(top: dict[Any, Any]) -> str:
    return ", ".join(repr(str(name)[:40]) for name in list(top)[:6]) or "nothing"


def _refuse_relatives(top: dict[Any, Any]) -> None:
    inner = top.get("models")
    if {"generator_smooth", "generator"} & {*(inner if type(inner) is dict else ())} or (
        "generator_smooth" in top
    ):
        raise CheckpointError(
            f"it holds {_some(top)}, as genforce's code saves networks, and their names are others "
            f"than the official ones; supported: {_FILES}"
        )
    if "g_running" in top or "generator" in top:
        raise CheckpointError(
            "it looks like a StyleGAN1 of rosinality's style-based-gan-pytorch; supported: "
            "StyleGAN2 only"
        )
    if "state_dict" in top:
        raise CheckpointError(
            "it holds a 'state_dict' beside other things, as encoders (pSp, e4e) are saved; "
            "supported: the generator's own file"
        )


def _official_names(
    state: dict[Any, Any], storages: Storages, network: str, names: tuple[str, ...]
) -> FoundGenerator:
    found = FoundGenerator("state_dict", {}, network=network, networks=names)
    if any(".L0_" in str(name) or "synthesis.input" in str(name) for name in state):
        raise CheckpointError("it is the state_dict of a StyleGAN3; supported: StyleGAN2")
    for name, tensor in state_tensors(state, storages).items():
        if name.endswith("resample_filter"):
            found.filters.append(tensor)
        else:
            found.tensors[name] = tensor
    found.notes.append("a state_dict tells no conv_clamp: none was assumed")
    _guess_learning_rate(found)
    return found


def _guess_learning_rate(found: FoundGenerator) -> None:
    """Set the mapping network's learning rate, which these files do not tell, from its weights.

    They start with a spread of one over it, and hardly leave that: 100 for the usual 0.01. With a
    wrong one every latent becomes the same face.
    """
    first = found.tensors.get("mapping.fc0.weight")
    spread = 0.0 if first is None else float(first.read().std(correction=0))
    if not 0 < spread < math.inf:
        return
    rate = 10.0 ** min(max(-round(math.log10(spread)), -4), 0)
    found.options["lr_multiplier"] = rate
    if rate != 0.01:
        found.notes.append(
            f"lr_multiplier {rate:g} of the mapping network was read off its weights' spread, "
            f"{spread:.2g}"
        )


def _renamed(
    state: dict[Any, Any], storages: Storages
) -> tuple[dict[str, FileTensor], list[FileTensor]]:
    tensors: dict[str, FileTensor] = {}
    filters: list[FileTensor] = []
    for name, tensor in state_tensors(state, storages).items():
        if name.endswith(("blur.kernel", "upsample.kernel")):
            filters.append(tensor)
            continue
        new, change = _new_name(name)
        tensors[new] = tensor if change is None else tensor.changed(change)
    if any(name.startswith(("progression", "step.")) for name in tensors):
        raise CheckpointError("it is a StyleGAN1 or a ProGAN; supported: StyleGAN2")
    return tensors, filters


def _new_name(name: str) -> tuple[str, Change | None]:
    """Our name for one of theirs, and what to do with its numbers."""
    if found := re.fullmatch(r"style\.(\d{1,3})\.(weight|bias)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}", None
    if name == "input.input":
        return "synthesis.b4.const", _first
    if found := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        return f"{_layer(int(found[1]))}.noise_const", _square
    layer, rest = None, ""
    if found := re.fullmatch(r"(conv1|to_rgb1)\.(.+)", name):
        layer, rest = ("synthesis.b4." + {"conv1": "conv1", "to_rgb1": "torgb"}[found[1]]), found[2]
    elif found := re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name):
        layer, rest = _layer(int(found[1]) + 1), found[2]
    elif found := re.fullmatch(r"to_rgbs\.(\d{1,2})\.(.+)", name):
        layer, rest = f"synthesis.b{2 ** (int(found[1]) + 3)}.torgb", found[2]
    if layer is None or rest not in _SUFFIXES:
        return name[:120], None  # refused by name when the network is laid out
    new, change = _SUFFIXES[rest]
    return f"{layer}.{new}", change


def _layer(index: int) -> str:
    """The convolution of a number, counted from b4.conv1 = 0."""
    if index == 0:
        return "synthesis.b4.conv1"
    side = 2 ** ((index + 1) // 2 + 2)
    return f"synthesis.b{side}.conv{(index + 1) % 2}"
