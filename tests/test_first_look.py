"""The explorer shows something before anybody has pressed Measure, and only to who looks."""

from __future__ import annotations

import pytest
from leaky_world import Follows, world
from open_world import Moves
from test_entanglement_widgets import Page, wait_for
from test_stills import shown  # noqa: F401  (a fixture)

from l2l_widgets import EditSession
from l2l_widgets.widgets import EntanglementExplorer
from l2l_widgets.widgets.compare import entanglement_explorer

ROWS = ("age", "beard")


@pytest.fixture
def models():
    return world(follows=Follows(), perfect=Moves())


@pytest.fixture
def session(models):
    return EditSession(models, method="perfect", n_random=4)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A display waits for its first look however slow the machine is."""
    monkeypatch.setattr(entanglement_explorer, "ALONE", 120.0)


@pytest.fixture
def explorer(session):
    explorer = EntanglementExplorer(session, attributes=ROWS, faces=16, chance=8)
    yield explorer
    explorer.close()


def looked(explorer):
    """Wait until the first look has ended."""
    assert wait_for(lambda: explorer._first.progress.state == "finished")
    assert wait_for(lambda: not explorer.status["first_look"])


def test_it_begins_when_a_page_shows_the_view_and_says_of_how_many_faces(explorer):
    assert explorer.matrix["edited"] == []
    Page(explorer).send("visible", visible=True)
    looked(explorer)
    assert explorer.matrix["edited"] == list(ROWS)
    assert explorer.matrix["first_look"]
    assert "PREVIEW, n = 8 faces, face seed 0" in explorer.matrix["stamp"]
    assert (explorer.status["first_done"], explorer.status["first_total"]) == (2, 2)
    # what was planned still waits for its button
    assert (explorer.status["state"], explorer.settings["faces"]) == ("ready", 16)
    assert not explorer.study.measured("follows", "age")
    assert "8 faces" in explorer.leakage().stamp()


def test_a_cell_of_it_shows_the_faces_behind_it(explorer):
    page = Page(explorer)
    page.send("visible", visible=True)
    looked(explorer)
    page.send("cell", edited="age", read="smile")
    assert wait_for(lambda: explorer.cell.get("pairs"))
    assert len(explorer.cell["faces"]) == 8


def test_what_was_planned_takes_its_place(explorer):
    page = Page(explorer)
    page.send("visible", visible=True)
    looked(explorer)
    page.send("start")
    assert explorer.wait(120)
    assert wait_for(lambda: "n = 16" in explorer.matrix["stamp"])
    assert not explorer.matrix["first_look"]
    assert not explorer.status["first_look"]


def test_it_follows_the_method_the_seed_and_the_attributes(explorer):
    page = Page(explorer)
    page.send("visible", visible=True)
    looked(explorer)
    page.send("show", method="perfect")
    assert wait_for(lambda: explorer.matrix["edited"] == list(ROWS))
    assert explorer.matrix["method"] == "perfect"
    page.send("plan", faces=16, seed=3, attributes=["hat"])
    assert wait_for(lambda: explorer.matrix["edited"] == ["hat"])
    assert "face seed 3" in explorer.matrix["stamp"]


def test_nobody_looks_and_nothing_is_measured(explorer):
    page = Page(explorer)
    page.send("visible", visible=False)
    page.send("show", method="perfect")
    page.send("plan", faces=12, seed=0, attributes=list(ROWS))
    assert explorer._first._study is None, "a first look has begun"
    assert explorer.matrix["edited"] == []


def test_where_there_is_no_page_a_display_leaves_a_picture_and_a_table(explorer, shown):  # noqa: F811
    explorer._ipython_display_()
    still = shown[explorer.still]
    assert "data:image/jpeg;base64," in still
    assert "2 attributes edited by 0.3 on 8 faces" in still, "not on those that were planned"
    table = still.partition("<table>")[2]
    assert "<td>Age</td><td>Smile</td><td>+0.200</td>" in table
    assert explorer.matrix["first_look"]
    assert not explorer.study.measured("follows", "age"), "what was planned waits for start()"


def test_what_is_undecided_is_called_so_where_nothing_leaks(models, shown):  # noqa: F811
    explorer = EntanglementExplorer(models, method="perfect", attributes=ROWS, faces=16, chance=8)
    explorer._ipython_display_()
    table = shown[explorer.still].partition("<table>")[2]
    assert table.count("undecided") == 5
    explorer.close()


def test_a_display_that_no_page_shows_yet_rests_when_one_says_so(explorer):
    explorer._is_alone = True  # as it was thought
    Page(explorer).send("visible", visible=False)
    explorer._look()
    assert explorer._first._study is None, "a first look has begun"


@pytest.mark.parametrize(("metadata", "comes"), [({"cellId": "4f1c"}, True), ({}, False)])
def test_a_page_that_will_come_is_not_kept_waiting(explorer, metadata, comes, monkeypatch):
    class Shell:
        class kernel:  # noqa: N801  (as a shell names it)
            @staticmethod
            def get_parent():
                return {"metadata": metadata}

    monkeypatch.setattr("IPython.get_ipython", Shell)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    explorer._ipython_display_()
    assert (explorer._first._study is None) == comes


def test_a_second_explorer_of_the_same_models_has_it_at_once(explorer, session):
    Page(explorer).send("visible", visible=True)
    looked(explorer)
    drawn = []
    plain = session.models.generator.synthesis
    session.models.generator.synthesis = lambda *a, **k: drawn.append(1) or plain(*a, **k)
    second = EntanglementExplorer(session, attributes=ROWS, faces=16, chance=8)
    try:
        Page(second).send("visible", visible=True)
        looked(second)
        assert second.matrix["edited"] == list(ROWS)
        assert drawn == []
    finally:
        second.close()


def test_it_is_small_and_a_dragged_slider_waits_for_little(session):
    explorer = EntanglementExplorer(session, attributes=session.models.table.names, faces=4000)
    try:
        made = explorer._first._made_for(explorer.study)
        assert (made.protocol.faces, made.protocol.batch, made.chance) == (8, 8, 8)
        assert len(made.protocol.attributes) == 8
    finally:
        explorer.close()
