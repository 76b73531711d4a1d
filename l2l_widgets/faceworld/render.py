"""Factors to picture, mask, depth, normals and landmarks.

An orthographic camera looks at the head of :mod:`geometry` and the body of :mod:`body`. Rays are
marched on three grids, each a start for the next finer one; normals are slopes of the depth found,
so that they cost no further look at the surface. Every label is read off the same geometry, so it
is exact up to the sampling grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.body import body_of, meet, paint_body, secant, trace_body
from l2l_widgets.faceworld.camera import (
    BACKGROUND_DEPTH,
    CENTRE_Y,
    EXTENT,
    View,
    head_rotation,
    plane,
    smooth_grazed,
    surface_normals,
    without_strays,
)
from l2l_widgets.faceworld.factors import Factors
from l2l_widgets.faceworld.field import colour, hsv, mix
from l2l_widgets.faceworld.geometry import Shape, nearest, shape_of, surfaces
from l2l_widgets.faceworld.hair import hair_colours, hair_gloss
from l2l_widgets.faceworld.labels import MASK_CLASSES, label_rays, landmarks
from l2l_widgets.faceworld.light import Light, soften_edges, tone
from l2l_widgets.faceworld.paint import Paint, paint_head, skin_tone
from l2l_widgets.faceworld.worn import earrings, frame_of, glasses, glasses_shadow

__all__ = [
    "BACKGROUND_DEPTH", "MASK_CLASSES", "Layers", "Render", "draw", "draw_layers", "landmarks",
    "march_rays", "render", "shade_rays",
]  # fmt: skip


@dataclass
class Render:
    """Pictures and their labels.

    Attributes
    ----------
    image : Tensor, shape (B, 3, R, R)
        RGB in [-1, 1].
    mask : Tensor, shape (B, R, R), uint8
        Index into :data:`MASK_CLASSES`. No necklace is ever drawn, so ``neck_l`` does not occur.
    landmarks : Tensor, shape (B, 68, 2)
        The usual 68 points, x right and y down, in pixels.
    depth : Tensor, shape (B, R, R)
        Towards the viewer, in head units (a head is about 2 high) from the middle of the head;
        :data:`BACKGROUND_DEPTH` where the picture shows the background. Glasses and earrings are
        drawn over what lies behind them and have no depth of their own.
    normals : Tensor, shape (B, 3, R, R)
        Unit vectors in camera axes (right, up, towards the viewer); zero on the background.
    pose : Tensor, shape (B, 3)
        Yaw, pitch and roll of the head in degrees.
    """

    image: Tensor
    mask: Tensor
    landmarks: Tensor
    depth: Tensor
    normals: Tensor
    pose: Tensor


@dataclass
class Layers:
    """What one ray a pixel sees.

    Attributes
    ----------
    rgb : Tensor, shape (B, 3, N, N)
        Colour in [0, 1].
    labels : Tensor, shape (B, N, N), uint8
    depth : Tensor, shape (B, N, N)
    normals : Tensor, shape (B, 3, N, N)
    """

    rgb: Tensor
    labels: Tensor
    depth: Tensor
    normals: Tensor


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
        seen = draw_layers(natural, resolution * supersample)
        middle = slice(supersample // 2, None, supersample)
        return Render(
            image=F.avg_pool2d(seen.rgb, supersample) * 2 - 1,
            mask=seen.labels[:, middle, middle],
            landmarks=landmarks(natural, resolution),
            depth=seen.depth[:, middle, middle],
            normals=seen.normals[:, :, middle, middle],
            pose=torch.rad2deg(torch.stack([natural[k] for k in ("yaw", "pitch", "roll")], 1)),
        )


def draw(
    natural: dict[str, Tensor],
    rays: int,
    march: Callable | None = None,
    shade: Callable | None = None,
) -> tuple[Tensor, Tensor]:
    """Picture and labels alone: (B, 3, rays, rays) in [0, 1] and (B, rays, rays) uint8."""
    seen = draw_layers(natural, rays, march, shade)
    return seen.rgb, seen.labels


def draw_layers(
    natural: dict[str, Tensor],
    rays: int,
    march: Callable | None = None,
    shade: Callable | None = None,
) -> Layers:
    """One ray a pixel on a grid of ``rays`` by ``rays``.

    ``march`` and ``shade`` may be compiled versions of :func:`march_rays` and :func:`shade_rays`.
    """
    march, shade = march or march_rays, shade or shade_rays
    s, rotation = shape_of(natural), head_rotation(natural)
    size = max(rays // 4, 16)
    t = torch.full((len(rotation), size, size), 1.25).to(rotation)
    view = View(rotation, *plane(size, rotation))
    for _ in range(5):
        t = march(view, s, t)
    while size < rays:
        size = min(size * 2, rays)
        # Start from the nearest depth around, a little before it: thin parts are not stepped over.
        near, own = F.max_pool2d(t[:, None], 3, 1, 1) + 0.02, t[:, None]
        near = F.interpolate(near, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
        own = F.interpolate(own, size=(size, size))[:, 0]
        view = View(rotation, *plane(size, rotation))
        t = march(view, s, near, own)
        if size < rays:
            t = march(view, s, march(view, s, t))
    return Layers(*shade(view, s, t))


def march_rays(view: View, s: Shape, t: Tensor, own: Tensor | None = None) -> Tensor:
    """Bring each ray closer to the head.

    Parameters
    ----------
    t : Tensor, shape (B, H, W)
        Depth towards the viewer, before the surface.
    own : Tensor, shape (B, H, W), optional
        Depth found for the ray on a coarser grid. Where nothing is near ``t``, which lies before
        all that is around, the ray goes on from here instead of creeping past an edge.
    """

    def distance(t: Tensor) -> Tensor:
        return nearest(*view.head(t), s)

    if own is None:
        return secant(distance, t)[0]
    d = distance(t)
    crept = t - 0.95 * d
    # Just inside an outline the coarser grid may have met nothing: then the ray must get farther.
    passed = (d > torch.where(own > -1.5, 0.012, 0.03)) & (crept > own + 0.01)
    ahead = torch.where(passed, own + 0.01, crept)
    d_ahead = distance(ahead)
    # Inside the head there: the surface was passed over, so it lies where the ray was creeping.
    over = passed & (d_ahead < -0.002)
    t, d = torch.where(over, t, ahead), torch.where(over, d, d_ahead)
    last = torch.where(over, crept, ahead - 0.95 * d_ahead)
    return meet(t, d, last, distance(last))


def shade_rays(view: View, s: Shape, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour, label, depth and normal of every ray."""
    spacing = 2 * EXTENT / t.shape[-1]
    t = without_strays(t)
    x, y, z = view.head(t)
    head, hair, hat, ears = surfaces(x, y, z, s, True)
    d = torch.minimum(torch.minimum(head, hair), hat)
    b = body_of(s, view)
    body_t, body_x, body_y = trace_body(view, b, t.shape[-1])
    # A ray that has not quite arrived counts, unless others near it went by: past an edge, not past
    # a silhouette. (Folds are in ``d`` too, so that a small distance alone says little.)
    missed = ((t < -1.5) | (d > 0.1)).to(t)
    by = F.max_pool2d(F.max_pool2d(missed[:, None], 2), 3, 1, 1)
    by = F.interpolate(by, size=t.shape[1:])[:, 0]
    hit = (d < 0.012) | ((d < torch.where(body_t > -1.6, 0.018, 0.1)) & (by < 0.5))
    # Single rays that arrived late or early would notch the outline: most of those around decide.
    most = F.avg_pool2d(hit.to(t)[:, None], 5, 1, 2, count_include_pad=False)[:, 0]
    hit = (most > 0.5) & (d < 0.1)
    # Folds and strands are in ``d`` alone, so the last step is taken along the slope found so far.
    slope = surface_normals(t, spacing)[2].clamp_min(0.3)
    t = smooth_grazed(without_strays(t - (d / slope).clamp(-0.04, 0.03), 0.006), slope)
    is_hair, is_hat = (
        ((hair < head) & (hair <= hat)).to(t),
        ((hat < head) & (hat < hair)).to(t),
    )
    front = (hit & (t > body_t)).to(t)
    behind = (body_t > -1.6).to(t) * (1 - front)
    anything = torch.maximum(front, behind)
    depth = torch.where(front > 0.5, t, body_t.clamp_min(BACKGROUND_DEPTH))
    normal = surface_normals(depth, spacing)
    paint = paint_head(x, y, z, s)
    light = Light(view, s, normal, anything, depth)
    frame_shape = frame_of(s)
    light.shadow = light.shadow * (1 - glasses_shadow(x, y, z, s, frame_shape, view) * front)
    own = skin_tone(s)
    body_rgb, cloth = paint_body(body_x, body_y, own, b, s)
    rgb = _surface_colour(s, view, paint, light, body_rgb, cloth, is_hair, is_hat, front, behind)
    near = torch.where(anything > 0, depth, -9 + 0 * depth)
    rgb = mix(_background(s, view), rgb, anything)
    rgb, ring = earrings(rgb, view, s, near, light)
    rgb, frame, lens = glasses(rgb, view, s, frame_shape, near, light)
    rgb = soften_edges(tone(rgb), depth).clamp(0, 1)
    labels = label_rays(
        s, x, y, z, paint, head, ears, (1 - is_hair - is_hat) * front, is_hair * front,
        is_hat * front, behind, cloth * behind, ring, frame, lens,
    )  # fmt: skip
    return rgb.transpose(0, 1), labels, depth, (normal * anything).transpose(0, 1)


