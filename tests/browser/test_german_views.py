"""Views that speak German in a real JupyterLab: their words, their room, their signs of work."""

from __future__ import annotations

import re

import pytest

from . import harness

pytestmark = pytest.mark.browser

NAME = "german_views.ipynb"
CELLS = (
    """
import time
import l2l_widgets as l2l
from PIL import Image
from l2l_widgets.walks.interpolation import Interpolator

plain = Interpolator.measure

def slowly(self, *args):
    while not released:
        time.sleep(0.05)
    return plain(self, *args)

Interpolator.measure = slowly
released = []
Image.new("RGB", (420, 300), (120, 130, 140)).save("nobody.png")
session = l2l.EditSession(l2l.load(), seed=3)
walk = l2l.InterpolationView(session, 12, frames=5, language="de")
walk
""",
    """
grid = l2l.EditorGrid(session, request={"age": 0.3, "smile": 0.2}, n_random=4,
                      methods=["mapper", "interfacegan"], language="de")
grid
""",
    'gallery = l2l.Gallery(session, "Lächeln > 20", page_size=8, language="de")\ngallery',
    'broken = l2l.LatentMap(session, code_map="nothing.safetensors", language="de")\nbroken',
    'photo = l2l.PhotoInverter(session, language="de")\nphoto',
)
#: The least contrast of an element's text with what lies behind it (WCAG 2, 1 to 21).
CONTRAST = """e => {
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const over = (colour, below) => {
    context.fillStyle = `rgb(${below.join()})`;
    context.fillRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const around = [];
  for (let at = e; at; at = at.parentElement) around.unshift(getComputedStyle(at).backgroundColor);
  const behind = around.reduce((below, colour) => over(colour, below), [255, 255, 255]);
  const light = (colour) => colour.map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const two = [light(behind), light(over(getComputedStyle(e).color, behind))].sort((a, b) => a - b);
  return (two[1] + 0.05) / (two[0] + 0.05);
}"""


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, NAME, *CELLS)
    harness.open_notebook(page, address, NAME, timeout=600)
    assert harness.cell_errors(page) == []
    return page


@pytest.fixture(autouse=True)
def without_a_complaint(opened):
    yield
    assert opened.faults == []
    assert harness.kernel_errors(opened) == []


def seen(page, selector):
    """A view, scrolled to."""
    root = page.locator(selector)
    root.wait_for()
    harness.bring_into_sight(page, root)
    return root


def test_a_walk_keeps_its_room_while_the_curves_are_measured(opened):
    walk = opened.locator(".l2l-walk")
    walk.scroll_into_view_if_needed()
    harness.until(lambda: walk.get_attribute("data-frames"), what="all frames")
    assert not walk.get_attribute("data-curves")
    saying = walk.locator(".l2l-saying")
    harness.until(lambda: saying.inner_text() == "Wird gemessen …", what="a sign of work")
    assert walk.locator(".l2l-gridline").count() >= 5, "the scales stand"
    before = harness.steady(walk.bounding_box)["height"]
    harness.evaluate_in_kernel(opened, "released.append(1)")
    harness.until(lambda: walk.get_attribute("data-curves"), what="the curves")
    harness.until(lambda: "Was sich am meisten bewegte" in saying.inner_text(), what="the words")
    assert abs(harness.steady(walk.bounding_box)["height"] - before) < 1


def test_a_choice_does_not_push_its_neighbours(opened):
    walk = seen(opened, ".l2l-walk")
    buttons = walk.locator(".l2l-segments button")
    where = """(es) => es.slice(0, 3).map(e => [e, e.closest('.l2l')].map(
      x => x.getBoundingClientRect())).map(([a, b]) => [a.x - b.x, a.y - b.y, a.width, a.height])"""
    places = harness.steady(lambda: buttons.evaluate_all(where))  # within the view
    buttons.nth(2).click()
    harness.until(lambda: buttons.nth(2).get_attribute("aria-pressed") == "true", what="the choice")
    assert harness.steady(lambda: buttons.evaluate_all(where)) == places
    buttons.nth(0).click()
    harness.settle(opened, walk)


