"""FaceEditor: drag a slider, see the face change, and see what else moved.

A view of an `EditSession`: it draws what the session gives and passes on what the user asks. The
drawing itself is in ``static/``: plain JavaScript and CSS, one file a part, nothing from a network.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import FaceEvent, SharedFace
from l2l_widgets.widgets.bridge import SessionBridge, schema_value, static_text
from l2l_widgets.widgets.many_faces import ManyFaces
from l2l_widgets.widgets.panels import Panels
from l2l_widgets.widgets.still import still_html
from l2l_widgets.widgets.stylesheet import scoped
from l2l_widgets.widgets.words import Words


class FaceEditor(anywidget.AnyWidget):
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

    _esm = static_text(
        "elements.js", "words.js", "link.js", "pictures.js", "controls.js", "receipt.js",
        "scope.js", "history.js", "panels.js", "pair.js", "many.js", "face_editor.js",
    )  # fmt: skip
    _css = scoped(
        "l2l-face-editor",
        static_text(
            "theme.css", "controls.css", "face_editor.css", "receipt.css", "panels.css", "pair.css"
        ),
        "l2l-editor",
    )

    # All of them go from the kernel to the page; the page answers with messages, which are not
    # echoed and not held back while the kernel is busy.
    schema = traitlets.Dict(help="layout: families of rows, methods, ranges, words").tag(sync=True)
    abilities = traitlets.Dict(help="what the method can change, and how far").tag(sync=True)
    settings = traitlets.Dict(help="seed, truncation, targets, readings, undo").tag(sync=True)
    before = traitlets.Dict(help="picture of the unedited face").tag(sync=True)
    after = traitlets.Dict(help="picture of the edited face, error, seconds").tag(sync=True)
    receipt = traitlets.Dict(help="what moved").tag(sync=True)
    notice = traitlets.Dict(help="what was saved, or why not").tag(sync=True)
    many = traitlets.Dict(help="how far a batch is").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None = None,
        *,
        hide: Iterable[str] = (),
        folder: str | Path | None = None,
        language: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._words = Words.of(language)
        self._hide = tuple(hide)
        self.face = SharedFace.of(load() if source is None else source)
        self.session = self.face.session
        table = self._table()
        self._still = f"l2l-still-{secrets.token_hex(8)}"
        self._has_still = False
        super().__init__(schema=self._schema(table), **kwargs)
        target = Path.cwd() if folder is None else Path(folder)
        self._bridge = SessionBridge(self.session, self._show, target, table, self._words)
        self._panels = Panels(self.session, self._answer, target, self._words)
        self._batch = ManyFaces(self.session, self._tell_many, target)
        self.on_msg(lambda _, content, buffers: self._hear(content))
        self._bridge.start()
        self.face.subscribe(self._on_face)

    def _table(self) -> AttributeTable:
        """What may be shown here, in the reader's language."""
        return self._words.translate(visible_table(self.session.models.table, self._hide))

    def _schema(self, table: AttributeTable) -> dict[str, Any]:
        return {**schema_value(table, self.session.models, self._words), "still": self._still}

    def _hear(self, message: dict[str, Any]) -> None:
        """Take a message of the page; each goes to the part that knows its kind."""
        if self._panels.handle(message) or self._batch.handle(message):
            return
        if message.get("kind") == "preset":
            try:
                self._bridge.ask(self._panels.preset(str(message.get("name"))))
            except ValueError as error:
                self._answer({"type": "presets", "error": str(error)}, [])
            message = {**message, "kind": "again"}
        self._bridge.handle(message)

    def _answer(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self.send(content, buffers)

    def _tell_many(self, state: dict[str, Any]) -> None:
        self.many = state

    def _on_face(self, event: FaceEvent) -> None:
        """Other models have other attributes: the page is laid out anew, the history stays."""
        if event.kind == "models":
            table = self._table()
            self._bridge.reset(table)
            self.schema = self._schema(table)

    def __repr__(self) -> str:
        # What a notebook that is opened again shows until its cells are run.
        return f"FaceEditor of face {self.session.state.seed}: Run → Run All Cells brings it back"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, raw=True, metadata=metadata)
        self._show_still(update=False)
        self._has_still = True

    def _show_still(self, update: bool) -> None:
        """Put the pictures that are up where a reader without a kernel will find them."""
        from IPython.display import HTML, display

        result = self.session.render()
        if result.error is None:
            still = HTML(still_html(result, self._still))
            display(still, display_id=self._still, update=update)

    def refresh(self) -> None:
        """Show the session as it is now, after a change from Python."""
        self.session.request()

    def close(self) -> None:
        """Take the editor out of the page; the session lives on."""
        if hasattr(self, "_bridge"):
            self.face.unsubscribe(self._on_face)
            for part in (self._bridge, self._panels, self._batch):
                part.close()
        super().close()

    def _show(self, values: dict[str, Any]) -> None:
        # One message for all that belongs together: a picture never stands beside another's error.
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        # The receipt comes when the finger rests: once for a drag, not for each of its pictures.
        if "receipt" in values and self._has_still:
            self._show_still(update=True)
