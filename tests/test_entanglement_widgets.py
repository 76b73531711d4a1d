"""The explorer and the grid without a browser: messages in, values out."""

from __future__ import annotations

import json
import threading
import time

import pytest
import torch
from leaky_world import Follows, Plants, world
from open_world import Moves, OpenWorld

from l2l_widgets import EditSession, Models
from l2l_widgets.entanglement import LeakageStudy
from l2l_widgets.evaluation import Plan, compare, write_report
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.latents import z_from_seed
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer

EIGHT = ("age", "beard")


def wait_for(question, timeout=120.0):
    end = time.monotonic() + timeout
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Page:
    """Sends what a browser sends."""

    def __init__(self, widget, client="page"):
        self.widget, self.client, self.number = widget, client, 0

    def send(self, kind, **content):
        self.number += 1
        message = {"kind": kind, "client": self.client, "number": self.number, **content}
        self.widget._handle_custom_msg(json.loads(json.dumps(message)), [])
        assert self.widget.answered[self.client] == self.number
        return self.widget.status["error"]


@pytest.fixture
def models():
    return world(plants=Plants(), follows=Follows(), perfect=Moves(), weak=Moves(reach=0.2))


def seeds_with_room(models, count):
    """Faces on which 0.3 more years can be seen."""
    age = models.table.index("age")
    seeds = range(200)
    ages = [float(models.generator.mapping(z_from_seed(s, 36))[0, 0, age]) for s in seeds]
    return [s for s, value in zip(seeds, ages, strict=True) if 0.2 < value < 0.6][:count]


@pytest.fixture
def session(models):
    first = seeds_with_room(models, 1)[0]
    session = EditSession(models, method="perfect", n_random=4, seed=first)
    yield session
    session.close()


@pytest.fixture
def explorer(session):
    explorer = EntanglementExplorer(session, attributes=EIGHT, faces=16)
    yield explorer
    explorer.close()


@pytest.fixture
def side(session):
    found = EditorGrid(session, request={"age": 0.3}, n_random=4)
    yield found
    found.close()


# -- the explorer ----------------------------------------------------------------------------------


def test_nothing_is_measured_before_it_is_asked_for(explorer):
    assert explorer.matrix["edited"] == []
    assert explorer.status["state"] == "ready"


def test_measuring_fills_the_matrix_and_the_planted_cell_stands_out(explorer):
    page = Page(explorer)
    assert page.send("start") is None
    assert explorer.wait(120)
    assert explorer.status["state"] == "finished"
    assert explorer.matrix["edited"] == list(EIGHT)
    smile = explorer.matrix["read"].index("smile")
    leaks = [
        (k, a)
        for k, row in enumerate(explorer.matrix["verdicts"])
        for a, verdict in enumerate(row)
        if verdict == "leak"
    ]
    assert leaks == [(0, smile)]
    assert explorer.matrix["drift"][0][smile] == pytest.approx(0.2, abs=1e-3)
    assert explorer.matrix["preview"]
    assert "PREVIEW, n = 16" in explorer.matrix["stamp"]
    assert json.dumps(explorer.matrix)  # NaN would not reach a browser


def test_a_cell_shows_its_faces_and_a_click_loads_one_everywhere(explorer, session):
    page = Page(explorer)
    page.send("show", method="follows")
    page.send("start")
    explorer.wait(120)
    page.send("cell", edited="age", read="smile")
    assert wait_for(lambda: explorer.cell.get("pairs"))
    captions = [pair["caption"] for pair in explorer.cell["pairs"]]
    assert captions == ["best: moved least", "worst: moved most"]
    assert len(explorer.cell["faces"]) == 16
    pair = explorer.cell["pairs"][0]
    assert pair["before"]["data"] != pair["after"]["data"]
    assert page.send("load", seed=pair["seed"]) is None
    assert session.state.seed == pair["seed"]
    page.send("show", method="perfect")
    assert explorer.cell == {}, "the faces of another method stay up"
    page.send("show", method="follows")
    page.send("cell", edited="age", read="nonsense")
    assert wait_for(lambda: "has not been measured" in explorer.cell.get("error", ""))


def test_two_methods_are_measured_on_the_same_faces_and_subtracted(explorer):
    page = Page(explorer)
    page.send("show", method="follows", against="perfect")
    page.send("start")
    explorer.wait(120)
    smile = explorer.matrix["read"].index("smile")
    assert explorer.against["method"] == "perfect"
    assert explorer.difference["signed"][0][smile] == pytest.approx(-0.2, abs=1e-3)
    assert page.send("show", method="nobody") == (
        "method is 'nobody'; allowed: plants, follows, perfect, weak"
    )


