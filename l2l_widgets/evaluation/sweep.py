"""Follow faces along rising strengths, and leave each one where every reader has seen enough.

Drawing is nearly all of an evaluation's time. What is compared at equal achieved change lies
between the last strength before the change and the first one at it, so a face need not be drawn
beyond that. Some faces are followed to the end all the same: how steady a method is, and what
identity costs along the way, is read on them (`Plan.sweep_faces`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.evaluation.bench import Bench, moved
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import editing, leakage

if TYPE_CHECKING:
    from l2l_widgets.protocols import Editor

__all__ = ["KNOBS", "follow"]

#: Strengths of the sweep, in attribute units.
KNOBS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
#: The first strength that is drawn is the last one up to this share of the wanted change. Those
#: below are drawn for a face that has the change there already.
FIRST_LOOK = 0.7


def follow(
    editor: Editor,
    bench: Bench,
    name: str,
    signs: Tensor,
    protocol: Protocol,
    whole: Tensor,
    kept: Tensor | None = None,
) -> dict[str, Tensor]:
    """Edit every face at rising strengths and read it.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        n faces.
    name : str
        The edited attribute.
    signs : Tensor, shape (n,)
        Direction of each edit.
    protocol : Protocol
        Its request is the change that the readers must see.
    whole : Tensor of bool, shape (n,)
        Faces that are followed to the end.
    kept : Tensor, shape (n, 3, R, R), optional
        The unedited pictures, where they need not be drawn.

    Returns
    -------
    dict of str to Tensor
        Changes (n, S, A) by reader; ``length`` and, where somebody reads them, ``similarity`` and
        ``outside``, (n, S). A strength that was left out has the values of the one below it: it
        moves no crossing.

    Raises
    ------
    ValueError
        No face, or edited latents that are not finite.
    """
    found: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(signs)).split(protocol.batch):
        pictures = None if kept is None else kept[rows]
        part = _Followed(editor, bench, name, rows, signs[rows], protocol, pictures)
        part.go(whole[rows])
        for key, value in part.values.items():
            found.setdefault(key, []).append(value)
    if not found:
        raise ValueError(f"attribute {name!r}: no face has room for the request")
    return {key: torch.cat(parts) for key, parts in found.items()}


class _Followed:
    """Some faces on their way; ``values`` fills up strength by strength."""

    def __init__(
        self,
        editor: Editor,
        bench: Bench,
        name: str,
        rows: Tensor,
        signs: Tensor,
        protocol: Protocol,
        unedited: Tensor | None,
    ) -> None:
        self.editor, self.bench, self.name = editor, bench, name
        self.signs, self.change = signs, protocol.request
        self.column = bench.models.table.index(name)
        self.ws = bench.ws[rows]
        self.before = {key: value[rows] for key, value in bench.before.items()}
        self.region = bench.regions.get(name)
        self.unedited = unedited
        if self.region is not None and unedited is None:
            self.unedited = bench.readers.draw(self.ws)
        self.values: dict[str, Tensor] = {}
        self.drawn = torch.zeros(len(signs), len(KNOBS), dtype=torch.bool)
        everyone = torch.arange(len(signs))
        self._note(0, everyone, self._read(everyone, self.ws, self.before, self.unedited))

    def go(self, whole: Tensor) -> None:
        """Draw what is needed; ``whole`` (n,) faces at every strength."""
        whole = whole.cpu()
        start = max(1, max(i for i, k in enumerate(KNOBS) if k <= FIRST_LOOK * self.change))
        self._draw(start, torch.ones_like(whole))
        early = self._reached(any_reader=True) | whole
        for knob in range(1, start):
            self._draw(knob, early)
        for knob in range(start + 1, len(KNOBS)):
            self._draw(knob, ~self._reached() | whole)
        for knob in range(1, len(KNOBS)):
            missing = ~self.drawn[:, knob]
            for value in self.values.values():
                value[missing, knob] = value[missing, knob - 1]

    def _reached(self, any_reader: bool = False) -> Tensor:
        """Whether all readers, or any, have seen the change at a strength that was drawn."""
        seen = []
        for reader in self.bench.kinds:
            achieved = self.values[reader][:, :, self.column] * self.signs.cpu()[:, None]
            seen.append(((achieved.double() >= self.change) & self.drawn).any(dim=1))
        together = torch.stack(seen)
        return together.any(dim=0) if any_reader else together.all(dim=0)

    def _draw(self, knob: int, chosen: Tensor) -> None:
        rows = chosen.nonzero()[:, 0]
        if not len(rows):
            return
        edited = edit_each(self.editor, self.ws[rows], self.name, self.signs[rows] * KNOBS[knob])
        images = self.bench.readers.draw(edited)
        self._note(knob, rows, self._read(rows, edited, self.bench.readers.look(images), images))

    def _read(
        self, rows: Tensor, edited: Tensor, after: dict[str, Tensor], images: Tensor | None
    ) -> dict[str, Tensor]:
        before = {key: value[rows] for key, value in self.before.items()}
        values = moved(before, after)
        values["length"] = (edited - self.ws[rows]).flatten(1).norm(dim=1)
        if "person" in before:
            values["similarity"] = editing.identity_similarity(before["person"], after["person"])
        if self.region is not None and self.unedited is not None and images is not None:
            values["outside"] = leakage.outside_region_error(
                self.unedited[rows], images, self.region
            )
        return values

    def _note(self, knob: int, rows: Tensor, read: dict[str, Tensor]) -> None:
        for key, value in read.items():
            if key not in self.values:
                size = (len(self.signs), len(KNOBS), *value.shape[1:])
                self.values[key] = torch.zeros(size, dtype=value.dtype)
            self.values[key][rows, knob] = value.cpu()
        self.drawn[rows, knob] = True


def edit_each(editor: Editor, ws: Tensor, name: str, changes: Tensor) -> Tensor:
    """Return latents edited by one change a face, and refuse what is not finite."""
    edited = ws.clone()
    for value in changes.unique().tolist():
        rows = changes == value
        # 0.30000001 would be refused at the ends of the range
        request = EditRequest(changes={name: max(-1.0, min(1.0, value))})
        edited[rows] = editor.edit(ws[rows], request).to(ws)
    if not bool(torch.isfinite(edited).all()):
        raise ValueError(f"attribute {name!r}: edited latents hold NaN or infinity")
    return edited
