"""What goes wrong where nobody expected it stands in the view, not only in the kernel's log."""

from __future__ import annotations

import pytest
from conftest import LinearEditor, build_directions
from editor_pages import Page, wait_for

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import FaceEditor
from l2l_widgets.widgets import bridge as bridges


def breaks(models):
    """A loader of an editor of somebody else's."""
    raise RuntimeError("size mismatch for weight 3")


@pytest.fixture
def session(tiny_models, monkeypatch):
    monkeypatch.setattr(bridges, "REST", 60.0)  # nothing is measured but where a test asks
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def half_broken(tiny_parts, session):
    editors = {"broken": breaks, "linear": LinearEditor(build_directions())}
    models = Models.from_parts(**tiny_parts, editors=editors)
    session = EditSession(models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


def test_many_faces_that_cannot_be_begun_say_why_in_their_panel(session, tmp_path):
    for language, why in (("en", "File name too long"), ("de", "Der Dateiname ist zu lang")):
        editor = FaceEditor(session, folder=tmp_path, language=language)
        page = Page(editor)
        session.set_changes({"smile": 0.1})
        page.ask("start-many", source="latents", faces="x" * 300, out="faces")
        assert why in editor.many["error"]
        assert "x" * 300 in editor.many["error"], "which one it was"
        assert not editor.many["running"]
        page.ask("start-many", source="seeds", faces="0", out="y" * 300, receipts=False)
        assert wait_for(lambda: "yyy" in editor.many.get("error", "")), editor.many  # noqa: B023
        assert editor._batch.join(120)
        page.ask("start-many", source="seeds", faces="0", out=language, receipts=False)
        assert wait_for(lambda: editor.many.get("finished")), editor.many  # noqa: B023
        editor.close()


def test_a_preset_that_fails_says_why_in_its_panel(session, tmp_path, monkeypatch):
    editor = FaceEditor(session, folder=tmp_path)
    page = Page(editor)

    def no_room(**_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(session, "update", no_room)
    page.send("preset", name="older")
    assert "CUDA out of memory" in page.answer("presets")[0]["error"]
    page.settle()  # and it was answered
    editor.close()


def test_an_editor_that_cannot_be_loaded_is_a_line_and_not_a_dead_view(half_broken, tmp_path):
    half_broken.update(method="broken")
    editor = FaceEditor(half_broken, folder=tmp_path)
    page = Page(editor)
    page.send("preset", name="older")
    page.settle()
    assert "size mismatch" in editor.after["error"]
    page.ask("start-many", source="seeds", faces="0", out="faces")
    assert "size mismatch" in editor.many["error"]
    page.send("method", method="linear")
    page.settle()
    assert editor.after["error"] is None
    editor.close()
