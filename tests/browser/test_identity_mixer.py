"""IdentityMixer in a real JupyterLab: the mouse picks cells, sliders travel, the editor follows."""

from __future__ import annotations

import pytest

from . import harness
from .editor_page import point_at

pytestmark = pytest.mark.browser

#: A mixer of a few steps: the widget is under test, not what it draws.
CELLS = (
    """from pathlib import Path
import torch
from l2l_widgets import EditSession, FaceEditor, FaceMixer, IdentityMixer, load
from l2l_widgets.disentangle import MixerConfig, MixerNetwork
from l2l_widgets.images import save_image
models = load()
generator = models.generator
torch.manual_seed(0)
w = generator.mapping(torch.randn(256, generator.z_dim))[:, 0].detach()
sizes = MixerConfig(models.embedder.embedding_dim, generator.w_dim, width=8, features=32)
network = MixerNetwork(sizes, cloud=torch.stack([w.mean(0), w.std(0)])).eval()
with torch.no_grad():
    network.layers[-1].weight.mul_(12)
mixer = FaceMixer(generator, models.embedder, network)
with torch.inference_mode():
    other = generator.synthesis(generator.mapping(torch.randn(1, generator.z_dim)))[0]
save_image("dropped.png", other)
session = EditSession(models, seed=3)
view = IdentityMixer(mixer, face=session, identity=1, attributes=2)
view""",
    """editor = FaceEditor(session)
editor""",
)


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, "mixer.ipynb", *CELLS)
    harness.open_notebook(page, address, "mixer.ipynb", timeout=600)
    page.locator(".l2l-mixer .l2l-mixcell").first.wait_for(timeout=600_000)
    return page


def hash_of(canvas):
    """What a canvas shows, as a number."""
    return canvas.evaluate(
        """(canvas) => {
          const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          let hash = 2166136261;
          for (let i = 0; i < d.length; i++) hash = Math.imul(hash ^ d[i], 16777619);
          return hash;
        }"""
    )


def test_a_cell_that_is_clicked_goes_to_the_face_editor(opened):
    page = opened
    mixer = page.locator(".l2l-mixer")
    harness.until(lambda: mixer.locator(".l2l-mixcell").count() == 16, what="all cells")
    result = mixer.locator(".l2l-mix canvas")
    harness.until(lambda: hash_of(result) != 0, what="the first mix")
    before = hash_of(result)
    page.locator(".l2l-editor[data-stamp]").wait_for(timeout=600_000)
    editor = page.locator(".l2l-editor .l2l-before canvas")
    edited = hash_of(editor)
    cell = mixer.locator(".l2l-mixcell").nth(6)
    cell.click()
    harness.until(lambda: cell.get_attribute("aria-selected") == "true", what="the cell")
    harness.until(lambda: hash_of(result) != before, what="the cell in large")
    editor.scroll_into_view_if_needed()  # one that nobody sees is sent nothing
    harness.until(lambda: hash_of(editor) != edited, what="the mix in the editor")
    message = mixer.locator(".l2l-message")
    harness.until(lambda: "Sent to the sliders" in message.inner_text(), what="the word about it")
    w = "bool((session.state.w == view.state.cell(1, 2).w).all())"
    harness.until(lambda: harness.evaluate_in_kernel(page, w) == "True", what="the cell's w")
    harness.picture_of(page, mixer, "IdentityMixer")


def test_sliders_travel_with_the_mouse_and_pictures_are_taken(opened):
    page = opened
    mixer = page.locator(".l2l-mixer")
    result = mixer.locator(".l2l-mix canvas")
    slider = mixer.get_by_label("Identity", exact=True)
    harness.bring_into_sight(page, mixer)
    (_, to), y = point_at(slider, 1.0, 0.3)
    page.mouse.down()
    before = hash_of(result)
    page.mouse.move(to, y, steps=8)
    page.mouse.up()
    harness.until(lambda: hash_of(result) != before, what="a picture on the way")
    share = "round(view.state.shares['identity'], 2)"
    harness.until(lambda: 0.2 < float(harness.evaluate_in_kernel(page, share)) < 0.4)
    harness.settle(page, mixer)  # each picture brings the slider where it was drawn
    # the same with the keyboard: to one end, and a step back
    slider.focus()
    page.keyboard.press("Home")
    harness.until(lambda: float(harness.evaluate_in_kernel(page, share)) == 0, what="the end")
    harness.settle(page, mixer)
    page.keyboard.press("ArrowRight")
    harness.until(lambda: 0 < float(harness.evaluate_in_kernel(page, share)) < 0.2, what="a step")
    words = mixer.locator(".l2l-share").first
    harness.until(lambda: "% of 1" in words.inner_text(), what="the share in words")
    mixer.get_by_label("Where the sliders travel").select_option("z")
    harness.until(lambda: harness.evaluate_in_kernel(page, "view.state.space") == "'z'")

    seed = mixer.get_by_label("Attributes: seed")
    seed.fill("77")
    seed.press("Enter")
    caption = mixer.locator(".l2l-attributes figcaption")
    harness.until(lambda: "77" in caption.inner_text(), what="the new face")
    path = harness.evaluate_in_kernel(page, "str(Path('dropped.png').resolve())").strip("'")
    well, beside = mixer.locator(".l2l-identity canvas"), mixer.locator(".l2l-input canvas").nth(4)
    drawn, row = hash_of(well), hash_of(beside)
    mixer.get_by_label("Identity: a file").set_input_files(path)
    caption = mixer.locator(".l2l-identity figcaption")
    harness.until(lambda: "your picture" in caption.inner_text(), what="the picture's name")
    harness.until(lambda: hash_of(well) != drawn, what="the picture, in a message of its own")
    harness.until(lambda: hash_of(beside) != row, what="the picture beside its row")
    kept = "[view.faces['identity'].get('data'), view.cells['rows'][0].get('data')]"
    harness.until(
        lambda: harness.evaluate_in_kernel(page, kept) == "[None, None]", what="a state without it"
    )
    mixer.get_by_role("button", name="Swap").click()
    harness.until(lambda: "77" in caption.inner_text(), what="the two faces exchanged")


@pytest.mark.parametrize("width", [900, 1280])
def test_what_stands_below_a_face_stands_on_one_line(opened, width):
    opened.set_viewport_size({"width": width, "height": 900})
    line = opened.locator(".l2l-mixer .l2l-attributes ~ .l2l-line")
    tops = "e => [...e.children].filter(c => c.offsetWidth).map(c => c.getBoundingClientRect().top)"
    try:
        harness.until(lambda: len(set(line.evaluate(tops))) == 1, what="one line")
        assert len(harness.steady(lambda: line.evaluate(tops))) == 3
        assert line.get_by_role("button", name="Picture").is_visible()
    finally:
        opened.set_viewport_size({"width": 1280, "height": 900})


def test_a_wrong_face_is_a_line_and_nothing_is_left_in_the_log(opened):
    page = opened
    mixer = page.locator(".l2l-mixer")
    seed = mixer.get_by_label("Identity: seed")
    seed.fill("-4")
    seed.press("Enter")
    message = mixer.locator(".l2l-message")
    harness.until(lambda: "seed is -4" in message.inner_text(), what="the line")
    marked = "(e) => e.classList.contains('l2l-has-error')"
    harness.until(lambda: mixer.evaluate(marked), what="its mark")
    fits = "(e) => e.scrollWidth <= e.clientWidth + 1"
    harness.until(lambda: mixer.evaluate(fits), what="a view that fits its cell")
    assert harness.kernel_errors(page) == []
    assert harness.cell_errors(page) == []
    assert page.faults == []
