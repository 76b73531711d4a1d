"""A small language for faces: "smiling, no glasses, over 60" becomes ranges of attributes.

Parts are divided by commas or "and"; a face must meet all of them::

    smiling            a word for what an attribute looks like, or its name or label
    no glasses         the opposite: no, not, without
    very happy         three quarters of the scale instead of half
    over 60            a bare number is an age; under, at least, at most, 20-30, between 20 and 30
    smile > 70         a number is in the attribute's own unit: per cent, years, degrees
    0.2 <= smile <= 0.5   numbers up to 1 of a per-cent attribute are attribute units

Plain text in, plain ranges out; nothing here has seen a face.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2l_widgets.attributes import Attribute, AttributeTable
from l2l_widgets.errors import near, suggestion

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Condition", "FaceFilter", "FilterError", "is_understood", "parse_filter"]

MAX_TEXT = 500
PRESENT, VERY = 0.5, 0.75
AGE = "age"

#: Words for people, after which a number is an age.
PEOPLE = ("man", "men", "male", "woman", "women", "female", "adult")
#: Word -> attribute and the range that it means, in attribute units from and to, or in the
#: attribute's own unit where it is a number above 1.
WORDS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "smiling": (("smile", 0.5, 1),),
    "grinning": (("smile", 0.75, 1),),
    "serious": (("smile", 0, 0.5),),
    "old": (("age", 60, 85),),
    "elderly": (("age", 70, 85),),
    "middle-aged": (("age", 40, 60),),
    "middle aged": (("age", 40, 60),),
    "adult": (("age", 18, 85),),
    "young": (("age", 5, 30),),
    "teenager": (("age", 13, 19),),
    "child": (("age", 5, 12.99),),
    "man": (("gender", 0.5, 1),),
    "men": (("gender", 0.5, 1),),
    "male": (("gender", 0.5, 1),),
    "masculine": (("gender", 0.5, 1),),
    "woman": (("gender", 0, 0.5),),
    "women": (("gender", 0, 0.5),),
    "female": (("gender", 0, 0.5),),
    "feminine": (("gender", 0, 0.5),),
    "bearded": (("beard", 0.5, 1),),
    "mustache": (("moustache", 0.5, 1),),
    "clean-shaven": (("beard", 0, 0.5), ("moustache", 0, 0.5)),
    "clean shaven": (("beard", 0, 0.5), ("moustache", 0, 0.5)),
    "bald": (("baldness", 0.5, 1),),
    "spectacles": (("glasses", 0.5, 1),),
    "dark glasses": (("sunglasses", 0.5, 1),),
    "happy": (("happiness", 0.5, 1),),
    "sad": (("sadness", 0.5, 1),),
    "angry": (("anger", 0.5, 1),),
    "surprised": (("surprise", 0.5, 1),),
    "afraid": (("fear", 0.5, 1),),
    "disgusted": (("disgust", 0.5, 1),),
    "contemptuous": (("contempt", 0.5, 1),),
    "black-haired": (("hair_black", 0.5, 1),),
    "dark-haired": (("hair_black", 0.5, 1),),
    "brunette": (("hair_brown", 0.5, 1),),
    "blond": (("hair_blond", 0.5, 1),),
    "blonde": (("hair_blond", 0.5, 1),),
    "redhead": (("hair_red", 0.5, 1),),
    "ginger": (("hair_red", 0.5, 1),),
    "gray hair": (("hair_grey", 0.5, 1),),
    "grey-haired": (("hair_grey", 0.5, 1),),
    "long hair": (("hair_length", 0.5, 1),),
    "short hair": (("hair_length", 0, 0.5),),
    "curly": (("hair_curl", 0.5, 1),),
    "curly hair": (("hair_curl", 0.5, 1),),
    "straight hair": (("hair_curl", 0, 0.5),),
    "bangs": (("fringe", 0.5, 1),),
    "lipstick": (("lip_makeup", 0.5, 1),),
    "makeup": (("eye_makeup", 0.5, 1),),
    "hats": (("hat", 0.5, 1),),
    "open mouth": (("mouth_open", 0.5, 1),),
    "mouth closed": (("mouth_open", 0, 0.5),),
    "closed mouth": (("mouth_open", 0, 0.5),),
    "eyes closed": (("eyes_open", 0, 0.5),),
    "closed eyes": (("eyes_open", 0, 0.5),),
}

_NUMBER = r"[+\-\u2212]?\d{1,6}(?:\.\d{1,6})?"
_UNIT = r"(?:\s*(?:%|per ?cent|percent|years?(?:\s*old)?|yrs?|\u00b0|degrees?))?"
_ABOVE = r">=|>|\u2265|=>|over|above|at least|more than|older than|from"
_BELOW = r"<=|<|\u2264|=<|under|below|at most|less than|younger than|up to"
_SINGLE = re.compile(
    rf"^(?P<name>.*?)\s*(?P<op>{_ABOVE}|{_BELOW})\s*(?P<n>{_NUMBER})(?P<u>{_UNIT})$"
)
_RANGE = re.compile(
    rf"^(?P<name>.*?)\s*(?:between\s+|from\s+)?(?P<a>{_NUMBER}){_UNIT}\s*(?:-|\u2013|to|&)\s*"
    rf"(?P<b>{_NUMBER})(?P<u>{_UNIT})$"
)
_CHAIN = re.compile(
    rf"^(?P<a>{_NUMBER})\s*(?:<=|<|\u2264)\s*(?P<name>.+?)\s*(?:<=|<|\u2264)\s*(?P<b>{_NUMBER})"
    rf"(?P<u>{_UNIT})$"
)
_TENS = re.compile(r"^in (?:his|her|their|the) (?P<tens>[1-8]0)'?s$")
_PLUS = re.compile(r"^(?P<n>\d{1,3})\s*\+$")
_FILLERS = re.compile(r"^(?:(?:with|wearing|has|have|having|is|are|a|an|the|people|faces?)\s+)+")
_NEGATION = re.compile(r"^(?:no|not|without|isn't|never|non)[\s-]+")


class FilterError(ValueError):
    """A filter that cannot be understood; names the part and what was perhaps meant."""


@dataclass(frozen=True)
class Condition:
    """One attribute's range.

    Parameters
    ----------
    name : str
        The attribute.
    low, high : float
        In attribute units, both included; 0 <= low <= high <= 1.
    """

    name: str
    low: float = 0.0
    high: float = 1.0

    def to_text(self, row: Attribute) -> str:
        """The condition in words that :func:`parse_filter` understands."""
        low, high = (f"{row.to_unit(v):.4g}" for v in (self.low, self.high))
        unit = f" {row.unit}"
        if self.low <= 0:
            return f"{row.label} \u2264 {high}{unit}"
        if self.high >= 1:
            return f"{row.label} \u2265 {low}{unit}"
        return f"{row.label} {low} to {high}{unit}"


@dataclass(frozen=True)
class FaceFilter:
    """Ranges that a face must lie in, one an attribute.

    Parameters
    ----------
    conditions : tuple of Condition
        In the order they were asked for. None of them: every face.
    """

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.conditions)

    @classmethod
    def of(cls, conditions: Iterable[Condition], table: AttributeTable) -> FaceFilter:
        """A filter of conditions that fit together; several of one attribute become one.

        Raises
        ------
        ValueError
            An unknown attribute, a range that is none, or two that exclude each other.
        """
        merged: dict[str, Condition] = {}
        for one in conditions:
            row = table[one.name]
            if not 0 <= one.low <= one.high <= 1:  # NaN too
                raise FilterError(
                    f"filter: {row.label} is asked to be from {row.to_unit(one.low):g} to "
                    f"{row.to_unit(one.high):g} {row.unit}; allowed: from {row.low:g} to "
                    f"{row.high:g}, the smaller number first"
                )
            before = merged.get(one.name, Condition(one.name))
            low, high = max(before.low, one.low), min(before.high, one.high)
            if low > high:
                raise FilterError(
                    f"filter: {row.label} is asked to be at least {row.to_unit(low):g} and at most "
                    f"{row.to_unit(high):g} {row.unit}; allowed: ranges that meet"
                )
            merged[one.name] = Condition(one.name, low, high)
        return cls(tuple(merged.values()))

    def to_text(self, table: AttributeTable) -> str:
        """The filter as one line that :func:`parse_filter` reads again."""
        return ", ".join(one.to_text(table[one.name]) for one in self.conditions)

    def matches(self, readings: Tensor, table: AttributeTable) -> Tensor:
        """Which faces meet all conditions.

        Parameters
        ----------
        readings : Tensor, shape (B, A)
            In attribute units, columns as in ``table``; what is not a number meets nothing.

        Returns
        -------
        Tensor, shape (B,), bool
        """
        out = readings.isfinite().all(1)
        for one in self.conditions:
            column = readings[:, table.index(one.name)]
            out = out & (column >= one.low) & (column <= one.high)
        return out


def parse_filter(text: str, table: AttributeTable) -> FaceFilter:
    """Understand a filter.

    Parameters
    ----------
    text : str
        As in the module's first lines; empty for every face.
    table : AttributeTable
        What may be asked for; an attribute that a policy hides is not understood.

    Raises
    ------
    FilterError
        Names the part that is not understood, and what was perhaps meant.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise FilterError(
            f"filter is {text if not isinstance(text, str) else f'{len(text)} characters'!r}; "
            f"allowed: text of at most {MAX_TEXT} characters"
        )
    # "between 20 and 30" is one part; every other "and" divides
    low = re.sub(rf"(between\s+{_NUMBER}{_UNIT})\s+and\s+", r"\1 & ", text.lower())
    parts = (part.strip().rstrip(".") for part in re.split(r"[,;]|\band\b|\bbut\b", low))
    found: list[Condition] = []
    for part in parts:
        if part:
            found += _part(part, table)
    return FaceFilter.of(found, table)


