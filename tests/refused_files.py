"""How a file that must not be read is refused: in one line, in time, and within its own size."""

from __future__ import annotations

import time

import pytest

from l2l_widgets.checkpoints import CheckpointError, open_checkpoint
from tests.peak_memory import peak_memory

SECONDS, MEGABYTES = 2.0, 200


def check_refused(path, data=None, match="."):
    """Read a file as far as it goes; it must be refused in time, in place, in one line."""
    if data is not None:
        path.write_bytes(data)
    start = time.thread_time()  # not what other tests' threads compute
    with (
        peak_memory() as taken,
        pytest.raises(CheckpointError, match=match) as caught,
        open_checkpoint(path) as opened,
    ):
        opened.generator()
    assert time.thread_time() - start < SECONDS
    assert taken.megabytes < MEGABYTES + (path.stat().st_size / 2**20 if path.is_file() else 0)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1500
    # an error of ours, not a surprise that the net caught
    assert caught.value.__cause__ is None, message
