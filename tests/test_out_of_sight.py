"""A view that no page shows costs nothing, in the midst of a job as well, and is up to date again.

What rests is asked for its state once it is known to rest; nothing here counts on a time.
"""

from __future__ import annotations

import threading

import pytest
import torch
from conftest import LinearEditor, build_directions
from editor_pages import Page, wait_for
from leaky_world import Follows, world
from test_code_map import lay_flat, small_map

from l2l_widgets.images import to_uint8
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.maps.paths import trajectories
from l2l_widgets.models.zoo import Models
from l2l_widgets.painting import area_painter
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import (
    EntanglementExplorer,
    FaceEditor,
    LatentMap,
    MaskPainter,
    TrainingCell,
)
from l2l_widgets.widgets.audience import Audience


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


def shows(view, visible, client="page"):
    view._handle_custom_msg({"kind": "visible", "visible": visible, "client": client}, [])


def resting(audience, monkeypatch):
    """An event that is set when somebody begins to wait for a page."""
    rests, plain = threading.Event(), audience.wait_for

    def wait_for(question):
        if not question():
            rests.set()
        plain(question)

    monkeypatch.setattr(audience, "wait_for", wait_for)
    return rests


# -- the one place that decides --------------------------------------------------------------------


def test_who_waits_for_a_page_is_woken_by_it_and_by_nothing_else_but_its_own_end(monkeypatch):
    audience, ended, asked, passed = Audience(), threading.Event(), [], threading.Event()

    def question():
        asked.append(1)
        return audience.is_there or ended.is_set()

    def wait():
        audience.wait_for(question)
        passed.set()

    for end in (lambda: audience.hear("one", True), lambda: (ended.set(), audience.wake())):
        passed.clear()
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        assert wait_for(lambda: asked)
        audience.hear("two", False)
        end()
        assert passed.wait(120)
        assert len(asked) <= 3, "it asks again and again though nothing has changed"
        audience.hear("one", False)
        asked.clear()


# -- the map ---------------------------------------------------------------------------------------


@pytest.fixture
def drawing(monkeypatch):
    """Maps are drawn in two steps; the second waits for the gate."""
    steps, gate = [], threading.Event()

    def draw(cls, models, count, progress, **options):
        progress("drawing", 0.0)
        steps.append("drawn")
        assert gate.wait(120)
        progress("finding exact neighbours", 0.1)
        steps.append("laid out")
        made = cls(models, count, neighbours=8)
        for seed in (0, 1):  # in place of UMAP, which takes a random while
            lay_flat(made, seed=seed)
        return made

    monkeypatch.setattr(CodeMap, "draw", classmethod(draw))
    return steps, gate


@pytest.mark.parametrize("end", ["a page", "Python", "closed"])
def test_a_map_that_is_drawn_rests_when_its_page_has_gone(end, drawing, session, monkeypatch):
    steps, gate = drawing
    view = LatentMap(session, count=64)
    rests = resting(view.audience, monkeypatch)
    shows(view, True)
    assert wait_for(lambda: steps == ["drawn"])
    shows(view, False)
    gate.set()
    assert rests.wait(120)
    assert steps == ["drawn"]
    if end == "closed":
        view.close()
        view._bridge._maker.join(120)
        assert not view._bridge._maker._thread.is_alive()
        assert steps == ["drawn"]
        return
    if end == "a page":
        shows(view, True, "another")
        assert wait_for(view._bridge.ready.is_set)
    else:
        view.wait(120)
    assert steps == ["drawn", "laid out"]
    view.close()


def test_a_map_without_any_page_is_drawn(drawing, session):
    drawing[1].set()
    view = LatentMap(session, count=64)
    assert view.wait(120).code_map.count == 64
    view.close()


class Leaves(LinearEditor):
    """An editor in whose first edit the page goes away."""

    def __init__(self):
        super().__init__(build_directions())
        self.edits, self.view = 0, None

    def edit(self, w, request):
        self.edits += 1
        if self.edits == 1 and self.view is not None:
            shows(self.view, False)
        return super().edit(w, request)


def test_a_way_on_the_map_is_left_within_a_method_and_drawn_for_who_comes_back(tiny_parts):
    leaves = Leaves()
    models = Models.from_parts(**tiny_parts, editors={"leaves": leaves})
    session = EditSession(models, method="leaves", seed=3, n_random=4)
    view = LatentMap(session, code_map=small_map(models))
    shows(view, True)
    assert wait_for(lambda: view.loaded)
    assert session.drain(120)
    leaves.edits, leaves.view = 0, view
    view._handle_custom_msg(
        {"kind": "trajectory", "attribute": "smile", "client": "page", "number": 1}, []
    )
    worker = view._bridge._worker("trajectory")
    assert worker.drain(120)
    assert leaves.edits == 1, "it went on for nobody"
    assert view.trajectory == {}
    shows(view, True)
    assert wait_for(lambda: view.trajectory.get("methods"))
    assert len(view.trajectory["methods"][0]["asked"]) == 13
    view.close()
    session.close()


def test_a_stopped_way_is_none(tiny_models):
    made = small_map(tiny_models)
    answers = iter([False, False, False, True])
    w = made.ws([3])
    found, reasons = trajectories(
        made, made.layouts["w", 0], w, "smile", stop=lambda: next(answers, False)
    )
    assert (found, reasons) == ([], {}), "half of it was taken for the whole"


# -- pictures in panels ----------------------------------------------------------------------------


