"""Painting: strokes as data, sessions with undo in time order, recipes, regions, and the bridge."""

from __future__ import annotations

import base64
import json
import re
import threading

import pytest
import torch

from l2l_widgets import load_painter
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import encode_png
from l2l_widgets.maskgan import (
    DenseMappingNetwork,
    MappingConfig,
    MaskGAN,
    MaskVAE,
    MaskVAEConfig,
)
from l2l_widgets.masks import MaskError, class_index, encode_mask, to_order
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.painting import (
    PaintError,
    PaintSession,
    read_paint_recipe,
)
from l2l_widgets.painting.regions import edited_region, keep_outside, region_change
from l2l_widgets.painting.strokes import replacing
from l2l_widgets.widgets.paint.paint_bridge import SHORTCUTS, PaintBridge, painter_schema

HAIR, CHAIN = class_index("hair"), class_index("neck_l")


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(3, seed=3), 32)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapping = DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))
        vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
        return MaskGAN(mapping, vae).eval().requires_grad_(False)


@pytest.fixture
def session(model, faces):
    session = PaintSession(model, faces.image[0], faces.mask[0])
    yield session
    session.close()


def brush(label=CHAIN, size=3.0, points=((4, 4), (20, 4)), kind="brush"):
    return {"kind": kind, "class": label, "size": size, "points": [list(p) for p in points]}


# -- strokes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"kind": "spray"}, "kind is 'spray'; allowed: brush, line"),
        (brush(label=19), "class is 19; allowed: 0 to 18"),
        (brush(label=True), "class is True"),
        (brush(size=0), "size is 0; allowed: 0.1 to"),
        (brush(points=()), "points are no list"),
        ({**brush(), "points": [[1, "a"]]}, "points are no list"),
        ({**brush(), "points": [[1, float("nan")]]}, "points are no list"),
        ({"kind": "fill", "class": 1, "point": [99, 1]}, "inside the mask"),
        ({"kind": "mask", "png": "%%"}, "no base64"),
        ({"kind": "mask", "png": base64.b64encode(b"x").decode()}, "no picture"),
    ],
)
def test_impossible_operations_change_nothing(session, operation, words):
    with pytest.raises(MaskError, match=words):
        session.apply(operation)
    assert not session.can_undo
    assert torch.equal(session.mask, session.original)


# -- sessions --------------------------------------------------------------------------------------


def test_undo_goes_back_in_time_whatever_was_done(session, faces):
    session.apply(brush(HAIR))
    first = session.mask
    session.copy_style(faces.image[1], faces.mask[1])
    session.apply(brush(CHAIN))
    session.keep_outside()
    assert [o["kind"] for o in session.operations] == ["brush", "style", "brush", "keep"]
    for _ in range(2):
        session.undo()
    assert torch.equal(session.mask, first)
    assert session.state.style is not None
    session.undo()
    assert session.state.style is None
    session.redo()
    assert session.state.style is not None
    session.apply(brush(points=[(1, 1)]))
    assert not session.can_redo
    session.reset()
    assert torch.equal(session.mask, session.original)
    session.undo()
    assert not torch.equal(session.mask, session.original), "a reset can be taken back"


def test_undo_comes_back_from_a_face_that_was_opened(session, model, faces, tmp_path):
    """And to all that was painted on the one before."""
    session.apply(brush())
    session.apply(brush(label=HAIR))
    session.undo()
    painted, drawn = session.mask, session.render().image
    other = PaintSession(model, faces.image[1], faces.mask[1])
    other.apply(brush(label=HAIR))
    other.save(tmp_path / "other.png")
    session.open(tmp_path / "other.png")
    assert torch.equal(session.mask, faces.mask[1])
    assert session.can_undo
    assert not session.can_redo, "what was taken back on the first face is gone, as after a stroke"
    session.apply(brush())
    for _ in range(2):
        session.undo()
    assert torch.equal(session.mask, painted)
    assert torch.equal(session.render().image, drawn)
    for _ in range(2):
        session.redo()
    assert torch.equal(session.image, other.image)
    assert session.operations == [brush()]
    assert not session.can_redo
    for _ in range(3):
        session.undo()
    assert torch.equal(session.mask, faces.mask[0])
    assert not session.can_undo
    session.undo()  # nothing is there
    session.apply(brush())
    assert not session.can_redo, "a new stroke leaves the opened face behind"


