"""A class wall: everybody's recipe drawn again and measured, as one picture and one table.

Recipes come from a folder, a list of files, or text that was pasted from a chat. One that cannot be
read or drawn is reported by its name, and all others are shown.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.images import grid, save_image
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.receipt import Receipt, change_text
from l2l_widgets.session.rendering import Renderer
from l2l_widgets.session.replay import Recipe, RecipeError, parse_recipe, read_recipe
from l2l_widgets.storage import write_atomic

SUFFIXES = (".png", ".json", ".txt")
MAX_RECIPES = 400
#: Random edits behind a receipt: a wall compares people, not one edit with chance.
N_RANDOM = 2


@dataclass(frozen=True)
class Contribution:
    """One recipe on the wall.

    Attributes
    ----------
    name : str
        Whose it is: the file's name without its ending, or the line of the pasted text.
    recipe : Recipe
        As it was read.
    before, after : Tensor, shape (3, R, R)
        RGB in [-1, 1].
    receipt : Receipt or None
        What moved; None where nothing was measured.
    """

    name: str
    recipe: Recipe
    before: Tensor
    after: Tensor
    receipt: Receipt | None = None


@dataclass(frozen=True)
class ClassWall:
    """What a class has made.

    Attributes
    ----------
    contributions : list of Contribution
        In the order of their names.
    faults : dict of str to str
        Name -> why that recipe is not on the wall.
    table : AttributeTable
        Names and units.
    """

    contributions: list[Contribution]
    faults: dict[str, str]
    table: AttributeTable

    def picture(self, columns: int = 6, compare: bool = True) -> Tensor:
        """The wall as one image.

        Parameters
        ----------
        columns : int
            Contributions beside each other.
        compare : bool
            Before and after of each, the one on top of the other; otherwise after alone.

        Returns
        -------
        Tensor, shape (3, H, W)
            RGB in [-1, 1].

        Raises
        ------
        ValueError
            There is nothing to show.
        """
        if not self.contributions:
            raise ValueError("the wall is empty: no recipe could be drawn")
        tiles = [
            grid(torch.stack([c.before, c.after]), columns=1, gap=1) if compare else c.after
            for c in self.contributions
        ]
        return grid(torch.stack(tiles), columns=min(columns, len(tiles)), gap=6)

    def rows(self) -> list[dict[str, Any]]:
        """One row a contribution: name, seed, method, asked, came, also moved, identity kept."""
        return [_row(c, self.table) for c in self.contributions]

    def to_text(self) -> str:
        """The table and the faults, for the terminal or a notebook's output."""
        rows = self.rows()
        heads = ["name", "seed", "asked", "came", "also moved", "identity kept"]
        cells = [heads, *([str(row[head]) for head in heads] for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        if self.faults:
            lines += ["", f"not on the wall ({len(self.faults)}):"]
            lines += [f"  {name}: {why}" for name, why in self.faults.items()]
        return "\n".join(lines)

    def to_csv(self) -> str:
        """The table as CSV."""
        stream = io.StringIO()
        rows = self.rows()
        names = list(rows[0]) if rows else ["name"]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()

    def save(self, folder: str | os.PathLike[str], columns: int = 6, scale: int = 2) -> list[Path]:
        """Write ``wall.png``, ``wall.csv`` and, where there are any, ``faults.txt``.

        Returns
        -------
        list of Path
            What was written.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        save_image(path / "wall.png", self.picture(columns), scale=scale)
        write_atomic(path / "wall.csv", self.to_csv().encode())
        written = [path / "wall.png", path / "wall.csv"]
        if self.faults:
            text = "".join(f"{name}: {why}\n" for name, why in self.faults.items())
            write_atomic(path / "faults.txt", text.encode())
            written.append(path / "faults.txt")
        return written


def class_wall(source: Any, models: Models, *, measure: bool = True) -> ClassWall:
    """Draw everybody's recipe.

    Parameters
    ----------
    source : path, str, sequence or mapping
        A folder of saved pictures and recipe files; pasted text, one recipe a line, each perhaps
        with ``name:`` before it; a sequence of paths or recipes; or a mapping of names to them.
    models : Models
        What draws; must be what the recipes name.
    measure : bool
        Whether each gets a receipt; drawing alone is several times as fast.

    Raises
    ------
    ValueError
        No such folder, or nothing in it that could be a recipe.
    """
    entries = _entries(source)
    if not entries:
        raise ValueError(f"no recipe in {_short(source)}; allowed: files {', '.join(SUFFIXES)}")
    if len(entries) > MAX_RECIPES:
        raise ValueError(f"{len(entries)} recipes; allowed: {MAX_RECIPES} on one wall")
    renderer = Renderer(models, N_RANDOM)
    found: list[Contribution] = []
    faults: dict[str, str] = {}
    for name, answer in entries:
        try:
            recipe = _read(answer)
            state = EditSession.from_recipe(models, recipe).state
            result = renderer.render(state)
            assert result is not None  # nothing abandons it
            if result.error is not None or result.before is None or result.after is None:
                raise RecipeError(str(result.error))
            receipt = renderer.measure(state) if measure else None
        except ValueError as error:
            faults[name] = str(error).removeprefix("recipe: ")
            continue
        found.append(Contribution(name, recipe, result.before, result.after, receipt))
    return ClassWall(found, faults, models.table)


def _entries(source: Any) -> list[tuple[str, Any]]:
    """(name, what holds the recipe), names made different from each other."""
    if isinstance(source, Mapping) and "format" not in source:
        return [(str(name), answer) for name, answer in source.items()]
    if isinstance(source, str) and "{" in source:
        return _unlike(_pasted(source))
    if isinstance(source, (str, os.PathLike)):
        folder = Path(source)
        if not folder.is_dir():
            raise ValueError(f"{str(source)!r} is no folder; allowed: a folder, files, or recipes")
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        return _unlike([(path.stem, path) for path in files])
    if isinstance(source, Sequence):
        return _unlike([
            (Path(one).stem if _is_path(one) else f"recipe {number}", one)
            for number, one in enumerate(source, 1)
        ])  # fmt: skip
    raise ValueError(f"{_short(source)} holds no recipes; allowed: a folder, files, or recipes")


def _is_path(one: Any) -> bool:
    return isinstance(one, os.PathLike) or (isinstance(one, str) and "{" not in one)


def _pasted(text: str) -> list[tuple[str, Any]]:
    """Recipes in text: JSON objects, however they are broken into lines, each with its name."""
    decoder = json.JSONDecoder()
    found: list[tuple[str, Any]] = []
    at = 0
    while (start := text.find("{", at)) >= 0:
        lines = text[at:start].strip().splitlines()  # what stands between this one and the last
        name = lines[-1].strip("`*-: \t") if lines else ""
        name = name or f"recipe {len(found) + 1}"
        try:
            _, at = decoder.raw_decode(text, start)
            found.append((name, text[start:at]))
        except ValueError:  # a torn one: to the end of its line, so that the next is still found
            end = text.find("\n", start)
            at = len(text) if end < 0 else end
            found.append((name, text[start:at]))
    return found


def _unlike(entries: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The entries with equal names numbered."""
    seen: dict[str, int] = {}
    out = []
    for name, answer in entries:
        seen[name] = seen.get(name, 0) + 1
        out.append((name if seen[name] == 1 else f"{name} ({seen[name]})", answer))
    return out


def _read(answer: Any) -> Recipe:
    if isinstance(answer, Recipe):
        return answer
    if isinstance(answer, Mapping):
        return parse_recipe(json.dumps(dict(answer)))
    if _is_path(answer):
        return read_recipe(answer)
    if isinstance(answer, str):
        return parse_recipe(answer)
    raise RecipeError(f"recipe: {_short(answer)} is none; allowed: a recipe, or a path")


def _row(one: Contribution, table: AttributeTable) -> dict[str, Any]:
    edit = one.recipe.edits[-1] if one.recipe.edits else None
    receipt, error = one.receipt, None if one.receipt is None else one.receipt.error

    def said(changes: Mapping[str, float]) -> str:
        return ", ".join(f"{table[n].label} {change_text(table[n], v)}" for n, v in changes.items())

    asked = [said(e.changes) for e in one.recipe.edits if e.changes]
    asked += [
        f"{table[n].label} to {table[n].value_text(v)}"
        for e in one.recipe.edits
        for n, v in e.targets.items()
    ]
    row = {
        "name": one.name,
        "seed": "a latent" if one.recipe.seed is None else one.recipe.seed,
        "method": "" if edit is None else edit.method,
        "asked": ", ".join(asked) or "nothing",
        "came": "",
        "also moved": "",
        "identity kept": "",
    }
    if error is not None:
        row["came"] = f"not measured: {error}"
    elif receipt is not None:
        row["came"] = said(receipt.achieved)
        largest = list(receipt.largest_others(table).items())[:2] if receipt.requested else []
        row["also moved"] = said(dict(largest))
        if receipt.identity_kept is not None:
            row["identity kept"] = f"{100 * max(0.0, min(1.0, receipt.identity_kept)):.0f} %"
    return row


def _short(value: Any) -> str:
    text = repr(str(value) if isinstance(value, os.PathLike) else value)
    return text if len(text) <= 60 else text[:57] + "..."
