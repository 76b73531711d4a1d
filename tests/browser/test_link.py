"""The line to the kernel by itself, in a real page: silence is said, and taken back."""

from __future__ import annotations

import pytest

from l2l_widgets.widgets.stylesheet import static_text

from . import harness
from .editor_page import EditorPage

pytestmark = pytest.mark.browser


@pytest.fixture
def line(page):
    with harness.page_beside(page) as own:
        own.set_content("<p></p>")
        own.add_script_tag(content=static_text("shared/link.js"))
        own.evaluate(
            """() => {
              Link.PATIENCE = 20;
              window.said = [];
              window.sent = [];
              window.open = send => {
                window.link = new Link({ send }, silent => said.push(silent));
              };
              open(message => { sent.push(message); });
            }"""
        )
        yield own
        assert own.faults == []


def last_said(line):
    return line.evaluate("() => said.at(-1)")


def test_a_late_answer_ends_the_silence(line):
    line.evaluate("() => link.post({ kind: 'load' })")
    harness.until(lambda: last_said(line) is True, what="the silence")
    assert line.evaluate("() => link.settled") is False, "given up, not answered"
    line.evaluate("() => { for (const n of [1, 2]) link.post({ n }, true); }")
    assert line.evaluate("() => sent.map(m => m.n)") == [None, 1, 2], "it waits for nothing lost"
    line.evaluate("() => link.acknowledge({ [link.client]: 1 })")
    assert line.evaluate("() => link.settled") is False, "newer ones are on their way"
    line.evaluate("() => link.acknowledge({ [link.client]: 3 })")
    assert last_said(line) is False
    assert line.evaluate("() => link.settled") is True


def test_of_a_slider_the_newest_waits_and_nothing_else_is_dropped(line):
    line.evaluate("() => { for (const n of [1, 2, 3, 4]) link.post({ n }, true); }")
    assert line.evaluate("() => sent.map(m => m.n)") == [1, 2]
    assert line.evaluate("() => link.settled") is False
    line.evaluate("() => link.acknowledge({ [link.client]: 2 })")
    assert line.evaluate("() => sent.map(m => m.n)") == [1, 2, 4]
    line.evaluate("() => link.post({ n: 5 })")
    assert line.evaluate("() => sent.map(m => m.n)") == [1, 2, 4, 5]
    line.evaluate("() => link.acknowledge({ [link.client]: 4 })")
    assert line.evaluate("() => link.settled") is True


@pytest.mark.parametrize(
    "send", ["() => { throw new Error('Cannot send'); }", "() => Promise.reject(Error('gone'))"]
)
def test_a_kernel_that_went_first_is_said_and_breaks_nothing(line, send):
    line.evaluate(f"() => open({send})")
    line.evaluate("() => link.post({ kind: 'load' })")
    harness.until(lambda: last_said(line) is True, what="the silence")


#: anywidget gives a view's script two seconds to load; here it is given none.
IMPATIENT = """
AbortSignal.timeout = () => {
  const end = new AbortController();
  queueMicrotask(() => end.abort());
  return end.signal;
};
"""
MAKE = """
from l2l_widgets import EditSession, FaceEditor, PhotoInverter, load
from l2l_widgets.images import encode_png
session = EditSession(load(), seed=3, n_random=4)
display(FaceEditor(session), PhotoInverter(session, encode_png(session.render().before)))
"""


@pytest.mark.slow
def test_a_view_whose_script_came_late_hears_its_kernel_all_the_same(page, address, folder):
    harness.write_notebook(folder, "late.ipynb", MAKE)
    with harness.page_beside(page) as own:
        own.add_init_script(IMPATIENT)
        harness.open_notebook(own, address, "late.ipynb", timeout=600)
        editor = EditorPage(own)
        before = editor.pixels()
        editor.drag("smile", 0.3, 0.95)
        editor.settle()
        harness.until(lambda: editor.pixels() != before, what="an edit that is drawn")
        assert editor.error() == ""
        how = own.locator(".l2l-photo .l2l-how")
        how.scroll_into_view_if_needed()
        harness.until(how.inner_text, what="the photo, which comes in a message of its own")
        assert own.late, "anywidget gave up on none of them: nothing was tried here"
        assert own.faults == []
        assert harness.kernel_errors(own) == []
