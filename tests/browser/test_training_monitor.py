"""The training monitor in a real JupyterLab: a form, a process, a kernel that is restarted."""

from __future__ import annotations

import json
import os
import signal

import pytest

from l2l_widgets.training import look_at

from . import harness

pytestmark = pytest.mark.browser

NOTEBOOK = "monitor.ipynb"
CELLS = (
    "from l2l_widgets import TrainingMonitor",
    'monitor = TrainingMonitor("watched", recipe="mapper-lesson", faces=64, '
    "calibration_faces=0, checkpoint_every=4, log_every=1, threads=1)\nmonitor",
)


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, NOTEBOOK, *CELLS)
    harness.open_notebook(page, address, NOTEBOOK, timeout=600)
    yield page
    for path in (folder / "watched").glob("*/process.json"):
        values = json.loads(path.read_text())
        if values["state"] in ("preparing", "running", "paused", "finishing"):
            os.kill(values["pid"], signal.SIGKILL)


def monitor_of(page):
    root = page.locator(".l2l-monitor").first
    root.wait_for(timeout=600_000)
    root.scroll_into_view_if_needed()
    return root


def test_a_training_is_started_held_found_after_a_restart_and_stopped(opened, folder):
    page = opened
    root = monitor_of(page)

    def state():
        return root.get_attribute("data-state")

    def step():
        return int(root.get_attribute("data-step") or 0)

    # A wrong value is said at its field, and nothing can be started.
    steps = root.get_by_label("steps", exact=False).first
    steps.click()
    steps.fill("many")
    field = root.locator(".l2l-field", has=page.locator('[data-field="steps"]'))
    harness.until(lambda: "allowed: a whole number" in field.inner_text())
    start = root.get_by_role("button", name="Start")
    harness.until(start.is_disabled, what="a form that cannot start")
    harness.until(lambda: steps.get_attribute("aria-invalid") == "true", what="the marked field")
    steps.fill("")
    page.keyboard.type("4000")
    harness.until(lambda: start.is_enabled(), what="a form that fits")

    start.click()  # a real one, press and release: the form must not move in between
    harness.until(lambda: state() != "form", what="a training that was started")
    harness.until(lambda: state() == "running" and step() >= 3, 400, what="a training that runs")
    name = root.get_attribute("data-run")
    assert name == "mapper-lesson"
    harness.until(lambda: root.locator(".l2l-facerow canvas").count() == 16, 400, what="faces")
    harness.until(lambda: root.locator(".l2l-leakage tbody tr").count() == 3, 400, what="leakage")
    harness.until(lambda: "Left" in root.locator(".l2l-facts").inner_text())
    facts = root.locator(".l2l-facts")
    for word in ("Rate", "Memory", "Process"):
        harness.until(lambda w=word: w in facts.inner_text(), what=word)
    curves = root.locator(".l2l-curve-line")
    harness.until(lambda: "L" in (curves.first.get_attribute("d") or ""), what="curves")
    harness.picture_of(page, root, "TrainingMonitor")

    root.get_by_role("button", name="Pause").click()
    harness.until(lambda: state() == "paused", what="Pause")
    # nothing moves any more: what the page was told last may be a step behind
    reached = look_at(folder / "watched" / name).step
    harness.until(lambda: step() == reached, what="the step it is held at")
    held = reached

    # The kernel goes; the training does not.
    page.evaluate("() => window.panel.sessionContext.session.kernel.restart()")
    harness.wait_idle(page, 600)
    harness.run_all(page, 600)
    root = monitor_of(page)
    harness.until(lambda: state() == "paused", 400, what="the same training, found again")
    harness.until(lambda: step() == held, what="the step it was held at")
    assert root.get_attribute("data-run") == name
    root.get_by_role("button", name="Resume").press("Enter")
    harness.until(lambda: state() == "running" and step() > held, 400, what="Resume")

    # The faces of the beginning, with the keyboard.
    slider = root.get_by_label("Step of the faces")
    harness.until(lambda: slider.is_enabled(), 400, what="a second look at the faces")
    slider.press("Home")
    faces = root.locator("section.l2l-faces")
    harness.until(lambda: faces.get_attribute("data-step") == "0", what="step 0")

    root.get_by_role("button", name="Stop").click()
    harness.until(lambda: state() == "stopped", 400, what="Stop")
    harness.until(root.get_by_role("button", name="Resume").is_visible, what="Resume")
    saved = folder / "watched" / name
    harness.until(lambda: (saved / f"step-{step():07d}").is_dir(), what="the step that was saved")
    root.get_by_role("button", name="New training").click()
    harness.until(lambda: state() == "form")
    root.locator(f'.l2l-run[data-run="{name}"]').click()
    harness.until(lambda: state() == "stopped")
    assert harness.cell_errors(page) == []
    assert harness.kernel_errors(page) == []
    assert page.faults == []
