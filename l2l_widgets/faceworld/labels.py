"""Truth beside the picture: the 19 classes of CelebAMask-HQ and the 68 landmarks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from l2l_widgets.faceworld.camera import CENTRE_Y, EXTENT, PIVOT, head_rotation
from l2l_widgets.faceworld.field import bump, mix, smoothstep
from l2l_widgets.faceworld.geometry import Shape, head_distance, shape_of
from l2l_widgets.faceworld.paint import Paint

#: The classes of CelebAMask-HQ in its official order; the index is the label.
MASK_CLASSES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip


def label_rays(
    s: Shape, x: Tensor, y: Tensor, z: Tensor, p: Paint, head: Tensor, ears: Tensor, skin: Tensor,
    hair: Tensor, hat: Tensor, body: Tensor, cloth: Tensor, ring: Tensor, frame: Tensor,
    lens: Tensor,
) -> Tensor:  # fmt: skip
    """The 19 classes, painted in order; a later class covers an earlier one.

    ``l_`` is the side on the left of the picture when the face looks at the viewer.
    """
    ax = x.abs()
    bridge = bump(x, y - 0.5 * (s.nose_y + s.eye_y), 0.10 * s.nose_width, 0.26) > 0.45
    wings = (ax < 0.14 * s.nose_width) & (y > s.nose_y - 0.075) & (y < s.nose_y + 0.08)
    skin_on = skin > 0.5
    left = x < 0
    ear = skin_on & (ears < head + 0.035) & (ax > 0.66 * s.width)
    regions = {
        "skin": skin_on,
        "nose": skin_on & (bridge | wings) & (z > 0.6),
        "r_ear": ear & ~left,
        "l_ear": ear & left,
        "l_brow": skin_on & (p.brow > 0.35) & left,
        "r_brow": skin_on & (p.brow > 0.35) & ~left,
        "l_eye": skin_on & (p.eye_cover > 0.5) & left,
        "r_eye": skin_on & (p.eye_cover > 0.5) & ~left,
        "mouth": skin_on & (p.mouth_cover > 0.5),
        "u_lip": skin_on & (p.upper_lip > 0.5) & (p.mouth_cover <= 0.5),
        "l_lip": skin_on & (p.lower_lip > 0.5) & (p.mouth_cover <= 0.5),
        "neck": body > 0.5,
        "cloth": (body > 0.5) & (cloth > 0.5),
        "hair": hair > 0.5,
        "hat": hat > 0.5,
        "ear_r": ring > 0.5,
        "eye_g": (frame > 0.5) | (lens > 0.5),
    }
    labels = torch.zeros_like(x, dtype=torch.uint8)
    for name, region in regions.items():
        labels = labels.masked_fill(region, MASK_CLASSES.index(name))
    return labels


def landmarks(natural: dict[str, Tensor], resolution: int) -> Tensor:
    """The usual 68 points, (B, 68, 2), x right and y down, in pixels (the 300-W order).

    Points inside the face are defined in head space (x, y) and set on the surface by marching along
    z. The line of the jaw is met from outside, in planes that lie farther back towards the ears.
    """
    s, rotation = shape_of(natural), head_rotation(natural)
    x, y = _landmark_plan(s)
    z = torch.full_like(x, 1.2)
    for _ in range(18):
        z = (z - 0.9 * head_distance(x, y, z, s, False)[0]).clamp_min(-0.2)
    pivot = torch.tensor(PIVOT).to(x)
    points = torch.cat([_jaw_line(s), torch.stack([x, y, z], -1)[:, 0]], 1) - pivot
    points = torch.einsum("bij,bnj->bni", rotation, points) + pivot
    u, v = points[..., 0] / EXTENT, -(points[..., 1] - CENTRE_Y) / EXTENT
    return torch.stack([u, v], -1) * (resolution / 2) + resolution / 2 - 0.5


def _jaw_line(s: Shape) -> Tensor:
    """From the ear at the picture's left over the chin to the other, (B, 17, 3) in head space."""
    angle = torch.linspace(0, torch.pi, 17).to(s.eye_x)[None, None]
    across, down = -angle.cos(), angle.sin()
    z = 0.06 + 0.42 * down * down + 0 * s.eye_x
    r = torch.full_like(z, 1.7)
    for _ in range(18):
        r = r - 0.9 * head_distance(r * across, -0.05 - r * down, z, s, False)[0]
    return torch.stack([r * across, -0.05 - r * down, z], -1)[:, 0]


