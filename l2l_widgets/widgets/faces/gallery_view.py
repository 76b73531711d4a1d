"""Gallery: seeds in pages, found by what their faces look like; a click loads one everywhere."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor

from l2l_widgets.face_filter import Condition, FaceFilter, is_understood, parse_filter
from l2l_widgets.images import from_uint8, grid
from l2l_widgets.latents import z_from_seed
from l2l_widgets.many.search import LIMIT, FaceSearch, Found, Progress
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.widgets.bridge import SEED_MAX, picture_value, schema_value
from l2l_widgets.widgets.face_view import REST_OF_SLIDER, FaceView
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.words import Words

#: Faces on a page: three rows of eight, all visible on a small projector.
PAGE = 24
#: Seconds between two messages of a running search.
TELL_EVERY = 0.2
#: Searches kept, one a truncation: going back to one finds what it had read.
MAX_SEARCHES = 3


class Gallery(FaceView):
    """Seeds in pages; a filter leaves those that look as it says.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        Who hears of a click. None loads the embedded models.
    filter : str
        What to look for, as in :mod:`l2l_widgets.face_filter`; empty for every face.
    page_size : int
        Faces on a page, 1 to 200.
    hide : iterable of str
        Attributes that the filter does not know.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.
    folder : path, optional
        Where Save writes; the kernel's working folder if not given.

    Attributes
    ----------
    found : Found or None
        What the last search found for this page.

    Raises
    ------
    ValueError
        A filter that is not understood, an attribute or a page size that is none.

    Examples
    --------
    >>> from l2l_widgets import Gallery, load
    >>> Gallery(load(), filter="smiling, no glasses, over 60")  # doctest: +SKIP
    """

    _esm = scripted(
        "faces", "shared/choices.js", "shared/taking.js", "filter_chips.js", "gallery_view.js",
    )  # fmt: skip
    _css = themed("l2l-gallery", "faces", "shared/taking.css", "views.css", "gallery_view.css")

    settings = traitlets.Dict(help="filter as text and as conditions, page, first seed").tag(
        sync=True
    )
    page = traitlets.Dict(help="faces of the page, and how far the search is").tag(sync=True)
    loaded = traitlets.Dict(help="the seed that is loaded").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None = None,
        filter: str = "",
        *,
        page_size: int = PAGE,
        hide: Iterable[str] = (),
        language: str | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if type(page_size) is not int or not 1 <= page_size <= 200:
            raise ValueError(f"page_size is {page_size!r}; allowed: a whole number from 1 to 200")
        self._hide = tuple(hide)
        self._words = Words.of(language)
        self._size = page_size
        self._number = 0  # of the page
        self._first = 0
        self._stamp = 0
        self._stopped = False
        self.found: Found | None = None
        self._searches: OrderedDict[tuple[Any, ...], FaceSearch] = OrderedDict()
        super().__init__(source, folder, language=language)
        for name in self._hide:  # only here: other models may lack what is hidden anyway
            self.face.models.table.index(name)
        self._take_models()
        self._text = filter
        self._filter = parse_filter(self._words.asked(filter), self._table)
        state = self.face.state
        self._psi, self._noise = state.truncation_psi, state.noise_mode
        self.loaded = {"seed": None if state.w is not None else state.seed}
        self._send_settings()
        self._ask()

    # -- from Python -------------------------------------------------------------------------------

    @property
    def filter(self) -> FaceFilter:
        """What is looked for."""
        return self._filter

    def search(self, text: str) -> None:
        """Look for something else, from page one on; ValueError where it is not understood."""
        self._take_filter(parse_filter(self._words.asked(text), self._table), text)

    def show_page(self, number: int) -> None:
        """Show a page; 0 is the first."""
        if type(number) is not int or not 0 <= number <= SEED_MAX // self._size:
            raise ValueError(f"page is {number!r}; allowed: a whole number of at least 0")
        self._number = number
        self._again()

    def start_from(self, seed: int) -> None:
        """Begin with another seed; what lies before it is not looked at."""
        z_from_seed(seed, 1)  # refuses what is no seed
        self._first, self._number = int(seed), 0
        self._again()

    def stop(self) -> None:
        """Stop the search; what it has found stays."""
        self._stopped = True

    # -- state -------------------------------------------------------------------------------------

    def _take_models(self) -> None:
        models = self.face.models
        visible = visible_table(models.table, (n for n in self._hide if n in models.table))
        self._table = self._words.translate(visible)
        self._searches.clear()
        schema = schema_value(self._table, models, self._words)
        reader = "regressor" if models.has("regressor") else "attribute_judge"
        self.schema = {
            "rows": [row for family in schema["families"] for row in family["rows"]],
            "page_size": self._size,
            "limit": LIMIT,
            "seed_max": SEED_MAX,
            "examples": self._examples(),
            "can_filter": models.has(reader),
            "models": models.name,
        }

    def _examples(self) -> list[str]:
        """The language's examples that are understood here: none names what is hidden."""
        texts = [self._words(f"example_{i}") for i in range(1, 5)]
        return [text for text in texts if is_understood(self._words.asked(text), self._table)]

    def _in_words(self, wanted: FaceFilter) -> str:
        """A filter as a line that is understood again when it is typed."""
        return wanted.to_text(self._table).replace(" to ", f" {self._words('to_small')} ")

    def _take_filter(self, wanted: FaceFilter, text: str) -> None:
        with self._lock:
            self._filter, self._text, self._number = wanted, text, 0
        self._again()

    def _again(self, rest: float = 0.0) -> None:
        with self._lock:
            self._stopped = False
            self._stamp += 1
        self._say()
        self._send_settings()
        self._ask(rest)

    def _send_settings(self) -> None:
        self.settings = {
            "text": self._text,
            "canonical": self._in_words(self._filter),
            "conditions": [
                {"name": c.name, "low": round(c.low, 4), "high": round(c.high, 4)}
                for c in self._filter
            ],
            "page": self._number,
            "first": self._first,
            "psi": self._psi,
            "stamp": self._stamp,
        }

    # -- from the page -----------------------------------------------------------------------------

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "filter":
            self.search(message["text"])
        elif kind == "conditions":
            asked = message["conditions"]
            wanted = FaceFilter.of(
                (Condition(c["name"], float(c["low"]), float(c["high"])) for c in asked),
                self._table,
            )
            self._take_filter(wanted, self._in_words(wanted))
        elif kind == "page":
            self.show_page(message["page"])
        elif kind == "first":
            self.start_from(message["seed"])
        elif kind == "load":
            self._load(message["seed"])
        elif kind in ("save", "text"):
            self._take_face(message)
        elif kind == "stop":
            self.stop()
        elif kind == "go on":
            self._again()
        else:
            raise ValueError(f"{kind!r} is no request of this view")

    def _drawn_as(self, seed: Any) -> dict[str, Any] | None:
        """How a face of the page is drawn, which may be behind the session; None if not there."""
        page = self.page
        if seed not in [item["seed"] for item in page.get("items", ())]:
            return None
        return {"truncation_psi": page["psi"], "noise_mode": page["noise"]}

    def _load(self, seed: Any) -> None:
        self.face.load(seed=seed, by=self._name, **(self._drawn_as(seed) or {}))
        self.loaded = {"seed": seed}

    def _take_face(self, message: Mapping[str, Any]) -> None:
        """Take home a face of the page, unedited, as it is shown."""
        seed = message["seed"]
        drawn = self._drawn_as(seed)
        if drawn is None:
            raise ValueError(f"face {seed!r} is not there; allowed: one that is drawn")
        state = SessionState(seed, edits=(Edit(self.face.state.edits[-1].method),), **drawn)
        self._take_home(message, state, self._words("face_number", seed=seed))

    def _on_face(self, event: FaceEvent) -> None:
        self.loaded = {"seed": event.seed}
        state = event.state
        if event.kind == "models":
            with self._lock:  # in one: a search that is under way shows nothing any more
                self.page, self.found = {}, None  # with readings of what may be hidden now
                self._take_models()
            if event.by != POLICY or any(c.name not in self._table for c in self._filter):
                self._text, self._filter = "", FaceFilter()
            self._again()
        elif (state.truncation_psi, state.noise_mode) != (self._psi, self._noise):
            self._psi, self._noise = state.truncation_psi, state.noise_mode
            self._again(REST_OF_SLIDER)

    # -- on the worker -----------------------------------------------------------------------------

    def _search(self) -> FaceSearch:
        key = self._psi, self._noise, self._first
        if key not in self._searches:
            self._searches[key] = FaceSearch(self.face.models, self._psi, self._noise, self._first)
        self._searches.move_to_end(key)
        while len(self._searches) > MAX_SEARCHES:
            self._searches.popitem(last=False)
        return self._searches[key]

    def _serve(self) -> None:
        with self._lock:
            wanted, number, stamp = self._filter, self._number, self._stamp
            search = self._search()
        skip, told = number * self._size, time.monotonic()

        def on_batch(progress: Progress) -> None:
            nonlocal told
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                known = search.find(wanted, self._size, skip=skip, limit=0)
                up = Found(known.seeds, progress, "searching")
                self._send_page(search, wanted, up, stamp, number)

        found = search.find(
            wanted, self._size, skip=skip, on_batch=on_batch,
            stale=lambda: self._stopped or self._stale(),
        )  # fmt: skip
        if found.ended == "stopped" and not self._stopped and not self.is_hidden:
            return  # something newer waits
        if self._send_page(search, wanted, found, stamp, number):
            self._show_still()

    def _send_page(
        self, search: FaceSearch, wanted: FaceFilter, found: Found, stamp: int, number: int
    ) -> bool:
        """Show what was found so far; False where other models, or attributes, came meanwhile."""
        names = [c.name for c in wanted]
        pictures = search.pictures(found.seeds)
        items = []
        for seed, pixels in zip(found.seeds, pictures, strict=True):
            reading = search.reading(seed)
            items.append(
                {
                    "seed": seed,
                    "picture": picture_value(from_uint8(pixels)),
                    "readings": {n: round(reading[n], 3) for n in names if n in reading},
                }
            )
        with self._lock:
            if not any(search is known for known in self._searches.values()):
                return False
            if found.ended != "searching":
                self.found = found
            self.page = {
                "stamp": stamp,
                "items": items,
                "number": number,
                "seen": found.progress.seen,
                "found": found.progress.found,
                "first": search.first,
                "psi": search.truncation_psi,
                "noise": search.noise_mode,
                "ended": found.ended,
                "more": found.ended == "enough",
            }
        return True

    # -- without a front end -----------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        self.wait(1)  # the still is filled in later where this is too short
        super()._ipython_display_()

    def _about(self) -> str:
        shown = self._in_words(self._filter) or self._words("each_face")
        return self._words("about_gallery", filter=shown)

    def _without_still(self) -> str:
        return self._words("still_gallery_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        found = self.found
        if found is None or not found.seeds:
            return None
        search = self._search()
        pictures: list[Tensor] = [from_uint8(p) for p in search.pictures(found.seeds)]
        names = [c.name for c in self._filter]
        rows = []
        for seed in found.seeds:
            reading = search.reading(seed)
            cells = [self._table[n].value_text(reading[n]) for n in names]
            rows.append([str(seed), *cells])
        words = self._words(
            "still_gallery", about=self._about(), found=found.progress.found,
            seen=found.progress.seen,
        )  # fmt: skip
        head = [self._words("head_seed"), *(self._table[n].label for n in names)]
        return Still(grid(torch.stack(pictures), 8, gap=1), words, head, rows)
