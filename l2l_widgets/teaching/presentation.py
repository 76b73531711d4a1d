"""A lesson as steps: words to say, and what the face does while they are said.

Plain Python over a session: the presenting widget shows it, and a test plays it without one. Every
step is checked when the presentation is made, so that nothing fails before a class.

    Presentation(session, [
        ("Nobody has ever met her", {"seed": 3}),
        ("A little more smile", {"smile": 0.3}),
        ("And back", {}),
    ])
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.receipt import change_text
from l2l_widgets.session.rendering import Renderer
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.session.states import Edit, SessionState

#: What a request may hold besides attributes.
OF_THE_FACE = ("seed", "truncation_psi", "method", "changes", "targets", "preserve")
MAX_STEPS = 500


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    words : str
        What is said; the first line is the headline.
    state : SessionState
        What is drawn.
    asked : str
        The request in short, for the corner of the screen.
    """

    words: str
    state: SessionState
    asked: str


class Presentation:
    """Steps over one face, checked.

    Parameters
    ----------
    session : EditSession
        Draws; its state when the presentation is made is what the first step starts from.
    steps : sequence
        Each a pair (words, request), or words alone. A request says what the face looks like in
        its step, all of it: attributes with the change that is asked, ``{"smile": 0.3}``; what
        else an edit may hold, ``{"changes": ..., "targets": ..., "method": ...}``; or an
        ``EditRequest``; or the path of a picture that was saved with its recipe, of which the last
        edit counts. ``seed`` and ``truncation_psi`` stay until another step changes them, and
        so does ``method``. ``{}`` is the face as it is; words alone, or None, change nothing.

    Raises
    ------
    ValueError
        A step that cannot be shown: its number, the field, and what is allowed.
    """

    def __init__(self, session: EditSession, steps: Sequence[Any]) -> None:
        self.session = session
        self.steps: list[Step] = []
        if isinstance(steps, (str, bytes)) or not isinstance(steps, Sequence):
            raise ValueError(
                f"steps is {_short(steps)}; allowed: a list of steps, each words or (words, "
                "request), or a JSON file of them; what draws comes second: Presenter(steps, "
                "session)"
            )
        if not 0 < len(steps) <= MAX_STEPS:
            raise ValueError(f"steps is {_short(steps)}; allowed: a list of 1 to {MAX_STEPS} steps")
        state = session.state
        for number, step in enumerate(steps, 1):
            try:
                words, request = _parts(step)
                state, asked = _applied(session, state, request)
            except ValueError as error:
                raise ValueError(f"step {number}: {error}") from None
            self.steps.append(Step(words, state, asked))
        self.at = 0

    @classmethod
    def from_file(cls, session: EditSession, path: str | os.PathLike[str]) -> Presentation:
        """The steps of a JSON file, ``[["words", {"smile": 0.3}], ...]``; no code is needed."""
        return cls(session, read_steps(path))

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.steps[self.at]

    def go(self, to: int) -> Step:
        """Go to a step, counted from 0; beyond the ends the nearest one. Draws nothing."""
        self.at = max(0, min(len(self.steps) - 1, int(to)))
        state = self.step.state
        edit = state.edits[-1]
        face = {"w": state.w} if state.w is not None else {"seed": state.seed}
        self.session.update(
            **face, truncation_psi=state.truncation_psi, method=edit.method,
            changes=edit.changes, targets=edit.targets, preserve=edit.preserve, rows=edit.rows,
            space=edit.space,
        )  # fmt: skip
        return self.step

    def next(self) -> Step:
        """One step on."""
        return self.go(self.at + 1)

    def previous(self) -> Step:
        """One step back."""
        return self.go(self.at - 1)


def read_steps(path: str | os.PathLike[str]) -> list[Any]:
    """The steps in a JSON file.

    Raises
    ------
    ValueError
        No such file, or one that holds no list.
    """
    try:
        steps = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"steps: {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"steps: {path} is not JSON ({error})") from None
    if not isinstance(steps, list):
        raise ValueError(f"steps: {path} holds no list; allowed: a list of [words, request]")
    return steps


def _parts(step: Any) -> tuple[str, Any]:
    if isinstance(step, str):
        return step, None
    if isinstance(step, Sequence) and len(step) == 2 and isinstance(step[0], str):
        return step[0], step[1]
    raise ValueError(f"{_short(step)} is no step; allowed: words, or (words, request)")


def _applied(session: EditSession, state: SessionState, request: Any) -> tuple[SessionState, str]:
    """The state after a request, and the request in short; ValueError where it cannot be."""
    if request is None:
        return state, _in_short(state.edits[-1], session.models.table)
    models, table = session.models, session.models.table
    if isinstance(request, (str, os.PathLike)):
        state = EditSession.from_recipe(models, read_recipe(request)).state
        return state, _in_short(state.edits[-1], table)
    if isinstance(request, EditRequest):
        request = {
            "changes": request.changes, "targets": request.targets, "preserve": request.preserve,
        }  # fmt: skip
    if not isinstance(request, Mapping):
        raise ValueError(
            f"request is {_short(request)}; allowed: a dict, an EditRequest, the path of a saved "
            "picture, or None"
        )
    for name in request:
        if name not in table and name not in OF_THE_FACE:
            known = ", ".join((*OF_THE_FACE, *visible_table(table).names))
            raise ValueError(f"request has {name!r}; known: {known}")
    plain = {name: value for name, value in request.items() if name in table}
    edit = Edit(
        request.get("method", state.edits[-1].method),
        {**request.get("changes", {}), **plain},
        request.get("targets", {}),
        tuple(request.get("preserve", ())),
    )
    state = replace(state, edits=(*state.edits[:-1], edit))
    if "seed" in request:
        state = replace(state, seed=request["seed"], w=None, w_key="")
    state = replace(state, truncation_psi=request.get("truncation_psi", state.truncation_psi))
    Renderer(models).check(state)
    if not edit.empty:
        able = models.editor(edit.method).attributes
        unable = [n for n in (*edit.changes, *edit.targets) if n not in able]
        if unable:
            raise ValueError(f"method {edit.method!r} cannot change {unable[0]!r}")
    return state, _in_short(edit, table)


def _in_short(edit: Edit, table: AttributeTable) -> str:
    asked = [f"{table[n].label} {change_text(table[n], v)}" for n, v in edit.changes.items()]
    for name, value in edit.targets.items():
        row = table[name]
        asked.append(f"{row.label} to {row.value_text(value)}")
    return ", ".join(asked)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
