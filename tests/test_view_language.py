"""Every view that names attributes names them, and their units, in the reader's language."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
import torch
from german_page import still_english
from matplotlib.text import Text
from mixing_world import build_mixer
from regression_task import make_task
from test_code_map import small_map
from training_runs import fit

import l2l_widgets as l2l
from l2l_widgets import widgets
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.entanglement import LeakageMatrix, Progress
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.painting.regions import RegionChange
from l2l_widgets.plots.maps import CAVEAT, plot_map
from l2l_widgets.widgets.compare import explorer_values
from l2l_widgets.widgets.compare.explorer_values import doing_words
from l2l_widgets.widgets.training import training_values
from l2l_widgets.widgets.words import Words

VIEWS = {
    "Gallery": lambda session, **words: l2l.Gallery(session, "smile", **words),
    "InterpolationView": lambda session, **words: l2l.InterpolationView(session, frames=2, **words),
    "EditorGrid": lambda session, **words: l2l.EditorGrid(
        session, request={"smile": 0.1}, n_random=4, **words
    ),
    "EntanglementExplorer": lambda session, **words: l2l.EntanglementExplorer(
        session, faces=2, attributes=("smile",), chance=2, **words
    ),
    "LatentMap": lambda session, **words: l2l.LatentMap(
        session, code_map=small_map(session.models), **words
    ),
}


def painter(session, **words):
    face = session.render().before
    mask = torch.zeros(face.shape[-2:], dtype=torch.uint8)
    mask[4:12, 4:12] = 1
    return l2l.MaskPainter(l2l.PaintSession(None, face, mask), **words)


ALL = {
    **VIEWS,
    "FaceEditor": lambda s, **words: l2l.FaceEditor(s, **words),
    "IdentityMixer": lambda s, **words: l2l.IdentityMixer(
        build_mixer(), rows=(3,), columns=(4,), **words
    ),
    "MaskPainter": painter,
    "PhotoInverter": lambda s, **words: l2l.PhotoInverter(s, **words),
    "Presenter": lambda s, **words: l2l.Presenter([("Los", {})], s, **words),
    "TrainingCell": lambda s, folder, **words: l2l.TrainingCell(
        "mapper-lesson", folder / "run", steps=9, **words
    ),
    "TrainingMonitor": lambda s, folder, **words: l2l.TrainingMonitor(
        folder, recipe="mapper-lesson", **words
    ),
}
#: Values of a view's state that are keys, names or files, by their own key.
KEYS = {
    "name", "names", "kind", "state", "recipe", "family_key", "methods", "method", "layout",
    "space", "spaces_of", "allowed", "default", "field", "group", "reader", "still", "search",
    "words_of", "place", "suggested", "words", "kinds", "models", "columns", "eight", "edited",
    "read", "readers", "format", "stamp", "path",
}  # fmt: skip


def texts_of(value, key=""):
    """Every text of a view's state that is not a key, a name or a file."""
    if isinstance(value, str):
        if key not in KEYS:
            yield value
    elif isinstance(value, dict):
        for inner, one in value.items():
            yield from texts_of(one, inner)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts_of(one, key)


@pytest.mark.parametrize("name", ALL)
def test_a_german_view_has_no_english_word(name, session, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda value, **_: shown.append(value))
    assert set(ALL) == set(widgets.__all__)
    where = {"folder": tmp_path} if name.startswith("Training") else {}
    view = ALL[name](session, language="de", **where)
    try:
        view._handle_custom_msg({"kind": "nonsense", "client": "p", "number": 1}, [])
        with contextlib.suppress(ValueError):  # there is no run to wait for
            view.wait(120)
        view._put_still(update=False)
        traits = ("schema", "words", "notice", "status", "form", "progress", "moved", "slide")
        state = {key: getattr(view, key) for key in traits if hasattr(view, key)}
        stills = [
            block.data.replace(str(tmp_path), "") for block in shown if hasattr(block, "data")
        ]
        words = [repr(view).replace(str(tmp_path), "")]
        for block in stills:
            words += re.findall(r">([^<>]+)<", block.replace(str(tmp_path), ""))
        english = still_english([*texts_of(state), *words])
        assert english == [], "\n".join(english)
    finally:
        view.close()


