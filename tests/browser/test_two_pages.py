"""One notebook on two pages: both show the face that either loads, and none answers the other."""

from __future__ import annotations

import pytest

from . import harness

pytestmark = pytest.mark.browser

NAME = "two_pages.ipynb"
CELLS = (
    """import torch
import l2l_widgets as l2l
from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.maps.layout import quality

session = l2l.EditSession(l2l.load(), seed=3)
found = CodeMap(session.models, 400)
centred = found.codes - found.codes.mean(0)
turned = centred @ torch.linalg.eigh(centred.T @ centred)[1].flip(1)[:, :2]
flat = (turned / turned.std()).contiguous()
found.layouts["w", 0] = Layout("w", 0, flat, quality(found.codes, found.near("w"), flat))
found.readings = torch.full((400, len(session.models.table)), 128, dtype=torch.uint8)
found.known = 400""",
    "gallery = l2l.Gallery(session, page_size=8)\ngallery",
    "grid = l2l.EditorGrid(session, request={'age': 0.1}, methods=['mapper'], n_random=4)\ngrid",
    "view = l2l.LatentMap(session, code_map=found)\nview",
)

#: High enough for all views: what is far from the window is not in JupyterLab's page.
TALL = 3200
#: What shows the loaded face on a page: the pressed face of the gallery, the map's, the grid's.
FACES = """() => {
  const one = name => document.querySelector(name);
  const before = one('.l2l-beforecard .l2l-card-title')?.textContent.replace('face ', '');
  const pressed = one('.l2l-face[aria-pressed="true"] .l2l-face-name')?.textContent;
  return [pressed, one('.l2l-map')?.dataset.face, before];
}"""


@pytest.fixture
def opened(page, address, folder):
    harness.write_notebook(folder, NAME, *CELLS)
    with harness.page_beside(page, 1280, TALL) as own:
        harness.open_notebook(own, address, NAME, timeout=400)
        assert harness.cell_errors(own) == []
        yield own


def restore(page, address):
    """Open the notebook beside the first page, with the views that its kernel has.

    JupyterLab gives a kernel four seconds to say which views there are, and asks only once. On a
    machine that is busy with other things that may pass: then the page is loaded again, as a
    person would.
    """
    for _ in range(5):
        harness.open_notebook(page, address, NAME, run=False)
        page.session = None  # the kernel is that of the first page, which goes on
        page.locator(".l2l-map, .jp-OutputArea :text('model not found')").first.wait_for()
        if not page.locator(".jp-OutputArea :text('model not found')").count():
            return
        page.goto("about:blank")


def test_two_pages_of_a_notebook_show_one_face_and_no_page_answers_the_other(opened, address):
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
            said = page.locator(".l2l-message, .l2l-map-message").all_text_contents()
            assert not any(said), said
            assert page.faults == harness.kernel_errors(page) == []
