"""Two photographs of people that come with libraries: Grace Hopper's and an astronaut's.

Both are in the public domain; matplotlib and scikit-image ship them. What the eyes' places are was
read off the pictures by eye.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import build_generator
from matplotlib.cbook import get_sample_data
from PIL import Image
from skimage import data

from l2l_widgets.cli import main
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import Photo, PhotoError, align_photo, find_detector
from l2l_widgets.photos.detection import DetectedFace
from l2l_widgets.photos.eyes import best_pair
from l2l_widgets.photos.work import PhotoWork

EYES = {"hopper": ((224, 192), (305, 188)), "astronaut": ((203, 102), (248, 104))}


def photograph(name):
    if name == "astronaut":
        return Image.fromarray(data.astronaut())
    with get_sample_data("grace_hopper.jpg") as stream:
        return Image.open(stream).convert("RGB")


@pytest.fixture(scope="module")
def detector():
    return find_detector("cascade")


@pytest.fixture(scope="module")
def models():
    return Models.from_parts(build_generator(), name="tiny")  # 32 px, nothing reads it


def turned_with(photo, points, degrees):
    """A photo turned clockwise about its middle, and where its points went."""
    middle = np.array(photo.size) / 2
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    image = photo.rotate(-degrees, Image.Resampling.BICUBIC)
    return image, (np.array(points) - middle) @ turn + middle


@pytest.mark.parametrize("name", EYES)
@pytest.mark.parametrize("degrees", [0, -9])
def test_the_eyes_are_found_and_come_to_lie_where_ffhq_has_them(detector, models, name, degrees):
    image, eyes = turned_with(photograph(name), EYES[name], degrees)
    apart = np.hypot(*(eyes[1] - eyes[0]))
    (face,) = detector(image)
    assert np.hypot(*(np.array(face.eyes) - eyes).T).max() < 0.12 * apart
    aligned = align_photo(Photo(image, name), models, detector)
    assert aligned.how == "aligned by the eyes"
    assert not any("only its box" in note for note in aligned.notes)
    corner, down, _, across = np.array(aligned.quad)
    square = np.stack([across - corner, down - corner])
    share = (eyes - corner) @ np.linalg.inv(square)  # where the eyes lie in the cut
    assert share[:, 0] == pytest.approx([0.375, 0.625], abs=0.03)
    assert share[:, 1] == pytest.approx([0.4725, 0.4725], abs=0.03)


def test_a_small_a_dark_and_a_mirrored_photo_are_read(detector):
    photo = photograph("astronaut")
    left, right = np.array(EYES["astronaut"])
    mirrored = [(511 - right[0], right[1]), (511 - left[0], left[1])]
    for image, eyes in (
        (photo.resize((256, 256), Image.Resampling.LANCZOS), np.array(EYES["astronaut"]) / 2),
        (photo.point(lambda v: v * 0.35), EYES["astronaut"]),
        (photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mirrored),
    ):
        (face,) = detector(image)
        apart = eyes[1][0] - eyes[0][0]
        assert np.abs(np.array(face.eyes) - np.array(eyes)).max() < 0.12 * apart


@pytest.mark.parametrize(
    ("moved", "how"),
    [
        (0.0, "aligned by 5 landmarks"),
        (0.1, "aligned by the eyes"),  # the mouth on the chin
        (-0.2, "aligned by the eyes"),  # under the nose, where it changes nothing but the middle
    ],
)
def test_landmarks_that_contradict_the_eyes_are_not_believed(moved, how):
    face = DetectedFace(50, 50, 100, 100, eyes=((80, 90), (120, 90)))
    photo = Photo(Image.effect_noise((200, 200), 60).convert("RGB"), "noise.png")
    square = [(0.375, 0.4725), (0.625, 0.4725), (0.5, 0.6), (0.4, 0.7475), (0.6, 0.7475)]

    def read(images):
        points = torch.tensor(square)[None].repeat(len(images), 1, 1)
        if images.shape[-1] > 32:  # the photo, not the generator's own faces
            points[:, 3:, 1] += moved
        return points

    fresh = Models.from_parts(build_generator(), name="tiny")
    assert align_photo(photo, fresh, lambda image: [face], landmarks=read).how == how


def test_what_counts_as_a_pair_of_eyes():
    both = [(0.33, 0.37, 20, 0), (0.34, 0.37, 9, 1), (0.69, 0.36, 20, 0), (0.68, 0.36, 9, 1)]
    left, right = best_pair(np.array(both))
    assert left == pytest.approx((0.333, 0.37), abs=0.01)
    assert right == pytest.approx((0.687, 0.36), abs=0.01)
    alone = np.array(both)
    alone[:, 3] = 0  # one voter that sees each eye twice
    for votes in (
        alone, np.array(both)[:2], np.zeros((0, 4)),
        np.array(both) * [1, 0.2, 1, 1],  # on the forehead
        np.array(both) * [0.3, 1, 1, 1],  # at the edge, too near to each other
        np.array(both) + np.array([[0, 0, 0, 0]] * 2 + [[0, 0.2, 0, 0]] * 2),  # too steep
    ):  # fmt: skip
        assert best_pair(votes) == ()


@pytest.mark.slow
def test_a_photograph_becomes_a_likeness_and_the_command_says_so(tmp_path, capsys):
    path, out = tmp_path / "hopper.jpg", tmp_path / "found"
    photograph("hopper").save(path)
    typed = ["invert", str(path), "--out", str(out), "--steps", "12"]
    assert main(typed) == 0
    said = capsys.readouterr().out
    assert "aligned by the eyes" in said
    assert "becomes its likeness there, not itself" in said
    found = json.loads((out / "inversion.json").read_text(encoding="utf-8"))
    assert found["loss"] < found["start_loss"]
    with Image.open(out / "picture.png") as picture, Image.open(out / "inverted.png") as drawn:
        cut, likeness = (
            np.asarray(p.convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=float)
            for p in (picture, drawn)
        )
    # the backdrop's blue and the face's red stay where they are
    red, again = (p[..., 0] - p[..., 2] for p in (cut, likeness))
    assert np.corrcoef(red.flat, again.flat)[0, 1] > 0.4


@pytest.mark.slow
def test_a_photo_on_its_side_and_two_people_are_named(detector, models):
    side = Photo(photograph("astronaut").transpose(Image.Transpose.ROTATE_90), "side.jpg")
    with pytest.raises(PhotoError, match=r"no face was found.*turned to the right"):
        align_photo(side, models, detector)
    work = PhotoWork(models, detector)
    work.take(side)
    assert work.notes[0] == "no face was found: move the square"
    assert "if it is turned to the right: turn the file so first" in work.notes[1]
    both = Image.new("RGB", (1030, 600), "grey")
    both.paste(photograph("hopper"), (0, 0))
    both.paste(photograph("astronaut"), (515, 0))
    with pytest.raises(PhotoError, match="2 faces; say which with --face N"):
        align_photo(Photo(both, "both.jpg"), models, detector)
