"""The comparisons: they run, in turns, and say on which machine."""

from __future__ import annotations

import json
import sys

import pytest

from l2l_widgets.bench import SUBJECTS, compare, machine
from l2l_widgets.bench.rounds import _quartiles
from l2l_widgets.cli import main


def bench(capsys, *words):
    code = main(["bench", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_synthesis_is_compared_and_agrees_with_the_textbook(capsys):
    code, out, _ = bench(
        capsys, "synthesis", "--size", "16", "--rounds", "2", "--threads", "1", "--json"
    )
    assert code == 0
    report = json.loads(out.splitlines()[-1])
    assert (report["size"], report["rounds"], report["reference"]) == (16, 2, "textbook")
    assert report["machine"]["cpu"]
    assert report["machine"]["threads"] == 1
    assert report["machine"]["torch"]
    sides = report["batches"]["1"]
    assert list(sides) == list(SUBJECTS["synthesis"].sides)
    assert sides["textbook"]["ratio"] == sides["textbook"]["cpu_ratio"] == 1.0
    assert sides["fast fp32"]["max_difference"] <= 1e-4
    assert sides["draft bf16"]["rms_difference_of_spread"] <= 0.05
    assert report["allocator"] == "own"
    assert {name: side["keeps_memory"] for name, side in sides.items()} == {
        "textbook": False,
        "textbook, memory kept": sys.platform == "linux",
        "fast fp32": False,  # small pictures leave the allocator alone
        "draft bf16": False,
    }
    for side in sides.values():
        low, high = side["spread"]
        assert 0 < low <= side["ratio"] <= high
        assert side["memory_mb"] >= 0


@pytest.mark.parametrize(
    ("allocator", "kept"), [("kept", sys.platform == "linux"), ("default", False)]
)
def test_all_sides_may_have_one_allocator(capsys, allocator, kept):
    words = ("synthesis", "--size", "16", "--rounds", "1", "--threads", "1", "--json")
    code, out, _ = bench(capsys, *words, "--allocator", allocator)
    assert code == 0
    report = json.loads(out.splitlines()[-1])
    assert report["allocator"] == allocator
    sides = report["batches"]["1"]
    assert list(sides) == ["textbook", "fast fp32", "draft bf16"]
    assert {side["keeps_memory"] for side in sides.values()} == {kept}


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["mapper", "widget", "directions"])
def test_every_subject_runs(capsys, subject):
    code, out, _ = bench(capsys, subject, "--rounds", "2", "--threads", "1", "--batch", "1")
    assert code == 0
    assert "batch 1, times as fast as" in out
    for side in SUBJECTS[subject].sides:
        assert side in out
    assert "torch" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sythesis"], "subject is 'sythesis'; allowed: synthesis, mapper, widget, directions"),
        (["synthesis", "--size", "100"], "--size is 100; allowed: a power of two from 16 to 1024"),
        (["synthesis", "--size", "8"], "--size is '8'; allowed: a whole number from 16 to 1024"),
        (["synthesis", "--batch", "1,x"], "--batch is 'x'; allowed"),
        (["widget", "--batch", "8"], "--batch is '8'; allowed with widget: none"),
        (["mapper", "--size", "512"], "--size is '512'; allowed with mapper: none"),
        (["mapper", "--allocator", "kept"], "--allocator is 'kept'; allowed with mapper: none"),
        (["synthesis", "--allocator", "x"], "--allocator is 'x'; allowed: own, kept, default"),
        (["mapper", "--rounds", "0"], "--rounds is '0'; allowed"),
        (["mapper", "--threads", "-2"], "--threads is '-2'; allowed"),
        ([], "SUBJECT"),
    ],
)
def test_bad_input_is_one_line(capsys, words, message):
    code, out, err = bench(capsys, *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_side_that_fails_says_why():
    with pytest.raises(ValueError, match=r"side 'textbook': .*img_resolution is 48"):
        compare("synthesis", ["textbook"], {"size": 48, "batch": 1}, rounds=1, threads=1)


def test_spread_is_the_quartiles():
    assert _quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert _quartiles([2.0]) == (2.0, 2.0)
    assert machine(3)["threads"] == 3
