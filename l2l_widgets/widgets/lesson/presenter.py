"""Presenter: a lesson on the wall; one key per step, in large type.

A view of a `Presentation`, which holds and checks the steps; the page only says "next".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import traitlets

from l2l_widgets.images import grid
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.receipt import Receipt
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.session.states import EditResult
from l2l_widgets.teaching.presentation import Presentation, Step, read_steps
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.face_view import FaceView, shared
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.words import Words

#: Width of the still pair on the page, in CSS pixels.
WIDTH = 516


class Presenter(FaceView):
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

    _esm = scripted("lesson", "presenter.js")
    _css = themed("l2l-presenter", "lesson", "presenter.css")

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
        face = shared(source)
        if isinstance(steps, (str, Path, os.PathLike)):
            steps = read_steps(steps)
        self.presentation = Presentation(face.session, steps)
        self._before_of: tuple[Any, ...] | None = None
        self._result: EditResult | None = None
        self._receipt: Receipt | None = None
        self._waits = False  # to be shown, when somebody sees it
        super().__init__(face, title=title, language=language, **kwargs)
        self._unsubscribe = self.session.subscribe(self._on_event, receipts=self._is_seen)
        self.presentation.go(0)
        self._show_result(self.session.render())

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

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        at = self.presentation.at
        last = len(self.presentation) - 1
        places = {"next": at + 1, "previous": at - 1, "first": 0, "last": last, "back": at}
        if kind not in places:
            raise ValueError(f"{kind!r} is no request of this view")
        self.go(places[kind])

    def _on_face(self, event: FaceEvent) -> None:
        """What other views load is drawn by the session, whose results are heard."""
        if event.kind == "models":
            self._before_of = None  # the same face is another picture
        if event.by == POLICY:
            self.moved, self._receipt = "", None
            self.slide = {**self.slide, "asked": self._asked(self.presentation.step)}

    def _seen_anew(self) -> None:
        result = self._result
        if self._waits and result is not None and not self.is_hidden:
            self._show_result(result)
            if self._receipt is None or self._receipt.stamp != self.session.stamp:
                self.session.request()  # nothing is measured while nobody looks
            else:
                self._say_moved(self._receipt)

    def _is_seen(self) -> bool:
        self._waits = self._waits or self.is_hidden
        return not self.is_hidden

    def _on_event(self, kind: str, value: Any) -> None:
        if kind == "result":
            self._show_result(value)
        elif kind == "receipt":
            self._receipt = value
            if not self._waits:
                self._say_moved(value)

    def _say_moved(self, receipt: Receipt) -> None:
        if receipt.stamp != self.session.stamp:
            return
        words = self._words
        table = words.translate(visible_table(self.session.models.table))
        lines = words.sentences(receipt, table) if receipt.requested else []
        identity = receipt.identity_text(words.phrases, words.decimal).partition(" (")[0]
        text = " ".join([*lines, identity[:1].upper() + identity[1:]]).strip()
        if receipt.error:  # the picture is up, only what it moved cannot be said
            text = words.said(receipt.error)
        self.moved = text.replace(" %", "\u202f%")  # a number keeps its unit on its line

    def _asked(self, step: Step) -> str:
        """What a step asks for, in the reader's language; "" where it has been hidden since."""
        table, edit = self._words.translate(self.session.models.table), step.state.edits[-1]
        visible = visible_table(table)
        names = (*edit.changes, *edit.targets, *edit.preserve)
        if any(n in table and n not in visible for n in names):
            return ""
        asked = [
            f"{table[name].label} {table[name].change_text(change, fine=True)}"
            for name, change in edit.changes.items()
        ]
        for name, target in edit.targets.items():
            row = table[name]
            value = row.value_text(target, fine=True)
            asked.append(self._words("asked_to_be", label=row.label, value=value))
        return ", ".join(asked)

    def _refused(self, step: Step) -> str:
        """Why a step cannot be shown as it asks, where a policy hides what it asks for; or ""."""
        edit = step.state.edits[-1]
        try:
            names = (*edit.changes, *edit.targets, *edit.preserve)
            check_visible(names, self.session.models.table)
        except ValueError as error:
            return str(error)
        return ""

    def _strayed(self) -> str:
        """What another view has made of the step's face; "" where it is as the step asks."""
        state, own = self.session.state, self.presentation.step.state
        if state.face_key() != own.face_key():
            say = self._words
            what = say("seed_small", seed=state.seed) if state.w is None else self._whose()
            return say("strayed_face", face=what)
        edit, asked = state.edits[-1], own.edits[-1]
        if edit.key() != asked.key() and not (edit.empty and asked.empty):
            return self._words("strayed_sliders")
        return ""

    def _show_result(self, result: EditResult) -> None:
        step = self.presentation.step
        head, _, rest = step.words.strip().partition("\n")
        with self._lock:  # a page that comes back shows what is known, the worker something newer
            if self._result is not None and result.stamp < self._result.stamp:
                return
            self._result = result
            self._waits = self.is_hidden  # pictures of a drag are many, and nobody sees these
            if self._waits:
                return
            with self.hold_sync():
                if result.after is not None:
                    self.after = picture_value(result.after)
                if result.before is not None and self._before_of != result.state.face_key():
                    self._before_of = result.state.face_key()
                    self.before = picture_value(result.before)
                self.slide = {
                    "at": self.presentation.at,
                    "count": len(self.presentation),
                    "head": head,
                    "rest": rest.strip(),
                    "asked": self._asked(step),
                    "error": self._words.said(result.error or self._refused(step)),
                    "strayed": "" if self._refused(step) else self._strayed(),
                    "stamp": result.stamp,
                }
        self._show_still()

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        head = self.presentation.step.words.strip().partition("\n")[0]
        at, count = self.presentation.at + 1, len(self.presentation)
        return self._words("about_presenter", at=at, count=count, head=head)

    def _still_parts(self) -> Still:
        """The face of the step, before and after, and the words of the whole lesson."""
        result, at = self._result, self.presentation.at
        pictures = [] if result is None else [result.before, result.after]
        shown = [picture for picture in pictures if picture is not None]
        rows = [
            [f"\u25b8 {i + 1}" if i == at else str(i + 1), step.words.strip(), self._asked(step)]
            for i, step in enumerate(self.presentation.steps)
        ]
        words = self._words("still_presenter", about=self._about())
        strayed = self._strayed()
        picture = grid(torch.stack(shown), len(shown)) if shown else None
        head = [self._words(f"head_{name}") for name in ("step", "words", "asked")]
        return Still(picture, f"{words}. {strayed}".strip(), head, rows, WIDTH)
