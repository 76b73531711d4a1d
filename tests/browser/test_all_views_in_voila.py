"""Every view in Voila, in German: each is used once, and none has an English word.

The views stand on three pages, each opened once, with a kernel of its own: a page of all twelve
asks its kernel for so much at once that on a machine short of time it now and then never shows
them. Each view is a test of its own, so that a failure names the view. No step is waited for by
the clock: a view tells when it is done.
"""

from __future__ import annotations

import re

import pytest
from german_page import still_english

from . import harness
from .all_views import FIRST, MIXER, PAINTER, PHOTO, READY, VIEWS
from .test_presenter import show_views, voila

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: What a view needs beside the models, and only its page pays for.
NEEDS = {"mixer": MIXER, "painter": PAINTER, "photo": PHOTO}
#: The page asks the kernel for its widgets when all cells have run, and gives it four seconds: by
#: then nothing is being computed any more.
REST = """
for view in shown:
    view.settle(300)
"""
#: What a view's element says when its first work is done, beside those of every page.
BEGUN = {
    **READY,
    "explorer": "e => e.dataset.state === 'ready'",
    "presenter": "e => e.dataset.at === '0'",
    "painter": "e => e.dataset.stamp !== undefined",
    "training": "e => e.dataset.state !== undefined",
}
#: Seconds that the cells of a page may run.
RUNNING = 900.0
#: Seconds that one answer may take: what is there sooner is not waited for.
PATIENCE = 300.0
#: Keeps every state that an element has been in, however short.
WATCH = """
e => {
  e.l2lStates = [];
  new MutationObserver((records) => {
    e.l2lStates.push(...records.map((r) => r.oldValue), e.dataset.state);
  }).observe(e, { attributes: true, attributeFilter: ['data-state'], attributeOldValue: true });
}
"""
#: What a person sees, hears read aloud, or is told by a tooltip: pairs of where and what.
TEXTS = """
root => {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (parent.closest('style, script, kbd, code, pre')) continue;
    found.push(['text', walker.currentNode.textContent]);
  }
  for (const e of root.querySelectorAll('*')) {
    for (const name of ['title', 'aria-label', 'placeholder', 'aria-valuetext', 'aria-description',
                        'aria-roledescription', 'alt']) {
      if (e.hasAttribute(name)) found.push([name, e.getAttribute(name)]);
    }
  }
  return found.map(([where, text]) => [where, text.trim()]).filter(([, text]) => text);
}
"""


def write_page(folder, views):
    """A notebook of some of the views; the one that all pages have is the session."""
    needs = [NEEDS[name] for name in views if name in NEEDS]
    shows = "\n".join(f"{name} = {VIEWS[name][1]}\ndisplay({name})" for name in views)
    names = f"\nshown = ({', '.join(views)},)"
    return harness.write_notebook(folder, "views.ipynb", FIRST, *needs, shows + names, REST).name


def answered(root, question, what):
    return harness.until(lambda: root.evaluate(question), PATIENCE, 0.2, what)


def settled(root, name):
    answered(root, harness.SETTLED, f"answers to all requests of the {name}")


def middle(canvas):
    """Where the middle of a canvas is, once it stands still: what is above it may yet grow."""

    def still():
        before = canvas.bounding_box()
        canvas.page.wait_for_timeout(300)
        after = canvas.bounding_box()
        return after if after == before else None

    canvas.scroll_into_view_if_needed()
    box = harness.until(still, what="a page that stands still")
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def use_editor(tab, root):
    stamp = root.get_attribute("data-stamp")
    root.locator(".l2l-row[data-attribute=smile] input[type=range]").focus()
    tab.keyboard.press("ArrowRight")
    answered(root, f"e => e.dataset.stamp !== '{stamp}'", "an edited face")
    answered(root, "e => Boolean(e.dataset.receipt)", "its receipt")


def use_map(tab, root):
    canvas = root.locator("canvas").first
    tab.mouse.move(*middle(canvas))
    canvas.focus()
    tab.keyboard.press("ArrowRight")
    answered(root, "e => e.dataset.hover !== undefined", "a face under the cursor")


def use_grid(tab, root):
    root.evaluate(WATCH)
    root.locator("input[type=range]").first.focus()
    tab.keyboard.press("ArrowRight")
    answered(root, "e => e.l2lStates.includes('comparing')", "another comparison")
    answered(root, "e => e.dataset.state === 'ready'", "all methods")


def use_explorer(tab, root):
    root.evaluate(WATCH)
    root.locator(".l2l-start").click()
    answered(root, "e => e.l2lStates.includes('running')", "a study that begins")
    answered(root, "e => ['finished', 'failed'].includes(e.dataset.state)", "an ended study")
    assert root.get_attribute("data-state") == "finished"
    answered(root, "e => e.dataset.rows === '2'", "both rows")


def use_walk(tab, root):
    strip = root.locator(".l2l-strip")
    now = strip.get_attribute("aria-valuenow")
    strip.focus()
    tab.keyboard.press("ArrowRight")
    harness.until(lambda: strip.get_attribute("aria-valuenow") != now, what="the next frame")


def use_gallery(tab, root):
    root.locator(".l2l-face").nth(3).click()
    answered(root, "e => e.querySelectorAll('.l2l-face')[3].ariaPressed === 'true'", "its face")


