"""The explorer and the grid under a real mouse and keyboard; the leaks were planted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import harness

pytestmark = pytest.mark.browser

TESTS = Path(__file__).resolve().parents[1]
NAME = "instruments.ipynb"
CELLS = [
    f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from leaky_world import Follows, Plants, world
from open_world import Moves
from l2l_widgets import EditorGrid, EditSession, EntanglementExplorer, FaceEditor
class Slow(Moves):
    seconds = 0.05
    def edit(self, w, request):
        time.sleep(self.seconds)
        return super().edit(w, request)
models = world(plants=Plants(), follows=Follows(), perfect=Moves(), weak=Moves(reach=0.2))
models._editor_sources["slow"] = Slow()
session = EditSession(models, method="perfect", n_random=4)
age = models.table.index("age")
while not 0.2 < float(session.render().w[0, 0, age]) < 0.6:  # a face that can grow older
    session.set_seed(session.state.seed + 1)
grid = EditorGrid(session, request={{"age": 0.2}}, methods=["plants", "follows", "perfect", "weak"])
grid
""",
    """
explorer = EntanglementExplorer(session, attributes=("age", "beard"), faces=12, against="perfect")
explorer
""",
]


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, NAME, *CELLS)
    harness.open_notebook(page, address, NAME, timeout=600)
    assert harness.cell_errors(page) == []
    return page


def kernel(page, expression):
    return harness.evaluate_in_kernel(page, expression)


def state_of(widget, wanted, timeout=600):
    harness.until(lambda: widget.get_attribute("data-state") == wanted, timeout, what=wanted)


def comes(locator, count, what):
    """Wait for as many elements: what is in them comes with them."""
    harness.until(lambda: locator.count() == count, what=what)


def says(locator, words):
    harness.until(lambda: words in locator.inner_text(), what=words)


def test_a_display_knows_that_a_page_will_come_and_does_not_wait_for_a_first_look(opened):
    assert kernel(opened, "explorer._is_alone") == "False"


@pytest.fixture
def measured(opened):
    """The explorer with its matrix, whichever test comes first."""
    explorer = opened.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    if explorer.get_attribute("data-state") != "finished":
        explorer.get_by_role("button", name="Measure").click()
        state_of(explorer, "finished")
    comes(explorer.locator(".l2l-cell[data-edited]"), 2 * 35, "the matrix")
    return explorer


def test_the_grid_compares_hides_names_takes_a_vote_and_reveals(opened):
    page = opened
    grid = page.locator(".l2l-editorgrid")
    harness.bring_into_sight(page, grid)
    state_of(grid, "ready")
    cards = grid.locator(".l2l-card[data-label]")
    comes(cards, 4, "a card a method")
    weak = grid.locator('.l2l-card[data-label="weak"]')
    perfect = grid.locator('.l2l-card[data-label="perfect"]')
    harness.until(lambda: perfect.get_attribute("data-reached") == "true", what="the perfect one")
    says(perfect, "Age +16")
    # the keyboard moves the request; equal change is compared anew
    slider = grid.get_by_label("Change to be achieved")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    harness.until(lambda: kernel(page, "grid.settings['request']") == "{'age': 0.3}")
    harness.settle(page, grid)  # "ready" was said of the request before, too
    state_of(grid, "ready")
    harness.until(lambda: weak.get_attribute("data-reached") == "false", what="the weak one")
    says(weak, "reaches")
    harness.picture_of(page, grid, "EditorGrid")

    grid.get_by_label("Blind").check()
    harness.until(lambda: "A" in grid.locator(".l2l-card-title").all_inner_texts())
    harness.settle(page, grid)
    state_of(grid, "ready")
    text = grid.inner_text()
    assert not any(name in text for name in ("plants", "follows", "perfect", "weak"))
    votes = grid.locator(".l2l-vote:not([disabled])")
    comes(votes, 3, "three that can be voted for")
    votes.first.click()
    harness.until(lambda: grid.locator('.l2l-vote[aria-pressed="true"]').count() == 1)
    # a letter on the keyboard changes the vote
    other = votes.nth(1).get_attribute("aria-label").removeprefix("Vote for ")
    cards.first.locator(".l2l-cardface").focus()
    page.keyboard.press(other.lower())
    harness.until(lambda: kernel(page, "grid.votes[-1]['label']") == repr(other))
    assert kernel(page, "len(grid.votes)") == "1"
    harness.keep_picture(page, grid, "grid-blind")
    grid.get_by_role("button", name="Reveal").click()
    harness.until(lambda: "perfect" in grid.inner_text(), what="names")
    says(grid.locator(".l2l-tally"), "1 vote")
    grid.get_by_label("Blind").uncheck()
    harness.settle(page, grid)
    state_of(grid, "ready")


