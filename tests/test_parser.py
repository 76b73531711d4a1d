"""The face parser: its maps, its landmarks, and its training on a few real renders."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from l2l_widgets.faceworld import MASK_CLASSES, render, sample_factors
from l2l_widgets.perception import ParsingNet, expected_positions, load_network, save_network
from l2l_widgets.recipes import build_task, get_recipe
from l2l_widgets.recipes import parser as parser_recipe
from l2l_widgets.training import train


class _Faces(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.images)


@pytest.fixture
def rendered(monkeypatch):
    drawn = render(sample_factors(16, seed=3), 64)
    faces = _Faces(
        images=((drawn.image + 1) * 127.5).round().byte(),
        masks=drawn.mask,
        landmarks=drawn.landmarks,
    )
    monkeypatch.setattr(parser_recipe, "rendered_set", lambda name: faces)
    monkeypatch.setattr(parser_recipe, "HELD_OUT", 8)
    return faces


def test_maps_have_the_size_of_the_picture() -> None:
    network = ParsingNet(width=4).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 19, 64, 64)
    assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 19, 128, 128)
    assert network.landmarks(torch.zeros(2, 3, 64, 64)).shape == (2, 68, 2)


def test_a_peak_is_found_where_it_is() -> None:
    heat = torch.zeros(1, 1, 32, 32)
    heat[0, 0, 5, 20] = 50.0
    x, y = expected_positions(heat)[0, 0].tolist()
    assert x == pytest.approx(20.5 / 32, abs=1e-4)
    assert y == pytest.approx(5.5 / 32, abs=1e-4)
    heat[0, 0, 5, 21] = 50.0  # two equal neighbours: half way, finer than the grid
    assert expected_positions(heat)[0, 0, 0].item() == pytest.approx(21 / 32, abs=1e-4)


def test_landmarks_scale_with_the_picture() -> None:
    network = ParsingNet(width=4).eval()
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    small = network.landmarks(images)
    large = network.landmarks(images.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.allclose((small + 0.5) * 2, large + 0.5, atol=0.2)


def test_it_learns_and_reports_every_class_that_is_shown(rendered, tmp_path) -> None:
    recipe = get_recipe("parser").replace(
        width=8, batch_size=8, steps=60, learning_rate=0.06, log_every=10, evaluate_every=0,
        checkpoint_every=60, precision="no",
    )  # fmt: skip
    records = []
    outcome = train(
        build_task(recipe, tmp_path), recipe.settings, tmp_path / "run",
        callbacks=(records.append,), progress=False,
    )  # fmt: skip
    assert records[-1]["mask_loss"] < 0.6 * records[0]["mask_loss"]
    assert records[-1]["landmark_loss"] < 0.7 * records[0]["landmark_loss"]
    shown = {MASK_CLASSES[i] for i in rendered.masks[-8:].unique().tolist()}
    assert {k.removesuffix("_iou") for k in outcome.scores if k.endswith("_iou")} == shown
    assert outcome.scores["background_iou"] > 0.3
    assert 0 < outcome.scores["landmark_error"] < 1
    network = load_network(tmp_path / "run" / "final" / "parser.safetensors")
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 19, 64, 64)


def test_it_travels_with_its_sizes(tmp_path) -> None:
    network = ParsingNet(classes=5, points=7, width=4).eval()
    save_network(tmp_path / "net.safetensors", network)
    again = load_network(tmp_path / "net.safetensors")
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    assert again.config == network.config
    assert torch.allclose(again(images), network(images), atol=0.05)


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="classes is 0"):
        ParsingNet(classes=0)
    with pytest.raises(ValueError, match="images have shape"):
        ParsingNet(width=4)(torch.zeros(1, 1, 64, 64))
