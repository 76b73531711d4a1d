"""The receipt under the picture: all that was asked can be read, and nothing moves or covers."""

from __future__ import annotations

import ast
import json

import pytest

from l2l_widgets.widgets.stylesheet import static_text

from . import harness
from .editor_page import EditorPage

pytestmark = pytest.mark.browser

ASKED = {"smile": 0.85, "age": 0.6, "glasses": 0.9, "mouth_open": 0.7}
#: Beside the file browser, and in a wide window: the chart has two columns, and three.
WIDTHS = (1280, 1700)


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(
        folder,
        "receipt.ipynb",
        "from l2l_widgets import EditSession, FaceEditor, load\n"
        "session = EditSession(load(), seed=26, n_random=8)\n"
        # what is expected of a slider stays what it is from the start
        "editor = FaceEditor(session, measure_reach=False)\neditor",
    )
    harness.open_notebook(page, address, "receipt.ipynb", timeout=600)
    return EditorPage(page)


@pytest.fixture
def editor(opened):
    page = opened.page
    opened.bring_into_sight()  # one that nobody sees is sent nothing
    harness.evaluate_in_kernel(page, "session.update(seed=26) and session.reset()")
    ask(opened, {})
    opened.root.locator("[role=tab][data-tab=moved]").click()
    yield opened
    page.set_viewport_size({"width": 1280, "height": 900})
    assert harness.kernel_errors(page) == []
    assert harness.cell_errors(page) == []
    assert page.faults == []


def ask(editor, targets, hold=()):
    """Ask from Python, and wait for the receipt of it."""
    told = f"targets={json.dumps(targets)}, changes={{}}, preserve={tuple(hold)!r}"
    harness.evaluate_in_kernel(editor.page, f"session.update({told})")
    harness.evaluate_in_kernel(editor.page, "editor.refresh()")
    editor.settle()
    editor.wait_for_receipt()


def first(targets, count):
    return dict(list(targets.items())[:count])


def resize(editor, width):
    editor.page.set_viewport_size({"width": width, "height": 900})
    columns = "e => getComputedStyle(e).gridTemplateColumns.split(' ').length"
    wanted = 2 if width == WIDTHS[0] else 3
    chart = editor.root.locator(".l2l-chart")
    harness.until(lambda: chart.evaluate(columns) == wanted, what=f"{wanted} columns")
    harness.steady(lambda: editor.root.bounding_box())


def test_identity_stands_beside_what_random_edits_keep(editor):
    page = editor.page
    ask(editor, ASKED)
    part = editor.root.locator(".l2l-identity")
    shown = "e => getComputedStyle(e.querySelector('.l2l-identity-text'), '::before').content"
    told = json.loads(
        ast.literal_eval(
            harness.evaluate_in_kernel(page, "__import__('json').dumps(editor.receipt)")
        )
    )
    low, high = (round(100 * min(1, max(0, end))) for end in told["identity_kept_band"])
    said = f"what random edits of this size leave: {low} to {high} %."
    assert part.get_attribute("title").endswith(said)
    kept = round(100 * min(1, max(0, told["identity_kept"])))
    assert part.locator(".l2l-identity-text").inner_text() == f"Identity kept {kept} %"
    for where, drifts, mark in (
        ("inside", False, "none"), ("below", False, "\u25c6"), ("below", True, "\u25b3\u25c6"),
        ("above", True, "\u25b3"),
    ):  # fmt: skip
        changes = f"{{'identity_against_band': {where!r}, 'drifts': {drifts}}}"
        harness.evaluate_in_kernel(
            page, f"setattr(editor, 'receipt', {{**editor.receipt, **{changes}}})"
        )
        harness.until(
            lambda mark=mark: part.evaluate(shown).strip('"').strip() == mark,
            what=f"the mark of {where}, drifts {drifts}",
        )
        box, head = part.bounding_box(), editor.root.locator(".l2l-receipt-head").bounding_box()
        assert box["x"] >= head["x"]
        assert box["x"] + box["width"] <= head["x"] + head["width"] + 1


