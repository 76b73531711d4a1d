"""Whoever waits for a lock gets it before the one who has just had it."""

import threading
import time

from l2l_widgets.session.turns import Turns


def test_a_thread_that_takes_the_lock_again_and_again_keeps_nobody_out():
    turns, stop, began, taken = Turns(), threading.Event(), threading.Event(), []

    def measure():
        while not stop.is_set():
            with turns:
                taken.append(time.monotonic())
                began.set()
                time.sleep(0.005)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        assert began.wait(30)
        for _ in range(5):
            before = len(taken)
            with turns:
                # the piece that ran, and perhaps one that began before this thread could ask
                assert len(taken) - before <= 2
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_who_has_the_lock_may_take_it_again_while_others_wait():
    turns, inside = Turns(), []
    with turns:
        thread = threading.Thread(target=lambda: turns.__enter__() and inside.append(1))
        thread.start()
        time.sleep(0.02)
        with turns, turns:
            assert not inside
    thread.join(30)
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
    free.join(30)
    assert not free.is_alive()
