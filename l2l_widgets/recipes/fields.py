"""The fields of a recipe as a form needs them: kind, default, what is allowed, what it means.

What a field means is read from its dataclass' docstring, where it is written once; what is allowed
stands in :data:`RULES` for those fields that several recipes share, and is checked by the recipe
itself besides.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.continuous_flow import SOLVERS
from l2l_widgets.editors.correction import RULES as CORRECTIONS
from l2l_widgets.editors.directions import METHODS
from l2l_widgets.editors.mapper import COUNTS, NULLS, OUTPUTS, TOPOLOGIES
from l2l_widgets.perception import TRUNKS
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.training.task import DEVICES, PRECISIONS

#: Fields of the loop that a person changes most; they stand first.
FIRST = ("steps", "seed")
#: Field -> words it may be. Only what is the same in every recipe that has it.
WORDS: dict[str, tuple[str, ...]] = {
    "correction": tuple(CORRECTIONS),
    "device": DEVICES,
    "family": tuple(TRUNKS),
    "null": tuple(NULLS),
    "output": tuple(OUTPUTS),
    "precision": PRECISIONS,
    "rows": ("published", "measured"),
    "topology": tuple(TOPOLOGIES),
}
#: Field of one kind of config -> words: the name means different things elsewhere.
OWN_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("MapperTraining", "start"): (*METHODS, "zero"),
    ("FlowTraining", "start"): ("linear", "random"),
    ("FlowTraining", "solver"): SOLVERS,
    ("BoundaryFit", "rule"): ("svm", "ridge", "mean-difference"),
    ("BoundaryFit", "solver"): ("liblinear", "libsvm"),
}
#: Field of one kind of config -> smallest and largest number: elsewhere the name has other ends.
OWN_RULES: dict[tuple[str, str], tuple[float | None, float | None]] = {
    ("MapperTraining", "layers"): COUNTS["layers"],
    ("MapperVariant", "layers"): COUNTS["layers"],
}
#: Field -> smallest and largest number, both allowed; None for no end.
RULES: dict[str, tuple[float | None, float | None]] = {
    "average": (0, 1),
    "batch_size": (1, None),
    "calibration_faces": (0, None),
    "checkpoint_every": (1, None),
    "data_seed": (0, 2**32 - 1),
    "ensemble": (1, 2),
    "evaluate_every": (0, None),
    "faces": (1, None),
    "features": (1, None),
    "halfways": COUNTS["halfways"],
    "hidden_dim": (0, None),
    "identity_floor": (0, 1),
    "keep": (1, None),
    "layers": (1, None),
    "learning_rate": (0, 10),
    "log_every": (1, None),
    "mixing": (0, 1),
    "psi_high": (0, 1.5),
    "psi_low": (0, 1.5),
    "schedule_steps": (1, None),
    "seed": (0, 2**32 - 1),
    "steps": (1, 10**9),
    "sure_faces": (0, 1),
    "threads": (0, 1024),
    "weight_decay": (0, None),
    "width": (1, None),
}


@dataclass(frozen=True)
class Field:
    """One field of a recipe.

    Attributes
    ----------
    name : str
        As `l2l train --set NAME=VALUE` has it.
    kind : str
        "integer", "number", "switch", "text", "words" (one of ``allowed``) or "list".
    default : object
        As a JSON value.
    group : str
        "run" (the loop's settings) or "recipe".
    meaning : str
        From the docstring; may be empty.
    allowed : tuple of str
        The words, where ``kind`` is "words"; those that a list may hold, where they are known.
    low, high : float or None
        Ends of a number's range, both allowed.
    """

    name: str
    kind: str
    default: Any
    group: str
    meaning: str = ""
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def limits(self) -> str:
        """What is allowed, in words."""
        if self.kind == "words":
            return ", ".join(self.allowed)
        if self.kind == "switch":
            return "on or off"
        what = {"integer": "a whole number", "number": "a number", "list": "names, with commas"}
        text = what.get(self.kind, "text")
        if self.low is not None and self.high is not None:
            return f"{text} from {self.low:g} to {self.high:,.10g}"
        return text if self.low is None else f"{text} of at least {self.low:g}"


def fields_of(recipe: Recipe) -> list[Field]:
    """The fields of a recipe, the loop's own after its first few.

    Parameters
    ----------
    recipe : Recipe
        With the values that are its defaults.
    """
    values = recipe.resolved()
    parts = (("recipe", recipe.config, "config"), ("run", recipe.settings, "settings"))
    found = {}
    for group, owner, where in parts:
        kinds = typing.get_type_hints(type(owner))
        meanings = _meanings(type(owner))
        for field in dataclasses.fields(owner):
            name = field.name
            words = OWN_WORDS.get((type(owner).__name__, name), WORDS.get(name, ()))
            kind = _kind(kinds[name])
            if words and kind == "text":
                kind = "words"
            if name == "attributes" and kind == "list":
                words = DEFAULT_TABLE.names
            low, high = OWN_RULES.get((type(owner).__name__, name), RULES.get(name, (None, None)))
            if name.endswith(("_weight", "_rate")) and low is None:
                low = 0
            numeric = kind in ("integer", "number")
            usual = values[where][name]
            if numeric and low is not None and usual is not None:
                low = min(low, usual)  # a 0 that stands for "as many as there are"
            found[name] = Field(
                name, kind, values[where][name], group, meanings.get(name, ""),
                words if kind in ("words", "list") else (),
                low if numeric else None, high if numeric else None,
            )  # fmt: skip
    first = [found.pop(name) for name in FIRST if name in found]
    return [*first, *found.values()]


def check_fields(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with values for a recipe's fields.

    Parameters
    ----------
    recipe : Recipe
        What they are for.
    values : mapping
        Field -> value; text as a person types it, or a JSON value.

    Returns
    -------
    dict
        Field -> one line that names the value and what is allowed; empty where all fit.
    """
    known = {field.name: field for field in fields_of(recipe)}
    wrong: dict[str, str] = {}
    fitting: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            wrong[name] = f"{recipe.name} has no field of this name"
            continue
        problem = _problem(recipe, known[name], value)
        if problem:
            wrong[name] = problem
        else:
            fitting[name] = value
    for name in list(fitting):  # one at a time, so that the message lands where it belongs
        try:
            recipe.replace(**{name: fitting[name]})
        except ValueError as error:
            wrong[name] = _short(str(error), recipe.name, name)
            del fitting[name]
    try:
        together = recipe.replace(**fitting)
    except ValueError as error:  # two that each fit alone
        culprit = next((n for n in fitting if n in str(error)), next(iter(fitting), ""))
        wrong[culprit] = str(error)
        return wrong
    low, high = (getattr(together.config, f"psi_{end}", None) for end in ("low", "high"))
    if low is not None and high is not None and low > high:
        wrong["psi_low"] = f"{low:g} is above psi_high, {high:g}"
    return wrong


def _problem(recipe: Recipe, field: Field, value: Any) -> str:
    """What a form can say without asking the recipe."""
    shown = value if isinstance(value, str) else json.dumps(value)
    if field.kind == "words":
        return "" if value in field.allowed else f"{shown!r}; allowed: {field.limits}"
    if field.kind == "list" and field.allowed:
        names = value if isinstance(value, (list, tuple)) else str(value).split(",")
        unknown = [n for n in (str(n).strip() for n in names) if n and n not in field.allowed]
        return f"{unknown[0]!r} is no attribute" if unknown else ""
    if field.kind not in ("integer", "number"):
        return ""
    fits = _is_number(value, field.kind == "integer")
    if fits and field.low is not None:
        fits = float(value) >= field.low
    if fits and field.high is not None:
        fits = float(value) <= field.high
    return "" if fits else f"{shown!r}; allowed: {field.limits}"


def _is_number(value: Any, whole: bool) -> bool:
    """Whether a value, or a text, is a finite number, without a fraction where ``whole``."""
    if isinstance(value, bool):
        return False
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return math.isfinite(number) and not (whole and number != int(number))


def _kind(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return "list"
    return {int: "integer", float: "number", bool: "switch"}.get(kind, "text")


def _meanings(owner: type) -> dict[str, str]:
    """Field -> what its docstring says, over the class and what it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(owner.__mro__[:-1]):
        text = inspect.cleandoc(cls.__doc__ or "")
        heads = re.finditer(
            r"^(\w[\w, .]*?)(?: : .*)?\n((?:    .*\n?)+)", text + "\n", re.MULTILINE
        )
        for head in heads:
            meaning = " ".join(head.group(2).split())
            for name in re.split(r",\s*", head.group(1)):
                found[name.strip()] = meaning
    return found


def _short(text: str, recipe: str, name: str) -> str:
    """An error's words without the names that stand beside the field anyway."""
    return text.removeprefix(f"{recipe}.").removeprefix(f"{name} ")
