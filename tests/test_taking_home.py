"""Every picture of a view can be taken home: as a file that replays, and as code that runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from leaky_world import Follows, world
from open_world import Moves
from PIL import Image
from test_clicked_faces import Corrects, Page, Truncates, ask_something, seed_with_room
from test_code_map import lay_flat
from test_widgets import wait_for

from l2l_widgets import EditorGrid, EditSession, EntanglementExplorer, Gallery, LatentMap, load
from l2l_widgets.images import to_uint8
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.models import zoo
from l2l_widgets.session.replay import parse_recipe, read_recipe
from l2l_widgets.session.states import Edit, same_latent
from l2l_widgets.walks.as_code import walk_code
from l2l_widgets.walks.files import read_walk
from l2l_widgets.walks.interpolation import Interpolator, Walk
from l2l_widgets.widgets.latent_map.map_strip import walk_of_path
from l2l_widgets.widgets.words import Words


@pytest.fixture
def sent(monkeypatch):
    """What views send to their pages."""
    messages = []
    monkeypatch.setattr(
        "l2l_widgets.widgets.view.View.send",
        lambda self, content, buffers=None: messages.append(content),
    )
    return messages


def is_drawn(picture, image):
    """Whether a picture that a page has is this one, (3, R, R); batches differ in the last bits."""
    shown = torch.frombuffer(bytearray(picture["data"]), dtype=torch.uint8)
    drawn = to_uint8(image).permute(1, 2, 0).flatten()
    return bool((shown.int() - drawn.int()).abs().max() <= 1)


def taken(view, sent, **which):
    """Take a face home in both ways: its saved recipe, which is that of the text, and the text."""
    page = Page(view)
    old = view.notice.get("count"), len(sent)
    page.send("save", **which)
    assert wait_for(lambda: view.notice.get("count") != old[0])
    assert view.notice["error"] is None
    page.send("text", **which)
    assert wait_for(lambda: len(sent) > old[1])
    assert (sent[-1]["type"], sent[-1]["client"]) == ("text", "page"), "no page's business"
    return view.notice["path"], sent[-1]


def replayed(models, path, text):
    """The latent that a saved picture describes; its text says the same."""
    saved, said = read_recipe(path), parse_recipe(text["recipe"])
    assert f'.png", scale={saved.picture["scale"]})' in text["code"], "two files of one face"
    assert replace(said, picture=saved.picture).to_dict() == saved.to_dict()
    session = EditSession.from_recipe(models, saved)
    result = session.render()
    session.close()
    assert result.error is None
    return result, saved


@pytest.fixture
def world_session(monkeypatch):
    monkeypatch.setattr("leaky_world.OpenWorld", Truncates)
    models = world(perfect=Moves(), follows=Follows(), corrects=Corrects())
    session = EditSession(models, method="perfect", n_random=4, seed=seed_with_room(models))
    ask_something(session)  # what the sliders ask for is no part of what is shown elsewhere
    yield session
    session.close()


def test_a_card_is_taken_home_with_method_and_strength(world_session, tmp_path, sent):
    grid = EditorGrid(world_session, request={"age": 0.2}, n_random=4, folder=tmp_path)
    answers, page = grid.answers(), Page(grid)
    assert wait_for(lambda: grid.status["state"] == "ready")
    assert all(card["can_take"] for card in grid.cards)
    path, text = taken(grid, sent, label="follows")
    result, recipe = replayed(grid.face.models, path, text)
    assert same_latent(result.w_edited, answers["follows"].w)
    assert recipe.seed == world_session.state.seed
    assert recipe.edits == (Edit("follows", answers["follows"].changes),)
    assert grid.notice["name"] == f"face-{recipe.seed}-age.png"
    assert "session.update(changes={'age'" in text["code"]
    assert text["what"] == "follows"
    # one that the session would make otherwise is its latent
    path, text = taken(grid, sent, label="corrects")
    assert grid.notice["name"] == "face.png"
    result, recipe = replayed(grid.face.models, path, text)
    assert same_latent(result.w_edited, answers["corrects"].w)
    assert recipe.edits == ()
    # blind, nobody is told whose card it is
    page.send("blind", blind=True)
    grid.answers()
    assert wait_for(lambda: grid.status["state"] == "ready" and "A" in grid._labels)
    assert not any(card["can_take"] for card in grid.cards)
    files, said = sorted(tmp_path.iterdir()), len(sent)
    for kind in ("save", "text"):
        page.send(kind, label="A")
        assert "reveal first" in grid.status["error"]
        assert "aufdecken" in Words.of("de").said(grid.status["error"])
    assert (sorted(tmp_path.iterdir()), len(sent)) == (files, said)
    page.send("reveal")
    page.send("text", label="A")
    assert sent[-1]["what"] == "A"
    grid.close()


def test_an_edited_face_behind_a_cell_is_taken_home(world_session, tmp_path, sent):
    explorer = EntanglementExplorer(
        world_session, method="follows", attributes=("age",), faces=12, folder=tmp_path,
        language="de",
    )  # fmt: skip
    explorer.start()
    assert explorer.wait(120)
    page = Page(explorer)
    page.send("save", seed=3)
    assert "aus einem Paar" in explorer.status["error"]
    page.send("cell", edited="age", read="smile")
    assert wait_for(lambda: explorer.cell.get("pairs"))
    pair = explorer.cell["pairs"][-1]
    path, text = taken(explorer, sent, seed=pair["seed"], edited=True)
    result, recipe = replayed(explorer.face.models, path, text)
    assert (recipe.seed, recipe.edits[0].method) == (pair["seed"], "follows")
    assert is_drawn(pair["after"], result.after)
    assert text["what"] == f"Gesicht {pair['seed']}"
    path, text = taken(explorer, sent, seed=pair["seed"], edited=False)
    result, recipe = replayed(explorer.face.models, path, text)
    assert (recipe.seed, recipe.edits) == (pair["seed"], ())
    assert is_drawn(pair["before"], result.before)
    explorer.close()


def test_a_face_of_the_gallery_is_taken_home_as_it_is_shown(tiny_models, tmp_path, sent):
    session = EditSession(tiny_models, method="linear", seed=3, truncation_psi=0.5, n_random=4)
    ask_something(session)
    gallery = Gallery(session, page_size=6, folder=tmp_path)
    assert gallery.wait(120)
    path, text = taken(gallery, sent, seed=4)
    result, recipe = replayed(tiny_models, path, text)
    assert (recipe.seed, recipe.truncation_psi, recipe.edits) == (4, 0.5, ())
    assert is_drawn(gallery.page["items"][4]["picture"], result.after)
    assert session.state.seed == 3, "nothing is loaded by it"
    for wrong in (77, "four", None):
        Page(gallery).send("save", seed=wrong)
        assert "is not there" in gallery.notice["error"]
    gallery.close()
    session.close()


def test_a_path_of_a_map_is_taken_home_as_a_walk(tiny_models, tmp_path, sent):
    code_map = CodeMap(tiny_models, 200, neighbours=8)
    lay_flat(code_map, seed=0)
    view = LatentMap(EditSession(tiny_models, "linear"), code_map=code_map, folder=tmp_path)
    view.wait(120)
    page = Page(view)
    for kind in ("save", "text"):
        page.send(kind)
        assert wait_for(lambda: "there is no path" in (view.notice.get("error") or ""))
    page.send("path", points=[code_map.layouts["w", 0].coordinates[r].tolist() for r in (5, 120)])
    assert wait_for(lambda: view.strip.get("stops"))
    path, text = taken(view, sent)
    walk = read_walk(path, tiny_models)
    with Image.open(path) as strip:
        assert f"strip, scale={strip.height // 32})" in text["code"], "two files of one path"
    assert walk.key() == read_walk(json.loads(text["recipe"])).key()
    assert walk.key() == walk_of_path(code_map, view.path).key()
    seeds = [stop["seed"] for stop in view.strip["stops"]]
    assert walk.faces == tuple(seed for seed in seeds if seed is not None)
    strip = Interpolator(tiny_models).draw(walk)
    assert same_latent(strip.ws, view.path.ws), "the stops are the frames"
    assert text["what"] == path.rpartition("/")[2].removesuffix(".png")
    view.close()


@pytest.mark.parametrize("kind", ["seeds", "latent"])
def test_the_code_of_a_walk_draws_the_same_frames(tiny_world, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    monkeypatch.chdir(tmp_path)
    models = load()
    last = torch.randn(models.generator.num_ws, models.generator.w_dim)
    faces = (3, 8, 5) if kind == "seeds" else (3, last)
    space = "w" if kind == "seeds" else "w+"
    walk = Walk(faces, space=space, frames=5, truncation_psi=0.6)
    code, scope = walk_code(models, walk), {}
    exec(compile(code, "walk.py", "exec"), scope)
    assert torch.equal(scope["strip"].images, Interpolator(models).draw(walk).images)
    (saved,) = tmp_path.glob("walk-3-*.png")
    assert read_walk(saved, models).frames == 5
    if kind == "seeds":
        assert "Walk((3, 8, 5), space='w', frames=5, truncation_psi=0.6)" in code


def test_a_full_disk_is_a_line_in_the_view(tiny_models, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    gallery = Gallery(tiny_models, page_size=4, folder=tmp_path)
    assert gallery.wait(120)
    monkeypatch.setattr("l2l_widgets.images.write_atomic", full)
    Page(gallery).send("save", seed=1)
    assert "No space left" in gallery.notice["error"]
    assert list(tmp_path.iterdir()) == []
    gallery.close()
