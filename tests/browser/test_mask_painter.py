"""The mask painter in a real Chromium: strokes with a real mouse, keys, files, and the clock.

It draws with the shipped networks.
"""

from __future__ import annotations

import base64
import io
import os
import statistics
from pathlib import Path

import pytest
import torch
from PIL import Image

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.masks import COLOURS, class_index, encode_mask, to_order
from l2l_widgets.models.zoo import load
from l2l_widgets.painting import PaintSession, load_painter

from . import harness
from .editor_page import Pixels
from .paint_strokes import EDITS, plain_faces, strokes
from .painter_latency import LIMIT
from .painter_page import PROBE, SHOWN, Bench, PainterPage, painter_beside

pytestmark = pytest.mark.browser

#: Faces that are painted on with the mouse, the first of `paint_strokes.plain_faces`.
PEOPLE = 5


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(4, seed=3), 64)


@pytest.fixture(scope="module")
def people():
    return plain_faces(PEOPLE, 64)


@pytest.fixture(scope="module")
def models():
    return load()


@pytest.fixture(scope="module")
def opened(page, faces, models, tmp_path_factory):
    """The shipped networks, on a face that they have never seen."""
    session = PaintSession(load_painter(models), faces.image[0], faces.mask[0])
    with painter_beside(page, session, tmp_path_factory.mktemp("painted")) as painter:
        yield painter


@pytest.fixture
def painter(opened):
    """The painter with nothing painted; what the page complained about is read at the end."""
    opened.put_back()
    yield opened
    assert opened.page.faults == []


def picture(painter):
    return painter.session.render().image


def test_a_smile_longer_hair_and_glasses_are_painted_with_the_mouse(painter):
    names = ("u_lip", "hair", "eye_g")
    before = {name: painter.count(name) for name in names}
    first = picture(painter)
    shown = painter.root.locator(".l2l-result canvas").evaluate("c => c.toDataURL()")
    painter.take("u_lip")
    painter.size(2)
    painter.stroke((0.36, 0.66), (0.5, 0.71), (0.64, 0.66))
    painter.take("hair")
    painter.size(8)
    painter.stroke((0.2, 0.4), (0.18, 0.85))
    painter.stroke((0.8, 0.4), (0.82, 0.85))
    painter.take("eye_g")
    painter.size(2)
    painter.stroke((0.3, 0.45), (0.45, 0.45), (0.45, 0.53), (0.3, 0.53), (0.3, 0.45))
    painter.stroke((0.55, 0.45), (0.7, 0.45), (0.7, 0.53), (0.55, 0.53), (0.55, 0.45))
    after = {name: painter.count(name) for name in names}
    assert all(after[name] > before[name] + 10 for name in names), (before, after)
    assert not torch.equal(picture(painter), first)
    assert painter.root.locator(".l2l-result canvas").evaluate("c => c.toDataURL()") != shown
    assert painter.root.locator(".l2l-message").inner_text() == ""
    assert "inside the area" in painter.root.locator(".l2l-change").inner_text()
    harness.picture_of(painter.page, painter.root, "MaskPainter")
    seen = painter.seen_mask()
    for name in names:  # what the page shows is what the session has
        colour = ",".join(map(str, COLOURS[class_index(name)]))
        assert seen.get(colour, 0) == after[name], name


@pytest.mark.parametrize("number", range(PEOPLE))
def test_what_the_mouse_painted_is_what_a_judge_sees(painter, models, faces, people, number):
    """A smile, longer hair and glasses, one after the other, each read by who trained nothing."""
    image, mask = people[0][number], people[1][number]
    painter.session.adopt(PaintSession(painter.model, image, mask))
    columns = [models.table.index(name) for name in EDITS.values()]
    plain = models.attribute_judge(picture(painter)[None])[0, columns]
    for i, edit in enumerate(EDITS):
        for stroke in strokes(mask, edit):
            painter.take(stroke.name)
            painter.size(stroke.size)
            painter.stroke(*stroke.points, moves=3)
        read = models.attribute_judge(picture(painter)[None])[0, columns]
        print(f"face {number}, {edit}: read as {plain[i]:.2f}, painted {read[i]:.2f}")
        if os.environ.get("L2L_SCREENSHOTS"):
            painter.settle()
            folder = Path(os.environ["L2L_SCREENSHOTS"])
            folder.mkdir(parents=True, exist_ok=True)
            painter.root.screenshot(path=folder / f"painted-{number}-{edit.replace(' ', '-')}.png")
        assert read[i] > 0.5, edit
        assert read[i] > plain[i] + 0.1, edit
        painter.button("Reset").click()
        painter.settle()
    painter.session.adopt(PaintSession(painter.model, faces.image[0], faces.mask[0]))


