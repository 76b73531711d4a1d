"""student_1 in a real JupyterLab: hands on the editor, eyes on the pixels."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from . import harness
from .editor_page import EditorPage

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(page, address):
    harness.open_notebook(page, address, "student_1_edit_a_face.ipynb", timeout=300)
    return EditorPage(page)


@pytest.fixture
def editor(opened):
    """The editor with the lesson's face and nothing asked; hidden errors are read at the end."""
    page = opened.page
    seed = opened.root.get_by_label("Seed")
    seed.fill("7")
    seed.press("Enter")
    if opened.button("Reset").is_enabled():
        opened.button("Reset").click()
    opened.settle()
    opened.wait_for_receipt()
    yield opened
    assert harness.kernel_errors(page) == []
    assert page.faults == []


def test_all_cells_run_and_show_their_pictures(editor):
    assert harness.cell_errors(editor.page) == []
    counts = editor.page.evaluate(
        """() => {
          const cells = [...Array(panel.content.model.cells.length).keys()]
            .map(i => panel.content.model.cells.get(i)).filter(c => c.type === 'code');
          return cells.map(c => c.executionCount);
        }"""
    )
    assert counts == list(range(1, len(counts) + 1))
    assert len(counts) >= 6


def test_dragging_a_slider_moves_the_face_and_then_the_receipt(editor):
    before = editor.pixels()
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    assert editor.pixels() != before
    assert editor.pixels("before") == before, "the unedited face must stay"
    assert editor.value("smile").startswith(("94", "95", "96"))
    editor.wait_for_receipt()
    asked = editor.root.locator(".l2l-asked-row")
    assert asked.count() == 1
    assert "Smile" in asked.inner_text()
    assert " of +" in asked.inner_text() or " of −" in asked.inner_text()
    assert editor.root.locator(".l2l-column").count() == 35
    column = editor.root.locator('.l2l-column[data-attribute="smile"]')
    assert "l2l-asked" in column.get_attribute("class")
    assert editor.root.locator(".l2l-identity-text").inner_text().startswith("same person")
    assert editor.root.locator(".l2l-summary").inner_text()


def test_the_last_request_wins_over_a_burst(editor):
    editor.drag("age", 0.1, 0.9, moves=60, pause=4)
    editor.settle()
    kernel = harness.evaluate_in_kernel(
        editor.page,
        "__import__('hashlib').sha256(bytes(editor.after['data'])).hexdigest()"
        " == __import__('hashlib').sha256(__import__('l2l_widgets.images').images.to_uint8("
        "editor.session.render().after).permute(1, 2, 0).contiguous().numpy().tobytes())"
        ".hexdigest()",
    )
    assert kernel == "True", "the picture that is up is not the session's last"
    target = float(
        harness.evaluate_in_kernel(editor.page, "editor.session.state.edits[-1].targets['age']")
    )
    assert editor.value("age").split()[0] == str(round(5 + 80 * target))


