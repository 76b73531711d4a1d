"""Rendered portraits in the folder layout of CelebAMask-HQ, so that tools made for it read them.

::

    CelebA-HQ-img/{i}.jpg
    CelebAMask-HQ-mask-anno/{i // 2000}/{i:05d}_{part}.png   one per part that is seen, 0 or 255
    CelebAMask-HQ-attribute-anno.txt                         CelebA's names, 1 or -1
    CelebAMask-HQ-pose-anno.txt                              yaw, pitch, roll in degrees
    factors.csv                                              the truth: 35 attributes, all latents

The attribute file has the columns of CelebA's forty that faceworld knows and no others. Masks are
what is seen: unlike the hand-made ones they do not guess at what lies behind the hair.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.factors import FACTORS, Factors, sample_factors
from l2l_widgets.faceworld.render import MASK_CLASSES, render
from l2l_widgets.images import encode_jpeg
from l2l_widgets.storage import write_atomic

#: Portraits are drawn from (seed, block): picture i is the same however many are asked for.
BLOCK = 64
MASKS_PER_FOLDER = 2000
CONFIG = "render.json"

#: CelebA's name -> our attribute, and from which value on it counts; a minus sign reverses it.
CELEBA_NAMES = {
    "Bald": ("baldness", 0.6),
    "Bangs": ("fringe", 0.5),
    "Black_Hair": ("hair_black", 0.5),
    "Blond_Hair": ("hair_blond", 0.5),
    "Brown_Hair": ("hair_brown", 0.5),
    "Eyeglasses": ("glasses", 0.5),
    "Gray_Hair": ("hair_grey", 0.5),
    "Heavy_Makeup": ("eye_makeup", 0.5),
    "Male": ("gender", 0.5),
    "Mouth_Slightly_Open": ("mouth_open", 0.15),
    "Mustache": ("moustache", 0.4),
    "No_Beard": ("-beard", 0.3),
    "Sideburns": ("sideburns", 0.4),
    "Smiling": ("smile", 0.65),
    "Wavy_Hair": ("hair_curl", 0.5),
    "Wearing_Earrings": ("earrings", 0.5),
    "Wearing_Hat": ("hat", 0.5),
    "Wearing_Lipstick": ("lip_makeup", 0.4),
    "Young": ("-age", 0.5),
}


@dataclass(frozen=True)
class LayoutConfig:
    """What a folder holds; the number of pictures is not part of it, so a folder can grow.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.
    size : int
        Side of pictures and masks in pixels: a power of two from 16 to 1024.
    correlated : bool
        The planted population, or every factor on its own.
    """

    seed: int = 0
    size: int = 128
    correlated: bool = True


def portraits(config: LayoutConfig, count: int) -> Factors:
    """The first ``count`` portraits of a folder."""
    blocks = range((count + BLOCK - 1) // BLOCK)
    drawn = [sample_factors(BLOCK, config.seed * 1_000_003 + b, config.correlated) for b in blocks]
    return Factors(torch.cat([f.latents for f in drawn])[:count], config.correlated)


def write_layout(
    folder: str | Path,
    config: LayoutConfig,
    count: int,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Render what is missing of the first ``count`` portraits.

    Parameters
    ----------
    folder : path
        Created when missing. A folder that holds something else is refused.
    config : LayoutConfig
        What to render.
    count : int
        Pictures the folder shall hold, at least 1.
    progress : callable
        Told how many pictures are there, after every few.

    Returns
    -------
    int
        Pictures that were rendered now; the others were there already.

    Raises
    ------
    ValueError
        An impossible count, seed or size, or a folder of another kind; nothing is written then.
    """
    _check(config, count)
    folder = Path(folder)
    _claim(folder, config)
    # The tables of a folder that already holds more must go on naming all of it.
    while image_path(folder, count).exists():
        count += 1
    factors = portraits(config, count)
    (folder / "CelebA-HQ-img").mkdir(exist_ok=True)
    for number in range((count + MASKS_PER_FOLDER - 1) // MASKS_PER_FOLDER):
        mask_folder(folder, number * MASKS_PER_FOLDER).mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not image_path(folder, i).exists()]
    chunk = max(1, 100_000 // config.size**2)
    for start in range(0, len(missing), chunk):
        rows = missing[start : start + chunk]
        with torch.no_grad():
            drawn = render(factors[torch.tensor(rows)], config.size)
        for i, image, mask in zip(rows, drawn.image, drawn.mask, strict=True):
            _write_masks(folder, i, mask)
            # The picture comes last: where it is, everything of this portrait is.
            write_atomic(image_path(folder, i), encode_jpeg(image, quality=95))
        progress(count - len(missing) + start + len(rows))
    _write_tables(folder, factors)
    return len(missing)


def image_path(folder: Path, index: int) -> Path:
    """Where picture ``index`` lies."""
    return folder / "CelebA-HQ-img" / f"{index}.jpg"


def mask_folder(folder: Path, index: int) -> Path:
    """Where the masks of picture ``index`` lie."""
    return folder / "CelebAMask-HQ-mask-anno" / str(index // MASKS_PER_FOLDER)


def _check(config: LayoutConfig, count: int) -> None:
    if type(count) is not int or count < 1:
        raise ValueError(f"N is {count!r}; allowed: a whole number, 1 or more")
    if type(config.seed) is not int or not 0 <= config.seed < 2**32:
        raise ValueError(f"seed is {config.seed!r}; allowed: a whole number from 0 to {2**32 - 1}")
    sizes = tuple(2**k for k in range(4, 11))
    if config.size not in sizes:
        raise ValueError(f"size is {config.size!r}; allowed: {', '.join(map(str, sizes))}")


def _claim(folder: Path, config: LayoutConfig) -> None:
    stated = folder / CONFIG
    if stated.exists():
        try:
            held = LayoutConfig(**json.loads(stated.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ValueError(f"{stated} is damaged; choose an empty folder") from None
        if held != config:
            raise ValueError(
                f"{folder} holds portraits with {_stated(held)}, not {_stated(config)}; "
                "choose an empty folder"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds other files; choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(stated, json.dumps(asdict(config)).encode())


def _stated(config: LayoutConfig) -> str:
    return ", ".join(f"{key}={value}" for key, value in asdict(config).items())


def _write_masks(folder: Path, index: int, mask: Tensor) -> None:
    for label, part in enumerate(MASK_CLASSES):
        seen = mask == label  # (R, R)
        if label == 0 or not bool(seen.any()):
            continue
        stream = io.BytesIO()
        Image.fromarray((seen.to(torch.uint8) * 255).numpy()).save(stream, "PNG")
        write_atomic(mask_folder(folder, index) / f"{index:05d}_{part}.png", stream.getvalue())


def _write_tables(folder: Path, factors: Factors) -> None:
    count, values = len(factors), factors.attributes()  # (N, 35)
    columns = []
    for name, threshold in CELEBA_NAMES.values():
        column = values[:, DEFAULT_TABLE.index(name.lstrip("-"))]
        holds = column < threshold if name.startswith("-") else column >= threshold
        columns.append(torch.where(holds, 1, -1))
    signs = torch.stack(columns, 1).tolist()
    lines = [str(count), " ".join(CELEBA_NAMES)]
    lines += [f"{i}.jpg " + " ".join(map(str, row)) for i, row in enumerate(signs)]
    _write_text(folder / "CelebAMask-HQ-attribute-anno.txt", lines)

    angles = torch.stack(
        [
            DEFAULT_TABLE[name].to_unit(values[:, DEFAULT_TABLE.index(name)])
            for name in ("yaw", "pitch", "roll")
        ],
        dim=1,
    ).tolist()
    lines = [str(count), "Yaw Pitch Roll"]
    lines += [f"{i}.jpg " + " ".join(f"{a:.4f}" for a in row) for i, row in enumerate(angles)]
    _write_text(folder / "CelebAMask-HQ-pose-anno.txt", lines)

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["idx", *DEFAULT_TABLE.names, *(f"latent_{name}" for name in FACTORS)])
    rows = torch.cat([values, factors.latents], dim=1).tolist()
    writer.writerows([i, *(f"{value:.6f}" for value in row)] for i, row in enumerate(rows))
    write_atomic(folder / "factors.csv", stream.getvalue().encode())


def _write_text(path: Path, lines: list[str]) -> None:
    write_atomic(path, ("\n".join(lines) + "\n").encode())
