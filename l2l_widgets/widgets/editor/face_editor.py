"""FaceEditor: drag a slider, see the face change, and see what else moved.

A view of an `EditSession`: it draws what the session gives and passes on what the user asks. The
drawing itself is in ``static/``: plain JavaScript and CSS, one file a part, nothing from a network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.face_reach import reach_key
from l2l_widgets.session.receipt import change_text
from l2l_widgets.session.shared_face import FaceEvent, SharedFace
from l2l_widgets.session.states import SessionState
from l2l_widgets.widgets.bridge import SessionBridge, schema_value
from l2l_widgets.widgets.editor.many_faces import ManyFaces
from l2l_widgets.widgets.editor.measured_reach import MeasuredReach, Spans
from l2l_widgets.widgets.editor.panels import Panels
from l2l_widgets.widgets.face_view import FaceView, shared
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed

#: Width of the still pair on the page, in CSS pixels, and rows of its table.
WIDTH, STILL_ROWS = 516, 8


class FaceEditor(FaceView):
    """Before and after, sliders in the units of the attributes, and the receipt.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        What to edit with. Several editors may share one session: they show the same face. None
        loads the embedded models.
    hide : iterable of str
        Attributes without a slider and without a bar. They still exist for the models; to hide
        them everywhere at once, see :mod:`l2l_widgets.policy`.
    folder : path, optional
        Where Save, presets and batches write; the kernel's working folder, beside the notebook, if
        not given.
    language : str, optional
        Of every word on the page: "en", "de"; that of ``L2L_LANGUAGE``, or English, if not given.
    measure_reach : bool
        Whether the hatched parts of the sliders become those of the face that is up, measured while
        the page shows the editor and nobody asks for anything: two small pictures an attribute.
        Otherwise they stay what the method reaches on average over faces.

    Attributes
    ----------
    session : EditSession
        What holds the state; change it from Python, then call :meth:`refresh`.
    face : SharedFace
        What this editor shares with the other views of the session.

    Raises
    ------
    ValueError
        ``hide`` names an attribute that does not exist, the language is not there, or the models
        cannot be loaded.

    Examples
    --------
    >>> from l2l_widgets import FaceEditor, load
    >>> FaceEditor(load())  # doctest: +SKIP
    """

    _esm = scripted(
        "editor", "shared/taking.js", "controls.js", "receipt.js", "scope.js", "history.js",
        "panels.js", "pair.js", "many.js", "face_editor.js",
    )  # fmt: skip
    _css = themed(
        "l2l-face-editor", "editor", "shared/pictures.css", "shared/taking.css", "controls.css",
        "face_editor.css", "receipt.css", "panels.css", "pair.css",
    )  # fmt: skip

    # All of them go from the kernel to the page; the page answers with messages, which are not
    # echoed and not held back while the kernel is busy.
    abilities = traitlets.Dict(help="what the method can change, and how far").tag(sync=True)
    settings = traitlets.Dict(help="seed, truncation, targets, readings, undo").tag(sync=True)
    before = traitlets.Dict(help="picture of the unedited face").tag(sync=True)
    after = traitlets.Dict(help="picture of the edited face, error, seconds").tag(sync=True)
    receipt = traitlets.Dict(help="what moved").tag(sync=True)
    many = traitlets.Dict(help="how far a batch is").tag(sync=True)
    reach = traitlets.Dict(help="how far the method takes this face, as measured").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None = None,
        *,
        hide: Iterable[str] = (),
        folder: str | Path | None = None,
        language: str | None = None,
        measure_reach: bool = True,
        **kwargs: Any,
    ) -> None:
        self._hide = tuple(hide)
        face = shared(source)
        visible_table(face.models.table, self._hide)  # refused before there is a view
        super().__init__(face, folder, language=language, **kwargs)
        table = self._table()
        self.schema = schema_value(table, face.models, self._words)
        session, target = self.session, self._folder
        self._reach_turn = threading.RLock()  # of what decides which reach is up
        self._reach = MeasuredReach(
            session, self._show_measured, self._changeable,
            lambda: not (measure_reach and self.audience.is_there),
        )  # fmt: skip
        self._bridge = SessionBridge(
            session, self._show, target, table, self._words, lambda: self.is_hidden
        )
        self._panels = Panels(
            session, self._answer_panel, target, self._words, self._table, lambda: self.is_hidden
        )
        self._batch = ManyFaces(session, self._tell_many, target)
        self._bridge.start()

    def _table(self) -> AttributeTable:
        """What may be shown here, in the reader's language."""
        return self._words.translate(visible_table(self.session.models.table, self._hide))

    def _request(self, message: Mapping[str, Any]) -> None:
        """Give a message of the page to the part that knows its kind; that part answers it."""
        self._reach.ask()  # first: what is being measured gives way
        if self._panels.handle(message) or self._batch.handle(message):
            return
        if message.get("kind") == "preset":
            try:
                self._bridge.ask(self._panels.preset(str(message.get("name"))))
            except Exception as error:  # here an exception would show nowhere in the page
                self.send({"type": "presets", "error": self._line(error)}, [])
            message = {**message, "kind": "again"}
        self._bridge.handle(message)

    def _answer_panel(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        if content.get("error"):
            content = {**content, "error": self._words.said(content["error"])}
        self.send(content, buffers)

    def _tell_many(self, state: dict[str, Any]) -> None:
        spoken = {
            key: self._words.said(str(state[key])) for key in ("error", "said") if state.get(key)
        }
        self.many = {**state, **spoken}

    def _on_face(self, event: FaceEvent) -> None:
        """Other models have other attributes: the page is laid out anew, the history stays."""
        if event.kind == "models":
            table = self._table()
            self._bridge.reset(table)
            self.receipt = {}  # of other attributes; the next one is on its way
            self.reach = self._reach_value(event.state, {})
            self.schema = schema_value(table, self.session.models, self._words)

    def _seen_anew(self) -> None:
        if hasattr(self, "_panels"):
            self._bridge.look_again()
            self._panels.look_again()
            self._reach.ask()

    def _about(self) -> str:
        return self._words("about_editor", face=self._whose())

    def _without_still(self) -> str:
        error = self.session.render().error
        why = self._words.said(error) if error else self._words("nothing_drawn")
        return f"{self._about()}: {why}"

    def _still_parts(self) -> Still | None:
        result = self.session.render()
        if result.error is not None:
            return None
        head, rows = self._still_table()
        edit = result.state.edits[-1]
        table = self._table()
        names = [table[n].label for n in (*edit.changes, *edit.targets) if n in table]
        words = ": ".join(
            [self._words("still_editor", about=self._about()), *([", ".join(names)] * bool(names))]
        )
        return Still(result.compare(), words, head, rows, WIDTH)

    def _still_table(self) -> tuple[list[str], list[list[str]]]:
        """What was asked for, what came of it and what moved besides; else how the face is read."""
        table, receipt = self._table(), self.receipt
        if receipt.get("requested") and not receipt.get("error"):
            moved = {**receipt["others"], **receipt["achieved"]}
            rest = sorted(receipt["others"], key=lambda name: -abs(moved[name]))
            names = [n for n in (*receipt["requested"], *rest) if n in table][:STILL_ROWS]
            rows = []
            for name in names:
                row, asked = table[name], receipt["requested"].get(name)
                said = "" if asked is None else change_text(row, asked)
                rows.append([row.label, said, change_text(row, moved[name])])
            return ["", self._words("head_asked"), self._words("head_came")], rows
        readings = self.settings.get("readings", {})
        shown = [n for n in readings if n in table][:STILL_ROWS]
        return ["", self._words("head_read")], [
            [table[n].label, f"{table[n].to_unit(readings[n]):.0f} {table[n].unit}"] for n in shown
        ]

    def refresh(self) -> None:
        """Show the session as it is now, after a change from Python."""
        self.session.request()

    def close(self) -> None:
        """Take the editor out of the page; the session lives on."""
        if hasattr(self, "_bridge"):
            for part in (self._bridge, self._panels, self._batch, self._reach):
                part.close()
        super().close()

    def _show(self, values: dict[str, Any]) -> None:
        bridge = getattr(self, "_bridge", None)  # whose first words may come before it is here
        state = bridge.state if bridge is not None and "settings" in values else None
        spans = None if state is None else self._reach.known(state)
        # One message for all that belongs together: a picture never stands beside another's error,
        # nor a reading beside another face's reach.
        with self._reach_turn, self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
            if state is not None and spans is not None:
                self.reach = self._reach_value(state, spans)
        if state is not None:
            self._reach.ask()
        # The receipt comes when the finger rests: once for a drag, not for each of its pictures.
        if "receipt" in values:
            self._show_still()

    def _changeable(self, method: str) -> list[str]:
        """What a method can change and the page may show."""
        able = self.abilities
        return (able["attributes"] or []) if able.get("method") == method else []

    def _show_measured(self, state: SessionState, models: Models, spans: Spans) -> None:
        """Show how far the method takes a face, if that face and method are still up."""
        with self._reach_turn:
            up = self._bridge.state
            if models is self.session.models and up and reach_key(up) == reach_key(state):
                self.reach = self._reach_value(state, spans)

    def _reach_value(self, state: SessionState, spans: Spans) -> dict[str, Any]:
        table = self._table()  # as it is now: it may hide more than when this was measured
        told = {n: [round(v, 4) for v in span] for n, span in spans.items() if n in table}
        return {"method": state.edits[-1].method, "spans": told}
