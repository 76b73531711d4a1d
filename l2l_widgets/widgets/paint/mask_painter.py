"""MaskPainter: paint the parts of a face, and the face follows.

A view of a `PaintSession`. The page paints at once, with the session's own arithmetic; the kernel
keeps what was done, draws the newest state, and sends both back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import traitlets

from l2l_widgets.images import from_uint8, grid
from l2l_widgets.masks import CLASS_COUNT, LABELS, MASK_CLASSES, colour
from l2l_widgets.painting import PaintSession, ParserSource, load_parser
from l2l_widgets.widgets.paint.paint_bridge import PaintBridge, painter_schema
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.view import View


class MaskPainter(View):
    """Nineteen brushes on a face's mask, and the picture that comes of it.

    A picture that is opened on the page, and what is drawn of it or in the style of another, go to
    the page in messages that no state holds: the notebook file keeps the mask alone. What a
    session was made with in Python is kept, as any output of a cell is.

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

    _esm = scripted("paint", "mask_canvas.js", "mask_tools.js", "mask_painter.js")
    _css = themed("l2l-painter", "paint", "shared/pictures.css", "mask_painter.css")

    picture = traitlets.Dict(help="the original picture").tag(sync=True)
    mask = traitlets.Dict(help="the mask as the kernel has it: bytes and stamp").tag(sync=True)
    settings = traitlets.Dict(help="undo, redo, what is switched on").tag(sync=True)
    result = traitlets.Dict(help="picture that was drawn, error, seconds").tag(sync=True)

    def __init__(
        self,
        session: PaintSession,
        *,
        parser: ParserSource | None = None,
        folder: str | Path | None = None,
        language: str | None = None,
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
        super().__init__(folder, language, **kwargs)
        self.schema = painter_schema(session, self._words)
        self._bridge = PaintBridge(
            session, self._show, self._folder, self._words.said, lambda: self.is_hidden
        )
        self._bridge.start()

    def _request(self, message: Mapping[str, Any]) -> None:
        self._bridge.handle(message)

    def _seen_anew(self) -> None:
        self._bridge.look_again()

    def refresh(self) -> None:
        """Show the session as it is now, after a change from Python."""
        self.session.request()

    def close(self) -> None:
        """Take the painter out of the page; the session lives on."""
        if hasattr(self, "_bridge"):
            self._bridge.close()
        super().close()

    def _show(self, values: dict[str, Any]) -> None:
        for kind, value in values.pop("own", {}).items():
            told = {key: part for key, part in value.items() if key != "data"}
            self.send({"type": kind, **told}, [value["data"]])
        # One message for all that belongs together: mask and picture are of one state.
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        if "result" in values:
            self._show_still()

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        count = len(self.session.operations)
        return self._words("about_painter_one" if count == 1 else "about_painter", count=count)

    def _still_parts(self) -> Still:
        """The original, its mask, and what was drawn where there is a network that draws."""
        session, result = self.session, self._bridge.result
        side = session.image.shape[-1]
        mask = from_uint8(colour(session.mask))
        scaled = torch.nn.functional.interpolate(mask[None], size=(side, side))[0]
        say = self._words
        pictures, names = [scaled], [say("its_mask")]
        own = self._bridge.is_own
        if not own:
            pictures, names = [session.image.cpu(), scaled], [say("the_original"), say("its_mask")]
        if result is not None and result.image is not None and not own and not session.state.style:
            pictures.append(result.image.cpu())
            names.append(say("the_given_face"))
        shares = torch.bincount(session.mask.flatten().long(), minlength=CLASS_COUNT)
        first = torch.bincount(session.original.flatten().long(), minlength=CLASS_COUNT)
        rows = [
            [
                say.part(MASK_CLASSES[i], LABELS[i]),
                *(
                    f"{say.number(100 * int(n[i]) / session.mask.numel(), 1)}\u202f%"
                    for n in (first, shares)
                ),
            ]
            for i in range(CLASS_COUNT)
            if int(first[i]) or int(shares[i])
        ]
        words = f"{self._about()}: {', '.join(names)}"
        if own:
            words += f". {say('still_own_left_out')}"
        if result is not None and result.error and session.model is not None:
            words += f". {say.said(result.error)}"
        picture = grid(torch.stack(pictures), len(pictures))
        return Still(picture, words, (say("head_part"), say("area_before"), say("area_now")), rows)
