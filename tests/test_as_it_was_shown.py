"""What is saved or loaded is the picture that was clicked, though the session has gone on since."""

from __future__ import annotations

import threading

import pytest
import torch
from test_clicked_faces import Page, drawn
from test_code_map import lay_flat
from test_taking_home import is_drawn
from test_widgets import wait_for

from l2l_widgets import EditorGrid, EditSession, Gallery, InterpolationView, LatentMap
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.walks.files import read_walk
from l2l_widgets.widgets.taking_home import save_strip


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


# -- a page of faces -------------------------------------------------------------------------------


@pytest.fixture
def gallery(session, tmp_path):
    """A gallery whose page is of before: it is not looked at while the session goes on."""
    gallery = Gallery(session, page_size=2, folder=tmp_path)
    assert gallery.wait(120)
    assert gallery.page["items"]
    Page(gallery).send("visible", visible=False)
    session.update(noise_mode="none")
    SharedFace.of(session).load(seed=3, truncation_psi=0.1)
    assert gallery._psi == 0.1
    yield gallery
    gallery.close()


@pytest.mark.parametrize("kind", ["save", "load"])
def test_a_face_of_a_page_is_taken_as_it_is_shown(gallery, session, kind):
    page, shown = Page(gallery), gallery.page["items"][1]
    page.send(kind, seed=shown["seed"])
    assert gallery.notice.get("error") is None
    if kind == "save":
        recipe = read_recipe(gallery.notice["path"])
        assert (recipe.truncation_psi, recipe.noise_mode) == (0.7, "const")
        again = EditSession.from_recipe(session.models, recipe)
        assert is_drawn(shown["picture"], again.render().after)
        assert session.state.truncation_psi == 0.1, "nothing is loaded by a save"
        return
    assert is_drawn(shown["picture"], session.render().before)
    assert (gallery.loaded["seed"], gallery._psi) == (shown["seed"], 0.7)


def test_a_seed_that_is_not_on_the_page_is_loaded_as_the_session_draws(gallery, session):
    Page(gallery).send("load", seed=4321)
    assert (session.state.seed, session.state.truncation_psi) == (4321, 0.1)


# -- noise -----------------------------------------------------------------------------------------


def test_a_state_is_loaded_with_its_noise(session):
    face, asked = SharedFace.of(session), (Edit("linear", {"age": 0.2}),)
    for state in (
        SessionState(5, 0.5, asked, "none"),
        face.unedited(session.render().w, SessionState(noise_mode="none")),
    ):
        session.update(noise_mode="const")
        face.load_state(state)
        assert session.state.noise_mode == "none"
        assert session.state.edits == state.edits
        assert session.undo()
        assert session.state.noise_mode == "const", "it was one step"
    with pytest.raises(ValueError, match="noise_mode is 'random'; allowed: const, none"):
        face.load(seed=5, noise_mode="random")
    face.load(seed=5)
    assert session.state.noise_mode == "const"


def test_a_point_of_a_map_and_a_stop_of_its_path_are_loaded_as_the_map_drew_them(session):
    code_map = CodeMap(session.models, 64, neighbours=8)
    lay_flat(code_map, seed=0)
    session.update(noise_mode="none", truncation_psi=0.4)
    view = LatentMap(session, code_map=code_map)
    page = Page(view.wait(120))
    page.send("hover", row=17)
    assert wait_for(lambda: view.hover.get("row") == 17)
    page.send("load", row=17)
    assert is_drawn(view.hover["picture"], session.render().before)
    session.undo()
    state = session.state
    assert (state.seed, state.noise_mode, state.truncation_psi) == (3, "none", 0.4), "one step"
    page.send("path", points=[code_map.layouts["w", 0].coordinates[r].tolist() for r in (5, 40)])
    assert wait_for(lambda: view.strip.get("stops"))
    for stop in (0, 1):  # a face of the map, and one half way
        session.update(noise_mode="none")
        page.send("load", stop=stop)
        assert is_drawn(view.strip["stops"][stop]["picture"], session.render().before)
    view.close()


