"""The comparisons: they run, in turns, and say on which machine."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from l2l_widgets.bench import GOALS, SUBJECTS, check_goals, compare, machine, rounds
from l2l_widgets.bench.linear import (
    _side,
    by_machines,
    closeness,
    planted_components,
    planted_scores,
)
from l2l_widgets.bench.rounds import _quartiles, ratios
from l2l_widgets.cli import main
from l2l_widgets.cli.bench import _goal_line, _text


def bench(capsys, *words):
    code = main(["bench", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.slow
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
    # other sums in another order are not the same to the bit, nor is half the precision
    assert 0 < sides["fast fp32"]["max_difference"] <= 1e-4
    assert 1e-4 < sides["draft bf16"]["rms_difference_of_spread"] <= 0.05
    assert "max_difference" not in sides["textbook"]
    assert len({side["ratio"] for side in sides.values()}) > 1
    assert sides["textbook"]["first_ratio"] == 1
    assert all(side["first_ratio"] > 0 for side in sides.values())
    assert report["allocator"] == "own"
    assert {name: side["keeps_memory"] for name, side in sides.items()} == {
        "textbook": False,
        "textbook, memory kept": sys.platform == "linux",
        "fast fp32": False,  # small pictures leave the allocator alone
        "draft bf16": False,
    }
    if sys.platform != "win32":
        assert all(50 < side["memory_mb"] < 20_000 for side in sides.values())


@pytest.mark.slow
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
@pytest.mark.parametrize("subject", ["mapper", "widget"])
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
        (["sythesis"], "SUBJECT is 'sythesis'; did you mean synthesis?"),
        (["synthesis", "--size", "100"], "--size is 100; allowed: a power of two from 16 to 1024"),
        (["synthesis", "--size", "8"], "--size is '8'; allowed: a whole number from 16 to 1024"),
        (["synthesis", "--batch", "1,x"], "--batch is 'x'; allowed"),
        (["widget", "--batch", "8"], "--batch is '8'; allowed with widget: none"),
        (["mapper", "--size", "512"], "--size is '512'; allowed with mapper: none"),
        (["mapper", "--allocator", "kept"], "--allocator is 'kept'; allowed with mapper: none"),
        (["synthesis", "--allocator", "x"], "--allocator is 'x'; allowed: own, kept, default"),
        (["mapper", "--rounds", "0"], "--rounds is '0'; allowed"),
        (["mapper", "--threads", "-2"], "--threads is '-2'; allowed"),
        (["directions", "--batch", "8"], "--batch is '8'; allowed with directions: none"),
        (["components", "--out", "a.txt"], "--out is 'a.txt'; allowed: a name that ends in .json"),
        (["directions", "--codes", "99"], "--codes is '99'; allowed: a whole number from 1000"),
        (["components", "--attributes", "35"], "allowed with components: none"),
        (["components", "--dim", "2048"], "--dim is '2048'; allowed: a whole number from 64 to"),
        ([], "SUBJECT"),
    ],
)
def test_bad_input_is_one_line(capsys, words, message):
    code, out, err = bench(capsys, *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_ratio_far_below_one_is_not_zero_times():
    slow = [{"wall": 0.0002, "cpu": 0.0001}, {"wall": 0.0003, "cpu": 0.0002}]
    fast = [{"wall": 1.0, "cpu": 0.5}, {"wall": 1.2, "cpu": 0.4}]
    row = ratios(slow, fast)
    assert row["ratio"] == pytest.approx(0.000225, rel=1e-3)
    assert min(row["spread"]) > 0
    assert row["cpu_ratio"] > 0
    text = _text(1, {"other": {**row, "memory_mb": 5}}, "reference")
    assert "  0.00022  (0.00021 to 0.00024; 0.00035)" in text
    assert "0.00 " not in text


def test_help_is_plain_words_and_names_the_subjects(capsys):
    code, out, _ = bench(capsys, "--help")
    assert code == 0
    assert "`" not in out
    for name in SUBJECTS:
        assert f"{name}: " in out


def test_a_side_that_fails_says_why():
    with pytest.raises(ValueError, match=r"side 'textbook': .*img_resolution is 48"):
        compare("synthesis", ["textbook"], {"size": 48, "batch": 1}, rounds=1, threads=1)


def test_ratios_are_of_pairs_of_one_round():
    """A machine that was slow for a while was slow for both sides, in that round."""

    def times(wall, cpu):
        return [{"wall": a, "cpu": b} for a, b in zip(wall, cpu, strict=True)]

    reference = times([2.0, 20.0, 4.0, 6.0], [1.0, 8.0, 2.0, 3.0])
    own = times([1.0, 10.0, 1.0, 2.0], [2.0, 2.0, 2.0, 2.0])
    found = ratios(reference, own)
    assert found == {"ratio": 2.5, "spread": [2.0, 3.25], "cpu_ratio": 1.25}
    assert ratios(own, reference)["ratio"] == pytest.approx(0.4167)  # of the medians it were 0.3


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["directions", "components"])
def test_what_is_found_lies_along_what_was_planted(capsys, tmp_path, subject):
    sizes = {"codes": 3000, "rounds": 1, "threads": 1, "dim": 64}
    if subject == "directions":
        sizes |= {"attributes": 5, "components": 2000}
    words = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    kept = tmp_path / "bench" / "found.json"
    code, out, err = bench(capsys, subject, *words, "--json", "--out", str(kept))
    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert json.loads(kept.read_text()) == {**report, "finished": True}
    assert err.count("round 1 of 1") == 1 + (subject == "directions")
    assert "warming up" in err
    if subject == "directions":  # what finds components is compared in the same run
        assert report["components"]["codes"] == 2000
        assert list(report["components"]["batches"]["1"]) == list(SUBJECTS["components"].sides)
    assert report["goals"] == [], "nothing is asked at this size"
    assert (report["codes"], report["dim"]) == (3000, 64)
    assert report.get("attributes") == (5 if subject == "directions" else None)
    assert report["machine"]["cpu"]
    assert report["machine"]["threads"] == 1
    sides = report["batches"]["1"]
    assert list(sides) == list(SUBJECTS[subject].sides)
    # a direction of its own has a cosine of 0.1 to another one of 64 numbers
    assert all(0.8 < side["cosine_least"] <= side["cosine_median"] for side in sides.values())
    reference, *others = sides.values()
    assert reference["scikit-learn"]
    # they are other ways, with other answers, at other speeds
    if subject == "directions":
        assert sides["ridge"]["cosine_median"] > reference["cosine_median"]
        alone = sides["its machines alone"]
        assert alone["cosine_median"] == reference["cosine_median"], "the same machines"
    assert all(side["ratio"] != reference["ratio"] for side in others)


def test_what_is_asked_is_checked_at_its_size_alone():
    sides = {
        "incremental": {"ratio": 1.0, "seconds": 9.0, "cosine_median": 0.99},
        "streamed covariance": {"ratio": 4.9, "seconds": 2.0, "cosine_median": 0.99},
    }
    assert check_goals("components", {"codes": 999}, sides) == []
    fast, close = check_goals("components", {"codes": 1_000_000}, sides)
    assert (fast["met"], fast["found"], fast["limit"]) == (False, 4.9, 5.0)
    assert close["met"]
    sides["streamed covariance"] |= {"ratio": 5.0, "cosine_median": 0.98}
    fast, close = check_goals("components", {"codes": 1_000_000}, sides)
    assert fast["met"]
    assert not close["met"]
    # a limit that must not be passed
    sides = {"training path": {}, "editor": {"seconds": 0.051}}
    (quick,) = check_goals("mapper", {"batch": 1000}, sides)
    assert not quick["met"]
    assert "MISSED: editor: 0.051, asked: at most 0.05 s" in _goal_line(quick)
    for subject, goals in GOALS.items():
        assert {goal.side for goal in goals} <= set(SUBJECTS[subject].sides)


def test_every_round_is_kept_and_named_with_its_seconds(capsys, tmp_path, monkeypatch):
    """A run that is stopped leaves the rounds that it had, marked as not finished."""

    class Side:
        def __init__(self, subject, side, options, threads):
            self.name, self.left = side, 3

        def work(self):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return {"wall": 2.0 if self.name == "training path" else 0.5, "cpu": 0.1,
                    "memory_mb": 9}  # fmt: skip

        def close(self):
            pass

    monkeypatch.setattr(rounds, "_Side", Side)
    out = tmp_path / "kept.json"
    args = ("mapper", "--batch", "7", "--rounds", "5", "--threads", "1", "--out", str(out))
    assert bench(capsys, *args)[0] != 0
    kept = json.loads(out.read_text())
    assert kept["finished"] is False
    assert kept["batches"]["7"]["editor"]["ratio"] == 4
    assert kept["machine"]["threads"] == 1


def test_what_was_found_is_not_found_again_to_be_judged():
    calls = []

    def answer():
        calls.append(1)
        return torch.eye(2)

    work, facts = _side(answer, torch.eye(2))
    work()
    assert facts()["cosine_median"] == 1
    assert len(calls) == 1


def test_the_script_classifies_the_codes_between_as_well(monkeypatch):
    from sklearn.svm import SVC

    scored, original = [], SVC.score

    def score(self, x, y):
        scored.append(len(x))
        return original(self, x, y)

    monkeypatch.setattr(SVC, "score", score)
    options = {"codes": 1000, "attributes": 1, "dim": 64}
    answers = [by_machines(whole)(options)[0]() for whole in (True, False)]
    assert scored == [12, 960, 12]
    assert torch.equal(*answers)


def test_closeness_knows_a_direction_from_another():
    truth = torch.eye(3)[:2]
    assert closeness(-2 * truth, truth) == {"cosine_median": 1.0, "cosine_least": 1.0}
    assert closeness(truth.flip(0), truth)["cosine_median"] == 0
    half = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert closeness(half, truth) == {"cosine_median": 0.0, "cosine_least": 0.0}
    assert closeness(half[:1], truth[:1])["cosine_least"] == pytest.approx(0.7071)


def test_the_planted_truth_is_in_the_codes():
    codes, scores, truth = planted_scores(4000, 3, 64)
    assert torch.allclose(truth @ truth.T, torch.eye(3), atol=1e-5)
    along = torch.corrcoef(torch.cat([(codes @ truth.T).double().T, scores.T]))[:3, 3:]
    assert float(along.diagonal().min()) > 0.9
    assert float((along - along.diag().diag()).abs().max()) < 0.1
    codes, truth = planted_components(4000, 64)
    spread = ((codes - codes.mean(dim=0)) @ truth.T).std(dim=0)
    assert len(truth) == 16
    assert torch.allclose(spread, 10 ** (-torch.arange(16) / 16), rtol=0.05)


def test_spread_is_the_quartiles():
    assert _quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert _quartiles([2.0]) == (2.0, 2.0)
    assert machine(3)["threads"] == 3


@pytest.mark.slow
def test_maps_are_compared_by_time_and_by_how_far_they_can_be_believed():
    """In this process: numba would compile once more for each process of the command."""
    said = {}
    for name, side in SUBJECTS["map"].sides.items():
        work, facts = side({"codes": 500, "dim": 64})
        assert work().shape == (500, 2)
        said[name] = {
            **facts(),
            "ratio": 1,
            "first_ratio": 2,
            "first_seconds": 30,
            "first_cpu_seconds": 29,
            "spread": (1, 1),
            "cpu_ratio": 1,
            "memory_mb": 1,
        }
        assert 0.5 < said[name]["trustworthiness"] <= 1
    assert "umap-learn" in said["umap-learn"], "the library's version is named"
    lines = _text(1, said, "umap-learn").splitlines()[1:]
    assert len(lines) == 3
    assert all("trustworthiness 0." in line for line in lines)
    assert all("first in its process 30 s" in line for line in lines)
    assert 0 < said["exact neighbours"]["add_seconds"] < said["umap-learn"]["add_first_seconds"]


def test_what_is_asked_of_a_map_is_of_its_first_round_and_of_a_point_that_is_added():
    own = {"first_seconds": 24.0, "seconds": 15.0, "add_first_seconds": 0.04, "add_seconds": 0.02}
    report = {"umap-learn": {}, "exact neighbours": own}
    assert check_goals("map", {"codes": 2000}, report) == []
    assert [goal["met"] for goal in check_goals("map", {"codes": 10_000}, report)] == [True, True]
    own |= {"first_seconds": 26.0, "add_first_seconds": 0.2}
    cold, added = check_goals("map", {"codes": 10_000}, report)
    assert (cold["met"], cold["found"]) == (False, 26.0)
    assert (added["met"], added["found"]) == (False, 0.2)


def test_the_round_that_warms_up_is_kept_in_seconds():
    times = {
        "a": [{"wall": 8.0, "cpu": 4.0, "memory_mb": 1.0}] * 2,
        "b": [{"wall": 2.0, "cpu": 1.5, "memory_mb": 1.0}, {"wall": 1.0, "cpu": 1.0,
              "memory_mb": 1.0}],
    }  # fmt: skip
    row = rounds._report(times)["b"]
    assert (row["first_seconds"], row["first_cpu_seconds"], row["first_ratio"]) == (2.0, 1.5, 4.0)
    assert row["seconds"] == 1.0


def test_a_map_has_no_use_for_a_picture_size(capsys):
    code, _, error = bench(capsys, "map", "--size", "64")
    assert code == 2
    assert "--size" in error
