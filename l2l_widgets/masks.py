"""Masks of faces: the 19 classes of CelebAMask-HQ, their orders, their files.

A mask is uint8, (H, W) or (B, H, W), each pixel the index of a class in the **official order** (Lee
et al., CVPR 2020). Another order is in wide use, that of a popular parser (BiSeNet): it has the
same names under other numbers, and its masks look like masks here. Everything inside the package is
official; :func:`from_order` and :func:`to_order` convert, :func:`guess_order` tells them apart by
where the parts lie, and :func:`read_mask` refuses what looks like the other one by name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from l2l_widgets.images import why_unread

#: The classes of CelebAMask-HQ in its official order; the index is the label. Parts are painted in
#: this order when a picture's part files are merged, later ones over earlier ones.
MASK_CLASSES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
#: What a person calls them. `ear_r` is the earring, `l_lip` the lower lip, `l_eye` the left eye.
LABELS = (
    "Background", "Skin", "Nose", "Glasses", "Left eye", "Right eye", "Left brow", "Right brow",
    "Left ear", "Right ear", "Mouth", "Upper lip", "Lower lip", "Hair", "Hat", "Earring",
    "Necklace", "Neck", "Clothes",
)  # fmt: skip
#: The colours of the official tables, RGB. For the right brow the sources disagree: the data set's
#: script says (255, 204, 204), parser and demo this one; both are read.
COLOURS = (
    (0, 0, 0), (204, 0, 0), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204),
    (0, 255, 255), (51, 255, 255), (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0),
    (0, 0, 153), (0, 0, 204), (255, 51, 153), (0, 204, 204), (0, 51, 0), (255, 153, 51),
    (0, 204, 0),
)  # fmt: skip
SECOND_BROW = (255, 204, 204)
_CLASS_OF: dict[tuple[int, ...], int] = {SECOND_BROW: 7, **{c: i for i, c in enumerate(COLOURS)}}
#: The order in which the common BiSeNet parser numbers, and merges, the same parts.
BISENET_CLASSES = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
ORDERS = {"official": MASK_CLASSES, "bisenet": BISENET_CLASSES}
#: Classes that change places when a picture is mirrored.
MIRRORED = ((4, 5), (6, 7), (8, 9))
CLASS_COUNT = len(MASK_CLASSES)
#: A mask from outside may claim any size: more pixels are not decoded, more bytes not read.
MAX_PIXELS, MAX_FILE = 1 << 24, 64 << 20
#: Fewer pixels a side show no face: a mask of one pixel would be all background.
SMALLEST = 16
#: By how much the other order must fit better before a mask is taken for it. Of 160 renders' masks
#: and 670 with something painted or taken from another face, official ones reach 0 at most, and
#: the same in the other order 0.18 at least.
ORDER_MARGIN = 0.1


class MaskError(ValueError):
    """A mask that cannot be used; one line that names what is wrong and what is allowed."""


class OrderError(MaskError):
    """A mask that looks numbered in another order; read on if it is said which one it is."""


def class_index(name: str) -> int:
    """Index of a class by its official name."""
    if name not in MASK_CLASSES:
        raise MaskError(f"class is {name!r}; allowed: {', '.join(MASK_CLASSES)}")
    return MASK_CLASSES.index(name)


def check_mask(mask: Tensor, side: int | None = None, name: str = "mask") -> Tensor:
    """Return a mask as uint8, or say what is wrong with it.

    Parameters
    ----------
    mask : Tensor, shape (H, W) or (B, H, W), an integer type
        Class indices.
    side : int, optional
        The side in pixels that it must have.
    name : str
        What the error calls it.

    Raises
    ------
    MaskError
        Another type or shape, another size, or indices out of range.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or 0 in mask.shape:
        shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise MaskError(f"{name} is {shape}; allowed: class indices (H, W) or (B, H, W)")
    if mask.is_floating_point() or mask.dtype == torch.bool:
        raise MaskError(f"{name} has dtype {mask.dtype}; allowed: whole numbers")
    if side is not None and tuple(mask.shape[-2:]) != (side, side):
        height, width = mask.shape[-2:]
        raise MaskError(f"{name} is {width} x {height} pixels; allowed here: {side} x {side}")
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high >= CLASS_COUNT:
        wrong = low if low < 0 else high
        raise MaskError(f"{name} holds class {wrong}; allowed: 0 to {CLASS_COUNT - 1}")
    return mask.to(torch.uint8)


