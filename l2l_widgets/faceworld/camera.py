"""The orthographic camera: where rays run, and how the head is turned before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EXTENT = 1.42  # half height of the picture in head units
CENTRE_Y = -0.09  # head height at the picture's centre
PIVOT = (0.0, -0.30, -0.10)  # the neck joint, about which the head turns


#: Depth where a ray meets nothing, head units towards the viewer (all that is met lies before it).
BACKGROUND_DEPTH = -2.0


@dataclass
class View:
    """Camera rays: plane coordinates u (right) and v (up), the head's rotation (B, 3, 3)."""

    rotation: Tensor
    u: Tensor
    v: Tensor

    def head(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Camera points (u, v, t) in head space."""
        u, v, t = self.u - PIVOT[0], self.v - PIVOT[1], t - PIVOT[2]
        r = self.rotation[:, :, :, None, None]
        x, y, z = (r[:, 0, j] * u + r[:, 1, j] * v + r[:, 2, j] * t + PIVOT[j] for j in range(3))
        return x, y, z

    def camera(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """Head point (B, 1, 1) in camera space."""
        x, y, z = x - PIVOT[0], y - PIVOT[1], z - PIVOT[2]
        r = self.rotation[:, :, :, None, None]
        return tuple(r[:, i, 0] * x + r[:, i, 1] * y + r[:, i, 2] * z + PIVOT[i] for i in range(3))


def without_strays(t: Tensor, least: float = 0.03) -> Tensor:
    """Depth without rays that ended elsewhere than those on both sides of them, by ``least``."""
    for axis in (1, 2):
        n = t.shape[axis]
        a, b, c = t.narrow(axis, 0, n - 2), t.narrow(axis, 1, n - 2), t.narrow(axis, 2, n - 2)
        middle = torch.maximum(torch.minimum(a, c), torch.minimum(torch.maximum(a, c), b))
        middle = torch.where((middle - b).abs() > least, middle, b)
        t = torch.cat([t.narrow(axis, 0, 1), middle, t.narrow(axis, n - 1, 1)], axis)
    return t


def smooth_grazed(t: Tensor, upright: Tensor) -> Tensor:
    """Depth averaged with its neighbours where rays graze a surface.

    There the last steps leave errors of a ray's width, which would speckle the shading. ``upright``
    is the normal's part towards the viewer; edges, where depth jumps, are kept.
    """
    d = t[:, None]
    mean = F.avg_pool2d(d, 3, 1, 1, count_include_pad=False)[:, 0]
    jump = (F.max_pool2d(d, 3, 1, 1) + F.max_pool2d(-d, 3, 1, 1))[:, 0]
    share = ((0.60 - upright) * 4).clamp(0, 1) * ((0.20 - jump) * 20).clamp(0, 1)
    return t + (mean - t) * share


def surface_normals(t: Tensor, spacing: float) -> Tensor:
    """Unit normals of a depth map, (3, B, H, W).

    On either axis the side over which depth changes less weighs more, so that a silhouette does not
    bend the normals of what stands before it.
    """

    def slope(axis: int) -> Tensor:
        step = t.diff(dim=axis)
        pad = (1, 1) if axis == 2 else (0, 0, 1, 1)
        step = F.pad(step, pad)
        n = t.shape[axis]
        before, after = step.narrow(axis, 0, n), step.narrow(axis, 1, n)
        # a border has one side only
        edge = torch.zeros(n, dtype=t.dtype, device=t.device)
        edge = edge.index_fill(0, torch.tensor([0], device=t.device), 1e6)
        shape = (1, 1, n) if axis == 2 else (1, n, 1)
        floor = 0.02 * spacing * spacing
        a = 1 / (before * before + floor + edge.view(shape))
        b = 1 / (after * after + floor + edge.flip(0).view(shape))
        return (a * before + b * after) / (a + b)

    across, down = slope(2) / spacing, slope(1) / spacing
    scale = torch.rsqrt(across * across + down * down + 1)
    return torch.stack([-across * scale, down * scale, scale])


def plane(rays: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Plane coordinates u (1, 1, rays) and v (1, rays, 1) of the rays."""
    c = (torch.arange(rays, device=like.device, dtype=like.dtype) + 0.5) / rays * 2 - 1
    return (c * EXTENT)[None, None, :], (-c * EXTENT)[None, :, None] + CENTRE_Y


def head_rotation(p: dict[str, Tensor]) -> Tensor:
    """Roll, then pitch, then yaw, (B, 3, 3); positive yaw turns to the picture's right."""
    cy, sy, cp, sp = p["yaw"].cos(), p["yaw"].sin(), p["pitch"].cos(), -p["pitch"].sin()
    cr, sr = p["roll"].cos(), p["roll"].sin()
    one, zero = torch.ones_like(cy), torch.zeros_like(cy)
    ry = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).view(-1, 3, 3)
    rx = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], -1).view(-1, 3, 3)
    rz = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return rz @ rx @ ry
