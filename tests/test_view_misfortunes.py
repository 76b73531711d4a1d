"""What goes wrong outside a view is a message in it, and the view goes on: judges, disks, tabs."""

from __future__ import annotations

import base64
import errno
import zlib

import pytest
import torch
from mixing_world import build_mixer
from test_code_map import small_map
from test_widgets import wait_for

from l2l_widgets import PaintSession, widgets
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation.one_face import SideBySide
from l2l_widgets.images import encode_png
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets.words import Words


class Broken:
    """A judge whose numbers are none: NaN for some faces, infinity for the others."""

    attributes = DEFAULT_TABLE.names

    def __init__(self, value):
        self.value = value

    def __call__(self, images):
        return torch.full((len(images), len(DEFAULT_TABLE)), self.value)


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture(params=[float("nan"), float("inf")], ids=["nan", "inf"])
def misread(request, tiny_parts, tiny_models):
    """A session whose judge and regressor read no numbers."""
    judge = Broken(request.param)
    parts = {**tiny_parts, "attribute_judge": judge, "regressor": judge}
    models = Models.from_parts(**parts, editors={"linear": tiny_models.editor("linear")})
    session = EditSession(models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture(params=[float("nan"), float("inf")], ids=["nan", "inf"])
def misjudged(request, tiny_parts, tiny_models):
    """A session whose judges of identity know nobody, and whose other judges are well."""

    class Nobody:
        embedding_dim = tiny_parts["embedder"].embedding_dim

        def __call__(self, images):
            return torch.full((len(images), self.embedding_dim), request.param)

    parts = {**tiny_parts, "identity_judge": Nobody(), "embedder": Nobody()}
    models = Models.from_parts(**parts, editors={"linear": tiny_models.editor("linear")})
    session = EditSession(models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


def painter(session, folder):
    face = session.render().before
    mask = torch.zeros(face.shape[-2:], dtype=torch.uint8)
    mask[4:12, 4:12] = 1
    return widgets.MaskPainter(PaintSession(None, face, mask), folder=folder)


VIEWS = {
    "EditorGrid": lambda s, f: widgets.EditorGrid(s, request={"smile": 0.1}, n_random=4),
    "EntanglementExplorer": lambda s, f: widgets.EntanglementExplorer(
        s, attributes=("smile",), faces=4, chance=2
    ),
    "FaceEditor": lambda s, f: widgets.FaceEditor(s, folder=f),
    "Gallery": lambda s, f: widgets.Gallery(s, page_size=2),
    "IdentityMixer": lambda s, f: widgets.IdentityMixer(build_mixer(), rows=(3,), columns=(4,)),
    "InterpolationView": lambda s, f: widgets.InterpolationView(s, 8, frames=3, folder=f),
    "LatentMap": lambda s, f: widgets.LatentMap(s, code_map=small_map(s.models)),
    "MaskPainter": painter,
    "PhotoInverter": lambda s, f: widgets.PhotoInverter(s),
    "Presenter": lambda s, f: widgets.Presenter([("A", {}), ("B", {"smile": 0.3})], s),
    "TrainingCell": lambda s, f: widgets.TrainingCell("mapper-lesson", f / "run", steps=20),
    "TrainingMonitor": lambda s, f: widgets.TrainingMonitor(f, recipe="mapper-lesson"),
}
#: What a painter without a network says all the time.
NO_PAINTER = (
    "there is no MaskGAN to draw with; train it: l2l train mask-vae, then dense-mapping, then "
    "mask-edit, each with --publish"
)
#: What a page sends in the midst of a gesture: view -> message.
DRAGS = {
    "EditorGrid": {"kind": "ask", "name": "smile", "change": 0.2},
    "FaceEditor": {"kind": "targets", "targets": {"smile": 0.7}, "gesture": "g1"},
    "Gallery": {"kind": "page", "page": 1},
    "IdentityMixer": {"kind": "share", "side": "identity", "share": 0.4},
    "InterpolationView": {"kind": "set", "fields": {"curve": "lerp"}},
    "MaskPainter": {
        "kind": "operation", "gesture": "g1",
        "operation": {"kind": "fill", "class": 2, "point": [6, 6]},
    },
    "Presenter": {"kind": "next"},
}  # fmt: skip


def errors(view):
    """Whatever a view says is wrong, wherever it says it."""
    found = []
    for name in ("notice", "status", "receipt", "after", "slide", "mixed", "result", "progress"):
        value = getattr(view, name, None)
        if isinstance(value, dict) and isinstance(value.get("error"), str):
            found.append(value["error"])
    found += [view.progress["text"]] if getattr(view, "progress", {}).get("error") else []
    found += [card.get("reason", "") for card in getattr(view, "cards", [])]
    return " ".join(filter(None, found))


@pytest.mark.parametrize("name", VIEWS)
def test_a_tab_that_closes_in_mid_drag_leaves_the_view_well(name, session, tmp_path):
    view = VIEWS[name](session, tmp_path)
    assert set(VIEWS) == set(widgets.__all__)
    for client in ("one", "two"):  # the notebook is open in two tabs
        view._handle_custom_msg({"kind": "visible", "visible": True, "client": client}, [])
    drag = DRAGS.get(name, {"kind": "visible", "visible": True})
    view._handle_custom_msg({**drag, "client": "one", "number": 1}, [])
    view._handle_custom_msg({"kind": "gone", "client": "one"}, [])
    assert not view.is_hidden, "the other tab still shows it"
    view._handle_custom_msg({**drag, "client": "two", "number": 1}, [])
    view._handle_custom_msg({"kind": "gone", "client": "two"}, [])
    assert view.is_hidden
    view._handle_custom_msg({"kind": "visible", "visible": True, "client": "three"}, [])
    assert errors(view).removeprefix(NO_PAINTER) == ""
    view.close()


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_that_is_displayed_twice_is_one_view(name, session, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    view = VIEWS[name](session, tmp_path)
    for _ in range(2):
        view._ipython_display_()
    models = [
        bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
        for (bundle, *_), options in shown
        if isinstance(bundle, dict) and options.get("raw")
    ]
    assert models == [view.model_id] * 2
    view.close()


#: Views that read a face by a judge, and where a judge of identity is asked besides.
READ = ("FaceEditor", "Presenter", "EditorGrid", "Gallery", "InterpolationView", "LatentMap")
KNOWN = ("FaceEditor", "Presenter", "EditorGrid", "InterpolationView")


@pytest.mark.parametrize("name", READ)
def test_a_judge_without_numbers_is_a_message_in_its_place(name, misread, tmp_path):
    view = VIEWS[name](misread, tmp_path)
    if name == "LatentMap":
        view._handle_custom_msg({"kind": "visible", "visible": True, "client": "p"}, [])
        assert wait_for(lambda: view.progress["error"]), "its faces are coloured by no reading"
        assert "seed 0 is read as" in view.progress["text"]
        assert view.code_map.known == 0
    elif name == "FaceEditor":
        view._handle_custom_msg({**DRAGS[name], "client": "p", "number": 1}, [])
    elif name == "Presenter":
        view.go(1)
        misread.measure()
    elif name == "Gallery":
        view.search("smile > 50")
        assert view.wait(120), "it looks for a number for ever"
    view.wait(120)
    assert misread.drain(120)
    assert "finite" in errors(view) + getattr(view, "moved", "")
    if name in ("FaceEditor", "Presenter"):
        assert view.before["data"], "the face is up all the same"
    view.close()


@pytest.mark.parametrize("rows", [slice(None), slice(0)], ids=["too narrow", "of nobody"])
@pytest.mark.parametrize("name", ["Gallery", "InterpolationView", "LatentMap"])
def test_readings_of_another_shape_are_a_message_in_its_place(
    name, rows, tiny_parts, tiny_models, tmp_path
):
    class Narrow:
        attributes = tiny_parts["regressor"].attributes

        def __call__(self, images):
            return tiny_parts["regressor"](images)[rows, :5]

    parts = {**tiny_parts, "regressor": Narrow(), "attribute_judge": Narrow()}
    models = Models.from_parts(**parts, editors={"linear": tiny_models.editor("linear")})
    session = EditSession(models, method="linear", seed=3, n_random=4)
    view = VIEWS[name](session, tmp_path)
    view._handle_custom_msg({"kind": "visible", "visible": True, "client": "p"}, [])
    if name == "Gallery":
        view.search("smile > 50")
    assert view.wait(120)
    assert wait_for(lambda: "a judge gives readings of shape" in errors(view)), errors(view)
    assert "ein Richter gibt" in Words.of("de").said(errors(view))
    if name == "LatentMap":
        assert view.code_map.known == 0, "no face was read"
    view.close()
    session.close()


@pytest.mark.parametrize("name", KNOWN)
def test_a_judge_of_identity_without_numbers_is_a_message_in_its_place(name, misjudged, tmp_path):
    view = VIEWS[name](misjudged, tmp_path)
    if name == "FaceEditor":
        view._handle_custom_msg({**DRAGS[name], "client": "p", "number": 1}, [])
    elif name == "Presenter":
        view.go(1)
        misjudged.request()
    view.wait(120)
    said = lambda: errors(view) + getattr(view, "moved", "")  # noqa: E731
    assert wait_for(lambda: "the identity judge gives" in said()), said()
    assert not any("identity" in card for card in getattr(view, "cards", []))
    view.close()


def test_groups_that_one_page_draws_are_known_to_every_page(session, tiny_parts):
    view = VIEWS["LatentMap"](session, None)
    view._handle_custom_msg({"kind": "visible", "visible": True, "client": "one"}, [])
    assert wait_for(lambda: view.code_map.known == view.code_map.count), "the faces are read"

    def draw(client, number, **groups):
        message = {"kind": "compare", **groups, "client": client, "number": number}
        view._handle_custom_msg(message, [])
        assert wait_for(lambda: view.grouped == {**groups, "by": client})

    draw("one", 1, a=[1, 2, 3], b=[])
    draw("two", 1, a=[1, 2, 3], b=[7, 8, 9])
    assert wait_for(lambda: view.comparison), "which the second page had from the first"
    draw("one", 2, a=[], b=[])
    # one message for a page, one trait after the other for the test's thread
    assert wait_for(lambda: view.comparison == {}), "it is shown to a page that is opened now"
    draw("one", 3, a=[4, 5], b=[])
    at_hand = []  # when a page begins anew
    view.observe(lambda _: at_hand.append(view.points), "schema")
    editors = {"other": session.models.editor("linear")}
    view.face.swap(Models.from_parts(**tiny_parts, editors=editors, name="other"))
    assert at_hand == [{}], "not the faces of the models that went"
    assert view.groups == {"a": [], "b": []}, "other models have other faces"
    assert view.grouped == {}
    view.close()


@pytest.mark.parametrize("space", ["identity", "attributes"])
def test_a_map_of_what_nobody_sees_is_refused_by_the_seed(space, misread, misjudged):
    models = (misjudged if space == "identity" else misread).models
    made = CodeMap(models, 64, neighbours=8, first_seed=5)
    with pytest.raises(ValueError, match=r"seed 5 is seen as a vector with (nan|inf) in it"):
        made.features(space)
    assert not made.at_hand(space)


def test_a_receipt_never_holds_a_band_of_no_numbers(tiny_parts, tiny_models):
    class Sometimes:
        attributes = DEFAULT_TABLE.names

        def __call__(self, images):
            values = tiny_parts["attribute_judge"](images).clone()
            values[1:] = torch.nan  # the random edits are judged a few at a time
            return values

    parts = {**tiny_parts, "attribute_judge": Sometimes()}
    models = Models.from_parts(**parts, editors={"linear": tiny_models.editor("linear")})
    session = EditSession(models, method="linear", seed=3, n_random=4)
    session.set_changes({"smile": 0.2})
    assert "the judge reads" in session.measure().error
    side = SideBySide(models, n_random=4)
    (answer,) = side.answers(session.render().w, {"smile": 0.1})
    assert "the judge reads" in answer.reason
    session.close()


def test_a_judge_without_numbers_ends_a_study_with_its_reason(misread, tmp_path):
    explorer = VIEWS["EntanglementExplorer"](misread, tmp_path)
    explorer.start()
    explorer.wait(120)
    assert "finite" in errors(explorer) + " ".join(explorer.matrix.get("failed", {}).values())
    explorer.close()


@pytest.mark.parametrize("name", ["FaceEditor", "MaskPainter"])
def test_a_full_disk_is_a_message_and_the_history_stays(name, session, tmp_path, monkeypatch):
    view = VIEWS[name](session, tmp_path)
    view._handle_custom_msg({**DRAGS[name], "client": "p", "number": 1}, [])
    assert session.drain(120)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    saves = [{"kind": "save"}] if name == "FaceEditor" else [
        {"kind": "save", "what": what} for what in ("mask", "recipe")
    ]  # fmt: skip
    for number, save in enumerate(saves, 2):
        view._handle_custom_msg({**save, "client": "p", "number": number}, [])
        assert "No space left" in view.notice["error"]
        assert list(tmp_path.iterdir()) == [], "half a file"
    monkeypatch.undo()
    history = session.can_undo if name == "FaceEditor" else view.session.can_undo
    assert history, "what was done before is still there"
    view._handle_custom_msg({**saves[0], "client": "p", "number": 9}, [])
    assert view.notice["error"] is None
    view.close()


@pytest.mark.parametrize("name", ["IdentityMixer", "MaskPainter", "PhotoInverter"])
@pytest.mark.parametrize("kind", ["text", "bomb", "cut off"])
def test_an_upload_that_is_no_picture_is_refused_in_words(name, kind, session, tmp_path):
    whole = encode_png(torch.zeros(3, 8, 8))
    header = bytearray(whole[:33])
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # so many pixels a side
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    data = {"text": b"hello", "bomb": bytes(header) + whole[33:], "cut off": whole[:60]}[kind]
    view = VIEWS[name](session, tmp_path)
    message = {
        "kind": "file", "name": "x.png", "data": base64.b64encode(data).decode(),
        "side": "identity", "use": "style",
    }  # fmt: skip
    view._handle_custom_msg({**message, "client": "p", "number": 1}, [])
    view.wait(120)
    assert errors(view), "nothing was said"
    assert "Traceback" not in errors(view)
    assert kind != "bomb" or "megapixels" in errors(view), "not Pillow's words"
    assert session.render().error is None
    view.close()