def test_the_bar_says_what_is_asked_whoever_asked(opened):
    page = opened
    grid = page.locator(".l2l-editorgrid")
    harness.bring_into_sight(page, grid)
    name, slider = grid.get_by_label("Attribute"), grid.get_by_label("Change to be achieved")
    amounts = grid.locator(".l2l-amount-asked")
    before = kernel(page, "grid.settings['request']")
    slider.focus()  # it was touched last, and is not what asks now
    kernel(page, "grid.ask({'beard': -0.13, 'smile': 0.2})")
    says(amounts, "\u221213")  # not the nearest step of the slider
    says(amounts, "Smile +20")
    assert name.input_value() == "beard"
    harness.settle(page, grid)
    kernel(page, "session.set_changes({'smile': -0.3})")
    grid.get_by_role("button", name="From the sliders").click()
    harness.until(lambda: name.input_value() == "smile", what="the sliders' request")
    says(amounts, "\u2212")
    assert "Smile" not in amounts.inner_text()  # the bar names it
    harness.keep_picture(page, grid, "grid-of-the-sliders")
    kernel(page, f"(session.set_changes({{}}), grid.ask({before}))")
    harness.until(lambda: name.input_value() == "age", what="the request of before")
    harness.settle(page, grid)
    state_of(grid, "ready")


def test_a_card_is_loaded_and_taken_home_by_mouse_and_keyboard(opened):
    page = opened
    grid = page.locator(".l2l-editorgrid")
    harness.bring_into_sight(page, grid)
    state_of(grid, "ready")
    card, texts = grid.locator('.l2l-card[data-label="follows"]'), grid.locator(".l2l-taken")
    seed = kernel(page, "session.state.seed")
    kernel(page, "session.request(changes={'smile': -0.3}) and None")
    assert texts.is_hidden()
    as_code = card.get_by_role("button", name="As code: follows")
    as_code.click()
    harness.until(texts.is_visible, what="the code")
    code = texts.get_by_role("textbox", name="As code")
    assert "session.update(changes={'age': 0." in code.input_value()
    assert f"seed={seed}" in code.input_value()
    assert '"method": "follows"' in texts.get_by_role("textbox", name="As recipe").input_value()
    harness.keep_picture(page, grid, "card-as-code")
    page.keyboard.press("Escape")
    harness.until(texts.is_hidden, what="the code gone")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused) == "As code: follows"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Save: follows"
    page.keyboard.press("Enter")
    says(grid.locator(".l2l-taken-saved"), f"face-{seed}-age.png")
    saved = json.loads(eval(kernel(page, "grid.notice['recipe']")))
    assert [edit["method"] for edit in saved["edits"]] == ["follows"]
    assert kernel(page, "__import__('os').path.isfile(grid.notice['path'])") == "True"
    harness.keep_picture(page, grid, "card-saved")
    # the face that is clicked is the one that is loaded, whatever the sliders asked for
    card.locator(".l2l-cardface").click()
    method = "session.state.edits[-1].method, list(session.state.edits[-1].changes)"
    harness.until(lambda: kernel(page, method) == "('follows', ['age'])", what="its edit")
    assert kernel(page, "session.state.seed") == seed
    kernel(page, "session.undo() and session.request(changes={}) and None")


