"""Training the mixer and its landmark network, and measuring a mixer, on a tiny world."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mixing_world import CONFIG, write_mixing_world
from trained_world import write_open_world

from l2l_widgets.disentangle import MIXER_FILE, FaceMixer, load_mixer
from l2l_widgets.evaluation.mixing import (
    MixProtocol,
    cloud_scores,
    correlation,
    same_person_similarity,
    score_mixes,
)
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.factors import FACTORS, Factors
from l2l_widgets.models.zoo import load
from l2l_widgets.perception import LandmarkNet, load_network, save_network
from l2l_widgets.recipes import (
    RecipeError,
    build_task,
    face_readers,
    get_recipe,
    input_hashes,
    list_recipes,
    mixing_report,
    mixing_truth,
    publish,
    run,
)
from l2l_widgets.training import RunDirectory, TrainingError, train

SMALL = {
    "faces": 96, "ensemble": 1, "batch_size": 8, "width": 4, "features": 16, "hidden": (24, 16, 16),
    "start_from": "", "device": "cpu", "precision": "no", "evaluate_every": 0,
    "checkpoint_every": 2, "log_every": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An untrained world that tells faces apart, with a landmark network."""
    folder = write_open_world(tmp_path_factory.mktemp("mixing") / "world")
    with torch.random.fork_rng():
        torch.manual_seed(31)
        save_network(folder / "landmarks.safetensors", LandmarkNet(51, width=4, features=16))
    return folder


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return tmp_path_factory.mktemp("triplets") / "set"


def small(triplets, **changes):
    recipe = get_recipe("identity-disentangle")
    return recipe.replace(**{**SMALL, "triplets": str(triplets), "steps": 4, **changes})


class _Set(SimpleNamespace):
    def __len__(self):
        return len(self.images)


def rendered(count, seed, correlated=False):
    factors = sample_factors(count, seed=seed, correlated=correlated)
    drawn = render(factors, 64)
    return _Set(
        images=((drawn.image + 1) * 127.5).round().byte(),
        landmarks=drawn.landmarks,
        factors=factors,
        identity=torch.arange(count) // 2,
    )


# -- the recipes ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_kind_of_step_trains_and_the_file_mixes(world, triplets, tmp_path):
    recipe = small(triplets, steps=8, warm_steps=2)
    task = build_task(recipe, world)
    outcome = train(task, recipe.settings, tmp_path / "run", progress=False)
    assert outcome.finished
    assert {"identity_similarity", "closer_score", "landmark_error"} <= set(outcome.scores)
    records = RunDirectory(tmp_path / "run").history()
    assert "teacher" in records[0]
    assert "adversarial" not in records[0], "D_W is asked only once pictures are drawn"
    assert {"identity_cross", "landmark_cross", "reading_cross", "adversarial"} <= set(records[4])
    assert "background_cross" in records[4]
    assert "reconstruction_cross" not in records[2]
    assert {"reconstruction_same", "identity_same"} <= set(records[3])
    assert "judge" not in records[3]
    asked = [r for r in records if "adversarial" in r]
    assert any("identity_cross" in r for r in asked)
    assert any("identity_same" in r for r in asked), "D_W judges faces that must come back as well"
    network, origin = load_mixer(tmp_path / "run" / "final" / MIXER_FILE)
    assert set(origin) == {"generator", "embedder"}
    assert FaceMixer(task.generator, task.embedder, network).mix(
        torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    ).shape == (2, 16)


def test_the_judge_and_the_readers_take_turns_that_do_not_meet(world, tmp_path):
    task = build_task(small(tmp_path / "set", ensemble=2), world)
    task.regressors = (*task.regressors, *task.regressors)[:2]
    for cross, every in ((2, 2), (3, 2), (2, 1), (2, 3)):
        task.config = replace(task.config, cross_every=cross, adversarial_every=every)
        whole = cross * every * len(task.regressors)
        met = [(task.is_cross(s), task.asks_judge(s), task.turn(s)) for s in range(whole)]
        asked = [m for m in met if m[1]]
        assert len(asked) == whole // every
        assert sum(m[0] for m in asked) == len(asked) // cross, "cross pairs as often as they come"
        assert {m[2] for m in asked} == {0, 1}, "neither reader only with D_W"


@pytest.mark.slow
def test_a_short_training_lowers_the_teachers_loss(world, tmp_path):
    recipe = small(
        tmp_path / "few", faces=24, batch_size=24, steps=80, warm_steps=80, learning_rate=1e-2,
        checkpoint_every=80, log_every=8, adversarial_weight=0.0,
    )  # fmt: skip
    train(build_task(recipe, world), recipe.settings, tmp_path / "run", progress=False)
    losses = [r["teacher"] for r in RunDirectory(tmp_path / "run").history()]
    assert losses[-1] < 0.85 * losses[0], losses


