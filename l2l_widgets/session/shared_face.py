"""One face for all views: what is loaded anywhere is loaded everywhere.

A map, a gallery, a strip and an editor that look at the same session share its face. Each asks for
the session's :class:`SharedFace`, loads through it, and hears what the others loaded::

    face = SharedFace.of(session)       # the same object for every view of this session
    face.subscribe(self._on_face)       # a method: forgotten with its view
    face.load(seed=7, by="gallery")     # every view hears FaceEvent("face", by="gallery", ...)
    face.swap(load("my-models"))        # every view hears FaceEvent("models", ...)
    hide_attributes(["gender"])         # every view hears FaceEvent("models", by=POLICY, ...)

What reaches the session in another way (a slider, a script) is heard too, once it has been drawn.
Plain Python: no widget is needed, and none is known here.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from l2l_widgets.latents import z_from_seed
from l2l_widgets.latest_wins import weakly
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import listen, visible_table
from l2l_widgets.session.arguments import must_be_callable
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.states import (
    NOISE_MODES,
    Edit,
    SessionState,
    let_go,
    same_latent,
    tensor_key,
)
from l2l_widgets.session.subscribers import never

__all__ = ["POLICY", "FaceEvent", "SharedFace"]

#: Seconds after which a face that was loaded is measured: the views that show it come first.
REST = 0.12
KINDS = ("face", "edits", "models")
#: Who did it where the list of hidden attributes changed: the models are the same, what may be
#: shown of them is not.
POLICY = "policy"

_log = logging.getLogger(__name__)
_OF_SESSION: weakref.WeakKeyDictionary[EditSession, weakref.ref[SharedFace]] = (
    weakref.WeakKeyDictionary()
)
_OF_SESSION_LOCK = threading.Lock()


@dataclass(frozen=True)
class FaceEvent:
    """What changed. Immutable; safe to keep and to hand to another thread.

    Parameters
    ----------
    kind : {"face", "edits", "models"}
        Another face; the same face with other edits; other models, and whatever face they draw.
    by : str
        Who did it, as the caller of ``load`` or ``swap`` named itself; "" for a slider or a script;
        :data:`POLICY` where attributes were hidden or shown again.
    state : SessionState
        The face and the edits on it.
    stamp : int
        Number of the change; of two events the larger one is newer.
    """

    kind: str
    by: str
    state: SessionState
    stamp: int

    @property
    def seed(self) -> int | None:
        """Seed of the face; None where it is a latent."""
        return None if self.state.w is not None else self.state.seed

    @property
    def w(self) -> Tensor | None:
        """The face as a latent, (1, num_ws, w_dim); None where a seed gives it."""
        w: Tensor | None = self.state.w
        return w

    @property
    def face_key(self) -> tuple[Any, ...]:
        """Hashable name of the unedited face."""
        return self.state.face_key()


class SharedFace:
    """The face of a session, for any number of views. Thread-safe.

    Views keep the shared face; it keeps none of them: a bound method that subscribed is forgotten
    with its object.

    Parameters
    ----------
    session : EditSession
        Use :meth:`of`, so that all views of a session share one object.
    """

    def __init__(self, session: EditSession) -> None:
        if not isinstance(session, EditSession):
            raise ValueError(f"session is {session!r}; allowed: an EditSession")
        self.session = session
        self._lock = threading.RLock()
        self._subscribers: list[Callable[[], Callable[[FaceEvent], None] | None]] = []
        self._known = session.state  # what the subscribers have heard of
        self._heard = session.stamp
        self._models = session.models
        # The session must not keep the shared face alive, nor the other way round for longer.
        weakref.finalize(self, session.subscribe(weakly(self._notice), receipts=never))
        listen(self._hide_anew)

    @classmethod
    def of(cls, source: SharedFace | EditSession | Models) -> SharedFace:
        """The shared face of a session: the same object as long as anybody holds it.

        Parameters
        ----------
        source : SharedFace, EditSession or Models
            Models get a fresh session, with the first method that they have.

        Raises
        ------
        ValueError
            Anything else.
        """
        if isinstance(source, SharedFace):
            return source
        if isinstance(source, Models):
            methods = source.available_editors
            source = EditSession(source, method=methods[0]) if methods else EditSession(source)
        if not isinstance(source, EditSession):
            raise ValueError(
                f"source is {source!r}; allowed: an EditSession, the Models that load() gives, or "
                "a SharedFace (a seed goes to the session: EditSession(load(), seed=7))"
            )
        with _OF_SESSION_LOCK:
            known = _OF_SESSION.get(source)
            face = None if known is None else known()
            if face is None:
                face = cls(source)
                _OF_SESSION[source] = weakref.ref(face)
            return face

    @property
    def models(self) -> Models:
        """What draws, reads and edits now."""
        return self.session.models

    @property
    def state(self) -> SessionState:
        """The face and the edits on it."""
        return self.session.state

    def load(
        self,
        *,
        seed: int | None = None,
        w: Tensor | None = None,
        edits: Sequence[Edit] | None = None,
        truncation_psi: float | None = None,
        noise_mode: str | None = None,
        by: str = "",
        gesture: str | None = None,
        preview: bool = False,
    ) -> FaceEvent:
        """Make this the face, everywhere; drawn on the session's worker.

        Parameters
        ----------
        seed : int, optional
            Of the face, 0 to 2**32 - 1.
        w : Tensor, shape (w_dim,), (num_ws, w_dim) or (1, num_ws, w_dim), optional
            The face as a latent, taken as it is. One of the two must be given.
        edits : sequence of Edit, optional
            What is asked of it, in the same step of undo. If not given, the session's edits stay
            and are made on this face, without what is hidden; a latent that was edited already
            wants none of them: ``()``.
        truncation_psi : float, optional
            Of a seed, in [0, 1.5]; the session's if not given.
        noise_mode : {"const", "none"}, optional
            That draws the face; the session's if not given.
        by : str
            Who loads it; subscribers find it in the event.
        gesture : str, optional
            Consecutive loads with the same gesture are one step of undo: a drag along a path.
        preview : bool
            Whether a draft will do, as while a finger moves; load once more without it at the end.

        Returns
        -------
        FaceEvent
            What the subscribers heard, in the calling thread, before this returned.

        Raises
        ------
        ValueError
            No face, two faces, or one that these models cannot draw; the face that was there stays.
        """
        if (seed is None) == (w is None):
            given = "neither" if w is None else "both"
            raise ValueError(f"seed, w: {given} given; allowed: one of the two")
        values: dict[str, Any] = {"seed": seed}
        asked: dict[str, Any] = self._carried() if edits is None else {"edits": edits}
        if truncation_psi is not None:
            SessionState(truncation_psi=truncation_psi).check_truncation()
            asked["truncation_psi"] = truncation_psi
        if noise_mode is not None:
            if noise_mode not in NOISE_MODES:
                allowed = ", ".join(NOISE_MODES)
                raise ValueError(f"noise_mode is {noise_mode!r}; allowed: {allowed}")
            asked["noise_mode"] = noise_mode
        if seed is not None:
            z_from_seed(seed, 1)  # refused before it is taken: it would refuse all that follows
        elif w is not None:
            values = {"w": self.session.checked_latent(w)}
        # Subscribers of the session may draw before this returns; they must not hear it twice.
        with self._lock:
            stamp = self.session.update(gesture=gesture, **values, **asked)
            event = self._enter("face", by, self.session.state, stamp)
        self.session.request(measure=not preview, preview=preview, rest=REST)
        self._tell(event)
        return event

    def load_state(self, state: SessionState, by: str = "") -> FaceEvent:
        """Make a state's face, noise and edits those of the session, in one step, as `load`."""
        asked: dict[str, Any] = {"edits": state.edits, "noise_mode": state.noise_mode, "by": by}
        if state.w is not None:
            return self.load(w=state.w, **asked)
        return self.load(seed=state.seed, truncation_psi=state.truncation_psi, **asked)

    def faithful(self, state: SessionState, w_edited: Tensor) -> SessionState:
        """A state that draws an edited face which a view shows.

        Parameters
        ----------
        state : SessionState
            The face and the edits that made it, as the view knows them.
        w_edited : Tensor, shape (1, num_ws, w_dim)
            The latent that is shown.

        Returns
        -------
        SessionState
            ``state`` where the session draws the same by it: its recipe tells how the face came to
            be. Elsewhere, as where the session corrects a request and the view did not, the latent
            itself with no edit on it.
        """
        if same_latent(self.session.render(state).w_edited, w_edited):
            return state
        return self.unedited(w_edited, state)

    def unedited(self, w: Tensor, state: SessionState) -> SessionState:
        """A state that draws a latent as it is; method and noise are those of ``state``."""
        w = self.session.checked_latent(w)
        edits = (Edit(state.edits[-1].method),)
        return replace(state, seed=None, w=w, w_key=tensor_key(w), edits=edits)

    def visible_edits(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Edits without what they ask of hidden attributes; the same object where that is all."""
        table = self.models.table
        visible = visible_table(table)
        hidden = [name for name in table.names if name not in visible]
        return let_go(edits, hidden)

    def swap(self, models: Models, by: str = "") -> FaceEvent:
        """Have other models draw, read and edit, under every open view.

        Face, edits and history stay as they were asked for. What the new models cannot honour (a
        method they lack, a latent of another shape) stands as one line in the session's results
        until something else is asked; undo still leads back.

        Parameters
        ----------
        models : Models
            What draws from now on.
        by : str
            Who swaps.

        Raises
        ------
        ValueError
            ``models`` are no Models.
        """
        if not isinstance(models, Models):
            raise ValueError(f"models is {models!r}; allowed: the Models that load() gives")
        with self._lock:
            stamp = self.session.set_models(models)
            self._models = models
            event = self._enter("models", by, self.session.state, stamp)
        self._tell(event)  # views must know the new attributes before their first picture comes
        self.session.request()
        return event

    def subscribe(self, callback: Callable[[FaceEvent], None]) -> Callable[[], None]:
        """Have ``callback(event)`` called for every change.

        Parameters
        ----------
        callback : callable
            Called on the thread that loads, or on the session's worker. A bound method is held
            weakly: it ends with its object. Anything else is held until it is unsubscribed.

        Returns
        -------
        callable
            Ends the subscription.
        """
        held: Callable[[], Callable[[FaceEvent], None] | None]
        must_be_callable("callback", callback)
        held = weakref.WeakMethod(callback) if inspect.ismethod(callback) else lambda: callback
        with self._lock:
            self._subscribers.append(held)

        def end() -> None:
            with self._lock:
                if held in self._subscribers:
                    self._subscribers.remove(held)

        return end

    def unsubscribe(self, callback: Callable[[FaceEvent], None]) -> None:
        """Call ``callback`` no more; one that never subscribed is none of our business."""
        with self._lock:
            self._subscribers = [held for held in self._subscribers if held() != callback]

    # -- inside ------------------------------------------------------------------------------------

    def _carried(self) -> dict[str, Any]:
        """What a step says of the edits that stay: nothing, unless they ask for what is hidden."""
        edits = self.session.state.edits
        visible = self.visible_edits(edits)
        return {} if visible is edits else {"edits": visible}

    def _hide_anew(self) -> None:
        """The list of hidden attributes changed: every view lays itself out again."""
        with self._lock:
            if not any(held() for held in self._subscribers):
                return
        visible_table(self.models.table)  # a typing error is refused before any view hears of it
        # An edit that nobody can see must not be carried on from face to face; undo has it still.
        if carried := self._carried():
            self.session.update(**carried)
        with self._lock:
            known = replace(self._known, edits=self.visible_edits(self._known.edits))
            event = FaceEvent("models", POLICY, known, self._heard)
        self._tell(event)
        # Not one who asks nothing of it: a session that was closed draws for nobody.
        with contextlib.suppress(RuntimeError):
            self.session.request()

    def _notice(self, kind: str, value: Any) -> None:
        """What the session drew may be news: a slider or a script changed it."""
        if kind != "result":
            return
        with self._lock:
            if value.stamp <= self._heard and value.state == self._known:
                return
            if value.stamp < self._heard:  # drawn before what has been told already
                return
            same_face = value.state.face_key() == self._known.face_key()
            if self.session.models is not self._models:  # given to the session itself
                self._models = self.session.models
                event = self._enter("models", "", value.state, value.stamp)
            elif same_face and _keys(value.state) == _keys(self._known):
                self._heard = value.stamp
                return
            else:
                kind = "edits" if same_face else "face"
                event = self._enter(kind, "", value.state, value.stamp)
        self._tell(event)

    def _enter(self, kind: str, by: str, state: SessionState, stamp: int) -> FaceEvent:
        self._known, self._heard = state, stamp
        return FaceEvent(kind, by, state, stamp)

    def _tell(self, event: FaceEvent) -> None:
        """Outside the lock: a subscriber may load something itself."""
        with self._lock:
            called = [held() for held in self._subscribers]
            if None in called:
                self._subscribers = [h for h in self._subscribers if h() is not None]
        for callback in called:
            if callback is None:
                continue
            try:
                callback(event)
            except Exception:  # one broken view must not blind the others
                _log.exception("a view failed on a change of the %s", event.kind)


def _keys(state: SessionState) -> tuple[Any, ...]:
    return tuple(edit.key() for edit in state.edits if not edit.empty)
