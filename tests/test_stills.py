"""What every view leaves beside itself, for who opens the notebook without its kernel."""

from __future__ import annotations

import base64
import io
import re
import threading
import time

import pytest
import torch
from mixing_world import build_mixer
from PIL import Image
from training_runs import fit

from l2l_widgets import PaintSession, widgets
from l2l_widgets.images import encode_jpeg, encode_png
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.widgets import audience as audiences
from l2l_widgets.widgets import view as views
from l2l_widgets.widgets.audience import Audience
from l2l_widgets.widgets.still import Still, still_html
from l2l_widgets.widgets.view import View

PICTURE = re.compile(r"data:image/(\w+);base64,([^\"]+)")
WORDS = re.compile(r"<p>(.*?)</p>", re.DOTALL)


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: display_id -> the newest HTML."""
    places, order = {}, []

    def display(value, display_id=None, **_):
        if display_id is not None:
            places[display_id] = value.data
            order.append(display_id)

    monkeypatch.setattr("IPython.display.display", display)
    return places


def painter(session, folder):
    face = session.render().before
    mask = torch.zeros(face.shape[-2:], dtype=torch.uint8)
    mask[4:12, 4:12] = 1
    return widgets.MaskPainter(PaintSession(None, face, mask))


def monitor(session, folder):
    fit(folder / "runs" / "old", 4)
    return widgets.TrainingMonitor(folder / "runs")


def cell(session, folder):
    fit(folder / "run", 4)
    return widgets.TrainingCell("mapper-lesson", folder / "run", steps=20)


def presenter(session, folder):
    steps = [("Nobody has met her\nand nobody will", {"seed": 3}), ("A smile", {"smile": 0.3})]
    return widgets.Presenter(steps, session)


def mixer(session, folder):
    return widgets.IdentityMixer(build_mixer(), rows=(3,), columns=(4, 5))


def walk(session, folder):
    view = widgets.InterpolationView(session, 8, frames=3)
    assert view.wait(120)
    return view


def gallery(session, folder):
    view = widgets.Gallery(session, page_size=2)
    assert view.wait(120)
    return view


#: View, and a cell of its table.
MAKERS = {
    "FaceEditor": (lambda session, folder: widgets.FaceEditor(session), "read as"),
    "Gallery": (gallery, "seed"),
    "IdentityMixer": (mixer, "attributes"),
    "InterpolationView": (walk, "frame 1"),
    "MaskPainter": (painter, "area now"),
    "Presenter": (presenter, "A smile"),
    "TrainingCell": (cell, "at last"),
    "TrainingMonitor": (monitor, "finished"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_view_leaves_a_picture_its_words_and_a_table(name, session, tmp_path, shown):
    make, word = MAKERS[name]
    view = make(session, tmp_path)
    view._ipython_display_()
    still = shown[view.still]
    assert f'title="{view.still}"' in still, "the page could not hide it"
    ((kind, data),) = PICTURE.findall(still)
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == kind.upper()
    table = still[still.index("<table>") :]
    assert word in table
    (words,) = WORDS.findall(still)
    assert words.startswith(name)
    assert "Run \u2192 Run All Cells brings it back" in words
    assert "Run All Cells" in repr(view)
    assert f'alt="{words[:20]}' in still, "who cannot see it is told the same"
    page = exported(view, still)
    assert f"data:image/{kind};base64," in page
    assert word in page
    assert "Run \u2192 Run All Cells" in page
    view.close()


def exported(view, still):
    """The HTML that ``nbconvert --to html`` makes of a saved notebook with this view in it."""
    import nbformat.v4 as v4
    from nbconvert import HTMLExporter

    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": view.model_id},
              "text/plain": repr(view)}  # fmt: skip
    outputs = [v4.new_output("display_data", data=d) for d in (widget, {"text/html": still})]
    cell = v4.new_code_cell("view", outputs=outputs, execution_count=1)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(v4.new_notebook(cells=[cell]))
    return body


def test_an_edited_faces_still_says_what_was_asked_and_what_came(session, shown):
    session.update(changes={"smile": 0.3})
    editor = widgets.FaceEditor(session)
    editor._ipython_display_()
    session.request()
    assert session.drain(120)
    table = shown[editor.still].partition("<table>")[2]
    assert "<th>asked</th><th>came</th>" in table, "drawn anew when the receipt came"
    assert "<td>Smile</td><td>+30" in table
    assert "before and after: Smile." in shown[editor.still]
    editor.close()


def test_what_has_nothing_to_show_says_what_it_is_and_how_to_get_more(session, tmp_path, shown):
    grid = widgets.EditorGrid(session, request={"smile": 0.2}, n_random=4)
    grid._handle({"kind": "visible", "visible": False, "client": "p"})  # it has just begun
    assert grid._worker.drain(120)
    grid._labels, grid._found = {}, {}
    explorer = widgets.EntanglementExplorer(session, attributes=("smile",), faces=6)
    empty = widgets.TrainingMonitor(tmp_path / "nothing", recipe="mapper-lesson")
    said = {}
    for view in (grid, explorer, empty):
        view._put_still(update=False)
        said[type(view).__name__] = WORDS.findall(shown[view.still])[0]
        assert "<img" not in shown[view.still]
    assert "of face 3: Smile +20\u202f% by 1 methods" in said["EditorGrid"]
    assert "grid.answers()" in said["EditorGrid"]
    assert "1 attributes edited by 0.3 on 6 faces" in said["EntanglementExplorer"]
    assert "explorer.start(), explorer.wait()" in said["EntanglementExplorer"]
    assert "press Start" in said["TrainingMonitor"]
    for view in (grid, explorer, empty):
        view.close()


def test_a_map_that_is_being_made_says_so(session, shown, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(CodeMap, "draw", classmethod(lambda *a, **k: go_on.wait(120) and 1 / 0))
    view = widgets.LatentMap(session)
    view._ipython_display_()
    assert "It is not ready yet" in shown[view.still]
    assert "view.wait()" in shown[view.still]
    assert view.progress["why"], "who waits is not told why"
    go_on.set()
    view.close()


def test_every_view_stands_on_the_one_base():
    for name in widgets.__all__:
        view = getattr(widgets, name)
        assert issubclass(view, View)
        for own in ("_ipython_display_", "__repr__", "_put_still", "is_hidden", "_handle"):
            if own not in ("_ipython_display_", "__repr__"):
                assert own not in vars(view), f"{name} has its own {own}"
        assert ".l2l:where(" in view._css
        assert view._css.count("--ink:") == 1, "one palette"
        assert view._esm.count("class Showing") == 1


def test_a_still_without_a_picture_or_a_table_is_words_alone():
    html = still_html(Still(None, 'Nothing <yet> "here"'), "key", "Run all")
    assert "<img" not in html
    assert "<table" not in html
    assert "Nothing &lt;yet&gt;" in html


@pytest.mark.parametrize("encode", [encode_png, encode_jpeg])
def test_a_stills_picture_is_called_what_it_is(encode):
    html = still_html(Still(encode(torch.zeros(3, 8, 8)), "A run"), "key", "Run all")
    ((kind, data),) = PICTURE.findall(html)
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == kind.upper()


class Clock:
    """Time that stands still until a test lets it run, and then runs for who sleeps."""

    def __init__(self, now=1000.0):
        self.now, self.runs = now, False

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        time.sleep(0.01)
        self.now += seconds if self.runs else 0


def test_pages_get_a_still_when_a_view_rests_and_not_at_each_change(session, shown, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(views, "time", clock)
    drawn = []
    view = widgets.Presenter([("One", {"seed": 3}), ("Two", {"seed": 4})], session)
    view._ipython_display_()
    assert ">\u25b8 1<" in shown[view.still]
    view._handle({"kind": "visible", "visible": True, "client": "p"})
    plain = view._still_parts
    view._still_parts = lambda: drawn.append(1) or plain()
    for kind in ("next", "previous", "next"):
        view._handle({"kind": kind, "client": "p"})
        assert session.drain(120)
    assert ">\u25b8 1<" in shown[view.still], "it waits"
    clock.runs = True
    assert view._stills.drain(120)
    assert ">\u25b8 2<" in shown[view.still]
    assert len(drawn) == 1
    view.close()


def test_changes_without_end_do_not_put_a_still_off_for_ever(session, shown, monkeypatch):
    monkeypatch.setattr(views, "STILL_REST", 30.0)
    monkeypatch.setattr(views, "STILL_AT_LAST", 0.3)
    view = widgets.Presenter([("One", {"seed": 3}), ("Two", {"seed": 4})], session)
    view._ipython_display_()
    view._handle({"kind": "visible", "visible": True, "client": "p"})
    view._handle({"kind": "next", "client": "p"})
    assert session.drain(120)
    assert view._stills.drain(120)
    assert ">\u25b8 2<" in shown[view.still]
    view.close()


def test_a_presenter_out_of_sight_is_sent_nothing_and_then_the_picture_of_now(session):
    view = widgets.Presenter([("One", {"seed": 3}), ("A smile", {"smile": 0.3})], session)
    sent = []
    shown = ("before", "after", "slide", "moved")
    view.observe(lambda change: sent.append(change["name"]), shown)
    say = {"client": "p"}
    view._handle({"kind": "visible", "visible": False, **say})
    for seed in (5, 6):
        session.request(seed=seed)
        assert session.drain(120)
    assert sent == []
    view._handle({"kind": "visible", "visible": True, **say})
    assert set(shown[:3]) <= set(sent)
    assert session.drain(120)
    assert set(shown) <= set(sent), "what it moved was not measured meanwhile"
    assert view.slide["stamp"] == session.stamp
    view.close()


# -- who looks -------------------------------------------------------------------------------------


def test_pages_that_say_nothing_any_more_are_forgotten(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(audiences, "time", clock)
    audience = Audience()
    assert not audience.is_there
    assert not audience.has_left, "a script never has a page, and computes all the same"
    audience.hear("a", True)
    audience.hear("b", False)
    assert audience.is_there
    clock.now += audiences.FORGET_AFTER - 1
    assert audience.is_there
    clock.now += 2
    assert not audience.is_there, "the tab has crashed"
    assert audience.has_left
    audience.hear("a", True)
    assert audience.is_there
    audience.hear("a", False)
    assert audience.has_left


# -- a lesson on a shared face ---------------------------------------------------------------------


def test_another_views_face_does_not_stand_silently_under_the_words(session):
    view = presenter(session, None)
    assert view.slide["strayed"] == ""
    SharedFace.of(session).load(seed=9, by="gallery")
    assert session.drain(120)
    assert view.slide["strayed"].startswith("Another view has loaded seed 9;")
    view._handle({"kind": "back", "client": "p", "number": 1})
    assert session.drain(120)
    assert view.slide["strayed"] == ""
    assert session.state.seed == 3
    session.request(changes={"smile": 0.2})
    assert session.drain(120)
    assert "has moved the sliders" in view.slide["strayed"]
    view._handle({"kind": "next", "client": "p", "number": 2})
    assert session.drain(120)
    assert (view.slide["at"], view.slide["strayed"]) == (1, "")
    view._handle({"kind": "dance", "client": "p", "number": 3})
    assert "no request of this view" in view.notice["error"]
    assert view.answered == {"p": 3}
    view.close()
