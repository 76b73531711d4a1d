"""What is painted on the surface: skin, brows, eyes, lips, teeth, makeup."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.faceworld.field import bump, colour, hsv, mix, ramp, smoothstep
from l2l_widgets.faceworld.geometry import Shape, lip_line
from l2l_widgets.faceworld.hair import hair_colours, paint_hair

SKIN = (
    (0.98, 0.83, 0.73), (0.93, 0.73, 0.59), (0.78, 0.56, 0.41), (0.56, 0.37, 0.26),
    (0.33, 0.21, 0.15),
)  # fmt: skip
IRIS = (
    (0.13, 0.075, 0.045), (0.30, 0.17, 0.08), (0.33, 0.30, 0.12), (0.26, 0.42, 0.36),
    (0.30, 0.50, 0.68),
)  # fmt: skip
EDGE = 0.012  # half width of a painted edge, head units


@dataclass
class Paint:
    """Painted layers of the head: colours (3, B, H, W) and coverages (B, H, W) in [0, 1]."""

    skin: Tensor
    hair: Tensor
    hair_cover: Tensor
    strands: Tensor
    hat: Tensor
    eye: Tensor
    eye_cover: Tensor
    glint: Tensor
    lash: Tensor
    brow: Tensor
    mouth: Tensor
    mouth_cover: Tensor
    upper_lip: Tensor
    lower_lip: Tensor
    facial_hair: Tensor


def paint_head(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Paint:
    """Paint every layer at the given surface points (head space, (B, H, W))."""
    ax = x.abs()
    front = smoothstep(0.15, 0.4, z)
    base, _ = hair_colours(s)
    skin = _skin(x, ax, y, z, s)
    grown = paint_hair(skin, x, ax, y, z, s, front)
    skin = grown.skin
    shadow = bump(ax - 0.055 * s.nose_width, y - s.nose_y + 0.052, 0.030, 0.018)
    skin = skin * (1 - 0.62 * shadow * smoothstep(0.5, 0.65, z))
    skin, brow = _brows(skin, x, ax, y, s, base, front)
    eye = _eyes(x, ax, y, s, front)
    lid = eye["shadow"]
    makeup = hsv((0.78 + 0.5 * s.q["cloth_hue"]) % 1, 0 * lid + 0.55, 0 * lid + 0.42)
    skin = mix(skin, makeup, lid)
    crease = eye["crease"]
    skin = skin * (1 - crease * colour(1.0, 1.03, 1.05, x))
    mouth = _mouth(x, y, s, front)
    skin = _lips(skin, x, mouth, s, front)
    return Paint(
        skin=skin,
        hair=grown.hair,
        hair_cover=grown.hair_cover,
        strands=grown.strands,
        hat=grown.hat,
        eye=eye["colour"],
        eye_cover=eye["cover"],
        glint=eye["glint"],
        lash=eye["lash"],
        brow=brow,
        mouth=mouth["colour"],
        mouth_cover=mouth["cover"],
        upper_lip=mouth["upper"],
        lower_lip=mouth["lower"],
        facial_hair=grown.facial_hair,
    )


def _skin(x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    q, one = s.q, torch.ones_like(x)
    tint = 0.5 * q["undertone"]
    skin = ramp(q["skin"], SKIN) * one
    skin = skin * torch.stack([1 + 0.04 * tint, torch.ones_like(tint), 1 - 0.07 * tint])
    cheeks = 0.5 * bump(ax - 0.36, y + 0.20, 0.17, 0.15) * (0.25 + q["blush"] + 0.6 * s.young)
    tip = 0.35 * bump(x, y - s.nose_y - 0.03, 0.09, 0.09)
    red = (cheeks + tip + 0.3 * smoothstep(0.70, 0.76, ax)) * smoothstep(-0.2, 0.2, z)
    skin = skin * (1 + red * colour(0.04, -0.20, -0.17, x))
    speckle = torch.sin(x * 61 + 2 * torch.sin(y * 43)) * torch.sin(y * 57 + 2 * torch.sin(x * 39))
    face = smoothstep(0.2, 0.5, z)
    freckles = (
        q["freckles"] * smoothstep(0.45, 0.85, speckle) * bump(ax - 0.26, y + 0.14, 0.26, 0.16)
    )
    freckles = freckles * face * (1 - 0.6 * q["skin"])
    spots = torch.sin(x * 31 + 3 * torch.sin(y * 17)) * torch.sin(y * 29 + 3 * torch.sin(x * 19))
    spots = 0.5 * s.old * smoothstep(0.75, 0.95, spots) * face
    skin = skin * (1 - (0.40 * freckles + 0.16 * spots) * colour(0.65, 1.0, 1.1, x))
    return skin * (1 - _age_lines(x, ax, y, s) * face * colour(0.75, 1.0, 1.05, x))


def _age_lines(x: Tensor, ax: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Painted darkness of folds: displacement alone disappears at 64 pixels."""
    smile, frown = s.q["lip_corner"].clamp_min(0), s.q["brow_frown"].clamp_min(0)
    bags = bump(ax - s.eye_x, y - s.eye_y + 0.125 * s.eye_scale, 0.12, 0.032)
    out = 0.34 * s.old * bags
    crease = ax - (0.125 + 0.62 * (s.nose_y + 0.05 - y).clamp_min(0) * 0.75)
    band = smoothstep(s.nose_y + 0.05, s.nose_y - 0.04, y)
    band = band * smoothstep(s.mouth_y - 0.16, s.mouth_y - 0.02, y)
    out = out + (0.42 * s.old + 0.16 * smile) * torch.exp(-((crease / 0.030) ** 2)) * band
    jowl = torch.exp(-(((ax - s.mouth_width - 0.05) / 0.03) ** 2))
    jowl = jowl * smoothstep(s.mouth_y - 0.30, s.mouth_y - 0.14, y)
    out = out + 0.30 * s.old * jowl * smoothstep(s.mouth_y + 0.02, s.mouth_y - 0.06, y)
    rows = torch.cos((y - 0.47 + 0.06 * x * x) * 48.0).clamp_min(0) ** 3
    rows = rows * smoothstep(0.32, 0.42, y) * smoothstep(0.68, 0.58, y) * smoothstep(0.48, 0.3, ax)
    out = out + (0.24 * s.old + 0.16 * s.q["brow_raise"].clamp_min(0)) * rows
    feet = torch.cos((y - s.eye_y) * 60.0 + 5 * (ax - s.eye_x)).clamp_min(0) ** 2
    feet = feet * smoothstep(0.47, 0.52, ax) * smoothstep(0.64, 0.56, ax)
    out = out + 0.28 * s.old * feet * bump(y - s.eye_y, y * 0, 0.09, 1.0)
    glabella = torch.exp(-(((ax - 0.045) / 0.016) ** 2)) * bump(
        y - s.eye_y - 0.17, y * 0, 0.06, 1.0
    )
    out = out + 0.45 * (frown * 0.8 + 0.3 * s.old).clamp_max(1) * glabella
    bridge = torch.cos((y - s.eye_y) * 70).clamp_min(0) * bump(ax, y - s.eye_y + 0.04, 0.08, 0.06)
    side = torch.exp(-(((ax - 0.15) / 0.03) ** 2)) * bump(y - s.nose_y - 0.05, y * 0, 0.08, 1.0)
    return out + s.q["nose_wrinkle"] * (0.35 * bridge + 0.35 * side)


