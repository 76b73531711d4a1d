"""Exercises with checks: what a notebook asks for, and the words in which it says what is missing.

A check reads a value or a recipe, never a widget, so that it runs without a front end. It is an
ordinary function with ordinary asserts, whose messages are written for the student::

    @exercise(points=2)
    def calm_glasses(answer):
        '''Save a recipe that adds glasses and moves the age by at most two years.'''
        receipt = receipt_of(answer, models)
        expect_number(receipt.achieved.get("glasses"), 0.2, 1, "the glasses that came")
        assert abs(receipt.others["age"]) < 0.03, "the age moved as well"

    calm_glasses.check("my-face.png")    # in the notebook: a verdict; nothing is ever raised
    calm_glasses("my-face.png")          # for nbgrader and tests: raises AssertionError
    calm_glasses.otter("my_face")        # for otter-grader: the test case of a variable

``...`` stands for "not answered yet": a notebook can be run from top to bottom before anybody has
solved anything. Solutions do not belong in the notebook.
"""

from __future__ import annotations

import html
import json
import math
import os
import pprint
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.receipt import Receipt
from l2l_widgets.session.rendering import Renderer
from l2l_widgets.session.replay import Recipe, parse_recipe, read_recipe
from l2l_widgets.storage import write_atomic

#: Random edits behind the band of a check's receipt: few, for a check has five seconds in all.
N_RANDOM = 2
UNANSWERED = "Not answered yet: put your answer in place of the three dots"


@dataclass(frozen=True)
class Verdict:
    """What became of one answer.

    Parameters
    ----------
    name : str
        The exercise.
    state : {"passed", "failed", "unanswered"}
        How it stands.
    message : str
        Why it fails, or what was found; one or more sentences.
    points : float
        Points earned.
    possible : float
        Points that there are.
    seconds : float
        What the check took.
    """

    name: str
    state: str
    message: str
    points: float
    possible: float
    seconds: float

    def __bool__(self) -> bool:
        return self.state == "passed"

    def __repr__(self) -> str:
        sign = {"passed": "✓", "failed": "✗"}.get(self.state, "○")
        return f"{sign} {self.name}: {self.state}. {self.message}".rstrip()

    def _repr_html_(self) -> str:
        sign = {"passed": "✓", "failed": "✗"}.get(self.state, "○")
        border = {"passed": "#1b7f4b", "failed": "#b3541e"}.get(self.state, "#8a8f98")
        return (
            f'<div style="border-left:4px solid {border};padding:.35em .8em;max-width:46em">'
            f"<b>{sign} {html.escape(self.name)}: {self.state}</b>"
            f"<div>{html.escape(self.message)}</div></div>"
        )


class Exercise:
    """A question whose answer a function can judge.

    Parameters
    ----------
    function : callable
        Gets the answer; raises AssertionError, or any other error, with the reason why it is not
        right. What it returns, if it is text, is said with the verdict.
    points : float
        What it counts, above 0.
    task : str
        What is asked, where that depends on something; the function's docstring if not given.

    Attributes
    ----------
    name : str
        The function's name.
    task : str
        What is asked.
    """

    def __init__(self, function: Callable[[Any], Any], points: float = 1.0, task: str = "") -> None:
        if isinstance(points, bool) or not isinstance(points, (int, float)) or not points > 0:
            raise ValueError(f"points is {points!r}; allowed: a number above 0")
        self.name = function.__name__
        self.task = " ".join((task or function.__doc__ or "").split())
        if not self.task:
            raise ValueError(f"{self.name} has no docstring; allowed: one that says what is asked")
        self.points = float(points)
        self._function = function

    def __repr__(self) -> str:
        worth = f"{self.points:g} point{'' if self.points == 1 else 's'}"
        return f"Exercise {self.name} ({worth}): {self.task}"

    def __call__(self, answer: Any) -> None:
        """Check an answer; silent when it is right.

        Raises
        ------
        AssertionError
            Why it is not right, one message whatever went wrong: nbgrader shows it.
        """
        verdict = self.check(answer)
        if not verdict:
            raise AssertionError(f"{self.name}: {verdict.message}")

    def check(self, answer: Any = ...) -> Verdict:
        """Check an answer and say how it stands; raises nothing.

        Parameters
        ----------
        answer
            What the exercise asks for; ``...`` or None where there is none yet.
        """
        if answer is ... or answer is None:
            task = f"{self.task} {UNANSWERED}"
            return Verdict(self.name, "unanswered", task, 0.0, self.points, 0.0)
        start = time.perf_counter()
        state, message = "passed", ""
        try:
            found = self._function(answer)
            message = found if isinstance(found, str) else ""
        except AssertionError as error:
            state, message = "failed", str(error) or "the check fails, and does not say why"
        except ValueError as error:  # the package's own words, of a recipe or a request
            state, message = "failed", str(error)
        except Exception as error:
            state, message = "failed", f"the answer cannot be read ({_line(error)})"
        earned = self.points if state == "passed" else 0.0
        took = time.perf_counter() - start
        return Verdict(self.name, state, message, earned, self.points, took)

    def otter(self, variable: str) -> dict[str, Any]:
        """The exercise as a test of otter-grader (its "OK format").

        Parameters
        ----------
        variable : str
            Name of the notebook's variable that holds the answer. The exercise itself must be
            known in the notebook under its own name.
        """
        if not variable.isidentifier():
            raise ValueError(f"variable is {variable!r}; allowed: the name of a Python variable")
        case = {"code": f">>> {self.name}({variable})\n", "hidden": False, "locked": False}
        suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
        return {"name": self.name, "points": self.points, "suites": [suite]}

    def write_otter(self, folder: str | os.PathLike[str], variable: str) -> Path:
        """Write the test file that otter-grader looks for; return its path, ``NAME.py``."""
        text = f"OK_FORMAT = True\n\ntest = {pprint.pformat(self.otter(variable))}\n"
        path = Path(folder) / f"{self.name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
        return path


