"""The mask painter's page against its kernel: the arithmetic of strokes, and files of every kind.

It draws with the shipped networks, and the shipped parser sees what comes without a mask.
"""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import encode_jpeg, load_whole, save_image
from l2l_widgets.masks import COLOURS, class_index, encode_mask
from l2l_widgets.models.zoo import load
from l2l_widgets.painting import PaintSession, load_painter
from l2l_widgets.painting.strokes import stroke
from l2l_widgets.widgets.stylesheet import STATIC

from . import harness
from .painter_page import painter_beside

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(3, seed=3), 64)


@pytest.fixture(scope="module")
def opened(page, faces, tmp_path_factory):
    models = load()
    session = PaintSession(load_painter(models), faces.image[0], faces.mask[0], models.parser)
    with painter_beside(page, session, tmp_path_factory.mktemp("files")) as painter:
        yield painter


@pytest.fixture
def painter(opened):
    """The painter with nothing painted; what the page complained about is read at the end."""
    opened.put_back()
    yield opened
    assert opened.page.faults == []


def choose(painter, use, file):
    painter.root.locator(f'input[data-use="{use}"]').set_input_files(file)


def drop(painter, data, name, kind, on=".l2l-result .l2l-frame"):
    """Let a file fall on the picture that is drawn, or elsewhere; whether the page took the event.

    What it does not take the browser opens in place of the notebook.
    """
    transfer = painter.page.evaluate_handle(
        """([text, name, type]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          if (name) transfer.items.add(new File([bytes], name, { type }));
          else transfer.setData('text/plain', atob(text));
          return transfer;
        }""",
        [base64.b64encode(data).decode(), name, kind],
    )
    return painter.root.locator(on).first.evaluate(
        """(e, dataTransfer) => ['dragover', 'drop'].every((kind) => {
          const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
          e.dispatchEvent(event);
          return event.defaultPrevented;
        })""",
        transfer,
    )


def message(painter):
    return painter.root.locator(".l2l-message").inner_text()


# -- strokes ---------------------------------------------------------------------------------------


def random_strokes(count):
    """Ways of a hand, some over the edge, their points in thousandths as the page has them."""
    generator = np.random.default_rng(0)
    for k in range(count):
        side = (64, 64, 128, 256)[k % 4]
        points = generator.normal(side / 2, side / 3, (1 + k % 9, 2))
        if k % 5 == 0:  # short ways, as a slow hand makes them
            points = points[:1] + generator.normal(0, 1.5, points.shape).cumsum(0)
        if k % 7 == 0:  # along the pixels' edges, where the middles of many are just as far away
            points = points.round()
            points[:, k % 2] = points[0, k % 2]
        if k % 11 == 0:  # and from the middle of one to that of another
            points = np.floor(points) + 0.5
        size = (
            float(generator.integers(1, 26))
            if k % 3
            else round(float(generator.uniform(0.1, 9)), 2)
        )
        yield side, points.round(3), size


def test_the_page_covers_the_pixels_that_the_kernel_covers(opened):
    """Point by point: what is seen under the brush is what is kept."""
    asked = list(random_strokes(200))
    script = (STATIC / "paint" / "mask_canvas.js").read_text(encoding="utf-8")
    with harness.page_beside(opened.page) as own:
        own.add_script_tag(content=script)
        text = own.evaluate(  # as text: a list of numbers takes a browser's line far longer
            """asked => JSON.stringify(JSON.parse(asked).map(
              ([side, points, size]) => [...strokePixels(side, points, size)]))""",
            json.dumps([[side, points.tolist(), size] for side, points, size in asked]),
        )
    seen = json.loads(text)
    covered = 0
    for (side, points, size), pixels in zip(asked, seen, strict=True):
        kept = stroke(side, points, size).flatten().nonzero()[:, 0].tolist()
        assert set(pixels) ^ set(kept) == set(), (side, points.tolist(), size)
        covered += len(kept)
    assert covered > 100_000


