"""The walk between two masks: where it begins, what stays, and paintings that hold one."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
import torch
from conftest import make_session

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import (
    DenseMappingNetwork,
    MappingConfig,
    MaskGAN,
    MaskVAE,
    MaskVAEConfig,
)
from l2l_widgets.masks import class_index, encode_mask, resize_mask
from l2l_widgets.painting import AreaSession, PaintError, PaintSession
from l2l_widgets.recipes import DEFAULT_WEIGHTS
from l2l_widgets.widgets.paint.paint_bridge import PaintBridge

HAIR, CHAIN = class_index("hair"), class_index("neck_l")


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(3, seed=3), 32)


def make_model(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapping = DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))
        vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
        return MaskGAN(mapping, vae).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return make_model(0)


@pytest.fixture
def session(model, faces):
    session = PaintSession(model, faces.image[0], faces.mask[0])
    yield session
    session.close()


@pytest.fixture
def bridge(session, tmp_path):
    published = []
    bridge = PaintBridge(session, published.append, tmp_path)
    bridge.published = published
    yield bridge
    bridge.close()


def send(bridge, **message):
    """What the page has after a message."""
    bridge.published.clear()
    bridge.handle({**message, "client": "c", "number": 1})
    assert bridge.session.drain(120)
    return {name: value for one in bridge.published for name, value in one.items()}


def brush(label=CHAIN, size=3.0, points=((4, 4), (20, 4)), kind="brush"):
    return {"kind": kind, "class": label, "size": size, "points": [list(p) for p in points]}


def as_file(data):
    return base64.b64encode(data).decode()


def overlap(one, other):
    """Mean intersection over union of the classes that either of two masks shows."""
    shares = [
        float(((one == c) & (other == c)).sum() / ((one == c) | (other == c)).sum())
        for c in torch.cat([one.unique(), other.unique()]).unique().tolist()
    ]
    return sum(shares) / len(shares)


def test_between_two_masks_the_ends_are_the_masks(session, faces):
    session.between(faces.mask[1], 1.0)
    assert torch.equal(session.mask, faces.mask[1])
    session.between(faces.mask[1], 0.0)
    assert torch.equal(session.mask, session.original)
    session.between(faces.mask[1], 0.5)
    assert session.mask.shape == session.original.shape
    with pytest.raises(PaintError, match="share is 2; allowed: 0 to 1"):
        session.between(faces.mask[1], 2)


def test_the_shipped_walk_leaves_the_first_mask_without_a_jump_and_comes_to_the_second():
    own = MaskGAN.load(DEFAULT_WEIGHTS / "mask_vae.safetensors")
    first, second = render(sample_factors(2, seed=8), own.resolution).mask
    shares = torch.tensor([0.0, 0.02, 0.05, *(k / 10 for k in range(1, 10)), 1.0])
    way = own.between(first, second, shares, exact=True)
    assert torch.equal(way[0], first)
    assert torch.equal(way[-1], second)
    assert overlap(way[1], first) > 0.97
    assert overlap(way[2], first) > 0.95
    rebuilt = own.between(first, second, shares[2:3])[0]
    assert overlap(rebuilt, first) < 0.9, "as the network alone sees it, parts are lost at once"
    apart = float((first != second).float().mean())
    steps = [float((a != b).float().mean()) for a, b in itertools.pairwise(way)]
    assert max(steps) < 0.5 * apart, "no step makes half of the way"


def test_a_walk_begins_at_what_was_painted_and_keeps_what_is_painted_on_it(session, faces):
    session.apply(brush(CHAIN))
    before = session.mask
    session.between(faces.mask[1], 0.0)
    assert torch.equal(session.mask, before), "no jump where the second mask is loaded"
    session.between(faces.mask[1], 0.6, gesture="slide")
    session.between(faces.mask[1], 0.4, gesture="slide")
    on_the_way = session.mask
    # half of it over pixels that are of its class already: a stroke decides these as well
    session.apply(brush(int(on_the_way[28, 4]), size=4.0, points=[(4, 28), (28, 28)]))
    stroke = session.mask
    under = torch.zeros(32, 32, dtype=torch.bool)
    under[26:30, 4:28] = True
    session.between(faces.mask[1], 1.0)
    assert torch.equal(session.mask[under], stroke[under])
    outside = torch.ones_like(under)
    outside[25:31] = False
    assert torch.equal(session.mask[outside], faces.mask[1][outside])
    session.between(faces.mask[1], 0.0)
    assert torch.equal(session.mask[outside], before[outside]), "back to what was there, painted"
    assert torch.equal(session.mask[under], stroke[under])
    again = PaintSession.from_recipe(session.model, json.loads(json.dumps(session.recipe())))
    assert torch.equal(again.mask, session.mask)
    again.close()


def test_undo_takes_a_walk_back_in_the_order_of_time(session, faces):
    session.apply(brush())
    masks = [session.mask]
    for change in (
        lambda: session.between(faces.mask[1], 0.0),
        lambda: session.between(faces.mask[1], 0.5),
        lambda: session.apply(brush(HAIR, points=[(8, 20), (20, 20)])),
        lambda: session.between(faces.mask[1], 1.0),
    ):
        change()
        masks.append(session.mask)
    assert not torch.equal(masks[2], masks[1])
    for mask in masks[-2::-1]:
        session.undo()
        assert torch.equal(session.mask, mask)
    assert session.state.walk is None, "nor is a second mask there"
    for mask in masks[1:]:
        session.redo()
        assert torch.equal(session.mask, mask)
    assert session.state.walk.share == 1
    session.between(faces.mask[2], 0.0)
    assert torch.equal(session.mask, masks[-1]), "a walk to a third begins where the mask is"
    session.reset()
    session.between(faces.mask[2], 0.0)
    assert torch.equal(session.mask, session.original), "after a reset at the original"


def test_the_page_hears_of_the_walk_as_the_session_has_it(bridge, faces):
    session = bridge.session
    session.apply(brush())
    painted = session.mask
    assert not send(bridge, kind="undo")["settings"]["other"]
    send(bridge, kind="redo")
    file = as_file(encode_mask(faces.mask[1]))
    settings = send(bridge, kind="file", use="other", data=file)["settings"]
    assert (settings["other"], settings["share"]) == (True, 0)
    assert torch.equal(session.mask, painted)
    assert send(bridge, kind="between", share=0.5)["settings"]["share"] == 0.5
    half = session.mask
    assert not torch.equal(half, painted)
    settings = send(bridge, kind="file", use="other", data=file)["settings"]
    assert settings["share"] == 0, "the same one again: from here"
    assert torch.equal(session.mask, half)
    again = PaintSession.from_recipe(session.model, session.recipe())
    assert torch.equal(again.mask, half)
    again.close()
    send(bridge, kind="undo")
    assert send(bridge, kind="reset")["settings"]["share"] == 0
    send(bridge, kind="undo")
    assert send(bridge, kind="undo")["settings"]["share"] == 0
    assert torch.equal(session.mask, painted)
    assert not send(bridge, kind="undo")["settings"]["other"]


def test_a_painting_with_a_walk_is_a_style_and_a_second_mask(bridge, model, faces):
    """Its mask lies where only the MaskVAE comes to."""
    other = PaintSession(model, faces.image[1], faces.mask[1])
    other.between(faces.mask[2], 0.5)
    data = as_file(json.dumps(other.recipe()).encode())
    session = bridge.session
    for use in ("style", "other"):
        notice = send(bridge, kind="file", use=use, data=data).get("notice") or {}
        assert not notice.get("error"), use
    picture, mask = session.state.style
    assert torch.equal(picture, other.image)
    assert torch.equal(mask, other.original), "a style is of the picture, not of what was painted"
    send(bridge, kind="between", share=1)
    assert torch.equal(session.mask, other.mask)
    strange = PaintSession(make_model(1), faces.image[1], faces.mask[1])
    strange.between(faces.mask[2], 1.0)
    data = as_file(json.dumps(strange.recipe()).encode())
    send(bridge, kind="file", use="other", data=data)
    send(bridge, kind="between", share=1)
    assert torch.equal(session.mask, faces.mask[2]), "an end is a mask, whoever drew it"
    strange.between(faces.mask[2], 0.5)
    data = as_file(json.dumps(strange.recipe()).encode())
    notice = send(bridge, kind="file", use="other", data=data)["notice"]
    assert "allowed: the same, or the picture would differ" in notice["error"]
    for one in (other, strange):
        one.close()


def test_a_painting_of_a_larger_painter_is_a_face_as_any_other(session, tmp_path):
    large = render(sample_factors(1, seed=4), 64)
    other = PaintSession(None, large.image[0], large.mask[0], feather=2.0)
    (tmp_path / "large.json").write_text(json.dumps(other.recipe()))
    session.open(tmp_path / "large.json")
    assert torch.equal(session.original, resize_mask(large.mask[0], 32))
    assert session.state.feather == 2
    assert session.render().error is None
    other.close()


def test_a_picture_of_an_edit_seen_through_an_area_is_a_face_as_any_other(
    bridge, faces, tiny_models, tmp_path
):
    area = AreaSession(make_session(tiny_models))
    area.save(tmp_path / "area.png")
    data, session = as_file((tmp_path / "area.png").read_bytes()), bridge.session
    notice = send(bridge, kind="file", use="style", data=data)["notice"]
    assert "no parser to find one" in notice["error"]
    session.parser = lambda images: faces.mask[2:]
    values = send(bridge, kind="file", use="style", data=data)
    assert "notice" not in values
    assert torch.equal(session.state.style[1], faces.mask[2])
    session.open(tmp_path / "area.png")
    assert torch.equal(session.original, faces.mask[2])
    assert not torch.equal(session.image, faces.image[0])
    (tmp_path / "area.json").write_text(json.dumps(area.recipe()))
    with pytest.raises(PaintError, match="format is 'l2l-area/1'"):
        session.open(tmp_path / "area.json")  # no picture: there is no face in it
    area.close()
