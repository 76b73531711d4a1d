import errno
import gc
import json
import math
import os
import threading
import weakref

import pytest
import torch
from conftest import LinearEditor, build_directions

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.images import read_png_text, to_uint8
from l2l_widgets.receipt import CHUNK
from l2l_widgets.replay import PNG_KEY, parse_recipe
from l2l_widgets.session import EditSession, LatestWins
from l2l_widgets.zoo import Models


def make_session(models, **options):
    return EditSession(models, method="linear", **{"n_random": 8, **options})


@pytest.fixture
def session(tiny_models):
    return make_session(tiny_models)


@pytest.fixture
def counted(counting_generator, tiny_parts):
    editor = LinearEditor(build_directions())
    parts = {**tiny_parts, "generator": counting_generator}
    return make_session(Models.from_parts(**parts, editors={"linear": editor}))


def good(result):
    assert result.error is None
    return result


# -- drawing ---------------------------------------------------------------------------------------


def test_a_fresh_session_draws_its_seed_unedited(session):
    result = good(session.render())
    assert result.before.shape == (3, 32, 32)
    assert result.after is result.before
    assert result.w.shape == (1, 8, 16)
    assert torch.equal(result.w, result.w_edited)
    assert result.requested == {}
    assert set(result.seconds) == {"mapping", "read", "edit", "synthesis", "total"}


def test_seed_and_truncation_choose_the_face(session, tiny_generator):
    from l2l_widgets.latents import z_from_seed

    session.set_seed(7)
    session.set_truncation(0.5)
    result = good(session.render())
    ws = tiny_generator.mapping(z_from_seed(7, 16), truncation_psi=0.5)
    assert torch.equal(result.w, ws)
    assert torch.equal(result.before, tiny_generator.synthesis(ws)[0])
    session.set_truncation(0.0)
    average = good(session.render())
    torch.testing.assert_close(average.w[0, 0], tiny_generator.w_avg)


def test_a_change_goes_through_the_editor(session):
    session.set_changes({"smile": 0.3, "age": -0.2})
    result = good(session.render())
    directions = build_directions()
    step = 0.3 * directions[DEFAULT_TABLE.index("smile")] - 0.2 * directions[0]
    torch.testing.assert_close(result.w_edited - result.w, step.expand(1, 8, 16))
    assert result.requested == pytest.approx({"smile": 0.3, "age": -0.2})
    assert not torch.equal(result.before, result.after)


def test_a_target_is_a_change_from_the_regressors_reading(session):
    reading = session.readings()["age"]
    session.set_targets({"age": 0.8})
    absolute = good(session.render())
    assert absolute.requested["age"] == pytest.approx(0.8 - reading, abs=1e-6)
    session.set_changes({"age": 0.8 - reading})
    assert session.state.edits[-1].targets == {}
    torch.testing.assert_close(good(session.render()).w_edited, absolute.w_edited)


def test_readings_come_with_every_result(session, tiny_parts):
    result = good(session.render())
    torch.testing.assert_close(result.request.current, tiny_parts["regressor"](result.before[None]))
    assert session.readings() == pytest.approx(
        dict(zip(DEFAULT_TABLE.names, result.request.current[0].tolist(), strict=True))
    )


def test_edits_are_stacked_in_order(session, tiny_parts):
    session.set_changes({"smile": 0.3})
    first = good(session.render())
    session.stack()
    session.set_targets({"age": 0.9})
    second = good(session.render())
    assert len(session.state.edits) == 2
    torch.testing.assert_close(second.w, first.w)
    # the second edit's target is read against the face that the first edit left
    current = tiny_parts["regressor"](first.after[None])[0, 0]
    assert second.requested == pytest.approx({"smile": 0.3, "age": 0.9 - float(current)}, abs=1e-6)
    step = (0.9 - current) * build_directions()[0]
    torch.testing.assert_close(second.w_edited, first.w_edited + step)


