"""Eyes as painted on the eyeballs, with lids, lashes and eye makeup."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.faceworld.features import eye_rim
from l2l_widgets.faceworld.field import colour, hsv, mix, ramp, smoothstep
from l2l_widgets.faceworld.geometry import Shape

IRIS = (
    (0.15, 0.085, 0.05), (0.34, 0.20, 0.10), (0.38, 0.35, 0.15), (0.30, 0.46, 0.40),
    (0.36, 0.55, 0.72),
)  # fmt: skip
EDGE = 0.012  # half width of a painted edge, head units


@dataclass
class Eyes:
    """Layers of the eyes: colours (3, B, H, W) and coverages (B, H, W) in [0, 1]."""

    colour: Tensor
    cover: Tensor
    glint: Tensor
    lash: Tensor
    shadow: Tensor
    shadow_colour: Tensor
    crease: Tensor


def paint_eyes(x: Tensor, ax: Tensor, y: Tensor, s: Shape, front: Tensor) -> Eyes:
    """Paint both eyes at the given points of face space."""
    q = s.q
    side = torch.sign(x)
    dx = ax - s.eye_x
    dy = (y - s.eye_y) - 2 * s.eye_tilt * dx
    u = dx / s.eye_half
    upper, lower = eye_rim(u, s)
    above, open_ = dy - upper, upper - lower
    within = smoothstep(1.0, 0.93, u.abs()) * front
    cover = smoothstep(EDGE, -EDGE, torch.maximum(above, lower - dy))
    cover = cover * within * smoothstep(0.006, 0.030, open_)
    tone, glint = _ball(dx * side, side, dy, above, u, s)
    # Lashes thicken towards the outer corner; liner makes them heavier and draws a wing.
    feminine, paint = 1 - q["gender"], q["eye_makeup"]
    reach = 0.25 + 0.75 * smoothstep(-0.9, 0.7, u)
    thick = (0.011 + 0.018 * feminine) * reach + 0.006 + 0.016 * paint * (0.5 + reach)
    dark = 0.42 + 0.40 * feminine + 0.20 * paint
    wing = 1.04 + 0.16 * feminine + 0.18 * paint
    off = (above - 0.4 * thick - 0.055 * (u - 0.95).clamp_min(0)).abs()
    lash = smoothstep(thick, thick * 0.25, off) * dark
    lash = lash * smoothstep(wing, wing - 0.14, u) * smoothstep(-1.06, -0.92, u)
    below = smoothstep(0.014 + 0.010 * paint, 0.004, (dy - lower).abs())
    below = below * smoothstep(1.0, 0.88, u.abs()) * (0.16 + 0.16 * feminine + 0.5 * paint)
    lash = torch.maximum(lash, below) * front
    shadow, hue = _eye_shadow(above, dy - lower, u, s)
    crease = (above - 0.046 * s.eye_scale) / 0.022
    crease = (1 - crease * crease).clamp_min(0) * smoothstep(1.15, 0.6, u.abs())
    return Eyes(
        colour=tone,
        cover=cover,
        glint=glint,
        lash=lash.clamp(0, 0.95),
        shadow=shadow * front * (1 - cover),
        shadow_colour=hue,
        crease=(0.24 + 0.20 * s.old) * crease * front,
    )


def _ball(
    out: Tensor, side: Tensor, dy: Tensor, above: Tensor, u: Tensor, s: Shape
) -> tuple[Tensor, Tensor]:
    """White, iris, pupil and catchlight; ``out`` is x from the eye's middle, not mirrored."""
    q = s.q
    ix, iy = out - q["gaze"] * 0.070 + 0.010 * side, dy - 0.012
    radius = 0.094 * (0.35 + 0.65 * s.eye_scale)  # the iris varies less than the opening
    r = (ix * ix + iy * iy + 1e-8).sqrt()
    iris = smoothstep(radius + 0.012, radius - 0.012, r)
    pupil = smoothstep(0.048, 0.028, r)
    inner = r / radius
    # Dark rim, lighter below where light that entered from above comes out again.
    depth = (0.78 + 0.75 * smoothstep(0.3, -1.0, iy / radius)) * (
        1 - 0.55 * smoothstep(0.70, 1.0, inner)
    )
    white = torch.stack([0.95 - 0.05 * s.old, 0.935 - 0.07 * s.old, 0.92 - 0.10 * s.old])
    pink = smoothstep(0.5, 1.05, u.abs()) * 0.35
    white = white * (1 - pink * colour(0.04, 0.32, 0.30, dy))
    tone = mix(white, ramp(q["eye_hue"], IRIS) * depth, iris)
    tone = mix(tone, colour(0.025, 0.02, 0.02, dy), pupil)
    tone = tone * (0.50 + 0.50 * smoothstep(0.012, -0.075, above))  # the upper lid's shadow
    gx, gy = ix - 0.030, iy - 0.034
    glint = smoothstep(0.031, 0.012, (gx * gx + gy * gy + 1e-8).sqrt())
    return tone, glint * (0.35 + 0.6 * iris) * smoothstep(0.0, -0.02, above)


def _eye_shadow(above: Tensor, below: Tensor, u: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Coverage and colour of eye shadow: the lid up to the crease and beyond, most outside."""
    q = s.q
    height = (0.145 + 0.05 * u) * s.eye_scale
    lid = smoothstep(height, 0.45 * height, above) * smoothstep(-0.03, 0.0, above)
    lid = lid * smoothstep(1.45, 0.85, u) * smoothstep(-1.25, -0.6, u)
    under = 0.35 * smoothstep(-0.045, -0.005, below) * smoothstep(0.02, 0.0, below)
    under = under * smoothstep(1.1, 0.8, u.abs())
    flat = 0 * q["cloth_hue"]
    hue = hsv(0.56 + 0.38 * q["cloth_hue"], flat + 0.66, flat + 0.50 + 0.30 * q["skin"])
    return q["eye_makeup"] * 0.72 * torch.maximum(lid, under), hue
