"""Pages of views without a kernel: widths, words and states, each given and none waited for."""

from __future__ import annotations

import pytest
import torch
from leaky_world import Follows, world
from test_code_map import lay_flat

from l2l_widgets import (
    EditSession,
    EntanglementExplorer,
    Gallery,
    LatentMap,
    TrainingMonitor,
)
from l2l_widgets.maps.code_map import CodeMap, Layout

from . import harness
from .lone import give, open_alone

pytestmark = pytest.mark.browser

LANGUAGES = ("en", "de")
SPACES = ("w", "identity", "attributes")
CONTROLS = ".l2l-map-bar-top button, .l2l-map-bar-top select"
#: What of a menu would be wider than its place, once chosen; its arrow is left free.
CUT = """e => {
  const pen = document.createElement('canvas').getContext('2d'), style = getComputedStyle(e);
  pen.font = `${style.fontSize} ${style.fontFamily}`;
  const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  return [...e.options].map(o => o.label).filter(text => pen.measureText(text).width > room - 12);
}"""


@pytest.fixture(scope="module")
def alone(page):
    with harness.page_beside(page, 1280, 1000) as own:
        yield own


@pytest.fixture(autouse=True)
def without_a_complaint(alone):
    alone.faults.clear()
    yield
    assert alone.faults == []


def widen(page, width):
    page.evaluate(
        "width => { document.getElementById('place').style.width = `${width}px`; }", width
    )


def boxes(root, selector):
    """Left, top, right and bottom of what can be seen of a selector."""
    return root.evaluate(
        """(root, selector) => [...root.querySelectorAll(selector)].filter(e => e.checkVisibility())
          .map(e => e.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])""",
        selector,
    )


# -- the map ---------------------------------------------------------------------------------------


@pytest.fixture
def code_map(tiny_models):
    made = CodeMap(tiny_models, 64, neighbours=8)
    lay_flat(made, seed=0)
    first = made.layouts["w", 0]
    for space in SPACES:
        for seed in range(5):
            made.layouts[space, seed] = Layout(space, seed, first.coordinates, first.quality)
    made.readings = torch.full((64, 35), 128, dtype=torch.uint8)
    made.known = 64
    return made


@pytest.fixture
def map_of(tiny_models, code_map):
    made = []

    def make(language):
        session = EditSession(tiny_models, "linear", seed=3)
        view = LatentMap(session, code_map=code_map, language=language).wait(120)
        assert view.settle(120)
        made.extend((view, session))
        return view

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bar_of_a_map_stands_on_one_line_and_wraps_between_its_two_parts(
    alone, map_of, language
):
    view = map_of(language)
    root = open_alone(alone, view)
    widen(alone, 960)
    for space in SPACES:
        give(alone, "points", {**view.points, "space": space})
        tops = [(top + bottom) / 2 for _, top, _, bottom in boxes(root, CONTROLS)]
        assert len(tops) == 4 + 5 + 2
        assert max(tops) - min(tops) < 4, "the bar wraps"
    for menu in root.locator(".l2l-map-bar-top select").all():
        assert menu.evaluate(CUT) == []
    harness.keep_picture(alone, root, f"map-960-{language}")
    for width in (640, 520):
        widen(alone, width)
        (tools,) = boxes(root, ".l2l-map-bar-top > .l2l-segments")
        (which,) = boxes(root, ".l2l-map-which")
        harness.keep_picture(alone, root, f"map-{width}-{language}")
        assert which[1] >= tools[3], f"torn apart at {width}"
        assert which[0] == tools[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_stands_in_the_corners_of_a_map_lies_on_nothing_else(alone, map_of, language):
    root = open_alone(alone, map_of(language))
    for width in (960, 881, 879, 761, 759, 440):
        widen(alone, width)
        (scale,), (looks,) = boxes(root, ".l2l-map-legend"), boxes(root, ".l2l-map-looks")
        (stage,) = boxes(root, ".l2l-map-stage")
        assert scale[2] < looks[0], f"at {width}"
        assert stage[0] < scale[0]
        assert looks[2] < stage[2]
    give(alone, "progress", {"text": "no map", "share": 0, "ready": False, "error": True})
    assert boxes(root, ".l2l-map-looks, .l2l-map-legend") == []


def test_the_face_under_the_pointer_is_said_to_be_loaded_with_or_without_an_edit(alone, map_of):
    root = open_alone(alone, map_of("en"))
    x, y = root.evaluate("e => e.l2lMap.screenOf(17)")
    box = root.locator(".l2l-map-stage").bounding_box()
    alone.mouse.move(box["x"] + x, box["y"] + y)
    harness.until(lambda: alone.evaluate("sent.at(-1).kind") == "hover", what="the face")
    row = alone.evaluate("sent.at(-1).row")
    give(alone, "hover", {"row": row, "seed": row, "named": [], "believed": {}, "picture": {}})
    role = root.locator(".l2l-map-role")
    for loaded, edited, words in (
        (3, True, "Under the pointer \u2013 click loads it"),
        (row, True, "Loaded \u2013 shown here without the edit"),
        (row, False, "Loaded, here and in every view"),
    ):
        give(alone, "loaded", {"row": loaded, "seed": loaded, "edited": edited, "usual": [1, 2]})
        assert role.inner_text() == words


# -- a gallery, and what is taken home ------------------------------------------------------------


@pytest.fixture
def gallery(tiny_models):
    session = EditSession(tiny_models, "linear", seed=3)
    view = Gallery(session, page_size=6)
    assert view.wait(120)
    yield view
    view.close()
    session.close()


def test_before_the_first_page_of_a_gallery_there_is_nothing_to_take_home(alone, gallery):
    root = open_alone(alone, gallery, {"page": {}})
    takes = root.locator(".l2l-gallery-take")
    assert takes.is_hidden()
    give(alone, "page", gallery.page)
    assert takes.is_visible()
    assert "Face 3" in takes.inner_text()


def test_a_text_opens_on_the_page_that_asked_for_it_and_on_no_other(alone, gallery):
    root = open_alone(alone, gallery)
    texts = root.locator(".l2l-taken")

    def comes(client, what):
        content = {"type": "text", "client": client, "what": what, "recipe": "{}", "code": "x"}
        alone.evaluate("content => model.fire('msg:custom', content)", content)

    comes("another", "Face 9")
    assert texts.is_hidden()
    root.get_by_role("button", name="As code: Face 3").click()
    asked = alone.evaluate("sent.at(-1)")
    assert (asked["kind"], asked["seed"]) == ("text", 3)
    give(alone, "notice", {"error": "the disk is full", "count": 9})  # the answer to it
    comes("another", "Face 9")
    assert texts.is_hidden(), "of another page"
    comes(asked["client"], "Face 3")
    assert texts.is_visible()
    assert texts.locator("strong").first.inner_text() == "Face 3"


# -- the explorer ----------------------------------------------------------------------------------


@pytest.fixture
def explorer_of():
    made = []

    def make(language):
        session = EditSession(world(follows=Follows()), method="follows", n_random=4)
        view = EntanglementExplorer(
            session, attributes=("age", "beard"), faces=8, chance=2, language=language
        )
        made.extend((view, session))
        return view

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("language", "go_on", "stop_"), [("en", "Go on", "Stop"), ("de", "Weiter", "Halt")]
)
def test_what_is_stopped_in_its_first_row_goes_on_and_nothing_jumps(
    alone, explorer_of, language, go_on, stop_
):
    view = explorer_of(language)
    root = open_alone(alone, view)
    doing = {"doing": "follows: Age", "faces": 3, "faces_total": 8, "seconds_left": 4000.0}
    states = (
        {"state": "running", **doing}, {"state": "paused", **doing}, {"state": "stopped"},
        {"state": "running", "done": 1, "faces": 0, "faces_total": 0, "seconds_left": 40.0},
        {"state": "stopped", "done": 1}, {"state": "finished", "done": 2},
    )  # fmt: skip
    seen = []
    for width in range(560, 1190, 30):
        widen(alone, width)
        values = [{**view.status, "total": 2, **state} for state in ({}, *states)]
        seen.append(root.evaluate(STATES, values))
    for (first, *others), width in zip(seen, range(560, 1190, 30), strict=True):
        assert {(top, room) for top, room, *_ in others} == {(first[0], first[1])}, f"at {width} px"
        words = [(start, stop) for _, _, start, stop in others]
        busy, measure = ("", stop_), (first[2], "")
        assert words == [busy, busy, (go_on, ""), busy, (go_on, ""), measure]


