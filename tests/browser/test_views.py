"""student_3 in a real JupyterLab: walk and gallery under a hand, and for a keyboard alone."""

from __future__ import annotations

import pytest

from . import harness

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(page, address):
    harness.open_notebook(page, address, "student_3_what_is_w.ipynb", timeout=600)
    page.locator(".l2l-walk[data-curves]").first.wait_for(timeout=600_000)
    return page


@pytest.fixture
def opened(lesson):
    """The page; what it hides is read at the end."""
    yield lesson
    assert harness.kernel_errors(lesson) == []
    assert lesson.faults == []


@pytest.fixture
def walk(opened):
    walk = opened.locator(".l2l-walk").first
    settle(walk)
    return walk


@pytest.fixture
def gallery(opened):
    gallery = opened.locator(".l2l-gallery").first
    harness.bring_into_sight(opened, gallery)
    harness.until(lambda: gallery.get_attribute("data-page"), 400, what="a page of faces")
    return gallery


def settle(walk):
    """Until the curves belong to the frames that are up, and nothing newer is asked for."""
    harness.bring_into_sight(walk.page, walk)
    same = "e => e.dataset.frames && e.dataset.frames === e.dataset.curves"
    harness.until(lambda: walk.evaluate(same), what="curves of the frames that are up")


def change(walk, act):
    settle(walk)
    before = walk.get_attribute("data-frames")
    act()
    harness.until(lambda: walk.get_attribute("data-frames") not in (before, ""), what="frames")
    settle(walk)


def says(locator, words):
    harness.until(lambda: words in locator.inner_text(), what=words)


def shows(field, value):
    harness.until(lambda: field.input_value() == value, what=f"{value} in its field")


def test_all_cells_of_the_lesson_run(opened):
    assert harness.cell_errors(opened) == []


def test_both_are_drawn(opened, walk, gallery):
    for root, name in ((walk, "InterpolationView"), (gallery, "Gallery")):
        root.scroll_into_view_if_needed()
        assert harness.picture_of(opened, root, name).height > 300


def test_the_cursor_follows_the_mouse_and_stands_below_its_frame(opened, walk):
    strip = walk.locator(".l2l-strip")
    middles = """walk => ['.l2l-cursor-line', '.l2l-strip-frame', '.l2l-ring'].map(part =>
      [...walk.querySelectorAll(part)].map(e => e.getBoundingClientRect())
        .map(r => r.x + r.width / 2))"""
    for frame in (2, 6):
        box = harness.steady(strip.bounding_box)
        opened.mouse.move(box["x"] + box["width"] * (frame + 0.5) / 9, box["y"] + 150)
        at = str(frame + 1)
        harness.until(lambda a=at: strip.get_attribute("aria-valuenow") == a, what="the cursor")
        (line,), cells, rings = harness.steady(lambda: walk.evaluate(middles))
        assert abs(line - cells[frame]) < 2
        assert len(rings) >= 6
        assert all(abs(ring - line) < 2 for ring in rings)


def test_the_keyboard_alone_walks_reads_and_loads(opened, walk):
    strip = walk.locator(".l2l-strip")
    strip.focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    words = strip.get_attribute("aria-valuetext")
    assert words.startswith("frame 3 of 9")
    assert "identity" in words
    opened.keyboard.press("End")
    assert strip.get_attribute("aria-valuenow") == "9"
    opened.keyboard.press("Enter")
    harness.until(
        lambda: harness.evaluate_in_kernel(opened, "session.state.seed") == "11", what="the seed"
    )
    says(walk.locator(".l2l-saved-line"), "loaded")
    # nothing but the walk heard the keys
    assert opened.evaluate("() => panel.content.mode") == "command"


def test_each_kind_of_walk_and_the_layers(opened, walk):
    def press(text):
        return lambda: walk.get_by_role("button", name=text, exact=True).click()

    change(walk, press("One attribute"))
    says(walk.locator(".l2l-saying"), "goes")
    harness.until(lambda: walk.locator(".l2l-asked-line").count() == 1, what="what was asked")
    change(walk, lambda: walk.get_by_label("Attribute", exact=True).select_option("age"))
    says(walk.locator(".l2l-saying"), "Age goes")
    change(walk, press("Identity only"))
    says(walk.locator(".l2l-saying"), "without holding")
    change(walk, press("Two faces"))
    change(walk, press("Coarse"))
    pressed = walk.locator(".l2l-segments button[aria-pressed=true]").all_inner_texts()
    assert {"W+", "Coarse", "Line"} <= set(pressed)
    rows = walk.get_by_label("Rows of W+ that walk")
    shows(rows, "0-3")
    change(walk, lambda: (rows.fill("0,8-9"), rows.press("Enter")))
    shows(rows, "0,8-9")
    change(walk, press("Z"))
    assert "Arc" in walk.locator(".l2l-segments button[aria-pressed=true]").all_inner_texts()
    change(walk, press("W"))


