import json
from itertools import combinations

import pytest
import torch
from conftest import build_directions, good, make_session

from l2l_widgets import load
from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.latents import to_wplus, z_from_seed
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.holding import held_edit
from l2l_widgets.session.replay import RecipeError, parse_recipe
from l2l_widgets.session.scope import (
    ScopeError,
    check_scope,
    own_names,
    parse_rows,
    spaces_of,
    within_scope,
)
from l2l_widgets.session.states import Edit


def replayed(session):
    """The session that a recipe of this one gives, from its text."""
    return EditSession.from_recipe(
        session.models, parse_recipe(json.dumps(session.recipe(), allow_nan=False))
    )


def test_rows_that_were_not_chosen_stay_to_the_bit(session):
    session.update(changes={"smile": 0.4}, rows=(4, 5))
    result = good(session.render())
    moved = (result.w_edited != result.w).any(dim=2)[0]
    assert moved.nonzero()[:, 0].tolist() == [4, 5]
    step = 0.4 * build_directions()[DEFAULT_TABLE.index("smile")]
    torch.testing.assert_close((result.w_edited - result.w)[0, 4], step)
    again = replayed(session).render()
    assert torch.equal(again.after, result.after)
    assert torch.equal(again.w_edited, result.w_edited)


def test_a_recipe_without_rows_reads_as_it_always_did(session):
    session.update(changes={"smile": 0.4})
    (edit,) = session.recipe()["edits"]
    assert set(edit) == {"method", "changes", "targets", "preserve"}
    assert parse_recipe(json.dumps(session.recipe())).edits[0].rows is None


def test_in_w_a_method_of_rows_takes_one_step_for_all(tiny_models, tiny_generator):
    class RowEditor:
        name, space, can_preserve = "rows", "w+", False
        attributes = DEFAULT_TABLE.names

        def edit(self, w, request):
            amount = request.deltas(DEFAULT_TABLE).sum()
            return w + amount * torch.arange(w.shape[1]).float()[None, :, None]

    tiny_models._editors["rows"] = RowEditor()
    session = make_session(tiny_models)
    session.update(method="rows", changes={"age": 0.5}, space="w")
    result = good(session.render())
    torch.testing.assert_close(result.w_edited - result.w, torch.full_like(result.w, 0.5 * 3.5))
    own = session.render()
    session.update(space="w+")
    other = good(session.render())
    assert not torch.equal(own.w_edited, other.w_edited)
    session.update(space=None)
    assert torch.equal(good(session.render()).w_edited, other.w_edited)


def test_the_own_space_comes_first():
    class Origin:
        space = "s"

    class StyleEditor:
        space, origin = "w+", Origin()

    class WEditor:
        space = "w"

    assert spaces_of(StyleEditor()) == ("s",)
    assert spaces_of(WEditor()) == ("w",)


def test_two_spaces_that_are_offered_give_two_latents():
    models = load()
    z = z_from_seed(3, models.generator.z_dim)
    seen = {}
    with torch.inference_mode():
        ws = to_wplus(models.generator.mapping(z, truncation_psi=0.7), models.generator.num_ws)
        for method in models.available_editors:
            editor = models.editor(method)
            name = next(n for n in ("glasses", *editor.attributes) if n in editor.attributes)
            after = editor.edit(ws, EditRequest(changes={name: 0.3}))
            offered = {
                space: within_scope(Edit(method, space=space), editor, ws, after)
                for space in spaces_of(editor)
            }
            own, *_others = offered.values()
            assert torch.equal(own, after), f"{method}: the first is its own"
            for one, two in combinations(offered, 2):
                apart = float((offered[one] - offered[two]).norm() / (after - ws).norm())
                assert apart > 0.01, f"{method}: {one} and {two} are the same"
            for space in own_names(editor):
                edit = Edit(method, space=space)
                check_scope(edit, editor, models.generator.num_ws)
                assert torch.allclose(within_scope(edit, editor, ws, after), after, atol=1e-5)
            seen[method] = list(offered)
    assert seen["mapper"] == ["w+", "w"]
    assert seen["interfacegan"] == seen["interfacegan-conditional"] == ["w"]
    assert seen["stylespace"] == ["s"]


def test_an_older_recipe_may_call_the_space_of_a_method_of_w_by_both_names(session):
    session.update(changes={"smile": 0.4})
    plain = good(session.render()).w_edited
    for space in ("w", "w+"):
        session.update(space=space)
        assert torch.allclose(good(replayed(session).render()).w_edited, plain, atol=1e-6)
    session.update(space="s")
    assert "allowed with method 'linear': 'w', 'w+'" in session.render().error


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("coarse", (0, 1, 2, 3)),
        ("middle,fine", (4, 5, 6, 7, 8, 9)),
        ("0-2, 7", (0, 1, 2, 7)),
        ("7 7", (7,)),
    ],
)
def test_rows_are_read_as_people_write_them(text, rows):
    assert parse_rows(text, 10) == rows


