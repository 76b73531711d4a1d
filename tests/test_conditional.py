"""Projection equals what was published; it says beforehand when it changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from editor_builders import boundaries

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.conditional import (
    ConditionalEditor,
    check_projection,
    project,
    span_basis,
    usual_conditions,
)
from l2l_widgets.editors.interfacegan import InterFaceGANEditor, fit_boundaries
from l2l_widgets.editors.origins import Origin

GOLDEN = Path(__file__).parent / "golden" / "interfacegan_ffhq_boundaries.npz"


@pytest.fixture(scope="module")
def published():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.mark.parametrize(
    ("primal", "condition"),
    [("age", "eyeglasses"), ("age", "gender"), ("eyeglasses", "age"), ("eyeglasses", "gender")],
)
def test_one_condition_equals_the_published_boundary(published, primal, condition) -> None:
    ours = project(published[primal][None], published[condition][None])[0]
    assert float((ours - published[f"{primal}_c_{condition}"]).abs().max()) < 1e-12


def test_several_primals_and_conditions(published) -> None:
    conditions = torch.stack([published["eyeglasses"], published["gender"]])
    others = torch.stack([published["age"], published["age_w"]])
    ours = project(others, conditions)
    assert ours.shape == (2, 512)
    assert float((ours @ conditions.T).abs().max()) < 1e-14
    # the authors' closed form for two conditions, without its 1e-8
    p, (a, b) = published["age"], conditions
    pa, pb, ab = p @ a, p @ b, a @ b
    alpha, beta = (pa - pb * ab) / (1 - ab**2), (pb - pa * ab) / (1 - ab**2)
    closed = p - alpha * a - beta * b
    assert float((ours[0] - closed / closed.norm()).abs().max()) < 1e-12
    assert torch.equal(project(others, conditions[:0]), others / others.norm(dim=1, keepdim=True))
    one = project(others[:1], conditions)
    assert float((one - ours[:1]).abs().max()) < 1e-15, "primals are no conditions of one another"


def test_near_parallel_conditions_count_once(published) -> None:
    age, glasses = published["age"], published["eyeglasses"]
    twin = glasses + 1e-9 * published["gender"]
    plain = project(age[None], glasses[None])
    doubled = project(age[None], torch.stack([glasses, twin, -glasses]))
    assert float((plain - doubled).abs().max()) < 1e-8, "the noise between twins is no condition"
    basis, taken, redundant = span_basis(torch.stack([glasses, twin, published["gender"]]))
    assert basis.shape == (2, 512)
    assert 2 in taken
    assert set(redundant.values()) <= set(taken)
    assert torch.allclose(basis @ basis.T, torch.eye(2, dtype=torch.float64), atol=1e-15)


def test_a_basis_of_many_directions_is_orthogonal() -> None:
    draw = torch.Generator().manual_seed(2)
    near = torch.randn(1, 64, generator=draw) + 0.02 * torch.randn(40, 64, generator=draw)
    basis, taken, redundant = span_basis(near)
    assert len(taken) == 40
    assert not redundant
    assert float((basis @ basis.T - torch.eye(40, dtype=torch.float64)).abs().max()) < 1e-13
    more, taken, redundant = span_basis(torch.cat([near, torch.randn(40, 64, generator=draw)]))
    assert len(more) == len(taken) == 64
    assert len(redundant) == 16


@pytest.mark.parametrize(
    ("primals", "conditions", "message"),
    [
        (torch.ones(1, 3), torch.ones(1, 3), "primal 0 lies in the span"),
        (torch.zeros(1, 3), torch.ones(1, 3), r"primal 0 has length 0\.0"),
        (torch.ones(1, 3), torch.full((1, 3), float("nan")), "condition 0 has length nan"),
        (torch.ones(3), torch.ones(1, 3), r"primals have shape \(3,\)"),
        (torch.ones(1, 3), torch.ones(1, 4), "conditions have 4 numbers"),
    ],
)
def test_what_cannot_be_projected_is_refused(primals, conditions, message) -> None:
    with pytest.raises(ValueError, match=message):
        project(primals, conditions)


@pytest.fixture(scope="module")
def entangled():
    """Three scores on 10 numbers: `smile` follows age's direction by half, `yaw` nothing of it."""
    draw = torch.Generator().manual_seed(4)
    codes = torch.randn(4000, 10, generator=draw)
    truth = torch.zeros(3, 10)
    truth[0, 0], truth[1, 0], truth[1, 1], truth[2, 2] = 1, 0.6, 0.8, 1
    table = DEFAULT_TABLE.subset(("age", "smile", "yaw"))
    scores = torch.sigmoid(codes @ truth.T)
    found = fit_boundaries(codes, scores, table.names, Origin("", "w", "planted"), chosen=0.1)
    return codes, truth, table, found


def test_the_check_says_what_a_projection_will_do(entangled) -> None:
    codes, truth, _, found = entangled

    def read(ws):
        return torch.sigmoid(ws[:, 0] @ truth.T)

    ws = codes[:200, None].repeat(1, 4, 1)
    check = check_projection(found, "age", ["smile", "smile"], read, ws)
    assert check.names == ("age", "smile")
    assert float(check.cosines[0, 1]) == pytest.approx(0.6, abs=0.05)
    assert check.length_left == pytest.approx(0.8, abs=0.05)
    for table in (check.predicted, check.measured):
        before, after = table["smile"]
        assert before == pytest.approx(0.6, abs=0.08)
        assert abs(after) < 0.08
    text = check.to_text()
    assert "age with smile held" in text
    assert "measured: smile moves" in text
    assert not check.changes_nothing