def test_the_grid_names_every_change_once(opened):
    grid = seen(opened, ".l2l-editorgrid")
    asked = grid.locator(".l2l-amount-asked")
    wanted = "+24\u202fJahre, Lächeln +20\u202f%"
    harness.until(lambda: asked.inner_text() == wanted, what="both changes")
    came = grid.locator(".l2l-came").first
    assert came.evaluate("e => getComputedStyle(e).minHeight") == "34px", "a line a change"
    for blind in (True, False):
        grid.get_by_label("Blind").set_checked(blind)
        harness.settle(opened, grid)
        assert asked.inner_text() == wanted


def test_what_a_style_sheet_shows_is_german(opened):
    gallery = seen(opened, ".l2l-gallery")
    harness.until(lambda: gallery.get_attribute("data-page"), what="a page of faces")
    gallery.locator(".l2l-face").first.click()
    chosen = gallery.locator('.l2l-face[aria-pressed="true"]')
    chosen.wait_for()
    loaded = "e => getComputedStyle(e, '::after').content"
    harness.until(
        lambda: chosen.evaluate(loaded) == '"✓\u202fgeladen"', what="the German word for loaded"
    )
    shown = gallery.locator(".l2l-face-grid").evaluate(  # in one go: a page may come in between
        """e => {
          e.classList.add('l2l-none');
          const content = getComputedStyle(e, '::before').content;
          e.classList.remove('l2l-none');
          return content;
        }"""
    )
    assert shown.startswith('"Noch kein solches Gesicht')


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_soft_text_can_be_read_on_what_is_raised(opened, theme):
    gallery = seen(opened, ".l2l-gallery")
    opened.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    is_light = str(theme.endswith("Light")).lower()
    opened.locator(f'body[data-jp-theme-light="{is_light}"]').wait_for(state="attached")
    unit = gallery.locator(".l2l-chip .l2l-soft").first
    harness.until(lambda: unit.evaluate(CONTRAST) >= 4.5, what="a contrast of 4.5")


def test_a_map_that_cannot_be_opened_says_so_where_it_would_stand(opened):
    root = opened.locator(".l2l-map")
    root.scroll_into_view_if_needed()
    line = root.locator(".l2l-map-progress")
    harness.until(lambda: "nothing.safetensors" in line.inner_text(), what="the reason")
    assert root.locator(".l2l-map-message").is_hidden(), "it is said once"
    draw = root.get_by_role("button", name="Weg zeichnen", include_hidden=True)
    assert draw.evaluate("e => e.closest('[inert]') !== null"), "there is no map to draw on"
    assert root.locator(".l2l-map-bar-top").evaluate("e => e.inert")


def test_a_photo_without_a_face_is_told_in_sentences(opened):
    view = opened.locator(".l2l-photo")
    view.scroll_into_view_if_needed()
    chosen = view.locator('.l2l-segments button[aria-pressed="true"]')
    assert chosen.inner_text().startswith("W+"), "before there is a photo, too"
    view.get_by_role("button", name="W: am").click()
    assert chosen.inner_text().startswith("W:")
    harness.until(lambda: harness.evaluate_in_kernel(opened, "photo._space") == "'w'")
    path = harness.evaluate_in_kernel(
        opened, "str(__import__('pathlib').Path('nobody.png').resolve())"
    )
    view.locator("input[type=file]").set_input_files(path.strip("'"))
    how = view.locator(".l2l-how")
    harness.until(lambda: "nobody.png" in how.inner_text(), 240, what="where the square lies")
    assert re.search(r"das Quadrat liegt in der Mitte\. [A-ZÄÖÜ]", how.inner_text())
    numbers = view.locator(".l2l-numbers")
    said = harness.until(numbers.inner_text, 240, what="the first look")
    assert re.match(r"Unterschied \d+,\d{3} ·", said), "nothing has fallen yet"
