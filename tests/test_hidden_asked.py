"""What was asked for is hidden: the face, its sliders and the way back stay those of the page."""

from __future__ import annotations

import pytest
from conftest import make_session
from leaky_world import Follows, world
from test_hidden_everywhere import live, open_map, rest, says, told

from l2l_widgets import widgets
from l2l_widgets.policy import hidden_attributes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.latent_map import map_bridge
from l2l_widgets.widgets.words import Words

__all__ = ["live"]


def same(picture, face):
    return picture["data"] == picture_value(face)["data"]


def test_an_edit_that_is_hidden_leaves_the_session_in_the_same_step(live, tiny_models, tmp_path):
    session = make_session(tiny_models)
    session.update(changes={"smile": 0.2, "age": 0.1}, preserve=("beard",))
    view = widgets.FaceEditor(session, folder=tmp_path)
    rest(view, session)
    live(["smile", "beard"])
    assert dict(session.state.edits[-1].changes) == {"age": 0.1}
    assert session.state.edits[-1].preserve == ()
    rest(view, session)
    assert view.after["error"] is None
    assert session.undo(), "one step leads back"
    assert dict(session.state.edits[-1].changes) == {"smile": 0.2, "age": 0.1}
    view.close()


def test_after_an_undo_into_what_is_hidden_the_page_is_of_the_face_that_is_loaded(
    live, tiny_models, tmp_path
):
    session = make_session(tiny_models)
    session.set_changes({"smile": 0.2})
    view = widgets.FaceEditor(session, folder=tmp_path)
    rest(view, session)
    live(["smile"])
    rest(view, session)
    assert not view.settings["can_reset"]
    session.undo()
    session.update(seed=7)
    session.request()
    rest(view, session)
    assert "'smile' is hidden here" in view.after["error"]
    own = tiny_models
    assert view.before["seed"] == 7
    plain = make_session(own)
    plain.set_seed(7)
    face = plain.render().before
    assert same(view.before, face)
    assert same(view.after, face), "of the face that is loaded"
    readings = {n: v for n, v in plain.readings().items() if n != "smile"}
    assert view.settings["readings"] == pytest.approx(readings, abs=1e-4)
    assert view.settings["can_reset"]
    view._handle_custom_msg({"kind": "reset", "client": "p"}, [])
    rest(view, session)
    assert view.after["error"] is None
    assert not view.settings["can_reset"]
    view.close()


@pytest.mark.parametrize("by", ["another view", "its own button"])
def test_another_face_does_not_carry_on_what_is_hidden(by, live, tiny_models, tmp_path):
    session = make_session(tiny_models)
    session.set_changes({"smile": 0.2, "age": 0.1})
    view = widgets.FaceEditor(session, folder=tmp_path)
    live(["smile"])
    session.undo()
    if by == "another view":
        SharedFace.of(session).load(seed=7)
    else:
        view._handle_custom_msg({"kind": "seed", "seed": 7, "client": "p"}, [])
    rest(view, session)
    assert view.after["error"] is None
    assert dict(session.state.edits[-1].changes) == {"age": 0.1}
    assert session.state.seed == 7
    view.close()


@pytest.mark.parametrize("hidden", [["age"], ["smile", "age", "glasses", "hair_brown"]])
def test_a_map_that_is_coloured_by_what_is_hidden_takes_another_colour_with_its_layout(
    hidden, live, tiny_models, tmp_path
):
    session = make_session(tiny_models)
    view = open_map(session, tmp_path)
    rest(view, session)
    view._handle_custom_msg({"kind": "colour", "name": "age", "client": "p"}, [])
    rest(view, session)
    assert view.colour["name"] == "age"
    seen = []
    view.observe(lambda change: seen.append((change["new"], dict(view.colour))), "schema")
    live(hidden)
    rest(view, session)
    assert view.colour["name"] == "kept"
    for schema, colour in seen:
        named = {row["name"] for family in schema["families"] for row in family["rows"]}
        assert not named & set(hidden)
        assert colour["name"] == "kept", "in one message with the layout"
    assert not view.notice.get("error")
    assert '"age"' not in told(view)
    view.close()


@pytest.mark.parametrize("hidden", [["age"], ["smile", "age", "glasses", "hair_brown"]])
def test_the_way_of_an_edit_that_is_hidden_is_taken_off_the_map(
    hidden, live, tiny_models, tmp_path
):
    session = make_session(tiny_models)
    view = open_map(session, tmp_path)
    view._handle_custom_msg({"kind": "trajectory", "attribute": "age", "client": "p"}, [])
    rest(view, session)
    assert view.trajectory["attribute"] == "age"
    seen = []
    view.observe(lambda change: seen.append(dict(view.trajectory)), "schema")
    live(hidden)
    assert seen == [{}], "before the page begins anew, or with it"
    SharedFace.of(session).load(seed=7)  # the map follows, and asks for no way that is hidden
    rest(view, session)
    assert view.loaded["seed"] == 7
    assert view.trajectory == {}
    assert not view.notice.get("error")
    live(None)
    rest(view, session)
    assert not view.notice.get("error")
    view.close()


def test_a_way_that_is_hidden_while_it_is_followed_comes_to_nothing(
    live, tiny_models, tmp_path, monkeypatch
):
    session = make_session(tiny_models)
    view = open_map(session, tmp_path)
    rest(view, session)
    plain = map_bridge.make_trajectories

    def late(*given):
        live(["age"])
        return plain(*given)

    monkeypatch.setattr(map_bridge, "make_trajectories", late)
    view._handle_custom_msg({"kind": "trajectory", "attribute": "age", "client": "p"}, [])
    rest(view, session)
    assert hidden_attributes() == ("age",), "it was followed"
    assert view.trajectory == {}
    assert not view.notice.get("error")
    view.close()


def test_what_was_wrong_with_a_hidden_request_goes_when_the_list_changes(
    live, tiny_models, tmp_path
):
    session = make_session(tiny_models)
    view = open_map(session, tmp_path)
    live(["age"])
    rest(view, session)
    view._handle_custom_msg({"kind": "trajectory", "attribute": "age", "client": "p"}, [])
    rest(view, session)
    assert "'age' is not shown" in view.notice["error"], "who asks is answered"
    live(None)
    assert not view.notice["error"]
    view.close()


def test_an_explorer_whose_rows_are_all_hidden_plans_the_usual_ones(live):
    session = EditSession(world(follows=Follows()), method="follows", n_random=4)
    view = widgets.EntanglementExplorer(session, attributes=["smile", "glasses"], faces=4)
    live(["smile", "glasses"])
    assert view.settings["attributes"] == ["age", "baldness", "beard", "gender", "pitch", "yaw"]
    view.close()
    session.close()


def test_a_german_error_calls_an_attribute_by_its_label():
    german = Words.of("de")
    for name, label in (("smile", "Lächeln"), ("mouth_open", "Mund offen"), ("age", "Alter")):
        line = f"attribute '{name}' is hidden here (by hide_attributes); allowed: the others"
        said = german.said(line)
        assert says(said, label.lower()), said
        assert name not in said
        assert "(durch hide_attributes)" in said
    row = german.said("attribute 'nose' is hidden here (by hide_attributes); allowed: the others")
    assert "„nose“" in row, "what is no attribute stays as it was typed"
