"""Rendered portraits in the folder layout of CelebAMask-HQ, so that tools made for it read them.

::

    CelebA-HQ-img/{i}.jpg
    CelebAMask-HQ-mask-anno/{i // 2000}/{i:05d}_{part}.png   one per part that is seen
    CelebAMask-HQ-attribute-anno.txt                         CelebA's names, 1 or -1
    CelebAMask-HQ-pose-anno.txt                              yaw, pitch, roll in degrees
    CelebA-HQ-to-CelebA-mapping.txt                          number, number, file: the same three
    factors.csv                                              seed, attributes, natural, latents
    landmarks.csv                                            68 points in pixels of the picture

Masks are what the official ones are, 512 x 512 RGB, black and white, whatever the pictures' size:
the official tools count on it. They hold what is seen; unlike the hand-made ones they do not guess
at what lies behind the hair. The attribute file has the columns of CelebA's forty that faceworld
knows and no others.

Every file is whole or absent, and a picture comes after its masks: where it is, everything of that
portrait is. A run that was stopped, by a kill or a power cut, goes on when it is called again.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import math
import os
import secrets
import shutil
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.batches import render_batches
from l2l_widgets.faceworld.factors import FACTORS, Factors, sample_factors
from l2l_widgets.faceworld.labels import MASK_CLASSES, landmarks
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.images import encode_jpeg, from_uint8
from l2l_widgets.storage import InUseError, StorageError, locked, write_atomic

MASKS_PER_FOLDER = 2000
MASK_SIDE = 512
CONFIG = "render.json"
LOCK = ".lock"
SIZES = tuple(2**k for k in range(4, 11))
#: Left free on the disk, for the tables and for whoever else writes there.
RESERVE = 64 * 2**20
#: Bytes of a portrait's rows in the tables, and of one mask.
ROW, MASK = 3600, 3000

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
        Side of the pictures in pixels: a power of two from 16 to 1024.
    correlated : bool
        The planted population, or every factor on its own.
    world : int
        Version of the renderer: a folder is of one world.
    """

    seed: int = 0
    size: int = 128
    correlated: bool = True
    world: int = WORLD


def portraits(config: LayoutConfig, count: int) -> Factors:
    """The first ``count`` portraits of a folder."""
    return sample_factors(count, config.seed, config.correlated)


def check(config: LayoutConfig, count: int) -> None:
    """Raise ValueError for a number, seed or size that cannot be."""
    if type(count) is not int or count < 1:
        raise ValueError(f"N is {count!r}; allowed: a whole number, 1 or more")
    if type(config.seed) is not int or not 0 <= config.seed < 2**32:
        raise ValueError(f"seed is {config.seed!r}; allowed: a whole number from 0 to {2**32 - 1}")
    if config.size not in SIZES:
        raise ValueError(
            f"size is {config.size!r}; allowed: a power of two from {SIZES[0]} to {SIZES[-1]}"
        )


def image_path(folder: Path, index: int) -> Path:
    """Where picture ``index`` lies."""
    return folder / "CelebA-HQ-img" / f"{index}.jpg"


