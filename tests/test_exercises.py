"""Exercises: what a check says of right, wrong, missing and absurd answers."""

from __future__ import annotations

import doctest
import threading
import time

import pytest
import torch
from exercise_checks import queued, timed

from l2l_widgets.session.replay import Recipe
from l2l_widgets.teaching.exercises import (
    Exercise,
    changes_of,
    exercise,
    expect_choice,
    expect_close,
    expect_number,
    receipt_of,
    recipe_of,
    total,
)


@exercise(points=2)
def half(answer):
    """Say what a half is."""
    expect_close(answer, 0.5, 0.01, "your half")
    return "A half it is."


def test_a_right_answer_passes_in_all_three_ways():
    verdict = half.check(0.5)
    assert verdict
    assert (verdict.state, verdict.points, verdict.message) == ("passed", 2, "A half it is.")
    assert 0 <= verdict.seconds < 5
    assert half(0.5) is None
    assert run_otter(half, 0.5) == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (0.7, "your half is 0.7: too large"),
        (0.2, "too small"),
        ("0.5", "your half is '0.5'; expected a number"),
        (float("nan"), "finite"),
        (True, "expected a number"),
        (torch.zeros(2), "expected a number"),
    ],
)
def test_a_wrong_answer_is_told_why_and_never_the_solution(answer, words):
    verdict = half.check(answer)
    assert not verdict
    assert (verdict.state, verdict.points) == ("failed", 0)
    assert words in verdict.message
    assert "0.5" not in verdict.message.replace("'0.5'", "")
    with pytest.raises(AssertionError, match="half: your half"):
        half(answer)
    assert run_otter(half, answer) == 1


def test_dots_are_no_answer_yet_and_a_notebook_runs_over_them():
    assert [half.check(a).state for a in (..., None)] == ["unanswered"] * 2
    with pytest.raises(AssertionError, match="Not answered yet"):
        half(...)
    assert half.check(...).message.startswith("Say what a half is. Not answered yet")
    line = total([half.check(...), half.check(0.5), half.check(9)])
    assert line == "1 of 3 passed, 1 not answered yet: 2 of 6 points"


def test_an_answer_that_breaks_the_check_fails_it_with_a_reason():
    @exercise
    def length(answer):
        """Give a list."""
        if len(answer) != 3:
            raise AssertionError

    assert "cannot be read (TypeError" in length.check(4).message
    assert "does not say why" in length.check([1]).message
    assert length.check([1, 2, 3])


def test_a_verdict_is_read_without_colour_and_its_text_is_no_markup():
    @exercise
    def named(answer):
        """Name it."""
        expect_choice(answer, ["a", "b"], "the name")

    verdict = named.check("<b>")
    assert repr(verdict).startswith("✗ named: failed. the name is '<b>'; expected one of 'a', 'b'")
    assert "&lt;b&gt;" in verdict._repr_html_()
    assert "✗ named: failed" in verdict._repr_html_()


