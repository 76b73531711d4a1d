"""The views as one family: what one loads another notices, and each leaves a still behind."""

from __future__ import annotations

import itertools

import pytest

from . import harness

pytestmark = pytest.mark.browser

CELLS = (
    """import l2l_widgets as l2l
from l2l_widgets.faceworld import render, sample_factors
faces = render(sample_factors(1, seed=11), 64)
session = l2l.EditSession(l2l.load(), seed=3)
steps = [("Nobody has ever met her", {"seed": 3}), ("A smile", {"smile": 0.3})]
presenter = l2l.Presenter(steps, session)
presenter""",
    "gallery = l2l.Gallery(session, page_size=8)\ngallery",
    "grid = l2l.EditorGrid(session, request={'age': 0.5}, methods=['mapper'], n_random=4)\ngrid",
    """import torch
from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.maps.layout import quality
found = CodeMap(session.models, 400)
centred = found.codes - found.codes.mean(0)
turned = centred @ torch.linalg.eigh(centred.T @ centred)[1].flip(1)[:, :2]
flat = (turned / turned.std()).contiguous()
found.layouts["w", 0] = Layout("w", 0, flat, quality(found.codes, found.near("w"), flat))
found.readings = torch.full((400, len(session.models.table)), 128, dtype=torch.uint8)
found.known = 400
view = l2l.LatentMap(session, code_map=found)
view""",
    "l2l.MaskPainter(l2l.PaintSession(None, faces.image[0], faces.mask[0]))",
    "l2l.TrainingCell('mapper-lesson', 'no-run')",
    "l2l.TrainingMonitor('no-runs', recipe='mapper-lesson')",
)
#: View -> words of its still.
STILLS = {
    "Presenter": "step 1 of 2 (Nobody has ever met her)",
    "Gallery": "of every face",
    "EditorGrid": "by 1 methods",
    "LatentMap": "400 faces",
    "MaskPainter": "after 0 steps",
    "TrainingCell": "Press Start",
    "TrainingMonitor": "No run has begun here",
}


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, "family.ipynb", *CELLS)
    harness.open_notebook(page, address, "family.ipynb", timeout=600)
    page.locator(".l2l-monitor").wait_for(timeout=600_000)
    return page


def test_a_lesson_says_that_another_face_was_loaded_and_goes_back(opened):
    presenter, gallery = opened.locator(".l2l-presenter"), opened.locator(".l2l-gallery")
    strayed = presenter.locator(".l2l-strayed")
    harness.until(lambda: presenter.get_attribute("data-at") == "0", 240, what="the first step")
    assert not strayed.is_visible()
    gallery.scroll_into_view_if_needed()
    harness.until(lambda: gallery.get_attribute("data-page"), 240, what="a page of faces")
    gallery.get_by_role("button", name="Seed 5", exact=True).click()
    harness.until(
        lambda: strayed.is_visible() and "seed 5" in strayed.inner_text(), what="a word about it"
    )
    presenter.scroll_into_view_if_needed()
    strayed.get_by_role("button", name="Back to this step").click()
    harness.until(lambda: not strayed.is_visible(), what="the lesson's own face")
    assert harness.evaluate_in_kernel(opened, "session.state.seed") == "3"


def test_where_nobody_can_the_reasons_stand_once(opened):
    grid = opened.locator(".l2l-editorgrid")
    # What was put off while the grid was out of sight is compared first: until then it says
    # "ready" of an older face, and a request beside it may be answered twice.
    harness.bring_into_sight(opened, grid)
    harness.until(lambda: grid.get_attribute("data-state") == "ready", 240, what="the answers")

    def stands():
        """The reasons, and the cards that can be seen: read in one go, as an eye does."""
        return grid.evaluate(
            """e => {
              const cards = [...e.querySelectorAll('.l2l-card[data-label]')];
              const reasons = [...e.querySelectorAll('.l2l-none-reasons p')];
              return [reasons.map(p => p.textContent),
                      cards.filter(card => card.checkVisibility()).length];
            }"""
        )

    # a face of the very end of the scale: nobody has room for half of it more
    take = "__import__('types').SimpleNamespace(a=grid.ask({'age': 0.9}))"
    harness.evaluate_in_kernel(opened, take)
    harness.settle(opened, grid)
    reasons, cards = harness.until(lambda: (s := stands())[0] and s, 240, what="the reason")
    assert len(reasons) == 2
    assert reasons[0].startswith("mapper: ")
    assert cards == 0
    harness.evaluate_in_kernel(opened, take.replace("0.9", "0.05"))
    harness.until(lambda: stands() == [[], 1], 240, what="a card again")


