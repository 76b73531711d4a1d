"""What a user waits for in the browser, as the model card tells it."""

from __future__ import annotations

import json

import pytest

from l2l_widgets.recipes import cards
from l2l_widgets.recipes.card_sections import latency_section


def test_the_card_shows_what_the_latency_command_wrote(tmp_path):
    path = tmp_path / "latency.json"
    assert cards.read_latency(path) is None
    assert "Not measured. `python -m tests.browser.latency" in latency_section(None, 128, {})
    written = {
        "notebook": "student_1", "n": 150, "median_ms": 41.5, "p95_ms": 170.0, "side": 128,
        "first_face_s": 4.0, "kernel_mb": {"now": 400.0, "peak": 420.5},
    }  # fmt: skip
    path.write_text(json.dumps(written))
    text = latency_section(cards.read_latency(path), 128, {})
    assert "n = 150 slider events at 128 px, on a machine" in " ".join(text.split())
    named = written | {"machine": "an abacus, 2 cores", "measured_with": {"mapper": "a"}}
    same = " ".join(latency_section(named, 128, {"mapper": {"sha256": "a"}}).split())
    assert "at 128 px, on an abacus, 2 cores." in same
    assert "measure again" not in same
    other = " ".join(latency_section(named, 128, {"mapper": {"sha256": "b"}}).split())
    assert "Since then `mapper` changed: measure again." in other
    assert "| slider event to decoded pixels, median, ms | <= 60 | 41.5 | - | yes |" in text
    assert "| the same, 95th percentile, ms | <= 150 | 170 | - | no |" in text
    assert "not of this one of 64 px" in " ".join(latency_section(written, 64, {}).split())
    path.write_text("{")
    with pytest.raises(ValueError, match=r"latency\.json: cannot be read as JSON"):
        cards.read_latency(path)
    path.write_text(json.dumps({"views": "all", "n": 3}))
    with pytest.raises(ValueError, match=r"holds no median_ms; allowed: .* without --all-views"):
        cards.read_latency(path)
