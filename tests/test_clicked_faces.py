"""The face that one gets is the face that one clicked, also where the sliders ask for something."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from leaky_world import Follows, world
from open_world import Moves, OpenWorld
from test_code_map import lay_flat
from test_widgets import wait_for

from l2l_widgets import EditSession
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.films import Film
from l2l_widgets.latents import z_from_seed
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.session.states import Edit
from l2l_widgets.walks.files import read_walk
from l2l_widgets.widgets import EditorGrid, EntanglementExplorer, InterpolationView, LatentMap

AGE = DEFAULT_TABLE.index("age")


class Corrects(Moves):
    """Gives half of what is asked where the request says how the face is read, as a mapper may."""

    def edit(self, w, request):
        plain = replace(request, current=None)
        share = 1.0 if request.current is None else 0.5
        return w + share * (super().edit(w, plain) - w)


class Truncates(OpenWorld):
    """The open world with a truncation, as a generator has one."""

    def mapping(self, z, truncation_psi=1.0, truncation_cutoff=None):
        return self.w_avg + truncation_psi * (super().mapping(z) - self.w_avg)


class Page:
    """Sends what a browser sends."""

    def __init__(self, view):
        self.view, self.number = view, 0

    def send(self, kind, **content):
        self.number += 1
        message = {"kind": kind, "client": "page", "number": self.number, **content}
        self.view._handle_custom_msg(json.loads(json.dumps(message)), [])


def seed_with_room(models):
    """A face on which 0.3 more years can be seen."""
    faces = ((s, models.generator.mapping(z_from_seed(s, 36))[0, 0, AGE]) for s in range(200))
    return next(seed for seed, age in faces if 0.2 < float(age) < 0.6)


def ask_something(session, how="changes"):
    """Move the sliders, and give the state in which somebody clicks."""
    session.update(**{how: {"smile": 0.4 if how == "changes" else 0.9}})
    session.render()
    return session.state


@pytest.fixture
def open_session():
    models = world(perfect=Moves(), follows=Follows(), corrects=Corrects())
    session = EditSession(models, method="perfect", n_random=4, seed=seed_with_room(models))
    yield session
    session.close()


@pytest.fixture
def grid(open_session):
    grid = EditorGrid(open_session, request={"age": 0.3}, n_random=4)
    grid.answers()
    assert wait_for(lambda: grid.status["state"] == "ready")
    yield grid
    grid.close()


@pytest.fixture
def tiny_session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def walk(tiny_session, tmp_path):
    view = InterpolationView(tiny_session, second=8, frames=5, folder=tmp_path)
    assert view.wait(120)
    yield view
    view.close()


def drawn(session):
    result = session.render()
    assert result.error is None
    return result.w_edited


# -- a shared face ---------------------------------------------------------------------------------


def test_a_face_is_loaded_with_its_edits_in_one_step(tiny_session):
    face, before = SharedFace.of(tiny_session), ask_something(tiny_session)
    edits = (Edit("linear", {"age": 0.2}), Edit("linear", {"beard": -0.1}))
    face.load(seed=9, edits=edits, truncation_psi=0.5)
    state = tiny_session.state
    assert (state.seed, state.truncation_psi, state.edits) == (9, 0.5, edits)
    face.load(seed=9, edits=())
    assert tiny_session.state.edits == (Edit("linear"),)
    tiny_session.undo()
    tiny_session.undo()
    assert tiny_session.state == before
    for wrong, words in (({"edits": ["age"]}, "edits is 'age'"), ({"edits": 3}, "edits is 3"),
                         ({"truncation_psi": 7}, "truncation_psi is 7")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            face.load(seed=5, **wrong)
    assert tiny_session.state == before


# -- the grid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["changes", "targets"])
def test_a_card_hands_on_its_face_with_method_and_strength(grid, open_session, how):
    before, answer = ask_something(open_session, how), grid.answers()["follows"]
    assert torch.equal(drawn(open_session)[0, 0, AGE], open_session.render().w[0, 0, AGE])
    Page(grid).send("load", label="follows")
    assert torch.allclose(drawn(open_session), answer.w, atol=1e-5)
    state = open_session.state
    assert (state.seed, state.w) == (before.seed, None), "the recipe goes on from the face itself"
    assert state.edits == (Edit("follows", answer.changes),)
    assert answer.changes == {"age": pytest.approx(0.3, abs=0.01)}
    open_session.undo()
    assert open_session.state == before


@pytest.mark.parametrize(("label", "blind"), [("perfect", False), ("corrects", False), ("A", True)])
def test_a_grid_does_not_compare_what_it_has_loaded(grid, open_session, label, blind):
    page, seed = Page(grid), open_session.state.seed
    if blind:
        page.send("blind", blind=True)
        grid.answers()
        assert wait_for(lambda: grid.status["state"] == "ready" and "A" in grid._labels)
    ask_something(open_session)
    found, method = grid.answers(), open_session.state.edits[-1].method
    answer = found[grid._labels[label]]
    page.send("load", label=label)
    assert torch.allclose(drawn(open_session), answer.w, atol=1e-5)
    if label != "perfect":  # the session would make another face of it, or would give it away
        assert open_session.state.seed is None
        assert open_session.state.edits == (Edit(method if blind else label),)
    assert open_session.drain(120)
    assert grid.wait(120)
    assert all(grid.answers()[name] is one for name, one in found.items()), "compared again"
    page.send("vote", label=label)
    assert grid.votes[-1]["face"] == grid.before["seed"] == seed
    # asked anew, it goes on from the same face; another face is another comparison
    page.send("ask", name="age", change=0.1)
    assert wait_for(lambda: grid.answers()["perfect"].receipt.requested == {"age": 0.1})
    assert grid.before["seed"] == seed
    grid.face.load(seed=seed + 1, by="elsewhere")
    assert wait_for(lambda: grid.before["seed"] == seed + 1)


def test_a_step_back_to_a_card_that_was_loaded_is_no_new_face_either(grid, open_session):
    seed, page = open_session.state.seed, Page(grid)
    page.send("blind", blind=True)
    grid.answers()
    assert wait_for(lambda: grid.status["state"] == "ready" and "A" in grid._labels)
    found, labels = grid.answers(), {method: label for label, method in grid._labels.items()}
    for method in ("follows", "perfect"):
        page.send("load", label=labels[method])
    open_session.undo()
    open_session.request()
    assert open_session.drain(120)
    assert grid.wait(120)
    assert torch.allclose(drawn(open_session), found["follows"].w, atol=1e-5)
    assert all(grid.answers()[name] is one for name, one in found.items()), "compared again"
    assert grid.settings["face"] == seed


# -- walks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_latent", [False, True])
def test_a_frame_of_a_swept_attribute_is_its_face_and_its_edit(walk, tiny_session, of_latent):
    if of_latent:
        walk.face.load(w=tiny_session.render().w_edited + 0.1)
    walk.set(kind="attribute", attribute="age")
    assert walk.wait(120)
    before, first = ask_something(tiny_session), tiny_session.state.seed
    for frame in (0, 2, 4):
        Page(walk).send("load", frame=frame)
        assert walk.notice.get("error") is None
        assert torch.allclose(drawn(tiny_session), walk.strip.ws[frame][None], atol=1e-5)
        assert tiny_session.state.seed == first
        (edit,) = tiny_session.state.edits
        assert edit.targets == {"age": pytest.approx(walk.strip.asked()[frame], abs=1e-6)}
        tiny_session.undo()
        assert tiny_session.state == before


def test_a_frame_of_an_identity_walk_is_taken_as_it_is(walk, tiny_session):
    walk.set(kind="identity")
    assert walk.wait(120)
    ask_something(tiny_session)
    Page(walk).send("load", frame=4)
    assert torch.equal(drawn(tiny_session)[0], walk.strip.ws[4])
    assert tiny_session.state.edits == (Edit("linear"),)


def test_a_frame_between_two_faces_is_a_face_and_the_edits_stay(walk, tiny_session):
    before = ask_something(tiny_session)
    for frame in (2, 4):
        Page(walk).send("load", frame=frame)
        assert torch.equal(tiny_session.render().w[0], walk.strip.ws[frame])
        assert tiny_session.state.edits == before.edits


def test_a_stop_half_way_on_a_map_is_no_edited_face_and_the_edits_stay(tiny_models, tiny_session):
    code_map = CodeMap(tiny_models, 200, neighbours=8)
    lay_flat(code_map, seed=0)
    view = LatentMap(tiny_session, code_map=code_map)
    view.wait(120)
    page, ends = Page(view), [code_map.layouts["w", 0].coordinates[r].tolist() for r in (5, 120)]
    page.send("path", points=ends)
    assert wait_for(lambda: view.strip.get("stops"))
    before, (first, half, second) = ask_something(tiny_session), view.path.ws[:3]
    assert torch.allclose(half, (first + second) / 2)
    for stop in (0, 1):
        page.send("load", stop=stop)
        assert torch.allclose(tiny_session.render().w[0], view.path.ws[stop], atol=1e-5)
        assert tiny_session.state.edits == before.edits
    view.close()


# -- the faces behind a cell -----------------------------------------------------------------------


@pytest.fixture
def explorer(monkeypatch, tmp_path):
    monkeypatch.setattr("leaky_world.OpenWorld", Truncates)
    session = EditSession(world(follows=Follows()), method="follows", n_random=4)
    explorer = EntanglementExplorer(session, attributes=("age",), faces=12, folder=tmp_path)
    yield explorer
    explorer.close()
    session.close()


def test_the_picture_after_an_edit_loads_the_edited_face(explorer):
    explorer.start()
    session = explorer.session
    assert explorer.wait(120)
    page = Page(explorer)
    page.send("cell", edited="age", read="smile")
    assert wait_for(lambda: explorer.cell.get("pairs"))
    before, pair = ask_something(session), explorer.cell["pairs"][-1]
    page.send("load", seed=pair["seed"], edited=True)
    (edit,) = session.state.edits
    assert session.state.seed == pair["seed"]
    assert (edit.method, set(edit.changes)) == ("follows", {"age"})
    assert abs(edit.changes["age"]) == pytest.approx(pair["strength"], abs=1e-4)
    moved = drawn(session) - session.render().w
    smile = DEFAULT_TABLE.index("smile")
    assert float(moved[0, 0, smile]) == pytest.approx(2 / 3 * edit.changes["age"], abs=1e-5)
    session.undo()
    page.send("load", seed=pair["seed"])
    assert (session.state.seed, session.state.edits) == (pair["seed"], before.edits)
    page.send("load", seed=4_000_000, edited=True)
    assert "face 4000000 is not there" in explorer.status["error"]


# -- a saved walk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "gif", "mp4"])
def test_what_is_saved_is_the_walk_that_is_up(walk, tmp_path, ending, monkeypatch):
    monkeypatch.setattr("l2l_widgets.widgets.faces.interpolation_view.FILM_FRAMES", 6)
    page = Page(walk)
    walk.set(kind="attribute", attribute="smile")
    assert walk.wait(120)
    shown = walk.strip.walk
    page.send("visible", visible=False)  # what is asked for now waits until somebody looks
    page.send("set", fields={"attribute": "age", "frames": 7})
    assert walk.strip.walk is shown
    page.send("save", format=ending)
    assert walk._files.drain(120)
    assert walk.notice.get("error") is None
    saved = read_walk(walk.notice["path"], walk.face.models)
    assert walk.notice["name"] == f"walk-3-smile.{ending}"
    assert (saved.attribute, saved.method) == ("smile", "linear")
    assert saved.span == pytest.approx(shown.span)
    assert saved.frames == (5 if ending == "png" else 6)
    if ending == "mp4":
        assert len(list(Film(tmp_path / walk.notice["name"]))) == 10


def test_after_a_refused_walk_the_film_is_of_the_strip(walk, monkeypatch):
    monkeypatch.setattr("l2l_widgets.widgets.faces.interpolation_view.FILM_FRAMES", 6)
    page, broken = Page(walk), []

    def refuse(*_, **__):
        broken.append(1)
        raise ValueError("this walk cannot be drawn")

    walk.set(kind="attribute", attribute="smile")
    assert walk.wait(120)
    span, draw = walk.strip.walk.span, walk._walker.draw
    monkeypatch.setattr(walk._walker, "draw", refuse)
    page.send("set", fields={"attribute": "age"})
    assert walk.wait(120)
    assert broken
    assert "cannot be drawn" in walk.notice["error"]
    monkeypatch.setattr(walk._walker, "draw", draw)
    page.send("save", format="gif")
    assert walk._files.drain(120)
    saved = read_walk(walk.notice["path"], walk.face.models)
    assert (saved.attribute, saved.span) == ("smile", pytest.approx(span))
