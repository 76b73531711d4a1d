"""Neighbours, how far a layout can be believed, and where a new point belongs."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.maps import layout as layout2d
from l2l_widgets.maps.layout import (
    Neighbours,
    align,
    cloud_distance,
    exact_neighbours,
    fit_layout,
    map_neighbours,
    place,
    quality,
)


def cloud(count=300, dim=6, groups=3, seed=0):
    """Points in separate groups, and which group each is in."""
    source = torch.Generator().manual_seed(seed)
    middles = 8 * torch.randn(groups, dim, generator=source)
    group = torch.arange(count) % groups
    return middles[group] + torch.randn(count, dim, generator=source), group


def test_neighbours_are_those_of_a_plain_comparison_of_all_pairs():
    x, _ = cloud(700)  # more than one chunk
    found = exact_neighbours(x, 5)
    d = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    d.fill_diagonal_(torch.inf)
    expected = d.topk(5, largest=False)
    assert torch.equal(found.rows, expected.indices)
    assert torch.allclose(found.distances.double(), expected.values, atol=1e-5)


def test_neighbours_on_the_map_leave_the_point_itself_out_even_under_others():
    points = torch.cat([torch.zeros(6, 2), torch.arange(1.0, 5.0)[:, None].expand(-1, 2)])
    near = map_neighbours(points, 3)
    assert near.shape == (10, 3)
    assert not (near == torch.arange(10)[:, None]).any()
    assert set(near[9].tolist()) <= {6, 7, 8, *range(6)}
    assert near[9, 0] == 8


def test_quality_is_that_of_the_literature_point_by_point():
    from sklearn.manifold import trustworthiness

    x, _ = cloud()
    coordinates = x[:, :2] + 0.5 * torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    near = exact_neighbours(x, 7)
    believed = quality(x, near, coordinates)
    expected = trustworthiness(x.numpy(), coordinates.numpy(), n_neighbors=7)
    assert float(believed.trustworthiness.mean()) == pytest.approx(expected, abs=1e-5)
    # continuity is trustworthiness with the two spaces exchanged
    expected = trustworthiness(coordinates.numpy(), x.numpy(), n_neighbors=7)
    assert float(believed.continuity.mean()) == pytest.approx(expected, abs=1e-5)
    own = map_neighbours(coordinates, 7)
    shares = [
        len(set(a) & set(b)) / 7 for a, b in zip(own.tolist(), near.rows.tolist(), strict=True)
    ]
    assert believed.kept.tolist() == pytest.approx(shares)


def test_a_map_that_is_the_cloud_is_believed_and_a_shuffled_one_is_not():
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    near = exact_neighbours(x, 6)
    for values in quality(x, near, 3 * x):
        assert float(values.min()) == 1
    shuffled = quality(x, near, x[torch.randperm(200, generator=torch.Generator().manual_seed(3))])
    assert float(shuffled.kept.mean()) < 0.2
    assert float(shuffled.trustworthiness.mean()) < 0.8


def test_a_known_point_lies_where_it_is_and_a_new_one_in_its_group():
    x, group = cloud()
    coordinates = torch.stack([group.float() * 10, torch.zeros(300)], dim=1)
    coordinates += 0.1 * torch.randn(300, 2, generator=torch.Generator().manual_seed(4))
    placed = place(x[:4], x, coordinates, 5)
    assert torch.allclose(placed.position, coordinates[:4])
    assert placed.rows[:, 0].tolist() == [0, 1, 2, 3]
    new, groups = x[:30] + 0.3, group[:30]
    placed = place(new, x, coordinates, 5)
    assert torch.equal((placed.position[:, 0] / 10).round().long(), groups)
    assert float(placed.spread.max()) < 1


def test_a_torn_neighbourhood_puts_a_point_on_its_larger_side_and_says_so():
    around = torch.randn(18, 3, generator=torch.Generator().manual_seed(5))
    x = torch.nn.functional.normalize(around, dim=1)
    x[9:] += 20
    # the map tears the first group: six of it here, three far away
    left = torch.tensor([[0.0, 0.0]]).repeat(18, 1)
    left[6:9] = 100
    left[9:] = 50
    placed = place(torch.zeros(1, 3), x, left, 9)
    assert float(placed.position.norm()) < 10, "not in the empty middle"
    together = place(20 + torch.zeros(1, 3), x, left, 9)
    assert float(together.spread) < 1e-3


def test_distance_to_the_cloud_sees_rows_that_drift_apart():
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(6))
    flat = x[:1, None].expand(-1, 3, -1)
    plain = cloud_distance(flat, x, 5)
    assert torch.allclose(plain, cloud_distance(x[:1], x, 5), atol=1e-3)
    apart = flat + torch.tensor([-2.0, 0.0, 2.0])[None, :, None]
    assert float(cloud_distance(apart, x, 5)) > 2 + float(plain) / 2


def test_a_point_of_the_cloud_is_not_its_own_neighbour():
    x, _ = cloud()
    usual = exact_neighbours(x, 5).distances.mean(dim=1)
    assert torch.allclose(cloud_distance(x, x, 5), usual, atol=1e-5)
    assert torch.allclose(place(x, x, x[:, :2], 5).distance, usual, atol=1e-5)
    other = x[:3] + 0.05
    plain = (other[:, None] - x).norm(dim=2).sort(dim=1).values[:, :5].mean(dim=1)
    assert torch.allclose(cloud_distance(other, x, 5), plain, atol=1e-5)
    assert torch.allclose(place(other, x, x[:, :2], 5).distance, plain, atol=1e-5)
    everywhere = cloud_distance(x[:1], x, len(x))
    assert torch.allclose(everywhere, (x[1:] - x[0]).norm(dim=1).mean(), atol=1e-4)


def test_turning_a_map_onto_another_changes_no_distance():
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(7))
    turn = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # mirrored
    assert torch.allclose(align(x @ turn, x), x, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, n: exact_neighbours(x, 300), ("neighbours", "300", "299")),
        (lambda x, n: exact_neighbours(x[:, 0], 3), ("x", "(300,)")),
        (lambda x, n: exact_neighbours(x * torch.nan, 3), ("x", "NaN")),
        (lambda x, n: fit_layout(x, n, init="pcs"), ("init", "'pcs'", "pca")),
        (lambda x, n: fit_layout(x, n, epochs=0), ("epochs", "0", "1 to 5000")),
        (lambda x, n: fit_layout(x, n, min_dist=1), ("min_dist", "1")),
        (lambda x, n: fit_layout(x[:99], n), ("neighbours", "300", "99")),
        (lambda x, n: fit_layout(x[:9], n), ("x", "9 points", "32")),
        (lambda x, n: quality(x, n, x[:9, :2]), ("300", "9")),
        (lambda x, n: quality(x[:6], Neighbours(n.rows[:6], n.distances[:6]), x[:6, :2]), ("k",)),
        (lambda x, n: place(x[:1, :2], x, x[:, :2]), ("points", "2", "6")),
        (lambda x, n: place(x[:1], x, x[:, :2], 301), ("k", "301")),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(call, words):
    x, _ = cloud()
    with pytest.raises(ValueError, match=r"\w") as refused:
        call(x, exact_neighbours(x, 4))
    text = str(refused.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.slow
def test_groups_are_found_again_on_the_map_and_the_same_seed_gives_the_same_map():
    x, group = cloud()
    layout2d.warm_up()
    near = exact_neighbours(x, 10)
    first = fit_layout(x, near, 0)
    assert torch.equal(first, fit_layout(x, near, 0))
    other = fit_layout(x, near, 1)
    assert not torch.allclose(align(other, first), first, atol=1e-2)
    for coordinates in (first, other, fit_layout(x, near, 0, init="random", epochs=50)):
        own = group[map_neighbours(coordinates, 10)] == group[:, None]
        assert float(own.float().mean()) > 0.95
        assert float(coordinates.mean(dim=0).abs().max()) < 1e-4
        assert float(coordinates.square().sum(1).mean()) == pytest.approx(1, abs=1e-3)
    assert float(quality(x, near, first).trustworthiness.mean()) > 0.9
