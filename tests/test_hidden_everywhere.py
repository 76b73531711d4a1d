"""One attribute is hidden, and no view, still, study or file of the command line says its name."""

from __future__ import annotations

import json
import re

import pytest
from conftest import make_session
from leaky_world import Follows, world
from open_world import Moves

from l2l_widgets.cli import main
from l2l_widgets.entanglement import LeakageStudy
from l2l_widgets.evaluation.one_face import SideBySide
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models import zoo
from l2l_widgets.policy import VARIABLE
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.walks.interpolation import Interpolator, Walk
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer, Gallery, InterpolationView

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
    assert explorer.wait(30)
    explorer._handle({"kind": "trajectory", "edited": "age", "faces": "one", "client": "p"})
    assert explorer._worker.drain(30)
    assert explorer.trajectory["mean"]
    assert len(explorer.trajectory["mean"][0]) == len(explorer.schema["columns"])
    explorer._handle({"kind": "cell", "edited": "age", "read": "beard", "client": "p"})
    assert explorer._cells.drain(30)
    return explorer


def open_walk(session, tmp_path):
    view = InterpolationView(session, frames=3, folder=tmp_path)
    assert view.wait(60)
    return view


def open_gallery(session, tmp_path):
    view = Gallery(session, page_size=2)
    assert view.wait(60)
    return view


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
