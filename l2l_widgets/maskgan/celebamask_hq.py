"""Reads CelebAMask-HQ (Lee et al., CVPR 2020), and what ``l2l render`` writes in its layout.

::

    CelebA-HQ-img/{i}.jpg
    CelebAMask-HQ-mask-anno/{i // 2000}/{i:05d}_{part}.png   one per part that is seen
    CelebAMask-HQ-attribute-anno.txt, CelebAMask-HQ-pose-anno.txt
    CelebA-HQ-to-CelebA-mapping.txt                          number, number in CelebA, file there

The archive and the authors' scripts disagree about the masks' folder; both names are read. A part
is on where the first channel of its picture is not zero, as in the official code, and parts are
merged in the official order, later ones over earlier ones. Nothing is written. Pictures of the real
set with known faults are in no split; ``+defects`` at the end of the folder's name keeps them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from l2l_widgets.images import load_image
from l2l_widgets.masks import MASK_CLASSES, check_claim
from l2l_widgets.storage import StorageError

PICTURES = "CelebA-HQ-img"
MASK_FOLDERS = ("CelebAMask-HQ-mask-anno", "CelebAMaskHQ-mask-anno")
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"
POSE = "CelebAMask-HQ-pose-anno.txt"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
PER_FOLDER = 2000
#: First number in CelebA of the validation and of the test split.
FIRST_VALIDATION, FIRST_TEST = 162_771, 182_638
SPLITS = ("train", "val", "test")
#: Left there by ``l2l render``: such a folder has none of the real one's known faults.
RENDERED = "render.json"

_TWINS = (
    (234, 235), (3329, 3330), (5162, 5163), (6770, 6771), (7384, 7385), (7561, 7562),
    (12444, 12445), (12885, 12886), (13825, 13826), (15506, 15507),
    (19199, 19200), (20134, 20135), (24646, 24647),
)  # fmt: skip
#: Picture -> what its users have found wrong with it. Wrong gender flags, and some bad masks, were
#: reported as well, without a list that could be given here.
KNOWN_DEFECTS: Mapping[int, str] = {
    404: "mouth and lips are not labelled",
    573: "the skin of the neck is not labelled",
    2110: "the picture is not aligned",
    9852: "the neck is labelled wrongly",
    **{b: f"the same picture as {a}" for a, b in _TWINS},
}
#: At the end of a folder's name: its pictures with known faults are learned from all the same.
KEEP_DEFECTS = "+defects"


class DatasetError(StorageError):
    """A folder in CelebAMask-HQ's layout that lacks something; the message names the file."""


