"""What else the face editor does, in a real JupyterLab: locks, rows, history, recipes, many faces.

One notebook shows one editor twice, so every test also sees that two views of it agree.
"""

from __future__ import annotations

import json
import re

import pytest

from . import harness
from .editor_page import EditorPage, point_at

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(
        folder,
        "panels.ipynb",
        "from l2l_widgets import EditSession, FaceEditor, load\n"
        "session = EditSession(load(), seed=7, n_random=8)\n"
        "editor = FaceEditor(session)\neditor",
        "editor",
        "FaceEditor(session, language='de')",
    )
    harness.open_notebook(page, address, "panels.ipynb", timeout=600)
    return EditorPage(page)


@pytest.fixture
def editor(opened):
    page = opened.page
    page.keyboard.press("Escape")
    opened.bring_into_sight()  # one that nobody sees is sent nothing
    harness.evaluate_in_kernel(page, "session.update(seed=7) and session.reset()")
    harness.evaluate_in_kernel(page, "editor.refresh()")
    opened.settle()
    tab(opened, "moved").click()
    yield opened
    assert harness.kernel_errors(page) == []
    assert harness.cell_errors(page) == []
    assert page.faults == []


def tab(editor, name):
    return editor.root.locator(f'[role=tab][data-tab="{name}"]')


def kernel(editor, expression):
    return harness.evaluate_in_kernel(editor.page, expression)


def shot(editor, name):
    """A picture for a person to look at, where one was asked for."""
    harness.keep_picture(editor.page, editor.root, name)


def test_one_click_on_a_name_holds_it_and_a_second_lets_go(editor):
    lock = editor.row("age").locator(".l2l-lock")
    editor.slider("age")
    lock.click()
    editor.settle()
    assert lock.get_attribute("aria-pressed") == "true"
    assert editor.row("age").locator("input").is_disabled()
    assert "held" in editor.row("age").inner_text(), "not by colour alone"
    assert kernel(editor, "session.state.edits[-1].preserve") == "('age',)"
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    assert editor.error() == ""
    assert kernel(editor, "session.recipe()['edits'][0]['preserve']") == "['age']"
    shot(editor, "held")
    lock.click()
    editor.settle()
    assert not editor.row("age").locator("input").is_disabled()
    slider = editor.slider("smile")
    slider.focus()
    editor.page.keyboard.press("l")
    editor.settle()
    assert kernel(editor, "session.state.edits[-1].preserve") == "('smile',)"
    editor.page.keyboard.press("l")  # the focus went to the name: the same key lets go
    editor.settle()
    assert kernel(editor, "session.state.edits[-1].preserve") == "()"


def test_a_group_is_held_together(editor):
    lock = editor.root.get_by_role("button", name="Hold Hair colour", exact=True)
    editor.root.locator(".l2l-group").evaluate_all(
        "all => all.forEach((e) => { e.closest('details').open = true; })"
    )
    assert "Hold Hair colour" in lock.inner_text(), "not by its place alone"
    red = editor.root.locator('.l2l-option[data-attribute="hair_red"] .l2l-lock')
    red.click()
    editor.settle()
    assert red.get_attribute("aria-pressed") == "true"
    assert lock.get_attribute("aria-pressed") == "false", "one of five is held"
    lock.scroll_into_view_if_needed()
    shot(editor, "held-one-of-a-group")
    lock.click()
    editor.settle()
    assert lock.get_attribute("aria-pressed") == "true"
    assert editor.root.locator('.l2l-toggle[data-attribute="hair_red"]').is_disabled()
    held = kernel(editor, "sorted(session.state.edits[-1].preserve)")
    assert held.count("hair_") == 5
    lock.click()
    editor.settle()
    assert kernel(editor, "session.state.edits[-1].preserve") == "()"


def test_one_of_a_group_is_held_alone_by_mouse_and_by_key(editor):
    red, blond = (
        editor.root.locator(f'.l2l-option[data-attribute="hair_{colour}"]')
        for colour in ("red", "blond")
    )
    red.evaluate("e => { e.closest('details').open = true; }")
    toggle, lock = red.locator(".l2l-toggle"), red.locator(".l2l-lock")
    held = "session.state.edits[-1].preserve"
    lock.click()
    editor.settle()
    assert kernel(editor, held) == "('hair_red',)"
    assert lock.get_attribute("aria-pressed") == "true"
    assert toggle.is_disabled()
    assert "held" in toggle.inner_text(), "not by colour alone"
    # the others of its group can still be asked for, and stay free
    blond.locator(".l2l-toggle").click()
    editor.settle()
    assert editor.error() == ""
    assert kernel(editor, held) == "('hair_red',)"
    shot(editor, "held-toggle")
    lock.click()
    editor.settle()
    assert kernel(editor, held) == "()"
    toggle.focus()
    editor.page.keyboard.press("l")
    editor.settle()
    assert kernel(editor, held) == "('hair_red',)"
    editor.page.keyboard.press("l")  # the focus went to the padlock: the same key lets go
    editor.settle()
    assert kernel(editor, held) == "()"
    assert toggle.evaluate("e => e === document.activeElement")


