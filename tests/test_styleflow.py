"""The flow is a density that can be inverted; edits touch the rows that were given to them."""

from __future__ import annotations

import pytest
import torch
from editor_builders import labelled, styleflow

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.continuous_flow import Dynamics, Solver
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.styleflow import (
    FlowConfig,
    StyleFlowEditor,
    StyleFlowNetwork,
    published_rows,
)
from l2l_widgets.recipes.styleflow import share_said_by_others

FINE = Solver("rk4", 32)


def small(blocks=1, start="random", **options):
    """A flow on 4 numbers under 3 attributes, with weights that bend."""
    draw = torch.Generator().manual_seed(0)
    codes, readings = torch.randn(64, 4, generator=draw) * 3, torch.rand(64, 3, generator=draw)
    shape = FlowConfig(4, 3, 2, blocks, hidden_dim=8, hidden_layers=2, **options)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = StyleFlowNetwork(shape, codes, readings, start)
    return network.eval(), codes, readings


def test_the_released_network_has_as_many_parameters() -> None:
    network = StyleFlowNetwork(FlowConfig(512, 17, 18))
    assert sum(p.numel() for p in network.parameters()) == 1_691_649
    assert len(StyleFlowNetwork(FlowConfig(4, 3, 2, blocks=4)).dynamics) == 4


@pytest.mark.parametrize("start", ["linear", "random"])
@pytest.mark.parametrize("blocks", [1, 4])
def test_what_is_encoded_is_decoded(blocks, start) -> None:
    network, codes, readings = small(blocks, start)
    with torch.no_grad():
        z = network.encode(codes, readings)
        assert float((network.decode(z, readings) - codes).abs().max()) < 1e-3
        assert not torch.allclose(network.decode(z, readings.flip(0)), codes, atol=0.1)


def test_the_divergence_is_the_jacobians() -> None:
    """What is carried forward beside x agrees with what autograd makes of the velocity."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        field = Dynamics([4, 8, 4], 3).under(torch.randn(1, 3))
        x, noise, t = torch.randn(1, 4), torch.randn(1, 4), torch.tensor(0.3)
        jacobian = torch.autograd.functional.jacobian(lambda v: field(t, v, None)[0][0], x)[:, 0]
        velocity, estimate = field(t, x, noise)
    assert torch.allclose(velocity, field(t, x, None)[0], atol=1e-6)
    assert torch.allclose(estimate, noise[0] @ jacobian @ noise[0], atol=1e-5)


@pytest.mark.parametrize("solver", [FINE, Solver("dopri5", tolerance=1e-6)])
def test_the_density_is_exact(solver) -> None:
    """Noise along each axis in turn gives the whole trace, hence the Jacobian's determinant."""
    network, codes, readings = small(edit_steps=32)
    w, a = codes[:1], readings[:1]
    jacobian = torch.autograd.functional.jacobian(lambda x: network.encode(x, a)[0], w)[:, 0]
    z = network.encode(w, a).detach()
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
    exact = -(normal + torch.linalg.slogdet(jacobian)[1]) / 4
    axes = 2.0 * torch.eye(4)  # of mean square 1
    estimates = [network.nll(w, a, axis[None], solver).detach() for axis in axes]
    assert float(torch.stack(estimates).mean()) == pytest.approx(float(exact), abs=2e-3)


@pytest.mark.parametrize("solver", [Solver(), Solver("dopri5", tolerance=1e-3)])
def test_training_lowers_the_loss_and_moves_the_end_time(solver) -> None:
    network, codes, readings = small()
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    draw = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(12):
        noise = torch.randn(codes.shape, generator=draw)
        loss = network.nll(codes, readings, noise, solver).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < sum(losses[:3])
    assert network.root_of_end.grad is not None
    assert float(network.root_of_end.grad.abs().max()) > 0


def test_the_linear_start_takes_off_what_attributes_say() -> None:
    """Codes that are attributes and noise: the start gives the noise, an edit the attributes."""
    draw = torch.Generator().manual_seed(4)
    readings = torch.rand(4000, 3, generator=draw)
    mix = torch.randn(3, 6, generator=draw) * 4
    codes = readings @ mix + 0.3 * torch.randn(4000, 6, generator=draw)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = StyleFlowNetwork(FlowConfig(6, 3, 2), codes, readings).eval()
    changed = readings[:100] + torch.tensor([0.3, 0.0, 0.0])
    with torch.no_grad():
        z = network.encode(codes, readings)
        moved = network.decode(network.encode(codes[:100], readings[:100]), changed) - codes[:100]
    both = torch.corrcoef(torch.cat([z, readings], dim=1).T)[:6, 6:]
    assert float(both.abs().max()) < 0.15, "the prior knows the attributes no more"
    assert torch.allclose(moved.mean(dim=0), 0.3 * mix[0], atol=0.12)


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
    same = torch.allclose(both[:, 2:4], out[:, 2:4], atol=1e-5)
    assert same, "rows 2 and 3 belong to the glasses alone"
    assert not torch.equal(both[:, 4:6], ws[:, 4:6])


