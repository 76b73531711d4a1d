"""Which literals of a JavaScript file a person could read: a lint without a JavaScript engine.

It reads tokens and keeps a stack of brackets, which is enough to know that a literal is the third
argument of ``h(...)``, the value of ``title:``, or inside a call of the translator ``t(...)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<tick>`)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<number>\d[\w.]*)
    |(?P<regex>(?<=[(,=:\[!&|?{};+>])
      \s*/(?![/*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)
    |(?P<mark>[!=]==?|\?\.|\.\.\.|=>|[-+*/%&|^!<>=?]=?|.)""",
    re.VERBOSE | re.DOTALL,
)
_LETTERS = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")
#: What writes a text on the page: a call's name -> the first argument that is text.
CHILDREN = {"h": 2, "s": 2, "button": 0, "append": 0, "prepend": 0, "replaceChildren": 0, "text": 2}
ONE_TEXT = {"button", "text"}
#: Properties whose value is read aloud or shown.
SPOKEN = {
    "aria-label", "ariaLabel", "title", "placeholder", "alt", "label", "textContent", "innerText",
    "aria-valuetext", "aria-description",
}  # fmt: skip
#: Calls whose literals are keys of the language table, not words.
TRANSLATORS = {"t", "translator"}
#: Calls whose literals are CSS selectors.
SELECTORS = {"closest", "matches", "querySelector", "querySelectorAll"}
#: Names of keys, of classes, of units and signs: the same in every language.
CODE = {"class", "style", "kind", "d", "transform", "viewBox", "points", "rootMargin", "font"}
CODE_TEXT = re.compile(r"\(prefers-|\d+ \d+px |color-mix\(|div:has\(|Arrow$")
NAMES = re.compile(
    r"(Arrow(Left|Right|Up|Down)|Page(Up|Down)|Home|End|Enter|Escape|Tab|Delete|Backspace|Shift"
    r"|Control|Alt|Meta|Ctrl|[A-Z]\w*Error|INPUT|SELECT|TEXTAREA|BUTTON|DIV|Float32|Uint8|RGB|PNG"
    r"|GIF|MP4|ANIMATION|W\+?|Z|S|px|ms|UMAP|GANSpace|IntersectionObserver)"
)


@dataclass
class _Bracket:
    mark: str
    callee: str = ""
    argument: int = 0
    key: str = ""
    keys: bool = field(default=False)


def visible_words(source: str) -> list[tuple[int, str]]:
    """Literals that a person could read and that are not keys of the table: (line, text)."""
    found: list[tuple[int, str]] = []
    _read(source, 0, [], found, "")
    return found


def _read(source: str, at: int, stack: list[_Bracket], found: list, until: str) -> int:
    last: tuple[str, int] = ("", -1)  # what is being assigned to, and how deep that stands
    previous = ""
    base = len(stack)
    while at < len(source):
        match = _TOKEN.match(source, at)
        kind, text = match.lastgroup, match.group()
        if kind == "space":
            at = match.end()
            continue
        if until and text == until and len(stack) == base:
            return match.end()
        if kind == "string":
            after = source[match.end() :].lstrip()[:1]
            is_key = after == ":" and stack and stack[-1].mark == "{" and previous in ("{", ",")
            if is_key:
                stack[-1].key = text[1:-1]
            elif previous not in ("===", "!==", "case", "in"):
                _judge(source, at, text[1:-1], stack, last, found)
            at = match.end()
        elif kind == "tick":
            at = _template(source, match.end(), stack, last, found)
        else:
            if text in "([{":
                called = re.search(r"([\w$]+)(\?\.)?$", source[max(0, at - 60) : at])
                callee = called[1] if text == "(" and called else ""
                stack.append(_Bracket(text, callee))
            elif text in ")]}" and len(stack) > base:
                stack.pop()
            elif text == "," and stack:
                stack[-1].argument += 1
                stack[-1].key = ""
            elif text == ":" and stack and stack[-1].mark == "{" and re.match(r"[\w$]+$", previous):
                stack[-1].key = previous
            elif text == "=":
                last = (previous, len(stack))
            elif text == ";":
                last = ("", -1)
            at = match.end()
        previous = text
    return at


def _template(
    source: str, at: int, stack: list[_Bracket], last: tuple[str, int], found: list
) -> int:
    start, piece = at, ""
    while source[at] != "`":
        if source[at] == "\\":
            at += 2
            piece += " "
        elif source.startswith("${", at):
            at = _read(source, at + 2, stack, found, "}")
            piece += "0"
        else:
            piece += source[at]
            at += 1
    _judge(source, start, piece, stack, last, found)
    return at + 1


def _judge(
    source: str, at: int, text: str, stack: list[_Bracket], last: tuple[str, int], found: list
) -> None:
    calls = [b.callee for b in stack if b.mark == "("]
    if any(call in (*TRANSLATORS, *SELECTORS) for call in calls[-1:]) or "import" in calls:
        return
    words = re.sub(r"\\u[0-9a-fA-F]{4}|\\n", " ", text)
    words = " ".join(w for w in words.split() if not w.startswith(("l2l-", ".l2l-", "jp-", "--")))
    if not _LETTERS.search(words) or NAMES.fullmatch(words) or CODE_TEXT.match(words):
        return
    inner = stack[-1] if stack else _Bracket("")
    call = next((b for b in reversed(stack) if b.mark == "("), None)
    before = source[max(0, at - 40) : at]
    spoken = (
        (inner.mark == "{" and inner.key in SPOKEN)
        or (last[0] in SPOKEN and last[1] == len(stack))
        or (inner.callee == "setAttribute" and any(f'"{name}", ' in before for name in SPOKEN))
    )
    child = (
        call is not None
        and inner.mark != "{"
        and call.callee in CHILDREN
        and call.argument >= CHILDREN[call.callee]
        and (call.callee not in ONE_TEXT or call.argument == CHILDREN[call.callee])
    )
    sentence = re.search(r"[A-Za-z]{2,}[,.;:]? [a-zA-Z(]{1,}", words) and inner.key not in CODE
    capital = re.match(r"[A-Z][a-z]+", words)
    if spoken or child or capital or sentence:
        found.append((source.count("\n", 0, at) + 1, text))
