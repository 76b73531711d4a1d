"""A headless editing session: state in, pictures and receipts out.

A session holds a face (a seed or a latent, and a truncation), the edits on it, and their history.
It knows no widget: sliders, the command line, tests and scripts use the same object::

    session = EditSession(load())
    session.set_seed(7)
    session.set_changes({"smile": 0.3})
    result = session.render()           # EditResult: pictures and latents, or one line of error
    receipt = session.measure()         # Receipt: what else moved

Errors are data. A setter takes what it is given; what cannot be done comes back as
``result.error``, one line, and the session goes on. Methods may be called from any thread.

Two speeds: ``render`` draws and measures nothing; ``measure`` reads the judges and may be
abandoned half way. ``request`` does both on a worker thread, picture first, and only the newest
request counts, as in the renderer of NVlabs' stylegan3.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from l2l_widgets.errors import error_line
from l2l_widgets.images import save_image
from l2l_widgets.latents import z_from_seed
from l2l_widgets.latest_wins import LatestWins, weakly
from l2l_widgets.models.zoo import Models, check_models
from l2l_widgets.session.history import History, HistoryNode
from l2l_widgets.session.receipt import N_RANDOM, Receipt
from l2l_widgets.session.rendering import Renderer
from l2l_widgets.session.replay import PNG_KEY, Recipe, check_picture, check_recipe
from l2l_widgets.session.states import (
    DEFAULT_PSI,
    Edit,
    EditResult,
    SessionState,
    changed,
    check_state,
    latent_face,
)  # fmt: skip
from l2l_widgets.session.subscribers import Subscribers, never

#: Seconds after which a picture is finished although newer requests keep coming.
PATIENCE = 1.0


class EditSession:
    """A face, the edits on it, and their history.

    Parameters
    ----------
    models : Models
        What draws, reads and edits.
    method : str
        Editor of a fresh edit.
    truncation_psi : float
        Of the first face, in [0, 1.5]; another number is a ValueError.
    seed : int
        Of the first face, 0 to 2**32 - 1; another number is a ValueError.
    n_random : int
        Random edits behind a receipt's band, 1 to 10,000; another number is a ValueError.
    """

    def __init__(
        self,
        models: Models,
        method: str = "mapper",
        truncation_psi: float = DEFAULT_PSI,
        seed: int = 0,
        n_random: int = N_RANDOM,
    ) -> None:
        z_from_seed(seed, 1)  # refuses what is no seed
        self._models = check_models(models)
        self._renderer = Renderer(models, n_random)
        state = SessionState(seed=seed, truncation_psi=truncation_psi, edits=(Edit(method),))
        state.check_truncation()
        self._history = History(state)
        self._stamp = 0
        self._subscribers = Subscribers()
        self._waiting_since: float | None = None  # when the first abandoned picture was begun
        self._answered = -1  # stamp of the newest result
        # The renderer has a lock of its own: a slider can move while a picture is being drawn.
        self._lock = threading.RLock()
        # The worker must not keep a forgotten session alive: notebooks make many.
        self._worker = LatestWins(weakly(self._serve), name="l2l-session")
        weakref.finalize(self, self._worker.close)

    @classmethod
    def from_recipe(cls, models: Models, recipe: Recipe) -> EditSession:
        """A session that draws what a recipe describes.

        Parameters
        ----------
        models : Models
            Must be the models that drew the picture, by their hashes.
        recipe : Recipe
            From :func:`l2l_widgets.session.replay.read_recipe` or ``parse_recipe``.

        Raises
        ------
        ValueError
            Other models, or a field that these models cannot honour, by name.
        """
        check_recipe(recipe, models)
        session = cls(models, truncation_psi=recipe.truncation_psi)
        session._history.replace(recipe.state(session.state.edits))
        session._renderer.check(session.state)
        return session

    def __repr__(self) -> str:
        try:
            self._renderer.check(self.state)
        except Exception as error:  # errors are data, and here they can be seen
            return self.state.line("EditSession", error_line(error))
        return self.state.line("EditSession")

    # -- state -------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """What would be drawn now."""
        with self._lock:
            return self._history.state

    @property
    def stamp(self) -> int:
        """Number of the newest change; a result with a smaller one is out of date."""
        return self._stamp

    @property
    def can_undo(self) -> bool:
        """Whether :meth:`undo` would change anything."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether :meth:`redo` would change anything."""
        return self._history.can_redo

    def update(self, *, gesture: str | None = None, **values: Any) -> int:
        """Change any part of the state at once; draws nothing.

        Parameters
        ----------
        gesture : str, optional
            Consecutive updates with the same gesture are one step of undo: name the slider and
            count its drags.
        **values
            ``seed``, ``w``, ``truncation_psi``, ``noise_mode`` of the face; ``edits``, all of
            them, none where empty; and what an :class:`Edit` holds, of the last of them.

        Returns
        -------
        int
            The new stamp; results carry it.
        """
        with self._lock:
            return self._enter(changed(self.state, values, self.models), gesture)

    def set_seed(self, seed: int, gesture: str | None = None) -> int:
        """Take the face of a seed, a whole number from 0 to 2**32 - 1; the edits stay."""
        return self.update(seed=seed, gesture=gesture)

    def set_latent(self, w: Tensor) -> int:
        """Take a latent as the face, as it is: copied, not truncated; the edits stay.

        Parameters
        ----------
        w : Tensor, shape (w_dim,), (num_ws, w_dim) or (1, num_ws, w_dim)
            In the generator's W or W+.
        """
        return self.update(w=w)

    def set_truncation(self, truncation_psi: float, gesture: str | None = None) -> int:
        """Set how far from the average face the seed's face lies, in [0, 1.5]."""
        return self.update(truncation_psi=truncation_psi, gesture=gesture)

    def set_method(self, method: str) -> int:
        """Choose the editor of the current edit."""
        return self.update(method=method)

    def set_changes(self, changes: Mapping[str, float], gesture: str | None = None) -> int:
        """Replace the relative part of the current edit, name -> change in [-1, 1].

        A name that had a target gives it up. What is impossible is the next result's ``error``.
        """
        with self._lock:
            return self.update(gesture=gesture, **self.state.edits[-1].replaced("changes", changes))

    def set_targets(self, targets: Mapping[str, float], gesture: str | None = None) -> int:
        """Replace the absolute part of the current edit, name -> value in [0, 1].

        A target is read against the face before this edit, as the regressor reads it. A name that
        had a relative change gives it up.
        """
        with self._lock:
            return self.update(gesture=gesture, **self.state.edits[-1].replaced("targets", targets))

    def checked_latent(self, w: Tensor) -> Tensor:
        """A latent as the face that it would be, (1, num_ws, w_dim); ValueError where it cannot."""
        w = latent_face(w, self.models.generator.num_ws)
        self._renderer.check(SessionState(seed=None, w=w, edits=()))
        return w

    @property
    def models(self) -> Models:
        """What draws, reads and edits; to give others is :meth:`set_models`, and has them draw."""
        return self._models

    @models.setter
    def models(self, models: Models) -> None:
        self.set_models(models)
        self.request()

    def set_models(self, models: Models) -> int:
        """Draw with other models; face, edits and history stay. Views follow what is drawn next.

        What the new models cannot honour is an error of the next result.
        """
        renderer = Renderer(check_models(models), self._renderer.n_random)
        with self._lock:
            self._models, self._renderer = models, renderer
            self._answered = -1
            self._stamp += 1
            return self._stamp

    def take(self, recipe: Recipe) -> int:
        """Take face and edits of a recipe; can be undone. Errors as in :meth:`from_recipe`."""
        check_recipe(recipe, self.models)
        with self._lock:
            state = recipe.state((Edit(self.state.edits[-1].method),))
            self._renderer.check(state)
            return self._enter(state, None)

    def stack(self, method: str | None = None) -> int:
        """Keep the current edit and begin an empty one on top of it."""
        with self._lock:
            top = Edit(method or self.state.edits[-1].method)
            return self.update(edits=(*self.state.edits, top))

    def reset(self) -> int:
        """Take back all edits; the face stays. Can be undone."""
        with self._lock:
            fresh = (Edit(self.state.edits[-1].method),)
            return self._stamp if self.state.edits == fresh else self.update(edits=fresh)

    def undo(self) -> bool:
        """Go back one step; False when there is none."""
        return self._walk(self._history.undo)

    def redo(self) -> bool:
        """Go forward one step, where one went last; False when there is none."""
        return self._walk(self._history.redo)

    def goto(self, node: int) -> bool:
        """Go to any state that was reached before, by its number; False when it is forgotten."""
        return self._walk(lambda: self._history.goto(node))

    def history(self) -> tuple[HistoryNode, ...]:
        """Every state that was reached, with its branches, the oldest first."""
        with self._lock:
            return self._history.nodes()

    def _enter(self, state: SessionState, gesture: str | None) -> int:
        self._history.enter(state, gesture)
        self._stamp += 1
        return self._stamp

    def _walk(self, step: Callable[[], bool]) -> bool:
        with self._lock:
            if not step():
                return False
            self._stamp += 1
            return True

    def _snapshot(self) -> tuple[SessionState, int]:
        with self._lock:
            return self._history.state, self._stamp

    # -- answers, in the calling thread ------------------------------------------------------------

    def render(self, state: SessionState | None = None, *, preview: bool = False) -> EditResult:
        """Draw the state, or another one; a draft will do where ``preview``.

        Errors are in ``result.error``. Another state, as from :meth:`history`, does not become the
        session's.
        """
        now, stamp = self._snapshot()
        asked = now if state is None else check_state(state)
        result = self._renderer.render(asked, stamp, preview=preview)
        assert result is not None  # nothing abandons it
        return result

    def memory(self) -> dict[str, int]:
        """Bytes kept between pictures: ``pictures``, ``activations``, and prepared ``weights``."""
        return self._renderer.memory()

    def measure(
        self, stale: Callable[[], bool] = lambda: False, tell: Callable[[str], None] | None = None
    ) -> Receipt | None:
        """Judge the current state; slower than drawing it.

        Parameters
        ----------
        stale : callable
            Asked every few pictures; True abandons the measurement.
        tell : callable, optional
            Gets the name of each stage as a piece of it begins: "random edits", "strangers", ...

        Returns
        -------
        Receipt or None
            None when abandoned. What goes wrong is in ``receipt.error``.
        """
        return self._renderer.measure(*self._snapshot(), stale, tell)

    def readings(self, edited: bool = False) -> dict[str, float]:
        """The regressor's reading of the unedited (or edited) face, name -> value in [0, 1].

        Empty without a regressor, and for a state that cannot be drawn.
        """
        if not self.models.has("regressor"):
            return {}
        try:
            return self._renderer.readings(self.state, edited)
        except Exception as error:  # errors are data: the result of render says which
            error_line(error)
            return {}

    def face_reach(
        self, *names: str, stale: Callable[[], bool] = never, state: SessionState | None = None
    ) -> dict[str, tuple[float, float]] | None:
        """Measure how far the method takes the unedited face, one attribute at a time.

        Parameters
        ----------
        *names : str
            All that the method can change and that may be shown, if none is given.
        stale, state : optional
            As for :meth:`measure`, where None says that it was abandoned, and :meth:`render`.

        Returns
        -------
        dict or None
            Name -> lowest and highest reading (:mod:`l2l_widgets.session.face_reach`), without what
            cannot be measured. ValueError on a name that the method cannot change.
        """
        asked = self.state if state is None else check_state(state)
        return self._renderer.reach(asked, names, stale)

    # -- answers, on the worker --------------------------------------------------------------------

    def request(
        self, *, measure: bool = True, preview: bool = False, rest: float = 0.0,
        gesture: str | None = None, **values: Any,
    ) -> int:  # fmt: skip
        """Change the state, and draw and measure it on the worker; returns at once.

        Only the newest state is drawn; subscribers get the picture first, and the receipt when
        nothing newer is waiting and one of them wants it.

        Parameters
        ----------
        measure, rest : bool, float
            Whether a receipt follows the picture, and after how many seconds without a request.
        preview : bool
            Whether a draft will do, as while a slider moves; it excludes ``measure``.
        gesture, **values
            As for :meth:`update`; without values the state is drawn as it is.

        Returns
        -------
        int
            The stamp that the result will carry, or exceed.
        """
        with self._lock:  # one step: or an older draft could be queued behind a newer receipt
            stamp = self.update(gesture=gesture, **values) if values else self._stamp
            self._worker((measure and not preview, preview, rest))
        return stamp

    def subscribe(
        self, callback: Callable[[str, Any], None], *, receipts: Callable[[], bool] | None = None
    ) -> Callable[[], None]:
        """Have ``callback(kind, value)`` called from the worker.

        Parameters
        ----------
        callback : callable
            Gets ``("result", EditResult)`` and ``("receipt", Receipt)``; where a picture takes
            long, ``("early", EditResult)`` before the result: in the midst of drawing, so it must
            not ask the session for pictures or readings.
        receipts : callable, optional
            Whether this one wants a receipt now: nothing is measured that nobody wants. Always, if
            not given.

        Returns
        -------
        callable
            Ends the subscription.
        """
        return self._subscribers.add(callback, receipts)

    def stale(self) -> bool:
        """Whether the worker's running call is out of date."""
        return self._worker.stale()

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until every request is answered; False when that took longer than ``timeout`` s."""
        return self._worker.drain(timeout)

    def close(self) -> None:
        """End the worker; drawing in the calling thread still works."""
        self._worker.close()

    def _serve(self, how: tuple[bool, bool, float]) -> None:
        measure, preview, rest = how
        state, stamp = self._snapshot()
        since = time.monotonic() if self._waiting_since is None else self._waiting_since

        def stale() -> bool:
            return self._worker.stale() and time.monotonic() - since < PATIENCE

        # What has been answered is up already: a rough picture would be a step back.
        early = None if stamp == self._answered else partial(self._subscribers.publish, "early")
        result = self._renderer.render(state, stamp, stale, preview, early)
        self._waiting_since = since if result is None else None
        if result is None:  # what made it stale is served next
            return
        self._answered = stamp
        self._subscribers.publish("result", result)
        wanted = measure and result.error is None and self._worker.rested(rest)
        if not wanted or not self._subscribers.want_receipts:
            return
        receipt = self._renderer.measure(state, stamp, self._worker.stale)
        if receipt is not None:
            self._subscribers.publish("receipt", receipt)

    # -- what can be kept --------------------------------------------------------------------------

    def recipe(
        self, picture: Mapping[str, Any] | None = None, state: SessionState | None = None
    ) -> dict[str, Any]:
        """The recipe of the current state, or of another one, as plain JSON values.

        Parameters
        ----------
        picture : mapping, optional
            ``scale`` and ``compare`` of a saved picture.

        Raises
        ------
        ValueError
            When the state cannot be drawn.
        """
        state = self.state if state is None else check_state(state)
        self._renderer.check(state)
        return Recipe.of(self.models, state, picture).to_dict()

    def save(
        self, path: str | os.PathLike[str], scale: int = 1, compare: bool = False,
        state: SessionState | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Write the edited face, or that of another state, as PNG with its recipe inside.

        Parameters
        ----------
        path : path
            Ends in ``.png``. Written whole or not at all.
        scale : int
            Upscaling of the picture, 1 to 64.
        compare : bool
            Before and after side by side.

        Returns
        -------
        dict
            The recipe.

        Raises
        ------
        ValueError
            When the state cannot be drawn, or the file not be written.
        """
        path = check_picture(path, scale)
        result = self.render(state)
        if result.error is not None or result.after is None:
            raise ValueError(result.error)
        recipe = Recipe.of(self.models, result.state, {"scale": scale, "compare": compare})
        image = result.compare() if compare else result.after
        save_image(path, image, text={PNG_KEY: recipe.to_json()}, scale=scale)
        return recipe.to_dict()