def test_rows_are_chosen_with_the_keyboard_and_change_only_themselves(editor):
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    whole = editor.pixels()
    button = editor.root.locator(".l2l-scope-button")
    button.focus()
    editor.page.keyboard.press("Enter")
    assert editor.root.locator(".l2l-menu:visible").count() == 1
    editor.page.keyboard.press("Enter")  # the focus is on the first group: coarse rows alone
    editor.settle()
    shot(editor, "rows")
    harness.until(lambda: button.inner_text() == "Rows 0\u20133", what="the chosen rows")
    assert kernel(editor, "session.state.edits[-1].rows") == "(0, 1, 2, 3)"
    assert editor.pixels() != whole
    same = "bool((lambda r: (r.w_edited[:, 4:] == r.w[:, 4:]).all())(session.render()))"
    assert kernel(editor, same) == "True"
    editor.root.get_by_role("button", name="Row 9").click()
    editor.settle()
    harness.until(lambda: button.inner_text() == "Rows 0\u20133, 9", what="one row more")
    editor.root.locator(".l2l-space").select_option("w")
    editor.settle()
    assert "W" in button.inner_text()
    recipe = json.loads(kernel(editor, "__import__('json').dumps(session.recipe())")[1:-1])
    assert recipe["edits"][0]["rows"] == [0, 1, 2, 3, 9]
    assert recipe["edits"][0]["space"] == "w"
    editor.page.keyboard.press("Escape")
    assert editor.root.locator(".l2l-menu:visible").count() == 0
    assert button.evaluate("e => e === document.activeElement"), "the focus comes back"
    editor.button("Reset").click()
    editor.settle()
    assert button.inner_text() == "All rows"


@pytest.mark.parametrize("which", [0, 2], ids=["en", "de"])
def test_the_rows_stand_on_lines_of_one_length_within_their_menu(editor, which):
    root = editor.page.locator(".l2l-editor").nth(which)
    harness.bring_into_sight(editor.page, root)
    root.locator(".l2l-scope-button").click()
    places = """es => es.map(e => e.getBoundingClientRect().toJSON())"""  # all at one time
    parts = root.locator(".l2l-menu:visible, .l2l-space, .l2l-cell")
    edge, *boxes, choices = harness.steady(lambda: parts.evaluate_all(places))
    lines = [round(box["y"]) for box in boxes]
    assert len({lines.count(y) for y in lines}) == 1, lines
    assert min(min(box["width"], box["height"]) for box in boxes) >= 24
    assert all(box["x"] + box["width"] < edge["x"] + edge["width"] - 8 for box in [*boxes, choices])
    groups = root.locator(".l2l-menu:visible .l2l-toggle:not(.l2l-cell)").all_inner_texts()
    assert groups == (["Coarse", "Middle", "Fine"] if which == 0 else ["Grob", "Mittel", "Fein"])
    editor.page.keyboard.press("Escape")


def test_going_back_and_editing_keeps_the_other_branch(editor):
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    smiling = editor.pixels()
    editor.button("Undo").click()
    editor.settle()
    editor.drag("age", 0.4, 0.95)
    editor.settle()
    old = editor.pixels()
    editor.slider("age").focus()
    editor.page.keyboard.press("h")
    current = editor.root.locator(".l2l-step[aria-current]")
    current.wait_for()
    # The tree is built anew when the picture has changed, and takes the focus along.
    harness.until(lambda: "Age" in current.inner_text(), what="the step that is up")
    loaded = "es => es.length > 2 && es.every(e => e.complete && e.naturalWidth > 0)"
    pictures = editor.root.locator(".l2l-step img")
    harness.until(lambda: pictures.evaluate_all(loaded), what="a picture for every step")
    shot(editor, "history")
    current.focus()
    editor.page.keyboard.press("ArrowUp")  # the other branch
    other = editor.page.evaluate("() => document.activeElement.textContent")
    assert "Smile" in other
    editor.page.keyboard.press("Enter")
    editor.settle()
    assert editor.pixels() == smiling
    harness.until(lambda: "Smile" in editor.root.locator(".l2l-step[aria-current]").inner_text())
    editor.root.locator(".l2l-step").filter(has_text="Age").last.click()
    editor.settle()
    assert editor.pixels() == old


