"""What is worn on the face: four kinds of glasses, and earrings as studs or rings.

Glasses lie on a curved plane before the eyes, met analytically by each ray; temples and earrings
are placed in the picture and compared with its depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.faceworld.camera import View
from l2l_widgets.faceworld.field import colour, hsv, mix, smoothstep
from l2l_widgets.faceworld.geometry import Shape
from l2l_widgets.faceworld.light import Light

LENS_Z = 0.825  # depth of the lens plane at the nose, head units
LENS_BEND = 0.20  # how far it curves back towards the temples


@dataclass
class Frame:
    """Measures of a pair of glasses, each (B, 1, 1)."""

    centre_x: Tensor
    centre_y: Tensor
    width: Tensor
    height: Tensor
    corner: Tensor
    taper: Tensor
    lift: Tensor
    thick: Tensor
    open_below: Tensor
    metal: Tensor


def frame_of(s: Shape) -> Frame:
    """Round, rectangular, aviator (or, with another frame shape, cat-eye) and half-rim glasses."""
    q = s.q
    kind, shape = (q["glasses_style"].clamp(0, 0.999) * 4).floor(), q["frame_shape"]
    weights = [(kind == k).to(shape) for k in range(4)]

    def pick(*values: float | Tensor) -> Tensor:
        return sum((w * v for w, v in zip(weights, values, strict=True)), 0 * shape)

    cat = smoothstep(0.45, 0.55, shape)
    size = 0.96 + 0.08 * shape + 0.15 * (s.eye_scale - 1.1)
    width, height = pick(0.190, 0.222, 0.218, 0.218), pick(0.182, 0.140, 0.172, 0.135)
    corner = pick(0.180, 0.045, 0.150 - 0.04 * cat, 0.085)
    return Frame(
        centre_x=s.eye_x * 1.0 + 0.012,
        centre_y=s.eye_y - 0.020,
        width=width * size,
        height=height * size,
        corner=corner * size,
        taper=pick(0.0, 0.10, 0.42 - 0.10 * cat, 0.12),
        lift=pick(0.0, 0.0, 0.24 * cat - 0.04, 0.04),
        thick=pick(0.025, 0.030, 0.021 + 0.010 * cat, 0.027),
        open_below=weights[3],
        metal=pick(1.0, 0.0, 1 - cat, 0.0),
    )


def rim(a: Tensor, b: Tensor, f: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the nearer lens's outline, and how much frame and bridge cover a point."""
    aa = a.abs()
    lx, ly = aa - f.centre_x, b - f.centre_y
    ly = ly - f.lift * lx
    narrow = lx / (1 + f.taper * (ly / f.height).clamp(-1, 1))
    dx, dy = narrow.abs() - (f.width - f.corner), ly.abs() - (f.height - f.corner)
    ox, oy = dx.clamp_min(0), dy.clamp_min(0)
    edge = (ox * ox + oy * oy + 1e-8).sqrt() + torch.maximum(dx, dy).clamp_max(0) - f.corner
    thick = f.thick * (1 - 0.72 * f.open_below * smoothstep(0.03, -0.03, ly))
    frame = smoothstep(thick + 0.008, thick - 0.006, edge.abs())
    height = b - f.centre_y - 0.055 + 0.35 * aa * aa
    inner = f.centre_x - f.width + 0.02
    bridge = smoothstep(f.thick + 0.008, f.thick - 0.006, height.abs())
    double = smoothstep(0.020, 0.008, (height - 0.085).abs()) * f.metal * (f.taper > 0.2)
    bridge = torch.maximum(bridge, double) * smoothstep(0.012, -0.012, aa - inner)
    return edge, torch.maximum(frame, bridge), ly


def glasses_shadow(x: Tensor, y: Tensor, z: Tensor, s: Shape, f: Frame, view: View) -> Tensor:
    """Share of the key light that glasses keep from head-space points, (B, H, W)."""
    q = s.q
    azimuth, elevation = q["light_azimuth"], q["light_elevation"]
    c = elevation.cos()
    lamp = (azimuth.sin() * c, elevation.sin(), azimuth.cos() * c)
    r = view.rotation[:, :, :, None, None]
    lx, ly, lz = (
        r[:, 0, j] * lamp[0] + r[:, 1, j] * lamp[1] + r[:, 2, j] * lamp[2] for j in range(3)
    )
    gap = (LENS_Z - LENS_BEND * x * x - z).clamp(0, 0.4) / lz.clamp_min(0.35)
    edge, frame, _ = rim(x + lx * gap, y + ly * gap, f)
    lens = smoothstep(0.02, -0.03, edge)
    cast = torch.maximum(
        (0.40 - 0.15 * q["light_softness"]) * frame, (0.05 + 0.45 * q["dark_lenses"]) * lens
    )
    # Far from the face a thin rim's shadow has spread until nothing is left of it.
    cast = cast * smoothstep(0.005, 0.03, gap) * smoothstep(0.36, 0.12, gap)
    return cast * q["glasses"] * smoothstep(0.35, 0.5, z)


