"""student_1 in a real JupyterLab: hands on the editor, eyes on the pixels."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from . import harness
from .editor_page import EditorPage

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(page, address):
    harness.open_notebook(page, address, "student_1_edit_a_face.ipynb", timeout=600)
    return EditorPage(page)


@pytest.fixture
def editor(opened):
    """The editor with the lesson's face and nothing asked; hidden errors are read at the end."""
    page = opened.page
    seed = opened.root.get_by_label("Seed")
    opened.bring_into_sight()  # one that nobody sees is sent nothing
    seed.fill("7")
    seed.press("Enter")
    opened.settle()
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
    identity = editor.root.locator(".l2l-identity-text").inner_text()
    assert re.fullmatch(r"Identity kept \d+ %", identity)
    assert "stranger" in editor.root.locator(".l2l-identity").inner_text()
    assert editor.root.locator(".l2l-summary").inner_text()
    harness.picture_of(editor.page, editor.root, "FaceEditor")


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
    # a slow machine draws few frames: what it draws must not be blank either
    harness.until(lambda: editor.page.evaluate("() => watched.frames") >= 10, what="ten frames")
    watched = editor.page.evaluate("() => { watched.on = false; return watched; }")
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


@pytest.mark.parametrize(
    ("word", "attribute"),
    [("happy", "smile"), ("old", "age"), ("years", "age"), ("bald", "baldness")],
)
def test_search_knows_everyday_words(editor, word, attribute):
    search = editor.root.get_by_label("Search attributes")
    search.fill(word)
    assert editor.row(attribute).is_visible()
    search.fill("")


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
    harness.until(lambda: "99999999999" in editor.error(), what="the refusal")
    assert editor.error().startswith("seed")
    assert editor.pixels() == before, "the picture must stay"
    assert seed.input_value() == "7", "the field names the face that is up"
    seed.fill("")
    seed.press("Enter")
    harness.until(lambda: seed.input_value() == "7", what="the seed of the face that is up")
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    assert editor.error() == ""
    assert editor.pixels() != before, "a wrong number in the field blocked the sliders"
    editor.button("New face").click()
    editor.settle()
    assert editor.pixels() != before