def test_the_check_finds_english():
    assert still_english(["Close", "Face 7", "Run → Run All Cells brings it back"])
    assert still_english(["Lächeln 31 → 82 %", "l2l train map", "Gesicht 7"]) == []


def test_what_was_measured_is_told_in_german():
    """Sentences of parts that know no language; in two of them the units stand inside a place."""
    change = RegionChange(0.02, 20.0, 12.0, 0.78, 0.43, 0.03).to_text()
    lines = [
        change,
        *(f"reaches {v} on this face" for v in ("+9 years of +28 years", "+3° of +9°")),
    ]
    said = [Words.of("de").said(line) for line in lines]
    assert still_english(lines) == lines
    assert still_english(said) == []
    assert "78 % der Bildpunkte" in said[0]
    assert "+9 von +28 Jahren" in said[1]
    assert "years" not in "".join(said)


@pytest.mark.parametrize("name", VIEWS)
def test_labels_and_units_are_in_the_readers_language(session, name):
    view = VIEWS[name](session, language="de")
    try:
        shown = json.dumps(view.schema, ensure_ascii=False)
        for word in ("Lächeln", "Getönt", "Jahre"):
            assert word in shown
        assert '"Smile"' not in shown
        assert '"years"' not in shown
    finally:
        view.close()


def test_the_environment_chooses_where_nobody_else_does(session, monkeypatch):
    monkeypatch.setenv("L2L_LANGUAGE", "de")
    view = VIEWS["Gallery"](session)
    assert "Lächeln" in json.dumps(view.schema, ensure_ascii=False)
    view.close()


@pytest.mark.parametrize("name", [*VIEWS, "Presenter"])
def test_a_language_that_is_not_there_is_refused(session, name):
    build = {**VIEWS, "Presenter": lambda s, **words: l2l.Presenter(["a"], s, **words)}[name]
    with pytest.raises(ValueError, match="language is 'tlh'; allowed: en, de"):
        build(session, language="tlh")


def test_the_presenter_speaks_german(session):
    presenter = l2l.Presenter([("Los", {"smile": 0.3})], session, language="de")
    receipt = session.measure()
    presenter._on_event("receipt", receipt)
    assert presenter.moved
    assert "Identität" in presenter.moved
    assert presenter.slide["asked"] == "Lächeln +30\u202f%"
    assert presenter._still_parts().rows[0][2] == "Lächeln +30\u202f%"
    aimed = l2l.Presenter([("Ziel", {"targets": {"smile": 0.5}})], session, language="de")
    assert aimed.slide["asked"] == "Lächeln auf 50\u202f%"
    aimed.close()
    english = l2l.Presenter([("Go", {"smile": 0.3})], session, language="en")
    english._on_event("receipt", session.measure())
    assert "dentity kept" in english.moved
    english.close()
    presenter.close()


def test_a_walk_of_one_attribute_is_told_in_german(session):
    view = l2l.InterpolationView(session, frames=2, language="de")
    try:
        view.set(kind="attribute", attribute="smile")
        assert view.wait(120)
        said = view.curves["sentences"]
        assert said[0].startswith("Lächeln geht von ")
        assert still_english(said) == []
    finally:
        view.close()


def test_the_explorer_names_what_it_measures_by_its_label(session):
    view = l2l.EntanglementExplorer(session, faces=2, attributes=("smile",), language="de")
    try:
        said = view._words.said
        assert doing_words(Progress(doing="mapper: smile"), view._table, said) == "mapper: Lächeln"
        assert doing_words(Progress(), view._table, said) == ""
    finally:
        view.close()


