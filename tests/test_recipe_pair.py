import json
from dataclasses import replace

import pytest
import torch
from conftest import good

from l2l_widgets.attributes import label_of
from l2l_widgets.models import zoo
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.plots.recipe_pair import recipe_pair_figure
from l2l_widgets.policy import VARIABLE
from l2l_widgets.session.as_code import python_code
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.presets import SHIPPED, PresetError, PresetShelf
from l2l_widgets.session.recipe_pair import compare_recipes
from l2l_widgets.session.replay import parse_recipe
from l2l_widgets.session.states import Edit


def recipe_of(session):
    return parse_recipe(json.dumps(session.recipe()))


# -- two recipes -----------------------------------------------------------------------------------


def test_two_recipes_are_compared_face_by_face(session, tiny_parts, monkeypatch):
    first = recipe_of(session)
    session.set_changes({"smile": 0.8})
    second = recipe_of(session)
    pair = compare_recipes(session.models, first, second)
    assert torch.equal(pair.images[1], good(session.render()).after)
    receipt = session.measure()
    assert pair.identity == pytest.approx(receipt.identity, abs=1e-5)
    assert pair.differences()["smile"] == pytest.approx(receipt.achieved["smile"], abs=1e-5)
    sizes = [abs(v) for v in pair.differences().values()]
    assert sizes == sorted(sizes, reverse=True)
    assert pair.fields() == {
        "edits.0.method": (None, "linear"),
        "edits.0.changes.smile": (None, 0.8),
        "edits.0.preserve": (None, []),
    }
    same = compare_recipes(session.models, second, second)
    assert same.fields() == {}
    assert set(same.differences().values()) == {0.0}
    monkeypatch.setenv(VARIABLE, "gender")
    assert "gender" not in compare_recipes(session.models, first, second).differences()


def test_a_recipe_of_other_models_is_named(session, tiny_parts):
    recipe = recipe_of(session)
    other = replace(recipe, hashes={"generator": "0" * 64})
    with pytest.raises(ValueError, match=r"second recipe: .*models\.hashes\.generator"):
        compare_recipes(session.models, recipe, other)
    bare = Models.from_parts(generator=tiny_parts["generator"], name="bare")
    with pytest.raises(ValueError, match="no attribute judge"):
        compare_recipes(bare, recipe, recipe)


# -- as code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", ["seed", "latent"])
def test_the_code_draws_the_same_pixels(tiny_world, monkeypatch, tmp_path, capsys, face):
    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    monkeypatch.chdir(tmp_path)
    session = EditSession(load(), seed=11, truncation_psi=0.6, n_random=4)
    if face == "latent":
        session.set_latent(torch.randn(8, 16, generator=torch.Generator().manual_seed(2)))
    session.update(changes={"smile": 0.25}, targets={"age": 0.7}, rows=(0, 1, 5))
    session.stack()
    session.update(changes={"yaw": -0.2}, preserve=("smile",), space="w", noise_mode="none")
    code = python_code(session.models, session.state, scale=2)
    scope = {}
    exec(compile(code, "recipe.py", "exec"), scope)
    assert torch.equal(scope["result"].after, good(session.render()).after)
    assert scope["receipt"].error is None
    assert len(list(tmp_path.glob("*smile-age-yaw.png"))) == 1
    assert "Smile" in capsys.readouterr().out
    assert max(map(len, code.splitlines())) < 110 or face == "latent"


def test_models_made_in_python_are_left_open(session):
    session.set_changes({"smile": 0.25})
    code = python_code(session.models, session.state)
    assert "models = ...  # the Models named 'tiny'" in code
    assert "load" not in code.splitlines()[0]


# -- presets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_can_be_drawn(session, name):
    edit = replace(SHIPPED[name], method="linear")
    session.update(changes=edit.changes, targets=edit.targets)
    assert good(session.render()).requested


def test_a_shelf_keeps_and_forgets(tmp_path):
    shelf = PresetShelf(tmp_path / "l2l-presets.json")
    assert shelf.presets() == {}
    look = Edit("mapper", {"smile": 0.3}, {"age": 0.6}, ("yaw",), (0, 1), "w")
    shelf.keep("  my   look ", look)
    shelf.keep("other", Edit(changes={"age": 0.1}))
    assert PresetShelf(shelf.path).presets()["my look"] == look
    shelf.remove("other")
    assert list(shelf.presets()) == ["my look"]
    assert [p.name for p in tmp_path.iterdir()] == ["l2l-presets.json"]
    for name, edit, words in (
        ("", look, "name is ''"),
        ("x" * 41, look, "1 to 40"),
        ("a\x07", look, "name is"),
        ("older", look, "a preset of the package"),
        ("empty", Edit(), "asks for nothing"),
    ):
        with pytest.raises(PresetError, match=words):
            shelf.keep(name, edit)
    with pytest.raises(PresetError, match="'nobody' is not on the shelf"):
        shelf.remove("nobody")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "format is 'list'"),
        ('{"format": "x"}', "format is 'x'"),
        ('{"format": "l2l-presets/1", "presets": 3}', "presets; allowed"),
        ('{"format": "l2l-presets/1", "presets": {"a": {"method": 1}}}', r"presets\.a"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_damaged_shelf_is_named_and_left_alone(tmp_path, text, words):
    path = tmp_path / "shelf.json"
    path.write_text(text)
    shelf = PresetShelf(path)
    with pytest.raises(PresetError, match=words):
        shelf.presets()
    with pytest.raises(PresetError, match=words):
        shelf.keep("new", Edit(changes={"age": 0.1}))
    assert path.read_text() == text


# -- the figure ------------------------------------------------------------------------------------


def test_the_figure_draws_both_faces_and_the_largest_differences(session):
    first = recipe_of(session)
    session.set_changes({"smile": 0.8})
    pair = compare_recipes(session.models, first, recipe_of(session))
    figure = recipe_pair_figure(pair.images, pair.differences(), pair.identity, most=5)
    faces, bars = figure.axes[:2], figure.axes[2]
    assert [len(axes.images) for axes in faces] == [1, 1]
    largest = [label_of(name) for name in list(pair.differences())[:5]]
    assert [text.get_text() for text in bars.get_yticklabels()][::-1] == largest
    assert bars.get_title() == f"identity {pair.identity:.2f}"
    assert recipe_pair_figure(pair.images, {"age": 0.1}, axes=tuple(figure.axes)) is figure
    with pytest.raises(ValueError, match="differences are empty"):
        recipe_pair_figure(pair.images, {})
    with pytest.raises(ValueError, match="allowed: two of"):
        recipe_pair_figure((pair.images[0], pair.images[1][0]), {"age": 0.1})