def _brows(
    skin: Tensor, x: Tensor, ax: Tensor, y: Tensor, s: Shape, hair: Tensor, front: Tensor
) -> tuple[Tensor, Tensor]:
    q = s.q
    u = (ax - s.eye_x - 0.005 + 0.03 * q["brow_frown"].clamp_min(0)) / 0.21
    inner = 0.5 - 0.5 * u  # 1 at the nose
    height = s.eye_y + s.brow_y * 0.93 + s.brow_arch * (1 - u * u) - 0.025 - 0.02 * u
    height = height - 0.085 * q["brow_frown"].clamp(-1, 1.6) * inner
    height = height + 0.10 * q["brow_inner"] * inner - 0.05 * q["brow_inner"] * (1 - inner)
    thick = s.brow_thickness * (1 - 0.55 * smoothstep(-0.1, 1.1, u))
    cover = smoothstep(thick + 0.022, thick - 0.022, (y - height).abs())
    cover = cover * smoothstep(1.12, 0.92, u.abs()) * front * 0.92
    cover = cover * (0.88 + 0.12 * torch.sin(x * 90 + y * 60))
    tone = mix(hair, colour(0.72, 0.72, 0.72, x), q["greyness"] * 0.6) * 0.72
    return mix(skin, tone, cover), cover