#: High enough for all views: what is far from the window is not in JupyterLab's page.
TALL = 5200
#: Where the views of a face say what went wrong.
MESSAGES = ".l2l-gallery .l2l-message, .l2l-editorgrid .l2l-message, .l2l-map .l2l-map-message"
#: What shows the loaded face on a page: the pressed face of the gallery, the map's, the grid's.
FACES = """() => {
  const one = name => document.querySelector(name);
  const before = one('.l2l-beforecard .l2l-card-title')?.textContent.replace('face ', '');
  const pressed = one('.l2l-face[aria-pressed="true"] .l2l-face-name')?.textContent;
  return [pressed, one('.l2l-map')?.dataset.face, before];
}"""


def restore(page, address):
    """Open the notebook beside the first page, with the views that its kernel has.

    JupyterLab gives a kernel four seconds to say which views there are, and asks only once. On a
    machine that is busy with other things they may pass: then the page is loaded again, as a
    person would.
    """
    lost = page.locator(".jp-OutputArea :text('model not found')")
    for _ in range(5):
        harness.open_notebook(page, address, "family.ipynb", run=False)
        page.session = None  # the kernel is that of the first page, which goes on
        page.locator(".l2l-map").or_(lost).first.wait_for()
        if not lost.count():
            return
        page.goto("about:blank")


def test_two_pages_of_a_notebook_show_one_face_and_no_page_answers_the_other(opened, address):
    window = opened.viewport_size
    opened.set_viewport_size({"width": 1280, "height": TALL})
    opened.evaluate("async () => { await panel.context.save(); }")  # which views stand where
    with harness.page_beside(opened, 1280, TALL) as other:
        restore(other, address)
        pages = (opened, other)
        views = [p.locator(name) for p in pages for name in (".l2l-map", ".l2l-gallery")]
        views += [p.locator(".l2l-editorgrid") for p in pages]
        for view in views:
            view.wait_for()
        harness.until(lambda: all(v.get_attribute("data-page") for v in views[1:4:2]), what="faces")

        def steps():
            return int(harness.evaluate_in_kernel(opened, "len(session.history())"))

        def comes(seed):
            for page in pages:
                harness.until(lambda p=page: p.evaluate(FACES) == [seed] * 3, what=f"face {seed}")

        begun = steps()
        for page, seed in ((opened, "6"), (other, "2"), (opened, "1")):
            page.get_by_role("button", name=f"Seed {seed}", exact=True).click()
            comes(seed)
        stage = other.locator(".l2l-map-stage")
        stage.focus()
        for _ in range(2):
            other.keyboard.press("ArrowRight")
        other.keyboard.press("Enter")
        loaded = other.locator(".l2l-map").get_attribute("data-loading")
        for page in pages:
            harness.until(
                lambda p=page: p.evaluate(FACES)[1:] == [loaded] * 2, what=f"face {loaded}"
            )
        for view in views:
            harness.settle(view.page, view)
        assert steps() == begun + 4, "a step for each time that somebody did something"
        for page in pages:
            said = page.locator(MESSAGES).all_text_contents()
            assert said == ["", "", ""]
            assert page.faults == harness.kernel_errors(page) == []
    opened.set_viewport_size(window)


def test_reopened_without_a_kernel_every_view_stands_still(opened, address):
    marks = opened.locator('div:has(> [title^="l2l-still"]) > p')
    harness.until(lambda: marks.count() == len(STILLS), what="a still beside every view")
    assert not any(mark.is_visible() for mark in marks.all()), "the living views hide them"
    assert harness.cell_errors(opened) == harness.kernel_errors(opened) == []
    assert opened.faults == []
    opened.evaluate(
        "async () => { await panel.context.save(); await panel.sessionContext.shutdown(); }"
    )
    # a click into the void is answered in words, and nothing breaks
    gallery = opened.locator(".l2l-gallery")
    gallery.get_by_role("button", name="Next page").click()
    silence = gallery.locator(".l2l-message")
    harness.until(lambda: "does not answer" in silence.inner_text(), what="the word for it")
    assert opened.faults == []
    with harness.page_beside(opened) as other:
        other.goto(f"{address}/lab/tree/family.ipynb?reset")
        alone = other.locator('div:has(> [title^="l2l-still"]) > p')
        harness.until(lambda: alone.count() >= 1, 240, what="the first still")
        said, turns = set(), itertools.count()

        def seen():
            said.update(text for text in alone.all_inner_texts() if "brings it back" in text)
            # the notebook makes cells as they scroll into view: down, and up again to those that
            # were not made yet when they passed
            other.mouse.move(600, 500)
            other.mouse.wheel(0, -500 if next(turns) // 20 % 2 else 500)
            return len(said) >= len(STILLS)

        harness.until(seen, 240, 0.3, what="all stills")
    for name, words in STILLS.items():
        assert any(text.startswith(name) and words in text for text in said), name
