"""A request of the sliders, cut to what the judge's scale has room for."""

from __future__ import annotations

import pytest
import torch
from leaky_world import world
from open_world import A, Moves
from test_entanglement_widgets import Page

from l2l_widgets import EditorGrid, EditSession
from l2l_widgets.evaluation.one_face import SideBySide
from l2l_widgets.session.references import attribute_judge
from l2l_widgets.session.states import SessionState
from l2l_widgets.widgets.compare import grid_request


def test_a_request_is_cut_to_the_judges_scale():
    side = SideBySide(world(fine=Moves()))
    high = torch.full((1, 2, A + 1), 0.9)
    now = float(attribute_judge(side.models)(side.models.generator.synthesis(high))[0, 0])
    assert 0.5 < now < 0.99
    name = side.models.table.names[0]
    fit = side.fitted(high, {name: 0.9})
    assert fit[name] == pytest.approx(1 - now, abs=2e-4)
    assert "no room" not in next(side.answers(high, fit)).reason
    assert side.fitted(high, {name: -0.3}) == {name: -0.3}
    full = torch.full((1, 2, A + 1), 5.0)
    assert side.fitted(full, {name: 0.9}) == {name: 0.9}  # nothing would be left


def test_the_origins_of_as_many_faces_are_known_as_undo_knows_steps(monkeypatch):
    monkeypatch.setattr(grid_request, "MAX_ORIGINS", 3)
    base, other = SessionState(100), SessionState(101)
    known = grid_request.Origins()
    for seed in (1, 2, 3, 1, 4):  # the first one is loaded again
        known.remember(SessionState(seed), base)
    found = {seed: known.get(SessionState(seed), other) for seed in (1, 2, 3, 4)}
    assert found == {1: base, 2: other, 3: base, 4: base}


def test_sliders_that_leave_the_judges_scale_are_cut_to_it_and_it_says_so():
    session = EditSession(
        world(perfect=Moves(), half=Moves(reach=0.5)), method="perfect", n_random=4
    )
    session.set_latent(torch.full((36,), 0.9))
    side = EditorGrid(session, request={"beard": -0.2}, n_random=4)
    session.set_changes({"age": 0.9, "smile": -0.3})
    assert Page(side).send("take") == ""
    found = side.answers()
    asked = side.settings["request"]
    assert asked["smile"] == -0.3
    assert 0.05 < asked["age"] < 0.2
    assert not any("no room" in answer.reason for answer in found.values())
    assert "Age +72\u202fyears; the judge's scale leaves room for Age +8" in side.status["note"]
    side.ask({"age": 0.9})  # who asks for this asks the judge
    assert all("no room" in answer.reason for answer in side.answers().values())
    assert side.status["note"] == ""
    side.close()
    session.close()
