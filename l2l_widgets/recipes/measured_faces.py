"""Faces that painters are measured on: renders, or a folder's pictures, that none learned from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from l2l_widgets.evaluation.painting import Annotations
from l2l_widgets.faceworld.celebamask import CELEBA_NAMES
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.maskgan.celebamask_hq import ATTRIBUTES, KEEP_DEFECTS, CelebAMaskHQ
from l2l_widgets.masks import resize_mask
from l2l_widgets.recipes import rendered


def check_count(count: int, there: int) -> None:
    """Refuse more faces than there are; ValueError says how many that is."""
    if there < count:
        raise ValueError(f"--faces is {count}; allowed: up to {there}, which there are")


def _check_renders(side: int) -> None:
    """Refuse a painter of another size than the renders, before anything is trained or drawn."""
    own = rendered.SETS["unseen"].resolution
    if own != side:
        raise ValueError(
            f"unseen renders have {own} pixels, the MaskGAN {side}; give --data with a folder "
            "that l2l render filled"
        )


class MeasuredFaces:
    """Pictures and masks that no recipe has learned from, in an order that the seed decides.

    Parameters
    ----------
    known : tuple, optional
        A folder, which of its pictures are measured (``test``, or ``all``), and their numbers; the
        unseen renders if not given. A folder's files are read at once, renders when :meth:`of`
        wants them: nothing may be left to measure.
    count, seed : int
        How many, and which.
    side : int
        Of the pictures.
    """

    def __init__(
        self, known: tuple[CelebAMaskHQ, str, list[int]] | None, count: int, seed: int, side: int
    ) -> None:
        self.known, self.count, self.seed = known, count, seed
        self.read: tuple[Tensor, Tensor] | None = None
        self.indices: list[int] = []  # numbers of a folder's pictures, in the order of the rows
        if known is not None:
            self.of(side)
        else:
            _check_renders(side)

    @property
    def origin(self) -> str:
        """What the scores are of, besides the seed and their number."""
        if self.known is None:
            return f"unseen renders of world {WORLD}"
        data = self.known[0]
        faults = sum(i in data.defects() for i in data.left_out)
        left = f", {faults} with known faults left out" if faults else ""
        if data.leave_gaps:
            left += f", {len(data.left_out) - faults} with gaps left out"
        kept = KEEP_DEFECTS if data.defects() and data.keep_defects else ""
        return f"{data.folder.resolve()}{kept}{left}"

    def of(self, side: int) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, side, side) in [-1, 1] and masks (N, side, side)."""
        if self.read is None:
            self.read = self._rendered(side) if self.known is None else self._from_folder(side)
        return self.read

    def _chosen(self, of: int) -> Tensor:
        check_count(self.count, of)
        return torch.randperm(of, generator=torch.Generator().manual_seed(self.seed))[: self.count]

    def _rendered(self, side: int) -> tuple[Tensor, Tensor]:
        _check_renders(side)
        images, masks = rendered.rows_of_set("unseen", self._chosen(rendered.SETS["unseen"].count))
        return images.float() / 127.5 - 1, masks

    def _from_folder(self, side: int) -> tuple[Tensor, Tensor]:
        assert self.known is not None
        data, _, there = self.known
        self.indices = [there[i] for i in self._chosen(len(there)).tolist()]
        images = torch.stack([data.picture(i, side) for i in self.indices])
        return images, torch.stack([resize_mask(data.mask(i), side) for i in self.indices])

    def notes(self, names: Sequence[str]) -> Annotations | None:
        """What a folder's table of attributes says of the pictures, of those that a judge reads.

        None for renders, and where the folder has no table.
        """
        if self.known is None or not (self.known[0].folder / ATTRIBUTES).is_file():
            return None
        titles, rows = self.known[0].attributes()
        lacking = next((i for i in self.indices if i not in rows), None)
        if lacking is not None:
            warnings.warn(
                f"{ATTRIBUTES} says nothing of picture {lacking}: no reading is held against it; "
                "l2l masks DIR lists what is missing",
                stacklevel=1,
            )
            return None
        known = {title: CELEBA_NAMES[title] for title in titles if title in CELEBA_NAMES}
        known = {t: (n, at) for t, (n, at) in known.items() if n.lstrip("-") in names}
        if not known:
            return None
        held = [[rows[i][titles.index(title)] for title in known] for i in self.indices]
        return Annotations(
            tuple([*names].index(name.lstrip("-")) for name, _ in known.values()),
            torch.tensor([at for _, at in known.values()]),
            torch.tensor([name.startswith("-") for name, _ in known.values()]),
            torch.tensor(held),
        )
