"""A worker that comes late shows nothing old, and wipes away nothing that nobody has read yet.

Each worker is held up by a gate where it could come too late; nothing counts on who is faster.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from conftest import LinearEditor, build_directions, build_generator
from leaky_world import Follows, world
from open_world import Moves
from test_hidden_everywhere import live, rest, says, spoken, told

from l2l_widgets.many.search import FaceSearch
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import (
    EditorGrid,
    EntanglementExplorer,
    FaceEditor,
    Gallery,
    InterpolationView,
    Presenter,
    TrainingCell,
)
from l2l_widgets.widgets import bridge as bridges
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.compare import entanglement_explorer as explorers
from l2l_widgets.widgets.owing import Owing

__all__ = ["live"]


class Held:
    """A function that waits at a gate on every thread but the test's, when it has its answer."""

    def __init__(self, plain):
        self.plain, self.begun, self.gate = plain, threading.Event(), threading.Event()
        self._test = threading.current_thread()

    def __call__(self, *args, **options):
        answer = self.plain(*args, **options)
        if threading.current_thread() is not self._test:
            self.begun.set()
            assert self.gate.wait(120)
        return answer


def hold(where, name, monkeypatch):
    held = Held(getattr(where, name))
    monkeypatch.setattr(where, name, held)
    return held


def send(view, kind, **content):
    view._handle_custom_msg({"kind": kind, "client": "page", "number": 1, **content}, [])


@pytest.fixture
def session():
    made = EditSession(world(perfect=Moves(), follows=Follows()), method="perfect", n_random=4)
    yield made
    made.close()


@pytest.fixture
def tiny_session(tiny_models):
    made = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield made
    made.close()


# -- the grid --------------------------------------------------------------------------------------


@pytest.fixture
def grid(session):
    made = EditorGrid(session, request={"beard": 0.1}, n_random=4, blind=True)
    assert made.answers(120)
    yield made
    made.close()


def test_a_refusal_outlives_the_comparison_that_begins_after_it(grid, session, monkeypatch):
    held = hold(session, "render", monkeypatch)
    grid.ask({"beard": -0.1})
    assert held.begun.wait(120)
    send(grid, "vote", label="nobody")
    held.gate.set()
    assert grid.answers(120)
    assert "vote for 'nobody'" in grid.status["error"]
    grid.face.load(seed=9)
    assert grid.wait(120)
    assert grid.status["error"] == "", "it was of the face before"


def test_cards_that_are_being_made_do_not_hide_again_what_was_revealed(grid, monkeypatch):
    plain, count = grid._card, len(grid.side.methods)
    held = Held(plain)
    last = lambda *given: (held if len(grid._found) == count else plain)(*given)  # noqa: E731
    monkeypatch.setattr(grid, "_card", last)
    grid.ask({"beard": -0.1})
    assert held.begun.wait(120)
    revealing = threading.Thread(target=grid.reveal)
    held._test = revealing  # only the worker waits
    revealing.start()
    revealing.join(0.3)  # it is through by now, or stands in line behind the worker
    held.gate.set()
    revealing.join(120)
    assert grid.wait(120)
    assert not revealing.is_alive()
    assert all(": " in card["title"] for card in grid.cards), grid.cards


def test_a_comparison_of_other_models_puts_no_face_up(grid, session, monkeypatch):
    held = hold(grid, "_fitted", monkeypatch)
    grid.ask({"beard": -0.1})
    assert held.begun.wait(120)
    models = session.models
    bare = Models.from_parts(models.generator, editors={"perfect": Moves()}, name="bare")
    grid.face.swap(bare)
    held.gate.set()
    assert grid.wait(120)
    assert (grid.cards, grid.before) == ([], {})
    assert "nothing is compared" in grid.status["error"]


# -- the explorer ----------------------------------------------------------------------------------


def test_a_matrix_that_was_begun_earlier_takes_no_newer_ones_place(session, monkeypatch):
    explorer = EntanglementExplorer(session, method="follows", attributes=("age",), faces=8)
    held = hold(explorers, "matrices_value", monkeypatch)
    late = threading.Thread(target=explorer._show_matrix)
    late.start()
    assert held.begun.wait(120)
    send(explorer, "show", method="perfect")
    held.gate.set()
    late.join(120)
    assert explorer.matrix["method"] == explorer.settings["method"] == "perfect"
    explorer.close()


def test_a_question_that_was_left_takes_no_newer_ones_place():
    answered, asked = [], threading.Event()

    def unseen():
        if asked.is_set():
            return False  # the page is back
        asking.start()  # and asks, while the worker asks who looks
        asking.join(0.3)  # it is through by now, or waits for the worker
        asked.set()
        return True

    def answer(question):
        if not owing.left():
            answered.append(question)

    owing = Owing(answer, unseen, "owing")
    asking = threading.Thread(target=owing, args=("newer",))
    owing("older")
    assert asked.wait(120)
    asking.join(120)
    assert owing.drain(120)
    assert answered[-1:] == ["newer"]
    owing.close()


# -- a walk ----------------------------------------------------------------------------------------


def test_what_is_refused_while_a_walk_is_drawn_is_still_said_when_it_is_up(
    tiny_session, monkeypatch
):
    walk = InterpolationView(tiny_session, 8, frames=3)
    assert walk.wait(120)
    held = hold(walk._walker, "draw", monkeypatch)
    send(walk, "set", fields={"frames": 5})
    assert held.begun.wait(120)
    send(walk, "set", fields={"frames": 1})
    held.gate.set()
    assert walk.wait(120)
    assert len(walk.frames["pictures"]) == 5
    assert "frames is 1" in walk.notice["error"]
    walk.close()