def test_out_of_sight_nothing_is_measured_and_in_sight_it_goes_on(explorer):
    page = Page(explorer)
    page.send("visible", visible=False)
    page.send("start")
    assert wait_for(lambda: explorer.status["state"] == "paused")
    assert explorer.matrix["edited"] == []
    page.send("visible", visible=True)
    assert explorer.wait(120)
    assert explorer.status["state"] == "finished"


def test_measure_after_stop_is_heard_while_the_row_is_still_running():
    gate, begun = threading.Event(), threading.Event()

    class Slow(Moves):
        def edit(self, w, request):
            begun.set()
            assert gate.wait(120)
            return super().edit(w, request)

    explorer = EntanglementExplorer(world(slow=Slow()), attributes=EIGHT, faces=8)
    page = Page(explorer)
    page.send("start")
    assert begun.wait(120)
    page.send("stop")
    page.send("start")
    gate.set()
    assert explorer.wait(120)
    assert explorer.status["state"] == "finished"
    assert explorer.matrix["edited"] == list(EIGHT)
    explorer.close()


def test_another_plan_keeps_rows_of_the_same_faces_and_refuses_nonsense(explorer):
    page = Page(explorer)
    page.send("start")
    explorer.wait(120)
    page.send("plan", faces=16, seed=0, attributes=["beard", "age", "hat"])
    assert explorer.matrix["edited"] == ["age", "beard"]
    page.send("plan", faces=12, seed=0, attributes=["age"])
    assert explorer.matrix["edited"] == []
    assert explorer.settings["faces"] == 12
    assert "faces is 'many'; allowed: an integer" in page.send("plan", faces="many")
    assert "attributes are empty" in page.send("plan", attributes=[])
    page.send("visible", visible=True)
    assert "attributes are empty" in explorer.status["error"], "a reason was wiped away unread"
    assert explorer.settings["faces"] == 12


def test_a_trajectory_follows_the_face(explorer, session):
    page = Page(explorer)
    page.send("trajectory", edited="age", faces="one")
    assert wait_for(lambda: explorer.trajectory.get("label") == f"face {session.state.seed}")
    ages = [row[explorer.schema["columns"].index("age")] for row in explorer.trajectory["mean"]]
    assert ages == sorted(ages)
    explorer.face.load(seed=5)
    assert wait_for(lambda: explorer.trajectory.get("label") == "face 5")
    page.send("visible", visible=False)
    explorer.face.load(seed=6)
    assert session.drain(120)
    explorer._worker.drain(120)
    assert explorer.trajectory["label"] == "face 5", "computed while hidden"
    page.send("visible", visible=True)
    assert wait_for(lambda: explorer.trajectory.get("label") == "face 6")
    page.send("trajectory", edited="age", faces="many")
    assert wait_for(lambda: explorer.trajectory["faces"] > 1)


def test_other_models_under_an_open_view_begin_anew(explorer):
    page = Page(explorer)
    page.send("start")
    explorer.wait(120)
    assert explorer.matrix["edited"]
    explorer.face.swap(world(perfect=Moves()))
    assert explorer.matrix["edited"] == []
    assert explorer.settings["method"] == "perfect"
    assert explorer.schema["methods"] == ["perfect"]
    assert page.send("start") is None
    explorer.wait(120)
    assert explorer.leakage().leaks() == []


def test_a_grid_takes_other_models_or_says_why_not(side):
    side.face.swap(world(perfect=Moves(), follows=Follows()))
    assert wait_for(lambda: {card["label"] for card in side.cards} == {"perfect", "follows"})
    side.face.swap(Models.from_parts(OpenWorld(), editors={"perfect": Moves()}, name="blind"))
    assert "hold no attribute judge" in side.status["error"]
    assert (side.cards, side.before) == ([], {}), "faces of another world stay up"
    assert side.answers() == {}
    assert "nothing is compared" in Page(side).send("ask", name="age", change=0.1)
    side.face.swap(world(perfect=Moves(), follows=Follows()))
    assert wait_for(lambda: {card["label"] for card in side.cards} == {"perfect", "follows"})
    assert side.status["error"] == ""


def test_a_broken_method_leaves_a_line_and_the_rest(session):
    class Breaks(Moves):
        def edit(self, w, request):
            raise RuntimeError("no weights")

    models = world(breaks=Breaks(), fine=Moves())
    explorer = EntanglementExplorer(models, attributes=EIGHT, faces=8)
    explorer.start()
    explorer.wait(120)
    assert explorer.matrix["failed"] == dict.fromkeys(EIGHT, "no weights")
    assert Page(explorer).send("nonsense") == "no such request: nonsense"
    explorer.close()


