"""The map's widget without a browser: messages in, traits out."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import torch
from test_code_map import lay_flat

from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import FaceEditor, LatentMap
from l2l_widgets.widgets.latent_map.map_jobs import UNKNOWN
from l2l_widgets.widgets.stylesheet import STATIC

COUNT = 200
NAMES = ("points", "colour", "hover", "loaded", "comparison", "strip", "trajectory", "notice")


class Page:
    """What a browser does with a map: numbered messages, and the traits as they arrive."""

    def __init__(self, view, client="page", visible=True):
        self.view, self.client, self.number = view, client, 0
        self.seen = []
        for name in NAMES:
            view.observe(lambda change: self.seen.append(change["name"]), name)
        view.wait(120)
        if visible:
            self.send("visible", visible=True)

    def send(self, kind, **content):
        self.number += 1
        message = {"kind": kind, "client": self.client, "number": self.number, **content}
        self.view._handle_custom_msg(json.loads(json.dumps(message)), [])

    def ask(self, kind, answer, **content):
        """Send, wait for another value of a trait, and give it."""
        before = self.seen.count(answer)
        self.send(kind, **content)
        assert wait_for(lambda: self.seen.count(answer) > before), f"no {answer} for {kind}"
        return getattr(self.view, answer)

    def settle(self):
        for worker in list(self.view._bridge._workers.values()):
            assert worker.drain(120)


def wait_for(question, timeout=120.0):
    end = time.monotonic() + timeout
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def pixels(picture):
    data = torch.frombuffer(bytearray(picture["data"]), dtype=torch.uint8)
    return data.reshape(picture["height"], picture["width"], 3)


@pytest.fixture
def code_map(tiny_models):
    """A map that needs nothing more: two layouts, read by a regressor whose readings are known."""
    made = CodeMap(tiny_models, COUNT, neighbours=8)
    for seed in (0, 1):
        lay_flat(made, seed=seed)
    made.layouts["w", 1].coordinates.neg_()
    source = torch.Generator().manual_seed(1)
    made.readings = torch.randint(256, (COUNT, 35), generator=source).to(torch.uint8)
    made.known = COUNT
    return made


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def view(session, code_map):
    view = LatentMap(session, code_map=code_map)
    yield view
    view.close()


@pytest.fixture
def page(view):
    page = Page(view)
    assert wait_for(lambda: view.loaded), "the loaded face was never marked"
    page.settle()
    return page


def coordinates(points):
    return torch.from_numpy(np.frombuffer(points["coordinates"], np.float32).reshape(-1, 2).copy())


def test_the_map_is_shown_with_its_scale_and_the_loaded_face(view, page, code_map):
    points, colour = view.points, view.colour
    assert torch.equal(coordinates(points), code_map.layouts["w", 0].coordinates)
    assert points["spaces"]["w"]["seeds"] == [0, 1]
    assert points["spaces"]["identity"]["seeds"] == []
    assert colour["name"] == "age"
    assert (colour["low"], colour["high"], colour["unit"]) == (
        code_map.models.table["age"].low, code_map.models.table["age"].high, "years",
    )  # fmt: skip
    shown = np.frombuffer(colour["values"], np.uint8) / 254
    assert shown == pytest.approx(code_map.values("age").numpy(), abs=1 / 250)
    assert view.loaded["row"] == view.loaded["seed"] == 3
    assert view.loaded["before"] == pytest.approx(code_map.layouts["w", 0].coordinates[3].tolist())
    assert not view.loaded["edited"]
    done = {"text": "", "share": 1.0, "ready": True, "error": False}
    # its maker says so once the map is up, which the test's thread may have seen before
    assert wait_for(lambda: {k: v for k, v in view.progress.items() if k != "why"} == done)


def test_a_face_under_the_pointer_is_drawn_and_described(view, page, session):
    hover = page.ask("hover", "hover", row=17)
    assert (hover["row"], hover["seed"]) == (17, 17)
    session.set_seed(17)
    expected = session.render().before
    picture = pixels(hover["picture"]).permute(2, 0, 1).int()
    assert (picture - (expected * 127.5 + 127.5).round().clamp(0, 255).int()).abs().max() <= 1
    assert len(hover["named"]) == 5
    assert hover["believed"].keys() == {"kept", "trustworthiness", "continuity"}
    assert wait_for(lambda: view.answered["page"] == page.number)


def test_a_click_loads_the_face_into_every_view_of_the_session(view, page, session):
    editor = FaceEditor(session)
    page.send("load", row=42)
    assert wait_for(lambda: editor.settings["seed"] == 42)
    assert wait_for(lambda: view.loaded.get("seed") == 42)
    assert session.state.seed == 42
    editor.close()


def test_a_face_that_was_looked_at_is_up_before_the_session_has_drawn_it(view, page, session):
    hover = page.ask("hover", "hover", row=42)
    page.settle()
    page.seen.clear()
    with session._renderer._lock:  # nothing can be drawn meanwhile
        page.send("load", row=42)
        assert view.loaded["seed"] == 42
        assert view.loaded["picture"] == hover["picture"]
        assert "before_strangeness" not in view.loaded
    assert wait_for(lambda: "before_strangeness" in view.loaded)
    assert view.loaded["seed"] == 42


def test_a_face_loaded_elsewhere_is_marked_and_its_edit_too(view, page, session):
    session.request(seed=77, targets={"smile": 1.0})
    assert wait_for(lambda: view.loaded.get("seed") == 77 and "after" in view.loaded)
    assert view.loaded["row"] == 77
    assert view.loaded["edited"]
    assert view.loaded["after"] != view.loaded["before"]
    assert view.loaded["after_strangeness"] != view.loaded["before_strangeness"]
    session.request(seed=5000, targets={})
    assert wait_for(lambda: view.loaded.get("seed") == 5000)
    assert view.loaded["row"] is None
    assert len(view.loaded["before"]) == 2, "a face that is no point of the map has a place as well"


def test_a_click_takes_the_truncation_that_was_seen_and_is_one_step_of_undo(view, page, session):
    session.set_truncation(0.3)
    page.send("load", row=9)
    assert session.state.seed == 9
    assert session.state.truncation_psi == view.code_map.truncation_psi
    session.undo()
    assert (session.state.seed, session.state.truncation_psi) == (3, 0.3)


def test_the_maps_can_be_flipped_through_and_coloured(view, page, code_map):
    points = page.ask("points", "points", space="w", seed=1)
    assert torch.equal(coordinates(points), code_map.layouts["w", 1].coordinates)
    assert wait_for(
        lambda: view.loaded["before"] == pytest.approx(
            code_map.layouts["w", 1].coordinates[3].tolist())
    )  # fmt: skip
    colour = page.ask("colour", "colour", name="kept")
    assert colour["label"] == "Neighbours kept"
    assert colour["low"] < colour["high"]
    assert UNKNOWN not in np.frombuffer(colour["values"], np.uint8)
    assert "smlie" in page.ask("colour", "notice", name="smlie")["error"]
    assert page.ask("points", "points", space="w", seed=0)["seed"] == 0, "and the map goes on"
    assert view.colour["name"] == "kept"


def test_two_groups_are_compared(view, page):
    page.send("compare", a=[1, 2, 3], b=[])
    page.settle()
    assert view.comparison == {}
    comparison = page.ask("compare", "comparison", a=[1, 2, 3], b=list(range(50, 90)))
    assert comparison["counts"] == [3, 40]
    assert len(comparison["rows"]) == 35
    assert view.groups["a"] == [1, 2, 3]


def test_a_path_gives_a_strip_and_a_stop_can_be_loaded(view, page, session, code_map):
    ends = [code_map.layouts["w", 0].coordinates[row].tolist() for row in (5, 120)]
    strip = page.ask("path", "strip", points=ends)
    assert len(strip["stops"]) == 9
    assert strip["stops"][0]["seed"] == 5
    assert strip["stops"][1]["seed"] is None
    assert all(stop["picture"]["data"] for stop in strip["stops"])
    page.send("load", stop=1)
    assert torch.equal(session.state.w, view.path.ws[1:2])
    assert wait_for(lambda: view.loaded.get("seed", 0) is None)
    page.send("load", stop=0)
    assert session.state.seed == 5


def test_an_edits_way_is_drawn_and_a_point_of_it_becomes_the_edit(view, page, session):
    way = page.ask("trajectory", "trajectory", attribute="smile")
    assert [m["name"] for m in way["methods"]] == ["linear"]
    (method,) = way["methods"]
    assert len(method["asked"]) == len(method["placed"]) == len(method["strangeness"]) == 13
    page.send("edit", method="linear", step=12, attribute="smile")
    assert session.state.edits[-1].changes == {"smile": pytest.approx(method["asked"][12])}
    assert wait_for(lambda: view.loaded.get("edited") and "after" in view.loaded)
    assert view.loaded["after"] == pytest.approx(method["placed"][12], abs=1e-4)
    assert [w.method for w in view.ways] == ["linear"]


def test_what_is_drawn_over_the_map_follows_the_map_and_the_face(view, page, session, code_map):
    ends = [code_map.layouts["w", 0].coordinates[row].tolist() for row in (5, 120)]
    page.ask("path", "strip", points=ends)
    first = page.ask("trajectory", "trajectory", attribute="smile")
    page.send("points", space="w", seed=1)
    assert wait_for(lambda: view.trajectory and view.trajectory is not first and view.strip)
    place = code_map.layouts["w", 1].coordinates[5].tolist()
    assert view.strip["stops"][0]["placed"] == pytest.approx(place)
    assert view.strip["stops"][0]["drawn"] == view.strip["stops"][0]["placed"]
    middle = code_map.layouts["w", 1].coordinates[3].tolist()
    assert view.trajectory["methods"][0]["placed"][6] == pytest.approx(middle, abs=1e-4)
    page.send("load", row=50)
    assert wait_for(lambda: view.trajectory.get("seed") == 50)
    page.send("clear", what="trajectory")
    page.send("clear", what="strip")
    assert view.trajectory == view.strip == {}
    assert view.path is None
    page.send("load", row=51)
    assert wait_for(lambda: view.loaded.get("seed") == 51)
    page.settle()
    assert view.trajectory == {}


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("dance", {}, ("dance",)),
        ("hover", {"row": COUNT}, ("row", "200", "199")),
        ("load", {"row": -1}, ("row", "-1")),
        ("load", {"stop": 3}, ("stop", "3", "path")),
        ("points", {"space": "w", "seed": 9}, ("w/9", "w/0")),
        ("colour", {"name": "smiel"}, ("smiel", "smile")),
        ("compare", {"a": [1], "b": [2, 3]}, ("group a", "1 faces")),
        ("path", {"points": [[0, 0], [0, 0]]}, ("points", "same")),
        ("trajectory", {"attribute": "smiel"}, ("smiel",)),
        ("edit", {"method": "linear", "step": 1, "attribute": "age"}, ("method", "linear")),
        ("load", {}, ("stop",)),
    ],
)
def test_what_cannot_be_is_said_in_its_place_and_the_map_goes_on(view, page, kind, content, words):
    notice = page.ask(kind, "notice", **content)
    assert "\n" not in notice["error"]
    assert all(word in notice["error"] for word in words), notice["error"]
    assert wait_for(lambda: view.answered["page"] == page.number)
    assert page.ask("hover", "hover", row=1)["row"] == 1


def test_a_hidden_map_computes_nothing(view, page, session):
    page.send("visible", visible=False)
    page.settle()
    page.seen.clear()
    session.request(seed=8)
    assert session.drain(120)
    page.settle()
    assert page.seen == []
    page.send("visible", visible=True)
    assert wait_for(lambda: view.loaded.get("seed") == 8)


def test_a_burst_of_pointing_draws_few_faces(view, page):
    gate = threading.Event()
    worker = view._bridge._worker("hover")
    page.ask("hover", "hover", row=0)
    album = view._bridge._album
    plain, drawn = album.picture, []

    def slow(row):
        gate.wait(120)
        drawn.append(row)
        return plain(row)

    album.picture = slow
    for row in range(1, 40):
        page.send("hover", row=row)
    gate.set()
    assert worker.drain(120)
    assert len(drawn) <= 2
    assert view.hover["row"] == 39


def test_a_closed_map_hears_nothing_and_the_session_goes_on(view, page, session):
    view.close()
    page.seen.clear()
    session.request(seed=5)
    assert session.drain(120)
    assert page.seen == []
    assert session.render().error is None


def test_a_still_picture_stands_in_where_there_is_no_kernel(view, page, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    view._ipython_display_()
    assert wait_for(lambda: len(shown) >= 3 and "base64," in shown[-1][0][0].data)
    (still,), options = shown[-1]
    assert options == {"display_id": view.still, "update": True}
    assert "data:image/jpeg;base64," in still.data
    assert view.still in still.data
    assert "<td>Trust</td>" in still.data, "numbers stand beside the picture"
    assert "Run All Cells" in repr(view)
    ax = view.plot()
    assert len(ax.collections[-1].get_offsets()) == COUNT


def test_readings_of_its_faces_are_linked_to_it(view, code_map):
    (plot,) = view.linked_plot("smile", "age").data
    assert [panel.label for panel in plot.dimensions[2:]] == ["Smile (%)", "Age (years)"]
    assert len(plot.dimensions[0]["values"]) == code_map.count
    assert plot.text[0].startswith(f"face {code_map.seed_of(0)}<br>")
    with pytest.raises(ValueError, match="attribute is 'nose'; allowed: age"):
        view.linked_plot("nose")


def test_hidden_attributes_are_shown_nowhere(session, code_map):
    view = LatentMap(session, code_map=code_map, hide=["gender"])
    page = Page(view)
    names = [row["name"] for family in view.schema["families"] for row in family["rows"]]
    assert "gender" not in names
    comparison = page.ask("compare", "comparison", a=[1, 2], b=[3, 4])
    assert "gender" not in [row["attribute"] for row in comparison["rows"]]
    assert "gender" in page.ask("colour", "notice", name="gender")["error"]
    view.close()
    with pytest.raises(ValueError, match=r"gendre.*gender"):
        LatentMap(session, hide=["gendre"])
    for count in (63, 1_000_001, 100.0):
        with pytest.raises(ValueError, match=f"count is {count!r}; allowed: 64 to 1000000"):
            LatentMap(session, count=count)


def test_the_scripts_stay_within_the_page():
    script = LatentMap._esm
    assert "class MapCanvas" in script
    assert script.count("export default") == 1
    for name in ("latent_map/latent_map.css", "latent_map/map_panels.css"):
        text = (STATIC / name).read_text()
        assert "url(" not in text
