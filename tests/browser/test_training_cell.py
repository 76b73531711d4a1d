"""student_2 in a real JupyterLab: a training that is watched, stopped and resumed."""

from __future__ import annotations

import json
import re

import pytest

from . import harness
from .editor_page import EditorPage

pytestmark = pytest.mark.browser

#: Steps of the smoke lesson; enough to be stopped on the way.
STEPS = 120
#: To what share of its first value the loss must have fallen by then.
FALLS_TO = 0.9
#: Seconds of training within which the lesson promises that much, on a machine with nothing else
#: to do.
PROMISED = 60.0


def seconds_to_fall(history):
    """Seconds of training until the loss had fallen, by the run's own history; None if never."""
    records = [json.loads(line) for line in history.read_text("utf-8").splitlines()]
    first = records[0]["loss"]
    return next((r["seconds"] for r in records if r["loss"] < FALLS_TO * first), None)


def ends_of(cell, name):
    """The first and the last value of a loss, as its curve tells those who cannot see it."""
    label = cell.get_by_role("img", name=re.compile(rf"^{name}: from")).get_attribute("aria-label")
    first, last = re.fullmatch(rf"{name}: from (\S+) to (\S+)", label).groups()
    return float(first), float(last)


@pytest.fixture(scope="module")
def opened(page, address, folder):
    """The notebook with a longer lesson than in smoke mode, not yet run."""
    name = "student_2_train_a_mapper.ipynb"
    path = folder / name
    text = path.read_text()
    assert '\\"steps\\": 6' in text
    path.write_text(text.replace('\\"steps\\": 6', f'\\"steps\\": {STEPS}'))
    harness.open_notebook(page, address, name, run=False)
    return page


def test_it_learns_stops_resumes_and_serves_the_sliders(opened, folder):
    page = opened
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    cell = page.locator(".l2l-training-cell")
    cell.wait_for(timeout=600_000)

    def step():
        return int(cell.get_attribute("data-step") or 0)

    def state():
        return cell.get_attribute("data-state")

    # The notebook starts the training itself; Stop is pressed while the next cell waits for it.
    def runs():
        # Lab follows the cells that run, and a view that nobody sees is told of no step
        cell.evaluate("e => e.scrollIntoView({ block: 'center' })")
        return state() == "running" and step() >= 3

    harness.until(runs, 400, what="a training that runs")
    # At once: what the page shows of it can be waited for when it cannot end any more.
    cell.get_by_role("button", name="Stop").click()
    harness.until(lambda: state() == "stopped", 400, what="Stop")
    harness.until(lambda: cell.get_attribute("data-faces"), 400, what="the first faces")
    stopped = step()
    assert 3 <= stopped < STEPS
    harness.wait_idle(page, 600)
    assert harness.cell_errors(page) == []
    curves = cell.locator(".l2l-curve-line")
    harness.until(lambda: curves.count() >= 4, what="curves")
    for i in range(2):
        harness.until(lambda i=i: "L" in (curves.nth(i).get_attribute("d") or ""), what="a line")
    for place, count in ((".l2l-facerow", 4), (".l2l-facerow canvas", 16)):
        faces = cell.locator(place)
        harness.until(lambda f=faces, n=count: f.count() == n, what=place)

    harness.picture_of(page, cell, "TrainingCell")
    # With the keyboard alone: to the button by Tab, and Enter, which elsewhere is Lab's own.
    resume = cell.get_by_role("button", name="Resume")
    harness.until(resume.is_enabled, what="Resume")
    cell.evaluate("e => { e.tabIndex = -1; e.focus(); }")
    page.keyboard.press("Tab")
    assert resume.evaluate("e => e === document.activeElement"), "it is the first stop"
    page.keyboard.press("Enter")
    on = ("running", "finished")
    harness.until(lambda: state() in on and step() > stopped, 300, what="Resume")
    harness.until(lambda: state() == "finished", 900, what="the end of the training")
    harness.until(lambda: step() == STEPS, what="the last step")
    first, last = ends_of(cell, "loss")
    assert last < FALLS_TO * first, "it did not learn"
    taken = seconds_to_fall(folder / "runs" / "my-mapper" / "history.jsonl")
    assert taken is not None
    crowd = harness.crowd()
    assert taken < PROMISED * crowd, f"{taken:.0f} s, with {crowd:.1f} processes a core"

    editor = EditorPage(page)
    harness.until(editor.root.locator("select.l2l-method").is_visible, what="the methods")
    before = editor.pixels()
    # The lesson's mapper knows three attributes: the others are off, and say so.
    hat = editor.slider("hat")
    assert hat.is_disabled()
    assert "not in this method" in editor.row("hat").inner_text()
    assert "mine" in editor.row("hat").get_attribute("title")
    assert editor.slider("glasses").is_enabled()
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    mine = editor.pixels()
    editor.root.locator("select.l2l-method").select_option("shipped")
    editor.settle()
    shipped = editor.pixels()
    assert shipped != before
    assert shipped != mine, "two methods, one picture"
    assert hat.is_enabled()
    # What this method is asked for beside it does not block the other one.
    editor.drag("hat", 0.2, 0.9)
    editor.settle()
    editor.root.locator("select.l2l-method").select_option("mine")
    editor.settle()
    assert editor.error() == ""
    assert "set aside" in editor.row("hat").inner_text()
    editor.wait_for_receipt()
    assert harness.kernel_errors(page) == []
    assert page.faults == []
