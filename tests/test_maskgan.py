"""MaskGAN's networks and losses: the paper's layout, and what each part does."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import (
    VGG19,
    AlphaBlender,
    DenseMappingNetwork,
    MappingConfig,
    MaskGAN,
    MaskVAE,
    MaskVAEConfig,
    MultiscaleDiscriminator,
    PerceptualLoss,
    divergence,
)
from l2l_widgets.maskgan.networks import SpatialTransform, adaptive_norm
from l2l_widgets.maskgan.objective import adversarial_loss, feature_matching_loss
from l2l_widgets.masks import one_hot
from l2l_widgets.storage import StorageError, save_safetensors

SMALL = MappingConfig(resolution=32, base=4, style_base=4, style_downs=1)


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(4, seed=3), 32)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = MaskVAE(MaskVAEConfig(resolution=32, width=4, downs=3, latent_dim=8))
        return MaskGAN(DenseMappingNetwork(SMALL), vae, AlphaBlender(4, 2, 1)).eval()


def shapes(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def test_the_papers_dense_mapping_has_the_papers_layers():
    with torch.device("meta"):
        network = DenseMappingNetwork(MappingConfig.paper())
    found = shapes(network)
    down = [s for n, s in found.items() if n.startswith("down") and len(s) == 4]
    assert down == [
        (64, 19, 7, 7), (128, 64, 3, 3), (256, 128, 3, 3), (512, 256, 3, 3), (1024, 512, 3, 3),
    ]  # fmt: skip
    up = [s for n, s in found.items() if n.startswith("up") and len(s) == 4]
    assert up == [
        (1024, 512, 3, 3), (512, 256, 3, 3), (256, 128, 3, 3), (128, 64, 3, 3), (3, 64, 7, 7),
    ]  # fmt: skip
    blocks = [s for n, s in found.items() if n.startswith("blocks") and len(s) == 4]
    assert blocks == [(1024, 1024, 3, 3)] * 8
    assert found["style.out.weight"] == (16384, 64, 1, 1)
    picture = [s for n, s in found.items() if n.startswith("style.picture") and len(s) == 4]
    assert picture == [(16, 3, 7, 7), (32, 16, 4, 4), (64, 32, 4, 4), *[(64, 64, 4, 4)] * 3]
    label = [s for n, s in found.items() if n.startswith("style.label") and len(s) == 4]
    assert label == [(16, 19, 7, 7), (32, 16, 4, 4), (64, 32, 4, 4), *[(64, 64, 4, 4)] * 3]
    assert isinstance(network.style.label[1][-1], torch.nn.Conv2d), "fea2 has no activation"
    with torch.device("meta"):
        inputs = torch.empty(1, 19, 512, 512), torch.empty(1, 3, 512, 512)
        assert network(inputs[0], inputs[0], inputs[1]).shape == (1, 3, 512, 512)


def test_the_papers_mask_vae_and_blender_and_discriminator():
    with torch.device("meta"):
        vae = MaskVAE(MaskVAEConfig.paper())
        blender, adversary = AlphaBlender(), MultiscaleDiscriminator()
    found = shapes(vae)
    encoder = [s[0] for n, s in found.items() if n.startswith("encoder") and len(s) == 4]
    assert encoder == [32, 64, 128, 256, 512, 1024, 2048]
    assert found["mean.weight"] == found["log_variance.weight"] == (1024, 32768)
    decoder = [s[0] for n, s in found.items() if n.startswith("decoder") and len(s) == 4]
    assert decoder == [1024, 512, 256, 128, 64, 32, 19]
    assert {m.eps for m in vae.decoder if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}
    first = [s for s in shapes(blender).values() if len(s) == 4]
    assert first[0] == (32, 6, 7, 7)
    assert first[-1] == (3, 32, 7, 7)
    patches = [s for n, s in shapes(adversary).items() if "scales.0" in n and len(s) == 4]
    assert [s[:2] for s in patches] == [(64, 22), (128, 64), (256, 128), (512, 256), (1, 512)]


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_scaled_networks_draw_their_size(side):
    with torch.device("meta"):
        network = DenseMappingNetwork(MappingConfig.scaled(side))
        mask, image = torch.empty(1, 19, side, side), torch.empty(1, 3, side, side)
        assert network(mask, mask, image).shape == (1, 3, side, side)
        logits, mean, _ = MaskVAE(MaskVAEConfig.scaled(side))(mask)
        assert logits.shape == (1, 19, side, side)
    assert mean.shape[0] == 1
    assert MappingConfig.scaled(512) == MappingConfig.paper()


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="downs is 7 at resolution 64"):
        MappingConfig(resolution=64, downs=7)
    with pytest.raises(ValueError, match="base is 0"):
        MappingConfig(base=0)
    with pytest.raises(ValueError, match="downs 7 at resolution 64"):
        MaskVAEConfig(resolution=64, downs=7)


def test_adaptive_norm_takes_shift_first_and_scale_second():
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    style = torch.tensor([[3.0, -1.0, 0.5, 2.0]])
    out = adaptive_norm(x, style)
    assert torch.allclose(out.mean((2, 3)), torch.tensor([[3.0, -1.0]]), atol=1e-5)
    assert torch.allclose(out.std((2, 3), correction=0), torch.tensor([[0.5, 2.0]]), atol=1e-3)


def test_a_new_style_leaves_every_layer_at_shift_0_and_scale_1(faces):
    network = DenseMappingNetwork(SMALL).requires_grad_(False)
    network.style.out.weight.zero_()
    style = network.style(faces.image, one_hot(faces.mask))
    layers = style.view(len(style), -1, 2, SMALL.width)
    assert torch.equal(layers[:, :, 0], torch.zeros_like(layers[:, :, 0]))
    assert torch.equal(layers[:, :, 1], torch.ones_like(layers[:, :, 1]))


def test_spatial_transform_multiplies_by_the_prediction_itself():
    layer = SpatialTransform(3)
    for part in (layer.scale, layer.shift):
        torch.nn.init.zeros_(part[-1].weight)
        torch.nn.init.zeros_(part[-1].bias)
    x = torch.ones(1, 3, 4, 4)
    assert torch.equal(layer(x, x), torch.zeros_like(x)), "a scale of 0 is 0, not 1"


def test_without_sft_the_style_does_not_see_the_mask(faces):
    planes = one_hot(faces.mask)
    for sft in (True, False):
        torch.manual_seed(1)
        network = DenseMappingNetwork(MappingConfig(32, 4, 2, 4, 4, 1, sft)).eval()
        one, two = network.style(faces.image, planes), network.style(faces.image, planes.flip(0))
        assert torch.equal(one, two) is not sft


def test_the_blend_is_the_alpha_mixture(faces):
    blender = AlphaBlender(4, 2, 1).eval().requires_grad_(False)
    inner, outer = faces.image, faces.image.flip(0)
    blend, alpha = blender(inner, outer)
    assert alpha.shape == inner.shape
    assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1
    assert torch.allclose(blend, alpha * inner + (1 - alpha) * outer)


def test_divergence_is_that_of_a_normal():
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    wanted = 0.5 * 1 + 0.5 * (torch.e - 1 - 1)
    assert float(divergence(mean, log_variance)) == pytest.approx(wanted, abs=1e-5)
    assert float(divergence(mean, log_variance, "mean")) == pytest.approx(wanted / 2, abs=1e-5)
    with pytest.raises(ValueError, match="kl_reduction is 'max'; allowed: sum, mean"):
        divergence(mean, log_variance, "max")


def test_both_adversaries_reward_the_right_answer():
    sure = [[torch.zeros(1), torch.full((1, 1, 2, 2), 1.0)]]
    wrong = [[torch.zeros(1), torch.full((1, 1, 2, 2), -4.0)]]
    for kind in ("lsgan", "log"):
        assert adversarial_loss(sure, True, kind) < adversarial_loss(wrong, True, kind)
    assert float(adversarial_loss(sure, True, "lsgan")) == 0
    with pytest.raises(ValueError, match="adversary is 'hinge'; allowed: lsgan, log"):
        adversarial_loss(sure, True, "hinge")


def test_feature_losses_are_zero_for_equals_and_weighted_as_stated(faces):
    adversary = MultiscaleDiscriminator(4, layers=2).requires_grad_(False)
    planes = one_hot(faces.mask)
    seen = [[m.detach() for m in stages] for stages in adversary(planes, faces.image)]
    assert len(seen) == 2
    assert len(seen[0]) == 4
    assert float(feature_matching_loss(seen, seen)) == 0
    moved = [[stage + 1 for stage in stages] for stages in seen]
    # each of 3 stages counts 4 / 3, each of 2 scales 1 / 2, and every map is off by 1
    assert float(feature_matching_loss(seen, moved)) == pytest.approx(4.0, rel=1e-4)
    loss = PerceptualLoss(lambda x: [x, 2 * x], weights=(0.5, 1.0))
    assert float(loss(faces.image, faces.image)) == 0
    assert float(loss(faces.image + 0.1, faces.image)) == pytest.approx(0.25, rel=1e-3)


def test_vgg_gives_its_five_maps_and_checks_its_weights():
    network = VGG19()
    maps = network(torch.zeros(1, 3, 32, 32))
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512]
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4, 2]
    state = network.state_dict()
    assert not any(p.requires_grad for p in VGG19.load(state).parameters())
    del state["features.28.weight"]
    with pytest.raises(ValueError, match=r"features\.28\.weight is missing"):
        VGG19.load(state)


def test_it_paints_and_comes_back_from_its_file(model, faces, tmp_path):
    image, mask = faces.image[0], faces.mask[0]
    drawn = model.paint(image, mask, mask)
    assert drawn.shape == (3, 32, 32)
    assert float(drawn.abs().max()) <= 1
    edited = mask.clone()
    edited[:8] = 14
    assert not torch.equal(model.paint(image, edited, mask), drawn)
    assert torch.allclose(model.paint(faces.image, faces.mask, faces.mask)[0], drawn, atol=1e-5)
    model.save(tmp_path / "m.safetensors")
    again = MaskGAN.load(tmp_path / "m.safetensors")
    assert again.vae is not None
    assert again.blender is not None
    assert torch.allclose(again.paint(image, mask, mask), drawn, atol=0.05)
    steps = model.between(mask, faces.mask[1], torch.tensor([0.0, 0.5, 1.0]))
    assert (steps.shape, steps.dtype) == ((3, 32, 32), torch.uint8)


def test_painting_with_what_does_not_fit_is_refused(model, faces, tmp_path):
    image, mask = faces.image[0], faces.mask[0]
    with pytest.raises(ValueError, match="mask is 16 x 16 pixels; allowed here: 32 x 32"):
        model.paint(image, mask[:16, :16], mask)
    with pytest.raises(ValueError, match=r"image has shape \(3, 16, 16\)"):
        model.paint(image[:, :16, :16], mask, mask)
    with pytest.raises(ValueError, match="2 pictures, 1 masks"):
        model.paint(faces.image[:2], mask, mask)
    with pytest.raises(ValueError, match="l2l train mask-vae"):
        MaskGAN(model.mapping).between(mask, mask, torch.tensor([0.5]))
    save_safetensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {"format": "other"})
    with pytest.raises(StorageError, match="'format' is 'other', wanted 'l2l-maskgan/1'"):
        MaskGAN.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("config", ["[]", '"mapping"', "7", "null", "{", '{"mapping": []}', "NaN"])
def test_a_file_whose_config_is_no_object_of_networks_is_refused(model, tmp_path, config):
    file = tmp_path / "m.safetensors"
    tensors = dict(model.state_dict())
    save_safetensors(file, tensors, {"format": "l2l-maskgan/1", "config": config})
    with pytest.raises(StorageError, match=r"m\.safetensors' does not build its network: "):
        MaskGAN.load(file)