def test_a_growing_stroke_is_one_step(session):
    for end in (6, 10, 20):
        session.apply(brush(points=[(4, 4), (end, 4)]), gesture="a")
    session.apply(brush(points=[(4, 9)]), gesture="b")
    assert len(session.operations) == 2
    session.undo()
    session.undo()
    assert torch.equal(session.mask, session.original)


def test_a_stroke_that_is_given_up_comes_back_by_no_redo(bridge):
    session = bridge.session
    send(bridge, 1, kind="operation", operation=brush(), gesture="a")
    send(bridge, 2, kind="operation", operation=brush(label=HAIR), gesture="b")
    send(bridge, 3, kind="cancel", gesture="b")
    assert session.operations == [brush()]
    send(bridge, 4, kind="cancel", gesture="b")
    values = send(bridge, 5, kind="cancel")
    assert session.operations == [brush()], "no other stroke goes with it"
    assert not values["settings"]["can_redo"]


def test_the_picture_follows_the_mask_and_says_what_changed(session):
    plain = session.render()
    assert plain.error is None
    assert plain.change is None
    session.apply(brush(size=8.0))
    painted = session.render()
    assert not torch.equal(painted.image, plain.image)
    assert 0 < painted.change.area < 0.5
    assert "stayed inside" in painted.change.to_text()
    session.keep_outside(feather=0)
    kept = session.render()
    assert torch.equal(kept.image[:, ~session.region], session.image[:, ~session.region])
    assert not torch.equal(kept.image[:, session.region], session.image[:, session.region])
    assert kept.change.changed_outside == 0


def test_style_comes_from_another_face(session, faces):
    own = session.render().image
    session.copy_style(faces.image[1], faces.mask[1])
    assert not torch.equal(session.render().image, own)
    session.apply({"kind": "style"})
    assert torch.equal(session.render().image, own)


def test_the_newest_state_wins(session, monkeypatch):
    results, paint, asked = [], session.model.paint, threading.Event()

    def slow(*parts):
        assert asked.wait(120)
        return paint(*parts)

    monkeypatch.setattr(session.model, "paint", slow)
    session.subscribe(results.append)
    for k in range(8):
        session.apply(brush(points=[(4, 4), (4 + 2 * k, 4)]), gesture="a")
        session.request()
    asked.set()
    assert session.drain(120)
    assert len(results) <= 2, "the first, and the newest; those between are not drawn"
    assert results[-1].stamp == session.stamp
    assert torch.equal(results[-1].image, session.render().image)


def test_a_saved_picture_replays_to_the_same_pixels(session, model, faces, tmp_path):
    session.apply(brush(HAIR))
    session.copy_style(faces.image[1], faces.mask[1])
    session.keep_outside()
    session.between(faces.mask[2], 0.5)
    session.set_mask(faces.mask[2])
    session.save(tmp_path / "a.png")
    recipe = read_paint_recipe(tmp_path / "a.png")
    assert json.loads(json.dumps(recipe)) == recipe
    again = PaintSession.from_recipe(model, recipe)
    assert torch.equal(again.render().image, session.render().image)
    assert torch.equal(again.mask, session.mask)
    (tmp_path / "a.json").write_text(json.dumps(recipe))
    assert read_paint_recipe(tmp_path / "a.json") == recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "x"}, "format is 'x'"),
        ({"model": "0" * 64}, "model is 000000000000"),
        ({"side": "big"}, "side is 'big'"),
        ({"image": "%"}, "image is no base64"),
        ({"operations": 3}, "operations are int"),
        ({"operations": [{"kind": "spray"}]}, "operation 1: kind is 'spray'"),
        ({"operations": [7]}, "operation 1 is 7"),
    ],
)
def test_a_recipe_that_cannot_be_honoured_is_refused(session, model, change, words):
    with pytest.raises(ValueError, match=words):
        PaintSession.from_recipe(model, {**session.recipe(), **change})


