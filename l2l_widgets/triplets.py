"""Training data of a latent editor: triplets (image, w, a) in shards on disk.

Latents are sampled, the generator draws them, a regressor labels them; no human label is used
(Khodadadeh et al., WACV 2022, section 3). The paper's set holds 400,000; here every shard is
written whole and atomically, a killed writer goes on where it stopped, and a reader maps the files
into memory, so the set may be larger than the memory is.

::

    triplets.json             what made the set: models, seed, truncation, attribute names, sizes
    shard-00000.safetensors   image (n, 3, R, R) uint8, w (n, w_dim) float32, a (n, A) float32

All rows of a sampled W+ are equal, so one is stored. A set without pictures (400,000 of 256 px
would be 79 GB) has them drawn again by whoever reads it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.latents import to_wplus
from l2l_widgets.storage import locked, remove_leftovers, save_safetensors, write_atomic

if TYPE_CHECKING:
    from l2l_widgets.protocols import Generator

DESCRIPTION = "triplets.json"


class TripletError(ValueError):
    """A set of triplets that cannot be written or read; the message names file and reason."""


def _shard_name(index: int) -> str:
    return f"shard-{index:05d}.safetensors"


def _shard_sizes(n: int, shard: int) -> list[int]:
    return [min(shard, n - start) for start in range(0, n, shard)]


def sample_latents(
    generator: Generator, count: int, seed: tuple[int, ...], psi: tuple[float, float]
) -> Tensor:
    """Draw latents of mixed truncation.

    Parameters
    ----------
    generator : Generator
        Its mapping network and ``w_avg`` are used.
    count : int
        How many.
    seed : tuple of int
        The same seed draws the same latents on every machine.
    psi : tuple of float
        Truncation is uniform in this range: edits are made on truncated faces, but a mapper that
        has seen only those does not know the rest of the cloud.

    Returns
    -------
    Tensor, shape (count, w_dim)
    """
    draws = np.random.default_rng(list(seed))
    z = torch.from_numpy(draws.standard_normal((count, generator.z_dim), dtype=np.float32))
    share = torch.from_numpy(draws.uniform(*psi, size=(count, 1)).astype(np.float32))
    w_avg = generator.w_avg
    w = generator.mapping(z.to(w_avg.device))[:, 0]  # (count, w_dim): all rows are equal
    return torch.lerp(w_avg[None].to(w), w, share.to(w))


@torch.inference_mode()
def write_triplets(
    directory: str | Path,
    generator: Generator,
    regressor: Callable[[Tensor], Tensor],
    n: int,
    seed: int,
    *,
    attributes: Sequence[str] = (),
    shard: int = 4096,
    psi: tuple[float, float] = (0.7, 1.0),
    batch: int = 64,
    pictures: bool = True,
    origin: Mapping[str, str] | None = None,
    named_after_origin: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Sample and label triplets; whole shards that are there already are kept.

    Two processes that write the same set do so one after the other.

    Parameters
    ----------
    directory : path
        A new folder, or one that this function began with the same arguments.
    generator : Generator
        G.
    regressor : callable
        Images (B, 3, R, R) in [-1, 1] to readings (B, A) in [0, 1].
    n : int
        Triplets in all; a folder that holds more of the same set already keeps them.
    seed : int
        At least 0.
    attributes : sequence of str
        Names of the columns, kept in the description.
    shard : int
        Triplets a file.
    psi : tuple of float
        Range of the truncation.
    batch : int
        Faces drawn at a time.
    pictures : bool
        Whether they are kept, or only latents and readings.
    origin : mapping of str to str, optional
        Part -> hash of generator and regressors, kept in the description: a folder that other
        models made, or that does not say which, is refused.
    named_after_origin : bool
        Whether the folder's name is a hash of the origin: then a set that does not say which
        models made it is one of an earlier version, and theirs.
    progress : callable, optional
        Gets (triplets done, n) after each shard.

    Raises
    ------
    TripletError
        Sizes out of range, or a folder that holds another set.
    """
    whole = {"n": (n, 1), "seed": (seed, 0), "shard": (shard, 1), "batch": (batch, 1)}
    for name, (value, least) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise TripletError(f"{name} is {value!r}; allowed: an integer of at least {least}")
    if not 0 <= psi[0] <= psi[1] <= 2:
        raise TripletError(f"psi is {psi!r}; allowed: two rising numbers from 0 to 2")
    folder = Path(directory)
    description = {
        "format": "l2l-triplets/1",
        "n": n,
        "seed": seed,
        "shard": shard,
        "psi": list(psi),
        "attributes": list(attributes),
        "img_resolution": generator.img_resolution,
        "num_ws": generator.num_ws,
        "w_dim": generator.w_dim,
    }
    if not pictures:
        description["pictures"] = False
    if origin:
        description["origin"] = dict(origin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TripletError(f"{folder}: cannot be created ({error})") from error
    with locked(folder / "lock", wait=True):
        remove_leftovers(folder)
        whole_set = _claim(folder, description, named_after_origin)
        for index, size in enumerate(_shard_sizes(whole_set, shard)):
            if index * shard >= n:
                break
            path = folder / _shard_name(index)
            if not (path.is_file() and _shard_length(path) == size):
                w = sample_latents(generator, size, (seed, index), psi)
                _write_shard(path, generator, regressor, w, batch, pictures)
            if progress is not None:
                progress(min((index + 1) * shard, n), n)
    return folder


def _write_shard(
    path: Path,
    generator: Generator,
    regressor: Callable[[Tensor], Tensor],
    w: Tensor,
    batch: int,
    pictures: bool,
) -> None:
    images, labels = [], []
    for part in w.split(batch):
        image = generator.synthesis(to_wplus(part, generator.num_ws), noise_mode="const")
        labels.append(regressor(image).float().cpu())
        if pictures:
            images.append(_to_bytes(image).cpu())
    tensors = {"w": w.float().cpu().contiguous(), "a": torch.cat(labels)}
    if pictures:
        tensors["image"] = torch.cat(images)
    save_safetensors(path, tensors, {"format": "l2l-triplets/1"})


def _to_bytes(image: Tensor) -> Tensor:
    return (image.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def _claim(folder: Path, description: dict[str, Any], named_after_origin: bool) -> int:
    """Write the description, or refuse a folder of another set; return how many it shall hold."""
    path = folder / DESCRIPTION
    if path.exists():
        found = _read_description(folder)
        kept = (found.get("pictures", True), description.get("pictures", True))
        if kept[0] != kept[1]:
            words = [("without", "with")[there] for there in kept]
            raise TripletError(
                f"{folder} holds triplets {words[0]} pictures; asked for {words[1]}: name another "
                "folder"
            )
        description["n"] = max(description["n"], int(found["n"]))
        if named_after_origin:
            found.setdefault("origin", description.get("origin"))
        _refuse_other_models(folder, found.get("origin"), description.get("origin"))
        if found.get("origin"):
            description["origin"] = found["origin"]  # a caller that names no models changes nothing
        for key, value in description.items():
            # a set may grow: shards do not depend on how many follow
            if key != "n" and found.get(key) != value:
                raise TripletError(
                    f"{folder} holds triplets with {key} {found.get(key)!r}; asked for {value!r}: "
                    "name another folder"
                )
    write_atomic(path, (json.dumps(description, indent=1) + "\n").encode())
    return int(description["n"])


def _refuse_other_models(folder: Path, held: Any, asked: Mapping[str, str] | None) -> None:
    if not asked:
        return
    if not isinstance(held, dict):
        raise TripletError(
            f"{folder} holds triplets that do not say which models made them; asked for those of "
            f"{', '.join(f'{part} {code[:12]}' for part, code in asked.items())}: name another "
            "folder"
        )
    for part in sorted({*held, *asked}):
        if held.get(part) != asked.get(part):
            had, wanted = (str(of.get(part, "none"))[:12] for of in (held, asked))
            raise TripletError(
                f"{folder} holds triplets made by {part} {had}; asked for {wanted}: name another "
                "folder"
            )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] != "l2l-triplets/1":
            raise ValueError(f"format is {description['format']!r}")
        int(description["n"]), int(description["shard"]), int(description["num_ws"])
    except FileNotFoundError:
        raise TripletError(f"{folder}: holds no triplets ({DESCRIPTION} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TripletError(f"{path}: cannot be read ({error})") from error
    return description


def _shard_length(path: Path) -> int | None:
    """Return how many triplets a shard holds; None where the file is damaged."""
    try:
        return len(_map_shard(path)["a"])
    except TripletError:
        return None


def _map_shard(path: Path) -> dict[str, np.ndarray]:
    """Map a shard into memory without reading it: safetensors is a JSON header and flat arrays."""
    types = {"U8": np.uint8, "F32": np.float32}
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        arrays: dict[str, np.ndarray] = {}
        for key in ("image", "w", "a") if "image" in header else ("w", "a"):
            entry = header[key]
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            kind, shape = types[entry["dtype"]], tuple(entry["shape"])
            if end > size or end - start != np.dtype(kind).itemsize * int(np.prod(shape)):
                raise ValueError(f"tensor {key!r} does not fit the file; it is truncated")
            arrays[key] = np.memmap(path, kind, "r", start, shape)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise TripletError(f"{path}: not a whole shard of triplets ({error})") from error
    return arrays


class TripletReader:
    """Random access to a set of triplets, mapped from disk.

    Parameters
    ----------
    directory : path
        What :func:`write_triplets` wrote.
    count : int, optional
        Only the first ones; all of them if not given.
    draw : callable, optional
        Latents (B, num_ws, w_dim) to pictures (B, 3, R, R) in [-1, 1], for a set without pictures.

    Raises
    ------
    TripletError
        The folder holds no set, or a shard is missing or damaged; the message names the file.
    """

    def __init__(
        self,
        directory: str | Path,
        count: int | None = None,
        draw: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.description = _read_description(self.directory)
        self.num_ws = int(self.description["num_ws"])
        self.attributes = tuple(self.description["attributes"])
        self._shard = int(self.description["shard"])
        held = int(self.description["n"])
        self._count = held if count is None else count
        if not 1 <= self._count <= held:
            raise TripletError(f"count is {count!r}; allowed: 1 to {held}, as {directory} holds")
        self.draw, self._maps = draw, []
        for index, size in enumerate(_shard_sizes(held, self._shard)):
            if index * self._shard >= self._count:
                break
            path = self.directory / _shard_name(index)
            arrays = _map_shard(path)
            if len(arrays["a"]) != size:
                raise TripletError(f"{path}: holds {len(arrays['a'])} triplets; expected {size}")
            self._maps.append(arrays)

    def __len__(self) -> int:
        return self._count

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return chosen triplets.

        Parameters
        ----------
        indices : Tensor, shape (B,)
            Integers in [0, n).

        Returns
        -------
        dict
            ``image`` (B, 3, R, R) float32 in [-1, 1], ``w`` (B, num_ws, w_dim), ``a`` (B, A).
        """
        where = [divmod(int(i), self._shard) for i in indices]
        if any(not 0 <= int(i) < self._count for i in indices):
            raise TripletError(f"indices leave [0, {self._count})")
        w = torch.from_numpy(np.stack([self._maps[s]["w"][r] for s, r in where]))
        a = torch.from_numpy(np.stack([self._maps[s]["a"][r] for s, r in where]))
        ws = to_wplus(w, self.num_ws)
        if self.description.get("pictures", True):
            image = torch.from_numpy(np.stack([self._maps[s]["image"][r] for s, r in where]))
        elif self.draw is not None:
            with torch.no_grad():
                image = _to_bytes(self.draw(ws)).cpu()
        else:
            raise TripletError(f"{self.directory} holds no pictures; allowed: a reader with draw")
        return {"image": image.float().sub_(128).div_(127.5), "w": ws, "a": a}

    def latents(self) -> tuple[Tensor, Tensor]:
        """Return all (N, w_dim) latents and (N, A) readings, without touching the images."""
        w = torch.from_numpy(np.concatenate([m["w"] for m in self._maps]))
        a = torch.from_numpy(np.concatenate([m["a"] for m in self._maps]))
        return w[: self._count], a[: self._count]
