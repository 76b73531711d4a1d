"""Looking at all faces of a map, so that new faces have a place on what is seen in them.

A saved map holds where its faces lie, not what embedder and judge saw in them: a file of that would
be ten times as large. On the map of W a new face needs no look, on the others it takes one at every
face, once in a kernel: minutes, in the background, and only while a page shows the map.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.widgets.audience import Audience

__all__ = ["Looking"]

#: Seconds between two messages about how far it is.
SAY_EVERY = 0.5
#: Maps of one space that there are at last; a file may hold fewer.
LAYOUTS = 5


class Looking:
    """One look at a time, on a thread of its own.

    Parameters
    ----------
    audience : Audience
        Who looks at the map.
    publish : callable
        Gets ``{"looking": {"space": ..., "share": ...}}``, and an empty one at the end.
    ended : callable
        Gets the space and, where it did not come to its end, why ("" where it was stopped); None
        where all faces have been looked at.
    shown : callable
        Called whenever one more map of a space has been laid out.
    """

    def __init__(
        self,
        audience: Audience,
        publish: Callable[[dict[str, Any]], None],
        ended: Callable[[str, str | None], None],
        shown: Callable[[], None],
    ) -> None:
        self._audience, self._publish, self._ended = audience, publish, ended
        self._shown = shown
        self._closed = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def take(self, on: bool, code_map: CodeMap, space: str) -> None:
        """Begin or stop, as somebody wishes who sees the map."""
        if on:
            self.begin(code_map, space)
        else:
            self.stop()

    def begin(self, code_map: CodeMap, space: str) -> None:
        """Look at all faces for one space; what is looked at already goes on."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                if not self._stop.is_set():
                    return
                self._thread.join()
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(code_map, space, self._stop), name="l2l-look", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End it after the faces that it is at; what it saw is forgotten."""
        self._stop.set()
        self._audience.wake()

    def close(self) -> None:
        """End it, and whatever it has begun besides."""
        self._closed.set()
        self._closed = threading.Event()  # for the next models
        self.stop()

    def _run(self, code_map: CodeMap, space: str, stop: threading.Event) -> None:
        said = 0.0

        def progress(text: str, share: float) -> None:
            nonlocal said
            self._wait_for_a_page(stop)
            if time.monotonic() - said > SAY_EVERY and not stop.is_set():
                said = time.monotonic()
                self._publish({"looking": {"space": space, "share": share}})

        why: str | None = ""
        try:
            code_map.features(space, progress, stop.is_set)
            why = None
        except InterruptedError:
            pass
        except Exception as error:  # a judge of somebody else's may raise anything
            why = str(error) or type(error).__name__
        self._publish({"looking": {}})
        self._ended(space, why)
        if why is None:  # what has been seen is enough for the other maps as well
            more = (code_map, space, self._closed)
            threading.Thread(
                target=self._lay_out_more, args=more, name="l2l-more-maps", daemon=True
            ).start()

    def _wait_for_a_page(self, ended: threading.Event) -> None:
        self._audience.wait_for(lambda: self._audience.is_there or ended.is_set())

    def _lay_out_more(self, code_map: CodeMap, space: str, closed: threading.Event) -> None:
        for seed in range(LAYOUTS):
            self._wait_for_a_page(closed)
            if closed.is_set():
                return
            if (space, seed) not in code_map.layouts:
                try:
                    code_map.lay_out(space, seed)
                except Exception as error:  # as above
                    self._ended(space, str(error) or type(error).__name__)
                    return
                if not closed.is_set():
                    self._shown()