def test_without_a_network_masks_can_be_painted_and_the_picture_says_why_not(faces):
    session = PaintSession(None, faces.image[0], faces.mask[0])
    session.apply(brush())
    assert (session.mask == CHAIN).any()
    result = session.render()
    assert result.image is None
    assert "l2l train mask-vae" in result.error
    with pytest.raises(PaintError, match="dense-mapping"):
        session.save("x.png")
    session.close()


def test_a_face_of_a_larger_generator_is_painted_at_the_painters_size(model, faces):
    large = torch.nn.functional.interpolate(faces.image[:2], (64, 64))
    session = PaintSession(model, large[0], parser=lambda images: faces.mask[:1])
    assert session.image.shape == faces.image[0].shape
    assert (session.image - faces.image[0]).abs().mean() < 0.2 * faces.image[0].std()
    session.copy_style(large[1:], faces.mask[1])
    session.apply(brush())
    drawn = session.render().image
    again = PaintSession.from_recipe(model, session.recipe())
    assert torch.equal(again.render().image, drawn)
    session.close()
    again.close()


def test_what_does_not_fit_is_refused(model, faces):
    with pytest.raises(PaintError, match=r"image has shape \(3, 16, 16\)"):
        PaintSession(model, faces.image[0][:, :16, :16], faces.mask[0])
    with pytest.raises(MaskError, match="16 x 16 pixels; allowed here: 32 x 32"):
        PaintSession(model, faces.image[0], faces.mask[0][:16, :16])
    with pytest.raises(MaskError, match="l2l train parser"):
        PaintSession(model, faces.image[0])
    with pytest.raises(PaintError, match=r"image has shape \(3, 64, 48\)"):
        PaintSession(model, torch.zeros(3, 64, 48), faces.mask[0])
    seen = PaintSession(model, faces.image[0], parser=lambda images: faces.mask[:1])
    assert torch.equal(seen.original, faces.mask[0])
    seen.close()


def test_models_without_a_maskgan_say_what_to_train(tiny_models, tiny_world, model, tmp_path):
    with pytest.raises(PaintError, match=r"have no MaskGAN .*l2l train mask-vae"):
        load_painter(tiny_models)
    import shutil

    from conftest import write_manifest

    folder = shutil.copytree(tiny_world, tmp_path / "world")
    MaskGAN(model.mapping).save(folder / "dense_mapping.safetensors")
    MaskGAN(vae=model.vae).save(folder / "mask_vae.safetensors")
    write_manifest(folder)
    models = load(folder)
    assert isinstance(models, Models)
    painter = load_painter(models)
    assert painter.vae is not None
    assert painter.resolution == 32


# -- regions ---------------------------------------------------------------------------------------


def test_regions_measure_inside_and_outside():
    before, region = torch.zeros(3, 8, 8), torch.zeros(8, 8, dtype=torch.bool)
    region[2:4, 2:4] = True
    after = before.clone()
    after[:, 2:4, 2:4] = 0.2
    change = region_change(before, after, region)
    assert change.inside == pytest.approx(0.2 * 127.5, rel=1e-4)
    assert (change.outside, change.changed_outside, change.stays_inside) == (0, 0, 1)
    after[:, 0, 0] = 0.2
    assert region_change(before, after, region).stays_inside == pytest.approx(0.8)
    assert region_change(before, before, region).stays_inside == 1
    with pytest.raises(ValueError, match=r"region is torch\.int64"):
        region_change(before, after, region.long())


