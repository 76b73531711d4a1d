"""How a map follows the loaded face: at once for another face, after a rest for a slider."""

from __future__ import annotations

from test_latent_map import code_map, page, session, view, wait_for  # noqa: F401  (fixtures)

from l2l_widgets.widgets.latent_map import map_bridge


def test_a_slider_is_not_followed_picture_by_picture(view, page, session, monkeypatch):  # noqa: F811
    assert session.drain(120)
    page.settle()
    page.seen.clear()
    monkeypatch.setattr(map_bridge, "REST", 60.0)
    for smile in (0.3, 0.6, 0.9):
        session.request(targets={"smile": smile}, measure=False, preview=True)
        assert session.drain(120)
    assert "loaded" not in page.seen
    monkeypatch.setattr(map_bridge, "REST", 0.01)
    session.request()  # the finger rests
    assert wait_for(lambda: view.loaded["stamp"] == session.stamp)
    assert view.loaded["edited"]
    page.settle()
    assert page.seen.count("loaded") == 1


def test_an_edited_face_of_the_map_is_up_before_its_place_is_known(view, page, session):  # noqa: F811
    session.request(targets={"smile": 0.9})
    assert wait_for(lambda: "after" in view.loaded)
    page.settle()
    told = []
    view.observe(lambda change: told.append(change["new"]), "loaded")
    page.send("load", row=42)
    assert wait_for(lambda: len(told) == 2)
    early, whole = told
    assert early["seed"] == whole["seed"] == 42
    assert early["edited"]
    assert early["before"] == whole["before"]
    assert early["picture"] == whole["picture"]
    assert "after" not in early
    assert len(whole["after"]) == 2
