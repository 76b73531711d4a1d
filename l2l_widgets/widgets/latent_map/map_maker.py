"""The making of a map, on a thread of its own: opened or drawn, laid out, measured, read.

A map is shown as soon as it has a layout; what it lacks then (how far it can be believed, other
layouts, attributes) is added while a page shows it. One maker makes one map: that of other models
has another maker, and the old one stops at its next step.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.maps.files import open_map
from l2l_widgets.maps.layout import warm_up_quietly
from l2l_widgets.models.zoo import Models
from l2l_widgets.widgets.audience import Audience
from l2l_widgets.widgets.latent_map.map_jobs import WHY_DRAW, WHY_OPEN
from l2l_widgets.widgets.latent_map.map_looking import LAYOUTS
from l2l_widgets.widgets.words import Words

__all__ = ["MapMaker"]

#: Faces of a map that is drawn while somebody waits for it, and thumbnails.
COUNT_NOW = 4000
THUMBNAILS_NOW = 400
#: Seconds between two messages about how far a long job is, and between two colourings.
SAY_EVERY, COLOUR_EVERY = 0.5, 4.0


class MapMaker:
    """What makes one map.

    Parameters
    ----------
    models : Models
        Whose faces.
    source : path or None
        A file of the map; None opens the one beside the models, or draws one.
    code_map : CodeMap or None
        The map, where there is one.
    count : int or None
        Faces of a map that has to be drawn.
    audience : Audience
        Who looks at the map, or waits for it: what it still lacks is added only for who looks.
        Woken when ``closed`` is set.
    words : Words
        The language in which is said how far it is.
    publish : callable
        Gets ``{"progress": {...}}``.
    ready : threading.Event
        Whether the map can be used.
    closed : threading.Event
        Set when the view is gone.
    first : callable
        Gets the map once it has a layout, and what raises InterruptedError once nobody wants it.
    measured : callable
        Gets the key of a layout of which is known now how far it can be believed.
    more : callable
        Called when there is another layout.
    read : callable
        Gets None while faces are read, and the atlas of thumbnails when all have been.
    """

    def __init__(
        self,
        models: Models,
        source: Any,
        code_map: CodeMap | None,
        count: int | None,
        *,
        audience: Audience,
        words: Words,
        publish: Callable[[dict[str, Any]], None],
        ready: threading.Event,
        closed: threading.Event,
        first: Callable[[CodeMap, Callable[[], None]], None],
        measured: Callable[[tuple[str, int]], None],
        more: Callable[[], None],
        read: Callable[[dict[str, Any] | None], None],
    ) -> None:
        self._models, self._source, self._code_map, self._count = models, source, code_map, count
        self._audience, self._words, self._publish = audience, words, publish
        self._ready, self._closed = ready, closed
        self._first, self._measured, self._more, self._read = first, measured, more, read
        self._spoke, self._why = 0.0, WHY_OPEN
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._make, name="l2l-map", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End it at its next step; nothing is shown any more."""
        self._unwanted.set()
        self._audience.wake()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end (seconds; None: for ever)."""
        self._thread.join(timeout)

    def _make(self) -> None:
        try:
            found = self._open()
            self._first(found, self._go_on)
            self._tell("", 1.0)
            self._finish(found)
        except InterruptedError:
            return
        except Exception as error:  # nobody else would say it
            with contextlib.suppress(InterruptedError):  # of a map that nobody waits for any more
                self._tell(str(error) or type(error).__name__, 0.0, error=True)

    def _open(self) -> CodeMap:
        """The map, with a layout at least; not the view's own yet, which may have moved on."""
        self._go_on()
        models, source, found = self._models, self._source, self._code_map
        if found is None and source is not None:
            found = open_map(models, source)
        elif found is None and models.folder is not None:
            # Where no map is shipped, or one of other weights, one is drawn.
            with contextlib.suppress(ValueError):
                found = open_map(models)
        if found is None:
            count = self._count or COUNT_NOW
            self._why = WHY_DRAW.format(count=count)
            self._rest()
            found = CodeMap.draw(models, count, progress=self._step, measure=False)
        if not found.layouts:
            self._rest()
            threading.Thread(target=warm_up_quietly, name="l2l-warm-up", daemon=True).start()
            self._why = WHY_DRAW.format(count=found.count)
            self._tell("laying out the faces", 0.3)
            found.lay_out("w", 0, measure=False)
        return found

    def _finish(self, found: CodeMap) -> None:
        """What a map that was drawn just now still lacks: trust, other layouts, attributes."""
        for key, layout in list(found.layouts.items()):
            if layout.quality is None:
                self._wait_for_a_page()
                self._tell("measuring how far this map can be believed", 0.2)
                found.lay_out(*key)
                self._go_on()
                self._measured(key)
        if found.models.has("regressor") and found.known < found.count:
            self._tell("reading the faces", 0.0)
            began = time.monotonic()

            def progress(text: str, share: float) -> None:
                nonlocal began
                self._wait_for_a_page()
                self._tell(text, share)
                if time.monotonic() - began > COLOUR_EVERY:
                    began = time.monotonic()
                    self._read(None)

            thumbnails = 0 if found.atlas or found.known else min(THUMBNAILS_NOW, found.count)
            found.read(progress, self._stopped, thumbnails=thumbnails)
            self._read(dict(found.atlas))
        seeds = [seed for space, seed in found.layouts if space == "w"]
        if self._source is None and len(seeds) == 1:
            for seed in range(1, LAYOUTS):
                self._wait_for_a_page()
                self._tell(f"map {seed + 1} of {LAYOUTS}", seed / LAYOUTS)
                found.lay_out("w", seed)
                self._go_on()
                self._more()
        self._tell("", 1.0)

    def _wait_for_a_page(self) -> None:
        self._audience.wait_for(lambda: self._audience.is_there or self._stopped())
        self._go_on()

    def _rest(self) -> None:
        """Wait while pages know the map and none shows it; a script, which has none, goes on."""
        self._audience.wait_for(lambda: not self._audience.has_left or self._stopped())
        self._go_on()

    def _step(self, text: str, share: float) -> None:
        self._rest()
        self._tell(text, share)

    def _stopped(self) -> bool:
        """Whether nobody wants this map any more."""
        return self._closed.is_set() or self._unwanted.is_set()

    def _go_on(self) -> None:
        if self._stopped():
            raise InterruptedError("the map was closed")

    def _tell(self, text: str, share: float, error: bool = False) -> None:
        self._go_on()
        now = time.monotonic()
        if text and not error and now - self._spoke < SAY_EVERY and not text.startswith("map "):
            return
        self._spoke = now
        said = self._words.said
        progress = {"text": said(text), "share": share, "why": said(self._why)}
        self._publish({"progress": {**progress, "ready": self._ready.is_set(), "error": error}})
