"""The PhotoInverter's Python side: photos, squares, descents, and what the page is told."""

from __future__ import annotations

import base64
import io
import json
import threading

import pytest
import torch
from conftest import build_attribute_net, build_embedder, build_generator
from editor_pages import wait_for
from ipywidgets import Widget
from PIL import Image

from l2l_widgets.images import to_pil
from l2l_widgets.inversion import InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import DetectedFace
from l2l_widgets.photos.reading import Photo, PhotoError
from l2l_widgets.photos.work import PhotoWork, Square
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import FaceEvent
from l2l_widgets.widgets import PhotoInverter

STEPS = InversionSettings(space="w", steps=8, candidates=8)


@pytest.fixture(scope="module")
def models():
    return Models.from_parts(
        build_generator(), regressor=build_attribute_net(1), embedder=build_embedder(2)
    )


@pytest.fixture(scope="module")
def data(models):
    """A face of the tiny generator in a larger photo, as a PNG's bytes."""
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(2))
    face = models.generator.synthesis(models.generator.mapping(z))[0].detach().clamp(-1, 1)
    photo = Image.new("RGB", (160, 100), "grey")
    photo.paste(to_pil(face, 2), (80, 20))
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    return stream.getvalue()


def one_face(image):
    return [DetectedFace(90, 30, 40, 40)]


def two_faces(image):
    return [DetectedFace(90, 30, 40, 40), DetectedFace(10, 30, 30, 30)]


@pytest.fixture
def view(models, data):
    made = PhotoInverter(EditSession(models, seed=1), data, detector=one_face, settings=STEPS)
    assert made.wait(170)
    yield made
    made.close()


def send(view, **message):
    view._handle({"client": "c", "number": 1, **message})
    assert view.wait(170)


def test_no_saved_state_holds_the_photo_and_a_page_gets_it_when_it_asks(view, data, monkeypatch):
    """Neither the kernel's state nor any update of it, which nbclient collects, may show it."""
    sent = []
    monkeypatch.setattr(
        view, "_send", lambda message, buffers=None: sent.append((message, list(buffers or [])))
    )
    send(view, kind="pictures")
    send(view, kind="file", name="anna.png", data=base64.b64encode(data).decode())
    custom = [(m["content"], b) for m, b in sent if m["method"] == "custom"]
    pictures = {content["type"]: buffers for content, buffers in custom if buffers}
    assert set(pictures) == {"photo", "cut"}
    shown = Image.open(io.BytesIO(bytes(pictures["photo"][0])))
    assert shown.size == (160, 100)
    assert [c["name"] for c, _ in custom if c["type"] == "photo"][-1] == "anna.png"
    states = [view.get_state(), *(m.get("state", {}) for m, _ in sent)]
    kept = [buffer for m, b in sent if m["method"] != "custom" for buffer in b]
    private = {bytes(b) for buffers in pictures.values() for b in buffers}
    assert not private & {bytes(buffer) for buffer in kept}
    for state in states:
        assert "photo" not in state
        assert "cut" not in state.get("result", {})
        assert "anna" not in repr(state)
    assert Widget.get_manager_state(widgets=[view])["state"], "what nbconvert saves"
    assert "anna" not in repr(Widget.get_manager_state(widgets=[view]))


HEIC = b"\0\0\0\x18ftypheic" + bytes(64)


@pytest.mark.parametrize(
    ("head", "why"),
    [(HEIC, "HEIC"), (b"no picture at all", "no picture that can be read"), (b"", "empty")],
    ids=["heic", "text", "nothing"],
)
def test_the_name_of_a_photo_that_is_refused_is_in_no_state(view, head, why):
    send(view, kind="file", name="anna_at_clinic.heic", data=base64.b64encode(head).decode())
    assert why in view.notice["error"]
    assert "anna" not in repr(Widget.get_manager_state(widgets=[view]))


