"""Photos as people have them: read, found, aligned, or refused by name."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import torch
from conftest import build_generator
from PIL import Image, ImageDraw

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import save_image, to_pil
from l2l_widgets.judges import Declaration, JudgeError, wrap_judge
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import (
    DetectedFace,
    PhotoError,
    align_photo,
    alignment_quad,
    cut_quad,
    find_detector,
    read_photo,
)
from l2l_widgets.photos.alignment import FFHQ, Template, crop_quad, template_from
from l2l_widgets.photos.reading import Photo


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def picture():
    """Red on the left, blue on the right, a white line at the top: it can be told how it lies."""
    made = Image.new("RGB", (80, 60), "red")
    made.paste("blue", (40, 0, 80, 60))
    made.paste("white", (0, 0, 80, 6))
    return made


# -- reading ---------------------------------------------------------------------------------------


def test_the_exif_mark_turns_a_photo_upright(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = picture.rotate(90, expand=True)
    photo = read_photo(encoded(lying, "JPEG", exif=exif, quality=95, subsampling=0))
    assert photo.size == (80, 60)
    difference = np.asarray(photo.image).astype(int) - np.asarray(picture)
    assert np.abs(difference).mean() < 6
    assert photo.notes == ("it was turned upright by its EXIF mark",)


def test_printing_colours_become_rgb(picture):
    photo = read_photo(encoded(picture.convert("CMYK"), "TIFF"))
    assert photo.image.mode == "RGB"
    assert photo.image.getpixel((10, 40))[0] > 200
    assert photo.image.getpixel((70, 40))[2] > 200
    assert any("CMYK" in note for note in photo.notes)


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = read_photo(encoded(Image.fromarray(ramp)))
    values = np.asarray(photo.image)[..., 0]
    assert values.min() == 0
    assert values.max() == 255
    assert abs(int(values[32, 0]) - 128) < 3
    assert photo.notes == ("its 16 bits became 8",)


def deep_png(kind, planes):
    """A PNG of 16 bits a colour, which Pillow cannot write: its parts by hand."""
    values = np.random.default_rng(0).integers(0, 65536, (32, 32, planes)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def part(name, content):
        sum_ = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + sum_

    head = part(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, kind, 0, 0, 0))
    body = part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def test_sixteen_bits_a_colour_are_told_too(picture):
    deep = np.asarray(picture).astype(np.uint16) * 257
    tiff = cv2.imencode(".tiff", deep[..., ::-1].copy())[1].tobytes()
    ppm = b"P6 %d %d 65535\n" % picture.size + deep.astype(">u2").tobytes()
    for data in (tiff, ppm):
        photo = read_photo(data)
        assert photo.notes == ("its 16 bits became 8",)
        assert np.abs(np.asarray(photo.image).astype(int) - np.asarray(picture)).max() <= 1
    assert read_photo(deep_png(2, 3)).notes == ("its 16 bits became 8",)
    assert "its 16 bits became 8" in read_photo(deep_png(6, 4)).notes
    for kind in ("PNG", "TIFF", "PPM"):
        assert read_photo(encoded(picture, kind)).notes == ()


def test_deep_pictures_are_read_a_strip_at_a_time():
    """Their numbers would take eight bytes a pixel and more, of which there may be 100 million."""
    side = 1500
    ramp = np.linspace(0, 1, side * side, dtype=np.float32).reshape(side, side)
    holes = ramp.copy()
    holes[0, :9] = np.nan
    deep = {
        "PNG": Image.fromarray((ramp * 65535).round().astype(np.uint16)),
        "TIFF": Image.fromarray(holes),
    }
    for kind, picture in deep.items():
        data = encoded(picture, kind)
        tracemalloc.start()
        photo = read_photo(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6 * side * side, kind
        assert photo.image.mode == "RGB"
        away = np.abs(np.asarray(photo.image)[..., 1] - ramp * 255)
        assert away.max() <= 0.51, kind


def test_what_is_transparent_becomes_white(picture):
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    photo = read_photo(encoded(clear))
    assert min(photo.image.getpixel((10, 8))) > 200
    assert any("transparent" in note for note in photo.notes)


def test_of_an_animation_the_first_frame_is_taken(picture):
    frames = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] * 3
    photo = read_photo(encoded(picture, "GIF", save_all=True, append_images=frames))
    assert photo.image.getpixel((10, 40))[0] > 200
    assert any("animated" in note for note in photo.notes)


def claimed(width, height):
    """A PNG that claims a size; its pixels are not there."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk
    data += struct.pack(">I", zlib.crc32(chunk))
    empty = zlib.compress(b"")
    idat = struct.pack(">I", len(empty)) + b"IDAT" + empty
    return data + idat + struct.pack(">I", zlib.crc32(b"IDAT" + empty))


