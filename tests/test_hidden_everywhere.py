"""One attribute is hidden, and no view, still, study or file of the command line says its name."""

from __future__ import annotations

import io
import json
import re

import pytest
import torch
from conftest import make_session
from leaky_world import Follows, world
from mixing_world import build_mixer
from open_world import Moves
from test_code_map import lay_flat
from training_runs import fit

from l2l_widgets import PaintSession, policy, widgets
from l2l_widgets.cli import main
from l2l_widgets.entanglement import LeakageStudy, measure_trajectories
from l2l_widgets.evaluation.one_face import SideBySide
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.face_filter import is_understood, parse_filter
from l2l_widgets.images import encode_png
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.maps.paths import compare_groups, trajectories
from l2l_widgets.models import zoo
from l2l_widgets.policy import VARIABLE, hidden_attributes, hide_attributes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.training import Watch
from l2l_widgets.walks.interpolation import Interpolator, Walk
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer, Gallery, InterpolationView
from l2l_widgets.widgets.compare import explorer_tracks

HIDDEN = ("gender", "glasses", "smile")


def says(text, name):
    """Whether a text has the word: sunglasses are no glasses."""
    return re.search(rf"\b{name}\b", text.lower()) is not None


def told(view):
    """All that a page gets of a view, pictures and code left out, in small letters."""
    state = {k: v for k, v in view.get_state().items() if k not in ("_esm", "_css", "layout")}
    return json.dumps(state, default=lambda _: "").lower()


def still(view, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append(a[0]))
    view._ipython_display_()
    return str(getattr(shown[-1], "data", shown[-1])).partition("base64,")


def text_of(parts):
    head, _, rest = parts
    return (head + rest.partition('"')[2]).lower()


def open_grid(session, tmp_path):
    grid = EditorGrid(session, n_random=4)
    assert grid.answers()
    return grid


def open_explorer(session, tmp_path):
    explorer = EntanglementExplorer(session, attributes=("age", *HIDDEN), faces=8)
    explorer.start()
    assert explorer.wait(120)
    explorer._handle({"kind": "trajectory", "edited": "age", "faces": "one", "client": "p"})
    assert explorer._worker.drain(120)
    assert explorer.trajectory["mean"]
    assert len(explorer.trajectory["mean"][0]) == len(explorer.schema["columns"])
    explorer._handle({"kind": "cell", "edited": "age", "read": "beard", "client": "p"})
    assert explorer._cells.drain(120)
    return explorer


def open_walk(session, tmp_path):
    view = InterpolationView(session, frames=3, folder=tmp_path)
    assert view.wait(120)
    return view


def open_gallery(session, tmp_path):
    view = Gallery(session, page_size=2)
    assert view.wait(120)
    return view


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    "hidden", [[], *([n] for n in (*HIDDEN, "age", "beard")), [*HIDDEN, "age"]]
)
def test_the_gallery_gives_no_example_and_no_hint_of_what_is_hidden(
    hidden, language, live, tiny_models
):
    view = Gallery(EditSession(tiny_models), page_size=2, language=language)
    try:
        everything = view.schema["examples"]
        assert len(everything) == 4
        live(hidden)
        visible = view._words.translate(policy.visible_table(tiny_models.table))
        for text in everything:
            kept = text in view.schema["examples"]
            assert kept == is_understood(view._words.asked(text), visible), text
        asked = {name for t in view.schema["examples"] for name in names_in(view, t)}
        assert not asked & set(hidden)
        assert len(view.schema["examples"]) == 4 - sum(
            any(name in hidden for name in names_in(view, text)) for text in everything
        )
        view._handle_custom_msg({"kind": "filter", "text": "qqqq", "client": "p"}, [])
        hint = view.notice["error"]
        assert "qqqq" in hint
        offered = ("smil", "glasses", "lächelnd", "brille", "über 60", "over 60")
        assert any(word in hint.lower() for word in offered) == (
            hidden in ([], ["gender"], ["beard"])
        )
    finally:
        view.close()


