"""The face parser: its maps, its landmarks, and its training on a few real renders."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from conftest import build_generator, write_manifest, write_world

from l2l_widgets.faceworld import MASK_CLASSES, render, sample_factors
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.perception import ParsingNet, expected_positions, load_network, save_network
from l2l_widgets.protocols import Segmenter
from l2l_widgets.recipes import build_task, face_readers, get_recipe
from l2l_widgets.recipes import parser as parser_recipe
from l2l_widgets.storage import sha256_file
from l2l_widgets.training import read_look, train


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
    monkeypatch.setattr(face_readers, "rendered_set", lambda name: faces)
    monkeypatch.setattr(face_readers, "HELD_OUT", 8)
    return faces


def test_maps_have_the_size_of_the_picture() -> None:
    network = ParsingNet(width=4).eval()
    assert network.logits(torch.zeros(2, 3, 64, 64)).shape == (2, 19, 64, 64)
    assert network.logits(torch.zeros(2, 3, 128, 128)).shape == (2, 19, 128, 128)
    classes = network(torch.rand(2, 3, 64, 64))
    assert isinstance(network, Segmenter)
    assert (classes.shape, classes.dtype) == ((2, 64, 64), torch.uint8)
    assert int(classes.max()) < 19
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


def test_overlap_counts_small_parts_as_much_as_large_ones() -> None:
    mask = torch.zeros(1, 10, 10, dtype=torch.long)
    mask[0, 0, 0] = 3  # one pixel in a hundred
    perfect = 100.0 * torch.nn.functional.one_hot(mask, 5).permute(0, 3, 1, 2).float()
    assert parser_recipe.missing_overlap(perfect, mask).item() == pytest.approx(0, abs=1e-5)
    blind = perfect.clone()
    blind[0, :, 0, 0] = torch.tensor([100.0, 0, 0, 0, 0])
    missed = parser_recipe.missing_overlap(blind, mask).item()
    assert missed == pytest.approx(0.5 * (1 + 1 - 2 * 99 / 199), abs=1e-3)


@pytest.mark.slow
def test_it_learns_and_reports_every_class_that_is_shown(rendered, tmp_path) -> None:
    recipe = get_recipe("parser").replace(
        width=8, batch_size=8, steps=90, learning_rate=0.06, log_every=10, evaluate_every=0,
        checkpoint_every=90, precision="no",
    )  # fmt: skip
    records = []
    outcome = train(
        build_task(recipe, tmp_path), recipe.settings, tmp_path / "run",
        callbacks=(records.append,), progress=False,
    )  # fmt: skip
    assert records[-1]["mask_loss"] < 0.6 * records[0]["mask_loss"]
    assert records[-1]["overlap_loss"] < records[0]["overlap_loss"]
    assert records[-1]["landmark_loss"] < 0.7 * records[0]["landmark_loss"]
    look = read_look(tmp_path / "run", 90)
    assert look is not None, "those who watch see nothing"
    assert (look.captions, look.columns) == (("held out", "read", "true"), 4)
    shown = {MASK_CLASSES[i] for i in rendered.masks[-8:].unique().tolist()}
    assert {k.removesuffix("_iou") for k in outcome.scores if k.endswith("_iou")} == shown
    assert outcome.scores["background_iou"] > 0.3
    assert 0 < outcome.scores["landmark_error"] < 1
    network = load_network(tmp_path / "run" / "final" / "parser.safetensors")
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 64, 64)


def test_it_travels_with_its_sizes(tmp_path) -> None:
    network = ParsingNet(classes=5, points=7, width=4).eval()
    save_network(tmp_path / "net.safetensors", network)
    again = load_network(tmp_path / "net.safetensors")
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    assert again.config == network.config
    assert torch.allclose(again.logits(images), network.logits(images), atol=0.05)


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="classes is 0"):
        ParsingNet(classes=0)
    with pytest.raises(ValueError, match="images have shape"):
        ParsingNet(width=4)(torch.zeros(1, 1, 64, 64))


def test_the_shipped_file_is_small_and_the_zoo_loads_it_when_asked(tmp_path) -> None:
    folder = write_world(tmp_path / "world")
    models = load(folder)
    assert not models.has("parser")
    recipe = get_recipe("parser")
    assert recipe.shipped
    network = ParsingNet(len(MASK_CLASSES), 68, recipe.config.width)
    save_network(folder / "parser.safetensors", network)
    assert (folder / "parser.safetensors").stat().st_size < 2_500_000
    write_manifest(folder)
    models = load(folder)
    assert models.has("parser")
    assert "parser" not in models.loaded
    assert models.parser(torch.zeros(1, 3, 32, 32)).shape == (1, 32, 32)
    assert models.parser.landmarks(torch.zeros(1, 3, 32, 32)).shape == (1, 68, 2)
    assert models.hashes["parser"] == sha256_file(folder / "parser.safetensors")
    own = Models.from_parts(build_generator(), parser=network)
    assert own.parser is network
