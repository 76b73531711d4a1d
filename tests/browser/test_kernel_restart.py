"""A kernel that is restarted under open views: said in place, and nothing that is seen is lost."""

from __future__ import annotations

import pytest

from . import harness
from .editor_page import EditorPage
from .painter_page import PainterPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Every step of the strip: what it says, and whether its picture is up.
STEPS = """
root => [...root.querySelectorAll('.l2l-step')].map(e =>
  [e.title, e.querySelector('img')?.naturalWidth > 0])
"""
#: The page's own words, not whose process ended.
GONE = "The kernel does not answer"


#: A walk and a painting, which nothing keeps but the kernel that went.
MORE = """
from l2l_widgets import InterpolationView, MaskPainter, PaintSession
from l2l_widgets.faceworld import render, sample_factors

face = render(sample_factors(1, seed=3), 64)
walk = InterpolationView(session, 12, frames=5)
painter = MaskPainter(PaintSession(None, face.image[0], face.mask[0]))
display(walk, painter)
"""
#: What a walk's strip shows, as pixels.
STRIP = """root => [...root.querySelectorAll('.l2l-strip-frame canvas, .l2l-strip canvas')].map(
  c => c.toDataURL())"""


def open_tab(editor, name):
    editor.root.locator(f"[role=tab][data-tab={name}]").click()


def test_a_restarted_kernel_is_said_in_place_and_what_was_seen_is_not_lost(page, address, folder):
    harness.write_notebook(
        folder,
        "restart.ipynb",
        "from l2l_widgets import EditSession, FaceEditor, load\n"
        "session = EditSession(load(), seed=26, n_random=4)\n"
        "editor = FaceEditor(session)\neditor",
        MORE,
    )
    harness.open_notebook(page, address, "restart.ipynb", timeout=600)
    editor = EditorPage(page)
    for name in ("smile", "age"):
        editor.drag(name, 0.4, 0.9)
        editor.settle()
    picture, smile = editor.pixels(), editor.value("smile")
    open_tab(editor, "recipe")
    text = editor.root.locator(".l2l-half textarea").first
    harness.until(lambda: "age" in text.input_value(), what="the recipe")
    open_tab(editor, "history")
    loaded = "root => [...root.querySelectorAll('.l2l-step img')].length === 3"
    harness.until(lambda: editor.root.evaluate(loaded), what="three steps with pictures")
    harness.until(lambda: all(up for _, up in editor.root.evaluate(STEPS)), what="pictures")
    steps = editor.root.evaluate(STEPS)
    walk = page.locator(".l2l-walk").first
    walk.scroll_into_view_if_needed()
    same = "e => e.dataset.frames && e.dataset.frames === e.dataset.curves"
    harness.until(lambda: walk.evaluate(same), 400, what="the walk and its curves")
    strip = walk.evaluate(STRIP)
    assert strip
    painter = PainterPage(page)
    blank = painter.seen_mask()
    painter.stroke((0.2, 0.2), (0.4, 0.3))
    painted = painter.seen_mask()
    assert painted != blank

    page.evaluate("() => window.panel.sessionContext.session.kernel.restart()")
    harness.wait_idle(page, 600)
    # A question of a panel alone tells it, and so does a slider.
    open_tab(editor, "presets")
    harness.until(lambda: GONE in editor.error(), what="the message, from a panel")
    editor.slider("yaw").focus()
    page.keyboard.press("End")
    harness.until(lambda: GONE in editor.error(), what="the message, from a slider")
    open_tab(editor, "history")
    assert editor.root.evaluate(STEPS) == steps
    editor.root.locator(".l2l-step").first.click()  # leads nowhere, and breaks nothing
    assert editor.pixels() == picture
    open_tab(editor, "recipe")
    recipe = text.input_value()
    assert '"seed": 26' in recipe
    assert "age" in recipe
    for root, button in ((walk, "Exchange the two faces"), (painter.root, "Undo")):
        root.scroll_into_view_if_needed()
        root.get_by_role("button", name=button).first.click()
        message = root.locator(".l2l-message").first
        harness.until(lambda m=message: GONE in m.inner_text(), what=f"the message of {button}")
    assert walk.evaluate(STRIP) == strip
    assert painter.seen_mask() == painted
    assert page.faults == []

    harness.run_all(page, 600)
    fresh = EditorPage(page)
    for name in (".l2l-walk", ".l2l-painter"):
        assert GONE not in page.locator(name).first.inner_text()
    assert fresh.error() == ""
    assert fresh.pixels() != picture
    open_tab(fresh, "recipe")
    own = fresh.root.locator(".l2l-half textarea").first
    harness.until(lambda: own.input_value(), what="the recipe of the new kernel")
    own.fill(recipe)
    fresh.button("Apply").click()
    fresh.settle()
    assert fresh.pixels() == picture
    assert fresh.value("smile") == smile
    assert page.faults == []
    assert harness.kernel_errors(page) == []
    assert harness.cell_errors(page) == []
