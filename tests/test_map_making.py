"""How a map comes to be, and gets what it lacks: opened or drawn, read, looked at."""

from __future__ import annotations

import threading
import time

import pytest
from conftest import LinearEditor, build_directions
from test_code_map import lay_flat
from test_latent_map import COUNT, Page, code_map, session, wait_for  # noqa: F401  (fixtures)

from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.maps.files import save_map
from l2l_widgets.models.zoo import Models
from l2l_widgets.widgets import LatentMap


@pytest.mark.slow
def test_other_models_under_the_map_bring_their_own(session, code_map, tiny_parts):  # noqa: F811
    """Nothing lies beside these models: their map is drawn, UMAP and all."""
    view = LatentMap(session, code_map=code_map, count=100, hide=["gender"])
    page = Page(view)
    editors = {"other": LinearEditor(build_directions(8))}
    other = Models.from_parts(**tiny_parts, editors=editors, name="other")
    view.face.swap(other)
    assert view.schema["methods"] == ["other"]
    assert view.wait(120).code_map.models is other
    assert view.points["count"] == 100
    assert page.ask("trajectory", "trajectory", attribute="smile")["methods"][0]["name"] == "other"
    assert wait_for(lambda: len(view.points["spaces"]["w"]["seeds"]) == 5)
    assert wait_for(lambda: view.code_map.known == 100)
    assert "trustworthiness" in view.points["believed"]
    view.close()


def test_a_map_that_is_done_after_its_models_went_is_not_shown(session, tiny_parts, monkeypatch):  # noqa: F811
    gates = {"old": threading.Event(), "other": threading.Event()}
    drawing = {"old": threading.Event(), "other": threading.Event()}

    def draw(cls, models, count, **options):
        name = "other" if models.name == "other" else "old"
        made = cls(models, count, neighbours=8)
        lay_flat(made)  # in place of UMAP, which takes a random while
        drawing[name].set()
        assert gates[name].wait(120)
        return made

    monkeypatch.setattr(CodeMap, "draw", classmethod(draw))
    view = LatentMap(session, count=100)
    bridge = view._bridge
    assert drawing["old"].wait(120)
    maker = bridge._maker
    editors = {"other": LinearEditor(build_directions(8))}
    other = Models.from_parts(**tiny_parts, editors=editors, name="other")
    view.face.swap(other)
    assert drawing["other"].wait(120)
    gates["old"].set()
    maker.join(120)
    assert bridge.code_map is None
    assert not bridge.ready.is_set()
    gates["other"].set()
    assert view.wait(120).code_map.models is other
    view.close()


def test_a_saved_map_is_opened_and_a_wrong_one_is_said(session, code_map, tmp_path):  # noqa: F811
    path = tmp_path / "own.safetensors"
    save_map(code_map, path)
    view = LatentMap(session, code_map=path)
    assert view.wait(120).code_map.count == COUNT
    view.close()
    path.write_bytes(b"nothing")
    view = LatentMap(session, code_map=path)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        view.wait(120)
    assert view.progress["error"]
    view.close()


def test_a_map_that_was_not_read_is_read_while_it_is_shown(session, tiny_models):  # noqa: F811
    made = CodeMap(tiny_models, COUNT, neighbours=8)
    lay_flat(made)
    view = LatentMap(session, code_map=made)
    page = Page(view, visible=False)
    assert view.colour["name"] == "kept"
    time.sleep(0.4)
    assert made.known <= 64, "nobody looks: nothing is read"
    page.send("visible", visible=True)
    assert wait_for(lambda: made.known == COUNT)
    assert wait_for(lambda: view.atlas.get("count") == COUNT)
    view.close()


def as_saved(made, space):
    """Lay a space out, and forget what was seen in its faces: no file holds it."""
    lay_flat(made, space)
    del made._features[space]


def test_all_faces_are_looked_at_so_that_new_ones_have_a_place(session, code_map, monkeypatch):  # noqa: F811
    as_saved(code_map, "identity")
    monkeypatch.setattr(CodeMap, "lay_out", lay_flat)
    view = LatentMap(session, code_map=code_map)
    try:
        page = Page(view)
        page.send("visible", visible=True)
        page.send("points", space="identity", seed=0)
        assert wait_for(lambda: view.points["space"] == "identity")
        assert not view.points["placing"]
        page.send("path", points=[[-0.5, 0.0], [0.5, 0.2]])
        assert wait_for(lambda: "press Look at all faces" in (view.notice.get("error") or ""))
        page.send("look")
        assert wait_for(lambda: view.points["placing"])
        assert view.looking == {}
        page.send("path", points=[[-0.5, 0.0], [0.5, 0.2]])
        assert wait_for(lambda: len(view.strip.get("stops", ())) == 9)
        between = code_map.ws([2, 7]).mean(0, keepdim=True)  # a face that no seed has
        view.face.load(w=between, by="test")
        assert wait_for(lambda: view.loaded["seed"] is None and "before" in view.loaded)
        seeds = lambda: view.points["spaces"]["identity"]["seeds"]  # noqa: E731
        assert wait_for(lambda: seeds() == [0, 1, 2, 3, 4]), "what was seen lays out more maps"
        page.send("points", space="identity", seed=4)
        assert wait_for(lambda: view.points["seed"] == 4)
    finally:
        view.close()


def test_a_look_rests_while_nobody_sees_the_map_and_can_be_stopped(session, code_map):  # noqa: F811
    as_saved(code_map, "attributes")
    view = LatentMap(session, code_map=code_map)
    try:
        page = Page(view)
        page.send("visible", visible=False)
        page.send("points", space="attributes", seed=0)
        assert wait_for(lambda: view.points["space"] == "attributes")
        page.send("look")
        looking = view._bridge._looking._thread
        assert looking.name == "l2l-look"
        time.sleep(0.3)
        assert looking.is_alive()
        assert not view.points["placing"]
        page.send("look away")
        looking.join(120)
        assert not looking.is_alive()
        assert not code_map.at_hand("attributes")
        assert not view.points["placing"]
    finally:
        view.close()
