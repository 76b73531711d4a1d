"""A generator that the package has never seen, as another code base writes it, and its judges.

32 px, w of 48, three classes: none of these is the embedded generator's. Its pictures are blots of
colour; each class lies in its own part of the colours, so that a class that was lost on the way is
seen.
"""

from __future__ import annotations

import numpy as np
import torch

from tests import checkpoint_files as files
from tests.test_judges import declare, write_network

SIDE, W_DIM, CLASSES = 32, 48, 3

READS = """
kind = "attributes"
file = "colours.onnx"
size = 16
range = [-1.0, 1.0]
outputs = "logits"
about = "mean colours"
[attributes]
redness = 0
greenness = 1
blueness = {column = 2, low = -1, high = 1}
[table.redness]
label = "Red"
family = "colour"
"""
KNOWS = 'kind = "identity"\nfile = "who.onnx"\nsize = 16\nrange = [-1.0, 1.0]\n'


def foreign_generator(classes=CLASSES, seed=5):
    """Random, but with strong colours: what it draws can be read and edited."""
    generator = files.make_generator(
        seed, SIDE, z_dim=24, w_dim=W_DIM, c_dim=classes, channel_base=256, channel_max=16
    )
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "torgb" in name and name.endswith("weight"):
                parameter.mul_(2)
            if "torgb" in name and name.endswith("affine.weight"):
                parameter.mul_(3)
        z = torch.randn(512, 24, generator=torch.Generator().manual_seed(1))
        c = torch.eye(classes)[torch.arange(512) % classes] if classes else None
        generator.mapping.w_avg.copy_(generator.mapping(z, c=c)[:, 0].mean(0))
    return generator


def write_foreign(folder, classes=CLASSES):
    """The generator as an official pickle, and an attribute and an identity judge.

    Returns the generator's file and the two declarations.
    """
    path = folder / ("dogs.pkl" if classes else "blots.pkl")
    path.write_bytes(files.nvlabs_bytes(foreign_generator(classes)))
    return path, *write_judges(folder)


def write_judges(folder):
    """An attribute and an identity judge of colours; returns their declarations."""
    write_network(folder / "colours.onnx", np.eye(3) * [[3], [3], [1]], 16)
    write_network(folder / "who.onnx", np.random.default_rng(1).normal(size=(3, 6)), 16)
    return declare(folder, READS, "colours.toml"), declare(folder, KNOWS, "who.toml")