def test_a_picture_of_a_hundred_megapixels_is_refused_before_it_is_decoded():
    with pytest.raises(
        PhotoError, match=r"14000 x 10000 is 140.0 megapixels of PNG; allowed: at most 100"
    ):
        read_photo(claimed(14000, 10000))


@pytest.mark.slow
def test_a_jpeg_of_a_hundred_megapixels_is_decoded_smaller():
    data = encoded(Image.new("RGB", (11000, 10000), "green"), "JPEG")
    photo = read_photo(data)
    assert max(photo.size) <= 4096
    assert any("boxes and squares count these" in note for note in photo.notes)
    assert abs(photo.size[0] / photo.size[1] - 1.1) < 0.01


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a film"),
        (b"certainly no picture, but long enough to be one", "no picture that can be read"),
        (encoded(Image.new("RGB", (8, 8))), "8 x 8 pixels; allowed: at least 16"),
        (encoded(Image.effect_noise((90, 90), 50))[:900], "damaged or cut short"),
    ],
)
def test_what_is_no_photo_is_named(data, says):
    with pytest.raises(PhotoError, match=says):
        read_photo(data, "me.jpg")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(PhotoError, match="no such file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotoError, match="is a folder"):
        read_photo(tmp_path)


# -- alignment -------------------------------------------------------------------------------------


def face_points(turn=0.0, scale=1.0, at=(0.0, 0.0)):
    """Five points of a face, turned clockwise by degrees."""
    points = np.array([[-20, -10], [20, -10], [0, 8], [-14, 30], [14, 30]], float)
    a = np.radians(turn)
    return scale * points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + at


def test_the_rule_is_that_of_ffhq():
    quad = alignment_quad(face_points(at=(100, 100)))
    # eyes 40 apart, mouth 40 below them: 4 eye distances beat 3.6 distances to the mouth
    np.testing.assert_allclose(quad[0], [20, 14], atol=1e-9)
    np.testing.assert_allclose(quad[2], [180, 174], atol=1e-9)


def test_68_51_and_5_points_agree_and_the_square_turns_and_grows_with_the_face():
    five = face_points()
    inner = np.zeros((51, 2))
    inner[19:25], inner[25:31], inner[31], inner[37] = five[0], five[1], five[3], five[4]
    whole = np.concatenate([np.zeros((17, 2)), inner])
    expected = alignment_quad(five)
    np.testing.assert_allclose(alignment_quad(inner), expected)
    np.testing.assert_allclose(alignment_quad(whole), expected)
    turned = alignment_quad(face_points(30, 2.0, (5, 7)))
    a = np.radians(30)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    np.testing.assert_allclose(turned, 2 * expected @ turn + [5, 7], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (np.zeros((7, 2)), r"landmarks have shape \(7, 2\)"),
        (np.full((5, 2), np.nan), "not finite"),
        (np.ones((5, 2)), "eyes and mouth in one place"),
    ],
)
def test_bad_landmarks_are_named(points, says):
    with pytest.raises(PhotoError, match=says):
        alignment_quad(points)


def test_a_template_puts_the_face_where_the_generator_has_it():
    template = template_from(np.stack([face_points(0, 0.004, (0.5, 0.45))] * 3))
    points = face_points(25, 1.7, (120, 90))
    cut = cut_quad(alignment_quad(points), template)
    # the points, seen in the cut, lie where the template's own do
    x, y = cut[3] - cut[0], cut[1] - cut[0]
    seen = (points - cut[0]) @ np.linalg.inv(np.stack([x, y]))
    np.testing.assert_allclose(seen, face_points(0, 0.004, (0.5, 0.45)), atol=1e-9)
    np.testing.assert_allclose(cut_quad(alignment_quad(points), FFHQ), alignment_quad(points))


def test_a_cut_shows_what_lies_in_the_square(picture):
    straight = crop_quad(picture, [[30, 10], [30, 30], [50, 30], [50, 10]], 20)
    np.testing.assert_allclose(
        np.asarray(straight).astype(int), np.asarray(picture.crop((30, 10, 50, 30))), atol=90
    )
    assert straight.getpixel((2, 10))[0] > 250
    assert straight.getpixel((17, 10))[2] > 250
    # a quarter turn clockwise: what was left is below
    turned = crop_quad(picture, [[50, 10], [30, 10], [30, 30], [50, 30]], 20)
    assert turned.getpixel((10, 17))[0] > 250
    assert turned.getpixel((10, 2))[2] > 250