#: Names of the rows in the order in which they are seen, and those that their box shows whole.
SEEN = """
([parts, box]) => {
  const frame = box.getBoundingClientRect();
  const places = parts.map(e => [e, e.getBoundingClientRect()]);
  const inside = places.filter(([, r]) => r.height > 0 && r.top >= frame.top - 1
    && r.bottom <= frame.bottom + 1 && r.left >= frame.left - 1 && r.right <= frame.right + 1);
  return inside.map(([e]) => e.dataset.attribute ?? e.textContent);
}
"""


def seen(editor, parts, box):
    find = f"root => ({SEEN})([[...root.querySelectorAll('{parts}')], root.querySelector('{box}')])"
    return editor.root.evaluate(find)


@pytest.mark.parametrize("width", WIDTHS)
def test_all_that_was_asked_can_be_read_and_stands_first(editor, width):
    resize(editor, width)
    ask(editor, ASKED)
    listed = seen(editor, ".l2l-asked-row", ".l2l-receipt-head")
    assert len(listed) == len(ASKED), listed
    shown = seen(editor, ".l2l-column.l2l-asked", ".l2l-chart")
    assert set(shown) == set(ASKED)
    places = editor.root.locator(".l2l-column").evaluate_all(
        """es => es.map(e => [e.classList.contains('l2l-asked'), e.getBoundingClientRect()])
             .map(([asked, r]) => [asked, r.left, r.top])"""
    )
    top = min(y for _, _, y in places)
    left = min(x for _, x, _ in places)
    if width == WIDTHS[1]:  # column by column
        assert all(x == left for asked, x, _ in places if asked)
    rows = sorted({y for _, _, y in places})
    for asked, _, y in places:
        if asked:
            assert rows.index(y) < len(ASKED)
    assert any(asked for asked, x, y in places if (x, y) == (left, top))


@pytest.mark.parametrize("width", [900, *WIDTHS])
def test_no_bar_is_cut_in_the_middle(editor, width):
    ask(editor, first(ASKED, 2))
    editor.page.set_viewport_size({"width": width, "height": 900})
    cut = """e => {
      const end = e.getBoundingClientRect().bottom;
      const rows = [...e.querySelectorAll('.l2l-column')].map(row => row.getBoundingClientRect());
      return [rows.filter(r => r.top < end - 0.5 && r.bottom > end + 0.5).length,
        rows.filter(r => r.bottom > end + 0.5).length];
    }"""
    chart = editor.root.locator(".l2l-chart")
    harness.until(lambda: chart.evaluate(cut)[0] == 0, what="no half row")
    if width != WIDTHS[0]:  # two columns beside the sliders have to be scrolled
        harness.until(lambda: chart.evaluate(cut)[1] == 0, what="all rows")


def test_a_list_that_is_too_long_says_that_it_goes_on(editor):
    names = ("smile", "age", "glasses", "mouth_open", "hair_length", "beard", "eyes_open", "yaw",
             "pitch", "roll", "hair_curl", "fringe", "hair_volume", "earrings")  # fmt: skip
    ask(editor, dict.fromkeys(names, 0.7))
    head = editor.root.locator(".l2l-receipt-head")
    there, needed = head.evaluate("e => [e.clientHeight, e.scrollHeight]")
    assert needed > there, "give the test more requests"
    assert "gradient" in head.evaluate("e => getComputedStyle(e).backgroundImage")
    head.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    last = editor.root.locator(".l2l-asked-row").last.inner_text()
    assert last in seen(editor, ".l2l-asked-row", ".l2l-receipt-head")


#: Tops of the parts below the picture, counted from the editor's own.
TOPS = """
root => ['.l2l-tabs', '.l2l-receipt-head', '.l2l-words', '.l2l-chart'].map(part =>
  Math.round(root.querySelector(part).getBoundingClientRect().top
    - root.getBoundingClientRect().top))
"""
HEIGHT = "root => root.getBoundingClientRect().height"


