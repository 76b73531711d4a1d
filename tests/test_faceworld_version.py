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
from l2l_widgets.faceworld.version import WORLD, known_flaws

PROBE = Path(__file__).parent / "golden" / "faceworld_probe.npz"


def probe() -> dict[str, np.ndarray]:
    """Twelve faces at 32 pixels: what is drawn of them, and what is said of the drawing.

    ``faces`` (12, 3, 32, 32) uint8, ``masks`` (12, 32, 32) uint8, ``landmarks`` (12, 68, 2) float32
    in pixels.
    """
    drawn = render(sample_factors(12, seed=2026), 32)
    return {
        "faces": ((drawn.image + 1) * 127.5).round().byte().numpy(),
        "masks": drawn.mask.byte().numpy(),
        "landmarks": drawn.landmarks.float().numpy(),
    }


@pytest.fixture(scope="module")
def now() -> dict[str, np.ndarray]:
    return probe()


def differences(now: dict[str, np.ndarray], then: dict[str, np.ndarray]) -> dict[str, float]:
    """Of the worst face: mean step of its bytes, share of its mask's pixels, pixels of a landmark.

    Rounding differs between processors: it moves a byte by one here and there, a pixel of a mask
    where two parts meet, a landmark by nothing that could be seen.
    """
    return {
        "faces": np.abs(now["faces"].astype(int) - then["faces"]).mean(axis=(1, 2, 3)).max(),
        "masks": (now["masks"] != then["masks"]).mean(axis=(1, 2)).max(),
        "landmarks": np.abs(now["landmarks"] - then["landmarks"]).max(),
    }


#: What rounding may do; a drawn difference is many times this.
ALLOWED = {"faces": 0.5, "masks": 0.005, "landmarks": 0.02}


@pytest.mark.parametrize("what", ALLOWED)
def test_the_world_is_the_stored_one(now, what) -> None:
    stored = np.load(PROBE)
    assert int(stored["world"]) == WORLD, "the probe is of another world: store it again"
    assert stored[what].shape == now[what].shape
    found = differences(now, stored)[what]
    assert found < ALLOWED[what], f"{what} are others than before: raise WORLD, store the probe"


def test_a_small_change_of_the_renderer_is_seen(now) -> None:
    """A brow's width in the mask, half a tenth of a pixel at one landmark, a little darker."""
    changed = {name: values.copy() for name, values in now.items()}
    changed["masks"][3, 10, 8:16] += 1
    changed["landmarks"][5, 67] += 0.05
    changed["faces"][7] = changed["faces"][7] * 0.98
    found = differences(changed, now)
    assert all(found[what] > ALLOWED[what] for what in ALLOWED)
    assert differences(now, now) == dict.fromkeys(ALLOWED, 0)


@pytest.mark.slow
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


def test_flaws_are_named_as_parts_of_one_sentence() -> None:
    flaws = known_flaws()
    assert 5 <= len(flaws) == len(set(flaws))
    assert not [f for f in flaws if f[-1] in ".;," or f[0].isupper()]


if __name__ == "__main__":
    torch.manual_seed(0)
    np.savez_compressed(PROBE, world=WORLD, **probe())
    print(f"{PROBE}: world {WORLD}")