def test_a_saved_picture_replays_bit_for_bit_on_the_command_line(editor, folder):
    editor.drag("smile", 0.5, 0.9)
    editor.drag("glasses", 0.05, 0.9)
    editor.settle()
    editor.button("Save").click()
    saved = editor.root.locator(".l2l-saved code")
    saved.wait_for()
    path = folder / saved.inner_text()
    assert path.is_file()
    assert str(folder) in editor.root.locator(".l2l-saved").inner_text()
    tabs = editor.root.locator("[role=tablist]")
    tabs.get_by_role("tab", name="Recipe", exact=True).click()
    text = editor.root.get_by_label("As recipe")
    harness.until(text.input_value, what="the recipe")
    assert json.loads(text.input_value())["latent"] == {"seed": 7}
    tabs.get_by_role("tab", name="What moved", exact=True).click()
    again = folder / "again.png"
    done = subprocess.run(
        [sys.executable, "-m", "l2l_widgets", "replay", str(path), "--out", str(again)],
        capture_output=True,
        text=True,
        timeout=600,
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
    said = editor.root.locator(".l2l-error")
    harness.until(lambda: said.inner_text() != "" or editor.pixels() != before)
    page.evaluate("async () => { await window.busy; }")
    harness.until(lambda: editor.pixels() != before, what="the picture that was asked for")
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


CONTRAST = """e => {
  const parse = (c) => c.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = (c) => parse(c).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const style = getComputedStyle(e);
  const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), style.backgroundColor];
}"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_save_stays_readable_under_the_mouse(editor, theme):
    page = editor.page
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    dark = str(theme == "JupyterLab Dark").lower()
    try:
        page.evaluate(change, theme)
        page.wait_for_function(f"() => String(document.body.dataset.jpThemeLight) !== '{dark}'")
        save = editor.button("Save")
        page.mouse.move(2, 2)
        _, colour = harness.steady(lambda: save.evaluate(CONTRAST))  # the theme's rules are there
        save.hover()
        contrast, hovered = harness.steady(lambda: save.evaluate(CONTRAST))
        assert contrast >= 4.5, (contrast, hovered)
        assert hovered == colour, "it is still the one thing to press"
    finally:
        page.evaluate(change, "JupyterLab Light")
        page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")


def test_no_sentence_of_an_earlier_picture_stands_in_black(editor):
    summary = editor.root.locator(".l2l-summary")
    assert "Nothing is asked for" in summary.inner_text()
    assert editor.root.locator(".l2l-spoken").get_attribute("aria-live") == "polite"
    # Read in the browser, with the slider's own event: the receipt may come within milliseconds.
    editor.root.evaluate(
        """root => {
          window.said = [];
          const parts = ['.l2l-chart', '.l2l-asked-list', '.l2l-identity'];
          root.addEventListener('input', () => window.said.push([
            root.querySelector('.l2l-summary').textContent,
            Math.max(...parts.map(p => Number(getComputedStyle(root.querySelector(p)).opacity))),
          ]));
        }"""
    )
    editor.drag("smile", 0.5, 0.95)
    said = editor.page.evaluate("() => window.said")
    assert len(said) >= 3
    assert {text.strip() for text, _ in said} == {"Measuring\u2026"}
    assert max(opacity for _, opacity in said) < 0.6
    editor.settle()  # until then the receipt is that of the picture before
    editor.wait_for_receipt()
    assert "oved" in summary.inner_text()
    said = json.loads(
        harness.evaluate_in_kernel(
            editor.page, "__import__('json').dumps(editor.receipt['sentences'])"
        )[1:-1]
        .encode()
        .decode("unicode_escape")
    )
    for sentence in said:
        assert sentence in summary.inner_text()


def test_what_did_not_come_is_marked_where_it_was_asked(editor):
    anger = editor.root.locator('.l2l-toggle[data-attribute="anger"]')
    anger.evaluate("e => { e.closest('details').open = true; }")
    anger.click()
    editor.drag("age", 0.5, 0.97)
    editor.settle()
    editor.wait_for_receipt()
    short = harness.evaluate_in_kernel(editor.page, "','.join(editor.receipt['shortfalls'])")
    for name, row in (("anger", anger), ("age", editor.row("age"))):
        marked = "came" in (row.get_attribute("title") or "")
        assert marked == (name in short), name
        if marked:
            assert "\u25b3" in row.inner_text()
    if "anger" in short:
        assert editor.root.locator(".l2l-summary").inner_text().startswith("Anger: asked")


def test_what_the_method_does_not_reach_is_hatched_and_said(editor):
    spans = "editor.reach['spans'].items()"
    measured = f"bool({spans})"
    harness.until(lambda: harness.evaluate_in_kernel(editor.page, measured) == "True", 240)
    rows = (
        f"next((f'{{n}} {{e:.4f}}' for n, (_, e) in {spans} if e < 0.9 and not table[n].group), '')"
    )
    table = "(lambda table: %s)(editor.session.models.table)"
    found = harness.evaluate_in_kernel(editor.page, table % rows).strip("'").split()
    assert found, "this method takes this face everywhere: give the test another one"
    row, slider = editor.row(found[0]), editor.slider(found[0])
    shown = "e => e.style.getPropertyValue('--high')"
    harness.until(lambda: row.evaluate(shown) == found[1], what="the hatching of this face")
    assert "nothing more comes" in row.get_attribute("title")
    assert "Measured on this face" in row.get_attribute("title"), "not what others can do"
    slider.focus()
    editor.page.keyboard.press("End")
    said = re.compile("beyond reach|came")
    harness.until(lambda: said.search(row.inner_text()), what="the word for it")
    editor.settle()


def test_it_keeps_one_height_that_fits_a_small_projector(editor):
    height = "e => e.getBoundingClientRect().height"
    first = editor.root.evaluate(height)
    assert first <= 670
    for name in ("smile", "age", "mouth_open"):
        editor.drag(name, 0.4, 0.95)
        assert editor.root.evaluate(height) == first
    editor.settle()
    editor.wait_for_receipt()
    assert editor.root.evaluate(height) == first
    editor.button("Save").click()
    editor.root.locator(".l2l-saved code").wait_for()
    assert editor.root.evaluate(height) == first
    cut = editor.root.locator(".l2l-chart").evaluate(
        """chart => [...chart.querySelectorAll('.l2l-name')].filter(e =>
             e.scrollWidth > e.clientWidth + 1 || parseFloat(getComputedStyle(e).fontSize) < 13)
             .map(e => e.textContent)"""
    )
    assert cut == []
    spilled = editor.root.evaluate(
        """root => { const side = root.querySelector('.l2l-side').getBoundingClientRect();
             return [...root.querySelectorAll('.l2l-receipt *')].filter(e =>
               e.getBoundingClientRect().right > side.left + 1).map(e => e.className); }"""
    )
    assert spilled == []
    editor.drag("age", 0.95, 0.3)
    editor.settle()
    assert not editor.root.locator(".l2l-saved").is_visible(), "it was another picture"


def test_control_s_saves_the_notebook(editor):
    editor.slider("age").focus()
    editor.page.evaluate("() => { panel.context.model.dirty = true; }")
    editor.page.keyboard.press("Control+s")
    clean = "() => !panel.context.model.dirty"
    assert harness.until(lambda: editor.page.evaluate(clean), what="a saved notebook")


def test_opened_without_its_kernel_it_shows_its_last_picture(editor):
    page = editor.page
    still = page.locator('div:has(> [title^="l2l-still"]) img')
    harness.until(lambda: still.count() == 1, what="the still")
    assert not still.first.is_visible(), "the widget lives, and the still hides"
    first = still.first.get_attribute("src")
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    editor.wait_for_receipt()
    harness.until(lambda: still.first.get_attribute("src") != first, what="the newer still")
    page.evaluate("async () => { await panel.context.save(); }")
    copied = page.evaluate(
        """async () => {
          const contents = window.jupyterapp.serviceManager.contents;
          return (await contents.copy(panel.context.path, '')).path;
        }"""
    )
    with harness.page_beside(page) as other:
        other.goto(f"{page.url.split('/lab')[0]}/lab/tree/{copied}?reset")
        alone = other.locator('div:has(> [title^="l2l-still"]) img')
        harness.until(lambda: alone.count() == 1 and alone.first.is_visible(), 400)
        loaded = "e => e.complete && e.naturalWidth > 0"
        harness.until(lambda: alone.first.evaluate(loaded), what="its picture")
