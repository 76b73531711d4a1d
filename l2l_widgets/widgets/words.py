"""Words of the widgets, in the language of the reader.

They belong to the view: no model and no file knows them, and recipes keep the attributes' own
names. A language is a file in ``languages/``: to add one, copy ``de.json`` and translate it. The
choice is an argument, or else the environment's ``L2L_LANGUAGE``, or else English.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from l2l_widgets.attributes import DEFAULT_TABLE, Attribute, AttributeTable
from l2l_widgets.plots.maps import CAVEAT
from l2l_widgets.session.receipt import PHRASES, Receipt, change_text
from l2l_widgets.session.states import SessionState

VARIABLE = "L2L_LANGUAGE"
LANGUAGES = Path(__file__).parent / "languages"

#: Everyday words by which an attribute is found, beside its name, label, family and definition.
SEARCH_WORDS = {
    "age": "old older young younger years child elderly wrinkles",
    "gender": "man male masculine woman female feminine sex",
    "smile": "happy smiling grin laugh lips mouth sad frown",
    "beard": "bearded stubble shave goatee",
    "moustache": "mustache shave lip",
    "sideburns": "whiskers cheeks shave",
    "yaw": "turn left right profile look head",
    "pitch": "nod up down look head",
    "roll": "tilt lean head",
    "glasses": "spectacles eyewear",
    "sunglasses": "sunglasses shades dark",
    "anger": "angry mad furious",
    "contempt": "smirk scorn",
    "disgust": "disgusted",
    "fear": "afraid scared",
    "happiness": "happy joy glad smile",
    "neutral": "calm plain expressionless",
    "sadness": "sad unhappy cry",
    "surprise": "surprised astonished",
    "baldness": "bald balding hairless",
    "hair_black": "dark",
    "hair_brown": "brunette",
    "hair_blond": "blonde fair yellow",
    "hair_red": "ginger",
    "hair_grey": "gray white silver old",
    "hair_length": "long short",
    "hair_curl": "curly wavy straight",
    "hair_volume": "thick bushy flat",
    "fringe": "bangs forehead",
    "eye_makeup": "make-up cosmetics mascara eyeshadow",
    "lip_makeup": "make-up cosmetics red lips",
    "hat": "cap headwear",
    "earrings": "jewellery jewelry ears",
    "mouth_open": "open yawn teeth",
    "eyes_open": "blink closed wide eyes",
}

#: The two ends of a scale, where the label alone does not tell them apart.
ENDS = {
    "gender": ("feminine", "masculine"),
    "smile": ("corners down", "up"),
    "yaw": ("left", "right"),
    "pitch": ("down", "up"),
}

#: Code, names and paths, which keep their points and commas; then a number that stands free.
_FIGURES = re.compile(
    r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`|\{[^}]*\}|\[[^\]]*\]"""
    r"""|[^\s(]*[/\\_=]\S*"""
    r"""|(?<![\w.,])(?P<number>(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+)(?:e[-+]?\d+)?)"""
    r"""(?!\w|[.,]\w)"""
)

#: A number with a comma for its point, or with points that can only tell thousands apart.
_TYPED = re.compile(
    r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:e[+-]?\d+)?|[+-]?\d{1,3}(?:\.\d{3}){2,}"
)


