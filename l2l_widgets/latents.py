"""Latent codes: drawing z, checking and blending w and W+.

Shapes follow StyleGAN2: `z` is (B, z_dim), `w` is (B, w_dim), W+ (`ws`) is (B, num_ws, w_dim), one
row per style input of the synthesis network.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import torch

__all__ = [
    "check_ws",
    "face_bytes",
    "faces_at_once",
    "layer_groups",
    "lerp",
    "num_ws_for",
    "slerp",
    "to_wplus",
    "truncate",
    "z_from_seed",
    "z_from_seeds",
]


def num_ws_for(img_resolution: int) -> int:
    """Number of W+ rows of a StyleGAN2 with skip output: 2 log2(resolution) - 2.

    Parameters
    ----------
    img_resolution
        Side in pixels: a power of two, at least 4. (64 gives 10, 1024 gives 18.)

    Raises
    ------
    ValueError
        The side is not such a power of two.
    """
    side = _integer("img_resolution", img_resolution)
    if side < 4 or side & (side - 1):
        raise ValueError(f"img_resolution is {side}; it must be a power of two, at least 4")
    return 2 * (side.bit_length() - 1) - 2


def face_bytes(generator: Any) -> int:
    """About what is alive while a generator draws one face: four maps of its last block, float32.

    A face of 256 px takes 8 MB where that block has 8 channels, and 134 MB where it has 128, as in
    the official configuration. Where the channels are not known, 32 are taken.
    """
    side = int(generator.img_resolution)
    block = getattr(getattr(generator, "synthesis", None), f"b{side}", None)
    weight = getattr(getattr(block, "conv1", None), "weight", None)
    return 4 * 4 * (32 if weight is None else int(weight.shape[0])) * side**2


def faces_at_once(generator: Any, most: int = 64, memory: int = 2**29) -> int:
    """How many faces, at most `most`, a generator may draw together within `memory` bytes.

    At least 1: one face alone may take more than that.
    """
    return max(1, min(most, memory // face_bytes(generator)))


def layer_groups(num_ws: int) -> dict[str, slice]:
    """Rows of W+ by what they mostly control: coarse 0-3, middle 4-7, fine from 8 on.

    The slices are clipped to `num_ws`, so that a small network may have an empty fine group.
    Source: Karras et al. 2019, section 3.1.

    Raises
    ------
    ValueError
        `num_ws` is not a positive integer.
    """
    rows = _integer("num_ws", num_ws)
    if rows < 1:
        raise ValueError(f"num_ws is {rows}; it must be at least 1")
    return {
        "coarse": slice(0, min(4, rows)),
        "middle": slice(min(4, rows), min(8, rows)),
        "fine": slice(min(8, rows), rows),
    }


def z_from_seed(seed: int, z_dim: int) -> torch.Tensor:
    """The z that the official StyleGAN2 tools draw for a seed.

    Parameters
    ----------
    seed
        Integer in [0, 2**32 - 1].
    z_dim
        Length of z.

    Returns
    -------
    z : (1, z_dim) float32, standard normal

    Raises
    ------
    ValueError
        The seed is not an integer in that range, or `z_dim` is not positive.
    """
    try:
        number = _integer("seed", seed)
    except ValueError:
        number = -1
    if not 0 <= number <= 2**32 - 1:
        raise ValueError(f"seed is {seed!r}; allowed: a whole number from 0 to 4294967295")
    length = _integer("z_dim", z_dim)
    if length < 1:
        raise ValueError(f"z_dim is {length}; it must be at least 1")
    draws = np.random.RandomState(number).randn(1, length)
    return torch.from_numpy(draws.astype(np.float32))


def z_from_seeds(first: int, count: int, z_dim: int) -> torch.Tensor:
    """The z of consecutive seeds, as :func:`z_from_seed` draws each, many times faster.

    Parameters
    ----------
    first
        The first seed; the last one must not exceed 2**32 - 1.
    count
        How many seeds, at least 1.
    z_dim
        Length of z.

    Returns
    -------
    z : (count, z_dim) float32
    """
    if _integer("count", count) < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    for seed in (first, first + count - 1):
        z_from_seed(seed, z_dim)  # says what is wrong with them
    # Seeding one source again costs microseconds; making a new one for each seed, half a
    # millisecond.
    source = np.random.RandomState(first)
    z = np.empty((count, z_dim), dtype=np.float32)
    for row in range(count):
        source.seed(first + row)
        z[row] = source.randn(z_dim)
    return torch.from_numpy(z)


def check_ws(w: torch.Tensor, num_ws: int, w_dim: int) -> torch.Tensor:
    """Return `w` if it is a floating (B, num_ws, w_dim) tensor of finite numbers.

    Raises
    ------
    ValueError
        Anything else; the message names the shape that is wanted.
    """
    wanted = f"(B, {num_ws}, {w_dim})"
    if not isinstance(w, torch.Tensor):
        raise ValueError(f"ws is a {type(w).__name__}; it must be a {wanted} tensor")
    if w.ndim != 3 or w.shape[1] != num_ws or w.shape[2] != w_dim:
        raise ValueError(f"ws has shape {tuple(w.shape)}; it must be {wanted}")
    if not w.is_floating_point():
        raise ValueError(f"ws has dtype {w.dtype}; it must be floating point")
    if not torch.isfinite(w).all():
        raise ValueError("ws holds NaN or infinity; every value must be finite")
    return w


def to_wplus(w: torch.Tensor, num_ws: int) -> torch.Tensor:
    """Repeat a single w over all rows; a W+ of the right height passes unchanged.

    Parameters
    ----------
    w
        (w_dim,), (B, w_dim) or (B, num_ws, w_dim).
    num_ws
        Rows wanted.

    Returns
    -------
    ws : (B, num_ws, w_dim)

    Raises
    ------
    ValueError
        Another shape.
    """
    if w.ndim == 1:
        w = w.unsqueeze(0)
    if w.ndim == 2:
        return w.unsqueeze(1).repeat(1, num_ws, 1)
    if w.ndim == 3 and w.shape[1] == num_ws:
        return w
    raise ValueError(
        f"w has shape {tuple(w.shape)}; it must be (w_dim,), (B, w_dim) or (B, {num_ws}, w_dim)"
    )


def truncate(
    w: torch.Tensor, w_avg: torch.Tensor, psi: float, cutoff: int | None = None
) -> torch.Tensor:
    """Pull w towards the average: `w_avg + psi * (w - w_avg)`.

    Parameters
    ----------
    w
        (B, num_ws, w_dim), or (B, w_dim) without `cutoff`.
    w_avg
        (w_dim,).
    psi
        1 leaves w as it is, 0 gives the average. Values outside [0, 1] are allowed (beyond 1
        exaggerates, below 0 gives the anti-face); they must be finite.
    cutoff
        Only rows below it are pulled; None means all.

    Raises
    ------
    ValueError
        `psi` is not finite, `cutoff` is negative or given without rows, or the shapes disagree.
    """
    strength = _finite("truncation_psi", psi)
    if w_avg.shape != w.shape[-1:]:
        raise ValueError(
            f"w_avg has shape {tuple(w_avg.shape)}; it must be ({w.shape[-1]},) as w's last axis"
        )
    if cutoff is None:
        return w if strength == 1 else torch.lerp(w_avg.expand_as(w), w, strength)
    rows = _integer("truncation_cutoff", cutoff)
    if rows < 0:
        raise ValueError(f"truncation_cutoff is {rows}; it must be 0 or more")
    if w.ndim != 3:
        raise ValueError(
            f"truncation_cutoff needs ws of shape (B, num_ws, w_dim); w has {tuple(w.shape)}"
        )
    if strength == 1 or rows == 0:
        return w
    pulled = torch.lerp(w_avg.expand_as(w[:, :rows]), w[:, :rows], strength)
    return torch.cat([pulled, w[:, rows:]], dim=1)


def lerp(a: torch.Tensor, b: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
    """Straight line from `a` (t = 0) to `b` (t = 1): the way to walk in W.

    Raises
    ------
    ValueError
        `a` and `b` differ in shape, or `t` is not finite.
    """
    _same_shape(a, b)
    if isinstance(t, torch.Tensor):
        return a + (b - a) * t.to(a)
    return torch.lerp(a, b, _finite("t", t))


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """Great circle from `a` to `b` over the last axis: the way to walk in Z.

    Directions turn along the circle and lengths change linearly, so that draws of a normal
    distribution stay at a plausible radius (a straight line would pass near the origin). Parallel
    or zero vectors fall back to the straight line, and opposite ones turn in a fixed plane.

    Parameters
    ----------
    a, b
        (..., dim), same shape.
    t
        0 gives `a`, 1 gives `b`.

    Raises
    ------
    ValueError
        `a` and `b` differ in shape, or `t` is not finite.
    """
    _same_shape(a, b)
    step = _finite("t", t)
    length_a = a.norm(dim=-1, keepdim=True)
    length_b = b.norm(dim=-1, keepdim=True)
    unit_a = a / length_a.clamp_min(1e-12)
    unit_b = b / length_b.clamp_min(1e-12)
    cosine = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1.0, 1.0)
    across = unit_b - cosine * unit_a
    size = across.norm(dim=-1, keepdim=True)
    # Opposite vectors name no plane: any one will do, as long as it is always the same.
    any_across = torch.roll(unit_a, 1, dims=-1)
    any_across = any_across - (any_across * unit_a).sum(-1, keepdim=True) * unit_a
    any_across = any_across / any_across.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    across = torch.where(size > 1e-6, across / size.clamp_min(1e-12), any_across)
    angle = step * torch.atan2(size, cosine)
    on_circle = (torch.cos(angle) * unit_a + torch.sin(angle) * across) * (
        length_a + (length_b - length_a) * step
    )
    straight = a + (b - a) * step
    usable = (length_a > 1e-12) & (length_b > 1e-12) & ((size > 1e-6) | (cosine < 0))
    return torch.where(usable, on_circle, straight)


def _same_shape(a: torch.Tensor, b: torch.Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"a and b must have the same shape; they have {tuple(a.shape)} and {tuple(b.shape)}"
        )


def _integer(name: str, value: object) -> int:
    # bool is an int to Python, but True as a seed or a size is a mistake.
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} is {value!r}; it must be an integer") from None


def _finite(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}; it must be a finite number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}; it must be a finite number")
    return number