def layout(editor):
    """The tops, and the whole height, of a page that has laid itself out."""
    return harness.steady(lambda: (editor.root.evaluate(TOPS), editor.root.evaluate(HEIGHT)))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_below_moves_from_edit_to_edit(editor, width):
    resize(editor, width)
    tops, height = layout(editor)
    words = set()
    for count in (1, 2):
        ask(editor, first(ASKED, count))
        assert layout(editor)[0] == tops
        words.add(editor.root.locator(".l2l-summary").inner_text())
    assert len(words) == 2
    ask(editor, ASKED)
    assert layout(editor)[1] == height


def test_rows_of_sliders_keep_their_height(editor):
    heights = "es => es.map(e => e.offsetHeight)"
    rows = editor.root.locator(".l2l-row")
    before = rows.evaluate_all(heights)
    ask(editor, {**ASKED, "age": 1.0, "smile": 1.0})
    assert rows.evaluate_all(heights) == before


def test_bars_of_all_edits_have_one_scale(editor):
    assert "100" in editor.root.locator(".l2l-scale").inner_text()
    sizes = set()
    for targets in ({"smile": 0.53}, {"glasses": 1.0}):
        ask(editor, targets)
        came = json.loads(
            harness.evaluate_in_kernel(
                editor.page, "__import__('json').dumps(editor.receipt['achieved'])"
            )[1:-1]
        )
        (name,) = targets
        bar = editor.root.locator(f'.l2l-column[data-attribute="{name}"] .l2l-bar')
        share = bar.evaluate("e => parseFloat(e.style.width)")
        assert share == pytest.approx(50 * abs(came[name]), abs=0.1)
        sizes.add(abs(came[name]))
    assert min(sizes) < 0.5 < max(sizes), "give the test a small and a large change"


CONTRAST = """
e => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (c) => { paint.fillStyle = c; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = getComputedStyle(e.closest('.l2l')).backgroundColor;
  const back = light(rgb(paper));
  // over the paper, where the ink is see-through
  const ink = light(rgb(getComputedStyle(e).color));
  return (Math.max(back, ink) + 0.05) / (Math.min(back, ink) + 0.05);
}
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_number_stands_on_a_band(editor, theme):
    page = editor.page
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    light = str(theme == "JupyterLab Light").lower()
    try:
        page.evaluate(change, theme)
        page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")
        ask(editor, ASKED)
        overlaps = editor.root.evaluate(
            """root => [...root.querySelectorAll('.l2l-column')].filter(column => {
                 const [a, b] = ['.l2l-amount', '.l2l-track']
                   .map(part => column.querySelector(part).getBoundingClientRect());
                 return a.left < b.right && b.left < a.right;
               }).map(e => e.dataset.attribute)"""
        )
        assert overlaps == []
        amounts = editor.root.locator(".l2l-amount:not(:empty)")
        assert amounts.count() > len(ASKED)
        cut = amounts.evaluate_all(
            "es => es.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
        )
        assert cut == []
        for kind in (".l2l-asked", ".l2l-outside", ".l2l-inside"):
            number = editor.root.locator(f"{kind} > .l2l-amount:not(:empty)")
            if number.count():
                read = harness.steady(lambda n=number: n.first.evaluate(CONTRAST))
                assert read >= 4.5, kind
    finally:
        page.evaluate(change, "JupyterLab Light")
        page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")


PLACES = """
root => Object.fromEntries([...root.querySelectorAll('.l2l-column')].map(e =>
  [e.dataset.attribute, [e.offsetLeft, e.offsetTop]]))
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_bar_leaves_its_place_while_one_slider_moves(editor, width):
    resize(editor, width)
    places, found = set(), set()
    for value in (0.2, 0.6, 1.0):
        ask(editor, {"glasses": value, "age": 0.8})
        places.add(json.dumps(editor.root.evaluate(PLACES), sort_keys=True))
        found.add(harness.evaluate_in_kernel(editor.page, "editor.receipt['stands_out']"))
    assert len(found) > 1, "give the test an edit that moves other things as it grows"
    assert len(places) == 1
    ask(editor, {"glasses": 1.0, "yaw": 0.8})  # something else is asked for: it comes first
    assert json.dumps(editor.root.evaluate(PLACES), sort_keys=True) not in places