@pytest.mark.parametrize("kind", ["latent", "attribute"])
def test_a_walk_is_drawn_with_the_sessions_noise_and_a_frame_with_the_walks(session, kind):
    session.update(noise_mode="none")
    view = InterpolationView(session, 8, kind=kind, frames=3)
    assert view.wait(120)
    assert view.strip.walk.noise_mode == "none"
    for frame in range(3):
        session.update(noise_mode="const", seed=3, truncation_psi=0.4)  # not heard of by the walk
        Page(view).send("load", frame=frame)
        shown = session.render()
        assert torch.allclose(shown.after, view.strip.images[frame], atol=1e-5)
        assert session.drain(120)  # what is updated next must not be drawn, and so be heard of
    view.face.load(seed=3, noise_mode="const")
    assert view.walk.noise_mode == "const"
    view.close()


def test_a_card_is_drawn_without_the_sessions_noise_and_loaded_so(session):
    session.update(noise_mode="none")
    grid = EditorGrid(session, request={"age": 0.2}, n_random=4)
    found = grid.answers(120)
    assert wait_for(lambda: grid.status["state"] == "ready")
    Page(grid).send("load", label="linear")
    assert session.state.noise_mode == "const"
    assert torch.allclose(drawn(session), found["linear"].w, atol=1e-5)
    assert session.drain(120)
    assert grid.wait(120)
    assert grid.answers()["linear"] is found["linear"], "compared again"
    grid.close()


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture
def walk(session, tmp_path, monkeypatch):
    monkeypatch.setattr("l2l_widgets.widgets.faces.interpolation_view.FILM_FRAMES", 4)
    view = InterpolationView(session, 8, frames=3, folder=tmp_path)
    assert view.wait(120)
    yield view
    view.close()


@pytest.fixture
def held(walk, monkeypatch):
    """A gate before the first file that is drawn, and an event that says that it is reached."""
    gate, begun, draw = threading.Event(), threading.Event(), walk._walker.draw

    def slow(*args, **options):
        begun.set()
        assert gate.wait(120)
        return draw(*args, **options)

    monkeypatch.setattr(walk._walker, "draw", slow)
    return gate, begun


def test_each_file_that_is_asked_for_is_written(walk, held, tmp_path):
    page, (gate, begun) = Page(walk), held
    page.send("save", format="gif")
    assert begun.wait(120)
    for ending in ("png", "gif"):
        page.send("save", format=ending)
    assert walk.notice["saving"] == "gif, png, gif"
    gate.set()
    assert walk._files.drain(120)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gif", ".gif", ".png"]
    assert walk.notice["error"] is None
    assert "saving" not in walk.notice


def test_a_file_asked_for_while_another_walk_is_drawn_is_of_that_walk(walk, held, session):
    page, (gate, begun) = Page(walk), held
    page.send("set", fields={"frames": 5})
    assert begun.wait(120), "the walk itself is being drawn"
    page.send("save", format="png")
    gate.set()
    assert walk._files.drain(120)
    assert read_walk(walk.notice["path"], session.models).frames == 5


def test_a_view_that_is_closed_has_written_what_was_asked_for(walk, held, tmp_path):
    page, (gate, begun) = Page(walk), held
    page.send("save", format="gif")
    assert begun.wait(120)
    page.send("save", format="png")
    walk.close()
    gate.set()
    assert walk._files.drain(120)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gif", ".png"]


def test_what_one_file_lacked_stands_when_the_next_is_there(walk, held, monkeypatch):
    page, (gate, begun) = Page(walk), held
    save = "l2l_widgets.widgets.faces.interpolation_view.save_strip"
    plain = save_strip

    def no_film(models, strip, folder, ending, seconds):
        if ending == "gif":
            raise OSError("the disk is full")
        return plain(models, strip, folder, ending, seconds)

    monkeypatch.setattr(save, no_film)
    page.send("save", format="gif")
    assert begun.wait(120)
    page.send("save", format="png")
    gate.set()
    assert walk._files.drain(120)
    assert walk.notice["name"].endswith(".png")
    assert "the disk is full" in walk.notice["error"]
    page.send("save", format="png")
    assert walk._files.drain(120)
    assert walk.notice["error"] is None, "the next click takes it down"