def test_the_check_says_plainly_when_nothing_changes(entangled) -> None:
    found = entangled[3]
    check = check_projection(found, "age", ["yaw"])
    assert check.changes_nothing
    assert "Projecting changes nothing" in check.to_text()
    assert not check.measured


def test_the_published_boundaries_of_w_are_nearly_orthogonal(published) -> None:
    for suffix, cosine in (("", 0.72), ("_w", 0.10)):
        pair = published[f"age{suffix}"], published[f"eyeglasses{suffix}"]
        assert float(pair[0] @ pair[1]) == pytest.approx(cosine, abs=0.006)


def test_a_check_of_nothing_is_refused(entangled) -> None:
    found = entangled[3]
    with pytest.raises(ValueError, match="allowed: at least one other attribute"):
        check_projection(found, "age", [])
    with pytest.raises(ValueError, match="'hat' has no boundary"):
        check_projection(found, "age", ["hat"])
    with pytest.raises(ValueError, match="needs faces"):
        check_projection(found, "age", ["yaw"], read=lambda ws: ws)


def test_preserved_attributes_keep_their_distance(entangled) -> None:
    codes, _, table, found = entangled
    editor = ConditionalEditor.from_boundaries(found, table, 4, conditions={})
    plain = InterFaceGANEditor.from_boundaries(found, table, 4)
    ws = codes[:6, None].repeat(1, 4, 1)
    request = EditRequest(changes={"age": 0.2})
    assert torch.allclose(editor.edit(ws, request), plain.edit(ws, request))
    held = EditRequest(changes={"age": 0.2}, preserve=("smile",))
    moved = editor.edit(ws, held)
    age, smile = found.boundaries["age"], found.boundaries["smile"]
    assert torch.allclose(smile.distance(moved[:, 0]), smile.distance(ws[:, 0]), atol=1e-5)
    # and the primal crosses as much of its own distance as it does without
    assert torch.allclose(
        age.distance(moved[:, 0]), age.distance(plain.edit(ws, request)[:, 0]), atol=1e-4
    )
    both = EditRequest(changes={"age": 0.2, "yaw": -0.1}, preserve=("smile",))
    kept = editor.edit(ws, both)
    assert torch.allclose(smile.distance(kept[:, 0]), smile.distance(ws[:, 0]), atol=1e-5)


def test_holding_too_much_is_refused(tiny_generator) -> None:
    found = boundaries(tiny_generator, "")
    editor = ConditionalEditor.from_boundaries(found, DEFAULT_TABLE, tiny_generator.num_ws)
    name, *others = editor.attributes
    ws = torch.zeros(1, tiny_generator.num_ws, tiny_generator.w_dim)
    request = EditRequest(changes={name: 0.2}, preserve=tuple(others))
    with pytest.raises(ValueError, match=r"leaves \d+ % of the direction .* preserve fewer"):
        editor.edit(ws, request)


def test_conditions_that_leave_nearly_nothing_are_refused_when_the_editor_is_built(
    entangled,
) -> None:
    _, _, table, found = entangled
    with pytest.raises(ValueError, match=r"hold 'age': that leaves 0 % of the direction of 'age'"):
        ConditionalEditor.from_boundaries(found, table, 4, conditions={"age": ["age"]})
    # a twin of age's boundary, 6 degrees off: a step without it would be ten times as long
    close = found.boundaries["age"].normal + 0.1 * found.boundaries["yaw"].normal
    steps = found.steps.clone()
    steps[1] = (close / close.norm()).float() * steps[1].norm()
    twins = replace(found, steps=steps)
    with pytest.raises(
        ValueError,
        match=r"^hold 'smile': that leaves 1\d? % of the direction of 'age'; allowed: at least",
    ):
        ConditionalEditor.from_boundaries(twins, table, 4, conditions={"age": ["smile"]})
    editor = ConditionalEditor.from_boundaries(twins, table, 4, conditions={"age": ["yaw"]})
    length = editor.steps.steps[0].norm() / editor.extras["plain"][0].norm()
    assert float(length) < 1 / 0.2
    gone = {name: b for name, b in found.boundaries.items() if name != "yaw"}
    without = replace(found, boundaries=gone, reasons={"yaw": "its scores are constant (0.500)"})
    with pytest.raises(ValueError, match=r"'yaw' has no boundary \(its scores are constant"):
        ConditionalEditor.from_boundaries(without, table, 4, conditions={"age": ["yaw"]})


def test_usual_conditions_are_what_moves_along_and_leave_enough(entangled) -> None:
    _, _, table, found = entangled
    usual = usual_conditions(found, table, count=1)
    assert usual["age"] == ["smile"]
    assert usual["smile"] == ["age"]
    editor = ConditionalEditor.from_boundaries(found, table, 4)
    assert editor.details["conditions"]["age"][0] == "smile"
    assert usual_conditions(found, table, least=0.9)["age"] == ["yaw"]
