"""What papers on latent spaces report: of edit coordinates, each number with its caveat."""

from __future__ import annotations

import csv
import math

import pytest
import torch
from open_world import A, Moves, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.evaluation import Plan, compare, stamp, write_report
from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.standards import (
    EPSILON,
    edit_coordinates,
    measure_codes,
    measure_spaces,
)
from l2l_widgets.metrics import factors

NAMES = ("age", "beard", "smile")
PROTOCOL = Protocol(attributes=NAMES, faces=240, batch=64, draws=20)


class Mixes(Moves):
    """Moves all three attributes alike, whichever is asked for."""

    def edit(self, w, request):
        out = super().edit(w, request)
        for name in NAMES:
            column = DEFAULT_TABLE.index(name)
            out[:, :, column] = w[:, :, column] + sum(request.changes.values())
        return out


def test_edit_coordinates_are_what_lies_along_the_edit() -> None:
    bench = Bench.of(open_models(), PROTOCOL)
    codes = edit_coordinates(Moves(), bench, NAMES, 0.3)
    columns = [DEFAULT_TABLE.index(name) for name in NAMES]
    readings = bench.before["judge"][:, columns].double()
    expected = (readings - readings.mean(dim=0)) / readings.std(dim=0)
    assert torch.allclose(codes, expected, atol=1e-4)


def test_a_perfect_a_constant_and_a_mixing_editor(tmp_path) -> None:
    only = Moves()
    only.attributes = ("age",)
    methods = {"perfect": [Moves()], "mixes": [Mixes()], "only": [only]}
    plan = Plan(PROTOCOL, parts=("standards",))
    result = compare(open_models(), methods, plan, tmp_path)
    found = {(row["of"], row["quantity"]): row for row in result.standards}
    for quantity in ("dci_disentanglement", "dci_completeness", "mig", "sap"):
        assert found["perfect", quantity]["value"] > 0.7, quantity
        # three codes that are one leave no gap between the best two
        assert found["mixes", quantity]["value"] < 0.2, quantity
    assert found["perfect", "dci_informativeness"]["value"] > 0.9
    for row in result.standards:
        assert row["low"] <= row["value"] <= row["high"], row
        assert row["low"] < row["high"] or row["value"] in (0, 1), row
    assert found["z", "linear_separability"]["value"] < found["z", "linear_separability"][
        "attributes"
    ] * math.log(2)
    assert all(row["caveat"] and row["faces"] for row in result.standards)
    (failed,) = result.failed
    assert failed["method"] == "only"
    assert "1 of the attributes can be changed; allowed: at least 2" in failed["reason"]
    write_report(result, tmp_path, figures=False)
    with open(tmp_path / "standards.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.standards) == 4 + 2 * 5
    # found again, and not measured
    again = compare(open_models(), methods, plan, tmp_path)
    assert again.standards == result.standards
    assert again.provenance["cells"]["measured"] == 0


def test_a_plane_is_not_asked_of_fewer_faces_than_it_has_numbers_for(tmp_path) -> None:
    few = Protocol(attributes=NAMES, faces=60, batch=64, draws=20)
    result = compare(open_models(), {"m": [Moves()]}, Plan(few, parts=("standards",)), tmp_path)
    rows = [row for row in result.standards if row["quantity"] == "linear_separability"]
    assert [row["value"] for row in rows] == [None, None]
    assert f"needs {4 * (A + 2)} faces" in rows[0]["caveat"]
    text = comparison_text(result, stamp(result))
    assert "a plane tells any labels of so few codes apart" in " ".join(text.split())


def test_a_path_in_w_is_as_long_as_its_picture_moves() -> None:
    """The open world's picture is its latent: pixels move by the distance of the ends."""
    models = open_models()
    bench = Bench.of(models, PROTOCOL)
    found = measure_spaces(bench, PROTOCOL, lambda images: images[:, 0].flatten(1))
    draw = torch.Generator().manual_seed(PROTOCOL.seed + 29)
    ends = models.generator.mapping(torch.randn(2, 200, A + 1, generator=draw).flatten(0, 1))
    first, second = ends[:, 0].double().chunk(2)
    squared = (second - first).square().sum(dim=1)
    low, high = squared.quantile(torch.tensor([0.01, 0.99], dtype=torch.float64)).tolist()
    expected = squared[(squared >= low) & (squared <= high)].mean()
    assert float(found["w:path_length"]) == pytest.approx(float(expected), rel=0.02)
    assert float(found["z:path_length"]) > 0
    assert EPSILON == 1e-2


def test_dci_is_that_of_the_published_implementation() -> None:
    """google-research/disentanglement_lib, metrics/dci.py: its two scores by SciPy's entropy."""
    from scipy.stats import entropy

    for seed in range(5):
        matrix = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed)).double() ** 3
        importance = matrix.numpy()
        per_code = 1 - entropy(importance.T + 1e-11, base=importance.shape[1])
        per_factor = 1 - entropy(importance + 1e-11, base=importance.shape[0])
        shares = importance / importance.sum()
        found = factors.dci_from_importance(matrix)
        expected = float((per_code * shares.sum(axis=1)).sum())
        assert found.disentanglement == pytest.approx(expected, abs=1e-8)
        expected = float((per_factor * shares.sum(axis=0)).sum())
        assert found.completeness == pytest.approx(expected, abs=1e-8)