def test_thumbnails_of_the_history_wait_for_who_looks(session, tmp_path, monkeypatch):
    editor = FaceEditor(session, folder=tmp_path)
    page, panels, drawn = Page(editor), editor._panels, []
    for change in (0.1, 0.2, 0.3):
        session.set_changes({"smile": change})
    thumb = panels._thumb

    def leaving(state):
        drawn.append(state)
        if len(drawn) == 1:
            shows(editor, False)
        return thumb(state)

    monkeypatch.setattr(panels, "_thumb", leaving)
    shows(editor, True)
    page.ask("history")
    assert panels.drain(120)
    assert len(drawn) == 1, "it went on for nobody"
    shows(editor, True)
    answer, pictures = page.answer("history")
    assert len(drawn) == len(pictures) == len(answer["nodes"]) > 2
    editor.close()


def test_two_recipes_are_compared_for_who_looks(session, tmp_path):
    editor = FaceEditor(session, folder=tmp_path)
    page = Page(editor)
    page.ask("text", panel="recipe")
    recipe = page.answer("recipe")[0]["recipe"]
    shows(editor, True)
    shows(editor, False)
    page.ask("pair", a=recipe, b=recipe)
    assert editor._panels.drain(120)
    assert page.answers == []
    shows(editor, True)
    assert page.answer("pair")[0]["differences"] == []
    editor.close()


def test_faces_behind_a_cell_are_drawn_for_who_looks(monkeypatch):
    session = EditSession(world(follows=Follows()), method="follows", n_random=4)
    explorer = EntanglementExplorer(session, attributes=("age",), faces=8, chance=2)
    explorer.start()
    assert explorer.wait(120)
    drawn, pictures = [], explorer.study.pictures

    def leaving(*which):
        drawn.append(which)
        if len(drawn) == 1:
            shows(explorer, False)
        return pictures(*which)

    monkeypatch.setattr(explorer.study, "pictures", leaving)
    shows(explorer, True)
    message = {"kind": "cell", "edited": "age", "read": "smile", "client": "page", "number": 1}
    explorer._handle_custom_msg(message, [])
    assert explorer._cells.drain(120)
    assert len(drawn) == 1, "it went on for nobody"
    assert explorer.cell == {}
    shows(explorer, True)
    assert wait_for(lambda: explorer.cell.get("pairs"))
    assert len(explorer.cell["pairs"]) == 2
    explorer.close()
    session.close()


# -- a painter -------------------------------------------------------------------------------------


def test_an_area_over_the_sliders_is_looked_through_by_who_looks(session, tmp_path):
    area = area_painter(session)
    painters = [MaskPainter(area, folder=tmp_path) for _ in range(2)]
    drawn = []
    area.subscribe(drawn.append, lambda: False)
    hidden, open_one = painters
    shows(hidden, True)
    shows(hidden, False)

    def move(change):
        session.update(changes={"age": change}, targets={})
        session.request()
        assert session.drain(120)
        assert area.drain(120)

    up = hidden.result, hidden.mask
    move(0.2)
    assert len(drawn) == 1, "the other one is looked at"
    assert open_one.result["data"] != up[0]["data"]
    assert (hidden.result, hidden.mask) == up, "it was sent to nobody"
    shows(open_one, False)
    move(0.3)
    move(0.4)
    assert len(drawn) == 1, "it was drawn for nobody"
    for painter in painters:
        shows(painter, True)
        assert area.drain(120)
        assert torch.equal(
            torch.frombuffer(bytearray(painter.result["data"]), dtype=torch.uint8),
            to_uint8(session.render().after).permute(1, 2, 0).flatten(),
        )
    shows(hidden, False)
    hidden._handle_custom_msg({"kind": "undo", "client": "page", "number": 9}, [])
    assert area.drain(120)
    assert "page" not in hidden.result["answers"]
    shows(hidden, True)
    assert area.drain(120)
    assert hidden.result["answers"]["page"] == 9
    for painter in painters:
        painter.close()
    area.close()


def test_a_page_comes_back_to_a_painter_whose_session_is_over(session, tmp_path):
    area = area_painter(session)
    painter = MaskPainter(area, folder=tmp_path)
    shows(painter, False)
    painter.refresh()
    assert area.drain(120)
    area.close()
    shows(painter, True)
    assert not painter.notice.get("error")
    painter.close()


# -- a training ------------------------------------------------------------------------------------


def test_a_training_goes_on_and_its_cell_draws_nothing_for_nobody(tmp_path, monkeypatch):
    cell, stills = TrainingCell("mapper-lesson", tmp_path / "run", steps=20), []
    monkeypatch.setattr(cell, "_show_still", lambda: stills.append(1))
    records = iter({"step": n, "loss": 1 / n, "seconds": float(n)} for n in range(1, 20))
    cell._tell("running")
    cell._on_step(next(records))
    assert (cell.history["steps"], len(stills)) == ([1], 1), "a script, which has no page"
    cell._told = cell._stood = 0.0  # long ago
    shows(cell, True)
    shows(cell, False)
    for _ in range(3):
        cell._on_step(next(records))
    assert (cell.history["steps"], len(stills)) == ([1], 1)
    assert cell.share_done == 4 / 20
    shows(cell, True)
    assert cell.history["steps"] == [1, 2, 3, 4]
    assert cell.status["step"] == 4
    cell._told = 0.0
    cell._on_step(next(records))
    assert (cell.history["steps"][-1], len(stills)) == (5, 2)
    cell.close()
