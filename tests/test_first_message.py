"""The first message to a page carries all that a view needs to be drawn, its layout with it."""

from __future__ import annotations

import threading

import ipywidgets.widgets.widget as ipywidget
import pytest
from comm.base_comm import BaseComm
from mixing_world import build_mixer
from test_code_map import small_map

from l2l_widgets import PaintSession, widgets
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets.view import View


class Line(BaseComm):
    """A line to no page, which keeps what is said on it."""

    def __init__(self, **opening):
        self.opening, self.told = opening, []
        super().__init__(**opening)

    def publish_msg(self, msg_type, data=None, **_):
        if msg_type == "comm_msg":
            self.told.append(data)


@pytest.fixture
def lines(monkeypatch):
    """Every line that is opened, in order."""
    opened = []

    def create(**opening):
        opened.append(Line(**opening))
        return opened[-1]

    monkeypatch.setattr(ipywidget.comm, "create_comm", create)
    return opened


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


def painter(session, folder):
    face = session.render().before
    return widgets.MaskPainter(PaintSession(None, face, face[0].gt(0).byte()))


#: View -> what makes it, and traits that its page reads when it draws.
MAKERS = {
    "EditorGrid": (
        lambda session, _: widgets.EditorGrid(session, request={"smile": 0.2}, n_random=4),
        {"schema", "settings", "status"},
    ),
    "EntanglementExplorer": (
        lambda session, _: widgets.EntanglementExplorer(session, attributes=("smile",), faces=6),
        {"schema", "settings", "status"},
    ),
    "FaceEditor": (
        lambda session, _: widgets.FaceEditor(session),
        {"schema", "settings", "abilities", "before", "after"},
    ),
    "Gallery": (
        lambda session, _: widgets.Gallery(session, page_size=2),
        {"schema", "settings", "loaded"},
    ),
    "IdentityMixer": (
        lambda *_: widgets.IdentityMixer(build_mixer(), rows=(3,), columns=(4, 5)),
        {"schema", "faces", "mixed"},
    ),
    "InterpolationView": (
        lambda session, _: widgets.InterpolationView(session, 8, frames=3),
        {"schema", "settings"},
    ),
    "LatentMap": (
        lambda session, _: widgets.LatentMap(session, code_map=small_map(session.models)),
        {"schema", "progress"},
    ),
    "MaskPainter": (painter, {"schema", "picture", "mask", "settings"}),
    "PhotoInverter": (lambda session, _: widgets.PhotoInverter(session), {"schema"}),
    "Presenter": (
        lambda session, _: widgets.Presenter([("A smile", {"smile": 0.3})], session),
        {"slide"},
    ),
    "TrainingCell": (
        lambda _, folder: widgets.TrainingCell("mapper-lesson", folder / "run", steps=20),
        {"status"},
    ),
    "TrainingMonitor": (
        lambda _, folder: widgets.TrainingMonitor(folder, recipe="mapper-lesson"),
        {"form"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_a_views_first_message_is_whole(name, session, tmp_path, lines):
    make, needs = MAKERS[name]
    view = make(session, tmp_path)
    (line,) = [line for line in lines if line.opening["data"]["state"].get("_anywidget_id")]
    state = line.opening["data"]["state"]
    assert {trait for trait in needs if not state[trait]} == set()
    assert line is view.comm
    view.close()


def test_every_view_of_the_library_is_looked_at():
    views = {name for name in widgets.__all__ if issubclass(getattr(widgets, name), View)}
    assert views == set(MAKERS)


class Slow(View):
    """A view that a thread changes while its first message is made."""

    _esm = "export default {}"

    def get_state(self, key=None, **kwargs):
        state = super().get_state(key, **kwargs)
        if key is None:
            thread = threading.Thread(target=self.set_trait, args=("notice", {"error": "late"}))
            thread.start()
            thread.join(120)
        return state


def test_what_changes_while_the_first_message_is_made_is_sent_after_it(lines):
    view = Slow()
    (line,) = [line for line in lines if "notice" in line.opening["data"]["state"]]
    assert line.opening["data"]["state"]["notice"] == {}
    assert [told["state"] for told in line.told] == [{"notice": {"error": "late"}}]
    view.close()
