"""Telling one person from two: the rate, and its interval over people."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from l2l_widgets.evaluation.readers import score_embedder
from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset
from l2l_widgets.metrics.same_person import true_accept_interval, true_accept_rate
from l2l_widgets.recipes import rendered
from l2l_widgets.recipes.perception import verification_scores


def crowd(people, pictures=4, noise=0.9, seed=0):
    """Unit vectors of people's pictures: a place for each person, and something of each picture."""
    source = torch.Generator().manual_seed(seed)
    middle = torch.randn(people, 1, 16, generator=source)
    vectors = middle + noise * torch.randn(people, pictures, 16, generator=source)
    who = torch.arange(people).repeat_interleave(pictures)
    return F.normalize(vectors.flatten(0, 1), dim=1), who


def test_the_rate_is_the_one_that_the_recipe_reports():
    vectors, who = crowd(40)
    found = true_accept_rate(vectors, who)
    assert found == pytest.approx(verification_scores(vectors, who)["tar_at_far_1pct"], abs=1e-4)
    assert 0.3 < found < 0.95, "neither trivial nor hopeless"


def test_the_rate_perfect_constant_adversarial():
    who = torch.arange(40).repeat_interleave(2)
    apart = torch.eye(40).repeat_interleave(2, dim=0)
    assert true_accept_rate(apart, who) == 1, "every person has a direction of one's own"
    assert true_accept_rate(torch.ones(80, 4) / 2, who) == 0, "who looks like all is told by none"
    # two pictures of a person look opposite ways, so any stranger is more alike
    middle = F.normalize(torch.randn(40, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    opposite = torch.stack([middle, -middle], dim=1).flatten(0, 1)
    assert true_accept_rate(opposite, who) == 0


def test_the_interval_is_that_of_drawing_people_again():
    """Against the plain way: write down the drawn people's pairs, one resample after another."""
    vectors, who = crowd(25)
    low, high = true_accept_interval(vectors, who, seed=3, draws=200)
    draw = torch.Generator().manual_seed(3)
    similarity = vectors @ vectors.T
    found = []
    for people in torch.randint(25, (200, 25), generator=draw):
        rows = torch.cat([torch.arange(4) + 4 * person for person in people.tolist()])
        whose = who[rows]
        later = torch.arange(100)[:, None] < torch.arange(100)[None]
        copy = torch.arange(100) // 4
        same = later & (copy[:, None] == copy[None])
        different = later & (whose[:, None] != whose[None])
        between = similarity[rows][:, rows]
        ranked = between[different].sort(descending=True).values
        threshold = ranked[int(-(-len(ranked) // 100)) - 1]
        found.append(float((between[same] > threshold).double().mean()))
    ends = torch.tensor(found).quantile(torch.tensor([0.025, 0.975]))
    assert (low, high) == pytest.approx(tuple(ends.tolist()), abs=0.01)
    assert low < true_accept_rate(vectors, who) < high


def test_more_people_make_the_interval_narrower():
    widths = []
    for people in (12, 120):
        low, high = true_accept_interval(*crowd(people), seed=0, draws=200)
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]
    vectors, who = crowd(30, noise=0.01)
    assert true_accept_interval(vectors, who, seed=0, draws=50) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("people", "options", "named"),
    [
        (torch.zeros(8), {}, "people hold no pair of one person and one of two"),
        (torch.arange(8), {}, "people hold no pair of one person and one of two"),
        (torch.zeros(7), {}, r"people \(7,\); allowed: \(N, D\) and \(N,\)"),
        (torch.arange(8) // 4, {"false_accept_rate": 0.0}, "false_accept_rate is 0.0; allowed"),
        (torch.arange(8) // 4, {"level": 1.0}, "level is 1.0; allowed: between 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_named(people, options, named):
    vectors = crowd(2)[0]
    with pytest.raises(ValueError, match=named):
        true_accept_interval(vectors, people, **{"seed": 0, "draws": 5, **options})


def test_an_embedder_is_scored_with_its_count_seed_and_interval(tiny_parts):
    images = torch.randint(256, (24, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    who = torch.arange(24) // 4
    found = score_embedder(tiny_parts["embedder"], images.byte(), who, seed=5, draws=40)
    assert (found["people"], found["pictures"], found["seed"], found["draws"]) == (6, 24, 5, 40)
    assert 0 <= found["low"] <= found["true_accept_rate"] <= found["high"] <= 1
    vectors = tiny_parts["embedder"](images.float() / 127.5 - 1)
    plain = verification_scores(vectors, who)
    for name in ("same_similarity", "different_similarity"):
        assert found[name] == pytest.approx(plain[name], abs=2e-4)


def test_the_end_of_a_set_is_the_same_read_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("L2L_DATA", str(tmp_path))
    config = DatasetConfig(count=8, seed=3, population="identities", resolution=16)
    monkeypatch.setattr(rendered, "SETS", {"identities": config})
    monkeypatch.setattr("l2l_widgets.faceworld.dataset.SHARD", 4)
    monkeypatch.setattr(rendered, "SHARD", 4)
    drawn = rendered.end_of_set("identities", 6)
    assert not list(tmp_path.iterdir()), "what is drawn for this alone is not kept"
    folder = render_dataset(tmp_path / f"identities-{rendered.WORLD}", config)
    read = rendered.end_of_set("identities", 6)
    whole = rendered.FaceDataset(folder)
    for found in (drawn, read):
        assert torch.equal(found[0], whole.images[2:])
        assert found[1].tolist() == [0, 0, 1, 1, 1, 1]


def test_some_rows_of_a_set_are_the_same_read_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("L2L_DATA", str(tmp_path))
    config = DatasetConfig(count=16, seed=3, resolution=16)
    monkeypatch.setattr(rendered, "SETS", {"unseen": config})
    monkeypatch.setattr("l2l_widgets.faceworld.dataset.SHARD", 4)
    monkeypatch.setattr(rendered, "SHARD", 4)
    rows = torch.tensor([9, 2, 14])
    drawn = rendered.rows_of_set("unseen", rows)
    assert not list(tmp_path.iterdir()), "what is drawn for this alone is not kept"
    folder = render_dataset(tmp_path / f"unseen-{rendered.WORLD}", config)
    whole = rendered.FaceDataset(folder)
    (folder / "shard-00000.safetensors").unlink()
    mixed = rendered.rows_of_set("unseen", rows)
    for images, masks in (drawn, mixed):
        assert torch.equal(images, whole.images[rows])
        assert torch.equal(masks, whole.masks[rows])
    (folder / "shard-00001.safetensors").unlink()
    monkeypatch.setattr(rendered.os, "cpu_count", lambda: 1)  # no processes for a few faces
    many = torch.arange(8)
    assert torch.equal(rendered.rows_of_set("unseen", many)[0], whole.images[many])
    assert (folder / "shard-00001.safetensors").is_file(), "so many are rendered with the rest"
