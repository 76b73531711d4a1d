"""Faces with masks for the recipes that learn from both: rendered, or CelebAMask-HQ on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.maskgan.celebamask_hq import LEAVE_GAPS, CelebAMaskHQ
from l2l_widgets.masks import mirror, resize_mask
from l2l_widgets.recipes.progress import say
from l2l_widgets.recipes.rendered import SETS, check_sets, rendered_set
from l2l_widgets.storage import StorageError
from l2l_widgets.training import Context, Settings, TrainingError

#: Held-out faces that the figures in the course of a run are of.
WATCHED = 64
HELD_OUT = 512  # faces at the end of the first set that are never trained on
#: Bytes of a folder's pictures and masks that are held in memory; those of a larger folder are
#: read when it is their turn (CelebAMask-HQ has 28 GB of them at 512 pixels).
IN_MEMORY = 4 << 30
#: Seconds after which reading a folder says how far it is, again and again.
SAY_EVERY = 20.0


@dataclass(frozen=True)
class MaskData:
    """Which faces are learned from.

    Parameters
    ----------
    data : str
        A folder in CelebAMask-HQ's layout, the real one or what ``l2l render`` wrote. Its official
        train split is learned from, its validation split held out, without the real one's pictures
        with known faults; ``+defects`` at the end keeps these. Pictures that cannot be learned
        from are refused before the training begins; ``+gaps`` at the end leaves them out. Empty:
        the rendered sets.
    sets : tuple of str
        Rendered sets to learn from, see ``recipes.rendered.SETS``.
    faces : int
        At most so many of each; 0 for all.
    resolution : int
        Side of pictures and masks in pixels; the sets that recipes learn from have 64.
    flip : bool
        Whether pictures are mirrored at random, and the sides of their masks with them. The
        authors' code does not.
    batch_size : int
        Faces a step; 1 in the authors' code.
    world : int
        Version of the renderer whose sets are learned from; of a folder's pictures it says nothing.
    """

    data: str = ""
    sets: tuple[str, ...] = ("population", "independent")
    faces: int = 0
    resolution: int = 64
    flip: bool = False
    batch_size: int = 8
    world: int = WORLD

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.faces < 0:
            raise ValueError(
                f"batch_size is {self.batch_size}, faces is {self.faces}; allowed: 1 or more, and "
                "0 (all) or more"
            )
        if self.resolution < 1:
            raise ValueError(f"resolution is {self.resolution}; allowed: 1 or more pixels")
        if not self.data:
            check_sets(self.sets)


def check_amounts(config: object, *names: str) -> None:
    """Refuse weights and rates that are negative or no numbers; a ``learning_rate`` of 0 as well.

    Raises
    ------
    ValueError
        It names the field: an optimizer would say so after the faces were rendered, or never.
    """
    for name in names:
        value = getattr(config, name)
        rate = name == "learning_rate"
        if not math.isfinite(value) or value < 0 or (rate and value == 0):
            allowed = "a number above 0" if rate else "0 or more"
            raise ValueError(f"{name} is {value}; allowed: {allowed}")


class OnDisk:
    """Rows that are read when they are asked for, and look like a tensor's then.

    Parameters
    ----------
    indices : sequence of int
        What each row's number is where it lies.
    read : callable
        A number to a tensor, all of one shape.
    """

    def __init__(self, indices: Sequence[int], read: Callable[[int], Tensor]) -> None:
        self._indices, self._read = indices, read

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Rows (B,) to what lies there (B, ...)."""
        out = torch.empty(0)
        for k, row in enumerate(rows.tolist()):
            one = self._read(self._indices[row])
            if k == 0:
                out = one.new_empty(len(rows), *one.shape)  # at once: stacking takes twice the room
            out[k] = one
        return out


class MaskFaces:
    """Pictures and masks, some of them held out; in memory, or on disk where they are many.

    Parameters
    ----------
    config : MaskData
        Which.

    Raises
    ------
    TrainingError
        Too few faces to hold any out, or another resolution than the rendered sets have.
    """

    def __init__(self, config: MaskData) -> None:
        self.config = config
        self.images, self.masks, self.held = (
            _from_folder(config) if config.data else _from_sets(config)
        )
        if len(self.images) - len(self.held) < 1 or not len(self.held):
            raise TrainingError(
                f"{len(self.images)} faces of which {len(self.held)} are held out; wanted: at "
                "least one of each"
            )
        kept = torch.ones(len(self.images), dtype=torch.bool)
        kept[self.held] = False
        self.rows = kept.nonzero()[:, 0]

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures (B, 3, R, R) in [-1, 1], their masks (B, R, R), and masks of strangers."""
        size = self.config.batch_size
        rows = self.rows[torch.randint(len(self.rows), (2, size), generator=generator)]
        images = self.images[rows[0]].float() / 127.5 - 1
        masks, references = self.masks[rows[0]], self.masks[rows[1]]
        if self.config.flip:
            turned = torch.rand(size, generator=generator) < 0.5
            images = torch.where(turned[:, None, None, None], images.flip(-1), images)
            masks = torch.where(turned[:, None, None], mirror(masks), masks)
        return {"image": images, "mask": masks, "reference": references}

    def held_out(self, count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The first held-out pictures, in [-1, 1], and their masks, ``size`` at a time."""
        for rows in self.held[:count].split(size):
            yield self.images[rows].float() / 127.5 - 1, self.masks[rows]


