"""The mask painter as a hand meets it: locators, strokes with a real mouse, a probe for time.

``bench`` puts the painter's own script and style into a page of a real Chromium, and a real bridge
and session at the other end of its line: everything but Jupyter between them, which makes a stroke
cheap enough to be tested one by one. ``test_mask_painter`` opens it in a JupyterLab as well.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import time
from pathlib import Path

from l2l_widgets.masks import class_index
from l2l_widgets.widgets.paint.mask_painter import MaskPainter
from l2l_widgets.widgets.paint.paint_bridge import PaintBridge, painter_schema
from l2l_widgets.widgets.words import Words

from .harness import PATIENCE, SETTLED, page_beside, steady, until

#: A model as anywidget gives it: values, listeners, and a line that ``answer`` is at the end of.
PAGE = """
<!doctype html><style>body {{ margin: 16px; background: #fff }} {css}</style><div id="here"></div>
<script>
  const fromJson = (v) => {{
    if (v && v.bytes !== undefined) {{
      const text = atob(v.bytes);
      return new DataView(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
    }}
    if (v && typeof v === 'object' && !Array.isArray(v)) {{
      return Object.fromEntries(Object.entries(v).map(([k, w]) => [k, fromJson(w)]));
    }}
    return v;
  }};
  const heard = {{}};
  window.model = {{
    values: fromJson({values}),
    get(name) {{ return this.values[name]; }},
    on(event, f) {{ (heard[event] ??= []).push(f); }},
    off(event, f) {{ heard[event] = (heard[event] ?? []).filter((g) => g !== f); }},
    async send(message) {{
      for (const values of await window.answer(JSON.stringify(message))) {{
        const {{ own = {{}}, ...traits }} = fromJson(values);
        for (const [type, {{ data, ...told }}] of Object.entries(own)) {{
          for (const f of heard['msg:custom'] ?? []) f({{ type, ...told }}, [data]);
        }}
        Object.assign(this.values, traits);
        const events = Object.keys(traits).map((name) => `change:${{name}}`);
        for (const f of events.flatMap((event) => heard[event] ?? [])) f();
      }}
    }},
  }};
</script>
<script type="module">{esm}
  view.render({{ model: window.model, el: document.getElementById('here') }});
</script>
"""


def plain(value):
    """A trait as JSON can hold it."""
    if isinstance(value, (bytes, memoryview)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


class Bench:
    """A page with a painter, and the session behind it.

    Parameters
    ----------
    page : playwright page
    session : PaintSession
    folder : Path
        Where Save writes.
    language : str
        Of the page.
    """

    def __init__(self, page, session, folder: Path, language: str = "en") -> None:
        self.session, self.published = session, []
        self.bridge = PaintBridge(session, self.published.append, folder)
        self.bridge.start()
        said = Words.of(language)
        words = said.of_script(str(MaskPainter._esm))
        values = {
            "schema": painter_schema(session, said),
            "words": words,
            "settings": {},
            "notice": {},
        }
        values |= {"answered": {}, "still": "none"}
        for one in self.published:
            values |= one
        page.expose_function("answer", self.answer)
        page.set_content(
            PAGE.format(
                css=MaskPainter._css, values=json.dumps(plain(values)),
                esm=str(MaskPainter._esm)
                .replace("export default", "const view =")
                .replace("</script", "<\\/script"),
            )
        )  # fmt: skip

    def answer(self, message: str):
        """What the kernel would do with a message, and everything it would send back."""
        self.published.clear()
        asked = json.loads(message)
        if asked["kind"] not in ("visible", "gone"):  # the view's, not the bridge's
            self.bridge.handle(asked)
        assert self.session.drain(120)
        return [plain(values) for values in self.published]


#: ``l2lPaint.times``: milliseconds from the end of each stroke to the picture that shows it. Some
#: of what was painted before the brush was lifted may come after that: the last one counts.
PROBE = """
() => {
  const painter = document.querySelector('.l2l-painter');
  const probe = window.l2lPaint = {times: [], end: null};
  painter.addEventListener('pointerdown', () => { probe.end = null; }, true);
  painter.querySelector('.l2l-canvas').addEventListener('pointerup', (event) => {
    probe.end = event.timeStamp;
    probe.times.push(null);
  }, true);
  painter.addEventListener('l2l-picture', () => {
    if (probe.end !== null) probe.times[probe.times.length - 1] = performance.now() - probe.end;
  });
}
"""
#: Whether the last stroke has its picture.
SHOWN = "() => l2lPaint.times.at(-1) != null"


class PainterPage:
    """The first mask painter of an open notebook."""

    def __init__(self, page, session=None) -> None:
        self.page, self.session = page, session
        self.root = page.locator(".l2l-painter").first
        self.root.wait_for()
        until(lambda: self.stamp() is not None, what="the first picture")
        self.root.scroll_into_view_if_needed()
        steady(self.root.locator(".l2l-canvas").bounding_box)
        page.evaluate(PROBE)

    def stamp(self) -> int | None:
        value = self.root.get_attribute("data-stamp")
        return None if value is None else int(value)

    def button(self, text: str):
        return self.root.get_by_role("button", name=text, exact=True)

    def take(self, label: str) -> None:
        self.root.locator(f'.l2l-class[data-label="{label}"]').click()

    def tool(self, text: str) -> None:
        self.button(text).click()

    def size(self, pixels: int) -> None:
        slider = self.root.get_by_label("Brush size")
        slider.evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }",
            pixels,
        )

    def stroke(self, *points: tuple[float, float], moves: int = 6) -> None:
        """Press, drag along points given as shares of the canvas, and lift."""
        self.root.locator(".l2l-canvas").scroll_into_view_if_needed()
        box = self.root.locator(".l2l-canvas").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for (x0, y0), (x1, y1) in itertools.pairwise(places):
            for i in range(1, moves + 1):
                self.page.mouse.move(x0 + (x1 - x0) * i / moves, y0 + (y1 - y0) * i / moves)
        self.page.mouse.up()
        self.settle()

    def settle(self) -> None:
        """Until every request has been answered, and with that drawn: both come in one message."""
        until(lambda: self.root.evaluate(SETTLED), what="answers to all requests")

    def count(self, label: str) -> int:
        """Pixels of a class in the kernel's mask."""
        return int((self.session.mask == class_index(label)).sum())

    def until(self, question, what: str):
        """As ``harness.until``, but the page's own messages are dealt with meanwhile."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if question():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{what} not within {PATIENCE} s")

    def seen_mask(self) -> list[int]:
        """How many pixels of each class the page's own copy has."""
        return self.root.locator(".l2l-over").evaluate(
            """c => {
              const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
              const table = {};
              for (let i = 0; i < d.length; i += 4) {
                const k = d[i + 3] < 255 ? 'background' : [d[i], d[i + 1], d[i + 2]].join();
                table[k] = (table[k] ?? 0) + 1;
              }
              return table;
            }"""
        )

    def put_back(self) -> None:
        """Nothing painted, nothing zoomed, the brush as it is at first."""
        self.settle()
        for _ in range(3):
            self.button("Zoom out").click()
        if self.button("Reset").is_enabled():
            self.button("Reset").click()
            self.settle()
        self.tool("Brush")
        self.size(4)


@contextlib.contextmanager
def painter_beside(page, session, folder: Path):
    """The painter of a session, on a page of its own."""
    with page_beside(page) as own:
        Bench(own, session, folder)
        painter = PainterPage(own, session)
        painter.folder, painter.model = folder, session.model
        yield painter