def test_mig_is_that_of_the_published_implementation() -> None:
    """google-research/disentanglement_lib, metrics/mig.py and its histogram discretizer."""
    import numpy as np
    from sklearn.metrics import mutual_info_score

    draw = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 5, (400, 2), generator=draw)
    noise = torch.randn(400, 4, generator=draw).double()
    codes = torch.cat([truth.double(), truth.double() * 2], dim=1) + noise
    mus, ys = codes.numpy().T, truth.numpy().T
    binned = [np.digitize(row, np.histogram(row, 20)[1][:-1]) for row in mus]
    told = np.array([[mutual_info_score(y, row) for y in ys] for row in binned])
    entropy = np.array([mutual_info_score(y, y) for y in ys])
    ordered = np.sort(told, axis=0)[::-1]
    expected = float(np.mean((ordered[0] - ordered[1]) / entropy))
    assert 0.01 < expected < 0.9
    assert factors.mig_score(codes, truth) == pytest.approx(expected, abs=1e-9)


def test_codes_of_a_reading_that_never_varies_are_left_out_by_name() -> None:
    bench = Bench.of(open_models(), PROTOCOL)
    bench.before["judge"][:, DEFAULT_TABLE.index("beard")] = 0.5
    found = measure_codes(Moves(), bench, PROTOCOL)
    assert found["attributes"] == 2
    assert found["mig"] > 0.5
    bench.before["judge"][:, DEFAULT_TABLE.index("age")] = 0.5
    line = r"1 of the attributes can be changed and vary \(constant: age, beard\); allowed: at"
    with pytest.raises(ValueError, match=line):
        measure_codes(Moves(), bench, PROTOCOL)


def test_sap_is_that_of_the_published_implementation() -> None:
    """google-research/disentanglement_lib, metrics/sap_score.py, for continuous factors."""
    import numpy as np

    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(300, 4, generator=draw).double()
    truth = torch.stack([2 * codes[:, 0] + codes[:, 1], codes[:, 2] - codes[:, 3] / 3], dim=1)
    x, y = codes.numpy().T, truth.numpy().T
    scores = np.zeros((4, 2))
    for i in range(4):
        for j in range(2):
            cov = np.cov(x[i], y[j], ddof=1)
            scores[i, j] = cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1])
    ordered = np.sort(scores, axis=0)
    expected = float(np.mean(ordered[-1] - ordered[-2]))
    assert factors.sap_score(codes, truth) == pytest.approx(expected, abs=1e-9)