def test_why_a_walk_could_not_be_drawn_goes_with_the_next_one(tiny_session, monkeypatch):
    walk = InterpolationView(tiny_session, 8, frames=3)
    assert walk.wait(120)

    def refuse(*_):
        raise ValueError("this walk cannot be drawn")

    with monkeypatch.context() as patch:
        patch.setattr(walk._walker, "draw", refuse)
        walk.set(frames=5)
        assert walk.wait(120)
        assert "cannot be drawn" in walk.notice["error"]
    walk.set(frames=7)
    assert walk.wait(120)
    assert walk.notice["error"] is None
    walk.close()


def test_curves_that_are_read_while_an_attribute_is_hidden_are_not_shown(
    live, tiny_session, monkeypatch
):
    walk = InterpolationView(tiny_session, 8, frames=3)
    assert walk.wait(120)
    assert "smile" in walk.curves["attributes"]
    held = hold(walk._walker, "measure", monkeypatch)
    walk.set(frames=5)
    assert held.begun.wait(120)
    live(["smile"])
    seen = []
    walk.observe(lambda change: seen.append(walk.curves), "curves")
    held.gate.set()
    rest(walk, tiny_session)
    assert seen
    assert {curves["stamp"] for curves in seen} == {walk.settings["stamp"]}
    assert not any("smile" in curves["attributes"] for curves in seen)
    assert len(walk.frames["pictures"]) == 5
    walk.close()


def test_a_page_that_is_found_while_an_attribute_is_hidden_does_not_name_it(
    live, tiny_session, monkeypatch
):
    gallery = Gallery(tiny_session, page_size=2)
    assert gallery.wait(120)
    held = Held(FaceSearch.find)
    monkeypatch.setattr(FaceSearch, "find", lambda *given, **named: held(*given, **named))
    gallery.search("smile > 0")
    assert held.begun.wait(120)
    live(["smile"])
    seen = []
    gallery.observe(lambda change: seen.append(told(gallery)), "page")
    held.gate.set()
    rest(gallery, tiny_session)
    assert len(gallery.page["items"]) == 2
    assert seen
    assert not any('"readings": {"smile"' in text for text in seen)
    gallery.close()


# -- a training ------------------------------------------------------------------------------------


def test_a_training_that_ends_at_once_is_not_said_to_be_stopping(tmp_path):
    cell = TrainingCell("mapper-lesson", tmp_path / "run", steps=20)
    cell._tell("running")
    cell._run_handle = SimpleNamespace(stop=lambda: cell._tell("stopped", "saved"))
    send(cell, "stop")
    assert cell.status["state"] == "stopped"
    send(cell, "stop")  # the button was pressed twice
    assert cell.status["message"] == "saved"
    cell.close()


# -- a lesson --------------------------------------------------------------------------------------


def test_a_page_that_comes_back_to_a_lesson_puts_up_nothing_older_than_the_worker(tiny_session):
    view = Presenter([("One", {"seed": 3}), ("Two", {"seed": 4})], tiny_session)
    older, up = view._result, view.after["data"]
    view.go(1)
    assert tiny_session.drain(120)
    view._show_result(older)  # read by the page's thread before the worker had the newer one
    assert view.slide["stamp"] == tiny_session.stamp
    assert view.after["data"] != up
    view.close()


def test_a_lesson_shows_the_face_that_other_models_draw(tiny_parts, tiny_session):
    view = Presenter([("One", {"seed": 3})], tiny_session)
    parts = {**tiny_parts, "generator": build_generator(5)}
    editors = {"linear": LinearEditor(build_directions())}
    view.face.swap(Models.from_parts(**parts, editors=editors, name="other"))
    assert tiny_session.drain(120)
    assert view.before["data"] == picture_value(tiny_session.render().before)["data"]
    view.close()


# -- the face editor -------------------------------------------------------------------------------


def test_a_receipt_that_is_written_while_an_attribute_is_hidden_does_not_name_it(
    live, tiny_session, tmp_path, monkeypatch
):
    view = FaceEditor(tiny_session, folder=tmp_path)
    rest(view, tiny_session)
    held = hold(bridges, "receipt_value", monkeypatch)
    tiny_session.request(changes={"age": 0.2})
    assert held.begun.wait(120)
    live(["smile"])
    seen = []
    view.observe(lambda change: seen.append(spoken(view)), "receipt")
    held.gate.set()
    rest(view, tiny_session)
    assert view.receipt["requested"] == {"age": pytest.approx(0.2)}
    assert seen
    assert not any(says(text, "smile") for text in seen)
    view.close()


def test_a_picture_of_the_models_that_went_is_not_put_up(tiny_parts, tiny_session, tmp_path):
    view = FaceEditor(tiny_session, folder=tmp_path)
    rest(view, tiny_session)
    old = tiny_session.render()
    other = Models.from_parts(
        **{**tiny_parts, "generator": build_generator(5)},
        editors={"linear": LinearEditor(build_directions())}, name="other",
    )  # fmt: skip
    view.face.swap(other)
    view._bridge._on_event("result", old)  # by the worker, which had it drawn and came late
    rest(view, tiny_session)
    assert view.before["data"] == picture_value(tiny_session.render().before)["data"]
    assert view.before["data"] != picture_value(old.before)["data"]
    view.close()
