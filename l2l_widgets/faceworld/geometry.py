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

from l2l_widgets.faceworld.features import OVERDRAWN, cheek_fold, eye_rim, mouth_curves, to_face
from l2l_widgets.faceworld.field import ellipsoid, smooth_min, smoothstep, sphere
from l2l_widgets.faceworld.hair import HairShape, facial_hair_height, hair_and_hat, hair_shape


@dataclass
class Shape:
    """Measures of a head, each (B, 1, 1), worked out once from the natural factors."""

    q: dict[str, Tensor]
    young: Tensor
    old: Tensor
    width: Tensor
    jaw: Tensor
    taper: Tensor
    angle: Tensor
    chin: Tensor
    chin_width: Tensor
    cheek: Tensor
    hollow: Tensor
    eye_x: Tensor
    eye_y: Tensor
    eye_scale: Tensor
    eye_half: Tensor
    eye_tilt: Tensor
    eye_depth: Tensor
    brow_x: Tensor
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

    Age and sex characteristics enter here. A child has a round head, large low eyes, full cheeks
    and a small nose and jaw; with age the nose and ears grow, the lips thin, the lids and the outer
    brows sink, the cheeks hollow and the jowls come forward. A masculine face has a wide low jaw
    and chin, a brow ridge with low straight brows, a larger nose and thinner lips; a feminine one
    high arched thin brows, larger eyes, round cheeks, a tapering jaw and full lips.
    """
    q = {k: v[:, None, None] for k, v in natural.items()}
    m, full = q["gender"], q["fullness"]
    grown = smoothstep(0.0, 0.25, q["age"])
    young, old = 1 - grown, smoothstep(0.20, 1.10, q["age"])
    male, female = m * (0.25 + 0.75 * grown), (1 - m) * (0.35 + 0.65 * grown)
    width = 1 + 0.045 * q["head_width"] + 0.04 * (full - 0.4) + 0.02 * young
    forehead = 0.05 * q["forehead"]
    smile = q["lip_corner"].clamp_min(0)
    eye_scale = 1.17 * (1 + 0.11 * q["eye_size"]) + 0.09 * female - 0.05 * male
    eye_scale = eye_scale + 0.13 * young - 0.08 * old
    lips = (1 - 0.35 * old) * (1 - 0.60 * q["lip_press"])
    eye_x = 0.304 * (1 + 0.070 * q["eye_distance"]) * (0.5 + 0.5 * width)
    eye_x = eye_x + 0.07 * (eye_scale - 1.15)  # large eyes need room by the nose
    brow_x = 0.045 * q["brow_spacing"] - 0.035 * q["brow_frown"].clamp_min(0)
    brow_y = (
        0.195
        + 0.036 * q["brow_height"]
        - 0.010 * q["brow_ridge"]
        + 0.095 * q["brow_raise"].clamp(-1, 1.5)
    )
    return Shape(
        q=q,
        young=young,
        old=old,
        width=width,
        jaw=0.97
        + 0.062 * q["jaw_width"]
        + 0.045 * male
        - 0.015 * female
        + 0.10 * (full - 0.45)
        + 0.03 * young,
        taper=0.34
        - 0.11 * q["jaw_width"]
        - 0.20 * male
        + 0.10 * female
        - 0.20 * (full - 0.45)
        + 0.02 * young
        - 0.10 * old,
        angle=0.105 + 0.030 * male + 0.016 * q["jaw_width"] + 0.022 * old,
        chin=0.052 * q["chin_length"] + 0.040 * male - 0.12 * young - 0.02,
        chin_width=0.94 + 0.30 * male + 0.07 * q["jaw_width"],
        cheek=0.034 * q["cheekbone"]
        + 0.06 * (full - 0.3)
        + 0.03 * young
        + 0.020 * female
        + 0.040 * q["cheek"]
        - 0.02 * old,
        hollow=(0.055 * old + 0.006 * male) * (1.15 - full) * (1 - 0.5 * smile),
        eye_x=eye_x,
        eye_y=0.05 + 0.040 * q["eye_height"] - 0.11 * young,
        eye_scale=eye_scale,
        eye_half=0.168 * eye_scale,
        eye_tilt=0.09 * q["eye_tilt"] + 0.04 + 0.04 * female - 0.10 * old,
        eye_depth=0.40 + 0.42 * q["eye_depth"] + 0.25 * male + 0.35 * old - 0.4 * young,
        brow_x=torch.maximum(brow_x, 0.262 - eye_x),  # two brows, never one
        brow_thickness=(0.033 * (1 + 0.32 * q["brow_thickness"]) + 0.012 * male - 0.004 * female)
        * (1 - 0.15 * young),
        brow_y=brow_y - 0.040 * male + 0.030 * female - 0.02 * old,
        brow_arch=0.035 + 0.026 * q["brow_arch"] + 0.035 * female - 0.015 * male,
        brow_ridge=0.22 + 0.36 * q["brow_ridge"] + 0.55 * male - 0.2 * young,
        nose_y=-0.270
        - 0.045 * q["nose_length"]
        + 0.09 * young
        - 0.040 * old
        - 0.02 * male
        + 0.03 * q["nose_wrinkle"],
        nose_width=0.92
        + 0.22 * q["nose_width"]
        + 0.15 * male
        + 0.12 * q["skin"]
        + 0.12 * old
        - 0.08 * young,
        nose_out=0.042 * q["nose_projection"] + 0.03 * male - 0.06 * young + 0.025 * old,
        mouth_width=0.252
        * (1 + 0.13 * q["mouth_width"])
        * (1 + 0.33 * q["lip_corner"].clamp_min(-0.6))
        * (1 + 0.24 * q["lip_stretch"])
        * (1 - 0.28 * q["surprise"])
        * (1 - 0.14 * young)
        + 0.014 * male,
        mouth_y=-0.570
        + 0.030 * q["mouth_height"]
        - 0.034 * q["philtrum"]
        + 0.05 * young
        - 0.01 * old,
        upper_lip=0.066
        * (1 + 0.40 * q["upper_lip"]).clamp_min(0.35)
        * (1 - 0.42 * male)
        * (1 - 0.2 * smile)
        * lips
        + 0.012 * female
        + OVERDRAWN * q["lip_makeup"],
        lower_lip=0.086 * (1 + 0.40 * q["lower_lip"]).clamp_min(0.35) * (1 - 0.30 * male) * lips
        + 0.014 * female
        + OVERDRAWN * q["lip_makeup"],
        opening=0.25 * q["jaw"],
        ear=1 + 0.25 * q["ear_size"] + 0.22 * old + 0.05 * male,
        forehead=forehead,
        hair=hair_shape(q, young, old, width, forehead),
    )


def dome(x: Tensor, y: Tensor, sx: float | Tensor, sy: float | Tensor) -> Tensor:
    """A smooth hill, 1 at the origin and 0 outside an ellipse; cheaper than a Gaussian."""
    x, y = x / sx, y / sy
    h = (1 - x * x - y * y).clamp_min(0)
    return h * h


def head_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool) -> tuple[Tensor, Tensor]:
    """Distance to the head without hair, and to its ears alone.

    ``detail`` adds lids, folds and the tufts of facial hair; the marching passes do without.
    """
    skull_y = y
    x, y = to_face(x, y, s)
    ax, op = x.abs(), 0.65 * s.opening  # the rest of the opening is the lips'
    d = ellipsoid(
        x, skull_y - 0.32 - s.forehead, z + 0.13, 0.735 * s.width, 0.76 + s.forehead, 0.87
    )
    drop = 0.5 * op + 0.5 * s.chin
    down = ((-0.20 - y) * 1.25).clamp(0, 1.1)
    narrow = 1 - 0.55 * s.taper * down * down
    lower = ellipsoid(x / narrow, y + 0.30 + drop, z - 0.08, 0.590 * s.jaw, 0.74 + drop, 0.69)
    # Squeezed space overstates distances: scale them back, or rays step through.
    d = smooth_min(d, lower * narrow.clamp_max(1), 0.22)
    # The corner of the jaw; with age it comes forward and sinks, as a jowl.
    jowl = sphere(
        ax - 0.38 * s.jaw * (1 - 0.30 * s.taper),
        y + 0.57 + 0.03 * s.old + op * 0.6,
        z - 0.12 - 0.12 * s.old,
        s.angle,
    )
    d = smooth_min(d, jowl, 0.20)
    chin = sphere(x / s.chin_width, y + 0.89 + op + s.chin, z - 0.51, 0.145)
    d = smooth_min(d, chin * s.chin_width.clamp_max(1), 0.22)
    lift = 0.03 * s.q["cheek"] + 0.03 * s.q["lip_corner"].clamp_min(0) - 0.04 * s.old
    d = smooth_min(d, sphere(ax - 0.345, y + 0.19 - lift, z - 0.45, 0.20 + s.cheek), 0.20)
    d = smooth_min(d, ellipsoid(x, y + 0.53 + 0.3 * op, z - 0.59, 0.25, 0.20, 0.15), 0.14)
    front = smoothstep(0.1, 0.4, z)
    socket = (0.060 + 0.028 * s.eye_depth) * dome(ax - s.eye_x + 0.015, y - s.eye_y, 0.27, 0.17)
    hollow = s.hollow * dome(ax - 0.42, y + 0.45, 0.20, 0.26)
    temple = 0.035 * s.old * dome(ax - 0.60, y - 0.28, 0.20, 0.26)
    d = d + (socket + hollow + temple) * front
    ridge = ellipsoid(
        ax - 0.23, y - s.eye_y - 0.160, z - 0.60, 0.24, 0.060, 0.060 + 0.045 * s.brow_ridge
    )
    d = smooth_min(d, ridge, 0.10)
    d = smooth_min(d, _eyeball(x, ax, y, z, s, detail), 0.035)
    d = _add_nose(d, x, ax, y, z, s)
    d = _add_lips(d, x, ax, y, s, front)
    out, v, w = _ear_plane(ax, y, z, s)
    ears = ellipsoid(out - 0.02, v, w, 0.075 * s.ear, 0.225, 0.125) * 0.9
    if detail:
        ears = ears + 0.017 * ear_hollow(ax, y, z, s)
    d = smooth_min(d, ears, 0.05)
    if detail:
        d = d + _folds(x, ax, y, s) * front
    return d - facial_hair_height(x, ax, y, z, s, detail), ears


def _eyeball(x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool) -> Tensor:
    """The eyeball under its lids: where the eye is shut or beside it, the lids' thickness more."""
    dx, radius = ax - s.eye_x, 0.178 * s.eye_scale
    depth = 0.655 - 0.022 * s.eye_depth - radius
    ball = sphere(dx, y - s.eye_y, z - depth, radius)
    if not detail:
        return ball - 0.010
    u = dx / s.eye_half
    upper, lower = eye_rim(u, s)
    dy = y - s.eye_y - 2 * s.eye_tilt * dx
    open_ = smoothstep(0.016, -0.012, torch.maximum(dy - upper, lower - dy))
    fold = (dy - upper - 0.050 * s.eye_scale) / 0.022  # the crease above the upper lid
    fold = (1 - fold * fold).clamp_min(0)
    return ball - 0.022 * (1 - open_) + 0.014 * fold


