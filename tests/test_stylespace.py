"""A channel of S, reached through W+: exact where it can be, marked where it cannot."""

from __future__ import annotations

import pytest
import torch
from conftest import CountingGenerator
from editor_builders import labelled, stylespace

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.origins import Origin, OriginError
from l2l_widgets.editors.stylespace import (
    FAITHFUL,
    StyleSpace,
    StyleSpaceEditor,
    style_layers,
    with_style_shift,
)
from l2l_widgets.errors import TooLittleError


@pytest.fixture(scope="module")
def space(tiny_generator):
    return StyleSpace(style_layers(tiny_generator), labelled(tiny_generator)[0])


def test_every_affine_layer_is_seen_with_its_row(tiny_generator) -> None:
    layers = style_layers(tiny_generator)
    assert [(layer.name, layer.row) for layer in layers] == [
        ("b4.conv1", 0), ("b4.torgb", 1), ("b8.conv0", 1), ("b8.conv1", 2), ("b8.torgb", 3),
        ("b16.conv0", 3), ("b16.conv1", 4), ("b16.torgb", 5), ("b32.conv0", 5), ("b32.conv1", 6),
        ("b32.torgb", 7),
    ]  # fmt: skip
    assert [layer.colours for layer in layers].count(True) == 4
    w = torch.randn(3, tiny_generator.w_dim)
    ours = w.double() @ layers[3].weight.T + layers[3].bias
    theirs = tiny_generator.synthesis.b8.conv1.affine(w)
    assert torch.allclose(ours.float(), theirs, atol=1e-5)


def test_moments_follow_from_those_of_w(space, tiny_generator) -> None:
    styles = space.styles(labelled(tiny_generator)[0])
    assert torch.allclose(space.mean, styles.mean(0), atol=1e-6)
    assert torch.allclose(space.spread, styles.std(0), rtol=1e-4)


def test_a_faithful_channel_draws_the_picture_of_the_edit_in_s(space, tiny_generator) -> None:
    ws = labelled(tiny_generator)[0][:2, None].repeat(1, tiny_generator.num_ws, 1)
    even = [i for i, (layer, _) in enumerate(space.places) if space.layers[layer].row in (2, 4)]
    channel = max(even, key=lambda i: float(space.fidelity[i]))
    assert float(space.fidelity[channel]) > 0.999
    layer, index = space.places[channel]
    amount = 4 * float(space.spread[channel])
    shifted = with_style_shift(tiny_generator, space.layers[layer].name, index, amount)
    with torch.inference_mode():
        before = tiny_generator.synthesis(ws)
        wanted = shifted.synthesis(ws)
        ours = tiny_generator.synthesis(ws + 4 * space.step(channel, tiny_generator.num_ws))
    moved = float((wanted - before).abs().max())
    assert moved > 1e-3
    assert float((ours - wanted).abs().max()) < 0.01 * moved


def test_a_row_of_two_layers_realises_a_share(space) -> None:
    """32 channels hang on 16 numbers: a projection keeps half of them on average."""
    rows = torch.tensor([space.layers[i].row for i, _ in space.places])
    assert float(space.fidelity[rows == 3].mean()) == pytest.approx(0.5, abs=0.05)
    assert not bool(space.usable()[(rows == 3) & (space.fidelity < FAITHFUL)].any())
    colours = torch.tensor([space.layers[i].colours for i, _ in space.places])
    assert not bool(space.usable()[colours].any())


def test_the_channel_that_positives_share_ranks_first(space) -> None:
    draw = torch.Generator().manual_seed(3)
    channel = int((space.usable() & (space.fidelity > 0.99)).nonzero()[0, 0])
    row = space.layers[space.places[channel][0]]
    # codes that differ at random, but agree in this one style, four deviations from the mean
    w = torch.randn(40, row.weight.shape[1], generator=draw).double()
    normal = row.weight[space.places[channel][1]]
    goal = space.mean[channel] + 4 * space.spread[channel] - row.bias[space.places[channel][1]]
    w = w + ((goal - w @ normal) / (normal @ normal))[:, None] * normal
    order, score = space.rank(w)
    assert int(order[0]) == channel
    assert float(score[channel]) == float(score.max())
    with pytest.raises(ValueError, match="allowed: \\(at least 2, w_dim\\)"):
        space.rank(w[:1])


def test_what_has_no_styles_is_refused(tiny_generator) -> None:
    with pytest.raises(ValueError, match="CountingGenerator whose styles cannot be seen"):
        style_layers(CountingGenerator(tiny_generator))
    with pytest.raises(ValueError, match=r"'b8\.conv9' is unknown; allowed: b4\.conv1"):
        with_style_shift(tiny_generator, "b8.conv9", 0, 1.0)
    with pytest.raises(ValueError, match="allowed: 0 to 15"):
        with_style_shift(tiny_generator, "b8.conv1", 16, 1.0)
    layers = style_layers(tiny_generator)
    with pytest.raises(ValueError, match="codes have shape"):
        StyleSpace(layers, torch.randn(5, 3))
    codes, scores = labelled(tiny_generator)
    arguments = (layers, codes, scores[:, :3], DEFAULT_TABLE, None, None)
    with pytest.raises(ValueError, match=r"allowed: \(N, w_dim\) and \(N, 35\)"):
        StyleSpaceEditor.from_codes(*arguments, Origin("", "s", ""))
    with pytest.raises(OriginError, match="used in 's'"):
        StyleSpaceEditor.from_codes(*arguments, Origin("", "w", ""))


def test_too_few_faces_for_every_attribute_are_said(tiny_generator) -> None:
    codes, scores = labelled(tiny_generator)
    few = codes[:60], scores[:60]  # three at each end of every attribute
    with pytest.raises(TooLittleError, match=r"no attribute ranks the channels of S; age: 3 codes"):
        StyleSpaceEditor.from_codes(
            style_layers(tiny_generator), *few, DEFAULT_TABLE, None, torch.zeros(1, 8, 16),
            Origin("", "s", ""),
        )  # fmt: skip


def test_the_editor_names_its_channels(tiny_generator) -> None:
    editor = stylespace(tiny_generator, "f" * 64)
    assert editor.space == "w+"
    assert editor.origin.space == "s"
    assert 0 < editor.details["usable"] < editor.details["channels"]
    known = {layer.name for layer in style_layers(tiny_generator) if not layer.colours}
    for name in editor.attributes:
        terms = editor.details["terms"][name]
        assert 1 <= len(terms) <= 2
        assert all(t["layer"] in known and t["fidelity"] >= FAITHFUL for t in terms)
    assert set(editor.attributes) | set(editor.reasons) == set(DEFAULT_TABLE.names)
