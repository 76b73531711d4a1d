"""What the sliders do inside a painted area, and outside of it."""

from __future__ import annotations

import pytest
import torch
from conftest import make_session

from l2l_widgets.images import from_uint8, to_uint8
from l2l_widgets.masks import class_index
from l2l_widgets.painting import (
    AreaSession,
    area_painter,
    edit_in_area,
    read_paint_recipe,
)
from l2l_widgets.painting.regions import region_change

HAIR, CHAIN = class_index("hair"), class_index("neck_l")


def brush(label=CHAIN, size=3.0, points=((4, 4), (20, 4)), kind="brush"):
    return {"kind": kind, "class": label, "size": size, "points": [list(p) for p in points]}


@pytest.fixture
def edits(tiny_models):
    """A session of sliders, as every editor has one."""
    return make_session(tiny_models)


def test_an_edit_of_the_sliders_is_seen_through_a_painted_area(edits):
    edits.update(changes={"age": 0.3}, targets={})
    painter = area_painter(edits)
    painter.apply(brush(HAIR, size=8.0, points=[(8, 8), (20, 8)]))
    seen = edit_in_area(edits, painter.region, feather=0)
    result = edits.render()
    assert seen.change == region_change(result.before, result.after, painter.region)
    assert seen.change.outside > 0
    assert seen.kept_change.outside == 0
    assert seen.kept_change.inside == pytest.approx(seen.change.inside, rel=1e-5)
    with pytest.raises(ValueError, match="region is"):
        edit_in_area(edits, painter.region[:4])
    painter.close()


def test_an_area_is_a_view_of_the_sliders(edits):
    area = area_painter(edits)
    assert area.render().change is None, "nothing is painted yet"
    edits.update(changes={"age": 0.3}, targets={})
    inside = torch.zeros(area.side, area.side, dtype=torch.bool)
    inside[8:20, 8:20] = True
    area.mark(inside)
    assert torch.equal(area.region, inside)
    after = from_uint8(to_uint8(edits.render().after))
    assert torch.equal(area.render().image, after), "the picture is the edit's"
    assert area.render().change == region_change(area.image, after, inside)
    area.keep_outside(feather=0)
    kept = area.render()
    assert torch.equal(kept.image[:, ~inside], area.image[:, ~inside])
    assert torch.equal(kept.image[:, inside], after[:, inside])
    assert kept.change.outside == 0
    face = area.image
    edits.set_seed(5)
    assert area.render().error is None
    assert not torch.equal(area.image, face), "another seed, another face; the area stays"
    area.undo()
    area.undo()
    assert torch.equal(area.mask, area.original)
    area.close()


def test_a_painter_of_an_area_follows_the_sliders(edits, tmp_path):
    from l2l_widgets import MaskPainter

    area = area_painter(edits)
    widget = MaskPainter(area, folder=tmp_path)
    assert widget.schema["is_area"] and widget.schema["can_draw"]  # noqa: PT018
    before = bytes(widget.picture["data"]), bytes(widget.result["data"])
    assert before[0] == before[1], "no edit yet"
    area.mark(torch.ones(area.side, area.side, dtype=torch.bool))
    edits.update(changes={"age": 0.3}, targets={})
    edits.request()
    assert edits.drain(120)
    assert area.drain(120)
    assert bytes(widget.result["data"]) != before[1], "the sliders moved, and the painter heard"
    assert "inside the area (100%" in widget.result["change"]
    edits.update(seed=9, changes={})
    edits.request()
    assert edits.drain(120)
    assert area.drain(120)
    assert bytes(widget.picture["data"]) != before[0], "another face, another original"
    widget.close()
    area.close()


def test_an_area_is_saved_and_replayed(edits, tmp_path):
    area = area_painter(edits)
    edits.update(changes={"age": 0.3}, targets={})
    area.apply(brush(HAIR, size=8.0, points=[(8, 8), (20, 8)]))
    with pytest.raises(ValueError, match="kind is 'style'; allowed: brush, line"):
        area.copy_style(area.image, area.original)
    area.keep_outside()
    area.save(tmp_path / "a.png")
    recipe = read_paint_recipe(tmp_path / "a.png")
    again = AreaSession.replay(edits.models, recipe)
    assert torch.equal(again.render().image, area.render().image)
    for change, words in [
        ({"format": "x"}, "format is 'x'; allowed: 'l2l-area/1'"),
        ({"operations": [7]}, "operation 1 is 7"),
        ({"edit": {"format": 3}}, "recipe"),
    ]:
        with pytest.raises(ValueError, match=words):
            AreaSession.replay(edits.models, {**recipe, **change})
    for one in (area, again):
        one.close()