def names_in(view, text):
    """The attributes that a filter asks for, where nothing is hidden."""
    table = view._words.translate(view.face.models.table)
    return [one.name for one in parse_filter(view._words.asked(text), table)]


@pytest.mark.parametrize("make", [open_grid, open_explorer, open_walk, open_gallery])
@pytest.mark.parametrize("name", HIDDEN)
def test_no_view_and_no_still_says_it(make, name, monkeypatch, tmp_path, tiny_models):
    open_world = world(follows=Follows(), perfect=Moves())
    models = open_world if make in (open_grid, open_explorer) else tiny_models
    session = EditSession(models, method=models.available_editors[0], n_random=4)
    monkeypatch.setenv(VARIABLE, name)
    view = make(session, tmp_path)
    text = told(view)
    text = text.replace(f'"family": "{name}"', "")  # a family may be called the same
    assert f'"{name}"' not in text
    assert "beard" in told(view), "nothing was told at all"
    assert not says(text_of(still(view, monkeypatch)), name)
    view.close()
    session.close()


def open_editor(session, tmp_path):
    session.set_changes({"age": 0.1})
    view = widgets.FaceEditor(session, folder=tmp_path)
    session.request()
    return view


def open_map(session, tmp_path):
    drawn = CodeMap(session.models, 64, neighbours=8)
    drawn.read(thumbnails=4, side=8)
    lay_flat(drawn)
    view = widgets.LatentMap(session, code_map=drawn).wait(120)
    view._handle_custom_msg({"kind": "visible", "visible": True, "client": "page"}, [])
    everything = [list(range(30)), list(range(30, 64))]
    view._handle_custom_msg({"kind": "compare", "a": everything[0], "b": everything[1]}, [])
    view._handle_custom_msg({"kind": "hover", "row": 3, "client": "page", "number": 1}, [])
    view._handle_custom_msg({"kind": "colour", "name": "smile"}, [])
    return view


def open_photo(session, tmp_path):
    view = widgets.PhotoInverter(session, encode_png(session.render().before))
    assert view.wait(120)
    return view


def open_mixer(session, tmp_path):
    return widgets.IdentityMixer(build_mixer(), face=session, rows=(3,), columns=(4,))


def open_presenter(session, tmp_path):
    return widgets.Presenter([("A", {"smile": 0.1}), ("B", {"age": 0.1})], session)


def open_painter(session, tmp_path):
    face = session.render().before
    mask = torch.zeros(face.shape[-2:], dtype=torch.uint8)
    return widgets.MaskPainter(PaintSession(None, face, mask), folder=tmp_path)


class Watched:
    """What a training shows of itself: a plain row, and one of each attribute's edits."""

    def pictures(self):
        return {
            caption: torch.full((2, 3, 8, 8), shade)
            for caption, shade in (("as drawn", -1.0), ("smile +1", 0.0), ("age +1", 1.0))
        }

    def leakage(self):
        return {asked: {"smile": 0.1, "age": 0.2} for asked in ("smile", "age")}


def open_monitor(session, tmp_path):
    fit(tmp_path / "run", 2)
    assert Watch(Watched(), tmp_path / "run").look(2, 0.0, torch.device("cpu"), always=True)
    view = widgets.TrainingMonitor(tmp_path)
    assert view.look["sheet"]["data"]
    # of its fields one says "a smile" where it tells what it means
    view._handle_custom_msg({"kind": "recipe", "name": "mapper-lesson", "client": "p"}, [])
    assert view.form["recipe"] == "mapper-lesson"
    return view


def open_training(session, tmp_path):
    view = widgets.TrainingCell(
        "mapper-lesson", tmp_path / "run", preview=lambda task: task.pictures()
    )
    view.task = Watched()
    view._draw_faces(0)
    assert view.faces["rows"]
    return view