def _landmark_plan(s: Shape) -> tuple[Tensor, Tensor]:
    """Head-space x and y of the 51 points inside the face, each (B, 1, 51)."""
    zero = torch.zeros_like(s.eye_x)
    xs: list[Tensor] = []
    ys: list[Tensor] = []

    def add(x: Tensor, y: Tensor) -> None:
        xs.append(x + zero)
        ys.append(y + zero)

    for side in (-1, 1):  # brows, outer to inner, then inner to outer
        for u in (1.0, 0.5, 0.0, -0.5, -1.0) if side < 0 else (-1.0, -0.5, 0.0, 0.5, 1.0):
            rise = s.eye_y + s.brow_y * 0.93 + s.brow_arch * (1 - u * u) - 0.025 - 0.02 * u
            rise = rise - 0.085 * s.q["brow_frown"] * (0.5 - 0.5 * u)
            rise = rise + s.q["brow_inner"] * (0.10 * (0.5 - 0.5 * u) - 0.05 * (0.5 + 0.5 * u))
            add(side * (s.eye_x + 0.19 * u), rise)
    for i in range(4):  # bridge of the nose
        add(zero, mix(s.eye_y, s.nose_y + 0.05, torch.tensor(i / 3)))
    for k in (-2, -1, 0, 1, 2):  # below the nose
        add(0.062 * k * s.nose_width, s.nose_y - 0.03 - 0.012 * (2 - abs(k)))
    half = 0.176 * s.eye_scale
    up = 0.075 * s.eye_scale * s.q["lid"].clamp(0, 1.4)
    down = -0.045 * s.eye_scale * (0.3 + 0.7 * s.q["lid"].clamp(max=1))
    for side in (-1, 1):  # six points an eye, clockwise from the picture's left
        for u, h in (
            (-1.0, 0),
            (-0.4, up),
            (0.4, up),
            (1.0, 0),
            (0.4, down),
            (-0.4, down),
        ):
            outward = u * side
            add(side * s.eye_x + u * half, s.eye_y + h + s.eye_tilt * outward * half * 2)
    _mouth_points(s, add)
    return torch.cat(xs, 2), torch.cat(ys, 2)


def _mouth_points(s: Shape, add: Callable[[Tensor, Tensor], None]) -> None:
    """Outer lips (12) and inner lips (8), clockwise from the corner at the picture's left."""
    q = s.q
    smile = q["lip_corner"].clamp_min(0)
    bare = 0.055 * smoothstep(0.30, 0.9, smile) + 0.05 * q["lip_raise"] + 0.035 * q["lip_stretch"]

    def line(u: float) -> tuple[Tensor, float]:
        skew = 0.075 * q["lip_skew"] * max(0.0, u) ** 2 * (3 - 2 * max(0.0, u))
        return s.mouth_y + q["lip_corner"] * 0.105 * (u * u - 0.35) + skew, 1 - u * u

    for u in (-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0):
        y, c = line(u)
        add(
            u * s.mouth_width,
            y + (0.12 * s.opening + 0.40 * bare) * c + s.upper_lip * c**0.7,
        )
    for u in (0.62, 0.25, 0.0, -0.25, -0.62):
        y, c = line(u)
        add(
            u * s.mouth_width,
            y - (0.85 * s.opening + 0.6 * bare) * c - s.lower_lip * c**0.55,
        )
    for u in (-0.9, -0.3, 0.0, 0.3, 0.9):
        y, c = line(u)
        add(u * s.mouth_width, y + (0.12 * s.opening + 0.40 * bare) * c)
    for u in (0.3, 0.0, -0.3):
        y, c = line(u)
        add(u * s.mouth_width, y - (0.85 * s.opening + 0.60 * bare) * c)
