"""Who waits for a view in Python looks at it: a page that says "not visible" holds nothing back.

Each state is waited for, at most so many seconds; nothing counts on which thread is the faster one.
"""

from __future__ import annotations

import io
import threading

import pytest
import torch
from conftest import build_attribute_net, build_embedder, build_generator
from editor_pages import wait_for
from leaky_world import Follows, world
from open_world import Moves
from PIL import Image
from test_code_map import lay_flat
from test_entanglement_widgets import seeds_with_room

from l2l_widgets.images import to_pil
from l2l_widgets.inversion import InversionSettings
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import (
    EditorGrid,
    EntanglementExplorer,
    Gallery,
    InterpolationView,
    LatentMap,
    PhotoInverter,
    TrainingCell,
)
from l2l_widgets.widgets.latent_map.map_maker import MapMaker


def shows(view, visible, client="page"):
    view._handle_custom_msg({"kind": "visible", "visible": visible, "client": client}, [])


def leave(view):
    """Have its only page scroll it out of sight."""
    shows(view, True)
    shows(view, False)
    assert view.is_hidden


class Hooked(Moves):
    """An editor that calls a test before each edit."""

    def __init__(self):
        super().__init__()
        self.hook = lambda: None

    def edit(self, w, request):
        self.hook()
        return super().edit(w, request)


@pytest.fixture
def hooked():
    return Hooked()


@pytest.fixture
def session(hooked):
    models = world(hooked=hooked, follows=Follows())
    first = seeds_with_room(models, 1)[0]
    made = EditSession(models, method="hooked", n_random=4, seed=first)
    yield made
    made.close()


@pytest.fixture
def tiny_session(tiny_models):
    made = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield made
    made.close()


@pytest.fixture
def explorer(session):
    made = EntanglementExplorer(
        session, method="hooked", against="", attributes=("age", "beard"), faces=8, chance=2
    )
    yield made
    made.close()


# -- the explorer ----------------------------------------------------------------------------------


def test_a_measurement_goes_on_for_who_waits_though_its_page_leaves(explorer, hooked):
    """The page's message comes on a subshell while the cell waits: here on the study's thread."""
    left = []

    def hook():
        if not left and wait_for(lambda: explorer.audience._waiting):
            left.append(1)
            shows(explorer, True)
            shows(explorer, False)

    hooked.hook = hook
    explorer.start()
    assert explorer.wait(120)
    assert explorer.status["state"] == "finished"
    assert left, "its page did not leave: nothing was tried"
    assert explorer.is_hidden, "nobody waits any more"


def test_a_measurement_rests_again_when_the_wait_was_too_short(explorer, hooked):
    gate = threading.Event()
    hooked.hook = lambda: gate.wait(120)
    leave(explorer)
    explorer.start()
    assert not explorer.wait(0.05)
    gate.set()
    assert wait_for(lambda: explorer.status["state"] == "paused")
    assert explorer.wait(120)
    assert explorer.status["state"] == "finished"


def test_a_first_look_is_taken_for_who_settles_the_view(explorer):
    leave(explorer)
    assert explorer.settle(120)
    assert explorer._first.progress.state == "finished"
    assert explorer.matrix["edited"] == ["age", "beard"]


def test_trajectories_follow_the_face_only_where_a_page_has_them_open(explorer, session):
    def sends(kind, **content):
        explorer._handle_custom_msg({"kind": kind, "client": "page", **content}, [])

    def follows(seed):
        return wait_for(lambda: explorer.trajectory.get("label") == f"face {seed}")

    shows(explorer, True)
    sends("trajectory", edited="age", faces="one")
    assert follows(session.state.seed)
    sends("tab", tab="matrix")
    explorer.face.load(seed=5)
    assert explorer._worker.drain(120)
    assert explorer.trajectory["label"] != "face 5", "computed for a tab that nobody has open"
    shows(explorer, True, "other")  # and it has the matrix up, as every page at first
    sends("tab", tab="tracks")
    assert follows(5)
    shows(explorer, False)
    explorer.face.load(seed=6)
    assert explorer._worker.drain(120)
    assert explorer.trajectory["label"] == "face 5", "the page that is left has its matrix up"
    shows(explorer, True)
    assert follows(6)
    sends("tab", tab="faces")
    assert "tab is 'faces'; allowed: matrix, tracks" in explorer.status["error"]


