"""What a hand paints on faces that a rule chose is what a judge reads in the drawing.

The same strokes with a real mouse are in ``browser/test_mask_painter.py``.
"""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.models.zoo import load
from l2l_widgets.painting import PaintSession, load_painter
from tests.browser.paint_strokes import EDITS, operations, plain_faces, truly

#: Of what the same judge reads where the person truly has it, painting reaches at least so much.
SHARE = 0.8
FACES = 10


@pytest.fixture(scope="module")
def models():
    return load()


@pytest.fixture(scope="module")
def painter(models):
    return load_painter(models)


@pytest.fixture(scope="module")
def people():
    return plain_faces(FACES, 64)


@pytest.mark.parametrize("edit", EDITS)
def test_every_one_of_ten_faces_reads_as_painted(models, painter, people, edit):
    images, masks, factors = people
    column = models.table.index(EDITS[edit])

    def read(pictures):
        return models.attribute_judge(pictures)[:, column]

    drawn = []
    for image, mask in zip(images, masks, strict=True):
        session = PaintSession(painter, image, mask)
        for operation in operations(mask, edit):
            session.apply(operation)
        drawn.append(session.render().image)
        session.close()
    painted, true = read(torch.stack(drawn)), read(truly(factors, edit, 64))
    print(f"{edit}: painted {painted.tolist()}, truly so {true.tolist()}")
    assert (painted > 0.5).all(), painted
    assert (painted > read(images) + 0.1).all(), painted
    assert (painted >= SHARE * true).all(), (painted, true)
