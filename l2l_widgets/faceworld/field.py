"""Building blocks of the renderer: blends, signed distances and colours.

Coordinates and distances are (B, H, W) tensors; colours are (3, B, H, W), or broadcastable, so that
a coverage of shape (B, H, W) blends them directly.
"""

from __future__ import annotations

import torch
from torch import Tensor


def smoothstep(a: float | Tensor, b: float | Tensor, x: Tensor) -> Tensor:
    """0 at ``a``, 1 at ``b`` (which may lie below ``a``), smooth between."""
    t = ((x - a) / (b - a)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Tensor | float, b: Tensor | float, t: Tensor) -> Tensor:
    """Linear blend, ``a`` at 0 and ``b`` at 1."""
    return a + (b - a) * t


def smooth_min(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Union of two distances, rounded over a width ``k``."""
    h = (k - (a - b).abs()).clamp_min(0) / k
    return torch.minimum(a, b) - h * h * (k * 0.25)


def smooth_max(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Intersection of two distances, rounded over a width ``k``."""
    return -smooth_min(-a, -b, k)


def bump(x: Tensor, y: Tensor, sx: float | Tensor, sy: float | Tensor) -> Tensor:
    """A Gaussian hill, 1 at the origin."""
    return torch.exp(-(x * x / (sx * sx) + y * y / (sy * sy)))


def ellipsoid(
    x: Tensor, y: Tensor, z: Tensor, rx: float | Tensor, ry: float | Tensor, rz: float | Tensor
) -> Tensor:
    """Approximate distance to an ellipsoid at the origin."""
    x, y, z = x / rx, y / ry, z / rz
    k0 = (x * x + y * y + z * z + 1e-6).sqrt()
    x, y, z = x / rx, y / ry, z / rz
    return k0 * (k0 - 1) / (x * x + y * y + z * z + 1e-6).sqrt()


def sphere(x: Tensor, y: Tensor, z: Tensor, radius: float | Tensor) -> Tensor:
    """Distance to a sphere at the origin."""
    return (x * x + y * y + z * z + 1e-6).sqrt() - radius


def colour(r: float, g: float, b: float, like: Tensor) -> Tensor:
    """A constant colour, (3, 1, 1, 1)."""
    return torch.tensor([r, g, b], dtype=like.dtype, device=like.device).view(3, 1, 1, 1)


def ramp(x: Tensor, stops: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Piecewise linear colour of ``x`` in [0, 1]; (B, 1, 1) -> (3, B, 1, 1)."""
    steps = len(stops) - 1
    out = colour(*stops[0], x).expand(3, *x.shape)
    for i in range(steps):
        change = colour(*stops[i + 1], x) - colour(*stops[i], x)
        out = out + change * (x * steps - i).clamp(0, 1)
    return out


def hsv(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """Hue (wraps at 1), saturation, value -> colour, (3, ...)."""

    def channel(n: float) -> Tensor:
        k = (n + h * 6) % 6
        return v - v * s * torch.minimum(torch.minimum(k, 4 - k), torch.ones_like(k)).clamp(0, 1)

    return torch.stack([channel(5.0), channel(3.0), channel(1.0)])
