"""What a folder in CelebAMask-HQ's layout holds, what it lacks, and on which side left is."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from l2l_widgets.maskgan.celebamask_hq import (
    ATTRIBUTES,
    KEEP_DEFECTS,
    LEAVE_GAPS,
    MAPPING,
    PICTURES,
    POSE,
    SPLITS,
    CelebAMaskHQ,
    split_of,
)
from l2l_widgets.maskgan.part_files import DatasetError, read_part
from l2l_widgets.masks import MASK_CLASSES

T = TypeVar("T")
#: The parts whose places say whose left is meant, the one with the left name first.
SIDES = ("l_eye", "r_eye")
#: Pictures in which they are looked for.
SIDES_OF = 64


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
    sides : dict of str to float
        Where the middles of ``l_eye`` and ``r_eye`` lie, the median share of the width from the
        left of the picture; empty where no picture shows both.
    sides_of : int
        In how many pictures that was looked for and found.
    gaps : dict of str to list of int
        Kind of fault -> pictures that have it.
    unusable : list of int
        Pictures that cannot be learned from; those that only reading shows where all was read.
    defects : dict of int to str
        Pictures of the real data set with known faults that are in this folder.
    left_out : list of int
        Pictures that are neither learned from nor measured.
    missing_files : list of str
        Tables that are not there.
    damaged : list of str
        Tables that cannot be used, and why.
    strangers : list of str
        Files among pictures and masks that are neither, at most ten.
    """

    pictures: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    sides: dict[str, float] = field(default_factory=dict)
    sides_of: int = 0
    gaps: dict[str, list[int]] = field(default_factory=dict)
    unusable: list[int] = field(default_factory=list)
    defects: dict[int, str] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)
    missing_files: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing (known defects are no gap)."""
        return not (self.gaps or self.missing_files or self.damaged or self.strangers)

    @property
    def sides_swapped(self) -> bool:
        """Whether ``l_eye`` lies right of ``r_eye`` in the picture; here it lies left."""
        return bool(self.sides) and self.sides[SIDES[0]] > self.sides[SIDES[1]]

    def to_text(self) -> str:
        """Lines for a person."""
        lines = [f"{self.pictures} picture{'s' * (self.pictures != 1)}"]
        if self.splits:
            lines.append(", ".join(f"{k} {v}" for k, v in self.splits.items()))
        lines += self._sides_text()
        lines += [f"missing: {name}" for name in self.missing_files]
        lines += [f"cannot be used: {why}" for why in self.damaged]
        for kind, rows in self.gaps.items():
            shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
            lines.append(f"{kind}: {len(rows)} ({shown})")
        lines += [f"neither a picture nor a part: {name}" for name in self.strangers]
        if self.unusable:
            lines.append(
                f"cannot be learned from: {len(self.unusable)} of {self.pictures}; {LEAVE_GAPS} at "
                "the end of the folder's name leaves these out"
            )
        lines += [f"known defect: {i}: {why}" for i, why in sorted(self.defects.items())]
        if self.defects:
            left = len(set(self.left_out) & set(self.defects))
            kept = f"; {KEEP_DEFECTS} at the end of the folder's name keeps them" if left else ""
            lines.append(f"left out of training and scores for it: {left} of {self.pictures}{kept}")
        return "\n".join(lines)

    def _sides_text(self) -> list[str]:
        if not self.sides:
            return []
        (left, x), (right, y) = self.sides.items()
        seen = f"{left} lies at {x:.2f} of the width, {right} at {y:.2f} (n = {self.sides_of})"
        if self.sides_swapped:
            return [
                f"SIDES SWAPPED: {seen}. Here l_ is the side on the left of the picture; what is "
                "learned from this folder has left and right the other way round than renders and "
                "painted masks"
            ]
        return [f"{seen}: l_ is the side on the left of the picture"]


def look_through(data: CelebAMaskHQ, read: bool = False) -> DatasetReport:
    """Look through a folder.

    Parameters
    ----------
    data : CelebAMaskHQ
        The folder.
    read : bool
        Whether to open every file as well, which takes minutes for the real data set.
    """
    indices = data.indices
    out = DatasetReport(pictures=len(indices))
    out.missing_files = [
        name for name in (MAPPING, ATTRIBUTES, POSE) if not (data.folder / name).is_file()
    ]
    shown, strangers = data.shown()
    out.strangers = [*(f"{PICTURES}/{name}" for name in data.strangers), *strangers][:10]
    out.parts = {n: sum(n in p for p in shown.values()) for n in MASK_CLASSES[1:]}
    out.sides, out.sides_of = _sides(data, [i for i in indices if shown.get(i, set()) >= {*SIDES}])
    known = set(indices)
    gaps = {
        "pictures without any mask": [i for i in indices if not shown.get(i)],
        "pictures without skin": [i for i in indices if shown.get(i) and "skin" not in shown[i]],
        "masks without a picture": sorted(i for i in shown if i not in known),
        "numbers left out": [i for i in range(indices[-1] + 1) if i not in known],
        "unreadable": [i for i in indices if read and not _readable(data, i)],
    }
    mapping = _table(out, MAPPING, data.mapping)
    if mapping is not None:
        out.splits = {
            name: sum(split_of(mapping[i]) == name for i in indices if i in mapping)
            for name in SPLITS
        }
        gaps["not in the mapping"] = [i for i in indices if i not in mapping]
    for kind, rows in (
        ("attributes", _table(out, ATTRIBUTES, lambda: data.attributes()[1])),
        ("pose", _table(out, POSE, data.pose)),
    ):
        if rows is not None:
            gaps[f"without {kind}"] = [i for i in indices if i not in rows]
    out.gaps = {kind: rows for kind, rows in gaps.items() if rows}
    useless = ("pictures without any mask", "unreadable", "not in the mapping")
    out.unusable = sorted({i for kind in useless for i in out.gaps.get(kind, [])})
    out.defects, out.left_out = data.defects(), sorted(data.left_out)
    return out


def _table(out: DatasetReport, name: str, read: Callable[[], T]) -> T | None:
    """A table, or None where it is not there or cannot be used; the report says which."""
    if name in out.missing_files:
        return None
    try:
        return read()
    except DatasetError as error:
        out.damaged.append(str(error))
        return None


def _sides(data: CelebAMaskHQ, both: Sequence[int]) -> tuple[dict[str, float], int]:
    """Where the two eyes lie in some pictures that show both, as shares of the width."""
    found: list[tuple[float, ...]] = []
    for index in both[:: max(1, len(both) // SIDES_OF)][:SIDES_OF]:
        try:
            on = [read_part(data.part_path(index, name)) for name in SIDES]
        except DatasetError:
            continue  # reading all names it
        if all(one.any() for one in on):
            found.append(tuple(float((one.nonzero()[1] + 0.5).mean()) / one.shape[1] for one in on))
    medians = [statistics.median(places) for places in np.transpose(found).tolist()]
    return dict(zip(SIDES, medians, strict=False)), len(found)


def _readable(data: CelebAMaskHQ, index: int) -> bool:
    try:
        data.mask(index)
        data.picture(index, 16)
    except DatasetError:
        return False
    return True
