"""The head as an implicit surface: signed distances to skull and features.

Head space: x to the subject's left, y up, z out of the face; the head is about 2 units high. Every
function takes coordinates of shape (B, H, W) and a :class:`Shape`, and returns distances of the
same shape. Distances are approximate (smooth unions of ellipsoids and spheres), which is what
sphere tracing needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.faceworld.field import bump, ellipsoid, smooth_min, smoothstep, sphere
from l2l_widgets.faceworld.hair import HairShape, facial_hair_height, hair_and_hat, hair_shape


@dataclass
class Shape:
    """Measures of a head, each (B, 1, 1), worked out once from the natural factors."""

    q: dict[str, Tensor]
    young: Tensor
    old: Tensor
    width: Tensor
    jaw: Tensor
    chin: Tensor
    cheek: Tensor
    eye_x: Tensor
    eye_y: Tensor
    eye_scale: Tensor
    eye_tilt: Tensor
    brow_thickness: Tensor
    brow_y: Tensor
    brow_arch: Tensor
    brow_ridge: Tensor
    nose_y: Tensor
    nose_width: Tensor
    nose_out: Tensor
    mouth_width: Tensor
    mouth_y: Tensor
    upper_lip: Tensor
    lower_lip: Tensor
    opening: Tensor
    ear: Tensor
    forehead: Tensor
    hair: HairShape


def shape_of(natural: dict[str, Tensor]) -> Shape:
    """Natural factors -> :class:`Shape`.

    Age and sex characteristics enter here: a child has a round head, large low eyes and a small
    nose; with age the ears and nose grow, the lips thin, the brows sink and the cheeks hollow.
    """
    q = {k: v[:, None, None] for k, v in natural.items()}
    m = q["gender"]
    young = 1 - smoothstep(0.0, 0.25, q["age"])
    old = smoothstep(0.40, 1.0, q["age"])
    width = 1 + 0.060 * q["head_width"] + 0.03 * q["fullness"] + 0.02 * young
    corner = q["lip_corner"]
    smile = corner.clamp_min(0)
    lips = (1 - 0.32 * old) * (1 - 0.45 * q["lip_press"])
    return Shape(
        q=q,
        young=young,
        old=old,
        width=width,
        jaw=1
        + 0.075 * q["jaw_width"]
        + 0.10 * m
        - 0.06
        + 0.20 * (q["fullness"] - 0.45)
        + 0.04 * young
        + 0.03 * old,
        chin=0.075 * q["chin_length"] + 0.07 * m - 0.12 * young,
        cheek=0.032 * q["cheekbone"]
        + 0.06 * (q["fullness"] - 0.3)
        + 0.03 * young
        + 0.035 * q["cheek"]
        - 0.03 * old,
        eye_x=0.305 * (1 + 0.080 * q["eye_distance"]) * (0.5 + 0.5 * width),
        eye_y=0.05 + 0.036 * q["eye_height"] - 0.08 * young,
        eye_scale=1.10 * (1 + 0.12 * q["eye_size"])
        + 0.12 * (1 - m)
        - 0.06
        + 0.16 * young
        - 0.06 * old,
        eye_tilt=0.13 * q["eye_tilt"] + 0.03 - 0.05 * old,
        brow_thickness=0.034 * (1 + 0.28 * q["brow_thickness"]) + 0.018 * m,
        brow_y=0.195
        + 0.024 * q["brow_height"]
        + 0.075 * q["brow_raise"].clamp(-1, 1.5)
        - 0.03 * m
        - 0.02 * old,
        brow_arch=0.05 + 0.020 * q["brow_arch"] + 0.03 * (1 - m),
        brow_ridge=0.5 + 0.40 * q["brow_ridge"] + 0.40 * m - 0.3 * young,
        nose_y=-0.30
        - 0.045 * q["nose_length"]
        + 0.06 * young
        - 0.03 * old
        + 0.03 * q["nose_wrinkle"],
        nose_width=1 + 0.20 * q["nose_width"] + 0.12 * m + 0.12 * q["skin"] + 0.10 * old,
        nose_out=0.045 * q["nose_projection"] + 0.04 * m - 0.04 * young + 0.02 * old,
        mouth_width=0.245
        * (1 + 0.12 * q["mouth_width"])
        * (1 + 0.24 * corner * 0.8)
        * (1 + 0.18 * q["lip_stretch"])
        * (1 - 0.25 * q["surprise"])
        + 0.012 * m,
        mouth_y=-0.575 + 0.028 * q["mouth_height"] + 0.03 * young,
        upper_lip=0.058 * (1 + 0.30 * q["upper_lip"]) * (1 - 0.25 * m) * (1 - 0.2 * smile) * lips,
        lower_lip=0.074 * (1 + 0.30 * q["lower_lip"]) * (1 - 0.22 * m) * lips,
        opening=0.25 * q["jaw"],
        ear=1 + 0.18 * q["ear_size"] + 0.16 * q["age"],
        forehead=0.05 * q["forehead"],
        hair=hair_shape(q, young, old, width, 0.05 * q["forehead"]),
    )


def lip_line(x: Tensor, s: Shape) -> Tensor:
    """Height of the line between the closed lips: a smile lifts its ends, contempt one of them."""
    u = (x / s.mouth_width).clamp(-1.25, 1.25)
    line = s.mouth_y + s.q["lip_corner"] * 0.105 * (u * u - 0.35)
    return line + 0.075 * s.q["lip_skew"] * smoothstep(0.0, 1.0, u)


def head_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool) -> tuple[Tensor, Tensor]:
    """Distance to the head without hair, and to its ears alone.

    ``detail`` adds folds and the tufts of facial hair; the marching passes do without.
    """
    ax, op = x.abs(), s.opening
    d = ellipsoid(x, y - 0.32 - s.forehead, z + 0.13, 0.735 * s.width, 0.76 + s.forehead, 0.87)
    drop = 0.5 * op + 0.5 * s.chin
    d = smooth_min(
        d, ellipsoid(x, y + 0.30 + drop, z - 0.08, 0.585 * s.jaw, 0.74 + drop, 0.69), 0.22
    )
    jaw_angle = sphere(
        ax - 0.33 * s.jaw, y + 0.58 + op * 0.6, z - 0.12, 0.14 + 0.05 * s.q["gender"]
    )
    d = smooth_min(d, jaw_angle, 0.22)
    chin = sphere(x, y + 0.88 + op + s.chin, z - 0.52, 0.13 + 0.03 * s.q["gender"])
    d = smooth_min(d, chin, 0.16)
    lift = 0.03 * s.q["cheek"]
    d = smooth_min(d, sphere(ax - 0.35, y + 0.16 - lift, z - 0.46, 0.20 + s.cheek), 0.16)
    d = smooth_min(d, ellipsoid(x, y + 0.53 + 0.3 * op, z - 0.60, 0.25, 0.20, 0.15), 0.14)
    front = smoothstep(0.1, 0.4, z)
    d = d + (0.055 + 0.02 * s.old) * bump(ax - s.eye_x + 0.02, y - s.eye_y, 0.17, 0.10) * front
    d = d + 0.05 * s.old * bump(ax - 0.38, y + 0.42, 0.13, 0.15) * front  # hollow cheeks
    ridge = ellipsoid(
        ax - 0.25, y - s.eye_y - 0.165, z - 0.60, 0.22, 0.055, 0.075 + 0.03 * s.brow_ridge
    )
    d = smooth_min(d, ridge, 0.10)
    eyeball = sphere(ax - s.eye_x, y - s.eye_y, z - 0.525, 0.148 * s.eye_scale * 0.95)
    d = smooth_min(d, eyeball, 0.04)
    d = _add_nose(d, x, ax, y, z, s)
    d = _carve_mouth(d, x, ax, y, z, s)
    ears = ellipsoid(
        ax - 0.735 * s.width, y + 0.12 * (z + 0.1), z + 0.12 + 0.3 * (ax - 0.735),
        0.075 * s.ear, 0.20 * s.ear, 0.125 * s.ear,
    )  # fmt: skip
    if detail:
        hollow = bump(y - 0.01, z + 0.10, 0.10 * s.ear, 0.06 * s.ear)
        ears = ears + 0.05 * hollow * smoothstep(0.72, 0.78, ax)
    d = smooth_min(d, ears, 0.04)
    if detail:
        d = d + _folds(x, ax, y, s)
    return d - facial_hair_height(x, ax, y, z, s, detail), ears


def _add_nose(d: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    top_y, top_z = s.eye_y + 0.06, 0.675
    dy, dz = s.nose_y + 0.04 - top_y, 0.835 + s.nose_out - top_z
    h = (((y - top_y) * dy + (z - top_z) * dz) / (dy * dy + dz * dz)).clamp(0, 1)
    radius = 0.040 + 0.042 * h * h * (0.6 + 0.4 * s.nose_width) + 0.006 * s.brow_ridge
    across = x / (0.9 + 0.1 * s.nose_width)
    along = (y - top_y - h * dy) ** 2 + (z - top_z - h * dz) ** 2
    d = smooth_min(d, (across**2 + along + 1e-6).sqrt() - radius, 0.085)
    wing = sphere(
        ax - 0.088 * s.nose_width, y - s.nose_y - 0.005, z - 0.745 - 0.5 * s.nose_out, 0.060
    )
    return smooth_min(d, wing, 0.05)


def _carve_mouth(d: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    op = s.opening
    u = (x / s.mouth_width).clamp(-1.2, 1.2)
    line, e = lip_line(x, s), (1 - u * u).clamp_min(0)
    front = smoothstep(0.0, 0.3, z)
    upper = torch.exp(-(((y - line - 0.35 * s.upper_lip - 0.1 * op) / 0.045) ** 2)) * e
    lower = torch.exp(-(((y - line + 0.6 * s.lower_lip + 0.9 * op) / 0.05) ** 2)) * e
    d = d - 0.030 * upper - 0.034 * lower * front
    gap = torch.exp(-(((y - line + 0.35 * op) / (0.018 + 0.4 * op)) ** 2))
    d = d + 0.03 * gap * smoothstep(0.0, 0.4, e)
    smile = s.q["lip_corner"].clamp_min(0)
    return d - 0.035 * smile * bump(ax - 0.33, y + 0.27, 0.11, 0.12) * front


def _folds(x: Tensor, ax: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Depth of the folds of age and expression, as an inward displacement."""
    smile, frown = s.q["lip_corner"].clamp_min(0), s.q["brow_frown"].clamp_min(0)
    crease = ax - (0.115 + 0.62 * (s.nose_y + 0.05 - y).clamp_min(0) * 0.75)
    band = smoothstep(s.nose_y + 0.03, s.nose_y - 0.04, y)
    band = band * smoothstep(s.mouth_y - 0.08, s.mouth_y + 0.02, y)
    out = (0.018 * s.old + 0.010 * smile) * torch.exp(-((crease / 0.034) ** 2)) * band
    rows = torch.sin((y + 0.06 * x * x) * 46.0) * smoothstep(0.30, 0.42, y)
    rows = rows * smoothstep(0.72, 0.60, y) * smoothstep(0.5, 0.3, ax)
    out = out + (0.014 * s.old + 0.008 * s.q["brow_raise"].clamp_min(0)) * rows
    feet = torch.sin((y - s.eye_y) * 52.0 + 4 * (ax - s.eye_x)) * smoothstep(0.44, 0.50, ax)
    feet = feet * smoothstep(0.64, 0.56, ax) * bump(y - s.eye_y, y * 0, 0.10, 1.0)
    out = out + 0.012 * s.old * (1 + smile) * feet
    under = y - s.eye_y + 0.125 * s.eye_scale - 0.5 * (ax - s.eye_x) ** 2
    out = out + 0.020 * s.old * torch.exp(-((under / 0.022) ** 2)) * bump(
        ax - s.eye_x, ax * 0, 0.13, 1.0
    )
    glabella = torch.exp(-(((ax - 0.045) / 0.016) ** 2)) * bump(
        y - s.eye_y - 0.17, y * 0, 0.06, 1.0
    )
    out = out + 0.016 * (frown + 0.5 * s.old) * glabella
    bridge = torch.sin((y - s.eye_y) * 60) * bump(ax, y - s.eye_y + 0.03, 0.09, 0.07)
    return out + 0.014 * s.q["nose_wrinkle"] * bridge


def surfaces(
    x: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances to head, hair, hat and ears."""
    head, ears = head_distance(x, y, z, s, detail)
    hair, hat = hair_and_hat(x, y, z, s, head, detail)
    return head, hair, hat, ears


def nearest(x: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool = False) -> Tensor:
    """Distance to whichever surface is nearest."""
    head, hair, hat, _ = surfaces(x, y, z, s, detail)
    return torch.minimum(torch.minimum(head, hair), hat)