def test_what_was_held_and_moved_is_said_in_words_and_at_its_bar_and_slider(editor):
    hold = ("gender", "baldness", "mouth_open", "hair_length", "beard", "sideburns")
    ask(editor, {"smile": 0.95, "age": 0.9}, hold)
    slipped = json.loads(
        harness.evaluate_in_kernel(
            editor.page, "__import__('json').dumps(editor.receipt['slipped'])"
        )[1:-1]
    )
    assert slipped, "give the test an edit that moves what is held"
    bold = editor.root.locator(".l2l-failed")
    assert bold.first.inner_text().startswith("Held, and moved nevertheless: ")
    assert "held, but" in editor.root.locator(".l2l-spoken").inner_text()
    for name in slipped:
        bar = editor.root.locator(f'.l2l-column[data-attribute="{name}"]')
        assert bar.locator(".l2l-amount").inner_text().startswith("\u25b3")
        assert "moved nevertheless" in bar.get_attribute("title")
        note = editor.row(name).locator(".l2l-note")
        assert note.text_content().startswith("\u25b3 ")
        assert note.evaluate("e => e.scrollWidth <= e.clientWidth"), "it is cut"


def test_only_what_falls_short_is_bold(editor):
    bold = editor.root.locator(".l2l-failed")
    for targets in (first(ASKED, 1), {**ASKED, "age": 0.0}, {"glasses": 1.0}):
        ask(editor, targets)
        short, said = json.loads(
            harness.evaluate_in_kernel(
                editor.page,
                "__import__('json').dumps([editor.receipt['shortfalls'],"
                " editor.receipt['sentences']])",
            )[1:-1]
            .encode()
            .decode("unicode_escape")
        )
        assert bold.all_inner_texts() == said[: len(short)]
        assert all(int(w) >= 600 for w in bold.evaluate_all(WEIGHT))
        rest = editor.root.locator(".l2l-summary > span:not(.l2l-failed)")
        assert {int(w) for w in rest.evaluate_all(WEIGHT)} == {400}


WEIGHT = "es => es.map(e => getComputedStyle(e).fontWeight)"


def test_what_came_is_said_in_the_place_of_what_was_expected(editor):
    row = editor.row("smile")
    slider = editor.slider("smile")
    high = float(row.evaluate("e => e.style.getPropertyValue('--high')"))
    assert high < 0.95, "this method brings all of it: give the test another face"
    slider.focus()
    editor.page.keyboard.press("End")
    # before the receipt of it has come the reach is all that is known
    harness.until(lambda: "beyond reach" in row.inner_text() or "came" in row.inner_text())
    editor.settle()
    editor.wait_for_receipt()
    came = harness.evaluate_in_kernel(
        editor.page, "str(round(100 * editor.receipt['achieved']['smile']))"
    ).strip("'")
    harness.until(lambda: f"came +{came}" in row.inner_text(), what="what came")
    assert "beyond reach" not in row.inner_text()


def test_what_was_saved_is_said_beside_the_button_and_covers_nothing(editor):
    harness.evaluate_in_kernel(editor.page, "session.update(seed=4294967295)")  # a long name
    ask(editor, {"eye_makeup": 0.9, "mouth_open": 0.7, "hair_length": 0.9})
    tops, height = layout(editor)
    editor.button("Save").click()
    saved = editor.root.locator(".l2l-saved")
    saved.locator("code").wait_for()
    whole = """p => {
      const [a, b] = [p, p.querySelector('code')].map(e => e.getBoundingClientRect());
      return b.right <= a.right + 1 && b.bottom <= a.bottom + 1; }"""
    for width in WIDTHS:
        resize(editor, width)
        name = saved.locator("code").inner_text()
        assert saved.locator("p").evaluate(whole), f"the name is cut: {name}"
    resize(editor, WIDTHS[0])
    assert layout(editor) == (tops, height)
    assert saved.locator("p").get_attribute("title").endswith(saved.locator("code").inner_text())
    covered = editor.root.evaluate(
        """root => {
          const card = root.querySelector('.l2l-saved').getBoundingClientRect();
          return [...root.querySelectorAll('[role=tab], .l2l-frame, .l2l-actions > button')]
            .filter(e => { const r = e.getBoundingClientRect();
              return r.width && r.left < card.right - 1 && card.left < r.right - 1
                && r.top < card.bottom - 1 && card.top < r.bottom - 1; })
            .map(e => e.textContent);
        }"""
    )
    assert covered == []
    saved.get_by_label("Close").click()


