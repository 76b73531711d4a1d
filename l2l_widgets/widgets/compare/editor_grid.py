"""EditorGrid: the same request through all methods, side by side at equal achieved change.

A view of :class:`l2l_widgets.evaluation.one_face.SideBySide` on the face of a session. Blind,
the page is told letters and pictures only: what it does not have it cannot give away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import traitlets

from l2l_widgets.evaluation.one_face import LEAST, Answer, SideBySide, blind_labels
from l2l_widgets.images import grid
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import FaceEvent, SharedFace
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.compare.explorer_values import attribute_values
from l2l_widgets.widgets.compare.grid_request import Origins, StandIn, in_units, usual_request
from l2l_widgets.widgets.face_view import FaceView, shared
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.words import Words

#: Movers that a card names.
MOVERS = 3
#: Half the width of the request's slider, in attribute units.
SLIDER = 0.5


class EditorGrid(FaceView):
    """One face, one request, every method; each with its receipt, or the reason why not.

    Parameters
    ----------
    source : EditSession, SharedFace, Models or None
        Whose face is edited, and where a click loads one; None loads the embedded models.
    request : mapping of str to float
        Changes in attribute units, to be *achieved*.
    methods : sequence of str, optional
        All that the models have where not given.
    blind : bool
        Whether letters stand for the methods until :meth:`reveal`.
    blind_seed : int
        Of the letters' shuffle, at least 0; every face has another shuffle.
    hide : iterable of str
        Attributes that can neither be asked for nor are named.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.
    folder : path, optional
        Where a card is saved; the kernel's working folder if not given.
    n_random : int
        Random edits behind each receipt's band.

    Attributes
    ----------
    votes : list of dict
        What was voted: ``face``, ``request``, ``label``, ``method``, ``blind_seed`` (None where
        the method could be read).

    Raises
    ------
    ValueError
        An impossible request, an unknown method or attribute, or a seed below 0.
    """

    _esm = scripted("compare", "shared/choices.js", "shared/taking.js", "editor_grid.js")
    _css = themed(
        "l2l-editorgrid", "compare", "shared/taking.css", "compare.css", "editor_grid.css"
    )

    settings = traitlets.Dict(help="request, face, blind or not, votes").tag(sync=True)
    status = traitlets.Dict(help="how many methods have answered, errors").tag(sync=True)
    before = traitlets.Dict(help="picture of the unedited face").tag(sync=True)
    cards = traitlets.List(help="one a method, in the order shown").tag(sync=True)

    def __init__(
        self,
        source: EditSession | SharedFace | Models | None = None,
        *,
        request: Mapping[str, float] | None = None,
        methods: Sequence[str] | None = None,
        blind: bool = False,
        blind_seed: int = 0,
        hide: Iterable[str] = (),
        language: str | None = None,
        folder: str | Path | None = None,
        n_random: int = 24,
    ) -> None:
        face = shared(source)  # what is refused is refused before there is a view
        self._wanted = None if methods is None else tuple(methods)
        self._n_random, self._hide, self._lost = n_random, tuple(hide), ""
        self.side = SideBySide(face.models, methods, n_random)
        self._words = Words.of(language)
        self._table = self._words.translate(visible_table(face.models.table, self._hide))
        usual = usual_request(self.side, self._table) if request is None else request
        self._check(usual)
        self._asked = dict(usual)
        self._fits, self._note = True, ""  # False: cut to the judge's room before it is compared
        blind_labels(self.side.methods, blind_seed)  # refuses a seed that is none
        self.votes: list[dict[str, Any]] = []
        self._blind, self._revealed, self._blind_seed = blind, False, blind_seed
        self._labels: dict[str, str] = {}
        self._found: dict[str, Answer] = {}
        self._found_of: dict[str, float] = {}  # the request that these answer
        self._state = "waiting"
        self._error = self._failed = ""  # what was refused, and why nothing could be compared
        self._compared: SessionState | None = None  # whose cards are up, or on their way
        self._made_of, self._stand_in = Origins(), StandIn()  # Origins: of cards that were loaded
        super().__init__(face, folder, language=language)
        self.schema = self._schema_value()
        self._tell()
        self._ask()

    def _about(self) -> str:
        request, count = in_units(self._asked, self._table), len(self.side.methods)
        return self._words(
            "about_grid", face=self._whose(self._own()), request=request, count=count
        )

    # -- from Python -------------------------------------------------------------------------------

    def ask(self, request: Mapping[str, float]) -> None:
        """Compare another request; ValueError where it is impossible."""
        self._take_request(request)

    def _take_request(self, request: Mapping[str, float], fits: bool = True) -> None:
        if self._lost:
            raise ValueError(self._lost)
        self._check(request)
        with self._lock:
            self._asked, self._fits, self._note = dict(request), fits, ""
        self._ask()

    def _check(self, request: Mapping[str, float]) -> None:
        self.side.check(request)
        hidden = [name for name in request if name not in self._table]
        if hidden:
            raise ValueError(f"attribute {hidden[0]!r} is hidden; allowed: those that are shown")

    def answers(self, timeout: float = 60.0) -> dict[str, Answer]:
        """Return method -> answer to what is asked now, of the face that is loaded.

        Waits until all have answered or ``timeout`` seconds have passed, also where no page shows
        the view; {} where nothing can be compared with the models that draw.

        Raises
        ------
        ValueError
            Not one has answered in that time, or the face could not be compared.
        """
        self.wait(timeout)
        with self._lock:
            found, base = dict(self._found), self._compared
            same = base is not None and base.face_key() == self._own().face_key()
            if self._lost or (found and same and self._found_of == self._asked):
                return found
            raise ValueError(
                self._failed
                or f"timeout is {timeout:g} s and no method has answered; allowed: a longer one"
            )

    def reveal(self, revealed: bool = True) -> None:
        """Show which letter is which method, or hide it again."""
        self._revealed = revealed
        self._show_cards()
        self._tell()
        if self._state == "ready":
            self._show_still()

    def tally(self) -> dict[str, int]:
        """Return method -> votes, the most first."""
        return dict(Counter(vote["method"] for vote in self.votes).most_common())

    # -- from the page -----------------------------------------------------------------------------

    def _forget_error(self) -> None:
        self._error = self._failed = ""

    def _say_error(self, error: Exception) -> None:
        self._error = self._line(error)
        self._tell()

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "ask":
            self.ask({str(message["name"]): float(message["change"])})
        elif kind == "take":
            # The sliders go by another reader, and may ask for what the judge has no room for.
            self._take_request(self._of_sliders(), fits=False)
        elif kind == "blind":
            self._blind, self._revealed = bool(message["blind"]), False
            self._ask()
        elif kind == "reveal":
            self.reveal()
        elif kind == "vote":
            self._vote(str(message["label"]))
        elif kind == "load":
            self._load(str(message["label"]))
        elif kind in ("save", "text"):
            self._take_card(message)
        elif kind == "face":
            self.face.load(seed=message["seed"], by=self._name)
        else:
            raise ValueError(f"no such request: {kind}")
        self._tell()

    def _of_sliders(self) -> dict[str, float]:
        """What the session's sliders ask for, targets turned into changes."""
        edit = self.face.state.edits[-1]
        readings = self.face.session.readings() if edit.targets else {}
        own = {n: v - readings[n] for n, v in edit.targets.items() if n in readings}
        asked = {n: round(v, 4) for n, v in {**edit.changes, **own}.items() if abs(v) >= LEAST}
        if not asked:
            raise ValueError("the sliders ask for nothing; allowed: move one first")
        return asked

    def _vote(self, label: str) -> None:
        with self._lock:
            method = self._labels.get(label)
            answer = self._found.get(method or "")
        if method is None or answer is None or not answer.reached:
            raise ValueError(f"vote for {label!r}; allowed: a picture that reached the request")
        here = self._subject()
        self.votes = [vote for vote in self.votes if (vote["face"], vote["request"]) != here]
        self.votes.append(
            {
                "face": here[0], "request": here[1], "label": label, "method": method,
                "blind_seed": self._blind_seed if self._blind and not self._revealed else None,
            }
        )  # fmt: skip

    def _load(self, label: str) -> None:
        """Make the face of a card that of all views; what is compared stays as it is."""
        state, base = self._card_state(label)
        self._made_of.remember(state, base)
        self.face.load_state(state, by=self._name)

    def _take_card(self, message: Mapping[str, Any]) -> None:
        label = str(message["label"])
        if self._blind and not self._revealed:
            raise ValueError(
                f"card {label!r} is blind: its recipe names the method; allowed: reveal first"
            )
        state, _ = self._card_state(label)
        self._take_home(message, state, label)

    def _card_state(self, label: str) -> tuple[SessionState, SessionState]:
        """What draws the face of a card, and the face that it was made of."""
        with self._lock:
            answer, base = self._found.get(self._labels.get(label, "")), self._compared
        if answer is None or answer.w is None or base is None:
            raise ValueError(f"face {label!r} is not there; allowed: one that is drawn")
        drawn = replace(base, noise_mode="const")  # as all cards are, whatever the session's is
        if self._blind and not self._revealed:  # its method stands nowhere, in no other view either
            return self.face.unedited(answer.w, drawn), base
        asked = replace(drawn, edits=(Edit(answer.method, answer.changes),))
        return self.face.faithful(asked, answer.w), base

    # -- comparing, on the worker ------------------------------------------------------------------

    def _own(self) -> SessionState:
        """The face that is compared, unedited: the session's, or what a loaded card was made of."""
        state = self.face.state
        unedited = replace(state, edits=(Edit(state.edits[-1].method),))
        return self._made_of.get(state, unedited)

    def _on_face(self, event: FaceEvent) -> None:
        if event.kind == "models":
            self._take_models()
        known = None if self._state == "failed" else self._compared
        same = known is not None and self._own().face_key() == known.face_key()
        if event.kind == "models" or (event.kind == "face" and not same):
            self._forget_error()  # it was of what was up
            self._ask()

    def _take_models(self) -> None:
        """Other models draw now: the old answers are faces of another world, and go."""
        models, wanted = self.face.models, self._wanted
        known, lost = models.available_editors, ""
        side, request = self.side, self._asked
        visible = visible_table(models.table, (n for n in self._hide if n in models.table))
        self._table = self._words.translate(visible)
        try:
            kept = None if wanted is None else [m for m in wanted if m in known]
            if wanted and not kept:
                raise ValueError(f"methods are {', '.join(wanted)}; these models lack them")
            made = SideBySide(models, kept, self._n_random)
            request = self._stand_in.of(request, made, self._table)
            made.check(request)
            side = made
        except ValueError as error:
            lost = self._words.said(f"nothing is compared with these models: {error}")
        with self._lock:  # in one: a comparison that is under way shows nothing any more
            if models is not self.side.models:
                self._made_of = Origins()
            self.side, self._asked = side, self._asked if lost else request
            self._lost, self._error, self._failed = lost, "", ""
            self._labels, self._found, self._compared = {}, {}, None
            self.cards, self.before = [], {}
        self.schema = self._schema_value()
        self._tell()

    def _schema_value(self) -> dict[str, Any]:
        return {
            "attributes": attribute_values(self._table),
            "methods": len(self.side.methods),
            "slider": SLIDER,
        }

    def _subject(self) -> tuple[Any, dict[str, float]]:
        state = self._own()
        return (state.seed if state.w is None else "latent", dict(self._asked))

    def _serve(self) -> None:
        try:
            self._compare()
        except Exception as error:
            self._state, self._failed = "failed", self._line(error)
        self._tell()
        if self._state == "ready":
            self._show_still()

    def _compare(self) -> None:
        side = self.side
        if self._lost:
            raise ValueError(self._lost)
        base = self._own()
        result = self.face.session.render(base)
        if result.w is None or result.before is None:
            raise ValueError(result.error or "the face cannot be drawn")
        request = self._fitted(side, result.w, base.face_key())
        labels = self._shuffled(side)
        with self._lock:
            if side is not self.side or self._lost:
                return  # other models draw meanwhile
            self._labels, self._found, self._compared = labels, {}, base
            self._found_of = request
            self._state, self._failed = "comparing", ""
            seed = result.state.seed if result.state.w is None else None
            self.before = {**picture_value(result.before), "seed": seed}
        self._show_cards()
        self._tell()
        psi = float(result.state.truncation_psi)
        order = list(labels.values())
        for answer in side.answers(
            result.w, request, methods=order, truncation_psi=psi, stale=self._stale
        ):
            with self._lock:
                if side is not self.side or self._lost:
                    return
                self._found[answer.method] = answer
            self._show_cards()
            self._tell()
        if len(self._found) == len(order):
            self._state = "ready"

    def _fitted(self, side: SideBySide, ws: torch.Tensor, face: Any) -> dict[str, float]:
        """What is asked for; cut to the judge's scale, with a note, where the sliders asked."""
        with self._lock:
            request, fits = dict(self._asked), self._fits
            same = self._compared is not None and self._compared.face_key() == face
            if fits:  # what was cut for this face stays said, however often it is compared
                self._note = self._note if same else ""
                return request
        fit, note = side.fitted(ws, request), ""
        if fit != request:
            cut = {n: c for n, c in request.items() if fit.get(n) != c}
            room = in_units({n: fit.get(n, 0.0) for n in cut}, self._table)
            asked = in_units(cut, self._table)
            note = self._words("cut_to_room", asked=asked, room=room)
        with self._lock:
            if self._asked == request:  # else something newer waits
                self._asked, self._fits, self._note = fit, True, note
        return fit

    def _shuffled(self, side: SideBySide) -> dict[str, str]:
        """Letters for the methods; another shuffle for every face, the same for the same face."""
        if not self._blind:
            return {method: method for method in side.methods}
        face = self._subject()[0]
        number = face if isinstance(face, int) else 2**33
        return blind_labels(side.methods, self._blind_seed * 2**34 + number)

    # -- to the page -------------------------------------------------------------------------------

    def _show_cards(self) -> None:
        with self._lock:  # up to the end: or older cards could be shown after newer ones
            found, hidden = self._found, self._blind and not self._revealed
            self.cards = [
                self._card(label, method, found.get(method), hidden)
                for label, method in self._labels.items()
            ]

    def _card(self, label: str, method: str, answer: Answer | None, hidden: bool) -> dict[str, Any]:
        card: dict[str, Any] = {"label": label, "title": label if hidden else method}
        if self._blind and not hidden:
            card["title"] = f"{label}: {method}"
        if answer is None:
            return {**card, "state": "waiting"}
        card |= {"state": "ready", "reached": answer.reached}
        card["reason"] = self._told_reason(answer, hidden)
        if answer.image is not None:
            card["picture"] = picture_value(answer.image)
            card["can_take"] = not hidden  # a recipe would tell who it was
        receipt = answer.receipt
        if receipt is not None:
            beyond = receipt.outside_band()
            movers = receipt.largest_others(self._table)
            card |= {
                "achieved": {n: v for n, v in receipt.achieved.items() if n in self._table},
                "requested": {n: v for n, v in receipt.requested.items() if n in self._table},
                "kept": receipt.identity_kept,
                "identity": receipt.identity,
                "drifts": receipt.drifts,
                "movers": [
                    {"name": n, "change": c, "outside": n in beyond, "band": receipt.band[n]}
                    for n, c in list(movers.items())[:MOVERS]
                ],
            }
            others = [abs(v) for n, v in receipt.others.items() if n in self._table]
            card["others"] = sum(others) / max(1, len(others))
            if not hidden:  # how long and how strongly would tell who it was
                card |= {"strength": answer.strength, "seconds": answer.seconds}
        return card

    def _tell(self) -> None:
        with self._lock:
            here = self._subject()
            own = [v for v in self.votes if (v["face"], v["request"]) == here]
            hidden = self._blind and not self._revealed
            self.settings = {
                "request": dict(self._asked),
                "face": here[0],
                "blind": self._blind,
                "revealed": self._revealed,
                "vote": own[-1]["label"] if own else None,
                "votes": len(self.votes),
                "tally": {} if hidden else self.tally(),
            }
            self.status = {
                "state": self._state,
                "done": len(self._found),
                "total": len(self._labels),
                "error": self._error or self._lost or self._failed,
                "note": self._note,
            }

    # -- without a front end -----------------------------------------------------------------------

    def _without_still(self) -> str:
        if self._lost:
            return f"{self._about()}: {self._lost}"
        return self._words("still_grid_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        """The pictures and the receipts."""
        with self._lock:
            labels, found = dict(self._labels), dict(self._found)
            hidden = self._blind and not self._revealed
        if hidden and set(labels) & set(self.side.methods):
            return None  # of before it was blind: the letters are on their way
        shown = [(label, found[m]) for label, m in labels.items() if m in found]
        if self._lost or not shown:
            return None
        drawn = [(label, answer.image) for label, answer in shown if answer.image is not None]
        rows = [self._still_row(label, answer, hidden) for label, answer in shown]
        names, say = ", ".join(label for label, _ in drawn), self._words
        words = say("still_grid" if drawn else "still_grid_none", about=self._about(), names=names)
        images = [image for _, image in drawn]
        picture = grid(torch.stack(images), columns=len(images)) if images else None
        return Still(
            picture,
            words,
            tuple(say(f"head_{w}") for w in ("method", "came", "other", "kept")),
            rows,
        )

    def _told_reason(self, answer: Answer, hidden: bool) -> str:
        """Why there is no picture; in general words while nobody may know whose answer it is."""
        if hidden and answer.image is None:
            return self._words("cannot_here")  # the reason might name the method
        return self._words.said(answer.reason)

    def _still_row(self, label: str, answer: Answer, hidden: bool) -> tuple[str, str, str, str]:
        table = self._table
        if answer.receipt is None:
            return (label, self._told_reason(answer, hidden), "", "")
        receipt = answer.receipt
        came = in_units(receipt.achieved, table)
        most = in_units(dict(list(receipt.largest_others(table).items())[:1]), table)
        kept = "" if receipt.identity_kept is None else f"{receipt.identity_kept:.0%}"
        return (label, came if answer.reached else self._told_reason(answer, hidden), most, kept)
