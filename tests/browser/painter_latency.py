"""From a stroke's end to the picture that shows it: ``python -m tests.browser.painter_latency``.

Starts `l2l lab` on a copy of the lesson with the painter, runs all cells in Chromium, and paints
strokes with a real mouse. The clock runs from the browser's stamp of the mouse button's release
until the picture of all that was painted lies on the canvas. Prints one JSON object, and writes it
into a file with ``--out FILE``: ``painter_latency.json`` beside the weights is what the README
quotes, which ``python -m tests.painting_figures`` writes there. Ends with 1 where the median is
above what is asked, or the page complained.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from pathlib import Path

from l2l_widgets.recipes import DEFAULT_WEIGHTS
from l2l_widgets.storage import write_atomic

from . import harness
from .latency import machine, percentile
from .painter_page import SHOWN, PainterPage

#: Milliseconds from a stroke's end to its picture that are asked for, the median of all.
LIMIT = 150.0
#: Whose files' hashes go into the figures: what draws.
TIMED = ("maskgan", "mask_vae")
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


def summary(times: list[float], faults: list[str]) -> dict:
    """What is kept of a run: median and 95th percentile, of how many, on what, of which files."""
    manifest = json.loads((DEFAULT_WEIGHTS / "MANIFEST.json").read_text(encoding="utf-8"))
    files = [f"{name}.safetensors" for name in TIMED]
    return {
        "n": len(times),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(percentile(times, 0.95), 1),
        "max_ms": round(max(times), 1),
        "limit_ms": LIMIT,
        "machine": machine(),
        "measured_with": {file: manifest[file]["sha256"] for file in files},
        "faults": faults,
    }


def verdict(found: dict) -> int:
    """0 where the page did not complain and the median is what is asked for; else 1."""
    return 1 if found["faults"] or found["median_ms"] > LIMIT else 0


def main(argv: list[str] | None = None) -> int:
    """Paint, and print median and 95th percentile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="strokes (default: 60)")
    parser.add_argument("--limit", type=float, default=400, help="seconds to open the lesson")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args(argv)
    smoke = {"L2L_SMOKE": "1", "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        harness.lab(Path(folder), "student_8", smoke) as address,
        harness.page() as page,
    ):
        harness.open_notebook(page, address, LESSON, timeout=args.limit)
        times = paint(PainterPage(page), args.count)
        found = summary(times, page.faults + harness.kernel_errors(page))
    text = json.dumps(found)
    if args.out is not None:
        write_atomic(args.out, f"{text}\n".encode())
    print(text)
    return verdict(found)


if __name__ == "__main__":
    raise SystemExit(main())