@dataclass
class DatasetReport:
    """What is in a folder, and what is wrong with it.

    Attributes
    ----------
    pictures : int
        Pictures that are there.
    splits : dict of str to int
        Pictures of each official split; empty without the mapping file.
    parts : dict of str to int
        Class -> how many pictures show it.
    gaps : dict of str to list of int
        Kind of fault -> pictures that have it.
    defects : dict of int to str
        Pictures of the real data set with known faults that are in this folder.
    left_out : list of int
        Those of them that are neither learned from nor measured.
    missing_files : list of str
        Tables that are not there.
    strangers : list of str
        Files among the masks that are no part, at most ten.
    """

    pictures: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, list[int]] = field(default_factory=dict)
    defects: dict[int, str] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)
    missing_files: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing (known defects are no gap)."""
        return not (self.gaps or self.missing_files or self.strangers)

    def to_text(self) -> str:
        """Lines for a person."""
        lines = [f"{self.pictures} picture{'s' * (self.pictures != 1)}"]
        if self.splits:
            lines.append(", ".join(f"{k} {v}" for k, v in self.splits.items()))
        lines += [f"missing: {name}" for name in self.missing_files]
        for kind, rows in self.gaps.items():
            shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
            lines.append(f"{kind}: {len(rows)} ({shown})")
        lines += [f"not a part: {name}" for name in self.strangers]
        lines += [f"known defect: {i}: {why}" for i, why in sorted(self.defects.items())]
        if self.defects:
            left = len(self.left_out)
            kept = f"; {KEEP_DEFECTS} at the end of the folder's name keeps them" if left else ""
            lines.append(f"left out of training and scores for it: {left} of {self.pictures}{kept}")
        return "\n".join(lines)


class CelebAMaskHQ:
    """A folder in the data set's layout.

    Parameters
    ----------
    folder : path
        The one that holds ``CelebA-HQ-img``; :data:`KEEP_DEFECTS` may follow.
    keep_defects : bool
        Whether pictures of :data:`KNOWN_DEFECTS` are in the splits all the same.

    Attributes
    ----------
    indices : list of int
        Numbers of the pictures that are there.
    left_out : dict of int to str
        Those of them that are in no split, and why. A folder of ``l2l render`` has none.

    Raises
    ------
    DatasetError
        Pictures or masks are missing altogether.
    """

    def __init__(self, folder: str | os.PathLike[str], keep_defects: bool = False) -> None:
        self.folder = Path(folder)
        if self.folder.name.endswith(KEEP_DEFECTS) and not self.folder.is_dir():
            self.folder = self.folder.with_name(self.folder.name.removesuffix(KEEP_DEFECTS))
            keep_defects = True
        if not (self.folder / PICTURES).is_dir():
            raise DatasetError(
                f"{self.folder} has no folder {PICTURES}; wanted: the folder of CelebAMask-HQ, or "
                "one that l2l render filled"
            )
        found = [self.folder / name for name in MASK_FOLDERS if (self.folder / name).is_dir()]
        if not found:
            raise DatasetError(f"{self.folder} has no folder {' or '.join(MASK_FOLDERS)}")
        self.mask_folder = found[0]
        names = os.listdir(self.folder / PICTURES)
        stems = (n.removesuffix(".jpg") for n in names if n.endswith(".jpg"))
        self.indices = sorted(int(s) for s in stems if s.isdecimal())
        if not self.indices:
            raise DatasetError(f"{self.folder / PICTURES} holds no picture 0.jpg, 1.jpg, ...")
        self.rendered = (self.folder / RENDERED).is_file()
        self.left_out = {} if keep_defects else self.defects()

    def defects(self) -> dict[int, str]:
        """Pictures of this folder with known faults, and which."""
        if self.rendered:
            return {}
        return {i: KNOWN_DEFECTS[i] for i in self.indices if i in KNOWN_DEFECTS}

    def usable(self) -> list[int]:
        """Numbers of the pictures that are learned from and measured."""
        return [i for i in self.indices if i not in self.left_out]

    def __len__(self) -> int:
        return len(self.indices)

    # -- one picture -------------------------------------------------------------------------------

    def picture(self, index: int, resolution: int) -> Tensor:
        """Picture ``index``, (3, R, R) in [-1, 1]."""
        path = self.folder / PICTURES / f"{index}.jpg"
        try:
            return load_image(path, resolution)[0]
        except ValueError as error:
            raise DatasetError(f"picture {index}: {error}") from None

    def part_path(self, index: int, part: str) -> Path:
        """Where a part's file lies, whether it is there or not."""
        return self.mask_folder / str(index // PER_FOLDER) / f"{index:05d}_{part}.png"

    def parts(self, index: int) -> list[str]:
        """Names of the parts that a picture has files of, in the official order."""
        return [n for n in MASK_CLASSES[1:] if self.part_path(index, n).is_file()]

    def mask(self, index: int) -> Tensor:
        """The merged mask of a picture, uint8 of the part files' size (512 in the data set).

        Raises
        ------
        DatasetError
            It has no part at all, one cannot be read, or they differ in size.
        """
        parts = self.parts(index)
        if not parts:
            raise DatasetError(
                f"picture {index}: no part of it is in "
                f"{self.mask_folder / str(index // PER_FOLDER)}"
            )
        merged: np.ndarray | None = None
        for name in parts:
            on = _read_part(self.part_path(index, name))
            if merged is None:
                merged = np.zeros(on.shape, np.uint8)
            elif merged.shape != on.shape:
                raise DatasetError(
                    f"picture {index}: part {name} is {on.shape[1]} x {on.shape[0]} pixels, "
                    f"{parts[0]} {merged.shape[1]} x {merged.shape[0]}; allowed: one size"
                )
            merged[on] = MASK_CLASSES.index(name)
        return torch.from_numpy(merged)

    # -- tables ------------------------------------------------------------------------------------

    def mapping(self) -> dict[int, int]:
        """Picture -> its number in CelebA. A header line may stand above or not."""
        rows = self._lines(MAPPING)
        found: dict[int, int] = {}
        for number, line in enumerate(rows, start=1):
            words = line.split()
            if number == 1 and words and not words[0].isdecimal():
                continue
            if len(words) < 2 or not words[0].isdecimal() or not words[1].isdecimal():
                raise DatasetError(
                    f"{self.folder / MAPPING}, line {number}: {line[:60]!r}; wanted: a picture's "
                    "number, its number in CelebA, its file there"
                )
            found[int(words[0])] = int(words[1])
        return found

    def attributes(self) -> tuple[tuple[str, ...], dict[int, tuple[bool, ...]]]:
        """CelebA's attribute names, and picture -> whether it has each."""
        names, rows = self._table(ATTRIBUTES)
        return names, {i: tuple(float(v) > 0 for v in row) for i, row in rows.items()}

    def pose(self) -> dict[int, tuple[float, ...]]:
        """Picture -> yaw, pitch and roll in degrees."""
        return {i: tuple(float(v) for v in row) for i, row in self._table(POSE)[1].items()}

    def split(self, name: str) -> list[int]:
        """Pictures of an official split, by their number in CelebA; without those left out.

        Raises
        ------
        DatasetError
            No such split, no mapping file, or a picture that it does not name.
        """
        if name not in SPLITS:
            raise DatasetError(f"split is {name!r}; allowed: {', '.join(SPLITS)}")
        mapping = self.mapping()
        unnamed = [i for i in self.indices if i not in mapping]
        if unnamed:
            raise DatasetError(f"{self.folder / MAPPING} does not name picture {unnamed[0]}")
        return [i for i in self.usable() if split_of(mapping[i]) == name]

    # -- the whole ---------------------------------------------------------------------------------

    def report(self, read: bool = False) -> DatasetReport:
        """Look through the folder.

        Parameters
        ----------
        read : bool
            Whether to open every part file as well, which takes minutes for the real data set.
        """
        out = DatasetReport(pictures=len(self.indices))
        out.missing_files = [
            name for name in (MAPPING, ATTRIBUTES, POSE) if not (self.folder / name).is_file()
        ]
        shown, strangers, orphans = self._walk()
        out.strangers = strangers[:10]
        out.parts = {n: sum(n in p for p in shown.values()) for n in MASK_CLASSES[1:]}
        unreadable = [i for i in self.indices if read and not self._readable(i)]
        gaps = {
            "pictures without any mask": [i for i in self.indices if not shown.get(i)],
            "pictures without skin": [
                i for i in self.indices if shown.get(i) and "skin" not in shown[i]
            ],
            "masks without a picture": orphans,
            "numbers left out": sorted(set(range(self.indices[-1] + 1)) - set(self.indices)),
            "unreadable": unreadable,
        }
        if MAPPING not in out.missing_files:
            mapping = self.mapping()
            out.splits = {
                name: sum(split_of(mapping[i]) == name for i in self.indices if i in mapping)
                for name in SPLITS
            }
            gaps["not in the mapping"] = [i for i in self.indices if i not in mapping]
        for name, kind in ((ATTRIBUTES, "attributes"), (POSE, "pose")):
            if name not in out.missing_files:
                rows = self._table(name)[1]
                gaps[f"without {kind}"] = [i for i in self.indices if i not in rows]
        out.gaps = {kind: rows for kind, rows in gaps.items() if rows}
        out.defects, out.left_out = self.defects(), sorted(self.left_out)
        return out

    def _walk(self) -> tuple[dict[int, set[str]], list[str], list[int]]:
        """Picture -> its parts; files that are no part; pictures that only masks know."""
        shown: dict[int, set[str]] = {}
        strangers = []
        for group in sorted(self.mask_folder.iterdir()):
            if not group.is_dir():
                continue
            for name in sorted(os.listdir(group)):
                number, _, part = name.removesuffix(".png").partition("_")
                if not number.isdecimal() or part not in MASK_CLASSES[1:]:
                    if not name.startswith("."):
                        strangers.append(f"{group.name}/{name}")
                elif group.name == str(int(number) // PER_FOLDER):
                    shown.setdefault(int(number), set()).add(part)
                else:
                    strangers.append(f"{group.name}/{name}")
        known = set(self.indices)
        return shown, strangers, sorted(i for i in shown if i not in known)

    def _readable(self, index: int) -> bool:
        try:
            self.mask(index)
            self.picture(index, 16)
        except DatasetError:
            return False
        return True

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise DatasetError(f"{path} is missing") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from None

    def _table(self, name: str) -> tuple[tuple[str, ...], dict[int, list[str]]]:
        """A table with a count, a line of names, and a line a picture."""
        lines = self._lines(name)
        path = self.folder / name
        if len(lines) < 2 or not lines[0].strip().isdecimal():
            raise DatasetError(f"{path}: the first line must be the number of pictures")
        names = tuple(lines[1].split())
        rows: dict[int, list[str]] = {}
        for number, line in enumerate(lines[2:], start=3):
            words = line.split()
            if not words:
                continue
            stem = words[0].removesuffix(".jpg")
            if not stem.isdecimal() or len(words) != len(names) + 1:
                raise DatasetError(
                    f"{path}, line {number}: {len(words) - 1} values of {words[0]!r}; "
                    f"wanted: {len(names)} of a picture such as 0.jpg"
                )
            odd = next((word for word in words[1:] if not _is_number(word)), None)
            if odd is not None:
                raise DatasetError(f"{path}, line {number}: {odd[:60]!r}; wanted: a number")
            rows[int(stem)] = words[1:]
        return names, rows


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def split_of(number: int) -> str:
    """The official split of a picture by its number in CelebA."""
    if number < FIRST_VALIDATION:
        return "train"
    return "val" if number < FIRST_TEST else "test"


def _read_part(path: Path) -> np.ndarray:
    """Where a part is on, (H, W) bool."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            check_claim(picture, str(path))
            # a palette's first channel is what its colours say, not the index
            plain = picture.convert("RGB") if picture.mode == "P" else picture
            pixels = np.array(plain)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    return (pixels if pixels.ndim == 2 else pixels[..., 0]) != 0
