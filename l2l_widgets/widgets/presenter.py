"""Presenter: a lesson on the wall; one key per step, in large type.

A view of a `Presentation`, which holds and checks the steps; the page only says "next".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from l2l_widgets.models.zoo import Models, load
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.teaching.presentation import Presentation, read_steps
from l2l_widgets.widgets.bridge import picture_value, static_text
from l2l_widgets.widgets.stylesheet import scoped
from l2l_widgets.widgets.words import Words


class Presenter(anywidget.AnyWidget):
    """A face, the words of the step, and the keys that go on and back.

    Parameters
    ----------
    steps : sequence or path
        As :class:`l2l_widgets.teaching.presentation.Presentation` takes them, or a JSON
            file of them.
    source : EditSession, SharedFace, Models or None
        What draws; the embedded models if not given.
    title : str
        Stands small above the words.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.

    Raises
    ------
    ValueError
        A step that cannot be shown, by its number.

    Examples
    --------
    >>> from l2l_widgets import Presenter
    >>> Presenter([("Before", {}), ("Smile!", {"smile": 0.4})])  # doctest: +SKIP
    """

    _esm = static_text("elements.js", "link.js", "pictures.js", "presenter.js")
    _css = scoped("l2l-presenter", static_text("theme.css", "presenter.css"))

    slide = traitlets.Dict(help="number, words, request, error").tag(sync=True)
    before = traitlets.Dict(help="picture of the unedited face").tag(sync=True)
    after = traitlets.Dict(help="picture of the face of this step").tag(sync=True)
    moved = traitlets.Unicode(help="what else moved, in a sentence").tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        steps: Sequence[Any] | str | os.PathLike[str],
        source: EditSession | SharedFace | Models | None = None,
        *,
        title: str = "",
        language: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._words = Words.of(language)
        self.face = SharedFace.of(load() if source is None else source)
        self.session = self.face.session
        if isinstance(steps, (str, Path, os.PathLike)):
            steps = read_steps(steps)
        self.presentation = Presentation(self.session, steps)
        self._answers: dict[str, int] = {}
        self._face: tuple[Any, ...] | None = None
        super().__init__(title=title, **kwargs)
        self._unsubscribe = self.session.subscribe(self._on_event)
        self.on_msg(lambda _, content, buffers: self._handle_message(content))
        self.presentation.go(0)
        self._show_result(self.session.render())

    def __repr__(self) -> str:
        words = self.presentation.step.words.splitlines()[0]
        return (
            f"Presenter, step {self.presentation.at + 1} of {len(self.presentation)} ({words}): "
            "Run → Run All Cells brings it back"
        )

    def go(self, to: int) -> None:
        """Show a step, counted from 0; beyond the ends the nearest one."""
        self.presentation.go(to)
        self.moved = ""
        self.session.request()

    def close(self) -> None:
        """Take it out of the page; the session lives on."""
        if hasattr(self, "_unsubscribe"):
            self._unsubscribe()
        super().close()

    def _handle_message(self, message: Mapping[str, Any]) -> None:
        at = self.presentation.at
        kind = message.get("kind")
        self._answers[str(message.get("client", ""))] = int(message.get("number", 0))
        places = {"next": at + 1, "previous": at - 1, "first": 0, "last": len(self.presentation)}
        if kind in places:
            self.go(places[str(kind)])
        self.slide = {**self.slide, "answers": dict(self._answers)}

    def _on_event(self, kind: str, value: Any) -> None:
        if kind == "result":
            self._show_result(value)
        elif kind == "receipt" and value.stamp == self.session.stamp:
            words = self._words
            table = words.translate(visible_table(self.session.models.table))
            lines = words.sentences(value, table) if value.requested else []
            identity = value.identity_text(words.phrases, words.decimal).partition(" (")[0]
            text = " ".join([*lines, identity[:1].upper() + identity[1:]]).strip()
            self.moved = text.replace(" %", "\u202f%")  # a number keeps its unit on its line

    def _show_result(self, result: Any) -> None:
        step = self.presentation.step
        head, _, rest = step.words.strip().partition("\n")
        with self.hold_sync():
            if result.after is not None:
                self.after = picture_value(result.after)
            if result.before is not None and self._face != result.state.face_key():
                self._face = result.state.face_key()
                self.before = picture_value(result.before)
            self.slide = {
                "at": self.presentation.at,
                "count": len(self.presentation),
                "head": head,
                "rest": rest.strip(),
                "asked": step.asked,
                "error": result.error or "",
                "stamp": result.stamp,
                "answers": dict(self._answers),
            }
