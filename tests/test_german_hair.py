"""Hair colours in German: a label that stands alone says that hair is meant, and is understood."""

from __future__ import annotations

import pytest

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.face_filter import parse_filter
from l2l_widgets.widgets.words import Words

WORDS = Words.of("de")
TABLE = WORDS.translate(DEFAULT_TABLE)
COLOURS = ("black", "brown", "blond", "red", "grey")


@pytest.mark.parametrize("colour", COLOURS)
def test_a_label_says_hair_and_is_a_filter_of_its_own(colour):
    label = TABLE[f"hair_{colour}"].label
    assert "Haar" in label
    for text in (label, f"{label} > 60", f"kein {label}"):
        asked = parse_filter(WORDS.asked(text), TABLE)
        assert [condition.name for condition in asked] == [f"hair_{colour}"]
        assert parse_filter(WORDS.asked(asked.to_text(TABLE)), TABLE) == asked


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rot", "hair_red"),
        ("rote Haare", "hair_red"),
        ("rothaarige", "hair_red"),
        ("schwarzes Haar", "hair_black"),
        ("braune Haare", "hair_brown"),
        ("braunhaarig", "hair_brown"),
        ("grau", "hair_grey"),
        ("blondes Haar", "hair_blond"),
        ("blonde", "hair_blond"),
    ],
)
def test_what_people_say_of_hair_is_understood(text, name):
    asked = parse_filter(WORDS.asked(text), TABLE)
    assert [condition.name for condition in asked] == [name]
