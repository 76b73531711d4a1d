"""Generated faces beside renders: distances, shares, detectors, and the way to the training set."""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import build_attribute_net, build_generator

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation.detection import DetectorError, haar_counter
from l2l_widgets.evaluation.generated import (
    draw_faces,
    score_attributes,
    score_detection,
    score_distribution,
    score_memorisation,
)
from l2l_widgets.metrics.neighbours import nearest_rows, neighbour_ratio


def pictures(n, seed=0, side=32):
    source = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, side, side), dtype=torch.uint8, generator=source)


@pytest.fixture(scope="module")
def judge():
    return build_attribute_net(5, "transformer")


def test_faces_are_drawn_in_parts_alike():
    generator = build_generator()
    faces = draw_faces(generator, 5, seed=3, batch=2)
    assert faces.shape == (5, 3, 32, 32)
    assert faces.dtype == torch.uint8
    z = torch.randn(5, 16, generator=torch.Generator().manual_seed(3))
    whole = ((generator(z, noise_mode="const").clamp(-1, 1) + 1) * 127.5).round()
    assert (faces.float() - whole).abs().max() <= 1
    half = draw_faces(generator, 5, seed=3, side=16).float()
    assert (half - whole.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5))).abs().max() <= 1


def test_a_set_is_as_far_from_itself_as_nothing(judge):
    real, other = pictures(80), pictures(80, seed=1)
    scores = score_distribution(judge, real, real, other)
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-3)
    assert scores["frechet_floor"] >= 0
    assert scores["precision_score"] == scores["recall_score"] == 1.0
    assert scores["frechet_faces"] == [80, 80, 80]


class Brightness:
    """Reads how bright the upper and the lower half of a picture are."""

    def __call__(self, images):
        halves = images.mean(dim=(1, 3)).unflatten(1, (2, -1)).mean(dim=2)
        return (halves + 1) / 2


def test_shares_count_the_faces_that_have_an_attribute():
    fake = torch.zeros(40, 3, 8, 8, dtype=torch.uint8)
    fake[:10, :, :4] = 255
    fake[20:, :, 4:] = 200
    real = torch.zeros(40, 3, 8, 8, dtype=torch.uint8)
    real[:20, :, :4] = 255
    scores = score_attributes(Brightness(), ("upper", "lower"), fake, real)
    upper, lower = scores["share"]["upper"], scores["share"]["lower"]
    assert (upper["fake"], upper["real"], upper["ratio"]) == (0.25, 0.5, 0.5)
    assert upper["low"] < 0.25 < upper["high"]
    assert (lower["fake"], lower["real"], lower["ratio"]) == (0.5, 0.0, None)
    assert scores["spread_ratio"]["lower"] is None
    assert scores["mean_shift"]["upper"] == pytest.approx(-0.25, abs=1e-3)


@pytest.mark.parametrize("name", ["age", "hat"])
def test_equal_sets_have_equal_shares(judge, name):
    real = pictures(60)
    scores = score_attributes(judge, DEFAULT_TABLE.names, real, real)
    assert scores["share"][name]["fake"] == scores["share"][name]["real"]
    assert scores["spread_ratio"][name] == 1.0
    assert scores["correlation_error"] == 0.0


# -- detectors of real faces -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def photograph():
    """A portrait of a person, (1, 3, 160, 160) in [-1, 1], as scikit-image carries it."""
    from skimage.data import astronaut

    crop = torch.from_numpy(astronaut()[20:180, 145:305].copy())
    return crop.permute(2, 0, 1)[None].float() / 127.5 - 1


def test_cascades_find_a_photographed_face_and_its_eyes(photograph):
    flat = torch.zeros_like(photograph)
    assert haar_counter("face", 128)(torch.cat([photograph, flat])).tolist() == [1, 0]
    assert haar_counter("eyes", 160)(torch.cat([photograph, flat])).tolist() == [2, 0]


def test_a_face_without_eyes_is_found_out(photograph):
    whole = ((photograph + 1) * 127.5).byte().repeat(4, 1, 1, 1)
    blind = whole.clone()
    blind[2:] = 0
    scores = score_detection(blind, whole, count=10)
    assert scores["faces"] == 4
    assert scores["face"]["real"] == 1.0
    assert scores["face"]["fake"] == scores["face"]["ratio"] == 0.5
    assert scores["face"]["low"] < 0.5 < scores["face"]["high"]
    nothing = score_detection(whole, torch.zeros_like(whole), count=2)
    assert nothing["face"]["ratio"] is None


def test_what_the_detector_lacks_is_said(monkeypatch):
    with pytest.raises(ValueError, match="what is 'nose'; allowed: face, eyes"):
        haar_counter("nose")
    with pytest.raises(ValueError, match="side is 20"):
        haar_counter("face", 20)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DetectorError, match="opencv-python-headless 4"):
        haar_counter("face")


# -- memorisation ----------------------------------------------------------------------------------


def test_the_nearest_row_is_found_in_parts():
    known = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    distance, row = nearest_rows(known[[4, 30, 7]] + 0.01, known, chunk=2)
    assert row.tolist() == [4, 30, 7]
    assert distance.tolist() == pytest.approx([0.01 * 6**0.5] * 3, abs=1e-3)


def test_copies_are_nearer_than_unseen_pictures(judge):
    training, unseen = pictures(60), pictures(60, seed=1)
    copies = training[10:40].clone()
    copies[:, 0, 0, 0] = 0
    found = score_memorisation(judge, copies, unseen[:30], training, shown=4)
    assert found.scores["pixels"]["ratio"] < 0.1
    assert found.scores["pixels"]["closer_share"] == 1.0
    assert found.pairs["pixels"][0][1] == found.pairs["pixels"][0][0] + 10
    assert len(found.pairs["features"]) == 4
    fresh = score_memorisation(judge, pictures(30, seed=2), unseen[:30], training)
    assert fresh.scores["pixels"]["low"] <= 1.0 <= fresh.scores["pixels"]["high"]
    assert fresh.scores["pixels"]["closer_share"] < 0.3


def test_distances_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="held_out has a median distance of 0"):
        neighbour_ratio(torch.ones(3), torch.zeros(3))
    with pytest.raises(ValueError, match="generated hold values below 0"):
        neighbour_ratio(-torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="draws is 0"):
        neighbour_ratio(torch.ones(3), torch.ones(3), draws=0)
    with pytest.raises(ValueError, match="queries have length 2"):
        nearest_rows(torch.ones(3, 2), torch.ones(3, 4))
