"""Every view that names attributes names them, and their units, in the reader's language."""

from __future__ import annotations

import json

import pytest

import l2l_widgets as l2l

VIEWS = {
    "Gallery": lambda session, **words: l2l.Gallery(session, "smile", **words),
    "InterpolationView": lambda session, **words: l2l.InterpolationView(session, frames=2, **words),
    "EditorGrid": lambda session, **words: l2l.EditorGrid(
        session, request={"smile": 0.1}, n_random=4, **words
    ),
    "EntanglementExplorer": lambda session, **words: l2l.EntanglementExplorer(
        session, faces=2, attributes=("smile",), chance=2, **words
    ),
    "LatentMap": lambda session, **words: l2l.LatentMap(session, count=50, **words),
}


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
    english = l2l.Presenter([("Go", {"smile": 0.3})], session, language="en")
    english._on_event("receipt", session.measure())
    assert "dentity kept" in english.moved
    english.close()
    presenter.close()