def test_what_is_wrong_is_said_in_place(opened, walk):
    field = walk.get_by_label("Last face", exact=True)
    field.fill("-4")
    field.press("Enter")
    harness.until(lambda: "seed is -4; " in walk.locator(".l2l-message").inner_text())
    walk.locator(".l2l-strip").focus()
    harness.until(lambda: field.input_value() == "11", what="the field shows what is up again")
    change(walk, lambda: (field.fill("12"), field.press("Enter")))
    harness.until(lambda: walk.locator(".l2l-message").inner_text() == "", what="no message")


def test_a_curve_can_be_added_and_removed(opened, walk):
    names = walk.locator(".l2l-panel").nth(1).locator(".l2l-panel-name")
    before = names.count()
    walk.get_by_label("Add a curve").select_option("pitch")
    harness.until(lambda: names.count() == before + 1, what="one curve more")
    remove = walk.get_by_role("button", name="Remove the curve of Pitch")
    remove.focus()
    opened.keyboard.press("Enter")
    harness.until(lambda: names.count() == before, what="one curve less")
    walk.get_by_role("button", name="Largest movers").click()


def test_the_table_holds_every_number(opened, walk):
    walk.locator("summary").click()
    rows = walk.locator(".l2l-numbers-table tbody tr")
    harness.until(lambda: rows.count() == 37, what="every number")
    assert rows.first.locator("td").first.inner_text() == "100\u202f%"
    walk.locator("summary").click()


def test_save_writes_a_strip_beside_the_notebook(opened, walk, folder):
    walk.get_by_role("button", name="PNG", exact=True).click()
    harness.until(lambda: "Saved" in walk.locator(".l2l-saved-line").inner_text())
    name = walk.locator(".l2l-saved-line code").inner_text()
    assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_click_in_the_gallery_loads_the_face_everywhere(opened, walk, gallery):
    face = gallery.locator(".l2l-face").nth(2)
    seed = face.locator(".l2l-face-name").inner_text()
    face.click()
    harness.until(lambda: face.get_attribute("aria-pressed") == "true", what="the tick")
    loaded = "session.state.seed"
    harness.until(lambda: harness.evaluate_in_kernel(opened, loaded) == seed, what="the seed")
    # what is said and offered is the face that is loaded, also when another view loads it
    footer, said = gallery.locator(".l2l-gallery-take"), gallery.locator(".l2l-spoken")
    harness.until(lambda: f"Face {seed}" in footer.inner_text(), what="the footer's face")
    says(said, f"Seed {seed} is")
    other = gallery.locator(".l2l-face-name").nth(4).inner_text()
    load = "__import__('l2l_widgets').session.shared_face.SharedFace.of(session).load(seed={})"
    harness.evaluate_in_kernel(opened, load.format(other))
    harness.until(lambda: f"Face {other}" in footer.inner_text(), what="the other face")
    says(said, f"Seed {other} is")
    harness.evaluate_in_kernel(opened, load.format(987654))
    harness.until(footer.is_hidden, what="no face to be taken home")
    says(said, "Seed 987654 is")
    harness.evaluate_in_kernel(opened, load.format(seed))
    harness.until(lambda: f"Face {seed}" in footer.inner_text(), what="the first face")
    walk.scroll_into_view_if_needed()
    harness.until(lambda: walk.get_by_label("First face", exact=True).input_value() == seed)
    settle(walk)


def test_the_gallery_by_keyboard(opened, gallery):
    text = gallery.get_by_label("Filter in words")
    stamp = gallery.get_attribute("data-page")
    text.fill("over 40, no hat")
    text.press("Enter")
    harness.until(lambda: gallery.get_attribute("data-page") not in (stamp, ""), 400)
    chips = gallery.locator(".l2l-chip strong")
    harness.until(lambda: chips.all_inner_texts() == ["Age", "Hat"], what="the conditions")
    says(gallery.locator(".l2l-count-line"), "found")
    gallery.locator(".l2l-face").first.focus()
    opened.keyboard.press("ArrowRight")
    second = gallery.locator(".l2l-face").nth(1)
    assert second.evaluate("e => e === document.activeElement")
    opened.keyboard.press("Enter")
    harness.until(lambda: second.get_attribute("aria-pressed") == "true")
    says(gallery.locator(".l2l-spoken"), "loaded")
    stamp = gallery.get_attribute("data-page")
    opened.keyboard.press("PageDown")
    harness.until(lambda: gallery.get_attribute("data-page") not in (stamp, ""), 400)
    says(gallery.locator(".l2l-page-number"), "Page 2")


def test_a_filter_that_is_not_understood_keeps_the_faces(opened, gallery):
    names = gallery.locator(".l2l-face-name").all_inner_texts()
    text = gallery.get_by_label("Filter in words")
    text.fill("smyling")
    text.press("Enter")
    harness.until(lambda: "did you mean smiling" in gallery.locator(".l2l-message").inner_text())
    assert gallery.locator(".l2l-face-name").all_inner_texts() == names


def test_a_search_for_nobody_can_be_stopped(opened, gallery):
    text = gallery.get_by_label("Filter in words")
    text.fill("smile > 99.9, age at most 5.01")
    text.press("Enter")
    stop = gallery.get_by_role("button", name="Stop", exact=True)
    stop.wait_for()
    stop.click()
    harness.until(lambda: "Stopped" in gallery.locator(".l2l-count-line").inner_text())
    harness.until(gallery.get_by_role("button", name="Go on").is_visible, what="Go on")
    gallery.get_by_role("button", name="Every face").click()
    harness.until(lambda: gallery.locator(".l2l-chip").count() == 0)


