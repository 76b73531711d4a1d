"""What a hand does to a mask, as data: each operation is a small dict that JSON can hold.

========  ================================================================================
kind      fields
========  ================================================================================
brush     ``class`` 0 to 18, ``size`` in pixels of the mask, ``points`` [[x, y], ...]
line      the same, from the first point to the last
erase     ``size``, ``points``: brings the original back
fill      ``class``, ``point``: the connected area of one class under it
move      ``class``, ``dx``, ``dy`` in pixels, ``scale`` about the part's middle
mask      ``png``: another mask in place of this one, base64
========  ================================================================================

Coordinates are pixels of the mask, x right and y down; (0, 0) is the corner of the first pixel. The
page paints with the same arithmetic, so that what is seen under the brush is what is kept.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.masks import CLASS_COUNT, MASK_CLASSES, MaskError, encode_mask, read_mask

STROKES = ("brush", "line", "erase")
KINDS = ("brush", "line", "erase", "fill", "move", "mask")
LARGEST_BRUSH = 512.0
MOST_POINTS = 20_000
#: Pixels of ways that are looked at together: what a processor's cache holds.
AT_ONCE = 1 << 15
SCALES = (0.1, 10.0)
#: A move that leaves so little of a part is refused: it would be gone.
LEAST_PIXELS = 1


def apply_operation(mask: Tensor, original: Tensor, operation: Mapping[str, Any]) -> Tensor:
    """Return the mask after one operation; the input stays as it is.

    Parameters
    ----------
    mask, original : Tensor, shape (R, R), uint8
        The mask now, and the one that the eraser brings back.
    operation : mapping
        See the module's table.

    Raises
    ------
    MaskError
        An unknown kind, or a field that is missing or impossible.
    """
    kind = operation.get("kind")
    if kind in STROKES:
        covered = _covered(mask.shape[-1], operation)
        value = original if kind == "erase" else torch.full_like(mask, _class(operation))
        return torch.where(covered.to(mask.device), value, mask)
    if kind == "fill":
        return _fill(mask, _class(operation), operation)
    if kind == "move":
        return _move(mask, _class(operation), operation)
    if kind == "mask":
        return mask_of(operation, mask.shape[-1])
    raise MaskError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")


def touched(before: Tensor, after: Tensor, operation: Mapping[str, Any]) -> Tensor:
    """Pixels (R, R), bool, that an operation has decided.

    All under a stroke, also those that were of its class before; else those that changed.
    """
    if operation.get("kind") in STROKES:
        return _covered(before.shape[-1], operation).to(before.device)
    return before != after


def _covered(side: int, operation: Mapping[str, Any]) -> Tensor:
    """Pixels under a stroke."""
    points = _points(operation)
    if operation.get("kind") == "line":
        points = points[[0, -1]]
    return stroke(side, points, _number(operation, "size", 0.1, LARGEST_BRUSH))


def replacing(mask: Tensor) -> dict[str, Any]:
    """The operation that puts ``mask`` in place of what is there."""
    return {"kind": "mask", "png": base64.b64encode(encode_mask(mask)).decode("ascii")}


def mask_of(operation: Mapping[str, Any], side: int) -> Tensor:
    """The mask (side, side) inside a "mask" operation."""
    try:
        data = base64.b64decode(str(operation.get("png", "")), validate=True)
    except binascii.Error:
        raise MaskError("png is no base64 text; allowed: a mask's PNG in base64") from None
    mask = read_mask(data, order="official", name="mask")
    if tuple(mask.shape) != (side, side):
        raise MaskError(
            f"mask is {mask.shape[1]} x {mask.shape[0]} pixels; allowed here: {side} x {side}"
        )
    return mask


def stroke(side: int, points: np.ndarray, size: float) -> Tensor:
    """Pixels (side, side) that a round brush covers on its way along ``points`` (N, 2)."""
    covered = np.zeros((side, side), bool)
    reach = size / 2
    starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    low = np.floor(np.minimum(starts, ends) - reach).astype(int).clip(0, side - 1)
    high = np.ceil(np.maximum(starts, ends) + reach).astype(int).clip(0, side - 1)
    # Hundreds of short ways a second come from a mouse, and each message has them all: ways of
    # about one extent are looked at together, each in its own window of pixels.
    extents = (high - low).max(1) + 1
    doublings = np.ceil(np.log2(extents)).astype(int)
    for doubling in np.unique(doublings):
        alike = np.flatnonzero(doublings == doubling)
        window = int(extents[alike].max())
        for rows in np.array_split(alike, -(-len(alike) * window**2 // AT_ONCE)):
            _cover(covered, starts[rows], ends[rows], low[rows], high[rows], window, reach)
    for x, y in np.unique(np.floor(points).astype(int), axis=0):  # below one pixel it still paints
        if 0 <= x < side and 0 <= y < side:
            covered[y, x] = True
    return torch.from_numpy(covered)


def _cover(
    covered: np.ndarray, starts: np.ndarray, ends: np.ndarray, low: np.ndarray, high: np.ndarray,
    window: int, reach: float,
) -> None:  # fmt: skip
    """Mark what lies within ``reach`` of ways (N, 2), each within its window from ``low`` on."""
    columns = low[:, 0, None, None] + np.arange(window)  # (N, 1, window)
    rows = low[:, 1, None, None] + np.arange(window)[:, None]  # (N, window, 1)
    ax, ay = starts[:, 0, None, None], starts[:, 1, None, None]
    dx, dy = (ends - starts)[:, 0, None, None], (ends - starts)[:, 1, None, None]
    x, y = columns + 0.5, rows + 0.5
    t = (((x - ax) * dx + (y - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-9)).clip(0, 1)
    near = (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2 <= reach**2
    near &= (columns <= high[:, 0, None, None]) & (rows <= high[:, 1, None, None])
    way, row, column = np.nonzero(near)
    covered[low[way, 1] + row, low[way, 0] + column] = True


def _fill(mask: Tensor, label: int, operation: Mapping[str, Any]) -> Tensor:
    from scipy import ndimage  # heavy: only where something is filled

    point = operation.get("point")
    (x, y), side = _points({"points": [point]})[0], mask.shape[-1]
    column, row = math.floor(x), math.floor(y)
    if not (0 <= column < side and 0 <= row < side):
        raise MaskError(f"point is {point!r}; allowed: inside the mask, 0 to {side}")
    pixels = mask.cpu().numpy()
    areas, _ = ndimage.label(pixels == pixels[row, column])
    inside = torch.from_numpy(areas == areas[row, column]).to(mask.device)
    return torch.where(inside, torch.full_like(mask, label), mask)


def _move(mask: Tensor, label: int, operation: Mapping[str, Any]) -> Tensor:
    """Move and scale a part; what it leaves bare takes the class that was nearest around it."""
    from scipy import ndimage

    side = mask.shape[-1]
    dx, dy = (_number(operation, k, -side, side, 0.0) for k in ("dx", "dy"))
    scale = _number(operation, "scale", *SCALES, default=1.0)
    pixels = mask.cpu().numpy()
    part = pixels == label
    if not part.any():
        raise MaskError(f"class is {MASK_CLASSES[label]}; allowed: a part that the mask shows")
    rows, columns = np.nonzero(part)
    middle = columns.mean() + 0.5, rows.mean() + 0.5
    y, x = np.mgrid[:side, :side] + 0.5
    from_x = np.floor((x - middle[0] - dx) / scale + middle[0]).astype(int)
    from_y = np.floor((y - middle[1] - dy) / scale + middle[1]).astype(int)
    known = (from_x >= 0) & (from_x < side) & (from_y >= 0) & (from_y < side)
    moved = np.zeros_like(part)
    moved[known] = part[from_y[known], from_x[known]]
    if moved.sum() < LEAST_PIXELS:
        raise MaskError("dx, dy and scale leave nothing of the part inside the picture")
    out = pixels.copy()
    if not part.all():
        nearest = ndimage.distance_transform_edt(part, return_distances=False, return_indices=True)
        out[part] = pixels[tuple(nearest[:, part])]
    out[moved] = label
    return torch.from_numpy(out).to(mask.device)


def _points(operation: Mapping[str, Any]) -> np.ndarray:
    given = operation.get("points")
    try:
        points = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise MaskError("points are no list of [x, y]; allowed: at least one pair of numbers")
    if len(points) > MOST_POINTS or np.abs(points).max() > 1e5:
        raise MaskError(f"points are too many or too far out; allowed: {MOST_POINTS} near the mask")
    return points


def _class(operation: Mapping[str, Any]) -> int:
    label = operation.get("class")
    if type(label) is not int or not 0 <= label < CLASS_COUNT:
        raise MaskError(f"class is {label!r}; allowed: 0 to {CLASS_COUNT - 1}")
    return label


def _number(
    operation: Mapping[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    value = operation.get(name, default)
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not low <= float(value) <= high:
        raise MaskError(f"{name} is {value!r}; allowed: {low} to {high}")
    return float(value)