@pytest.mark.parametrize("text", ["", "top", "3-", "-3", "9-10", "5-3", "1.5"])
def test_other_rows_are_refused(text):
    with pytest.raises(ScopeError, match="rows is"):
        parse_rows(text, 10)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rows", [], r"edits\[0\]\.rows is \[\]"),
        ("rows", [1, 1], r"edits\[0\]\.rows"),
        ("rows", ["1"], r"edits\[0\]\.rows"),
        ("rows", None, r"edits\[0\]\.rows is None"),
        ("rows", [64], r"edits\[0\]\.rows"),
        ("space", "z", r"edits\[0\]\.space is 'z'"),
        ("space", None, r"edits\[0\]\.space is None"),
        ("layers", [1], r"'edits\[0\]\.layers' is unknown"),
    ],
)
def test_a_recipe_with_other_scope_is_refused_by_name(session, field, value, words):
    session.update(changes={"smile": 0.4})
    recipe = session.recipe()
    recipe["edits"][0][field] = value
    with pytest.raises(RecipeError, match=words):
        parse_recipe(json.dumps(recipe))


def test_rows_that_this_generator_lacks_are_refused_by_name(session):
    session.update(changes={"smile": 0.4})
    recipe = session.recipe()
    recipe["edits"][0]["rows"] = [0, 12]
    with pytest.raises(ValueError, match=r"rows is \[0, 12\]; allowed: whole numbers from 0 to 7"):
        EditSession.from_recipe(session.models, parse_recipe(json.dumps(recipe)))


# -- held attributes -------------------------------------------------------------------------------


class Entangled:
    """A latent is its readings; every step for smile drags age and yaw along."""

    space, can_preserve = "w", False
    attributes = DEFAULT_TABLE.names
    calls = 0

    def edit(self, w, request):
        assert not request.preserve
        self.calls += 1
        step = request.deltas(DEFAULT_TABLE)[0].clone()
        step[DEFAULT_TABLE.index("age")] += 0.5 * step[DEFAULT_TABLE.index("smile")]
        step[DEFAULT_TABLE.index("yaw")] -= 0.2 * step[DEFAULT_TABLE.index("smile")]
        return w + step


def test_a_method_that_promises_nothing_takes_the_drift_of_held_attributes_back():
    editor, w = Entangled(), torch.zeros(1, 1, len(DEFAULT_TABLE))
    smile, age, yaw = (DEFAULT_TABLE.index(n) for n in ("smile", "age", "yaw"))

    def edited(*held):
        request = EditRequest({"smile": 0.6}, {}, held, torch.zeros(1, len(DEFAULT_TABLE)))
        return held_edit(editor, w, request, DEFAULT_TABLE, lambda ws: ws[:, 0])[0, 0]

    free = edited()
    assert float(free[age]) == pytest.approx(0.3)
    assert editor.calls == 1
    held = edited("age")
    assert float(held[age]) == pytest.approx(0, abs=1e-6)
    assert float(held[smile]) == pytest.approx(0.6)
    assert float(held[yaw]) == pytest.approx(float(free[yaw])), "only what was locked is held"
    assert editor.calls == 3
    both = edited("age", "yaw")
    assert both[[age, yaw]].abs().max() < 1e-6


class Overdone(Entangled):
    """Asked for age it goes three times as far: a correction makes the drift worse."""

    def edit(self, w, request):
        edited = super().edit(w, request)
        age = DEFAULT_TABLE.index("age")
        edited[..., age] += 2 * float(request.deltas(DEFAULT_TABLE)[0, age])
        return edited


def test_a_correction_that_makes_the_drift_worse_is_not_taken():
    w, age = torch.zeros(1, 1, len(DEFAULT_TABLE)), DEFAULT_TABLE.index("age")
    request = EditRequest({"smile": 0.4}, {}, ("age",), torch.zeros(1, len(DEFAULT_TABLE)))
    held = held_edit(Overdone(), w, request, DEFAULT_TABLE, lambda ws: ws[:, 0])[0, 0]
    assert float(held[age]) == pytest.approx(0.2), "the drift of the edit itself, not a larger one"


def test_a_held_member_of_a_group_is_not_raised_against_what_was_asked():
    table, editor = DEFAULT_TABLE, Entangled()
    request = EditRequest({"hair_red": 0.5}, {}, ("hair_black",), torch.zeros(1, len(table)))

    def read(ws):
        readings = ws[:, 0].clone()
        readings[:, table.index("hair_black")] = -0.4  # would have to be asked back up
        return readings

    edited = held_edit(editor, torch.zeros(1, 1, len(table)), request, table, read)
    assert float(edited[0, 0, table.index("hair_black")]) == 0
    assert float(edited[0, 0, table.index("hair_red")]) == pytest.approx(0.5)


def test_a_session_holds_and_its_recipe_replays_to_the_same_pixels(session):
    session.update(changes={"smile": 0.9}, preserve=("age", "yaw"))
    result = good(session.render())
    assert result.requested == pytest.approx({"smile": 0.9})
    assert session.recipe()["edits"][0]["preserve"] == ["age", "yaw"]
    assert torch.equal(replayed(session).render().after, result.after)


def test_what_cannot_be_held_is_refused_by_name(tiny_models, tiny_parts):
    session = make_session(tiny_models)
    short = tiny_models.editor("linear")
    short.attributes = ("smile", "age")
    session.update(changes={"smile": 0.3}, preserve=("yaw",))
    assert "cannot change 'yaw', so it cannot" in session.render().error
    session.update(preserve=("age",))
    good(session.render())
