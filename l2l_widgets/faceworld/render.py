"""Factors to picture, mask and landmarks: sphere tracing, lighting, glasses, labels.

An orthographic camera looks at the head of :mod:`geometry`. Marching runs first on a coarse grid,
then on the full one; normals are finite differences; light is one soft key, ambient with
screen-space occlusion, and a rim. Every label is read off the same geometry, so it is exact up to
the sampling grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.factors import Factors
from l2l_widgets.faceworld.geometry import (
    Shape,
    bump,
    head_distance,
    mix,
    nearest,
    shape_of,
    smoothstep,
    surfaces,
)
from l2l_widgets.faceworld.paint import SKIN, Paint, colour, hair_colours, hsv, paint_head, ramp

#: The classes of CelebAMask-HQ in its official order; the index is the label.
MASK_CLASSES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip

EXTENT = 1.24  # half height of the picture in head units
CENTRE_Y = 0.02  # head height at the picture's centre
PIVOT = (0.0, -0.30, -0.10)  # the neck joint, about which the head turns
LIGHT_GAMMA = 1 / 1.08


@dataclass
class Render:
    """Pictures and their labels.

    Attributes
    ----------
    image : Tensor, shape (B, 3, R, R)
        RGB in [-1, 1].
    mask : Tensor, shape (B, R, R), uint8
        Index into :data:`MASK_CLASSES`.
    landmarks : Tensor, shape (B, 68, 2)
        The usual 68 points, x right and y down, in pixels.
    """

    image: Tensor
    mask: Tensor
    landmarks: Tensor


@dataclass
class _View:
    """Camera rays: plane coordinates u (right) and v (up), the head's rotation (B, 3, 3)."""

    rotation: Tensor
    u: Tensor
    v: Tensor

    def head(
        self, du: float | Tensor, dv: float | Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Camera point (u + du, v + dv, t) in head space."""
        u, v, t = self.u + du - PIVOT[0], self.v + dv - PIVOT[1], t - PIVOT[2]
        r = self.rotation[:, :, :, None, None]
        x, y, z = (r[:, 0, j] * u + r[:, 1, j] * v + r[:, 2, j] * t + PIVOT[j] for j in range(3))
        return x, y, z

    def camera(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """Head point (B, 1, 1) in camera space."""
        x, y, z = x - PIVOT[0], y - PIVOT[1], z - PIVOT[2]
        r = self.rotation[:, :, :, None, None]
        return tuple(r[:, i, 0] * x + r[:, i, 1] * y + r[:, i, 2] * z + PIVOT[i] for i in range(3))


def render(factors: Factors, resolution: int, supersample: int = 2) -> Render:
    """Draw portraits.

    Parameters
    ----------
    factors : Factors
        ``B`` portraits; keep ``B * resolution**2`` below about 100,000 for speed on a CPU.
    resolution : int
        Picture size ``R`` in pixels, a power of two from 16 to 1024.
    supersample : int
        Rays a pixel along each axis, 1 to 4.
    """
    if resolution not in (16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution is {resolution}; allowed: a power of two from 16 to 1024")
    if not 1 <= supersample <= 4:
        raise ValueError(f"supersample is {supersample}; allowed: 1 to 4")
    with torch.no_grad():
        natural = factors.natural()
        image, mask = draw(natural, resolution * supersample)
        image = F.avg_pool2d(image, supersample) * 2 - 1
        half = supersample // 2
        mask = mask[:, half::supersample, half::supersample]
        return Render(image, mask, landmarks(natural, resolution))


def draw(
    natural: dict[str, Tensor],
    rays: int,
    march: Callable | None = None,
    shade: Callable | None = None,
) -> tuple[Tensor, Tensor]:
    """One ray a pixel: (B, 3, rays, rays) in [0, 1] and (B, rays, rays) uint8.

    ``march`` and ``shade`` may be compiled versions of :func:`march_rays` and :func:`shade_rays`.
    """
    march, shade = march or march_rays, shade or shade_rays
    s, rotation = shape_of(natural), _rotation(natural)
    coarse = max(rays // 4, 32)
    view = _View(rotation, *_plane(coarse, rotation))
    t = march(view, s, torch.full((len(rotation), coarse, coarse), 1.25).to(rotation), 10)
    # The nearest neighbour's depth, a little before it: thin parts are not stepped over.
    t = F.max_pool2d(t[:, None], 3, 1, 1) + 0.06
    t = F.interpolate(t, size=(rays, rays), mode="bilinear", align_corners=False)[:, 0]
    view = _View(rotation, *_plane(rays, rotation))
    t = march(view, s, t, 7)
    return shade(view, s, t)


def _plane(rays: int, like: Tensor) -> tuple[Tensor, Tensor]:
    c = (torch.arange(rays, device=like.device, dtype=like.dtype) + 0.5) / rays * 2 - 1
    return (c * EXTENT)[None, None, :], (-c * EXTENT)[None, :, None] + CENTRE_Y


def _rotation(p: dict[str, Tensor]) -> Tensor:
    """Roll, then pitch, then yaw, (B, 3, 3); positive yaw turns to the picture's right."""
    cy, sy, cp, sp = p["yaw"].cos(), p["yaw"].sin(), p["pitch"].cos(), -p["pitch"].sin()
    cr, sr = p["roll"].cos(), p["roll"].sin()
    one, zero = torch.ones_like(cy), torch.zeros_like(cy)
    ry = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).view(-1, 3, 3)
    rx = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], -1).view(-1, 3, 3)
    rz = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return rz @ rx @ ry


