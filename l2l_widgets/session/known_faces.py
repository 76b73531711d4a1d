"""The faces that a renderer has computed, and what it computes of them when it is first asked.

A face is known by its seed and truncation, an edited face by the edits on it. Every picture is
drawn alone, in a batch of one: results of larger batches differ in the last bits, and a recipe
promises the same pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.latents import to_wplus, z_from_seed
from l2l_widgets.models.drawing import Face, FaceDrawing, cached, request_reader
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.glances import Glances
from l2l_widgets.session.holding import held_edit
from l2l_widgets.session.references import (
    attribute_judge,
    checked_embedding,
    checked_readings,
    identity_judge,
)
from l2l_widgets.session.scope import within_scope
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.session.stopwatch import Stopwatch

__all__ = ["MAX_FACES", "Drawn", "KnownFaces"]

#: Faces and edited faces kept in memory, each with its picture and readings.
MAX_FACES = 12


@dataclass
class Drawn:
    """The faces before and after, and what was asked for."""

    before: Face
    after: Face
    request: EditRequest
    requested: dict[str, float]


class KnownFaces:
    """Faces and edited faces by what they are, each with its picture and readings.

    Not thread-safe: whoever asks holds the renderer's turn.

    Parameters
    ----------
    models : Models
        What draws, reads and edits.

    Attributes
    ----------
    drawing : FaceDrawing
        What draws their pictures.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self.drawing = FaceDrawing(models)
        self._faces: OrderedDict[tuple[Any, ...], Face] = OrderedDict()
        self._glances = Glances.of(models)

    def __len__(self) -> int:
        return len(self._faces)

    @property
    def nbytes(self) -> int:
        """Bytes of the pictures that are kept."""
        return sum(face.nbytes for face in self._faces.values())

    def draw(
        self,
        state: SessionState,
        watch: Stopwatch,
        stale: Callable[[], bool] = lambda: False,
        show: Callable[[Face, Face, dict[str, float], Tensor], None] | None = None,
    ) -> Drawn:
        """The faces before and after the edits of a state, not yet drawn."""
        before = current = self.face(state, watch)
        early = None
        if show is not None and all(edit.empty for edit in state.edits):
            early = partial(show, before, before, {})  # the unedited face is what is asked for
        key: tuple[Any, ...] = state.face_key()
        request = EditRequest()
        requested: dict[str, float] = {}
        table = self.models.table
        for edit in state.edits:
            # Readings belong to an empty edit too: they say where its sliders stand.
            request = self._request(current, edit, state, watch, stale, early)
            if edit.empty:
                continue
            deltas = request.deltas(table)[0]
            for name in request.names:
                requested[name] = requested.get(name, 0.0) + float(deltas[table.index(name)])
            key = (*key, edit.key())
            current = self._edited(key, current, edit, request, state, watch)
        return Drawn(before, current, request, requested)

    def _request(
        self,
        face: Face,
        edit: Edit,
        state: SessionState,
        watch: Stopwatch,
        stale: Callable[[], bool],
        early: Callable[[Tensor], None] | None,
    ) -> EditRequest:
        current = None
        if request_reader(self.models) is not None:
            self.image(face, state, watch, stale, early)
            current = self.reading(face, "regressor", state, watch)
        return EditRequest(edit.changes, edit.targets, edit.preserve, current)

    def face(self, state: SessionState, watch: Stopwatch) -> Face:
        """The face of a state, without its edits."""

        def compute() -> Face:
            generator = self.models.generator
            if state.w is not None:
                ws = state.w.to(self.models.device)
            else:
                z = z_from_seed(state.seed, generator.z_dim).to(self.models.device)
                with watch.stage("mapping"):
                    ws = generator.mapping(z, truncation_psi=float(state.truncation_psi))
            return Face(to_wplus(ws, generator.num_ws), state.face_key())

        return cached(self._faces, state.face_key(), compute, MAX_FACES)

    def _edited(
        self,
        key: tuple[Any, ...],
        face: Face,
        edit: Edit,
        request: EditRequest,
        state: SessionState,
        watch: Stopwatch,
    ) -> Face:
        editor = self.models.editor(edit.method)

        def read(ws: Tensor) -> Tensor:
            tried = Face(within_scope(edit, editor, face.ws, ws))
            return self.reading(tried, "regressor", state, Stopwatch())

        def compute() -> Face:
            with watch.stage("edit"):
                ws = held_edit(editor, face.ws, request, self.models.table, read)
                ws = within_scope(edit, editor, face.ws, ws)
            if not bool(torch.isfinite(ws).all()):
                raise ValueError(f"method {edit.method!r} gave a latent that is not finite")
            return Face(ws)

        return cached(self._faces, key, compute, MAX_FACES)

    def image(
        self,
        face: Face,
        state: SessionState,
        watch: Stopwatch,
        stale: Callable[[], bool] = lambda: False,
        early: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """A face's picture, (1, 3, R, R); Abandoned where it has become stale meanwhile."""
        draw = partial(self.drawing.image, face, state.noise_mode, stale, early)
        if face.image is not None:
            return draw()
        with watch.stage("synthesis"):
            return draw() if face.key is None else self._glances.share(face, draw)

    def reading(self, face: Face, who: str, state: SessionState, watch: Stopwatch) -> Tensor:
        """What the regressor or the judge reads in a face, (1, A) in [0, 1]."""
        if who not in face.readings:
            image = self.image(face, state, watch)
            asks = request_reader(self.models) if who == "regressor" else None
            network = attribute_judge(self.models) if asks is None else asks
            with watch.stage("read"):
                values = network(image)
            face.readings[who] = checked_readings(values, who, self.models.table)
        return face.readings[who]

    def embedding(self, face: Face, state: SessionState, watch: Stopwatch) -> None:
        """Have the face carry its embedding, where there is an embedder."""
        known = self.models.has("identity_judge") or self.models.has("embedder")
        if known and face.embedding is None:
            image = self.image(face, state, watch)
            with watch.stage("read"):
                face.embedding = checked_embedding(identity_judge(self.models)(image))
