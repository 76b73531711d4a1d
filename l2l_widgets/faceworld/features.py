"""Where the features lie: curves of lids, brows and lips that shape, paint and labels share.

All in face space (:func:`to_face`), in which left and right agree but for the expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.faceworld.field import smoothstep

if TYPE_CHECKING:
    from l2l_widgets.faceworld.geometry import Shape

BROW_HALF = 0.215  # half length of a brow, head units
OVERDRAWN = 0.012  # by how much lip makeup goes beyond the lips, head units


def to_face(x: Tensor, y: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Head space -> face space: takes a face's small differences between left and right out.

    The lower face is shifted sideways, and the eyes and the mouth are tilted against each other.
    """
    a = s.q["face_asymmetry"]
    x = x - 0.014 * a * smoothstep(0.35, -0.75, y)
    return x, y - 0.042 * a * x * (y + 0.25).clamp(-0.35, 0.35)


def from_face(x: Tensor, y: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Inverse of :func:`to_face`, for points such as landmarks."""
    a = s.q["face_asymmetry"]
    face_y = y
    for _ in range(3):
        y = face_y + 0.042 * a * x * (y + 0.25).clamp(-0.35, 0.35)
    return x + 0.014 * a * smoothstep(0.35, -0.75, y), y


def eye_rim(u: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Heights of upper and lower lid over the line between an eye's corners.

    ``u`` runs from -1 at the corner by the nose to 1 at the outer corner.
    """
    q = s.q
    e = (1 - u * u).clamp_min(0)
    full = e * (1.35 - 0.35 * e)
    hood = 0.10 * s.old * (1 + u)  # with age the lid droops, most at its outer end
    upper = 0.100 * s.eye_scale * (q["lid"] * (1 - hood)).clamp_min(0) * full * (1 - 0.13 * u)
    open_ = 0.30 + 0.70 * q["lid"].clamp(max=1) + 0.25 * (q["lid"] - 1).clamp_min(0)
    smile = q["lip_corner"].clamp_min(0)
    squint = (1 - 0.45 * q["squint"] - 0.35 * smile).clamp_min(0.2)
    lower = -0.060 * s.eye_scale * open_ * squint * full * (1 + 0.20 * u)
    return upper, lower


def brow_line(u: Tensor, s: Shape, side: Tensor | float) -> Tensor:
    """Height of a brow's middle; ``u`` runs from -1 by the nose to 1, ``side`` is the sign of x."""
    q = s.q
    inner = 0.5 - 0.5 * u
    rise = (u - 0.30) / 1.30
    height = s.eye_y + s.brow_y + s.brow_arch * (1 - 0.65 * rise * rise)
    height = height - 0.045 * (u - 0.35).clamp_min(0) - 0.01 * u
    frown = q["brow_frown"].clamp(-1, 1.6)
    height = height - frown * (0.100 * inner * inner - 0.018 * (1 - inner))
    height = height + q["brow_inner"] * (0.135 * inner * inner - 0.055 * (1 - inner))
    skew = q["lip_skew"].clamp_min(0) * side
    return height + skew * (0.045 - 0.015 * inner)  # contempt raises one brow, lowers the other


def lip_line(x: Tensor, s: Shape) -> Tensor:
    """Height of the line between the closed lips: a smile lifts its ends, contempt one of them."""
    u = (x / s.mouth_width).clamp(-1.25, 1.25)
    line = s.mouth_y + (s.q["lip_corner"] + 0.18) * 0.125 * (u * u - 0.35)
    return line + s.q["lip_skew"] * (0.125 * smoothstep(0.15, 1.05, u) - 0.015)


def mouth_curves(x: Tensor, s: Shape) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heights of the lips' edges, from above: crest, inner upper, inner lower, floor."""
    q, op = s.q, s.opening
    u = x / s.mouth_width
    c = (1 - u * u).clamp_min(0)
    line = lip_line(x, s)
    smile = q["lip_corner"].clamp_min(0)
    bare = 0.120 * smoothstep(0.18, 0.85, smile) * (1 - 0.8 * q["lip_press"])
    bare = (bare + 0.060 * q["lip_raise"] + 0.050 * q["lip_stretch"] * (1 - smile)) * c
    top = line + 0.14 * op * c + 0.40 * bare + 0.035 * q["lip_raise"] * c
    bottom = line - 0.85 * op * c - 0.60 * bare
    bow = 1.10 - 0.24 * torch.exp(-((x / 0.034) ** 2))
    crest = top + s.upper_lip * c * (1.6 - 0.6 * c) * bow
    return crest, top, bottom, bottom - s.lower_lip * c * (1.8 - 0.8 * c)


def cheek_fold(ax: Tensor, y: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Distance across the fold from the nose to the corner of the mouth, and where along it."""
    top, bottom = s.nose_y + 0.05, s.mouth_y - 0.04
    t = (top - y) / (top - bottom)
    start = 0.115 * s.nose_width
    across = ax - start - (s.mouth_width + 0.075 - start) * t * (1.3 - 0.3 * t)
    return across, smoothstep(-0.05, 0.25, t) * smoothstep(1.25, 0.85, t)