def test_the_picture_never_blanks_during_a_drag(editor):
    editor.page.evaluate(
        """() => {
          const canvas = document.querySelector('.l2l-editor .l2l-after canvas');
          window.watched = {frames: 0, blank: 0, on: true};
          const look = () => {
            if (!watched.on) return;
            const {width, height} = canvas;
            const d = canvas.getContext('2d').getImageData(0, height >> 1, width, 1).data;
            watched.frames += 1;
            if (d.every((v, i) => v === d[i % 4])) watched.blank += 1;
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    editor.drag("age", 0.2, 0.8, moves=40, pause=12)
    editor.settle()
    watched = editor.page.evaluate("() => { watched.on = false; return watched; }")
    assert watched["frames"] >= 10
    assert watched["blank"] == 0


def test_undo_and_redo_by_button_and_by_key(editor):
    first = editor.pixels()
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    second = editor.pixels()
    editor.drag("age", 0.4, 0.9)
    editor.settle()
    third = editor.pixels()
    assert first != second != third != first
    editor.button("Undo").click()
    editor.settle()
    assert editor.pixels() == second, "one drag is one step"
    editor.slider("age").focus()
    editor.page.keyboard.press("Control+z")
    editor.settle()
    assert editor.pixels() == first
    assert editor.row("smile").get_attribute("class") == "l2l-row"
    editor.page.keyboard.press("Control+y")
    editor.button("Redo").click()
    editor.settle()
    assert editor.pixels() == third


def test_holding_shows_the_face_before(editor):
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    after, before = editor.pixels(), editor.pixels("before")
    frame = editor.root.locator(".l2l-after .l2l-frame")
    frame.hover()
    editor.page.mouse.down()
    assert editor.pixels() == before
    editor.page.mouse.up()
    assert editor.pixels() == after
    editor.slider("smile").focus()
    editor.page.keyboard.down("b")
    assert editor.pixels() == before
    editor.page.keyboard.up("b")
    assert editor.pixels() == after


def test_keys_move_the_slider_and_not_the_notebook(editor):
    active = editor.page.evaluate("() => panel.content.activeCellIndex")
    cells = editor.page.evaluate("() => panel.content.model.cells.length")
    slider = editor.slider("age")
    slider.focus()
    editor.page.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowUp", "ArrowRight", "b", "a", "ArrowLeft"):
        editor.page.keyboard.press(key)
    editor.settle()
    assert editor.value("age").split()[0] == "7"
    assert slider.get_attribute("aria-valuetext") == editor.value("age")
    assert editor.page.evaluate("() => panel.content.activeCellIndex") == active
    assert editor.page.evaluate("() => panel.content.model.cells.length") == cells
    editor.page.keyboard.press("Delete")
    editor.settle()
    assert not editor.root.locator(".l2l-row.l2l-asked").count()


def test_one_of_an_exclusive_group_is_on(editor):
    anger = editor.root.locator('.l2l-toggle[data-attribute="anger"]')
    surprise = editor.root.locator('.l2l-toggle[data-attribute="surprise"]')
    anger.evaluate("e => { e.closest('details').open = true; }")
    anger.click()
    editor.settle()
    assert anger.get_attribute("aria-pressed") == "true"
    surprise.click()
    editor.settle()
    assert anger.get_attribute("aria-pressed") == "false"
    assert surprise.get_attribute("aria-pressed") == "true"
    assert editor.error() == ""
    surprise.click()
    editor.settle()
    assert surprise.get_attribute("aria-pressed") == "false"
    assert editor.pixels() == editor.pixels("before")


def test_search_finds_a_slider_and_gives_the_list_back(editor):
    search = editor.root.get_by_label("Search attributes")
    search.fill("lenses")
    shown = editor.root.locator(".l2l-row:visible, .l2l-toggle:visible")
    assert shown.count() >= 1
    assert editor.row("sunglasses").is_visible()
    assert not editor.row("age").is_visible()
    search.fill("no such thing")
    assert editor.root.get_by_text("No attribute of that name.").is_visible()
    search.fill("")
    assert editor.row("age").is_visible()


def test_an_impossible_seed_is_one_line_in_place(editor):
    before = editor.pixels()
    seed = editor.root.get_by_label("Seed")
    seed.fill("99999999999")
    seed.press("Enter")
    editor.settle()
    assert "99999999999" in editor.error()
    assert editor.pixels() == before, "the picture must stay"
    editor.button("Undo").click()
    editor.settle()
    assert editor.error() == ""
    editor.button("New face").click()
    editor.settle()
    assert editor.pixels() != before


def test_a_saved_picture_replays_bit_for_bit_on_the_command_line(editor, folder):
    editor.drag("smile", 0.5, 0.9)
    editor.drag("glasses", 0.05, 0.9)
    editor.settle()
    editor.button("Save").click()
    saved = editor.root.locator(".l2l-saved code")
    saved.wait_for(timeout=10_000)
    path = folder / saved.inner_text()
    assert path.is_file()
    assert str(folder) in editor.root.locator(".l2l-saved").inner_text()
    editor.root.get_by_text("Recipe", exact=True).click()
    recipe = json.loads(editor.root.get_by_label("Recipe").input_value())
    assert recipe["latent"] == {"seed": 7}
    again = folder / "again.png"
    done = subprocess.run(
        [sys.executable, "-m", "l2l_widgets", "replay", str(path), "--out", str(again)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(harness.ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(path) as first, Image.open(again) as second:
        assert first.size == second.size
        same = first.tobytes() == second.tobytes()  # a name: a failure must not print all bytes
    assert same
    editor.root.locator(".l2l-saved").get_by_label("Close").click()
    assert not editor.root.locator(".l2l-saved").is_visible()


def test_a_busy_kernel_is_said_and_the_request_is_not_lost(editor):
    page = editor.page
    page.evaluate(
        """() => { window.busy = panel.sessionContext.session.kernel.requestExecute(
             {code: 'import time; time.sleep(6)', store_history: false}).done; }"""
    )
    page.wait_for_timeout(300)
    before = editor.pixels()
    editor.slider("age").focus()
    page.keyboard.press("End")
    said = editor.root.locator(".l2l-message")
    harness.until(lambda: said.inner_text() != "" or editor.pixels() != before, 8)
    page.evaluate("async () => { await window.busy; }")
    harness.until(lambda: editor.pixels() != before, 10, what="the picture that was asked for")
    editor.settle()
    assert editor.value("age").startswith("85")
    assert "does not answer" not in editor.error()


def test_everything_has_a_name_and_a_readable_size(editor):
    found = editor.root.evaluate(
        """root => [...root.querySelectorAll('button, input, select, summary')].filter(e => {
          const label = e.labels?.length ? e.labels[0].textContent : '';
          return !(e.getAttribute('aria-label') || label || e.textContent).trim();
        }).map(e => e.outerHTML)"""
    )
    assert found == []
    sizes = editor.root.evaluate(
        """root => [...root.querySelectorAll('*')]
          .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
          .map(e => [parseFloat(getComputedStyle(e).fontSize), e.textContent])
          .filter(([size]) => size < 12)"""
    )
    assert sizes == []


def test_it_fits_beside_the_file_browser_at_1280(editor):
    assert editor.page.viewport_size["width"] == 1280
    box = editor.root.evaluate(
        "e => [e.scrollWidth, e.clientWidth, e.getBoundingClientRect().right]"
    )
    assert box[0] <= box[1]
    assert box[2] <= 1280
    picture = editor.root.locator(".l2l-after .l2l-frame").bounding_box()
    assert picture["width"] >= 240
    outside = editor.root.evaluate(
        """root => { const edge = root.getBoundingClientRect();
          return [...root.querySelectorAll('button, input, canvas, output')].filter(e => {
            const r = e.getBoundingClientRect();
            return r.width && (r.right > edge.right + 1 || r.left < edge.left - 1);
          }).map(e => e.outerHTML); }"""
    )
    assert outside == []
