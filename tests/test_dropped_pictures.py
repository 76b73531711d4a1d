"""A picture that somebody drops on a view goes to its page, and into nothing that is saved."""

from __future__ import annotations

import base64

import pytest
import torch
from ipywidgets import Widget
from mixing_world import build_mixer, face

from l2l_widgets import IdentityMixer, MaskPainter, PaintSession
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import encode_png
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.widgets.bridge import picture_value


class Sent:
    """What a view sends to its pages, as the page takes it."""

    def __init__(self, view, monkeypatch):
        self.view, self.messages = view, []
        monkeypatch.setattr(
            view, "_send", lambda told, buffers=None: self.messages.append((told, buffers or []))
        )

    def own(self):
        """The newest message of each kind that is no state, with its pixels."""
        found = {}
        for told, buffers in self.messages:
            if told["method"] == "custom" and buffers:
                content = told["content"]
                found[content.get("side", content["type"])] = content, bytes(buffers[0])
        return found

    def kept(self):
        """All bytes that a saved notebook may hold: updates of the state, and the state itself."""
        parts = [bytes(b) for told, bs in self.messages if told["method"] != "custom" for b in bs]
        pending = [self.view.get_state()]
        while pending:
            value = pending.pop()
            if isinstance(value, (bytes, memoryview)):
                parts.append(bytes(value))
            elif isinstance(value, (dict, list, tuple)):
                pending += value.values() if isinstance(value, dict) else value
        return parts


@pytest.fixture
def mixer():
    made = IdentityMixer(build_mixer(), identity=1, attributes=2, rows=(3,), columns=(4,))
    yield made
    made.close()


def drop(view, picture, number, **message):
    data = base64.b64encode(encode_png(picture)).decode()
    ask(view, number, kind="file", name="anna.png", data=data, **message)


def ask(view, number, **message):
    view._handle_custom_msg({"client": "c", "number": number, **message}, [])
    assert view.session.drain(120) if isinstance(view, MaskPainter) else view.wait(120)


def test_the_mixers_pictures_are_in_messages_alone(mixer, monkeypatch):
    sent = Sent(mixer, monkeypatch)
    drop(mixer, face(5), 1, side="identity")
    pixels = bytes(picture_value(mixer.state.face("identity").image)["data"])
    content, shown = sent.own()["identity"]
    assert shown == pixels
    assert content["number"] == mixer.faces["identity"]["own"] == mixer.cells["rows"][0]["own"]
    assert pixels not in sent.kept()
    assert bytes(mixer.faces["attributes"]["data"]) in sent.kept(), "drawn faces are kept"
    assert "data" in mixer.mixed
    ask(mixer, 2, kind="swap")
    content, shown = sent.own()["attributes"]
    assert shown == pixels
    assert content["number"] == mixer.faces["attributes"]["own"]
    assert "data" in mixer.faces["identity"]
    sent.messages.clear()
    ask(mixer, 3, kind="pictures")
    assert sent.own()["attributes"][1] == pixels, "a page that is opened later asks for it"
    assert mixer.answered["c"] == 3
    assert pixels not in sent.kept()
    assert "anna" not in repr(Widget.get_manager_state(widgets=[mixer]))


def test_pictures_from_python_are_as_private_and_nameless(tmp_path):
    (tmp_path / "anna.png").write_bytes(encode_png(face(5)))
    made = IdentityMixer(
        build_mixer(), identity=str(tmp_path / "anna.png"), attributes=face(6), rows=(), columns=()
    )
    try:
        assert [made.faces[side]["name"] for side in made.faces] == ["your picture"] * 2
        assert all("data" not in value for value in made.faces.values())
        assert "anna" not in repr(made)
        assert "anna" not in repr(Widget.get_manager_state(widgets=[made]))
    finally:
        made.close()


@pytest.fixture
def faces():
    return render(sample_factors(2, seed=3), 32)


@pytest.fixture
def painter(faces, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MaskGAN(DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))).eval()
    session = PaintSession(model, faces.image[0], faces.mask[0])
    made = MaskPainter(session, folder=tmp_path)
    yield made
    made.close()
    session.close()


def test_the_painters_pictures_are_in_messages_alone(painter, faces, tmp_path, monkeypatch):
    other = PaintSession(painter.session.model, faces.image[1], faces.mask[1])
    other.save(tmp_path / "anna.png")  # a painting carries its mask: no parser is needed
    other.close()
    data = base64.b64encode((tmp_path / "anna.png").read_bytes()).decode()
    sent = Sent(painter, monkeypatch)
    first = bytes(painter.picture["data"])
    assert first in sent.kept(), "what Python gave is kept"
    ask(painter, 1, kind="file", use="face", name="anna.png", data=data)
    pixels = bytes(picture_value(painter.session.image)["data"])
    drawn = bytes(picture_value(painter.session.render().image)["data"])
    own = sent.own()
    assert own["picture"][1] == pixels != first
    assert own["result"][1] == drawn
    assert own["result"][0]["stamp"] == painter.result["stamp"]
    assert not {pixels, drawn} & set(sent.kept())
    assert painter.result["answers"] == {"c": 1}
    mask = bytes(painter.picture["original"])
    assert mask == painter.session.original.numpy().tobytes(), "the eraser has what it needs"
    still = painter._still_parts()
    assert still.picture.shape[-1] == 32, "the mask alone"
    assert "not kept in the notebook" in still.words
    sent.messages.clear()
    ask(painter, 2, kind="pictures")
    assert sent.own()["picture"][1] == pixels, "a page that is opened later asks for it"
    assert not {pixels, drawn} & set(sent.kept())
    assert "anna" not in repr(Widget.get_manager_state(widgets=[painter]))


def test_another_painter_of_the_session_keeps_it_back_too(painter, faces, tmp_path):
    second = MaskPainter(painter.session, folder=tmp_path)
    other = PaintSession(painter.session.model, faces.image[1], faces.mask[1])
    other.save(tmp_path / "p.png")
    other.close()
    data = base64.b64encode((tmp_path / "p.png").read_bytes()).decode()
    ask(painter, 1, kind="file", use="recipe", name="p.png", data=data)
    assert second.picture.get("own")
    assert "data" not in second.picture
    assert "data" not in second.result
    second.close()


def test_a_style_that_was_dropped_keeps_back_what_is_drawn_in_it(painter, faces):
    painter.session.copy_style(faces.image[1], faces.mask[1])
    painter.refresh()
    assert painter.session.drain(120)
    assert painter.result["own"] is True
    assert "data" not in painter.result
    assert "data" in painter.picture, "the face itself is the one that Python gave"
    ask(painter, 1, kind="own-style")
    assert "data" in painter.result