EVERY = {
    "EditorGrid": open_grid,
    "EntanglementExplorer": open_explorer,
    "FaceEditor": open_editor,
    "Gallery": open_gallery,
    "IdentityMixer": open_mixer,
    "InterpolationView": open_walk,
    "LatentMap": open_map,
    "MaskPainter": open_painter,
    "PhotoInverter": open_photo,
    "Presenter": open_presenter,
    "TrainingCell": open_training,
    "TrainingMonitor": open_monitor,
}
#: No words: code, and how ipywidgets lays it out.
OF_THE_PAGE = ("_esm", "_css", "layout")


def spoken(view):
    """All that a page is told or reads aloud, but for what other attributes are defined by."""
    state = {k: v for k, v in view.get_state().items() if k not in OF_THE_PAGE}
    text = json.dumps(state, default=lambda _: "").lower()
    return re.sub(r'"(definition|words|consent)": "[^"]*"', "", text)


def rest(view, session):
    if isinstance(view, widgets.FaceEditor):  # which has the session measure after a while
        assert view._bridge._rest.drain(120)
    assert session.drain(120)
    assert view.wait(120) is not False
    if isinstance(view, widgets.EntanglementExplorer):
        assert view._cells.drain(120)
    if isinstance(view, widgets.LatentMap):
        for worker in list(view._bridge._workers.values()):
            assert worker.drain(120)
    assert view._stills.drain(120)
    assert session.drain(120)


@pytest.fixture
def live(monkeypatch):
    """Hides from the views of this test: what others left open may lack what is hidden."""
    monkeypatch.setattr(policy, "_listeners", [])
    yield hide_attributes
    hide_attributes(None)


@pytest.mark.parametrize("name", EVERY)
def test_an_open_view_forgets_what_is_hidden_and_shows_it_again(
    name, live, monkeypatch, tmp_path, tiny_models
):
    assert set(EVERY) == set(widgets.__all__)
    models = tiny_models
    if name in ("EditorGrid", "EntanglementExplorer"):
        models = world(follows=Follows(), perfect=Moves())
    session = EditSession(models, method=models.available_editors[0], n_random=4)
    view = EVERY[name](session, tmp_path)
    rest(view, session)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append(a[0]))
    view._ipython_display_()
    names_it = says(spoken(view), "smile")
    assert names_it == (name not in ("IdentityMixer", "MaskPainter", "PhotoInverter"))
    live(["smile"])
    assert not says(spoken(view), "smile"), "at once"
    rest(view, session)
    if name == "Presenter":  # the step that is shown asks for it: refused, by name
        assert "'smile' is hidden here" in view.slide["error"]
        assert view.slide["asked"] == ""
        view.go(1)
        rest(view, session)
    assert not says(spoken(view), "smile"), "afterwards"
    assert not says(text_of(str(getattr(shown[-1], "data", shown[-1])).partition("base64,")),
                    "smile")  # fmt: skip
    live(None)
    rest(view, session)
    if name in ("EditorGrid", "EntanglementExplorer", "FaceEditor", "Gallery", "LatentMap"):
        assert says(spoken(view), "smile")
    view.close()
    live(["smile"])  # one that was closed hears nothing any more
    session.close()


@pytest.mark.parametrize("what", ["cell", "trajectory"])
def test_an_answer_that_is_on_its_way_when_it_is_hidden_is_not_shown(what, live, monkeypatch):
    session = EditSession(world(follows=Follows()), method="follows", n_random=4)
    view = EntanglementExplorer(session, attributes=["age"], faces=4)
    view.study.run("follows")
    if what == "cell":
        held, name, message = view.study, "pictures", {"edited": "age", "read": "smile"}
    else:
        held, name, message = explorer_tracks, "measure_trajectories", {
            "edited": "age", "faces": "many",
        }  # fmt: skip
    plain = getattr(held, name)

    def late(*given, **named):
        answer = plain(*given, **named)
        if hidden_attributes() == ():
            live(["smile"])
        return answer

    monkeypatch.setattr(held, name, late)
    view._handle_custom_msg({"kind": what, "client": "p", "number": 1, **message}, [])
    assert view._cells.drain(120)
    assert view.settle(120)
    assert not says(told(view), "smile")
    if what == "trajectory":  # followed anew, with the columns that are shown
        assert len(view.trajectory["mean"][0]) == len(view.schema["columns"])
    view.close()
    session.close()