def march_rays(view: _View, s: Shape, t: Tensor, steps: int) -> Tensor:
    """Walk each ray towards the surface; ``t`` is depth towards the viewer, (B, H, W)."""
    for _ in range(steps):
        t = (t - 0.92 * nearest(*view.head(0.0, 0.0, t), s)).clamp_min(-1.6)
    return t


def shade_rays(view: _View, s: Shape, t: Tensor) -> tuple[Tensor, Tensor]:
    """Colour and label of every ray."""
    x, y, z = view.head(0.0, 0.0, t)
    head, hair, hat, ears = surfaces(x, y, z, s, True)
    d = torch.minimum(torch.minimum(head, hair), hat)
    normal = _normals(view, s, t, d)
    hit = smoothstep(0.03, 0.012, d)
    is_hair, is_hat = ((hair < head) & (hair <= hat)).float(), ((hat < head) & (hat < hair)).float()
    body = _body(view, s, t)
    front = ((hit > 0.5) & (~body["any"] | (t > body["depth"]))).float()
    behind = (body["any"] & (front < 0.5)).float()
    anything = torch.maximum(front, behind)
    depth = torch.where(front > 0.5, t, torch.where(body["any"], body["depth"], -2 + 0 * t))
    normal = mix(body["normal"], normal, front)
    paint = paint_head(x, y, z, s)
    light = _Light(view, s, normal, anything, depth, t.shape[-1])
    cloth, skin_here = body["cloth"], (1 - is_hair - is_hat) * front
    rgb = _surface_colour(s, view, x, y, z, paint, light, is_hair, is_hat, front, behind, body)
    rgb, ring_cover = _earrings(rgb, view, s, anything, depth)
    rgb, frame, lens = _glasses(rgb, view, s, anything, depth, light, front)
    q = s.q
    value = 0.25 + 0.65 * q["background_light"]
    fade = 1 - 0.18 * ((view.u / EXTENT) ** 2 + ((view.v - CENTRE_Y) / EXTENT - 0.3) ** 2)
    behind_all = hsv(q["background_hue"], 0 * value + 0.32, value * fade)
    cover = torch.maximum(anything + (1 - anything) * frame, ring_cover)
    rgb = mix(behind_all, rgb, cover)
    rgb = rgb.clamp(0, 1.4)
    rgb = (rgb * (1 + rgb * 0.10) / (1 + rgb * rgb * 0.18)).clamp(1e-4, 1) ** LIGHT_GAMMA
    labels = _labels(
        s, x, y, z, paint, head, ears, skin_here, is_hair * front, is_hat * front,
        behind, cloth, ring_cover, frame, lens,
    )  # fmt: skip
    return rgb.transpose(0, 1), labels


def _normals(view: _View, s: Shape, t: Tensor, d: Tensor) -> Tensor:
    eps = 0.012
    steps = ((eps, 0.0, 0.0), (0.0, eps, 0.0), (0.0, 0.0, eps))
    n = torch.stack([nearest(*view.head(du, dv, t + dt), s, True) - d for du, dv, dt in steps])
    return n * torch.rsqrt((n * n).sum(0) + 1e-12)