def mask_folder(folder: Path, index: int) -> Path:
    """Where the masks of picture ``index`` lie."""
    return folder / "CelebAMask-HQ-mask-anno" / str(index // MASKS_PER_FOLDER)


@contextlib.contextmanager
def claim(folder: Path, config: LayoutConfig) -> Iterator[None]:
    """Make ``folder`` this set's own, and this process's while the block runs.

    Raises
    ------
    ValueError
        It holds something else, another process is at work in it, or it cannot be written.
    """
    stated = folder / CONFIG
    with contextlib.ExitStack() as held:
        try:
            # Nothing is written into a folder of another kind, not even the lock.
            if not (folder / LOCK).exists():
                _check_ours(folder, config)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(locked(folder / LOCK))
            except InUseError:
                raise ValueError(
                    f"{folder} is being written by another run; wait for its end"
                ) from None
            # Another run may have begun in it, or changed it, before the lock was ours.
            _check_ours(folder, config)
            if not stated.exists():
                write_atomic(stated, json.dumps(asdict(config)).encode())
        except OSError as error:
            raise StorageError(f"cannot write into {folder}: {error.strerror or error}") from error
        yield


def _check_ours(folder: Path, config: LayoutConfig) -> None:
    """Raise ValueError where a folder holds anything but this set, or nothing yet."""
    stated = folder / CONFIG
    if stated.exists():
        _check_same(stated, config)
    elif folder.exists():
        # A run that was killed at its very beginning leaves its lock, or half of its first file.
        own = (LOCK, f".{CONFIG}.")
        if not folder.is_dir() or any(not e.name.startswith(own) for e in folder.iterdir()):
            raise ValueError(f"{folder} holds other files; choose an empty folder")


def _check_same(stated: Path, config: LayoutConfig) -> None:
    try:
        held = LayoutConfig(**{"world": 1, **json.loads(stated.read_text(encoding="utf-8"))})
    except (ValueError, TypeError):
        raise ValueError(f"{stated} is damaged; choose an empty folder") from None
    if held != config:
        raise ValueError(
            f"{stated.parent} holds portraits with {_stated(held)}, not {_stated(config)}; "
            "choose an empty folder"
        )


def _stated(config: LayoutConfig) -> str:
    return ", ".join(f"{key}={value}" for key, value in asdict(config).items())


def survey(folder: Path, count: int) -> tuple[int, list[int]]:
    """Clear away what a killed run left, and see which portraits are missing.

    Returns
    -------
    count : int
        ``count``, or more where the folder holds more: its tables must go on naming all of it.
    missing : list of int
        Portraits among the first ``count`` that are not whole.
    """
    try:
        names = [name.removesuffix(".jpg") for name in os.listdir(folder / "CelebA-HQ-img")]
    except FileNotFoundError:
        names = []
    # several processes leave gaps when they are killed: the last portrait decides, not the first
    count = max([count, *(int(n) + 1 for n in names if n.isdecimal())])
    try:
        (folder / "CelebA-HQ-img").mkdir(exist_ok=True)
        for index in range(0, count, MASKS_PER_FOLDER):
            mask_folder(folder, index).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write into {folder}: {error.strerror or error}") from error
    broken = set()
    for masks in (folder / "CelebAMask-HQ-mask-anno").iterdir():
        if not masks.is_dir():  # a file manager's own
            continue
        for entry in os.scandir(masks):
            if entry.name.endswith(".tmp"):
                os.unlink(entry.path)
            elif entry.stat().st_size == 0:  # written just before a power cut
                broken.add(entry.name.split("_")[0])
    there = set()
    for entry in os.scandir(folder / "CelebA-HQ-img"):
        if entry.name.endswith(".tmp"):
            os.unlink(entry.path)
        elif entry.is_file() and entry.name.endswith(".jpg") and _ends_whole(entry.path):
            there.add(entry.name)
    return count, [i for i in range(count) if f"{i}.jpg" not in there or f"{i:05d}" in broken]


def _ends_whole(path: str) -> bool:
    with open(path, "rb") as stream:
        if stream.seek(0, os.SEEK_END) < 2:
            return False
        stream.seek(-2, os.SEEK_END)
        return stream.read() == b"\xff\xd9"  # JPEG's end mark


def check_room(folder: Path, config: LayoutConfig, missing: int, count: int) -> None:
    """Raise StorageError where the disk has no room for what is still to be written."""
    block, files_free = 4096, None
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if hasattr(os, "statvfs"):
        disk = os.statvfs(place)
        block = disk.f_frsize or block
        files_free = disk.f_favail if disk.f_files else None
    picture = math.ceil((0.45 * config.size**2 + 1500) / block) * block
    masks = (len(MASK_CLASSES) - 3) * math.ceil(MASK / block) * block
    needed = missing * (picture + masks) + 2 * count * ROW + RESERVE
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageError(
            f"{missing} portraits of {config.size} pixels need {needed / 1e6:,.0f} MB, the disk of "
            f"{folder} has {free / 1e6:,.0f} MB free; make room or ask for fewer"
        )
    files = missing * (len(MASK_CLASSES) - 2)
    if files_free is not None and files > files_free:
        raise StorageError(
            f"{missing} portraits need {files:,} files, the disk of {folder} can hold "
            f"{files_free:,} more; make room or ask for fewer"
        )


def write_portraits(
    folder: Path, config: LayoutConfig, rows: list[int], device: str = "cpu", compiled: bool = False
) -> Iterator[int]:
    """Draw and write portraits; after each batch, yield how many more are on the disk."""
    if not rows:
        return
    factors = portraits(config, max(rows) + 1)[torch.tensor(rows)]
    pending: set[Future[None]] = set()
    start = 0
    # Packing the masks takes about a third of the drawing's time and lets other threads run.
    with ThreadPoolExecutor(2) as pool:
        try:
            for images, masks, _ in render_batches(factors, config.size, device, compiled):
                for image, mask in zip(images, masks, strict=True):
                    job = pool.submit(_write_portrait, folder, rows[start], image, mask)
                    pending.add(job)
                    start += 1
                done, pending = wait(pending, timeout=0)
                while len(pending) > 4 * len(images) + 16:
                    more, pending = wait(pending, return_when=FIRST_COMPLETED)
                    done |= more
                yield _succeeded(done)
            yield _succeeded(wait(pending).done)
        finally:
            pool.shutdown(cancel_futures=True)


def _succeeded(jobs: set[Future[None]]) -> int:
    for job in jobs:
        job.result()
    return len(jobs)


def _write_portrait(folder: Path, index: int, image: Tensor, mask: Tensor) -> None:
    labels = mask.numpy()
    labels = labels[:: max(1, len(labels) // MASK_SIDE), :: max(1, len(labels) // MASK_SIDE)]
    seen_labels = set(np.unique(labels).tolist()) - {0}
    for label in seen_labels:
        name = f"{index:05d}_{MASK_CLASSES[label]}.png"
        _write_whole(mask_folder(folder, index) / name, mask_png(labels == label))
    _write_whole(image_path(folder, index), encode_jpeg(from_uint8(image), quality=95))


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, but do not wait for the disk.

    Half a million waits would take longer than the drawing. After a power cut the last files may be
    empty; :func:`survey` sees that.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StorageError(
            f"cannot write {str(path)!r}: {error.strerror or error}; what is there is whole, and "
            "the same command goes on from it"
        ) from error


#: A row of a mask that is like the one above it (PNG's filter "up" gives differences), many times.
_SAME_ROW = b"\x02" + bytes(3 * MASK_SIDE)
_SAME_ROWS = memoryview(_SAME_ROW * MASK_SIDE)


def mask_png(seen: np.ndarray) -> bytes:
    """A 512 x 512 RGB picture, white where ``seen``, whose side is a power of two up to 512.

    Nearly every row is like the one above it, and runs of such rows are packed once and for all,
    in place of 0.8 MB a mask, of which a portrait may have 15.
    """
    scale = MASK_SIDE // len(seen)
    white = np.repeat(seen.astype(np.uint8) * np.uint8(255), 3 * scale, axis=1)
    change = white - np.concatenate([np.zeros_like(white[:1]), white[:-1]])
    packer = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_RLE)
    body, checksum, at = [b"\x78\x01"], 1, 0
    for row in [*np.flatnonzero(change.any(1)).tolist(), None]:
        same = (MASK_SIDE if row is None else row * scale) - at
        body.append(_pack_same(same))
        checksum = zlib.adler32(_SAME_ROWS[: same * len(_SAME_ROW)], checksum)
        if row is not None:
            line = b"\x02" + change[row].tobytes()
            # a full flush: what follows does not look back over the ready-made runs
            body.append(packer.compress(line) + packer.flush(zlib.Z_FULL_FLUSH))
            checksum = zlib.adler32(line, checksum)
            at = row * scale + 1
    body += [packer.flush(), struct.pack(">I", checksum)]
    head = struct.pack(">IIBBBBB", MASK_SIDE, MASK_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", b"".join(body)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@functools.lru_cache(maxsize=MASK_SIDE + 1)
def _pack_same(rows: int) -> bytes:
    if rows == 0:
        return b""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(_SAME_ROWS[: rows * len(_SAME_ROW)]) + packer.flush(zlib.Z_FULL_FLUSH)


def write_tables(folder: Path, config: LayoutConfig, count: int) -> None:
    """Write the five tables of the first ``count`` portraits."""
    factors = portraits(config, count)
    values = factors.attributes()  # (N, 35)
    columns = []
    for name, threshold in CELEBA_NAMES.values():
        column = values[:, DEFAULT_TABLE.index(name.lstrip("-"))]
        holds = column < threshold if name.startswith("-") else column >= threshold
        columns.append(torch.where(holds, 1, -1))
    signs = torch.stack(columns, 1).tolist()
    lines = [str(count), " ".join(CELEBA_NAMES)]
    lines += [f"{i}.jpg " + " ".join(map(str, row)) for i, row in enumerate(signs)]
    _write_text(folder / "CelebAMask-HQ-attribute-anno.txt", lines)

    natural = factors.natural()
    angles = torch.stack([torch.rad2deg(natural[n]) for n in ("yaw", "pitch", "roll")], 1).tolist()
    lines = [str(count), "Yaw Pitch Roll"]
    lines += [f"{i}.jpg " + " ".join(f"{a:.4f}" for a in row) for i, row in enumerate(angles)]
    _write_text(folder / "CelebAMask-HQ-pose-anno.txt", lines)

    lines = ["idx orig_idx orig_file", *(f"{i} {i} {i:06d}.jpg" for i in range(count))]
    _write_text(folder / "CelebA-HQ-to-CelebA-mapping.txt", lines)

    head = ["idx", "image", "seed", "population", "landmarks"]
    head += [*DEFAULT_TABLE.names, *(f"natural_{name}" for name in natural)]
    head += [f"latent_{name}" for name in FACTORS]
    population = "correlated" if config.correlated else "independent"
    numbers = torch.cat([values, torch.stack([*natural.values()], 1), factors.latents], 1).tolist()
    first = ([i, f"{i}.jpg", config.seed, population, "landmarks.csv"] for i in range(count))
    rows = ([*f, *(f"{v:.6f}" for v in row)] for f, row in zip(first, numbers, strict=True))
    _write_csv(folder / "factors.csv", head, rows)

    parts = [landmarks(factors[k : k + 1024].natural(), config.size) for k in range(0, count, 1024)]
    points = torch.cat(parts).flatten(1).tolist()  # (N, 136)
    head = ["idx", *(f"{axis}{k}" for k in range(68) for axis in "xy")]
    _write_csv(
        folder / "landmarks.csv",
        head,
        ([i, *(f"{v:.3f}" for v in row)] for i, row in enumerate(points)),
    )


def _write_csv(path: Path, head: list[str], rows: Iterator[list[object]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_atomic(path, stream.getvalue().encode())


def _write_text(path: Path, lines: list[str]) -> None:
    write_atomic(path, ("\n".join(lines) + "\n").encode())
