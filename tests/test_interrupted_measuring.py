"""A measurement is left between two blocks of the generator, and what comes of it is the same."""

import pytest
import torch

from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.references import RandomEdits, Strangers


def asked(answers):
    """Says what it is told to, one answer a question, and then no more."""
    left = list(answers)
    return lambda: left.pop(0) if left else False


@pytest.fixture
def face(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3)
    with torch.inference_mode():
        result = session.render()
        before = tiny_models.attribute_judge(result.before[None])
        vector = tiny_models.identity_judge(result.before[None])
    session.close()
    return result.w, before, vector


def test_a_chunk_is_left_at_the_next_block_and_drawn_later(tiny_models, face):
    w, before, vector = face
    blocks = []
    edits, plain = (RandomEdits(tiny_models, w, n=8) for _ in range(2))
    with torch.inference_mode():

        def stale():
            blocks.append(True)
            return len(blocks) == 2

        edits.advance(1.0, before, vector, stale)
        assert len(blocks) == 2, "it went on after it was told to stop"
        assert edits.missing(1.0) == 8
        while edits.missing(1.0):
            edits.advance(1.0, before, vector, asked([False]))
        while plain.missing(1.0):
            plain.advance(1.0, before, vector)
    for one, other in zip(edits.band(1.0)[:2], plain.band(1.0)[:2], strict=True):
        assert torch.equal(one, other)


def test_strangers_are_left_and_found_again(tiny_models):
    strangers, plain = Strangers(tiny_models, n=8), Strangers(tiny_models, n=8)
    with torch.inference_mode():
        strangers.advance(0.7, "const", lambda: True)
        assert strangers.missing(0.7, "const") == 8
        for one in (strangers, plain):
            while one.missing(0.7, "const"):
                one.advance(0.7, "const")
    assert strangers.similarity(0.7, "const") == plain.similarity(0.7, "const")
