"""Truth beside the picture: the 19 classes of CelebAMask-HQ and the 68 landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from l2l_widgets.faceworld.camera import CENTRE_Y, EXTENT, PIVOT, head_rotation
from l2l_widgets.faceworld.features import (
    BROW_HALF,
    brow_line,
    eye_rim,
    from_face,
    mouth_curves,
)
from l2l_widgets.faceworld.field import bump, mix
from l2l_widgets.faceworld.geometry import Shape, head_distance, shape_of
from l2l_widgets.faceworld.paint import Paint
from l2l_widgets.masks import MASK_CLASSES


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

    Points lie on the curves of :mod:`features` and are set on the surface by marching along z. The
    line of the jaw is met from outside, in planes that lie farther back towards the ears.
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
        for u in (0.9, 0.45, 0.0, -0.45, -0.9) if side < 0 else (-0.9, -0.45, 0.0, 0.45, 0.9):
            rise = brow_line(u + zero, s, float(side))
            add(side * (s.eye_x + s.brow_x + BROW_HALF * u), rise)
    for i in range(4):  # bridge of the nose
        add(zero, mix(s.eye_y, s.nose_y + 0.05, torch.tensor(i / 3)))
    for k in (-2, -1, 0, 1, 2):  # below the nose
        add(0.062 * k * s.nose_width, s.nose_y - 0.03 - 0.012 * (2 - abs(k)))
    for side in (-1, 1):  # six points an eye, clockwise from the picture's left
        for u, lid in ((-1.0, 0), (-0.4, 0), (0.4, 0), (1.0, 0), (0.4, 1), (-0.4, 1)):
            outward = u * side + zero
            height = eye_rim(outward, s)[lid] + 2 * s.eye_tilt * outward * s.eye_half
            add(side * s.eye_x + u * s.eye_half, s.eye_y + height)
    for row, places in enumerate(
        (
            (-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0),
            (-0.9, -0.3, 0.0, 0.3, 0.9),
            (0.3, 0.0, -0.3),
            (0.62, 0.25, 0.0, -0.25, -0.62),
        )
    ):
        for u in places:  # crest, upper inner, lower inner and floor of the lips
            add(u * s.mouth_width, mouth_curves(u * s.mouth_width, s)[row])
    order = [*range(38), *range(46, 51), *range(38, 46)]  # the outer lips come first
    x, y = torch.cat(xs, 2)[..., order], torch.cat(ys, 2)[..., order]
    return from_face(x, y, s)