def is_understood(text: str, table: AttributeTable) -> bool:
    """Whether :func:`parse_filter` understands a text with this table."""
    try:
        parse_filter(text, table)
    except FilterError:
        return False
    return True


def _part(part: str, table: AttributeTable) -> list[Condition]:
    part = _FILLERS.sub("", " ".join(part.split()))
    negated = bool(_NEGATION.match(part))
    words = _FILLERS.sub("", _NEGATION.sub("", part))
    first, _, rest = words.partition(" ")
    if rest and first in PEOPLE and not negated:  # "men over 60": the number is an age
        return _part(first, table) + _part(rest, table)
    numbers = _with_number(words, table)
    if numbers is not None:
        if negated:
            return [_opposite(numbers, part, table)]
        return [numbers]
    threshold = PRESENT
    if words.startswith("very "):
        words, threshold = words[5:], VERY
    found = _with_word(words, threshold, table)
    if found is None and not negated:
        found = _several(words, threshold, table)
    if found is None:
        raise FilterError(f"filter: {part!r} is not understood; {_near(words, table)}")
    if not negated:
        return found
    if len(found) > 1:
        raise FilterError(f"filter: {part!r} can be met in two ways; allowed: one attribute a part")
    return [_opposite(found[0], part, table)]


def _several(words: str, threshold: float, table: AttributeTable) -> list[Condition] | None:
    """A part of several words without a comma: "old man with glasses"; the longest known first."""
    pieces = words.split()
    for count in range(min(3, len(pieces) - 1), 0, -1):
        found = _with_word(" ".join(pieces[:count]), threshold, table)
        if found is not None:
            return found + _part(" ".join(pieces[count:]), table)
    return None


