"""Whose request has been answered, files that come as text, and styles that stand once."""

from __future__ import annotations

import base64
import inspect
import re

import pytest

from l2l_widgets.recipes.encoder import EncoderTraining
from l2l_widgets.recipes.identity import MixerTraining
from l2l_widgets.recipes.labelled import Labelled, LabelledFaces, TrunkOnFaces
from l2l_widgets.recipes.markdown import markdown_table
from l2l_widgets.widgets.requests import Requests, decoded_file
from l2l_widgets.widgets.stylesheet import STATIC


def test_a_result_answers_the_requests_up_to_its_stamp():
    requests = Requests()
    for stamp, number in ((1, 4), (2, 5), (3, 6)):
        requests.begin(stamp, {"client": "a", "number": number})
    requests.begin(2, {"client": "b", "number": 1})
    assert requests.answered(0) == ({}, 0)
    assert requests.answered(2) == ({"a": 5, "b": 1}, 3)
    assert requests.answered(2) == ({"a": 5, "b": 1}, 0)
    first = requests.notice({"client": "b", "number": 9}, {"error": "no"})
    second = requests.notice({"client": "b", "number": 2}, {"error": "no"})
    assert first == {"error": "no", "count": 1, "answers": {"a": 5, "b": 9}}
    assert second["answers"]["b"] == 9, "an older one takes nothing back"
    assert first != second
    assert requests.answered(3)[0] == {"a": 6, "b": 9}


def test_a_file_arrives_whole_or_not_at_all():
    for size in (0, 1, 98, 99, 100):
        data = bytes(range(size))
        assert decoded_file(base64.b64encode(data).decode(), 100) == data
    with pytest.raises(ValueError, match="did not arrive whole"):
        decoded_file("AAA", 100)
    with pytest.raises(ValueError, match="has 101 bytes; allowed: at most 100"):
        decoded_file(base64.b64encode(bytes(101)).decode(), 100)
    with pytest.raises(ValueError, match="has about 7500 bytes; allowed: at most 100"):
        decoded_file("not even base64!" * 625, 100)


def test_a_table_is_written_in_one_way():
    assert markdown_table(("a", "b"), [(1, "x")]) == "| a | b |\n|---|---|\n| 1 | x |\n"


def test_the_recipes_of_labelled_faces_share_their_fields():
    for config in (EncoderTraining, MixerTraining):
        assert issubclass(config, TrunkOnFaces)
        own = set(inspect.get_annotations(config))
        assert not own & set(inspect.get_annotations(LabelledFaces))
        assert not own & set(inspect.get_annotations(TrunkOnFaces))
    assert issubclass(Labelled, LabelledFaces)


@pytest.mark.parametrize(
    "rule", [".l2l-clear {", ".l2l-frame canvas {", ".l2l-picture figcaption {"]
)
def test_a_rule_of_several_views_stands_once(rule):
    written = re.compile(rf"^(\.l2l )?{re.escape(rule)}", re.MULTILINE)
    files = [p.name for p in STATIC.rglob("*.css") if written.search(p.read_text("utf-8"))]
    assert len(files) - ("training_cell.css" in files) == 1, files