#: Where the matrix begins and how wide the place of the two buttons is in each state of a
#: measurement, and what stands on that one of the buttons which is there.
STATES = """(root, states) => states.map((state) => {
  model.set('status', state);
  const box = name => root.querySelector(name).getBoundingClientRect();
  const words = name => root.querySelector(name).innerText.trim();
  return [box('.l2l-matrixpanel').top, box('.l2l-panelbar > .l2l-measuring').width,
          words('.l2l-start'), words('.l2l-stop')];
})"""


def test_either_face_of_a_pair_is_loaded_and_taken_home(alone, explorer_of):
    view = explorer_of("en")
    root = open_alone(alone, view)
    picture = {"width": 2, "height": 2, "data": bytes(12), "format": "rgb"}
    pair = {"seed": 7, "caption": "moved least", "change": 0.1, "asked": 0.3, "strength": 0.4}
    cell = {"edited": "age", "read": "beard", "method": "follows", "faces": [], "numbers": {}}
    pairs = [{**pair, "before": picture, "after": picture}]
    give(alone, "cell", {**cell, "sentences": [], "pairs": pairs})
    for name, edited in (("before", False), ("after", True)):
        for act, kind in (("As code", "text"), ("Save", "save")):
            root.get_by_role("button", name=f"{act}: Face 7, {name}").click()
            asked = alone.evaluate("sent.at(-1)")
            assert (asked["kind"], asked["seed"], asked["edited"]) == (kind, 7, edited)
    harness.keep_picture(alone, root, "explorer-pair")
    (around,) = boxes(root, ".l2l-pair")
    for left, _, right, bottom in boxes(root, ".l2l-pair button"):
        assert around[0] < left < right < around[2]
        assert bottom < around[3]


# -- a form ----------------------------------------------------------------------------------------


def test_a_recipe_that_says_nothing_of_itself_has_a_form(alone, tmp_path):
    view = TrainingMonitor(tmp_path, recipe="mapper-lesson")
    form = view.form
    silent = [{**recipe, "summary": ""} for recipe in form["recipes"]]
    root = open_alone(alone, view, {"form": {**form, "recipes": silent}})
    assert root.locator(".l2l-hint").first.inner_text() == ""
    assert root.locator('[data-field="steps"]').count() == 1
    view.close()
