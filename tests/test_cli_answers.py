"""What the command line knows without loading anything must be what the package itself says."""

from __future__ import annotations

import dataclasses
import re
import shlex

import pytest

from l2l_widgets import recipes
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.bench import CATALOGUE, SUBJECTS
from l2l_widgets.cli import VERBS, checks, evaluate, interpolate, main, mix, paint, world
from l2l_widgets.cli.recipe_words import field_names, recipe_modules
from l2l_widgets.errors import near, suggestion


def test_a_suggestion_names_the_nearest_or_all_there_are():
    names = ("mapper", "interfacegan", "ganspace")
    assert suggestion("maper", names) == "did you mean mapper?"
    assert suggestion(" GANSPACE ", names) == "did you mean ganspace?"
    assert suggestion("zzz", names, "there are") == "there are: mapper, interfacegan, ganspace"
    assert suggestion("zzz", ()) == "allowed: none"
    assert suggestion("hair_blak", DEFAULT_TABLE.names).startswith("did you mean hair_black")
    assert near("lipstik", ["lip_makeup"], {"Lipstick": "lip_makeup"}) == ["lip_makeup"]
    assert near(3, names) == []


def test_recipes_are_known_from_their_source_alone():
    known = recipes.list_recipes()
    modules = recipe_modules()
    assert modules is not None
    assert set(modules) == set(known)
    everywhere = set(field_names(*next(iter(modules.values())).parent.glob("*.py")))
    for recipe in known.values():
        fields = {
            f.name for part in (recipe.config, recipe.settings) for f in dataclasses.fields(part)
        }
        assert fields <= everywhere, recipe.name


def test_recipes_that_are_written_otherwise_are_left_to_themselves(tmp_path):
    (tmp_path / "own.py").write_text("RECIPES = make_them()\n")
    assert recipe_modules(tmp_path) is None
    (tmp_path / "own.py").write_text("RECIPES = (Recipe(name=NAME),)\n")
    assert recipe_modules(tmp_path) is None
    (tmp_path / "own.py").write_text("RECIPES = (Recipe(name='one'), _two('two', 3))\n")
    assert list(recipe_modules(tmp_path)) == ["one", "two"]


def test_limits_and_names_are_those_of_the_package():
    from l2l_widgets.disentangle import MIXER_FILE
    from l2l_widgets.evaluation.plan import PARTS
    from l2l_widgets.faceworld.celebamask import SIZES
    from l2l_widgets.maskgan import model
    from l2l_widgets.session.states import PSI_RANGE
    from l2l_widgets.walks import walk

    assert checks.PSI == PSI_RANGE
    assert evaluate.PARTS == PARTS
    assert mix.MIXER == MIXER_FILE
    assert paint.PAINTERS == (model.WHOLE, model.MAPPING)
    assert (SIZES[0], SIZES[-1]) == world.SIDES
    assert interpolate.KINDS == walk.KINDS
    assert {name: (s.summary, s.options) for name, s in SUBJECTS.items()} == CATALOGUE


@pytest.mark.parametrize(
    "name", ["faces", "seed", "seeds", "paper_faces", "positions", "sweep_faces"]
)
def test_the_ends_of_a_range_are_allowed_by_the_evaluation_too(name):
    from l2l_widgets.evaluation import Plan
    from l2l_widgets.evaluation.report import Protocol

    def build(value):
        if name in Protocol.__dataclass_fields__:
            return Protocol(**{name: value})
        return Plan(Protocol(), **{name: value})

    low, high = evaluate.LIMITS[name]
    for value in (low, high):
        assert value in vars(build(value)).values()
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            build(value)


def test_rows_are_counted_by_the_file_alone(tiny_world):
    models = checks.models_of(str(tiny_world))
    assert models.loaded == ()
    assert checks.rows_of(models) == models.generator.num_ws


def test_a_field_is_named_as_it_was_typed():
    import argparse

    parser = argparse.ArgumentParser()
    for option in ("--faces", "--truncation", "--attributes", "--recipes"):
        parser.add_argument(option)
    for said, wanted in (
        ("faces is 1; allowed: more", "--faces is 1; allowed: more"),
        ("truncation_psi is 7; allowed: less", "--truncation is 7; allowed: less"),
        ("attribute 'x' is unknown", "--attributes 'x' is unknown"),
        ("recipe 'x' needs a file", "recipe 'x' needs a file"),
        ("seed is 1", "seed is 1"),
        ("--faces is 1", "--faces is 1"),
        ("faces everywhere", "faces everywhere"),
    ):
        assert checks.in_options(said, parser) == wanted


def test_every_help_ends_with_an_example_that_parses(capsys):
    from l2l_widgets.cli import _build_parser

    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        found = re.search(r"Example: (l2l [^;]+?)(?: \(|$)", text)
        assert found, f"l2l {verb} --help has no example"
        words = shlex.split(found[1])[1:]
        assert words[0] == verb
        _build_parser(verb).parse_args(words)
