"""Portraits in bulk: batches of the size that suits the machine, compiled where that pays."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.factors import Factors
from l2l_widgets.faceworld.render import draw, landmarks, march_rays, shade_rays

#: Rays in one batch. Without the compiler every step of the renderer goes through memory, and a
#: larger batch falls out of the processor's cache and is many times slower;
#: compiled steps are fused and bear more; a graphics card wants all it can get.
RAYS = {"cpu": 65_536, "cpu compiled": 262_144, "cuda": 8_388_608}


def batch_size(resolution: int, device: str = "cpu", compiled: bool = False) -> int:
    """Portraits in one batch at two rays a pixel along each axis."""
    kind = torch.device(device).type
    rays = RAYS["cpu compiled" if compiled else "cpu"] if kind == "cpu" else RAYS["cuda"]
    return max(1, rays // (2 * resolution) ** 2)


def compiler_found() -> bool:
    """Whether there is a C++ compiler, which compiling for a CPU needs."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++", "cl")
    return any(shutil.which(name) for name in names if name)


def render_batches(
    factors: Factors, resolution: int, device: str = "cpu", compiled: bool = False
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Draw portraits, four rays a pixel, batch by batch.

    Parameters
    ----------
    factors : Factors
        Any number of portraits.
    resolution : int
        Picture size in pixels.
    device : str
        Where to compute.
    compiled : bool
        Compile the renderer first: minutes of set-up, then about four times the speed on a CPU.

    Yields
    ------
    image : Tensor, shape (b, 3, R, R), uint8
    mask : Tensor, shape (b, R, R), uint8
    landmarks : Tensor, shape (b, 68, 2), pixels
        All on the CPU; in order, and together every portrait once.
    """
    size = batch_size(resolution, device, compiled)
    march, shade = _compiled() if compiled else (march_rays, shade_rays)
    # the tails of exp(-x^2) are denormal numbers, which cost a processor a hundred times the time
    torch.set_flush_denormal(True)
    try:
        for start in range(0, len(factors), size):
            rows = factors[start : start + size]
            count = len(rows)
            if compiled and count < size:  # one shape, or it would compile anew
                rows = rows[torch.arange(size).clamp_max(count - 1)]
            with torch.inference_mode():
                natural = Factors(rows.latents.to(device), rows.gated).natural()
                rgb, mask = draw(natural, resolution * 2, march, shade)[:2]
                rgb = (F.avg_pool2d(rgb, 2) * 255).round().clamp(0, 255).to(torch.uint8)
                points = landmarks(natural, resolution)
                out = (rgb, mask[:, 1::2, 1::2], points)
            yield tuple(t[:count].cpu().contiguous() for t in out)  # type: ignore[misc]
    finally:
        torch.set_flush_denormal(False)


@functools.lru_cache(maxsize=1)
def _compiled() -> tuple[Callable, Callable]:
    return torch.compile(march_rays, dynamic=False), torch.compile(shade_rays, dynamic=False)