@pytest.mark.parametrize("name", ["FaceEditor", "PhotoInverter", "TrainingCell", "TrainingMonitor"])
def test_a_view_that_is_opened_later_never_names_it(name, monkeypatch, tmp_path, tiny_models):
    monkeypatch.setenv(VARIABLE, "smile")
    session = EditSession(tiny_models, method="linear", n_random=4)
    view = EVERY[name](session, tmp_path)
    rest(view, session)
    assert not says(spoken(view), "smile")
    assert not says(text_of(still(view, monkeypatch)), "smile")
    view.close()
    session.close()


def test_a_lesson_that_asks_for_it_is_refused_by_the_number_of_its_step(monkeypatch, tiny_models):
    monkeypatch.setenv(VARIABLE, "smile")
    with pytest.raises(ValueError, match=r"step 1: attribute 'smile' is hidden here"):
        open_presenter(EditSession(tiny_models, method="linear"), None)


def test_a_sheet_of_a_training_loses_the_row_of_a_hidden_attribute(live, tmp_path):
    view = open_monitor(None, tmp_path)
    view._handle_custom_msg({"kind": "recipe", "name": "mapper-lesson"}, [])
    whole = pixels(view.look)
    assert len(whole) == 3 * 8 + 2 * 2
    assert '"smile"' in json.dumps(view.form), "as what a list of attributes may hold"
    live(["smile"])
    assert view.look["captions"] == ["as drawn", "Age +1"]
    assert view.look["leakage"] == {"age": {"age": 0.2}}
    rest = pixels(view.look)
    assert torch.equal(rest[:8], whole[:8])
    assert torch.equal(rest[10:18], whole[20:28])
    assert len(rest) == 18
    assert b"smile" not in view.look["sheet"]["data"], "the file's text says what was watched"
    assert '"smile"' not in json.dumps(view.form)
    assert not any(says(recipe["summary"], "smile") for recipe in view.form["recipes"])
    assert all(recipe["summary"] for recipe in view.form["recipes"]), "the page begins it large"
    view.close()


def pixels(look):
    """The red of a sheet, (H, W)."""
    import numpy as np
    from PIL import Image

    picture = Image.open(io.BytesIO(look["sheet"]["data"])).convert("RGB")
    return torch.from_numpy(np.asarray(picture)[..., 0].copy())


def test_a_list_that_an_open_view_cannot_keep_is_refused_and_the_old_one_stays(
    live, tiny_models, tmp_path
):
    session = make_session(tiny_models)
    live(["age"])
    view = widgets.FaceEditor(session, folder=tmp_path)
    with pytest.raises(ValueError, match=r"hide_attributes: attribute 'gendre' is unknown"):
        live(["gender", "gendre"])
    assert hidden_attributes() == ("age",)
    assert '"gender"' in told(view)
    assert '"age"' not in told(view)
    view.close()


def test_the_next_drag_leads_out_of_an_edit_that_is_hidden_now(live, tiny_models, tmp_path):
    session = make_session(tiny_models)
    session.update(changes={"smile": 0.2}, preserve=("beard",))
    view = widgets.FaceEditor(session, folder=tmp_path)
    live(["smile", "beard"])
    assert session.undo()  # back to where it was asked for
    session.request()
    rest(view, session)
    assert "'smile' is hidden here (by hide_attributes)" in view.after["error"]
    view._handle_custom_msg({"kind": "targets", "targets": {"age": 0.7}, "client": "p"}, [])
    rest(view, session)
    assert view.after["error"] is None
    assert session.state.edits[-1].preserve == ()
    assert view.settings["targets"] == {"age": 0.7}
    view.close()


