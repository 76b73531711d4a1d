"""One damaged editor file, and a change that a view cannot take: each is said in its place."""

from __future__ import annotations

import pytest
from conftest import LinearEditor, build_directions
from test_view_misfortunes import VIEWS, errors
from test_widgets import wait_for

from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import hide_attributes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import Gallery, InterpolationView
from l2l_widgets.widgets.face_view import FaceView


def unreadable(models):
    raise ValueError("ganspace.safetensors is damaged")


@pytest.fixture
def models(tiny_parts):
    """Models of which one editor cannot be loaded."""
    editors = {"linear": LinearEditor(build_directions()), "ganspace": unreadable}
    return Models.from_parts(**tiny_parts, editors=editors, name="half")


@pytest.fixture
def session(models):
    session = EditSession(models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def policy():
    yield hide_attributes
    hide_attributes(None)


#: Those that hear of a face; the others have no editor.
FACE_VIEWS = (
    "EditorGrid", "EntanglementExplorer", "FaceEditor", "Gallery", "InterpolationView",
    "LatentMap", "PhotoInverter", "Presenter",
)  # fmt: skip


def named(schema):
    """All names of attributes in a layout, wherever they stand in it."""
    if isinstance(schema, dict):
        return set(schema) | set().union(*map(named, schema.values()))
    if isinstance(schema, (list, tuple)):
        return set().union(*map(named, schema))
    return {schema} if isinstance(schema, str) else set()


@pytest.mark.parametrize("name", FACE_VIEWS)
def test_a_view_opens_and_goes_on_beside_a_damaged_editor(
    name, session, models, tiny_models, policy, tmp_path, caplog
):
    view = VIEWS[name](session, tmp_path)
    assert isinstance(view, FaceView)
    view.face.swap(tiny_models)
    view.face.swap(models)
    policy(["beard"])
    assert "beard" not in named(view.schema)
    policy(None)
    assert "a view failed" not in caplog.text
    assert view._missed is None
    view.close()


def test_the_damaged_one_stands_in_a_walks_list_and_says_why(session):
    view = InterpolationView(session, 8, frames=3)
    assert view.wait(120)
    assert view.schema["methods"]["ganspace"] == []
    assert "smile" in view.schema["methods"]["linear"]
    asked = {"kind": "attribute", "attribute": "smile"}
    for number, method in enumerate(("ganspace", "linear")):
        message = {"kind": "set", "fields": {**asked, "method": method}}
        view._handle_custom_msg({**message, "client": "page", "number": number}, [])
        assert view.wait(120)
        assert ("damaged" in errors(view)) == (method == "ganspace")
    assert view.strip.walk.method == "linear"
    view.close()


@pytest.mark.parametrize("name", FACE_VIEWS)
def test_what_a_view_cannot_take_is_said_in_it(name, session, tmp_path, monkeypatch, caplog):
    view, fault = VIEWS[name](session, tmp_path), ["these models cannot be laid out"]
    plain = type(view)._on_face

    def hear(self, event):
        if fault:
            raise ValueError(fault[0])
        plain(self, event)

    monkeypatch.setattr(type(view), "_on_face", hear)
    view.face.load(seed=5)
    assert fault[0] in errors(view)
    assert "a view failed" not in caplog.text
    view.close()


def test_nothing_is_asked_by_a_layout_that_holds_no_more(
    session, tiny_models, policy, tmp_path, monkeypatch
):
    view, taken, faults = Gallery(session, page_size=2, folder=tmp_path), [], [1]
    assert view.wait(120)
    plain = Gallery._take_models

    def take(self):
        taken.append(1)
        if faults:
            raise ValueError("these models cannot be laid out")
        plain(self)

    def send(**content):
        view._handle_custom_msg({"client": "page", "number": len(taken), **content}, [])

    monkeypatch.setattr(Gallery, "_take_models", take)
    view.face.swap(tiny_models)
    policy(["beard"])
    assert len(taken) == 2
    assert "beard" in named(view.schema["rows"])
    for kind in ("visible", "filter"):
        send(kind=kind, visible=True, text="beard")
        assert "cannot be laid out" in view.notice["error"], "it stands until it is taken"
    assert view._text == ""
    faults.clear()
    view.face.load(seed=9)  # not of the models, but it is the next that is heard
    assert "beard" not in named(view.schema["rows"])
    assert view.schema["models"] == "tiny"
    send(kind="filter", text="smiling")
    assert view.notice["error"] is None
    assert wait_for(lambda: view.page.get("stamp") == view.settings["stamp"])
    view.close()