def test_nothing_is_computed_for_a_view_that_is_scrolled_away(opened, walk):
    hidden = "all(o.is_hidden for o in __import__('ipywidgets').widgets.widget._instances.values()"
    hidden += " if type(o).__name__ == 'InterpolationView')"
    opened.locator(".jp-Cell").first.scroll_into_view_if_needed()
    harness.until(lambda: harness.evaluate_in_kernel(opened, hidden) == "True", what="hidden")
    harness.settle(opened, walk)
    before = walk.get_attribute("data-frames")
    harness.evaluate_in_kernel(opened, "session.request(seed=77)")
    opened.wait_for_timeout(700)  # longer than the view rests before it follows
    harness.settle(opened, walk)
    assert walk.get_attribute("data-frames") == before
    walk.scroll_into_view_if_needed()
    harness.until(lambda: walk.get_attribute("data-frames") not in (before, ""))
    shows(walk.get_by_label("First face", exact=True), "77")


@pytest.mark.parametrize("root", [".l2l-walk", ".l2l-gallery"])
def test_it_fits_at_1280_and_everything_has_a_name_and_a_readable_size(opened, walk, gallery, root):
    view = opened.locator(root).first
    view.scroll_into_view_if_needed()
    unnamed = view.evaluate(
        """root => [...root.querySelectorAll('button, input, select, summary, [role=slider]')]
          .filter(e => !e.closest('[hidden]') && !e.closest('.l2l-blank'))
          .filter(e => !(e.getAttribute('aria-label') || e.textContent).trim())
          .map(e => e.outerHTML)"""
    )
    assert unnamed == []
    small = view.evaluate(
        """root => [...root.querySelectorAll('*')]
          .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
          .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.textContent)"""
    )
    assert small == []
    assert opened.viewport_size["width"] == 1280
    outside = view.evaluate(
        """root => { const edge = root.getBoundingClientRect();
          return [...root.querySelectorAll('button, input, select, canvas')].filter(e => {
            const r = e.getBoundingClientRect();
            return r.width && (r.right > edge.right + 1 || r.left < edge.left - 1);
          }).map(e => e.outerHTML); }"""
    )
    assert outside == []


def test_control_s_on_the_strip_saves_the_notebook(opened, walk):
    walk.locator(".l2l-strip").focus()
    opened.evaluate("() => { panel.context.model.dirty = true; }")
    opened.keyboard.press("Control+s")
    clean = "() => !panel.context.model.dirty"
    assert harness.until(lambda: opened.evaluate(clean), what="a saved notebook")


def test_a_view_that_is_shown_twice_is_one_view(opened, walk):
    opened.evaluate(
        """(made) => {
          const cell = panel.content.widgets.find(
            c => c.model.type === 'code' && c.model.sharedModel.getSource().includes(made));
          const source = cell.model.sharedModel.getSource().replace(made, 'v = ' + made);
          cell.model.sharedModel.setSource(source + '\\ndisplay(v, v)');
          panel.content.activeCellIndex = panel.content.widgets.indexOf(cell);
          return window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        "InterpolationView(",
    )
    twins = opened.locator(".l2l-walk")
    harness.until(lambda: twins.count() == 2, what="two views")
    for i in range(2):
        twins.nth(i).scroll_into_view_if_needed()
        settle(twins.nth(i))
    field = twins.nth(0).get_by_label("Last face", exact=True)
    change(twins.nth(0), lambda: (field.fill("14"), field.press("Enter")))
    twins.nth(1).scroll_into_view_if_needed()
    settle(twins.nth(1))
    shows(twins.nth(1).get_by_label("Last face", exact=True), "14")


def test_opened_without_its_kernel_both_show_their_last_pictures_and_numbers(opened, walk, gallery):
    stills = 'div:has(> [title^="l2l-still"]) img'
    harness.until(lambda: opened.locator(stills).count() >= 2, what="both stills")
    assert not any(s.is_visible() for s in opened.locator(stills).all()), "the stills hide"
    opened.evaluate("async () => { await panel.context.save(); }")
    copied = opened.evaluate(
        """async () => {
          const contents = window.jupyterapp.serviceManager.contents;
          return (await contents.copy(panel.context.path, '')).path;
        }"""
    )
    with harness.page_beside(opened) as other:
        other.goto(f"{opened.url.split('/lab')[0]}/lab/tree/{copied}?reset")
        alone = other.locator(stills)
        harness.until(lambda: alone.count() >= 2, 400, what="both stills")
        alone.first.scroll_into_view_if_needed()
        loaded = "e => e.complete && e.naturalWidth > 0"
        harness.until(lambda: alone.first.evaluate(loaded), what="its picture")
        cells = other.locator(".jp-OutputArea td")
        harness.until(
            lambda: any(text.endswith("%") for text in cells.all_inner_texts()), what="its numbers"
        )