def test_the_identity_weighs_more_towards_the_end_and_readings_in_their_spread(world, triplets):
    recipe = small(
        triplets, warm_steps=0, schedule_steps=6, landmark_weight=0.0, reading_weight=0.0,
        background_weight=0.0, adversarial_weight=0.0, identity_weight=1.0, identity_rise=3.0,
    )  # fmt: skip
    task = build_task(recipe, world)
    assert torch.allclose(task.spread, task.readings[:, task.columns].std(dim=0).clamp_min(0.03))
    batch = task.batch(0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        early, late = (task._picture_step(dict(batch), step) for step in (2, 4))
    assert float(late["identity_cross"]) == pytest.approx(float(early["identity_cross"]))
    assert float(late["loss"]) == pytest.approx(3 * float(early["loss"]), rel=1e-4)


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(world, triplets, tmp_path):
    def train_to(steps, folder, resume=False):
        recipe = small(triplets, steps=steps, warm_steps=1, reconstruction_weight=0.0)
        train(build_task(recipe, world), recipe.settings, folder, resume=resume, progress=False)
        return load_mixer(folder / "final" / MIXER_FILE)[0].state_dict()

    whole = train_to(4, tmp_path / "a")
    train_to(2, tmp_path / "b")
    again = train_to(4, tmp_path / "b", resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_signatures_are_written_once_and_a_damaged_shard_again(world, triplets, tmp_path):
    # a copy of its own: another test may have left signatures by other networks in the set
    build_task(small(triplets), world)
    kept = shutil.ignore_patterns("signatures-*")
    triplets = shutil.copytree(triplets, tmp_path / "set", ignore=kept)
    first = build_task(small(triplets), world)
    (folder,) = triplets.glob("signatures-*")
    (shard,) = folder.iterdir()
    written = shard.stat().st_mtime_ns
    build_task(small(triplets), world)
    assert shard.stat().st_mtime_ns == written
    shard.write_bytes(shard.read_bytes()[:100])
    again = build_task(small(triplets), world)
    assert torch.equal(first.person, again.person)
    assert torch.equal(first.points, again.points)


def test_the_papers_schedule_and_every_ablation_resolve():
    paper = list_recipes()["identity-disentangle-paper"].config
    assert (paper.warm_steps, paper.reading_weight, paper.cross_every) == (0, 0.0, 3)
    for changes in mixing_report.ABLATIONS.values():
        assert get_recipe("identity-disentangle").replace(**changes)
    assert (paper.background_weight, paper.identity_rise) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"landmark_weight is -1\.0; allowed: 0 or more"):
        get_recipe("identity-disentangle").replace(landmark_weight=-1.0)
    with pytest.raises(ValueError, match="cross_every is 0; allowed: 1 or more"):
        get_recipe("identity-disentangle").replace(cross_every=0)


def test_a_missing_landmark_network_is_named(world, triplets, tmp_path):
    recipes = list_recipes()
    bare = write_open_world(tmp_path / "bare")
    with pytest.raises(
        RecipeError, match=r"needs .*landmarks\.safetensors, which recipe 'landmarks'"
    ):
        input_hashes(recipes["identity-disentangle"], recipes, bare)
    with pytest.raises(
        TrainingError, match=r"landmarks\.safetensors is missing: run `l2l train land"
    ):
        build_task(small(triplets), bare)


@pytest.mark.slow
def test_landmarks_start_near_and_are_stored(tmp_path, world, monkeypatch):
    faces = rendered(28, 3)
    monkeypatch.setattr(face_readers, "rendered_set", lambda name: faces)
    monkeypatch.setattr(face_readers, "HELD_OUT", 8)
    recipe = get_recipe("landmarks").replace(
        steps=2, width=4, features=16, batch_size=4, device="cpu", precision="no", log_every=1
    )
    task = build_task(recipe, world)
    # linear algebra alone puts the points on the face
    assert task.scores()["landmark_error"] < 0.5
    assert train(task, recipe.settings, tmp_path / "run", progress=False).finished
    network = load_network(tmp_path / "run" / "final" / "landmarks.safetensors")
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 51, 2)
    with pytest.raises(TrainingError, match=r"start_from is 'regressor\.safetensors': its"):
        build_task(recipe.replace(features=24), world)


# -- measuring -----------------------------------------------------------------------------------


def test_scores_have_known_answers():
    a = torch.tensor([0.0, 1.0, 2.0])
    assert correlation(a, 5 - 2 * a) == pytest.approx(-1)
    assert correlation(a, torch.ones(3)) == 0
    real = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    near = cloud_scores(real, real[:500])
    far = cloud_scores(real, 3 * real[:500])
    assert near["cloud_distance"] == pytest.approx(1, abs=0.1)
    assert far["cloud_distance"] == pytest.approx(9, rel=0.1)
    assert far["outside_share"] > 0.5 > 0.1 > near["outside_share"]
    vectors = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1]), 2).float()
    people = torch.tensor([0, 0, 1, 1])
    assert same_person_similarity(lambda x: x, vectors, people) == pytest.approx(1)
    with pytest.raises(ValueError, match="nobody is on two pictures"):
        same_person_similarity(lambda x: x, vectors, torch.arange(4))
    with pytest.raises(ValueError, match="pairs is 3; allowed: an integer from 8"):
        MixProtocol(pairs=3)


