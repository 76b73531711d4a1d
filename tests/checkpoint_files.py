"""Writes a generator of ours as the other code bases write theirs, with classes of their names.

Real pickles by the real `pickle` and `torch.save`: what differs from an official file is the text
of the source that the official classes carry along, and the weights.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import torch

from l2l_widgets.stylegan2 import Generator
from l2l_widgets.stylegan2.layers import (
    Conv2dLayer,
    FullyConnectedLayer,
)
from l2l_widgets.stylegan2.mapping import MappingNetwork
from l2l_widgets.stylegan2.synthesis import (
    SynthesisBlock,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGBLayer,
)

SOURCE_TEXT = "raise SystemError('the source text of a checkpoint was executed')\n" * 60


def make_generator(seed=0, side=16, **options):
    """A small generator without a zero anywhere; affine biases survive the TensorFlow layout."""
    mapping = {"num_layers": 2, **options.pop("mapping", {})}
    arguments = {"z_dim": 8, "c_dim": 0, "w_dim": 12, "channel_base": 128, "channel_max": 8}
    arguments.update(options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(img_resolution=side, mapping_kwargs=mapping, **arguments)
        fill(generator)
    return generator.eval().requires_grad_(False)


def fill(generator):
    with torch.no_grad():
        if hasattr(generator.mapping, "w_avg"):
            generator.mapping.w_avg.normal_()
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name.endswith("affine.bias"):
                # TensorFlow stores them less one: numbers that survive the way there and back
                parameter.copy_(parameter.mul(2**16).round().div(2**16))


# -- NVIDIA's PyTorch code -------------------------------------------------------------------------


class _Persistent:
    """A module as `torch_utils.persistence` pickles it."""

    def __init__(self, class_name, state):
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE_TEXT,
            "class_name": self.class_name,
            "state": self.state,
        }
        return function, (meta,)


def _reconstruct_persistent_obj(meta):
    raise AssertionError("a checkpoint was executed")


class EasyDict(dict):
    pass


class Network:
    def __getstate__(self):
        return self.__dict__

    def __setstate__(self, state):
        raise AssertionError("a checkpoint was executed")


@contextlib.contextmanager
def fake_modules():
    """The other code bases' names, importable while a file is written."""
    persistence = types.ModuleType("torch_utils.persistence")
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    util = types.ModuleType("dnnlib.util")
    util.EasyDict = EasyDict
    network = types.ModuleType("dnnlib.tflib.network")
    network.Network = Network
    packages = ("torch_utils", "dnnlib", "dnnlib.tflib")
    fakes = {name: types.ModuleType(name) for name in packages}
    for module in (persistence, util, network):
        fakes[module.__name__] = module
    homes = {_reconstruct_persistent_obj: persistence, EasyDict: util, Network: network}
    before = {thing: thing.__module__ for thing in homes}
    for thing, module in homes.items():
        thing.__module__ = module.__name__
    sys.modules.update(fakes)
    try:
        yield
    finally:
        for thing, name in before.items():
            thing.__module__ = name
        for name in fakes:
            del sys.modules[name]


ATTRIBUTES = {
    Generator: ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "num_ws"),
    MappingNetwork: ("z_dim", "c_dim", "w_dim", "num_ws", "num_layers", "w_avg_beta"),
    SynthesisNetwork: ("w_dim", "img_resolution", "img_channels", "num_ws", "block_resolutions"),
    SynthesisBlock: ("in_channels", "resolution"),
    SynthesisLayer: ("resolution", "up", "use_noise", "conv_clamp"),
    ToRGBLayer: ("conv_clamp", "weight_gain"),
    FullyConnectedLayer: ("activation", "weight_gain", "bias_gain"),
    Conv2dLayer: ("activation", "down", "conv_clamp", "weight_gain"),
}


