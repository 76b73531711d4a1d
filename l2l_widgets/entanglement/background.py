"""A study that goes on in a thread: rows appear as they are ready, and it can be stopped."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from l2l_widgets.entanglement.study import Interrupted, LeakageStudy

#: Seconds between two messages about the faces of a row.
TELL_EVERY = 0.5
STATES = ("ready", "running", "paused", "stopped", "finished", "failed")


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Parameters
    ----------
    state : str
        Of :data:`STATES`; ``paused`` while nobody looks.
    done, total : int
        Rows, over all methods that were asked for.
    doing : str
        What is being measured now.
    faces, faces_total : int
        Faces of that which have been edited and read, of how many; both 0 between two rows.
    seconds_left : float or None
        By the pictures so far; None before the first ones.
    error : str or None
        Why it failed.
    """

    state: str = "ready"
    done: int = 0
    total: int = 0
    doing: str = ""
    faces: int = 0
    faces_total: int = 0
    seconds_left: float | None = None
    error: str | None = None


class BackgroundStudy:
    """Measures the rows of a study one after the other, in a thread.

    Parameters
    ----------
    study : LeakageStudy
        What is measured; rows that it knows cost nothing, so a stopped one goes on.
    methods : sequence of str
        In this order.
    heard : callable
        Gets a :class:`Progress` after every step, on the thread.
    """

    def __init__(
        self, study: LeakageStudy, methods: Sequence[str], heard: Callable[[Progress], None]
    ) -> None:
        self.study, self.methods = study, tuple(methods)
        self.progress = Progress(total=len(methods) * len(study.protocol.attributes))
        self._heard = heard
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pictures, self._seconds = 0, 0.0  # drawn and read so far, and the time that it took
        self._at_work = self._wanted = False  # wanted: start was asked for while it was at work

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work, or waits for somebody to look."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Go on with the rows that are not there; one that is about to stop goes on as well."""
        with self._lock:
            self._stop.clear()
            self._wanted = True
            if self._at_work:
                return
            self._at_work = True
            self._thread = threading.Thread(target=self._run, name="l2l-leakage", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the pictures that it is drawing; whole rows are kept, a part of one is not."""
        self._stop.set()
        self._go.set()

    def pause(self, paused: bool) -> None:
        """Rest while nobody looks, within a row as well, and go on there when somebody does."""
        (self._go.clear if paused else self._go.set)()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end (seconds; None: for ever); whether it came."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_running

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._at_work = False
                    return
                self._wanted = False
            self._run_once()

    def _run_once(self) -> None:
        try:
            ended = self._measure()
            self._tell(state="finished" if ended else "stopped", doing="", seconds_left=None)
        except Exception as error:  # errors are data: the line stands in the view
            line = " ".join(str(error).split()) or type(error).__name__
            self._tell(state="failed", doing="", seconds_left=None, error=line)

    def _measure(self) -> bool:
        some = False
        while True:
            # asked anew each time: who looks may have chosen other methods meanwhile
            work = [(m, n) for n in self.study.protocol.attributes for m in self.methods]
            left = [(m, n) for m, n in work if not self.study.measured(m, n)]
            done = len(work) - len(left)
            self._tell(state="running", done=done, total=len(work), seconds_left=self._left())
            # after the first row, so that there are numbers to look at meanwhile
            if some and not self.study.knows_chance and not self._chance():
                return False
            if not left:
                return self.study.knows_chance or self._chance()
            if not self._may_go_on():
                return False
            method, name = left[0]
            faces, study = self.study.protocol.faces, self.study
            with self._counting(f"{method}: {name}", faces, study.pictures_of_row) as heard:
                study.draw_faces(self._leave)
                study.measure(method, name, heard)
                some = True

    def _chance(self) -> bool:
        study, words = self.study, "random edits, the zero of the matrix"
        while self._may_go_on():
            with self._counting(words, study.chance, study.pictures_of_chance) as heard:
                study.draw_faces(self._leave)
                study.measure_chance(heard)
                return True
        return False

    @contextlib.contextmanager
    def _counting(self, doing: str, faces: int, pictures: int) -> Iterator[Callable[[int], None]]:
        """Say what is done now, how many faces of it are, and how long the rest will take.

        What is left in the midst of it ends here: who asks next finds that it is not there.
        """
        began = told = time.monotonic()
        seen = 0

        def heard(count: int) -> None:
            nonlocal seen, told, began
            seen += count
            if self._stop.is_set() or not self._go.is_set():
                since = time.monotonic()
                if not self._may_go_on():
                    raise Interrupted
                began += time.monotonic() - since  # a rest is no work
            elif time.monotonic() - told < TELL_EVERY:
                return
            told = time.monotonic()
            here = min(faces, faces * seen // pictures)
            self._tell(
                state="running", doing=doing, faces=here, faces_total=faces,
                seconds_left=self._left(seen, told - began),
            )  # fmt: skip

        self._tell(state="running", doing=doing, faces=0, faces_total=faces)
        try:
            yield heard
        except Interrupted:
            pass
        finally:
            self._pictures += seen
            self._seconds += time.monotonic() - began
            self._tell(state="running", faces=0, faces_total=0)

    def _left(self, seen: int = 0, seconds: float = 0.0) -> float | None:
        """Seconds until the end, with what is done now on top; None while nothing is known."""
        study = self.study
        pictures, took = self._pictures + seen, self._seconds + seconds
        if pictures == 0 or took == 0:
            return None
        rows = [(m, n) for n in study.protocol.attributes for m in self.methods]
        left = sum(not study.measured(m, n) for m, n in rows) * study.pictures_of_row
        left += 0 if study.knows_chance else study.pictures_of_chance
        return max(0, left - seen) * took / pictures

    def _leave(self, count: int) -> None:
        """Leave the unedited faces, which others may wait for, where nobody looks."""
        if self._stop.is_set() or not self._go.is_set():
            raise Interrupted

    def _may_go_on(self) -> bool:
        if not self._go.is_set() and not self._stop.is_set():
            self._tell(state="paused", doing="")
            self._go.wait()
        return not self._stop.is_set()

    def _tell(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]
        self._heard(self.progress)