class _Copies:
    """A mixer that redraws one of its inputs: what the scores must then say is known."""

    def __init__(self, generator, person):
        self.generator, self.person, self.device = generator, person, torch.device("cpu")

    def signature(self, images):
        from l2l_widgets.disentangle import Signature

        flat = images.flatten(1)
        return Signature(flat, flat)

    def latent(self, identity, attributes):
        return identity.person if self.person else attributes.attributes

    def mix(self, identity, attributes):
        return self.latent(self.signature(identity), self.signature(attributes))

    def draw(self, w):
        return w.view(-1, 3, 32, 32)


@pytest.mark.parametrize("person", [True, False])
def test_a_mixer_that_copies_one_input_is_seen_through(person, tmp_path, monkeypatch):
    models = load(write_mixing_world(tmp_path / "world"))
    from l2l_widgets.evaluation import mixing

    monkeypatch.setattr(mixing, "cloud_scores", lambda real, fake: {"cloud_distance": 0.0})
    scores = score_mixes(models, _Copies(models.generator, person), MixProtocol(pairs=12, batch=8))
    assert scores["closer_share"] == (1.0 if person else 0.0)
    assert scores["rebuilt_ms_ssim"] == pytest.approx(1, abs=1e-3)
    assert scores["identity_similarity" if person else "attribute_similarity"] == pytest.approx(1)
    if person:
        assert scores["identity_share_of_rebuilt"] == pytest.approx(1, abs=0.02)
        assert "identity_scale" not in scores, "no scale for people where no truth is known"
    else:
        assert scores["yaw_error"] == pytest.approx(0, abs=1e-3)
        assert scores["mouth_open_correlation"] == pytest.approx(1, abs=1e-3)


def test_a_factor_is_said_to_follow_what_explains_it():
    assert mixing_truth.verdict(0.6, 0.05) == "identity"
    assert mixing_truth.verdict(0.01, 0.3) == "attributes"
    assert mixing_truth.verdict(0.3, 0.2) == "both"
    assert mixing_truth.verdict(0.01, 0.02) == "neither"


def test_a_factor_that_moves_the_wrong_way_follows_nothing():
    truth = torch.randn(200, generator=torch.Generator().manual_seed(3))
    noisy = truth + torch.randn(200, generator=torch.Generator().manual_seed(4))
    right = mixing_truth.explained(noisy, truth)
    assert right == pytest.approx(float(torch.corrcoef(torch.stack([noisy, truth]))[0, 1]) ** 2)
    wrong = mixing_truth.explained(-noisy, truth)
    assert wrong == pytest.approx(-right)
    assert mixing_truth.verdict(wrong, 0.01) == "neither"
    assert mixing_truth.verdict(wrong, 0.3) == "attributes"


@pytest.mark.slow
def test_the_report_of_a_tiny_world_is_whole(world, triplets, tmp_path, monkeypatch):
    recipe = small(triplets, steps=4, warm_steps=2)
    outcome = run(recipe, tmp_path / "run", weights=world, progress=False)
    publish(recipe, tmp_path / "run", world, {}, outcome.scores)
    faces = rendered(72, 5)
    monkeypatch.setattr(mixing_truth, "rendered_set", lambda name: faces)
    ends = []

    def end_of_set(name, count):
        ends.append((name, count))
        return faces.images, faces.identity

    monkeypatch.setattr(mixing_truth, "end_of_set", end_of_set)
    monkeypatch.setattr(
        mixing_report, "follow_table",
        lambda models, mixer, pairs, say: mixing_truth.follow_table(
            models, mixer, pairs, readers=48, say=say
        ),
    )  # fmt: skip
    out, said = tmp_path / "report", []
    options = {name: value for name, value in SMALL.items() if name != "evaluate_every"}
    report = mixing_report.mix_report(
        load(world), out, MixProtocol(pairs=8, batch=8), truth_pairs=8, ablation_steps=3,
        say=said.append, **{**options, "triplets": str(triplets), "warm_steps": 1},
    )  # fmt: skip
    assert set(report["scores"]) == {"shipped", "whole", *mixing_report.ABLATIONS}
    assert json.loads((out / "report.json").read_text())["truth"]["render_pairs"] == 8
    assert ends == [("identities", mixing_truth.HELD_OUT)], "people whom no judge has learned from"
    rows = (out / "factors.csv").read_text().splitlines()
    assert len(rows) == 1 + len(FACTORS)
    assert (out / "grid.png").stat().st_size > 1000
    assert (out / "ablations.png").stat().st_size > 1000
    assert "training: without D_W" in said
    text = (out / "REPORT.md").read_text(encoding="utf-8")
    assert "| measure | whole | without D_W | without landmarks |" in text
    assert "## Which factor followed which input" in text
    with pytest.raises(ValueError, match="holds a report already; allowed: another folder"):
        mixing_report.mix_report(load(world), out, MixProtocol(pairs=8))
    assert CONFIG.w_dim == 16
    assert isinstance(faces.factors, Factors)
