"""Hair, beards and hats: where they grow, how far they stand out, and their colour.

Coordinates are the head space of :mod:`geometry`, (B, H, W) each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.faceworld.field import (
    bump,
    colour,
    ellipsoid,
    hsv,
    mix,
    ramp,
    smooth_max,
    smooth_min,
    smoothstep,
)  # fmt: skip

if TYPE_CHECKING:
    from l2l_widgets.faceworld.geometry import Shape

HAIR = (
    (0.05, 0.042, 0.045), (0.14, 0.085, 0.06), (0.34, 0.20, 0.11), (0.66, 0.47, 0.22),
    (0.93, 0.79, 0.48),
)  # fmt: skip


@dataclass
class HairShape:
    """Measures of what grows, each (B, 1, 1)."""

    line: Tensor
    long: Tensor
    length: Tensor
    thickness: Tensor
    beard: Tensor


def hair_shape(
    q: dict[str, Tensor], young: Tensor, old: Tensor, width: Tensor, forehead: Tensor
) -> HairShape:
    """Natural factors, (B, 1, 1) each, and the head's measures -> :class:`HairShape`."""
    return HairShape(
        line=0.60
        + 0.04 * q["forehead"]
        + 0.05 * old
        - 0.33 * q["fringe"]
        + 0.50 * smoothstep(0.15, 1.0, q["baldness"]),
        long=smoothstep(0.38, 0.55, q["hair_length"]),
        length=(q["hair_length"] - 0.4).clamp_min(0) / 0.6,
        thickness=0.05 + 0.15 * q["hair_volume"] + 0.07 * q["hair_curl"] * q["hair_volume"],
        beard=0.12 * smoothstep(0.40, 1.0, q["beard"]),
    )


@dataclass
class Growth:
    """What :func:`paint_hair` paints: colours (3, B, H, W), coverages and strands (B, H, W)."""

    skin: Tensor
    hair: Tensor
    hair_cover: Tensor
    strands: Tensor
    facial_hair: Tensor
    hat: Tensor