def _eyes(x: Tensor, ax: Tensor, y: Tensor, s: Shape, front: Tensor) -> dict[str, Tensor]:
    q = s.q
    side, half = torch.sign(x), 0.176 * s.eye_scale
    dx = ax - s.eye_x
    dy = (y - s.eye_y) - s.eye_tilt * dx * 2.0
    u = dx / half
    rim = (1 - u.abs() ** 2.3).clamp_min(0)
    squint = 1 - 0.35 * q["squint"]
    upper = 0.098 * s.eye_scale * (q["lid"] - 0.08 * s.old).clamp_min(0.0) * rim * (1 - 0.1 * u)
    lower = -0.058 * s.eye_scale * rim * (0.30 + 0.70 * q["lid"].clamp(max=1)) * squint
    cover = smoothstep(-EDGE, EDGE, upper - dy) * smoothstep(-EDGE, EDGE, dy - lower)
    cover = cover * smoothstep(1.0, 0.94, u.abs()) * front * smoothstep(0.004, 0.03, upper - lower)
    shadow = smoothstep(0.14, 0.0, dy - upper) * smoothstep(-0.02, 0.02, dy - upper)
    shadow = q["eye_makeup"] * shadow * smoothstep(1.3, 0.75, u.abs()) * front * 0.80
    crease = torch.exp(-(((dy - upper - 0.040 * s.eye_scale) / 0.014) ** 2))
    crease = 0.30 * crease * smoothstep(1.1, 0.7, u.abs()) * front
    ix, iy = dx * side - q["gaze"] * 0.075, dy - 0.010
    radius, r = 0.078 * s.eye_scale, (ix * ix + iy * iy + 1e-8).sqrt()
    iris = smoothstep(radius + 0.012, radius - 0.010, r)
    pupil = smoothstep(0.042, 0.026, r)
    limbus = 1 - 0.45 * smoothstep(radius - 0.026, radius, r)
    white = torch.stack([0.96 - 0.06 * s.old, 0.94 - 0.07 * s.old, 0.92 - 0.09 * s.old])
    tone = ramp(q["eye_hue"], IRIS) * limbus * (1.05 + 0.35 * smoothstep(0.0, -0.06, iy))
    tone = mix(mix(white, tone, iris), colour(0.02, 0.02, 0.02, x), pupil)
    tone = tone * (0.50 + 0.50 * smoothstep(0.0, 0.060, upper - dy))
    gx, gy = ix - 0.026, iy - 0.030
    glint = smoothstep(0.028, 0.010, (gx * gx + gy * gy + 1e-8).sqrt())
    thick = 0.020 + 0.006 * (1 - q["gender"]) + 0.016 * q["eye_makeup"]
    dark = 0.62 + 0.20 * (1 - q["gender"]) + 0.18 * q["eye_makeup"]
    lash = smoothstep(thick, thick * 0.3, (dy - upper).abs()) * dark
    lash = lash * smoothstep(1.08, 0.95, u.abs()) * front
    below = smoothstep(0.014 + 0.01 * q["eye_makeup"], 0.004, (dy - lower).abs())
    lash = lash + 0.40 * below * smoothstep(1.0, 0.9, u.abs()) * front
    return dict(
        colour=tone, cover=cover, glint=glint * iris.clamp(0.3, 1) * 0.9, lash=lash.clamp(0, 0.95),
        shadow=shadow.clamp(0, 1), crease=crease,
    )  # fmt: skip


