"""Lessons ask for something else where a teacher hides what they are about."""

from __future__ import annotations

import re

import pytest

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.teaching.stand_ins import STAND_INS, shown_for

ASKED = ("smile", "glasses", "age", "beard")


def test_what_is_shown_is_taken_without_a_word(capsys):
    assert shown_for(DEFAULT_TABLE, *ASKED) == ASKED
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ASKED)
def test_one_that_is_hidden_is_stood_in_for_and_not_named(name, capsys):
    found = shown_for(DEFAULT_TABLE.hide([name]), *ASKED)
    assert found == tuple(STAND_INS[name][0] if asked == name else asked for asked in ASKED)
    said = capsys.readouterr().out
    assert DEFAULT_TABLE[STAND_INS[name][0]].label in said
    assert not re.search(rf"\b{name}\b", said, re.IGNORECASE)


def test_all_are_different_however_much_is_hidden(capsys):
    known = [*ASKED, *(other for others in STAND_INS.values() for other in others)]
    left = DEFAULT_TABLE.hide(known)
    found = shown_for(left, *ASKED)
    assert len(set(found)) == len(ASKED)
    assert all(name in left for name in found)
    assert capsys.readouterr().out.count("\n") == 1
    few = DEFAULT_TABLE.hide([name for name in DEFAULT_TABLE.names if name not in ("hat", "yaw")])
    with pytest.raises(ValueError, match="visible has 2 attributes; allowed: at least 3"):
        shown_for(few, "smile", "glasses", "age")


def test_a_stand_in_is_not_what_the_lesson_asks_for_anyway():
    assert shown_for(DEFAULT_TABLE.hide(["glasses"]), "glasses", "hat") == ("earrings", "hat")
    assert shown_for(DEFAULT_TABLE.hide(["glasses"]), "hat", "glasses") == ("hat", "earrings")


@pytest.mark.parametrize("name", STAND_INS)
def test_stand_ins_are_attributes(name):
    assert {name, *STAND_INS[name]} <= set(DEFAULT_TABLE.names)