def test_a_latent_can_be_the_face(session, tiny_generator):
    w = torch.randn(8, 16, generator=torch.Generator().manual_seed(5))
    session.set_latent(w)
    kept = w.clone()
    w.zero_()
    result = good(session.render())
    assert torch.equal(result.w[0], kept)
    assert session.state.seed is None
    session.set_latent(kept[0])
    torch.testing.assert_close(good(session.render()).w, kept[0].expand(1, 8, 16))
    session.set_seed(3)
    assert session.state.w is None
    assert good(session.render()).w.shape == (1, 8, 16)


def test_before_and_after_side_by_side(session):
    session.set_changes({"yaw": 0.5})
    result = good(session.render())
    pair = result.compare(gap=2)
    assert pair.shape == (3, 32, 66)
    assert torch.equal(pair[:, :, :32], result.before)
    assert torch.equal(pair[:, :, 34:], result.after)


def test_results_are_ordinary_tensors(session):
    session.set_changes({"smile": 0.1})
    result = good(session.render())
    w = result.w_edited.requires_grad_(True)
    (w.square().sum() + result.after.sum() * w.sum()).backward()
    assert w.grad is not None


def test_the_generator_still_trains_after_a_session_used_it(session):
    good(session.render())
    generator = session.models.generator
    ws = torch.zeros(1, 8, 16, requires_grad=True)
    generator.synthesis(ws).sum().backward()
    assert float(ws.grad.abs().sum()) > 0


# -- what it costs ---------------------------------------------------------------------------------


def test_a_picture_needs_no_judge(session):
    session.set_changes({"smile": 0.3})
    good(session.render())
    assert set(session.models.loaded) == {"generator", "regressor"}
    session.measure()
    assert {"attribute_judge", "identity_judge"} <= set(session.models.loaded)


def test_known_faces_are_not_drawn_again(counted):
    generator = counted.models.generator
    good(counted.render())
    assert (generator.mapped, generator.faces) == (1, 1)
    counted.set_changes({"smile": 0.3})
    good(counted.render())
    assert (generator.mapped, generator.faces) == (1, 2)
    good(counted.render())
    counted.undo()
    good(counted.render())
    assert (generator.mapped, generator.faces) == (1, 2)
    counted.set_seed(1)
    good(counted.render())
    counted.set_seed(0)
    first = good(counted.render())
    assert (generator.mapped, generator.faces) == (2, 3)
    assert first.seconds["synthesis"] == 0


def test_the_unedited_picture_is_the_same_object_while_the_face_is(session):
    first = session.render().before
    session.set_changes({"smile": 0.3})
    assert session.render().before is first


def test_the_cache_stays_small(counted):
    from l2l_widgets.rendering import MAX_FACES

    for seed in range(MAX_FACES + 5):
        counted.set_seed(seed)
        good(counted.render())
    assert len(counted._renderer._faces) == MAX_FACES


# -- history ---------------------------------------------------------------------------------------


def test_undo_and_redo_walk_the_states(session):
    states = [session.state]
    session.set_changes({"smile": 0.3})
    states.append(session.state)
    session.set_seed(5)
    states.append(session.state)
    session.reset()
    states.append(session.state)
    assert session.state.edits[-1].empty
    for state in reversed(states[:-1]):
        assert session.undo()
        assert session.state == state
    assert not session.undo()
    assert not session.can_undo
    for state in states[1:]:
        assert session.can_redo
        assert session.redo()
        assert session.state == state
    assert not session.redo()
    session.undo()
    session.set_seed(9)
    assert not session.can_redo


def test_a_drag_is_one_step(session):
    for value in (0.1, 0.2, 0.3):
        session.set_changes({"smile": value}, gesture="smile/1")
    for value in (0.2, 0.1):
        session.set_changes({"smile": value}, gesture="smile/2")
    session.undo()
    assert session.state.edits[-1].changes == {"smile": 0.3}
    session.undo()
    assert session.state.edits[-1].empty
    assert not session.can_undo


