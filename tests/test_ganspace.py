"""Streamed components equal a plain decomposition; their meaning is measured, not guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from editor_builders import ganspace

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors.effects import choose_for_all, choose_steps, measure_effects
from l2l_widgets.editors.ganspace import (
    Components,
    GANSpaceEditor,
    StreamedCovariance,
    fit_components,
    layer_ranges,
    load_components,
    pin_signs,
)
from l2l_widgets.editors.origins import Origin, OriginError

W = Origin("", "w", "planted")


@pytest.fixture(scope="module")
def codes():
    draw = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(8, 8, generator=draw))
    wide = torch.tensor([9.0, 5, 3, 2, 1, 0.5, 0.2, 0.1])
    return 100 + (torch.randn(6000, 8, generator=draw) * wide) @ turn


def test_streaming_equals_a_plain_decomposition(codes) -> None:
    sums = StreamedCovariance(8)
    for chunk in codes.split(700):
        sums.update(chunk)
    assert sums.count == 6000
    assert torch.allclose(sums.mean, codes.double().mean(0), atol=1e-10)
    assert torch.allclose(sums.covariance, torch.cov(codes.double().T), atol=1e-9)
    found = fit_components(codes.split(700), codes[:500], W, count=8)
    whole = fit_components([codes], codes[:500], W, count=8)
    assert torch.allclose(found.vectors, whole.vectors, atol=1e-5)
    _, _, v = torch.linalg.svd(codes.double() - codes.double().mean(0), full_matrices=False)
    assert torch.allclose((found.vectors.double() @ v.T).abs(), torch.eye(8).double(), atol=1e-4)
    assert torch.allclose(found.spread, torch.tensor([9.0, 5, 3, 2, 1, 0.5, 0.2, 0.1]), rtol=0.12)
    assert torch.allclose(found.vectors @ found.vectors.T, torch.eye(8), atol=1e-6)


def test_signs_are_pinned() -> None:
    vectors = torch.tensor([[0.6, -0.8], [-0.6, 0.8], [-0.5, -0.5]])
    pinned = pin_signs(vectors)
    assert torch.equal(pinned[0], torch.tensor([-0.6, 0.8]))
    assert torch.equal(pinned[0], pinned[1])
    assert torch.equal(pinned[2], torch.tensor([0.5, 0.5]))


def test_offset_adds_and_target_goes_there(codes) -> None:
    found = fit_components([codes], codes[:500], W, count=4)
    w = codes[:3, None].repeat(1, 6, 1)
    offset = found.apply(w, 1, 2.0, (2, 4))
    assert torch.equal(offset[:, :2], w[:, :2])
    assert torch.equal(offset[:, 4:], w[:, 4:]), "the end of a range is left out"
    moved = found.coordinates(offset[:, 2]) - found.coordinates(w[:, 2])
    assert torch.allclose(moved, torch.tensor([[0.0, 2, 0, 0]]).expand(3, 4), atol=1e-3)
    target = found.apply(w, 1, 2.0, (0, 6), "target")
    assert torch.allclose(found.coordinates(target[:, 0])[:, 1], torch.full((3,), 2.0), atol=1e-3)
    with pytest.raises(ValueError, match=r"layers are \[4, 4\); allowed: 0 <= start < end <= 6"):
        found.apply(w, 1, 2.0, (4, 4))
    with pytest.raises(ValueError, match="component is 4; allowed: 0 to 3"):
        found.apply(w, 4, 2.0, (0, 4))
    with pytest.raises(ValueError, match="semantics is 'add'"):
        found.apply(w, 0, 2.0, (0, 4), "add")


def test_published_components_load(tmp_path) -> None:
    vectors = torch.linalg.qr(torch.randn(12, 12))[0][:5]
    spread = torch.tensor([5.0, 3, 2, 2.1, 1])  # measured: it need not fall
    pt = {"comp": vectors[:, None], "mean": torch.ones(1, 12), "std": spread}
    torch.save(pt, tmp_path / "ffhq_pca.pt")
    parts = {"comp": vectors[:, None], "mean": np.ones((1, 12)), "stdev": spread}
    np.savez(tmp_path / "own.npz", **{f"lat_{k}": np.asarray(v) for k, v in parts.items()})
    for name in ("ffhq_pca.pt", "own.npz"):
        found = load_components(tmp_path / name, generator="d" * 64)
        assert torch.equal(found.vectors, vectors)
        assert torch.equal(found.spread, spread)
        assert found.origin == Origin("d" * 64, "w", name)
        assert found.apply(torch.ones(1, 18, 12), 2, 1.0, (4, 5)).shape == (1, 18, 12)
    (tmp_path / "broken.pt").write_bytes(b"PK not a checkpoint")
    torch.save({"weights": vectors}, tmp_path / "other.pt")
    torch.save({**pt, "std": spread[:3]}, tmp_path / "short.pt")
    with pytest.raises(ValueError, match=r"short\.pt: components \(5, 12\), spread \(3,\)"):
        load_components(tmp_path / "short.pt")
    for name in ("broken.pt", "other.pt", "missing.npz"):
        with pytest.raises(ValueError, match=f"{name}: no components that can be read"):
            load_components(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 9}, "count is 9; allowed: 1 to 8"),
        ({"chunks": []}, "no codes to decompose"),
        ({"chunks": [torch.full((3, 8), float("nan"))]}, "codes hold NaN"),
        ({"chunks": [torch.ones(3, 8), torch.ones(3, 7)]}, r"allowed: \(n, 8\)"),
        ({"fresh": torch.ones(3, 7)}, "fresh has shape"),
        ({"fresh": torch.full((3, 8), float("inf"))}, "fresh holds NaN or infinity"),
    ],
)
def test_bad_input_is_refused(codes, change, message) -> None:
    arguments = {"chunks": [codes], "fresh": codes, "origin": W, "count": 4, **change}
    with pytest.raises(ValueError, match=message):
        fit_components(**arguments)
    with pytest.raises(OriginError, match="used in 'w'"):
        fit_components([codes], codes, Origin("", "z", "z codes"))
    with pytest.raises(ValueError, match="do not fit"):
        Components(torch.ones(2, 8), torch.ones(3), torch.ones(8), W)
    with pytest.raises(ValueError, match="components hold NaN or infinity in their spread"):
        Components(torch.ones(2, 8), torch.tensor([1, torch.nan]), torch.ones(8), W)


def test_a_component_without_spread_moves_nothing() -> None:
    flat = Components(torch.eye(8)[:2], torch.tensor([2.0, 0.0]), torch.zeros(8), W)
    w = torch.ones(3, 4, 8)
    assert flat.coordinates(w[:, 0]).tolist() == [[0.5, 0.0]] * 3
    for semantics in ("offset", "target"):
        assert torch.equal(flat.apply(w, 1, 2.0, (0, 4), semantics), w)


def test_effects_are_central_differences() -> None:
    slopes = torch.tensor([[0.1, 0.0], [0.0, -0.2], [0.05, 0.05]])

    def read(ws):
        return ws[:, 0] @ slopes

    ws = torch.randn(20, 4, 3, generator=torch.Generator().manual_seed(1))
    effects = measure_effects(torch.eye(3)[:, None], read, ws, size=2.0, batch=7)
    assert torch.allclose(effects, slopes, atol=1e-6)
    with pytest.raises(ValueError, match="size is 0; allowed: above 0"):
        measure_effects(torch.eye(3)[:, None], read, ws, size=0)


def test_the_choice_is_the_least_disturbing_sum() -> None:
    # 0 moves both, 1 undoes what 0 does to the second, 2 moves the first a little and cleanly
    effects = torch.tensor([[0.2, 0.2, 0.0], [0.0, -0.2, 0.0], [0.01, 0.0, 0.0]])
    spread = torch.ones(3)
    chosen, weights = choose_steps(effects, spread, 0, most=1, damping=1e-6, longest=10)
    assert chosen == [0], "the clean one does not reach 0.3 within ten steps"
    assert float(weights) == pytest.approx(5)
    chosen, weights = choose_steps(effects, spread, 0, most=3, damping=1e-6, longest=10)
    assert chosen == [0]  # a candidate that does not reach the attribute by itself is no candidate
    effects[1, 0] = -0.05
    chosen, weights = choose_steps(effects, spread, 0, most=3, damping=1e-6)
    assert sorted(chosen) == [0, 1]
    total = weights @ effects[chosen]
    assert float(total[0]) == pytest.approx(1, abs=1e-5)
    assert abs(float(total[1])) < 1e-3
    chosen, weights = choose_steps(effects, spread, 2)
    assert chosen == []
    assert len(weights) == 0
    with pytest.raises(ValueError, match="most is 0"):
        choose_steps(effects, spread, 0, most=0)
    with pytest.raises(ValueError, match="do not fit"):
        choose_steps(effects, torch.ones(2), 0)


def test_every_attribute_has_its_choice_or_a_reason() -> None:
    effects = torch.tensor([[0.1, 0.02, torch.nan], [0.0, 0.035, 0.1]])
    spread = torch.tensor([1.0, 1.0, torch.nan])
    chosen, reasons = choose_for_all(
        effects, spread, ("a", "b", "c"), {}, 1, 10.0, 1e-4, "component"
    )
    # ten steps at the end of a gain curve, which is 2
    assert chosen == {"a": [(0, pytest.approx(5.0))], "b": [(1, pytest.approx(5.0))]}
    assert "NaN" in reasons["c"]
    _, reasons = choose_for_all(effects, spread, ("a", "b", "c"), {"c": "w"}, 1, 2.0, 0.1, "step")
    assert reasons["b"] == (
        "no sum of 1 steps changes it by 0.3 within 2 standard deviations of each"
    )
    pair = torch.tensor([[0.02, 0.0], [0.02, 0.0]])
    for most, found in ((1, set()), (2, {"a"})):
        chosen, _ = choose_for_all(pair, torch.ones(2), ("a", "b"), {}, most, 8.0, 0.1, "step")
        assert set(chosen) == found, "two together reach what neither does alone"
    assert reasons["c"] == "w"


def test_ranges_are_all_rows_and_the_three_groups() -> None:
    assert layer_ranges(10) == [(0, 10), (0, 4), (4, 8), (8, 10)]
    assert layer_ranges(4) == [(0, 4)]


def test_the_editor_says_what_it_is_made_of(tiny_generator, tmp_path) -> None:
    editor = ganspace(tiny_generator, "e" * 64)
    assert editor.space == "w+"
    lines = editor.named(top=2)
    assert len(lines) == len(editor.details["places"])
    assert lines[0].startswith("0 [0, 8): ")
    name = editor.attributes[0]
    terms = editor.details["terms"][name]
    assert 1 <= len(terms) <= 2
    total = sum(
        t["sigma"] * editor.components.step(t["component"], tuple(t["layers"]), 8) for t in terms
    )
    step = editor.steps.steps[DEFAULT_TABLE.index(name)]
    assert torch.allclose(total, step, rtol=1e-2, atol=1e-3 * float(step.abs().max()))
    editor.save(tmp_path / "g.safetensors")
    again = GANSpaceEditor.load(tmp_path / "g.safetensors")
    assert again.named(top=2) == lines
    ws = torch.zeros(1, 8, 16)
    for missing, reason in list(editor.reasons.items())[:1]:
        with pytest.raises(ValueError, match=r"no sum of 2 components changes it by 0\.3"):
            editor.edit(ws, EditRequest(changes={missing: 0.1}))
        assert reason
