"""InterpolationView: a walk between faces, frame by frame, with the judges' curves under it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor

from l2l_widgets.images import grid
from l2l_widgets.latents import layer_groups
from l2l_widgets.latest_wins import InTurn
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.session.states import Edit, SessionState, tensor_key
from l2l_widgets.walks.interpolation import Interpolator
from l2l_widgets.walks.walk import CURVES, KINDS, REACH, SPACES, Strip, Walk
from l2l_widgets.widgets.bridge import (
    PSI_SLIDER,
    SEED_MAX,
    abilities_value,
    picture_value,
    schema_value,
)
from l2l_widgets.widgets.face_view import REST, REST_OF_SLIDER, FaceView
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.taking_home import save_strip
from l2l_widgets.widgets.words import Words

_log = logging.getLogger(__name__)
#: Seconds after which the frames that are there are shown, where a walk takes long to draw.
SHOW_EVERY = 0.25
#: What the page offers; longer walks are for files, from Python or the command line.
FRAME_CHOICES = (5, 7, 9, 11, 13)
FORMATS = ("png", "gif", "mp4")
#: Frames of a saved film: what looks like a motion.
FILM_FRAMES = 48
#: Seconds that a file waits for a walk that is being drawn; then the one that is up is written.
DRAWN_BY_THEN = 60.0
#: Attributes in the table of the still.
STILL_ROWS = 8
FIELDS = (
    "first", "second", "via", "kind", "space", "curve", "rows", "frames", "attribute", "span",
    "method", "truncation_psi",
)  # fmt: skip


class InterpolationView(FaceView):
    """A walk between two faces, in Z, W or W+, of one attribute, or of the identity alone.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        Whose face is the first; a face that is loaded elsewhere becomes the first. None loads the
        embedded models.
    second : int or Tensor, shape (num_ws, w_dim)
        The other face.
    hide : iterable of str
        Attributes without a curve.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.
    folder : path, optional
        Where Save writes; the kernel's working folder if not given.
    **fields
        Further fields of :class:`l2l_widgets.walks.interpolation.Walk`.

    Attributes
    ----------
    strip : Strip or None
        The frames that are up, with curves as soon as they are measured.

    Raises
    ------
    ValueError
        ``hide`` names no attribute, or a field is impossible.

    Examples
    --------
    >>> from l2l_widgets import InterpolationView, load
    >>> InterpolationView(load(), second=8)  # doctest: +SKIP
    """

    _esm = scripted(
        "faces", "shared/choices.js", "walk_curves.js", "walk_bar.js", "interpolation_view.js",
    )  # fmt: skip
    _css = themed("l2l-walk", "faces", "views.css", "interpolation_view.css")

    settings = traitlets.Dict(help="what is asked for").tag(sync=True)
    frames = traitlets.Dict(help="pictures, as far as they are drawn").tag(sync=True)
    curves = traitlets.Dict(help="readings of every frame, and what they say").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None = None,
        second: int | Tensor = 8,
        *,
        hide: Iterable[str] = (),
        language: str | None = None,
        folder: str | Path | None = None,
        **fields: Any,
    ) -> None:
        self._hide = tuple(hide)
        self._words = Words.of(language)
        self._stamp = 0
        self._undrawn = ""  # why the newest strip could not be drawn
        self.strip: Strip | None = None
        super().__init__(source, folder, language=language)
        for name in self._hide:  # only here: other models may lack what is hidden anyway
            self.face.models.table.index(name)
        self._unsaved: list[str] = []  # endings of the files that are asked for, in order
        self._files = InTurn(self._save, name=f"l2l-{self._name}-files")
        self._take_models()
        state = self.face.state
        self._values: dict[str, Any] = {
            "first": state.seed if state.w is None else state.w[0],
            "second": second,
            "via": (),
            "kind": "latent",
            "space": "w" if state.w is None else "w+",
            "curve": None,
            "rows": "all",
            "frames": 9,
            "attribute": self._usual_attribute(),
            "span": None,
            "method": None,
            "truncation_psi": state.truncation_psi,
            "noise_mode": state.noise_mode,
        }
        self._values.update(self._sound(fields))
        self._walker.check(self.walk)
        self._send_settings()
        self._ask()

    # -- from Python -------------------------------------------------------------------------------

    @property
    def walk(self) -> Walk:
        """What is asked for now."""
        with self._lock:
            values = dict(self._values)
        first, second, via = (values.pop(name) for name in ("first", "second", "via"))
        kind = values["kind"]
        if kind != "attribute":
            values |= {"attribute": "", "span": None}
        else:
            values |= {"space": "w"}
        if kind == "latent":
            values["method"] = None
        faces = (first,) if kind == "attribute" else (first, *via, second)
        return Walk(faces, **values)

    def set(self, **fields: Any) -> None:
        """Change what is asked for, as the controls do.

        Parameters
        ----------
        **fields
            ``first``, ``second`` (seeds or latents), ``via`` (those to pass between them, as a
            path drawn on a map) and fields of a walk. A ValueError names the one that is
            impossible; nothing has changed then.
        """
        with self._lock:
            before = self._values
            self._values = {**before, **self._sound(fields)}
            self._fit(fields)
            try:
                self._walker.check(self.walk)
            except Exception:
                self._values = before
                self._send_settings()  # the controls go back to what is up
                raise
            self._stamp += 1
        self._send_settings()
        self._ask()

    def load_frame(self, number: int) -> None:
        """Make a frame (0 is the first) the shared face of all views.

        What an editor made is taken as it is, with nothing else asked of it: of a swept attribute
        the face and its edit, of an identity walk the latent. A frame between two faces is a face
        like any other, and the session's edits stay.
        """
        strip = self.strip
        if strip is None or type(number) is not int or not 0 <= number < len(strip.ws):
            count = 0 if strip is None else len(strip.ws)
            raise ValueError(f"frame is {number!r}; allowed: a whole number below {count}")
        walk, last = strip.walk, len(strip.ws) - 1
        if walk.kind == "attribute":
            self.face.load_state(self._swept_state(strip, number), by=self._name)
            return
        ends = {0: walk.faces[0]}
        if walk.kind == "latent" and walk.rows == "all":
            ends[last] = walk.faces[-1]
        # An end of the walk is its seed, with truncation and all; any other frame is a latent.
        end, noise = ends.get(number), walk.noise_mode
        if isinstance(end, int):
            psi = walk.truncation_psi
            self.face.load(seed=end, truncation_psi=psi, noise_mode=noise, by=self._name)
        else:
            edits = () if walk.kind == "identity" and number else None
            self.face.load(w=strip.ws[number], edits=edits, noise_mode=noise, by=self._name)

    def _swept_state(self, strip: Strip, number: int) -> SessionState:
        """What draws a frame of an attribute walk: its face, and the edit that made the frame."""
        walk, asked = strip.walk, strip.asked()
        assert asked is not None  # a strip has all filled in
        assert walk.method is not None
        target = min(1.0, max(0.0, asked[number]))
        edits = (Edit(walk.method, targets={walk.attribute: target}),)
        (face,) = walk.faces
        state = SessionState(None, walk.truncation_psi, edits, walk.noise_mode)
        if isinstance(face, Tensor):
            state = replace(state, w=face[None], w_key=tensor_key(face[None]))
        else:
            state = replace(state, seed=face)
        return self.face.faithful(state, strip.ws[number : number + 1])

    def close(self) -> None:
        """Take the view out of the page; the shared face lives on."""
        if hasattr(self, "_files"):
            self._files.finish()  # somebody clicked for each of them
        super().close()

    # -- state -------------------------------------------------------------------------------------

    def _take_models(self) -> None:
        models = self.face.models
        self._walker = Interpolator(models)
        visible = visible_table(models.table, (n for n in self._hide if n in models.table))
        self._table = self._words.translate(visible)
        methods = models.available_editors if models.has("regressor") else ()
        num_ws = models.generator.num_ws
        groups = {k: [v.start, v.stop - 1] for k, v in layer_groups(num_ws).items()}
        schema = schema_value(self._table, models, self._words)
        self.schema = {
            "rows": [row for family in schema["families"] for row in family["rows"]],
            "methods": {
                name: [
                    attribute
                    for attribute in abilities_value(self.session, name)["attributes"] or ()
                    if attribute in self._table
                ]
                for name in methods
            },
            "groups": {k: v for k, v in groups.items() if v[1] >= v[0]},
            "num_ws": num_ws,
            "kinds": list(KINDS) if methods else ["latent"],
            "spaces": list(SPACES),
            "curves": list(CURVES),
            "frames": list(FRAME_CHOICES),
            "formats": list(FORMATS),
            "psi": {"low": PSI_SLIDER[0], "high": PSI_SLIDER[1]},
            "seed_max": SEED_MAX,
            "models": models.name,
        }

    def _usual_attribute(self) -> str:
        return "smile" if "smile" in self._table else self._table.names[0]

    def _sound(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        for name in fields:
            if name not in FIELDS:
                raise ValueError(f"field {name!r} is unknown; known: {', '.join(FIELDS)}")
        out = dict(fields)
        for name in ("span", "via"):
            if isinstance(out.get(name), list):
                out[name] = tuple(out[name])
        if not isinstance(out.get("via", ()), tuple):
            raise ValueError(f"via is {out['via']!r}; allowed: a list of seeds or latents")
        return out

    def _fit(self, fields: Mapping[str, Any]) -> None:
        """What one choice means for the others, so that no click leads into a refusal."""
        values = self._values
        if "space" in fields and "curve" not in fields:
            values["curve"] = None
        if values["kind"] == "identity" and values["space"] == "z":
            values["space"], values["curve"] = "w", None
        if values["kind"] != "latent":
            values["rows"] = "all"
        if "rows" in fields and values["rows"] != "all":
            values["space"] = "w+"
            values["curve"] = values["curve"] if "curve" in fields else None
        elif values["space"] != "w+":
            values["rows"] = "all"
        if {"attribute", "method", "kind", "first"} & set(fields) and "span" not in fields:
            values["span"] = REACH if values["span"] == REACH else None

    def _send_settings(self) -> None:
        walk = self.walk
        with self._lock:
            values = dict(self._values)
        values["via"] = len(values["via"])
        for name in ("first", "second"):
            values[name] = None if isinstance(values[name], Tensor) else values[name]
        strip = self.strip
        span = values["span"]
        extent = "kept" if span is None else REACH if span == REACH else ""
        span = None if extent else span
        if extent and strip is not None and walk.kind == strip.walk.kind == "attribute":
            same = strip.walk.attribute == walk.attribute
            span = strip.walk.span if same else None
        self.settings = {
            **values,
            "curve": walk.curve,
            "span": None if span is None else list(span),
            "extent": extent,
            "method": values["method"] or next(iter(self.schema["methods"]), None),
            "stamp": self._stamp,
        }

    # -- from the page -----------------------------------------------------------------------------

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "set":
            self.set(**message["fields"])
        elif kind == "swap":
            with self._lock:
                first, second = self._values["second"], self._values["first"]
            self.set(first=first, second=second)
        elif kind == "load":
            self.load_frame(message["frame"])
        elif kind == "save":
            ending = message["format"]
            if ending not in FORMATS:
                raise ValueError(f"format is {ending!r}; allowed: {', '.join(FORMATS)}")
            with self._lock:
                self._unsaved.append(ending)
                self._say(saving=", ".join(self._unsaved))
            being_drawn = not self._worker.drain(0)
            self._files((self._walker, self.walk, self.strip, being_drawn, ending))
        else:
            raise ValueError(f"{kind!r} is no request of this view")

    def _on_face(self, event: FaceEvent) -> None:
        if event.kind == "models":
            with self._lock:  # in one: a strip that is being drawn shows nothing any more
                self.strip, self.curves = None, {}  # before the page is laid out anew
                self._take_models()
                if event.by == POLICY and self._values["attribute"] not in self._table:
                    self._values |= {"attribute": self._usual_attribute(), "span": None}
        elif event.kind != "face" or event.by == self._name:
            return
        with self._lock:
            same = event.seed is not None and event.seed == self._values["first"]
            self._values["first"] = event.seed if event.w is None else event.w[0]
            if event.w is not None and self._values["space"] != "w+":
                self._values |= {"space": "w+", "curve": None}
            self._values["truncation_psi"] = event.state.truncation_psi
            self._values["noise_mode"] = event.state.noise_mode
            self._values["span"] = REACH if self._values["span"] == REACH else None
            self._stamp += 1
        self._send_settings()
        self._ask(REST_OF_SLIDER if same else REST)

    # -- on the worker -----------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            self._draw()
        except Exception as error:
            self._undrawn = self._line(error)
            self._say(error=self._undrawn)

    def _draw(self) -> None:
        with self._lock:
            walk, stamp, walker = self.walk, self._stamp, self._walker
        pictures: list[dict[str, Any] | None] = [None] * walk.frames
        shown = time.monotonic()

        def on_frame(number: int, image: Tensor) -> None:
            nonlocal shown
            pictures[number] = picture_value(image)
            if time.monotonic() - shown > SHOW_EVERY and number + 1 < len(pictures):
                shown = time.monotonic()
                self.frames = {"stamp": stamp, "pictures": list(pictures), "done": False}

        strip = walker.draw(walk, self._stale, on_frame)
        if strip is None:
            return
        with self._lock, self.hold_sync():
            if walker is not self._walker:
                return  # other models, or other attributes that may be shown
            self.strip = strip
            # only that: what was refused, or saved, while this was drawn has not been read yet
            if self._undrawn and self.notice.get("error") == self._undrawn:
                self.notice = {**self.notice, "error": None}
            self._undrawn = ""
            self.frames = {"stamp": stamp, "pictures": pictures, "done": True}
            if walk.kind == "attribute":
                self._send_settings()
        measured = walker.measure(strip, self._stale)
        if measured is None:
            return
        with self._lock:
            if walker is not self._walker:
                return
            self.strip = measured
            self.curves = {"stamp": stamp, **self._curves_value(measured)}
        self._show_still()

    def _curves_value(self, strip: Strip) -> dict[str, Any]:
        curves = strip.curves
        assert curves is not None
        shown = [n for n in curves.ranked() if n in self._table]
        kept = {"first": curves.kept("first"), "last": curves.kept("last")}
        return {
            "attributes": {n: [round(v, 4) for v in curves.of(n)] for n in shown},
            "ranked": shown,
            "identity": {k: [round(x, 4) for x in v] for k, v in kept.items() if v is not None},
            "asked": strip.asked(),
            "sentences": [self._words.said(line) for line in strip.sentences(self._table)],
            "judges": list(curves.judges.values()),
            "steps": [round(v, 5) for v in curves.steps],
        }

    def _save(self, job: tuple[Interpolator, Walk, Strip | None, bool, str]) -> None:
        """Write the walk that is up; where another is just being drawn, that one once it is up."""
        walker, walk, strip, being_drawn, ending = job
        try:
            if being_drawn and self._worker.drain(DRAWN_BY_THEN):
                strip = self.strip or strip  # the old one again, where the other was refused
            if strip is not None:
                walk = strip.walk
            if ending != "png":  # a film wants more frames than a strip: the same walk, drawn finer
                strip = walker.draw(replace(walk, frames=FILM_FRAMES), self._files.stale)
            elif strip is None:
                strip = walker.draw(walk, self._files.stale)
            if strip is None:  # Python ends
                _log.warning("%s: the %s was not written", self._name, ending)
                return
            seconds = None if ending == "png" else FILM_FRAMES / 16
            self._say_file(save_strip(walker.models, strip, self._folder, ending, seconds))
        except Exception as error:
            self._say_file({"error": self._line(error)})

    def _say_file(self, told: Mapping[str, Any]) -> None:
        """Say what became of a file, and which is written next; what another one lacked stays."""
        with self._lock:
            self._unsaved = self._unsaved[1:]
            lines = (self.notice.get("error"), told.get("error"))
            error = "; ".join(dict.fromkeys(line for line in lines if line)) or None
            next_ones = {"saving": ", ".join(self._unsaved)} if self._unsaved else {}
            self._say(**{**told, "error": error, **next_ones})

    # -- without a front end -----------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        self.wait(1)  # most machines have the first strip by then; the still is filled in later
        super()._ipython_display_()

    def _about(self) -> str:
        walk = self.walk
        say, table = self._words, self._table
        names = [str(f) if isinstance(f, int) else say("a_latent") for f in walk.faces]
        what = say("faces_from_to", names=f" {say('to_small')} ".join(names))
        if walk.kind == "attribute":
            label = table[walk.attribute].label if walk.attribute in table else walk.attribute
            what = say("walk_of_attribute", attribute=label, face=names[0])
        return say("about_walk", what=what)

    def _without_still(self) -> str:
        return self._words("still_walk_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        strip = self.strip
        if strip is None:
            return None
        picture = grid(strip.images, min(len(strip.images), 12), gap=1)
        picture = torch.nn.functional.interpolate(picture[None], scale_factor=1.5, mode="bicubic")[
            0
        ]
        head = ["", *(self._words("frame_number", number=i + 1) for i in range(len(strip.t)))]
        sentences = " ".join(map(self._words.said, strip.sentences(self._table)))
        words = f"{self._about()}. {sentences}".strip()
        rows = []
        if strip.curves is not None:
            for name in [n for n in strip.curves.ranked() if n in self._table][:STILL_ROWS]:
                row = self._table[name]
                values = [row.value_text(v) for v in strip.curves.of(name)]
                rows.append([row.label, *values])
            swept = strip.walk.kind == "attribute"
            for end in ("first",) if swept else ("first", "last"):
                kept = strip.curves.kept(end)
                if kept is not None:
                    shares = (f"{100 * v:.0f}\u202f%" for v in kept)
                    rows.append([self._words("kept_face" if swept else f"kept_{end}"), *shares])
        return Still(picture, words, head, rows)