def test_a_report_opens_with_its_numbers(tmp_path):
    models = world(follows=Follows())
    plan = Plan(Protocol(attributes=EIGHT, faces=12, draws=50), parts=("equal",))
    found = compare(models, {"follows": [models.editor("follows")]}, plan, tmp_path)
    write_report(found, tmp_path, figures=False)
    explorer = EntanglementExplorer(models, report=tmp_path)
    assert explorer.matrix["edited"] == list(EIGHT)
    assert explorer.leakage().leaks() == [("age", "smile")]
    page = Page(explorer)
    page.send("cell", edited="age", read="smile")
    assert wait_for(lambda: explorer.cell.get("pairs"))
    assert "cannot be changed" in page.send("plan", faces=20)
    # other models under it: its numbers stand, and it says whose they are
    own, before = explorer.face.models, explorer.matrix
    other = Models.from_parts(
        OpenWorld(), attribute_judge=models.attribute_judge, editors={"follows": Follows()},
        name="other", hashes={"generator": "0" * 64},
    )  # fmt: skip
    explorer.face.swap(other)
    assert "report is of other models: generator is 000000000000..., the" in page.send("show")
    assert explorer.matrix == before
    assert explorer.cell == {}
    for kind, asked in (("load", {"seed": 3}), ("trajectory", {"edited": "age", "faces": "one"})):
        assert "of other models" in page.send(kind, **asked)
    assert explorer.face.state.seed != 3
    assert explorer.trajectory == {}
    explorer.face.swap(own)
    assert not page.send("show")
    explorer.close()
    # and where it is opened with other models, at once
    explorer = EntanglementExplorer(other, report=tmp_path)
    assert "of other models" in explorer.status["error"]
    explorer.close()
    with pytest.raises(ValueError, match=r"holds no report\.json"):
        EntanglementExplorer(models, report=tmp_path / "none")


def test_hidden_attributes_are_neither_rows_nor_columns(session):
    explorer = EntanglementExplorer(session, attributes=EIGHT, faces=8, hide=["smile", "beard"])
    explorer.start()
    explorer.wait(120)
    assert explorer.matrix["edited"] == ["age"]
    assert "smile" not in explorer.matrix["read"]
    assert "smile" not in {row["name"] for row in explorer.schema["attributes"]}
    explorer.close()


@pytest.mark.slow
def test_without_a_front_end_there_is_a_picture_and_a_table(explorer, monkeypatch):
    explorer.start()
    explorer.wait(120)
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda *a, **k: shown.append((a[0], k)), raising=True
    )
    explorer._ipython_display_()
    html = shown[-1][0].data
    assert "data:image/jpeg;base64," in html
    assert "<td>Age</td><td>Smile</td>" in html
    assert "Run All Cells" in repr(explorer)


# -- the grid --------------------------------------------------------------------------------------


def test_every_method_has_a_card_at_equal_change(side):
    answers = side.answers()
    assert set(answers) == {"plants", "follows", "perfect", "weak"}
    assert wait_for(lambda: side.status["state"] == "ready")
    cards = {card["title"]: card for card in side.cards}
    for name in ("plants", "follows", "perfect"):
        assert cards[name]["reached"]
        assert cards[name]["achieved"]["age"] == pytest.approx(0.3, abs=0.01)
        assert cards[name]["seconds"] >= 0
    assert not cards["weak"]["reached"]
    assert "reaches +16 years of +24 years" in cards["weak"]["reason"]
    assert cards["follows"]["movers"][0]["name"] == "smile"
    assert cards["perfect"]["others"] < 1e-3 < cards["follows"]["others"]
    assert json.dumps([{k: v for k, v in c.items() if k != "picture"} for c in side.cards])


def test_blind_the_page_is_told_no_name_until_it_is_revealed(side):
    page = Page(side)
    page.send("blind", blind=True)
    side.answers()
    assert wait_for(lambda: side.status["state"] == "ready")
    assert [card["title"] for card in side.cards] == ["A", "B", "C", "D"]
    state = {k: str(v) for k, v in side.get_state().items() if k != "layout"}
    told = " ".join(v for k, v in state.items() if k not in ("_esm", "_css"))
    for name in ("plants", "follows", "perfect", "weak"):
        assert f"'{name}'" not in told
    assert not {"seconds", "strength"} & {key for card in side.cards for key in card}
    good = next(card["label"] for card in side.cards if card["reached"])
    bad = next(card["label"] for card in side.cards if not card["reached"])
    assert page.send("vote", label=good) == ""
    assert side.settings["vote"] == good
    assert side.settings["tally"] == {}
    assert "allowed: a picture that reached" in page.send("vote", label=bad)
    page.send("reveal")
    assert side.settings["tally"] == side.tally() == {side.votes[0]["method"]: 1}
    titles = [card["title"] for card in side.cards]
    assert f"{good}: {side.votes[0]['method']}" in titles
    assert [vote["blind_seed"] for vote in side.votes] == [0]
    page.send("vote", label=good)
    assert [vote["blind_seed"] for vote in side.votes] == [None], "by who could read the name"