def set_side(name: str) -> int:
    """Side in pixels of one of the rendered sets."""
    return SETS[name].resolution


def _from_sets(config: MaskData) -> tuple[Tensor, Tensor, Tensor]:
    images, masks = [], []
    held = torch.empty(0, dtype=torch.long)
    sides = {set_side(name) for name in config.sets}
    if sides != {config.resolution}:  # before they are rendered
        raise TrainingError(
            f"resolution is {config.resolution}; the rendered sets have "
            f"{' and '.join(map(str, sorted(sides)))}: render a folder of another size with "
            "l2l render, and name it as data"
        )
    for i, name in enumerate(config.sets):
        faces = rendered_set(name)
        count = min(len(faces), config.faces or len(faces))
        images.append(faces.images[:count])
        masks.append(faces.masks[:count])
        if i == 0:
            held = torch.arange(count)[-min(HELD_OUT, count // 2) :] if count > 1 else held
    return torch.cat(images), torch.cat(masks), held


def _from_folder(config: MaskData) -> tuple[Tensor | OnDisk, Tensor | OnDisk, Tensor]:
    folder = CelebAMaskHQ(Path(config.data))
    train, held = folder.split("train"), folder.split("val")
    if not held:  # a rendered folder is all of one split
        keep = max(1, min(HELD_OUT, len(train) // 10))
        train, held = train[:-keep], train[-keep:]
    if config.faces:
        train, held = train[: config.faces], held[: config.faces]
    side, indices = config.resolution, [*train, *held]
    # known now, and not hours from now
    _leave_out(folder, _known_gaps(folder, indices), len(indices))

    def picture(index: int) -> Tensor:
        return ((folder.picture(index, side) + 1) * 127.5).round().to(torch.uint8)

    def mask(index: int) -> Tensor:
        return resize_mask(folder.mask(index), side)

    def read(index: int, what: Callable[[int], Tensor]) -> Tensor:
        try:
            return what(index)
        except StorageError as error:
            raise TrainingError(f"{error}; {_listed(folder)}") from None

    if len(indices) * 4 * side**2 > IN_MEMORY:
        images = OnDisk(indices, lambda index: read(index, picture))
        masks = OnDisk(indices, lambda index: read(index, mask))
        return images, masks, torch.arange(len(train), len(indices))

    pictures = torch.empty(len(indices), 3, side, side, dtype=torch.uint8)
    labels = torch.empty(len(indices), side, side, dtype=torch.uint8)
    whole: list[int] = []
    faults: dict[int, str] = {}
    for index in _told(indices, f"{folder.folder}: pictures read"):
        row = len(whole)
        try:
            pictures[row], labels[row] = picture(index), mask(index)
        except StorageError as error:
            faults[index] = str(error)
        else:
            whole.append(index)
    _leave_out(folder, faults, len(indices))
    learned = len(set(whole) & set(train))
    count = len(whole)
    return pictures[:count], labels[:count], torch.arange(learned, count)


def _told(rows: Sequence[int], what: str) -> Iterator[int]:
    """Go through rows, and say every now and then how many are done and how long the rest takes.

    A set of the size of CelebAMask-HQ is read for tens of minutes.
    """
    begun = last = time.monotonic()
    for done, row in enumerate(rows):
        now = time.monotonic()
        if done and now - last >= SAY_EVERY:
            last = now
            minutes = math.ceil((len(rows) - done) * (now - begun) / done / 60)
            say(f"{what}: {done} of {len(rows)}, about {minutes} min more")
        yield row


def _known_gaps(folder: CelebAMaskHQ, indices: Sequence[int]) -> dict[int, str]:
    """Pictures that would be learned from, or are left out already, and why they cannot be."""
    if not folder.leave_gaps:
        return folder.gaps(indices)
    return {i: why for i, why in folder.left_out.items() if why != folder.defects().get(i)}


def _leave_out(folder: CelebAMaskHQ, gaps: Mapping[int, str], beside: int) -> None:
    """Refuse pictures that cannot be learned from, or tell which are left out where that is asked.

    Raises
    ------
    TrainingError
        There are some, and the folder's name does not end in ``+gaps``.
    """
    if not gaps:
        return
    first = "; ".join([why for _, why in sorted(gaps.items())][:3])
    more = f"; and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    if folder.leave_gaps:
        say(f"{folder.folder}: pictures left out: {len(gaps)}: {first}{more}")
        return
    raise TrainingError(
        f"{len(gaps)} of {beside} pictures cannot be learned from: {first}{more}; "
        f"{_listed(folder)}, and {LEAVE_GAPS} at the end of its name leaves them out"
    )


def _listed(folder: CelebAMaskHQ) -> str:
    return f"l2l masks {folder.folder} --read lists every gap of the folder"


def linear_end(step: int, context: Context) -> float:
    """1 for the first half of a run, then a straight line to 0, as the authors' schedule."""
    half = context.steps / 2
    return min(1.0, max(0.0, (context.steps - step) / half))


def mask_settings(steps: int, seed: int, precision: str = "bf16") -> Settings:
    """The loop as the recipes that learn from masks share it."""
    return Settings(
        steps=steps, seed=seed, checkpoint_every=500, log_every=50, evaluate_every=500,
        precision=precision, threads=1,
    )  # fmt: skip
