"""The IdentityMixer widget without a browser: messages in, traits and the session's face out."""

from __future__ import annotations

import base64
import threading
import time

import pytest
import torch
from ipywidgets import Widget
from mixing_world import build_mixer, face, write_mixing_world

from l2l_widgets import FaceEditor, IdentityMixer
from l2l_widgets.images import encode_png
from l2l_widgets.models.zoo import load
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.session.shared_face import SharedFace


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return load(write_mixing_world(tmp_path_factory.mktemp("mixer") / "world"))


@pytest.fixture
def session(models):
    return EditSession(models, n_random=8)


@pytest.fixture
def widget(session):
    made = IdentityMixer(session, identity=1, attributes=2, rows=(3,), columns=(4,))
    yield made
    made.close()


def ask(widget, number=1, **message):
    widget._handle({"client": "c", "number": number, **message})
    end = time.monotonic() + 120
    while widget.answered.get("c", 0) < number and time.monotonic() < end:
        time.sleep(0.01)
    assert widget._worker.drain(120)
    return widget.mixed


def test_it_opens_with_two_faces_a_mix_and_a_grid(widget):
    assert widget.faces["identity"]["seed"] == 1
    assert widget.faces["attributes"]["width"] == 32
    assert widget.mixed["name"] == "1 as 2"
    assert len(widget.mixed["data"]) == 32 * 32 * 3
    assert [len(row) for row in widget.cells["pictures"]] == [2, 2]
    assert [f["name"] for f in widget.cells["rows"]] == ["1", "3"]
    assert "Run All Cells" in repr(widget)


def test_sliders_travel_and_the_mix_can_be_sent(widget, session):
    before = widget.mixed["data"]
    mixed = ask(widget, 1, kind="share", side="identity", share=0.25)
    assert mixed["shares"] == {"identity": 0.25, "attributes": 1.0}
    assert mixed["data"] != before
    ask(widget, 2, kind="space", space="z")
    assert widget.mixed["space"] == "z"
    mixed = ask(widget, 3, kind="send")
    assert mixed["sent"] == 1
    assert torch.equal(session.state.w, widget.mix.w)


def test_a_cell_goes_to_the_face_editor(widget, session):
    editor = FaceEditor(session)
    mixed = ask(widget, 1, kind="cell", row=1, column=0)
    assert mixed["shown"] == [1, 0]
    assert mixed["name"] == "3 as 2"
    assert bytes(mixed["data"]) == bytes(widget.cells["pictures"][1][0]["data"])
    assert torch.equal(session.state.w, widget.state.cell(1, 0).w)
    end = time.monotonic() + 120
    while editor.before.get("data") != mixed["data"] and time.monotonic() < end:
        time.sleep(0.02)
    assert editor.before["data"] == mixed["data"], "the editor shows the mix"
    assert editor.before["seed"] is None
    editor.close()


def test_a_cell_that_is_clicked_while_a_mix_is_made_is_what_is_sent(widget, session, monkeypatch):
    begun, gate, plain, send = threading.Event(), threading.Event(), widget.state.mix, widget.send

    def slowly():
        mix = plain()
        begun.set()
        assert gate.wait(120)
        return mix

    def late():
        gate.set()  # the older mix is there in the midst of the click
        assert widget._worker.drain(120)
        return send()

    monkeypatch.setattr(widget.state, "mix", slowly)
    widget._handle({"client": "c", "number": 1, "kind": "share", "side": "identity", "share": 0.5})
    assert begun.wait(120)
    monkeypatch.setattr(widget, "send", late)
    ask(widget, 2, kind="cell", row=1, column=0)
    assert torch.equal(session.state.w, widget.state.cell(1, 0).w)
    assert widget.mixed["shown"] == [1, 0]
    assert not widget.notice.get("error")


def test_a_shared_face_is_told_who_loads(session):
    shared, events = SharedFace.of(session), []
    shared.subscribe(lambda event: events.append(event))
    widget = IdentityMixer(shared, rows=(), columns=())
    w = widget.send()
    assert [(event.kind, event.by) for event in events] == [("face", "identity mixer")]
    assert torch.equal(events[0].w, w)
    widget.close()


def test_a_face_loaded_elsewhere_is_the_next_person(widget, session):
    shared = SharedFace.of(session)
    shared.load(seed=11, by="gallery")
    assert widget._worker.drain(120)
    assert widget.faces["identity"]["seed"] == 11
    assert widget.cells["rows"][0]["seed"] == 11
    assert widget.mixed["name"] == "11 as 2"
    drawn = session.render().before
    image = widget.state.face("identity").image
    assert torch.allclose(image, drawn, atol=1e-3), "the face as the session draws it"
    widget.send()
    assert session.drain(120)
    assert widget._worker.drain(120)
    assert widget.faces["identity"]["seed"] == 11, "its own mix is not the next person"
    w = widget.state.cell(1, 0).w
    shared.load(w=w, by="map")
    assert widget._worker.drain(120)
    assert widget.faces["identity"]["name"] == "a latent"
    widget.close()
    shared.load(seed=12)
    assert widget.faces["identity"]["name"] == "a latent"


def test_a_mixer_that_no_page_shows_follows_when_one_does(widget, session):
    shared = SharedFace.of(session)
    before = widget.faces
    said = {"client": "page", "kind": "visible"}
    widget._handle_custom_msg({**said, "visible": False}, [])
    shared.load(seed=11, by="gallery")
    shared.load(seed=13, by="gallery")
    assert widget._worker.drain(120)
    assert widget.faces == before
    widget._handle_custom_msg({**said, "visible": True}, [])
    assert widget._worker.drain(120)
    assert widget.faces["identity"]["seed"] == 13
    # nor is anything drawn for a page that is gone
    widget._handle_custom_msg({**said, "kind": "gone"}, [])
    shared.load(seed=14, by="gallery")
    assert widget._worker.drain(120)
    assert widget.faces["identity"]["seed"] == 13


