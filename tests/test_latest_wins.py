import gc
import subprocess
import sys
import threading
import weakref

import pytest
import torch
from conftest import good, make_session

from l2l_widgets.latest_wins import InTurn, LatestWins

# -- the class -------------------------------------------------------------------------------------


def test_latest_wins_drops_what_nobody_waits_for():
    done, gate, started = [], threading.Event(), threading.Event()

    def work(value):
        started.set()
        gate.wait(120)
        done.append((value, worker.stale()))

    worker = LatestWins(work)
    worker(0)
    assert started.wait(120)
    for value in range(1, 6):
        worker(value)
    assert worker.stale()
    assert not worker.drain(0.01)
    gate.set()
    assert worker.drain(120)
    assert done == [(0, True), (5, False)]
    assert worker.dropped == 4
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker(7)


@pytest.mark.parametrize("end", ["finish", "close"])
def test_in_turn_drops_nothing_but_where_it_is_closed_and_says_so(end, caplog):
    done, gate, started = [], threading.Event(), threading.Event()

    def work(value):
        started.set()
        gate.wait(120)
        done.append((value, worker.stale()))

    worker = InTurn(work, "files")
    worker(0)
    assert started.wait(120)
    for value in range(1, 4):
        worker(value)
    assert not worker.stale()
    getattr(worker, end)()
    for call in (lambda: worker(7), lambda: worker(8)):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    gate.set()
    assert worker.drain(120)
    worker._thread.join(120)
    assert not worker._thread.is_alive()
    if end == "finish":
        assert done == [(value, False) for value in range(4)]
        assert caplog.text == ""
    else:
        assert done == [(0, True)]
        assert "files: calls that were dropped: 3" in caplog.text


def test_in_turn_that_was_never_asked_ends_without_a_thread():
    worker = InTurn(print)
    worker.finish()
    worker.finish()
    assert worker._thread is None
    with pytest.raises(RuntimeError, match="closed"):
        worker(7)


def test_a_running_call_rests_until_something_newer_waits():
    rested, started = [], threading.Event()

    def work(seconds):
        started.set()
        rested.append(worker.rested(seconds))

    worker = LatestWins(work)
    worker(600)
    assert started.wait(120)
    worker(0.01)
    assert worker.drain(120)
    assert rested == [False, True]
    worker.close()


def test_latest_wins_outlives_a_failing_call(caplog):
    done = []

    def work(value):
        if value == "bad":
            raise ValueError("no")
        done.append(value)

    worker = LatestWins(work)
    worker("bad")
    assert worker.drain(120)
    worker("good")
    assert worker.drain(120)
    assert done == ["good"]
    assert "a worker call failed" in caplog.text
    worker.close()


# -- a session's worker ----------------------------------------------------------------------------


def test_the_last_request_wins(counted):
    generator = counted.models.generator
    good(counted.render())
    results = []
    counted.subscribe(lambda kind, value: results.append(value) if kind == "result" else None)
    generator.gate.clear()
    drawn = generator.faces
    for k in range(50):
        stamp = counted.request(changes={"smile": k / 100}, gesture="drag", measure=False)
    assert counted.stale()
    generator.gate.set()
    assert counted.drain(120)
    assert results[-1].requested == pytest.approx({"smile": 0.49})
    assert results[-1].stamp == stamp
    assert generator.faces - drawn <= 3
    assert counted.undo()
    assert not counted.can_undo


def test_the_picture_comes_before_the_receipt_and_once_each(session):
    heard, also = [], []
    session.subscribe(lambda kind, value: heard.append((kind, value.stamp)))
    cancel = session.subscribe(lambda kind, value: also.append(kind))
    stamp = session.request(changes={"smile": 0.3})
    assert session.drain(120)
    assert heard == [("result", stamp), ("receipt", stamp)]
    assert also == ["result", "receipt"]
    cancel()
    cancel()
    session.request(seed=4)
    assert session.drain(120)
    assert also == ["result", "receipt"]
    assert [kind for kind, _ in heard[2:]] == ["result", "receipt"]


