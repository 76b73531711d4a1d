"""A session's pictures: drafts while a slider moves, and pictures that nobody waits for."""

from __future__ import annotations

import threading

import pytest
import torch
from conftest import LinearEditor, build_directions, good, make_session

from l2l_widgets.models.zoo import Models
from l2l_widgets.protocols import InteractiveGenerator
from l2l_widgets.stylegan2 import InteractiveDrawing


@pytest.fixture
def drafting(monkeypatch):
    """Drafts at any size, on any processor."""
    monkeypatch.setattr(InteractiveDrawing, "can_draft", lambda self: True)


def test_generators_say_whether_they_are_interactive(tiny_generator, counting_generator):
    assert isinstance(tiny_generator, InteractiveGenerator)
    assert not isinstance(counting_generator, InteractiveGenerator)


def test_a_preview_is_rough_and_leaves_no_trace(session, drafting):
    good(session.render())
    session.set_changes({"smile": 0.3})
    preview = good(session.render(preview=True))
    assert preview.preview
    final = good(session.render())
    assert not final.preview
    assert torch.equal(final.w_edited, preview.w_edited)
    assert not torch.equal(final.after, preview.after)
    assert float((final.after - preview.after).abs().mean()) < 0.1 * float(final.after.std())
    again = good(session.render(preview=True))  # known by now: no draft is needed
    assert not again.preview
    assert again.after is final.after


def test_readings_and_receipts_never_see_a_preview(session, drafting):
    session.set_changes({"smile": 0.3})
    good(session.render(preview=True))
    measured = session.measure()
    fresh = make_session(session.models)
    fresh.set_changes({"smile": 0.3})
    assert measured.after == fresh.measure().after


def test_a_generator_without_drafts_draws_the_picture(counted):
    counted.set_changes({"smile": 0.3})
    assert not good(counted.render(preview=True)).preview


def test_small_pictures_need_no_preview(session):
    session.set_changes({"smile": 0.3})
    assert not good(session.render(preview=True)).preview


@pytest.mark.parametrize("preview", [False, True])
def test_an_abandoned_picture_is_none_and_can_be_had_later(session, drafting, preview):
    state = session.state
    assert session._renderer.render(state, 0, lambda: True, preview) is None
    assert good(session._renderer.render(state)).after is not None


def test_memory_is_reported_and_bounded(session):
    assert session.memory() == {"pictures": 0, "activations": 0, "weights": 0}
    for seed in range(20):
        session.set_seed(seed)
        good(session.render())
    memory = session.memory()
    assert 0 < memory["pictures"] <= 12 * 2 * 3 * 32 * 32 * 4
    network = session.models.generator.synthesis
    assert 0 < memory["activations"] <= InteractiveDrawing(network).limit
    assert memory["weights"] == network.prepared_bytes > 0


class HeldUp:
    """An interactive generator that waits between two blocks until the test lets it go on."""

    def __init__(self, generator):
        for name in ("z_dim", "w_dim", "num_ws", "img_resolution", "mapping", "w_avg", "synthesis"):
            setattr(self, name, getattr(generator, name))
        self.reached, self.go = threading.Event(), threading.Event()
        self.abandoned = 0

    def interactive(self):
        line = InteractiveDrawing(self.synthesis)
        plain = line.draw

        def draw(ws, noise_mode="const", *, draft=False, stale=lambda: False, early=None):
            def ask():
                self.reached.set()
                assert self.go.wait(120)
                return stale()

            image = plain(ws, noise_mode, draft=draft, stale=ask, early=early)
            self.abandoned += image is None
            return image

        line.draw = draw
        return line


def test_a_newer_request_ends_the_picture_under_way(tiny_parts):
    generator = HeldUp(tiny_parts["generator"])
    parts = {**tiny_parts, "generator": generator}
    session = make_session(
        Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    )
    results = []
    session.subscribe(lambda kind, value: results.append(value) if kind == "result" else None)
    session.request(measure=False, seed=1)
    assert generator.reached.wait(120)
    newest = session.request(measure=False, seed=2)
    generator.go.set()
    assert session.drain(120)
    assert generator.abandoned == 1
    assert [r.stamp for r in results] == [newest]
    session.close()


def test_whoever_drags_without_a_pause_sees_something(tiny_parts, monkeypatch):
    monkeypatch.setattr("l2l_widgets.session.edit_session.PATIENCE", 0.0)
    generator = HeldUp(tiny_parts["generator"])
    parts = {**tiny_parts, "generator": generator}
    session = make_session(
        Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    )
    results = []
    session.subscribe(lambda kind, value: results.append(value) if kind == "result" else None)
    first = session.request(measure=False, seed=1)
    assert generator.reached.wait(120)
    second = session.request(measure=False, seed=2)
    generator.go.set()
    assert session.drain(120)
    assert generator.abandoned == 0
    assert [r.stamp for r in results] == [first, second]
    session.close()