def _ear_plane(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Ear coordinates: out from the head, up, and forward across the tilted egg's width."""
    out = ax - 0.735 * s.width
    v = (y + 0.02 - 0.10 * (z + 0.12)) / s.ear
    return out, v, (z + 0.14 + 0.22 * v + 0.25 * out) / (s.ear * (1 + 0.9 * v.clamp(-0.3, 0.25)))


def ear_hollow(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Depth of the ear's hollow, up to 1; negative on its rim and 0 off the ear."""
    out, v, w = _ear_plane(ax, y, z, s)
    r = (v * v * 26.0 + w * w * 85.0).clamp_max(2.0)  # 0 in the middle, about 1 near the rim
    hollow = (1 - r * 1.3).clamp_min(0) - 0.45 * (1 - (r - 1.05).abs() * 3).clamp_min(0)
    return hollow * smoothstep(0.0, 0.04, out)


def _add_nose(d: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    top_y, top_z = s.eye_y + 0.08, 0.690 - 0.012 * s.eye_depth
    dy, dz = s.nose_y + 0.045 - top_y, 0.850 + s.nose_out - top_z
    h = (((y - top_y) * dy + (z - top_z) * dz) / (dy * dy + dz * dz)).clamp(0, 1)
    tip = 0.70 + 0.30 * s.nose_width
    radius = 0.040 + 0.044 * h * h * tip + 0.008 * s.brow_ridge * (1 - h)
    across = x / (0.90 + 0.15 * s.nose_width)
    along = (y - top_y - h * dy) ** 2 + (z - top_z - h * dz) ** 2
    d = smooth_min(d, (across * across + along + 1e-6).sqrt() - radius, 0.10)
    wing = sphere(
        ax - 0.086 * s.nose_width, y - s.nose_y - 0.005, z - 0.750 - 0.7 * s.nose_out, 0.056
    )
    return smooth_min(d, wing, 0.07)


def _add_lips(d: Tensor, x: Tensor, ax: Tensor, y: Tensor, s: Shape, front: Tensor) -> Tensor:
    """Two soft rolls with a groove between them, and the cheeks that a smile lifts."""
    crest, top, bottom, floor = mouth_curves(x, s)
    u = x / s.mouth_width
    e = (1 - u * u).clamp_min(0)
    up = (y - 0.5 * (crest + top)) / (0.038 + 0.7 * (crest - top))
    low = (y - 0.5 * (bottom + floor)) / (0.038 + 0.7 * (bottom - floor))
    up, low = (1 - up * up).clamp_min(0), (1 - low * low).clamp_min(0)
    rolls = (0.010 + 0.32 * s.upper_lip) * up * up + (0.012 + 0.34 * s.lower_lip) * low * low
    gap = (y - 0.5 * (top + bottom)) / (0.026 + 0.5 * (top - bottom))
    rolls = rolls - 0.018 * (1 - gap * gap).clamp_min(0)
    smile = s.q["lip_corner"].clamp_min(0)
    apple = 0.050 * smile * dome(ax - 0.37, y + 0.20, 0.20, 0.19)
    return d - (rolls * (e * (2 - e)) + apple) * front


def _folds(x: Tensor, ax: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Depth of the folds of age and expression, as an inward displacement.

    Bounded, so that a displaced point still counts as hit.
    """
    q, old = s.q, s.old
    smile, frown = q["lip_corner"].clamp_min(0), q["brow_frown"].clamp_min(0)
    across, band = cheek_fold(ax, y, s)
    # Sunk beside the nose and full outside, where the cheek hangs over the fold.
    groove = (1 - (across / 0.060) ** 2).clamp_min(0)
    cheek = (1 - ((across - 0.095) / 0.110) ** 2).clamp_min(0)
    depth = 0.020 * old + 0.014 * smile + 0.012 * q["lip_raise"]
    out = depth * band * (groove * groove - 0.8 * cheek * cheek)
    rows = torch.sin((y - s.brow_y - s.eye_y + 0.10 * x * x) * 44.0 - 3.4)
    rows = rows * smoothstep(0.08, 0.16, y - s.eye_y - s.brow_y) * smoothstep(0.74, 0.60, y)
    rows = rows * smoothstep(0.55, 0.25, ax)
    out = out + (0.012 * old + 0.012 * q["brow_raise"].clamp(0, 1) * (0.4 + old)) * rows
    dx, dy = ax - s.eye_x, y - s.eye_y
    bag = (dy + 0.115 * s.eye_scale - 0.6 * dx * dx) / 0.055
    bag = (1 - bag * bag).clamp_min(0) * (1 - 2.2 * (0.9 + bag).clamp(0, 1))
    out = out + 0.016 * old * bag * dome(dx + 0.02, dx * 0, 0.24, 1.0)
    glabella = dome(ax - 0.048, dy - 0.17, 0.030, 0.13)
    out = out + 0.014 * (frown + 0.4 * old).clamp_max(1.2) * glabella
    philtrum = dome(x, y - 0.5 * (s.nose_y + s.mouth_y + s.upper_lip) + 0.01, 0.035, 0.10)
    bridge = torch.sin(dy * 58.0) * dome(ax, dy + 0.04, 0.15, 0.13)
    out = out + 0.010 * philtrum + 0.014 * q["nose_wrinkle"] * bridge
    return out.clamp(-0.03, 0.016)


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
