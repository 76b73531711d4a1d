"""Views whose kernel answers late: what a hand has done meanwhile stands, whatever older comes.

The editor's own script in a real page, with the state of a real editor; the answers are the test's.
"""

from __future__ import annotations

import json

import pytest
from conftest import make_session

from l2l_widgets.widgets import FaceEditor

from . import harness
from .painter_page import PAGE, plain

pytestmark = pytest.mark.browser

#: Nobody answers by himself, and what waits for a while has waited long enough at once.
STUBS = """
const plainTimeout = window.setTimeout;
window.setTimeout = (f, ms, ...more) => plainTimeout(f, Math.min(ms ?? 0, 20), ...more);
window.asked = [];
window.answer = async (text) => { window.asked.push(JSON.parse(text)); return []; };
"""
#: A message of the kernel: traits, or the answer to a panel.
TELL = """([traits, said]) => {
  Object.assign(model.values, traits);
  for (const name of Object.keys(traits)) for (const f of heard[`change:${name}`] ?? []) f();
  if (said) for (const f of heard['msg:custom']) f(said, []);
}"""


class Line:
    """A page with an editor, and what its kernel says when the test has it say so."""

    def __init__(self, page, editor):
        self.page, self.root = page, page.locator(".l2l-editor")
        self.traits = {
            name: plain(value)
            for name, value in editor.get_state().items()
            if name in ("schema", "words", "settings", "abilities", "after", "before", "still")
        }
        script = str(editor._esm).replace("export default", "const view =")
        page.add_init_script(STUBS)
        page.goto("about:blank")
        page.set_content(
            PAGE.format(
                css=editor._css,
                values=json.dumps({**self.traits, "notice": {}, "answered": {}, "receipt": {}}),
                esm=script.replace("</script", "<\\/script"),
            )
        )
        self.root.wait_for()

    def asked(self, kind):
        """What the page has asked for, of one kind."""
        return [one for one in self.page.evaluate("asked") if one["kind"] == kind]

    def answers(self, message):
        """The answer to a request of the sliders: its picture, and the state that it had then."""
        after = {"stamp": message["number"], "answers": {message["client"]: message["number"]}}
        settings = {**self.traits["settings"], "targets": message["targets"]}
        self.tell({"after": {**after, "error": None, "seconds": {}}, "settings": settings})

    def tell(self, traits, said=None):
        self.page.evaluate(TELL, [traits, said])


@pytest.fixture
def line(page, tiny_models):
    editor = FaceEditor(make_session(tiny_models))
    with harness.page_beside(page) as own:
        yield Line(own, editor)
        assert own.faults == []
    editor.close()


def test_an_answer_that_was_given_up_takes_no_newer_move_back(line):
    slider = line.root.locator('.l2l-row[data-attribute="smile"] input')
    slider.evaluate("e => { e.closest('details').open = true; }")
    slider.focus()
    for _ in range(2):
        line.page.keyboard.press("ArrowRight")
    harness.until(lambda: len(line.asked("targets")) == 2, what="both requests")
    error = line.root.locator(".l2l-error")
    harness.until(error.inner_text, what="the word that the kernel is silent")
    first, second = line.asked("targets")
    moved = slider.input_value()
    assert float(moved) == pytest.approx(second["targets"]["smile"])
    assert second["targets"]["smile"] > first["targets"]["smile"]
    line.answers(first)
    assert slider.input_value() == moved
    line.page.keyboard.press("ArrowRight")
    third = line.asked("targets")[-1]
    assert third["targets"]["smile"] > second["targets"]["smile"]
    line.answers(third)
    assert float(slider.input_value()) == pytest.approx(third["targets"]["smile"])
    assert error.inner_text() == ""
    assert line.root.evaluate(harness.SETTLED)


def test_what_is_pasted_is_not_written_over_by_an_answer_on_its_way(line):
    line.root.locator('[role=tab][data-tab="recipe"]').click()
    harness.until(lambda: line.asked("text"), what="the question for the recipe")
    recipe = line.root.get_by_label("As recipe")
    recipe.fill('{"mine": 1}')
    line.tell({}, {"type": "recipe", "recipe": '{"kernel": 1}', "code": "import l2l_widgets"})
    assert recipe.input_value() == '{"mine": 1}'
    assert line.root.get_by_label("As code").input_value() == "import l2l_widgets"
    apply = line.root.get_by_role("button", name="Apply", exact=True)
    apply.click()
    assert [one["text"] for one in line.asked("recipe")] == ['{"mine": 1}']
    line.tell({}, {"type": "recipe", "recipe": '{"mine":1}', "code": "import l2l_widgets"})
    assert recipe.input_value() == '{"mine":1}', "the kernel's own words for what was applied"
    assert apply.is_disabled()