def glasses(
    rgb: Tensor, view: View, s: Shape, f: Frame, near: Tensor, light: Light
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw glasses over the picture.

    Parameters
    ----------
    near : Tensor, shape (B, H, W)
        Depth of the picture, far behind where it shows nothing.

    Returns
    -------
    rgb : Tensor
    frame, lens : Tensor, shape (B, H, W)
        Coverage by frame and by lenses.
    """
    q, worn = s.q, s.q["glasses"]
    # The plane z = LENS_Z - LENS_BEND x^2 is nearly flat: three steps reach it.
    slope = view.rotation[:, 2, 2][:, None, None].clamp_min(0.5)
    t = 0 * near + 0.85
    for _ in range(3):
        a, b, c = view.head(t)
        t = t - (c - (LENS_Z - LENS_BEND * a * a)) / slope * 0.9
    a, b, _ = view.head(t)
    edge, frame, ly = rim(a, b, f)
    seen = (t > near - 0.02).to(t) * smoothstep(0.85, 0.75, a.abs())
    frame = frame * seen
    side = 0 * frame
    hinge, hinge_y = f.centre_x + f.width, f.centre_y + 0.06 + f.lift * f.width
    for sign in (-1.0, 1.0):
        u0, v0, t0 = view.camera(sign * hinge, hinge_y, LENS_Z - LENS_BEND * hinge * hinge)
        u1, v1, t1 = view.camera(sign * 0.77 * s.width, s.eye_y + 0.04, -0.08 + 0 * hinge)
        along = (view.u - u0) * (u1 - u0) + (view.v - v0) * (v1 - v0)
        h = (along / ((u1 - u0) ** 2 + (v1 - v0) ** 2 + 1e-6)).clamp(0, 1)
        off = (view.u - u0 - h * (u1 - u0)) ** 2 + (view.v - v0 - h * (v1 - v0)) ** 2
        temple = smoothstep(f.thick + 0.006, f.thick - 0.008, (off + 1e-8).sqrt())
        side = torch.maximum(side, temple * ((t0 + h * (t1 - t0)) > near - 0.02).to(t))
    frame = torch.maximum(frame, side)
    lens = smoothstep(0.006, -0.006, edge) * seen * worn
    # A lens mirrors a bright window high up and the sky above it; both slide as the head turns.
    slide = 0.9 * ly + 0.55 * (a.abs() - f.centre_x) * torch.sign(a) + 0.35 * q["yaw"]
    window = smoothstep(0.050, 0.030, (slide - 0.065).abs())
    window = window + 0.6 * smoothstep(0.016, 0.004, (slide + 0.030).abs())
    sky = smoothstep(-0.10, 0.16, ly)
    dark = q["dark_lenses"]
    tinted = hsv(0.06 + 0.5 * q["frame_hue"], 0 * worn + 0.35, 0 * worn + 0.09) * (1 + 1.1 * sky)
    rgb = mix(rgb, tinted, lens * dark * (0.94 - 0.10 * (1 - sky)))
    rgb = rgb + lens * (window * (0.15 + 0.05 * dark) + sky * 0.05) * (1 - rgb.clamp(0, 1))
    plastic = hsv((0.02 + 0.6 * q["frame_hue"]) % 1, 0 * worn + 0.60, 0.05 + 0.20 * q["frame_hue"])
    wire = mix(
        colour(0.80, 0.62, 0.32, t),
        colour(0.66, 0.67, 0.70, t),
        (q["frame_hue"] > 0.5) * 1,
    )
    # frames are rounded: bright along the middle of their upper side
    shine = smoothstep(0.0, 0.02, edge) * smoothstep(-0.02, 0.06, ly)
    tone = mix(plastic, wire * 0.72, f.metal) + (0.10 + 0.20 * f.metal) * shine
    rgb = mix(rgb, tone, frame * worn)
    return rgb, frame * worn, lens


def earrings(
    rgb: Tensor, view: View, s: Shape, near: Tensor, light: Light
) -> tuple[Tensor, Tensor]:
    """Picture with earrings, and their coverage: studs on the lobes, or rings hanging from them."""
    q = s.q
    total = 0 * near
    is_ring = (q["hat_hue"] > 0.5).to(near)
    gold = mix(
        colour(0.97, 0.78, 0.34, near), colour(0.88, 0.89, 0.93, near),
        ((q["hat_hue"] * 4).floor() % 2).to(near),
    )  # fmt: skip
    open_width = 0.62 + 0.5 * q["yaw"].abs()
    for side in (-1.0, 1.0):
        u, v, t = view.camera(side * 0.765 * s.width, -0.215 * s.ear - 0.02, -0.05 + 0 * s.ear)
        du, dv = view.u - u, view.v - v
        r = (du * du + dv * dv + 1e-8).sqrt()
        stud = smoothstep(0.078, 0.062, r)
        hoop = ((du / open_width) ** 2 + (dv + 0.105) ** 2 + 1e-8).sqrt()
        hoop = smoothstep(0.026, 0.014, (hoop - 0.115).abs())
        seen = ((t + 0.08) > near - 0.03).to(near) * q["earrings"]
        disc = mix(stud, hoop, is_ring) * seen
        spot = smoothstep(0.07, 0.0, ((du + 0.02) ** 2 + (dv - 0.02) ** 2 + 1e-8).sqrt())
        band = 0.35 + 0.65 * smoothstep(-0.22, 0.0, dv)
        metal = gold * (0.55 + 0.55 * mix(spot, band, is_ring))
        rgb = mix(rgb, metal, disc)
        total = torch.maximum(total, disc)
    return rgb, total
