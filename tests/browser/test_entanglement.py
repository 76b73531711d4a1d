"""The explorer and the grid under a real mouse and keyboard; the leaks were planted."""

from __future__ import annotations

import json
import os
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
    def edit(self, w, request):
        time.sleep(0.05)
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
    cells = [
        {
            "cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [],
            "execution_count": None, "source": text.strip(),
        }
        for i, text in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5
    }  # fmt: skip
    (folder / NAME).write_text(json.dumps(notebook))
    page.faults.clear()
    harness.open_notebook(page, address, NAME, timeout=300)
    assert harness.cell_errors(page) == []
    return page


def picture_of(page, name):
    """Keep what the page shows, where somebody asked to look at it."""
    if os.environ.get("L2L_SCREENSHOTS"):
        page.screenshot(path=str(Path(os.environ["L2L_SCREENSHOTS"]) / f"{name}.png"))


def kernel(page, expression):
    return harness.evaluate_in_kernel(page, expression)


def state_of(widget, wanted, timeout=60):
    harness.until(lambda: widget.get_attribute("data-state") == wanted, timeout, what=wanted)


def test_the_grid_compares_hides_names_takes_a_vote_and_reveals(opened):
    page = opened
    grid = page.locator(".l2l-editorgrid")
    grid.scroll_into_view_if_needed()
    state_of(grid, "ready")
    cards = grid.locator(".l2l-card[data-label]")
    assert cards.count() == 4
    weak = grid.locator('.l2l-card[data-label="weak"]')
    perfect = grid.locator('.l2l-card[data-label="perfect"]')
    assert perfect.get_attribute("data-reached") == "true"
    assert "Age +16" in perfect.inner_text()
    # the keyboard moves the request; equal change is compared anew
    slider = grid.get_by_label("Change to be achieved")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    harness.until(lambda: kernel(page, "grid.settings['request']") == "{'age': 0.3}", 30)
    state_of(grid, "ready")
    harness.until(lambda: weak.get_attribute("data-reached") == "false", 30, what="the weak one")
    assert "reaches" in weak.inner_text()
    picture_of(page, "grid")

    grid.get_by_label("Blind").check()
    harness.until(lambda: "A" in grid.locator(".l2l-card-title").all_inner_texts(), 30)
    state_of(grid, "ready")
    text = grid.inner_text()
    assert not any(name in text for name in ("plants", "follows", "perfect", "weak"))
    votes = grid.locator(".l2l-vote:not([disabled])")
    assert votes.count() == 3
    votes.first.click()
    harness.until(lambda: grid.locator('.l2l-vote[aria-pressed="true"]').count() == 1, 30)
    # a letter on the keyboard changes the vote
    other = votes.nth(1).get_attribute("aria-label").removeprefix("Vote for ")
    cards.first.locator(".l2l-cardface").focus()
    page.keyboard.press(other.lower())
    harness.until(lambda: kernel(page, "grid.votes[-1]['label']") == repr(other), 30)
    assert kernel(page, "len(grid.votes)") == "1"
    picture_of(page, "blind")
    grid.get_by_role("button", name="Reveal").click()
    harness.until(lambda: "perfect" in grid.inner_text(), 30, what="names")
    assert "1 vote" in grid.locator(".l2l-tally").inner_text()
    grid.get_by_label("Blind").uncheck()
    state_of(grid, "ready")