def test_blind_the_still_tells_no_name_either(monkeypatch):
    class Telltale(Moves):
        def edit(self, w, request):
            raise RuntimeError("telltale has no weights")

    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append(a[0]))
    models = world(telltale=Telltale(), perfect=Moves())
    session = EditSession(models, method="perfect", n_random=4, seed=seeds_with_room(models, 1)[0])
    side = EditorGrid(session, request={"age": 0.3}, n_random=4, blind=True)
    side.answers()
    side._ipython_display_()
    still = shown[-1].data
    assert "<td>A</td>" in still
    assert "cannot do this on this face" in still
    assert "telltale" not in still
    assert "perfect" not in still
    side.reveal()
    assert "telltale has no weights" in shown[-1].data
    side.close()
    session.close()


def test_the_grid_says_what_was_asked_in_the_readers_words_and_units(session):
    for language, wanted in (("en", "Age +24\u202fyears"), ("de", "Alter +24\u202fJahre")):
        grid = EditorGrid(session, request={"age": 0.3}, n_random=4, language=language)
        assert wanted in grid._about(), grid._about()
        grid.close()


def test_a_second_vote_on_the_same_picture_takes_the_place_of_the_first(side):
    page = Page(side)
    page.send("blind", blind=True)
    side.answers()
    reached = [card["label"] for card in side.cards if card.get("reached")]
    page.send("vote", label=reached[0])
    page.send("vote", label=reached[1])
    assert [vote["label"] for vote in side.votes] == [reached[1]]


def test_the_letters_change_with_the_face_and_can_be_had_again(side):
    page = Page(side)
    page.send("blind", blind=True)

    def order(seed):
        side.face.load(seed=seed)
        assert wait_for(lambda: side.before.get("seed") == seed and side._worker.drain(120))
        return tuple(side._labels.values())

    orders = [order(seed) for seed in (11, 12, 13, 14, 15, 16)]
    assert len(set(orders)) > 1
    assert order(11) == orders[0]


def test_the_grid_follows_the_face_and_loads_an_answer_everywhere(side, session, models):
    page, other = Page(side), seeds_with_room(models, 2)[1]
    page.send("face", seed=other)
    assert wait_for(lambda: side.before.get("seed") == other)
    side.answers()
    after = side.answers()["perfect"].w
    page.send("load", label="perfect")
    assert session.state.seed == other
    assert torch.allclose(session.render().w_edited, after)
    assert "seed" in page.send("face", seed=-1)


def test_the_request_of_the_sliders_is_taken(side, session):
    page = Page(side)
    assert "the sliders ask for nothing" in page.send("take")
    session.set_changes({"smile": 0.2})  # this face has room for it: nothing is cut
    assert page.send("take") == ""
    assert side.settings["request"] == {"smile": 0.2}
    assert "unknown" in page.send("ask", name="agee", change=0.1)
    assert side.answers()
    assert side.settings["request"] == {"smile": 0.2}


def test_a_grid_out_of_sight_waits(side, session):
    side.answers()
    page, first = Page(side), session.state.seed
    page.send("visible", visible=False)
    side.face.load(seed=first + 1)
    assert session.drain(120)
    assert side._worker.drain(120)
    assert side.before["seed"] == first
    page.send("visible", visible=True)
    assert wait_for(lambda: side.before["seed"] == first + 1)


def test_a_face_without_room_is_a_reason_in_its_place(models):
    session = EditSession(models, method="perfect", n_random=4)
    session.set_latent(torch.full((36,), 0.9))
    side = EditorGrid(session, request={"age": 0.3}, n_random=4)
    side.answers()
    assert wait_for(lambda: side.status["state"] == "ready")
    assert all("no room" in card["reason"] for card in side.cards)
    with pytest.raises(ValueError, match="the request is empty"):
        EditorGrid(session, request={})
    side.close()
    session.close()


def test_a_new_request_ends_the_old_comparison(models):
    gate = threading.Event()

    class Slow(Moves):
        def edit(self, w, request):
            assert gate.wait(120)
            return super().edit(w, request)

    session = EditSession(world(slow=Slow(), perfect=Moves()), method="perfect", n_random=4)
    side = EditorGrid(session, request={"age": 0.3}, n_random=4)
    side.ask({"age": 0.1})
    side.ask({"age": -0.1})
    gate.set()
    found = side.answers()
    assert {name: a.receipt.requested for name, a in found.items()} == {
        "slow": {"age": -0.1}, "perfect": {"age": -0.1},
    }  # fmt: skip
    side.close()
    session.close()


def test_the_study_of_the_explorer_is_the_plain_one(explorer):
    assert isinstance(explorer.study, LeakageStudy)
    assert explorer.leakage().method == "plants"
