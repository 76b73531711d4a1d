"""The face editor without a browser: messages in, traits out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time

import pytest
import torch
from conftest import LinearEditor, build_directions
from editor_pages import Page, wait_for

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.images import to_uint8
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.widgets import FaceEditor
from l2l_widgets.widgets import bridge as bridges
from l2l_widgets.widgets.still import still_html
from l2l_widgets.widgets.stylesheet import STATIC
from l2l_widgets.widgets.words import SEARCH_WORDS


def pixels(picture):
    assert picture["format"] == "rgb"
    data = torch.frombuffer(bytearray(picture["data"]), dtype=torch.uint8)
    return data.reshape(picture["height"], picture["width"], 3).permute(2, 0, 1)


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def editor(session, tmp_path):
    editor = FaceEditor(session, folder=tmp_path)
    yield editor
    editor.close()


@pytest.fixture
def page(editor):
    page = Page(editor)
    page.settle(receipt=True)
    page.seen.clear()
    return page


def test_who_has_settled_has_seen_all_that_was_sent(editor):
    """A receipt was said to have changed after it was there: it was seen too late, or twice."""
    editor.observe(lambda change: time.sleep(0.3), "receipt")
    page = Page(editor)
    page.settle(receipt=True)
    assert page.seen == ["receipt"]


def test_the_first_picture_is_there_before_the_cell_ends(session, tmp_path):
    editor = FaceEditor(session, folder=tmp_path)
    result = session.render()
    assert torch.equal(pixels(editor.before), to_uint8(result.before))
    assert torch.equal(pixels(editor.after), to_uint8(result.after))
    assert editor.settings["seed"] == 3
    assert editor.settings["readings"].keys() == set(DEFAULT_TABLE.names)
    editor.close()


def test_a_slider_moves_the_picture_and_then_the_receipt(editor, page, session):
    before = pixels(editor.after)
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle(receipt=True)
    assert not torch.equal(pixels(editor.after), before)
    assert torch.equal(pixels(editor.after), to_uint8(session.render().after))
    assert page.seen.index("after") < page.seen.index("receipt")
    assert "before" not in page.seen, "the unedited face was sent again"
    assert editor.receipt["requested"].keys() == {"smile"}
    assert editor.receipt["achieved"]["smile"] == pytest.approx(session.measure().achieved["smile"])
    assert len(editor.receipt["others"]) == len(DEFAULT_TABLE) - 1
    assert editor.settings["targets"] == {"smile": 0.9}


def test_a_burst_costs_few_pictures_and_the_last_request_wins(
    tiny_parts, tiny_models, counting_generator, monkeypatch
):
    monkeypatch.setattr(bridges, "REST", 60.0)  # pictures are counted here, not measurements
    linear = tiny_models.editor("linear")
    parts = {**tiny_parts, "generator": counting_generator}
    models = Models.from_parts(**parts, editors={"linear": lambda _: linear}, name="tiny")
    session = EditSession(models, method="linear", seed=3, n_random=4)
    editor = FaceEditor(session)
    page = Page(editor)
    page.settle()
    drawn = counting_generator.faces
    counting_generator.gate.clear()
    for i in range(40):
        page.send("targets", targets={"age": i / 40}, gesture=7)
    counting_generator.gate.set()
    page.settle()
    assert counting_generator.faces - drawn <= 3
    assert editor.settings["targets"] == {"age": 39 / 40}
    assert torch.equal(pixels(editor.after), to_uint8(session.render().after))
    page.send("undo")
    page.settle()
    assert editor.settings["targets"] == {}, "one drag is one step of undo"
    session.close()
    editor.close()


def test_clicks_in_a_burst_all_count(editor, page):
    for i, value in enumerate((0.1, 0.2, 0.3, 0.4)):
        page.send("targets", targets={"age": value}, gesture=i)
    for _ in range(3):
        page.send("undo")
    page.send("redo")
    page.settle()
    assert editor.settings["targets"] == {"age": 0.2}
    assert editor.settings["can_redo"]


def test_reset_takes_everything_back_and_can_be_undone(editor, page):
    first = pixels(editor.after)
    page.send("targets", targets={"age": 0.9, "smile": 0.1}, gesture=0)
    page.send("reset")
    page.settle()
    assert torch.equal(pixels(editor.after), first)
    page.send("undo")
    page.settle()
    assert editor.settings["targets"] == {"age": 0.9, "smile": 0.1}


def test_a_new_face_keeps_the_request_and_is_read_anew(editor, page):
    readings = editor.settings["readings"]
    page.send("targets", targets={"age": 0.9}, gesture=0)
    page.send("seed", seed=11)
    page.settle()
    assert "before" in page.seen
    assert editor.settings["seed"] == 11
    assert editor.settings["targets"] == {"age": 0.9}
    assert editor.settings["readings"] != readings


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("truncation", {"psi": 7, "gesture": 0}, ("truncation_psi", "7", "1.5")),
        ("targets", {"targets": {"smiel": 0.5}, "gesture": 0}, ("smiel", "smile")),
        ("targets", {"targets": {"age": 1.5}, "gesture": 0}, ("age", "1.5", "0 to 1")),
        ("targets", {"targets": {"anger": 1, "fear": 1}, "gesture": 0}, ("anger", "fear")),
        ("method", {"method": "magic"}, ("magic", "linear")),
    ],
)
def test_an_impossible_request_is_one_line_and_the_picture_stays(
    editor, page, session, kind, content, words
):
    page.send("targets", targets={"smile": 0.8}, gesture="before")
    page.settle()
    page.send(kind, **content)
    page.settle()
    error = editor.after["error"]
    assert error
    assert "\n" not in error
    assert all(word in error for word in words), error
    assert "data" not in editor.after, "the page must keep the picture it has"
    page.send("undo")
    page.settle()
    assert editor.after["error"] is None
    assert torch.equal(pixels(editor.after), to_uint8(session.render().after))


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        ("seven", ("seed", "'seven'", "whole number")),
        ("-1", ("seed", "'-1'", "from 0 to 4294967295")),
        (2**32, ("seed", "4294967295")),
        ("", ("seed",)),
    ],
)
def test_an_impossible_seed_is_refused_and_the_face_stays(editor, page, session, seed, words):
    page.send("seed", seed=seed)
    page.settle()
    assert all(word in editor.notice["error"] for word in words)
    assert session.state.seed == 3
    page.send("targets", targets={"smile": 0.8}, gesture=0)
    page.settle()
    assert editor.after["error"] is None, "a wrong number in the field blocked the sliders"


class Three(LinearEditor):
    """The linear editor, made for three attributes: what a lesson trains."""

    name = "three"

    def __init__(self):
        super().__init__(build_directions())
        self.attributes = ("smile", "age", "glasses")
        self.reasons = {"hat": "no hats in this lesson"}

    def edit(self, w, request):
        for name in request.names:
            if name not in self.attributes:
                raise ValueError(f"attribute {name!r}: not trained")
        return super().edit(w, request)

    def reach(self, name):
        return (0.25, 0.5) if name == "smile" else (1.0, 1.0)


@pytest.fixture
def two_methods(tiny_parts, tmp_path):
    editors = {"linear": lambda _: LinearEditor(build_directions()), "three": lambda _: Three()}
    session = EditSession(
        Models.from_parts(**tiny_parts, editors=editors, name="two"),
        method="linear", seed=3, n_random=4,
    )  # fmt: skip
    editor = FaceEditor(session, folder=tmp_path)
    page = Page(editor)
    page.settle()
    yield editor, page
    editor.close()
    session.close()


def test_the_page_knows_what_a_method_can_change_and_how_far(two_methods):
    editor, page = two_methods
    assert editor.abilities["method"] == "linear"
    assert editor.abilities["attributes"] == list(DEFAULT_TABLE.names)
    assert editor.abilities["reach"] == {}
    page.send("method", method="three")
    page.settle()
    assert editor.abilities["attributes"] == ["smile", "age", "glasses"]
    assert editor.abilities["reasons"] == {"hat": "no hats in this lesson"}
    assert editor.abilities["reach"]["smile"] == [0.25, 0.5]


def test_what_a_method_cannot_change_is_set_aside_and_blocks_nothing(two_methods):
    editor, page = two_methods
    page.send("targets", targets={"smile": 0.9, "hat": 0.8}, gesture=0)
    page.send("method", method="three")
    page.settle()
    assert editor.after["error"] is None
    assert editor.settings["targets"] == {"smile": 0.9}
    assert editor.settings["aside"] == {"hat": 0.8}
    page.send("targets", targets={"age": 0.9, "hat": 0.8}, gesture=1)
    page.settle()
    assert editor.after["error"] is None
    assert editor.settings["targets"] == {"age": 0.9}
    page.send("method", method="linear")
    page.settle()
    assert editor.settings["targets"] == {"age": 0.9, "hat": 0.8}, "it comes back with its method"
    assert editor.settings["aside"] == {}
    page.send("method", method="three")
    page.send("reset")
    page.settle()
    assert editor.settings["aside"] == {}


def test_the_receipt_comes_with_its_words(editor, page, session):
    page.send("targets", targets={"smile": 1.0}, gesture=0)
    page.settle(receipt=True)
    receipt = session.measure()
    said = [line.replace("\u2212", "-") for line in editor.receipt["sentences"]]
    assert said == receipt.sentences(DEFAULT_TABLE)
    assert editor.receipt["identity_kept"] == pytest.approx(receipt.identity_kept)
    assert editor.receipt["identity_text"].startswith("identity kept")
    assert editor.receipt["shortfalls"] == list(receipt.shortfalls())
    assert editor.receipt["failed"] == len(receipt.shortfalls())
    for name, line in zip(receipt.shortfalls(), said, strict=False):
        assert line.startswith(session.models.table[name].label)


def test_everyday_words_find_every_attribute(tiny_models):
    found = {
        "happy": {"smile", "happiness"}, "old": {"age"}, "years": {"age"}, "bald": {"baldness"},
        "sad": {"sadness"}, "woman": {"gender"}, "mustache": {"moustache"},
    }  # fmt: skip
    for word, names in found.items():
        assert names <= {name for name, text in SEARCH_WORDS.items() if word in text.split()}, word
    assert set(SEARCH_WORDS) == set(DEFAULT_TABLE.names)
    schema = bridges.schema_value(DEFAULT_TABLE, tiny_models)
    rows = [r for f in schema["families"] for r in f["rows"]]
    assert {r["name"]: r["ends"] for r in rows}["gender"] == ("feminine", "masculine")


@pytest.mark.parametrize("message", [{}, {"kind": "dance"}, {"kind": "targets"}, {"kind": "seed"}])
def test_a_message_that_makes_no_sense_is_answered(editor, page, message):
    page.send(message.get("kind"), **{k: v for k, v in message.items() if k != "kind"})
    page.settle()
    assert editor.notice["error"]
    page.send("targets", targets={"smile": 0.8}, gesture=0)
    page.settle()
    assert editor.after["error"] is None


def test_save_writes_a_picture_that_replays(editor, page, session, tmp_path):
    page.send("targets", targets={"smile": 0.8}, gesture=0)
    page.send("save")
    page.settle()
    notice = editor.notice
    assert notice["error"] is None
    path = tmp_path / notice["name"]
    assert notice["name"] == "face-3-smile.png"
    assert notice["folder"] == str(tmp_path)
    recipe = read_recipe(path)
    assert recipe.to_dict() == json.loads(notice["recipe"])
    replayed = EditSession.from_recipe(session.models, recipe).render()
    assert torch.equal(replayed.after, session.render().after)
    page.send("save")
    page.settle()
    assert editor.notice["name"] == "face-3-smile-2.png", "an earlier picture is never overwritten"


def test_the_recipe_shown_is_that_of_the_picture_and_not_of_a_later_slider(
    editor, page, session, tmp_path, monkeypatch
):
    saves = session.save

    def and_then_somebody_moves_a_slider(path, **options):
        recipe = saves(path, **options)
        session.set_seed(session.state.seed + 1)
        return recipe

    monkeypatch.setattr(session, "save", and_then_somebody_moves_a_slider)
    page.send("save")
    page.settle()
    notice = editor.notice
    assert json.loads(notice["recipe"]) == read_recipe(tmp_path / notice["name"]).to_dict()


def test_a_save_that_fails_leaves_nothing_and_says_why(session, tmp_path):
    (tmp_path / "gone").write_text("a file where the folder would be")
    editor = FaceEditor(session, folder=tmp_path / "gone")
    page = Page(editor)
    page.send("save")
    page.settle()
    assert "gone" in editor.notice["error"]
    assert list(tmp_path.iterdir()) == [tmp_path / "gone"]
    page.send("targets", targets={"smile": 0.8}, gesture=0)
    page.settle()
    assert editor.after["error"] is None
    editor.close()


def test_two_editors_on_one_session_hear_each_change_once(session, tmp_path):
    editors = [FaceEditor(session, folder=tmp_path) for _ in range(2)]
    pages = [Page(editor, f"page {i}") for i, editor in enumerate(editors)]
    for page in pages:
        page.settle(receipt=True)
    for editor in editors:  # each has asked for its first receipt
        assert editor._bridge._rest.drain(120)
    assert session.drain(120)
    for page in pages:
        page.seen.clear()
    pages[0].send("targets", targets={"smile": 0.8}, gesture=0)
    for page in pages:
        page.settle(receipt=True) if page is pages[0] else None
    assert wait_for(lambda: "receipt" in pages[1].seen)
    for page in pages:
        assert page.seen.count("after") == 1, page.seen
        assert page.seen.count("settings") == 1, page.seen
    assert editors[0].after["data"] == editors[1].after["data"]
    assert editors[1].settings["targets"] == {"smile": 0.8}
    for editor in editors:
        editor.close()


def test_changes_made_in_python_are_shown_as_targets(editor, page, session):
    session.set_changes({"smile": 0.2})
    editor.refresh()
    assert wait_for(lambda: editor.settings["targets"])
    own = editor.settings["readings"]["smile"]
    assert editor.settings["targets"]["smile"] == pytest.approx(own + 0.2, abs=1e-6)


def test_a_closed_editor_hears_nothing_and_the_session_goes_on(editor, page, session):
    editor.close()
    page.seen.clear()
    session.request(seed=5)
    assert session.drain(120)
    assert page.seen == []
    assert session.render().error is None


def test_hidden_attributes_have_no_row(session):
    editor = FaceEditor(session, hide=["gender", "hair_red"])
    names = [row["name"] for family in editor.schema["families"] for row in family["rows"]]
    assert set(names) == set(DEFAULT_TABLE.names) - {"gender", "hair_red"}
    assert editor.schema["methods"] == ["linear"]
    editor.close()
    with pytest.raises(ValueError, match=r"gendre.*gender"):
        FaceEditor(session, hide=["gendre"])


def test_without_an_editor_the_faces_can_still_be_seen(tiny_generator):
    editor = FaceEditor(Models.from_parts(tiny_generator, name="bare"))
    page = Page(editor)
    assert editor.after["error"] is None
    page.send("targets", targets={"smile": 0.8}, gesture=0)
    page.settle()
    assert "smile" in editor.after["error"]
    page.send("reset")
    page.send("seed", seed=4)
    page.settle()
    assert editor.after["error"] is None
    editor.close()


@pytest.mark.parametrize("side", [64, 128])
def test_small_pictures_travel_as_they_are(side):
    image = torch.rand(3, side, side) * 2 - 1
    assert torch.equal(pixels(bridges.picture_value(image)), to_uint8(image))


def test_large_pictures_travel_compressed():
    value = bridges.picture_value(torch.zeros(3, 256, 256))
    assert value["format"] == "jpeg"
    assert value["data"].startswith(b"\xff\xd8")
    assert len(value["data"]) < 256 * 256


def test_the_page_needs_nothing_from_a_network():
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
    assert len(files) >= 40
    for path in files:
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\s\"')]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, f"{path.name}: {addresses}"
        assert "import " not in text.split("\n", 1)[0], f"{path.name} is not self-contained"


def test_naming_the_widgets_costs_no_widget_library():
    code = (
        "import sys, l2l_widgets.widgets as w; assert 'FaceEditor' in dir(w);"
        "print([m for m in ('anywidget', 'ipywidgets', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_named_with_its_cure():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import l2l_widgets.widgets as w\n"
        "try: w.FaceEditor\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert "pip install anywidget" in done.stdout


def test_an_editor_of_something_else_says_what_it_takes():
    with pytest.raises(ValueError, match=r"source is 7; allowed: an EditSession, the Models"):
        FaceEditor(7)


def test_without_its_kernel_a_widget_says_what_brings_it_back(editor):
    # Its own cell alone would not: the names that it uses are gone with the kernel.
    assert "Run All Cells" in repr(editor)
    back = editor._words("still_back")
    assert "Run All Cells" in still_html(editor._still_parts(), "key", back)
    script = (STATIC / "editor" / "face_editor.js").read_text(encoding="utf-8")
    assert "run the cell again" not in script


def test_settled_views_show_what_was_asked_of_them(editor, session):
    session.request(seed=5)
    assert editor.settle(60)
    assert editor.after["stamp"] == session.stamp
    begun, go = threading.Event(), threading.Event()
    session.subscribe(lambda kind, value: begun.set() or go.wait(120))
    session.request(seed=6)
    assert begun.wait(120)
    assert not editor.settle(0.01)
    go.set()
    assert editor.settle(60)
