"""Whoever waits for a lock gets it before the one who has just had it."""

import threading
import time

from l2l_widgets.session.turns import Turns


class Door:
    """A lock's door that says when a thread has become the next one."""

    def __init__(self, thread, passed):
        self._lock, self._thread, self._passed = threading.Lock(), thread, passed

    def __enter__(self):
        self._lock.acquire()
        if threading.current_thread() is self._thread:
            self._passed()

    def __exit__(self, *_):
        self._lock.release()


def test_a_thread_that_takes_the_lock_again_and_again_keeps_nobody_out():
    turns, stop, began = Turns(), threading.Event(), threading.Event()
    taken, before = [], []
    # counted from when this thread stands in line: the machine may keep it from there for long
    turns._door = Door(threading.current_thread(), lambda: before.append(len(taken)))

    def measure():
        while not stop.is_set():
            with turns:
                taken.append(1)
                began.set()
                time.sleep(0.005)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        assert began.wait(120)
        for number in range(1, 6):
            with turns:
                assert len(before) == number
                assert len(taken) - before[-1] <= 1, "more than the piece that ran"
    finally:
        stop.set()
        thread.join(120)
    assert not thread.is_alive()


def test_who_has_the_lock_may_take_it_again_while_others_wait():
    turns, inside = Turns(), []
    with turns:
        thread = threading.Thread(target=lambda: turns.__enter__() and inside.append(1))
        thread.start()
        time.sleep(0.02)
        with turns, turns:
            assert not inside
    thread.join(120)
    assert inside == [1]


def test_a_failure_gives_the_lock_back():
    turns = Turns()
    for _ in range(2):
        try:
            with turns:
                raise ValueError("x")
        except ValueError:
            pass
    free = threading.Thread(target=lambda: turns.__enter__())
    free.start()
    free.join(120)
    assert not free.is_alive()