def test_undo_gives_the_same_picture(session):
    session.set_changes({"age": 0.4})
    first = good(session.render()).after
    session.set_changes({"age": 0.1})
    good(session.render())
    session.undo()
    assert torch.equal(good(session.render()).after, first)


# -- errors are data -------------------------------------------------------------------------------

IMPOSSIBLE = [
    ({"changes": {"smlie": 0.3}}, "did you mean smile"),
    ({"changes": {"smile": 1.5}}, "change of 'smile' is 1.5"),
    ({"changes": {"smile": math.nan}}, "change of 'smile' is nan"),
    ({"changes": {"smile": "much"}}, "'much'"),
    ({"changes": {"smile": [1]}}, "'smile'"),
    ({"targets": {"age": 1.2}}, "target of 'age' is 1.2; allowed: a number from 0 to 1"),
    ({"targets": {"age": -0.1}}, "target of 'age' is -0.1"),
    ({"changes": {"hair_black": 0.4, "hair_blond": 0.4}}, "exclusive group 'hair_colour'"),
    ({"changes": {"smile": 0.1}, "targets": {"smile": 0.5}}, "'smile'"),
    (
        {"changes": {"age": 0.1}, "preserve": ("smile",)},
        "preserve is smile; method 'linear'",
    ),
    ({"changes": {"age": 0.1}, "method": "styleflow"}, "'styleflow' is not available"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**32}, "seed is 4294967296"),
    ({"seed": 1.5}, "seed is 1.5"),
    ({"seed": "7"}, "seed is '7'"),
    ({"seed": True}, "seed is True"),
    ({"truncation_psi": math.nan}, "truncation_psi is nan"),
    ({"truncation_psi": 9.0}, "truncation_psi is 9.0; allowed: a number from 0 to 1.5"),
    ({"truncation_psi": "big"}, "truncation_psi is 'big'"),
    ({"noise_mode": "random"}, "noise_mode is 'random'; allowed: const, none"),
    ({"w": torch.zeros(3, 16)}, "ws has shape"),
    ({"w": torch.full((16,), math.nan)}, "NaN"),
    ({"w": torch.full((16,), 1e9)}, "allowed: one face, entries up to 1000"),
    ({"w": torch.zeros(2, 8, 16)}, "allowed: one face"),
    ({"w": [1.0, 2.0]}, "list"),
]


@pytest.mark.parametrize(("values", "message"), IMPOSSIBLE)
def test_an_impossible_request_is_answered_and_the_session_goes_on(session, values, message):
    before = good(session.render())
    session.update(**values)
    result = session.render()
    assert message in result.error
    assert "\n" not in result.error
    assert result.after is None
    assert result.seconds["total"] >= 0
    receipt = session.measure()
    assert message in receipt.error
    with pytest.raises(ValueError, match=r"."):
        session.recipe()
    session.undo()
    assert torch.equal(good(session.render()).after, before.after)


def test_the_unedited_face_is_still_shown_beside_an_error(session):
    session.set_changes({"nose": 0.2})
    result = session.render()
    assert result.error is not None
    assert result.before.shape == (3, 32, 32)
    with pytest.raises(ValueError, match="'nose' is unknown"):
        result.compare()


def test_an_unknown_field_is_a_mistake_of_the_caller(session):
    with pytest.raises(TypeError, match="unknown field 'smile'"):
        session.update(smile=0.3)
    assert not session.can_undo


def test_a_fault_inside_a_method_is_one_line_too(tiny_parts, caplog):
    class Broken(LinearEditor):
        def edit(self, w, request):
            raise RuntimeError("first line\nsecond line")

    class NotFinite(LinearEditor):
        def edit(self, w, request):
            return w * math.nan

    editors = {"broken": Broken(build_directions()), "nan": NotFinite(build_directions())}
    session = EditSession(Models.from_parts(**tiny_parts, editors=editors), method="broken")
    session.set_changes({"smile": 0.3})
    assert session.render().error == "RuntimeError: first line"
    assert "unexpected error in a session" in caplog.text
    session.set_method("nan")
    assert "'nan' gave a latent that is not finite" in session.render().error
    session.reset()
    good(session.render())


