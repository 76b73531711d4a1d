"""A view of a shared face: what is loaded in one is loaded in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2l_widgets.models.zoo import Models, load
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.session.states import SessionState
from l2l_widgets.widgets.taking_home import save_face, text_of_face
from l2l_widgets.widgets.view import View

#: Seconds that another view's change rests before this view follows: a picture under somebody's
#: finger comes first, and a slider is not followed picture by picture.
REST, REST_OF_SLIDER = 0.12, 0.4


def shared(source: SharedFace | EditSession | Models | None) -> SharedFace:
    """The shared face of what a view was given; that of the embedded models for None."""
    return SharedFace.of(load() if source is None else source)


class FaceView(View):
    """A view that hears which face is loaded; see :class:`l2l_widgets.widgets.view.View`.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        Whose face. Views of one session share it: what one loads, all show. None loads the
        embedded models.
    folder : path, optional
        Where saved files go; the kernel's working folder if not given.
    """

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None,
        folder: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        self.face = shared(source)
        self._missed: FaceEvent | None = None  # models that this view could not take
        super().__init__(folder, **kwargs)
        self._end = self.face.subscribe(self._hear_face)

    def _hear_face(self, event: FaceEvent) -> None:
        if not self._is_whole:  # it takes what is there when its constructor comes to it
            self._on_face(event)
            return
        missed = self._missed
        if missed is not None:  # a layout that could not be taken comes before all else
            by = event.by if event.kind == "models" and missed.by == POLICY else missed.by
            event = replace(event, kind="models", by=by)
        try:
            self._on_face(event)
        except Exception as error:  # the kernel's log is no place in which it would be seen
            if event.kind == "models":
                self._missed = event
                if self._has_still:  # the old one may name what is hidden now
                    self._put_still(update=True, whole=False)
            self._say_error(error)
            return
        self._missed = None
        if event.by == POLICY:  # the still must not name for a page what the page lacks
            self._show_still()

    def _handle(self, message: Mapping[str, Any]) -> None:
        if self._missed is not None and message.get("kind") not in ("visible", "gone"):
            self._hear_face(replace(self._missed, state=self.face.state))
            if self._missed is not None:  # nothing is asked by a layout that holds no more
                self._answer(message)
                return
        super()._handle(message)

    def _on_face(self, event: FaceEvent) -> None:
        """Hear that a face was loaded, here or elsewhere."""
        raise NotImplementedError

    @property
    def session(self) -> EditSession:
        """Whose face it is."""
        return self.face.session

    def _take_home(self, message: Mapping[str, Any], state: SessionState, what: str) -> None:
        """Save a face that is up, its recipe inside, or send its page the recipe and the code.

        Parameters
        ----------
        message : mapping
            Its ``kind``, "save" or "text", says which of the two; its ``client``, whose page asks.
        state : SessionState
            What draws it.
        what : str
            Its name on the page, in the reader's words.
        """
        if message["kind"] == "save":
            self._say(**save_face(self.session, self._folder, state))
        else:  # every page of the view gets it: only the one that asked opens it
            text = {"type": "text", "client": message.get("client"), "what": what}
            self.send({**text, **text_of_face(self.session, state)})

    def _whose(self, state: SessionState | None = None) -> str:
        """A face in words, that of the session: "face 7", "a face of its own" for a latent."""
        state = self.face.state if state is None else state
        if state.w is not None:
            return self._words("face_without_seed")
        return self._words("face_number", seed=state.seed)

    def close(self) -> None:
        """Take the view out of the page; the shared face lives on."""
        if hasattr(self, "_end"):
            self._end()
        super().close()
