"""The first picture: a small one on the way, enlarged, where the whole takes long."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from conftest import LinearEditor, build_directions, good, make_session

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.stylegan2 import Generator, InteractiveDrawing, frozen, progress
from l2l_widgets.stylegan2.progress import BlockTimes
from l2l_widgets.widgets import FaceEditor

SIDES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: Milliseconds of each block, as a 1024 px network of configuration F takes them on a laptop.
SECONDS = dict(zip(SIDES, (4, 6, 12, 30, 90, 120, 190, 300, 490), strict=True))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def first_side(times, clock, seconds, start=0):
    """Run one pass by the clock; the side that is shown first, and when, as a share of the pass."""
    chosen = None
    times.begin()
    for side in SIDES[start:]:
        clock.now += seconds[side] / 1000
        times.reached(side)
        if chosen is None and times.is_first(side):
            done = sum(seconds[s] for s in SIDES[start : SIDES.index(side) + 1])
            chosen = side, done / sum(seconds[s] for s in SIDES[start:])
            clock.now += 5.0  # whoever draws it takes as long as he likes
        times.resume()
    return chosen


def test_the_largest_picture_that_is_there_in_time_is_first():
    clock = Clock()
    times = BlockTimes(SIDES, clock)
    assert first_side(times, clock, SECONDS) is None, "nothing was known yet"
    side, share = first_side(times, clock, SECONDS)
    assert side == 64
    assert share <= 0.15
    assert first_side(times, clock, SECONDS) == (side, share), "showing it counted as drawing"


def test_who_draws_at_once_shows_no_early_picture():
    clock = Clock()
    times = BlockTimes(SIDES, clock)
    quick = {side: seconds / 20 for side, seconds in SECONDS.items()}
    assert [first_side(times, clock, quick) for _ in range(4)] == [None] * 4
    # the same sizes, slower: time decides, not size
    assert [first_side(times, clock, SECONDS) is None for _ in range(6)][-1] is False


def test_one_slow_pass_changes_nothing():
    clock = Clock()
    times = BlockTimes(SIDES, clock)
    quick = {side: seconds / 20 for side, seconds in SECONDS.items()}
    for _ in range(5):
        first_side(times, clock, quick)
    first_side(times, clock, {**quick, 512: 3000.0})
    assert first_side(times, clock, quick) is None


def test_a_pass_that_begins_late_shows_its_first_picture_or_none():
    clock = Clock()
    times = BlockTimes(SIDES, clock)
    first_side(times, clock, SECONDS)
    assert first_side(times, clock, SECONDS, start=6) == (256, 190 / 980)
    assert first_side(times, clock, SECONDS, start=7) == (512, 300 / 790)
    assert first_side(times, clock, SECONDS, start=8) is None  # the picture itself


# -- in a network ----------------------------------------------------------------------------------


def network(side):
    """A generator with the sides of configuration F and few channels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(
            16, 0, 16, side, 3, {"num_layers": 2}, channel_base=16 * side, channel_max=16
        )
    return generator.eval().requires_grad_(False)


@pytest.fixture
def always(monkeypatch):
    """Early pictures of networks of any speed."""
    monkeypatch.setattr(progress, "WORTH", 0.0)
    monkeypatch.setattr(progress, "LATEST", 1.0)


def enlarged(generator, ws):
    """What may come first: every smaller picture, enlarged."""
    smaller = [s for s in generator.synthesis.block_resolutions if 16 <= s < 256]
    return [
        F.interpolate(generator.synthesis(ws, max_resolution=s), size=256, mode="bilinear")
        for s in smaller
    ]


def test_one_early_picture_is_the_skip_output_enlarged(always):
    generator = network(256)
    drawing = generator.interactive()
    early = []
    with torch.inference_mode():
        for seed in range(3):
            ws = generator.mapping(torch.full((1, 16), seed - 1.0))
            early.clear()
            image = drawing.draw(ws, early=early.append)
            assert len(early) == (seed > 0), "the first pass is timed"
    assert any(torch.allclose(early[0], e, atol=1e-4) for e in enlarged(generator, ws))
    assert torch.equal(image, generator.synthesis(ws))


def session_of(generator, tiny_parts):
    """A session of a larger generator, whose pictures the small readers read."""
    parts = {**tiny_parts, "generator": generator}
    return make_session(
        Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    )


class Heard:
    """What a session says, in order."""

    def __init__(self, session):
        self.said = []
        session.subscribe(lambda kind, value: self.said.append((kind, value)))

    def kinds(self):
        return [kind for kind, _ in self.said]

    def of(self, kind):
        return [value for k, value in self.said if k == kind]


