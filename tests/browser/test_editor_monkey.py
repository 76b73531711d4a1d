"""A seeded monkey at the face editor: 200 random actions leave no error."""

from __future__ import annotations

import random

import pytest

from . import harness
from .editor_page import EditorPage
from .monkey import ACTIONS, SEEDS, act

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_monkey_leaves_no_error_in_kernel_console_or_page(page, address, folder, seed):
    harness.write_notebook(
        folder,
        "monkey.ipynb",
        "from l2l_widgets import EditSession, FaceEditor, load\n"
        "session = EditSession(load(), seed=7, n_random=4)\n"
        "editor = FaceEditor(session)\neditor",
    )
    harness.open_notebook(page, address, "monkey.ipynb", timeout=600)
    editor = EditorPage(page)
    monkey, done = random.Random(seed), []
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
    editor.draws_an_edit()
