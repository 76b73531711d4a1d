"""The face editor as a hand and an eye meet it: locators, and a probe for pixels and time."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from .harness import bring_into_sight, kernel_errors, settle, until

#: Listens to what the user does and to what the canvas shows. ``l2lProbe.times`` holds, for each
#: event that was armed, the milliseconds from the event to other pixels on the canvas.
PROBE = """
() => {
  const editor = document.querySelector('.l2l-editor');
  const canvas = editor.querySelector('.l2l-after canvas');
  const look = () => {
    const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let hash = 2166136261;
    for (let i = 0; i < d.length; i += 4) {
      hash = Math.imul(hash ^ (d[i] | d[i + 1] << 8 | d[i + 2] << 16), 16777619);
    }
    return hash;
  };
  const probe = window.l2lProbe = {look, times: [], pictures: [], armed: null, hash: look()};
  editor.addEventListener('input', (event) => {
    // The stamp of the browser's own event, before any of our code has run.
    probe.last = event.timeStamp;
    if (probe.armed === 'wait') probe.armed = event.timeStamp;
  }, true);
  editor.addEventListener('l2l-picture', () => {
    const now = performance.now();
    const hash = look();
    probe.pictures.push(now);
    if (hash === probe.hash) return;
    probe.hash = hash;
    probe.changed = true;
    if (typeof probe.armed === 'number') {
      probe.times.push(now - probe.armed);
      probe.armed = null;
    }
  });
}
"""


def point_at(slider, *shares: float) -> tuple[list[float], float]:
    """Bring the mouse to the first of some shares of a slider's track; where all of them are.

    The mouse comes when the slider stands still and nothing lies over it.

    Parameters
    ----------
    slider : locator
        Of an input.
    shares : float
        Of the way that its thumb can go.

    Returns
    -------
    list of float, float
        Their x, and the y of all of them, in the window.
    """
    box = slider.bounding_box()
    inside = [8 + (box["width"] - 16) * share for share in shares]
    slider.hover(position={"x": inside[0], "y": box["height"] / 2})
    box = slider.bounding_box()
    return [box["x"] + x for x in inside], box["y"] + box["height"] / 2


@dataclass(frozen=True)
class Pixels:
    """A picture on a canvas; equal when no value differs by more than the last two steps of 255.

    The browser scales a canvas on another path once it has been read a few times, and rounds
    differently there; the kernel's own pixels are compared exactly elsewhere.
    """

    size: tuple[int, int]
    data: bytes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pixels) or self.size != other.size:
            return False
        return max(abs(a - b) for a, b in zip(self.data, other.data, strict=True)) <= 2

    __hash__ = None


class EditorPage:
    """The first face editor of an open notebook.

    Parameters
    ----------
    page : playwright page
        With the notebook open and its cells run.
    """

    def __init__(self, page) -> None:
        self.page = page
        self.root = page.locator(".l2l-editor").first
        self.root.wait_for()
        until(lambda: self.stamp() is not None, what="the first picture")
        self.bring_into_sight()
        page.evaluate(PROBE)

    # -- what can be seen --------------------------------------------------------------------------

    def stamp(self) -> int | None:
        value = self.root.get_attribute("data-stamp")
        return None if value is None else int(value)

    def pixels(self, which: str = "after") -> Pixels:
        """What the canvas shows."""
        encoded = self.root.locator(f".l2l-{which} canvas").evaluate("c => c.toDataURL()")
        with Image.open(io.BytesIO(base64.b64decode(encoded.split(",")[1]))) as image:
            return Pixels(image.size, image.convert("RGB").tobytes())

    def error(self) -> str:
        return self.root.locator(".l2l-error").inner_text()

    def value(self, attribute: str) -> str:
        return self.row(attribute).locator(".l2l-value").inner_text()

    def wait_for_receipt(self, timeout: float = 400.0) -> None:
        """Until the numbers belong to the picture that is up; settle first."""
        until(
            lambda: self.root.evaluate("e => e.dataset.stamp === e.dataset.receipt"),
            timeout,
            what="a receipt of the picture that is up",
        )

    def bring_into_sight(self) -> None:
        """Scroll to it, and wait for all that was owed to who comes to look."""
        bring_into_sight(self.page, self.root)
        self.settle()

    def settle(self) -> None:
        """Until what was asked for has been drawn, and the page shows that and its settings."""
        stamp = settle(self.page, self.root, "view.after['stamp']")
        # A picture that has to be decoded is up a little after its message has come.
        until(lambda: self.stamp() is not None and self.stamp() >= int(stamp), what="the picture")

    # -- what can be done --------------------------------------------------------------------------

    def row(self, attribute: str):
        return self.root.locator(f'.l2l-row[data-attribute="{attribute}"]')

    def slider(self, attribute: str):
        """The slider, with its family unfolded."""
        slider = self.row(attribute).locator("input")
        slider.evaluate("e => { e.closest('details').open = true; }")
        slider.scroll_into_view_if_needed()
        return slider

    def button(self, text: str):
        return self.root.get_by_role("button", name=text, exact=True)

    def draws_an_edit(self) -> None:
        """An edit of the face that is up is drawn, whatever was done before; nothing complains."""
        self.bring_into_sight()
        self.root.dispatch_event("pointerdown")  # closes a menu that lies over the sliders
        before = self.pixels()
        self.root.get_by_label("Search attributes").fill("")
        self.drag("smile", 0.3, 0.95)
        self.settle()
        until(lambda: self.pixels() != before, what="an edit that is drawn")
        assert self.page.faults == []
        assert kernel_errors(self.page) == []

    def drag(self, attribute: str, start: float, end: float, moves: int = 12, pause: float = 16):
        """Drag a thumb with the mouse, from one share of the track to another."""
        x, y = point_at(self.slider(attribute), start, end)
        self.page.mouse.down()
        for i in range(1, moves + 1):
            self.page.mouse.move(x[0] + (x[1] - x[0]) * i / moves, y)
            self.page.wait_for_timeout(pause)
        self.page.mouse.up()
