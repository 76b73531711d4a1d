"""How the receipt words what was asked for, by itself in a real page, without a kernel."""

from __future__ import annotations

import pytest

from l2l_widgets.widgets.stylesheet import static_text
from l2l_widgets.widgets.words import Words

from . import harness

pytestmark = pytest.mark.browser

AGE = {"name": "age", "low": 0, "high": 80}
YAW = {"name": "yaw", "low": -90, "high": 90}
ASKED = """([words, row, receipt]) => {
  speak(words);
  const view = new ReceiptView({ families: [{ rows: [row] }] }, t);
  view.update({ requested: {}, targets: {}, before: {}, after: {}, achieved: {}, others: {},
    band: {}, along: {}, slipped: {}, stands_out: [], shortfalls: [], sentences: [], judges: {},
    ...receipt });
  return view.asked.textContent.trim().replaceAll("\\u202f", " ");
}"""


@pytest.fixture(scope="module")
def bare(page):
    with harness.page_beside(page) as own:
        own.set_content("<p></p>")
        names = ("shared/words.js", "shared/elements.js", "editor/receipt.js")
        own.add_script_tag(content=static_text(*names))
        yield own
        assert own.faults == []


@pytest.fixture
def asked(bare):
    """The line of one attribute: what was asked, what the judge read, in what language."""

    def words(language, row, **receipt):
        spoken = Words.of(language).of_script(static_text("editor/receipt.js"))
        receipt = {key: {row["name"]: value} for key, value in receipt.items()}
        return bare.evaluate(ASKED, [spoken, row, receipt])

    return words


@pytest.mark.parametrize(
    ("language", "label", "unit", "words"),
    [
        ("en", "Age", "years", ["Age +6 of +8 years", "Age now 49, asked 48 years",
                                "Age +1 years, hardly any asked"]),
        ("de", "Alter", "Jahre", ["Alter +6 von +8 Jahre", "Alter jetzt 49, verlangt 48 Jahre",
                                  "Alter +1 Jahre, kaum etwas verlangt"]),
    ],
)  # fmt: skip
def test_a_way_that_is_shown_as_nought_has_no_share(asked, language, label, unit, words):
    row = {**AGE, "label": label, "unit": unit}
    judged = {"before": 0.6, "after": 0.6125, "achieved": 0.0125}
    assert [
        asked(language, row, requested=0.1, targets=0.7, before=0.6, after=0.675, achieved=0.075),
        asked(language, row, requested=0.05, targets=0.602, **judged),
        asked(language, row, requested=0.003, **judged),
    ] == words


def test_degrees_keep_their_sign_beside_the_number(asked):
    row = {**YAW, "label": "Yaw", "unit": "\u00b0"}
    read = {"before": 0.5, "after": 0.55, "achieved": 0.05}
    assert asked("en", row, requested=0.0, targets=0.5, **read) == "Yaw now +9, asked 0\u00b0"
    assert asked("en", row, requested=0.1, **read) == "Yaw +9 of +18\u00b0"
