import gc
import threading
import weakref

import pytest
import torch
from conftest import LinearEditor, build_directions, good

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace


class View:
    """What a view does: hear, and remember."""

    def __init__(self, face, name=""):
        self.face, self.name, self.events = face, name, []
        face.subscribe(self.hear)

    def hear(self, event):
        self.events.append(event)


@pytest.fixture
def face(session):
    return SharedFace.of(session)


def test_views_of_a_session_share_one_face_and_forget_it_together(session):
    first = SharedFace.of(session)
    assert SharedFace.of(session) is first
    assert SharedFace.of(first) is first
    gone = weakref.ref(first)
    callbacks = len(session._subscribers)
    del first
    gc.collect()
    assert gone() is None
    assert len(session._subscribers) == callbacks - 1
    assert SharedFace.of(session).session is session


def test_what_one_view_loads_every_view_hears(session, face):
    one, two = View(face, "gallery"), View(face, "map")
    event = face.load(seed=7, by="gallery")
    assert one.events == two.events == [event]
    assert (event.kind, event.by, event.seed, event.w) == ("face", "gallery", 7, None)
    assert session.drain(120)
    assert one.events == [event]  # the picture is no second loading
    assert good(session.render()).state.seed == 7

    w = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    face.load(w=w, by="map")
    assert session.drain(120)
    assert two.events[-1].seed is None
    assert torch.equal(two.events[-1].w[0], w)
    assert len(two.events) == 2


def test_a_slider_and_a_script_are_heard_when_they_are_drawn(session, face):
    view = View(face)
    session.request(changes={"smile": 0.2})
    assert session.drain(120)
    session.request(seed=11)
    assert session.drain(120)
    session.request()
    assert session.drain(120)
    assert [(e.kind, e.by) for e in view.events] == [("edits", ""), ("face", "")]
    assert view.events[1].seed == 11
    assert view.events[0].stamp < view.events[1].stamp


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "seed, w: neither"),
        ({"seed": 1, "w": torch.zeros(16)}, "seed, w: both"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"w": torch.zeros(3, 5)}, "shape"),
        ({"w": torch.full((8, 16), float("nan"))}, "w"),
        ({"w": "face"}, "w"),
    ],
)
def test_a_face_that_cannot_be_is_refused_and_the_old_one_stays(session, face, values, words):
    view = View(face)
    before = session.state
    with pytest.raises(ValueError, match=words):
        face.load(**values)
    assert session.state is before
    assert not session.can_undo
    assert view.events == []


def test_loads_of_one_gesture_are_one_step_of_undo(session, face):
    for seed in (3, 4, 5):
        face.load(seed=seed, gesture="drag-1", preview=True)
    assert session.undo()
    assert session.state.seed == 0


def test_views_are_held_weakly_functions_until_they_unsubscribe(face):
    view = View(face)
    heard = []
    face.subscribe(heard.append)
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None
    face.load(seed=1)
    assert len(heard) == 1
    end = face.subscribe(lambda event: heard.append(event))
    face.load(seed=2)
    assert len(heard) == 3
    end()
    face.unsubscribe(heard.append)
    face.load(seed=3)
    assert len(heard) == 3


def test_a_broken_view_does_not_blind_the_others(face, caplog):
    def broken(event):
        raise RuntimeError("this view is broken")

    face.subscribe(broken)
    view = View(face)
    face.load(seed=5)
    assert [e.seed for e in view.events] == [5]
    assert "a view failed" in caplog.text


def test_a_view_may_load_while_it_is_told(face):
    def follow(event):
        if event.seed == 1:
            face.load(seed=2, by="follower")

    face.subscribe(follow)
    view = View(face)
    face.load(seed=1)
    assert sorted(e.seed for e in view.events) == [1, 2]
    assert face.state.seed == 2


def test_many_threads_load_and_nothing_is_lost(session, face):
    view = View(face)
    threads = [
        threading.Thread(target=lambda n=n: [face.load(seed=10 * n + i) for i in range(5)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert session.drain(120)
    loads = {e.stamp: e.seed for e in view.events}
    assert len(loads) == 20
    assert loads[max(loads)] == session.state.seed


def test_models_are_swapped_under_open_views(session, face, tiny_parts):
    view = View(face)
    session.request(changes={"smile": 0.3})
    assert session.drain(120)
    old = session.render()
    other = Models.from_parts(
        **tiny_parts, editors={"linear": LinearEditor(-build_directions())}, name="other"
    )
    results = []
    session.subscribe(lambda kind, value: results.append((kind, value)))
    event = face.swap(other, by="menu")
    assert session.drain(120)
    assert (event.kind, event.by) == ("models", "menu")
    assert [e.kind for e in view.events] == ["edits", "models"]
    assert face.models is other
    new = [value for kind, value in results if kind == "result"][-1]
    assert new.stamp == event.stamp
    torch.testing.assert_close(new.w_edited - new.w, old.w - old.w_edited)
    assert session.recipe()["models"]["name"] == "other"
    assert session.undo()  # what was done before the swap is not lost
    assert session.state.edits[-1].empty
    with pytest.raises(ValueError, match="models is 'other'"):
        face.swap("other")


def test_what_swapped_models_cannot_do_is_a_line_and_no_end(session, face, tiny_parts):
    session.update(changes={"smile": 0.3})
    face.swap(Models.from_parts(generator=tiny_parts["generator"], name="bare"))
    assert session.drain(120)
    result = session.render()
    assert "linear" in result.error
    assert result.before is not None
    session.reset()
    good(session.render())


def test_what_is_no_session_is_refused(tiny_models):
    assert isinstance(SharedFace.of(tiny_models).session, EditSession)
    with pytest.raises(ValueError, match="source is 7"):
        SharedFace.of(7)