def from_order(mask: Tensor, order: str) -> Tensor:
    """Renumber a mask of another order to the official one.

    Merged masks differ beyond the numbers where parts overlap: the other order paints glasses over
    eyes and hats last. What was painted over is gone and does not come back.
    """
    return _renumber(mask, _order(order), MASK_CLASSES)


def to_order(mask: Tensor, order: str) -> Tensor:
    """Renumber an official mask to another order."""
    return _renumber(mask, MASK_CLASSES, _order(order))


def _order(order: str) -> tuple[str, ...]:
    if order not in ORDERS:
        raise MaskError(f"order is {order!r}; allowed: {', '.join(ORDERS)}")
    return ORDERS[order]


def _renumber(mask: Tensor, old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    table = torch.tensor([new.index(name) for name in old], dtype=torch.uint8, device=mask.device)
    return table[check_mask(mask).long()]


def mirror(mask: Tensor) -> Tensor:
    """The mask of the mirrored picture: left and right parts change their names as well."""
    table = torch.arange(CLASS_COUNT, dtype=torch.uint8, device=mask.device)
    for left, right in MIRRORED:
        table[left], table[right] = right, left
    return table[mask.flip(-1).long()]


def one_hot(mask: Tensor) -> Tensor:
    """Masks (B, H, W) as float32 (B, 19, H, W), 1 where a pixel is of a class."""
    return F.one_hot(mask.long(), CLASS_COUNT).movedim(-1, 1).float()


def resize_mask(mask: Tensor, side: int) -> Tensor:
    """Masks (H, W) or (B, H, W) at another side; each pixel takes the class nearest to it."""
    batch = mask[None] if mask.ndim == 2 else mask
    out = F.interpolate(batch[:, None].float(), (side, side), mode="nearest-exact")[:, 0]
    return (out[0] if mask.ndim == 2 else out).to(torch.uint8)


def colour(mask: Tensor) -> Tensor:
    """Masks (..., H, W) in the official colours, uint8 (..., 3, H, W)."""
    table = torch.tensor(COLOURS, dtype=torch.uint8, device=mask.device)
    return table[mask.long()].movedim(-1, -3)


def order_fit(mask: Tensor, order: str) -> float:
    """How well the parts of a mask lie where a face has them, if its numbers are of ``order``.

    Returns
    -------
    float
        Share of the rules that hold among those that can be asked (both parts are there), 0 to 1;
        0.5 where none can.
    """
    official = from_order(mask, order)
    height, width = official.shape
    area = torch.bincount(official.flatten().long(), minlength=CLASS_COUNT).float()
    rows = torch.arange(height).float()[:, None].expand(height, width)
    at = {name: float(rows[official == i].mean()) for i, name in enumerate(MASK_CLASSES) if area[i]}
    size = {name: float(area[i]) for i, name in enumerate(MASK_CLASSES)}
    above = [
        ("hair", "neck"), ("hair", "cloth"), ("nose", "l_lip"), ("nose", "u_lip"),
        ("l_brow", "nose"), ("r_brow", "nose"), ("l_brow", "l_eye"), ("r_brow", "r_eye"),
        ("u_lip", "l_lip"), ("skin", "neck"), ("neck", "cloth"), ("l_eye", "u_lip"),
    ]  # fmt: skip
    larger = [("hair", "l_brow"), ("hair", "u_lip"), ("neck", "l_lip"), ("skin", "nose")]
    held = [at[a] < at[b] for a, b in above if a in at and b in at]
    held += [size[a] > size[b] for a, b in larger if size[a] and size[b]]
    return sum(held) / len(held) if held else 0.5


def guess_order(mask: Tensor, margin: float = ORDER_MARGIN) -> str:
    """Which order a mask (H, W) is numbered in, by where its parts lie: a key of ``ORDERS``.

    "official" unless the other one fits better by ``margin``: a painted mask may be odd on purpose.
    """
    fits = {order: order_fit(mask, order) for order in ORDERS}
    best = max(fits, key=lambda order: fits[order])
    return best if fits[best] > fits["official"] + margin else "official"


def read_mask(
    source: str | os.PathLike[str] | bytes,
    side: int | None = None,
    order: str | None = None,
    name: str | None = None,
) -> Tensor:
    """Read a mask from a picture file.

    Class indices may be stored as grey values, as palette indices, or alike in all three channels
    (the official demo's way); a colour picture is read where all of its colours are official ones,
    and so is a palette that gives the official colours to other numbers: programs that turn a
    picture into an indexed one number its colours as they like.

    Parameters
    ----------
    source : path or bytes
        PNG or another lossless picture.
    side : int, optional
        Side of the result. A square mask a whole number of times larger or smaller, of 16 pixels a
        side or more, is resampled; any other size is refused. Default: as it is.
    order : {"official", "bisenet"}, optional
        In which order the indices count. Default: official, and a mask that looks like the other
        order is refused by name; say "official" to have it read as it stands. An official mask
        that is said to be of the other order is refused as well.
    name : str, optional
        What errors call it; the file's name by default.

    Returns
    -------
    Tensor, shape (H, W), uint8
        In the official order.

    Raises
    ------
    MaskError
        No picture, colours that mean nothing, indices out of range, the other order (an
        :class:`OrderError`), another size.
    """
    label = name or ("mask" if isinstance(source, bytes) else str(source))
    indices = _indices(_opened(source, label), label)
    _refuse_part(indices, label)
    mask = check_mask(torch.from_numpy(indices), name=label)
    if order is None and guess_order(mask) == "bisenet":
        raise OrderError(
            f"{label} looks numbered in the BiSeNet order (17 is hair, 14 is neck), not the "
            "official one of CelebAMask-HQ; say order 'bisenet' to convert it, or 'official' if it "
            "is right as it is"
        )
    if order == "bisenet" and order_fit(mask, "official") > order_fit(mask, order) + ORDER_MARGIN:
        raise MaskError(
            f"{label} looks numbered in the official order of CelebAMask-HQ (13 is hair, 17 is "
            "neck), not in that of BiSeNet; leave order out, or say 'official'"
        )
    mask = from_order(mask, order or "official")
    return mask if side is None else fit_side(mask, side, label)


def read_area(source: str | os.PathLike[str] | bytes, side: int, name: str | None = None) -> Tensor:
    """Read an area from a picture file: black is outside, whatever is not black is inside.

    Parameters
    ----------
    source : path or bytes
        PNG: black and white, or a mask of classes, of which the background is outside.
    side : int
        Side of the result, as for :func:`read_mask`.
    name : str, optional
        What errors call it; the file's name by default.

    Returns
    -------
    Tensor, shape (side, side), bool

    Raises
    ------
    MaskError
        No picture, or another size.
    """
    label = name or ("area" if isinstance(source, bytes) else str(source))
    picture = _opened(source, label)
    if picture.mode != "P" or _black_is_another(picture):
        picture = picture.convert("RGB")
    pixels = np.array(picture).reshape(picture.height, picture.width, -1)
    return fit_side(torch.from_numpy(pixels.any(-1).astype(np.uint8)), side, label) != 0


def _black_is_another(picture: Image.Image) -> bool:
    """Whether a palette picture has black under another number than 0, and 0 is a colour there."""
    colours = _palette_colours(picture)
    return (0, 0, 0) in colours.values() and colours.get(0, (0, 0, 0)) != (0, 0, 0)


def _palette_colours(picture: Image.Image) -> dict[int, tuple[int, ...]]:
    """Index -> RGB, of the indices that a palette picture holds; empty for those not in it."""
    flat = picture.getpalette("RGB") or []
    return {i: tuple(flat[3 * i : 3 * i + 3]) for i in np.unique(np.array(picture)).tolist()}


def _refuse_part(indices: np.ndarray, label: str) -> None:
    """Refuse the file of one part: 255, or another number that is no class, where the part is."""
    values = np.unique(indices).tolist()
    if len(values) != 2 or values[0] != 0 or values[1] < CLASS_COUNT:
        return
    stem = Path(label).stem
    part = next((n for n in sorted(MASK_CLASSES, key=len)[::-1] if stem.endswith(f"_{n}")), None)
    number = "" if part is None else f", for {part} {MASK_CLASSES.index(part)}"
    raise MaskError(
        f"{label} looks like one part's file (0, and {values[1]} where the part is), not like "
        "a mask of all parts; allowed: one PNG in which every pixel holds the number of its class. "
        "Combine them: take the face's own mask (l2l paint --image FACE.png --read-mask --out "
        f"MASK.png) and give the part's pixels its number{number} (0 to {CLASS_COUNT - 1}: "
        f"{', '.join(MASK_CLASSES)})"
    )


def fit_side(mask: Tensor, side: int, name: str = "mask") -> Tensor:
    """A square mask at a side that is a whole multiple or part of its own, or MaskError.

    One of fewer than :data:`SMALLEST` pixels a side is taken only where that side is asked for.
    """
    height, width = mask.shape[-2:]
    if width == height == side:
        return mask
    divides = height == width and (side % height == 0 or height % side == 0)
    if not divides or height < SMALLEST:
        raise MaskError(
            f"{name} is {width} x {height} pixels; allowed: {side} x {side}, or a square that is "
            f"a whole number of times larger or smaller, of {SMALLEST} pixels a side or more"
        )
    return resize_mask(mask, side)


def _opened(source: str | os.PathLike[str] | bytes, label: str) -> Image.Image:
    try:
        data = source if isinstance(source, bytes) else _bytes_of(Path(source), label)
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if picture.format == "JPEG":
            raise MaskError(f"{label} is a JPEG, which blurs class indices; allowed: PNG")
        check_claim(picture, label)
        picture.load()
    except UnidentifiedImageError:
        raise MaskError(f"{label} is no picture; allowed: a PNG of class indices") from None
    except MaskError:
        raise
    except Image.DecompressionBombError:  # Pillow's own words speak of an attack
        raise MaskError(
            f"{label} claims too many pixels; allowed: {MAX_PIXELS:,} in all, such as 4096 x 4096"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise MaskError(f"{label} cannot be read: {why_unread(error)}") from None
    return picture


def _bytes_of(path: Path, label: str) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE:
        raise MaskError(f"{label} has {size >> 20} MiB; allowed: {MAX_FILE >> 20}")
    return path.read_bytes()


def check_claim(picture: Image.Image, label: str) -> None:
    """Refuse a mask by the size that its head claims, before room is taken for its pixels."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise MaskError(
            f"{label} claims {width} x {height} pixels; allowed: {MAX_PIXELS:,} in all, such as "
            "4096 x 4096"
        )


def _indices(picture: Image.Image, label: str) -> np.ndarray:
    if picture.mode == "L":
        return np.array(picture)
    if picture.mode == "P":
        return _of_palette(picture, label)
    if picture.mode not in ("LA", "RGB", "RGBA"):  # what is see-through has a number all the same
        raise MaskError(
            f"{label} has pixels of kind {picture.mode!r}; allowed: grey or palette indices of 8 "
            "bits, or the official colours"
        )
    pixels = np.asarray(picture.convert("RGB"))  # (H, W, 3)
    red, green, blue = (pixels[..., i] for i in range(3))
    if (red == green).all() and (red == blue).all():
        return red.copy()
    packed = red.astype(np.int32) << 16  # a number a colour
    packed |= green.astype(np.int32) << 8
    packed |= blue
    out = np.full(packed.shape, 255, np.uint8)
    for (r, g, b), index in _CLASS_OF.items():
        out[packed == r * 65536 + g * 256 + b] = index
    if (out == 255).any():
        raise _no_class(out == 255, pixels, label)
    return out


def _no_class(strange: np.ndarray, pixels: np.ndarray, label: str) -> MaskError:
    """What to say of the first pixel whose colour is no class."""
    y, x = np.argwhere(strange)[0]
    return MaskError(
        f"{label} has the colour {tuple(pixels[y, x].tolist())} at x {x}, y {y}, which is no "
        "class; allowed: the 19 official colours, without smoothing, or class indices"
    )


def _of_palette(picture: Image.Image, label: str) -> np.ndarray:
    """Class indices of a palette picture: its numbers, or what its colours say of other numbers."""
    indices = np.array(picture)
    colours = _palette_colours(picture)
    classes = {i: _CLASS_OF[rgb] for i, rgb in colours.items() if rgb in _CLASS_OF}
    # a palette that names nothing, such as all black or somebody's own, only colours its indices
    named = len(classes) == len(colours) == len(set(colours.values()))
    if not named and _means_colours(indices, classes):
        strange = ~np.isin(indices, list(classes))
        if strange.any():
            raise _no_class(strange, np.asarray(picture.convert("RGB")), label)
    if not named or all(i == label for i, label in classes.items()):
        return indices
    table = np.zeros(256, np.uint8)
    table[list(classes)] = list(classes.values())
    return table[indices]


def _means_colours(indices: np.ndarray, classes: Mapping[int, int]) -> bool:
    """Whether a palette picture was painted in official colours: most of it, under other numbers.

    Its numbers are then a program's own, and no classes; one or two such colours may be chance.
    """
    elsewhere = {label for i, label in classes.items() if i != label}
    return len(elsewhere) > 2 and float(np.isin(indices, list(classes)).mean()) > 0.5


def encode_mask(mask: Tensor) -> bytes:
    """PNG bytes of one mask (H, W): class indices, with the official colours as palette."""
    picture = Image.fromarray(check_mask(mask).cpu().numpy(), mode="P")
    picture.putpalette([v for rgb in COLOURS for v in rgb])
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
