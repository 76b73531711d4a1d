"""Light: a soft key, ambient with screen-space occlusion, and a rim."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.camera import View
from l2l_widgets.faceworld.geometry import Shape


class Light:
    """Occlusion, diffuse and specular terms shared by every surface."""

    def __init__(
        self, view: View, s: Shape, n: Tensor, cover: Tensor, depth: Tensor, rays: int
    ) -> None:
        q = s.q
        azimuth, elevation, soft = q["light_azimuth"], q["light_elevation"], q["light_softness"]
        direction = torch.stack([
            azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos(),
        ])  # fmt: skip
        self.soft, self.normal = soft, n
        self.facing = (n * direction).sum(0)
        wrap = 0.25 + 0.35 * soft
        self.diffuse = ((self.facing + wrap) / (1 + wrap)).clamp_min(0)
        self.occlusion = _occlusion(cover, depth, 2 * (rays // 28) + 1, 3.2) * _occlusion(
            cover, depth, 2 * (rays // 11) + 1, 1.4
        )
        fill = 0.10 * (-n[0] * direction[0] + 0.4 * n[2]).clamp_min(0)
        ambient, key = 0.36 + 0.16 * soft + 0.10 * n[1], 0.80 - 0.12 * soft
        self.total = ambient * self.occlusion + fill
        self.total = self.total + key * self.diffuse * (0.45 + 0.55 * self.occlusion)
        half = direction + torch.tensor([0.0, 0.0, 1.0]).to(direction).view(3, 1, 1, 1)
        half = half * torch.rsqrt((half * half).sum(0))
        self.half = half
        self.mirror = (n * half).sum(0).clamp_min(0)
        self.rim = (1 - n[2].clamp(0, 1)) ** 3 * 0.10


def _occlusion(cover: Tensor, depth: Tensor, window: int, strength: float) -> Tensor:
    """Darkening where the neighbourhood stands before the point (screen space)."""

    def mean(a: Tensor) -> Tensor:
        return F.avg_pool2d(a[:, None], window, 1, window // 2, count_include_pad=False)[:, 0]

    around = mean(depth * cover) / (mean(cover) + 1e-4)
    return torch.exp(-strength * (around - depth - 0.015).clamp(0, 0.6))