def test_the_outside_is_kept_to_the_last_bit():
    generator = torch.Generator().manual_seed(0)
    before, after = torch.rand(2, 3, 16, 16, generator=generator)
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[6:9, 6:9] = True
    kept = keep_outside(before, after, region, feather=2)
    assert torch.equal(kept[:, :3], before[:, :3])
    assert torch.allclose(kept[:, region], after[:, region])
    assert torch.equal(keep_outside(before, after, region & False), before)
    with pytest.raises(ValueError, match="feather is -1"):
        keep_outside(before, after, region, feather=-1)
    grown = edited_region(torch.zeros(8, 8).byte(), torch.zeros(8, 8).byte(), 2)
    assert not grown.any()


# -- the bridge ------------------------------------------------------------------------------------


@pytest.fixture
def bridge(session, tmp_path):
    published = []
    bridge = PaintBridge(session, published.append, tmp_path)
    bridge.start()
    bridge.published, bridge.folder = published, tmp_path
    yield bridge
    bridge.close()


def send(bridge, number, **message):
    bridge.handle({**message, "client": "c", "number": number})
    assert bridge.session.drain(120)
    values = {}
    for one in bridge.published:
        values |= one
    return values


def test_the_schema_labels_nineteen_brushes_with_a_key_each(session):
    schema = painter_schema(session)
    assert len(schema["classes"]) == len(set(SHORTCUTS)) == 19
    assert schema["classes"][15]["label"] == "Earring"
    assert not set(SHORTCUTS) & set("bxfdkvo"), "keys of the tools"
    assert schema["can_draw"] and schema["can_walk"]  # noqa: PT018


def test_messages_change_the_session_and_are_answered(bridge, faces):
    session = bridge.session
    values = send(bridge, 1, kind="operation", operation=brush(), gesture="g1")
    assert values["result"]["answers"] == {"c": 1}
    assert values["mask"]["data"] == session.mask.numpy().tobytes()
    assert values["settings"]["can_undo"]
    values = send(bridge, 2, kind="undo")
    assert values["mask"]["data"] == session.original.numpy().tobytes()
    data = base64.b64encode(encode_mask(faces.mask[1])).decode()
    said = send(bridge, 2, kind="file", use="mask", name="anna.png", data="eA==")["notice"]["error"]
    assert "mask as chosen is no picture" in said, "the name may be a person's, and this is saved"
    values = send(bridge, 3, kind="file", use="mask", name="m.png", data=data)
    assert torch.equal(session.mask, faces.mask[1])
    send(bridge, 4, kind="file", use="other", name="m.png", data=data)
    values = send(bridge, 5, kind="between", share=0, gesture="w")
    assert torch.equal(session.mask, faces.mask[1]), "as it was when the second one was loaded"
    values = send(bridge, 6, kind="save", what="picture")
    assert values["notice"]["name"] == "painted-face.png"
    assert (bridge.folder / "painted-face.png").is_file()
    send(bridge, 7, kind="save", what="mask")
    values = send(bridge, 8, kind="save", what="recipe")
    assert (bridge.folder / values["notice"]["name"]).suffix == ".json"
    assert values["result"]["answers"]["c"] <= 8


def test_a_mask_in_the_other_order_is_asked_about_and_taken(bridge, faces):
    session, others = bridge.session, encode_mask(to_order(faces.mask[1], "bisenet"))
    file = {"kind": "file", "use": "mask", "data": base64.b64encode(others).decode()}
    notice = send(bridge, 1, **file)["notice"]
    assert notice["asks_order"]
    assert "BiSeNet order" in notice["error"]
    assert not session.can_undo
    send(bridge, 2, **file, order="bisenet")
    assert torch.equal(session.mask, faces.mask[1])
    send(bridge, 3, **file, order="official")
    assert torch.equal(session.mask, to_order(faces.mask[1], "bisenet")), "as it is"
    send(bridge, 4, **{**file, "use": "other"}, order="bisenet")
    send(bridge, 5, kind="between", share=1)
    assert torch.equal(session.mask, faces.mask[1])
    notice = send(bridge, 6, **file, order="x")["notice"]
    assert "order is 'x'; allowed: official, bisenet" in notice["error"]
    assert "asks_order" not in notice