def test_a_recipe_is_taken_away_pasted_back_and_applied(editor):
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    edited = editor.pixels()
    tab(editor, "recipe").click()
    recipe = editor.root.get_by_label("As recipe")
    harness.until(lambda: '"smile"' in recipe.input_value())
    code = editor.root.get_by_label("As code")
    harness.until(lambda: "load('faceworld-128')" in code.input_value(), what="the code")
    compile(code.input_value(), "code", "exec")
    shot(editor, "recipe")
    text = recipe.input_value()
    editor.button("Reset").click()
    editor.settle()
    assert editor.pixels() != edited
    harness.until(lambda: '"smile"' not in recipe.input_value())
    recipe.fill(text)
    editor.button("Apply").click()
    editor.settle()
    assert editor.pixels() == edited
    # The kernel's own text comes a moment later; what is filled in before would be overwritten.
    harness.until(editor.button("Apply").is_disabled, what="the recipe as the kernel has it")
    recipe.fill('{"format": "l2l-recipe/1"}')
    editor.button("Apply").click()
    harness.until(lambda: "'models' is missing" in editor.error())
    assert editor.pixels() == edited


def test_presets_are_applied_kept_and_removed(editor, folder):
    tab(editor, "presets").click()
    chip = editor.root.locator('[data-preset="older"]')
    chip.wait_for()
    chip.click()
    editor.settle()
    assert kernel(editor, "session.state.edits[-1].changes") == "{'age': 0.25}"
    name = editor.root.get_by_label("Name for this edit")
    name.fill("my look")
    name.press("Enter")
    own = editor.root.locator('[data-preset="my look"]')
    own.wait_for()
    shot(editor, "presets")
    assert "my look" in (folder / "l2l-presets.json").read_text()
    editor.button("Reset").click()
    editor.settle()
    own.click()
    editor.settle()
    assert "Age" in editor.root.locator(".l2l-row.l2l-asked").inner_text()
    editor.root.get_by_role("button", name="Remove my look").click()
    own.wait_for(state="detached")


def test_two_states_are_compared(editor):
    tab(editor, "pair").click()
    editor.root.locator('.l2l-take[data-slot="a"]').click()
    editor.root.locator(".l2l-slot img:visible").first.wait_for()
    editor.drag("smile", 0.5, 0.97)
    editor.settle()
    editor.root.locator('.l2l-take[data-slot="b"]').click()
    found = editor.root.locator(".l2l-differences li")
    found.first.wait_for()
    shot(editor, "pair")
    verdict, said = editor.root.locator(".l2l-verdict"), editor.root.locator(".l2l-found")
    number = re.compile(r"identity \u2212?[01]\.\d\d")
    harness.until(lambda: number.match(verdict.inner_text()), what="the verdict")
    slots = editor.root.locator(".l2l-slot img:visible")
    harness.until(lambda: slots.count() == 2, what="both pictures")
    assert re.search(r"[+\u2212]\d+", found.first.inner_text())
    harness.until(lambda: "fields of the recipes differ" in said.inner_text(), what="the recipes")


def test_the_edit_goes_on_many_faces(editor, folder):
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    tab(editor, "many").click()
    editor.root.get_by_label("Faces", exact=True).last.fill("0-2")
    editor.root.get_by_label("Into folder").fill("batch")
    editor.button("Start").click()
    text = editor.root.locator(".l2l-many-text")
    done = "3 of 3 faces in"
    harness.until(lambda: done in text.inner_text(), 400, what="the end of the batch")
    shot(editor, "many")
    assert len(list((folder / "batch").glob("*.png"))) == 3
    assert len((folder / "batch" / "table.csv").read_text().splitlines()) == 4
    editor.root.get_by_label("Faces", exact=True).last.fill("three")
    editor.button("Start").click()
    said = editor.root.locator(".l2l-many .l2l-message")
    harness.until(lambda: "seeds is 'three'" in said.inner_text())


def test_those_who_listen_hear_one_line(editor):
    editor.drag("smile", 0.5, 0.95)
    editor.settle()
    editor.wait_for_receipt()
    line = editor.root.locator(".l2l-spoken")
    assert line.get_attribute("aria-live") == "polite"
    harness.until(line.text_content, what="the line")
    assert re.match(r"Smile \d+ \u2192 \d+ %", line.text_content())
    assert re.search(r"identity \d\.\d\d$", line.text_content())


