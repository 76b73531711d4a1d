"""The model card: measured on a small world, written whole, and measured once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from conftest import write_world

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation.detection import DetectorError
from l2l_widgets.faceworld import sample_factors
from l2l_widgets.faceworld.dataset import DatasetConfig, FaceDataset, render_dataset
from l2l_widgets.images import load_image
from l2l_widgets.recipes import cards, rendered
from l2l_widgets.recipes.card_text import _shares, card
from l2l_widgets.storage import save_safetensors


class _Set(SimpleNamespace):
    def __len__(self):
        return len(self.images)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder of untrained weights with the manifest that recipes publish, and small sets."""
    folder = write_world(tmp_path / "weights")
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    config = {"distil_steps": 1, "paired_steps": 1}
    for file, entry in manifest.items():
        recipe = file.removesuffix(".safetensors")
        entry |= {"recipe": recipe, "steps": 3, "seed": 1, "scores": {}, "config": config}
    manifest["embedder.safetensors"]["scores"] = {
        "tar_at_far_1pct": 0.5, "same_similarity": 0.9, "different_similarity": 0.1, "people": 4,
    }  # fmt: skip
    manifest["judge_embedder.safetensors"]["scores"] = {
        "mean_iou_score": 0.86, "landmark_error": 0.0193, "faces": 64, "hair_iou": 0.9,
    }  # fmt: skip
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))

    def small(name):
        source = torch.Generator().manual_seed(len(name))
        images = torch.randint(256, (48, 3, 32, 32), dtype=torch.uint8, generator=source)
        return _Set(images=images, factors=sample_factors(48, seed=len(name)))

    monkeypatch.setattr(rendered, "rendered_set", small)
    monkeypatch.setattr(cards, "SEARCHED", 2)
    summary = {
        "protocol": {"faces": 2, "seed": 0, "request": 0.3, "draws": 10},
        "methods": [
            {"achieved_median": 0.9, "others_mean": 0.01, "identity_placement_score": None,
             "null_error": 0.0, "milliseconds_per_edit": 1.0}
        ],
        "attributes": [],
    }  # fmt: skip
    monkeypatch.setattr(cards, "_score_mapper", lambda *_, **__: summary)  # tested on its own
    return folder


@pytest.mark.slow
def test_a_card_carries_every_figure_and_is_measured_once(world, monkeypatch):
    said = []
    scores = cards.make_cards(world, said.append, faces=40)
    assert len(said) == 5
    assert json.loads((world / "scores.json").read_text()) == scores
    text = (world / "CARD.md").read_text(encoding="utf-8")
    for title in ("Generator", "Regressors and their judge", "Embedders", "Parser", "Limits"):
        assert f"## {title}\n" in text
    own = scores["generator"]
    assert own["faces"] == 40
    assert f"`frechet_judge_0.04k` | {own['frechet_distance']} |" in text
    assert f"| ratio of the two | {own['frechet_ratio']} |" in text
    assert set(own["share"]) == set(own["spread_ratio"]) == set(DEFAULT_TABLE.names)
    assert f"{own['share']['hat']['real']:.3f} |" in text
    assert f"{own['memorisation']['features']['ratio']:.3f} [" in text
    assert scores["detection"]["faces"] == 2
    assert set(scores["readers"]) == {"attribute_judge", "regressor", "regressor_b"}
    for name, reader in scores["readers"].items():
        assert f"- {name}: R² of at least 0.9" in text
        assert sum(reader["attributes"]["age"]["count"]) == 48
    assert "mean error 0.0193 of the distance" in text
    assert "| hair | 0.9 |" in text
    # two spaces, two rows each of twelve pairs, twice as large
    sheet = load_image(world / "neighbours.png", 64)
    assert sheet.shape == (1, 3, 64, 64)
    assert (world / "reliability.png").stat().st_size > 10_000
    said.clear()
    assert cards.make_cards(world, said.append, faces=40) == scores
    assert said == []
    known = json.loads((world / "scores.json").read_text())
    (world / "scores.json").write_text(json.dumps({**known, "world": 0}))
    monkeypatch.setattr(cards, "score_readers", lambda *_: scores["readers"])
    cards.make_cards(world, said.append, faces=40)
    assert len(said) == 5, "another world's figures were kept"