def _mouth(x: Tensor, y: Tensor, s: Shape, front: Tensor) -> dict[str, Tensor]:
    q, op = s.q, s.opening
    u = x / s.mouth_width
    c = (1 - u * u).clamp_min(0)
    line = lip_line(x, s)
    smile = q["lip_corner"].clamp_min(0)
    bare = (0.055 * smoothstep(0.30, 0.9, smile) + 0.05 * q["lip_raise"]) * c
    bare = bare + 0.035 * q["lip_stretch"] * c
    top = line + 0.12 * op * c + 0.40 * bare
    bottom = line - 0.85 * op * c - 0.60 * bare
    bow = (
        1
        - 0.22 * torch.exp(-((x / 0.035) ** 2))
        + 0.10 * torch.exp(-(((x.abs() - 0.06) / 0.04) ** 2))
    )
    crest = top + s.upper_lip * c.clamp_min(1e-6) ** 0.7 * bow
    floor = bottom - s.lower_lip * c.clamp_min(1e-6) ** 0.55
    inside = smoothstep(-EDGE, EDGE, top - y) * smoothstep(-EDGE, EDGE, y - bottom)
    inside = inside * smoothstep(0.0, 0.12, c) * smoothstep(0.005, 0.03, top - bottom) * front
    edge = smoothstep(0.0, 0.08, c) * front
    upper = smoothstep(-EDGE, EDGE, crest - y) * smoothstep(-EDGE, EDGE, y - top) * edge
    lower = smoothstep(-EDGE, EDGE, bottom - y) * smoothstep(-EDGE, EDGE, y - floor) * edge
    rows = 0.085 * smoothstep(0.0, 0.06, top - bottom) * 0.8 + 0.02 * smile
    teeth = smoothstep(-EDGE, EDGE, y - (top - rows)) * inside
    tongue = smoothstep(0.02, -0.04, y - (bottom + 0.05)) * inside
    dark = mix(colour(0.17, 0.10, 0.10, x), colour(0.62, 0.27, 0.25, x), tongue * 0.8)
    ivory = colour(0.97, 0.95, 0.91, x) * (0.74 + 0.26 * smoothstep(1.0, 0.3, u.abs()))
    seam = torch.exp(-(((y - line) / 0.013) ** 2)) * smoothstep(-0.04, 0.06, 1.06 - u * u)
    seam = (0.58 + 0.2 * q["lip_press"]) * seam * front * (1 - smoothstep(0.01, 0.03, top - bottom))
    return dict(colour=mix(dark, ivory, teeth), cover=inside, upper=upper, lower=lower, seam=seam)


def _lips(skin: Tensor, x: Tensor, mouth: dict[str, Tensor], s: Shape, front: Tensor) -> Tensor:
    bare = ramp(s.q["skin"], SKIN) * colour(0.84, 0.58, 0.58, x)
    shade = 0 * s.q["cloth_hue"]
    red = hsv((0.96 + 0.06 * s.q["cloth_hue"]) % 1, shade + 0.85, shade + 0.66)
    tone = mix(bare, red, s.q["lip_makeup"] * 0.88)
    cover = (mouth["upper"] + mouth["lower"]).clamp(0, 1)
    skin = mix(skin, tone * (1 - 0.16 * mouth["upper"]), cover * 0.94)
    return skin * (1 - mouth["seam"] * colour(1.0, 1.06, 1.06, x))