def _body(view: _View, s: Shape, t: Tensor) -> dict[str, Tensor]:
    """Neck and torso, solved directly in camera space."""
    q, u, v = s.q, view.u, view.v
    centre = 0.075 * torch.sin(q["yaw"]) - 0.2 * q["roll"]
    neck = 0.37 + 0.07 * q["gender"] + 0.07 * q["fullness"]
    neck = neck + 0.30 * smoothstep(-1.0, -1.55, v) ** 2
    du = u - centre
    neck_z = -0.30 + (neck * neck - du * du).clamp_min(0).sqrt()
    is_neck = ((neck - du.abs()) > 0) & (v < -0.35)
    shoulder = 1.12 + 0.24 * q["gender"] + 0.1 * q["fullness"]
    bulk = 1 - (u / shoulder) ** 2 - ((v + 2.0) / 0.82) ** 2
    torso_z = -0.22 + 0.62 * bulk.clamp_min(0).sqrt()
    is_torso = bulk > 0
    low = -9.0 + 0 * t
    depth = torch.maximum(torch.where(is_neck, neck_z, low), torch.where(is_torso, torso_z, low))
    torso = is_torso & (~is_neck | (torso_z > neck_z - 0.05))
    drop = (1 - (du / (neck + 0.12)) ** 2).clamp_min(0) * (1 + 0.6 * (1 - q["gender"]))
    collar = -1.20 - 0.14 * drop
    n = torch.stack([
        torch.where(torso, u / shoulder**2 * 1.1, du / neck),
        torch.where(torso, (v + 2.0) / 0.82**2 * 0.55, 0.15 + 0 * t),
        torch.where(
            torso, (torso_z + 0.22) / 0.62**2 + 0.15,
            (neck * neck - du * du).clamp_min(1e-4).sqrt() / neck,
        ),
    ])  # fmt: skip
    n = n * torch.rsqrt((n * n).sum(0) + 1e-6)
    return {
        "any": is_neck | is_torso, "depth": depth, "normal": n, "collar": collar + 0 * t,
        "cloth": (torso & (v < collar)).float(),
    }  # fmt: skip


