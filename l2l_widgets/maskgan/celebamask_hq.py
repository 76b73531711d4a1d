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
``+gaps`` there leaves out what cannot be learned from: pictures without a mask, with a file that is
cut off, or unknown to the mapping. The two may stand together.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.images import load_image
from l2l_widgets.maskgan.part_files import DatasetError, picture_torn, png_size, read_part
from l2l_widgets.masks import MASK_CLASSES

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
#: And what cannot be learned from is left out, where it would be refused.
LEAVE_GAPS = "+gaps"
#: Names as the data set has them; a number of more digits is a date, and no picture's.
_PICTURE = re.compile(r"(0|[1-9][0-9]{0,5})\.jpg")
_PART = re.compile(r"([0-9]{5,6})_([a-z_]+)\.png")
_NUMBER = re.compile(r"[0-9]{1,6}")


class CelebAMaskHQ:
    """A folder in the data set's layout.

    Parameters
    ----------
    folder : path
        The one that holds ``CelebA-HQ-img``; :data:`KEEP_DEFECTS` and :data:`LEAVE_GAPS` may
        follow.
    keep_defects : bool
        Whether pictures of :data:`KNOWN_DEFECTS` are in the splits all the same.
    leave_gaps : bool
        Whether pictures of :meth:`gaps` are in none.

    Attributes
    ----------
    indices : list of int
        Numbers of the pictures that are there.
    strangers : list of str
        Names beside the pictures that are not as theirs: no file of the data set.

    Raises
    ------
    DatasetError
        Pictures or masks are missing altogether.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_defects: bool = False,
        leave_gaps: bool = False,
    ) -> None:
        self.folder = Path(folder)
        words: list[str] = []
        while not self.folder.is_dir() and (word := _last_word(self.folder.name)):
            self.folder = self.folder.with_name(self.folder.name.removesuffix(word))
            words.append(word)
        self.keep_defects = keep_defects or KEEP_DEFECTS in words
        self.leave_gaps = leave_gaps or LEAVE_GAPS in words
        if not (self.folder / PICTURES).is_dir():
            raise DatasetError(
                f"{self.folder} has no folder {PICTURES}; wanted: the folder of CelebAMask-HQ, or "
                "one that l2l render filled"
            )
        found = [self.folder / name for name in MASK_FOLDERS if (self.folder / name).is_dir()]
        if not found:
            raise DatasetError(f"{self.folder} has no folder {' or '.join(MASK_FOLDERS)}")
        self.mask_folder = found[0]
        names = {n: _PICTURE.fullmatch(n) for n in os.listdir(self.folder / PICTURES)}
        self.indices = sorted(int(found[1]) for found in names.values() if found)
        self.strangers = sorted(n for n, found in names.items() if not found and n[0] != ".")
        if not self.indices:
            raise DatasetError(f"{self.folder / PICTURES} holds no picture 0.jpg, 1.jpg, ...")
        self.rendered = (self.folder / RENDERED).is_file()

    @functools.cached_property
    def left_out(self) -> dict[int, str]:
        """Pictures that are in no split, and why: with known faults, and with gaps if asked for."""
        gaps = self.gaps() if self.leave_gaps else {}
        return gaps if self.keep_defects else {**gaps, **self.defects()}

    def defects(self) -> dict[int, str]:
        """Pictures of this folder with known faults, and which."""
        if self.rendered:
            return {}
        return {i: KNOWN_DEFECTS[i] for i in self.indices if i in KNOWN_DEFECTS}

    def gaps(self, indices: Sequence[int] | None = None) -> dict[int, str]:
        """Which pictures, of all or of some, cannot be learned from, and why.

        Seen from names, and from both ends of each file, which takes a minute for the real data
        set; what is damaged in the middle of a file only shows where it is read.
        """
        named = self.mapping() if (self.folder / MAPPING).is_file() else None
        found = {}
        for index in self.indices if indices is None else indices:
            fault = self._fault(index)
            if fault is None and named is not None and index not in named:
                fault = f"{self.folder / MAPPING} does not name picture {index}"
            if fault is not None:
                found[index] = fault
        return found

    def _fault(self, index: int) -> str | None:
        try:
            picture_torn(self.folder / PICTURES / f"{index}.jpg")
            self._check_parts(
                index, [png_size(self.part_path(index, n)) for n in self.parts(index)]
            )
        except DatasetError as error:
            return str(error)
        return None

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
        on = [read_part(self.part_path(index, name)) for name in parts]
        self._check_parts(index, [one.shape[::-1] for one in on])
        merged = np.zeros(on[0].shape, np.uint8)
        for name, one in zip(parts, on, strict=True):
            merged[one] = MASK_CLASSES.index(name)
        return torch.from_numpy(merged)

    def _check_parts(self, index: int, sizes: Sequence[tuple[int, ...]]) -> None:
        """Refuse a picture without parts, or with parts of several sizes (width, height)."""
        if not sizes:
            raise DatasetError(
                f"picture {index}: no part of it is in "
                f"{self.mask_folder / str(index // PER_FOLDER)}"
            )
        odd = next((k for k, size in enumerate(sizes) if size != sizes[0]), None)
        if odd is not None:
            parts = self.parts(index)
            raise DatasetError(
                f"picture {index}: part {parts[odd]} is {sizes[odd][0]} x {sizes[odd][1]} pixels, "
                f"{parts[0]} {sizes[0][0]} x {sizes[0][1]}; allowed: one size"
            )

    # -- tables ------------------------------------------------------------------------------------

    def mapping(self) -> dict[int, int]:
        """Picture -> its number in CelebA. A header line may stand above or not."""
        rows = self._lines(MAPPING)
        found: dict[int, int] = {}
        for number, line in enumerate(rows, start=1):
            words = line.split()
            if number == 1 and words and not words[0].isdecimal():
                continue
            if len(words) < 2 or not all(_NUMBER.fullmatch(word) for word in words[:2]):
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
        usable = self.usable()
        unnamed = [i for i in usable if i not in mapping]
        if unnamed:
            others = f" and {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
            raise DatasetError(
                f"{self.folder / MAPPING} does not name picture {unnamed[0]}{others}; {LEAVE_GAPS} "
                "at the end of the folder's name leaves such pictures out"
            )
        return [i for i in usable if split_of(mapping[i]) == name]

    def shown(self) -> tuple[dict[int, set[str]], list[str]]:
        """Picture -> its parts, of all that masks know; and files among them that are no part."""
        parts: dict[int, set[str]] = {}
        strangers = []
        for group in sorted(self.mask_folder.iterdir()):
            if not group.is_dir():
                continue
            for name in sorted(os.listdir(group)):
                found = _PART.fullmatch(name)
                number = int(found[1]) if found else 0
                part = found[2] if found else ""
                if part in MASK_CLASSES[1:] and group / name == self.part_path(number, part):
                    parts.setdefault(number, set()).add(part)
                elif not name.startswith("."):
                    strangers.append(f"{group.name}/{name}")
        return parts, strangers

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
            if not _NUMBER.fullmatch(stem) or len(words) != len(names) + 1:
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


def _last_word(name: str) -> str | None:
    """Which of the words that may follow a folder's name stands at its end."""
    return next((word for word in (KEEP_DEFECTS, LEAVE_GAPS) if name.endswith(word)), None)