def test_an_edit_and_its_undoing_return(tiny_generator) -> None:
    editor = styleflow(tiny_generator, "a" * 64)
    codes, readings = (part[:3] for part in labelled(tiny_generator))
    ws = codes[:, None].repeat(1, 8, 1)
    there = editor.edit(ws, EditRequest(changes={"hat": 0.3}, current=readings))
    assert not torch.allclose(there, ws, atol=1e-2)
    column = DEFAULT_TABLE.index("hat")
    after = readings.clone()
    after[:, column] += editor.network.gain.knobs[0, column, 6]  # what 0.3 asks of the flow
    back = editor.edit(there, EditRequest(changes={"hat": -0.3}, current=after))
    assert torch.allclose(back, ws, atol=1e-3)


def test_current_readings_enter_the_encoding(tiny_generator) -> None:
    editor = styleflow(tiny_generator, "a" * 64)
    ws = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(1))
    current = torch.full((1, 35), 0.9)
    known = editor.edit(ws, EditRequest(changes={"smile": 0.5}, current=current))
    guessed = editor.edit(ws, EditRequest(changes={"smile": 0.5}))
    assert not torch.allclose(known, guessed, atol=1e-4)


def test_an_unseen_attribute_changes_nothing_whatever_is_read() -> None:
    _, codes, readings = small()
    network = StyleFlowNetwork(FlowConfig(4, 3, 2), codes, readings, unseen=(1,)).eval()
    other = readings.clone()
    other[:, 1] = torch.rand(64)
    with torch.no_grad():
        assert torch.equal(network.encode(codes, readings), network.encode(codes, other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 0}, "flow blocks is 0; allowed: at least 1"),
        ({"hidden_layers": -1}, "flow hidden_layers is -1"),
        ({"edit_steps": 0}, "flow edit_steps is 0; allowed: at least 1"),
        ({"depth": 2}, "unknown key 'depth'; known: w_dim"),
    ],
)
def test_bad_configs_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        FlowConfig.from_dict({"w_dim": 4, "attributes": 3, "num_ws": 2, **change})


def test_what_the_others_determine_is_said() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(2000, 4, generator=draw)
    scores[:, 3] = 0.5 * scores[:, 0] + 0.3 * scores[:, 1]
    assert share_said_by_others(scores, 3) > 0.99
    assert share_said_by_others(scores, 2) < 0.02
    blurred = scores.clone()
    blurred[:, 3] += blurred[:, 3].std() * torch.randn(2000, generator=draw)
    assert share_said_by_others(blurred, 3) == pytest.approx(0.5, abs=0.06)
    assert share_said_by_others(torch.full((100, 3), 0.4), 1) in (0.0, 1.0)


def test_bad_solvers_and_starts_are_refused() -> None:
    with pytest.raises(ValueError, match="solver is 'euler'; allowed: rk4, dopri5"):
        Solver("euler")
    with pytest.raises(ValueError, match="solver steps is 0; allowed: at least 1"):
        Solver(steps=0)
    with pytest.raises(ValueError, match=r"solver tolerance is 0\.0; allowed: above 0"):
        Solver(tolerance=0.0)
    with pytest.raises(ValueError, match="flow start is 'zero'; allowed: linear, random"):
        StyleFlowNetwork(FlowConfig(4, 3, 2), start="zero")


def test_codes_that_do_not_fit_are_refused(tiny_generator) -> None:
    config = FlowConfig(4, 3, 2)
    with pytest.raises(ValueError, match=r"allowed: \(N, 4\) and \(N, 3\)"):
        StyleFlowNetwork(config, torch.ones(5, 4), torch.ones(5, 2))
    with pytest.raises(ValueError, match="NaN"):
        StyleFlowNetwork(config, torch.full((5, 4), float("nan")), torch.ones(5, 3))
    with pytest.raises(ValueError, match="built for 3 attributes; the table has 35"):
        StyleFlowEditor(StyleFlowNetwork(config), DEFAULT_TABLE, Origin("", "w", ""))
    editor = styleflow(tiny_generator, "")
    with pytest.raises(ValueError, match=r"attribute 'age': rows are \[3, 9\); allowed"):
        editor.set_rows({"age": (3, 9)})


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.37)])
def test_fixed_steps_are_torchdiffeqs_to_the_bit(span) -> None:
    from torchdiffeq import odeint

    draw = torch.Generator().manual_seed(0)
    weight, x = torch.randn(6, 6, generator=draw), torch.randn(5, 6, generator=draw)

    def slope(t, state):
        return torch.tanh(state[0] @ weight) * (1 + t), state[0].square().sum(1) * t

    state = (x, torch.zeros(5))
    options = {"grid_constructor": lambda *_: torch.linspace(*span, 5)}
    wanted = odeint(slope, state, torch.tensor(span), method="rk4", options=options)
    found = Solver().integrate(slope, state, span)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other[-1])
    alone = Solver().integrate(lambda t, y: slope(t, (y,))[0], x, span)
    assert torch.equal(alone, found[0])
