"""The leakage matrix of one method: what each edit does to each attribute, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import Attribute, AttributeTable
from l2l_widgets.evaluation.equal_change import FALSE_DISCOVERIES, RANDOM_DIRECTIONS
from l2l_widgets.evaluation.plan import ENOUGH_FACES
from l2l_widgets.evaluation.report import Protocol

#: Columns of a cell that are numbers.
NUMBERS = ("signed", "signed_low", "signed_high", "drift", "p", "q", "band", "world", "truth")
#: What a cell may say. ``pending``: measured, but what chance does is not known yet.
VERDICTS = ("asked", "partner", "leak", "clear", "pending", "untested")
UNDECIDED = ("clear", "pending", "untested")


@dataclass(frozen=True)
class FaceChange:
    """One face behind a cell.

    Parameters
    ----------
    seed : int
        Of the face.
    asked : float
        The change that was asked for, signed.
    strength : float
        Strength at which the target had changed by that much; NaN where it never had.
    change : float
        Change of the read attribute there, per rise of the target; NaN where it never came there.
    """

    seed: int
    asked: float
    strength: float
    change: float

    @property
    def reached(self) -> bool:
        """Whether the target came as far as was asked."""
        return not math.isnan(self.strength)

    @property
    def knob(self) -> float:
        """What the method was asked for, in [-1, 1]; all of it where the face was never reached."""
        strength = self.strength if self.reached else 1.0
        return max(-1.0, min(1.0, strength if self.asked > 0 else -strength))


@dataclass(frozen=True)
class LeakageMatrix:
    """K edited attributes by A read ones, at equal achieved change of the edited one.

    Parameters
    ----------
    method, reader : str
        Who edited, and who read: ``judge``, ``judge_b``, ``ensemble`` or ``consensus``.
    protocol : Protocol
        Faces, seed and the achieved change; its attributes are those that were asked for.
    read : tuple of str
        The A columns.
    cells : mapping of (str, str) to dict
        (edited, read) -> the row of :func:`l2l_widgets.evaluation.equal_change.leakage_cells`.
    judges : mapping of str to str
        Names of the judges.
    failed : mapping of str to str
        Edited attribute -> why it could not be measured.
    chance : int
        Random edits that say what chance does.
    """

    method: str
    reader: str
    protocol: Protocol
    read: tuple[str, ...]
    cells: Mapping[tuple[str, str], Mapping[str, Any]]
    judges: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    chance: int = RANDOM_DIRECTIONS

    @property
    def edited(self) -> tuple[str, ...]:
        """The K rows that are there so far, in the protocol's order."""
        return tuple(n for n in self.protocol.attributes if (n, self.read[0]) in self.cells)

    @property
    def preview(self) -> bool:
        """Whether there are too few faces for more than a first look."""
        return self.protocol.faces < ENOUGH_FACES

    def array(self, name: str = "signed") -> Tensor:
        """Return one number of every cell, (K, A), float64, NaN where there is none.

        Parameters
        ----------
        name : str
            ``signed``, the mean change per rise of the target; ``signed_low``, ``signed_high``;
            ``drift``, the mean change whichever way is edited; ``p``, ``q``; ``band``, what random
            edits of this length do; ``world``, the population's own slope times the change;
            ``truth``, what a true change looks like to the same reader.
        """
        if name not in NUMBERS:
            raise ValueError(f"name is {name!r}; allowed: {', '.join(NUMBERS)}")
        rows = [[_number(self.cells[e, b].get(name)) for b in self.read] for e in self.edited]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(self.edited), len(self.read))

    def verdicts(self) -> list[list[str]]:
        """Return what is said of every cell, K lists of A words of :data:`VERDICTS`."""
        return [[self.cells[e, b]["verdict"] for b in self.read] for e in self.edited]

    def leaks(self) -> list[tuple[str, str]]:
        """Return (edited, read) of the cells that leak, the largest change first."""
        found = [key for key, cell in self.cells.items() if cell["verdict"] == "leak"]
        return sorted(found, key=lambda key: -_size(self.cells[key]))

    def stamp(self) -> str:
        """Return what must stand under every picture of this: n, seed, judge, intervals."""
        names = {"judge": "attribute", "judge_b": "attribute_b"}
        reader = self.judges.get(names.get(self.reader, ""), self.reader)
        return (
            f"{'PREVIEW, ' if self.preview else ''}n = {self.protocol.faces} faces, face seed "
            f"{self.protocol.seed}, {self.method}, achieved change {self.protocol.request:g}, "
            f"read by the {reader.replace('_', ' ')}, 95 % bootstrap intervals over faces, "
            f"false discoveries held at {100 * FALSE_DISCOVERIES:g} %, chance from {self.chance} "
            "random edits"
        )


