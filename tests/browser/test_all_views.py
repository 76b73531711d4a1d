"""Every view of one session on one page: they open, they follow, out of sight they cost nothing."""

from __future__ import annotations

import pytest

from . import harness
from .all_views import VIEWS, drawings, open_all, quiet, root_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Those that draw, each a variable of the notebook.
DRAWING = ("editor", "map", "grid", "explorer", "walk", "gallery", "presenter", "mixer")
#: The session's own thread draws what is asked for, with no view at all.
OWN = "l2l-session"


@pytest.fixture(scope="module")
def opened(page, address, folder):
    with harness.page_beside(page, 1280, 900) as own:
        open_all(own, address, folder)
        yield own


@pytest.fixture(autouse=True)
def without_a_complaint(opened):
    yield
    assert opened.faults == []
    assert harness.kernel_errors(opened) == []
    assert harness.cell_errors(opened) == []


def edit_and_load(page, size, seed):
    """An edit and a face that were not asked for before, from no view; returns who drew."""
    harness.evaluate_in_kernel(
        page, f"session.set_changes({{'smile': {size}}}) and session.request()"
    )
    harness.evaluate_in_kernel(page, "session.drain(60)")
    page.wait_for_timeout(1500)  # longer than any view rests before it follows
    after_edit = drawings(page)
    harness.evaluate_in_kernel(page, f"editor.face.load(seed={seed}) and session.drain(60)")
    page.wait_for_timeout(1500)
    return after_edit, drawings(page)


def out_of_sight(page):
    """Wait until the kernel has heard that nobody sees the views that draw, and all is done."""
    hidden = f"all(view.is_hidden for view in ({', '.join(DRAWING)}))"
    harness.until(lambda: harness.evaluate_in_kernel(page, hidden) == "True", what="hidden views")
    quiet(page)


def test_all_views_stand_on_one_page(opened):
    assert [name for name in VIEWS if root_of(opened, name).count() != 1] == []


def test_what_is_scrolled_out_of_sight_draws_nothing(opened):
    root_of(opened, "training").scroll_into_view_if_needed()
    opened.mouse.move(640, 450)
    opened.mouse.wheel(0, 20_000)
    above = "e => e.getBoundingClientRect().bottom < 0"
    harness.until(lambda: root_of(opened, "mixer").evaluate(above), what="all of them above")
    out_of_sight(opened)
    after_edit, after_load = edit_and_load(opened, 0.231, 1041)
    assert after_edit
    assert set(after_edit) == {OWN}
    assert after_load
    assert set(after_load) == {OWN}


def test_a_view_that_comes_into_sight_shows_the_face_of_now(opened):
    drawings(opened)
    root_of(opened, "walk").scroll_into_view_if_needed()
    assert harness.until(
        lambda: any("InterpolationView" in name for name in drawings(opened)),
        what="the walk that was owed",
    )


def test_a_tab_in_the_background_draws_nothing(opened):
    quiet(opened)
    opened.evaluate("() => window.jupyterapp.commands.execute('launcher:create')")
    root_of(opened, "walk").wait_for(state="hidden")
    out_of_sight(opened)
    try:
        after_edit, after_load = edit_and_load(opened, 0.187, 1042)
    finally:
        opened.evaluate("() => window.jupyterapp.shell.activateById(window.panel.id)")
    assert set(after_edit) == {OWN}
    assert set(after_load) == {OWN}
