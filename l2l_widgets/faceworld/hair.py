"""Hair, beards and hats: where they grow, how far they stand out, and their colour.

Hair of the head is the bare head pushed outwards: a scalp field (:func:`_scalp`) is positive where
hair grows, and the push rises smoothly from nothing at its border, so that hair comes out of the
skin without a rim; the same field paints the roots, so that colour fades with it. Long hair adds a
curtain around the neck. Coordinates are the head space of :mod:`geometry`, (B, H, W) each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.faceworld.features import OVERDRAWN
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
)

if TYPE_CHECKING:
    from l2l_widgets.faceworld.geometry import Shape

HAIR = (
    (0.066, 0.054, 0.054), (0.135, 0.084, 0.060), (0.31, 0.185, 0.105), (0.62, 0.44, 0.22),
    (0.93, 0.79, 0.50),
)  # fmt: skip


@dataclass
class HairShape:
    """Measures of what grows, each (B, 1, 1).

    ``back``, ``swept``, ``centre`` and ``tousled`` are the shares of the four styles; ``side`` is
    the side to which hair is swept, -1 to 1, and ``hand`` its sign, by which texture is mirrored.
    """

    back: Tensor
    swept: Tensor
    centre: Tensor
    tousled: Tensor
    side: Tensor
    hand: Tensor
    line: Tensor
    recession: Tensor
    sweep: Tensor
    curtain: Tensor
    peak: Tensor
    clumps: Tensor
    parting: Tensor
    groove: Tensor
    ramp: Tensor
    lip: Tensor
    top: Tensor
    sides: Tensor
    lift: Tensor
    curl: Tensor
    wave: Tensor
    long: Tensor
    bottom: Tensor
    over_ear: Tensor
    tuck: Tensor
    crown: Tensor
    thinning: Tensor
    beard: Tensor
    hat: Tensor


def hair_shape(
    q: dict[str, Tensor], young: Tensor, old: Tensor, width: Tensor, forehead: Tensor
) -> HairShape:
    """Natural factors, (B, 1, 1) each, and the head's measures -> :class:`HairShape`."""
    # Each style has a plateau in its quarter of [0, 1] and blends into its neighbours.
    place = 4 * q["hair_style"] - 0.5
    back, swept, centre, tousled = (
        smoothstep(0.85, 0.15, (place.clamp(0, 3) - i).abs()) for i in range(4)
    )
    bald, fringe, male = q["baldness"], q["fringe"], q["gender"]
    side = torch.tanh(4 * q["part"])
    free = 1 - fringe
    curl = smoothstep(0.45, 0.95, q["hair_curl"])
    long = smoothstep(0.34, 0.48, q["hair_length"]) * (1 - 0.9 * smoothstep(0.5, 0.9, bald))
    burns = smoothstep(0.2, 0.6, q["sideburns"])
    short = smoothstep(0.30, 0.0, q["hair_length"])
    top = 0.035 + (0.045 + 0.17 * q["hair_volume"]) * (1 - 0.6 * short)
    top = top * (1 + 0.35 * curl + 0.15 * tousled + 0.10 * centre * long)
    top = top * (1 - 0.35 * smoothstep(0.3, 0.8, bald))
    over_ear = smoothstep(0.36, 0.46, q["hair_length"]) * (1 - burns) * (1 - 0.9 * back)
    return HairShape(
        back=back,
        swept=swept,
        centre=centre,
        tousled=tousled,
        side=side,
        hand=1 - 2.0 * (q["part"] < 0),
        line=0.635
        + forehead
        + 0.03 * old
        - 0.30 * fringe
        + 0.03 * back
        - 0.05 * tousled * free
        + 0.60 * smoothstep(0.20, 0.65, bald),
        recession=free * (0.02 + 0.05 * male - 0.03 * q["hairline"])
        + 0.45 * smoothstep(0.05, 0.55, bald),
        sweep=(0.20 * swept * free * (1 - 0.6 * short) + 0.09 * fringe) * (1 - bald),
        curtain=0.24 * centre * free * (1 - bald) * (1 - 0.7 * short) + 0.05 * fringe,
        peak=free * (0.012 + 0.035 * q["hairline"]) * (1 - centre),
        clumps=0.010 * fringe + 0.016 * tousled * (1 - short),
        parting=-0.26 * side * swept,
        groove=(0.75 * swept + 0.9 * centre) * (1 - curl) * (1 - 0.8 * fringe),
        ramp=0.26 + 0.22 * q["hair_volume"] * (1 - 0.5 * short) + 0.2 * fringe,
        lip=(0.012 * (1 - back) + 0.010 * (swept + tousled)) * (1 - short) + 0.018 * fringe,
        top=top,
        sides=mix(0.42 + 0 * male, 1.0, (long + curl + 0.25 + bald).clamp(0, 1)),
        lift=0.4 * back + 0.3 * tousled + 0.2 * swept,
        curl=0.032 * curl * (0.35 + 0.65 * (top / 0.16).clamp(0, 1)),
        wave=smoothstep(0.15, 0.6, q["hair_curl"]),
        long=long,
        bottom=mix(-0.50 + 0 * male, -1.9, smoothstep(0.36, 1.0, q["hair_length"])),
        over_ear=over_ear,
        tuck=(0.9 * back + 0.9 * swept + burns).clamp(0, 1),
        crown=mix(1.8 + 0 * male, 0.60, smoothstep(0.40, 0.95, bald)),
        thinning=smoothstep(0.05, 0.60, bald),
        hat=(q["hat"] > 0.5).to(male.dtype),
        beard=0.13 * smoothstep(0.30, 1.0, q["beard"]),
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


def _scalp(x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Depth inside the region where hair grows (negative outside), in head units."""
    h = s.hair
    clumps = torch.cos(14 * x + 9 * x * ax + 5 * h.side)
    line = h.line - 0.28 * ax * ax + (h.recession - h.curtain) * smoothstep(0.06, 0.46, ax)
    line = line - h.sweep * smoothstep(-0.30, 0.42, x * h.side) + h.clumps * clumps
    line = line - h.peak / (1 + 130 * ax * ax)
    # At the side the border runs from the temple down before the ear.
    edge = 0.13 + 0.66 * y.clamp_min(0) + 0.08 * h.over_ear + 0.5 * (y + 0.05).clamp_max(0)
    edge = edge - 0.35 * (h.recession - 0.1).clamp_min(0)
    inside = smooth_max(y - line, edge - z, 0.14)
    # Below it ends before the ear, around the ear, and at the nape.
    low = mix(0.06 - 0.36 * h.over_ear, -0.46 - 0.3 * h.long, smoothstep(-0.05, -0.34, z))
    ear = (_ear(y, z, s) - 1) * 0.10 + 0.5 * h.over_ear
    inside = smooth_min(inside, h.crown - y - 0.25 * (z + 0.2).clamp_min(0) * h.thinning, 0.20)
    return torch.minimum(torch.minimum(inside, y - low), ear)


def _ear(y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """1 on an ellipse just outside the ear, less within."""
    return ((y / 0.26) ** 2 + ((z + 0.12) / 0.19) ** 2) / (s.ear * s.ear)


def _curls(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Locks of curly hair as a field in [-1, 1]."""
    turn = torch.sin(7 * z + 3 * y)
    return torch.sin(13 * x + 2 * turn) * torch.sin(12 * y - 1.6 * turn + 1)


def hair_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape, head: Tensor) -> Tensor:
    """Distance to the hair; ``head`` is the distance to the bare head."""
    ax, h = x.abs(), s.hair
    inside = _scalp(x, ax, y, z, s)
    curls = h.curl * _curls(x * h.hand, y, z)
    upper, front = smoothstep(0.10, 0.75, y), smoothstep(0.0, 0.6, z)
    thick = h.top * mix(h.sides * (1 - 0.6 * front), 1 + h.lift * front, upper)
    off = (x - h.parting) / 0.10
    thick = thick * (1 - h.groove * upper * smoothstep(-0.3, 0.3, z) * 0.35 / (1 + off * off))
    # Around the ear hair is short, over it it lies flat.
    near = 1 - 0.92 / (1 + 0.18 * _ear(y, z, s) ** 2)
    press = 1 - 0.75 * h.hat * smoothstep(-0.35, 0.30, y)  # a hat holds the hair down
    thick = (thick + curls) * near * press
    rise = smoothstep(0.0, h.ramp + 0.15 * h.thinning, inside)
    d = (
        head
        + 0.02
        - thick * rise
        - (0.02 + h.lip) * smoothstep(0.0, 0.07 + 0.10 * h.thinning, inside)
    )
    # The curtain: an elliptic cylinder around the neck, open before face and throat.
    down = (0.2 - y).clamp_min(0)
    wave = 1 + 0.035 * h.wave * torch.sin(9 * y + 4 * z)
    rx = 0.74 * s.width + 0.85 * h.top * press + 0.05 * down
    tuck = h.tuck * (1 - h.swept * smoothstep(-0.2, 0.2, x * h.side))
    rx = (rx - 0.20 * tuck * smoothstep(-0.5, 0.1, y)) * wave
    rz = 0.62 + 0.5 * h.top
    fall = ((x / rx) ** 2 + ((z + 0.16) / rz) ** 2 + 1e-6).sqrt() - 1
    fall = smooth_max(fall * 0.62, y - 0.42, 0.25)
    fall = smooth_max(fall, h.bottom + 0.35 * ax - y, 0.20)
    fall = smooth_max(fall, z - mix(0.42, -0.12, tuck), 0.16)
    half = mix(0.53 * s.width, 0.43, smoothstep(0.0, -0.75, y))
    half = half + 0.14 * smoothstep(0.55, 0.0, y - h.bottom)  # locks run out in a point
    fall = smooth_max(fall, torch.minimum(half - ax, z + 0.22), 0.10)
    return mix(d, smooth_min(d, fall - curls, 0.14), h.long)


def hat_distance(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Distance to a hat, knitted, peaked or brimmed by ``hat_style``; far away where none."""
    style = s.q["hat_style"]
    v = 0.05 + 0.35 * s.hair.top
    brim = smoothstep(0.45, 0.55, style)
    d = ellipsoid(
        x, y - 0.36 - s.forehead, z + 0.14, 0.735 * s.width + v, 0.80 + s.forehead + v, 0.87 + v
    )
    tilt = 0.40 + 0.18 * z
    d = smooth_max(d, tilt - y, 0.03)
    band = torch.maximum(d - 0.035, y - 0.18 - tilt)
    # One flat ellipsoid is the peak of a cap, or the brim of a hat as it grows around the head.
    round_ = smoothstep(0.62, 0.80, style)
    # It droops outwards: seen edge-on it would be a line.
    peak = tilt + 0.05 - 0.12 * x * x - 0.34 * (z - 0.5).clamp_min(0)
    droop = 0.55 - 0.17 * (x * x + z * z)
    # Its edge is round and its distance exact: a thinning edge would be stepped over.
    beyond = z - mix(0.62, -0.05, round_)
    beyond = (x * x + beyond * beyond + 1e-6).sqrt() - mix(0.52, 1.00, round_) - v
    level = y - mix(peak, droop, round_)
    plate = (beyond.clamp_min(0) ** 2 + level * level + 1e-6).sqrt() * 0.85 - 0.040
    brimmed = smooth_min(d, plate, 0.05)
    d = mix(torch.minimum(d, band), brimmed, brim)
    return d + (s.q["hat"] <= 0.5) * 3.0


def hair_and_hat(
    x: Tensor, y: Tensor, z: Tensor, s: Shape, head: Tensor, detail: bool
) -> tuple[Tensor, Tensor]:
    """Distances to the hair and to the hat; ``head`` is the distance to the bare head."""
    hair, hat = hair_distance(x, y, z, s, head), hat_distance(x, y, z, s)
    worn = (s.q["hat"] > 0.5).to(x.dtype)
    # Under a hat the hair ends at the rim, or curls would stick through the wool.
    return torch.maximum(hair, (y - 0.46 - 0.18 * z) * worn - 9.0 * (1 - worn)), hat


def beard_region(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Where a beard grows, 0 to 1: jaw, chin and cheeks below a curved line, not the lips."""
    line = s.mouth_y + 0.62 * (ax - s.mouth_width * 0.9).clamp_min(0)
    line = line + 0.42 * (ax - 0.45).clamp_min(0)
    inside = smoothstep(-0.12, 0.16, line - y)
    lips = bump(ax, y - (s.mouth_y - 0.02), s.mouth_width * 0.98, 0.09 + s.opening * 0.6)
    back = 0.16 * smoothstep(-0.52, -0.30, y)  # it ends before the ear, and on the jaw below it
    return inside * (1 - smoothstep(0.2, 0.65, lips)) * smoothstep(-0.20, 0.03, z - back)


def moustache_region(ax: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Where a moustache grows, 0 to 1: it tapers from below the nose to beyond the mouth's ends."""
    reach = s.mouth_width + 0.07
    lip = s.upper_lip - OVERDRAWN * s.q["lip_makeup"]  # what is painted over it moves no hair
    centre = s.mouth_y + lip + 0.085 - 0.95 * ax * ax + 0.05 * s.q["lip_corner"] * ax
    half = 0.105 - 0.065 * smoothstep(0.05, 1.0, ax / reach)
    region = smoothstep(1.0, 0.35, (y - centre).abs() / half) * smoothstep(reach, reach - 0.09, ax)
    return region * (1 - 0.35 * smoothstep(0.035, 0.0, ax))


def sideburn_region(ax: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Where sideburns grow, 0 to 1: a strip before the ear that broadens towards the jaw."""
    along = (0.30 - y).clamp(0, 0.8)
    front = 0.27 + 0.32 * along
    strip = smoothstep(front + 0.08, front - 0.10, z) * smoothstep(0.01, 0.09, z)
    end = 0.05 - 0.60 * smoothstep(0.1, 0.9, s.q["sideburns"]) - 0.4 * (z - 0.15)
    return strip * smoothstep(end - 0.08, end + 0.14, y) * smoothstep(0.40, 0.20, y)


def facial_hair_height(
    x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, detail: bool
) -> Tensor:
    """How far facial hair stands out from the skin."""
    q = s.q
    chin = 0.55 + 0.75 * bump(ax, y - s.mouth_y + 0.42 + s.opening, 0.42, 0.34)
    height = beard_region(ax, y, z, s) * s.hair.beard * chin
    height = torch.maximum(height, 0.055 * q["moustache"] * moustache_region(ax, y, s))
    return torch.maximum(height, 0.040 * q["sideburns"] * sideburn_region(ax, y, z, s))


def hair_colours(s: Shape) -> tuple[Tensor, Tensor]:
    """Hair colour before and after greying, each (3, B, 1, 1)."""
    tone = s.q["hair_tone"]
    red = colour(0.55, 0.19, 0.06, tone) * (0.65 + 0.6 * tone)
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
    q, h = s.q, s.hair
    base, greyed = hair_colours(s)
    skin, facial_hair = _facial_hair(skin, x, ax, y, z, s, greyed, front)
    strands = _strands(x, y, z, s)
    curls = _curls(x * h.hand, y, z)
    curly = smoothstep(0.0, 0.04, h.curl)
    # Temples grey first.
    temple = smoothstep(0.45, 0.75, ax) * smoothstep(0.75, 0.35, y) * smoothstep(-0.7, 0.1, y)
    grey = (1.2 * q["greyness"] - 0.2 * (1 - temple)).clamp(0, 1)
    tone = mix(base, colour(0.78, 0.78, 0.79, x), grey * 0.95)
    depth = mix(0.98 + 0.22 * strands, 0.90 + 0.34 * curls, curly)
    hair = tone * depth
    # Roots: hair thins into the skin over a broad border; far down it is the curtain, all hair.
    inside = _scalp(x, ax, y, z, s)
    fringe = q["fringe"]
    frayed = inside + (0.025 + 0.025 * fringe) * strands
    roots = smoothstep(-0.03, 0.11 - 0.05 * fringe + 0.16 * h.thinning, frayed)
    cover = torch.maximum(roots, h.long * smoothstep(0.52, 0.40, y))
    line = torch.exp(-(((x - h.parting) / 0.028) ** 2)) * h.groove
    cover = cover * (1 - 0.36 * line * smoothstep(0.45, 0.6, y) * smoothstep(-0.1, 0.3, z))
    hair = mix(skin, hair, cover)
    skin = mix(skin, tone, roots * 0.9)
    shade = 0.40 * (q["hat"] > 0.5) * smoothstep(-0.02, 0.36, y - 0.18 * z)
    skin = skin * (1 - shade * front)
    return Growth(
        skin=skin,
        hair=hair,
        hair_cover=cover,
        strands=mix(strands, curls, curly),
        facial_hair=facial_hair,
        hat=_hat_colour(x, y, z, s),
    )


def _hat_colour(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    q = s.q
    cloth = hsv(q["hat_hue"], 0 * q["hat_hue"] + 0.5, 0.35 + 0.5 * q["cloth_light"])
    knitted = smoothstep(0.55, 0.45, q["hat_style"])
    over = y - 0.40 - 0.18 * z
    ribs = 1 + 0.10 * knitted * torch.sin(torch.atan2(x, z + 0.2) * 24.0)
    fold = 1 - 0.25 * knitted * smoothstep(0.06, 0.0, (over - 0.18).abs())
    ribbon = (1 - knitted) * smoothstep(0.60, 0.70, q["hat_style"])
    ribbon = ribbon * smoothstep(0.08, 0.10, over) * smoothstep(0.24, 0.22, over)
    peaked = (1 - knitted) * smoothstep(0.70, 0.60, q["hat_style"])
    peak = peaked * smoothstep(0.84, 0.90, z)
    return cloth * ribs * fold * (1 - 0.55 * ribbon) * (1 - 0.40 * peak)


def _facial_hair(
    skin: Tensor, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, s: Shape, hair: Tensor, front: Tensor
) -> tuple[Tensor, Tensor]:
    q = s.q
    region = beard_region(ax, y, z, s)
    shaved = smoothstep(0.55, 0.8, q["gender"]) * smoothstep(0.12, 0.3, q["age"])
    cover = smoothstep(0.0, 0.75, region * (0.3 + 1.2 * smoothstep(0.1, 0.7, q["beard"])))
    cover = cover * smoothstep(0.03, 0.50, q["beard"]) * 0.95
    cover = cover + region * 0.14 * shaved * (1 - q["hair_tone"] * 0.6) * (1 - cover)
    lip = moustache_region(ax, y, s) * smoothstep(0.05, 0.45, q["moustache"]) * front * 0.95
    side = sideburn_region(ax, y, z, s) * smoothstep(0.05, 0.45, q["sideburns"]) * 0.94
    cover = torch.maximum(torch.maximum(cover, lip), side)
    strands = torch.sin(27 * ax + 2 * torch.sin(8 * y)) * (0.5 + 0.5 * torch.sin(9 * y + 6 * ax))
    return mix(skin, hair * (0.92 + 0.10 * strands), cover), cover


def _strands(x: Tensor, y: Tensor, z: Tensor, s: Shape) -> Tensor:
    """Light and dark of broad strands in [-1, 1], along the way the hair is combed."""
    q, h = s.q, s.hair
    x, part, side = x * h.hand, q["part"].abs(), h.side.abs()
    aside = x - h.parting * h.hand
    down = 0.75 * torch.atan2(x, z + 0.35)
    back = 0.75 * torch.atan2(x, y - 0.05)
    parted = z + 0.35 * aside.abs() + 0.8 * side * h.swept * x * smoothstep(0.3, 0.6, z)
    style = h.back * back + (h.swept + h.centre) * parted + h.tousled * (0.6 * parted + 0.5 * x)
    style = style / (h.back + h.swept + h.centre + h.tousled)
    low = torch.maximum(smoothstep(0.45, -0.05, y) * h.long, q["fringe"] * smoothstep(0.4, 0.6, z))
    phase = mix(style, down, low) + 0.03 * h.wave * torch.sin(8 * y + 5 * z)
    phase = phase + 0.05 * h.tousled * torch.sin(9 * x + 6 * y)
    one = torch.sin(11 * phase + part * 7)
    two = torch.sin(23 * phase + 1.5 * one + part * 13)
    return 0.45 * one + 0.35 * two + 0.20 * torch.sin(41 * phase + 1.5 * two)


def hair_gloss(s: Shape, strands: Tensor, normal: Tensor, half: Tensor, rotation: Tensor) -> Tensor:
    """Highlight of the strands, to be added to the colour: a band across them.

    Light falls off with the angle between the half-way direction and the plane across the strand,
    as on a thin cylinder; strands shift it a little, which breaks the band up.

    Parameters
    ----------
    strands : Tensor, shape (B, H, W)
        Light and dark of the strands, from :func:`paint_hair`.
    normal, half : Tensor, shapes (3, B, H, W) and (3, B, 1, 1)
        Surface normal, and the direction half way between light and viewer, in camera space.
    rotation : Tensor, shape (B, 3, 3)
        Head space to camera space.
    """
    h = s.hair
    # Combed down, or also back: the strand is that direction laid onto the surface.
    back = 0.8 * h.back + 0.25 * h.tousled
    way = -rotation[:, :, 1].T[:, :, None, None] - back * rotation[:, :, 2].T[:, :, None, None]
    way = way * torch.rsqrt((way * way).sum(0) + 1e-6)
    along = (way * normal).sum(0)
    mirror = (half * normal).sum(0)
    tilt = (way * half).sum(0) - along * mirror
    tilt = tilt * torch.rsqrt((1 - along * along).clamp_min(0.04)) + 0.10 * strands
    across = (1 - tilt * tilt).clamp_min(0)
    wide = across**4
    narrow = wide**4
    _, greyed = hair_colours(s)
    facing = mirror.clamp_min(0)
    return facing * (0.20 * narrow * (0.5 + 0.5 * greyed) + 0.32 * wide * wide * greyed)
