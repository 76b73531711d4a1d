"""MaskGAN (Lee et al., CVPR 2020): faces changed by painting the mask of their parts.

``networks`` has the Dense Mapping Network and the Alpha Blender, ``mask_vae`` the MaskVAE,
``objective`` the losses, ``model`` all of it in one file; ``celebamask_hq`` reads the data set,
``celebamask_report`` looks through it, ``part_files`` opens its files one by one.
"""

from __future__ import annotations

from l2l_widgets.maskgan.mask_vae import MaskVAE, MaskVAEConfig, divergence
from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.maskgan.networks import AlphaBlender, DenseMappingNetwork, MappingConfig
from l2l_widgets.maskgan.objective import VGG19, MultiscaleDiscriminator, PerceptualLoss

__all__ = [
    "VGG19",
    "AlphaBlender",
    "DenseMappingNetwork",
    "MappingConfig",
    "MaskGAN",
    "MaskVAE",
    "MaskVAEConfig",
    "MultiscaleDiscriminator",
    "PerceptualLoss",
    "divergence",
]
