"""Pickles of NVIDIA's TensorFlow code: StyleGAN2 and StyleGAN2-ADA.

A tuple ``(G, D, Gs)`` of ``dnnlib.tflib.network.Network``, whose state holds the source text of its
function (which the official reader executes, and which is stepped over here), its settings, its
variables as NumPy arrays and its parts, the mapping and synthesis networks. Weights are transposed:
matrices are (in, out), kernels (height, width, in, out), those of upsampling layers turned round,
and biases of the styles are stored less one.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from l2l_widgets.checkpoints.networks import FoundGenerator
from l2l_widgets.checkpoints.pickle_data import Budget
from l2l_widgets.checkpoints.records import Call, mapping
from l2l_widgets.checkpoints.source import CheckpointError, brief
from l2l_widgets.checkpoints.tensors import Change, numpy_scalar, numpy_tensor

__all__ = ["is_tensorflow", "read_tensorflow"]

#: Settings that change what is computed -> the one value that is supported.
_FIXED = {
    "architecture": "skip",
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "fmap_decay": 1.0,
    "resample_kernel": [1, 3, 3, 1],
}
MAX_VARIABLES = 2000
#: Variables of networks before StyleGAN2's skip architecture.
_OLD = re.compile(r"StyleMod|ToRGB_lod|4x4/Dense")


def is_tensorflow(value: Any) -> bool:
    """Whether what a pickle holds has this layout, be it of a supported network or not."""
    networks = value if type(value) in (tuple, list) else [value]
    return 0 < len(networks) <= 3 and all(_is_network(item) for item in networks)


def read_tensorflow(value: Any, budget: Budget) -> FoundGenerator:
    """Find the generator; of its neighbours nothing is decoded."""
    networks = list(value) if type(value) in (tuple, list) else [value]
    names = ("G", "D", "Gs")[: len(networks)] if len(networks) == 3 else _named(networks)
    if "Gs" not in names and "G" not in names:
        raise CheckpointError(
            f"it holds {', '.join(names)} and no generator; supported: the tuple (G, D, Gs)"
        )
    network = "Gs" if "Gs" in names else "G"
    state = _state(networks[names.index(network)])
    version = state.get("version")
    variables: dict[str, Any] = {}
    settings = _collect(state, variables)
    _refuse_stylegan1(state, variables)
    if type(version) is not int or version < 4:
        raise CheckpointError(
            f"its TensorFlow network is of version {brief(version)}; supported: 4"
        )
    found = FoundGenerator("tensorflow", {}, network=network, networks=names)
    for name, array in variables.items():
        if (place := _place(name)) is not None:
            new, changes, finish = place
            tensor = numpy_tensor(array, budget, f"variable {name[:120]!r}")
            found.tensors[new] = tensor.changed(*changes, finish=finish)
    for name, allowed in _FIXED.items():
        given = settings.get(name, allowed)
        given = list(given) if type(given) is tuple else given
        if given is not None and not _same(given, allowed):
            raise CheckpointError(f"{name} is {brief(given)}; supported: {allowed!r}")
    found.options = _options(settings)
    return found


def _same(given: Any, allowed: Any) -> bool:
    if type(allowed) is list:
        flat = [numpy_scalar(v) for v in given[:8]] if type(given) is list else None
        return flat == allowed
    given = numpy_scalar(given)
    return type(given) in (str, int, float, bool) and given == allowed


def _options(settings: dict[Any, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for ours, theirs, factor in (
        ("conv_clamp", "conv_clamp", 1),
        ("lr_multiplier", "mapping_lrmul", 1),
        ("channel_base", "fmap_base", 2),
        ("channel_max", "fmap_max", 1),
        ("w_avg_beta", "w_avg_beta", 1),
    ):
        value = numpy_scalar(settings.get(theirs))
        if type(value) in (int, float) and 0 < value < 1e9:
            options[ours] = value * factor
        elif value is not None:
            raise CheckpointError(f"{theirs} is {brief(value)}; allowed: a positive number")
    return options


def _is_network(value: Any) -> bool:
    return isinstance(value, Call) and value.is_("dnnlib.tflib.network", "Network")


def _state(network: Any) -> dict[Any, Any]:
    if not _is_network(network):
        raise CheckpointError(f"a network is {brief(network)}")
    return mapping(network.state, "a network's state")


def _named(networks: list[Any]) -> tuple[str, ...]:
    return tuple(str(_state(network).get("name"))[:20] for network in networks)


def _collect(state: dict[Any, Any], variables: dict[str, Any], prefix: str = "") -> dict[Any, Any]:
    """Gather the variables of a network and of its two parts; return the settings of all."""
    settings: dict[Any, Any] = {}
    if not prefix:
        for name, part in mapping(state.get("components", {}), "components").items():
            if name not in ("mapping", "synthesis"):
                raise CheckpointError(f"part {brief(name)} is in it; supported: StyleGAN2")
            settings.update(_collect(_state(part), variables, f"{name}/"))
    own = state.get("variables", [])
    if type(own) is not list or len(own) > MAX_VARIABLES:
        raise CheckpointError("a network without a list of its variables")
    for pair in own:
        if type(pair) not in (tuple, list) or len(pair) != 2 or type(pair[0]) is not str:
            raise CheckpointError("a variable without a name")
        variables[prefix + pair[0]] = pair[1]
    settings.update(mapping(state.get("static_kwargs", {}), "static_kwargs"))
    return settings


def _refuse_stylegan1(state: dict[Any, Any], variables: dict[str, Any]) -> None:
    function = str(state.get("build_func_name"))[:60]
    if function in ("G_style", "G_paper") or any(_OLD.search(name) for name in variables):
        kind = "ProGAN" if function == "G_paper" else "StyleGAN1"
        raise CheckpointError(
            f"it is a {kind} generator (or one that grows), not StyleGAN2; supported: StyleGAN2 "
            "with skip architecture (configurations E and F, and ADA)"
        )
    if any("LabelConcat" in name for name in variables):
        raise CheckpointError(
            "its labels enter as in the first StyleGAN2 code (LabelConcat); supported: classes "
            "as in StyleGAN2-ADA"
        )


def _matrix(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(1, 0)


def _kernel(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(3, 2, 0, 1)


def _turned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flip(2, 3)


def _plus_one(tensor: torch.Tensor) -> torch.Tensor:
    return tensor + 1


def _first(tensor: torch.Tensor) -> torch.Tensor:
    return tensor[0]


#: End of one of their names -> end of ours, how it is seen, what is done to the numbers.
_IN_LAYER: dict[str, tuple[str, tuple[Change, ...], Change | None]] = {
    "weight": ("weight", (_kernel,), None),
    "bias": ("bias", (), None),
    "mod_weight": ("affine.weight", (_matrix,), None),
    "mod_bias": ("affine.bias", (), _plus_one),
    "noise_strength": ("noise_strength", (), None),
}
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}


def _place(name: str) -> tuple[str, tuple[Change, ...], Change | None] | None:
    """Our name and the way there; None for what training kept beside the weights."""
    if name == "dlatent_avg":
        return "mapping.w_avg", (), None
    if found := re.fullmatch(r"mapping/(Dense(\d{1,2})|LabelEmbed)/(weight|bias)", name):
        layer = "embed" if found[2] is None else f"fc{int(found[2])}"
        return f"mapping.{layer}.{found[3]}", (_matrix,) if found[3] == "weight" else (), None
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", (_first,), None
    if found := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        index = int(found[1])
        side = 4 if index == 0 else 2 ** ((index + 1) // 2 + 2)
        layer = "conv1" if index == 0 else f"conv{(index + 1) % 2}"
        return f"synthesis.b{side}.{layer}.noise_const", (_first, _first), None
    if found := re.fullmatch(r"synthesis/(\d{1,5})x\1/(\w+)/(\w+)", name):
        side, layer, rest = found.groups()
        if layer in _LAYERS and rest in _IN_LAYER:
            new, changes, finish = _IN_LAYER[rest]
            finish = _turned if (layer, rest) == ("Conv0_up", "weight") else finish
            return f"synthesis.b{int(side)}.{_LAYERS[layer]}.{new}", changes, finish
    return None
