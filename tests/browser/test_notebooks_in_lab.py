"""Every notebook runs to its end in a real JupyterLab; those that no other test here opens.

Two notebooks run beside each other, each in a page of its own: while one draws, the other starts
its kernel or waits for a training. Of each a picture is left, the whole notebook in one, for a
person to look at.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from . import harness
from .all_views import READY, VIEWS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Notebook -> the module beside this one that runs it to its end, and works with it.
ELSEWHERE = {
    "student_1_edit_a_face": "test_face_editor",
    "student_2_train_a_mapper": "test_training_cell",
    "student_3_what_is_w": "test_views",
    "student_8_paint_a_face": "test_mask_painter",
    "teacher_2_present": "test_presenter",
}
EVERY = sorted(path.stem for path in (harness.ROOT / "notebooks").glob("*.ipynb"))
HERE = [name for name in EVERY if name not in ELSEWHERE]
#: The one that trains is begun first, so that the others run beside it.
HERE.sort(key=lambda name: name != "researcher_2_your_own_generator")
#: Seconds for a notebook, on a machine that is busy with other things.
LIMIT = 600.0
SIDE_BY_SIDE = 2
#: Of a window in which all of a notebook is in sight, and so is drawn.
WIDTH, HEIGHT = 1280, 12_000

RUN = """() => {
  window.allRan = false;
  const run = window.jupyterapp.commands.execute('notebook:run-all-cells');
  void run.then(() => { window.allRan = true; });
}"""
ALL_RAN = "() => window.allRan && window.panel.sessionContext.session?.kernel?.status === 'idle'"
#: The element of a view -> what it says when its first work is done.
DONE = {VIEWS[name][0]: question for name, question in READY.items()}
DONE[".l2l-editor"] = "e => e.dataset.stamp && e.dataset.stamp === e.dataset.receipt"
#: What keeps the page from being what its cells asked for: cells that did not run, widgets that are
#: not there, pictures without pixels, figures that are words, views that complain or still work.
LOOK = """
(done) => {
  const wrong = [], busy = [];
  const panel = window.panel, cells = panel.content.widgets;
  let shown = 0, expected = 0;
  cells.forEach((cell, number) => {
    const model = cell.model;
    if (model.type !== 'code') return;
    if (!model.executionCount) wrong.push(`cell ${number} did not run`);
    for (let k = 0; k < model.outputs.length; k++) {
      if (model.outputs.get(k).data['application/vnd.jupyter.widget-view+json']) expected += 1;
    }
    for (const part of cell.node.querySelectorAll('.jp-OutputArea-output')) {
      const text = part.textContent;
      const word = text.match(/Loading widget|Error (displaying|creating) widget|<Figure size/i);
      if (word) (word[0].startsWith('Load') ? busy : wrong).push(`cell ${number}: ${word[0]}`);
      const root = part.querySelector('.l2l, .jupyter-widgets');
      const own = part.matches('.jupyter-widgets') ? part : root;
      if (!own) continue;
      const box = own.getBoundingClientRect();
      if (box.width > 50 && box.height > 10) shown += 1;
    }
    for (const image of cell.node.querySelectorAll('img')) {
      if (!image.checkVisibility()) continue;
      if (!image.complete || !image.naturalWidth) busy.push(`cell ${number}: a picture`);
    }
  });
  if (shown < expected) busy.push(`${shown} of ${expected} widgets are shown`);
  for (const root of document.querySelectorAll('.l2l')) {
    // that the kernel is silent is said while it works, and taken back with its answer
    const silent = root.l2lLink && !root.l2lLink.settled;
    for (const alert of root.querySelectorAll('[role=alert]')) {
      if (!alert.checkVisibility() || !alert.textContent) continue;
      (silent ? busy : wrong).push(`alert: ${alert.textContent}`);
    }
    if (root.l2lLink && !root.l2lLink.settled) busy.push(`${root.className} waits for an answer`);
  }
  for (const [place, question] of Object.entries(done)) {
    for (const root of document.querySelectorAll(place)) {
      if (!eval(question)(root)) busy.push(`${place} is not done`);
    }
  }
  return { wrong, busy, expected };
}
"""


class Lane:
    """A page on which one notebook after the other is run.

    Parameters
    ----------
    page : playwright page
        A tall one.
    address : str
        Of the server.
    pictures : Path
        Folder for what the notebooks look like.
    """

    def __init__(self, page, address: str, pictures: Path) -> None:
        self.page, self.address, self.pictures = page, address, pictures
        self.name = ""
        self.began = 0.0

    def start(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        harness.open_notebook(self.page, self.address, f"{name}.ipynb", run=False, timeout=LIMIT)
        self.page.evaluate(RUN)

    def ended(self) -> dict | None:
        """What was found when all cells have run and every view is done; None until then."""
        late = time.monotonic() - self.began > LIMIT
        if not (self.page.evaluate(ALL_RAN) or late):
            return None
        found = self.page.evaluate(LOOK, DONE)
        if found["busy"] and not found["wrong"] and not late:
            return None
        found["wrong"] += [*found["busy"], *self.page.faults]
        found["wrong"] += harness.cell_errors(self.page) + harness.kernel_errors(self.page)
        found["seconds"] = time.monotonic() - self.began
        found["picture"] = self._take()
        self.page.evaluate("() => window.panel.sessionContext.shutdown()")
        return found

    def _take(self) -> Path:
        """A picture of the notebook alone, as tall as it is."""
        sheet = self.page.evaluate(
            """() => {
              const cells = window.panel.content.widgets.map(c => c.node.getBoundingClientRect());
              const area = window.panel.content.node.getBoundingClientRect();
              const bottom = Math.max(...cells.map(c => c.bottom));
              return {x: area.x, y: area.y, width: area.width, height: bottom - area.y + 20};
            }"""
        )
        assert sheet["height"] < HEIGHT - 200, f"{self.name} is {sheet['height']:.0f} px tall"
        path = self.pictures / f"{self.name}.png"
        self.page.screenshot(path=path, clip=sheet)
        return path


class Lanes:
    """Notebooks that wait, those that run, and what was found of those that ended."""

    def __init__(self, lanes: list[Lane], names: list[str]) -> None:
        self.lanes, self.waiting = lanes, collections.deque(names)
        self.found: dict[str, dict] = {}

    def of(self, name: str) -> dict:
        """What was found of a notebook, when it has ended; the others run on meanwhile."""
        harness.until(lambda: self._look(name), 2 * LIMIT, step=0.2, what=f"the end of {name}")
        return self.found[name]

    def _look(self, name: str) -> bool:
        for lane in self.lanes:
            try:
                if not lane.name and self.waiting:
                    lane.start(self.waiting.popleft())
                found = lane.ended() if lane.name else None
            except Exception as error:
                found = {"wrong": [f"{type(error).__name__}: {error}"], "picture": None}
            if found is not None:
                self.found[lane.name], lane.name = found, ""
        return name in self.found


@pytest.fixture(scope="module")
def lanes(request, page, address, tmp_path_factory):
    chosen = os.environ.get("L2L_SCREENSHOTS")
    pictures = Path(chosen) if chosen else tmp_path_factory.mktemp("notebooks-in-lab")
    pictures.mkdir(parents=True, exist_ok=True)
    asked = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    page.goto("about:blank")
    with contextlib.ExitStack() as stack:
        tall = [
            stack.enter_context(harness.page_beside(page, WIDTH, HEIGHT))
            for _ in range(min(SIDE_BY_SIDE, len(asked)))
        ]
        yield Lanes([Lane(one, address, pictures) for one in tall], asked)


def test_no_notebook_is_left_out():
    assert set(ELSEWHERE) < set(EVERY)
    for name, module in ELSEWHERE.items():
        text = Path(__file__).with_name(f"{module}.py").read_text("utf-8")
        assert f"{name}.ipynb" in text, f"{module} does not open {name}"


@pytest.mark.parametrize("name", HERE)
def test_it_runs_to_its_end_and_shows_what_it_made(lanes, name):
    found = lanes.of(name)
    print(json.dumps({k: str(v) for k, v in found.items()}))
    assert found["wrong"] == [], f"picture: {found['picture']}"
    assert found["expected"] >= 1, "no widget was shown"
