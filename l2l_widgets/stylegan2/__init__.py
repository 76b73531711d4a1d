"""StyleGAN2 in plain PyTorch, quick on a CPU.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN". Module names,
`state_dict` keys and numbers follow the official PyTorch code; weights move between the two. The
discriminator is in `l2l_widgets.stylegan2.discriminator`.
"""

from __future__ import annotations

from l2l_widgets.stylegan2.generator import (
    Generator,
    load_generator,
    path_lengths,
    save_generator,
)
from l2l_widgets.stylegan2.interactive import InteractiveDrawing
from l2l_widgets.stylegan2.layers import Conv2dLayer, FullyConnectedLayer
from l2l_widgets.stylegan2.mapping import MappingNetwork
from l2l_widgets.stylegan2.restart import PassMemory
from l2l_widgets.stylegan2.synthesis import (
    SynthesisBlock,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGBLayer,
)

__all__ = [
    "Conv2dLayer",
    "FullyConnectedLayer",
    "Generator",
    "InteractiveDrawing",
    "MappingNetwork",
    "PassMemory",
    "SynthesisBlock",
    "SynthesisLayer",
    "SynthesisNetwork",
    "ToRGBLayer",
    "load_generator",
    "path_lengths",
    "save_generator",
]
