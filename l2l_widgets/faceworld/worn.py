"""What is worn on the face: glasses and earrings, drawn over the shaded picture."""

from __future__ import annotations

import torch
from torch import Tensor

from l2l_widgets.faceworld.camera import View
from l2l_widgets.faceworld.field import colour, hsv, mix, smoothstep
from l2l_widgets.faceworld.geometry import Shape
from l2l_widgets.faceworld.light import Light


def earrings(
    rgb: Tensor, view: View, s: Shape, cover: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """Picture with earrings, and their coverage."""
    total = torch.zeros_like(depth)
    near = torch.where(cover > 0, depth, -9 + 0 * depth)
    for side in (-1.0, 1.0):
        u, v, t = view.camera(side * 0.765 * s.width, -0.25 * s.ear - 0.02, -0.05 + 0 * s.ear)
        r = ((view.u - u) ** 2 + (view.v - v) ** 2 + 1e-8).sqrt()
        disc = smoothstep(0.078, 0.056, r) * ((t + 0.08) > near - 0.03).float() * s.q["earrings"]
        spot = ((view.u - u + 0.02) ** 2 + (view.v - v - 0.025) ** 2 + 1e-8).sqrt()
        gold = colour(0.98, 0.82, 0.36, depth) * (0.62 + 0.5 * smoothstep(0.06, 0.0, spot))
        rgb = mix(rgb, gold, disc)
        total = torch.maximum(total, disc)
    return rgb, total


def glasses(
    rgb: Tensor, view: View, s: Shape, cover: Tensor, depth: Tensor, light: Light, front: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Lenses on a curved plane before the eyes, a bridge, and temples to the ears."""
    q, worn = s.q, s.q["glasses"]
    t = torch.full_like(depth, 0.85)
    for _ in range(3):  # the plane z = .815 - .2 x^2 is nearly flat: three steps reach it
        a, b, c = view.head(0.0, 0.0, t)
        slope = view.rotation[:, 2, 2][:, None, None].clamp_min(0.5)
        t = t - (c - (0.815 - 0.20 * a * a)) / slope * 0.9
    a, b, _ = view.head(0.0, 0.0, t)
    aa = a.abs()
    width, height = 0.212 + 0 * worn, 0.145 + 0.03 * q["frame_shape"]
    corner = 0.05 + 0.095 * q["frame_shape"]
    dx = (aa - s.eye_x * 1.02).abs() - (width - corner)
    dy = (b - s.eye_y + 0.03).abs() - (height - corner).clamp_min(0)
    edge = (dx.clamp_min(0) ** 2 + dy.clamp_min(0) ** 2 + 1e-8).sqrt()
    edge = edge + torch.maximum(dx, dy).clamp_max(0) - corner
    thick = 0.026 + 0.010 * q["frame_hue"]
    frame = smoothstep(thick + 0.012, thick - 0.008, edge.abs())
    bridge = smoothstep(0.034, 0.014, (b - s.eye_y - 0.055 + 0.3 * aa * aa).abs())
    bridge = bridge * smoothstep(0.0, -0.02, aa - (s.eye_x * 1.02 - width + 0.03))
    seen = ((t > depth - 0.02) | (cover < 0.5)).float() * smoothstep(0.9, 0.7, aa)
    frame = torch.maximum(frame, bridge) * seen
    near = torch.where(cover > 0, depth, -9 + 0 * depth)
    hinge = s.eye_x * 1.02 + width
    for side in (-1.0, 1.0):
        u0, v0, t0 = view.camera(side * hinge, s.eye_y + 0.05, 0.815 - 0.20 * hinge**2)
        u1, v1, t1 = view.camera(side * 0.77 * s.width, s.eye_y + 0.03, -0.10 + 0 * hinge)
        along = (view.u - u0) * (u1 - u0) + (view.v - v0) * (v1 - v0)
        h = (along / ((u1 - u0) ** 2 + (v1 - v0) ** 2 + 1e-6)).clamp(0, 1)
        off = (view.u - u0 - h * (u1 - u0)) ** 2 + (view.v - v0 - h * (v1 - v0)) ** 2
        temple = smoothstep(0.034, 0.014, (off + 1e-8).sqrt())
        frame = torch.maximum(frame, temple * ((t0 + h * (t1 - t0)) > near - 0.06).float())
    lens = smoothstep(0.01, -0.01, edge) * seen * worn
    dark = q["dark_lenses"] * 0.92
    glass = colour(0.05, 0.05, 0.07, depth) + 0.10 * smoothstep(-0.2, 0.3, b)
    glare = 0.18 * smoothstep(0.05, 0.0, (a + b * 0.6 - 0.05).abs() - 0.02)
    rgb = mix(rgb, glass, lens * (0.06 + 0.94 * dark)) + lens * glare * (1 - 0.3 * dark)
    tone = hsv((0.02 + 0.6 * q["frame_hue"]) % 1, 0 * worn + 0.6, 0.05 + 0.16 * q["frame_shape"])
    rgb = mix(rgb, tone + 0.10 * light.mirror * front, frame * worn)
    return rgb, (frame * worn).clamp(0, 1), lens
