import errno
import math
import os

import pytest
import torch
from conftest import LinearEditor, build_directions, good, make_session

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.images import read_png_text, to_uint8
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import PNG_KEY, parse_recipe

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
    from l2l_widgets.session.known_faces import MAX_FACES

    for seed in range(MAX_FACES + 5):
        counted.set_seed(seed)
        good(counted.render())
    assert len(counted._renderer._known) == MAX_FACES


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
    ({"changes": {"age": 0.1}, "preserve": ("age",)}, "'age' is both changed and preserved"),
    ({"changes": {"age": 0.1}, "preserve": ("agee",)}, "did you mean age"),
    ({"changes": {"age": 0.1}, "rows": (0, 8)}, "rows is [0, 8]; allowed: whole numbers from 0 to"),
    ({"changes": {"age": 0.1}, "rows": ()}, "rows is []"),
    ({"changes": {"age": 0.1}, "rows": (1, 1)}, "rows is [1, 1]"),
    ({"changes": {"age": 0.1}, "rows": (True,)}, "rows is [True]"),
    ({"changes": {"age": 0.1}, "space": "s"}, "space is 's'; allowed with method"),
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
    assert good(session.render()).after.shape[0] == 3


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
        ("file/face.png", {}, "file"),
    ],
)
def test_a_picture_that_cannot_be_saved_says_why(session, tmp_path, name, options, message):
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(ValueError, match=r".") as caught:
        session.save(tmp_path / name, **options)
    assert message in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed"),
        ({"seed": "seven"}, "seed"),
        ({"truncation_psi": 9}, "truncation_psi is 9; allowed: a number from 0 to 1.5"),
    ],
)
def test_a_session_is_not_made_with_a_wrong_number(tiny_models, options, message):
    with pytest.raises(ValueError, match=message):
        make_session(tiny_models, **options)


def test_a_misspelt_name_shows_where_a_notebook_shows_the_session_or_its_result(session):
    session.set_seed(7)
    session.set_changes({"smile": 0.3})
    assert repr(session) == "EditSession(seed 7; linear: smile +0.3)"
    assert repr(session.render()) == "EditResult(seed 7; linear: smile +0.3)"
    session.update(changes={"smiel": 0.3})
    wrong = "ERROR: attribute 'smiel' is unknown; did you mean smile?"
    assert wrong in repr(session)
    assert wrong in repr(session.render())
    session.undo()
    assert "ERROR" not in repr(session)
