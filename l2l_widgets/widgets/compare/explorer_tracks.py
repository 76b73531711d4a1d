"""The explorer's trajectories: which are asked for, whether a page has them open, their values."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from l2l_widgets.entanglement import LeakageStudy, ReportStudy, measure_trajectories
from l2l_widgets.widgets.compare.explorer_values import followed_faces, trajectory_value

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.widgets.audience import Audience
    from l2l_widgets.widgets.words import Words

__all__ = ["OpenTracks", "tracks_value"]


class OpenTracks:
    """What is followed, and who sees it: a view that is in sight may have its matrix up.

    Parameters
    ----------
    audience : callable
        Returns the pages that show the view.

    Attributes
    ----------
    edited : str
        The attribute whose edit is followed; "" before anybody has asked.
    faces : {"one", "many"}
        The loaded face, or those of the study.
    """

    def __init__(self, audience: Callable[[], Audience]) -> None:
        self._audience = audience
        self.edited, self.faces = "", "one"
        self._open: set[str] = set()  # pages that have the trajectories up, in sight or not
        self._owed = False

    def follow(self, message: Mapping[str, Any]) -> None:
        """Take what a page asks for, which has them open then."""
        self.edited, self.faces = str(message["edited"]), str(message["faces"])
        self._open.add(str(message.get("client", "")))

    def turn(self, message: Mapping[str, Any]) -> bool:
        """Hear which tab a page has up now; whether something is owed to it."""
        tab, page = message["tab"], str(message.get("client", ""))
        if tab not in ("matrix", "tracks"):
            raise ValueError(f"tab is {tab!r}; allowed: matrix, tracks")
        (self._open.add if tab == "tracks" else self._open.discard)(page)
        return self.are_owed

    def keep(self, names: Container[str]) -> None:
        """Forget what is asked for where it is none of these any more."""
        if self.edited not in names:
            self.edited, self.faces = "", "one"

    def are_seen(self) -> bool:
        """Whether to compute them now; if not they are owed to who opens them."""
        self._owed = True  # first: who opens them while it is asked must find them owed
        self._owed = not self._are_open()
        return not self._owed

    @property
    def are_owed(self) -> bool:
        """Whether they were put off, and somebody has opened them since."""
        return self._owed and self._are_open()

    def _are_open(self) -> bool:
        pages = self._audience().pages
        # without any page it is a script that wants them: a view out of sight computes nothing
        return not pages or not pages.isdisjoint(self._open)


def tracks_value(
    study: LeakageStudy | ReportStudy,
    method: str,
    edited: str,
    source: EditSession | None,
    models: Models,
    table: AttributeTable,
    words: Words,
    stale: Callable[[], bool],
) -> dict[str, Any] | None:
    """Return the trajectories of an edit, as the page takes them; None where it was left.

    Parameters
    ----------
    study, method
        Whose faces where many are followed, and whose edits.
    edited : str
        The attribute; a ValueError where it is none of ``table``.
    source : EditSession or None
        Whose face is followed; None: faces of the study.
    models, table, words
        What draws and edits, the attributes that may be shown, the language.
    stale : callable
        Whether to leave it; asked often.
    """
    if edited not in table:
        raise ValueError(f"attribute {edited!r} is not shown; allowed: those that are")
    ws, label = followed_faces(source, models, study.protocol, words)
    known = study.report["sources"] if isinstance(study, ReportStudy) else {}
    found = measure_trajectories(models, known.get(method, method), edited, ws, stale=stale)
    return None if found is None else trajectory_value(found, label, models.table.names, table)
