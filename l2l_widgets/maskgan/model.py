"""MaskGAN (Lee et al., CVPR 2020) as one thing: networks together, in one file, with one method.

``MaskGAN.paint`` draws a face again with the parts of an edited mask. The blender takes part in
training only; it travels in the file so that training can go on from it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.maskgan.mask_vae import MaskVAE, MaskVAEConfig
from l2l_widgets.maskgan.networks import AlphaBlender, DenseMappingNetwork, MappingConfig
from l2l_widgets.masks import check_mask, one_hot
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

FORMAT = "l2l-maskgan/1"
#: File of the whole, and of what is trained before it, in a folder of weights.
WHOLE, MAPPING, VAE = "maskgan.safetensors", "dense_mapping.safetensors", "mask_vae.safetensors"


class MaskGAN(nn.Module):
    """A Dense Mapping Network, and beside it a MaskVAE and a blender where there are any.

    Parameters
    ----------
    mapping : DenseMappingNetwork
        Draws.
    vae : MaskVAE, optional
        Walks between masks.
    blender : AlphaBlender, optional
        Only for training.
    """

    def __init__(
        self,
        mapping: DenseMappingNetwork | None = None,
        vae: MaskVAE | None = None,
        blender: AlphaBlender | None = None,
    ) -> None:
        super().__init__()
        self.mapping, self.vae, self.blender = mapping, vae, blender

    @property
    def resolution(self) -> int:
        """Side of its pictures and masks in pixels."""
        if self.mapping is not None:
            return self.mapping.config.resolution
        if self.vae is not None:
            return self.vae.config.resolution
        raise ValueError("these weights hold neither a mapping nor a MaskVAE; nothing has a size")

    @torch.no_grad()
    def paint(
        self,
        image: Tensor,
        mask: Tensor,
        image_mask: Tensor,
    ) -> Tensor:
        """Draw a face with the parts of ``mask`` in the style of a picture.

        Parameters
        ----------
        image : Tensor, shape (3, R, R) or (B, 3, R, R)
            RGB in [-1, 1]: whose style is taken. Another person's picture copies the style.
        mask : Tensor, shape (R, R) or (B, R, R), whole numbers
            The mask to obey.
        image_mask : Tensor, of the same shape
            The mask of ``image``.

        Returns
        -------
        Tensor, shape as ``image``
            RGB in [-1, 1].

        Raises
        ------
        ValueError
            Another size or number of pictures, or a mask that is none.
        """
        if self.mapping is None:
            raise ValueError("these weights hold no mapping; train it: l2l train dense-mapping")
        side = self.resolution
        batch = image[None] if image.ndim == 3 else image
        if batch.ndim != 4 or tuple(batch.shape[1:]) != (3, side, side):
            raise ValueError(
                f"image has shape {tuple(image.shape)}; allowed: (3, {side}, {side}), or a batch"
            )
        own = next(self.mapping.parameters())
        planes = [
            one_hot(_batch(check_mask(m, side, name)).to(own.device)).to(own.dtype)
            for m, name in ((mask, "mask"), (image_mask, "image_mask"))
        ]
        counts = {len(batch), *(len(p) for p in planes)}
        if len(counts) != 1:
            raise ValueError(
                f"there are {len(batch)} pictures, {len(planes[0])} masks and {len(planes[1])} "
                "masks of pictures; allowed: as many of each"
            )
        out = self.mapping(planes[0], planes[1], batch.to(own)).float()
        return out[0] if image.ndim == 3 else out

    def between(self, first: Tensor, second: Tensor, shares: Tensor, exact: bool = False) -> Tensor:
        """As :meth:`MaskVAE.between`; ValueError where these weights have no MaskVAE."""
        if self.vae is None:
            raise ValueError("these weights hold no MaskVAE; train it: l2l train mask-vae")
        side = self.vae.config.resolution
        first, second = check_mask(first, side, "first"), check_mask(second, side, "second")
        return self.vae.between(first, second, shares, exact)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as one safetensors file, in half precision."""
        config: dict[str, Any] = {}
        if self.mapping is not None:
            config["mapping"] = asdict(self.mapping.config)
        if self.vae is not None:
            config["vae"] = asdict(self.vae.config)
        if self.blender is not None:
            config["blender"] = self.blender.config
        tensors = {
            k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()
        }
        save_safetensors(path, tensors, {"format": FORMAT, "config": json.dumps(config)})

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> MaskGAN:
        """Read what :meth:`save` wrote; in eval mode, without gradients.

        Raises
        ------
        StorageError
            Missing, damaged, or something else.
        """
        tensors, metadata = load_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise StorageError(
                f"{str(Path(path))!r} is no MaskGAN of this package: its metadata field 'format' "
                f"is {metadata.get('format')!r}, wanted {FORMAT!r}"
            )
        try:
            config = json.loads(metadata["config"])
            if not isinstance(config, dict):
                raise ValueError(f"config is a JSON {type(config).__name__}; wanted: an object")
            own = config.get("mapping")
            mapping = None if own is None else DenseMappingNetwork(MappingConfig(**own))
            own = config.get("vae")
            vae = None if own is None else MaskVAE(MaskVAEConfig(**own))
            own = config.get("blender")
            network = cls(mapping, vae, None if own is None else AlphaBlender(**own))
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise StorageError(
                f"{str(Path(path))!r} does not build its network: {first}"
            ) from error
        return network.eval().requires_grad_(False).to(device)


def _batch(mask: Tensor) -> Tensor:
    return mask[None] if mask.ndim == 2 else mask