# -- answers to what is asked now ------------------------------------------------------------------


@pytest.fixture
def grid(session):
    made = EditorGrid(session, request={"age": 0.2}, methods=("hooked", "follows"), n_random=4)
    assert asked_of(made.answers(120))["hooked"] == {"age": 0.2}
    yield made
    made.close()


def asked_of(found):
    return {name: answer.receipt.requested for name, answer in found.items()}


def test_answers_are_to_the_request_that_was_put_off(grid):
    leave(grid)
    grid.ask({"age": 0.1})
    assert asked_of(grid.answers(120)) == {m: {"age": 0.1} for m in ("hooked", "follows")}
    assert grid.status["state"] == "ready"


def test_answers_are_to_the_face_that_was_loaded_out_of_sight(grid):
    leave(grid)
    before = grid.answers(120)["hooked"].w
    other = seeds_with_room(grid.face.models, 2)[1]
    grid.face.load(seed=other)
    assert not torch.equal(grid.answers(120)["hooked"].w, before)
    assert grid._compared.seed == other


def test_answers_come_whole_though_the_page_leaves_meanwhile(grid, hooked):
    left = []

    def hook():
        if not left and wait_for(lambda: grid.audience._waiting):
            left.append(1)
            shows(grid, True)
            shows(grid, False)

    hooked.hook = hook
    grid.ask({"age": 0.1})
    assert asked_of(grid.answers(120)) == {m: {"age": 0.1} for m in ("hooked", "follows")}
    assert left, "its page did not leave: nothing was tried"


def test_a_grid_that_has_no_answer_yet_says_so_and_gives_no_earlier_one(grid, hooked):
    gate = threading.Event()
    hooked.hook = lambda: gate.wait(120)
    grid.ask({"age": 0.1})
    with pytest.raises(ValueError, match=r"timeout is 0\.05 s and no method has answered; allowed"):
        grid.answers(0.05)
    gate.set()
    assert asked_of(grid.answers(120))["hooked"] == {"age": 0.1}


def test_a_gallery_searches_out_of_sight_for_who_waits(tiny_session):
    view = Gallery(tiny_session, page_size=2)
    assert view.wait(120)
    assert view.found.seeds == (0, 1)
    leave(view)
    view.start_from(50)
    assert view.wait(120)
    assert view.found.seeds == (50, 51)
    view.close()


def test_a_walk_is_drawn_out_of_sight_for_who_waits(tiny_session):
    view = InterpolationView(tiny_session, 8, frames=3)
    assert view.wait(120)
    leave(view)
    view.set(second=9)
    assert view.wait(120)
    assert view.strip.walk.faces[-1] == 9
    assert view.strip.curves is not None
    view.close()


# -- a photo ---------------------------------------------------------------------------------------


@pytest.fixture
def photo_view():
    models = Models.from_parts(
        build_generator(), regressor=build_attribute_net(1), embedder=build_embedder(2)
    )
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(2))
    face = models.generator.synthesis(models.generator.mapping(z))[0].detach().clamp(-1, 1)
    stream = io.BytesIO()
    to_pil(face, 2).resize((64, 64), Image.Resampling.BILINEAR).save(stream, "PNG")
    settings = InversionSettings(space="w", steps=6, candidates=4)
    view = PhotoInverter(EditSession(models, seed=1), stream.getvalue(), settings=settings)
    assert view.wait(120)
    yield view
    view.close()
    view.session.close()


def test_a_photo_is_descended_to_out_of_sight_for_who_waits(photo_view):
    leave(photo_view)
    photo_view.start()
    assert photo_view.wait(120)
    assert photo_view.found.steps == 6