def test_a_cut_beyond_the_edge_is_mirrored_not_black(picture):
    wide = np.asarray(crop_quad(picture, [[-40, -50], [-40, 110], [120, 110], [120, -50]], 64))
    assert wide.shape == (64, 64, 3)
    assert wide.max(axis=2).min() > 100, "no black corner"
    with pytest.raises(PhotoError, match="beside the photo"):
        crop_quad(picture, [[200, 0], [200, 20], [220, 20], [220, 0]], 16)


# -- finding ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    return Models.from_parts(build_generator(), name="tiny")  # 32 px, nothing reads it


def found(*faces):
    return lambda image: list(faces)


SMALL = DetectedFace(10, 10, 20, 20)
LARGE = DetectedFace(60, 20, 60, 60)


@pytest.fixture(scope="module")
def crowd():
    image = Image.new("RGB", (200, 120), "grey")
    draw = ImageDraw.Draw(image)
    for face, colour in ((SMALL, "red"), (LARGE, "blue")):
        draw.rectangle((face.x, face.y, face.x + face.width, face.y + face.height), fill=colour)
    return Photo(image, "crowd.jpg")


def test_the_largest_face_is_the_first_and_several_are_listed(crowd, models):
    with pytest.raises(PhotoError, match=r"2 faces; say which with --face N. 1: 60,20 60 x 60; 2"):
        align_photo(crowd, models, found(SMALL, LARGE))
    first = align_photo(crowd, models, found(SMALL, LARGE), face=1)
    assert first.image.shape == (1, 3, 32, 32)
    assert first.image[0, 2, 16, 16] > 0.9, "the blue one"
    assert (first.chosen, len(first.faces)) == (1, 2)
    assert "only its box is known" in first.notes[0]
    second = align_photo(crowd, models, found(SMALL, LARGE), face=2)
    assert second.image[0, 0, 16, 16] > 0.9
    with pytest.raises(PhotoError, match="face 3; allowed: 1 to 2"):
        align_photo(crowd, models, found(SMALL, LARGE), face=3)


def test_no_face_and_no_detector_say_what_helps(crowd, models):
    with pytest.raises(PhotoError, match=r"no face was found.*--crop x,y,side"):
        align_photo(crowd, models, found())
    with pytest.raises(PhotoError, match=r"l2l-widgets\[detect\].*--crop.*--aligned"):
        align_photo(crowd, models, None)


def test_a_picture_of_the_size_of_cut_faces_is_told_of_aligned(models):
    cut = Photo(Image.new("RGB", (256, 256), "grey"), "00001.png")
    with pytest.raises(PhotoError, match="Its size is that of a face cut as FFHQ does: --aligned"):
        align_photo(cut, models, found())
    with pytest.raises(PhotoError) as caught:
        align_photo(Photo(cut.image.resize((256, 200)), "p.png"), models, found())
    assert "FFHQ" not in str(caught.value)
    # a face that fills it, as aligned ones do; one in a corner is another matter
    note = "its size is that of a face cut as FFHQ does: take all of it (--aligned)"
    assert note in align_photo(cut, models, found(DetectedFace(50, 60, 150, 150))).notes
    assert note not in align_photo(cut, models, found(DetectedFace(10, 10, 60, 60))).notes


def test_a_square_by_hand_and_an_aligned_photo_are_not_searched(crowd, models):
    hand = align_photo(crowd, models, crop=(60, 20, 60))
    assert hand.how == "cut by hand"
    assert hand.image[0, 2].min() > 0.9
    assert hand.notes == ()
    half = align_photo(crowd, models, crop=(-30, 20, 60))
    assert half.notes == (
        f"50% of the cut lies outside the photo ({crowd.size[0]} x {crowd.size[1]} pixels) and is "
        f"filled with its mirror image, out of focus; inside it lie squares with X from 0 to "
        f"{crowd.size[0]} - SIDE, Y from 0 to {crowd.size[1]} - SIDE, SIDE up to "
        f"{min(crowd.size)}",
    )
    middle = align_photo(crowd, models, aligned=True)
    assert middle.quad[0] == (40.0, 0.0)
    for crop, says in (((500, 0, 20), "beside the photo"), ((0, 0, 1), "at least 8 pixels")):
        with pytest.raises(PhotoError, match=says):
            align_photo(crowd, models, crop=crop)
    own = Photo(Image.effect_noise((32, 32), 60).convert("RGB"), "own.png")
    assert align_photo(own, models).how == "taken as aligned"


