"""Slider event to decoded pixels, first face, and memory: ``python -m tests.browser.latency``.

Starts `l2l lab` on a copy of a notebook, runs all cells in Chromium, and moves a slider with the
keyboard: every press asks for a value that was not asked for before, so nothing comes from a cache.
The clock runs from the browser's stamp of the slider's event until other pixels lie on the canvas.
Then the same thumb is dragged with the mouse. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import TimeoutError

from . import harness
from .editor_page import EditorPage

#: Sliders that are moved, one after the other, until there are enough events.
ATTRIBUTES = ("age", "gender", "smile", "mouth_open", "yaw")


def resident(pid: int) -> dict[str, float]:
    """Resident memory of a process now and at its peak, in MB (10^6 bytes); Linux only."""
    text = Path(f"/proc/{pid}/status").read_text()
    kb = {key: int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) for key in ("VmRSS", "VmHWM")}
    return {"now": kb["VmRSS"] * 1.024e-3, "peak": kb["VmHWM"] * 1.024e-3}


def press_keys(
    editor: EditorPage, attribute: str, count: int, pause: tuple[int, int] = (20, 100)
) -> list[float]:
    """Milliseconds from each key press's slider event to its picture, for up to ``count`` presses.

    ``pause`` is the least and the most milliseconds between a picture and the next press; unequal,
    as fingers are, so that no timer of ours falls into step. A step that changes no pixel has no
    latency; five of them in a row end the series.
    """
    slider = editor.slider(attribute)
    slider.focus()
    editor.page.keyboard.press("Home")
    editor.settle()
    editor.page.evaluate("() => { l2lProbe.times = []; l2lProbe.hash = l2lProbe.look(); }")
    idle = 0
    for i in range(min(count, 78)):
        editor.page.evaluate("() => { l2lProbe.armed = 'wait'; }")
        editor.page.keyboard.press("ArrowRight")
        try:
            editor.page.wait_for_function("() => l2lProbe.armed === null", timeout=1500)
            idle = 0
        except TimeoutError:
            editor.page.evaluate("() => { l2lProbe.armed = null; }")
            idle += 1
            if idle == 5:
                break
        editor.page.wait_for_timeout(pause[0] + 37 * i % (pause[1] - pause[0]))
    return editor.page.evaluate("() => l2lProbe.times")


def drag(editor: EditorPage, attribute: str) -> dict[str, float]:
    """Pictures a second during a drag, and from its last event to the last picture."""
    editor.page.evaluate("() => { l2lProbe.pictures = []; }")
    start = time.monotonic()
    editor.drag(attribute, 0.05, 0.95, moves=90, pause=14)
    seconds = time.monotonic() - start
    editor.settle()
    pictures, last = editor.page.evaluate("() => [l2lProbe.pictures, l2lProbe.last]")
    return {
        "pictures_per_second": len(pictures) / seconds,
        "last_event_to_picture_ms": max(0.0, pictures[-1] - last),
    }


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def measure(folder: Path, notebook: str, count: int, latency_fix: bool) -> dict:
    """Everything in one browser session."""
    out: dict = {"notebook": notebook, "latency_fix": latency_fix}
    fix = {"latency_fix": latency_fix}
    with harness.lab(folder, notebook, **fix) as address, harness.page() as page:
        name = next(folder.glob(f"{notebook}*.ipynb")).name
        harness.open_notebook(page, address, name, run=False)
        start = time.monotonic()
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".l2l-editor[data-stamp], .jp-OutputArea img", timeout=120_000)
        out["first_face_s"] = time.monotonic() - start
        page.wait_for_selector(".l2l-editor[data-stamp]", timeout=120_000)
        out["editor_s"] = time.monotonic() - start
        harness.wait_idle(page, 600)
        pid = harness.kernel_pid(page)
        editor = EditorPage(page)
        editor.wait_for_receipt()
        times: list[float] = []
        for attribute in ATTRIBUTES:
            if len(times) < count:
                times += press_keys(editor, attribute, count - len(times))
        out.update(
            n=len(times),
            asked=count,
            median_ms=statistics.median(times),
            p95_ms=percentile(times, 0.95),
            max_ms=max(times),
        )
        out["drag"] = drag(editor, "smile")
        # A press after a rest finds the kernel measuring, and has to wait for a part of it.
        rested = press_keys(editor, "age", 40, pause=(160, 500))
        out["while_measuring"] = {
            "n": len(rested),
            "median_ms": statistics.median(rested),
            "p95_ms": percentile(rested, 0.95),
        }
        editor.wait_for_receipt()
        out["side"] = int(
            harness.evaluate_in_kernel(page, "editor.session.models.generator.img_resolution")
        )
        out["kernel_mb"] = resident(pid)
        out["faults"] = page.faults + harness.kernel_errors(page) + harness.cell_errors(page)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", default="student_1")
    parser.add_argument("--count", type=int, default=150, help="slider events (default: 150)")
    parser.add_argument("--stock", action="store_true", help="without the latency fix, to compare")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.notebook, args.count, not args.stock)
    print(json.dumps(_rounded(result)))


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 1) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
