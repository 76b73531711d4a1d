"""Pictures of one world are never taken for those of another.

When the renderer draws something else on purpose, raise ``faceworld.version.WORLD`` and store the
new probe: ``python -m tests.test_faceworld_version``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.dataset import DatasetConfig, FaceDataset, render_dataset
from l2l_widgets.faceworld.version import WORLD

PROBE = Path(__file__).parent / "golden" / "faceworld_probe.npz"


def probe() -> np.ndarray:
    """Twelve faces at 32 pixels, (12, 3, 32, 32) uint8."""
    pictures = render(sample_factors(12, seed=2026), 32).image
    return ((pictures + 1) * 127.5).round().byte().numpy()


def test_the_faces_of_this_world_are_the_stored_ones() -> None:
    stored = np.load(PROBE)
    assert int(stored["world"]) == WORLD, "the probe is of another world: store it again"
    difference = np.abs(stored["faces"].astype(int) - probe().astype(int)).mean(axis=(1, 2, 3))
    # rounding differs between processors; a drawn difference is many times this
    assert difference.max() < 0.5, "the renderer draws something else: raise WORLD, store the probe"


def test_a_set_of_another_world_is_refused(tmp_path) -> None:
    config = DatasetConfig(count=2, seed=1, resolution=16)
    render_dataset(tmp_path, config)
    assert len(FaceDataset(tmp_path)) == 2
    stated = tmp_path / "config.json"
    stated.write_text(stated.read_text().replace(f'"world": {WORLD}', '"world": 1'))
    with pytest.raises(ValueError, match="rendered by world 1"):
        FaceDataset(tmp_path)
    with pytest.raises(ValueError, match="world is 1"):
        DatasetConfig(count=2, seed=1, world=1)


if __name__ == "__main__":
    torch.manual_seed(0)
    np.savez_compressed(PROBE, faces=probe(), world=WORLD)
    print(f"{PROBE}: world {WORLD}")
