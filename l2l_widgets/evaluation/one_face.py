"""One request, every method, one face: side by side at equal *achieved* change, with receipts.

At equal knob a method that delivers less looks cleaner. Each method is therefore asked for as much
as brings the same change of the target, as the judge sees it; one that never gets there is marked
with what it reached, and stays out of the comparison. A request may name several attributes: its
share that came is then the projection of the change onto the request.

Blind labels are a shuffle of the methods by a seed: who votes cannot know, and who reads the votes
afterwards can.
"""

from __future__ import annotations

import math
import string
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest
from l2l_widgets.evaluation.equal_change import KNOBS
from l2l_widgets.metrics import leakage
from l2l_widgets.models.checks import no_editor
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.receipt import Receipt, change_text
from l2l_widgets.session.references import (
    RandomEdits,
    Strangers,
    attribute_judge,
    checked_embedding,
    checked_rows,
    identity_judge,
    judge_names,
)
from l2l_widgets.session.stopwatch import Stopwatch

__all__ = ["Answer", "SideBySide", "blind_labels"]

#: The change counts as achieved within this share of it.
CLOSE = 0.02
#: Pictures drawn at most to come that close, after the sweep.
STEPS = 6
#: A change of less, in attribute units, is none.
LEAST = 0.005
#: Random edits behind a receipt's band: fewer than for a face that one works on.
N_RANDOM = 24


@dataclass(frozen=True)
class Answer:
    """What one method made of the request.

    Parameters
    ----------
    method : str
        Who edited.
    reached : bool
        Whether the request was achieved; only then may it be compared.
    reason : str
        Why not, in one line; "" where it was.
    share : float
        Of the request, what came by the judge; NaN where nothing could be drawn.
    strength : float
        What the method was asked for, as a multiple of the request.
    image : Tensor or None
        The picture, (3, R, R) in [-1, 1]; of the largest share where the request was not achieved.
    w : Tensor or None
        Its latent, (1, num_ws, w_dim).
    receipt : Receipt or None
        What else moved.
    seconds : float
        Of this edit and its picture alone, without the search for the strength.
    """

    method: str
    reached: bool
    reason: str
    share: float = float("nan")
    strength: float = float("nan")
    image: Tensor | None = None
    w: Tensor | None = None
    receipt: Receipt | None = None
    seconds: float = float("nan")

    @property
    def changes(self) -> dict[str, float]:
        """What the method was asked for, in attribute units; empty where nothing was drawn."""
        return {} if self.receipt is None else _asked(self.receipt.requested, self.strength)


