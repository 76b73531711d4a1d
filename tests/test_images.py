"""Images to bytes and back."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from l2l_widgets.images import (
    encode_jpeg,
    encode_png,
    from_uint8,
    grid,
    load_image,
    picture_format,
    read_png_text,
    save_image,
    to_pil,
    to_uint8,
)


def picture(height=8, width=6, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(3, height, width, generator=random) * 2 - 1


def test_every_byte_survives_the_way_there_and_back():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(pixels)), pixels)
    assert to_uint8(torch.tensor([-1.0, 1.0, -3.0, 3.0])).tolist() == [0, 255, 0, 255]
    with pytest.raises(ValueError, match="uint8"):
        from_uint8(torch.zeros(3))


def test_png_holds_the_exact_pixels_and_the_text():
    image = picture()
    text = {"l2l-recipe": '{"seed": 7}', "note": "größer"}
    data = encode_png(image, text)
    decoded = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(decoded, to_uint8(image).permute(1, 2, 0).numpy())
    assert read_png_text(data) == text
    assert read_png_text(encode_png(image)) == {}


def test_scale_enlarges():
    assert to_pil(picture(8, 6), scale=4).size == (24, 32)
    assert Image.open(io.BytesIO(encode_jpeg(picture(8, 6), scale=2))).size == (12, 16)


def test_jpeg_is_close():
    smooth = torch.linspace(-1, 1, 64).expand(3, 64, 64)
    decoded = np.asarray(Image.open(io.BytesIO(encode_jpeg(smooth))), dtype=float)
    assert np.abs(decoded - to_uint8(smooth).permute(1, 2, 0).numpy()).max() <= 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_pil(torch.zeros(1, 8, 8)), r"image has shape \(1, 8, 8\)"),
        (lambda: to_pil(torch.zeros(2, 3, 8, 8)), r"image has shape \(2, 3, 8, 8\)"),
        (lambda: to_pil(torch.full((3, 2, 2), float("nan"))), "not finite"),
        (lambda: to_pil(picture(), scale=0), "scale is 0"),
        (lambda: to_pil(picture(), scale=2.0), r"scale is 2\.0"),
        (lambda: encode_jpeg(picture(), quality=101), "quality is 101"),
        (lambda: grid(torch.zeros(3, 4, 4), 2), r"images have shape \(3, 4, 4\)"),
        (lambda: grid(torch.zeros(1, 3, 4, 4), 0), "columns is 0"),
        (lambda: grid(torch.zeros(1, 3, 4, 4), 1, gap=-1), "gap is -1"),
        (lambda: load_image(b"GIF89a", 8), "picture: "),
        (lambda: load_image("no_such.png", 8), "no_such.png"),
        (lambda: load_image(encode_png(picture()), 0), "resolution is 0"),
        (lambda: read_png_text(encode_jpeg(picture())), "not a PNG"),
        (lambda: read_png_text(encode_png(picture(64, 64))[:-200]), "picture: "),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert len(str(error.value).splitlines()) == 1


def test_save_image_is_whole_or_not_there(tmp_path):
    path = tmp_path / "face.png"
    save_image(path, picture(), {"key": "value"})
    assert read_png_text(path) == {"key": "value"}
    with pytest.raises(ValueError, match=r"face\.gif"):
        save_image(tmp_path / "face.gif", picture())
    with pytest.raises(ValueError, match="carries text"):
        save_image(tmp_path / "face.jpg", picture(), {"key": "value"})
    with pytest.raises(ValueError, match=r"cannot make the folder .*face\.png"):
        save_image(path / "face.png", picture())  # a file is in the way
    assert [p.name for p in tmp_path.iterdir()] == ["face.png"]
    save_image(tmp_path / "missing" / "deep" / "face.png", picture())
    assert (tmp_path / "missing" / "deep" / "face.png").is_file()


def test_a_picture_is_known_by_its_first_bytes():
    assert picture_format(encode_png(picture())) == "PNG"
    assert picture_format(encode_jpeg(picture())) == "JPEG"
    assert picture_format(b'{"format": "l2l-recipe/1"}') is None
    assert picture_format(b"") is None


def test_load_image_crops_the_middle_and_follows_the_orientation(tmp_path):
    image = picture(32, 32)
    assert torch.equal(to_uint8(load_image(encode_png(image), 32))[0], to_uint8(image))

    wide = Image.new("RGB", (30, 10), "white")
    wide.paste("black", (10, 0, 20, 10))  # the middle square
    stream = io.BytesIO()
    wide.save(stream, format="PNG")
    assert float(load_image(stream.getvalue(), 10).max()) == -1.0

    turned = Image.new("RGB", (8, 8), "black")
    turned.paste("white", (0, 0, 8, 4))  # upper half, before the mark is followed
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees
    path = tmp_path / "turned.jpg"
    turned.save(path, exif=exif, quality=100)
    loaded = load_image(path, 8)[0, 0]
    assert float(loaded[:, 6:].min()) > 0.8  # now the right half
    assert float(loaded[:, :2].max()) < -0.8


def test_a_picture_that_claims_to_be_enormous_is_refused(monkeypatch):
    monkeypatch.setattr("l2l_widgets.images.MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="too many"):
        load_image(encode_png(picture(20, 20)), 8)


def test_text_that_unpacks_to_far_more_than_it_takes_is_refused():
    info = PngImagePlugin.PngInfo()
    info.add_text("l2l-recipe", "a" * 70_000_000, zip=True)
    stream = io.BytesIO()
    Image.new("RGB", (2, 2)).save(stream, format="PNG", pnginfo=info)
    assert len(stream.getvalue()) < 1_000_000
    with pytest.raises(ValueError, match="picture: "):
        read_png_text(stream.getvalue())


def test_grid_places_images_row_by_row_on_white():
    images = torch.stack([torch.full((3, 2, 3), v) for v in (-1.0, -0.5, 0.0)])
    sheet = grid(images, columns=2, gap=1)
    assert sheet.shape == (3, 5, 7)
    assert float(sheet[0, 0, 0]) == -1.0
    assert float(sheet[0, 0, 4]) == -0.5
    assert float(sheet[0, 3, 0]) == 0.0
    assert float(sheet[0, 2].min()) == float(sheet[0, 3:, 4:].min()) == 1.0
    assert grid(images, columns=3, gap=0).shape == (3, 2, 9)
