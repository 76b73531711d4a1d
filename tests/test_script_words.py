"""No script has words of its own: what a page shows and reads aloud comes from the languages."""

from __future__ import annotations

import json
import re
import string

import pytest
from script_words import visible_words

from l2l_widgets import widgets
from l2l_widgets.widgets.stylesheet import STATIC
from l2l_widgets.widgets.words import LANGUAGES, Words, languages

SCRIPTS = sorted(STATIC.rglob("*.js"))


def content(name):
    return json.loads((LANGUAGES / f"{name}.json").read_text(encoding="utf-8"))


def places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_no_script_has_words_of_its_own():
    assert len(SCRIPTS) >= 30
    found = {
        f"{path.relative_to(STATIC)}:{line}": text
        for path in SCRIPTS
        for line, text in visible_words(path.read_text(encoding="utf-8"))
    }
    assert found == {}, "these belong into languages/*.json, and here t(key) does"


@pytest.mark.parametrize(
    "line",
    [
        'button("Close", null, go);',
        'h("span", {}, "still running");',
        'h("button", { type: "button", title: "more" });',
        'h("p", { "aria-label": on ? "shown" : t("x") });',
        "this.said.textContent = `${n} faces`;",
        'svg.setAttribute("aria-label", "curve");',
        'const WORDS = { all: "All" };',
        'say("The kernel does not answer.");',
        'list.replaceChildren("nothing", t("x"));',
    ],
)
def test_the_lint_finds_a_word_where_a_person_reads_it(line):
    assert visible_words(line)


@pytest.mark.parametrize(
    "line",
    [
        'button(t("close"), "save", () => post({ kind: "go on" }), { class: "l2l-button l2l-x" });',
        'h("span", { role: "status", class: `l2l-a${on ? " l2l-b" : ""}` }, t("x", { a: b }));',
        'if (event.key === "ArrowLeft" || name === "identity") f(/"no words here"/);',
        "element.style.left = `${x}px`; // The words of a comment are for us.",
    ],
)
def test_the_lint_lets_code_be_code(line):
    assert visible_words(line) == []


def test_every_key_that_a_script_asks_for_is_there():
    ui = Words.of("en").ui
    for path in SCRIPTS:
        keys = re.findall(r'\bt\("([^"]+)"', path.read_text(encoding="utf-8"))
        assert [key for key in keys if key not in ui] == [], path.name


def test_no_word_lies_in_the_table_unused():
    code = "".join(p.read_text(encoding="utf-8") for p in (*SCRIPTS, *STATIC.parent.rglob("*.py")))
    stems = {m for m in re.findall(r"[\"'`]([a-z_]*)[{$]", code) if len(m) > 3}
    ends = set(re.findall(r"\}(_[a-z]+)[`\"]", code))
    unused = [
        key
        for key in Words.of("en").ui
        if f'"{key}"' not in code
        and f"'{key}'" not in code
        and not key.startswith(tuple(stems))
        and not key.endswith(tuple(ends))
    ]
    assert unused == []


@pytest.mark.parametrize("name", languages())
def test_a_language_has_every_phrase_with_its_places(name):
    own, english = content(name)["ui"], content("en")["ui"]
    assert list(own) == list(english)
    assert {k for k in own if places(own[k]) != places(english[k])} == set()
    said = content(name).get("said", {})
    assert {line for line, text in said.items() if not places(text) <= places(line)} == set()


@pytest.mark.parametrize("name", languages())
def test_no_key_stands_twice_in_a_table(name):
    """The later one would win, in silence, and the view of the other would lose its number."""

    def each_once(pairs):
        keys = [key for key, _ in pairs]
        assert [key for key in keys if keys.count(key) > 1] == []
        return dict(pairs)

    text = (LANGUAGES / f"{name}.json").read_text(encoding="utf-8")
    assert json.loads(text, object_pairs_hook=each_once)["language"]


def test_what_the_parts_below_say_is_put_into_the_readers_language():
    german = Words.of("de")
    assert german.said("page is 'x'; allowed: a whole number of at least 0") == (
        "page ist 'x'; erlaubt: eine ganze Zahl, mindestens 0"
    )
    assert german.said("a line that nobody has translated") == "a line that nobody has translated"
    assert Words.of("en").said("opening the map") == "opening the map"


def test_a_page_gets_its_own_words_and_no_others():
    scripts = {name: str(getattr(widgets, name)._esm) for name in widgets.__all__}
    for name, script in scripts.items():
        sent = Words.of("de").of_script(script)
        keys = set(re.findall(r'\bt\("([^"]+)"', script))
        assert keys <= set(sent["ui"]), name
        assert len(sent["ui"]) < len(Words.of("de").ui) / 2, name
        assert (sent["language"], sent["decimal"]) == ("de", ",")
    training = Words.of("de").of_script(scripts["TrainingMonitor"])["ui"]
    assert training["state_running"] == "läuft"
    assert "state_running" not in Words.of("de").of_script(scripts["Gallery"])["ui"]


def test_no_style_sheet_has_words_of_its_own():
    """What ``content`` shows is read as well: words come in an attribute that a script fills."""
    found = {
        f"{path.relative_to(STATIC)}: {shown}"
        for path in STATIC.rglob("*.css")
        for shown in re.findall(r'content:[^;]*?"([^"]*)"', path.read_text(encoding="utf-8"))
        if re.search(r"[A-Za-z]{2,}", re.sub(r"\\[0-9a-fA-F]{1,4}(?![0-9a-fA-F])", " ", shown))
    }
    assert found == set(), "content: attr(data-x), and dataset: { x: t(key) }"
