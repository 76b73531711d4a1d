"""How far a method takes one face: measured, in worlds where every answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from editor_pages import Page, wait_for
from leaky_world import SMILE, world
from open_world import A, Moves, OpenWorld, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeRequestError
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import hide_attributes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.references import CHUNK
from l2l_widgets.widgets import FaceEditor
from l2l_widgets.widgets.editor import measured_reach

NAMES = DEFAULT_TABLE.names
#: How far the editors below say that they reach, and above which no smile comes.
DOWN, UP, TOP = 0.2, 0.3, 0.7


class Fills(Moves):
    """Brings what is asked, but no smile above a certain one: some faces have no room left."""

    name = "fills"

    def __init__(self):
        super().__init__()
        del self.reach  # the size of a step there; here the method of an editor
        self.asked, self.then = [], lambda: None

    def edit(self, w, request):
        self.asked.append(dict(request.changes) or dict(request.targets))
        delta = request.deltas(DEFAULT_TABLE)
        smile = w[:, 0, SMILE]
        most = (TOP - smile).clamp_min(0.0)
        delta = delta.repeat(len(w), 1)
        delta[:, SMILE] = torch.minimum(delta[:, SMILE], most)
        self.then()
        return w + torch.cat([delta, torch.zeros(len(w), 1)], dim=1)[:, None]

    def reach(self, name):
        DEFAULT_TABLE.index(name)
        return DOWN, UP


def face(smile, rest=0.5):
    w = torch.full((A + 1,), rest)
    w[SMILE] = smile
    return w


@pytest.fixture
def fills():
    return Fills()


@pytest.fixture
def session(fills):
    session = EditSession(world(fills=fills), method="fills", n_random=4)
    session.set_latent(face(0.5))
    yield session
    session.close()


def drawn(monkeypatch):
    """Sizes of the batches that are drawn from now on."""
    batches, plain = [], OpenWorld.synthesis

    def synthesis(self, ws, noise_mode="const"):
        batches.append(len(ws))
        return plain(self, ws, noise_mode)

    monkeypatch.setattr(OpenWorld, "synthesis", synthesis)
    return batches


# -- headless --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smile", "span"), [(0.5, (0.3, 0.7)), (0.65, (0.45, 0.7)), (0.9, (0.7, 0.9))]
)
def test_a_face_without_room_is_not_taken_as_far_as_the_average(session, smile, span):
    session.set_latent(face(smile))
    reach = session.face_reach()
    assert list(reach) == list(NAMES)
    assert reach["smile"] == pytest.approx(span, abs=1e-6)
    assert reach["age"] == pytest.approx((0.3, 0.8), abs=1e-6)
    assert span[1] < smile + UP, "the average says that there is room"
    assert session.face_reach("smile", "age").keys() == {"smile", "age"}


@pytest.mark.parametrize("own", [0.02, 0.98])
def test_no_more_is_asked_than_a_slider_can_ask(session, fills, own):
    session.set_latent(face(0.5, rest=own))
    low, high = session.face_reach("age")["age"]
    assert (low, high) == pytest.approx((max(0.0, own - DOWN), min(1.0, own + UP)), abs=1e-6)
    asked = sorted(change for request in fills.asked for change in request.values())
    assert asked == pytest.approx([max(-DOWN, -own), min(UP, 1 - own)], abs=1e-6)


def test_its_own_reading_lies_within_where_the_method_goes_the_wrong_way():
    session = EditSession(world(back=Moves(reach=-1.0)), method="back")
    session.set_latent(face(0.4))
    assert session.face_reach("smile")["smile"] == pytest.approx((0.4, 0.4), abs=1e-6)


def test_an_editor_that_says_nothing_of_its_reach_is_asked_for_the_whole_scale():
    session = EditSession(world(half=Moves(reach=0.5)), method="half")
    session.set_latent(face(0.4))
    assert session.face_reach("smile")["smile"] == pytest.approx((0.2, 0.7), abs=1e-6)


def test_the_rows_that_an_edit_is_for_are_those_that_are_measured(session):
    session.update(rows=(1,), changes={"age": 0.2})
    assert session.face_reach("smile")["smile"] == pytest.approx((0.5, 0.5), abs=1e-6)
    session.update(rows=(0,))
    assert session.face_reach("smile")["smile"] == pytest.approx((0.3, 0.7), abs=1e-6)
    session.update(rows=(9,))
    with pytest.raises(ValueError, match="rows"):
        session.face_reach("smile")


def test_what_cannot_be_measured_is_left_out():
    class Blind(Reads):
        def __call__(self, images):
            out = super().__call__(images).clone()
            out[out[:, SMILE] > 0.65, SMILE] = math.nan
            out[out[:, 0] < 0.4, 0] = math.inf
            return out

    class Fails(Fills):
        def edit(self, w, request):
            if "beard" in request.changes:
                raise ValueError("attribute 'beard': not trained")
            return super().edit(w, request) + (math.inf if "hat" in request.changes else 0.0)

        def reach(self, name):
            return (math.nan, 0.5) if name == "glasses" else super().reach(name)

    parts = open_models(regressor=Blind())
    models = Models.from_parts(
        parts.generator, regressor=parts.regressor, editors={"fails": Fails()}, name="blind"
    )
    session = EditSession(models, method="fails")
    session.set_latent(face(0.5))
    failed = {"smile", NAMES[0], "beard", "hat", "glasses"}
    assert session.face_reach().keys() == set(NAMES) - failed
    assert session.face_reach("smile") == {}
    session.set_latent(face(0.9))
    with pytest.raises(ValueError, match=r"smile.*finite"):
        session.face_reach()
    assert EditSession(Models.from_parts(OpenWorld(), name="bare")).face_reach() == {}


def test_what_the_method_cannot_change_is_refused_and_what_is_hidden_is_left_out(session, fills):
    for name, words in (("smiel", "did you mean"), ("age", "method 'fills' cannot change 'age'")):
        fills.attributes = tuple(n for n in NAMES if n != "age")
        with pytest.raises(AttributeRequestError, match=words):
            session.face_reach(name)
    hide_attributes(["smile"])
    try:
        assert session.face_reach().keys() == set(NAMES) - {"smile", "age"}
        with pytest.raises(AttributeRequestError, match="hidden"):
            session.face_reach("smile")
    finally:
        hide_attributes(None)
    assert not any("smile" in request for request in fills.asked)


def test_it_is_given_up_at_once_and_goes_on_where_it_was(session, fills, monkeypatch):
    batches = drawn(monkeypatch)
    session.render()
    batches.clear()
    assert session.face_reach(stale=lambda: len(fills.asked) > CHUNK) is None
    assert batches == [CHUNK]
    assert len(fills.asked) == CHUNK + 1, "asked between edits as well"
    assert session.face_reach() is not None
    assert sum(batches) == 2 * A, "nothing is drawn twice"
    assert max(batches) == CHUNK


def test_it_is_kept_for_each_face_and_method_and_forgotten_with_the_models(
    session, fills, monkeypatch
):
    batches = drawn(monkeypatch)
    first = session.face_reach()
    session.set_latent(face(0.9))
    assert session.face_reach(stale=lambda: True) is None, "another face"
    other = session.face_reach()
    batches.clear()
    session.update(w=face(0.5), targets={"age": 0.9}, preserve=("hat",))
    assert session.face_reach(stale=lambda: True) == first, "what is asked of it does not count"
    session.set_latent(face(0.9))
    assert session.face_reach() == other != first
    assert batches == []
    session.set_models(world(fills=fills, more=Fills()))
    assert session.face_reach(stale=lambda: True) is None
    assert session.face_reach() == other
    session.set_method("more")
    assert session.face_reach(stale=lambda: True) is None


def test_nothing_else_of_the_session_changes(session):
    heard = []
    session.subscribe(lambda kind, value: heard.append(kind))
    before = session.render()
    stamp, history = session.stamp, session.history()
    session.face_reach()
    assert (session.stamp, session.history(), heard) == (stamp, history, [])
    assert torch.equal(session.render().after, before.after)


# -- in the view -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(measured_reach, "REST", 0.05)


@pytest.fixture
def editor(session):
    editor = FaceEditor(session)
    Page(editor).settle()
    yield editor
    editor.close()


def looks(editor, at=True):
    editor._handle_custom_msg({"kind": "visible", "visible": at, "client": "page"}, [])


def rests(editor):
    """Nothing is drawn or measured any more, nor asked for after the rest of a hand."""
    assert editor._bridge._rest.drain(120)
    assert editor.session.drain(120)


def measured(editor):
    return editor.reach.get("spans")


def has_measured(editor):
    """Whether a reach comes up; then nothing of it is on its way any more."""
    return wait_for(lambda: measured(editor)) and editor._reach.drain(120)


def test_who_looks_gets_the_reach_of_the_face_and_nothing_else_changes(editor, session):
    page = Page(editor)
    rests(editor)
    page.seen.clear()
    state = {name: getattr(editor, name) for name in ("settings", "abilities", "after", "receipt")}
    history = session.history()
    assert editor._reach._worker._thread is None, "nothing is begun before anybody looks"
    looks(editor)
    assert has_measured(editor)
    assert editor.reach["method"] == "fills"
    assert measured(editor)["smile"] == pytest.approx([0.3, 0.7])
    assert measured(editor).keys() == set(NAMES)
    assert page.seen == []
    assert {name: getattr(editor, name) for name in state} == state
    assert session.history() == history


def test_it_may_be_left_to_the_average(session):
    editor = FaceEditor(session, measure_reach=False)
    page = Page(editor)
    looks(editor)
    page.send("targets", targets={"age": 0.6}, gesture=0)
    page.settle()
    assert editor._reach._worker._thread is None
    assert measured(editor) == {}
    editor.close()


def test_a_request_goes_before_it_and_it_is_measured_afterwards(editor, fills):
    page = Page(editor)

    def asks_for_more():
        fills.then = lambda: None
        page.send("targets", targets={"age": 0.6}, gesture=0)

    fills.then = asks_for_more
    looks(editor)
    assert has_measured(editor)
    page.settle()
    assert fills.asked[1] == {"age": 0.6}, "the slider waited for more than one small edit"
    assert measured(editor).keys() == set(NAMES)


def test_it_rests_while_nobody_looks_and_goes_on_for_who_comes_back(editor, fills):
    def leaves():
        fills.then = lambda: None
        looks(editor, at=False)

    fills.then = leaves
    looks(editor)
    assert wait_for(lambda: fills.asked)
    assert editor._reach.drain(120)
    assert len(fills.asked) == 1
    assert measured(editor) == {}
    looks(editor)
    assert has_measured(editor)


def test_each_face_has_its_own_and_one_that_is_known_is_not_measured_again(editor, session, fills):
    looks(editor)
    assert has_measured(editor)
    first = editor.reach
    session.request(w=face(0.9))
    assert wait_for(lambda: measured(editor) and editor.reach != first)
    assert measured(editor)["smile"] == pytest.approx([0.7, 0.9])
    assert editor._reach.drain(120)
    count = len(fills.asked)
    session.request(w=face(0.5))
    assert wait_for(lambda: editor.reach == first)
    assert editor._reach.drain(120)
    assert len(fills.asked) == count


def test_other_models_and_hidden_attributes_have_another_one(editor, session):
    looks(editor)
    assert has_measured(editor)
    other = Fills()
    other.attributes = ("age", "hat")
    session.models = world(fills=other)
    assert wait_for(lambda: measured(editor).keys() == {"age", "hat"})
    hide_attributes(["hat"])
    try:
        assert wait_for(lambda: measured(editor).keys() == {"age"})
        assert session.drain(120)
    finally:
        hide_attributes(None)


def test_what_the_view_hides_is_not_measured(session, fills):
    editor = FaceEditor(session, hide=["smile"])
    looks(editor)
    assert has_measured(editor)
    assert measured(editor).keys() == set(NAMES) - {"smile"}
    assert not any("smile" in request for request in fills.asked)
    editor.close()


def test_a_face_that_cannot_be_read_keeps_the_average(fills):
    class Gone(Reads):
        def __call__(self, images):
            return super().__call__(images) * math.nan

    parts = open_models(regressor=Gone())
    models = Models.from_parts(
        parts.generator, regressor=parts.regressor, editors={"fills": fills}, name="gone"
    )
    session = EditSession(models, method="fills")
    editor = FaceEditor(session)
    looks(editor)
    editor._reach.ask()
    assert editor._reach.drain(120)
    assert measured(editor) == {}
    assert editor.abilities["reach"]["smile"] == [DOWN, UP]
    editor.close()
    session.close()
