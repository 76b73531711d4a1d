"""MaskPainter: paint the parts of a face, and the face follows.

A view of a `PaintSession`. The page paints at once, with the session's own arithmetic; the kernel
keeps what was done, draws the newest state, and sends both back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from l2l_widgets.painting import PaintSession, ParserSource, load_parser
from l2l_widgets.widgets.bridge import static_text
from l2l_widgets.widgets.paint_bridge import PaintBridge, painter_schema
from l2l_widgets.widgets.stylesheet import scoped


class MaskPainter(anywidget.AnyWidget):
    """Nineteen brushes on a face's mask, and the picture that comes of it.

    Parameters
    ----------
    session : PaintSession
        A face with its mask, and what draws it. Several painters may share one. An
        :class:`~l2l_widgets.painting.AreaSession` shows the sliders' edit through a painted area.
    parser : Segmenter, Declaration, str or path, optional
        Finds the masks of faces that are opened in the page, in place of the session's own: see
        :func:`l2l_widgets.painting.load_parser`.
    folder : path, optional
        Where Save writes; the kernel's working folder, beside the notebook, if not given.

    Attributes
    ----------
    session : PaintSession
        What holds the state; change it from Python, then call :meth:`refresh`.

    Raises
    ------
    ValueError
        ``session`` is something else, or ``parser`` cannot be used.

    Examples
    --------
    >>> from l2l_widgets import MaskPainter, PaintSession, load, load_painter
    >>> MaskPainter(PaintSession(load_painter(load()), image, mask))  # doctest: +SKIP
    """

    _esm = static_text(
        "elements.js", "link.js", "pictures.js", "mask_canvas.js", "mask_tools.js",
        "mask_painter.js",
    )  # fmt: skip
    _css = scoped("l2l-painter", static_text("theme.css", "mask_painter.css"), "l2l-editor")

    schema = traitlets.Dict(help="classes, their colours and keys, sizes").tag(sync=True)
    picture = traitlets.Dict(help="the original picture").tag(sync=True)
    mask = traitlets.Dict(help="the mask as the kernel has it: bytes and stamp").tag(sync=True)
    settings = traitlets.Dict(help="undo, redo, what is switched on").tag(sync=True)
    result = traitlets.Dict(help="picture that was drawn, error, seconds").tag(sync=True)
    notice = traitlets.Dict(help="what was saved, or why not").tag(sync=True)

    def __init__(
        self,
        session: PaintSession,
        *,
        parser: ParserSource | None = None,
        folder: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(session, PaintSession):
            raise ValueError(
                f"session is {session!r}; allowed: a PaintSession, which takes what draws, a "
                "picture and its mask"
            )
        self.session = session
        if parser is not None:
            session.parser = load_parser(parser)
        super().__init__(schema=painter_schema(session), **kwargs)
        target = Path.cwd() if folder is None else Path(folder)
        self._bridge = PaintBridge(session, self._show, target)
        self.on_msg(lambda _, content, buffers: self._bridge.handle(content))
        self._bridge.start()

    def __repr__(self) -> str:
        # What a notebook that is opened again shows until its cells are run.
        return "MaskPainter: Run → Run All Cells brings it back"

    def refresh(self) -> None:
        """Show the session as it is now, after a change from Python."""
        self.session.request()

    def close(self) -> None:
        """Take the painter out of the page; the session lives on."""
        if hasattr(self, "_bridge"):
            self._bridge.close()
        super().close()

    def _show(self, values: dict[str, Any]) -> None:
        # One message for all that belongs together: mask and picture are of one state.
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