def test_the_matrix_is_measured_and_read_with_mouse_and_keyboard(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    assert explorer.locator(".l2l-grid-empty").is_visible()
    explorer.get_by_role("button", name="Measure").click()
    state_of(explorer, "finished")
    assert explorer.locator(".l2l-cell[data-edited]").count() == 2 * 35
    leaks = explorer.locator(".l2l-cell.l2l-leak[data-edited]")
    assert leaks.count() == 1
    assert (leaks.get_attribute("data-edited"), leaks.get_attribute("data-read")) == (
        "age", "smile",
    )  # fmt: skip
    assert "20" in leaks.inner_text()
    assert explorer.locator(".l2l-preview-mark").is_visible()
    assert "n = 12 faces, face seed 0" in explorer.locator(".l2l-gridstamp").inner_text()
    assert explorer.locator(".l2l-cell.l2l-hatched[data-edited]").count() > 40
    # the still pictures are in the notebook for who opens it later, and hidden while this lives
    stills = page.locator('div:has(> [title^="l2l-still"]) img')
    harness.until(lambda: stills.count() >= 2, 60, what="still pictures")
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
    harness.until(lambda: pairs.count() == 2, 30, what="best and worst")
    assert "whichever way" in explorer.locator(".l2l-behind-words").inner_text()
    assert explorer.locator(".l2l-dot").count() == 12
    picture_of(page, "matrix")
    # for a projector: the rows' own columns alone, as large as there is room for
    explorer.get_by_label("columns as rows").check()
    assert explorer.locator(".l2l-cell[data-edited]").count() == 4
    harness.until(lambda: first.bounding_box()["width"] > 2 * small, 10, what="larger cells")
    picture_of(page, "projector")
    explorer.get_by_label("columns as rows").uncheck()
    assert explorer.locator(".l2l-cell[data-edited]").count() == 2 * 35

    # a click on a face loads it in every view of the session
    seed = pairs.nth(1).get_attribute("data-seed")
    pairs.nth(1).click()
    harness.until(lambda: kernel(page, "session.state.truncation_psi") != "", 30)
    harness.until(lambda: kernel(page, "session.state.seed") == seed, 30, what="the face")
    page.locator(".l2l-editorgrid").scroll_into_view_if_needed()
    title = page.locator(".l2l-beforecard .l2l-card-title")
    harness.until(lambda: title.inner_text() == f"face {seed}", 60, what="the grid's face")


def test_the_layers_show_the_world_and_the_other_method_apart(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    cell = explorer.locator('.l2l-cell[data-edited="age"][data-read="smile"]')
    measured = cell.inner_text()
    explorer.get_by_role("radio", name="What moved").click()
    page.keyboard.press("ArrowRight")
    assert explorer.get_by_role("radio", name="own slope").get_attribute("aria-checked") == "true"
    assert cell.inner_text() != measured
    assert "Among the unedited faces" in cell.get_attribute("aria-label")
    assert explorer.locator(".l2l-cell.l2l-hatched[data-edited]").count() == 0
    explorer.get_by_role("radio", name="perfect").click()
    assert explorer.locator(".l2l-cell.l2l-leak[data-edited]").count() == 0
    explorer.get_by_role("radio", name="Difference").click()
    assert "perfect minus plants" in explorer.locator(".l2l-gridstamp").inner_text()
    explorer.get_by_role("radio", name="What moved").click()
    assert cell.inner_text() == measured


def test_trajectories_follow_the_face_that_is_loaded(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    explorer.get_by_role("radio", name="Trajectories").click()
    panel = explorer.locator(".l2l-trackpanel")
    harness.until(lambda: (panel.get_attribute("data-label") or "").startswith("face"), 30)
    assert explorer.locator('.l2l-track[data-attribute="age"]').count() == 1
    kernel(page, "explorer.face.load(seed=11) and None")
    harness.until(lambda: panel.get_attribute("data-label") == "face 11", 30, what="the new face")
    explorer.get_by_role("radio", name="Many faces").click()
    harness.until(lambda: explorer.locator(".l2l-track-band").count() > 3, 30, what="bands")
    picture_of(page, "trajectories")
    explorer.get_by_role("radio", name="Matrix").click()


def test_a_measurement_rests_out_of_sight_and_stops_on_request(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    explorer.scroll_into_view_if_needed()
    explorer.get_by_label("Method", exact=True).select_option("slow")
    explorer.locator(".l2l-picker > summary").click()
    explorer.get_by_role("button", name="All", exact=True).click()
    picture_of(page, "picker")
    explorer.get_by_role("button", name="Use these").click()
    explorer.get_by_role("button", name="Measure").or_(
        explorer.get_by_role("button", name="Go on")
    ).click()
    state_of(explorer, "running")
    harness.until(lambda: int(explorer.get_attribute("data-rows")) >= 2, 60, what="two rows")
    # out of sight: the view's box leaves the screen
    explorer.evaluate("e => { e.parentElement.style.display = 'none'; }")
    harness.until(lambda: kernel(page, "explorer.status['state']") == "'paused'", 30)
    explorer.evaluate("e => { e.parentElement.style.display = ''; }")
    state_of(explorer, "running")
    explorer.get_by_role("button", name="Stop").click()
    state_of(explorer, "stopped")
    rows = int(explorer.get_attribute("data-rows"))
    assert 2 <= rows < 35
    assert "stopped" in explorer.locator(".l2l-progress-text").inner_text()
    assert explorer.get_by_role("button", name="Go on").is_visible()


def test_what_cannot_be_is_a_line_in_its_place_and_nothing_breaks(opened):
    page = opened
    explorer = page.locator(".l2l-explorer")
    faces = explorer.get_by_role("spinbutton", name="Faces", exact=True)
    faces.fill("1")
    faces.press("Enter")
    message = explorer.locator(".l2l-message")
    harness.until(lambda: "faces is 1; allowed: an integer from 2 to 4000" in
                  message.inner_text(), 30, what="the reason")  # fmt: skip
    assert harness.kernel_errors(page) == []
    assert page.faults == []


def test_the_page_takes_the_attributes_of_other_models(opened):
    page = opened
    explorer, grid = page.locator(".l2l-explorer"), page.locator(".l2l-editorgrid")
    narrow = "__import__('test_swapped_views').narrow_world(perfect=Moves(), follows=Follows())"
    kernel(page, f"explorer.face.swap({narrow}) is None")
    harness.until(lambda: explorer.locator(".l2l-pick").count() == 2, 30, what="two attributes")
    words = grid.get_by_role("combobox").first.locator("option").all_inner_texts()
    assert sorted(words) == ["Beard", "Smile"]
    assert (explorer.count(), grid.count()) == (1, 1)
    assert harness.kernel_errors(page) == []
    assert page.faults == []
