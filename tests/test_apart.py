"""A test finds the same whatever came before it: random numbers, and nobody still at work."""

from __future__ import annotations

import threading

import pytest
import torch
from apart import let_workers_end, seed_by

from l2l_widgets.latest_wins import LatestWins, at_work


@pytest.fixture(scope="module")
def drawn():
    return torch.rand(3)


def test_torch_draws_the_same_in_a_test_whatever_drew_before(request, drawn):
    found = torch.rand(3)
    torch.rand(100)
    seed_by(request.node.nodeid)
    assert torch.equal(torch.rand(3), found)
    seed_by("drawn")
    assert torch.equal(torch.rand(3), drawn)
    assert not torch.equal(found, drawn)


def test_work_that_a_test_leaves_behind_is_over_before_the_next_begins():
    begun, go_on, done = threading.Event(), threading.Event(), []
    second = LatestWins(done.append)

    def first(value):
        begun.set()
        assert go_on.wait(120)
        second(value)

    worker = LatestWins(first)
    worker("passed on")
    assert begun.wait(120)
    assert worker in at_work()
    threading.Timer(0.05, go_on.set).start()
    assert let_workers_end()
    assert done == ["passed on"]
    worker.close()
    second.close()


def test_who_never_ends_is_given_up_once():
    begun, go_on = threading.Event(), threading.Event()
    worker = LatestWins(lambda value: begun.set() or go_on.wait(120))
    worker("endless")
    assert begun.wait(120)
    assert not let_workers_end(0.01)
    assert not let_workers_end(600), "it is waited for again"
    go_on.set()
    assert worker.drain(120)
    worker.close()