def test_other_models_mix_or_say_why_not(widget, session, models, tiny_world, tmp_path):
    shared, old = SharedFace.of(session), widget.state
    shared.swap(load(tiny_world))
    assert widget._worker.drain(120)
    assert "nothing is mixed with these models" in widget.mixed["error"]
    assert (
        "have no identity mixer"
        in ask(widget, 1, kind="share", side="identity", share=0.5)["error"]
    )
    with pytest.raises(ValueError, match="nothing is mixed"):
        widget.send()
    other = load(write_mixing_world(tmp_path / "other"))
    shared.swap(other)
    assert widget._worker.drain(120)
    assert widget.mixed["error"] is None
    assert widget.state is not old
    assert widget.state.mixer.generator is other.generator
    assert widget.mixed["name"] == "1 as 2"
    widget.send()
    assert session.render().error is None


def test_faces_are_taken_from_seeds_and_files_and_swapped(widget):
    ask(widget, 1, kind="seed", side="attributes", seed=9)
    assert widget.faces["attributes"]["seed"] == 9
    data = base64.b64encode(encode_png(face(5))).decode()
    ask(widget, 2, kind="file", side="identity", name="anna.png", data=data)
    assert widget.faces["identity"]["name"] == "your picture"
    assert widget.cells["rows"][0]["name"] == "your picture"
    sheet, words, *_ = widget._still_parts()
    side = sheet.shape[-1] // 3
    assert (sheet[:, :side, :side] == 1).all(), "a still is saved: it leaves out the picture"
    assert not (sheet[:, :side, side : 2 * side] == 1).all(), "faces of seeds stand in it"
    assert "your picture" in words
    ask(widget, 3, kind="swap")
    assert widget.faces["attributes"]["name"] == "your picture"
    ask(widget, 3, kind="file", side="identity", name="anna.png", data="eA==")
    assert "your picture: not a pic" in widget.notice["error"]
    assert "anna" not in repr(Widget.get_manager_state(widgets=[widget]))
    assert "Ask before you edit" in widget.schema["consent"]
    rows = [f["name"] for f in widget.cells["rows"]]
    ask(widget, 4, kind="shuffle")
    again = [f["name"] for f in widget.cells["rows"]]
    assert again[0] == rows[0], "the two faces stay, the others are new"
    assert again[1] != rows[1]


def test_a_mix_is_taken_home_with_the_recipe_that_draws_it(session, tmp_path):
    made = IdentityMixer(
        session, identity=1, attributes=2, rows=(3,), columns=(4,), folder=tmp_path
    )
    try:
        ask(made, 1, kind="cell", row=1, column=0)
        ask(made, 2, kind="save")
        assert made.notice["error"] is None
        assert made.notice["name"] == "mix-3-2.png"
        again = EditSession.from_recipe(session.models, read_recipe(tmp_path / "mix-3-2.png"))
        assert torch.equal(again.state.w, made.mix.w)
        torch.testing.assert_close(again.render().before, made.mix.image, rtol=0, atol=2e-2)
        again.close()
        assert made.save().name == "mix-3-2-2.png", "nothing is written over"
        (tmp_path / "none").write_bytes(b"")
        made._folder = tmp_path / "none"
        ask(made, 3, kind="save")
        assert "cannot make the folder" in made.notice["error"]
    finally:
        made.close()
    alone = IdentityMixer(build_mixer(), identity=1, attributes=2, rows=(), columns=())
    with pytest.raises(ValueError, match="a recipe names the models"):
        alone.save()
    alone.close()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "seed", "side": "identity", "seed": -3}, "-3: seed is -3"),
        ({"kind": "share", "side": "identity", "share": 7}, "identity is 7; allowed: a number"),
        ({"kind": "cell", "row": 5, "column": 0}, "row is 5; allowed: a whole number from 0 to 1"),
        (
            {"kind": "file", "side": "identity", "name": "x.png", "data": "eA=="},
            "your picture: not a pic",
        ),
        (
            {"kind": "file", "side": "identity", "name": "x.png", "data": "?"},
            "did not arrive whole",
        ),
        ({"kind": "dance"}, "no such request"),
    ],
)
def test_a_wrong_request_is_a_line_and_the_mix_stays(widget, message, words):
    before = bytes(widget.mixed["data"])
    ask(widget, 1, **message)
    assert words in widget.notice["error"]
    assert bytes(widget.mixed["data"]) == before
    assert ask(widget, 2, kind="share", side="identity", share=0.5)["error"] is None
    assert widget.notice["error"] is None


def test_what_cannot_be_mixed_with_is_refused(models, tiny_world, session):
    with pytest.raises(ValueError, match="have no identity mixer"):
        IdentityMixer(load(tiny_world))
    with pytest.raises(ValueError, match="source is 7; allowed: an EditSession, a SharedFace"):
        IdentityMixer(7)
    with pytest.raises(ValueError, match="face is 7; allowed: an EditSession or a SharedFace"):
        IdentityMixer(models, face=7)
    alone = IdentityMixer(build_mixer(), rows=(), columns=())
    assert alone.schema["can_send"] is False
    with pytest.raises(ValueError, match=r"allowed: IdentityMixer\(session\), or face="):
        alone.send()
    alone.close()