def cell_sentences(
    matrix: LeakageMatrix, edited: str, read: str, table: AttributeTable
) -> list[str]:
    """Return a cell in words, what must not be missed first.

    Raises
    ------
    ValueError
        A cell that was not measured.
    """
    if (edited, read) not in matrix.cells:
        reason = matrix.failed.get(edited, "it has not been measured")
        raise ValueError(f"cell ({edited!r}, {read!r}): {reason}; allowed: a measured cell")
    cell, n = matrix.cells[edited, read], matrix.protocol.faces
    target, other, asked = table[edited], table[read], matrix.protocol.request
    faces = int(cell["faces"])
    if cell["verdict"] == "untested":
        return [
            f"{target.label} came by {amount(target, asked, False)} on {faces} of {n} faces: too "
            "few to say anything."
        ]
    came = f"on {faces} of {n} faces"
    if cell["verdict"] == "asked":
        return [f"{target.label} is what was edited: it came by {amount(target, asked)} {came}."]
    signed, low, high = (cell[k] for k in ("signed", "signed_low", "signed_high"))
    lines = [
        f"{target.label} {amount(target, asked)} {came}: {other.label} "
        f"{amount(other, signed)} in the mean, between {amount(other, low)} and "
        f"{amount(other, high)}."
    ]
    band = amount(other, cell["band"], False)
    beyond = max(abs(signed), abs(cell["drift"])) > cell["band"]
    if cell["verdict"] == "leak":
        if abs(cell["drift"]) > abs(signed):
            lines[0] = (
                f"{target.label} edited either way {came}: {other.label} "
                f"{amount(other, cell['drift'])}, whichever way."
            )
        lines.append(f"A leak: more than the {band} of random edits of this length.")
    elif cell["verdict"] == "partner":
        lines.append("A partner: a corrected request may change it on purpose.")
    elif cell["verdict"] == "pending":
        lines.append("Undecided: what random edits do is not known yet.")
    elif not beyond:
        lines.append(f"Undecided: random edits of this length do as much ({band}).")
    else:
        lines.append("Undecided: with so many cells tested, this one may well be chance.")
    world = cell.get("world")
    if world is not None and not math.isnan(world):
        lines.append(
            f"The world's own slope: among these {n} faces, unedited, those that differ so in "
            f"{target.label.lower()} differ by {amount(other, world)} in {other.label.lower()}."
        )
    if cell.get("truth") is not None:
        lines.append(f"Truly changed, the same reader sees {amount(other, cell['truth'])}.")
    return lines


def amount(row: Attribute, change: float, signed: bool = True) -> str:
    """A change in attribute units in the row's unit, to a tenth where it is small: "+0.4 %"."""
    value = (row.high - row.low) * change
    digits = 1 if abs(value) < 9.95 else 0
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    # a minus sign as long as the plus, and none before a zero
    text = text.replace("-0.0", "0.0").replace("+0.0", "0.0").replace("-", "−")
    return f"{text}{'' if row.unit == '°' else ' '}{row.unit}"


def _size(cell: Mapping[str, Any]) -> float:
    return max(abs(_number(cell.get("signed"))), abs(_number(cell.get("drift"))))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