def persistent(module, kwargs=None, fp16_sides=()):
    """A module of ours as a module of theirs."""
    state = {"training": False, "_parameters": OrderedDict(), "_buffers": OrderedDict()}
    state["_non_persistent_buffers_set"] = set()
    state["_backward_hooks"] = OrderedDict()
    last = isinstance(module, SynthesisBlock) and module.resolution in fp16_sides
    for place in ("_parameters", "_buffers"):
        for name, tensor in getattr(module, place).items():
            if tensor is not None and tensor.ndim == 4 and fp16_sides and name == "weight":
                # blocks in half precision keep their weights with channels last
                tensor = type(tensor)(tensor.detach().to(memory_format=torch.channels_last))
            state[place][name] = tensor
    state["_modules"] = OrderedDict(
        (name, persistent(child, fp16_sides=fp16_sides)) for name, child in module.named_children()
    )
    for kind, names in ATTRIBUTES.items():
        if isinstance(module, kind):
            state.update({name: getattr(module, name) for name in names})
    if "weight_gain" in state:
        state["weight_gain"] = np.float64(state["weight_gain"])  # as their code has it
    if isinstance(module, SynthesisBlock):
        state.update(architecture="skip", use_fp16=last, channels_last=last)
    if isinstance(module, SynthesisLayer):
        state["activation"] = "lrelu"
    if kwargs is not None:
        state.update(_init_args=(), _init_kwargs=kwargs)
    return _Persistent(type(module).__name__, state)


def discriminator():
    """Something that has the shape of a discriminator's record, and storages that are garbage."""
    layer = torch.nn.Linear(3, 2)
    state = {"_parameters": OrderedDict(layer._parameters), "_modules": OrderedDict()}
    return _Persistent("Discriminator", state)


def nvlabs_bytes(generator, protocol=3, flat=False, fp16_sides=(), keys=("G", "D", "G_ema")):
    """A pickle of stylegan2-ada-pytorch; `flat`: of the stylegan3 repository."""
    with fake_modules():
        config = dict(generator.config)
        mapping = EasyDict(config.pop("mapping_kwargs"))
        synthesis = {
            name: config.pop(name)
            for name in ("channel_base", "channel_max", "conv_clamp")
            if name in config
        }
        kwargs = EasyDict(config, mapping_kwargs=mapping)
        kwargs.update(synthesis if flat else {"synthesis_kwargs": EasyDict(synthesis)})
        whole = {"training_set_kwargs": EasyDict(path="/data/faces.zip", resolution=16)}
        for key in keys:
            whole[key] = (
                discriminator() if key == "D" else persistent(generator, kwargs, fp16_sides)
            )
        whole["augment_pipe"] = None
        return pickle.dumps(whole, protocol=protocol)


# -- NVIDIA's TensorFlow code ----------------------------------------------------------------------


def tensorflow_variables(generator):
    """(mapping, synthesis) as name -> array, transposed as TensorFlow has them."""
    state = {n: t.numpy().copy() for n, t in generator.state_dict().items()}
    mapping, synthesis = {}, {}
    for index in range(generator.mapping.num_layers):
        mapping[f"Dense{index}/weight"] = state[f"mapping.fc{index}.weight"].T
        mapping[f"Dense{index}/bias"] = state[f"mapping.fc{index}.bias"]
    if generator.c_dim:
        mapping["LabelEmbed/weight"] = state["mapping.embed.weight"].T
        mapping["LabelEmbed/bias"] = state["mapping.embed.bias"]
    number = 0
    for side in generator.synthesis.block_resolutions:
        layers = {"conv0": "Conv0_up", "conv1": "Conv1" if side > 4 else "Conv", "torgb": "ToRGB"}
        if side == 4:
            del layers["conv0"]
            synthesis["4x4/Const/const"] = state["synthesis.b4.const"][None]
        for ours, theirs in layers.items():
            at, to = f"synthesis.b{side}.{ours}", f"{side}x{side}/{theirs}"
            weight = state[f"{at}.weight"].transpose(2, 3, 1, 0)
            synthesis[f"{to}/weight"] = weight[::-1, ::-1] if ours == "conv0" else weight
            synthesis[f"{to}/bias"] = state[f"{at}.bias"]
            synthesis[f"{to}/mod_weight"] = state[f"{at}.affine.weight"].T
            synthesis[f"{to}/mod_bias"] = state[f"{at}.affine.bias"] - 1
            if ours != "torgb":
                synthesis[f"{to}/noise_strength"] = state[f"{at}.noise_strength"]
                synthesis[f"noise{number}"] = state[f"{at}.noise_const"][None, None]
                number += 1
    return mapping, synthesis


