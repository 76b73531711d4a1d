"""PhotoInverter in a real JupyterLab: a file, the mouse on the square, keys, the descent."""

from __future__ import annotations

import pytest

from . import harness
from .test_identity_mixer import hash_of

pytestmark = pytest.mark.browser

CELLS = (
    """from pathlib import Path
from PIL import Image
from l2l_widgets import EditSession, FaceEditor, PhotoInverter, load
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import to_pil
from l2l_widgets.inversion import InversionSettings
face = to_pil(render(sample_factors(3, seed=5), 128).image[2])
photo = Image.new("RGB", (420, 300), (120, 130, 140))
photo.paste(face, (200, 90))
photo.save("me.png")
session = EditSession(load(), seed=3)
view = PhotoInverter(session, settings=InversionSettings(steps=40, candidates=16))
view""",
    """editor = FaceEditor(session)
editor""",
)


@pytest.fixture(scope="module")
def opened(page, address, folder):
    harness.write_notebook(folder, "photo.ipynb", *CELLS)
    harness.open_notebook(page, address, "photo.ipynb", timeout=600)
    page.locator(".l2l-photo .l2l-drop-here").wait_for(timeout=600_000)
    return page


def count(view):
    return int(view.get_attribute("data-count") or 0)


def square(page):
    text = harness.evaluate_in_kernel(page, "tuple(vars(view.work.square).values())")
    return [float(v) for v in text.strip("()").split(",")]


def test_a_chosen_photo_is_found_placed_by_mouse_and_keys_and_sent(opened):
    page = opened
    view = page.locator(".l2l-photo")
    assert "stays on this machine" in view.locator(".l2l-consent").inner_text()
    path = harness.evaluate_in_kernel(page, "str(Path('me.png').resolve())").strip("'")
    view.get_by_label("A photo", exact=True).set_input_files(path)
    likeness = view.locator(".l2l-likeness canvas")
    harness.until(lambda: count(view) >= 1, 300, what="the first look")
    harness.until(lambda: hash_of(likeness) != 0, what="the likeness")
    how = view.locator(".l2l-how")
    harness.until(lambda: "me.png" in how.inner_text(), what="how it was found")
    x, y, side, _ = square(page)
    assert 200 < x < 328, "around the face"
    assert 90 < y < 218

    canvas = view.locator(".l2l-photo-canvas canvas")
    scale = canvas.bounding_box()["width"] / 420
    seen = count(view)
    canvas.hover(position={"x": x * scale, "y": y * scale})  # where it stands still
    box = canvas.bounding_box()
    page.mouse.down()
    page.mouse.move(box["x"] + (x + 30) * scale, box["y"] + (y - 10) * scale, steps=6)
    page.mouse.up()
    harness.until(lambda: abs(square(page)[0] - x - 30) < 3, what="the dragged square")
    harness.settle(page, view)
    assert abs(square(page)[2] - side) < 1, "moved, not sized"
    harness.until(lambda: count(view) > seen, what="a look at the new cut")
    canvas.focus()
    before = square(page)
    for key in ("ArrowLeft", "ArrowLeft", "+", "]"):
        page.keyboard.press(key)
    harness.until(lambda: square(page)[3] > before[3] + 0.5, what="the turned square")
    after = square(page)
    assert after[0] < before[0]
    assert after[2] > before[2]

    view.get_by_role("button", name="Come closer").click()
    steps = "view.result['steps']"
    harness.until(lambda: harness.evaluate_in_kernel(page, steps) == "40", 600, what="the descent")
    harness.until(lambda: view.get_attribute("data-steps") == "40")
    for place, words in ((".l2l-meaning", "Distance to the sampled"), (".l2l-numbers", "identity")):
        told = view.locator(place)
        harness.until(lambda t=told, w=words: w in t.inner_text(), what=words)
    harness.picture_of(page, view, "PhotoInverter")
    page.locator(".l2l-editor[data-stamp]").wait_for()
    edited = page.locator(".l2l-editor .l2l-before canvas")
    shown = hash_of(edited)
    view.get_by_role("button", name="To the sliders").click()
    edited.scroll_into_view_if_needed()  # an editor that nobody sees is sent nothing
    harness.until(lambda: hash_of(edited) != shown, what="the likeness in the editor")
    same = "bool((session.state.w == view.found.ws).all())"
    harness.until(lambda: harness.evaluate_in_kernel(page, same) == "True", what="its latent")


def test_a_descent_is_stopped_and_a_bad_file_is_a_line(opened, folder):
    page = opened
    view = page.locator(".l2l-photo")
    harness.evaluate_in_kernel(
        page, "setattr(view, '_settings', InversionSettings(steps=100000, candidates=16))"
    )
    view.get_by_role("button", name="Come closer").click()
    view.get_by_role("button", name="Stop, take the best").click()
    status = view.locator(".l2l-photo-status")
    harness.until(lambda: "best so far" in status.inner_text(), 300, what="the stop")
    (folder / "none.png").write_bytes(b"no picture, whatever it is called")
    view.get_by_label("A photo", exact=True).set_input_files(str(folder / "none.png"))
    message = view.locator(".l2l-message")
    # its name would be saved with the widget's state: the line goes without it
    harness.until(lambda: "no picture that can be read" in message.inner_text(), what="the line")
    assert "none.png" not in message.inner_text()
    fits = "(e) => e.scrollWidth <= e.clientWidth + 1"
    harness.until(lambda: view.evaluate(fits), what="a view that fits its cell")
    assert harness.kernel_errors(page) == []
    assert harness.cell_errors(page) == []
    assert page.faults == []
