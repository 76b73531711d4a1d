"""Pickles of NVIDIA's PyTorch code: StyleGAN2-ADA, and StyleGAN2 networks of the StyleGAN3 code.

A dictionary of ``G``, ``D``, ``G_ema`` and settings. Each module is a record of
``torch_utils.persistence._reconstruct_persistent_obj`` with its class's name, its whole source text
(which the official reader executes, and which is stepped over here) and its attributes; a tensor's
storage is a file of torch.save inside a string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from l2l_widgets.checkpoints.networks import FoundGenerator
from l2l_widgets.checkpoints.pickle_data import Budget
from l2l_widgets.checkpoints.records import Call, mapping
from l2l_widgets.checkpoints.source import CheckpointError, brief
from l2l_widgets.checkpoints.tensors import (
    MAX_TENSORS,
    FileTensor,
    NestedStorages,
    numpy_scalar,
    torch_tensor,
)

__all__ = ["is_nvlabs", "read_nvlabs", "refuse_relatives"]

MAX_MODULES = 2000
MAX_DEPTH = 12


def is_nvlabs(value: Any) -> bool:
    """Whether what a pickle holds has this layout, be it of a supported network or not."""
    if _is_module(value):
        return True
    return type(value) is dict and any(_is_module(item) for item in value.values())


def read_nvlabs(value: Any, budget: Budget) -> FoundGenerator:
    """Find the generator; of its neighbours nothing is decoded."""
    networks = value if type(value) is dict else {"G_ema": value}
    names = tuple(str(key) for key, item in networks.items() if _is_module(item))
    network = next((name for name in ("G_ema", "G") if name in names), None)
    if network is None:
        raise CheckpointError(
            f"it holds {', '.join(names)} and no generator (a discriminator alone draws nothing); "
            "supported: pickles with 'G_ema' or 'G'"
        )
    root = networks[network]
    refuse_relatives(root)
    found = FoundGenerator("nvlabs", {}, network=network, networks=names)
    if network != "G_ema":
        found.notes.append("the file has no 'G_ema': 'G' was read, without its running average")
    storages = NestedStorages(budget)
    attributes: dict[str, dict[Any, Any]] = {}
    for path, state in _modules(root):
        attributes[path] = state
        for place in ("_parameters", "_buffers"):
            for name, record in mapping(state.get(place, {}), f"{path}.{place}").items():
                if record is None:
                    continue
                if len(found.tensors) + len(found.filters) >= MAX_TENSORS:
                    raise CheckpointError(f"more than {MAX_TENSORS} tensors are in it")
                full = f"{path}.{name}" if path else str(name)
                tensor = torch_tensor(record, storages, f"tensor {full[:120]!r}")
                if full.endswith("resample_filter"):
                    found.filters.append(tensor)
                else:
                    found.tensors[full] = tensor
    found.options = _options(attributes)
    _add_sizes(root, found.options)
    return found


def refuse_relatives(root: Any) -> None:
    """Name a StyleGAN3 (or another relative) instead of listing tensors that it lacks."""
    if "Generator" not in _class_name(root):
        raise CheckpointError(
            f"its generator is of class {brief(_class_name(root))}; supported: StyleGAN2's"
        )
    children = mapping(_state(root).get("_modules", {}), "_modules")
    synthesis: Any = children.get("synthesis")
    if not _is_module(synthesis):
        raise CheckpointError("its generator has no synthesis network: no StyleGAN2")
    blocks = mapping(_state(synthesis).get("_modules", {}), "_modules")
    if "input" in blocks or any(str(name).startswith("L0_") for name in blocks):
        raise CheckpointError(
            "it is a StyleGAN3 generator (alias-free layers); supported: StyleGAN2, as trained by "
            "stylegan2-ada-pytorch or by the StyleGAN3 code with --cfg=stylegan2"
        )
    if "b4" not in blocks:
        raise CheckpointError(
            f"its synthesis network has {[str(name)[:20] for name in list(blocks)[:4]]} and no "
            "'b4': no StyleGAN2"
        )


def _is_module(value: Any) -> bool:
    return isinstance(value, Call) and value.name.name == "_reconstruct_persistent_obj"


def _meta(module: Call) -> dict[Any, Any]:
    if type(module.args) is not tuple or len(module.args) != 1:
        raise CheckpointError("a module without its description")
    return mapping(module.args[0], "a module's description")


def _class_name(module: Call) -> str:
    name = _meta(module).get("class_name")
    return name if type(name) is str else ""


def _state(module: Call) -> dict[Any, Any]:
    return mapping(_meta(module).get("state"), "a module's state")


def _modules(root: Call) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Every module with its path; a file whose modules contain each other comes to an end."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    count = 0
    while waiting:
        path, module, depth = waiting.pop()
        count += 1
        if count > MAX_MODULES or depth > MAX_DEPTH:
            raise CheckpointError("its modules contain each other, or are more than a G has")
        state = _state(module)
        yield path, state
        children = mapping(state.get("_modules", {}), f"{path[:120]}._modules")
        for name, child in reversed(children.items()):
            if child is None:
                continue
            if not _is_module(child) or type(name) is not str or len(name) > 60:
                raise CheckpointError(f"module {brief(name)} is {brief(child)}")
            waiting.append((f"{path}.{name}" if path else name, child, depth + 1))


def _options(attributes: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    """What shapes do not tell, from the attributes of the modules that use it."""
    options: dict[str, Any] = {}
    clamps = set()
    for path, state in attributes.items():
        if "conv_clamp" in state and "affine" in mapping(state.get("_modules", {}), path):
            clamps.add(_number(state["conv_clamp"], f"{path}.conv_clamp"))
        kind = state.get("architecture", "skip")
        if type(kind) is not str or kind != "skip":
            raise CheckpointError(f"architecture is {brief(kind)}; only 'skip' is supported")
        kind = state.get("activation", "lrelu")
        if type(kind) is not str or kind not in ("lrelu", "linear"):
            raise CheckpointError(f"{path}.activation is {brief(kind)}; supported: 'lrelu'")
    if len(clamps) > 1:
        raise CheckpointError(f"conv_clamp differs from layer to layer: {sorted(map(str, clamps))}")
    options["conv_clamp"] = next(iter(clamps), None)
    first = attributes.get("mapping.fc0", {})
    rate = _number(first.get("bias_gain", 0.01), "mapping.fc0.bias_gain")
    options["lr_multiplier"] = 0.01 if rate is None else rate
    if "w_avg_beta" in attributes.get("mapping", {}):
        options["w_avg_beta"] = _number(attributes["mapping"]["w_avg_beta"], "mapping.w_avg_beta")
    return options


def _number(value: Any, what: str) -> float | None:
    value = numpy_scalar(value)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < 1e9:
        raise CheckpointError(f"{what} is {brief(value)}; allowed: a positive number, or none")
    return float(value)


def _add_sizes(root: Call, options: dict[str, Any]) -> None:
    """The channels as the file was configured; nested in one code base, flat in the other."""
    kwargs = _state(root).get("_init_kwargs")
    try:
        plain = mapping(kwargs, "_init_kwargs")
        nested = plain.get("synthesis_kwargs", {})
        both = {**plain, **mapping(nested, "synthesis_kwargs")}
    except CheckpointError:
        return  # shapes tell enough
    for name in ("channel_base", "channel_max"):
        value = numpy_scalar(both.get(name))
        if type(value) is int:
            options[name] = value


def state_tensors(state: dict[Any, Any], storages: Any) -> dict[str, FileTensor]:
    """The tensors of a saved ``state_dict``, by name; what is no tensor is left out."""
    if len(state) > MAX_TENSORS:
        raise CheckpointError(f"more than {MAX_TENSORS} tensors are in it")
    return {
        name: torch_tensor(record, storages, f"tensor {brief(name)}")
        for name, record in state.items()
        if type(name) is str and isinstance(record, Call)
    }