class SideBySide:
    """Compares methods on faces, one request at a time. Thread-safe: one answer at a time.

    Parameters
    ----------
    models : Models
        Generator, judges and editors.
    methods : sequence of str, optional
        All that the models have where not given.
    n_random : int
        Random edits behind each receipt's band.

    Raises
    ------
    ValueError
        A method that the models lack, or models without a judge of attributes.
    """

    def __init__(
        self, models: Models, methods: Sequence[str] | None = None, n_random: int = N_RANDOM
    ) -> None:
        known = models.available_editors
        if not known:
            raise ValueError(no_editor(models))
        self.methods = tuple(known if methods is None else methods)
        unknown = [m for m in self.methods if m not in known]
        if unknown or not self.methods:
            raise ValueError(
                f"methods are {', '.join(self.methods) or 'empty'}; allowed: {', '.join(known)}"
            )
        if not (models.has("attribute_judge") or models.has("regressor")):
            raise ValueError(f"models {models.name!r} hold no attribute judge; allowed: any one")
        self.models, self.n_random = models, n_random
        self._strangers = Strangers(models)
        self._face: _Face | None = None
        self._lock = threading.Lock()

    def check(self, request: Mapping[str, float]) -> None:
        """Raise a ValueError unless the request asks for something possible."""
        EditRequest(changes=request).validate(self.models.table)
        check_visible(request, self.models.table)
        if not any(request.values()):
            raise AttributeRequestError("the request is empty; allowed: a change other than 0")

    def answers(
        self,
        ws: Tensor,
        request: Mapping[str, float],
        *,
        methods: Sequence[str] | None = None,
        truncation_psi: float = 0.7,
        stale: Callable[[], bool] = lambda: False,
    ) -> Iterator[Answer]:
        """Yield the answer of one method after the other.

        Parameters
        ----------
        ws : Tensor, shape (1, num_ws, w_dim)
            The face.
        request : mapping of str to float
            Changes in attribute units; what is to be *achieved*.
        methods : sequence of str, optional
            In which order; all of them in theirs where not given.
        truncation_psi : float
            Of the face: how alike strangers are depends on it.
        stale : callable
            Asked between pieces of work; True ends the answers early.

        Raises
        ------
        ValueError
            An impossible request. What goes wrong in a method is in its answer.
        """
        self.check(request)
        for method in self.methods if methods is None else methods:
            if stale():
                return
            try:
                with self._lock, torch.inference_mode():
                    answer = self._answer(method, ws, request, truncation_psi, stale)
            except Exception as error:  # whatever a foreign editor raises is that method's
                line = " ".join(str(error).split()) or type(error).__name__
                answer = Answer(method, False, line)
            if answer is None:
                return
            yield answer

    def fitted(self, ws: Tensor, request: Mapping[str, float]) -> dict[str, float]:
        """Return the request, cut to what the judge's scale leaves to this face.

        What would keep less than `LEAST` of the scale goes; where all would, nothing is cut.

        Parameters
        ----------
        ws : Tensor, shape (1, num_ws, w_dim)
            The face.
        request : mapping of str to float
            Changes in attribute units, of another reader's value, say.
        """
        self.check(request)
        with self._lock, torch.inference_mode():
            readings = self._face_of(ws).readings
        fit = {}
        for name, change in request.items():
            now = min(1.0, max(0.0, float(readings[self.models.table.index(name)])))
            # Inwards to the fourth digit, as requests are kept: rounding must not leave the scale.
            low, high = -math.floor(1e4 * now) / 1e4, math.floor(1e4 * (1 - now)) / 1e4
            fit[name] = min(high, max(low, change))
        fit = {name: change for name, change in fit.items() if abs(change) >= LEAST}
        return fit or dict(request)

    # -- one method --------------------------------------------------------------------------------

    def _answer(
        self,
        method: str,
        ws: Tensor,
        request: Mapping[str, float],
        psi: float,
        stale: Callable[[], bool],
    ) -> Answer | None:
        face, table = self._face_of(ws), self.models.table
        wanted = torch.zeros(len(table))
        for name, change in request.items():
            wanted[table.index(name)] = change
        lacks = _no_room(table, request, face.readings)
        if lacks:
            return Answer(method, False, lacks)
        editor = self.models.editor(method)
        missing = [n for n in request if n not in editor.attributes]
        if missing:
            why = getattr(editor, "reasons", {}).get(missing[0], "it did not learn to")
            return Answer(method, False, f"cannot change {table[missing[0]].label.lower()}: {why}")

        def edit(strength: float) -> Tensor:
            changes = EditRequest(changes=_asked(request, strength))
            after = editor.edit(face.ws, changes).to(face.ws)
            if not bool(torch.isfinite(after).all()):
                raise ValueError("edited latents hold NaN or infinity")
            return after

        def share(latents: Tensor) -> Tensor:
            images = self.models.generator.synthesis(latents, noise_mode="const")
            moved = self._read(images) - face.readings
            return (moved @ wanted) / (wanted @ wanted)  # (B,)

        knobs = torch.tensor(KNOBS) / float(wanted.abs().max())
        sweep = torch.cat([torch.zeros(1), share(torch.cat([edit(float(k)) for k in knobs[1:]]))])
        if stale():
            return None
        strength = float(leakage.matched_position(knobs, sweep[None], 1.0)[0])
        reached = strength == strength
        if reached:
            strength = _closer(lambda k: float(share(edit(k))[0]), knobs, sweep, strength)
        else:
            strength = float(knobs[int(sweep.argmax())])
        started = time.perf_counter()
        after = edit(strength)
        image = self.models.generator.synthesis(after, noise_mode="const")
        seconds = time.perf_counter() - started
        asked = {n: float(c) for n, c in request.items()}
        receipt = self._receipt(face, after, image, asked, psi, stale)
        if receipt is None:
            return None
        came = torch.tensor([receipt.achieved[n] for n in request])
        want = torch.tensor([request[n] for n in request])
        part = float((came @ want) / (want @ want))
        reason = ""
        if not reached:
            first = max(request, key=lambda n: abs(request[n]))
            reason = (
                f"reaches {change_text(table[first], receipt.achieved[first])} of "
                f"{change_text(table[first], request[first])} on this face"
            )
        return Answer(
            method, reached, reason, part, strength, image[0].cpu().clone(), after.cpu().clone(),
            receipt, seconds,
        )  # fmt: skip

    def _face_of(self, ws: Tensor) -> _Face:
        if self._face is None or not torch.equal(self._face.given, ws):
            latent = ws.to(self.models.device).float()
            image = self.models.generator.synthesis(latent, noise_mode="const")
            knows = self.models.has("identity_judge") or self.models.has("embedder")
            self._face = _Face(
                ws.clone(), latent, self._read(image)[0],
                checked_embedding(identity_judge(self.models)(image)) if knows else None,
                RandomEdits(self.models, latent, n=self.n_random),
            )  # fmt: skip
        return self._face

    def _read(self, images: Tensor) -> Tensor:
        """(B, A) by the judge; a ValueError where it gives no numbers."""
        values = attribute_judge(self.models)(images).float().cpu()
        return checked_rows(values, "judge", self.models.table)

    def _receipt(
        self,
        face: _Face,
        after: Tensor,
        image: Tensor,
        request: dict[str, float],
        psi: float,
        stale: Callable[[], bool],
    ) -> Receipt | None:
        watch, names = Stopwatch(), self.models.table.names
        readings = self._read(image)[0]
        size = float((after - face.ws).norm())
        device_readings = face.readings[None].to(image)
        while face.randoms.missing(size) > 0:
            if stale():
                return None
            face.randoms.advance(size, device_readings, face.embedding)
        identity = strangers = None
        if face.embedding is not None:
            while self._strangers.missing(psi, "const") > 0:
                if stale():
                    return None
                self._strangers.advance(psi, "const")
            strangers = self._strangers.similarity(psi, "const")
            same = checked_embedding(identity_judge(self.models)(image))
            identity = float((face.embedding * same).sum())
        low, high, identity_band = face.randoms.band(size)
        shown = visible_table(self.models.table)

        def named(values: Iterable[Any]) -> dict[str, Any]:
            return {n: v for n, v in zip(names, values, strict=True) if n in shown}

        change = named((readings - face.readings).tolist())
        return Receipt(
            requested=request,
            achieved={n: change[n] for n in request},
            others={n: c for n, c in change.items() if n not in request},
            band=named(zip(low.tolist(), high.tolist(), strict=True)),
            identity=identity,
            identity_band=identity_band if identity is not None else None,
            strangers=strangers,
            before=named(face.readings.tolist()),
            after=named(readings.tolist()),
            shares=self.models.table.moved_with(request),
            size=size,
            seconds=watch.total(),
            judges=judge_names(self.models),
            n_random=self.n_random,
        )


