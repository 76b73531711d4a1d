"""The rendered world: factors, labels that fit the picture, and sets on disk."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld import (
    FACTORS,
    IDENTITY_FACTORS,
    MASK_CLASSES,
    Factors,
    batches,
    correlation_matrix,
    render,
    sample_factors,
)
from l2l_widgets.faceworld.batches import batch_size, render_batches
from l2l_widgets.faceworld.correlations import ASKED, ASKED_OF_FACTORS, attribute_correlations
from l2l_widgets.faceworld.dataset import SHARD, DatasetConfig, FaceDataset, shard_factors
from l2l_widgets.faceworld.factors import LEVELS, normals
from l2l_widgets.faceworld.planting import complete, nearest_correlation, prevalence
from l2l_widgets.faceworld.render import draw, landmarks, march_rays, shade_rays


def test_a_seed_gives_the_same_portrait_again():
    a, b = sample_factors(3, seed=5), sample_factors(3, seed=5)
    assert torch.equal(a.latents, b.latents)
    assert torch.equal(render(a, 32).image, render(b, 32).image)
    assert not torch.equal(a.latents, sample_factors(3, seed=6).latents)


def test_a_portrait_does_not_depend_on_its_batch():
    factors = sample_factors(3, seed=5)
    alone, together = render(factors[1:2], 32).image, render(factors, 32).image[1:2]
    assert torch.allclose(alone, together, atol=2e-3)


def test_pictures_masks_and_landmarks_have_the_documented_form():
    drawn = render(sample_factors(2, seed=1), 64)
    assert drawn.image.shape == (2, 3, 64, 64)
    assert drawn.image.min() >= -1
    assert drawn.image.max() <= 1
    assert drawn.mask.dtype == torch.uint8
    assert drawn.mask.max() < len(MASK_CLASSES) == 19
    assert drawn.landmarks.shape == (2, 68, 2)
    assert drawn.landmarks.isfinite().all()
    assert drawn.image.std() > 0.2


def test_attributes_are_in_their_units_and_vary():
    values = sample_factors(4000, seed=2).attributes()
    assert values.shape == (4000, len(DEFAULT_TABLE))
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std(0).min() > 0.05, DEFAULT_TABLE.names[int(values.std(0).argmin())]


def test_exclusive_groups_share_one_whole():
    values = sample_factors(500, seed=2).attributes()
    for members in DEFAULT_TABLE.groups().values():
        total = values[:, [DEFAULT_TABLE.index(m) for m in members]].sum(1)
        assert torch.allclose(total, torch.ones(500), atol=1e-4)


def test_dark_lenses_are_worn_in_glasses():
    values = sample_factors(2000, seed=3).attributes()
    glasses, dark = (values[:, DEFAULT_TABLE.index(n)] for n in ("glasses", "sunglasses"))
    assert (dark <= glasses + 1e-6).all()
    assert dark.max() > 0.9


@pytest.mark.parametrize("seed", [4, 2025])
def test_the_documented_correlations_come_back_from_20000_portraits(seed):
    factors = sample_factors(20000, seed)
    found = torch.corrcoef(factors.attributes().double().T)
    assert found.shape == (35, 35)
    gap = (found - attribute_correlations()).abs()
    worst = divmod(int(gap.argmax()), 35)
    assert gap.max() < 0.02, [DEFAULT_TABLE.names[k] for k in worst]
    latents = torch.corrcoef(factors.latents.double().T)
    assert (latents - correlation_matrix()).abs().max() < 0.02


def test_what_was_asked_for_is_planted():
    table = attribute_correlations()
    for a, b, r, _ in ASKED:
        assert abs(float(table[DEFAULT_TABLE.index(a), DEFAULT_TABLE.index(b)]) - r) < 0.01, (a, b)
    matrix = correlation_matrix()
    for a, b, r in ASKED_OF_FACTORS:
        assert float(matrix[FACTORS.index(a), FACTORS.index(b)]) == pytest.approx(r, abs=0.01)
    assert torch.linalg.eigvalsh(matrix)[0] > 0.02


def test_the_pose_goes_with_nothing():
    pose = [DEFAULT_TABLE.index(n) for n in ("yaw", "pitch", "roll")]
    others = [i for i in range(len(DEFAULT_TABLE)) if i not in pose]
    assert attribute_correlations()[pose][:, others].abs().max() < 0.005


def test_the_nearest_correlation_matrix_is_one():
    asked = torch.tensor([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]).double()
    near = nearest_correlation(asked)
    assert torch.linalg.eigvalsh(near)[0] > 0.02
    torch.testing.assert_close(near.diagonal(), torch.ones(3).double())
    assert ((near * asked) > 0).all()  # no sign is turned
    possible = torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double()
    torch.testing.assert_close(nearest_correlation(possible), possible)


def test_what_nobody_asked_for_follows_from_what_was():
    # b and c go with a only, so with one another by the product of the two
    asked = torch.tensor([[1.0, 0.8, 0.5], [0.8, 1.0, 0.0], [0.5, 0.0, 1.0]]).double()
    edges = asked != 0
    assert float(complete(asked, edges)[1, 2]) == pytest.approx(0.4)


def test_a_portrait_is_the_same_however_many_are_asked_for():
    many = sample_factors(300, seed=11).latents
    assert torch.equal(sample_factors(7, seed=11).latents, many[:7])
    assert torch.equal(sample_factors(20, seed=11, start=200).latents, many[200:220])
    edge = sample_factors(20, seed=11, start=LEVELS**2 - 10).latents  # over a block's end
    assert torch.equal(edge[10:], sample_factors(10, seed=11, start=LEVELS**2).latents)
    assert not torch.equal(edge[10:], many[:10])


def test_every_two_latents_are_balanced():
    shares = 0.5 * (1 + torch.erf(normals(LEVELS**2, 6).double() / 2**0.5)) * LEVELS
    cells = shares.floor().long()
    for i, j in ((0, 1), (3, len(FACTORS) - 1), (17, 40)):
        assert len((cells[:, i] * LEVELS + cells[:, j]).unique()) > 0.999 * LEVELS**2


def test_rare_things_are_frequent_enough_to_be_learned():
    shares = prevalence()
    assert shares["glasses above one half"] == pytest.approx(0.30, abs=0.01)
    assert shares["sunglasses above one half"] == pytest.approx(0.08, abs=0.01)
    assert shares["hat above one half"] == pytest.approx(0.12, abs=0.01)
    assert shares["baldness above one half, of men"] == pytest.approx(0.21, abs=0.02)
    assert shares["beard above one quarter, of men"] == pytest.approx(0.50, abs=0.02)


def test_the_independent_population_has_none():
    factors = sample_factors(20000, seed=4, correlated=False)
    assert (torch.corrcoef(factors.latents.T) - torch.eye(len(FACTORS))).abs().max() < 0.04
    beard, gender = (factors.attributes()[:, DEFAULT_TABLE.index(n)] for n in ("beard", "gender"))
    assert abs(float(torch.corrcoef(torch.stack([beard, gender]))[0, 1])) < 0.03


def test_gates_keep_beards_from_children():
    values = sample_factors(5000, seed=4).attributes()
    child = values[:, DEFAULT_TABLE.index("age")] < 0.05
    assert child.any()
    assert values[child, DEFAULT_TABLE.index("beard")].max() < 0.2


def test_a_mirrored_portrait_is_the_mirrored_picture():
    factors = sample_factors(2, seed=8).replace(lip_corner=0.5, emotion_contempt=-4.0)
    straight, mirrored = render(factors, 64).image, render(factors.mirrored(), 64).image
    # hair texture and the frown's asymmetries are not mirrored to the pixel
    assert (straight.flip(-1) - mirrored).abs().mean() < 0.05
    assert (straight - mirrored).abs().mean() > 0.08


@pytest.mark.parametrize(
    ("factor", "low", "high", "classes"),
    [
        ("glasses", -2.0, 2.0, ("eye_g",)),
        ("hat", -2.0, 2.5, ("hat",)),
        ("jaw", -2.0, 2.5, ("mouth",)),
        ("earrings", -2.0, 2.0, ("ear_r",)),
    ],
)
def test_what_is_worn_or_opened_is_in_the_mask(factor, low, high, classes):
    # short hair, or the ears could be hidden; eyes straight ahead
    base = sample_factors(6, seed=9, correlated=False).replace(hair_length=-2.0, yaw=0.0, hat=-2.0)
    index = [MASK_CLASSES.index(c) for c in classes]
    counts = []
    for value in (low, high):
        mask = render(base.replace(**{factor: value}), 64).mask
        counts.append(sum(int((mask == i).sum()) for i in index))
    assert counts[1] > counts[0] + 12, counts


@pytest.mark.parametrize("name", ["age", "lip_corner", "beard", "glasses", "baldness", "yaw"])
def test_an_attribute_changes_the_picture(name):
    base = sample_factors(3, seed=12, correlated=False).replace(hat=-2.0)
    low, high = render(base.replace(**{name: -1.6}), 64), render(base.replace(**{name: 1.6}), 64)
    assert (low.image - high.image).abs().mean() > 0.004


def test_landmarks_lie_on_what_they_name():
    factors = sample_factors(8, seed=3, correlated=False).replace(
        glasses=-2.0, lids=0.5, fringe=-2.0, yaw=0.2, hat=-2.0
    )
    drawn = render(factors, 64)
    eye = [MASK_CLASSES.index(n) for n in ("l_eye", "r_eye")]
    on = 0
    for face in range(8):
        for first in (36, 42):
            x, y = drawn.landmarks[face, first : first + 6].mean(0).round().int().tolist()
            patch = drawn.mask[face, y - 1 : y + 2, x - 1 : x + 2]
            on += any((patch == e).any() for e in eye)
    assert on >= 15


def test_the_same_person_keeps_the_identity_factors():
    config = DatasetConfig(count=SHARD, seed=3, population="identities")
    factors, people = shard_factors(config, 0)
    identity = factors.identity()
    assert identity.shape[1] == len(IDENTITY_FACTORS)
    assert torch.equal(identity[0], identity[config.per_identity - 1])
    assert not torch.equal(identity[0], identity[config.per_identity])
    assert people[0] == people[config.per_identity - 1] != people[config.per_identity]


def test_unknown_names_and_sizes_are_refused():
    factors = sample_factors(1, seed=0)
    with pytest.raises(ValueError, match="factor 'agee' is unknown"):
        factors.replace(agee=1.0)
    with pytest.raises(ValueError, match="resolution is 60"):
        render(factors, 60)
    with pytest.raises(ValueError, match="supersample is 9"):
        render(factors, 64, supersample=9)
    with pytest.raises(ValueError, match="n is 0"):
        sample_factors(0, seed=0)
    with pytest.raises(ValueError, match="population is 'all'"):
        DatasetConfig(count=1, seed=0, population="all")


def test_a_folder_without_a_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no rendered set"):
        FaceDataset(tmp_path)


@pytest.mark.slow
def test_the_renderer_computes_where_its_factors_are():
    # the meta device refuses, as a graphics card does, to mix with tensors made elsewhere
    factors = sample_factors(2, seed=4)
    natural = Factors(factors.latents.to("meta"), factors.gated).natural()
    image, labels = draw(natural, 32)
    assert (image.device.type, image.shape) == ("meta", (2, 3, 32, 32))
    assert (labels.device.type, labels.dtype) == ("meta", torch.uint8)
    assert landmarks(natural, 16).device.type == "meta"


def test_batches_are_sized_for_the_machine_and_give_every_portrait_once():
    assert batch_size(128) * 256**2 <= 65_536
    assert batch_size(128, compiled=True) > batch_size(128)
    assert batch_size(128, "cuda") >= 64
    assert batch_size(1024) == 1
    factors = sample_factors(70, seed=4)
    parts = list(render_batches(factors, 16))
    assert [len(image) for image, _, _ in parts] == [64, 6]
    image, mask, points = (torch.cat(part) for part in zip(*parts, strict=True))
    drawn = render(factors[60:], 16)
    assert (image[60:].float() - (drawn.image + 1) * 127.5).abs().max() <= 1
    assert torch.equal(mask[60:], drawn.mask)
    torch.testing.assert_close(points[60:], drawn.landmarks)


def test_compiled_batches_are_filled_up_to_one_shape(monkeypatch):
    shapes = set()

    def shade(view, s, t):
        shapes.add(len(t))
        return shade_rays(view, s, t)

    # in the compiler's place: what matters here is what it would be given
    monkeypatch.setattr(batches, "_compiled", lambda: (march_rays, shade))
    monkeypatch.setitem(batches.RAYS, "cpu compiled", 4 * 32**2)
    factors = sample_factors(6, seed=4)
    parts = list(render_batches(factors, 16, compiled=True))
    assert [len(image) for image, _, _ in parts] == [4, 2]
    assert shapes == {4}
    image = torch.cat([image for image, _, _ in parts])
    assert torch.equal(image, next(iter(render_batches(factors, 16)))[0])