def test_undo_and_redo_go_in_the_order_of_time(painter):
    painter.take("hair")
    painter.stroke((0.1, 0.1), (0.3, 0.1))
    painter.take("neck_l")
    painter.stroke((0.1, 0.1), (0.3, 0.1))
    hats, hair = painter.count("neck_l"), painter.count("hair")
    assert hats > 0
    painter.page.keyboard.press("Control+z")
    painter.settle()
    assert painter.count("neck_l") == 0
    assert painter.count("hair") > hair, "the stroke below comes back, not the class in hand"
    painter.page.keyboard.press("Control+y")
    painter.settle()
    assert (painter.count("neck_l"), painter.count("hair")) == (hats, hair)
    painter.button("Undo").click()
    painter.settle()
    painter.button("Redo").click()
    painter.settle()
    assert painter.count("neck_l") == hats


def test_eraser_fill_pick_move_and_line(painter):
    session = painter.session
    painter.take("neck_l")
    painter.stroke((0.2, 0.2), (0.8, 0.2))
    painter.tool("Eraser")
    painter.size(20)
    painter.stroke((0.1, 0.2), (0.9, 0.2))
    assert torch.equal(session.mask, session.original)
    painter.take("cloth")
    painter.tool("Fill")
    painter.stroke((0.02, 0.02))
    assert int(session.mask[0, 0]) == class_index("cloth")
    painter.tool("Pick")
    row, column = (session.mask == class_index("nose")).nonzero()[0].tolist()
    nose = (column + 0.5) / 64, (row + 0.5) / 64
    painter.stroke(nose)
    row_of_nose = painter.root.locator('.l2l-class[data-label="nose"]')
    assert row_of_nose.get_attribute("aria-pressed") == "true"

    def middle():
        return float((session.mask == class_index("nose")).nonzero()[:, 1].float().mean())

    before = middle()
    painter.tool("Move")
    painter.stroke(nose, (nose[0] + 8 / 64, nose[1]))
    assert middle() == pytest.approx(before + 8, abs=1.0)
    pixels = painter.count("nose")
    painter.button("Larger").click()
    painter.settle()
    assert painter.count("nose") > pixels
    painter.take("neck_l")
    painter.tool("Line")
    painter.size(1)
    painter.stroke((0.3, 0.95), (0.5, 0.7), (0.7, 0.95))
    assert 20 <= painter.count("neck_l") <= 40, "one straight row of pixels"


def test_what_is_no_part_is_not_moved(painter):
    """With the background the whole face would be torn; what is not there has nothing to move."""
    session = painter.session
    message = painter.root.locator(".l2l-message")
    below = painter.root.locator(".l2l-actions")
    tools, top = painter.root.locator(".l2l-tools"), below.bounding_box()["y"]
    assert tools.get_by_label("Brush size").is_visible()
    painter.tool("Move")
    assert not tools.get_by_label("Brush size").is_visible(), "a part has no brush"
    assert below.bounding_box()["y"] == top, "nothing jumps"
    assert int(session.mask[1, 1]) == 0
    painter.stroke((0.02, 0.02), (0.3, 0.3))
    assert "background is no part" in message.inner_text()
    painter.take("neck_l")
    assert painter.count("neck_l") == 0
    painter.button("Larger").click()
    assert "Necklace is not in the mask" in message.inner_text()
    painter.settle()
    assert torch.equal(session.mask, session.original)


def test_a_stroke_without_end_is_kept(painter):
    """The kernel takes 20,000 points; a hand that scribbles on makes more of them."""
    painter.take("cloth")
    painter.root.locator(".l2l-canvas").hover()
    painter.page.mouse.down()
    before = len(painter.session.operations)
    painter.root.locator(".l2l-canvas").evaluate(
        """e => {
          const box = e.getBoundingClientRect();
          const share = (k, n) => Math.abs((k % (2 * n)) / n - 1) * 0.96 + 0.02;
          const places = Array.from({ length: 21000 }, (_, k) => ({
            clientX: box.left + box.width * share(k, 40),
            clientY: box.top + box.height * share(k, 9000),
          }));
          const last = { ...places.at(-1), pointerId: 1, bubbles: true };
          const event = new PointerEvent('pointermove', last);
          event.getCoalescedEvents = () => places;
          e.dispatchEvent(event);
        }"""
    )
    painter.page.mouse.up()
    painter.settle()
    assert painter.root.locator(".l2l-message").inner_text() == ""
    assert painter.count("cloth") > 0.8 * painter.session.mask.numel()
    assert before < len(painter.session.operations) <= before + 6