@dataclass(frozen=True)
class _Face:
    """The unedited face, and what the judges say of it and of random edits of it."""

    given: Tensor
    ws: Tensor
    readings: Tensor  # (A,)
    embedding: Tensor | None
    randoms: RandomEdits


def _asked(request: Mapping[str, float], strength: float) -> dict[str, float]:
    return {name: max(-1.0, min(1.0, strength * change)) for name, change in request.items()}


def _no_room(table: AttributeTable, request: Mapping[str, float], readings: Tensor) -> str:
    """Say which attribute leaves its scale if the request is achieved, or ""."""
    for name, change in request.items():
        now = float(readings[table.index(name)])
        if not 0 <= now + change <= 1:
            row = table[name]
            return (
                f"no room: the judge reads {row.label.lower()} as {row.value_text(now)}, "
                f"and {row.change_text(change)} would leave the scale"
            )
    return ""


def _closer(
    share: Callable[[float], float], knobs: Tensor, sweep: Tensor, strength: float
) -> float:
    """Return a strength at which the share is 1 to within `CLOSE`: the sweep's steps are coarse."""
    right = int((knobs >= strength - 1e-9).nonzero()[0])
    low, high = float(knobs[max(0, right - 1)]), float(knobs[right])
    at_low, at_high = float(sweep[max(0, right - 1)]), float(sweep[right])
    best, error = strength, float("inf")
    for step in range(STEPS):
        found = share(strength)
        if abs(found - 1) < error:
            best, error = strength, abs(found - 1)
        if error <= CLOSE:
            break
        if found < 1:
            low, at_low = strength, found
        else:
            high, at_high = strength, found
        # the chord, and every other time the middle: a bent curve starves one end of the chord
        rise = at_high - at_low
        part = (1 - at_low) / rise if rise > 1e-9 and step % 2 == 0 else 0.5
        strength = low + min(0.95, max(0.05, part)) * (high - low)
    return best


def blind_labels(methods: Sequence[str], seed: int) -> dict[str, str]:
    """Return label ("A", "B", ...) -> method, shuffled by a seed.

    Raises
    ------
    ValueError
        More methods than letters, or a seed that is no whole number of at least 0.
    """
    if len(methods) > len(string.ascii_uppercase):
        raise ValueError(f"methods are {len(methods)}; allowed: at most 26")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; allowed: a whole number of at least 0")
    order = torch.randperm(len(methods), generator=torch.Generator().manual_seed(seed)).tolist()
    return {string.ascii_uppercase[i]: methods[j] for i, j in enumerate(order)}
