"""How far the method takes the face that is up, measured while nobody asks for anything.

What an editor says of its reach holds on average; this asks the session for that of the face. It
begins when the page shows the view and has asked for nothing for a while, gives up at whatever is
asked next, and goes on there later. It draws no picture that a view shows, and adds nothing to
results, receipts or the history.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from l2l_widgets.latest_wins import LatestWins

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.states import SessionState

__all__ = ["MeasuredReach", "Spans"]

#: Seconds without a request after which the face is measured; a receipt comes first.
REST = 2.0

#: Attribute -> lowest and highest reading that the method brings.
Spans = dict[str, tuple[float, float]]

_log = logging.getLogger(__name__)


class MeasuredReach:
    """Measures the reach of a session's face for one view.

    Parameters
    ----------
    session : EditSession
        Whose face and method.
    publish : callable
        Gets the state that was measured, the models that it was measured with, and the spans, on a
        thread of its own.
    names : callable
        Gives the attributes that a method can change and the view may show.
    unseen : callable
        Whether nobody sees the view now: nothing is measured then.
    """

    def __init__(
        self,
        session: EditSession,
        publish: Callable[[SessionState, Models, Spans], None],
        names: Callable[[str], Sequence[str]],
        unseen: Callable[[], bool],
    ) -> None:
        self._session, self._publish, self._names = session, publish, names
        self._unseen = unseen
        self._worker = LatestWins(self._measure, name="l2l-reach")
        self.drain, self.close = self._worker.drain, self._worker.close

    def ask(self) -> None:
        """Measure once nothing else is asked for; what is being measured now is given up."""
        if not self._unseen():  # who comes to look asks again
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._worker(None)

    def known(self, state: SessionState) -> Spans:
        """What is known of a state already; nothing is drawn for it."""
        return self._of(state, lambda: True) or {}

    def _measure(self, _: None) -> None:
        session = self._session
        while self._worker.rested(REST) and not self._unseen():
            if not session.drain(0.0):  # a picture or a receipt is on its way
                continue
            models, state, stamp = session.models, session.state, session.stamp
            spans = self._of(state, partial(self._given_up, stamp))
            if spans is not None:
                self._publish(state, models, spans)
                return

    def _given_up(self, stamp: int) -> bool:
        """Whether anything newer is asked for, of this view or of the session, or nobody looks."""
        session = self._session
        busy = session.stamp != stamp or not session.drain(0.0)
        return busy or self._worker.stale() or self._unseen()

    def _of(self, state: SessionState, stale: Callable[[], bool]) -> Spans | None:
        """The reach of a state; None where it was given up, empty where it cannot be measured."""
        try:
            names = self._names(state.edits[-1].method)
            if not names:
                return {}
            return self._session.face_reach(*names, stale=stale, state=state)
        except Exception:  # what is wrong is said where it is asked for; the average stays up
            _log.debug("the reach of a face was not measured", exc_info=True)
            return {}
