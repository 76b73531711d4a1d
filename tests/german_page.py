"""Whether a line that a German page shows is still English."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from l2l_widgets.widgets.words import Words

#: Words that no German line has, and nearly every English one does.
ENGLISH = re.compile(
    r"\b(?:the|of|and|with|from|this|that|is|are|face|faces|step|steps|seed|each|not|what|how|"
    r"moved|by|read|number|whole|least|years|before|after|picture|save|saved|load|loads|measure|"
    r"training faces|running|stopped|finished)\b"
)
#: What is no language: places to fill in, paths, names of methods, recipes and files.
PLAIN = re.compile(
    r"\{\w+\}|l2l \w+(?: [\w.-]+)?|\b\w+(?:[./_-]\w+)+\b|\w+\([^)]*\)"
    r"|Run \u2192 [\w ]+|\b[a-z]+\.py\b"
)


@functools.lru_cache
def _phrases() -> re.Pattern[str]:
    english, german = Words.of("en").ui, Words.of("de").ui
    known = {text.strip() for text in german.values()}
    lines = []
    for key, text in english.items():
        line = text.strip()
        letters = re.sub(r"\{\w+\}|\W", "", line)
        if german[key].strip() != line and line not in known and len(letters) >= 4:
            parts = re.split(r"\{\w+\}", line)
            lines.append(".+?".join(map(re.escape, parts)))
    assert len(lines) > 300
    return re.compile("|".join(lines))


def still_english(texts: Iterable[str], names: Iterable[str] = ()) -> list[str]:
    """The lines that are English: a phrase of the English table, or with a word of it.

    Parameters
    ----------
    texts : iterable of str
        What a page shows.
    names : iterable of str
        Lines that are names, the same in every language: methods, recipes, fields of a recipe.
    """
    allowed = set(names)
    found = []
    for text in dict.fromkeys(t.strip() for t in texts):
        if text in allowed or PLAIN.fullmatch(text):
            continue
        if _phrases().fullmatch(text) or ENGLISH.search(PLAIN.sub(" ", text)):
            found.append(text)
    return found