def _opposite(one: Condition, part: str, table: AttributeTable) -> Condition:
    if one.low > 0 and one.high < 1:
        row = table[one.name]
        raise FilterError(
            f"filter: {part!r} leaves two ranges of {row.label}; "
            "allowed: one, such as 'over 60' or 'under 40'"
        )
    return Condition(one.name, 0.0, one.low) if one.low > 0 else Condition(one.name, one.high, 1.0)


def _with_number(part: str, table: AttributeTable) -> Condition | None:
    tens, plus = _TENS.match(part), _PLUS.match(part)
    if tens or plus:
        row = _row("", part, table)
        start = float(tens["tens"] if tens else plus["n"])  # type: ignore[index]
        return _between(row, start, start + 9.999 if tens else row.high, "", part)
    for pattern in (_CHAIN, _SINGLE, _RANGE):
        match = pattern.match(part)
        if match is None:
            continue
        row = _row(match["name"].removesuffix(" is").strip(), part, table)
        if pattern is not _SINGLE:
            return _between(row, _number(match["a"]), _number(match["b"]), match["u"], part)
        value = _number(match["n"])
        below = re.fullmatch(_BELOW, match["op"]) is not None
        value = _units(row, value, match["u"], part)
        return Condition(row.name, 0.0, value) if below else Condition(row.name, value, 1.0)
    return None