@pytest.mark.parametrize("kind", ["computes", "waits", "has a thread compute"])
def test_every_check_is_timed_as_a_student_waits_for_it(kind):
    def compute(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    @exercise
    def slow(answer):
        """Take your time."""
        if kind == "waits":
            time.sleep(answer)
        elif kind == "computes":
            compute(answer)
        else:
            thread = threading.Thread(target=compute, args=(answer,))
            thread.start()
            thread.join()

    before = Exercise.check.checked
    assert slow.check(0.01)
    assert Exercise.check.checked == before + 1
    with pytest.raises(AssertionError, match=r"slow: its check took \d+\.\d s"):
        timed(Exercise.check, limit=0.1)(slow, 0.2)


def test_what_other_processes_compute_is_no_fault_of_a_check():
    assert queued() >= 0
    rest = threading.Thread(target=time.sleep, args=(0.05,))
    before = queued()
    rest.start()
    rest.join()
    assert queued() - before < 60, "seconds, not nanoseconds"


def test_an_exercise_says_what_it_asks_and_refuses_what_it_cannot_be():
    assert repr(half) == "Exercise half (2 points): Say what a half is."
    with pytest.raises(ValueError, match="points is 0"):
        exercise(points=0)(lambda answer: None)
    with pytest.raises(ValueError, match="no docstring"):
        Exercise(lambda answer: None)
    names = ("hat", "beard")
    about = exercise(points=2, task=f"Name one of\n    {names}.")(lambda answer: None)
    assert about.task == "Name one of ('hat', 'beard')."
    assert about.check().message.startswith("Name one of")
    with pytest.raises(ValueError, match="variable is 'a b'"):
        half.otter("a b")


def test_numbers_are_held_between_bounds():
    assert expect_number(torch.tensor(0.25), 0, 1) == 0.25
    for value, words in ((-1, "too small"), (2, "too large")):
        with pytest.raises(AssertionError, match=words):
            expect_number(value, 0, 1, "the share")


def test_a_recipe_is_read_from_whatever_carries_one(session, tmp_path):
    session.update(seed=5, changes={"smile": 0.3})
    kept = session.save(tmp_path / "face.png")
    for answer in (session, kept, tmp_path / "face.png", str(tmp_path / "face.png")):
        recipe = recipe_of(answer)
        assert isinstance(recipe, Recipe)
        assert changes_of(recipe, session.models) == pytest.approx({"smile": 0.3})
    assert recipe_of(recipe) is recipe
    assert recipe_of(recipe.to_json()).seed == 5
    with pytest.raises(AssertionError, match="the answer is a int"):
        recipe_of(3)


def test_a_value_is_no_change_of_that_size(session):
    """A slider at 30 % asks for the way there from where the face stands, not for 30 % more."""
    models = session.models
    session.update(seed=5, changes={}, targets={"smile": 0.3})
    drawn = session.render()
    stands = float(drawn.request.current[0, models.table.index("smile")])
    assert abs(stands) > 0.05, "give the test a face on which the two differ"
    assert changes_of(session, models) == pytest.approx({"smile": 0.3 - stands}, abs=1e-5)
    session.update(changes={"smile": 0.3}, targets={})
    assert changes_of(session, models) == pytest.approx({"smile": 0.3})
    session.reset()
    assert changes_of(session, models) == {}
    with pytest.raises(AssertionError, match="the answer is a int"):
        changes_of(3, models)


def test_a_check_measures_the_recipe_again(session, tiny_models, tmp_path):
    @exercise
    def moves_smile(answer):
        """Move the smile."""
        receipt = receipt_of(answer, tiny_models)
        assert "smile" in receipt.requested, "the recipe does not ask for a smile"
        return f"smile {receipt.achieved['smile']:+.3f}"

    session.update(seed=5, changes={"smile": 0.3})
    session.save(tmp_path / "face.png")
    verdict = moves_smile.check(tmp_path / "face.png")
    assert verdict, verdict
    assert verdict.message == f"smile {session.measure().achieved['smile']:+.3f}"
    assert 0 <= verdict.seconds < 5
    session.update(changes={"age": 0.3})
    assert "does not ask for a smile" in moves_smile.check(session).message
    assert "no-such.png" in moves_smile.check(tmp_path / "no-such.png").message
    other = {**session.recipe(), "models": {"name": "other", "hashes": {"generator": "00"}}}
    assert "the models that drew the picture" in moves_smile.check(other).message


def test_otter_finds_a_test_file_that_it_can_run(tmp_path):
    path = half.write_otter(tmp_path / "tests", "my_half")
    space = {}
    exec(path.read_text(), space)
    assert space["OK_FORMAT"] is True
    assert (space["test"]["name"], space["test"]["points"]) == ("half", 2.0)
    (suite,) = space["test"]["suites"]
    assert (suite["type"], suite["scored"]) == ("doctest", True)
    assert suite["cases"][0]["code"] == ">>> half(my_half)\n"


def run_otter(question, answer):
    """Failures of an exercise's cases, run as doctests as otter-grader does."""
    (suite,) = question.otter("answer")["suites"]
    failures = 0
    for case in suite["cases"]:
        names = {question.name: question, "answer": answer}
        test = doctest.DocTestParser().get_doctest(case["code"], names, "case", None, 0)
        runner = doctest.DocTestRunner(verbose=False)
        failures += runner.run(test, out=lambda text: None).failed
    return failures
