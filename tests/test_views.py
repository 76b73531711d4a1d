"""InterpolationView and Gallery without a browser: messages in, traits out."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from conftest import CountingGenerator, LinearEditor, build_attribute_net, build_directions

from l2l_widgets import FaceEditor
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.images import to_uint8
from l2l_widgets.many.search import FaceSearch
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.walks.files import read_walk
from l2l_widgets.walks.interpolation import Interpolator
from l2l_widgets.widgets import Gallery, InterpolationView, Presenter
from l2l_widgets.widgets.still import Still, still_html


class Page:
    """What a browser does with a view: numbered messages."""

    def __init__(self, view, client="page"):
        self.view, self.client, self.number = view, client, 0

    def send(self, kind, **content):
        self.number += 1
        message = {"kind": kind, "client": self.client, "number": self.number, **content}
        self.view._handle_custom_msg(json.loads(json.dumps(message)), [])

    def set(self, **fields):
        self.send("set", fields=fields)
        assert self.view.wait(120)


def pixels(picture):
    data = torch.frombuffer(bytearray(picture["data"]), dtype=torch.uint8)
    return data.reshape(picture["height"], picture["width"], 3).permute(2, 0, 1)


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def view(session, tmp_path):
    view = InterpolationView(session, second=8, frames=5, folder=tmp_path)
    assert view.wait(120)
    yield view
    view.close()


@pytest.fixture
def gallery(session):
    gallery = Gallery(session, page_size=6)
    assert gallery.wait(120)
    yield gallery
    gallery.close()


def test_the_strip_is_the_walk_and_the_curves_are_the_judges(view, tiny_models):
    strip = Interpolator(tiny_models).strip(view.walk)
    assert view.frames["done"]
    for picture, image in zip(view.frames["pictures"], strip.images, strict=True):
        assert torch.equal(pixels(picture), to_uint8(image))
    assert view.curves["attributes"]["smile"] == pytest.approx(strip.curves.of("smile"), abs=1e-4)
    assert view.curves["identity"]["first"][0] == 1
    assert view.curves["sentences"] == strip.sentences(DEFAULT_TABLE)


def test_controls_change_the_walk_and_do_not_lead_into_refusals(view):
    page = Page(view)
    page.set(space="z")
    assert (view.settings["space"], view.settings["curve"]) == ("z", "slerp")
    page.set(rows="coarse")
    assert (view.settings["space"], view.settings["curve"]) == ("w+", "lerp")
    page.set(rows="0,2-3")
    assert torch.equal(view.strip.ws[-1, 1], view.strip.ws[0, 1])
    assert not torch.equal(view.strip.ws[-1, 2], view.strip.ws[0, 2])
    page.set(space="w")
    assert view.settings["rows"] == "all"
    page.set(space="z")
    page.set(kind="identity")
    assert view.settings["space"] == "w"
    assert view.strip.walk.kind == "identity"
    page.set(kind="attribute", attribute="age")
    assert view.strip.walk.attribute == "age"
    assert view.settings["span"] == list(view.strip.walk.span)
    assert view.curves["asked"][0] == view.strip.walk.span[0]
    assert view.notice.get("error") is None
    assert view.answered["page"] == page.number


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"first": -3}, "seed is -3"),
        ({"second": "eight"}, "seed is 'eight'"),
        ({"frames": 1}, "frames is 1"),
        ({"space": "x"}, "space is 'x'"),
        ({"colour": 1}, "field 'colour' is unknown"),
        ({"kind": "attribute", "attribute": "smyle"}, "did you mean smile"),
        ({"kind": "attribute", "span": [0, 7]}, "span is"),
    ],
)
def test_what_is_impossible_is_said_in_place_and_changes_nothing(view, fields, said):
    before, stamp = view.walk.key(), view.frames["stamp"]
    Page(view).set(**fields)
    assert said in view.notice["error"]
    assert view.walk.key() == before
    assert view.frames["stamp"] == stamp


def test_a_face_loaded_anywhere_is_loaded_everywhere(session, view, gallery, tmp_path):
    editor = FaceEditor(session, folder=tmp_path)
    Page(gallery).send("load", seed=5)
    assert session.drain(120)
    assert view.wait(120)
    assert session.state.seed == 5
    assert view.settings["first"] == 5
    assert gallery.loaded == {"seed": 5}
    assert editor.before["seed"] == 5
    # and back: an inner frame is a latent, which the gallery has no seed for
    Page(view).send("load", frame=2)
    assert session.drain(120)
    assert torch.equal(session.state.w[0], view.strip.ws[2])
    assert gallery.loaded == {"seed": None}
    assert view.settings["first"] == 5, "loading a frame must not change the walk it came from"
    Page(view).send("load", frame=4)
    assert session.state.seed == 8, "the end of a walk is its seed"
    editor.close()


def test_a_path_through_faces_between(view, tiny_models):
    through = [Interpolator(tiny_models).draw(view.walk).ws[0], 6]
    view.set(via=through, frames=7)
    assert view.wait(120)
    assert view.settings["via"] == 2
    assert len(view.strip.walk.faces) == 4
    assert torch.equal(view.strip.ws[2], through[0])
    Page(view).set(via=[])
    assert len(view.strip.walk.faces) == 2
    Page(view).set(via=[-2])
    assert "seed is -2" in view.notice["error"]
    Page(view).set(via=7)
    assert "via is 7" in view.notice["error"]


def test_a_latent_from_elsewhere_starts_a_walk_in_w_plus(session, view):
    w = torch.randn(session.models.generator.num_ws, session.models.generator.w_dim)
    SharedFace.of(session).load(w=w, by="test")
    assert view.wait(120)
    assert view.settings["first"] is None
    assert view.settings["space"] == "w+"
    assert torch.equal(view.strip.ws[0], w)
    Page(view).set(space="z")
    assert "which has no z" in view.notice["error"]


def test_nothing_is_computed_while_nobody_looks(tiny_parts, tiny_generator):
    generator = CountingGenerator(tiny_generator)
    models = Models.from_parts(
        **{**tiny_parts, "generator": generator},
        editors={"linear": LinearEditor(build_directions())},
    )
    session = EditSession(models, method="linear", n_random=4)
    view, gallery = InterpolationView(session, frames=4), Gallery(session, page_size=4)
    assert view.wait(120)
    assert gallery.wait(120)
    for one in (view, gallery):
        Page(one, "a").send("visible", visible=False)
        Page(one, "b").send("visible", visible=True)
    assert not view.is_hidden, "one of two pages shows it"
    for one in (view, gallery):
        Page(one, "b").send("gone")
    drawn = generator.faces
    Page(view).send("set", fields={"second": 11})
    Page(gallery).send("first", seed=100)
    for one in (view, gallery):  # wait() is somebody who looks
        assert one._worker.drain(120)
    assert generator.faces == drawn
    for one in (view, gallery):
        Page(one, "a").send("visible", visible=True)
        assert one.wait(120)
    assert generator.faces > drawn
    assert view.strip.walk.faces[1] == 11
    assert [item["seed"] for item in gallery.page["items"]] == [100, 101, 102, 103]
    for one in (view, gallery, session):
        one.close()


def test_an_editor_that_nobody_sees_is_sent_nothing_and_nothing_is_measured_for_it(
    tiny_parts, tiny_generator, tmp_path
):
    generator = CountingGenerator(tiny_generator)
    models = Models.from_parts(
        **{**tiny_parts, "generator": generator},
        editors={"linear": LinearEditor(build_directions())},
    )
    session = EditSession(models, method="linear", n_random=8)
    # the reach of the face would be drawn while it is in sight, and pictures are counted here
    editor = FaceEditor(session, folder=tmp_path, measure_reach=False)
    presenter = Presenter(["One"], session)
    views, sent = (editor, presenter), []
    session.set_changes({"smile": 0.3})
    for one in views:
        Page(one).send("visible", visible=True)
    assert editor._bridge._rest.drain(120)  # its first measurement, which comes after a while
    assert session.drain(120)
    for one in views:
        Page(one).send("visible", visible=False)
    up, drawn = (editor.after, editor.receipt, presenter.after), generator.faces
    editor.observe(sent.append, ["before", "after", "settings", "receipt"])
    editor.face.load(seed=9)
    assert session.drain(120)
    assert (editor.after, editor.receipt, presenter.after) == up
    assert sent == []
    assert generator.faces <= drawn + 2, "the face and its edit, for whoever looks elsewhere"
    for one in views:
        Page(one).send("visible", visible=True)
    assert session.drain(120)
    assert editor.after["stamp"] == editor.receipt["stamp"] == session.stamp
    assert editor.settings["seed"] == 9
    assert presenter.slide["stamp"] == session.stamp
    assert presenter.moved
    assert generator.faces > drawn + 8
    for one in (*views, session):
        one.close()


def test_the_newest_request_wins(tiny_parts, tiny_generator):
    generator = CountingGenerator(tiny_generator)
    session = EditSession(Models.from_parts(**{**tiny_parts, "generator": generator}), n_random=4)
    view = InterpolationView(session, frames=5)
    assert view.wait(120)
    drawn = generator.faces
    generator.gate.clear()
    for seed in range(100, 130):
        Page(view).send("set", fields={"second": seed})
    generator.gate.set()
    assert view.wait(120)
    assert view.strip.walk.faces == (0, 129)
    assert view.frames["stamp"] == view.settings["stamp"] == view.curves["stamp"]
    assert generator.faces - drawn <= 2 * 5 + 2
    view.close()
    session.close()


def test_other_models_under_an_open_view(view, gallery, tiny_parts):
    parts = {**tiny_parts, "regressor": build_attribute_net(77)}
    other = Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions(9))})
    SharedFace.of(view.session).swap(other, by="test")
    for one in (view, gallery):
        assert one.wait(120)
        assert one.notice.get("error") is None
        assert one.schema["models"] == other.name
    Page(view).set(kind="attribute", attribute="smile")
    own = other.regressor(Interpolator(other).draw(view.walk).images[:1])
    assert torch.isfinite(own).all()
    assert view.strip.walk.kind == "attribute"


def test_what_is_hidden_has_no_curve_and_is_no_word(session):
    view, gallery = InterpolationView(session, hide=["age"]), Gallery(session, hide=["age"])
    assert view.wait(120)
    assert "age" not in view.curves["attributes"]
    assert all(row["name"] != "age" for one in (view, gallery) for row in one.schema["rows"])
    with pytest.raises(ValueError, match="over 60"):
        gallery.search("over 60")
    with pytest.raises(ValueError, match="did you mean smile"):
        InterpolationView(session, hide=["smyle"])
    for one in (view, gallery):
        one.close()


def test_a_judge_without_numbers_is_a_message_and_the_pictures_stay(tiny_parts):
    class Broken:
        attributes = DEFAULT_TABLE.names

        def __call__(self, images):
            return torch.full((len(images), len(DEFAULT_TABLE)), torch.nan)

    models = Models.from_parts(**{**tiny_parts, "attribute_judge": Broken()})
    view = InterpolationView(EditSession(models), frames=3)
    assert view.wait(120)
    assert "not finite" in view.notice["error"]
    assert view.frames["done"]
    assert view.curves == {}
    view.close()


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_save_writes_beside_the_notebook(view, tmp_path, ending, monkeypatch):
    monkeypatch.setattr("l2l_widgets.widgets.faces.interpolation_view.FILM_FRAMES", 6)
    for name in (f"walk-3-8.{ending}", f"walk-3-8-2.{ending}"):
        Page(view).send("save", format=ending)
        assert view._files.drain(120)
        assert view.notice["name"] == name
    walk = read_walk(tmp_path / f"walk-3-8.{ending}", view.face.models)
    assert walk.faces == (3, 8)
    assert walk.frames == (5 if ending == "png" else 6)


def test_a_full_disk_is_a_message(view, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("l2l_widgets.images.write_atomic", full)
    Page(view).send("save", format="png")
    assert view._files.drain(120)
    assert "No space left" in view.notice["error"]
    Page(view).set(second=9)
    assert view.strip.walk.faces == (3, 9)


@pytest.mark.parametrize("message", [{}, {"kind": "set"}, {"kind": "magic"}, {"kind": "load"}])
def test_a_message_that_makes_no_sense_is_answered_in_words(view, gallery, message):
    for one in (view, gallery):
        one._handle_custom_msg(message, [])
        assert one.notice["error"]


# -- gallery ---------------------------------------------------------------------------------------


def test_pages_of_seeds(gallery):
    page = Page(gallery)
    assert [item["seed"] for item in gallery.page["items"]] == list(range(6))
    page.send("page", page=2)
    assert gallery.wait(120)
    assert [item["seed"] for item in gallery.page["items"]] == list(range(12, 18))
    page.send("first", seed=1000)
    assert gallery.wait(120)
    assert [item["seed"] for item in gallery.page["items"]] == list(range(1000, 1006))
    assert gallery.settings["page"] == 0
    page.send("first", seed=-1)
    assert "seed is -1" in gallery.notice["error"]


def test_a_page_has_its_own_number_though_another_is_turned_meanwhile(gallery, monkeypatch):
    shown, find = [], FaceSearch.find
    gallery.observe(lambda change: shown.append(change["new"]), "page")

    def turned(*args, **kwargs):
        found = find(*args, **kwargs)
        if not shown:  # between the end of a search and its message
            gallery.show_page(3)
        return found

    monkeypatch.setattr(FaceSearch, "find", turned)
    gallery.show_page(1)
    assert gallery.wait(120)
    first = [page["items"][0]["seed"] for page in shown]
    assert [page["number"] for page in shown] == [seed // 6 for seed in first] == [1, 3]


def test_words_and_controls_are_one_filter(gallery):
    page = Page(gallery)
    page.send("filter", text="smiling, under 80")
    conditions = gallery.settings["conditions"]
    assert [c["name"] for c in conditions] == ["smile", "age"]
    page.send("conditions", conditions=[{**conditions[0], "low": 0.25}])
    assert gallery.settings["text"] == "Smile ≥ 25 %"
    page.send("filter", text="smyling")
    assert "did you mean smiling" in gallery.notice["error"]
    assert gallery.settings["text"] == "Smile ≥ 25 %", "what is up stays"


def test_a_filtered_page_holds_readings_that_meet_it(gallery, session):
    wanted = session.readings()["age"]
    Page(gallery).send("conditions", conditions=[{"name": "age", "low": wanted - 1e-3, "high": 1}])
    assert gallery.wait(120)
    items = gallery.page["items"]
    assert items
    assert all(item["readings"]["age"] >= wanted - 2e-3 for item in items)
    assert gallery.page["found"] <= gallery.page["seen"]


def test_a_search_can_be_stopped_and_goes_on(tiny_models):
    gallery = Gallery(EditSession(tiny_models, method="linear"), page_size=4)
    assert gallery.wait(120)
    seen = gallery.page["seen"]
    told = threading.Event()
    gallery.observe(lambda _: told.set(), "page")
    Page(gallery).send("conditions", conditions=[{"name": "smile", "low": 1, "high": 1}])
    assert told.wait(120), "a running search said nothing"
    assert gallery.page["ended"] == "searching"
    Page(gallery).send("stop")
    assert gallery.wait(120)
    assert gallery.page["ended"] == "stopped"
    stopped = gallery.page["seen"]
    assert stopped > seen
    gallery.observe(lambda _: Page(gallery).send("stop"), "page")
    Page(gallery).send("go on")
    assert gallery.wait(120)
    assert gallery.page["seen"] > stopped
    gallery.close()


def test_the_gallery_follows_the_sessions_variety(gallery, session, monkeypatch):
    before = bytes(gallery.page["items"][0]["picture"]["data"])
    session.set_truncation(0.2)
    session.request(measure=False)
    assert session.drain(120)
    assert gallery.wait(120)
    assert gallery.settings["psi"] == 0.2
    assert bytes(gallery.page["items"][0]["picture"]["data"]) != before


@pytest.mark.parametrize("options", [{"page_size": 0}, {"filter": "smyling"}, {"hide": ["smyle"]}])
def test_a_gallery_that_cannot_be_is_refused(session, options):
    with pytest.raises(ValueError, match=r"page_size is 0|smiling|smile"):
        Gallery(session, **options)


# -- without a front end ---------------------------------------------------------------------------


def test_the_still_is_a_picture_and_a_table(view, gallery):
    for one, cell in ((view, "identity, as the first"), (gallery, "<td>5</td>")):
        html = still_html(one._still_parts(), one.still, "again")
        assert 'src="data:image/jpeg;base64,' in html
        assert cell in html
        assert one.still in html
        assert "<script" not in html


def test_a_still_escapes_what_it_is_told():
    html = still_html(Still(torch.zeros(3, 4, 4), '<b>"x"', ["<i>"], [["<u>"]]), "key", "again")
    assert "<b>" not in html
    assert "&lt;u&gt;" in html
    assert "&lt;i&gt;" in html


def test_the_sheets_of_a_view_have_its_theme():
    for view, root in ((InterpolationView, "l2l-walk"), (Gallery, "l2l-gallery")):
        assert f".l2l:where(.{root}) .l2l-button" in view._css
        assert "export default" in view._esm
        assert view._esm.count("export default") == 1
        assert "http" not in view._esm.replace("http://www.w3.org/2000/svg", "")