def test_the_early_picture_comes_first_and_the_whole_one_follows(always, tiny_parts):
    generator = network(256)
    session = session_of(generator, tiny_parts)
    good(session.render())
    heard = Heard(session)
    stamp = session.request(measure=False, seed=5)
    assert session.drain(120)
    assert heard.kinds() == ["early", "result"]
    early, whole = heard.of("early")[0], good(heard.of("result")[0])
    assert (early.stamp, early.preview, whole.preview) == (stamp, True, False)
    assert early.before is None
    assert torch.equal(early.w_edited, whole.w_edited)
    assert early.after.shape == whole.after.shape == (3, 256, 256)
    assert any(torch.allclose(early.after, e[0], atol=1e-4) for e in enlarged(generator, whole.w))
    assert not early.after.is_inference()
    heard.said.clear()
    session.request(measure=False)  # the same again: a rough picture would be a step back
    session.request(measure=False, changes={"smile": 0.3})
    assert session.drain(120)
    assert heard.kinds()[-2:] == ["early", "result"]
    assert heard.of("early")[0].requested == pytest.approx({"smile": 0.3})
    assert torch.equal(heard.of("early")[0].before, whole.after)
    session.close()


def test_measuring_after_a_draft_shows_no_early_picture(always, tiny_parts, monkeypatch):
    monkeypatch.setattr(InteractiveDrawing, "can_draft", lambda self: True)
    session = session_of(network(256), tiny_parts)
    for seed in (1, 2):  # a pass of either kind is timed
        session.update(seed=seed, changes={"smile": 0.1})
        good(session.render())
        session.update(changes={"smile": 0.2})
        good(session.render(preview=True))
    heard = Heard(session)
    session.request(measure=False, preview=True, changes={"smile": 0.4})
    assert session.drain(120)
    session.request(measure=False)
    assert session.drain(120)
    assert heard.kinds() == ["early", "result", "result"]
    assert [r.preview for r in heard.of("result")] == [True, False]
    session.close()


def test_a_newer_request_ends_a_picture_whose_early_one_is_out(always, tiny_parts, monkeypatch):
    monkeypatch.setattr("l2l_widgets.session.edit_session.PATIENCE", 600.0)
    drawn = []  # a block ends with its colour
    colour = frozen._FrozenColour.__call__
    monkeypatch.setattr(frozen._FrozenColour, "__call__", lambda *a: drawn.append(1) or colour(*a))
    generator = network(256)
    session = session_of(generator, tiny_parts)
    good(session.render())
    heard, out, go = Heard(session), threading.Event(), threading.Event()

    def hold(kind, value):
        if kind == "early" and not out.is_set():
            out.set()
            assert go.wait(120)

    session.subscribe(hold)
    first = session.request(measure=False, seed=1)
    assert out.wait(120)
    before = len(drawn)
    second = session.request(measure=False, seed=2)
    go.set()
    assert session.drain(120)
    assert [r.stamp for r in heard.of("early")] == [first, second]
    assert [r.stamp for r in heard.of("result")] == [second]
    blocks = len(generator.synthesis.block_resolutions)
    assert len(drawn) - before <= 1 + blocks, "the stale picture went on for more than one block"
    session.close()


def test_the_page_sees_the_early_picture_then_the_whole_one(always, tiny_parts, tmp_path):
    session = EditSession(session_of(network(256), tiny_parts).models, method="linear", n_random=4)
    measured = threading.Event()
    session.subscribe(lambda kind, _: measured.set() if kind == "receipt" else None)
    editor = FaceEditor(session, folder=tmp_path)
    assert measured.wait(120)
    measured.clear()
    seen = []
    editor.observe(lambda change: seen.append((change["name"], change["new"])))
    message = {"kind": "seed", "seed": 9, "client": "page", "number": 1}
    editor._handle_custom_msg(message, [])
    assert measured.wait(120)
    pictures = [value for name, value in seen if name == "after"]
    assert len(pictures) == 2, "early and whole, and nothing again for the receipt"
    assert pictures[0]["stamp"] == pictures[1]["stamp"] == session.stamp
    assert pictures[0]["data"] != pictures[1]["data"]
    assert pictures[0]["answers"] == {"page": 1}
    befores = [value for name, value in seen if name == "before"]
    assert len(befores) == 1, "the unedited face is shown when it is whole"
    assert befores[0]["data"] == pictures[1]["data"]
    editor.close()
    session.close()
