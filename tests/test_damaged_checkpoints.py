"""Files that were cut off, and files with bytes changed at random: refused or read, no harm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from l2l_widgets.checkpoints import CheckpointError, open_checkpoint, read_tensors
from tests import fuzz_checkpoints
from tests.refused_files import SECONDS, check_refused

DIRECTIONS = [layout for layout in fuzz_checkpoints.SEEDS if layout.startswith("direction")]


@pytest.mark.parametrize("layout", [n for n in fuzz_checkpoints.SEEDS if n not in DIRECTIONS])
def test_truncated_at_every_kilobyte(tmp_path, layout):
    data = fuzz_checkpoints.SEEDS[layout]()
    path = tmp_path / "cut"
    cuts = [*range(0, len(data), 1024), len(data) - 1]
    assert len(cuts) > 10
    for cut in cuts:
        check_refused(path, data[:cut])
    path.write_bytes(data)
    with open_checkpoint(path) as opened:
        assert opened.generator().img_resolution in (8, 16)


@pytest.mark.parametrize("layout", DIRECTIONS)
def test_directions_truncated_every_64_bytes(tmp_path, layout):
    data = fuzz_checkpoints.SEEDS[layout]()
    path = tmp_path / "cut"
    cuts = [*range(0, len(data), 64), len(data) - 1]
    assert len(cuts) > 10
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(CheckpointError):
            read_tensors(path, 2**20)
    path.write_bytes(data)
    assert read_tensors(path, 2**20)


def test_mutated_files(tmp_path):
    report = fuzz_checkpoints.run(count=400, seed=1, folder=tmp_path)
    assert report["mutants"] == 400
    assert report["problems"] == []
    assert report["refused"] > 200
    assert report["slowest_s"] < SECONDS


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz_checkpoints", "--count", "4000", "--seed", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 problems" in done.stdout