def test_touch_paints(painter):
    painter.root.locator(".l2l-canvas").scroll_into_view_if_needed()
    box = harness.steady(painter.root.locator(".l2l-canvas").bounding_box)
    send = painter.page.context.new_cdp_session(painter.page).send
    painter.take("neck_l")
    at = {"x": box["x"] + 60, "y": box["y"] + 40}
    send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    for k in range(1, 6):
        moved = {"x": at["x"] + 20 * k, "y": at["y"]}
        send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    painter.until(lambda: painter.count("neck_l") >= 40, "the touched stroke")
    painter.settle()


def test_style_second_mask_outside_and_files(painter, faces):
    session, folder = painter.session, painter.folder
    PaintSession(painter.model, faces.image[2], faces.mask[2]).save(folder / "other.png")
    before = picture(painter)

    def choose(use, file):
        painter.root.locator(f'input[data-use="{use}"]').set_input_files(file)

    choose("style", folder / "other.png")
    painter.until(lambda: painter.button("Own style").is_visible(), "the other style")
    painter.settle()
    assert not torch.equal(picture(painter), before)
    choose("other", folder / "other.png")
    share = painter.root.get_by_label("Towards the second mask")
    painter.until(share.is_enabled, "the second mask")
    share.focus()
    painter.page.keyboard.press("End")
    painter.until(lambda: torch.equal(session.mask, faces.mask[2]), "the second mask's turn")
    painter.button("Save mask").click()
    painter.until((folder / "mask.png").is_file, "the saved mask")
    painter.button("Save").click()
    painter.until((folder / "painted-face.png").is_file, "the saved picture")
    painter.button("Reset").click()
    painter.until(lambda: torch.equal(session.mask, session.original), "the original mask")
    painter.until(lambda: share.input_value() == "0", "the slider's own way back")
    painter.button("Undo").click()
    painter.until(lambda: share.input_value() == "1", "the slider where it was")
    painter.button("Redo").click()
    painter.settle()
    painter.root.get_by_label("Keep the outside").check()
    painter.until(lambda: session.state.keep, "the kept outside")
    painter.settle()
    assert torch.equal(picture(painter), session.image), "nothing is painted: nothing changes"
    choose("recipe", folder / "painted-face.png")
    painter.until(lambda: torch.equal(session.mask, faces.mask[2]), "the recipe's mask")
    choose("mask", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    message = painter.root.locator(".l2l-message")
    painter.until(lambda: "no picture" in message.inner_text(), "the refusal")


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_buttons_of_files_stand_on_two_lines_beside_the_file_browser(painter, faces, language):
    # a page of its own: what the other tests' page is asked is answered by their bench
    session = PaintSession(painter.model, faces.image[0], faces.mask[0])
    with harness.page_beside(painter.page, width=798) as own:
        Bench(own, session, painter.folder, language)
        root = PainterPage(own, session).root
        files = root.locator(".l2l-files button:visible, .l2l-files input:visible")
        boxes = [files.nth(i).bounding_box() for i in range(files.count())]
        assert len(boxes) == 8, "two of a face, two of a mask, two of a recipe, the second mask"
        assert len({round(b["y"] + b["height"] / 2, -1) for b in boxes}) <= 2
        saved = root.locator(".l2l-save").bounding_box()
        undo = root.locator(".l2l-actions button").first.bounding_box()
        assert saved["y"] == undo["y"], "one line for what is done to the picture"
        names = files.evaluate_all("es => es.map(e => e.getAttribute('aria-label'))")
        assert len(set(names)) == len(names), "each has a name of its own where it is read aloud"


def test_a_mask_in_the_other_order_is_asked_about(painter, faces):
    session, folder = painter.session, painter.folder
    (folder / "others.png").write_bytes(encode_mask(to_order(faces.mask[1], "bisenet")))
    convert = painter.button("Convert from BiSeNet")
    assert not convert.is_visible()
    painter.root.locator('input[data-use="mask"]').set_input_files(folder / "others.png")
    painter.until(convert.is_visible, "the question")
    assert "BiSeNet" in painter.root.locator(".l2l-message").inner_text()
    convert.click()
    painter.until(lambda: torch.equal(session.mask, faces.mask[1]), "the converted mask")
    painter.settle()
    assert not convert.is_visible()
    assert painter.root.locator(".l2l-message").inner_text() == ""


def test_two_fingers_zoom_and_paint_nothing(painter):
    painter.root.locator(".l2l-canvas").scroll_into_view_if_needed()
    box = harness.steady(painter.root.locator(".l2l-canvas").bounding_box)
    send = painter.page.context.new_cdp_session(painter.page).send
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": i} for i, x in enumerate(places)]
        send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", middle - 40)
    touch("touchStart", middle - 40, middle + 40)
    for k in range(1, 6):
        touch("touchMove", middle - 40 - 8 * k, middle + 40 + 8 * k)
    touch("touchEnd")
    zoom = painter.root.locator(".l2l-zoom")
    painter.until(lambda: zoom.inner_text() == "2×", "twice the size")
    painter.settle()
    assert torch.equal(painter.session.mask, painter.session.original)
    assert not painter.button("Redo").is_enabled(), "the first finger's dot is gone for good"
    # what lay between the fingers still does
    grown = harness.steady(painter.root.locator(".l2l-canvas").bounding_box)
    assert grown["x"] + grown["width"] / 2 == pytest.approx(middle, abs=2)
    painter.button("Zoom out").click()
    assert zoom.inner_text() == "1×"


def test_the_original_shows_while_the_result_is_held(painter):
    def shown():
        url = painter.root.locator(".l2l-result canvas").evaluate("c => c.toDataURL()")
        with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
            return Pixels(image.size, image.convert("RGB").tobytes())

    drawn = shown()
    painter.root.locator(".l2l-result .l2l-frame").hover()
    painter.page.mouse.down()
    painter.until(lambda: shown() != drawn, "the original")
    caption = painter.root.locator(".l2l-result figcaption")
    painter.until(lambda: "original" in caption.inner_text(), "the word for it")
    painter.page.mouse.up()
    painter.until(lambda: shown() == drawn, "the result again")


def test_a_stroke_shows_within_a_blink(painter):
    painter.take("hair")

    def median_of_eight():
        painter.page.evaluate(PROBE)
        for i in range(8):
            y = 0.1 + 0.05 * i
            painter.stroke((0.1, y), (0.3, y), moves=3)
            painter.until(lambda: painter.page.evaluate(SHOWN), "the stroke's picture")
        times = painter.page.evaluate("() => l2lPaint.times")
        print(f"stroke end to picture: median {statistics.median(times):.0f} ms of {len(times)}")
        assert len(times) == 8
        return statistics.median(times)

    # four times what is asked of a machine of its own, where painter_latency measures it: this one
    # is shared with other tests, and may be busy with them for a while
    harness.until(lambda: median_of_eight() < 4 * LIMIT, what="strokes that are shown in time")


def test_the_lesson_opens_in_jupyterlab_and_a_stroke_is_drawn(page, address):
    harness.open_notebook(page, address, "student_8_paint_a_face.ipynb", timeout=600)
    assert harness.cell_errors(page) == []
    painter = PainterPage(page)
    before = harness.evaluate_in_kernel(page, "hash(bytes(widget.result['data']))")
    painter.take("hat")
    painter.size(4)
    painter.stroke((0.2, 0.1), (0.8, 0.1))
    painted = "int((widget.session.mask == 14).sum() - (widget.session.original == 14).sum())"
    harness.until(
        lambda: int(harness.evaluate_in_kernel(page, painted)) > 20, what="the painted hat"
    )
    painter.settle()
    now = "hash(bytes(widget.result['data']))"
    harness.until(lambda: harness.evaluate_in_kernel(page, now) != before, what="what it draws")
    painter.button("Undo").click()
    harness.until(lambda: harness.evaluate_in_kernel(page, painted) == "0", what="the mask before")
    cells = "() => window.panel.content.model.cells.length"
    count = page.evaluate(cells)
    painter.root.locator(".l2l-result").click()
    page.keyboard.press("x")
    assert painter.button("Eraser").get_attribute("aria-pressed") == "true"
    assert page.evaluate(cells) == count, "X is the eraser's key, and cuts no cell"
    assert harness.kernel_errors(page) == []
    assert page.faults == []
