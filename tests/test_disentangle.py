"""The losses and networks of identity disentanglement, and a mixer at work."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import build_embedder, build_generator, write_manifest
from mixing_world import CONFIG, build_mixer, build_network, face, write_mixing_world

from l2l_widgets.disentangle import (
    MIXER_FILE,
    FaceMixer,
    LatentDiscriminator,
    MixerConfig,
    MixerNetwork,
    MixError,
    load_mixer,
    save_mixer,
)
from l2l_widgets.disentangle.networks import count_parameters, load_trunk
from l2l_widgets.disentangle.objective import (
    MS_SSIM_WEIGHTS,
    LinearSwap,
    border_weights,
    discriminator_distance,
    identity_distance,
    landmark_distance,
    mapper_distance,
    ms_ssim,
    r1_distance,
    reconstruction_distance,
    scales_for,
)
from l2l_widgets.models.zoo import load
from l2l_widgets.perception import FaceEmbeddingNet, LandmarkNet, load_network, save_network
from l2l_widgets.storage import StorageError, save_safetensors


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- losses --------------------------------------------------------------------------------------


def test_the_number_of_scales_is_what_the_picture_has_room_for():
    assert [scales_for(side) for side in (11, 22, 44, 64, 128, 175, 176, 1024)] == [
        1, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="10 px a side; allowed for MS-SSIM: at least 11"):
        scales_for(10)


def second_ms_ssim(first, second):
    """MS-SSIM by scikit-image: contrast and structure are SSIM with a vast luminance constant."""
    from skimage.metrics import structural_similarity

    def ssim(a, b, luminance=0.01):
        return structural_similarity(
            a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, channel_axis=0,
            use_sample_covariance=False, K1=luminance,
        )  # fmt: skip

    count = scales_for(first.shape[-1])
    weights = np.array(MS_SSIM_WEIGHTS[:count]) / sum(MS_SSIM_WEIGHTS[:count])
    value = 1.0
    for i, weight in enumerate(weights):
        last = i == count - 1
        value *= max(ssim(first, second, 0.01 if last else 1e6), 0) ** weight
        shape = (3, first.shape[1] // 2, 2, first.shape[2] // 2, 2)
        first, second = (x.reshape(shape).mean((2, 4)) for x in (first, second))
    return value


@pytest.mark.parametrize("side", [64, 128])
def test_ms_ssim_agrees_with_a_second_implementation(side):
    smooth = torch.nn.functional.interpolate(noise(1, 3, 8, 8), side, mode="bicubic") / 3
    other = (smooth + 0.2 * noise(1, 3, side, side, seed=1)).clamp(-1, 1)
    first, second = (((x[0].clamp(-1, 1) + 1) / 2).double().numpy() for x in (smooth, other))
    ours = float(ms_ssim(smooth.clamp(-1, 1), other))
    assert 0.1 < ours < 0.95
    assert ours == pytest.approx(second_ms_ssim(first, second), abs=2e-3)
    assert float(ms_ssim(other, other)) == pytest.approx(1, abs=1e-5)


def test_reconstruction_is_zero_for_equals_and_has_a_gradient():
    first = (0.3 * noise(2, 3, 64, 64)).clamp(-1, 1)
    assert float(reconstruction_distance(first, first)) == pytest.approx(0, abs=1e-5)
    moved = (first + 0.1).clamp(-1, 1).requires_grad_(True)
    loss = reconstruction_distance(moved, first)
    loss.backward()
    assert loss > 0.001
    assert torch.isfinite(moved.grad).all()
    assert moved.grad.abs().sum() > 0
    weights = border_weights(64)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert weights[0, 0] == weights.max()
    assert weights[32, 32] < 0.01 * weights[0, 0]


def test_distances_have_the_stated_units():
    unit = torch.eye(4)
    assert float(identity_distance(unit[:1], unit[1:2])) == pytest.approx(2 / 4)
    points = torch.zeros(1, 51, 2)
    assert float(landmark_distance(points, points + 1 / 160)) == pytest.approx(1)
    zero = torch.zeros(4, 1)
    assert float(discriminator_distance(zero, zero)) == pytest.approx(2 * math.log(2))
    assert float(mapper_distance(zero)) == pytest.approx(math.log(2))
    assert float(mapper_distance(zero + 9)) < 1e-3


def test_the_gradient_penalty_is_in_units_of_the_cloud():
    w = noise(5, 3).requires_grad_(True)
    slope = torch.tensor([1.0, 2.0, 0.0])
    spread = torch.tensor([2.0, 0.5, 7.0])
    penalty = r1_distance((w @ slope)[:, None], w, spread)
    assert float(penalty) == pytest.approx(0.5 * (2.0**2 + 1.0**2))


def test_the_linear_swap_brings_the_person_and_holds_the_readings():
    w = noise(4000, 8) * torch.linspace(0.5, 2, 8) + 1
    people, readings = w @ noise(8, 3, seed=1), w @ noise(8, 2, seed=2)
    embedded = people + 0.01 * noise(4000, 3, seed=3)
    swap = LinearSwap(w, embedded, readings + 0.01 * noise(4000, 2, seed=4))
    moved = swap(w[:50], embedded[50:100])
    first, second = people[50:100], people[:50]
    came = moved @ noise(8, 3, seed=1)
    assert (came - first).norm() < 0.05 * (first - second).norm()
    drift = moved @ noise(8, 2, seed=2) - readings[:50]
    assert drift.norm() < 0.05 * (readings[:50] - readings[50:100]).norm()
    assert torch.allclose(swap(w[:50], people[:50]), w[:50], atol=0.05)
    with pytest.raises(ValueError, match="8, 8 and 8 faces; allowed: equal numbers, more than 9"):
        LinearSwap(w[:8], embedded[:8], readings[:8])


# -- networks ------------------------------------------------------------------------------------


def test_the_papers_sizes_have_the_papers_number_of_weights():
    config = MixerConfig(512, 512, features=2048, hidden=(2048, 1024, 512))
    network = MixerNetwork(config, encoder=torch.nn.Identity())
    assert count_parameters(network) == 8_130_560
    assert count_parameters(LatentDiscriminator(torch.ones(2, 512))) == 172_545


def test_an_untrained_mixer_starts_near_the_average_face():
    cloud = torch.stack([noise(16), torch.full((16,), 0.5)])
    network = MixerNetwork(CONFIG, cloud=cloud).eval()
    w = network(torch.nn.functional.normalize(noise(4, 8), dim=1), noise(4, 3, 32, 32))
    assert w.shape == (4, 16)
    assert ((w - cloud[0]) / cloud[1]).abs().mean() < 0.5


def test_a_mixer_file_comes_back_and_refuses_what_is_none(tmp_path):
    network, path = build_network(), tmp_path / MIXER_FILE
    save_mixer(path, network, {"generator": "a" * 64})
    again, origin = load_mixer(path)
    assert origin == {"generator": "a" * 64}
    assert again.config == network.config
    person, images = noise(2, 8), noise(2, 3, 64, 64)
    assert torch.allclose(again(person, images), network(person, images), atol=0.02)
    save_safetensors(tmp_path / "x.safetensors", {"w": noise(2)})
    with pytest.raises(StorageError, match="format is None; allowed: 'l2l-mixer/1'"):
        load_mixer(tmp_path / "x.safetensors")
    network.layers[0].weight[0, 0] = torch.nan
    save_mixer(path, network)
    with pytest.raises(StorageError, match="not finite"):
        load_mixer(path)
    own = MixerNetwork(CONFIG, encoder=torch.nn.Identity())
    with pytest.raises(ValueError, match="encoder is a Identity; allowed: this package's own"):
        save_mixer(path, own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "giant"}, "family is 'giant'; allowed: residual, separable, transformer"),
        ({"features": 0}, "features is 0; allowed: an integer of at least 1"),
        ({"hidden": ()}, "hidden is .*; allowed: at least one width"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MixerConfig(**{"embedding_dim": 8, "w_dim": 16, **changes})


def test_an_encoder_starts_from_a_trunk_that_fits():
    network, reader = MixerNetwork(CONFIG), build_embedder(3)
    load_trunk(network, reader)
    images = noise(1, 3, 64, 64)
    assert torch.equal(network.eval().attributes(images), reader.trunk(images))
    with pytest.raises(ValueError, match="start_from: the trunk does not fit"):
        load_trunk(network, build_embedder(3, "transformer"))


def test_a_landmark_network_is_stored_like_the_others(tmp_path):
    network = LandmarkNet(51, width=4, features=16).eval()
    save_network(tmp_path / "l.safetensors", network)
    images = noise(2, 3, 128, 128)
    found = load_network(tmp_path / "l.safetensors")(images)
    assert found.shape == (2, 51, 2)
    assert torch.allclose(found, network(images), atol=1e-2)
    with pytest.raises(ValueError, match="points is 0; allowed: 1 or more"):
        LandmarkNet(0)


# -- a mixer at work -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixer():
    return build_mixer()


@pytest.fixture(scope="module")
def signatures(mixer):
    return mixer.signature(torch.stack([face(seed) for seed in range(4)]))


def test_a_mix_answers_to_both_inputs(mixer, signatures):
    grid = mixer.grid(signatures[:2], signatures[2:])
    assert grid.shape == (2, 2, 16)
    assert torch.allclose(grid[1, 0], mixer.latent(signatures[1:2], signatures[2:3])[0], atol=1e-5)
    assert not torch.allclose(grid[0, 0], grid[1, 0])
    assert not torch.allclose(grid[0, 0], grid[0, 1])
    pairs = mixer.latent(signatures[:2], signatures[2:])
    assert torch.allclose(pairs, torch.stack([grid[0, 0], grid[1, 1]]), atol=1e-5)
    drawn = mixer.draw(pairs)
    assert drawn.shape == (2, 3, 32, 32)
    assert torch.allclose(mixer.latent(signatures[:1], signatures[2:]), grid[0], atol=1e-5)


@pytest.mark.parametrize("space", ["w", "z"])
def test_the_corners_of_the_square_are_the_faces_and_their_mixes(mixer, signatures, space):
    first, second = signatures[:1], signatures[1:2]
    for person, attributes, wanted in (
        (0, 0, mixer.latent(first, first)),
        (1, 1, mixer.latent(second, second)),
        (0, 1, mixer.latent(first, second)),
        (1, 0, mixer.latent(second, first)),
    ):
        found = mixer.square(first, second, person, attributes, space)
        assert torch.allclose(found, wanted, atol=1e-4)


def test_a_travel_has_both_ends_and_holds_the_other_half(mixer, signatures):
    first, second = signatures[:1], signatures[1:2]
    way = mixer.travel(first, second, "identity", steps=5)
    assert torch.allclose(way[:1], mixer.latent(first, first), atol=1e-4)
    assert torch.allclose(way[-1:], mixer.latent(second, first), atol=1e-4)
    assert torch.allclose(way[2], (way[0] + way[4]) / 2, atol=1e-4)
    in_z = mixer.travel(first, second, "attributes", steps=3, space="z")
    assert torch.allclose(in_z[-1:], mixer.latent(first, second), atol=1e-4)
    assert not torch.allclose(in_z[1], (in_z[0] + in_z[2]) / 2, atol=1e-6)


def test_frames_keep_the_person_and_take_each_frames_attributes(mixer, signatures):
    frames, done = [face(7), face(8)], []
    out = list(mixer.frames(signatures[:1], iter(frames), done.append))
    assert done == [1, 2]
    for (w, image), frame in zip(out, frames, strict=True):
        assert torch.allclose(w, mixer.latent(signatures[:1], mixer.signature(frame[None])))
        assert image.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s: m.square(s[:1], s[1:2], 1.5, 0), "person is 1.5; allowed: a number from 0"),
        (lambda m, s: m.square(s[:1], s[1:2], 0, 0, "x"), "space is 'x'; allowed: w, z"),
        (lambda m, s: m.travel(s[:1], s[1:2], "hair"), "travel is 'hair'; allowed: identity, attr"),
        (lambda m, s: m.travel(s[:1], s[1:2], "identity", 1), "steps is 1; allowed: a whole"),
        (lambda m, s: m.latent(s[:2], s[:3]), "identity has 2 faces, the other 3; allowed for"),
        (lambda m, s: m.signature(torch.zeros(0, 3, 8, 8)), r"images have shape \(0, 3, 8, 8\)"),
        (lambda m, s: m.signature(torch.full((1, 3, 8, 8), torch.nan)), "not finite"),
    ],
)
def test_impossible_mixes_are_refused(mixer, signatures, call, message):
    with pytest.raises(MixError, match=message):
        call(mixer, signatures)


def test_an_embedder_of_another_width_is_refused():
    other = FaceEmbeddingNet(12, width=4, features=16)
    with pytest.raises(MixError, match="embedder: its vectors have length 12; this mixer was trai"):
        FaceMixer(build_generator(), other, build_network())
    with pytest.raises(ValueError, match="gives vectors of length 12; this mixer was trained with"):
        build_network().latent(torch.zeros(1, 12), torch.zeros(1, 16))


def test_a_world_without_a_mixer_says_how_to_get_one(tiny_world):
    with pytest.raises(MixError, match=r"have no identity mixer .* `l2l train identity-dis"):
        FaceMixer.of(load(tiny_world))


def test_a_mixer_of_another_generator_is_refused(tmp_path):
    folder = write_mixing_world(tmp_path / "world")
    assert FaceMixer.of(load(folder)).network.config == CONFIG
    save_mixer(folder / MIXER_FILE, build_network(), {"embedder": "b" * 64})
    write_manifest(folder)
    with pytest.raises(MixError, match=r"trained with another embedder .*bbbbbb"):
        FaceMixer.of(load(folder))
