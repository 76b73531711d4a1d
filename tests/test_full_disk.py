"""A disk that is full, and two pages of one view: said in place, and nothing is lost."""

from __future__ import annotations

import errno
import resource

import pytest
from editor_pages import Page, wait_for
from test_view_misfortunes import VIEWS, session  # noqa: F401  (a fixture)

from l2l_widgets.walks.files import read_walk
from l2l_widgets.widgets.faces import interpolation_view
from l2l_widgets.widgets.words import Words


def send(view, kind, number=1, client="p", **content):
    message = {"kind": kind, "client": client, "number": number, **content}
    view._handle_custom_msg(message, [])


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def short_films(monkeypatch):
    monkeypatch.setattr(interpolation_view, "FILM_FRAMES", 4)


@pytest.fixture
def no_room(monkeypatch):
    """Nothing can be put in its place any more, however much of it could be written before."""

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        yield patch


@pytest.fixture
def short_files():
    """No file can become longer than this: writing itself fails, in FFmpeg's hands as well."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def walk_of(session, folder):  # noqa: F811
    view = VIEWS["InterpolationView"](session, folder)
    assert view.wait(120)
    return view


def saved(view, ending, number):
    """What a view says of a file that it was to save."""
    send(view, "save", number, format=ending)
    assert view._files.drain(120)
    assert wait_for(lambda: "saving" not in view.notice)
    return view.notice


@pytest.mark.parametrize("ending", ["png", "gif", "mp4"])
def test_a_walk_that_finds_no_room_is_a_message_and_no_half_file(
    ending,
    session,  # noqa: F811
    tmp_path,
    no_room,
):
    view = walk_of(session, tmp_path)
    shown = view.strip
    assert "No space left" in saved(view, ending, 1)["error"]
    assert list(tmp_path.iterdir()) == [], "half a file"
    assert view.strip is shown, "what is seen stays"
    no_room.undo()
    notice = saved(view, ending, 2)
    assert notice["error"] is None
    assert read_walk(tmp_path / notice["name"]).faces == view.walk.faces
    view.close()


@pytest.mark.parametrize("ending", ["png", "gif", "mp4"])
def test_a_walk_whose_room_ends_in_its_midst_is_a_message_and_no_half_file(
    ending,
    session,  # noqa: F811
    tmp_path,
    short_files,
):
    view = walk_of(session, tmp_path)
    error = saved(view, ending, 1)["error"]
    short_files()
    assert error
    assert "File too large" in error
    assert "ist zu groß" in Words.of("de").said(error)
    assert list(tmp_path.iterdir()) == [], "half a file"
    view.close()


def test_a_preset_that_finds_no_room_is_a_message_and_the_shelf_stays(
    session,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    editor = VIEWS["FaceEditor"](session, tmp_path)
    page, shelf = Page(editor), tmp_path / "l2l-presets.json"
    session.set_changes({"smile": 0.3})
    page.ask("keep-preset", name="mine")
    assert [p["name"] for p in page.answer("presets")[0]["own"]] == ["mine"]
    before = shelf.read_bytes()

    monkeypatch.setattr("os.replace", full)
    for kind, name in (("keep-preset", "another"), ("remove-preset", "mine")):
        page.ask(kind, name=name)
        assert "No space left" in page.answer("presets")[0]["error"]
        assert shelf.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))
    assert session.can_undo
    editor.close()


def test_a_training_that_finds_no_room_is_a_message_and_its_name_stays_free(
    session,  # noqa: F811
    tmp_path,
    no_room,
    tiny_world,
):
    from l2l_widgets.widgets import TrainingMonitor

    monitor = TrainingMonitor(tmp_path / "runs", recipe="mapper-lesson", weights=tiny_world)
    send(monitor, "folder", 1, value="mine")
    send(monitor, "start", 2)
    assert "No space left" in monitor.notice["error"]
    assert list((tmp_path / "runs").iterdir()) == [], "an empty folder, which takes the name"
    assert monitor.info is None, "the form is still there"
    monitor.close()


# -- one view on two pages -------------------------------------------------------------------------

#: What two pages do with a finger each, both in their first gesture.
GESTURES = {
    "FaceEditor": [
        {"kind": "targets", "targets": {"smile": 0.7}, "gesture": 1},
        {"kind": "targets", "targets": {"smile": 0.7, "age": 0.8}, "gesture": 1},
    ],
    "MaskPainter": [
        {
            "kind": "operation",
            "gesture": 1,
            "operation": {"kind": "fill", "class": name, "point": [6, 6]},
        }
        for name in (2, 3)
    ],
}


@pytest.mark.parametrize("name", GESTURES)
def test_gestures_of_two_pages_are_two_steps_to_take_back(name, session, tmp_path):  # noqa: F811
    view = VIEWS[name](session, tmp_path)
    state = lambda: repr(view.session.state) if name == "FaceEditor" else view.session.mask.clone()  # noqa: E731
    known = [state()]
    for client, message in zip(("one", "two"), GESTURES[name], strict=True):
        view._handle_custom_msg({**message, "client": client, "number": 1}, [])
        known.append(state())
    for number, before in ((2, known[1]), (3, known[0])):
        send(view, "undo", number, "one")
        same = state() == before
        assert same if isinstance(same, bool) else bool(same.all()), "both were taken back at once"
    view.close()


def test_what_two_pages_choose_for_a_walk_stands_together(session, tmp_path):  # noqa: F811
    view = walk_of(session, tmp_path)
    send(view, "set", 1, "one", fields={"curve": "lerp"})
    send(view, "set", 1, "two", fields={"frames": 4})
    assert view.wait(120)
    assert (view.walk.curve, view.walk.frames) == ("lerp", 4)
    assert view.answered == {"one": 1, "two": 1}
    view.close()
