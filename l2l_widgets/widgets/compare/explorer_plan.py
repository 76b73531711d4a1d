"""What an explorer measures: the study of a plan, of a page's wish, of other models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.entanglement import LeakageStudy
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.checks import no_editor
from l2l_widgets.widgets.compare.explorer_values import usual_rows

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.evaluation.bench import Truth
    from l2l_widgets.models.zoo import Models

#: Pictures drawn at a time.
BATCH = 16


@dataclass
class StudyMaker:
    """What all studies of one view have in common.

    Parameters
    ----------
    truth : callable or None
        As in :class:`l2l_widgets.entanglement.LeakageStudy`.
    chance : int
        Random edits that say what chance does.
    folder : path or None
        Where measured rows are kept.
    """

    truth: Truth | None
    chance: int
    folder: str | Path | None
    #: Rows that stand in for others of which not all are shown, and those others.
    _instead: tuple[tuple[str, ...], tuple[str, ...]] | None = field(default=None, init=False)

    def make(self, models: Models, protocol: Protocol) -> LeakageStudy:
        """Return the study of a protocol; nothing is measured yet."""
        return LeakageStudy(
            models, protocol, truth=self.truth, chance=self.chance, folder=self.folder
        )

    def make_anew(
        self, models: Models, old: LeakageStudy, table: AttributeTable
    ) -> tuple[LeakageStudy, str, str | None]:
        """Return the study of models that draw now, or of which other attributes are shown.

        Parameters
        ----------
        models : Models
            Those that draw now.
        old : LeakageStudy
            What was measured before.
        table : AttributeTable
            The attributes that are shown.

        Returns
        -------
        study : LeakageStudy
            The new one, or the old one where there can be none.
        lost : str
            Why nothing can be measured; empty where it can.
        error : str or None
            What goes on all the same.
        """
        wanted = old.protocol.attributes
        if self._instead is not None and self._instead[0] == wanted:
            wanted = self._instead[1]  # nobody has asked for other rows since
        names = tuple(n for n in wanted if n in table) or usual_rows(table)
        self._instead = None if names == wanted else (names, wanted)
        study, lost, error = old, "", None
        try:
            if not models.available_editors:
                raise ValueError(no_editor(models))
            protocol = replace(old.protocol, attributes=names)
            try:
                study = self.make(models, protocol)
            except ValueError as why:  # the folder keeps what was measured with others
                error, self.folder = f"rows are not kept from now on: {why}", None
                study = self.make(models, protocol)
            if models is old.models:  # less or more of them may be shown, nothing else
                study.take_over(old)
        except ValueError as why:
            lost = f"nothing measured for these models: {why}"
        return study, lost, error


def asked_protocol(message: Mapping[str, Any], old: Protocol, table: AttributeTable) -> Protocol:
    """Return the protocol that a page asks for: its faces, seed and rows, the rest as before.

    Raises
    ------
    ValueError
        It asks for an attribute that is not shown, or for faces or a seed out of range.
    """
    names = tuple(str(n) for n in message.get("attributes", old.attributes))
    hidden = [n for n in names if n not in table]
    if hidden:
        raise ValueError(f"attribute {hidden[0]!r} is not shown; allowed: those that are")
    ordered = tuple(n for n in table.names if n in names)
    faces, seed = message.get("faces", old.faces), message.get("seed", old.seed)
    return Protocol(ordered, faces, seed, old.request, batch=BATCH)