def test_a_receipt_may_wait_for_a_rest_and_a_newer_request_ends_the_wait(session):
    heard, drawn = [], threading.Event()

    def hear(kind, value):
        heard.append((kind, value.stamp))
        drawn.set()

    session.subscribe(hear)
    first = session.request(changes={"smile": 0.3}, rest=600.0)
    assert drawn.wait(120)
    assert not session.drain(0.2), "the receipt is still owed"
    second = session.request(changes={"smile": 0.4}, rest=0.01)
    assert session.drain(120)
    assert heard == [("result", first), ("result", second), ("receipt", second)]


def test_a_newer_request_ends_the_measurement(counted):
    generator = counted.models.generator
    heard = []
    counted.subscribe(lambda kind, value: heard.append((kind, value.stamp)))
    counted.request(changes={"smile": 0.3})
    assert counted.drain(120)
    count = len(heard)

    # the random edits of another size are held up until a newer request is in
    asked = threading.Event()
    judge = counted.models.attribute_judge

    def hold_up(*_):
        if not asked.is_set():  # the test may open the gate again as soon as this is set
            generator.gate.clear()
            asked.set()

    handle = judge.register_forward_hook(hold_up)
    first = counted.request(changes={"smile": 1.0})
    assert asked.wait(120)
    handle.remove()
    second = counted.request(changes={"smile": -1.0})
    generator.gate.set()
    assert counted.drain(120)
    kinds = heard[count:]
    assert ("receipt", first) not in kinds
    assert kinds[-1] == ("receipt", second)


def test_an_impossible_request_reaches_subscribers_as_an_error(session):
    heard = []
    session.subscribe(lambda kind, value: heard.append((kind, value.error)))
    session.request(seed=-5)
    assert session.drain(120)
    session.request(seed=5, measure=False)
    assert session.drain(120)
    assert heard[0][0] == "result"
    assert "seed is -5" in heard[0][1]
    assert heard[1:] == [("result", None)]


def test_a_failing_subscriber_does_not_silence_the_others(session, caplog):
    heard = []

    def broken(kind, value):
        raise RuntimeError("this view is broken")

    session.subscribe(broken)
    session.subscribe(lambda kind, value: heard.append(kind))
    session.request(seed=1)
    assert session.drain(120)
    assert heard == ["result", "receipt"]
    assert "this view is broken" in caplog.text


def test_a_forgotten_session_is_collected(tiny_models):
    session = make_session(tiny_models)
    session.request(seed=1)
    assert session.drain(120)
    gone = weakref.ref(session)
    worker = session._worker
    del session
    for _ in range(50):
        gc.collect()
        if gone() is None:
            break
    assert gone() is None
    worker._thread.join(120)
    assert not worker._thread.is_alive()


def test_a_closed_session_still_draws_in_the_calling_thread(session):
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        session.request(seed=1)
    good(session.render())


def test_many_threads_get_the_pictures_they_would_get_alone(tiny_models):
    alone = {}
    for seed in range(4):
        single = make_session(tiny_models, seed=seed)
        single.set_changes({"smile": 0.3})
        alone[seed] = good(single.render()).after
    session, faults = make_session(tiny_models), []
    for k in range(12):  # as many steps as are undone: none leads back to the face without an edit
        session.update(seed=k % 4, changes={"smile": 0.3})

    def work(k):
        try:
            for i in range(12):
                seed = (i + k) % 4
                session.update(seed=seed, changes={"smile": 0.3})
                result = good(session.render())
                assert torch.equal(result.after, alone[result.state.seed])
                if i % 4 == k % 4:
                    session.undo()
                    session.measure(lambda: True)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.slow
def test_a_script_may_end_while_a_worker_is_in_torch():
    """A thread inside torch while the interpreter is taken down aborts the process."""
    code = (
        "import torch\n"
        "from l2l_widgets.latest_wins import LatestWins\n"
        "works = [LatestWins(lambda n: [torch.randn(300, 300) @ torch.randn(300, 300)\n"
        "                               for _ in range(n)]) for _ in range(3)]\n"
        "for work in works: work(60)\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
