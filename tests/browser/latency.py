"""Slider event to decoded pixels, first face, and memory: ``python -m tests.browser.latency``.

Starts `l2l lab` on a copy of a notebook, runs all cells in Chromium, and moves a slider with the
keyboard: every press asks for a value that was not asked for before, so nothing comes from a cache.
The clock runs from the browser's stamp of the slider's event until other pixels lie on the canvas.
Then the same thumb is dragged with the mouse. Prints one JSON object, and writes it into a
file with ``--out FILE``; `l2l train cards` puts ``latency.json`` beside the weights into the card.

``--all-views`` opens the first lesson, and then one page with every view of one session open: it
does the same there, sends bursts of 60 events in a second, and clicks on the map until the editor
shows the face. The window is that of a laptop, so most views are out of sight, where they cost
nothing; ``--in-sight`` makes the window so tall that all of them are shown and follow.

It says on stderr what it does and since when. Every wait ends: what does not come within
``--limit`` seconds in all is named under ``unfinished``, and the figures that came are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error, TimeoutError

from l2l_widgets.recipes import DEFAULT_WEIGHTS
from l2l_widgets.storage import write_atomic

from . import harness
from .all_views import open_all, quiet, root_of
from .editor_page import EditorPage

#: Seconds for all of ``--all-views``, and for one part of it.
LIMIT, PART = 230.0, 90.0
#: Sliders that are moved, one after the other, until there are enough events.
ATTRIBUTES = ("age", "gender", "smile", "mouth_open", "yaw")
#: Whose files' hashes go into the figures: what an edit and its receipt run through.
TIMED = ("generator", "mapper", "regressor", "judge_regressor", "judge_embedder")


def resident(pid: int) -> dict[str, float]:
    """Resident memory of a process now and at its peak, in MB (10^6 bytes); Linux only."""
    text = Path(f"/proc/{pid}/status").read_text()
    kb = {key: int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) for key in ("VmRSS", "VmHWM")}
    return {"now": kb["VmRSS"] * 1.024e-3, "peak": kb["VmHWM"] * 1.024e-3}


def press_keys(
    editor: EditorPage,
    attribute: str,
    count: int,
    pause: tuple[int, int] = (20, 100),
    until: float = float("inf"),
) -> list[float]:
    """Milliseconds from each key press's slider event to its picture, for up to ``count`` presses.

    ``pause`` is the least and the most milliseconds between a picture and the next press; unequal,
    as fingers are, so that no timer of ours falls into step. A step that changes no pixel has no
    latency; five of them in a row end the series, and so does the clock at ``until`` (monotonic
    seconds).
    """
    slider = editor.slider(attribute)
    slider.focus()
    editor.page.keyboard.press("Home")
    editor.settle()
    editor.page.evaluate("() => { l2lProbe.times = []; l2lProbe.hash = l2lProbe.look(); }")
    idle = 0
    for i in range(min(count, 78)):
        if time.monotonic() > until:
            break
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


def burst(
    editor: EditorPage, attribute: str, rounds: int = 5, until: float = float("inf")
) -> dict[str, float]:
    """Milliseconds from the last of 60 mouse moves in a second to the picture that then stays.

    No round begins after ``until`` (monotonic seconds), but the first.
    """
    late, seconds = [], []
    for i in range(rounds):
        if late and time.monotonic() > until:
            break
        editor.page.evaluate("() => { l2lProbe.pictures = []; }")
        ends = (0.05, 0.95 - 0.02 * i) if i % 2 else (0.9, 0.08 + 0.02 * i)
        start = time.monotonic()
        editor.drag(attribute, *ends, moves=60, pause=1000 / 60)
        seconds.append(time.monotonic() - start)
        editor.settle()
        pictures, last = editor.page.evaluate("() => [l2lProbe.pictures, l2lProbe.last]")
        late.append(max(0.0, pictures[-1] - last))
    return {
        "n": len(late), "events": 60, "seconds": statistics.median(seconds),
        "last_event_to_picture_ms": statistics.median(late), "max_ms": max(late),
    }  # fmt: skip


#: From a click on the map to the same face on its card, and to other pixels in the editor.
MAP_PROBE = """
() => {
  const root = document.querySelector('.l2l-map');
  const probe = window.l2lMapProbe = {card: [], editor: [], start: null, owes: false};
  root.addEventListener('pointerup', (event) => {
    probe.start = event.timeStamp;
    probe.owes = true;
    l2lProbe.hash = l2lProbe.look();
  }, true);
  new MutationObserver(() => {
    if (probe.start !== null) probe.card.push(performance.now() - probe.start);
    probe.start = null;
  }).observe(root, {attributes: true, attributeFilter: ['data-face']});
  let clicked = null;
  root.addEventListener('pointerup', (event) => { clicked = event.timeStamp; }, true);
  document.querySelector('.l2l-editor').addEventListener('l2l-picture', () => {
    // The editor's own probe ran first: it has looked at the canvas for this picture.
    if (!probe.owes || !l2lProbe.changed) return;
    probe.owes = false;
    probe.editor.push(performance.now() - clicked);
  });
}
"""


def click_on_map(page, count: int = 20, until: float = float("inf")) -> dict[str, float]:
    """Milliseconds from clicks on faces of the map to the face on its card and in the editor.

    There is no click after ``until`` (monotonic seconds), but the first. The window is made as
    high as map and editor together, for an editor that nobody sees is sent nothing.
    """
    root, editor = root_of(page, "map"), root_of(page, "editor")
    boxes = [root.bounding_box(), editor.bounding_box()]
    top, end = min(b["y"] for b in boxes), max(b["y"] + b["height"] for b in boxes)
    window = page.viewport_size
    if end - top + 200 > window["height"]:
        page.set_viewport_size({"width": window["width"], "height": int(end - top) + 200})
    editor.scroll_into_view_if_needed()
    root.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)
    page.evaluate(MAP_PROBE)
    box = root.locator(".l2l-map-stage").bounding_box()
    places = page.evaluate(
        """count => {
          const map = document.querySelector('.l2l-map').l2lMap, found = [];
          for (let i = 0; i < map.count && found.length < count; i += 97) {
            const [x, y] = map.screenOf(i);
            if (x > 260 && y > 40 && x < map.width - 60 && y < map.height - 40) found.push([x, y]);
          }
          return found;
        }""",
        count,
    )
    for i, (x, y) in enumerate(places):
        if i and time.monotonic() > until:
            break
        page.evaluate("() => { l2lProbe.changed = false; }")
        page.mouse.click(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(700 + 53 * i % 300)
    card, editor = page.evaluate("() => [l2lMapProbe.card, l2lMapProbe.editor]")
    return {
        "n": len(editor), "clicks": len(places),
        "card_median_ms": statistics.median(card), "card_p95_ms": percentile(card, 0.95),
        "editor_median_ms": statistics.median(editor), "editor_p95_ms": percentile(editor, 0.95),
    }  # fmt: skip


class Stages:
    """Parts of a measurement: each says when it begins, and one that fails does not end the rest.

    Parameters
    ----------
    out : dict
        The figures; a part that did not end is named in its ``unfinished``.
    limit : float
        Seconds for all parts.
    """

    def __init__(self, out: dict, limit: float) -> None:
        self.out, self.began, self.limit = out, time.monotonic(), limit
        out["unfinished"] = []

    @property
    def left(self) -> float:
        """Seconds that a part may take now; a few where the time is over, so that it can fail."""
        return max(5.0, min(PART, self.limit - (time.monotonic() - self.began)))

    @contextlib.contextmanager
    def part(self, name: str):
        began = time.monotonic()
        print(f"[{began - self.began:5.0f} s] {name} ...", file=sys.stderr, flush=True)
        try:
            yield
        except (AssertionError, Error, statistics.StatisticsError, IndexError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            self.out["unfinished"].append(f"{name}: {line}")
            print(f"          not done: {line}", file=sys.stderr, flush=True)


def first_lesson(page, address: str, folder: Path, timeout: float) -> float:
    """Seconds from Run All of the first lesson to a face to edit; its kernel is ended then."""
    name = next(folder.glob("student_1*.ipynb")).name
    harness.open_notebook(page, address, name, run=False, timeout=timeout)
    start = time.monotonic()
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".l2l-editor[data-stamp]", timeout=1000 * timeout)
    seconds = time.monotonic() - start
    page.evaluate("() => window.panel.sessionContext.shutdown()")
    return seconds


def measure_all(folder: Path, count: int, in_sight: bool, limit: float = LIMIT) -> dict:
    """The figures of a page with every view open."""
    out: dict = {"views": "all", "in_sight": in_sight}
    stages = Stages(out, limit)
    window = (1400, 9000) if in_sight else (1280, 900)
    with harness.lab(folder, "student_1") as address, harness.page(*window) as page:
        with stages.part("the first lesson"):
            out["first_lesson_s"] = first_lesson(page, address, folder, stages.left)
            _tell(out, "first_lesson_s")
        with stages.part("opening every view"):
            open_all(page, address, folder, stages.left)
        editor = EditorPage(page)
        with stages.part("what is drawn at first"):
            pid = harness.kernel_pid(page)
            out["kernel_mb_opened"] = resident(pid)
            _tell(out, "kernel_mb_opened")
            editor.wait_for_receipt(stages.left)
            quiet(page, timeout=stages.left)
        with stages.part(f"{count} moves of a slider"):
            times: list[float] = []
            end = time.monotonic() + stages.left
            for attribute in ATTRIBUTES:
                if len(times) < count:
                    times += press_keys(editor, attribute, count - len(times), until=end)
            out.update(
                n=len(times), asked=count, median_ms=statistics.median(times),
                p95_ms=percentile(times, 0.95), max_ms=max(times),
            )  # fmt: skip
            _tell(out, "n", "median_ms", "p95_ms", "max_ms")
        with stages.part("bursts of 60 events in a second"):
            out["burst"] = burst(editor, "smile", until=time.monotonic() + stages.left)
            _tell(out, "burst")
        with stages.part("rest"):
            quiet(page, timeout=stages.left)
        with stages.part("clicks on the map"):
            out["map_click"] = click_on_map(page, until=time.monotonic() + stages.left)
            _tell(out, "map_click")
        with stages.part("memory and complaints"):
            out["kernel_mb"] = resident(pid)
            out["load_average"] = os.getloadavg()[0]
            out["faults"] = page.faults + harness.kernel_errors(page) + harness.cell_errors(page)
    out["seconds"] = time.monotonic() - stages.began
    return out


def _tell(found: dict, *names: str) -> None:
    """Say a part of the figures at once, for who waits on a slow machine."""
    print(json.dumps(_rounded({name: found[name] for name in names})), file=sys.stderr, flush=True)


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
        out["machine"], out["measured_with"] = machine(), hashes()
        out["faults"] = page.faults + harness.kernel_errors(page) + harness.cell_errors(page)
    return out


def machine() -> str:
    """What it was measured on, in words: milliseconds say nothing without it."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    return f"{model or platform.machine()}, {len(os.sched_getaffinity(0))} cores, no GPU used"


def hashes() -> dict[str, str]:
    """Hashes of the files that an edit runs through."""
    manifest = json.loads((DEFAULT_WEIGHTS / "MANIFEST.json").read_text(encoding="utf-8"))
    return {f"{n}.safetensors": manifest[f"{n}.safetensors"]["sha256"] for n in TIMED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", default="student_1")
    parser.add_argument("--count", type=int, default=150, help="slider events (default: 150)")
    parser.add_argument("--stock", action="store_true", help="without the latency fix, to compare")
    parser.add_argument("--all-views", action="store_true", help="every view on one page")
    parser.add_argument("--in-sight", action="store_true", help="and all of them shown at once")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help=f"seconds for --all-views (default: {LIMIT:g})"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args()
    if args.in_sight and not args.all_views:
        parser.error("--in-sight needs --all-views")
    with tempfile.TemporaryDirectory() as folder:
        if args.all_views:
            found = measure_all(Path(folder), args.count, args.in_sight, args.limit)
        else:
            found = measure(Path(folder), args.notebook, args.count, not args.stock)
    text = json.dumps(_rounded(found))
    if args.out is not None:
        write_atomic(args.out, (text + "\n").encode())
    print(text)


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 1) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