def _between(row: Attribute, low: float, high: float, unit: str, part: str) -> Condition:
    percent = row.unit == "%" and not unit.strip() and max(abs(low), abs(high)) <= 1
    ends = [v if percent else _units(row, v, unit or " ", part) for v in (low, high)]
    return Condition(row.name, min(ends), max(ends))


def _units(row: Attribute, value: float, unit: str, part: str) -> float:
    """A number as it was typed in attribute units."""
    if row.unit == "%" and not unit and 0 <= value <= 1:
        return value
    share = row.from_unit(value)
    # A hair of room: 85 years is the end of the scale however it was rounded.
    if not -1e-6 <= share <= 1 + 1e-6:
        raise FilterError(
            f"filter: {part!r} asks for {value:g}; {row.label} runs from {row.low:g} to "
            f"{row.high:g} {row.unit}"
        )
    return min(1.0, max(0.0, share))


def _number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def _row(name: str, part: str, table: AttributeTable) -> Attribute:
    """The attribute of a number; a bare number is an age."""
    name = name.strip(" :=")
    if name in ("", "aged", "age"):
        if AGE in table:
            return table[AGE]
        raise FilterError(f"filter: {part!r} has a number and no attribute; allowed: NAME > NUMBER")
    for row in table:
        if name in (row.name, row.label.lower(), row.name.replace("_", " ")):
            return row
    meanings = WORDS.get(name, ())
    if len(meanings) == 1 and meanings[0][0] in table:
        return table[meanings[0][0]]
    raise FilterError(f"filter: {name!r} is not understood; {_near(name, table)}")


def _with_word(words: str, threshold: float, table: AttributeTable) -> list[Condition] | None:
    meanings = WORDS.get(words)
    if meanings is not None and all(name in table for name, _, _ in meanings):
        out = []
        for name, low, high in meanings:
            row = table[name]
            own = max(low, high) > 1  # numbers above 1 are in the attribute's own unit
            ends = [min(1.0, max(0.0, row.from_unit(v) if own else v)) for v in (low, high)]
            if threshold == VERY and not own:
                ends = [VERY, 1.0] if ends[1] == 1 else [0.0, 1 - VERY]
            out.append(Condition(name, ends[0], ends[1]))
        return out
    for row in table:
        if words in (row.name, row.label.lower(), row.name.replace("_", " ")):
            return [Condition(row.name, threshold, 1.0)]
    return None


def _near(words: str, table: AttributeTable) -> str:
    labels = [row.label.lower() for row in table]
    known = [w for w, means in WORDS.items() if all(name in table for name, _, _ in means)]
    names = [*known, *labels, *table.names]
    if near(words, names):
        return suggestion(words, names)
    if not all(name in table for name in ("smile", "glasses", AGE)):  # no word for what is hidden
        return "allowed: an attribute's name, or NAME > NUMBER"
    return "allowed: words such as smiling, no glasses, over 60, smile > 70, or an attribute's name"
