"""Boundaries find what was planted, in every space, and are refused outside of it."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.checks import check_editor
from l2l_widgets.editors.interfacegan import (
    RULES,
    InterFaceGANEditor,
    fit_boundaries,
    select_ends,
)
from l2l_widgets.editors.linear_steps import CalibratedSteps
from l2l_widgets.editors.origins import Origin, OriginError

W = Origin("a" * 64, "w", "3000 planted codes")


@pytest.fixture(scope="module")
def planted():
    """3000 codes of 12 numbers around a mean; two scores follow two directions, one nothing."""
    draw = torch.Generator().manual_seed(0)
    codes = 1 + torch.randn(3000, 12, generator=draw) * torch.linspace(1.5, 0.8, 12)
    truth = torch.zeros(2, 12)
    truth[0, 1], truth[1, 7] = 1.0, 1.0
    signal = (codes - 1) @ truth.T
    scores = torch.cat([signal, torch.zeros(3000, 1)], dim=1)
    noise = 0.2 * torch.randn(3000, 3, generator=draw)
    return codes, torch.sigmoid(scores + noise), truth


@pytest.mark.parametrize("rule", RULES)
def test_a_boundary_separates_what_was_planted(planted, rule) -> None:
    codes, scores, truth = planted
    found = fit_boundaries(codes, scores, ["a", "b", "c"], W, rule=rule, chosen=0.1)
    for name, direction in zip("ab", truth, strict=True):
        boundary = found.boundaries[name]
        assert float(boundary.normal.norm()) == pytest.approx(1, abs=1e-12)
        assert float(boundary.normal.float() @ direction) > 0.97
        assert boundary.accuracies["validation"] > 0.98
        assert boundary.accuracies["remaining"] > 0.9
        assert boundary.origin == W
        # the intercept is kept: the planted boundary passes through the mean
        assert abs(float(boundary.distance(torch.ones(1, 12)))) < 0.2
        assert sum(boundary.counts.values()) >= 3000


def test_both_solvers_find_nearly_the_same_plane(planted) -> None:
    codes, scores, _ = planted
    names = ["a", "b", "c"]
    fast = fit_boundaries(codes, scores, names, W, chosen=0.05)
    original = fit_boundaries(codes, scores, names, W, chosen=0.05, solver="libsvm")
    for name in ("a", "b"):
        one, two = fast.boundaries[name], original.boundaries[name]
        assert float(one.normal @ two.normal) > 0.97
        assert one.intercept == pytest.approx(two.intercept, abs=0.15)


def test_the_ends_are_the_most_confident() -> None:
    scores = torch.tensor([0.2, 0.9, 0.5, 0.1, 0.7, 0.4])
    high, low, rest = select_ends(scores, 2)
    assert high.tolist() == [1, 4]
    assert sorted(low.tolist()) == [0, 3]
    assert rest.tolist() == [2, 5]
    assert len(select_ends(scores, 100)[0]) == 3, "never more than half"
    assert len(select_ends(torch.rand(500), 0.02)[0]) == 10
    with pytest.raises(ValueError, match="chosen is 0; allowed"):
        select_ends(scores, 0)


def test_distances_are_absolute_in_w_and_relative_in_w_plus(planted) -> None:
    codes, scores, _ = planted
    boundary = fit_boundaries(codes, scores, ["a", "b", "c"], W).boundaries["a"]
    moved = boundary.move(codes[:5], 2.0, space="w")
    assert torch.allclose(boundary.distance(moved), torch.full((5,), 2.0), atol=1e-5)
    mixed = codes[:, None].repeat(1, 3, 1)
    mixed[:, 1] += 0.1
    plus = fit_boundaries(mixed, scores, ["a", "b", "c"], Origin("", "w+", "mixed"))
    boundary = plus.boundaries["a"]
    assert boundary.normal.shape == (3, 12)
    before = boundary.distance(mixed[:5])
    moved = boundary.move(mixed[:5], 2.0, space="w+")
    assert torch.allclose(boundary.distance(moved) - before, torch.full((5,), 2.0), atol=1e-5)
    with pytest.raises(ValueError, match=r"allowed: \(N, 3, 12\)"):
        boundary.move(codes[:5], 2.0, space="w+")


def test_a_direction_is_refused_outside_its_space_and_generator(planted) -> None:
    codes, scores, _ = planted
    origin = Origin("a" * 64, "z", "codes of a test")
    in_z = fit_boundaries(codes, scores, ["a", "b", "c"], origin)
    with pytest.raises(OriginError, match=r"fitted in space 'z'.*used in 'w'; allowed:.*fit it"):
        in_z.boundaries["a"].move(codes, 1.0, space="w")
    with pytest.raises(OriginError, match=r"fitted for generator aaaaaaaaaaaa.*with bbbbbbbbbbbb"):
        in_z.boundaries["a"].move(codes, 1.0, space="z", generator="b" * 64)
    assert in_z.boundaries["a"].move(codes, 1.0, space="z", generator="a" * 64).shape == (3000, 12)
    table = DEFAULT_TABLE.subset(("age", "smile", "beard"))
    named = fit_boundaries(codes, scores, table.names, origin)
    with pytest.raises(OriginError, match="map them to W"):
        InterFaceGANEditor.from_boundaries(named, table, 4)
    with pytest.raises(ValueError, match=r"space is 'v'; allowed: z, w, w\+, s"):
        Origin("", "v", "")


def test_what_cannot_be_fitted_is_left_out_with_its_reason(planted) -> None:
    codes, scores, _ = planted
    scores = torch.cat([scores, scores[:, :2]], dim=1)
    scores[5, 0] = float("nan")
    scores[:, 1] = 0.25
    scores[:, 2] = 0.5 + 1e-3 * torch.rand(3000, generator=torch.Generator().manual_seed(1))
    for rule in RULES:
        found = fit_boundaries(codes, scores, list("abcde"), W, rule=rule)
        assert list(found.boundaries) == ["d", "e"]
        assert "NaN" in found.reasons["a"]
        assert "constant (0.250)" in found.reasons["b"]
        assert "differ by 0.001" in found.reasons["c"]
        assert bool(torch.isfinite(found.steps).all())
        assert float(found.steps[:3].abs().max()) == 0
    few = fit_boundaries(codes[:200], scores[:200, 3:], ["d", "e"], W, chosen=0.02)
    assert few.reasons["d"] == "4 codes in each end are too few; allowed: at least 10"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "lasso"}, "rule is 'lasso'; allowed: svm, ridge"),
        ({"solver": "newton"}, "solver is 'newton'; allowed: liblinear"),
        ({"split": 1.0}, "split is 1.0"),
        ({"names": ["a"]}, "scores have 3 columns; allowed: 1"),
        ({"codes": torch.randn(9, 12)}, "do not fit"),
        ({"codes": torch.full((3000, 12), float("inf"))}, "codes hold NaN"),
        ({"codes": torch.randn(9, 12), "scores": torch.rand(9, 3)}, "9 codes are too few"),
    ],
)
def test_bad_input_is_refused_in_one_line(planted, change, message) -> None:
    arguments = {"codes": planted[0], "scores": planted[1], "names": ["a", "b", "c"], **change}
    with pytest.raises(ValueError, match=message):
        fit_boundaries(origin=W, **arguments)


@pytest.fixture(scope="module")
def editor(planted):
    codes, scores, _ = planted
    table = DEFAULT_TABLE.subset(("age", "smile", "beard"))
    found = fit_boundaries(codes, scores, table.names, W)
    return InterFaceGANEditor.from_boundaries(found, table, 4, {"regressor": "c" * 64})


def test_the_editor_keeps_the_contract_in_w(editor, planted) -> None:
    ws = planted[0][:4, None].repeat(1, 4, 1)
    assert editor.space == "w"
    assert editor.attributes == ("age", "smile")
    assert len(check_editor(editor, ws, torch.rand(4, 3))) == 13


def test_a_request_moves_by_attribute_units(editor, planted) -> None:
    codes, _, truth = planted
    ws = codes[:200, None].repeat(1, 4, 1)
    moved = editor.edit(ws, EditRequest(changes={"age": 0.1}))
    change = torch.sigmoid((moved[:, 0] - 1) @ truth[0]) - torch.sigmoid(
        (codes[:200] - 1) @ truth[0]
    )
    assert float(change.mean()) == pytest.approx(0.1, abs=0.03)
    with pytest.raises(ValueError, match=r"interfacegan cannot change it \(its direction does"):
        editor.edit(ws, EditRequest(changes={"beard": 0.1}))


def test_boundary_and_origin_survive_the_disk(editor, planted, tmp_path) -> None:
    editor.save(tmp_path / "e.safetensors")
    again = InterFaceGANEditor.load(tmp_path / "e.safetensors")
    assert again.origin == W
    assert again.provenance == {"regressor": "c" * 64}
    assert again.reasons == editor.reasons
    fitted = fit_boundaries(planted[0], planted[1], editor.table.names, W).boundaries["age"]
    kept = again.boundary("age")
    assert torch.allclose(kept.distance(planted[0]), fitted.distance(planted[0]), atol=1e-4)
    assert kept.accuracies["validation"] == pytest.approx(fitted.accuracies["validation"], abs=1e-4)
    with pytest.raises(ValueError, match="boundary of 'beard': there is none"):
        again.boundary("beard")


def test_boundaries_of_w_plus_make_an_editor_of_w_plus(planted) -> None:
    codes, scores, _ = planted
    table = DEFAULT_TABLE.subset(("age", "smile", "beard"))
    mixed = torch.stack([codes, codes.roll(1, 0), codes], dim=1)
    found = fit_boundaries(mixed, scores, table.names, Origin("", "w+", "mixed"))
    editor = InterFaceGANEditor.from_boundaries(found, table, 3)
    assert editor.space == "w+"
    assert len(check_editor(editor, mixed[:4], torch.rand(4, 3))) == 13


def test_steps_of_a_wrong_shape_are_refused(editor) -> None:
    with pytest.raises(ValueError, match=r"allowed: \(3, 1 or 4, w_dim\)"):
        InterFaceGANEditor(CalibratedSteps(torch.ones(2, 1, 12)), editor.table, W, 4)
    with pytest.raises(ValueError, match=r"no attribute can be changed \(nothing was fitted\)"):
        InterFaceGANEditor(CalibratedSteps(torch.zeros(3, 1, 12)), editor.table, W, 4)
    with pytest.raises(ValueError, match="steps have shape"):
        CalibratedSteps(torch.full((3, 1, 12), float("nan")))
    assert isinstance(CalibratedSteps(torch.ones(3, 1, 12)).gain, GainCurve)
