"""Between a paint session and a view: what the browser sends becomes operations, results values.

As in :mod:`l2l_widgets.widgets.bridge`: the state changes at once, drawing is left to the session's
worker where the newest state wins, and results name the newest request that they answer.
"""

from __future__ import annotations

import contextlib
import json
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.consent import CONSENT
from l2l_widgets.masks import (
    CLASS_COUNT,
    COLOURS,
    LABELS,
    MASK_CLASSES,
    OrderError,
    encode_mask,
    fit_side,
    read_mask,
)
from l2l_widgets.painting import (
    RECIPE,
    AreaSession,
    PaintResult,
    PaintSession,
    painting_in,
    read_face,
    read_paint_recipe,
)
from l2l_widgets.storage import write_atomic
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.requests import NEUTRAL, Requests, decoded_file
from l2l_widgets.widgets.taking_home import free_path
from l2l_widgets.widgets.words import Words

#: One key a class: digits where the demo's users would look for them, then letters of the names.
SHORTCUTS = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "m", "u", "l", "h", "t", "e", "j", "n", "c",
)  # fmt: skip
#: Sides that the brush offers, in pixels of the mask.
LARGEST_SIZE = 0.4
#: Bytes of a file that may be dropped, as the page has it.
MAX_FILE = 30_000_000


def painter_schema(session: PaintSession, words: Words | None = None) -> dict[str, Any]:
    """What the page needs to lay itself out; it never changes while the view lives."""
    words = Words.of() if words is None else words
    classes = [
        {"index": i, "name": MASK_CLASSES[i], "label": words.part(MASK_CLASSES[i], LABELS[i]),
         "colour": list(COLOURS[i]), "key": SHORTCUTS[i]}
        for i in range(CLASS_COUNT)
    ]  # fmt: skip
    return {
        "classes": classes,
        "side": session.side,
        "largest": max(4, round(session.side * LARGEST_SIZE)),
        "can_draw": session.can_draw,
        "can_walk": session.model is not None and session.model.vae is not None,
        "can_parse": session.parser is not None,
        "is_area": isinstance(session, AreaSession),
        "consent": words.said(CONSENT),
    }


#: Pictures that were dropped on a page, by identity: several painters may share a session.
_DROPPED: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()


def _is_dropped(image: Tensor) -> bool:
    return _DROPPED.get(id(image)) is image


