"""Other models under open views of what was measured: nothing of the old ones stays."""

from __future__ import annotations

import pytest
from leaky_world import Follows, world
from open_world import Moves, OpenWorld, Reads
from test_widgets import wait_for

from l2l_widgets import EditSession, Models
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer


@pytest.fixture
def session():
    session = EditSession(
        world(perfect=Moves(), weak=Moves(reach=0.2)), method="perfect", n_random=4
    )
    yield session
    session.close()


def said(view, kind, **content):
    """What a view answers to a message of its page."""
    view._handle_custom_msg({"kind": kind, "client": "page", "number": 1, **content}, [])
    return view.status["error"]


@pytest.mark.parametrize("given", ["assigned", "set"])
def test_models_that_a_session_itself_is_given_are_taken_by_every_open_view(session, given):
    grid = EditorGrid(session, request={"age": 0.3}, methods=["perfect", "weak"], n_random=4)
    explorer = EntanglementExplorer(session, attributes=("age",), faces=8)
    other = narrow_world(perfect=Moves(), follows=Follows())
    if given == "assigned":
        session.models = other
    else:
        session.set_models(other)
        session.request()
    assert session.drain(120)
    for view in (grid, explorer):
        known = lambda v=view: {row["name"] for row in v.schema["attributes"]}  # noqa: E731
        assert wait_for(lambda k=known: k() == {"smile", "beard"})
        view.close()


def narrow_world(**editors):
    """Models whose judges know two attributes of the table."""

    class Narrow(Reads):
        attributes = ("smile", "beard")

        def __call__(self, images):
            return super().__call__(images)[:, [DEFAULT_TABLE.index(n) for n in self.attributes]]

    return Models.from_parts(
        OpenWorld(), attribute_judge=Narrow(), table=DEFAULT_TABLE.subset(Narrow.attributes),
        editors=editors, name="narrow",
    )  # fmt: skip


def test_a_table_of_other_models_is_taken_by_every_open_view(session):
    grid = EditorGrid(session, request={"age": 0.3}, methods=["perfect", "weak"], n_random=4)
    explorer = EntanglementExplorer(session, attributes=("age",), faces=8, hide=["hat"])
    explorer.face.swap(narrow_world(perfect=Moves(), follows=Follows()))
    for view in (grid, explorer):
        names = [row["name"] for row in view.schema["attributes"]]
        assert sorted(names) == ["beard", "smile"]
    assert grid.side.methods == ("perfect",), "the methods that were asked for"
    assert set(grid.settings["request"]) <= {"beard", "smile"}
    assert set(explorer.settings["attributes"]) <= {"beard", "smile"}
    assert explorer.study.models is session.models
    explorer.face.swap(Models.from_parts(OpenWorld(), attribute_judge=Reads(), name="bare"))
    for kind in ("start", "plan"):
        assert "models: models 'bare' have no editing method; allowed:" in said(explorer, kind)
    assert explorer.matrix == {}
    assert "nothing is compared" in grid.status["error"]
    anew = EntanglementExplorer(session, attributes=("age",), faces=8)
    assert "have no editing method; allowed: models with one" in anew.status["error"]
    assert anew._still_parts() is None, "said in words, which need no method"
    for view in (grid, explorer, anew):
        view.close()


def test_a_folder_of_other_models_is_left_alone(session, tmp_path):
    explorer = EntanglementExplorer(session, attributes=("age",), faces=8, folder=tmp_path)
    other = Models.from_parts(
        OpenWorld(), attribute_judge=Reads(), editors={"perfect": Moves()}, name="other"
    )
    explorer.face.swap(other)
    assert "rows are not kept from now on" in explorer.status["error"]
    assert explorer.study.models is other
    explorer.close()
