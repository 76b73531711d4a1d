"""How the page enlarges a small picture: the same as a known filter, and in no time."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from l2l_widgets.widgets.stylesheet import static_text

from . import harness

pytestmark = pytest.mark.browser

ENLARGED = """([bytes, width, height]) => {
  const canvas = enlargePixels(new Uint8Array(bytes), width, height);
  const image = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(image.data)];
}"""


@pytest.fixture(scope="module")
def bare(page):
    with harness.page_beside(page) as own:
        own.set_content("<p></p>")
        own.add_script_tag(content=static_text("shared/pictures.js"))
        yield own
        assert own.faults == []


@pytest.mark.parametrize(("width", "height", "factor"), [(64, 64, 4), (100, 60, 3), (250, 40, 1)])
def test_pixels_are_enlarged_by_lanczos(bare, width, height, factor):
    pixels = np.random.default_rng(0).integers(96, 160, (height, width, 3), dtype=np.uint8)
    wide, high, data = bare.evaluate(ENLARGED, [pixels.ravel().tolist(), width, height])
    assert (wide, high) == (factor * width, factor * height)
    drawn = np.array(data, dtype=np.int16).reshape(high, wide, 4)
    assert (drawn[..., 3] == 255).all()
    wanted = Image.fromarray(pixels).resize((wide, high), Image.Resampling.LANCZOS)
    # Pillow weighs what lies beyond an edge as nothing, the page repeats the last pixel there
    inside = (slice(4 * factor, -4 * factor), slice(4 * factor, -4 * factor), slice(0, 3))
    off = np.abs(drawn[inside] - np.asarray(wanted, dtype=np.int16)[inside])
    assert off.max() <= 2


def test_a_face_is_enlarged_within_a_frame(bare):
    script = """() => {
      const bytes = Uint8Array.from({length: 128 * 128 * 3}, (_, i) => (i * 7919) % 256);
      let best = Infinity;
      for (let i = 0; i < 40; i++) {
        const begun = performance.now();
        enlargePixels(bytes, 128, 128);
        best = Math.min(best, performance.now() - begun);
      }
      return best;
    }"""
    # milliseconds, at best: every picture of a drag goes through it. A busy machine may break off
    # each of forty, so they are tried again.
    harness.until(lambda: bare.evaluate(script) < 16, what="a picture within a frame")


def test_a_view_with_a_word_in_it_is_blank(bare):
    bare.evaluate(
        """() => {
          const empty = document.createElement('div');
          empty.id = 'empty';
          empty.style = 'width: 300px; height: 200px';
          empty.textContent = 'Loading';
          document.body.append(empty);
        }"""
    )
    with pytest.raises(AssertionError, match="empty is blank"):
        harness.picture_of(bare, bare.locator("#empty"), "empty")