def test_the_name_of_a_photo_is_in_no_state_when_a_face_of_it_is_refused(view, data):
    send(view, kind="file", name="anna.png", data=base64.b64encode(data).decode())
    send(view, kind="face", face=5)
    assert "face 5; allowed: 1 to 1" in view.notice["error"]
    assert view.photo["name"] == "anna.png", "the page is told"
    assert "anna" not in repr(Widget.get_manager_state(widgets=[view]))
    view._on_face(FaceEvent("models", "", view.session.state, 1))
    assert view.wait(170)
    assert view.photo["name"] == "anna.png"
    assert "anna" not in repr(Widget.get_manager_state(widgets=[view]))


def test_a_page_may_ask_at_any_moment_for_what_is_shown(view, monkeypatch):
    """Between any two lines of the worker: what is sent is whole, and its bytes are buffers."""
    sent = []
    monkeypatch.setattr(
        view, "_send", lambda message, buffers=None: sent.append((message, list(buffers or [])))
    )

    class Asking(type(view)):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name.endswith("_shown"):
                self._handle({"kind": "pictures", "client": "late", "number": 1})

    view.__class__ = Asking
    send(view, kind="square", x=70, y=50, side=48, turn=10)
    custom = [(m["content"], b) for m, b in sent if m["method"] == "custom"]
    assert {c["type"] for c, _ in custom} == {"photo", "cut"}
    assert json.dumps([c for c, _ in custom])
    assert all(b for c, b in custom if c["type"] == "cut")
    assert view.notice.get("error") is None


def test_a_request_for_pictures_that_fails_is_answered(view, monkeypatch):
    def broken(whole):
        raise ValueError("the line is down")

    monkeypatch.setattr(view, "_send_photo", broken)
    view._handle({"kind": "pictures", "client": "late", "number": 7})
    assert view.answered["late"] == 7
    assert view.notice["error"] == "the line is down"


def test_a_closed_view_has_forgotten_the_photo_also_where_its_worker_comes_late(models, data):
    view = PhotoInverter(models, data, detector=one_face, settings=STEPS)
    assert view.wait(170)
    view.close()
    assert view.photo == {}
    view._photo_shown = ({"name": "late"}, b"")
    view._forget_if_closed()
    assert view.photo == {}


def test_a_photo_is_looked_at_at_once_and_comes_closer_when_asked(view):
    assert view.photo["how"] == "placed by the face's box"
    assert (view.photo["width"], view.photo["height"]) == (160, 100)
    first = view.result
    assert (first["running"], first["steps"]) == (False, 0)
    send(view, kind="start")
    assert view.result["steps"] == 8
    assert view.result["loss"] < first["loss"]
    assert view.result["start_loss"] == pytest.approx(first["start_loss"])
    assert view.result["editability"] in (view.found.editability,)
    assert view.result["identity"] is not None
    assert view.notice.get("error") is None


def test_the_likeness_goes_to_the_session_and_the_still_holds_no_photo(view):
    send(view, kind="send")
    assert torch.equal(view.session.state.w, view.found.ws)
    assert view.result["sent"] == 1
    image, words, _, rows, *_ = view._still_parts()
    assert torch.equal(image, view.found.image[0])
    assert "the photo itself is not kept" in words
    assert rows[0][0] == "distance to the cloud of W"


def test_a_moved_square_is_looked_at_anew(view):
    send(view, kind="start")
    before = view.found
    send(view, kind="square", x=70, y=50, side=48, turn=10)
    assert view.found is not before
    assert view.result["steps"] == 0
    assert view.photo["how"] == "cut by hand"
    assert view.work.square == Square(70, 50, 48, 10)
    send(view, kind="square", x=-500, y=50, side=1, turn=0)
    assert view.work.square == Square(0, 50, 16, 0), "kept in the photo"