def test_long_texts_of_the_panels_are_wrapped_not_cut(editor):
    page = editor.page
    ask(editor, first(ASKED, 1))
    editor.drag("mouth_open", 0.3, 0.7)
    editor.settle()
    editor.root.locator("[role=tab][data-tab=history]").click()
    here = editor.root.locator(".l2l-step[aria-current] .l2l-step-label")
    harness.until(lambda: here.count() and "Mouth open" in here.inner_text(), what="the last step")
    there, needed = here.evaluate("e => [e.clientHeight, e.scrollHeight]")
    assert needed <= there, "the value of the last step is cut off"
    for step in editor.root.locator(".l2l-step").all():  # longer ones end in dots
        said = step.inner_text().replace("\u00a0", " ").removeprefix("\u25cf ")
        assert said == step.get_attribute("title")
        label = step.locator(".l2l-step-label")
        assert label.evaluate("e => getComputedStyle(e).webkitLineClamp") == "2"
    editor.root.locator("[role=tab][data-tab=recipe]").click()
    areas = editor.root.locator(".l2l-half > textarea")
    harness.until(lambda: "mouth_open" in areas.last.input_value(), what="the code")
    for area in areas.all():
        assert area.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.faults == []


#: Keys count as following each other for as long as it takes to press them here: the rest after
#: which they do not is one for hands, and a busy machine may let it pass between two of them.
LONG_REST = """rest => {
  const plain = window.setTimeout;
  window.plainTimeout = plain;
  window.setTimeout = (f, ms, ...more) => plain(f, ms === rest ? 600_000 : ms, ...more);
}"""
KEYS_REST = 800


@pytest.fixture
def patient_keys(editor):
    assert f"Controls.KEYS_REST = {KEYS_REST};" in static_text("editor/controls.js")
    editor.page.evaluate(LONG_REST, KEYS_REST)
    yield
    editor.page.evaluate("() => { window.setTimeout = window.plainTimeout; }")


@pytest.mark.usefixtures("patient_keys")
def test_keys_that_follow_each_other_are_one_step(editor):
    before = editor.pixels()
    slider = editor.slider("smile")
    slider.focus()
    for _ in range(12):
        editor.page.keyboard.press("ArrowRight")
    editor.settle()
    moved = editor.value("smile")
    editor.slider("age").focus()  # another slider is another step at once
    for _ in range(12):
        editor.page.keyboard.press("ArrowRight")
    editor.settle()
    editor.button("Undo").click()
    editor.settle()
    assert editor.value("smile") == moved
    assert "l2l-asked" not in editor.row("age").get_attribute("class")
    editor.button("Undo").click()
    editor.settle()
    assert editor.pixels() == before


def test_the_menu_of_rows_leaves_the_pictures_free(editor):
    resize(editor, WIDTHS[1])
    editor.root.locator(".l2l-scope-button").click()
    parts = [editor.root.locator(p) for p in (".l2l-menu:visible", ".l2l-after .l2l-frame")]
    menu, picture, edge = harness.steady(
        lambda: [part.bounding_box() for part in (*parts, editor.root)]
    )
    assert menu["x"] >= picture["x"] + picture["width"]
    assert menu["x"] + menu["width"] <= edge["x"] + edge["width"]
    editor.page.keyboard.press("Escape")