def test_without_a_regressor_changes_work_and_targets_say_why_not(tiny_generator):
    editor = LinearEditor(build_directions())
    session = make_session(Models.from_parts(tiny_generator, editors={"linear": editor}))
    session.set_changes({"smile": 0.3})
    good(session.render())
    assert session.readings() == {}
    assert "hold no attribute judge" in session.measure().error
    session.set_targets({"smile": 0.3})
    assert "target of 'smile' is absolute" in session.render().error


def test_a_generator_alone_can_be_sampled(tiny_generator):
    session = EditSession(Models.from_parts(tiny_generator))
    good(session.render())


# -- the receipt -----------------------------------------------------------------------------------


def test_the_receipt_is_the_second_judges_reading(session, tiny_parts):
    session.set_changes({"smile": 0.3, "age": -0.2})
    result = good(session.render())
    receipt = session.measure()
    assert receipt.error is None
    judge, face = tiny_parts["attribute_judge"], tiny_parts["identity_judge"]
    change = (judge(result.after[None]) - judge(result.before[None]))[0]
    expected = dict(zip(DEFAULT_TABLE.names, change.tolist(), strict=True))
    assert receipt.requested == pytest.approx({"smile": 0.3, "age": -0.2})
    assert receipt.achieved == pytest.approx({k: expected[k] for k in ("smile", "age")}, abs=1e-6)
    assert set(receipt.others) == set(DEFAULT_TABLE.names) - {"smile", "age"}
    assert receipt.others["yaw"] == pytest.approx(expected["yaw"], abs=1e-6)
    cosine = float((face(result.after[None]) * face(result.before[None])).sum())
    assert receipt.identity == pytest.approx(cosine, abs=1e-5)
    regressor = tiny_parts["regressor"]
    moved = (regressor(result.after[None]) - regressor(result.before[None]))[0]
    assert receipt.by_regressor["age"] == pytest.approx(float(moved[0]), abs=1e-6)
    assert receipt.size == pytest.approx(float((result.w_edited - result.w).norm()), rel=1e-5)
    assert receipt.judges["attribute"] == "AttributeNet (attribute_judge)"
    assert receipt.seconds["total"] > 0
    assert receipt.stamp == result.stamp


def test_the_band_is_what_random_edits_of_that_size_do(session, tiny_models, tiny_parts):
    session.set_changes({"smile": 0.3})
    result = good(session.render())
    session.set_changes({"smile": 0.3 * 2.0 / float((result.w_edited - result.w).norm())})
    receipt = session.measure()
    assert receipt.size == pytest.approx(2.0, rel=1e-4)  # a size that is measured, not scaled
    generator = tiny_models.generator
    z = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    w = generator.mapping(z)[:, 0]
    steps = (w[:8] - w[8:])[:, None].repeat(1, 8, 1)
    steps = 2.0 * steps / steps.flatten(1).norm(dim=1)[:, None, None]
    judge = tiny_parts["attribute_judge"]
    changes = judge(generator.synthesis(result.w + steps)) - judge(result.before[None])
    low, high = torch.quantile(changes, torch.tensor([0.05, 0.95]), dim=0)
    for i, name in enumerate(DEFAULT_TABLE.names):
        assert receipt.band[name] == pytest.approx((float(low[i]), float(high[i])), abs=1e-4)
    face = tiny_parts["identity_judge"]
    cosines = face(generator.synthesis(result.w + steps)) @ face(result.before[None])[0]
    expected = torch.quantile(cosines, torch.tensor([0.05, 0.95])).tolist()
    assert receipt.identity_band == pytest.approx(expected, abs=1e-4)


