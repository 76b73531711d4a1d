"""Rendered sets: what a failing process, or a second one, leaves behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import torch

from l2l_widgets.faceworld.dataset import DatasetConfig, FaceDataset, render_dataset, shard_path
from l2l_widgets.faceworld.processes import ShareError, share_out

CONFIG = DatasetConfig(count=1200, seed=1, resolution=16)  # three shards


def counts(limit, file):
    """Work for `share_out`: counts, and says in a file how far it came."""
    for k in range(limit):
        if k == 3:
            raise ValueError("three is not allowed")
        file.write_text(str(k))
        yield k
        time.sleep(0.02)


def dies(after):
    yield 0
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)


def divides():
    yield 1 // 0


@pytest.mark.slow
def test_shares_come_back_with_their_numbers(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    came = list(share_out(counts, [(2, files[0]), (3, files[1])]))
    assert sorted(came) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [file.read_text() for file in files] == ["1", "2"]


@pytest.mark.slow
def test_the_first_failure_stops_the_others():
    """Without that the call would take the ten minutes for which the other process sleeps."""
    started = time.monotonic()
    with pytest.raises(ShareError, match="ended with code -9; what is there is whole") as raised:
        list(share_out(dies, [(600,), (0,)]))
    assert raised.value.share == 1
    assert time.monotonic() - started < 300


@pytest.mark.slow
def test_a_failure_is_told_in_its_own_words(tmp_path):
    with pytest.raises(ShareError, match=r"^three is not allowed$") as raised:
        list(share_out(counts, [(2, tmp_path / "a"), (9, tmp_path / "b")]))
    assert raised.value.share == 1
    with pytest.raises(ShareError, match=r"^ZeroDivisionError: integer"):
        list(share_out(divides, [()]))


@pytest.mark.slow
def test_a_shard_that_cannot_be_written_is_named_and_the_folder_can_be_resumed(tmp_path):
    blocked = shard_path(tmp_path, 1)
    (blocked / "in the way").mkdir(parents=True)
    (tmp_path / ".shard-00000.safetensors.12ab34cd.tmp").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"^shard 1 of folder .* was not rendered.*cannot write"):
        render_dataset(tmp_path, CONFIG, workers=2)
    left = set(os.listdir(tmp_path)) - {blocked.name}
    # the other process had at most its first shard done, and its second was not begun again
    assert left <= {"config.json", "shard-00000.safetensors", "shard-00002.safetensors"}
    (blocked / "in the way").rmdir()
    blocked.rmdir()
    kept = {name: os.stat(tmp_path / name).st_mtime_ns for name in left}
    render_dataset(tmp_path, CONFIG, workers=2)
    assert {name: os.stat(tmp_path / name).st_mtime_ns for name in left} == kept
    assert len(FaceDataset(tmp_path)) == 1200
    assert not list(tmp_path.glob(".*"))


def test_a_set_that_is_there_is_left_alone_where_nobody_may_write(tmp_path, monkeypatch):
    config = DatasetConfig(count=5, seed=1, resolution=16)
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)))
    shard_path(tmp_path, 0).write_bytes(b"a shard")

    def forbidden(*args, **kwargs):  # by a stand-in: a superuser may write anywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", forbidden)
        assert render_dataset(tmp_path, config) == tmp_path
        with pytest.raises(ValueError, match=r"cannot write '.*\.lock': Permission denied"):
            render_dataset(tmp_path / "other", config)
    with pytest.raises(ValueError, match="holds another set"):
        render_dataset(tmp_path, replace(config, seed=2))
    assert sorted(os.listdir(tmp_path)) == ["config.json", "other", "shard-00000.safetensors"]


@pytest.mark.slow
def test_two_processes_that_want_one_set_draw_it_once(tmp_path):
    code = (
        "import sys\n"
        "from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset\n"
        "render_dataset(sys.argv[1], DatasetConfig(count=3, seed=1, resolution=16))\n"
        "import os; print(os.stat(sys.argv[1] + '/shard-00000.safetensors').st_mtime_ns)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    times = [process.communicate(timeout=300)[0].strip() for process in both]
    assert times[0] == times[1] != b""
    assert sorted(os.listdir(tmp_path)) == ["config.json", "shard-00000.safetensors"]
    assert torch.equal(FaceDataset(tmp_path).identity, torch.arange(3, dtype=torch.int32))