def test_pictures_that_stand_still_have_german_axes(monkeypatch):
    drawn = []
    for module in (explorer_values, training_values):
        monkeypatch.setattr(module, "figure_jpeg", lambda figure: drawn.append(figure) or b"")
    words = Words.of("de")
    names = ("smile", "age")
    cell = {"verdict": "clear", "signed": 0.1, "drift": 0.0, "faces": 8}
    cell |= {"signed_low": -0.1, "signed_high": 0.3, "q": 0.5}
    cells = {(edited, read): cell for edited in names for read in names}
    matrix = LeakageMatrix("mapper", "judge", Protocol(names, faces=8), names, cells)
    still = explorer_values.matrix_still(matrix, "", words, words.translate(DEFAULT_TABLE))
    assert still.rows[0] == (
        "Lächeln",
        "Lächeln",
        "+0,100",
        "-0,100",
        "+0,300",
        "0,500, unentschieden",
    )
    training_values.curves_png({"steps": [1, 2], "losses": {"total": [2.0, 1.0]}}, words)
    drawn.append(plot_map([[0.0, 0.0], [2.0, 1.0]], caveat=words.said(CAVEAT)).figure)
    texts = [found.get_text() for figure in drawn for found in figure.findobj(Text)]
    assert len(drawn) == 3
    assert {"gelesen (% der Skala)", "geändert", "Lächeln", "Schritt", "Verlust"} <= set(texts)
    assert any(text.startswith("VORSCHAU, n = 8 Gesichter") for text in texts)
    drawn[0].draw_without_rendering()
    (stamp,) = drawn[0].findobj(lambda found: "VORSCHAU" in getattr(found, "get_text", str)())
    edge = drawn[0].bbox.x1
    assert stamp.get_window_extent().x1 <= edge, "a narrow figure cuts its stamp off"
    assert still_english(text for text in texts if text not in ("total", "mapper")) == []


def test_the_monitor_names_rows_and_numbers_in_german(tmp_path):
    task = make_task(3)
    task.pictures = lambda: {
        "as drawn": torch.zeros(2, 3, 8, 8), "smile +1": torch.zeros(2, 3, 8, 8),
        "my_own +1": torch.zeros(2, 3, 8, 8),
    }  # fmt: skip
    task.leakage = lambda: {n: {"smile": 0.5, "my_own": 0.1} for n in ("smile", "my_own")}
    fit(tmp_path / "seen", 10, task=task)
    view = widgets.TrainingMonitor(tmp_path, recipe="mapper-lesson", language="de")
    try:
        assert view.form["values"] == {}
        shown = {field["name"]: field["default"] for field in view.form["fields"]}
        assert shown["learning_rate"] == "0,001"
        view._change("field", {"name": "learning_rate", "value": "0,001"})
        assert view.form["values"] == {}, "the default, as the form shows it, is no change"
        view._change("field", {"name": "psi_low", "value": "0,25"})
        assert view.form["values"] == {"psi_low": "0,25"}
        view.select("seen")
        assert view.look["captions"] == ["wie gezeichnet", "Lächeln +1", "my_own +1"]
        assert view.look["labels"] == {"smile": "Lächeln", "my_own": "my own"}
        assert view.run["message"].startswith("Gesichert bei Schritt")
    finally:
        view.close()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "-7: seed is -7; allowed: a whole number from 0 to 4294967295",
            "Nr. ist -7; erlaubt: eine ganze Zahl von 0 bis 4294967295",
        ),
        (
            "filter: 'smlie' is not understood; did you mean smile?",
            "Filter: 'smlie' wird nicht verstanden; meintest du smile?",
        ),
        (
            "your.png: it claims too many pixels; allowed: at most 100 megapixels",
            "your.png: es gibt zu viele Pixel an; erlaubt: höchstens 100 Megapixel",
        ),
        ("your.png: not a picture file", "your.png: keine Datei, die sich als Bild lesen lässt"),
    ],
)
def test_what_is_refused_is_said_in_whole_german(line, wanted):
    assert Words.of("de").said(line) == wanted
