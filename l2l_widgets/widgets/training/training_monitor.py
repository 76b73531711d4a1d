"""TrainingMonitor: start, hold, free, stop and watch any training from a cell.

The trainings run in processes of their own and say in their folders how they stand; the monitor
reads those folders. So it finds a run again after the kernel was restarted, or from another
notebook, and closing it ends nothing.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from l2l_widgets.policy import listen
from l2l_widgets.recipes import DEFAULT_WEIGHTS, Recipe, get_recipe, input_hashes, list_recipes
from l2l_widgets.recipes.fields import check_fields, fields_of
from l2l_widgets.recipes.processes import free_folder, resume_run, start_run
from l2l_widgets.training import (
    HistoryReader,
    RunInfo,
    continue_run,
    list_runs,
    look_at,
    pause_run,
    read_look,
    steps_seen,
    stop_run,
)
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.training.training_values import (
    attribute_label,
    curves_png,
    history_value,
    look_value,
    names_hidden,
    row_caption,
    shown_names,
)
from l2l_widgets.widgets.view import View

#: Seconds between two looks at the folders: while something is at work, and otherwise.
WORKING_EVERY, IDLE_EVERY = 1.0, 3.0
#: Runs that the still's table names, the newest first.
STILL_RUNS = 12
#: Seconds between two stills of a run that draws no faces.
STILL_EVERY = 20.0
#: Fields that stand above the fold of the form, where the recipe has them.
PLAIN_FIELDS = ("steps", "seed", "attributes", "batch_size", "learning_rate", "faces")


class TrainingMonitor(View):
    """Every run of a folder: its state, curves, faces, and the buttons that drive it.

    Parameters
    ----------
    folder : path
        Holds the run folders; made by the first start.
    recipe : str, optional
        What the form offers first; the first recipe if not given.
    weights : path
        Folder of the frozen models that recipes need.
    recipes : path, optional
        A Python file of your own whose ``RECIPES`` are offered instead of the embedded ones.
    **changes
        Values that the form is filled with, such as ``steps=200``.

    Raises
    ------
    ValueError
        No such recipe, or a value that does not fit its field.

    Examples
    --------
    >>> from l2l_widgets import TrainingMonitor
    >>> TrainingMonitor("runs", recipe="mapper-lesson")  # doctest: +SKIP
    """

    _esm = scripted(
        "training", "curves.js", "training_form.js", "training_views.js", "training_monitor.js",
    )  # fmt: skip
    _css = themed("l2l-monitor", "training", "training_cell.css", "training_monitor.css")

    runs = traitlets.List(help="every run in short").tag(sync=True)
    run = traitlets.Dict(help="the run that is shown; empty while the form is").tag(sync=True)
    history = traitlets.Dict(help="its steps and losses").tag(sync=True)
    look = traitlets.Dict(help="its faces and leakage at one step").tag(sync=True)
    form = traitlets.Dict(help="recipes, fields, values, what is wrong").tag(sync=True)

    def __init__(
        self,
        folder: str | Path = "runs",
        *,
        recipe: str | None = None,
        weights: str | Path = DEFAULT_WEIGHTS,
        recipes: str | Path | None = None,
        language: str | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(folder, (str, Path)):
            raise ValueError(f"folder is {folder!r}; allowed: the path of a folder of runs")
        self.folder = Path(folder)
        self._weights = Path(weights)
        self._file = None if recipes is None else Path(recipes)
        self._known = list_recipes(self._file)
        self._recipe = get_recipe(
            next(iter(self._known)) if recipe is None else recipe, self._known
        )
        wrong = check_fields(self._recipe, changes)
        if wrong:
            name, words = next(iter(wrong.items()))
            raise ValueError(f"{name} is {words}")
        self._values: dict[str, Any] = dict(changes)
        self._new_name = self._checked = self._missing = ""
        self._shown: Path | None = None
        self._reader: HistoryReader | None = None
        self._pinned: int | None = None  # the step whose faces the reader has chosen
        self._wake = threading.Event()
        self._stood = 0.0
        super().__init__(language=language)
        found = list_runs(self.folder)
        if found and (found[0].at_work or recipe is None):
            self._show(found[0].path)
        self._send_form()
        self.refresh()
        self._poller = threading.Thread(
            target=_poll, args=(weakref.ref(self), self._wake), name="l2l-monitor", daemon=True
        )
        self._poller.start()
        listen(self._hide_anew)

    def __repr__(self) -> str:
        lines = [super().__repr__()]
        lines += [f"  {self._run_line(run)}" for run in list_runs(self.folder)[:8]]
        return "\n".join(lines)

    # -- from Python or the page -------------------------------------------------------------------

    @property
    def info(self) -> RunInfo | None:
        """How the run that is shown stands now; None while the form is shown."""
        return None if self._shown is None else look_at(self._shown)

    def start(self, name: str = "", recipe: str | None = None, **changes: Any) -> Path:
        """Start a training in a process of its own, and show it.

        Parameters
        ----------
        name : str
            Of its folder; the recipe's, with a number where it is taken, if not given.
        recipe : str, optional
            What to train; what the form has chosen if not given, with the form's values.
        **changes
            Fields of the recipe to change.

        Raises
        ------
        ValueError
            Whatever does not fit, before anything is started.
        """
        with self._lock:
            chosen = self._recipe if recipe is None else get_recipe(recipe, self._known)
            values = {**(self._values if recipe is None else {}), **changes}
            wrong = check_fields(chosen, values)
            if wrong:
                field, words = next(iter(wrong.items()))
                raise ValueError(f"{field} is {words}")
            if name and (Path(name).name != name or name.startswith(".")):
                raise ValueError(f"name is {name!r}; allowed: the name of a new folder")
            path = self.folder / name if name else free_folder(self.folder / chosen.name)
            start_run(chosen, path, changes=values, weights=self._weights, recipes=self._file)
            self._show(path)
        self.refresh()
        return path

    def select(self, name: str | None) -> None:
        """Show a run, by the name of its folder; None shows the form for a new one."""
        if name is not None and name not in {run.path.name for run in list_runs(self.folder)}:
            raise ValueError(f"run is {name!r}; allowed: a run of {self.folder}")
        self._show(None if name is None else self.folder / name)
        self.refresh()

    def stop(self, timeout: float = 0.0) -> bool:
        """Have the shown run save and end; whether it has, after ``timeout`` seconds at most."""
        stop_run(self._chosen())
        self.refresh()
        return self.wait(timeout)

    def pause(self) -> None:
        """Have the shown run hold after the step it is in."""
        pause_run(self._chosen())
        self.refresh()

    def resume(self) -> None:
        """Let the shown run go on: one that is held, or one that has ended before its last step."""
        path = self._chosen()
        if look_at(path).at_work:
            continue_run(path)
        else:
            resume_run(path, recipes=self._file)
        self.refresh()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody trains in the shown run (seconds; None: for ever); whether it came."""
        end = None if timeout is None else time.monotonic() + timeout
        while look_at(self._chosen()).at_work:
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(0.1)
        return True

    def refresh(self) -> None:
        """Read the folders now."""
        with self._lock:
            runs = list_runs(self.folder)
            values = [_short_value(run) for run in runs]
            if values != self.runs:
                self.runs = values
            if self._shown is None:
                self._set(run={}, history={}, look={})
                return
            assert self._reader is not None
            before = len(self._reader.records)
            run = look_at(self._shown, self._reader)
            if len(self._reader.records) != before or not self.history:
                self.history = history_value(self._reader.records, self._words)
            changed = self.run.get("state") != run.state
            moved = self.run.get("step") != run.step
            self._set(run={**_long_value(run), "message": self._words.said(run.message)})
            late = moved and time.monotonic() - self._stood >= STILL_EVERY
            if self._send_look() or changed or late:
                self._stood = time.monotonic()
                self._show_still()

    def close(self) -> None:
        """Take the monitor out of the page; the trainings go on."""
        self._closed = True
        if hasattr(self, "_wake"):  # refused before it was whole
            self._wake.set()
        super().close()

    _closed = False

    # -- the page ----------------------------------------------------------------------------------

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        simple: dict[str, Callable[[], Any]] = {
            "pause": self.pause, "resume": self.resume, "stop": self.stop,
            "new": lambda: self.select(None), "start": lambda: self.start(self._new_name),
        }  # fmt: skip
        if kind in simple:
            simple[kind]()
        elif kind == "select":
            self.select(str(message["run"]))
        elif kind == "look":
            self._pinned = None if message["step"] is None else int(message["step"])
            self._send_look()
        elif kind == "recipe":
            self._recipe = get_recipe(str(message["name"]), self._known)
            self._values = {}
            self._send_form()
        elif kind == "field":
            self._take(str(message["name"]), message["value"])
        elif kind == "folder":
            self._new_name = str(message["value"]).strip()
            self._send_form()
        else:
            raise ValueError("no such request")

    def _seen_anew(self) -> None:
        if self.audience.is_there:
            self._wake.set()

    def _take(self, name: str, value: Any) -> None:
        defaults = {field.name: field.default for field in fields_of(self._recipe)}
        kinds = {field.name: field.kind for field in fields_of(self._recipe)}
        if isinstance(value, str) and kinds.get(name) in ("integer", "number"):
            value = self._words.typed(value)
        if str(value) in (_as_text(defaults.get(name)), _as_text(shown_names(defaults.get(name)))):
            self._values.pop(name, None)
        else:
            self._values[name] = value
        self._send_form()

    def _shown_value(self, kind: str, value: Any) -> str:
        """A field's value as the form shows it: numbers as this language writes them."""
        text = _as_text(value)
        return self._words.figures(text) if kind in ("integer", "number") else text

    def _send_form(self) -> None:
        say = self._words
        wrong = {n: say.said(w) for n, w in check_fields(self._recipe, self._values).items()}
        if self._checked != self._recipe.name:  # reading all weights takes a moment
            self._checked = self._recipe.name
            self._missing = say.said(_missing(self._recipe, self._known, self._weights))
        kinds = {field.name: field.kind for field in fields_of(self._recipe)}
        folder = self.folder / self._new_name if self._new_name else None
        taken = folder is not None and folder.exists()
        if taken:
            wrong["folder"] = self._words("folder_is_there", name=repr(self._new_name))
        elif self._new_name and (
            Path(self._new_name).name != self._new_name or self._new_name.startswith(".")
        ):
            wrong["folder"] = self._words("folder_name", name=repr(self._new_name))
        self.form = {
            "recipe": self._recipe.name,
            "recipes": [
                {"name": r.name, "shipped": r.shipped,
                 "summary": r.name if names_hidden(r.summary) else say.meaning(r.summary)}
                for r in self._known.values()
            ],
            "fields": [
                {**field.__dict__, "label": say.field(field.name),
                 "limits": "" if names_hidden(field.limits) else say.said(field.limits),
                 "meaning": "" if names_hidden(field.meaning) else say.meaning(field.meaning),
                 "default": self._shown_value(field.kind, shown_names(field.default)),
                 "allowed": shown_names(field.allowed),
                 "plain": field.name in PLAIN_FIELDS}
                for field in fields_of(self._recipe)
            ],
            "values": {
                name: self._shown_value(kinds.get(name, ""), shown_names(value))
                for name, value in self._values.items()
            },
            "wrong": wrong,
            "missing": self._missing,
            "folder": self._new_name,
            "suggested": free_folder(self.folder / self._recipe.name).name,
            "place": str(self.folder),
        }  # fmt: skip

    def _show(self, path: Path | None) -> None:
        with self._lock:
            self._shown, self._pinned = path, None
            self._reader = None if path is None else HistoryReader(path)
            self._set(history={}, look={})
            if path is None:
                self._new_name = ""
                self._send_form()

    def _send_look(self) -> bool:
        """Send the faces of the chosen step, or of the newest; whether they are others now."""
        if self._shown is None:
            return False
        steps = steps_seen(self._shown)
        if not steps:
            self._set(look={})
            return False
        step = self._pinned if self._pinned in steps else steps[-1]
        shown = (step, steps, self._pinned is None)
        if tuple(self.look.get(key) for key in ("step", "steps", "follows")) == shown:
            return False
        look = read_look(self._shown, step)
        if look is None:
            return False
        value = look_value(look)
        self.look = {
            **value,
            "step": step,
            "steps": steps,
            "follows": self._pinned is None,
            "captions": [row_caption(caption, self._words) for caption in value["captions"]],
            "labels": {n: attribute_label(n, self._words) for n in value["leakage"]},
        }
        return True

    def _hide_anew(self) -> None:
        """The list of hidden attributes changed: faces, leakage and form are sent again."""
        if self._closed:
            return
        with self._lock:
            self._set(look={})
            self._send_form()
        self.refresh()
        self._show_still()

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        if self._shown is None:
            return self._words("about_monitor", folder=self.folder)
        return self._words("about_monitor_run", folder=self.folder, run=self._shown.name)

    def _without_still(self) -> str:
        return self._words("still_monitor_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        """The faces of the run that is shown, or else its curves; and every run in the table."""
        if not self.runs:
            return None
        look, words, say = self.look, self._about(), self._words
        picture = look["sheet"]["data"] if look else curves_png(self.history, self._words)
        if look:
            names = ", ".join(look["captions"])
            words = say("still_monitor", about=words, step=look["step"], names=names)
        rows = [
            [
                run["name"],
                run["recipe"],
                say(f"state_{run['state']}"),
                say("of", at=run["step"], count=run["steps"] or "?"),
            ]
            for run in self.runs[:STILL_RUNS]
        ]
        head = [say(f"head_{name}") for name in ("run", "recipe", "state", "steps")]
        return Still(picture, words, head, rows)

    def _run_line(self, run: RunInfo) -> str:
        say = self._words
        steps = say("step_of_steps", step=run.step, steps=run.steps or "?")
        return f"{run.path.name}: {say(f'state_{run.state}')}, {steps}"

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    def _chosen(self) -> Path:
        if self._shown is None:
            raise ValueError("no run is shown; start one, or choose one from the list")
        return self._shown

    def _pause_between_looks(self) -> float | None:
        """Seconds until the next look; None while nobody can see the monitor."""
        if not self.audience.is_there:
            return None
        working = any(run["at_work"] for run in self.runs)
        return WORKING_EVERY if working else IDLE_EVERY


def _poll(reference: weakref.ref[TrainingMonitor], wake: threading.Event) -> None:
    """Read the folders as long as the monitor exists and somebody sees it."""
    while True:
        monitor = reference()
        if monitor is None or monitor._closed:
            return
        seconds = monitor._pause_between_looks()
        if seconds is not None:
            try:
                monitor.refresh()
            except Exception as error:  # a folder that went away in the midst of it
                monitor._say_error(error)
        del monitor  # so that nobody but the notebook keeps it
        # Hidden: wait until a page says that it is seen, and look whether we still exist.
        wake.wait(30.0 if seconds is None else seconds)
        wake.clear()


def _missing(recipe: Recipe, known: Mapping[str, Recipe], weights: Path) -> str:
    """Which weights the recipe needs and lacks, in words; empty where all are there."""
    try:
        input_hashes(recipe, known, weights)
    except ValueError as error:
        return str(error)
    return ""


def _short_value(run: RunInfo) -> dict[str, Any]:
    return {
        "name": run.path.name,
        "recipe": run.recipe,
        "state": run.state,
        "step": run.step,
        "steps": run.steps,
        "at_work": run.at_work,
    }


def _long_value(run: RunInfo) -> dict[str, Any]:
    return {
        **run.to_dict(),
        "name": run.path.name,
        "at_work": run.at_work,
        "can_resume": run.can_resume or run.state in ("stopped", "failed", "died"),
        "beat": 0,  # changes with every beat, and no page shows it
    }


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)
