"""What keeps the tests of one process apart: whatever came before, each finds the same.

Which modules share a process, and in which order, differs from run to run (``sharing.py``).
"""

from __future__ import annotations

import time
import weakref
import zlib

import pytest
import torch

from l2l_widgets.latest_wins import LatestWins, at_work

#: Seconds for all that a test has left to its workers; it is over in a fraction of one.
PATIENCE = 20.0
#: Workers that were waited for in vain.
_endless: weakref.WeakSet[LatestWins] = weakref.WeakSet()


def seed_by(name: str) -> None:
    """Begin torch's own random numbers anew, others for each name."""
    torch.default_generator.manual_seed(zlib.crc32(name.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """A fixture of a module is made in whichever of its tests comes first."""
    seed_by(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    seed_by(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    let_workers_end()


def let_workers_end(patience: float = PATIENCE) -> bool:
    """Wait until no worker has anything to do; whether that came to be.

    A session that a test leaves behind measures on, with networks that the next test may count the
    calls of. A worker that is given up is not waited for again.
    """
    for worker in list(_endless):
        if worker.drain(0):
            _endless.discard(worker)
    end = time.monotonic() + patience
    while busy := [w for w in at_work() if w not in _endless and not w.drain(0)]:
        for worker in busy:  # one that ends may have given work to another
            if not worker.drain(max(0.0, end - time.monotonic())):
                _endless.add(worker)
    return not _endless
