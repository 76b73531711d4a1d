"""Gains chosen by the training ensemble: by a budget for what else moves, and by what is worn."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from l2l_widgets.attributes import Attribute, AttributeTable
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.recipes.mapper_calibration import (
    AIMS,
    calibrate,
    single_changes,
    worn_reading,
)


class Straight(nn.Module):
    """A mapper in a world whose latents are its readings: half of a knob arrives, a share leaks."""

    def __init__(self, attributes: int, leak: float) -> None:
        super().__init__()
        self.gain = GainCurve(attributes)
        self.leak = leak

    def forward(self, w: Tensor, knob: Tensor) -> Tensor:
        others = knob.sum(dim=1, keepdim=True) - knob
        return w + 0.5 * (knob + self.leak * others)[:, None]


def read(ws: Tensor) -> Tensor:
    return ws[:, 0].clamp(0, 1)


def attribute(name: str, kind: str) -> Attribute:
    return Attribute(name=name, label=name, definition=name, family="test", kind=kind)


TABLE = AttributeTable(
    [attribute("tall", "continuous"), attribute("cap", "binary"), attribute("wide", "continuous")]
)
FACES = torch.rand(300, 1, 3, generator=torch.Generator().manual_seed(0))


def calibrated(leak: float, budget: float) -> tuple[Straight, float]:
    network = Straight(3, leak)
    aim = calibrate(network, read, FACES, FACES[:, 0], TABLE, (0, 1, 2), budget)
    return network, aim


@pytest.mark.parametrize(
    ("wear", "reach"),
    [
        pytest.param(0.1, None, id="a person who bears every change"),
        pytest.param(0.5, 0.5, id="one who is another beyond the half of the range"),
        pytest.param(2.0, 0.3, id="one who hardly bears any"),
    ],
)
def test_something_that_comes_by_degrees_stops_where_a_person_would_be_lost(
    wear: float, reach: float | None
) -> None:
    network = Straight(3, leak=0.0)

    def kept(ws: Tensor, edited: Tensor) -> Tensor:
        return 1 - wear * (edited - ws).abs().sum(dim=(1, 2))

    calibrate(
        network, read, FACES, FACES[:, 0], TABLE, (0, 1, 2), 0.05,
        kept=kept, identity_floor=0.75,
    )  # fmt: skip
    bold = calibrated(leak=0.0, budget=0.05)[0].gain
    for column in (0, 2):
        expected = bold.reach(column)[1] if reach is None else reach
        assert network.gain.reach(column)[1] == pytest.approx(expected, abs=0.051)
    assert network.gain.reach(1) == bold.reach(1)  # half a cap is none
    achieved, _ = asked_and_came(network)  # what the report asks for comes whole
    assert achieved.median() == pytest.approx(1.0, abs=0.03)


def asked_and_came(network: Straight) -> tuple[Tensor, Tensor]:
    before = read(FACES)
    return single_changes(network, network.gain, read, FACES, before, (0, 1, 2))


def test_without_leaks_the_whole_request_comes() -> None:
    network, aim = calibrated(leak=0.0, budget=0.05)
    assert aim == 1.0
    achieved, others = asked_and_came(network)
    assert achieved.median() == pytest.approx(1.0, abs=0.03)
    assert others.max() == pytest.approx(0.0, abs=1e-6)


def test_a_leak_beyond_the_budget_makes_edits_gentler() -> None:
    network, aim = calibrated(leak=0.5, budget=0.12)
    assert AIMS[-1] < aim < 1.0
    _, others = asked_and_came(network)
    assert float(others.mean()) == pytest.approx(0.12, abs=0.01)


def test_a_budget_out_of_reach_gives_the_gentlest_aim() -> None:
    assert calibrated(leak=0.9, budget=0.0)[1] == AIMS[-1]


def test_a_full_request_of_something_worn_looks_as_on_its_wearers() -> None:
    network, _ = calibrated(leak=0.0, budget=0.05)
    bare = torch.zeros(20, 1, 3)
    full = torch.zeros(20, 3)
    full[:, 1] = 1.0
    reached = read(network(bare, network.gain(full)))[:, 1]
    assert float(reached.min()) >= worn_reading(FACES[:, 0, 1]) - 0.03


def test_what_is_worn_is_read_from_the_population() -> None:
    readings = torch.cat([torch.zeros(50), torch.linspace(0.6, 1.0, 41)])
    assert worn_reading(readings) == pytest.approx(0.7, abs=0.01)
    assert worn_reading(torch.zeros(100)) == 0.75


def test_every_attribute_has_its_turn() -> None:
    network = Straight(3, 0.0)
    stuck = copy.deepcopy(network)
    stuck.gain.knobs[:, 2] = 0
    before = read(FACES)
    achieved, _ = single_changes(stuck, stuck.gain, read, FACES, before, (0, 1, 2))
    assert achieved.view(-1, 3).abs().amax(dim=0)[2] == 0
    assert bool((achieved.view(-1, 3)[:, :2].median(dim=0).values > 0.4).all())