def test_points_of_the_detector_turn_the_cut(crowd, models):
    points = tuple(map(tuple, face_points(20, 1.0, (90, 50))))
    aligned = align_photo(crowd, models, found(DetectedFace(60, 20, 60, 60, 0.9, points)))
    assert aligned.turned == pytest.approx(20)
    assert aligned.how == "aligned by the detector's 5 points"


def test_unbelievable_landmarks_leave_the_box(crowd, models):
    def elsewhere(image):
        return torch.from_numpy(face_points(80, 0.001, (0.9, 0.9)))[None]

    aligned = align_photo(crowd, models, found(LARGE), landmarks=elsewhere)
    assert any("cannot read this face" in note for note in aligned.notes)
    assert aligned.turned == pytest.approx(0)


def test_the_cascade_finds_a_face_in_a_larger_photo_and_a_turned_one():
    detector = find_detector("cascade")
    face = to_pil(render(sample_factors(3, seed=5), 128).image[2])
    seen = 0
    for turn in (0, 20):
        photo = Image.new("RGB", (420, 320), (120, 130, 140))
        photo.paste(
            face.rotate(-turn, Image.Resampling.BICUBIC, fillcolor=(120, 130, 140)), (200, 90)
        )
        for box in detector(photo):
            seen += 1
            assert 200 < box.x + box.width / 2 < 328
            assert 90 < box.y + box.height / 2 < 218
    assert seen == 2
    assert detector(Image.new("RGB", (300, 300), "grey")) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mtcnn", "detector is 'mtcnn'; allowed: cascade, yunet=FILE.onnx"),
        ("yunet", "detector is 'yunet'"),
        ("yunet=none.onnx", "no such file; wanted: face_detection_yunet"),
    ],
)
def test_a_detector_that_is_not_there_is_named(name, says):
    with pytest.raises(PhotoError, match=says):
        find_detector(name)


def test_a_yunet_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "face_detection_yunet_2023mar.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PhotoError, match="Git LFS pointer"):
        find_detector(f"yunet={path}")
    path.write_bytes(b"not a network")
    with pytest.raises(PhotoError, match="cannot be read"):
        find_detector(f"yunet={path}")


# -- landmark networks of your own -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "value", "share"),
    [("shares", 0.25, 0.25), ("pixels", 15.5, 0.25), ("signed", -0.5, 0.25)],
)
def test_a_declared_landmark_network_gives_shares(units, value, share):
    declaration = Declaration("landmarks", size=64, units=units)
    judge = wrap_judge(lambda x: torch.full((len(x), 10), value), declaration)
    torch.testing.assert_close(judge(torch.zeros(2, 3, 90, 90)), torch.full((2, 5, 2), share))


def test_five_of_many_points_can_be_named_and_a_wrong_one_is_refused():
    many = torch.linspace(0, 1, 212)
    declaration = Declaration("landmarks", size=64, five=(38, 88, 86, 52, 61))
    judge = wrap_judge(lambda x: many.expand(len(x), -1), declaration)
    points = judge(torch.zeros(1, 3, 64, 64))
    assert points.shape == (1, 5, 2)
    assert float(points[0, 0, 0]) == pytest.approx(float(many[76]))
    again = Declaration("landmarks", size=64, five=(0, 1, 2, 3, 200))
    with pytest.raises(JudgeError, match="five names point 200 of an output with 106"):
        wrap_judge(lambda x: many.expand(len(x), -1), again)
    with pytest.raises(JudgeError, match="five is"):
        Declaration("landmarks", size=64, five=(1, 2))
    with pytest.raises(JudgeError, match="units is 'miles'"):
        Declaration("landmarks", size=64, units="miles")


def test_a_picture_of_ours_is_taken_as_aligned(models, tmp_path):
    image = build_generator().synthesis(torch.zeros(1, build_generator().num_ws, 16))[0]
    save_image(tmp_path / "ours.png", image.detach(), {"l2l-recipe": "{}"}, scale=3)
    photo = read_photo(tmp_path / "ours.png")
    assert photo.ours
    assert align_photo(photo, models).how == "taken as aligned"
    assert Template() == FFHQ