@pytest.mark.slow
def test_without_a_detector_the_card_says_so_and_the_rest_is_measured(world, monkeypatch):
    def missing(*_):
        raise DetectorError("counting faces needs a library")

    monkeypatch.setattr(cards, "score_detection", missing)
    said = []
    scores = cards.make_cards(world, said.append, faces=40)
    assert "not measured: counting faces needs a library" in said
    assert "detection" not in scores
    assert "mapper_all" in scores
    assert "not measured (needs `l2l-widgets[detect]`)" in (world / "CARD.md").read_text()


def test_shares_that_are_off_are_named():
    share = {"fake": 0.1, "low": 0.05, "high": 0.15, "real": 0.2, "ratio": 0.5}
    near = {"fake": 0.1, "low": 0.05, "high": 0.18, "real": 0.2, "ratio": 0.5}
    never = {"fake": 0.1, "low": 0.05, "high": 0.18, "real": 0.0, "ratio": None}
    text = _shares({"age": share, "hat": near, "fear": never})
    assert ": age 0.50, hat 0.50 (within chance) (0 of 3 are within it)" in text
    assert "No render has: fear." in text


def test_a_card_needs_every_score():
    with pytest.raises(KeyError):
        card("w", {}, {})


# -- rendered sets ---------------------------------------------------------------------------------


def test_a_set_grows_without_drawing_what_is_there(tmp_path):
    small, large = DatasetConfig(count=2, seed=4), DatasetConfig(count=500, seed=4)
    folder = tmp_path / "held_out"
    folder.mkdir()
    tensors = {
        "image": torch.zeros(512, 3, 64, 64, dtype=torch.uint8),
        "mask": torch.zeros(512, 64, 64, dtype=torch.uint8),
        "landmarks": torch.zeros(512, 68, 2),
        "latents": sample_factors(512, seed=4).latents.contiguous(),
        "identity": torch.arange(512, dtype=torch.int32),
    }
    save_safetensors(folder / "shard-00000.safetensors", tensors)
    render_dataset(folder, small)
    assert len(FaceDataset(folder)) == 2
    render_dataset(folder, large)
    assert len(FaceDataset(folder)) == 500
    render_dataset(folder, small)  # what holds more is left as it is
    assert len(FaceDataset(folder)) == 500
    assert len(FaceDataset(folder, limit=2)) == 2
    with pytest.raises(ValueError, match="holds another set"):
        render_dataset(folder, DatasetConfig(count=2, seed=5))


@pytest.mark.parametrize("text", ["{", "[1]", '{"colour": 3}'])
def test_a_damaged_folder_is_refused_by_name(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    for use in (FaceDataset, lambda folder: render_dataset(folder, DatasetConfig(2, 4))):
        with pytest.raises(ValueError, match=r"config\.json cannot be read: .*choose an empty"):
            use(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match="cannot write into"):
        render_dataset(tmp_path / "file" / "set", DatasetConfig(count=2, seed=4))


LIMITED = """
import resource, sys
from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
render_dataset(sys.argv[1], DatasetConfig(count=512, seed=4, resolution=16))
"""


@pytest.mark.slow
def test_a_shard_that_does_not_fit_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=False
    )
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ValueError: shard 0 of folder")
    assert "File too large" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


PARENT = """
import signal, sys
from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset
if __name__ == "__main__":
    # a shell that puts the tests in the background has Ctrl-C ignored, which children inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    render_dataset(sys.argv[1], DatasetConfig(count=100_000, seed=4, resolution=16), workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rendering_leaves_no_process(tmp_path, sent):
    import psutil

    script = tmp_path / "script.py"
    script.write_text(PARENT)
    run = subprocess.Popen([sys.executable, script, tmp_path / "set"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        children: list = []
        while len(children) < 3 and time.monotonic() < deadline:  # two, and the one that cleans up
            time.sleep(0.05)
            children = psutil.Process(run.pid).children(recursive=True)
        assert len(children) == 3
        run.send_signal(sent)
        assert run.wait(120) != 0
        _, alive = psutil.wait_procs(children, timeout=300)
        assert not alive
    finally:
        run.kill()
        run.wait()