@overload
def exercise(function: Callable[[Any], Any]) -> Exercise: ...
@overload
def exercise(
    *, points: float = ..., task: str = ...
) -> Callable[[Callable[[Any], Any]], Exercise]: ...
def exercise(
    function: Callable[[Any], Any] | None = None, *, points: float = 1.0, task: str = ""
) -> Any:
    """Make an :class:`Exercise` of a function; a decorator, with or without arguments."""
    if function is not None:
        return Exercise(function, points, task)
    return lambda f: Exercise(f, points, task)


def total(verdicts: Iterable[Verdict]) -> str:
    """One line for the end of a notebook: what is passed, open, and how many points that makes."""
    verdicts = list(verdicts)
    passed = sum(map(bool, verdicts))
    waiting = sum(v.state == "unanswered" for v in verdicts)
    points, possible = sum(v.points for v in verdicts), sum(v.possible for v in verdicts)
    return (
        f"{passed} of {len(verdicts)} passed, {waiting} not answered yet: "
        f"{points:g} of {possible:g} points"
    )


# -- what checks read ------------------------------------------------------------------------------


def recipe_of(answer: Any) -> Recipe:
    """The recipe in an answer.

    Parameters
    ----------
    answer : Recipe, EditSession, mapping, str or path
        A recipe as an object, as JSON text or as what ``session.recipe()`` gives; a session; or
        the path of a PNG or JSON file.

    Raises
    ------
    AssertionError
        The answer is none of these.
    RecipeError
        A recipe with a fault, or a file without one.
    """
    if isinstance(answer, Recipe):
        return answer
    if isinstance(answer, EditSession):
        answer = answer.recipe()
    if isinstance(answer, Mapping):
        return parse_recipe(json.dumps(dict(answer)))
    if isinstance(answer, str) and answer.lstrip().startswith("{"):
        return parse_recipe(answer)
    if isinstance(answer, (str, os.PathLike)):
        return read_recipe(answer)
    raise AssertionError(
        f"the answer is a {type(answer).__name__}; allowed: a recipe, a session, or the name of "
        "a file that session.save has written"
    )


def receipt_of(answer: Any, models: Models) -> Receipt:
    """Draw the recipe in an answer again and measure it; raises AssertionError where that fails.

    Parameters
    ----------
    answer
        As for :func:`recipe_of`.
    models : Models
        What draws and judges; must be what the recipe names.
    """
    state = EditSession.from_recipe(models, recipe_of(answer)).state
    receipt = Renderer(models, N_RANDOM).measure(state)
    assert receipt is not None  # nothing abandons it
    assert receipt.error is None, receipt.error
    return receipt


def changes_of(answer: Any, models: Models) -> dict[str, float]:
    """What a recipe asks for, as changes: name -> change, of all its edits together.

    A slider sets a value, ``session.set_changes`` asks for a change, and glasses at 0.3 are not 0.3
    more glasses: of a value it is the way there from where the guiding reader sees the face.

    Parameters
    ----------
    answer
        As for :func:`recipe_of`.
    models : Models
        What draws and reads; must be what the recipe names.

    Raises
    ------
    AssertionError
        The recipe cannot be drawn.
    """
    result = EditSession.from_recipe(models, recipe_of(answer)).render()
    assert result.error is None, result.error
    return dict(result.requested)


# -- what checks say -------------------------------------------------------------------------------


def expect_number(value: Any, low: float, high: float, what: str = "the answer") -> float:
    """The value as a number; AssertionError unless it is finite and from ``low`` to ``high``."""
    number = _number(value, what)
    assert number >= low, f"{what} is {number:.4g}: too small; expected from {low:g} to {high:g}"
    assert number <= high, f"{what} is {number:.4g}: too large; expected from {low:g} to {high:g}"
    return number


def expect_close(value: Any, expected: float, tolerance: float, what: str = "the answer") -> float:
    """The value as a number; AssertionError unless it lies within ``tolerance`` of ``expected``.

    The message says on which side it misses, and never what would have been right.
    """
    number = _number(value, what)
    off = number - expected
    side = "too large" if off > 0 else "too small"
    assert abs(off) <= tolerance, f"{what} is {number:.4g}: {side}"
    return number


def expect_choice(value: Any, allowed: Iterable[str], what: str = "the answer") -> str:
    """The value as one of some words; AssertionError where it is none of them."""
    words = list(allowed)
    known = isinstance(value, str) and value in words
    assert known, f"{what} is {_short(value)}; expected one of {', '.join(map(repr, words))}"
    return str(value)


def _number(value: Any, what: str) -> float:
    try:  # 0-d tensors and numpy's numbers too
        if isinstance(value, (bool, str)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} is {_short(value)}; expected a number") from None
    assert math.isfinite(number), f"{what} is {number}; expected a finite number"
    return number


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
