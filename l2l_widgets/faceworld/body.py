"""Neck, shoulders and clothes: an implicit surface that follows the head half-way.

Clothes are no surface of their own but a thickening of neck and torso below a neckline, so that
nothing can gape between them and the skin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.camera import PIVOT, View, plane, without_strays
from l2l_widgets.faceworld.field import ellipsoid, hsv, mix, smooth_min, smoothstep
from l2l_widgets.faceworld.geometry import Shape


@dataclass
class Body:
    """Measures of neck, torso and neckline, each (B, 1, 1), worked out once."""

    cos: Tensor
    sin: Tensor
    top: tuple[Tensor, Tensor, Tensor]
    radius: Tensor
    width: Tensor
    rise: Tensor
    round_neck: Tensor
    v_neck: Tensor
    shirt: Tensor
    turtleneck: Tensor
    scoop: Tensor


FOOT = (0.0, -1.72, -0.34)  # where the neck stands in the torso, body space


def body_of(s: Shape, view: View) -> Body:
    """Body that belongs to a head in its pose."""
    q = s.q
    turn = 0.38 * q["yaw"]
    cos, sin = turn.cos(), turn.sin()
    x, y, z = view.camera(0 * turn, -0.46 + 0 * turn, -0.14 + 0 * turn)
    kind = (q["collar"].clamp(0, 0.999) * 4).floor()
    radius = 0.300 + 0.085 * q["gender"] + 0.075 * (q["fullness"] - 0.4) - 0.045 * s.young
    return Body(
        cos=cos,
        sin=sin,
        top=(cos * x - sin * z, y, sin * x + cos * z),
        radius=radius,
        width=1.58 + 0.34 * q["gender"] * (1 - s.young) + 0.12 * q["fullness"] - 0.26 * s.young,
        rise=0.05 * q["gender"] - 0.05 * s.old,
        round_neck=(kind == 0).to(radius),
        v_neck=(kind == 1).to(radius),
        shirt=(kind == 2).to(radius),
        turtleneck=(kind == 3).to(radius),
        scoop=0.10 + 0.10 * (1 - q["gender"]),
    )


def neckline(x: Tensor, y: Tensor, b: Body) -> tuple[Tensor, Tensor]:
    """How far below the neckline a point lies (head units), and whether a shirt's collar is there.

    ``x`` and ``y`` are in body space.
    """
    ax, wide = x.abs(), b.radius + 0.16
    dip = (1 - (x / wide) ** 2).clamp_min(0)
    line = b.round_neck * (-1.19 - b.scoop * dip)
    line = line + b.v_neck * (-1.15 - (0.26 + 0.6 * b.scoop) * (1 - ax / wide).clamp_min(0))
    line = line + b.turtleneck * -1.10
    line = line + b.shirt * (-1.10 - 0.27 * (1 - ax / 0.26).clamp_min(0))
    outer = y + 1.20 + 1.05 * (0.48 - ax)
    inner = y + 1.37 + 0.75 * ax
    leaf = torch.minimum(outer, inner)
    return line - y, leaf - (1 - b.shirt) * 9


def body_distance(x: Tensor, y: Tensor, z: Tensor, b: Body) -> Tensor:
    """Distance to neck, torso and clothes; coordinates in body space."""
    tx, ty, tz = b.top[0] - FOOT[0], b.top[1] - FOOT[1], b.top[2] - FOOT[2]
    px, py, pz = x - FOOT[0], y - FOOT[1], z - FOOT[2]
    h = ((px * tx + py * ty + pz * tz) / (tx * tx + ty * ty + tz * tz)).clamp(0, 1)
    off = (px - h * tx) ** 2 + (py - h * ty) ** 2 + (pz - h * tz) ** 2
    low = 1 - h
    neck = (off + 1e-6).sqrt() - b.radius * (1 + 0.22 * low * low)
    torso = ellipsoid(x, y + 2.16 - b.rise, z + 0.30, b.width, 1.0, 0.62)
    d = smooth_min(neck, torso, 0.26)
    below, leaf = neckline(x, y, b)
    cloth = 0.028 + 0.035 * b.turtleneck
    return (
        d
        - cloth * smoothstep(-0.01, 0.04, below)
        - 0.035 * (smoothstep(-0.015, 0.025, leaf) * smoothstep(-0.01, 0.03, below))
    )


def trace_body(view: View, b: Body, rays: int) -> tuple[Tensor, Tensor, Tensor]:
    """Depth of the body (far behind where there is none), and body-space x and y there."""

    def place(v: View, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t = t - PIVOT[2]
        return b.cos * v.u - b.sin * t, v.v + 0 * t, b.sin * v.u + b.cos * t + PIVOT[2]

    cells = max(rays // 4, 16)
    coarse = View(view.rotation, *plane(cells, view.u))
    t = torch.zeros(b.radius.shape[0], cells, cells).to(b.radius) + 0.5
    for _ in range(9):
        t = (t - 0.95 * body_distance(*place(coarse, t), b)).clamp_min(-1.6)
    t = F.max_pool2d(t[:, None], 3, 1, 1) + 0.02
    t = F.interpolate(t, size=(rays, rays), mode="bilinear", align_corners=False)[:, 0]
    for _ in range(2):
        t, d = secant(lambda t: body_distance(*place(view, t), b), t)
    x, y, _ = place(view, t)
    return without_strays(torch.where(d < 0.014, t, t - 9.0)), x, y


def secant(distance: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    """Two evaluations that bring a depth close to a surface; also the distance before the last."""
    d0 = distance(t)
    t1 = t - 0.95 * d0
    d1 = distance(t1)
    return meet(t, d0, t1, d1), d1


def meet(t0: Tensor, d0: Tensor, t1: Tensor, d1: Tensor) -> Tensor:
    """Depth at which a surface lies, from the distances ``d0``, ``d1`` at two depths of the ray.

    A ray that grazes a surface falls off more slowly along itself than the distance does: the slope
    between the two says by how much.
    """
    step = t0 - t1
    slope = ((d0 - d1) / torch.where(step.abs() < 1e-6, 1e-6, step)).clamp(0.15, 1.5)
    return (t1 - torch.minimum(d1 / slope, d1 + 0.05)).clamp_min(-1.6)


def paint_body(x: Tensor, y: Tensor, skin: Tensor, b: Body, s: Shape) -> tuple[Tensor, Tensor]:
    """Colour of the body at body-space ``x``, ``y``, and where it is cloth (0 to 1)."""
    q = s.q
    below, leaf = neckline(x, y, b)
    cloth = smoothstep(-0.008, 0.008, below)
    light = q["cloth_light"]
    dye = hsv(q["cloth_hue"], 0.58 - 0.34 * light, 0.16 + 0.70 * light)
    band = smoothstep(0.075, 0.060, below) * (b.round_neck + b.v_neck)
    band = band * smoothstep(b.radius + 0.19, b.radius + 0.10, x.abs())
    dye = dye * (1 - 0.20 * band)
    is_leaf = smoothstep(-0.006, 0.006, leaf)
    dye = mix(dye, dye * 0.5 + 0.46, is_leaf * 0.8)
    seam = smoothstep(0.020, 0.004, leaf.abs()) + smoothstep(0.018, 0.004, x.abs()) * b.shirt * (
        1 - is_leaf
    )
    dye = dye * (1 - 0.28 * seam.clamp(0, 1))
    return mix(skin, dye, cloth), cloth