def test_what_one_view_hides_its_panels_and_its_page_lack_too(tiny_models, tmp_path):
    session = make_session(tiny_models)
    session.set_changes({"smile": 0.2, "age": 0.2})
    session.render()
    view = widgets.FaceEditor(session, hide=["smile"], folder=tmp_path)
    other = widgets.FaceEditor(session, folder=tmp_path)
    session.request()
    rest(view, session)
    sent = []
    view.send = lambda content, buffers=None: sent.append(content)
    view._panels.shelf.keep("mine", session.state.edits[-1])
    for message in ({"kind": "history"}, {"kind": "presets"}):
        view._handle_custom_msg(message, [])
    recipe = json.dumps(session.recipe())
    session.set_changes({})
    plain = json.dumps(session.recipe())
    view._handle_custom_msg({"kind": "pair", "a": recipe, "b": plain}, [])
    assert view._panels.drain(120)
    answers = {content["type"]: content for content in sent}
    assert not says(json.dumps(answers["history"]["nodes"]), "smile")
    assert says(json.dumps(answers["history"]["nodes"]), "age")
    names = [p["name"] for p in (*answers["presets"]["shipped"], *answers["presets"]["own"])]
    assert "mine" not in names
    assert "smile" not in [row["name"] for row in answers["pair"]["differences"]]
    assert not says(spoken(view), "smile")
    assert says(spoken(other), "smile")
    session.set_changes({"smile": 0.2, "age": 0.2})
    view._handle_custom_msg({"kind": "targets", "targets": {"age": 0.7}, "client": "p"}, [])
    edit = session.state.edits[-1]
    assert (dict(edit.changes), dict(edit.targets)) == ({"smile": 0.2}, {"age": 0.7})
    for one in (view, other):
        one.close()


@pytest.mark.parametrize("name", HIDDEN)
def test_what_asks_for_it_is_refused_and_what_is_measured_lacks_it(name, tiny_models, monkeypatch):
    session = make_session(tiny_models)
    ws = session.render().w
    side = SideBySide(tiny_models, n_random=4)
    study = LeakageStudy(tiny_models, Protocol((name,), 4, draws=10))
    monkeypatch.setenv(VARIABLE, name)
    words = f"'{name}' is hidden here"
    walker = Interpolator(tiny_models)
    for walk in (
        Walk((1,), kind="attribute", attribute=name),
        Walk((1, 2), kind="identity", hold=(name,)),
    ):
        with pytest.raises(ValueError, match=words):
            walker.draw(walk)
    with pytest.raises(ValueError, match=words):
        side.check({name: 0.2})
    with pytest.raises(ValueError, match=words):
        study.measure("linear", name)
    with pytest.raises(ValueError, match="is hidden"):
        EditorGrid(session, request={name: 0.2})
    with pytest.raises(ValueError, match="is hidden"):
        EditorGrid(session, request={"age": 0.2}, hide=["age"])
    code_map = CodeMap(tiny_models, 64, neighbours=4)
    layout = lay_flat(code_map)
    code_map.read()
    with pytest.raises(ValueError, match=words):
        trajectories(code_map, layout, ws, name)
    with pytest.raises(ValueError, match=words):
        measure_trajectories(tiny_models, "linear", name, ws)
    rows = compare_groups(code_map, range(8), range(20, 30))
    assert [row.attribute for row in rows if row.attribute == name] == []
    assert len(rows) == len(tiny_models.table) - 1
    answer = next(side.answers(ws, {"age": 0.01}))
    assert not says(json.dumps(answer.receipt.to_dict()), name)
    held = walker.strip(Walk((1, 2), kind="identity", frames=3))
    assert name not in held.walk.hold
    assert not says(held.to_text(tiny_models.table), name)


@pytest.mark.parametrize("name", HIDDEN)
def test_the_command_lines_walks_lack_it(name, tiny_world, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    monkeypatch.setenv(VARIABLE, name)
    sweep = ["interpolate", "--from-seed", "1", "--kind", "attribute", "--attribute"]
    out = ["--frames", "2", "--out", str(tmp_path / "x.png"), "--json"]
    assert main([*sweep, name, *out]) == 2
    assert f"'{name}' is hidden here" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
    assert main([*sweep, "age", *out]) == 0
    told = capsys.readouterr().out
    assert '"age"' in told
    assert not says(told, name)