def _background(s: Shape, view: View) -> Tensor:
    """A wall, plain or lit from one side, with a soft vignette."""
    q = s.q
    u, v = view.u / EXTENT, (view.v - CENTRE_Y) / EXTENT
    value, lit = 0.26 + 0.60 * q["background_light"], q["background_gradient"]
    # the pool of light lies on the side away from the key, where it sets off the shaded cheek
    glow = (u + 0.55 * q["light_azimuth"].sin()) ** 2 + (v - 0.15) ** 2
    glow = (1 - 0.42 * glow).clamp_min(-0.4)
    value = value * (1 + lit * (0.42 * glow - 0.12 + 0.10 * v))
    value = value * (1 - (0.05 + 0.10 * lit) * (u * u + v * v))
    return hsv(q["background_hue"], 0.34 - 0.10 * lit * glow, value)


def _surface_colour(
    s: Shape, view: View, p: Paint, light: Light, body_rgb: Tensor, cloth: Tensor,
    is_hair: Tensor, is_hat: Tensor, front: Tensor, behind: Tensor,
) -> Tensor:  # fmt: skip
    head = mix(mix(p.skin, p.hair, is_hair), p.hat, is_hat)
    albedo = mix(body_rgb, head, front)
    bare = (1 - is_hair - is_hat) * front
    skin = bare * (1 - 0.8 * p.facial_hair) + behind * (1 - cloth)
    # Light travels through skin, red farthest: it wraps past the terminator.
    soft = 0.10 + 0.22 * light.soft
    wrap = soft + skin * colour(0.32, 0.12, 0.06, skin)
    lit = light.on(wrap)
    level = (0.3 * lit[0] + 0.6 * lit[1] + 0.1 * lit[2]).clamp(0, 1.1)
    m = light.mirror
    m2 = m * m
    m4 = m2 * m2
    m8, m16 = m4 * m4, m4 * m4 * m4 * m4
    shine = skin * (0.07 * m8 + 0.10 * m16 * m16) * (1 - p.eye_cover * bare)
    base, _ = hair_colours(s)
    silk = p.hair_cover * hair_gloss(s, p.strands, light.normal, light.half, view.rotation)
    lips = (p.upper_lip + p.lower_lip).clamp(0, 1)
    shine = shine + is_hair * front * silk + 0.14 * lips * bare * m16 * m8
    out = albedo * (lit + light.rim)
    out = out + (shine * light.shadow * light.occlusion * (1 - 0.2 * light.soft))
    out = out + 0.14 * light.rim
    eye = mix(p.eye * (0.36 + 0.72 * level), colour(1.0, 1.0, 1.0, m), p.glint)
    out = mix(out, eye, p.eye_cover * bare)
    out = mix(out, 0.05 + 0.05 * base, p.lash * bare)
    return mix(out, p.mouth * (0.40 + 0.6 * level), p.mouth_cover * bare)