def test_a_picture_in_anothers_style_is_in_no_trait_though_the_style_is_gone_since(bridge, faces):
    """What a page has in traits is saved with the notebook, and drawing takes its time."""
    session = bridge.session
    session.copy_style(faces.image[1], faces.mask[1])
    late = session.render()
    session.undo()
    bridge.published.clear()
    bridge._on_result(late)
    values = {name: value for one in bridge.published for name, value in one.items()}
    assert "data" not in values["result"]
    assert values["own"]["result"]["stamp"] == late.stamp


def test_a_refusal_is_a_notice_and_nothing_raises(bridge, faces):
    session = bridge.session
    style = base64.b64encode(encode_png(faces.image[1])).decode()
    for number, (message, words) in enumerate(
        [
            ({"kind": "operation", "operation": {"kind": "spray"}}, "kind is 'spray'"),
            ({"kind": "between", "share": 0.5}, "no second mask"),
            ({"kind": "file", "use": "mask", "name": "x.txt", "data": "aGVsbG8="}, "no picture"),
            ({"kind": "file", "use": "style", "name": "a.png", "data": style}, "no parser"),
            ({"kind": "nonsense"}, "no such request"),
            ({"kind": "operation"}, "operation"),
        ],
        start=1,
    ):
        values = send(bridge, number, **message)
        assert words in values["notice"]["error"]
        assert values["notice"]["answers"] == {"c": number}
    assert not session.can_undo


def test_replacing_a_mask_is_an_operation(session, faces):
    session.apply(replacing(faces.mask[1]))
    assert torch.equal(session.mask, faces.mask[1])


def test_the_widget_is_a_view_of_the_session(session, tmp_path):
    from l2l_widgets import MaskPainter

    widget = MaskPainter(session, folder=tmp_path)
    assert widget.schema["side"] == 32
    assert bytes(widget.mask["data"]) == session.original.numpy().tobytes()
    assert widget.result["error"] is None
    message = {"kind": "operation", "operation": brush(), "client": "c", "number": 1}
    widget._handle_custom_msg(message, [])
    assert session.drain(120)
    assert bytes(widget.mask["data"]) == session.mask.numpy().tobytes()
    assert widget.result["answers"] == {"c": 1}
    session.undo()
    widget.refresh()
    assert session.drain(120)
    assert not widget.settings["can_undo"]
    assert "Run All Cells" in repr(widget)
    widget.close()
    with pytest.raises(ValueError, match="session is 7; allowed: a PaintSession"):
        MaskPainter(7)


def test_what_a_session_is_made_of_is_checked_at_once(session, faces):
    model, image, mask = session.model, faces.image[0], faces.mask[0]
    for make, words in (
        (lambda: PaintSession("faceworld", image, mask), "model is str; allowed: a MaskGAN"),
        (lambda: PaintSession(model, "a.png", mask), "image is str; allowed: a tensor"),
        (lambda: PaintSession(model, image.numpy(), mask), "image is ndarray; allowed: a tensor"),
        (lambda: PaintSession(model, image.byte(), mask), "dtype torch.uint8; allowed: floats"),
        (lambda: PaintSession(model, image, faces.mask[:2]), "allowed: one mask"),
        (lambda: PaintSession(model, image, mask, feather="x"), "feather is 'x'; allowed: 0 to 32"),
        (lambda: PaintSession(model, image, mask, feather=-5), "feather is -5; allowed: 0 to 32"),
        (lambda: session.apply([1]), "operation is [1]; allowed: a mapping"),
        (lambda: session.adopt(3), "other is int; allowed: a PaintSession"),
        (lambda: session.keep_outside("no"), "on is 'no'; allowed: true or false"),
        (
            lambda: PaintSession.from_recipe(model, {**session.recipe(), "feather": None}),
            "feather is None",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            make()
    one = PaintSession(model, image[None], mask[None])
    assert one.mask.shape == mask.shape
    assert one.render().error is None
    one.set_mask(faces.mask[1:2])
    assert torch.equal(one.mask, faces.mask[1])