def test_a_descent_that_was_left_goes_on_and_one_that_was_stopped_does_not(photo_view):
    made = []

    def told(change):
        if change["new"].get("running") and change["new"].get("steps"):
            made.append(1)
            if len(made) == 1:
                leave(photo_view)
            elif len(made) == 2:
                photo_view.stop()

    shows(photo_view, True)
    photo_view.observe(told, "result")
    photo_view.start()
    assert photo_view._worker.drain(120)
    assert photo_view.found.stopped, "it went on for nobody"
    assert photo_view.wait(120)  # and is stopped in its second step
    stopped = photo_view.found
    assert stopped.stopped
    assert photo_view.wait(120)
    shows(photo_view, True)
    assert photo_view.wait(120)
    assert photo_view.found is stopped, "what was stopped went on, or was looked at anew"


# -- a training ------------------------------------------------------------------------------------


def test_a_training_is_drawn_for_who_waits_though_its_page_cannot_be_heard(tmp_path, monkeypatch):
    """Python holds the kernel's only thread: what the page says lies there until it is too old."""
    cell = TrainingCell("mapper-lesson", tmp_path / "run", steps=20)

    def train():
        assert wait_for(lambda: cell.audience._waiting), "nobody waits"
        cell._on_step({"step": 1, "loss": 1.0, "seconds": 0.1})

    monkeypatch.setattr(cell, "_train", train)
    leave(cell)
    cell.start()
    assert cell.wait(120)
    assert cell.history["steps"] == [1], cell.status
    assert cell.is_hidden, "nobody waits any more"
    cell.close()


# -- a map -----------------------------------------------------------------------------------------


@pytest.fixture
def code_map(tiny_models):
    made = CodeMap(tiny_models, 64, neighbours=8)
    lay_flat(made, seed=0)
    return made


def test_who_settles_a_map_waits_until_it_is_made_and_shows_the_face(
    tiny_session, code_map, monkeypatch
):
    plain = MapMaker._open

    def late(maker):
        assert wait_for(lambda: maker._audience._waiting), "nobody waits"
        return plain(maker)

    monkeypatch.setattr(MapMaker, "_open", late)
    view = LatentMap(tiny_session, code_map=code_map)
    shows(view, True)
    assert view.settle(120)
    assert view.progress["ready"]
    assert view.loaded["seed"] == tiny_session.state.seed
    view.close()


def test_a_map_that_cannot_be_made_is_settled_once_that_is_said(tiny_session, tmp_path):
    view = LatentMap(tiny_session, code_map=tmp_path / "nothing.safetensors")
    assert view.settle(120)
    assert "nothing.safetensors" in view.progress["text"]
    view.close()


# -- small -----------------------------------------------------------------------------------------


class ComesBack:
    """A view's lock, before which a page comes back."""

    def __init__(self, view):
        self._view, self._lock = view, view._lock

    def __enter__(self):
        if self._view._lock is self:
            self._view._lock = self._lock
            shows(self._view, True)
        return self._lock.__enter__()

    def __exit__(self, *error):
        return self._lock.__exit__(*error)


def test_a_page_that_comes_back_while_it_is_asked_for_finds_nothing_left(tiny_session):
    view = Gallery(tiny_session, page_size=2)
    assert view.wait(120)
    leave(view)
    view._lock = ComesBack(view)
    assert not view._stale(), "the worker left what a page that is there now waits for"
    assert not view._owed
    view.close()


def test_two_who_wait_are_counted(tiny_session):
    view = Gallery(tiny_session, page_size=2)
    leave(view)
    with view._awaited():
        with view._awaited():
            assert not view.is_hidden
        assert not view.is_hidden, "the first to go took the other with it"
    assert view.is_hidden
    view.close()


def test_a_new_run_does_not_stand_still_with_the_faces_of_the_old_one(tmp_path, monkeypatch):
    cell = TrainingCell("mapper-lesson", tmp_path / "run", steps=20)
    monkeypatch.setattr(cell, "_preview", lambda task: {"reached": torch.zeros(2, 3, 8, 8)})
    cell.task = object()
    cell._draw_faces(20)
    assert cell._still_parts() is not None
    monkeypatch.setattr(cell, "start", lambda: None)
    cell.start_over()
    assert cell._still_parts() is None
    cell.close()
