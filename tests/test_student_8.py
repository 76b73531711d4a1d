"""The exercises of student_8: right answers pass, wrong ones are told why.

Solutions live here. What the cells above the exercises have made is made here at a smaller size,
with an untrained network: the exercises ask about masks, and about what a switch does.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch
from test_notebook_exercises import NOTEBOOKS, exercises_of

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.masks import MASK_CLASSES, class_index, mirror, to_order
from l2l_widgets.painting import PaintSession, read_paint_recipe
from l2l_widgets.teaching.exercises import exercise

SIDE = 32


@pytest.fixture(scope="module")
def lesson():
    """The exercises, and what the notebook knows when it comes to them."""
    faces = render(sample_factors(6, seed=11), SIDE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        painter = MaskGAN(DenseMappingNetwork(MappingConfig(SIDE, 4, 2, 2, 4, 1))).eval()
    hatted = PaintSession(painter, faces.image[0], faces.mask[0])
    brim = [[8, 8], [24, 8]]
    hatted.apply({"kind": "brush", "class": class_index("hat"), "size": 6, "points": brim})
    names = {
        "torch": torch, "MASK_CLASSES": MASK_CLASSES, "faces": faces, "hatted": hatted,
        "painter": painter, "PaintSession": PaintSession, "exercise": exercise,
        "read_paint_recipe": read_paint_recipe,
    }  # fmt: skip
    found = exercises_of("student_8_paint_a_face", **names)
    yield {**found, "faces": faces, "painter": painter}
    hatted.close()


def test_the_share_of_a_part(lesson):
    share = lesson["part_share"]
    verdict = share.check(lambda mask, name: (mask == MASK_CLASSES.index(name)).float().mean())
    assert verdict, verdict
    assert "of the first face's picture is hair" in verdict.message
    assert "no function" in lesson["part_share"].check(0.3).message
    wrong = share.check(lambda mask, name: (mask == MASK_CLASSES.index(name)).sum())
    assert "more than the whole picture" in wrong.message
    assert "look again" in share.check(lambda mask, name: (mask != 0).float().mean()).message


def test_the_friends_class_17_begins_near_the_top_as_the_lesson_says():
    text = (NOTEBOOKS / "student_8_paint_a_face.ipynb").read_text("utf-8")
    (shown,) = re.findall(r"mask = faces.mask\[(\d)\]", text)
    mask = render(sample_factors(6, seed=11), SIDE).mask[int(shown)]
    tops = [int((one == 17).nonzero()[0, 0]) for one in (to_order(mask, "bisenet"), mask)]
    assert tops[0] < 0.1 * SIDE < 0.6 * SIDE < tops[1]


def test_what_the_lesson_says_of_simulated_edits_is_what_was_measured():
    """The sentences of section 4, held against the scores of the page that they name."""
    text = (NOTEBOOKS / "student_8_paint_a_face.ipynb").read_text("utf-8")
    assert "In general it did *not* help" in text
    scores = json.loads((NOTEBOOKS.parent / "docs" / "painting_scores.json").read_text("utf-8"))
    more = {name: ends for name, (_, *ends) in scores["whole_minus"]["no-edits"].items()}
    assert more["edited_iou"][1] <= 0, "as good or a little better without"
    assert more["edited_identity"][1] <= 0
    assert more["moved_identity"][0] > 0, "a little more of the person"
    assert more["moved_iou"][1] < 0, "and a little less of the mask"
    share = scores["variants"]["whole"]["means"]["changed_outside"]
    assert ("about a third of the pixels outside" in text) == (0.28 < share < 0.38)


def test_the_mirrored_mask(lesson):
    check = lesson["mirrored"].check
    assert check(mirror)
    assert "other side of the face" in check(lambda mask: mask.flip(-1)).message
    assert "background is not mirrored" in check(lambda mask: mask).message
    before = lesson["faces"].mask.clone()
    assert "background is not mirrored" in check(lambda mask: mask.zero_()).message
    assert torch.equal(lesson["faces"].mask, before), "an answer cannot spoil the lesson's faces"

    def hair_and_hat(mask):
        out, hair, hat = mirror(mask), class_index("hair"), class_index("hat")
        turned = mirror(mask)
        out[turned == hair], out[turned == hat] = hat, hair
        return out

    assert "has another name now" in check(hair_and_hat).message

    def only_eyes(mask):
        out = mask.flip(-1).clone()
        out[mask.flip(-1) == 4], out[mask.flip(-1) == 5] = 5, 4
        return out

    assert "on the other side" in check(only_eyes).message
    assert "the shape (32,)" in check(lambda mask: mask[0]).message


def test_longer_hair(lesson, tmp_path):
    check, faces = lesson["longer_hair"].check, lesson["faces"]
    session = PaintSession(lesson["painter"], faces.image[0], faces.mask[0])
    assert "paint on" in check(session).message
    hair = {"kind": "brush", "class": class_index("hair"), "size": 8}
    session.apply({**hair, "points": [[4, 10], [4, 28]]})
    session.apply({**hair, "points": [[28, 10], [28, 28]]})
    assert "which switch keeps them?" in check(session).message
    session.keep_outside(feather=0)  # three pixels are much of a picture of 32
    verdict = check(session)
    assert verdict, verdict
    assert check(SimpleNamespace(session=session)), "a painter is taken for its session"
    session.close()
    other = PaintSession(lesson["painter"], faces.image[1], faces.mask[1])
    assert "not face 0" in check(other).message
    other.save(tmp_path / "other.png")
    assert check(str(tmp_path / "other.png")).state == "failed"
    other.close()


def test_the_painted_area(lesson):
    check = lesson["painted_area"].check
    assert check(lambda old, new: old != new)
    assert "inside of it the masks must differ" in check(lambda old, new: old == old).message
    assert "outside of it" in check(lambda old, new: old != old).message
    assert "the shape (10, 32)" in check(lambda old, new: (old != new)[:10]).message
    assert "wanted are True and False" in check(lambda old, new: old - new).message