@pytest.mark.parametrize("tool", ["Brush", "Line", "Eraser"])
def test_a_stroke_under_way_looks_as_the_kernel_has_it(painter, tool):
    """While the button is down the page shows its own pixels, whatever the kernel answers."""
    session = painter.session
    painter.take("neck_l")
    painter.size(9)
    painter.stroke((0.2, 0.3), (0.8, 0.35))
    painter.tool(tool)
    painter.size(5)
    box = painter.root.locator(".l2l-canvas").bounding_box()
    mouse = painter.page.mouse
    mouse.move(box["x"] + 0.31 * box["width"], box["y"] + 0.2 * box["height"])
    mouse.down()
    for x, y in ((0.37, 0.33), (0.52, 0.31), (0.533, 0.6), (0.8, 0.97)):
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    painter.settle()
    before, seen = session.mask, shown_mask(painter)
    mouse.up()
    painter.settle()
    assert len(session.operations[-1]["points"]) > 1
    assert torch.equal(seen, before)
    assert torch.equal(shown_mask(painter), session.mask)


def shown_mask(painter):
    """The page's own copy of the mask, read off its colours: (64, 64) uint8."""
    pixels = painter.root.locator(".l2l-over").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    rows = np.array(pixels, np.uint8).reshape(-1, 4)
    classes = {colour: i for i, colour in enumerate(COLOURS)}
    found = [classes[tuple(row[:3].tolist())] if row[3] == 255 else 0 for row in rows]
    return torch.tensor(found, dtype=torch.uint8).reshape(64, 64)


# -- files -----------------------------------------------------------------------------------------


def test_a_picture_that_falls_on_the_drawing_gives_its_style(painter, faces):
    """Any picture: the parser finds the mask of one that carries none."""
    session = painter.session
    own = session.render().image
    drop(painter, encode_jpeg(faces.image[1], 95, 4), "other.jpg", "image/jpeg")
    painter.until(lambda: session.state.style is not None, "the style of what was dropped")
    painter.settle()
    picture, mask = session.state.style
    assert float((picture - faces.image[1]).abs().mean()) < 0.1
    assert float((mask == faces.mask[1]).float().mean()) > 0.8, "as the parser sees it"
    assert not torch.equal(session.render().image, own)
    assert painter.button("Own style").is_visible()
    assert message(painter) == ""
    drop(painter, b"some words", "notes.txt", "text/plain")
    painter.until(lambda: "not a picture file" in message(painter), "the refusal")
    assert torch.equal(session.state.style[0], picture)
    painter.button("Own style").click()
    painter.settle()
    assert torch.equal(session.render().image, own)


def test_a_recipe_is_written_as_json_and_opened_again(painter):
    session, folder = painter.session, painter.folder
    painter.take("hat")
    painter.size(6)
    painter.stroke((0.2, 0.1), (0.8, 0.12))
    painter.root.get_by_label("Keep the outside").check()
    painter.settle()
    done, mask = session.operations, session.mask
    painter.button("Save recipe").click()
    painter.until((folder / "painting.json").is_file, "the saved recipe")
    painter.settle()
    assert json.loads((folder / "painting.json").read_text())["operations"] == done
    painter.button("Reset").click()
    painter.settle()
    assert not torch.equal(session.mask, mask)
    choose(painter, "recipe", folder / "painting.json")
    painter.until(lambda: session.operations == done, "what the recipe did")
    painter.settle()
    assert torch.equal(session.mask, mask)
    assert torch.equal(shown_mask(painter), mask)
    assert painter.root.get_by_label("Keep the outside").is_checked()
    painter.button("Undo").click()
    painter.settle()
    assert session.operations == done[:-1], "each of its operations is a step of undo"