class _Template(NamedTuple):
    """A line that the parts below say, with places, and what is said in its stead."""

    words: str
    pattern: re.Pattern[str]
    wanted: str

    @classmethod
    def of(cls, line: str, wanted: str) -> _Template:
        """Of "{a} of {b}": its longest words, and what finds its places."""
        parts = re.split(r"\{(\w+)\}", line)
        places = (f"(?P<{p}>.+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
        return cls(max(parts[::2], key=len), re.compile("".join(places), re.DOTALL), wanted)


class Words:
    """The words of one language.

    Parameters
    ----------
    name : str
        Of the file: ``en``, ``de``.
    content : mapping
        What it holds.
    """

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        self.name = name
        self.ui: dict[str, str] = dict(content["ui"])
        self.phrases: dict[str, str] = {**PHRASES, **content.get("receipt", {})}
        self.decimal: str = content["decimal"]
        self._content = content
        self._said, within = (
            [_Template.of(key, text) for key, text in content.get(part, {}).items()]
            for part in ("said", "said_within")
        )
        self._within = [*self._said, *within]
        losses = content.get("losses", {})
        self._losses = [_Template.of(key, text) for key, text in losses.items()]

    @staticmethod
    def of(language: str | None = None) -> Words:
        """The words of a language, "de" or "de_DE.UTF-8"; None asks the environment.

        Raises
        ------
        ValueError
            A language that is not there.
        """
        asked = language if language is not None else os.environ.get(VARIABLE) or "en"
        short = asked.replace("-", "_").partition("_")[0].lower() if asked else ""
        known = languages()
        if short not in known:
            where = "language" if language is not None else VARIABLE
            raise ValueError(f"{where} is {asked!r}; allowed: {', '.join(known)}")
        return _read(short)

    def __call__(self, key: str, **values: object) -> str:
        """The phrase of a key with its places filled in, as the page's ``t`` does it."""
        return self.ui[key].format(**values)

    def of_script(self, script: str) -> dict[str, Any]:
        """What a page's script needs to speak: its own phrases, no others, and the decimal sign."""
        return {"ui": _used(self.name, script), "language": self.name, "decimal": self.decimal}

    def translate(self, table: AttributeTable) -> AttributeTable:
        """The table with this language's labels, definitions, families and units."""
        families = self._content["families"]
        headings = [families.get(heading, heading) for heading in table.headings]
        return AttributeTable((self._row(row) for row in table), headings)

    def _row(self, row: Attribute) -> Attribute:
        own = self._content["attributes"].get(row.name, {})
        return Attribute(
            **{
                **asdict(row),
                "label": own.get("label", row.label),
                "definition": own.get("definition", row.definition),
                "family": self._content["families"].get(row.family, row.family),
                "unit": self._content["units"].get(row.unit, row.unit),
                "implies": row.implies,
            }
        )

    def search(self, name: str) -> str:
        """Everyday words by which an attribute is found; the English ones are always known."""
        own = self._content["attributes"].get(name, {}).get("search", "")
        return f"{own} {SEARCH_WORDS.get(name, '')}".strip()

    def ends(self, name: str) -> tuple[str, str] | None:
        """The two ends of a scale, where the label alone does not tell them apart."""
        own = self._content["attributes"].get(name, {}).get("ends")
        return tuple(own) if own else ENDS.get(name)

    def preset(self, name: str) -> str:
        """The display name of a shipped preset."""
        return str(self._content["presets"].get(name, name))

    def said(self, text: str) -> str:
        """A line of the parts below, which speak English, in this language where it is known.

        The language's ``said`` holds whole lines, and lines with places: what stands in a place
        is looked up in the same way, and in ``said_within``, whose templates are too wide for a
        whole line; what is found in neither gets this language's figures, but for what stands in
        a place called ``code``. In a place called ``attribute`` its label is said. A line that is
        not there stays as it is; one that begins with what it is about ("7.png: ...") is known by
        the rest.
        """
        found = self._known(text, self._said)
        return text if found is None else found

    def _known(self, text: str, templates: list[_Template]) -> str | None:
        found = self._find(text, templates)
        about, colon, rest = text.partition(": ")
        if found is None and colon:
            found = self._find(rest, templates)
            found = None if found is None else f"{about}: {found}"
        return found

    def _find(self, text: str, templates: list[_Template]) -> str | None:
        for template in templates:
            # there are hundreds, and looking for the longest words first passes over nearly all
            if template.words in text and (match := template.pattern.fullmatch(text)):
                places = match.groupdict().items()
                told = {name: self._placed(name, part) for name, part in places}
                return template.wanted.format(**told)
        return None

    def _placed(self, name: str, part: str) -> str:
        if name == "attribute":
            key = part.strip("'\"")
            return str(self._content["attributes"].get(key, {}).get("label", key))
        return part if name == "code" else self._inside(part)

    def _inside(self, text: str) -> str:
        found = self._known(text, self._within)
        return self.figures(text) if found is None else found

    def lines(self, text: str) -> str:
        """Lines below each other, each said for itself; figures alone are this language's."""
        bare = [line.lstrip() for line in text.split("\n")]
        told = (self.figures(line) if self.said(line) == line else self.said(line) for line in bare)
        rows = zip(text.split("\n"), bare, told, strict=True)
        return "\n".join(whole[: len(whole) - len(line)] + new for whole, line, new in rows)

    def meaning(self, text: str) -> str:
        """What a field means, from a docstring; "" where this language has no words for it."""
        known = self.said(text)
        return known if not self._said or known != text else ""

    def part(self, name: str, label: str) -> str:
        """The display name of a part of the face, one of the classes of a mask."""
        return str(self._content.get("parts", {}).get(name, label))

    def field(self, name: str) -> str:
        """What a field of a recipe is called on the page; one that is not known keeps its name."""
        return str(self._content.get("fields", {}).get(name, name.replace("_", " ")))

    def loss(self, name: str) -> str:
        """What a loss or a score of a training is called; one that is not known keeps its name."""
        for template in self._losses:
            if match := template.pattern.fullmatch(name):
                parts = {place: self.loss(part) for place, part in match.groupdict().items()}
                return template.wanted.format(**parts)
        return name.replace("_", " ")

    @property
    def plots(self) -> dict[str, str]:
        """English words of figures, and labels of attributes, -> this language's.

        What the functions of :mod:`l2l_widgets.plots` take as ``words``.
        """
        labels = {row.label: self._row(row).label for row in DEFAULT_TABLE}
        return {**labels, CAVEAT: self.said(CAVEAT), **self._content.get("plots", {})}

    def asked(self, text: str) -> str:
        """What somebody looks for, in the words that :mod:`l2l_widgets.face_filter` knows."""
        if self.decimal == ",":  # "0,5": a comma between two digits divides no list of attributes
            text = re.sub(r"(?<=\d),(?=\d)", ".", text)
        for word, plain in self._content.get("filter", {}).items():
            text = re.sub(rf"(?<!\w){word}(?!\w)", plain, text, flags=re.IGNORECASE)
        return text

    def figures(self, text: str) -> str:
        """The text with its numbers, "4,294,967,295" and "0.3", as this language writes them.

        What is code stays as it is typed: in quotes, brackets and braces, in paths and names.
        """
        if self.decimal == ".":
            return text
        return _FIGURES.sub(lambda m: self._swap(m[0]) if m["number"] else m[0], text)

    def typed(self, text: str) -> str:
        """A number as somebody types it in this language, in English figures; else the text."""
        if self.decimal == "," and _TYPED.fullmatch(text.strip()):
            return text.strip().replace(".", "").replace(",", ".")
        return text

    def _swap(self, number: str) -> str:
        """A number in English figures with this language's two signs."""
        other = "." if self.decimal == "," else ","
        return number.translate({ord("."): self.decimal, ord(","): other})

    def short(self, value: float) -> str:
        """A number with no more digits than it needs."""
        return self._swap(f"{value:g}").replace("-", "\u2212")

    def count(self, value: int) -> str:
        """A whole number with its thousands told apart."""
        return self._swap(f"{value:,}").replace("-", "\u2212")

    def number(self, value: float, digits: int = 2) -> str:
        """A number as people of this language write it."""
        return self._swap(f"{value:.{digits}f}").replace("-", "\u2212")

    def sentences(self, receipt: Receipt, table: AttributeTable) -> list[str]:
        """A receipt's sentences; ``table`` is a translated one."""
        if receipt.error is not None:
            return [self.said(receipt.error)]
        lines = receipt.sentences(table, self.phrases)
        return [line.replace(" -", " \u2212") for line in lines]

    def line(self, receipt: Receipt, table: AttributeTable, most: int = 4) -> str:
        """What moved in one line, for those who listen: "Smile 31 → 82 %, Age +2, identity 0.91".

        What was asked for comes first, with where it was and where it is; then what was held and
        moved nevertheless, and the largest changes beyond the band, at most ``most`` of them.
        """
        if receipt.error is not None:
            return self.said(receipt.error)
        words = self._content["line"]
        if not receipt.requested:
            return str(words["nothing"])
        parts = []
        for name in receipt.requested:
            if name in table:
                low, high = (self._value(table[name], r[name]) for r in _ends_of(receipt))
                unit = "" if table[name].unit == "\u00b0" else f" {table[name].unit}"
                parts.append(
                    words["changed"].format(
                        label=table[name].label, before=low, after=f"{high}{unit}"
                    )
                )
        slipped = [("held", n) for n in receipt.slipped() if n in table]
        for key, name in [*slipped, *[("by", n) for n in list(receipt.stands_out(table))[:most]]]:
            change = change_text(table[name], receipt.others[name]).replace("-", "\u2212")
            parts.append(words[key].format(label=table[name].label, change=change))
        if receipt.identity is not None:
            said = "identity_below" if receipt.identity_against_band == "below" else "identity"
            parts.append(words[said].format(value=self.number(receipt.identity)))
        return ", ".join(parts)

    def _value(self, row: Attribute, value: float) -> str:
        sign = "\u00b0" if row.unit == "\u00b0" else ""
        return f"{round(row.to_unit(value))}{sign}".replace("-", "\u2212")

    def step(
        self,
        before: SessionState | None,
        after: SessionState,
        table: AttributeTable,
        hidden: Collection[str] = (),
    ) -> str:
        """What led from one state to the next, in a few words.

        Parameters
        ----------
        before, after : SessionState
            No state before: the first one.
        table : AttributeTable
            A translated one. Attributes that it lacks are called by their names.
        hidden : collection of str
            Attributes that are not named at all.
        """
        words = self._content["steps"]
        if before is None:
            return str(words["start"])
        if before.face_key() != after.face_key():
            if after.w is not None:
                return str(words["latent"])
            if before.w is not None or before.seed != after.seed:
                return str(words["face"].format(seed=after.seed))
            return str(words["variety"].format(psi=self.number(float(after.truncation_psi))))
        old, new = before.edits[-1], after.edits[-1]
        if new.empty and not old.empty:
            return str(words["reset"])
        changed = []
        # sliders send what was asked as a change along as a value: that alone is nobody's step
        carried = [n for n in new.targets if n in old.changes and n not in old.targets]
        others = [n for n, v in new.targets.items() if n not in carried and v != old.targets.get(n)]
        for name in dict.fromkeys([*new.changes, *new.targets, *old.changes, *old.targets]):
            if name in hidden or (name in carried and others):
                continue
            label = table[name].label if name in table else name
            if name in new.targets and new.targets[name] != old.targets.get(name):
                text = table[name].value_text(new.targets[name]) if name in table else ""
                changed.append(
                    words["asked"].format(label=label, value=text.replace("-", "\u2212"))
                )
            elif name in new.changes and new.changes[name] != old.changes.get(name):
                amount = change_text(table[name], new.changes[name]) if name in table else ""
                changed.append(
                    words["asked"].format(label=label, value=amount.replace("-", "\u2212"))
                )
            elif name not in (*new.changes, *new.targets):
                changed.append(words["released"].format(label=label))
        if old.method != new.method:
            changed.insert(0, words["method"].format(method=new.method))
        for names, key in (
            (sorted(set(new.preserve) - set(old.preserve)), "hold"),
            (sorted(set(old.preserve) - set(new.preserve)), "free"),
        ):
            labels = [table[n].label if n in table else n for n in names if n not in hidden]
            changed += [words[key].format(label=", ".join(labels))] if labels else []
        if old.rows != new.rows:
            rows = words["all_rows"] if new.rows is None else words["rows"]
            changed.append(rows.format(rows=spans(new.rows or ())))
        if old.space != new.space and new.space is not None:
            changed.append(words["space"].format(space=new.space.upper()))
        return ", ".join(changed) or str(words["edit"])


def languages() -> tuple[str, ...]:
    """The languages that are there, English first."""
    found = sorted(path.stem for path in LANGUAGES.glob("*.json"))
    return ("en", *(name for name in found if name != "en"))


def spans(rows: tuple[int, ...]) -> str:
    """Rows as a person writes them: (0, 1, 2, 7) is "0-2, 7"."""
    parts: list[list[int]] = []
    for row in sorted(rows):
        if parts and row == parts[-1][-1] + 1:
            parts[-1].append(row)
        else:
            parts.append([row])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def _ends_of(receipt: Receipt) -> tuple[Mapping[str, float], Mapping[str, float]]:
    return receipt.before, receipt.after


@functools.lru_cache
def _used(name: str, script: str) -> dict[str, str]:
    """The phrases whose keys stand in a script, whole or as a pattern: t(`state_${x}`)."""
    ui = _read(name).ui
    quoted = set(re.findall(r'"([\w+]+)"', script))
    patterns = [
        re.compile(r"[\w+]+".join(map(re.escape, re.split(r"\$\{[^}]*\}", pattern))))
        for pattern in re.findall(r"\bt\(`([^`]+)`", script)
    ]
    return {
        key: text
        for key, text in ui.items()
        if key in quoted or any(pattern.fullmatch(key) for pattern in patterns)
    }


@functools.lru_cache
def _read(name: str) -> Words:
    return Words(name, json.loads((LANGUAGES / f"{name}.json").read_text(encoding="utf-8")))
