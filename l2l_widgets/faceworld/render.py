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

from l2l_widgets.faceworld.camera import CENTRE_Y, EXTENT, View, head_rotation, plane
from l2l_widgets.faceworld.factors import Factors
from l2l_widgets.faceworld.field import colour, hsv, mix, ramp, smoothstep
from l2l_widgets.faceworld.geometry import Shape, nearest, shape_of, surfaces
from l2l_widgets.faceworld.hair import hair_colours, hair_gloss
from l2l_widgets.faceworld.labels import MASK_CLASSES, label_rays, landmarks
from l2l_widgets.faceworld.light import Light
from l2l_widgets.faceworld.paint import SKIN, Paint, paint_head
from l2l_widgets.faceworld.worn import earrings, glasses

__all__ = ["MASK_CLASSES", "Render", "draw", "landmarks", "march_rays", "render", "shade_rays"]

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
    s, rotation = shape_of(natural), head_rotation(natural)
    coarse = max(rays // 4, 32)
    view = View(rotation, *plane(coarse, rotation))
    t = march(view, s, torch.full((len(rotation), coarse, coarse), 1.25).to(rotation), 10)
    # The nearest neighbour's depth, a little before it: thin parts are not stepped over.
    t = F.max_pool2d(t[:, None], 3, 1, 1) + 0.06
    t = F.interpolate(t, size=(rays, rays), mode="bilinear", align_corners=False)[:, 0]
    view = View(rotation, *plane(rays, rotation))
    t = march(view, s, t, 7)
    return shade(view, s, t)


def march_rays(view: View, s: Shape, t: Tensor, steps: int) -> Tensor:
    """Walk each ray towards the surface; ``t`` is depth towards the viewer, (B, H, W)."""
    for _ in range(steps):
        t = (t - 0.92 * nearest(*view.head(0.0, 0.0, t), s)).clamp_min(-1.6)
    return t


def shade_rays(view: View, s: Shape, t: Tensor) -> tuple[Tensor, Tensor]:
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
    light = Light(view, s, normal, anything, depth, t.shape[-1])
    cloth, skin_here = body["cloth"], (1 - is_hair - is_hat) * front
    rgb = _surface_colour(s, view, x, y, z, paint, light, is_hair, is_hat, front, behind, body)
    rgb, ring_cover = earrings(rgb, view, s, anything, depth)
    rgb, frame, lens = glasses(rgb, view, s, anything, depth, light, front)
    q = s.q
    value = 0.25 + 0.65 * q["background_light"]
    fade = 1 - 0.18 * ((view.u / EXTENT) ** 2 + ((view.v - CENTRE_Y) / EXTENT - 0.3) ** 2)
    behind_all = hsv(q["background_hue"], 0 * value + 0.32, value * fade)
    cover = torch.maximum(anything + (1 - anything) * frame, ring_cover)
    rgb = mix(behind_all, rgb, cover)
    rgb = rgb.clamp(0, 1.4)
    rgb = (rgb * (1 + rgb * 0.10) / (1 + rgb * rgb * 0.18)).clamp(1e-4, 1) ** LIGHT_GAMMA
    labels = label_rays(
        s, x, y, z, paint, head, ears, skin_here, is_hair * front, is_hat * front,
        behind, cloth, ring_cover, frame, lens,
    )  # fmt: skip
    return rgb.transpose(0, 1), labels


def _normals(view: View, s: Shape, t: Tensor, d: Tensor) -> Tensor:
    eps = 0.012
    steps = ((eps, 0.0, 0.0), (0.0, eps, 0.0), (0.0, 0.0, eps))
    n = torch.stack([nearest(*view.head(du, dv, t + dt), s, True) - d for du, dv, dt in steps])
    return n * torch.rsqrt((n * n).sum(0) + 1e-12)


def _body(view: View, s: Shape, t: Tensor) -> dict[str, Tensor]:
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


def _surface_colour(
    s: Shape, view: View, x: Tensor, y: Tensor, z: Tensor, p: Paint, light: Light,
    is_hair: Tensor, is_hat: Tensor, front: Tensor, behind: Tensor, body: dict[str, Tensor],
) -> Tensor:  # fmt: skip
    q = s.q
    head = mix(mix(p.skin, p.hair, is_hair), p.hat, is_hat)
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
    base, _ = hair_colours(s)
    silk = p.hair_cover * hair_gloss(s, p.strands, light.normal, light.half, view.rotation)
    lips = (p.upper_lip + p.lower_lip).clamp(0, 1)
    shine = shine + is_hair * front * silk + 0.12 * lips * bare * light.mirror**30
    out = albedo * (lit + glow * colour(0.8, 0.15, 0.05, x))
    out = out + shine * light.occlusion * (1 - 0.2 * light.soft) + light.rim * albedo
    level = lit.clamp(0, 1.1)
    eye = mix(p.eye * (0.38 + 0.70 * level), colour(1.0, 1.0, 1.0, x), p.glint)
    out = mix(out, eye, p.eye_cover * bare)
    out = mix(out, 0.05 + 0.05 * base, p.lash * bare)
    return mix(out, p.mouth * (0.40 + 0.6 * level), p.mouth_cover * bare)
