"""A face under the pointer and the same face loaded are drawn once, to the same pixels."""

from __future__ import annotations

import threading

import pytest
import torch

from l2l_widgets.models.drawing import Face
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.glances import KEPT, Glances
from l2l_widgets.stylegan2.synthesis import SynthesisNetwork


@pytest.fixture
def drawn(monkeypatch):
    """The threads that have drawn, one entry a picture."""
    threads = []
    for name in ("forward", "grow"):
        plain = getattr(SynthesisNetwork, name)

        def counted(self, *args, _plain=plain, **kwargs):
            threads.append(threading.current_thread())
            return _plain(self, *args, **kwargs)

        monkeypatch.setattr(SynthesisNetwork, name, counted)
    return threads


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3, n_random=4)
    yield session
    session.close()


def test_what_was_under_the_pointer_is_loaded_without_being_drawn_again(
    session, tiny_models, drawn
):
    psi = session.state.truncation_psi
    seen = Glances.of(tiny_models).draw(tiny_models, 8, psi)
    before = len(drawn)
    assert before == 1
    session.set_seed(8)
    assert torch.equal(session.render().before, seen)
    assert len(drawn) == before
    fresh = EditSession(tiny_models, method="linear", seed=9)
    shown = fresh.render().before
    assert torch.equal(Glances.of(tiny_models).draw(tiny_models, 9, psi), shown)
    assert len(drawn) == before + 1, "and the other way round"
    fresh.close()


def test_another_truncation_or_noise_is_another_picture(session, tiny_models, drawn):
    seen = Glances.of(tiny_models).draw(tiny_models, 8, 0.5)
    session.update(seed=8, truncation_psi=0.7)
    assert not torch.equal(session.render().before, seen)
    session.update(truncation_psi=0.5, noise_mode="none")
    session.render()
    assert len(drawn) == 3


def test_who_comes_while_it_is_drawn_waits_for_it_and_who_comes_after_a_failure_draws():
    glances, begun, may_end = Glances(), threading.Event(), threading.Event()
    picture = torch.zeros(1, 3, 4, 4)

    def slowly():
        begun.set()
        assert may_end.wait(120)
        return picture

    first, second = Face(picture, ("a",)), Face(picture, ("a",))
    worker = threading.Thread(target=glances.share, args=(first, slowly))
    worker.start()
    assert begun.wait(120)
    threading.Timer(0.05, may_end.set).start()
    assert glances.share(second, lambda: 1 / 0) is picture
    assert second.image is picture
    worker.join(120)

    def failing():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        glances.share(Face(picture, ("b",)), failing)
    assert glances.share(Face(picture, ("b",)), lambda: picture) is picture


def test_few_are_kept_and_none_keeps_its_models(tiny_models):
    glances = Glances()
    for i in range(KEPT + 3):
        glances.share(Face(torch.zeros(1), (i,)), lambda: torch.ones(1))
    assert len(glances._pictures) == KEPT
    assert Glances.of(tiny_models) is Glances.of(tiny_models)
