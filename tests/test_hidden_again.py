"""A list of hidden attributes comes and goes: what the views were asked for is there again."""

from __future__ import annotations

import pytest
from leaky_world import Follows, world
from open_world import Moves

from l2l_widgets import policy
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.policy import hide_attributes
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer
from l2l_widgets.widgets.compare.explorer_values import attribute_values
from l2l_widgets.widgets.words import Words


@pytest.fixture
def live(monkeypatch):
    """Hides from the views of this test alone."""
    monkeypatch.setattr(policy, "_listeners", [])
    yield hide_attributes
    hide_attributes(None)


@pytest.fixture
def session():
    session = EditSession(world(follows=Follows(), perfect=Moves()), method="follows", n_random=4)
    yield session
    session.close()


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_family_changes_its_place_when_its_first_row_is_hidden(language):
    words = Words.of(language)
    whole = words.translate(DEFAULT_TABLE)
    places = list(whole.families())
    less = words.translate(DEFAULT_TABLE.hide(["smile", "age"]))
    assert list(less.families()) == places
    assert list(whole.hide(["smile", "age"]).families()) == places
    assert [row.name for row in less.families()[places[1]]] == ["mouth_open", "eyes_open"]
    assert list(dict.fromkeys(row["family"] for row in attribute_values(less))) == places
    gone = DEFAULT_TABLE.hide([row.name for row in DEFAULT_TABLE.families()["Expression"]])
    assert "Expression" not in gone.families()
    assert sum(map(len, less.families().values())) == len(less)
    assert less.names == tuple(n for n in DEFAULT_TABLE.names if n not in ("smile", "age"))


def test_the_grid_compares_its_request_again_once_that_may_be_shown(live, session):
    grid = EditorGrid(session, request={"age": 0.2}, n_random=4)
    live(["age"])
    assert "age" not in grid.settings["request"]
    live(["age", "glasses"])
    assert grid.settings["request"] == {"gender": 0.3}
    live(None)
    assert grid.settings["request"] == {"age": 0.2}
    live(["age"])
    grid.ask({"smile": 0.1})
    live(None)
    assert grid.settings["request"] == {"smile": 0.1}, "what was asked for meanwhile"
    grid.close()


def test_the_explorer_has_its_rows_again_once_they_may_be_shown(live, session):
    view = EntanglementExplorer(session, attributes=("smile", "age"), faces=4)
    live(["age"])
    assert view.settings["attributes"] == ["smile"]
    live(["smile", "age"])
    assert not {"smile", "age"} & set(view.settings["attributes"])
    live(None)
    assert view.settings["attributes"] == ["smile", "age"]
    live(["smile"])
    view._handle({"kind": "plan", "attributes": ["beard"], "client": "p"})
    live(None)
    assert view.settings["attributes"] == ["beard"], "what was asked for meanwhile"
    view.close()
