"""What trains is named in the reader's language: fields, losses, states; figures likewise."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from regression_task import make_task
from training_runs import fit

import l2l_widgets
from l2l_widgets import widgets
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.maps.layout import Quality
from l2l_widgets.plots.entanglement import trajectory_plot
from l2l_widgets.plots.maps import CAVEAT
from l2l_widgets.recipes import list_recipes
from l2l_widgets.recipes.fields import fields_of
from l2l_widgets.training import RunDirectory
from l2l_widgets.widgets.training.training_values import curves_png, history_value, losses_rows
from l2l_widgets.widgets.words import LANGUAGES, Words, languages

PACKAGE = Path(l2l_widgets.__file__).parent
OTHERS = [name for name in languages() if name != "en"]
#: Names that the other language has as well.
SAME = {"threads"}
#: Functions of a recipe's module that name losses and scores of the history.
NAMING = (
    "step", "losses", "scores", "evaluate", "_compare", "_train_block", "score_masks", "__call__",
)  # fmt: skip


def content(name):
    return json.loads((LANGUAGES / f"{name}.json").read_text(encoding="utf-8"))


def named_losses():
    """What trainings write into their histories, as the code spells it."""
    found = set()
    modules = [*(PACKAGE / "recipes").glob("*.py"), PACKAGE / "editors" / "mapper_objective.py"]
    for tree in (ast.parse(path.read_text(encoding="utf-8")) for path in modules):
        functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
        for function in functions:
            if function.name == "verification_scores" or not any(
                part in function.name for part in NAMING
            ):
                continue
            for node in ast.walk(function):
                keys = node.keys if isinstance(node, ast.Dict) else []
                is_store = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
                if is_store and getattr(node.value, "id", "") != "batch":
                    keys = [node.slice]
                found.update(
                    k.value for k in keys if isinstance(k, ast.Constant) and type(k.value) is str
                )
    composed = {f"lost_{name}" for name in Quality._fields} | {"block_loss", "doubling_loss"}
    return found | composed


@pytest.mark.parametrize("language", OTHERS)
def test_every_field_of_every_recipe_has_a_name(language):
    known = content(language)["fields"]
    fields = {field.name for recipe in list_recipes().values() for field in fields_of(recipe)}
    assert sorted(fields - set(known)) == [], "without a name"
    assert sorted(set(known) - fields) == [], "of no recipe"
    plain = {name for name in known if known[name].lower() == name.replace("_", " ")}
    assert plain == SAME
    for recipe in list_recipes().values():
        shown = [known[field.name] for field in fields_of(recipe)]
        assert sorted(shown) == sorted(set(shown)), f"{recipe.name}: two fields of one name"


@pytest.mark.parametrize("language", OTHERS)
def test_every_loss_has_a_name(language):
    words, losses = Words.of(language), named_losses()
    assert {"loss", "attribute", "r2_score", "identity", "kl_loss"} <= losses
    assert [n for n in sorted(losses) if words.loss(n) == n.replace("_", " ")] == []
    exact = {name for name in content(language)["losses"] if "{" not in name}
    assert sorted(exact - losses) == [], "no training has it"


def test_names_that_are_put_together_are_told_part_by_part():
    german = Words.of("de")
    assert german.loss("identity_cross") == "gekreuzt: Identität"
    assert german.loss("blend_pixel_loss") == "überblendet: Bildpunktverlust"
    assert german.loss("interfacegan_conditional_reach") == "Reichweite, interfacegan conditional"
    assert german.loss("my_own_number") == "my own number"
    assert german.field("my_own_field") == "my own field"
    assert Words.of("en").loss("kl_loss") == "kl loss"
    assert Words.of("en").field("batch_size") == "batch size"


def test_the_form_names_a_field_in_both_ways(tmp_path):
    view = widgets.TrainingMonitor(tmp_path, recipe="mapper-lesson", language="de")
    try:
        labels = {field["name"]: field["label"] for field in view.form["fields"]}
        assert labels["batch_size"] == "Stapelgröße"
        assert labels["learning_rate"] == "Lernrate"
    finally:
        view.close()


def test_a_monitor_tells_its_runs_in_its_language(tmp_path):
    fit(tmp_path / "seen", 10, task=make_task(3))
    for language, wanted in (
        ("de", "seen: fertig, Schritt 10 von 10"),
        ("en", "seen: finished, step 10 of 10"),
    ):
        view = widgets.TrainingMonitor(tmp_path, language=language)
        try:
            assert repr(view).splitlines()[1:] == [f"  {wanted}"]
        finally:
            view.close()


def test_curves_table_and_still_of_a_run_name_its_losses(tmp_path, monkeypatch):
    german = Words.of("de")
    fit(tmp_path / "seen", 10, task=make_task(3))
    history = history_value(RunDirectory(tmp_path / "seen").history(), german)
    assert set(history["labels"]) == set(history["losses"])
    assert history["labels"]["loss"] == "Verlust"
    rows = losses_rows(history, german)
    assert [row[0] for row in rows] == [history["labels"][name] for name in history["losses"]]
    drawn = []
    place = "l2l_widgets.widgets.training.training_values.figure_jpeg"
    monkeypatch.setattr(place, lambda figure: drawn.append(figure) or b"")
    curves_png(history, german)
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == "Schritt"
    assert {line.get_label() for line in axes.lines} == set(history["labels"].values())


def test_every_word_of_a_figure_is_translated():
    """The phrases that a module of plots gives to ``say``, against the table; none lies unused."""
    spoken = set()
    for path in (PACKAGE / "plots").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (
                getattr(node.func, "id", "") == "say"
                or getattr(getattr(node.func, "func", None), "id", "") == "worded"
            ):
                spoken.update(
                    n.value
                    for n in ast.walk(node.args[0])
                    if isinstance(n, ast.Constant) and type(n.value) is str
                )
    assert len(spoken) > 20
    others = {
        "step", "loss",  # plot_losses says what it was given, these if nothing
        "before", "after",  # said one after the other
        "{b} less {a}, of each scale (hollow: undecided)",  # of a line too long for its call
    }  # fmt: skip
    for language in OTHERS:
        known = content(language)["plots"]
        assert sorted((spoken | others) - set(known)) == []
        assert sorted(set(known) - spoken - others) == []
        for english, told in known.items():
            assert told != english
            places = [sorted(re.findall(r"\{(\w+)\}", text)) for text in (english, told)]
            assert places[0] == places[1]


def test_a_figure_takes_the_words_of_a_language():
    words = Words.of("de").plots
    assert words[CAVEAT] == Words.of("de").said(CAVEAT) != CAVEAT
    assert words[DEFAULT_TABLE["smile"].label] == "Lächeln"
    change = [[0.0, 0.0], [0.1, 0.05]]
    axes = trajectory_plot([0, 0.1], change, ["smile", "age"], edited="smile", words=words)
    assert axes.get_xlabel() == "Lächeln verlangt"
    assert axes.get_ylabel() == "Änderung, vom Richter gelesen, je Skala"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Lächeln", "Alter"]
    plain = trajectory_plot([0, 0.1], change, ["smile", "age"], edited="smile")
    assert plain.get_xlabel() == "Smile asked for"
