"""What an explorer shows before anybody has asked it to measure: a small study of its own.

It begins when a page first shows the view, or when the view is displayed where no page will come,
rests while none of its pages shows it, and ends for good when the planned study has begun. Its rows
are of fewer faces, which the stamp under them says; of one session's models they are measured once,
however many explorers are opened.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace

from l2l_widgets.entanglement import BackgroundStudy, LeakageStudy, Progress

__all__ = ["FirstLook"]

#: Of a first look at most: faces, random edits, and attributes that are edited.
FACES, CHANCE, ROWS = 8, 8, 8
#: Seconds that a display waits for it where no page will come to show it.
ALONE = 20.0
#: Pictures drawn at a time: a slider that is dragged meanwhile waits for no more.
BATCH = 8

#: Studies that a view still holds, by their models: what one has measured the next one takes.
_STUDIES: weakref.WeakValueDictionary[int, LeakageStudy] = weakref.WeakValueDictionary()


class FirstLook:
    """A small study beside the one that is planned.

    Parameters
    ----------
    heard : callable
        Gets whether there is more to be shown, after every step and on its thread.

    Attributes
    ----------
    progress : Progress
        How far it is.
    """

    def __init__(self, heard: Callable[[bool], None]) -> None:
        self._heard = heard
        self.progress = Progress()
        self._study: LeakageStudy | None = None
        self._work: BackgroundStudy | None = None
        self._turn = 0  # what an ended measurement still says is not heard

    def begin(self, plan: LeakageStudy, method: str) -> None:
        """Measure a little of a method, where nothing of the plan is known of it."""
        if not method or _knows(plan, method):
            return
        study = self._study = self._made_for(plan)
        if self._work is not None and self._work.study is study and method in self._work.methods:
            self._work.pause(False)
            return
        self.stop()
        self._work = BackgroundStudy(study, (method,), self._hears(self._turn))
        self._work.start()

    def rest(self) -> None:
        """Rest after the pictures that it is drawing: nobody looks."""
        if self._work is not None:
            self._work.pause(True)

    def stop(self) -> None:
        """Stop after the pictures that it is drawing; rows that are whole can still be shown."""
        if self._work is not None:
            self._work.stop()
        self._work, self._turn, self.progress = None, self._turn + 1, Progress()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end (seconds; None: for ever); whether it came."""
        work = self._work
        return work is None or work.wait(timeout)

    def drain(self, timeout: float) -> bool:
        """As :meth:`wait`, for who waits for several workers."""
        return self.wait(timeout)

    def instead_of(self, plan: LeakageStudy, method: str) -> LeakageStudy | None:
        """The study that knows something of a method of which the plan knows nothing yet."""
        study = self._study
        if study is None or study.models is not plan.models or _knows(plan, method):
            return None
        return study if _knows(study, method) else None

    def _made_for(self, plan: LeakageStudy) -> LeakageStudy:
        """The study of a plan: the one that there is, or another with its rows."""
        asked = plan.protocol
        protocol = replace(
            asked, attributes=asked.attributes[:ROWS], faces=min(FACES, asked.faces), batch=BATCH
        )
        chance = min(CHANCE, plan.chance)
        known = _STUDIES.get(id(plan.models))
        if known is not None and (known.models, known.chance) != (plan.models, chance):
            known = None
        if known is not None and known.protocol == protocol:
            return known
        study = LeakageStudy(plan.models, protocol, chance=chance)
        if (
            known is not None
            and replace(known.protocol, attributes=protocol.attributes) == protocol
        ):
            study.take_over(known)
        _STUDIES[id(plan.models)] = study
        return study

    def _hears(self, turn: int) -> Callable[[Progress], None]:
        def heard(progress: Progress) -> None:
            if turn != self._turn:
                return
            some = progress.done != self.progress.done or progress.state == "finished"
            self.progress = progress
            self._heard(some)

        return heard


def _knows(study: LeakageStudy, method: str) -> bool:
    return any(study.measured(method, name) for name in study.protocol.attributes)
