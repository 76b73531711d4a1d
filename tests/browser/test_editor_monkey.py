"""A seeded monkey at the face editor, and one at all views: 200 random actions leave no error."""

from __future__ import annotations

import json
import os
import random
import signal

import pytest

from . import harness
from .all_views import VIEWS, open_all, root_of
from .editor_page import EditorPage
from .monkey import ACTIONS, SEED, act

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_monkey_leaves_no_error_in_kernel_console_or_page(page, address, folder):
    harness.write_notebook(
        folder,
        "monkey.ipynb",
        "from l2l_widgets import EditSession, FaceEditor, load\n"
        "session = EditSession(load(), seed=7, n_random=4)\n"
        "editor = FaceEditor(session)\neditor",
    )
    harness.open_notebook(page, address, "monkey.ipynb", timeout=300)
    editor = EditorPage(page)
    monkey, done = random.Random(SEED), []
    for _ in range(ACTIONS):
        done.append(act(page, editor.root, monkey))
        page.wait_for_timeout(monkey.choice((0, 0, 20, 60)))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.mouse.up()
    tail = "; ".join(done[-12:])
    assert page.faults == [], tail
    assert harness.kernel_errors(page) == [], tail
    assert harness.cell_errors(page) == [], tail
    # and it still works
    harness.evaluate_in_kernel(page, "editor._batch.close() or editor._batch.join(60)")
    harness.evaluate_in_kernel(page, "session.update(seed=7, method='mapper') and session.reset()")
    harness.evaluate_in_kernel(page, "editor.refresh()")
    harness.until(lambda: editor.root.locator(".l2l-row.l2l-asked").count() == 0)
    editor.settle()
    before = editor.pixels()
    editor.root.get_by_label("Search attributes").fill("")
    editor.drag("smile", 0.3, 0.95)
    editor.settle()
    harness.until(lambda: editor.pixels() != before, what="an edit after the monkey")
    assert page.faults == []
    assert harness.kernel_errors(page) == []


@pytest.fixture
def trainings(folder):
    """Where the monkey may start trainings; none of them outlives it."""
    yield folder
    for path in (folder / "monitored").glob("*/process.json"):
        values = json.loads(path.read_text())
        if values["state"] in ("preparing", "running", "paused", "finishing"):
            os.kill(values["pid"], signal.SIGKILL)


def test_a_monkey_at_all_views_leaves_no_error_anywhere(page, address, trainings):
    with harness.page_beside(page, 1280, 900) as own:
        open_all(own, address, trainings)
        monkey, done = random.Random(SEED), []
        for _ in range(ACTIONS):
            name = monkey.choice(list(VIEWS))
            done.append(f"{name}: {act(own, root_of(own, name), monkey)}")
            own.wait_for_timeout(monkey.choice((0, 0, 20, 60)))
        own.mouse.up()
        # the presenter may fill the screen, over all that follows
        own.evaluate("document.fullscreenElement && document.exitFullscreen()")
        harness.until(lambda: own.evaluate("!document.fullscreenElement"), what="the whole page")
        own.set_viewport_size({"width": 1280, "height": 900})
        tail = "; ".join(done[-12:])
        harness.evaluate_in_kernel(own, "training.stop()")
        assert own.faults == [], tail
        assert harness.kernel_errors(own) == [], tail
        assert harness.cell_errors(own) == [], tail
        # and it still works: an edit is drawn, and no view has lost its place
        assert [name for name in VIEWS if root_of(own, name).count() != 1] == []
        harness.evaluate_in_kernel(own, "session.update(method='mapper') and session.reset()")
        harness.evaluate_in_kernel(own, "session.update(seed=7) and session.request()")
        editor = EditorPage(own)
        editor.settle()
        before = editor.pixels()
        editor.root.get_by_label("Search attributes").fill("")
        editor.drag("smile", 0.3, 0.95)
        editor.settle()
        harness.until(lambda: editor.pixels() != before, what="an edit after the monkey")
        assert own.faults == []
        assert harness.kernel_errors(own) == []
