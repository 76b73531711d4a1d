"""From a stroke's end to the picture that shows it: ``python -m tests.browser.painter_latency``.

Starts `l2l lab` on a copy of the lesson with the painter, runs all cells in Chromium, and paints
strokes with a real mouse. The clock runs from the browser's stamp of the mouse button's release
until the picture of all that was painted lies on the canvas. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from pathlib import Path

from . import harness
from .painter_page import SHOWN, PainterPage

LESSON = "student_8_paint_a_face.ipynb"
CLASSES = ("hair", "skin", "cloth", "neck", "hat")


def paint(painter: PainterPage, count: int, seed: int = 0) -> list[float]:
    """Milliseconds to the picture of each of ``count`` strokes across the face."""
    chance = random.Random(seed)
    for i in range(count):
        painter.take(CLASSES[i % len(CLASSES)])
        painter.size(3 + i % 5)
        y = 0.05 + 0.9 * (i + 0.5) / count
        painter.stroke((chance.uniform(0.05, 0.4), y), (chance.uniform(0.6, 0.95), y), moves=8)
        harness.until(lambda: painter.page.evaluate(SHOWN), what="the stroke's picture")
        painter.page.wait_for_timeout(
            chance.randint(20, 100)
        )  # as hands do: no timer falls in step
    return painter.page.evaluate("() => l2lPaint.times")


def main(argv: list[str] | None = None) -> int:
    """Paint, and print median and 95th percentile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="strokes (default: 60)")
    parser.add_argument("--limit", type=float, default=400, help="seconds to open the lesson")
    args = parser.parse_args(argv)
    smoke = {"L2L_SMOKE": "1", "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        harness.lab(Path(folder), "student_8", smoke) as address,
        harness.page() as page,
    ):
        harness.open_notebook(page, address, LESSON, timeout=args.limit)
        times = sorted(paint(PainterPage(page), args.count))
        faults = page.faults + harness.kernel_errors(page)
    found = {
        "strokes": len(times),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
        "faults": faults,
    }
    print(json.dumps(found))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