def beard_region(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Where a beard grows, 0 to 1: jaw, chin and cheeks below a curved line, not the lips."""
    line = (
        s.mouth_y
        - 0.03
        + 0.62 * (ax - s.mouth_width * 0.9).clamp_min(0)
        + 0.42 * (ax - 0.45).clamp_min(0)
    )
    inside = smoothstep(-0.05, 0.05, line - y)
    inside = inside * smoothstep(0.62, 0.5, ax * ax * 0.2 + (y - s.mouth_y).clamp_min(0))
    lips = bump(ax, y - (s.mouth_y - 0.02), s.mouth_width * 0.95, 0.085 + s.opening * 0.6)
    return inside * (1 - smoothstep(0.25, 0.6, lips)) * smoothstep(-0.30, -0.05, z)


def moustache_region(ax: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Where a moustache grows, 0 to 1: a band that follows the upper lip."""
    centre = s.mouth_y + s.upper_lip + 0.075 - 0.55 * ax * ax + 0.05 * s.q["lip_corner"] * ax
    return bump(ax * 0, y - centre, 0.1, 0.055) * smoothstep(0.31, 0.21, ax)


def sideburn_region(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Where sideburns grow, 0 to 1: a strip before the ear, from the temple to the jaw."""
    strip = bump(z - 0.16 - 0.1 * (y + 0.2), y * 0, 0.13, 1.0) * smoothstep(0.50, 0.60, ax)
    return strip * smoothstep(-0.56, -0.44, y) * smoothstep(0.30, 0.12, y)


def facial_hair_height(
    x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool
) -> Tensor:
    """How far facial hair stands out from the skin."""
    height = beard_region(ax, y, z, s) * s.hair.beard
    height = torch.maximum(height, 0.045 * s.q["moustache"] * moustache_region(ax, y, s))
    height = torch.maximum(height, 0.035 * s.q["sideburns"] * sideburn_region(ax, y, z, s))
    if detail:
        tufts = torch.sin(x * 61 + 3 * torch.sin(y * 29)) * torch.sin(y * 27 + z * 17)
        height = height * (1 + 0.05 * tufts)
    return height


def hair_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Distance to the hair: a shell around the skull with an opening for the face."""
    ax, v, q = x.abs(), s.hair.thickness, s.q
    waves = torch.sin(13 * x + 2 * torch.sin(7 * z)) * torch.sin(12 * y + 1.0)
    curls = 0.040 * smoothstep(0.45, 1.0, q["hair_curl"]) * waves * torch.sin(13 * z + 2)
    d = ellipsoid(
        x, y - 0.33 - s.forehead - 0.6 * v * 0.5, z + 0.15,
        0.735 * s.width + v, 0.76 + s.forehead + v, 0.87 + v * 0.7,
    )  # fmt: skip
    d = torch.maximum(d, -(y + 0.30))
    fall = ellipsoid(
        x, y + 0.30 + 0.55 * s.hair.length, z + 0.22,
        0.72 * s.width + v * 1.3 + 0.05, 1.0 + 0.75 * s.hair.length, 0.60 + 0.5 * v,
    )  # fmt: skip
    d = mix(d, smooth_min(d, fall, 0.15), s.hair.long)
    top = s.hair.line + 0.10 * q["part"].clamp(-1, 1) * x * (1 - q["fringe"])
    top = top + q["fringe"] * 0.02 * torch.sin(x * 31.0)
    half_width = 0.60 * s.width + 0.03 * (1 - s.hair.long)
    rise = (y - 0.05).clamp_min(0) / (top - 0.05)
    opening = (((x / half_width) ** 2 + rise * rise + 1e-6).sqrt() - 1) * 0.5
    opening = torch.maximum(opening, (-0.02 + 0.10 * s.hair.long) - z)
    d = smooth_max(d, -opening, 0.05)
    throat = torch.maximum(ax - 0.55 * s.width, torch.maximum(y + 0.45, -(z + 0.1)))
    d = smooth_max(d, -throat, 0.04)
    d = d + 0.35 * smoothstep(0.35, 1.0, q["baldness"]) * smoothstep(0.25, 0.62, y)
    return d + curls


def hat_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Distance to a knitted hat; far away where none is worn."""
    v = 0.06 + 0.4 * s.hair.thickness
    d = ellipsoid(
        x, y - 0.36 - s.forehead, z + 0.14, 0.735 * s.width + v, 0.80 + s.forehead + v, 0.87 + v
    )
    tilt = 0.40 + 0.18 * z
    d = torch.maximum(d, -(y - tilt))
    rim = torch.maximum(d - 0.03, (y - 0.16 - tilt))
    return torch.minimum(d, rim) + (s.q["hat"] <= 0.5) * 3.0


def hair_and_hat(
    x: Tensor, y: Tensor, z: Tensor, s: Shape, head: Tensor, detail: bool
) -> tuple[Tensor, Tensor]:
    """Distances to the hair and to the hat; ``head`` is the distance to the bare head."""
    hair, hat = hair_distance(x, y, z, s), hat_distance(x, y, z, s)
    worn = (s.q["hat"] > 0.5).to(x.dtype)
    # Under a hat the hair ends at the rim, or curls would stick through the wool.
    return torch.maximum(hair, (y - 0.44 - 0.18 * z) * worn - 9.0 * (1 - worn)), hat


def hair_colours(s: Shape) -> tuple[Tensor, Tensor]:
    """Hair colour before and after greying, each (3, B, 1, 1)."""
    tone = s.q["hair_tone"]
    red = colour(0.58, 0.20, 0.06, tone) * (0.65 + 0.6 * tone)
    base = mix(ramp(tone, HAIR), red, s.q["hair_redness"] * 0.92)
    return base, mix(base, colour(0.78, 0.78, 0.79, tone), s.q["greyness"] * 0.95)


def paint_hair(
    skin: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, front: Tensor
) -> Growth:
    """Colour hair and hat, and paint what grows from the skin onto ``skin``.

    Parameters
    ----------
    skin : Tensor, shape (3, B, H, W)
        Bare skin at the surface points ``x, y, z``, which are (B, H, W); ``ax`` is ``|x|``.
    front : Tensor, shape (B, H, W)
        1 on the face, 0 at the back of the head.
    """
    _, greyed = hair_colours(s)
    skin, facial_hair = _facial_hair(skin, x, ax, y, z, s, greyed, front)
    strands = _strands(x, y, z, s)
    q = s.q
    wool = hsv(q["hat_hue"], 0 * q["hat_hue"] + 0.5, 0.35 + 0.5 * q["cloth_light"])
    ribs = 0.9 + 0.1 * torch.sin(torch.atan2(x, z + 0.2) * 40.0)
    return Growth(
        skin=skin,
        hair=greyed * (1 + 0.12 * strands),
        hair_cover=torch.ones_like(x),
        strands=strands,
        facial_hair=facial_hair,
        hat=wool * ribs,
    )


def _facial_hair(
    skin: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, hair: Tensor, front: Tensor
) -> tuple[Tensor, Tensor]:
    q = s.q
    region = beard_region(ax, y, z, s)
    grain = torch.sin(x * 83 + 4 * torch.sin(y * 13)) * torch.sin(y * 37 + 3 * torch.sin(x * 21))
    shaved = smoothstep(0.55, 0.8, q["gender"]) * smoothstep(0.12, 0.3, q["age"])
    cover = region * smoothstep(0.03, 0.50, q["beard"]) * 0.94
    cover = cover + region * 0.14 * shaved * (1 - q["hair_tone"] * 0.6)
    cover = cover.clamp(0, 1)
    lip = moustache_region(ax, y, s) * smoothstep(0.05, 0.45, q["moustache"]) * front
    side = sideburn_region(ax, y, z, s) * smoothstep(0.05, 0.45, q["sideburns"]) * 0.92
    cover = torch.maximum(torch.maximum(cover, lip), side)
    return mix(skin, hair * (0.92 + 0.10 * grain), cover), cover


def _strands(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Light and dark of hair strands in [-1, 1], running from the parting down the head."""
    q = s.q
    azimuth = torch.atan2(x, z + 0.35 + 0 * x) + 0.15 * q["part"]
    swirl = azimuth * (1.2 + 0.5 * s.hair.long) + 0.25 * torch.sin(3 * y + q["part"] * 3)
    straight = torch.sin(swirl * 11 + q["part"] * 7 + 1.5 * torch.sin(y * 2.0 + x * 3)) * 0.40
    straight = straight + torch.sin(swirl * 23 + y * 2.5 + q["part"] * 13) * 0.35
    straight = straight + torch.sin(swirl * 41 + y * 4) * 0.25
    curly = torch.sin(19 * x + 2 * torch.sin(9 * y)) * torch.sin(17 * y + 3 * z)
    return mix(straight, curly, smoothstep(0.5, 1.0, q["hair_curl"]) * 0.75)


def hair_gloss(s: Shape, strands: Tensor, normal: Tensor, half: Tensor, rotation: Tensor) -> Tensor:
    """Highlight of the strands, to be added to the colour: a band across them.

    Parameters
    ----------
    strands : Tensor, shape (B, H, W)
        Light and dark of the strands, from :func:`paint_hair`.
    normal, half : Tensor, shapes (3, B, H, W) and (3, B, 1, 1)
        Surface normal, and the direction half way between light and viewer, in camera space.
    rotation : Tensor, shape (B, 3, 3)
        Head space to camera space.
    """
    mirror = (normal * half).sum(0).clamp_min(0)
    _, greyed = hair_colours(s)
    return 0.22 * mirror**10 * (0.5 + 0.5 * strands).clamp_min(0) * (0.35 + greyed[1])