def tensorflow_bytes(generator, protocol=4, version=4, function="G_main", extra=(), settings=None):
    """A pickle of the TensorFlow code: (G, D, Gs); `settings` in place of those it would have."""
    config = generator.config
    settings = settings or {
        "num_channels": 3,
        "resolution": config["img_resolution"],
        "label_size": config["c_dim"],
        "latent_size": config["z_dim"],
        "dlatent_size": config["w_dim"],
        "mapping_layers": generator.mapping.num_layers,
        "mapping_lrmul": generator.mapping.fc0.bias_gain,
        "fmap_base": config.get("channel_base", 32768) // 2,
        "fmap_max": config.get("channel_max", 512),
        "architecture": "skip",
        "resample_kernel": [1, 3, 3, 1],
        "conv_clamp": config.get("conv_clamp"),
        "truncation_psi": None,
    }

    def network(name, variables, components=(), kwargs=settings):
        made = Network()
        made.__dict__.update(
            version=version,
            name=name,
            static_kwargs=dict(kwargs),
            components=dict(components),
            build_module_src=SOURCE_TEXT,
            build_func_name=function if name in ("G", "Gs") else name,
            # sessions of TensorFlow give numbers for what has no dimensions
            variables=[
                (key, np.float32(value) if getattr(value, "ndim", None) == 0 else value)
                for key, value in variables.items()
            ],
        )
        return made

    mapping, synthesis = tensorflow_variables(generator)
    synthesis.update(extra)
    own = {"dlatent_avg": generator.w_avg.numpy()} if hasattr(generator.mapping, "w_avg") else {}

    def whole(name):
        parts = {
            "mapping": network("G_mapping", mapping, kwargs={}),
            "synthesis": network("G_synthesis", synthesis, kwargs={}),
        }
        return network(name, {"lod": np.float32(0), **own}, parts)

    with fake_modules():
        judge = network("D", {"8x8/Conv0/weight": np.zeros((3, 3, 2, 2), np.float32)}, kwargs={})
        return pickle.dumps((whole("G"), judge, whole("Gs")), protocol=protocol)


# -- rosinality's code -----------------------------------------------------------------------------


def rosinality_state(generator):
    """A state_dict with rosinality's names."""
    state = generator.state_dict()
    taps = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    out = OrderedDict()
    for index in range(generator.mapping.num_layers):
        out[f"style.{index + 1}.weight"] = state[f"mapping.fc{index}.weight"]
        out[f"style.{index + 1}.bias"] = state[f"mapping.fc{index}.bias"]
    out["input.input"] = state["synthesis.b4.const"][None]
    number = 0
    for place, side in enumerate(generator.synthesis.block_resolutions):
        layers = {"conv0": f"convs.{2 * place - 2}", "conv1": f"convs.{2 * place - 1}"}
        layers["torgb"] = f"to_rgbs.{place - 1}"
        if side == 4:
            layers = {"conv1": "conv1", "torgb": "to_rgb1"}
        for ours, theirs in layers.items():
            at = f"synthesis.b{side}.{ours}"
            out[f"{theirs}.conv.weight"] = state[f"{at}.weight"][None]
            out[f"{theirs}.conv.modulation.weight"] = state[f"{at}.affine.weight"]
            out[f"{theirs}.conv.modulation.bias"] = state[f"{at}.affine.bias"]
            if ours == "torgb":
                out[f"{theirs}.bias"] = state[f"{at}.bias"].reshape(1, -1, 1, 1)
                if side > 4:
                    out[f"{theirs}.upsample.kernel"] = taps.clone()
                continue
            out[f"{theirs}.activate.bias"] = state[f"{at}.bias"]
            out[f"{theirs}.noise.weight"] = state[f"{at}.noise_strength"].reshape(1)
            out[f"noises.noise_{number}"] = state[f"{at}.noise_const"][None, None]
            number += 1
            if ours == "conv0":
                out[f"{theirs}.conv.blur.kernel"] = taps.clone()
    return out


def rosinality_bytes(generator, zipped=True, average=True, training=False, keys=("g_ema",)):
    """A .pt of rosinality's; `training` adds what their train.py saves."""
    whole = {key: rosinality_state(generator) for key in keys if key != "d"}
    if "d" in keys or training:
        whole["d"] = torch.nn.Conv2d(2, 2, 3).state_dict()
    if training:
        # as Adam's state_dict() is; torch.optim itself takes seconds to import
        one = {"step": torch.tensor(1.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
        group = {"lr": 0.002, "betas": (0.0, 0.99), "weight_decay": 0, "params": [0]}
        whole["g_optim"] = {"state": {0: one}, "param_groups": [group]}
        whole["args"] = argparse.Namespace(path="faces.lmdb", iter=800000, r1=10.0, wandb=False)
        whole["ada_aug_p"] = 0.2
    if average:
        whole["latent_avg"] = generator.w_avg.clone()
    return torch_bytes(whole, zipped)


def torch_bytes(value, zipped=True):
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()