def test_a_band_is_scaled_from_the_nearest_measured_size(counted):
    generator = counted.models.generator
    counted.set_changes({"smile": 0.30})
    first = counted.measure()
    drawn = generator.faces
    counted.set_changes({"smile": 0.305})
    second = counted.measure()
    assert generator.faces == drawn + 1  # the edited face, and no random edit
    ratio = second.size / first.size
    for name, (low, high) in first.band.items():
        assert second.band[name] == pytest.approx((low * ratio, high * ratio), rel=1e-3)


def test_an_empty_edit_moves_nothing(session):
    receipt = session.measure()
    assert receipt.error is None
    assert receipt.size == 0
    assert receipt.requested == {}
    assert set(receipt.others.values()) == {0.0}
    assert receipt.identity == pytest.approx(1, abs=1e-5)
    assert receipt.outside_band() == {}


def test_what_left_the_band_is_named_farthest_first(session):
    session.set_changes({"smile": 1.0})
    receipt = session.measure()
    outside = receipt.outside_band()
    for name, change in receipt.others.items():
        low, high = receipt.band[name]
        assert (name in outside) == (not low <= change <= high)
    sizes = [abs(change) for change in outside.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_the_receipt_is_plain_data_and_readable_text(session):
    session.set_changes({"smile": 0.5})
    session.set_targets({"age": 0.8})
    receipt = session.measure()
    again = json.loads(json.dumps(receipt.to_dict(), allow_nan=False))
    assert again["requested"].keys() == {"smile", "age"}
    assert len(again["band"]) == 35
    text = receipt.to_text(DEFAULT_TABLE)
    lines = text.splitlines()
    assert any(line.startswith("Age") and "years" in line for line in lines)
    assert any(line.startswith("identity") for line in lines)
    assert max(map(len, lines)) <= 100


def test_without_second_judges_the_receipt_says_who_read(tiny_parts):
    parts = {k: tiny_parts[k] for k in ("generator", "regressor", "embedder")}
    models = Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    session = make_session(models)
    session.set_changes({"smile": 0.3})
    receipt = session.measure()
    assert receipt.error is None
    assert receipt.judges["attribute"] == "AttributeNet (regressor, also in the losses)"
    assert receipt.judges["identity"] == "FaceEmbeddingNet (embedder, also in the losses)"


def test_a_stale_measurement_is_abandoned_and_goes_on_later(counted):
    generator = counted.models.generator
    counted.set_changes({"smile": 0.3})
    asked = []

    def stale():
        asked.append(None)
        return len(asked) > 3

    assert counted.measure(stale) is None
    assert generator.faces == 2 + CHUNK
    assert counted.measure().error is None
    assert generator.faces == 2 + 8


# -- the worker ------------------------------------------------------------------------------------


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
    assert counted.drain()
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
    assert session.drain()
    assert heard == [("result", stamp), ("receipt", stamp)]
    assert also == ["result", "receipt"]
    cancel()
    cancel()
    session.request(seed=4)
    assert session.drain()
    assert also == ["result", "receipt"]
    assert [kind for kind, _ in heard[2:]] == ["result", "receipt"]


def test_a_newer_request_ends_the_measurement(counted):
    generator = counted.models.generator
    heard = []
    counted.subscribe(lambda kind, value: heard.append((kind, value.stamp)))
    counted.request(changes={"smile": 0.3})
    counted.drain()
    count = len(heard)

    # the random edits of another size are held up until a newer request is in
    asked = threading.Event()
    judge = counted.models.attribute_judge

    def hold_up(*_):
        asked.set()
        generator.gate.clear()

    handle = judge.register_forward_hook(hold_up)
    first = counted.request(changes={"smile": 1.0})
    assert asked.wait(10)
    handle.remove()
    second = counted.request(changes={"smile": -1.0})
    generator.gate.set()
    assert counted.drain()
    kinds = heard[count:]
    assert ("receipt", first) not in kinds
    assert kinds[-1] == ("receipt", second)


def test_an_impossible_request_reaches_subscribers_as_an_error(session):
    heard = []
    session.subscribe(lambda kind, value: heard.append((kind, value.error)))
    session.request(seed=-5)
    session.drain()
    session.request(seed=5, measure=False)
    session.drain()
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
    session.drain()
    assert heard == ["result", "receipt"]
    assert "this view is broken" in caplog.text


def test_a_forgotten_session_is_collected(tiny_models):
    session = make_session(tiny_models)
    session.request(seed=1)
    session.drain()
    gone = weakref.ref(session)
    worker = session._worker
    del session
    for _ in range(50):
        gc.collect()
        if gone() is None:
            break
    assert gone() is None
    worker._thread.join(5)
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


def test_latest_wins_drops_what_nobody_waits_for():
    done, gate, started = [], threading.Event(), threading.Event()

    def work(value):
        started.set()
        gate.wait(10)
        done.append((value, worker.stale()))

    worker = LatestWins(work)
    worker(0)
    assert started.wait(10)
    for value in range(1, 6):
        worker(value)
    assert worker.stale()
    assert not worker.drain(0.01)
    gate.set()
    assert worker.drain()
    assert done == [(0, True), (5, False)]
    assert worker.dropped == 4
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker(7)


def test_latest_wins_outlives_a_failing_call(caplog):
    done = []

    def work(value):
        if value == "bad":
            raise ValueError("no")
        done.append(value)

    worker = LatestWins(work)
    worker("bad")
    assert worker.drain()
    worker("good")
    assert worker.drain()
    assert done == ["good"]
    assert "a worker call failed" in caplog.text
    worker.close()


# -- saving ----------------------------------------------------------------------------------------


def test_a_saved_picture_holds_the_pixels_and_the_recipe(session, tmp_path):
    import numpy as np
    from PIL import Image

    session.set_seed(7)
    session.set_changes({"smile": 0.3})
    path = tmp_path / "face.png"
    recipe = session.save(path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    expected = to_uint8(session.render().after).permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, expected)
    assert parse_recipe(read_png_text(path)[PNG_KEY]).to_dict() == recipe
    session.save(path, scale=3)
    with Image.open(path) as picture:
        assert picture.size == (96, 96)
    session.save(path, scale=2, compare=True)
    with Image.open(path) as picture:
        assert picture.size == (2 * 66, 64)
    assert os.listdir(tmp_path) == ["face.png"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_picture_and_nothing_else(session, tmp_path, monkeypatch, call):
    path = tmp_path / "face.png"
    session.save(path)
    old = path.read_bytes()
    session.set_changes({"smile": 0.5})

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "write":
        fill_disk_for_writes(monkeypatch, full)
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(ValueError, match=r"face\.png.*No space left") as caught:
        session.save(path)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["face.png"]
    session.save(path)
    assert path.read_bytes() != old


def fill_disk_for_writes(monkeypatch, full):
    """Make files that are opened for writing refuse their bytes, as a full disk does."""
    import builtins

    real = builtins.open

    def open_(file, mode="r", *args, **kwargs):
        stream = real(file, mode, *args, **kwargs)
        if "w" not in mode:
            return stream

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                stream.close()

            def write(self, data):
                stream.write(data[: len(data) // 2])
                full()

            def __getattr__(self, name):
                return getattr(stream, name)

        return Full()

    monkeypatch.setattr(builtins, "open", open_)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("face.jpg", {}, "allowed: one that ends in .png"),
        ("face", {}, "allowed: one that ends in .png"),
        ("face.png", {"scale": 0}, "scale is 0; allowed: a whole number from 1 to 64"),
        ("face.png", {"scale": 1.5}, "scale is 1.5"),
        ("face.png", {"scale": True}, "scale is True"),
        ("missing/face.png", {}, "missing"),
    ],
)
def test_a_picture_that_cannot_be_saved_says_why(session, tmp_path, name, options, message):
    with pytest.raises(ValueError, match=r".") as caught:
        session.save(tmp_path / name, **options)
    assert message in str(caught.value)
    assert os.listdir(tmp_path) == []
