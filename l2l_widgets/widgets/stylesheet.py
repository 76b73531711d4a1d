"""Style sheets that speak of one view only.

Several views stand on one page, and each brings its style sheet: a rule for ``.l2l-strip`` of one
would dress the other's strip as well. So every rule is bound to its view's outermost element when
the sheet is put together. The binding, ``:where(...)``, adds no specificity: within a view the
rules rank as they are written.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["scoped", "scripted", "static_text", "themed"]

STATIC = Path(__file__).parent / "static"
#: What every view's page needs, before its own scripts and rules.
SCRIPTS = (
    "shared/words.js", "shared/elements.js", "shared/link.js",
    "shared/pictures.js", "shared/showing.js",
)  # fmt: skip
SHEETS = ("shared/tokens.css", "shared/base.css")

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CLASS = re.compile(r"\.[\w-]+")


def static_text(*names: str) -> str:
    """The named files of ``static/``, one after the other, as one module or style sheet."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def scripted(folder: str, *names: str) -> str:
    """The module of a view: the scripts that all views share, and then its own.

    Parameters
    ----------
    folder : str
        Of ``static/``, which the view's own files lie in.
    names : str
        Those files, or files of other folders as ``folder/name``.
    """
    return static_text(*SCRIPTS, *_placed(folder, names))


def themed(root: str, folder: str, *names: str) -> str:
    """The style sheet of a view: tokens and controls of all views, and then its own rules.

    Parameters
    ----------
    root : str
        Class of the view's outermost element, which has the class ``l2l`` as well.
    folder, names : str
        As for :func:`scripted`.
    """
    return scoped(root, static_text(*SHEETS, *_placed(folder, names)), "l2l")


def _placed(folder: str, names: tuple[str, ...]) -> list[str]:
    return [name if "/" in name else f"{folder}/{name}" for name in names]


def scoped(root: str, css: str, *also: str) -> str:
    """A style sheet whose every rule holds inside one view only.

    Parameters
    ----------
    root : str
        Class of the view's outermost element, which no other view has.
    css : str
        Rules, also inside ``@media`` and ``@container``; other at-rules stay as they are.
    also : str
        Further classes of the same element, which other views may share.
    """
    out, place, text = [], 0, _COMMENT.sub("", css)
    for match in re.finditer(r"([^{};]*)([{};])", text):
        head, mark = match.group(1), match.group(2)
        place = match.end()
        if mark == "{" and not head.lstrip().startswith("@") and not _is_step(head):
            selectors = (_bind(s, root, also) for s in _split(head))
            head = "\n" + ",\n".join(selectors) + " "
        out.append(head + mark)
    return "".join(out) + text[place:]


def _is_step(head: str) -> bool:
    """Whether this is a step of ``@keyframes``."""
    return all(re.fullmatch(r"from|to|[\d.]+%", part.strip()) for part in head.split(","))


def _split(selectors: str) -> list[str]:
    """Selectors at their commas, those inside brackets excepted."""
    parts, depth = [""], 0
    for letter in selectors.strip():
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _bind(selector: str, root: str, also: tuple[str, ...]) -> str:
    """A selector bound to the view: on its outermost element, or inside it."""
    classes = _CLASS.findall(selector)
    if f".{root}" in classes:
        return selector
    where = f":where(.{root})"
    first = _CLASS.search(selector)
    if first is not None and first.group()[1:] in also:
        return selector[: first.end()] + where + selector[first.end() :]
    if first is not None and " " in selector[: first.start()].strip() + " ":
        # what stands before the first class is around the view: the page's theme, say
        return f"{selector[: first.start()]}{where} {selector[first.start() :]}"
    return f"{where} {selector}"
