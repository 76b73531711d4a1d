"""What `tests.browser.slowdown` makes of its rounds: an interval, and when it complains."""

from __future__ import annotations

import json
import math

import pytest

from tests.browser import slowdown


@pytest.mark.parametrize(("count", "left_out"), [(6, 0), (8, 0), (9, 1), (12, 2), (20, 5)])
def test_the_interval_holds_the_median_as_often_as_it_says(count, left_out):
    values = [0.01 * ((7 * i) % count) for i in range(count)]
    low, high = slowdown.median_interval(values)
    ranked = sorted(values)
    assert (low, high) == (ranked[left_out], ranked[-1 - left_out])
    # in how many series the true median lies beyond an end: so few heads, or tails, of a coin
    missed = [2 * sum(math.comb(count, k) for k in range(n + 1)) / 2**count
              for n in (left_out, left_out + 1)]  # fmt: skip
    assert missed[0] <= 0.05 < missed[1], "neither wider than it has to be nor narrower"


def test_five_rounds_have_no_interval():
    with pytest.raises(ValueError, match="values are 5; allowed: at least 6"):
        slowdown.median_interval([0.0] * 5)


def rounds(*shares):
    return [{"alone": (10.0, 8.0), "watched": (10 * (1 + s), 8 * (1 + s / 2))} for s in shares]


def test_a_round_is_compared_with_itself():
    found = slowdown.summary(rounds(0.02, 0.03, 0.01, 0.04, 0.02, 0.9, 0.03, -0.2, 0.02))
    assert found["slower_by_clock"] == pytest.approx(0.02)
    assert found["slower_by_clock_interval"] == pytest.approx([0.01, 0.04]), "one disturbed round"
    assert found["slower_by_processor"] == pytest.approx(0.01)
    assert (found["rounds"], found["alone_s"]) == (9, 10.0)


@pytest.mark.parametrize(
    ("share", "faults", "code", "said"),
    [
        (0.04, [], 0, ""),
        (0.06, [], 1, "being watched costs 6.0%; allowed: 5%"),
        (0.01, ["page: oh"], 1, "complained"),
    ],
)
def test_it_ends_with_one_where_the_goal_is_missed(
    share, faults, code, said, monkeypatch, capsys, tmp_path
):
    found = {**slowdown.summary(rounds(*[share] * 6)), "faults": faults}
    monkeypatch.setattr(slowdown, "measure", lambda *_: found)
    monkeypatch.setattr("sys.argv", ["slowdown", "--out", str(tmp_path / "figures.json")])
    assert slowdown.main() == code
    out, err = capsys.readouterr()
    assert json.loads(out) == found == json.loads((tmp_path / "figures.json").read_text())
    assert said in err
    assert bool(err) == bool(code)


def test_too_few_rounds_are_refused_before_anything_is_trained(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["slowdown", "--rounds", "5"])
    with pytest.raises(SystemExit):
        slowdown.main()
    assert "--rounds is 5; allowed: at least 6" in capsys.readouterr().err