def use_monitor(tab, root):
    hint = root.locator(".l2l-hint").first
    before = hint.inner_text()
    root.locator("select").first.focus()
    tab.keyboard.press("ArrowDown")
    harness.until(lambda: hint.inner_text() != before, PATIENCE, what="another recipe")


def use_presenter(tab, root):
    root.locator("h2").click()
    tab.keyboard.press("ArrowRight")
    answered(root, "e => e.dataset.at === '1'", "the next step")


def use_mixer(tab, root):
    pictures = root.get_attribute("data-pictures")
    root.locator("input[type=range]").first.focus()
    tab.keyboard.press("ArrowLeft")
    answered(root, f"e => e.dataset.pictures !== '{pictures}'", "another mix")


def use_painter(tab, root):
    stamp = root.get_attribute("data-stamp")
    x, y = middle(root.locator(".l2l-stage canvas, canvas").first)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 20, y + 8, steps=4)
    tab.mouse.up()
    answered(root, f"e => e.dataset.stamp !== '{stamp}'", "a painted face")


def use_training(tab, root):
    root.locator(".l2l-primary").click()
    answered(root, "e => ['finished', 'failed'].includes(e.dataset.state)", "an ended training")
    assert root.get_attribute("data-state") == "finished"


def use_photo(tab, root):
    count = root.get_attribute("data-count")
    root.locator("canvas").first.focus()
    tab.keyboard.press("ArrowLeft")
    answered(root, f"e => e.dataset.count !== '{count}'", "the likeness of the moved square")


USE = {
    "editor": use_editor,
    "map": use_map,
    "grid": use_grid,
    "explorer": use_explorer,
    "walk": use_walk,
    "gallery": use_gallery,
    "monitor": use_monitor,
    "presenter": use_presenter,
    "mixer": use_mixer,
    "painter": use_painter,
    "training": use_training,
    "photo": use_photo,
}


def names_in(tab, views):
    """Names of recipes, of their fields and losses as they are typed: the same in every language.

    Shown are their German ones; these stand in titles.
    """
    names = set()
    places = {
        "monitor": {".l2l-monitor option": "e => e.textContent.trim()",
                    ".l2l-monitor [data-field]": "e => e.dataset.field"},
        "training": {".l2l-curve-head > span:first-child": "e => e.title"},
    }  # fmt: skip
    for where, what in (pair for name in views for pair in places.get(name, {}).items()):
        found = tab.locator(where).evaluate_all(f"all => all.map({what})")
        assert found, where
        names.update(found)
    return names


@pytest.fixture(scope="class")
def opened(request, page, tmp_path_factory):
    """The page of a class; what its kernel complains about is in ``kernel_errors``."""
    views = request.cls.views
    folder = tmp_path_factory.mktemp("views-in-voila")
    name = write_page(folder, views)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L2L_LANGUAGE", "de")
        with voila(folder, name) as address, harness.page_beside(page) as tab:
            tab.kernel_errors = []

            def hear(frame):
                text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
                if re.search(r'"msg_type":\s*"error"', text):
                    tab.kernel_errors.append(text[:2000])

            tab.on("websocket", lambda socket: socket.on("framereceived", hear))
            show_views(tab, address, [VIEWS[name][0] for name in views], RUNNING)
            yield tab


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.cls.views)


class OnePage:
    """The tests of one page; a subclass says which views stand on it."""

    views: tuple[str, ...] = ()

    def test_a_view_does_what_it_is_asked_for(self, opened, name):
        root = opened.locator(VIEWS[name][0]).first
        root.scroll_into_view_if_needed()
        if name in BEGUN:
            answered(root, BEGUN[name], f"the {name}")
        settled(root, name)
        USE[name](opened, root)
        settled(root, name)
        harness.keep_picture(opened, root, f"voila-{name}")

    def test_no_english_word_is_left(self, opened):
        names = names_in(opened, self.views)
        in_title = re.compile(rf"(?:{'|'.join(map(re.escape, names)) or '(?!)'}): ")
        roots = [opened.locator(VIEWS[name][0]).first for name in self.views]
        texts = [text for root in roots for text in root.evaluate(TEXTS)]
        assert len(texts) > 40 * len(self.views)
        english = still_english(
            (in_title.sub("", text, 1) if where == "title" else text for where, text in texts),
            names,
        )
        assert not english, "\n".join(english)

    def test_nothing_went_wrong_unseen(self, opened):
        warnings = opened.locator(".l2l-message, .l2l-notice").filter(has_text="\u26a0")
        # that a kernel is silent is said while it is busy, and taken back
        harness.until(lambda: warnings.count() == 0, what="messages without a complaint")
        assert opened.kernel_errors == []
        assert [fault for fault in opened.faults if fault.startswith("page: ")] == []


class TestEditingInVoila(OnePage):
    views = ("editor", "walk", "gallery", "presenter")


class TestComparingInVoila(OnePage):
    views = ("map", "grid", "explorer", "mixer")


class TestPicturesAndTrainingInVoila(OnePage):
    views = ("painter", "photo", "monitor", "training")


def test_each_view_stands_on_one_page():
    pages = (TestEditingInVoila, TestComparingInVoila, TestPicturesAndTrainingInVoila)
    assert sorted(name for one in pages for name in one.views) == sorted(VIEWS) == sorted(USE)
