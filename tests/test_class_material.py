"""What a teacher uses, without a front end: presentations, and the class wall."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
import torch

from l2l_widgets.attributes import EditRequest
from l2l_widgets.images import load_image
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.teaching.class_wall import class_wall
from l2l_widgets.teaching.presentation import Presentation, read_steps
from l2l_widgets.widgets import Presenter


@pytest.fixture
def lesson(session):
    return Presentation(
        session,
        [
            ("Nobody has met her\nand nobody will", {"seed": 3}),
            ("A smile", {"smile": 0.3}),
            "And now think",
            ("By a request", EditRequest({"age": -0.2})),
            ("Another face, same question", {"seed": 4, "targets": {"smile": 0.9}}),
            ("As it was", {}),
        ],
    )


# -- presentations ---------------------------------------------------------------------------------


def test_steps_say_what_the_face_is_and_faces_stay_until_another_comes(lesson, session):
    states = [step.state for step in lesson.steps]
    assert [state.seed for state in states] == [3, 3, 3, 3, 4, 4]
    assert [dict(state.edits[-1].changes) for state in states] == [
        {}, {"smile": 0.3}, {"smile": 0.3}, {"age": -0.2}, {}, {},
    ]  # fmt: skip
    assert states[4].edits[-1].targets == {"smile": 0.9}
    assert [step.asked for step in lesson.steps[1:3]] == ["Smile +30 %", "Smile +30 %"]
    lesson.next()
    smiling = session.render()
    assert smiling.error is None
    assert dict(session.state.edits[-1].changes) == {"smile": 0.3}
    assert lesson.previous().words.startswith("Nobody")
    assert session.render().after.equal(smiling.before)
    assert (lesson.go(99).words, lesson.at) == ("As it was", 5)
    assert (lesson.go(-7).words, lesson.at) == ("Nobody has met her\nand nobody will", 0)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (("x", {"smle": 0.3}), "step 2: request has 'smle'"),
        (("x", {"smile": 3}), "step 2: change of 'smile' is 3"),
        (("x", {"seed": -1}), "step 2: seed"),
        (("x", {"truncation_psi": 9}), "step 2: truncation_psi is 9"),
        (("x", {"method": "magic", "smile": 0.1}), "step 2: "),
        (("x", {"preserve": ["agee"], "smile": 0.1}), "step 2: "),
        (("x", 4), "step 2: request is 4"),
        (("x", "no-such.png"), "step 2: recipe: no-such.png"),
        (7, "step 2: 7 is no step"),
    ],
)
def test_a_step_that_cannot_be_shown_is_named_before_the_class(session, step, words):
    with pytest.raises(ValueError, match=words):
        Presentation(session, [("fine", {}), step])


def test_a_lesson_may_be_a_file_and_a_step_a_saved_picture(session, tmp_path):
    session.update(seed=9, changes={"smile": 0.4})
    session.save(tmp_path / "found.png")
    path = tmp_path / "lesson.json"
    path.write_text(json.dumps([["hers", str(tmp_path / "found.png")], ["mine", {"smile": 0.1}]]))
    lesson = Presentation.from_file(session, path)
    assert lesson.steps[0].state.seed == 9
    assert dict(lesson.steps[0].state.edits[-1].changes) == {"smile": 0.4}
    assert len(lesson) == 2
    for text, words in (("{", "is not JSON"), ("{}", "holds no list")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_steps(path)
    with pytest.raises(ValueError, match="no-such"):
        read_steps(tmp_path / "no-such.json")
    with pytest.raises(ValueError, match="1 to 500 steps"):
        Presentation(session, [])


def test_the_presenter_goes_on_and_back_by_messages(session):
    presenter = Presenter([("One", {"seed": 3}), ("Two", {"smile": 0.4})], session, title="Today")

    def press(kind, number):
        message = {"kind": kind, "client": "page", "number": number}
        presenter._handle_custom_msg(json.loads(json.dumps(message)), [])
        assert session.drain(120)

    assert (presenter.slide["head"], presenter.slide["count"]) == ("One", 2)
    first = presenter.after["data"]
    press("next", 1)
    assert (presenter.slide["at"], presenter.slide["asked"]) == (1, "Smile +40\u202f%")
    assert presenter.answered == {"page": 1}
    assert presenter.after["data"] != first
    assert presenter.before["data"] == first
    assert presenter.moved, "the receipt's sentence comes when the picture is up"
    press("next", 2)
    assert presenter.slide["at"] == 1
    press("first", 3)
    assert presenter.after["data"] == first
    assert "step 1 of 2 (One)" in repr(presenter)
    presenter.close()
    shared = SharedFace.of(session)
    presenter = Presenter(["One"], shared)
    assert presenter.session is session
    presenter.close()
    with pytest.raises(ValueError, match="source is 7; allowed: an EditSession"):
        Presenter(["x"], 7)


# -- the wall --------------------------------------------------------------------------------------


@pytest.fixture
def handed_in(session, tmp_path):
    """A folder as a class leaves it: two recipes, and much that is none."""
    folder = tmp_path / "class"
    folder.mkdir()
    session.update(seed=5, changes={"smile": 0.3})
    session.save(folder / "ada.png")
    recipe = session.recipe()
    session.update(seed=6, changes={"age": 0.4})
    (folder / "grace.json").write_text(json.dumps(session.recipe()))
    (folder / "empty.json").write_text("")
    (folder / "selfie.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    other = {**recipe, "models": {"name": "home-made", "hashes": {"generator": "00"}}}
    (folder / "other.json").write_text(json.dumps(other))
    (folder / "notes.md").write_text("not looked at")
    return folder


def test_a_wall_shows_what_can_be_drawn_and_names_the_rest(handed_in, tiny_models, tmp_path):
    wall = class_wall(handed_in, tiny_models)
    assert [c.name for c in wall.contributions] == ["ada", "grace"]
    assert sorted(wall.faults) == ["empty", "other", "selfie"]
    assert "the models that drew the picture" in wall.faults["other"]
    assert "damaged PNG" in wall.faults["selfie"]
    first, second = wall.rows()
    assert (first["seed"], first["asked"]) == (5, "Smile +30 %")
    assert re.fullmatch(r"Smile [+-]?\d+ %", first["came"])
    assert second["asked"] == "Age +32 years", "as everything else in the table, in its unit"
    assert second["also moved"]
    picture = wall.picture(columns=4)
    assert picture.shape == (3, 2 * 32 + 1, 2 * 32 + 6)
    assert wall.picture(columns=1, compare=False).shape == (3, 2 * 32 + 6, 32)
    text = wall.to_text()
    assert "not on the wall (3):" in text
    assert "  other: " in text
    written = wall.save(tmp_path / "out", scale=1)
    assert [path.name for path in written] == ["wall.png", "wall.csv", "faults.txt"]
    assert load_image(tmp_path / "out" / "wall.png", 32).shape[-1] == 32
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "wall.csv").read_text())))
    assert [row["name"] for row in table] == ["ada", "grace"]


def test_pasted_lines_keep_their_names_and_a_torn_one_harms_no_other(session, tiny_models):
    session.update(seed=5, changes={"smile": 0.3})
    one = json.dumps(session.recipe())
    session.update(seed=6)
    two = json.dumps(session.recipe(), indent=1)
    pasted = f"Ada: {one}\nBob: {one[:80]}\n\n- Grace:\n{two}\n{two}\nAda: {one}"
    wall = class_wall(pasted, tiny_models, measure=False)
    assert [c.name for c in wall.contributions] == ["Ada", "Grace", "recipe 4", "Ada (2)"]
    assert "not JSON" in wall.faults["Bob"]
    assert wall.contributions[0].receipt is None
    assert wall.rows()[0]["came"] == ""
    assert torch.equal(wall.contributions[1].after, wall.contributions[2].after)


def test_what_cannot_be_measured_says_so_on_its_line(session, tiny_parts, tiny_models):
    def judge(images):
        return torch.full((len(images), len(tiny_models.table)), torch.nan)

    judge.attributes = tiny_models.table.names
    parts = {**tiny_parts, "attribute_judge": judge}
    editors = {"linear": tiny_models.editor("linear")}
    blind = Models.from_parts(**parts, editors=editors, name=session.models.name)
    seen = EditSession(blind, method=session.state.edits[-1].method, seed=5)
    seen.set_changes({"smile": 0.3})
    wall = class_wall([seen.recipe()], blind)
    assert wall.rows()[0]["came"].startswith("not measured: the judge reads 'age' as nan")
    assert "not measured: " in wall.to_text()
    seen.close()


def test_a_wall_takes_objects_too_and_refuses_what_holds_nothing(session, tiny_models, tmp_path):
    session.update(seed=5, changes={"smile": 0.3})
    recipe = session.recipe()
    named = class_wall({"Ada": recipe, "Bob": 7}, tiny_models, measure=False)
    assert [c.name for c in named.contributions] == ["Ada"]
    assert "7 is none" in named.faults["Bob"]
    assert len(class_wall([recipe, recipe], tiny_models, measure=False).contributions) == 2
    with pytest.raises(ValueError, match="the wall is empty"):
        class_wall({"Bob": 7}, tiny_models).picture()
    with pytest.raises(ValueError, match="no recipe in"):
        class_wall(tmp_path, tiny_models)
    with pytest.raises(ValueError, match="is no folder"):
        class_wall(tmp_path / "nowhere", tiny_models)