class _Light:
    """Occlusion, diffuse and specular terms shared by every surface."""

    def __init__(
        self, view: _View, s: Shape, n: Tensor, cover: Tensor, depth: Tensor, rays: int
    ) -> None:
        q = s.q
        azimuth, elevation, soft = q["light_azimuth"], q["light_elevation"], q["light_softness"]
        direction = torch.stack([
            azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos(),
        ])  # fmt: skip
        self.soft, self.normal = soft, n
        self.facing = (n * direction).sum(0)
        wrap = 0.25 + 0.35 * soft
        self.diffuse = ((self.facing + wrap) / (1 + wrap)).clamp_min(0)
        self.occlusion = _occlusion(cover, depth, 2 * (rays // 28) + 1, 3.2) * _occlusion(
            cover, depth, 2 * (rays // 11) + 1, 1.4
        )
        fill = 0.10 * (-n[0] * direction[0] + 0.4 * n[2]).clamp_min(0)
        ambient, key = 0.36 + 0.16 * soft + 0.10 * n[1], 0.80 - 0.12 * soft
        self.total = ambient * self.occlusion + fill
        self.total = self.total + key * self.diffuse * (0.45 + 0.55 * self.occlusion)
        half = direction + torch.tensor([0.0, 0.0, 1.0]).to(direction).view(3, 1, 1, 1)
        half = half * torch.rsqrt((half * half).sum(0))
        self.mirror = (n * half).sum(0).clamp_min(0)
        self.rim = (1 - n[2].clamp(0, 1)) ** 3 * 0.10


def _occlusion(cover: Tensor, depth: Tensor, window: int, strength: float) -> Tensor:
    """Darkening where the neighbourhood stands before the point (screen space)."""

    def mean(a: Tensor) -> Tensor:
        return F.avg_pool2d(a[:, None], window, 1, window // 2, count_include_pad=False)[:, 0]

    around = mean(depth * cover) / (mean(cover) + 1e-4)
    return torch.exp(-strength * (around - depth - 0.015).clamp(0, 0.6))


def _surface_colour(
    s: Shape, view: _View, x: Tensor, y: Tensor, z: Tensor, p: Paint, light: _Light,
    is_hair: Tensor, is_hat: Tensor, front: Tensor, behind: Tensor, body: dict[str, Tensor],
) -> Tensor:  # fmt: skip
    q = s.q
    wool = hsv(q["hat_hue"], 0 * q["hat_hue"] + 0.5, 0.35 + 0.5 * q["cloth_light"])
    ribs = 0.9 + 0.1 * torch.sin(torch.atan2(x, z + 0.2) * 40.0)
    head = mix(mix(p.skin, p.hair, is_hair), wool * ribs, is_hat)
    tint = torch.stack([
        1 + 0.02 * q["undertone"], 1 + 0 * q["undertone"], 1 - 0.035 * q["undertone"],
    ])  # fmt: skip
    dye = hsv(q["cloth_hue"], 0.55 - 0.3 * q["cloth_light"], 0.18 + 0.72 * q["cloth_light"])
    hem = 1 - 0.25 * smoothstep(0.03, 0.0, (body["collar"] - view.v).abs())
    torso = mix(ramp(q["skin"], SKIN) * tint, dye * hem, body["cloth"])
    albedo = mix(torso, head, front)
    cast = mix(torch.ones_like(x), 0.62 + 0.38 * smoothstep(-0.80, -1.35, view.v + 0 * x),
               behind * (1 - body["cloth"]))  # fmt: skip
    lit = light.total * cast
    bare = (1 - is_hair - is_hat) * front
    skin = bare + behind * (1 - body["cloth"])
    glow = 0.10 * skin * torch.exp(-(((light.facing + 0.05) / 0.35) ** 2))
    shine = skin * (0.10 * light.mirror**14 + 0.10 * light.mirror**50 * (1 - 0.5 * p.facial_hair))
    shine = shine * (1 - p.eye_cover * bare) * (1 + 0.5 * s.q["eye_makeup"] * 0)
    base, greyed = hair_colours(s)
    silk = 0.22 * light.mirror**10 * (0.5 + 0.5 * p.strands).clamp_min(0) * (0.35 + greyed[1])
    lips = (p.upper_lip + p.lower_lip).clamp(0, 1)
    shine = shine + is_hair * front * silk + 0.12 * lips * bare * light.mirror**30
    out = albedo * (lit + glow * colour(0.8, 0.15, 0.05, x))
    out = out + shine * light.occlusion * (1 - 0.2 * light.soft) + light.rim * albedo
    level = lit.clamp(0, 1.1)
    eye = mix(p.eye * (0.38 + 0.70 * level), colour(1.0, 1.0, 1.0, x), p.glint)
    out = mix(out, eye, p.eye_cover * bare)
    out = mix(out, 0.05 + 0.05 * base, p.lash * bare)
    return mix(out, p.mouth * (0.40 + 0.6 * level), p.mouth_cover * bare)


def _earrings(
    rgb: Tensor, view: _View, s: Shape, cover: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor]:
    total = torch.zeros_like(depth)
    near = torch.where(cover > 0, depth, -9 + 0 * depth)
    for side in (-1.0, 1.0):
        u, v, t = view.camera(side * 0.765 * s.width, -0.25 * s.ear - 0.02, -0.05 + 0 * s.ear)
        r = ((view.u - u) ** 2 + (view.v - v) ** 2 + 1e-8).sqrt()
        disc = smoothstep(0.078, 0.056, r) * ((t + 0.08) > near - 0.03).float() * s.q["earrings"]
        spot = ((view.u - u + 0.02) ** 2 + (view.v - v - 0.025) ** 2 + 1e-8).sqrt()
        gold = colour(0.98, 0.82, 0.36, depth) * (0.62 + 0.5 * smoothstep(0.06, 0.0, spot))
        rgb = mix(rgb, gold, disc)
        total = torch.maximum(total, disc)
    return rgb, total


def _glasses(
    rgb: Tensor, view: _View, s: Shape, cover: Tensor, depth: Tensor, light: _Light, front: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Lenses on a curved plane before the eyes, a bridge, and temples to the ears."""
    q, worn = s.q, s.q["glasses"]
    t = torch.full_like(depth, 0.85)
    for _ in range(3):  # the plane z = .815 - .2 x^2 is nearly flat: three steps reach it
        a, b, c = view.head(0.0, 0.0, t)
        slope = view.rotation[:, 2, 2][:, None, None].clamp_min(0.5)
        t = t - (c - (0.815 - 0.20 * a * a)) / slope * 0.9
    a, b, _ = view.head(0.0, 0.0, t)
    aa = a.abs()
    width, height = 0.212 + 0 * worn, 0.145 + 0.03 * q["frame_shape"]
    corner = 0.05 + 0.095 * q["frame_shape"]
    dx = (aa - s.eye_x * 1.02).abs() - (width - corner)
    dy = (b - s.eye_y + 0.03).abs() - (height - corner).clamp_min(0)
    edge = (dx.clamp_min(0) ** 2 + dy.clamp_min(0) ** 2 + 1e-8).sqrt()
    edge = edge + torch.maximum(dx, dy).clamp_max(0) - corner
    thick = 0.026 + 0.010 * q["frame_hue"]
    frame = smoothstep(thick + 0.012, thick - 0.008, edge.abs())
    bridge = smoothstep(0.034, 0.014, (b - s.eye_y - 0.055 + 0.3 * aa * aa).abs())
    bridge = bridge * smoothstep(0.0, -0.02, aa - (s.eye_x * 1.02 - width + 0.03))
    seen = ((t > depth - 0.02) | (cover < 0.5)).float() * smoothstep(0.9, 0.7, aa)
    frame = torch.maximum(frame, bridge) * seen
    near = torch.where(cover > 0, depth, -9 + 0 * depth)
    hinge = s.eye_x * 1.02 + width
    for side in (-1.0, 1.0):
        u0, v0, t0 = view.camera(side * hinge, s.eye_y + 0.05, 0.815 - 0.20 * hinge**2)
        u1, v1, t1 = view.camera(side * 0.77 * s.width, s.eye_y + 0.03, -0.10 + 0 * hinge)
        along = (view.u - u0) * (u1 - u0) + (view.v - v0) * (v1 - v0)
        h = (along / ((u1 - u0) ** 2 + (v1 - v0) ** 2 + 1e-6)).clamp(0, 1)
        off = (view.u - u0 - h * (u1 - u0)) ** 2 + (view.v - v0 - h * (v1 - v0)) ** 2
        temple = smoothstep(0.034, 0.014, (off + 1e-8).sqrt())
        frame = torch.maximum(frame, temple * ((t0 + h * (t1 - t0)) > near - 0.06).float())
    lens = smoothstep(0.01, -0.01, edge) * seen * worn
    dark = q["dark_lenses"] * 0.92
    glass = colour(0.05, 0.05, 0.07, depth) + 0.10 * smoothstep(-0.2, 0.3, b)
    glare = 0.18 * smoothstep(0.05, 0.0, (a + b * 0.6 - 0.05).abs() - 0.02)
    rgb = mix(rgb, glass, lens * (0.06 + 0.94 * dark)) + lens * glare * (1 - 0.3 * dark)
    tone = hsv((0.02 + 0.6 * q["frame_hue"]) % 1, 0 * worn + 0.6, 0.05 + 0.16 * q["frame_shape"])
    rgb = mix(rgb, tone + 0.10 * light.mirror * front, frame * worn)
    return rgb, (frame * worn).clamp(0, 1), lens


def _labels(
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

    Points are defined in head space (x, y) and set on the surface by marching along z; the jaw line
    follows the silhouette of jaw and chin.
    """
    s, rotation = shape_of(natural), _rotation(natural)
    x, y = _landmark_plan(s)
    z = torch.full_like(x, 1.2)
    for _ in range(18):
        z = (z - 0.9 * head_distance(x, y, z, s, False)[0]).clamp_min(-0.2)
    pivot = torch.tensor(PIVOT).to(x)
    points = torch.stack([x, y, z], -1)[:, 0] - pivot
    points = torch.einsum("bij,bnj->bni", rotation, points) + pivot
    u, v = points[..., 0] / EXTENT, -(points[..., 1] - CENTRE_Y) / EXTENT
    return torch.stack([u, v], -1) * (resolution / 2) + resolution / 2 - 0.5


def _landmark_plan(s: Shape) -> tuple[Tensor, Tensor]:
    """Head-space x and y of the 68 points, each (B, 1, 68)."""
    zero = torch.zeros_like(s.eye_x)
    xs: list[Tensor] = []
    ys: list[Tensor] = []

    def add(x: Tensor, y: Tensor) -> None:
        xs.append(x + zero)
        ys.append(y + zero)

    chin_y = -0.98 - s.opening - s.chin
    for i in range(17):  # jaw, from one ear over the chin to the other
        angle = torch.tensor(i / 16 * torch.pi)
        add(-0.70 * s.jaw * angle.cos(), -0.05 + (chin_y + 0.05) * angle.sin().clamp_min(0) ** 1.15)
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
        for u, h in ((-1.0, 0), (-0.4, up), (0.4, up), (1.0, 0), (0.4, down), (-0.4, down)):
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
        add(u * s.mouth_width, y + (0.12 * s.opening + 0.40 * bare) * c + s.upper_lip * c**0.7)
    for u in (0.62, 0.25, 0.0, -0.25, -0.62):
        y, c = line(u)
        add(u * s.mouth_width, y - (0.85 * s.opening + 0.6 * bare) * c - s.lower_lip * c**0.55)
    for u in (-0.9, -0.3, 0.0, 0.3, 0.9):
        y, c = line(u)
        add(u * s.mouth_width, y + (0.12 * s.opening + 0.40 * bare) * c)
    for u in (0.3, 0.0, -0.3):
        y, c = line(u)
        add(u * s.mouth_width, y - (0.85 * s.opening + 0.60 * bare) * c)