def test_everything_can_be_reached_with_keys_alone(editor):
    page = editor.page
    editor.root.get_by_label("Seed").focus()
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => { const e = document.activeElement;"
                " return e.dataset?.tab || e.dataset?.attribute || e.className; }"
            )
        )
    assert {"moved", "smile", "age"} <= reached
    assert any("l2l-scope-button" in str(name) for name in reached)
    assert any("l2l-lock" in str(name) for name in reached)
    tab(editor, "moved").focus()
    for name in ("history", "recipe", "presets", "pair", "many", "moved"):
        page.keyboard.press("ArrowRight")
        assert tab(editor, name).get_attribute("aria-selected") == "true"
        assert editor.root.locator("[role=tabpanel]:visible").count() == 1
    page.keyboard.press("/")
    focused = "() => document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused) == "Search attributes"
    editor.slider("smile").focus()
    before = editor.pixels("before")
    page.keyboard.press("n")
    harness.until(lambda: editor.pixels("before") != before, what="another face")
    page.keyboard.press("?")
    assert editor.root.locator(".l2l-keys").is_visible()
    shot(editor, "keys")
    page.keyboard.press("Escape")
    assert not editor.root.locator(".l2l-keys").is_visible()


def test_shown_twice_and_in_german_all_views_agree(editor):
    views = editor.page.locator(".l2l-editor")
    harness.until(lambda: views.count() == 3, what="all views")
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    views.nth(2).scroll_into_view_if_needed()  # an editor that nobody sees is sent nothing
    stamps = "es => new Set(es.map(e => e.dataset.stamp)).size"
    harness.until(lambda: views.evaluate_all(stamps) == 1, what="views that agree")
    sliders = editor.page.locator('.l2l-row[data-attribute="smile"] input')
    values = "es => new Set(es.map(e => e.value)).size"
    harness.until(lambda: sliders.evaluate_all(values) == 1, what="sliders that agree")
    german = views.nth(2)
    assert "Lächeln" in german.inner_text()
    assert german.get_by_role("button", name="Neu", exact=True).count() == 1
    harness.keep_picture(editor.page, german, "german")
    spilled = german.evaluate(
        """root => { const edge = root.getBoundingClientRect();
          return [...root.querySelectorAll('button, input, canvas, output')].filter(e => {
            const r = e.getBoundingClientRect();
            return r.width && (r.right > edge.right + 1 || r.left < edge.left - 1);
          }).map(e => e.className); }"""
    )
    assert spilled == []


def test_models_swapped_under_open_views_are_followed(editor):
    editor.drag("smile", 0.5, 0.9)
    editor.settle()
    before = editor.pixels()
    kernel(editor, "editor.face.swap(load(), by='test')")
    harness.until(lambda: editor.root.get_attribute("data-stamp") is not None)
    editor.settle()
    assert editor.pixels() == before, "the same weights draw the same picture"
    assert editor.value("smile").startswith(("89", "90", "91"))
    editor.drag("smile", 0.9, 0.3)
    editor.settle()
    assert editor.pixels() != before
    editor.button("Undo").click()
    editor.settle()
    assert editor.pixels() == before


def test_a_tab_that_closes_in_mid_drag_leaves_the_kernel_well(editor, address):
    page = editor.page
    page.evaluate("async () => { await panel.context.save(); }")
    with harness.page_beside(page) as other:
        other.goto(f"{address}/lab/tree/panels.ipynb?reset")
        second = other.locator(".l2l-editor[data-stamp]").first
        second.wait_for(timeout=600_000)  # a second tab on the same kernel finds the editor
        slider = second.locator('.l2l-row[data-attribute="smile"] input')
        slider.scroll_into_view_if_needed()
        harness.steady(slider.bounding_box)  # the cells of the notebook come one by one
        x, y = point_at(slider, *(0.5 + 0.05 * i for i in range(8)))
        other.mouse.down()
        for one in x:
            other.mouse.move(one, y)
        asked = "session.state.edits[-1].targets.get('smile', 0)"
        harness.until(lambda: float(kernel(editor, asked)) > 0.5, what="what the lost tab asks for")
    editor.settle()
    editor.drag("age", 0.4, 0.9)
    editor.settle()
    assert editor.error() == ""
    for _ in range(2):
        editor.button("Undo").click()
        editor.settle()
    assert kernel(editor, "session.state.edits[-1].targets") == "{}", "no history was lost"
