"""EntanglementExplorer: what else moves when an attribute is edited, for every pair of attributes.

A view of a study: the study measures in the background, the page shows what it has so far; until
it has begun, a first look at few faces. Nothing is measured while no page shows the view, unless
Python asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import traitlets

from l2l_widgets.entanglement import (
    BackgroundStudy,
    LeakageMatrix,
    LeakageStudy,
    Progress,
    ReportStudy,
)
from l2l_widgets.evaluation.bench import Truth
from l2l_widgets.evaluation.equal_change import RANDOM_DIRECTIONS
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.checks import no_editor
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import FaceEvent, SharedFace
from l2l_widgets.session.states import SessionState
from l2l_widgets.widgets.audience import page_may_come
from l2l_widgets.widgets.compare.explorer_cell import fill_cell, pair_state, projection_lines
from l2l_widgets.widgets.compare.explorer_plan import BATCH, StudyMaker, asked_protocol
from l2l_widgets.widgets.compare.explorer_tracks import OpenTracks, tracks_value
from l2l_widgets.widgets.compare.explorer_values import (
    chosen,
    explorer_schema,
    matrices_value,
    matrix_still,
    status_value,
    usual_rows,
    visible_matrix,
)
from l2l_widgets.widgets.compare.first_look import ALONE, FirstLook
from l2l_widgets.widgets.face_view import FaceView, shared
from l2l_widgets.widgets.owing import Owing
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.words import Words

#: Faces of a first look: a row takes seconds on one core.
FACES = 40
PLAIN, HELD = "interfacegan", "interfacegan-conditional"


class EntanglementExplorer(FaceView):
    """The leakage matrix, the faces behind each cell, projection before and after, trajectories.

    Parameters
    ----------
    source : EditSession, SharedFace, Models or None
        What to measure, and whose face a click loads; None loads the embedded models.
    report : path, optional
        A folder that ``l2l evaluate`` wrote: its matrix is shown, nothing is measured.
    method, against : str, optional
        Whose matrix is shown, and with which it is compared.
    attributes : sequence of str, optional
        Rows: the attributes that are edited; where not given the paper's eight, or the first eight
        of models that know none of these. Columns are all that are not hidden.
    faces, seed, request
        As in :class:`l2l_widgets.evaluation.report.Protocol`; below 1,000 faces it is a preview.
    hide, language
        Attributes that are neither edited nor shown; the language, as of a FaceEditor.
    truth : callable, optional
        As in :class:`l2l_widgets.entanglement.LeakageStudy`.
    chance : int
        Random edits that say what chance does.
    folder : path, optional
        Where measured rows are kept over a restart of the kernel, and where Save writes: the
        working folder, where nothing is given and no row is kept.

    Raises
    ------
    ValueError
        An unknown method or attribute, faces or a request out of range, no report in the folder.
    """

    _esm = scripted(
        "compare", "shared/choices.js", "shared/taking.js", "leakage_grid.js", "faces_behind.js",
        "trajectories.js", "entanglement_explorer.js",
    )  # fmt: skip
    _css = themed(
        "l2l-explorer", "compare", "shared/taking.css", "compare.css", "entanglement_explorer.css"
    )

    settings = traitlets.Dict(help="method, against, reader, attributes, faces").tag(sync=True)
    status = traitlets.Dict(help="state, rows done, seconds left, errors").tag(sync=True)
    matrix = traitlets.Dict(help="numbers and verdicts of every cell").tag(sync=True)
    against = traitlets.Dict(help="the same of the other method").tag(sync=True)
    difference = traitlets.Dict(help="the other method minus this one").tag(sync=True)
    cell = traitlets.Dict(help="the faces behind one cell").tag(sync=True)
    trajectory = traitlets.Dict(help="scores over strength").tag(sync=True)

    def __init__(
        self,
        source: EditSession | SharedFace | Models | None = None,
        *,
        report: str | Path | None = None,
        method: str | None = None,
        against: str | None = None,
        attributes: Sequence[str] | None = None,
        faces: int = FACES,
        seed: int = 0,
        request: float = 0.3,
        hide: Iterable[str] = (),
        language: str | None = None,
        truth: Truth | None = None,
        chance: int = RANDOM_DIRECTIONS,
        folder: str | Path | None = None,
    ) -> None:
        face = shared(source)  # what is refused is refused before there is a view
        models = face.models
        self._of_report = models.table
        self._hide, self._foreign = tuple(hide), ""
        self._words = Words.of(language)
        self._table = self._words.translate(visible_table(models.table, self._hide))
        self._studies = StudyMaker(truth, chance, folder)
        self._work: BackgroundStudy | None = None
        self._progress = Progress()
        self._first = FirstLook(self._hear_first)
        self._tracks = OpenTracks(lambda: self.audience)
        self._turn = self._up = 0  # of the matrices: the newest that was begun, and that is shown
        self._is_alone = False  # displayed where no page will come
        self._error: str | None = None
        self.study: LeakageStudy | ReportStudy
        if report is not None:
            self.study = ReportStudy(report, models)
            self._foreign = self.study.take_models(models)
        else:
            rows = usual_rows(models.table) if attributes is None else attributes
            shown = tuple(n for n in rows if n in self._table or n not in models.table)
            protocol = Protocol(shown, faces, seed, request, batch=BATCH)
            self.study = self._studies.make(models, protocol)
        methods = self.study.methods
        self._method = chosen("method", method, methods, methods[0] if methods else "")
        self._lost = "" if methods else f"nothing measured for these models: {no_editor(models)}"
        other = HELD if self._method == PLAIN and HELD in methods else ""
        self._against = chosen("against", against, methods, other)
        self._reader = "judge"
        self._behind: LeakageStudy | ReportStudy = self.study  # whose faces the cell shows
        super().__init__(face, folder, language=language)
        self.schema = explorer_schema(self.study, self._table, models)
        self._cells = Owing(self._show_cell, lambda: self.is_hidden, "l2l-cell")
        self._tell()
        self._show_matrix()

    def _about(self, protocol: Protocol | None = None) -> str:
        protocol, say = protocol or self.study.protocol, self._words
        many = say("every") if isinstance(self.study, ReportStudy) else len(protocol.attributes)
        return say(
            "about_explorer", method=self._method or say("without_method"), count=many,
            request=say.short(protocol.request), faces=protocol.faces,
        )  # fmt: skip

    # -- from Python -------------------------------------------------------------------------------

    def leakage(self, method: str | None = None) -> LeakageMatrix:
        """Return the matrix so far, of the method that is shown where none is named."""
        method = method or self._method
        return visible_matrix(self._shown(method).matrix(method, self._reader), self._table)

    def start(self) -> None:
        """Measure what is missing, in the background; a report has nothing missing."""
        if not isinstance(self.study, LeakageStudy):
            return
        if self._lost:
            raise ValueError(self._lost)
        self._first.stop()
        with self._lock:
            methods = tuple(m for m in (self._method, self._against) if m)
            if self._work is None or not self._work.is_running:
                self._work = BackgroundStudy(self.study, methods, self._heard_by(self.study))
            self._work.pause(self.is_hidden)
            self._work.start()

    def stop(self) -> None:
        """Stop after the pictures that it is drawing; the rows that are there stay."""
        if self._work is not None:
            self._work.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Measure to the end, seen or not (seconds to wait; None: for ever); whether it came."""
        work = self._work
        if work is None:
            return True
        with self._awaited():
            return work.wait(timeout)

    def close(self) -> None:
        """Take the view out of the page; the study lives on."""
        if hasattr(self, "_cells"):
            self.stop()
            self._first.stop()
            self._cells.close()
        super().close()

    # -- from the page -----------------------------------------------------------------------------

    def _forget_error(self) -> None:
        self._error = None

    def _say_error(self, error: Exception) -> None:
        self._error = self._line(error)
        self._tell()

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if self._lost and kind not in ("load", "stop", "tab"):
            raise ValueError(self._lost)
        if self._foreign and kind in ("load", "save", "text", "trajectory"):
            raise ValueError(self._foreign)
        if kind == "start":
            self.start()
        elif kind == "stop":
            self.stop()
        elif kind == "show":
            self._choose(message)
        elif kind == "plan":
            self._plan(message)
        elif kind == "cell":
            self._cells((str(message["edited"]), str(message["read"]), self._what_is_up()))
        elif kind == "trajectory":
            self._tracks.follow(message)
            self._ask()
        elif kind == "tab":
            if self._tracks.turn(message):
                self._ask()
        elif kind == "load":
            self._load(int(message["seed"]), bool(message.get("edited")))
        elif kind in ("save", "text"):
            seed, edited = int(message["seed"]), bool(message.get("edited"))
            state = self._state_of_pair(seed, edited)
            self._take_home(message, state, self._words("face_number", seed=seed))
        else:
            raise ValueError(f"no such request: {kind}")
        self._tell()

    def _choose(self, message: Mapping[str, Any]) -> None:
        methods = self.study.methods
        with self._lock:
            shown = (self._method, self._against, self._reader)
            self._method = chosen("method", message.get("method"), methods, self._method)
            other = message.get("against", self._against)
            self._against = chosen("against", other, methods, "") if other else ""
            if self._against == self._method:
                self._against = ""
            self._reader = chosen("reader", message.get("reader"), self.study.readers, self._reader)
            if self._work is not None:  # it goes on with the methods that are shown now
                self._work.methods = tuple(m for m in (self._method, self._against) if m)
            if shown != (self._method, self._against, self._reader):
                self.cell = {}  # its words and faces are of what was shown before
                if self._work is None or not self._work.is_running:
                    self._progress = Progress()
        self._look()
        self._show_matrix()

    def _plan(self, message: Mapping[str, Any]) -> None:
        """Begin another study; the old one's rows are gone, as its faces were others."""
        if not isinstance(self.study, LeakageStudy):
            raise ValueError("a report's plan cannot be changed; allowed: run l2l evaluate again")
        old = self.study.protocol
        protocol = asked_protocol(message, old, self._table)
        if protocol == old:
            return
        self.stop()
        study = self._studies.make(self.face.models, protocol)
        if (protocol.faces, protocol.seed) == (old.faces, old.seed):
            study.take_over(self.study)
        with self._lock:
            self.study, self._work = study, None
            self._progress = Progress()
            self.cell = {}
        self._look()
        self._show_matrix()

    def _load(self, seed: int, edited: bool) -> None:
        """Load a face as it was measured: at the study's truncation, unedited or as the pair's."""
        if edited:
            self.face.load_state(self._state_of_pair(seed, edited), by=self._name)
        else:
            psi = self.study.protocol.truncation_psi
            self.face.load(seed=seed, truncation_psi=psi, noise_mode="const", by=self._name)

    def _state_of_pair(self, seed: int, edited: bool) -> SessionState:
        """What draws a face of a pair that is up, before or after its edit."""
        with self._lock:
            cell, study, reader = self.cell, self._behind, self._reader
        state, w = pair_state(cell, study, reader, seed, edited)
        return state if w is None else self.face.faithful(state, w)

    # -- visible or not ----------------------------------------------------------------------------

    def _seen_anew(self) -> None:
        with self._lock:  # who comes to wait, or to look, must not be paused by who went before
            hidden = self.is_hidden
            if self._work is not None:
                self._work.pause(hidden)
            self._cells.look_again()
            if hidden:
                self._first.rest()
            else:
                self._look()
        if self._tracks.are_owed:
            self._ask()

    def _look(self) -> None:
        """Have something to show before anybody has pressed Measure, if anybody looks."""
        looks = not self.is_hidden if self.audience.was_met else self._is_alone
        idle = self._work is None or not self._work.is_running
        if isinstance(self.study, LeakageStudy) and looks and idle:
            self._first.begin(self.study, "" if self._lost else self._method)

    def _shown(self, method: str) -> LeakageStudy | ReportStudy:
        """Whose numbers are up: the study's, or until it has any those of the first look."""
        if isinstance(self.study, ReportStudy):
            return self.study
        return self._first.instead_of(self.study, method) or self.study

    def _hear_first(self, some: bool) -> None:
        if some and not self._lost:
            self._show_matrix()
            if self._first.progress.state == "finished":
                self._show_still()
        self._tell()

    def _on_face(self, event: FaceEvent) -> None:
        """A trajectory of one face follows the face, once somebody looks."""
        if event.kind == "models":
            self._take_models()
        one = event.kind == "face" and self._tracks.faces == "one"
        if self._tracks.edited and (one or event.kind == "models"):
            self._ask()

    def _take_models(self) -> None:
        """Other models draw now: what was measured was said of the old ones, and goes."""
        if not isinstance(self.study, LeakageStudy):  # its numbers stand: they are of its models
            self._foreign = self.study.take_models(self.face.models)
            self._table = self._words.translate(visible_table(self._of_report, self._hide))
            with self._lock:
                self.cell = {}
            self._show_anew()
            return
        self.stop()
        models, methods = self.face.models, self.face.models.available_editors
        hidden = [n for n in self._hide if n in models.table]
        self._table = self._words.translate(visible_table(models.table, hidden))
        study, lost, error = self._studies.make_anew(models, self.study, self._table)
        with self._lock:
            self.study, self._work, self._progress, self.cell = study, None, Progress(), {}
            self._method = self._method if self._method in methods else (*methods, "")[0]
            self._against = self._against if self._against in methods else ""
            self._reader = self._reader if self._reader in study.readers else "judge"
            self._error, self._lost = error, lost
        self._show_anew()

    def _show_anew(self) -> None:
        # emptied first: a page that knows the old attributes must not meet the new numbers
        with self._lock:
            self._up = self._turn = self._turn + 1
            self.matrix = self.against = self.difference = self.trajectory = {}
        self._tracks.keep(self._table)
        self.schema = explorer_schema(self.study, self._table, self.face.models)
        self._look()
        self._show_matrix()

    # -- to the page -------------------------------------------------------------------------------

    def _heard_by(self, study: LeakageStudy) -> Callable[[Progress], None]:
        def heard(progress: Progress) -> None:
            with self._lock:
                if study is not self.study or self._lost:  # another plan has been made meanwhile
                    return
                rows = progress.done != self._progress.done or progress.state == "finished"
                self._progress = progress
            if rows or progress.doing == "":
                self._show_matrix()
            self._tell()

        return heard

    def _show_matrix(self) -> None:
        with self._lock:
            self._turn = turn = self._turn + 1
            methods, reader = (self._method, self._against), self._reader
        if self._lost:
            self._tell()
            return
        try:
            shown, study = self._shown(methods[0]), self.study
            values = matrices_value(shown, study, methods, reader, self._table, self._words)
        except ValueError as error:
            self._error = str(error)
            self._tell()
            return
        with self._lock, self.hold_sync():
            if turn > self._up:  # else a newer one is up: the study's thread shows it as well
                self._up = turn
                for name, value in values.items():
                    setattr(self, name, value)
        self._tell()
        if self._progress.state in ("finished", "stopped"):
            self._show_still()

    def _tell(self) -> None:
        with self._lock:
            p, first, protocol = self._progress, self._first.progress, self.study.protocol
            table, said = self._table, self._words.said
            error = self._error or self._lost or p.error or self._foreign or first.error or ""
            self.settings = {
                "method": self._method, "against": self._against, "reader": self._reader,
                "attributes": [n for n in protocol.attributes if n in self._table],
                "faces": protocol.faces, "seed": protocol.seed, "request": protocol.request,
            }  # fmt: skip
            self.status = {**status_value(p, first, table, said), "error": said(error) or None}

    def _what_is_up(self) -> tuple[Any, ...]:
        return (self.study, self._table, self._method, self._reader)

    def _show_cell(self, which: tuple[str, str, tuple[Any, ...]]) -> None:
        edited, read, asked = which
        if asked != self._what_is_up():
            return
        _, table, method, reader = asked
        value: dict[str, Any] = {"edited": edited, "read": read, "method": method}
        study, projection = self._shown(method), None
        if {method, self._against} == {PLAIN, HELD}:  # what holding others does to a boundary
            projection = partial(projection_lines, self.face, edited, self._words, table)
        try:
            stale = self._cells.left
            if not fill_cell(value, study, reader, table, self._words, projection, stale):
                return
        except Exception as error:  # a line in its place, and the rest of the cell stays
            value["error"] = self._line(error)
        with self._lock:
            if asked == self._what_is_up():  # still
                self._behind, self.cell = study, value

    def _serve(self) -> None:
        """Follow the trajectory that is asked for, where a page has the trajectories open."""
        if not self._tracks.are_seen():
            return
        edited, one = self._tracks.edited, self._tracks.faces == "one"
        models, table = self.face.models, self._table
        try:
            value = tracks_value(
                self.study, self._method, edited, self.face.session if one else None,
                models, table, self._words, self._stale,
            )  # fmt: skip
        except Exception as error:
            self.trajectory = {"edited": edited, "error": self._line(error)}
            return
        with self._lock:
            if value is not None and models is self.face.models and table is self._table:
                self.trajectory = value

    # -- without a front end -----------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        self._is_alone = not page_may_come()
        if self._is_alone:  # what it leaves now is all that a reader will find
            self._look()
            self._first.wait(ALONE)
        super()._ipython_display_()

    def _at_work(self) -> list[Any]:
        return [self._first, *super()._at_work()]

    def _without_still(self) -> str:
        if self._lost:
            return f"{self._about()}: {self._lost}"
        return self._words("still_explorer_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        if self._lost or not (matrix := self.leakage()).edited:
            return None
        rows = replace(self._shown(self._method).protocol, attributes=matrix.edited)
        return matrix_still(matrix, self._about(rows), self._words, self._table)
