"""The flow is a density that can be inverted; edits touch the rows that were given to them."""

from __future__ import annotations

import sys

import pytest
import torch
from editor_builders import styleflow

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.styleflow import (
    FlowConfig,
    StyleFlowEditor,
    StyleFlowNetwork,
    published_rows,
)


def small(blocks=1, **options):
    """A flow on 4 numbers under 3 attributes, with weights that bend."""
    draw = torch.Generator().manual_seed(0)
    codes, readings = torch.randn(64, 4, generator=draw) * 3, torch.rand(64, 3, generator=draw)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = StyleFlowNetwork(
            FlowConfig(4, 3, 2, blocks, hidden_dim=8, hidden_layers=2, **options), codes, readings
        )
    return network.eval(), codes, readings


def test_the_released_network_has_as_many_parameters() -> None:
    network = StyleFlowNetwork(FlowConfig(512, 17, 18))
    assert sum(p.numel() for p in network.parameters()) == 1_691_649
    assert len(StyleFlowNetwork(FlowConfig(4, 3, 2, blocks=4)).dynamics) == 4


@pytest.mark.parametrize("blocks", [1, 4])
def test_what_is_encoded_is_decoded(blocks) -> None:
    network, codes, readings = small(blocks, edit_steps=16)
    with torch.no_grad():
        z = network.encode(codes, readings)
        assert torch.allclose(network.decode(z, readings), codes, atol=1e-3)
        assert not torch.allclose(network.decode(z, readings.flip(0)), codes, atol=0.1)


def test_the_density_is_exact() -> None:
    """Noise along each axis in turn gives the whole trace, hence the Jacobian's determinant."""
    network, codes, readings = small(edit_steps=32)
    w, a = codes[:1], readings[:1]
    jacobian = torch.autograd.functional.jacobian(lambda x: network.encode(x, a)[0], w)[:, 0]
    z = network.encode(w, a).detach()
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
    exact = -(normal + torch.linalg.slogdet(jacobian)[1]) / 4
    axes = 2.0 * torch.eye(4)  # of mean square 1
    estimates = [network.nll(w, a, axis[None]).detach() for axis in axes]
    assert float(torch.stack(estimates).mean()) == pytest.approx(float(exact), abs=2e-3)


def test_the_adjoint_gradient_lowers_the_loss() -> None:
    network, codes, readings = small(tolerance=1e-3)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    draw = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(12):
        loss = network.nll(codes, readings, torch.randn(codes.shape, generator=draw)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < sum(losses[:3])
    assert network.root_of_end.grad is not None
    assert float(network.root_of_end.grad.abs().max()) > 0, "the end time is trained"


def test_rows_are_the_published_ones_clipped() -> None:
    rows = published_rows(DEFAULT_TABLE, 10)
    assert rows["glasses"] == (2, 4)
    assert rows["beard"] == (5, 10)
    assert rows["hat"] == (0, 10)
    assert published_rows(DEFAULT_TABLE, 4)["beard"] == (0, 4)
    assert published_rows(DEFAULT_TABLE, 18)["gender"] == (0, 8)


def test_an_edit_touches_its_rows_alone(tiny_generator) -> None:
    editor = styleflow(tiny_generator, "a" * 64)
    ws = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(1))
    out = editor.edit(ws, EditRequest(changes={"glasses": 0.5}))
    assert torch.equal(out[:, [0, 1, 4, 5, 6, 7]], ws[:, [0, 1, 4, 5, 6, 7]])
    assert not torch.equal(out[:, 2:4], ws[:, 2:4])
    both = editor.edit(ws, EditRequest(changes={"glasses": 0.5, "smile": 0.5}))
    assert torch.equal(both[:, 2:4], out[:, 2:4]), "rows 2 and 3 belong to the glasses alone"
    assert not torch.equal(both[:, 4:6], ws[:, 4:6])


def test_current_readings_enter_the_encoding(tiny_generator) -> None:
    editor = styleflow(tiny_generator, "a" * 64)
    ws = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(1))
    current = torch.full((1, 35), 0.9)
    known = editor.edit(ws, EditRequest(changes={"smile": 0.5}, current=current))
    guessed = editor.edit(ws, EditRequest(changes={"smile": 0.5}))
    assert not torch.allclose(known, guessed, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 0}, "flow blocks is 0; allowed: at least 1"),
        ({"hidden_layers": -1}, "flow hidden_layers is -1"),
        ({"tolerance": 0.0}, r"flow tolerance is 0\.0; allowed: above 0"),
        ({"depth": 2}, "unknown key 'depth'; known: w_dim"),
    ],
)
def test_bad_configs_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        FlowConfig.from_dict({"w_dim": 4, "attributes": 3, "num_ws": 2, **change})


def test_codes_that_do_not_fit_are_refused(tiny_generator) -> None:
    config = FlowConfig(4, 3, 2)
    with pytest.raises(ValueError, match=r"allowed: \(N, 4\) and \(N, 3\)"):
        StyleFlowNetwork(config, torch.ones(5, 4), torch.ones(5, 2))
    with pytest.raises(ValueError, match="NaN"):
        StyleFlowNetwork(config, torch.full((5, 4), float("nan")), torch.ones(5, 3))
    with pytest.raises(ValueError, match="built for 3 attributes; the table has 35"):
        StyleFlowEditor(StyleFlowNetwork(config), DEFAULT_TABLE, Origin("", "w", ""))
    editor = styleflow(tiny_generator, "")
    with pytest.raises(ValueError, match=r"rows of 'age' are \[3, 9\); allowed"):
        editor.set_rows({"age": (3, 9)})


def test_without_the_ode_library_one_line_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(
        ValueError, match=r"needs the package torchdiffeq.*l2l-widgets\[styleflow\]"
    ):
        StyleFlowEditor.load(tmp_path / "styleflow.safetensors")
