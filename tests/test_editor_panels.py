"""The face editor's panels without a browser: history, recipes, presets, pairs, many faces."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import threading

import pytest
import torch
from conftest import LinearEditor, build_directions
from editor_pages import Page, wait_for
from PIL import Image

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.receipt import PHRASES, Receipt
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.widgets import FaceEditor
from l2l_widgets.widgets import bridge as bridges
from l2l_widgets.widgets import words as word_files
from l2l_widgets.widgets.bridge import receipt_value
from l2l_widgets.widgets.stylesheet import STATIC
from l2l_widgets.widgets.words import Words, languages, spans


@pytest.fixture
def session(tiny_models, monkeypatch):
    monkeypatch.setattr(bridges, "REST", 60.0)  # nothing is measured but where a test asks
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


@pytest.fixture
def editor(session, tmp_path):
    editor = FaceEditor(session, folder=tmp_path)
    yield editor
    editor.close()


@pytest.fixture
def page(editor):
    return Page(editor)


# -- locks and scope -------------------------------------------------------------------------------


def test_one_click_holds_an_attribute_and_gives_up_what_was_asked_of_it(editor, page, session):
    page.send("targets", targets={"smile": 0.9, "age": 0.8}, gesture=0)
    page.send("hold", names=["age"], on=True)
    page.settle()
    assert editor.settings["held"] == ["age"]
    assert editor.settings["targets"] == {"smile": 0.9}
    assert session.state.edits[-1].preserve == ("age",)
    page.send("targets", targets={"smile": 0.7}, gesture=1)
    page.settle()
    assert editor.settings["held"] == ["age"], "another slider lets nothing go"
    page.send("hold", names=["age"], on=False)
    page.settle()
    assert editor.settings["held"] == []
    assert editor.after["error"] is None
    assert set(editor.abilities["holds"]) == set(DEFAULT_TABLE.names)


def test_rows_and_space_are_one_request_and_one_step(editor, page, session):
    assert editor.schema["num_ws"] == 8
    assert editor.schema["groups"]["middle"] == [4, 5, 6, 7]
    assert editor.abilities["spaces"] == [], "in W+ a method of W takes the same step"
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.send("scope", rows=[0, 1], space="w+")
    page.settle()
    assert session.state.edits[-1].space == "w+"
    assert (editor.settings["rows"], editor.settings["space"]) == ([0, 1], None)
    result = session.render()
    assert torch.equal(result.w_edited[0, 2:], result.w[0, 2:])
    page.send("undo")
    page.settle()
    assert (editor.settings["rows"], editor.settings["space"]) == (None, None)
    page.send("scope", rows=[99], space=None)
    page.settle()
    assert "rows is [99]" in editor.after["error"]


# -- history ---------------------------------------------------------------------------------------


def test_the_history_comes_with_thumbnails_and_branches(editor, page, session):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.send("undo")
    page.send("targets", targets={"age": 0.8}, gesture=1)
    page.settle()
    page.ask("history")
    answer, buffers = page.answer("history")
    nodes = answer["nodes"]
    assert [node["parent"] for node in nodes] == [None, 0, 0]
    assert [node["current"] for node in nodes] == [False, False, True]
    assert [node["label"] for node in nodes] == ["the face", "Smile 90 %", "Age 69 years"]
    for node in nodes:
        with Image.open(io.BytesIO(buffers[node["picture"]])) as image:
            assert image.size == (32, 32)
    page.send("goto", node=1)
    page.settle()
    assert editor.settings["targets"] == {"smile": 0.9}
    page.send("goto", node=77)
    page.settle()
    assert "77" in editor.notice["error"]
    assert session.state.edits[-1].targets == {"smile": 0.9}


def test_the_steps_are_there_before_their_pictures(editor, page, session, monkeypatch):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle()
    drawn, render = threading.Event(), session.render
    monkeypatch.setattr(session, "render", lambda *a: drawn.wait(120) and render(*a))
    page.ask("history")
    assert wait_for(lambda: any(answer["type"] == "history" for answer, _ in page.answers))
    answer, buffers = page.answers.pop()
    assert [node["label"] for node in answer["nodes"]] == ["the face", "Smile 90 %"]
    assert [node["picture"] for node in answer["nodes"]] == [None, None]
    assert buffers == []
    drawn.set()
    assert editor._panels.drain(120)
    answer, buffers = page.answer("history")
    assert [node["picture"] for node in answer["nodes"]] == [0, 1]
    assert len(buffers) == 2


def test_a_forgotten_panel_asks_for_nothing(editor, page):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle()
    assert page.answers == []
    assert editor._panels._thumbs == {}


# -- recipe and code -------------------------------------------------------------------------------


def test_recipe_and_code_describe_what_is_up_and_a_recipe_comes_back(editor, page, session):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.send("scope", rows=[4], space=None)
    page.settle()
    before = session.render()
    page.ask("text", panel="recipe")
    answer, _ = page.answer("recipe")
    assert json.loads(answer["recipe"])["edits"][0]["rows"] == [4]
    assert "session.update(targets={'smile': 0.9}, rows=[4])" in answer["code"]
    assert 'png", scale=16)' in answer["code"], "as Save enlarges 32 pixels"
    page.send("reset")
    page.send("seed", seed=8)
    page.send("recipe", text=answer["recipe"])
    page.settle()
    assert torch.equal(session.render().after, before.after)
    page.send("undo")
    page.settle()
    assert editor.settings["seed"] == 8
    page.send("recipe", text="{}")
    page.settle()
    assert "'format' is missing" in editor.notice["error"]
    other = json.loads(answer["recipe"])
    other["models"]["hashes"]["generator"] = "0" * 64
    page.send("recipe", text=json.dumps(other))
    page.settle()
    assert "models.hashes.generator" in editor.notice["error"]
    assert editor.settings["seed"] == 8


# -- presets ---------------------------------------------------------------------------------------


def test_presets_are_asked_for_kept_and_removed(editor, page, session, tmp_path):
    page.ask("presets")
    answer, _ = page.answer("presets")
    assert {"name": "older", "label": "older"} in answer["shipped"]
    assert answer["own"] == []
    page.send("preset", name="older")
    page.settle()
    assert session.state.edits[-1].changes == {"age": 0.25}
    page.send("targets", targets={"smile": 0.2}, gesture=0)
    page.send("hold", names=["yaw"], on=True)
    page.ask("keep-preset", name="mine")
    answer, _ = page.answer("presets")
    assert answer["own"] == [{"name": "mine", "label": "mine"}]
    assert (tmp_path / "l2l-presets.json").is_file()
    page.send("reset")
    page.send("preset", name="mine")
    page.settle()
    assert editor.settings["targets"] == {"smile": 0.2}
    assert editor.settings["held"] == ["yaw"]
    page.ask("remove-preset", name="mine")
    assert page.answer("presets")[0]["own"] == []
    page.send("preset", name="nobody")
    page.settle()
    assert "preset is 'nobody'" in page.answer("presets")[0]["error"]
    page.ask("keep-preset", name="")
    assert "name is ''" in page.answer("presets")[0]["error"]
    (tmp_path / "l2l-presets.json").write_text("{")
    page.ask("presets")
    answer, _ = page.answer("presets")
    assert "cannot be read" in answer["error"]
    assert answer["shipped"]


def test_a_preset_sets_aside_what_the_method_does_not_know(tiny_models, tmp_path):
    linear = tiny_models.editor("linear")
    linear.attributes = ("smile", "mouth_open")
    session = EditSession(tiny_models, method="linear", n_random=4)
    editor = FaceEditor(session, folder=tmp_path)
    page = Page(editor)
    page.send("preset", name="older")
    page.settle()
    assert session.state.edits[-1].empty
    assert list(editor.settings["aside"]) == ["age"]
    assert editor.after["error"] is None
    editor.close()
    session.close()


# -- two recipes -----------------------------------------------------------------------------------


def test_two_recipes_are_answered_with_both_faces(editor, page, session):
    page.ask("text", panel="pair", slot="a")
    first, _ = page.answer("pair")
    page.send("targets", targets={"smile": 1.0}, gesture=0)
    page.settle()
    page.ask("text", panel="pair", slot="b")
    second, _ = page.answer("pair")
    assert (first["slot"], second["slot"]) == ("a", "b")
    page.ask("pair", a=first["recipe"], b=second["recipe"])
    answer, buffers = page.answer("pair")
    assert len(buffers) == 2
    assert buffers[0] != buffers[1]
    assert float(answer["identity"]) <= 1
    assert "edits.0.targets.smile" in answer["fields"]
    page.ask("pair", a="{", b=second["recipe"])
    assert page.answer("pair")[0]["error"].startswith("A: recipe: not JSON")


# -- many faces ------------------------------------------------------------------------------------


def test_the_edit_goes_on_many_faces_in_the_background(editor, page, session, tmp_path):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle()
    page.ask("start-many", source="seeds", faces="0-2", out="faces", receipts=False)
    assert wait_for(lambda: editor.many.get("finished"))
    assert (editor.many["done"], editor.many["total"], editor.many["failed"]) == (3, 3, 0)
    assert len(list((tmp_path / "faces").glob("*.png"))) == 3
    assert (tmp_path / "faces" / "table.csv").is_file()
    page.ask("start-many", source="latents", faces="nowhere", out="more")
    assert wait_for(lambda: "no such folder" in editor.many.get("error", ""))
    page.ask("start-many", source="seeds", faces="x", out="more")
    assert wait_for(lambda: "seeds is 'x'" in editor.many.get("error", ""))
    page.ask("start-many", source="seeds", faces="1", out="")
    assert wait_for(lambda: "folder is ''" in editor.many.get("error", ""))
    page.send("reset")
    page.settle()
    page.ask("start-many", source="seeds", faces="1", out="more")
    assert wait_for(lambda: "nothing is asked for" in editor.many.get("error", ""))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces"]


def test_a_run_can_be_stopped_and_only_one_is_under_way(editor, page, tmp_path):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle()
    page.ask("start-many", source="seeds", faces="0-5000", out="faces", receipts=False)
    assert wait_for(lambda: editor.many.get("done", 0) > 0)
    said = []  # the run that is under way tells more the next moment
    editor.observe(lambda change: said.append(change["new"].get("error", "")), "many")
    page.ask("start-many", source="seeds", faces="1", out="more")
    assert any("under way" in error for error in said)
    page.ask("stop-many")
    assert editor._batch.join(120)
    assert editor.many["stopped"]
    assert editor.many["done"] < 5001
    assert not [name for name in os.listdir(tmp_path / "faces") if name.endswith(".tmp")]


# -- bad days --------------------------------------------------------------------------------------


def test_models_swapped_under_an_open_editor_lay_it_out_anew(editor, page, session, tiny_parts):
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle()
    small = DEFAULT_TABLE.subset(["age", "smile", "yaw"])

    class Few:
        name, space, can_preserve, attributes = "few", "w", False, ("smile",)

        def edit(self, w, request):
            return w + request.deltas(DEFAULT_TABLE).sum()

    other = Models.from_parts(
        **tiny_parts, editors={"linear": LinearEditor(build_directions()), "few": Few()}, name="two"
    )
    editor.face.swap(other, by="menu")
    assert session.drain(120)
    assert wait_for(lambda: editor.schema["methods"] == ["linear", "few"])
    assert wait_for(lambda: editor.after["stamp"] == session.stamp)
    assert editor.after["error"] is None
    assert editor.settings["targets"] == {"smile": 0.9}
    page.send("undo")
    page.settle()
    assert editor.settings["targets"] == {}, "what was done before the swap is not lost"
    bare = Models.from_parts(generator=tiny_parts["generator"], table=small, name="bare")
    editor.face.swap(bare)
    page.send("targets", targets={"smile": 0.9}, gesture=1)
    page.settle()
    rows = [row["name"] for family in editor.schema["families"] for row in family["rows"]]
    assert set(rows) == {"age", "smile", "yaw"}
    assert editor.after["error"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_judge_that_gives_no_number_is_a_message_and_no_end(tiny_parts, tmp_path, bad):
    judge = tiny_parts["attribute_judge"]

    class Broken:
        attributes = judge.attributes

        def __call__(self, images):
            values = judge(images)
            values[:, 2] = bad
            return values

    parts = {**tiny_parts, "attribute_judge": Broken()}
    editors = {"linear": LinearEditor(build_directions())}
    session = EditSession(Models.from_parts(**parts, editors=editors), method="linear", n_random=4)
    editor = FaceEditor(session, folder=tmp_path)
    page = Page(editor)
    page.send("targets", targets={"smile": 0.9}, gesture=0)
    page.settle(receipt=True)
    assert "'smile'" in editor.receipt["error"]
    assert str(bad) in editor.receipt["error"]
    json.dumps(editor.receipt, allow_nan=False)
    assert editor.after["error"] is None
    page.send("undo")
    page.settle()
    assert editor.settings["targets"] == {}
    editor.close()
    session.close()


# -- words -----------------------------------------------------------------------------------------


def content(name):
    return json.loads((word_files.LANGUAGES / f"{name}.json").read_text("utf-8"))


def places(text):
    import string

    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


@pytest.mark.parametrize("name", [n for n in languages() if n != "en"])
def test_a_language_has_every_word_and_every_place(name):
    english, own = content("en"), content(name)
    for part in ("ui", "steps", "line"):
        assert own[part].keys() == english[part].keys(), part
        for key, text in english[part].items():
            assert places(own[part][key]) == places(text), f"{part}.{key}"
    assert own["receipt"].keys() == PHRASES.keys()
    for key, text in PHRASES.items():
        assert places(own["receipt"][key]) <= places(text), key
    assert own["attributes"].keys() == set(DEFAULT_TABLE.names)
    assert own["families"].keys() == set(DEFAULT_TABLE.families())
    assert own["presets"].keys() == set(word_files_presets())
    labels = [row.label for row in Words.of(name).translate(DEFAULT_TABLE)]
    assert len(set(labels)) == len(labels)
    assert labels != [row.label for row in DEFAULT_TABLE]


def word_files_presets():
    from l2l_widgets.session.presets import SHIPPED

    return SHIPPED


def test_every_word_of_the_page_is_there():
    import re

    keys = content("en")["ui"].keys()
    used = set()
    for path in STATIC.rglob("*.js"):
        if path.name in ("training_cell.js", "curves.js"):
            continue
        text = path.read_text("utf-8")
        used |= set(re.findall(r"\bt\(\s*\"([^\"]+)\"", text))
        used |= set(re.findall(r"\bt\([^()]*\? \"([^\"]+)\" : \"[^\"]+\"", text))
    assert len(used) > 60
    assert used <= keys, used - keys


def test_the_language_is_chosen_by_argument_or_environment(monkeypatch, session, tmp_path):
    assert Words.of().name == "en"
    monkeypatch.setenv("L2L_LANGUAGE", "de_DE.UTF-8")
    assert Words.of().name == "de"
    assert Words.of("en-GB").name == "en"
    editor = FaceEditor(session, folder=tmp_path)
    rows = {r["name"]: r for f in editor.schema["families"] for r in f["rows"]}
    assert rows["smile"]["label"] == "Lächeln"
    assert rows["age"]["unit"] == "Jahre"
    assert "lachen" in rows["smile"]["words"]
    assert "happy" in rows["smile"]["words"]
    assert editor.words["ui"]["undo"] == "Zurück"
    editor.close()
    monkeypatch.setenv("L2L_LANGUAGE", "tlh")
    with pytest.raises(ValueError, match="L2L_LANGUAGE is 'tlh'; allowed: en, de"):
        Words.of()
    with pytest.raises(ValueError, match="language is ''; allowed"):
        Words.of("")


def receipt():
    names = DEFAULT_TABLE.names
    return Receipt(
        requested={"smile": 0.5},
        achieved={"smile": 0.51},
        others={n: 0.02 if n == "age" else 0.0 for n in names if n != "smile"},
        band=dict.fromkeys(names, (-0.01, 0.01)),
        identity=0.91,
        strangers=0.2,
        before={**dict.fromkeys(names, 0.5), "smile": 0.31},
        after={**dict.fromkeys(names, 0.5), "smile": 0.82, "age": 0.52},
    )


def test_what_was_held_and_moved_is_said_to_those_who_listen():
    moved = {**receipt().others, "beard": 0.08, "yaw": -0.06, "hat": 0.04}
    slipped = dataclasses.replace(receipt(), others=moved, held=("beard", "yaw", "hat"))
    line = Words.of("en").line(slipped, DEFAULT_TABLE)
    assert line == (
        "Smile 31 → 82 %, Beard held, but +8 %, Yaw held, but −5°, Hat +4 %, Age +2 years, "
        "identity 0.91"
    )
    german = Words.of("de")
    table = german.translate(DEFAULT_TABLE)
    assert "gehalten, aber" in german.line(slipped, table)
    assert german.sentences(slipped, table)[0].startswith("Gehalten, und doch bewegt: ")
    value = receipt_value(slipped, DEFAULT_TABLE, Words.of("en"))
    assert value["slipped"] == {"beard": 0.08, "yaw": -0.06}
    assert value["failed"] == 1
    assert value["sentences"][0] == "Held, and moved nevertheless: Beard +8 %, Yaw −5°."
    assert "Beard" not in value["sentences"][1]
    unseen = receipt_value(slipped, visible_table(DEFAULT_TABLE, ("beard", "yaw")), Words.of("en"))
    assert unseen["slipped"] == {}
    assert unseen["held"] == ["hat"]
    assert unseen["failed"] == 0


def test_the_line_for_those_who_listen():
    english, german = Words.of("en"), Words.of("de")
    line = english.line(receipt(), DEFAULT_TABLE)
    assert line == "Smile 31 → 82 %, Age +2 years, identity 0.91"
    line = german.line(receipt(), german.translate(DEFAULT_TABLE))
    assert line == "Lächeln 31 → 82 %, Alter +2 Jahre, Identität 0,91"
    assert english.line(Receipt(), DEFAULT_TABLE) == "Nothing is asked for."
    assert english.line(Receipt(error="no judge"), DEFAULT_TABLE) == "no judge"
    assert "Auch geändert: Alter +2 Jahre." in " ".join(
        german.sentences(receipt(), german.translate(DEFAULT_TABLE))
    )


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (None, {}, "the face"),
        ({}, {"seed": 9}, "face 9"),
        ({}, {"truncation_psi": 0.5}, "variety 0.50"),
        ({}, {"edits": (Edit(targets={"yaw": 0.2}),)}, "Yaw −27°"),
        ({}, {"edits": (Edit(changes={"age": 0.1}),)}, "Age +8 years"),
        ({"edits": (Edit(changes={"age": 0.1}),)}, {}, "reset"),
        ({"edits": (Edit(changes={"age": 0.1}),)},
         {"edits": (Edit(targets={"age": 0.6, "smile": 0.2}),)}, "Smile 20 %"),
        ({"edits": (Edit(changes={"age": 0.1}),)}, {"edits": (Edit(targets={"age": 0.6}),)},
         "Age 53 years"),
        ({}, {"edits": (Edit("other", preserve=("hat",), rows=(0, 1, 5), space="w"),)},
         "other, hold Hat, rows 0-1, 5, space W"),
    ],
)  # fmt: skip
def test_a_step_is_told_in_a_few_words(before, after, text):
    old = None if before is None else SessionState(**before)
    assert Words.of("en").step(old, SessionState(**after), DEFAULT_TABLE) == text


def test_rows_are_written_as_people_read_them():
    assert spans((0, 1, 2, 7)) == "0-2, 7"
    assert spans((3,)) == "3"
