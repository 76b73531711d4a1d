"""Light: a soft key with cast shadows, a fill, a rim from behind, and screen-space occlusion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.camera import EXTENT, View
from l2l_widgets.faceworld.field import mix, smoothstep
from l2l_widgets.faceworld.geometry import Shape

#: Distances along the light, head units, at which a shadow is looked for.
REACHES = (0.05, 0.10, 0.17, 0.26, 0.38, 0.55)


class Light:
    """Light at every ray.

    Attributes
    ----------
    facing : Tensor, shape (B, H, W)
        Cosine between normal and key light.
    occlusion, shadow : Tensor, shape (B, H, W)
        1 where open to the sky, and where the key light reaches.
    ambient, key : Tensor, shape (3, B, 1, 1)
        Colours of fill and key light.
    half : Tensor, shape (3, B, 1, 1)
        Direction half way between key light and viewer.
    mirror : Tensor, shape (B, H, W)
        Cosine between normal and half vector, for highlights.
    rim : Tensor, shape (B, H, W)
        Light from behind, strong at the edges.
    """

    def __init__(self, view: View, s: Shape, n: Tensor, cover: Tensor, depth: Tensor) -> None:
        q = s.q
        azimuth, elevation, self.soft = (
            q["light_azimuth"],
            q["light_elevation"],
            q["light_softness"],
        )
        self.direction = torch.stack([
            azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos(),
        ])  # fmt: skip
        # Rays that graze an edge would see the dark side of what is round: bend them to the viewer.
        bent = (1 - n[2]) ** 2
        n = torch.stack([n[0], n[1], n[2] + 0.45 * bent])
        n = n * torch.rsqrt((n * n).sum(0))
        self.normal = n
        self.facing = (n * self.direction).sum(0)
        self.occlusion, open_sky = _occlusion(cover, depth, n[2])
        self.shadow = 1 - (0.62 - 0.30 * self.soft) * _cast(view, self.direction, cover, depth)
        warm = q["key_warmth"] - 0.4
        self.key = torch.stack([1.0 + 0.08 * warm, 1 + 0 * warm, 1 - 0.14 * warm])
        self.key = self.key * (0.90 - 0.20 * self.soft)
        self.ambient = torch.stack([0.97 - 0.04 * warm, 0.98 + 0 * warm, 1.04 + 0.06 * warm])
        level = (0.35 + 0.20 * self.soft) * (1 + 0.22 * n[1])
        fill = 0.12 * (0.5 * n[2] - n[0] * self.direction[0]).clamp_min(0)
        self.sky = (level + fill) * self.occlusion
        half = self.direction + torch.tensor([0.0, 0.0, 1.0]).to(depth).view(3, 1, 1, 1)
        half = half * torch.rsqrt((half * half).sum(0))
        self.half = half
        self.mirror = (n * half).sum(0).clamp_min(0)
        # The rim stands behind the head on the side away from the key.
        away = torch.stack([-0.9 * azimuth.sin(), 0.45 + 0 * azimuth, -0.62 + 0 * azimuth])
        away = away * torch.rsqrt((away * away).sum(0))
        edge = 1 - n[2].clamp(0, 1)
        self.rim = (n * away).sum(0).clamp_min(0) * 0.95 * q["rim_light"] * self.occlusion
        self.rim = (self.rim + 0.05 * edge * edge * edge) * open_sky

    def diffuse(self, wrap: float | Tensor) -> Tensor:
        """Key light of a surface whose light reaches ``wrap`` beyond the terminator."""
        return ((self.facing + wrap) / (1 + wrap)).clamp_min(0) * self.shadow

    def on(self, wrap: Tensor) -> Tensor:
        """Light (3, B, H, W) on a surface of the given wrap, which may differ by colour."""
        return self.ambient * self.sky + self.key * self.diffuse(wrap) * (
            0.55 + 0.45 * self.occlusion
        )


def _shrink(a: Tensor, by: int) -> Tensor:
    return F.avg_pool2d(a[:, None], by)


def _occlusion(cover: Tensor, depth: Tensor, upright: Tensor) -> tuple[Tensor, Tensor]:
    """Darkening where the neighbourhood stands before the point, on two scales; openness.

    The neighbourhood's mean depth is smooth, so it is worked out on a quarter of the grid. A
    surface seen at an angle (``upright`` is the normal's part towards the viewer) always has its
    own nearer part beside it, which does not shade it. Openness is 1 next to the background and 0
    well inside, where no light from behind arrives.
    """
    rays = depth.shape[-1]
    weight, held = _shrink(cover, 4), _shrink(depth * cover, 4)
    out, inside = torch.ones_like(depth), cover
    for share, strength in ((28, 3.0), (11, 1.3)):
        window = 2 * max(rays // share // 4, 1) + 1

        def mean(a: Tensor, k: int = window) -> Tensor:
            # two passes of a box: a soft tent, without the box's corners
            for _ in range(2):
                a = F.avg_pool2d(a, k, 1, k // 2, count_include_pad=False)
            return a

        shared = mean(weight)
        around = torch.cat([mean(held) / (shared + 1e-4), shared], 1)
        around = F.interpolate(around, size=(rays, rays), mode="bilinear", align_corners=False)
        reach = (around[:, 0] - depth - 0.012).clamp(0, 0.6) * (strength * upright.clamp(0.1, 1))
        out = out / (1 + reach + 0.5 * reach * reach)
        inside = around[:, 1]
    return out, smoothstep(1.0, 0.72, inside)


def _cast(view: View, direction: Tensor, cover: Tensor, depth: Tensor) -> Tensor:
    """Soft shadows, 0 to 1: whether something stands between a point and the key light.

    Looked for on a quarter of the grid along the light: the shadow of a large lamp has no edges
    that would need more.
    """
    rays = depth.shape[-1]
    by = 4 if rays >= 128 else 2
    small = F.avg_pool2d((depth * cover)[:, None], by)
    weight = F.avg_pool2d(cover[:, None], by)
    small = torch.where(weight > 0.3, small / (weight + 1e-4), torch.full_like(small, -2.0))
    n = small.shape[-1]
    c = (torch.arange(n, device=depth.device, dtype=depth.dtype) + 0.5) / n * 2 - 1
    dx, dy, dz = (direction[i] for i in range(3))  # (B, 1, 1)
    out = torch.zeros_like(small[:, 0])
    for i, reach in enumerate(REACHES):
        x = c[None, None, :] + reach * dx / EXTENT + 0 * c[None, :, None]
        y = c[None, :, None] - reach * dy / EXTENT + 0 * c[None, None, :]
        met = F.grid_sample(
            small, torch.stack([x, y], -1), padding_mode="border", align_corners=False
        )[:, 0]
        above = met - (small[:, 0] + reach * dz)
        # what stands far before the light's way does not shade: it would be a curtain
        hit = smoothstep(0.03, 0.03 + 0.10 + 0.25 * reach, above) * smoothstep(0.75, 0.45, above)
        out = torch.maximum(out, hit * (1 - 0.08 * i))
    out = F.avg_pool2d(out[:, None], 3, 1, 1, count_include_pad=False)
    return F.interpolate(out, size=(rays, rays), mode="bilinear", align_corners=False)[:, 0]


def tone(rgb: Tensor) -> Tensor:
    """Roll highlights off: straight up to 0.62, then towards 1 without reaching it."""
    knee = 0.62
    over = ((rgb - knee) / (1 - knee)).clamp_min(0)
    return rgb.clamp(0, knee) + (1 - knee) * over / (1 + 0.72 * over)


def soften_edges(rgb: Tensor, depth: Tensor) -> Tensor:
    """Spread silhouettes over a ray on either side; what lies inside stays sharp."""
    d = depth[:, None]
    far = -F.max_pool2d(-d, 3, 1, 1)
    near = F.max_pool2d(d, 3, 1, 1)
    edge = smoothstep(0.06, 0.16, near - far)[:, 0]
    for axis in (-1, -2):
        n = rgb.shape[axis]
        first, last = rgb.narrow(axis, 0, 1), rgb.narrow(axis, n - 1, 1)
        before = torch.cat([first, rgb.narrow(axis, 0, n - 1)], axis)
        after = torch.cat([rgb.narrow(axis, 1, n - 1), last], axis)
        rgb = mix(rgb, 0.25 * before + 0.5 * rgb + 0.25 * after, edge)
    return rgb
