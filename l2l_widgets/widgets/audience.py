"""Who looks at a view: the one place that decides whether anybody does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

#: Seconds after which a page that no longer says that it shows the view is taken for closed; a page
#: that shows it says so twice a minute. A tab that crashed, or a reloaded page, never says goodbye.
FORGET_AFTER = 120.0


def page_may_come() -> bool:
    """Whether a page shows what the cell displays that runs now.

    JupyterLab, Notebook and VS Code say which cell of the page it is, and Voila, which serves its
    page while the cells run, says that it is Voila; what executes a notebook without a page
    (nbconvert, papermill) says neither.
    """
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila/"):
        return True
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    parent = {} if kernel is None else kernel.get_parent() or {}
    return bool((parent.get("metadata") or {}).get("cellId"))


class Audience:
    """The pages that show a view, and the scripts that wait for it. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shown: dict[str, float] = {}  # page -> when it last said that it shows the view
        self._met = False  # whether any page was ever heard of
        self._waiting = 0  # scripts: several threads may wait for one view

    def hear(self, page: str, shows: bool) -> None:
        """Take what a page says of itself."""
        with self._changed:
            self._met = True
            if shows:
                self._shown[page] = time.monotonic()
            else:
                self._shown.pop(page, None)
            self._changed.notify_all()

    def wait_for(self, question: Callable[[], bool]) -> None:
        """Wait until a question is answered with yes.

        It is asked whenever a page is heard of, and at each :meth:`wake`.
        """
        with self._changed:
            self._changed.wait_for(question)

    def wait_begins(self, more: int = 1) -> None:
        """Count in somebody who waits for the view in Python, seen or not."""
        with self._changed:
            self._waiting += more
            self._changed.notify_all()

    def wait_ends(self) -> None:
        """Count out one who has waited."""
        self.wait_begins(-1)

    def wake(self) -> None:
        """Have whoever waits ask again, as something else has changed than who looks."""
        with self._changed:
            self._changed.notify_all()

    @property
    def pages(self) -> set[str]:
        """The pages that show the view now."""
        oldest = time.monotonic() - FORGET_AFTER
        with self._changed:
            return {page for page, said in self._shown.items() if said > oldest}

    @property
    def is_there(self) -> bool:
        """Whether a page shows the view now."""
        return bool(self.pages)

    @property
    def was_met(self) -> bool:
        """Whether a page was ever there: a script never has any."""
        return self._met

    @property
    def has_left(self) -> bool:
        """Whether pages were there, none shows the view now, and nobody waits for it."""
        with self._changed:
            return self._met and not self._waiting and not self.is_there
