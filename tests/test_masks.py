"""Masks: the official order, the other one, and files that are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets.faceworld import MASK_CLASSES, render, sample_factors
from l2l_widgets.masks import (
    BISENET_CLASSES,
    COLOURS,
    MaskError,
    check_mask,
    colour,
    encode_mask,
    from_order,
    guess_order,
    mirror,
    one_hot,
    read_area,
    read_mask,
    resize_mask,
    to_order,
)


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(6, seed=3), 64).mask


def png(pixels, mode=None):
    stream = io.BytesIO()
    Image.fromarray(pixels, mode=mode).save(stream, format="PNG")
    return stream.getvalue()


def test_the_official_order_and_colours():
    assert MASK_CLASSES[:5] == ("background", "skin", "nose", "eye_g", "l_eye")
    assert (MASK_CLASSES[13], MASK_CLASSES[15], MASK_CLASSES[17]) == ("hair", "ear_r", "neck")
    assert sorted(BISENET_CLASSES) == sorted(MASK_CLASSES)
    assert (BISENET_CLASSES[17], BISENET_CLASSES[14], BISENET_CLASSES[10]) == (
        "hair", "neck", "nose",
    )  # fmt: skip
    assert len(set(COLOURS)) == 19
    assert (COLOURS[13], COLOURS[7]) == ((0, 0, 204), (51, 255, 255))


def test_the_orders_convert_there_and_back(faces):
    for mask in faces:
        assert torch.equal(from_order(to_order(mask, "bisenet"), "bisenet"), mask)
    only = torch.full((2, 2), 17, dtype=torch.uint8)
    assert int(from_order(only, "bisenet")[0, 0]) == MASK_CLASSES.index("hair")
    with pytest.raises(MaskError, match="order is 'mine'; allowed: official, bisenet"):
        from_order(only, "mine")


def test_the_other_order_is_detected_by_where_the_parts_lie(faces):
    for mask in faces:
        assert guess_order(mask) == "official"
        assert guess_order(to_order(mask, "bisenet")) == "bisenet"
    assert guess_order(torch.zeros(8, 8, dtype=torch.uint8)) == "official"


def test_the_other_order_is_detected_where_little_tells_them_apart():
    """The three of two hundred renders whose parts say least about their numbers."""
    rows = torch.tensor([55, 62, 75])
    for mask in render(sample_factors(80, seed=21)[rows], 64).mask:
        assert guess_order(mask) == "official"
        others = to_order(mask, "bisenet")
        with pytest.raises(MaskError, match="BiSeNet order"):
            read_mask(encode_mask(others))
        with pytest.raises(MaskError, match="official order"):
            read_mask(encode_mask(mask), order="bisenet")


def test_files_come_back_whatever_way_they_store_classes(faces):
    mask = faces[0]
    assert torch.equal(read_mask(encode_mask(mask)), mask)
    grey = mask.numpy()
    assert torch.equal(read_mask(png(grey)), mask)
    assert torch.equal(read_mask(png(np.stack([grey] * 3, -1))), mask), "as the demo stores it"
    painted = colour(mask).permute(1, 2, 0).contiguous().numpy()
    assert torch.equal(read_mask(png(painted)), mask)
    painted[mask.numpy() == 7] = (255, 204, 204)
    assert torch.equal(read_mask(png(painted)), mask), "the data set's own colour of the brow"


def indexed(pixels, colours):
    """A palette PNG: (H, W) numbers and the colour of each from 0 on."""
    picture = Image.fromarray(pixels, mode="P")
    picture.putpalette([v for rgb in colours for v in rgb])
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def test_a_palette_that_numbers_the_official_colours_otherwise_is_read_by_colour(faces):
    """As programs do that turn a coloured mask into an indexed picture."""
    mask = faces[0]
    colours = Image.fromarray(colour(mask).permute(1, 2, 0).numpy())
    stream = io.BytesIO()
    colours.quantize(19).save(stream, format="PNG")
    assert torch.equal(read_mask(stream.getvalue()), mask)
    # nor does the order in which the indices count then
    with pytest.raises(MaskError, match="looks numbered in the official order"):
        read_mask(stream.getvalue(), order="bisenet")
    # palettes that name nothing only colour the indices
    for palette in ([(0, 0, 0)] * 19, [(9 * i, i, i) for i in range(19)]):
        assert torch.equal(read_mask(indexed(mask.numpy(), palette)), mask)
    twice = [COLOURS[1]] * 19  # two numbers of one colour: the numbers count
    assert torch.equal(read_mask(indexed(mask.numpy(), twice)), mask)


def test_a_palette_of_official_colours_with_one_that_was_smoothed_is_refused_by_colour(faces):
    """Its numbers are those of the program that made it, and look like classes here."""
    mask = faces[0]
    pixels = colour(mask).permute(1, 2, 0).contiguous().numpy()
    pixels[20, 30] = (103, 20, 60)
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(20).save(stream, format="PNG")
    for order in (None, "official"):
        with pytest.raises(MaskError, match=r"colour \(103, 20, 60\) at x 30, y 20, which is no"):
            read_mask(stream.getvalue(), order=order)
    # numbers that are the classes are read, however a few of them are coloured
    own = [*COLOURS[:7], (1, 2, 3), *COLOURS[8:]]
    assert torch.equal(read_mask(indexed(mask.numpy(), own)), mask)
    turned = [COLOURS[1], COLOURS[0], *((9, i, i) for i in range(17))]
    assert torch.equal(read_mask(indexed(mask.numpy(), turned)), mask), "two by chance"


def test_an_area_whose_palette_begins_with_white_is_not_turned_inside_out():
    part = np.zeros((4, 4), np.uint8)
    part[1:3] = 1
    white_first = indexed(1 - part, [(255, 255, 255), (0, 0, 0)])
    assert torch.equal(read_area(white_first, 4), torch.from_numpy(part != 0))
    assert torch.equal(read_area(indexed(part, [(0, 0, 0)] * 2), 4), torch.from_numpy(part != 0))
    assert torch.equal(
        read_area(indexed(part, [(0, 0, 9), (9, 0, 0)]), 4), torch.from_numpy(part != 0)
    )


def test_sizes_fit_by_whole_numbers_only(faces):
    large = resize_mask(faces[0], 512)
    assert torch.equal(read_mask(encode_mask(large), side=64), faces[0])
    with pytest.raises(MaskError, match="is 64 x 64 pixels; allowed: 100 x 100"):
        read_mask(encode_mask(faces[0]), side=100)
    with pytest.raises(MaskError, match="is 60 x 64 pixels; allowed: 64 x 64"):
        read_mask(encode_mask(faces[0][:, :60]), side=64)


@pytest.mark.parametrize("read", [read_mask, read_area])
@pytest.mark.parametrize("pixels", [1, 8])
def test_a_few_pixels_are_no_mask_of_a_face(read, pixels, faces):
    few = encode_mask(torch.zeros(pixels, pixels, dtype=torch.uint8))
    with pytest.raises(MaskError, match=rf"is {pixels} x {pixels} pixels; allowed: 64 x 64, or a "):
        read(few, side=64)
    assert read(few, side=pixels).shape == (pixels, pixels), "they are what was asked for"
    assert read(encode_mask(resize_mask(faces[0], 16)), side=64).shape == (64, 64)


def test_the_other_order_is_refused_by_name_and_read_on_request(faces):
    data = encode_mask(to_order(faces[0], "bisenet"))
    with pytest.raises(MaskError, match="BiSeNet order"):
        read_mask(data, name="x.png")
    assert torch.equal(read_mask(data, order="bisenet"), faces[0])
    with pytest.raises(MaskError, match=r"x\.png looks numbered in the official order"):
        read_mask(encode_mask(faces[0]), order="bisenet", name="x.png")


def test_grey_with_a_second_channel_is_read_as_grey(faces):
    grey = faces[0].numpy()
    see_through = np.dstack([grey, np.full_like(grey, 128)])
    assert torch.equal(read_mask(png(see_through)), faces[0])


def test_what_is_no_mask_is_refused_by_name():
    with pytest.raises(MaskError, match="no picture"):
        read_mask(b"hello")
    with pytest.raises(MaskError, match=r"missing\.png cannot be read"):
        read_mask("missing.png")
    with pytest.raises(MaskError, match="holds class 19; allowed: 0 to 18"):
        read_mask(png(np.full((4, 4), 19, np.uint8)))
    photo = np.zeros((4, 4, 3), np.uint8)
    photo[1, 2] = (10, 20, 30)
    with pytest.raises(MaskError, match=r"colour \(10, 20, 30\) at x 2, y 1"):
        read_mask(png(photo))
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, format="JPEG")
    with pytest.raises(MaskError, match="is a JPEG"):
        read_mask(stream.getvalue())
    with pytest.raises(MaskError, match="kind 'I;16'"):
        read_mask(png(np.zeros((4, 4), np.uint16)))
    with pytest.raises(MaskError, match=r"dtype torch\.float32"):
        check_mask(torch.zeros(4, 4))
    with pytest.raises(MaskError, match="class -1"):
        check_mask(torch.full((4, 4), -1))
    with pytest.raises(MaskError, match="4 x 4 pixels; allowed here: 8 x 8"):
        check_mask(torch.zeros(4, 4, dtype=torch.int64), side=8)


def test_the_file_of_one_part_is_known_for_what_it_is(tmp_path):
    part = np.zeros((4, 4), np.uint8)
    part[1:3] = 255
    (tmp_path / "00000_hair.png").write_bytes(png(part))
    with pytest.raises(MaskError, match=r"looks like one part's file \(0, and 255 .* for hair 13 "):
        read_mask(tmp_path / "00000_hair.png")
    with pytest.raises(MaskError, match=r"--read-mask .* part's pixels its number \(0 to 18"):
        read_mask(png(np.stack([part] * 3, axis=-1)), name="mine.png")
    part[1:3] = 13
    assert read_mask(png(part)).unique().tolist() == [0, 13]


def test_an_area_is_whatever_is_not_black(faces):
    part = np.zeros((4, 4), np.uint8)
    part[1:3] = 255
    inside = torch.from_numpy(part != 0)
    assert torch.equal(read_area(png(part), 4), inside)
    assert torch.equal(read_area(png(np.stack([part, part * 0, part * 0], axis=-1)), 4), inside)
    assert torch.equal(read_area(encode_mask(faces[0]), faces.shape[-1]), faces[0] != 0)
    assert read_area(png(part.repeat(4, 0).repeat(4, 1)), 32).shape == (32, 32)
    with pytest.raises(MaskError, match="area is 4 x 4 pixels; allowed: 6 x 6"):
        read_area(png(part), 6)


def test_a_mirrored_mask_changes_sides_and_names(faces):
    turned = mirror(faces[0])
    assert torch.equal(mirror(turned), faces[0])
    left, right = (faces[0] == 4).sum(), (turned == 5).sum()
    assert left == right
    assert torch.equal((turned == 5), (faces[0] == 4).flip(-1))


def test_planes_add_up_to_one(faces):
    planes = one_hot(faces)
    assert planes.shape == (6, 19, 64, 64)
    assert torch.equal(planes.argmax(1).to(torch.uint8), faces)
    assert torch.equal(planes.sum(1), torch.ones(6, 64, 64))
