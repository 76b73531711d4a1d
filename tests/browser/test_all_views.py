"""Every view of one session on one page: they open, they follow, out of sight they cost nothing.

At the end a seeded monkey is let loose on them: 200 random actions leave no error.
"""

from __future__ import annotations

import os
import random
import signal

import pytest

from l2l_widgets import widgets
from l2l_widgets.training.presence import is_alive, read_presence

from . import harness
from .all_views import VIEWS, at_rest, drawings, open_all, quiet, root_of
from .editor_page import EditorPage
from .monkey import ACTIONS, SEEDS, act

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Those that draw, each a variable of the notebook.
DRAWING = ("editor", "map", "grid", "explorer", "walk", "gallery", "photo", "presenter", "mixer")
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
    at_rest(page)
    page.wait_for_timeout(500)  # longer than any view rests before it follows
    at_rest(page)
    after_edit = drawings(page)
    harness.evaluate_in_kernel(page, f"editor.face.load(seed={seed})")
    at_rest(page)
    page.wait_for_timeout(500)
    at_rest(page)
    return after_edit, drawings(page)


def out_of_sight(page):
    """Wait until the kernel has heard that nobody sees the views that draw, and all is done."""
    hidden = f"all(view.is_hidden for view in ({', '.join(DRAWING)}))"
    harness.until(lambda: harness.evaluate_in_kernel(page, hidden) == "True", what="hidden views")
    quiet(page)


def test_all_views_stand_on_one_page(opened):
    assert {make.partition("(")[0].removeprefix("l2l.") for _, make in VIEWS.values()} == set(
        widgets.__all__
    )
    assert [name for name in VIEWS if root_of(opened, name).count() != 1] == []


def test_what_is_scrolled_out_of_sight_draws_nothing(opened):
    root_of(opened, "training").scroll_into_view_if_needed()
    opened.mouse.move(640, 450)
    above = "e => e.getBoundingClientRect().bottom < 0"

    def scrolled():
        opened.mouse.wheel(0, 20_000)
        return root_of(opened, "mixer").evaluate(above)

    harness.until(scrolled, step=0.5, what="all of them above")
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


def test_what_is_hidden_goes_from_every_view_of_the_page(opened):
    """Without a new page, and back again: no slider, no row and no word of it is left."""
    of_smile = "[data-attribute=smile], [data-name=smile], option[value=smile]"
    words = r"""root => [root, ...root.querySelectorAll('[placeholder]')].flatMap(
      e => [...`${e.innerText} ${e.placeholder ?? ''}`.matchAll(/\bsmil(e|ing)\b/gi)]).length"""
    # the steps of a lesson are a teacher's words, and the rows of a training are its preview's
    shown = [name for name in VIEWS if name not in ("presenter", "training", "monitor")]
    harness.evaluate_in_kernel(opened, "session.reset() and session.request()")
    quiet(opened)
    named = [n for n in shown if root_of(opened, n).locator(of_smile).count()]
    assert {"editor", "map", "walk"} <= set(named)
    tell = "__import__('l2l_widgets.policy').policy.hide_attributes"
    try:
        harness.evaluate_in_kernel(opened, f"{tell}(['smile'])")
        for name in shown:
            root = root_of(opened, name)
            root.scroll_into_view_if_needed()
            harness.until(
                lambda r=root: r.locator(of_smile).count() == 0 and r.evaluate(words) == 0,
                what=f"the {name} without it",
            )
        root_of(opened, "editor").scroll_into_view_if_needed()
        assert root_of(opened, "editor").locator("[data-attribute=age]").count() > 0
    finally:
        harness.evaluate_in_kernel(opened, f"{tell}(None)")
    # the explorer's rows are those of its study, from which the hidden one is gone
    for name in set(named) - {"explorer"}:
        root = root_of(opened, name)
        harness.until(lambda r=root: r.locator(of_smile).count() > 0, what=f"the {name} with it")


def test_the_largest_seed_is_read_whole_in_every_field(opened):
    cut = """fields => fields.filter(field => {
      const before = field.value;
      field.value = "4294967295";
      const isCut = field.scrollWidth > field.clientWidth;
      field.value = before;
      return isCut;
    }).length"""
    fields = opened.locator("input.l2l-seed")
    assert fields.count() >= 5
    assert fields.evaluate_all(cut) == 0


@pytest.fixture
def trainings(folder):
    """Where the monkey may start trainings; none of them outlives it."""
    yield
    for run in (folder / "monitored").glob("*"):
        presence = read_presence(run)
        if is_alive(presence):  # one that an earlier seed started is gone, whatever it left written
            os.kill(presence["pid"], signal.SIGKILL)


@pytest.mark.usefixtures("trainings")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_monkey_at_all_views_leaves_no_error_anywhere(opened, seed):
    """The last of this module, on its page: to open all views again takes a quarter of a minute."""
    monkey, done = random.Random(seed), []
    for _ in range(ACTIONS):
        name = monkey.choice(list(VIEWS))
        done.append(f"{name}: {act(opened, root_of(opened, name), monkey)}")
        opened.wait_for_timeout(monkey.choice((0, 0, 20, 60)))
    opened.mouse.up()
    # the presenter may fill the screen, over all that follows
    opened.evaluate("document.fullscreenElement && document.exitFullscreen()")
    harness.until(lambda: opened.evaluate("!document.fullscreenElement"), what="the whole page")
    opened.set_viewport_size({"width": 1280, "height": 900})
    tail = "; ".join(done[-12:])
    harness.evaluate_in_kernel(opened, "training.stop()")
    assert opened.faults == [], tail
    assert harness.kernel_errors(opened) == [], tail
    assert harness.cell_errors(opened) == [], tail
    # and it still works: an edit is drawn, and no view has lost its place
    assert [name for name in VIEWS if root_of(opened, name).count() != 1] == []
    harness.evaluate_in_kernel(opened, "session.update(method='mapper') and session.reset()")
    harness.evaluate_in_kernel(opened, "session.update(seed=7) and session.request()")
    EditorPage(opened).draws_an_edit()