def test_the_matrix_is_measured_and_read_with_mouse_and_keyboard(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    # it does not open empty: a first look stands there before anybody has asked for one
    comes(explorer.locator(".l2l-cell[data-edited]"), 2 * 35, "the first look")
    says(explorer.locator(".l2l-gridstamp"), "n = 8 faces, face seed 0")
    says(explorer.locator(".l2l-firstlook"), "Measure takes 12")
    assert explorer.get_attribute("data-state") == "ready"
    harness.keep_picture(page, explorer, "explorer-first-look")
    explorer.get_by_role("button", name="Measure").click()
    state_of(explorer, "finished")
    comes(explorer.locator(".l2l-cell[data-edited]"), 2 * 35, "the matrix")
    leaks = explorer.locator(".l2l-cell.l2l-leak[data-edited]")
    harness.until(lambda: explorer.locator(".l2l-firstlook").count() == 0, what="the study itself")
    comes(leaks, 1, "the leak")
    assert (leaks.get_attribute("data-edited"), leaks.get_attribute("data-read")) == (
        "age", "smile",
    )  # fmt: skip
    assert "20" in leaks.inner_text()
    harness.until(explorer.locator(".l2l-preview-mark").is_visible, what="its mark")
    says(explorer.locator(".l2l-gridstamp"), "n = 12 faces, face seed 0")
    assert explorer.locator(".l2l-cell.l2l-hatched[data-edited]").count() > 40
    # the still pictures are in the notebook for who opens it later, and hidden while this lives
    stills = page.locator('div:has(> [title^="l2l-still"]) img')
    harness.until(lambda: stills.count() >= 2, what="still pictures")
    assert not any(stills.nth(i).is_visible() for i in range(stills.count()))

    # one stop of the Tab key, then the arrow keys over all cells
    first = explorer.locator('.l2l-cell[data-edited="age"][data-read="age"]')
    assert explorer.locator('.l2l-cell[tabindex="0"][data-edited]').count() == 1
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    said = explorer.locator(".l2l-said")
    assert said.inner_text().startswith("Beard +30")
    assert "Gender" in said.inner_text()
    assert page.evaluate("document.activeElement.dataset.read") == "gender"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.read") == "smile"
    small = first.bounding_box()["width"]
    assert "Smile +20 % whichever way, leak" in said.inner_text().replace("\u202f", " ")
    page.keyboard.press("Enter")
    pairs = explorer.locator(".l2l-pair")
    harness.until(lambda: pairs.count() == 2, what="best and worst")
    says(explorer.locator(".l2l-behind-words"), "whichever way")
    comes(explorer.locator(".l2l-dot"), 12, "a dot a face")
    harness.picture_of(page, explorer, "EntanglementExplorer")
    # for a projector: the rows' own columns alone, as large as there is room for
    explorer.get_by_label("columns as rows").check()
    comes(explorer.locator(".l2l-cell[data-edited]"), 4, "the rows' own columns")
    harness.until(lambda: first.bounding_box()["width"] > 2 * small, what="larger cells")
    harness.keep_picture(page, explorer, "explorer-projector")
    explorer.get_by_label("columns as rows").uncheck()
    comes(explorer.locator(".l2l-cell[data-edited]"), 2 * 35, "all columns")

    # either picture can be had: the edited one also as code, which is of that face
    seed = pairs.nth(1).get_attribute("data-seed")
    pairs.nth(1).get_by_role("button", name=f"As code: Face {seed}, after").click()
    texts = explorer.locator(".l2l-taken")
    harness.until(texts.is_visible, what="its code")
    harness.keep_picture(page, explorer, "edited-as-code")
    texts.get_by_role("button", name="Close").click()
    harness.until(texts.is_hidden, what="the code gone")

    # a click on a face loads it in every view of the session
    pairs.nth(1).locator('[data-load="before"]').click()
    harness.until(lambda: kernel(page, "session.state.seed") == seed, what="the face")
    page.locator(".l2l-editorgrid").scroll_into_view_if_needed()
    title = page.locator(".l2l-beforecard .l2l-card-title")
    harness.until(lambda: title.inner_text() == f"face {seed}", what="the grid's face")


def test_the_layers_show_the_world_and_the_other_method_apart(opened, measured):
    page, explorer = opened, measured
    cell = explorer.locator('.l2l-cell[data-edited="age"][data-read="smile"]')
    as_measured = cell.inner_text()
    explorer.get_by_role("radio", name="What moved").click()
    page.keyboard.press("ArrowRight")
    assert explorer.get_by_role("radio", name="own slope").get_attribute("aria-checked") == "true"
    harness.until(lambda: cell.inner_text() != as_measured, what="the world's slope")
    assert "Among the unedited faces" in cell.get_attribute("aria-label")
    assert explorer.locator(".l2l-cell.l2l-hatched[data-edited]").count() == 0
    explorer.get_by_role("radio", name="perfect").click()
    comes(explorer.locator(".l2l-cell.l2l-leak[data-edited]"), 0, "a method without leaks")
    explorer.get_by_role("radio", name="Difference").click()
    says(explorer.locator(".l2l-gridstamp"), "perfect minus plants")
    explorer.get_by_role("radio", name="What moved").click()
    harness.until(lambda: cell.inner_text() == as_measured, what="what was measured")


def test_trajectories_follow_the_face_that_is_loaded(opened, measured):
    page, explorer = opened, measured
    explorer.get_by_role("radio", name="Trajectories").click()
    panel = explorer.locator(".l2l-trackpanel")
    harness.until(lambda: (panel.get_attribute("data-label") or "").startswith("face"))
    comes(explorer.locator('.l2l-track[data-attribute="age"]'), 1, "the track of age")
    ends = panel.locator(".l2l-tracktext").all_text_contents()[:5:4]
    assert all(end.endswith("0") for end in ends), f"the axis ends at {ends}: no round numbers"
    kernel(page, "explorer.face.load(seed=11) and None")
    harness.until(lambda: panel.get_attribute("data-label") == "face 11", what="the new face")
    explorer.get_by_role("radio", name="Many faces").click()
    harness.until(lambda: explorer.locator(".l2l-track-band").count() > 3, what="bands")
    harness.keep_picture(page, explorer, "explorer-trajectories")
    explorer.get_by_role("radio", name="This face").click()
    harness.until(lambda: panel.get_attribute("data-label") == "face 11", what="the one face")
    explorer.get_by_role("radio", name="Matrix").click()
    closed = "explorer._tracks._open == set()"
    harness.until(lambda: kernel(page, closed) == "True", what="that the tab is closed")
    kernel(page, "explorer.face.load(seed=12) and None")
    harness.until(lambda: kernel(page, "explorer._worker.drain(60)") == "True", what="a rest")
    assert panel.get_attribute("data-label") == "face 11", "computed for a tab that is closed"
    explorer.get_by_role("radio", name="Trajectories").click()
    harness.until(lambda: panel.get_attribute("data-label") == "face 12", what="the newest face")
    explorer.get_by_role("radio", name="Matrix").click()


def test_a_measurement_rests_out_of_sight_and_stops_on_request(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    explorer.get_by_label("Method", exact=True).select_option("slow")
    explorer.locator(".l2l-picker > summary").click()
    ends = (
        """e => [e.querySelector('.l2l-pickbox'), e].map(x => x.getBoundingClientRect().bottom)"""
    )
    harness.until(lambda: (lambda a, b: a < b)(*explorer.evaluate(ends)), what="the whole list")
    explorer.get_by_role("button", name="All", exact=True).click()
    harness.keep_picture(page, explorer, "explorer-picker")
    explorer.get_by_role("button", name="Use these").click()
    explorer.get_by_role("button", name="Measure").or_(
        explorer.get_by_role("button", name="Go on")
    ).click()
    state_of(explorer, "running")
    rows = "sum(explorer.study.measured('slow', n) for n in explorer.study.protocol.attributes)"
    harness.until(lambda: int(kernel(page, rows)) >= 2, 400, what="two rows")
    # the rest must not be measured before a slow page has stopped it
    kernel(page, "setattr(Slow, 'seconds', 0.5)")
    # out of sight: the view's box leaves the screen
    explorer.evaluate("e => { e.parentElement.style.display = 'none'; }")
    harness.until(lambda: kernel(page, "explorer.status['state']") == "'paused'")
    explorer.evaluate("e => { e.parentElement.style.display = ''; }")
    state_of(explorer, "running")
    explorer.get_by_role("button", name="Stop").click()
    state_of(explorer, "stopped")
    rows = int(explorer.get_attribute("data-rows"))
    assert 2 <= rows < 35
    says(explorer.locator(".l2l-progress-text"), "stopped")
    whole = "e => e.scrollWidth <= e.clientWidth"
    assert explorer.locator(".l2l-progress-text").evaluate(whole), "words are cut off"
    harness.until(explorer.get_by_role("button", name="Go on").is_visible, what="Go on")


def test_what_cannot_be_is_a_line_in_its_place_and_nothing_breaks(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    faces = explorer.get_by_role("spinbutton", name="Faces", exact=True)
    faces.fill("1")
    faces.press("Enter")
    message = explorer.locator(".l2l-message")
    harness.until(lambda: "faces is 1; allowed: an integer from 2 to 4000" in
                  message.inner_text(), what="the reason")  # fmt: skip
    assert harness.kernel_errors(page) == []
    assert page.faults == []


def test_the_page_takes_the_attributes_of_other_models(opened):
    page = opened
    explorer, grid = page.locator(".l2l-explorer"), page.locator(".l2l-editorgrid")
    narrow = "__import__('test_swapped_views').narrow_world(perfect=Moves(), follows=Follows())"
    kernel(page, f"explorer.face.swap({narrow}) is None")
    harness.until(lambda: explorer.locator(".l2l-pick").count() == 2, what="two attributes")
    words = grid.get_by_role("combobox").first.locator("option")
    harness.until(
        lambda: sorted(words.all_inner_texts()) == ["Beard", "Smile"], what="the grid's attributes"
    )
    assert (explorer.count(), grid.count()) == (1, 1)
    assert harness.kernel_errors(page) == []
    assert page.faults == []