class PaintBridge:
    """One view's line to a paint session.

    A picture that was dropped on the page may be of a person, and what a page has in traits is
    saved with the notebook. So such a picture, and what is drawn of it or in its style, are
    published as ``own``, for messages that no state holds.

    Parameters
    ----------
    session : PaintSession
        What holds the state.
    publish : callable
        Gets a dict with any of ``picture``, ``result``, ``mask``, ``settings``, ``notice``, and
        ``own``, the pictures that belong in messages; called on the session's worker or on the
        thread of :meth:`handle`.
    folder : Path
        Where saved files go.
    said : callable
        Puts an error into the reader's language.
    unseen : callable, optional
        Whether nobody sees the view now: nothing is published then, nor drawn for it.
    """

    def __init__(
        self,
        session: PaintSession,
        publish: Callable[[dict[str, Any]], None],
        folder: Path,
        said: Callable[[str], str] = str,
        unseen: Callable[[], bool] = lambda: False,
    ) -> None:
        self._unseen, self._owed = unseen, False
        self._said = said
        self.session = session
        self._publish, self._folder = publish, folder
        self._requests = Requests()
        self.result: PaintResult | None = None  # the newest that was drawn
        self._shown: Tensor | None = None  # the original that the page has
        self._opening = False  # a dropped picture is being taken
        self._unsubscribe = session.subscribe(self._on_result, self._is_seen)

    def start(self) -> None:
        """Publish the picture and the first result from the calling thread."""
        self._on_result(self.session.render())

    def look_again(self) -> None:
        """Show what was left while nobody looked, once somebody does."""
        if self._owed and not self._unseen():
            self._owed = False
            with contextlib.suppress(RuntimeError):  # the session was closed meanwhile
                self.session.request()

    def _is_seen(self) -> bool:
        self._owed = True  # first: who comes to look while it is asked must find it owed
        self._owed = self._unseen()
        return not self._owed

    @property
    def is_own(self) -> bool:
        """Whether the picture is one that somebody dropped on a page."""
        return self._opening or _is_dropped(self.session.image)

    def _face(self) -> dict[str, Any]:
        """The original picture and mask, which the page's eraser brings back."""
        original = self.session.original.contiguous().numpy().tobytes()
        return {**picture_value(self.session.image), "original": original}

    def close(self) -> None:
        """Hear nothing any more; the session goes on."""
        self._unsubscribe()

    # -- from the browser --------------------------------------------------------------------------

    def handle(self, message: Mapping[str, Any]) -> None:
        """Take one request; nothing raises, because the page would not show it."""
        try:
            self._change(message)
        except OrderError as error:  # the page asks which one it is, and sends the file again
            self._answer(message, {"error": self._said(str(error)), "asks_order": True})
        except ValueError as error:
            self._answer(message, {"error": self._said(str(error))})
        except Exception as error:
            self._answer(message, {"error": self._said(f"{message.get('kind')}: {error}")})

    def _change(self, message: Mapping[str, Any]) -> None:
        session, kind = self.session, message.get("kind")
        gesture = f"{message.get('client')}/{message['gesture']}" if "gesture" in message else None
        if kind == "operation":
            session.apply(message["operation"], gesture)
        elif kind == "cancel":
            session.cancel(gesture)
        elif kind in ("undo", "redo", "reset"):
            getattr(session, str(kind))()
        elif kind == "keep":
            session.keep_outside(bool(message.get("on")))
        elif kind == "between":
            walk = session.state.walk
            if walk is None:
                raise ValueError("there is no second mask yet; load one to interpolate towards")
            session.between(walk.other, float(message["share"]), gesture)
        elif kind == "file":
            self._take_file(message)
        elif kind == "pictures":  # a page that was opened later, or again
            self._shown = None
        elif kind == "own-style":
            session.apply({"kind": "style"})
        elif kind == "save":
            self._save(message)
            return
        else:
            raise ValueError("no such request")
        self._requests.begin(session.stamp, message)
        session.request()

    def _take_file(self, message: Mapping[str, Any]) -> None:
        """A file that was dropped or chosen: a mask, a face for its style, or a recipe."""
        use, order = message.get("use"), message.get("order")
        data = decoded_file(message.get("data", ""), MAX_FILE)
        session = self.session
        if use == "style":
            self._style_from(data)
        elif use == "mask":
            session.set_mask(self._mask_in(data, order))
        elif use == "other":
            session.between(self._mask_in(data, order), 0.0, anew=True)
        elif use in ("recipe", "face"):
            self._opening = True
            try:
                self._open(data, use)
                _DROPPED[id(session.image)] = session.image
            finally:
                self._opening = False
        else:
            raise ValueError(f"use is {use!r}; allowed: face, style, mask, other, recipe")

    def _open(self, data: bytes, use: str) -> None:
        session = self.session
        if use == "face":
            session.open(data)
            return
        recipe = read_paint_recipe(data)
        # replayed as one line of operations on this very session's picture and model
        session.adopt(PaintSession.from_recipe(session.model, recipe, session.parser))

    def _mask_of(self, data: bytes, order: str | None) -> Tensor:
        return read_mask(data, self.session.side, order, f"mask {NEUTRAL}")

    def _mask_in(self, data: bytes, order: str | None) -> Tensor:
        """A mask file, or a saved painting, whose mask is taken."""
        recipe = painting_in(data)
        if recipe is None:
            return self._mask_of(data, order)
        return self._fitted(self._replayed(recipe).mask)

    def _replayed(self, recipe: Mapping[str, Any]) -> PaintSession:
        """A saved painting's masks, whatever drew it; what lies between two needs its MaskVAE."""
        model, operations = self.session.model, recipe.get("operations")
        walks = isinstance(operations, list) and any(
            isinstance(one, Mapping)
            and one.get("kind") == "between"
            and one.get("share") not in (0, 1)
            for one in operations
        )
        if walks and model is not None and model.resolution == recipe.get("side"):
            return PaintSession.from_recipe(model, recipe)
        return PaintSession.from_recipe(None, {**recipe, "model": None})

    def _fitted(self, mask: Tensor) -> Tensor:
        return fit_side(mask, self.session.side)

    def _style_from(self, data: bytes) -> None:
        """A saved painting knows its mask; any other picture needs a parser."""
        session = self.session
        recipe = painting_in(data)
        if recipe is None:
            session.copy_style(*read_face(data, session.side, session.parser))
            return
        # of its picture and mask: what was done to it since is no matter here
        other = PaintSession.from_recipe(None, {**recipe, "model": None, "operations": []})
        session.copy_style(other.image, self._fitted(other.original))

    def _save(self, message: Mapping[str, Any]) -> None:
        what = message.get("what", "picture")
        if what == "mask":
            path = free_path(self._folder, "mask")
            write_atomic(path, encode_mask(self.session.mask))
        elif what == "recipe":
            path = free_path(self._folder, "painting", ".json")
            write_atomic(path, (json.dumps(self.session.recipe()) + "\n").encode())
        elif what == "picture":
            path = free_path(self._folder, "painted-face")
            self.session.save(path)
        else:
            raise ValueError(f"what is {what!r}; allowed: picture, mask, recipe")
        saved = {"path": str(path), "name": path.name, "folder": str(path.parent), "error": None}
        self._answer(message, {**saved, "carries": RECIPE if what == "picture" else ""})

    def _answer(self, message: Mapping[str, Any], notice: dict[str, Any]) -> None:
        self._publish({"notice": self._requests.notice(message, notice)})

    # -- from the session --------------------------------------------------------------------------

    def _on_result(self, result: PaintResult) -> None:
        self.result = result
        if not self._is_seen():
            return
        answers, _ = self._requests.answered(result.stamp)
        value: dict[str, Any] = {
            "stamp": result.stamp,
            "answers": answers,
            "error": self._said(result.error) if result.error else None,
            "seconds": result.seconds,
            "change": "" if result.change is None else self._said(result.change.to_text()),
        }
        session, state = self.session, self.session.state
        own: dict[str, Any] = {}
        if result.image is not None:
            drawn = picture_value(result.image)
            # of what it was drawn from: the session may have gone on since
            if self._opening or _is_dropped(result.source) or result.styled:
                own["result"] = {"stamp": result.stamp, **drawn}
                value["own"] = True
            else:
                value.update(drawn)
        if self._shown is not session.image:  # the first, another one opened, another seed
            self._shown = session.image
            face = self._face()
            if self.is_own:
                shown = {key: face[key] for key in ("width", "height", "format", "data")}
                own["picture"] = shown
                face = {"original": face["original"], "own": True}
            self._publish({"picture": face})
        settings = {
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "keep": state.keep,
            "style": state.style is not None,
            "other": state.walk is not None,
            "share": 0.0 if state.walk is None else state.walk.share,
            "steps": len(session.operations),
        }
        mask = result.mask.contiguous().numpy().tobytes()
        self._publish(
            {
                "mask": {"data": mask, "stamp": result.stamp},
                "settings": settings,
                "result": value,
            }
        )
        if own:
            self._publish({"own": own})
