"""From the state of a session to pictures, and on demand to a receipt.

What it has computed it keeps (:mod:`l2l_widgets.session.known_faces`): dragging a slider therefore
costs one pass through the editor and one through the generator, from the first row of W+ that
changed. A preview is never kept as a face's picture, read or measured.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, EditRequest
from l2l_widgets.errors import error_line
from l2l_widgets.latents import check_ws, z_from_seed
from l2l_widgets.models.drawing import Abandoned, Face, cached
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.arguments import must_be_whole
from l2l_widgets.session.face_reach import FaceReach, plain_edit, reach_key, reachable
from l2l_widgets.session.holding import check_holding
from l2l_widgets.session.known_faces import Drawn, KnownFaces
from l2l_widgets.session.receipt import Receipt
from l2l_widgets.session.references import (
    N_RANDOM,
    RandomEdits,
    Strangers,
    judge_names,
)
from l2l_widgets.session.scope import check_scope
from l2l_widgets.session.states import (
    MAX_EDITS,
    MAX_LATENT,
    NOISE_MODES,
    EditResult,
    SessionState,
    plain_request,
)
from l2l_widgets.session.stopwatch import Stopwatch
from l2l_widgets.session.turns import Turns

#: Bands of random edits kept in memory, and faces whose reach is known.
MAX_BANDS = 6
MAX_REACHES = 24
STAGES = ("mapping", "read", "edit", "synthesis")


class Renderer:
    """Draws and measures session states. Thread-safe; knows nothing of history.

    Parameters
    ----------
    models : Models
        What draws, reads and edits.
    n_random : int
        Random edits behind a receipt's band.
    """

    def __init__(self, models: Models, n_random: int = N_RANDOM) -> None:
        self.models = models
        self.n_random = must_be_whole("n_random", n_random, 1, 10_000)
        self._lock = Turns()
        self._known = KnownFaces(models)
        self._bands: OrderedDict[tuple[Any, ...], RandomEdits] = OrderedDict()
        self._strangers = Strangers(models)
        self._reaches: OrderedDict[tuple[Any, ...], FaceReach] = OrderedDict()

    # -- what can be asked -------------------------------------------------------------------------

    def check(self, state: SessionState) -> None:
        """Raise a ValueError that names the field, the value and what is allowed; draws nothing."""
        self._check_face(state)
        if len(state.edits) > MAX_EDITS:
            raise ValueError(f"edits: {len(state.edits)} are stacked; allowed: {MAX_EDITS}")
        for edit in state.edits:
            request = EditRequest(edit.changes, edit.targets, edit.preserve)
            request.validate(self.models.table)
            if edit.targets and not self.models.has("regressor"):
                raise AttributeRequestError(
                    f"target of {next(iter(edit.targets))!r} is absolute and needs an attribute "
                    f"regressor, which models {self.models.name!r} lack; allowed: a change"
                )
            if edit.empty:
                continue
            check_visible((*request.names, *edit.preserve), self.models.table)
            editor = self.models.editor(edit.method)
            check_holding(editor, edit.method, edit.preserve, self.models.has("regressor"))
            check_scope(edit, editor, self.models.generator.num_ws)

    def _check_face(self, state: SessionState) -> None:
        generator = self.models.generator
        if state.noise_mode not in NOISE_MODES:
            raise ValueError(
                f"noise_mode is {state.noise_mode!r}; allowed: {', '.join(NOISE_MODES)}"
            )
        if state.w is not None:
            check_ws(state.w, generator.num_ws, generator.w_dim)
            if state.w.shape[0] != 1 or state.w.abs().max() > MAX_LATENT:
                raise ValueError(
                    f"w has shape {tuple(state.w.shape)} and entries up to "
                    f"{float(state.w.abs().max()):.3g}; allowed: one face, entries up to "
                    f"{MAX_LATENT:g}"
                )
            return
        z_from_seed(state.seed, generator.z_dim)
        state.check_truncation()

    # -- pictures ----------------------------------------------------------------------------------

    def render(
        self,
        state: SessionState,
        stamp: int = 0,
        stale: Callable[[], bool] = lambda: False,
        preview: bool = False,
        early: Callable[[EditResult], None] | None = None,
    ) -> EditResult | None:
        """Draw what ``state`` asks for; what goes wrong is in the result, never raised.

        Parameters
        ----------
        state : SessionState
            What to draw.
        stamp : int
            Number of the request.
        stale : callable
            Asked between the blocks of the generator; True abandons the picture.
        preview : bool
            Whether a draft will do, where the generator has one and the picture is not known yet.
        early : callable, optional
            Gets a rough result first where the picture takes long: a preview, without ``before``
            where that is not known yet. Called in the midst of drawing: it must not draw.

        Returns
        -------
        EditResult or None
            None when abandoned.
        """
        watch = Stopwatch()

        def show(before: Face, after: Face, requested: dict[str, float], picture: Tensor) -> None:
            assert early is not None
            with torch.inference_mode(False):  # ordinary tensors, as in every result
                early(
                    EditResult(
                        before=None if before.image is None else before.shown(),
                        after=picture[0].clone(), w=before.ws.clone(), w_edited=after.ws.clone(),
                        request=EditRequest(), requested=requested, error=None,
                        seconds=watch.total(STAGES), state=state, stamp=stamp, preview=True,
                    )
                )  # fmt: skip

        try:
            with self._lock, torch.inference_mode():
                self.check(state)
                shown = None if early is None else show
                drawn = self._known.draw(state, watch, stale, shown)
                first = None
                if shown is not None:
                    first = partial(shown, drawn.before, drawn.after, drawn.requested)
                same = drawn.before is drawn.after
                self._known.image(drawn.before, state, watch, stale, first if same else None)
                draft = None
                if preview:
                    with watch.stage("synthesis"):
                        draft = self._known.drawing.draft(
                            drawn.after, state.noise_mode, stale, first
                        )
                if draft is None:
                    self._known.image(drawn.after, state, watch, stale, first)
        except Abandoned:
            return None
        except Exception as error:  # errors are data here: the session goes on
            return EditResult(
                before=self._before_or_none(state),
                after=None,
                w=None,
                w_edited=None,
                request=EditRequest(),
                requested={},
                error=error_line(error),
                seconds=watch.total(STAGES),
                state=state,
                stamp=stamp,
            )
        return EditResult(
            before=drawn.before.shown(),
            after=drawn.after.shown() if draft is None else draft[0].clone(),
            w=drawn.before.ws.clone(),
            w_edited=drawn.after.ws.clone(),
            request=plain_request(drawn.request),
            requested=drawn.requested,
            error=None,
            seconds=watch.total(STAGES),
            state=state,
            stamp=stamp,
            preview=draft is not None,
        )

    def memory(self) -> dict[str, int]:
        """Bytes kept between pictures: ``pictures`` of known faces, ``activations``, ``weights``.

        ``weights`` are the generator's once more, prepared for drawing, and all sessions of these
        models share them; ``activations`` and ``pictures`` are this session's own.
        """
        with self._lock:
            return {
                "pictures": self._known.nbytes,
                "activations": self._known.drawing.kept_bytes,
                "weights": self._known.drawing.prepared_bytes,
            }

    def readings(self, state: SessionState, edited: bool = False) -> dict[str, float]:
        """The regressor's reading of a face, name -> value in [0, 1].

        Raises ValueError for an impossible state, or when there is no regressor.
        """
        watch = Stopwatch()
        with self._lock, torch.inference_mode():
            # An edit that cannot be made changes nothing about the face that it is asked of.
            (self.check if edited else self._check_face)(state)
            drawn = self._known.draw(state, watch) if edited else None
            face = drawn.after if drawn else self._known.face(state, watch)
            values = self._known.reading(face, "regressor", state, watch)
        return dict(zip(self.models.table.names, values[0].tolist(), strict=True))

    def reach(
        self,
        state: SessionState,
        names: Sequence[str] = (),
        stale: Callable[[], bool] = lambda: False,
    ) -> dict[str, tuple[float, float]] | None:
        """How far the last edit's method takes the unedited face; see ``EditSession.face_reach``.

        None where ``stale`` says True before all of it is known: True from the start asks what is
        known already, and draws nothing.
        """
        if not self.models.has("regressor"):
            return {}
        edit, key = plain_edit(state), reach_key(state)

        def begin() -> FaceReach:
            self._check_face(state)
            check_scope(edit, self.models.editor(edit.method), self.models.generator.num_ws)
            watch = Stopwatch()
            face = self._known.face(state, watch)
            current = self._known.reading(face, "regressor", state, watch)
            return FaceReach(self.models, face.ws, current, edit, state.noise_mode)

        with self._lock, torch.inference_mode():
            if key not in self._reaches and stale():
                return None
            editor = self.models.editor(edit.method)
            names = reachable(names, edit.method, editor, self.models.table)
            reach: FaceReach = cached(self._reaches, key, begin, MAX_REACHES)
        while True:
            with self._lock, torch.inference_mode():
                if reach.missing(names) == 0:
                    return reach.spans(names)
                if stale():
                    return None
                reach.advance(names, stale)

    def _before_or_none(self, state: SessionState) -> Tensor | None:
        try:
            with self._lock, torch.inference_mode():
                self._check_face(state)
                watch = Stopwatch()
                face = self._known.face(state, watch)
                self._known.image(face, state, watch)
                return face.shown()
        except Exception:  # the first error is the one to report
            return None

    # -- measurement -------------------------------------------------------------------------------

    def measure(
        self,
        state: SessionState,
        stamp: int = 0,
        stale: Callable[[], bool] = lambda: False,
        tell: Callable[[str], None] | None = None,
    ) -> Receipt | None:
        """Judge what ``state`` draws.

        Parameters
        ----------
        state : SessionState
            What to measure.
        stamp : int
            Number of the request.
        stale : callable
            Asked between short pieces of work; True abandons the measurement. What was measured
            up to then is kept, so the next attempt goes on from there.
        tell : callable, optional
            Gets the name of each stage as a piece of it begins.

        Returns
        -------
        Receipt or None
            None when abandoned. What goes wrong is in ``receipt.error``.
        """
        watch = Stopwatch(tell)
        try:
            return self._measure(state, stamp, stale, watch)
        except Exception as error:  # errors are data here: the session goes on
            return Receipt(error=error_line(error), seconds=watch.total(), stamp=stamp)

    def _measure(
        self, state: SessionState, stamp: int, stale: Callable[[], bool], watch: Stopwatch
    ) -> Receipt | None:
        models = self.models
        if not (models.has("attribute_judge") or models.has("regressor")):
            raise ValueError(
                f"models {models.name!r} hold no attribute judge; "
                "give one to Models.from_parts(attribute_judge=...)"
            )
        with self._lock, torch.inference_mode():
            self.check(state)
            drawn = self._known.draw(state, watch)
        readings = []
        for face in (drawn.before, drawn.after):
            if stale():
                return None
            with self._lock, torch.inference_mode():
                self._known.embedding(face, state, watch)
                readings.append(self._known.reading(face, "judge", state, watch)[0].cpu())
        size = float((drawn.after.ws - drawn.before.ws).norm())
        randoms = self._random_edits(drawn.before, state)
        while randoms.missing(size) > 0:
            if stale():
                return None
            with self._lock, torch.inference_mode(), watch.stage("random edits"):
                before = drawn.before
                randoms.advance(size, before.readings["judge"], before.embedding, stale)
        variety = state.truncation_psi, state.noise_mode
        while drawn.before.embedding is not None and self._strangers.missing(*variety) > 0:
            if stale():
                return None
            with self._lock, torch.inference_mode(), watch.stage("strangers"):
                self._strangers.advance(*variety, stale)
        with self._lock, torch.inference_mode():
            return self._receipt(drawn, readings, randoms, size, state, watch, stamp)

    def _receipt(
        self,
        drawn: Drawn,
        readings: list[Tensor],
        randoms: RandomEdits,
        size: float,
        state: SessionState,
        watch: Stopwatch,
        stamp: int,
    ) -> Receipt:
        names = self.models.table.names
        visible = visible_table(self.models.table)

        def named(values: Tensor) -> dict[str, float]:
            return {n: v for n, v in _by_name(names, values).items() if n in visible}

        before, after = readings
        change = named(after - before)
        low, high, identity_band = randoms.band(size)
        identity, strangers = None, None
        if drawn.before.embedding is not None and drawn.after.embedding is not None:
            identity = float((drawn.before.embedding * drawn.after.embedding).sum())
            strangers = self._strangers.similarity(state.truncation_psi, state.noise_mode)
        by_regressor = {}
        if self.models.has("regressor"):
            ends = [self._known.reading(f, "regressor", state, watch)[0].cpu()
                    for f in (drawn.before, drawn.after)]  # fmt: skip
            moved = _by_name(names, ends[1] - ends[0])
            by_regressor = {n: moved[n] for n in drawn.requested}
        return Receipt(
            requested=drawn.requested,
            targets={n: float(v) for n, v in drawn.request.targets.items()},
            achieved={n: change[n] for n in drawn.requested},
            others={n: c for n, c in change.items() if n not in drawn.requested},
            band={n: (low_n, named(high)[n]) for n, low_n in named(low).items()},
            identity=identity,
            identity_band=identity_band if identity is not None else None,
            strangers=strangers,
            before=named(before),
            after=named(after),
            by_regressor=by_regressor,
            shares=self.models.table.moved_with(drawn.requested),
            size=size,
            seconds=watch.total(STAGES),
            judges=judge_names(self.models),
            n_random=self.n_random,
            held=state.edits[-1].preserve,
            narrowed=state.edits[-1].rows is not None,
            stamp=stamp,
        )

    def _random_edits(self, face: Face, state: SessionState) -> RandomEdits:
        with self._lock:
            return cached(
                self._bands,
                state.face_key(),
                lambda: RandomEdits(self.models, face.ws, state.noise_mode, self.n_random),
                MAX_BANDS,
            )


def _by_name(names: tuple[str, ...], values: Tensor) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