def test_of_several_faces_the_largest_is_taken_and_another_can_be(models, data):
    view = PhotoInverter(models, data, detector=two_faces, settings=STEPS)
    assert view.wait(170)
    assert view.photo["chosen"] == 1
    assert len(view.photo["faces"]) == 2
    assert any("2 faces were found" in note for note in view.photo["notes"])
    before = view.work.square
    send(view, kind="face", face=2)
    assert view.work.square.x < before.x
    send(view, kind="face", face=5)
    assert "face 5; allowed: 1 to 2" in view.notice["error"]
    view.close()


def test_a_photo_is_not_lost_where_its_models_go_while_it_is_looked_at(models, data, caplog):
    begun, gate = threading.Event(), threading.Event()

    def slowly(image):
        begun.set()
        assert gate.wait(120)
        return one_face(image)

    view = PhotoInverter(EditSession(models, seed=1), data, detector=slowly, settings=STEPS)
    assert begun.wait(120)
    other = Models.from_parts(build_generator(5), regressor=build_attribute_net(1), name="other")
    view.face.swap(other)
    gate.set()
    assert view.wait(170)
    assert view.work.found is not None
    assert view.photo["how"] == "placed by the face's box"
    assert not view.notice.get("error")
    assert caplog.text == ""
    view.close()


def test_without_a_face_the_square_waits_in_the_middle(models, data):
    view = PhotoInverter(models, data, detector=lambda image: [], settings=STEPS)
    assert view.wait(170)
    assert (view.work.square.x, view.work.square.y) == (80, 50)
    assert any("no face was found" in note for note in view.photo["notes"])
    view.close()


def test_a_view_that_nobody_sees_looks_when_its_likeness_is_wanted(models, data):
    view = PhotoInverter(models, detector=one_face, settings=STEPS)
    view._handle({"kind": "visible", "visible": False, "client": "c"})
    view.load_photo(data)
    assert view._worker.drain(170)  # wait() is somebody who looks
    assert view.found is None
    assert torch.equal(view.send_on(), view.found.ws)
    view.close()
    empty = PhotoInverter(models, detector=one_face)
    with pytest.raises(ValueError, match="there is no likeness yet"):
        empty.send_on()
    empty.close()


def test_files_arrive_as_text_and_bad_ones_are_one_line(view):
    send(view, kind="file", name="x.jpg", data=base64.b64encode(b"no picture at all ...").decode())
    assert "no picture that can be read" in view.notice["error"]
    send(view, kind="file", name="x.jpg", data="%%%")
    assert "did not arrive whole" in view.notice["error"]
    send(view, kind="space", space="z")
    assert "space is 'z'" in view.notice["error"]
    assert view.found is not None, "the photo that was there stays"


def test_a_descent_ends_when_it_is_told_to(models, data):
    endless = InversionSettings(space="w", steps=100_000, candidates=4)
    view = PhotoInverter(models, data, detector=one_face, settings=endless)
    assert view.wait(170)
    asked, stale = [], view._stale  # once before every step
    view._stale = lambda: asked.append(1) or stale()
    view.start()
    assert wait_for(lambda: len(asked) > 3)
    assert not view.wait(0.3)
    view.stop()
    assert view.wait(170)
    assert view.result["stopped"]
    assert 0 < view.result["steps"] < 100_000
    view.close()


def test_the_work_goes_on_from_its_best_and_names_what_is_missing(models, data):
    work = PhotoWork(models, one_face)
    with pytest.raises(PhotoError, match="there is no photo yet"):
        work.picture()
    work.take(Photo(Image.open(io.BytesIO(data)).convert("RGB"), "me.png"))
    first = work.invert(STEPS)
    second = work.invert(STEPS)
    assert second.start_loss <= first.loss + 1e-5
    with pytest.raises(PhotoError, match="finite"):
        work.place(Square(float("nan"), 0, 10))


def test_a_square_is_its_corners():
    square = Square(10, 20, 8, 33)
    again = Square.of(square.quad)
    assert (again.x, again.y, again.side, again.turn) == pytest.approx((10, 20, 8, 33))
