"""The mask painter by its keys alone, and what keys and mouse do to one another."""

from __future__ import annotations

import pytest

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.models.zoo import load
from l2l_widgets.painting import PaintSession, load_painter

from .painter_page import painter_beside

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(page, tmp_path_factory):
    face = render(sample_factors(1, seed=3), 64)
    session = PaintSession(load_painter(load()), face.image[0], face.mask[0])
    with painter_beside(page, session, tmp_path_factory.mktemp("keys")) as painter:
        yield painter


@pytest.fixture
def painter(opened):
    """The painter with nothing painted; what the page complained about is read at the end."""
    opened.put_back()
    yield opened
    assert opened.page.faults == []


def test_the_keyboard_alone_paints(painter):
    painter.root.locator(".l2l-canvas").focus()
    keys = painter.page.keyboard
    keys.press("j")  # necklace
    for _ in range(8):
        keys.press("Shift+ArrowUp")
    keys.press("Space")
    for _ in range(10):
        keys.press("ArrowRight")
    keys.press("Space")
    painter.settle()
    assert painter.count("neck_l") >= 20
    keys.press("]")
    assert painter.root.get_by_label("Brush size").input_value() == "5"
    keys.press("+")
    assert painter.root.locator(".l2l-zoom").inner_text() == "2×"
    keys.press("-")
    keys.press("o")
    assert painter.root.get_by_label("Mask opacity").input_value() == "0"
    keys.press("o")
    assert painter.root.get_by_label("Mask opacity").input_value() == "0.55"


def test_a_click_on_no_control_leaves_the_keys_with_the_painter(painter):
    """Lab, where they would go else, cuts the cell at X."""
    for place in (".l2l-consent", ".l2l-result .l2l-frame"):
        painter.tool("Brush")
        painter.root.locator(place).click()
        held = painter.page.evaluate(
            "() => [document.activeElement.closest('.l2l-painter') !== null,"
            " document.activeElement.dataset.lmSuppressShortcuts]"
        )
        assert held == [True, "true"], place
        painter.page.keyboard.press("x")
        assert painter.button("Eraser").get_attribute("aria-pressed") == "true", place
    caption = painter.root.locator(".l2l-result figcaption")
    painter.page.keyboard.down("Space")
    assert "original" in caption.inner_text()
    painter.page.keyboard.up("Space")
    assert caption.inner_text() == "result"


def test_what_is_told_of_a_stroke_goes_with_it(painter):
    status, keys = painter.root.locator(".l2l-status"), painter.page.keyboard
    painter.take("eye_g")
    assert "one patch" in status.inner_text()
    for end in ("Escape", "Tab"):
        painter.root.locator(".l2l-canvas").focus()
        keys.press("Space")
        assert "Space lifts it" in status.inner_text()
        keys.press("ArrowRight")
        keys.press(end)
        assert status.inner_text() == "", end
    under = painter.root.locator(".l2l-under-pointer")
    painter.root.locator(".l2l-canvas").hover()
    assert under.count() == 1
    painter.page.mouse.move(2, 2)
    assert under.count() == 0
    painter.settle()


def test_brackets_that_need_another_key_size_the_brush(painter):
    """Of a German keyboard: AltGr, which Windows reports as Ctrl and Alt, and Option elsewhere."""
    size = painter.root.get_by_label("Brush size")
    press = """(canvas, event) => canvas.dispatchEvent(
      new KeyboardEvent('keydown', { bubbles: true, ...event }))"""
    canvas = painter.root.locator(".l2l-canvas")
    for event, after in (
        ({"key": "]", "altKey": True, "ctrlKey": True}, "5"),
        ({"key": "]", "altKey": True}, "6"),
        ({"key": "[", "altKey": True, "ctrlKey": True}, "5"),
        ({"key": "]", "ctrlKey": True}, "5"),  # the browser's own
    ):
        canvas.evaluate(press, event)
        assert size.input_value() == after, event


def test_a_mouse_that_presses_ends_the_stroke_that_a_key_began(painter):
    painter.take("neck_l")
    painter.root.locator(".l2l-canvas").focus()
    keys = painter.page.keyboard
    keys.press("Space")
    for _ in range(12):
        keys.press("ArrowRight")
    status = painter.root.locator(".l2l-status")
    assert "Brush down" in status.inner_text()
    painter.stroke((0.2, 0.9), (0.4, 0.9))
    first, second = painter.session.operations[-2:]
    start, end = (first["points"][k][0] for k in (0, -1))
    assert end == min(63.5, int(start) + 12.5), "all of its way, and not to where the mouse lies"
    assert second["points"][0][1] > 50
    assert status.inner_text() == ""


def test_the_view_follows_the_cursor_of_the_keys(painter):
    painter.button("Zoom in").click()
    painter.button("Zoom in").click()
    painter.root.locator(".l2l-canvas").focus()
    for _ in range(14):
        painter.page.keyboard.press("Shift+ArrowRight")
    inside = """e => {
      const view = e.querySelector('.l2l-view').getBoundingClientRect();
      const ring = e.querySelector('.l2l-ring').getBoundingClientRect();
      return view.left <= ring.left && ring.left < view.right;
    }"""
    painter.until(lambda: painter.root.evaluate(inside), "the cursor in sight")
    painter.button("Zoom out").click()
    painter.button("Zoom out").click()