def test_a_walk_begins_at_what_was_painted_and_leaves_later_strokes(painter, faces):
    session, folder = painter.session, painter.folder
    painter.take("neck_l")
    painter.size(4)
    painter.stroke((0.1, 0.05), (0.4, 0.05))
    painted = session.mask
    (folder / "second.png").write_bytes(encode_mask(faces.mask[2]))
    share = painter.root.get_by_label("Towards the second mask")
    choose(painter, "other", folder / "second.png")
    painter.until(share.is_enabled, "the second mask")
    assert torch.equal(session.mask, painted), "no jump"
    share.focus()
    painter.page.keyboard.press("ArrowRight")
    painter.until(lambda: session.state.walk.share == 0.05, "the first step")
    painter.settle()
    assert float((session.mask != painted).float().mean()) < 0.03
    share.evaluate(
        """e => {
          e.value = 0.5;
          for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind));
        }"""
    )
    painter.until(lambda: session.state.walk.share == 0.5, "half of the way")
    painter.settle()
    painter.take("hat")
    painter.stroke((0.6, 0.95), (0.9, 0.95))
    hats = (session.mask == class_index("hat"))[58:]
    assert int(hats.sum()) > 50
    share.focus()
    painter.page.keyboard.press("End")
    painter.until(lambda: session.state.walk.share == 1, "the end of it")
    painter.settle()
    assert torch.equal((session.mask == class_index("hat"))[58:] & hats, hats)
    assert torch.equal(session.mask[:56], faces.mask[2][:56])
    assert torch.equal(shown_mask(painter), session.mask)
    painter.root.screenshot(path=folder / "walk.png")
    for at in (0.5, 0.5, 0.05, 0):
        painter.button("Undo").click()
        painter.settle()
        assert (session.state.walk.share, float(share.input_value())) == (at, at)
    assert torch.equal(session.mask, painted)
    painter.button("Undo").click()
    painter.settle()
    assert not share.is_enabled(), "with that the second mask is gone"
    assert torch.equal(session.mask, painted), "and nothing else"


def test_an_opened_photo_is_saved_at_its_own_size_where_its_outside_is_kept(painter, faces):
    session, folder = painter.session, painter.folder
    save_image(folder / "photo.png", faces.image[1][:, :, 2:62], scale=4)
    choose(painter, "face", folder / "photo.png")
    painter.until(lambda: session.photo is not None, "the photo")
    painter.settle()
    painter.take("hat")
    painter.size(6)
    painter.stroke((0.3, 0.06), (0.7, 0.06))
    painter.root.get_by_label("Keep the outside").check()
    painter.settle()
    painter.button("Save").click()
    painter.until((folder / "painted-face.png").is_file, "the saved picture")
    painter.settle()
    with Image.open(folder / "painted-face.png") as saved:
        assert saved.size == (240, 256)
    kept, whole = load_whole(folder / "painted-face.png"), load_whole(folder / "photo.png")
    assert torch.equal(kept[:, 100:], whole[:, 100:])
    assert not torch.equal(kept[:, :60], whole[:, :60])
    painter.root.screenshot(path=folder / "photo-shot.png")


def test_a_mask_is_dropped_on_the_mask_and_nothing_falls_through_the_painter(painter, faces):
    session = painter.session
    assert drop(painter, encode_mask(faces.mask[2]), "m.png", "image/png", ".l2l-canvas")
    painter.until(lambda: torch.equal(session.mask, faces.mask[2]), "the dropped mask")
    painter.settle()
    done = len(session.operations)
    for place in (".l2l-tools", ".l2l-palette", ".l2l-consent"):
        assert drop(painter, b"words", "notes.txt", "text/plain", place)
    assert drop(painter, b"https://example.org", "", "")
    assert "no file" in message(painter)
    painter.settle()
    assert len(session.operations) == done


def test_a_saved_painting_is_loaded_as_the_mask_that_it_has(painter, faces):
    session, folder = painter.session, painter.folder
    PaintSession(painter.model, faces.image[1], faces.mask[1]).save(folder / "whole.png")
    choose(painter, "mask", folder / "whole.png")
    painter.until(lambda: torch.equal(session.mask, faces.mask[1]), "the painting's mask")
    painter.settle()
    assert message(painter) == ""
