"""What is painted on the surface: skin, brows, lips, teeth, lines of age and makeup."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.faceworld.eyes import EDGE, paint_eyes
from l2l_widgets.faceworld.features import (
    BROW_HALF,
    brow_line,
    cheek_fold,
    lip_line,
    mouth_curves,
    to_face,
)
from l2l_widgets.faceworld.field import colour, hsv, mix, ramp, smoothstep
from l2l_widgets.faceworld.geometry import Shape, dome, ear_hollow
from l2l_widgets.faceworld.hair import hair_colours, paint_hair

SKIN = (
    (0.95, 0.80, 0.70), (0.89, 0.70, 0.57), (0.77, 0.57, 0.44), (0.56, 0.39, 0.29),
    (0.34, 0.235, 0.18),
)  # fmt: skip


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


def skin_tone(s: Shape) -> Tensor:
    """Plain skin, of face and neck alike, (3, B, 1, 1).

    Fairer in women and children, greyer and sallower with age.
    """
    tint, m, old = s.q["undertone"], s.q["gender"], s.old
    level = 1.03 - 0.06 * m * (1 - s.young) - 0.05 * old
    tint = torch.stack([1 + 0.020 * tint, 1 + 0 * tint, 1 - 0.050 * tint])
    aged = torch.stack([1 - 0.02 * old, 1 - 0.005 * old, 1 - 0.05 * old])
    return ramp(s.q["skin"], SKIN) * tint * aged * level


def paint_head(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Paint:
    """Paint every layer at the given surface points (head space, (B, H, W))."""
    x, y = to_face(x, y, s)
    ax = x.abs()
    front = smoothstep(0.15, 0.4, z)
    base, _ = hair_colours(s)
    skin = _skin(x, ax, y, z, s, front)
    grown = paint_hair(skin, x, ax, y, z, s, front)
    skin = grown.skin
    nostril = dome(ax - 0.052 * s.nose_width, y - s.nose_y + 0.045, 0.040 * s.nose_width, 0.030)
    skin = skin * (1 - 0.70 * nostril * smoothstep(0.5, 0.65, z) * colour(0.92, 1.0, 1.0, x))
    eyes = paint_eyes(x, ax, y, s, front)
    skin = mix(skin, eyes.shadow_colour, eyes.shadow)
    skin = skin * (1 - eyes.crease * colour(0.85, 1.0, 1.02, x))
    skin, brow = _brows(skin, x, ax, y, s, base, front)
    mouth = _mouth(x, y, s, front)
    skin = _lips(skin, x, mouth, s)
    return Paint(
        skin=skin,
        hair=grown.hair,
        hair_cover=grown.hair_cover,
        strands=grown.strands,
        hat=grown.hat,
        eye=eyes.colour,
        eye_cover=eyes.cover,
        glint=eyes.glint,
        lash=eyes.lash,
        brow=brow,
        mouth=mouth["colour"],
        mouth_cover=mouth["cover"],
        upper_lip=mouth["upper"],
        lower_lip=mouth["lower"],
        facial_hair=grown.facial_hair,
    )


def _skin(x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, front: Tensor) -> Tensor:
    q = s.q
    skin = skin_tone(s) * torch.ones_like(x)
    flush = 0.20 + 0.55 * q["blush"] + 0.35 * s.young + 0.35 * (1 - q["gender"]) - 0.15 * s.old
    red = flush.clamp_min(0) * dome(ax - 0.40, y + 0.20, 0.27, 0.24)
    red = red + 0.30 * dome(x, y - s.nose_y - 0.04, 0.15, 0.14)
    red = red * smoothstep(-0.2, 0.2, z) + 0.40 * smoothstep(0.68, 0.78, ax)
    skin = skin * (1 - red * colour(-0.01, 0.13, 0.12, x))
    # Freckles: a tan band over cheeks and nose, and dots in it broad enough for 64 pixels.
    dots = torch.sin(x * 37 + 1.3 * torch.sin(y * 13)) * torch.sin(y * 35 + 1.3 * torch.sin(x * 15))
    band = dome(ax - 0.20, y + 0.13, 0.44, 0.28) * q["freckles"] * (1 - 0.55 * q["skin"])
    dots = band * (0.11 + 0.24 * smoothstep(0.38, 0.85, dots.abs()))
    skin = skin * (1 - dots * colour(0.55, 1.0, 1.10, x))
    blots = torch.sin(x * 15 + 2 * torch.sin(y * 9)) * torch.sin(y * 17 + 2 * torch.sin(x * 8))
    blots = smoothstep(0.55, 0.9, blots) * smoothstep(0.40, 1.0, s.old) * smoothstep(0.20, 0.5, ax)
    skin = skin * (1 - 0.20 * blots * colour(0.55, 0.9, 1.1, x))
    hollow = ear_hollow(ax, y, z, s)
    skin = skin * (1 - (0.45 * hollow).clamp(-0.06, 0.45) * colour(0.75, 1.0, 1.0, x))
    dark, light = _lines(x, ax, y, s)
    skin = skin * (1 - dark.clamp(0, 0.8) * front * colour(0.72, 1.0, 1.06, x))
    return skin * (1 + light * front)


def _lines(x: Tensor, ax: Tensor, y: Tensor, s: Shape) -> tuple[Tensor, Tensor]:
    """Painted darkness and light of folds: displacement alone disappears at 64 pixels."""
    q, old = s.q, s.old
    smile, frown = q["lip_corner"].clamp_min(0), q["brow_frown"].clamp_min(0)
    dx, dy = ax - s.eye_x, y - s.eye_y
    across, band = cheek_fold(ax, y, s)
    skew = q["lip_skew"].clamp_min(0) * (x > 0)
    fold = (1 - (across / 0.066) ** 2).clamp_min(0) ** 2
    strength = 0.27 * old + 0.12 * smile + 0.10 * q["lip_raise"] + 0.08 * skew
    dark = strength * fold * band
    light = 0.10 * (old + 0.4 * smile) * band * (1 - ((across - 0.085) / 0.06) ** 2).clamp_min(0)
    # Bags: a dark crescent below a lighter swelling.
    under = dy + 0.135 * s.eye_scale - 0.7 * dx * dx
    wide = dome(dx + 0.01, dx * 0, 0.21, 1.0)
    dark = dark + (0.30 * old + 0.05) * wide * (1 - (under / 0.045) ** 2).clamp_min(0)
    light = light + 0.10 * old * wide * (1 - ((under - 0.06) / 0.04) ** 2).clamp_min(0)
    # From the corners of the mouth down, and the edge of the jowl.
    corner = ax - s.mouth_width - 0.035 - 0.10 * (s.mouth_y - y)
    droop = smoothstep(s.mouth_y - 0.30, s.mouth_y - 0.16, y)
    droop = droop * smoothstep(s.mouth_y + 0.03, s.mouth_y - 0.05, y)
    sad = (-q["lip_corner"]).clamp_min(0)
    mario = droop * (1 - (corner / 0.050) ** 2).clamp_min(0) ** 2
    dark = dark + (0.17 * smoothstep(0.2, 1.0, old) + 0.10 * sad) * mario
    # The forehead: three soft lines, and crow's feet fanning out from the eyes.
    up = y - s.eye_y - s.brow_y
    rows = torch.cos((up + 0.10 * x * x) * 44.0 - 1.83).clamp_min(0)
    rows = rows * rows * smoothstep(0.07, 0.13, up) * smoothstep(0.52, 0.36, up)
    rows = rows * smoothstep(0.52, 0.22, ax)
    raised = q["brow_raise"].clamp(0, 1)
    dark = dark + (0.20 * old + raised * (0.05 + 0.14 * old) + 0.08 * q["brow_inner"]) * rows
    fan = torch.cos(dy / (ax - s.eye_x + 0.05).clamp_min(0.10) * 9.0).clamp_min(0)
    fan = fan * fan * smoothstep(1.12, 1.30, dx / s.eye_half) * smoothstep(0.46, 0.30, dx)
    fan = fan * (1 - (dy / 0.17) ** 2).clamp_min(0)
    dark = dark + (0.27 * old + 0.08 * smile * q["cheek"]) * fan
    glabella = dome(ax - 0.050, dy - 0.135, 0.036, 0.11)
    dark = dark + (0.27 * frown + 0.13 * old).clamp_max(0.34) * glabella
    # A wrinkled nose: lines across its root and from its wings up.
    wrinkle = q["nose_wrinkle"]
    bridge = torch.cos(dy * 58.0).clamp_min(0) * dome(ax, dy + 0.03, 0.16, 0.12)
    wing = dome(ax - 0.165 - 0.25 * (s.nose_y - y), y - s.nose_y - 0.03, 0.045, 0.16)
    dark = dark + wrinkle * (0.32 * bridge + 0.34 * wing)
    # Hollow cheeks and temples.
    hollow = dome(ax - 0.45, y + 0.42, 0.20, 0.24) * s.hollow * 1.0
    deep = 0.10 * s.eye_depth * dome(dx + 0.03, dy - 0.05, 0.27, 0.15)
    return dark + hollow + deep + 0.25 * old * dome(ax - 0.60, y - 0.25, 0.15, 0.22), light


def _brows(
    skin: Tensor, x: Tensor, ax: Tensor, y: Tensor, s: Shape, hair: Tensor, front: Tensor
) -> tuple[Tensor, Tensor]:
    """Brows full by the nose and pointed outside, softer at the lower and inner edge."""
    q = s.q
    u = (ax - s.eye_x - s.brow_x) / BROW_HALF
    height = brow_line(u, s, torch.sign(x))
    thick = s.brow_thickness * (1.05 - 0.75 * smoothstep(-0.2, 1.15, u)) * (0.75 + 0.25 * (u > -9))
    soft = 0.020
    cover = smoothstep(thick + soft, thick - soft, (y - height).abs())
    cover = cover * smoothstep(1.14, 0.85, u) * smoothstep(-1.12, -0.72, u) * front
    strength = 0.86 - 0.08 * (1 - q["gender"]) - 0.14 * s.young
    grey = mix(hair, colour(0.70, 0.70, 0.71, x), q["greyness"] * 0.7)
    tone = 0.52 * grey + 0.02
    return mix(skin, mix(tone, skin * 0.45, 0.25 + 0 * cover), cover * strength), cover


def _mouth(x: Tensor, y: Tensor, s: Shape, front: Tensor) -> dict[str, Tensor]:
    q = s.q
    u = x / s.mouth_width
    c = (1 - u * u).clamp_min(0)
    crest, top, bottom, floor = mouth_curves(x, s)
    gap = top - bottom
    inside = smoothstep(EDGE, -EDGE, torch.maximum(y - top, bottom - y))
    inside = inside * smoothstep(0.0, 0.10, c) * smoothstep(0.004, 0.028, gap) * front
    edge = smoothstep(0.0, 0.10, c) * front
    upper = smoothstep(0.016, -0.016, y - crest) * smoothstep(-EDGE, EDGE, y - top) * edge
    lower = smoothstep(EDGE, -EDGE, y - bottom) * smoothstep(-0.018, 0.018, y - floor) * edge
    # Upper teeth, in the upper lip's shadow and darker towards the corners; below them the tongue.
    rows = 0.022 + 0.58 * gap.clamp_max(0.14)
    teeth = smoothstep(-0.014, 0.010, y - (top - rows)) * inside
    tongue = smoothstep(0.03, -0.04, y - bottom - 0.04) * inside
    dark = mix(colour(0.16, 0.075, 0.075, x), colour(0.66, 0.30, 0.29, x), tongue * 0.85)
    shade = (0.66 + 0.34 * smoothstep(0.0, 0.035, top - y)) * (0.62 + 0.38 * (c * 2).clamp_max(1))
    ivory = torch.stack([0.98 - 0.06 * s.old, 0.96 - 0.10 * s.old, 0.92 - 0.20 * s.old]) * shade
    line = lip_line(x, s)
    seam = (1 - ((y - 0.5 * (top + bottom)) / 0.022) ** 2).clamp_min(0) * smoothstep(0.0, 0.15, c)
    seam = (0.55 + 0.25 * q["lip_press"]) * seam * (1 - smoothstep(0.012, 0.035, gap))
    ends = dome(x.abs() - s.mouth_width * 1.02, y - line, 0.055, 0.050)
    deep = 0.24 + 0.16 * q["lip_corner"].clamp_min(0) + 0.14 * q["lip_skew"].clamp_min(0) * (x > 0)
    seam = torch.maximum(seam, deep * ends) * front * (1 - inside)
    return dict(colour=mix(dark, ivory, teeth), cover=inside, upper=upper, lower=lower, seam=seam)


def _lips(skin: Tensor, x: Tensor, mouth: dict[str, Tensor], s: Shape) -> Tensor:
    m, old, flat = s.q["gender"], s.old, 0 * s.q["cloth_hue"]
    pale = 0.10 * m + 0.06 * old
    bare = skin_tone(s) * torch.stack([0.91 - 0.03 * m, 0.61 + pale, 0.61 + pale])
    red = hsv((0.955 + 0.06 * s.q["cloth_hue"]) % 1, flat + 0.82, flat + 0.72 - 0.10 * s.q["skin"])
    tone = mix(bare, red, s.q["lip_makeup"] * 0.90)
    cover = (mouth["upper"] + mouth["lower"]).clamp(0, 1)
    skin = mix(skin, tone * (1 - 0.14 * mouth["upper"]), cover * 0.92)
    return skin * (1 - mouth["seam"] * colour(0.92, 1.05, 1.05, x))
