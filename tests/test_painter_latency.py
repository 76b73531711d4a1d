"""What the clock of the painter's strokes keeps, and when it is not content."""

from __future__ import annotations

import json

import pytest

from l2l_widgets.recipes import DEFAULT_WEIGHTS
from tests.browser.painter_latency import LIMIT, summary, verdict


def test_median_and_percentile_of_what_was_measured():
    found = summary([float(x) for x in range(1, 102)], [])
    assert (found["n"], found["median_ms"], found["p95_ms"], found["max_ms"]) == (101, 51, 96, 101)
    manifest = json.loads((DEFAULT_WEIGHTS / "MANIFEST.json").read_text("utf-8"))
    for file, sha in found["measured_with"].items():
        assert manifest[file]["sha256"] == sha
    assert "cores" in found["machine"]


@pytest.mark.parametrize(
    ("times", "faults", "end"),
    [
        ([LIMIT - 20, LIMIT, LIMIT + 900], [], 0),
        ([LIMIT - 20, LIMIT + 1, LIMIT + 1], [], 1),
        ([1.0], ["a line of the console"], 1),
    ],
)
def test_it_ends_with_1_above_what_is_asked(times, faults, end):
    assert verdict(summary(times, faults)) == end
