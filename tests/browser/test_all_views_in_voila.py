"""Every view on one page of Voila, in German: each is used once, and none has an English word."""

from __future__ import annotations

import json
import os
import re

import pytest
from german_page import still_english

from . import harness
from .all_views import READY, VIEWS, write_notebook
from .test_presenter import voila

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHOTO = """
import io
from l2l_widgets.images import encode_png

photo = l2l.PhotoInverter(session, encode_png(session.render().before))
display(photo)
"""
ROOTS = {**{name: root for name, (root, _) in VIEWS.items()}, "photo": ".l2l-photo"}
#: What a person sees, hears read aloud, or is told by a tooltip: pairs of where and what.
TEXTS = """
root => {
  const found = [], seen = (e) => e.closest('.l2l-still') === null;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (parent.closest('style, script, kbd, code, pre')) continue;
    found.push(['text', walker.currentNode.textContent]);
  }
  for (const e of root.querySelectorAll('*')) {
    for (const name of ['title', 'aria-label', 'placeholder', 'aria-valuetext', 'aria-description',
                        'aria-roledescription', 'alt']) {
      if (e.hasAttribute(name)) found.push([name, e.getAttribute(name)]);
    }
  }
  return found.map(([where, text]) => [where, text.trim()]).filter(([, text]) => text);
}
"""


def write_page(folder):
    path = write_notebook(folder)
    notebook = json.loads(path.read_text())
    last = {**notebook["cells"][-1], "id": "photo", "source": PHOTO.strip()}
    notebook["cells"].append(last)
    path.write_text(json.dumps(notebook))
    return path.name


def english_of(tab):
    """What is English on the page, view by view."""
    names = set(tab.locator(".l2l-monitor option").all_inner_texts())
    names |= set(tab.locator(".l2l-field-name").all_inner_texts())
    texts = [pair for root in ROOTS.values() for pair in tab.locator(root).first.evaluate(TEXTS)]
    assert len(texts) > 500
    return still_english((text for _, text in texts), names)


def answered(root, question, what, timeout=300):
    harness.until(lambda: root.evaluate(question), timeout, 0.2, what)


def use_each(tab):
    """One real gesture on every view, and what must come of it."""
    at = {name: tab.locator(root).first for name, root in ROOTS.items()}

    def show(name):
        at[name].scroll_into_view_if_needed()
        if name in READY:
            answered(at[name], READY[name], f"the {name}", 300)
        return at[name]

    editor = show("editor")
    stamp = editor.get_attribute("data-stamp")
    editor.locator(".l2l-row[data-attribute=smile] input[type=range]").focus()
    tab.keyboard.press("ArrowRight")
    answered(editor, f"e => e.dataset.stamp !== '{stamp}'", "an edited face")

    chart = show("map")
    box = chart.locator("canvas").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    chart.locator("canvas").first.focus()
    tab.keyboard.press("ArrowRight")
    answered(chart, "e => e.dataset.hover !== undefined", "a face under the cursor")

    grid = show("grid")
    grid.locator("input[type=range]").first.focus()
    tab.keyboard.press("ArrowRight")
    answered(grid, "e => e.dataset.state === 'ready'", "the methods")

    explorer = show("explorer")
    explorer.locator(".l2l-start").click()
    answered(explorer, "e => e.dataset.state !== 'ready'", "a study that begins")
    explorer.locator(".l2l-stop").click()

    walk = show("walk")
    walk.locator(".l2l-strip").focus()
    now = walk.locator(".l2l-strip").get_attribute("aria-valuenow")
    tab.keyboard.press("ArrowRight")
    answered(walk, f"e => e.querySelector('.l2l-strip').ariaValueNow !== '{now}'", "the next frame")

    gallery = show("gallery")
    gallery.locator(".l2l-face").nth(3).click()
    answered(gallery, "e => e.querySelectorAll('.l2l-face')[3].ariaPressed === 'true'", "its face")

    monitor = show("monitor")
    before = monitor.locator(".l2l-hint").first.inner_text()
    monitor.locator("select").first.focus()
    tab.keyboard.press("ArrowDown")
    harness.until(lambda: monitor.locator(".l2l-hint").first.inner_text() != before, 60)

    presenter = show("presenter")
    presenter.locator("h2").click()
    tab.keyboard.press("ArrowRight")
    answered(presenter, "e => e.dataset.at === '1'", "the next step")

    mixer = show("mixer")
    pictures = mixer.get_attribute("data-pictures")
    mixer.locator("input[type=range]").first.focus()
    tab.keyboard.press("ArrowLeft")
    answered(mixer, f"e => e.dataset.pictures !== '{pictures}'", "another mix")

    painter = show("painter")
    stamp = painter.get_attribute("data-stamp")
    box = painter.locator(".l2l-stage canvas, canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 20, y + 8, steps=4)
    tab.mouse.up()
    answered(painter, f"e => e.dataset.stamp !== '{stamp}'", "a painted face")

    training = show("training")
    training.locator(".l2l-primary").click()
    answered(training, "e => e.dataset.state !== 'ready'", "a training that begins")

    photo = show("photo")
    answered(photo, "e => e.dataset.count !== undefined", "a likeness", 300)
    photo.locator("canvas").first.focus()
    count = photo.get_attribute("data-count")
    tab.keyboard.press("ArrowLeft")
    answered(photo, f"e => e.dataset.count !== '{count}'", "the likeness of the moved square", 300)


def test_every_view_answers_in_german_under_voila(page, tmp_path, monkeypatch):
    monkeypatch.setenv("L2L_LANGUAGE", "de")
    name = write_page(tmp_path)
    context = page.context.browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    faults, errors = [], []
    tab.on("pageerror", lambda error: faults.append(str(error)))

    def hear(frame):
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        if re.search(r'"msg_type":\s*"error"', text):
            errors.append(text[:2000])

    tab.on("websocket", lambda socket: socket.on("framereceived", hear))
    try:
        with voila(tmp_path, name) as address:
            tab.goto(address, timeout=300_000)
            tab.locator(ROOTS["photo"]).first.wait_for(timeout=600_000)
            use_each(tab)
            if folder := os.environ.get("L2L_SCREENSHOTS"):  # for who wants to look
                for view, root in ROOTS.items():
                    tab.locator(root).first.screenshot(path=f"{folder}/voila-{view}.png")
            english = english_of(tab)
            messages = [t for t in tab.locator(".l2l-message").all_inner_texts() if "\u26a0" in t]
    finally:
        context.close()
    assert errors == [], "the kernel complained"
    assert faults == []
    assert messages == []
    assert english == []
