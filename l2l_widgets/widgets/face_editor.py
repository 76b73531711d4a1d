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

from l2l_widgets.session import EditSession
from l2l_widgets.widgets.bridge import SessionBridge, schema_value, static_text
from l2l_widgets.widgets.still import still_html
from l2l_widgets.zoo import Models, load


class FaceEditor(anywidget.AnyWidget):
    """Before and after, sliders in the units of the attributes, and the receipt.

    Parameters
    ----------
    source : EditSession, Models or None
        What to edit with. Several editors may share one session: they show the same face. None
        loads the embedded models.
    hide : iterable of str
        Attributes without a slider and without a bar. They still exist for the models.
    folder : path, optional
        Where Save writes; the kernel's working folder, beside the notebook, if not given.

    Attributes
    ----------
    session : EditSession
        What holds the state; change it from Python, then call :meth:`refresh`.

    Raises
    ------
    ValueError
        ``hide`` names an attribute that does not exist, or the models cannot be loaded.

    Examples
    --------
    >>> from l2l_widgets import FaceEditor, load
    >>> FaceEditor(load())  # doctest: +SKIP
    """

    _esm = static_text(
        "elements.js", "link.js", "pictures.js", "controls.js", "receipt.js", "face_editor.js"
    )
    _css = static_text("theme.css", "controls.css", "face_editor.css", "receipt.css")

    # All of them go from the kernel to the page; the page answers with messages, which are not
    # echoed and not held back while the kernel is busy.
    schema = traitlets.Dict(help="layout: families of rows, methods, ranges").tag(sync=True)
    abilities = traitlets.Dict(help="what the method can change, and how far").tag(sync=True)
    settings = traitlets.Dict(help="seed, truncation, targets, readings, undo").tag(sync=True)
    before = traitlets.Dict(help="picture of the unedited face").tag(sync=True)
    after = traitlets.Dict(help="picture of the edited face, error, seconds").tag(sync=True)
    receipt = traitlets.Dict(help="what moved").tag(sync=True)
    notice = traitlets.Dict(help="what was saved, or why not").tag(sync=True)

    def __init__(
        self,
        source: EditSession | Models | None = None,
        *,
        hide: Iterable[str] = (),
        folder: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        if source is None:
            source = load()
        self.session = source if isinstance(source, EditSession) else _session_of(source)
        models = self.session.models
        table = models.table.hide(hide)
        self._still = f"l2l-still-{secrets.token_hex(8)}"
        self._has_still = False
        schema = {**schema_value(table, models.available_editors), "still": self._still}
        super().__init__(schema=schema, **kwargs)
        target = Path.cwd() if folder is None else Path(folder)
        self._bridge = SessionBridge(self.session, self._show, target, table)
        self.on_msg(lambda _, content, buffers: self._bridge.handle(content))
        self._bridge.start()

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
            self._bridge.close()
        super().close()

    def _show(self, values: dict[str, Any]) -> None:
        # One message for all that belongs together: a picture never stands beside another's error.
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        # The receipt comes when the finger rests: once for a drag, not for each of its pictures.
        if "receipt" in values and self._has_still:
            self._show_still(update=True)


def _session_of(models: Models) -> EditSession:
    """A fresh session with the first method that the models have."""
    if not isinstance(models, Models):
        raise ValueError(
            f"source is {models!r}; allowed: an EditSession, the Models that load() gives, or None "
            "(a seed goes to the session: EditSession(load(), seed=7))"
        )
    methods = models.available_editors
    return EditSession(models, method=methods[0]) if methods else EditSession(models)
