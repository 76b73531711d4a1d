"""The generator: equal to the official code, differentiable, quick, and clear about bad input."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from l2l_widgets.protocols import Generator as GeneratorProtocol
from l2l_widgets.storage import StorageError, save_safetensors
from l2l_widgets.stylegan2 import (
    Generator,
    load_generator,
    path_lengths,
    save_generator,
)
from l2l_widgets.stylegan2.discriminator import Discriminator
from l2l_widgets.training import update_average
from tests.golden_numbers import numbers_of

CASES = ("nvlabs_32px", "nvlabs_32px_clamp", "rosinality_32px")
TOLERANCE = 1e-4


def tiny(seed=0, **options):
    """A generator of 16 px whose noise, biases and mean of w are not zero."""
    arguments = {"z_dim": 8, "c_dim": 0, "w_dim": 12, "img_resolution": 16, **options}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(
            **arguments, mapping_kwargs={"num_layers": 2}, channel_base=128, channel_max=8
        )
        with torch.no_grad():
            generator.mapping.w_avg.normal_()
            for name, parameter in generator.named_parameters():
                if name.endswith(("noise_strength", "bias")):
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return generator.eval()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=CASES)
def golden(request):
    case = numbers_of(request.param)
    config = {n[7:]: case[n].item() for n in case if n.startswith("config/")}
    generator = Generator(
        config["z_dim"],
        config["c_dim"],
        config["w_dim"],
        config["img_resolution"],
        3,
        {"num_layers": config["num_layers"], "lr_multiplier": config["lr_multiplier"]},
        channel_base=config["channel_base"],
        channel_max=config["channel_max"],
        conv_clamp=None if config["conv_clamp"] < 0 else config["conv_clamp"],
    )
    state = {n[6:]: torch.from_numpy(case[n]) for n in case if n.startswith("state/")}
    missing, unknown = generator.load_state_dict(state, strict=False)
    assert not unknown
    # To save room some cases leave the mapping network out; nothing else may be missing.
    assert all(name.startswith("mapping.") for name in missing)
    assert request.param != "nvlabs_32px" or not missing
    return case, generator.eval()


def golden_difference(case, name, value):
    kept = value.detach().flatten(2)[..., :: int(case["pixel_stride"])]
    expected = torch.from_numpy(case[name])
    assert kept.shape == expected.shape
    return float((kept - expected).abs().max())


@pytest.mark.parametrize("kept_weights", [True, False])
def test_pictures_equal_the_official_code(golden, kept_weights):
    case, generator = golden
    names = [n for n in case if n.startswith("image/")]
    assert len(names) >= 3
    for name in names:
        _, latents, noise = name.split("/")
        ws = torch.from_numpy(case[latents]).requires_grad_(not kept_weights)
        with torch.set_grad_enabled(not kept_weights):
            image = generator.synthesis(ws, noise_mode=noise.removeprefix("noise_"))
        assert image.requires_grad is not kept_weights
        assert golden_difference(case, name, image) <= TOLERANCE, name


def test_every_block_equals_the_official_code(golden):
    case, generator = golden
    if "rosinality" in case or "block/4/rgb" not in case:
        assert "image/wplus/noise_const" in case  # that code gives no pictures of its blocks
        return
    ws = torch.from_numpy(case["wplus"])
    x = img = None
    for side, rows in generator.synthesis.rows_of_blocks():
        x, img = getattr(generator.synthesis, f"b{side}")(x, img, ws[:, rows])
        assert golden_difference(case, f"block/{side}/rgb", img) <= TOLERANCE
        if f"block/{side}/x" in case:
            assert golden_difference(case, f"block/{side}/x", x) <= TOLERANCE
        early = generator.synthesis(ws, max_resolution=side)
        assert early.shape[2:] == (side, side)
        assert golden_difference(case, f"block/{side}/rgb", early) <= TOLERANCE


def test_mapping_and_truncation_equal_the_official_code(golden):
    case, generator = golden
    if "z" not in case:
        assert "ws" in case  # this case starts from W
        return
    z = torch.from_numpy(case["z"])
    for name, arguments in [
        ("ws", ()),
        ("ws_psi0.7", (0.7,)),
        ("ws_psi0.5_cutoff4", (0.5, 4)),
    ]:
        ws = generator.mapping(z, *arguments).detach()
        assert float((ws - torch.from_numpy(case[name])).abs().max()) <= TOLERANCE
    whole = generator(z, truncation_psi=0.7)
    assert golden_difference(case, "image/ws_psi0.7/noise_const", whole) <= TOLERANCE


def test_the_generator_keeps_the_protocol():
    generator = tiny()
    assert isinstance(generator, GeneratorProtocol)
    assert (generator.z_dim, generator.w_dim, generator.num_ws) == (8, 12, 6)
    assert generator.w_avg.shape == (12,)
    again = Generator(**json.loads(json.dumps(generator.config)))
    assert again.state_dict().keys() == generator.state_dict().keys()
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in generator.state_dict().items()
    }


def test_noise_modes():
    generator = tiny()
    ws = generator.mapping(normal(2, 8))
    const = generator.synthesis(ws)
    assert torch.equal(const, generator.synthesis(ws, noise_mode="const"))
    assert not torch.allclose(const, generator.synthesis(ws, noise_mode="none"))

    def drawn(seed):
        source = torch.Generator().manual_seed(seed)
        return generator.synthesis(ws, "random", noise_generator=source)

    before = torch.random.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.allclose(drawn(1), drawn(2))
    assert torch.equal(before, torch.random.get_rng_state())
    free = generator.synthesis(torch.cat([ws[:1], ws[:1]]), "random")
    assert not torch.allclose(free[0], free[1])  # each face has its own noise


def test_a_network_without_noise():
    generator = tiny(use_noise=False)
    assert not any("noise" in name for name in generator.state_dict())
    ws = generator.mapping(normal(1, 8)).detach()
    assert torch.equal(generator.synthesis(ws), generator.synthesis(ws, noise_mode="none"))


def test_conditions():
    with torch.random.fork_rng():
        generator = Generator(8, 3, 12, 8, 3, channel_base=64, channel_max=8).eval()
    z = normal(2, 8)
    first = generator.mapping(z, c=torch.eye(3)[:2])
    assert first.shape == (2, 4, 12)
    assert not torch.allclose(first[0], generator.mapping(z, c=torch.eye(3)[1:])[0])
    for c, message in [
        (None, r"c is None; it must be a \(B, 3\) tensor"),
        (torch.zeros(2, 4), r"c has shape \(2, 4\); it must be \(B, 3\)"),
        (torch.zeros(1, 3), "same number of rows; they have 2 and 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            generator.mapping(z, c=c)


def test_kept_weights_follow_every_change():
    generator = tiny()
    ws = generator.mapping(normal(1, 8)).detach()

    def both():
        with torch.no_grad():
            kept = generator.synthesis(ws)
        return kept, generator.synthesis(ws.clone().requires_grad_()).detach()

    changes = [
        lambda: None,
        lambda: generator.synthesis.b8.conv1.weight[0].mul_(-1),
        lambda: generator.synthesis.b16.conv0.noise_const.add_(0.5),
        lambda: generator.synthesis.b4.torgb.affine.bias.add_(0.5),
        lambda: generator.load_state_dict(tiny(seed=3).state_dict()),
        lambda: generator.load_state_dict(tiny(seed=4).state_dict(), assign=True),
        lambda: generator.to(torch.float64).to(torch.float32),
    ]
    last = torch.zeros(1)
    for number, change in enumerate(changes):
        with torch.no_grad():
            change()
        kept, computed = both()
        assert torch.allclose(kept, computed, atol=1e-5), number
        assert number in (0, len(changes) - 1) or not torch.allclose(kept, last, atol=1e-3), number
        last = kept
    # As optimisers write: many tensors in one call.
    weights = [p.detach() for p in generator.synthesis.parameters()]
    torch._foreach_add_(weights, [0.05 * torch.randn_like(p) for p in weights])
    kept, computed = both()
    assert torch.allclose(kept, computed, atol=1e-5)
    assert not torch.allclose(kept, last, atol=1e-3)


def test_kept_weights_in_inference_mode_and_in_copies():
    generator = tiny()
    ws = generator.mapping(normal(2, 8)).detach()
    with torch.inference_mode():
        first = generator.synthesis(ws)
    assert generator.synthesis._frozen
    twin = copy.deepcopy(generator)
    assert not twin.synthesis._frozen
    with torch.no_grad():
        assert torch.allclose(twin.synthesis(ws), first.clone(), atol=1e-6)
    assert torch.allclose(generator.synthesis(ws).detach(), first.clone(), atol=1e-5)
    assert not any("_frozen" in name for name in generator.state_dict())


def test_training_mode_updates_the_mean_of_w():
    generator = tiny()
    z = normal(64, 8)
    before = generator.w_avg.clone()
    mean = generator.mapping(z)[:, 0].mean(0).detach()
    assert torch.equal(before, generator.w_avg)  # eval mode
    generator.train()
    generator.mapping(z, skip_w_avg_update=True)
    assert torch.equal(before, generator.w_avg)
    generator.mapping(z)
    assert torch.allclose(generator.w_avg, 0.995 * before + 0.005 * mean, atol=1e-6)


def test_style_mixing_takes_fine_rows_from_a_second_code():
    generator = tiny()
    z = normal(64, 8)
    own = generator.mapping(z)
    source = torch.Generator().manual_seed(1)
    mixed = generator.mixed_ws(z, probability=0.5, mixing_generator=source)
    changed = (mixed != own).any(dim=2)
    assert not changed[:, 0].any()
    assert (changed[:, 1:] <= changed[:, -1:]).all()
    assert (changed.int().diff(dim=1) >= 0).all()  # once taken over, always
    assert 10 < int(changed[:, -1].sum()) < 54
    assert len(changed.sum(dim=1).unique()) > 3
    assert torch.equal(generator.mixed_ws(z, probability=0.0), own)
    with pytest.raises(ValueError, match="probability is 2"):
        generator.mixed_ws(z, probability=2)


def test_gradients_are_exact_to_second_order():
    generator = Generator(4, 0, 4, 8, 3, {"num_layers": 1}, channel_base=16, channel_max=2)
    generator = generator.double().eval()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.2)
    ws = generator.mapping(normal(2, 4).double()).detach().requires_grad_()

    def draw(latents):
        return generator.synthesis(latents).mean(dim=(1, 2))

    assert torch.autograd.gradcheck(draw, (ws,), fast_mode=True)
    assert torch.autograd.gradgradcheck(draw, (ws,), fast_mode=True)


def test_path_lengths_reach_the_weights():
    generator = tiny()
    ws = generator.mapping(normal(3, 8)).detach().requires_grad_()
    images = generator.synthesis(ws)
    lengths = path_lengths(images, ws, torch.Generator().manual_seed(0))
    assert lengths.shape == (3,)
    assert (lengths > 0).all()
    (gradient,) = torch.autograd.grad(lengths.sum(), generator.synthesis.b8.conv0.weight)
    assert float(gradient.abs().max()) > 0
    # Twice the picture, twice the length.
    ws = ws.detach().requires_grad_()
    double = path_lengths(2 * generator.synthesis(ws), ws, torch.Generator().manual_seed(0))
    assert torch.allclose(double, 2 * lengths, rtol=1e-4)


def test_autocast_draws_nearly_the_same_and_trains():
    generator = tiny()
    ws = generator.mapping(normal(2, 8)).detach()
    exact = generator.synthesis(ws).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = generator.synthesis(ws)
        assert rough.requires_grad
        assert rough.dtype == torch.float32
        assert generator.mapping(normal(2, 8)).dtype == torch.float32
        rough.square().mean().backward()
    assert float((rough.detach() - exact).abs().mean()) < 0.03 * float(exact.std())
    assert all(torch.isfinite(p.grad).all() for p in generator.synthesis.parameters())


def test_the_average_of_a_generator_takes_its_mean_latent_whole():
    average, source = tiny(seed=0), tiny(seed=1)
    before = {name: p.detach().clone() for name, p in average.named_parameters()}
    update_average(average, source, 0.9)
    for name, new in source.named_parameters():
        expected = before[name].lerp_(new.detach(), 1 - 0.9)
        assert torch.equal(average.get_parameter(name), expected), name
    assert torch.equal(average.w_avg, source.w_avg)
    with pytest.raises(ValueError, match=r"decay is 1\.5"):
        update_average(average, source, 1.5)


def test_save_and_load(tmp_path):
    generator = tiny()
    path = tmp_path / "g.safetensors"
    save_generator(path, generator, {"seed": "3"})
    loaded = load_generator(path)
    assert loaded.config == generator.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    ws = generator.mapping(normal(1, 8)).detach()
    assert torch.allclose(loaded.synthesis(ws), generator.synthesis(ws).detach(), atol=1e-5)


@pytest.mark.parametrize(
    "mapping",
    [{"num_layers": 1, "layer_features": 5}, {"num_layers": 3, "layer_features": 5}, {}],
)
def test_every_kind_of_mapping_is_loaded_again(tmp_path, mapping):
    with torch.random.fork_rng():
        generator = Generator(8, 3, 6, 8, 3, mapping, channel_base=16, channel_max=4).eval()
    save_generator(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors")
    z, c = normal(2, 8), normal(2, 3, seed=1)
    assert torch.equal(loaded.mapping(z, c=c), generator.mapping(z, c=c))


def test_a_file_of_another_code_base_is_sent_to_what_reads_it(tmp_path):
    for name in ("ffhq.pkl", "g.pt"):
        (tmp_path / name).write_bytes(b"\x80\x04 a pickle")
        with pytest.raises(StorageError, match=r"l2l_widgets\.load reads the files of other code"):
            load_generator(tmp_path / name)


def damaged_file(path, damage):
    generator = tiny()
    save_generator(path, generator)
    tensors = dict(generator.state_dict())
    metadata = {"format": "l2l-stylegan2-generator/1", "config": json.dumps(generator.config)}
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
        return
    if damage == "foreign":
        metadata = {"format": "pt"}
    elif damage == "no metadata":
        metadata = {}
    elif damage == "no config":
        del metadata["config"]
    elif damage == "config is no JSON":
        metadata["config"] = "{'z_dim': 8}"
    elif damage == "config is a list":
        metadata["config"] = "[8]"
    elif damage == "enormous":
        sizes = {"z_dim": 2**40, "w_dim": 2**40, "channel_max": 2**24, "channel_base": 2**40}
        metadata["config"] = json.dumps({**generator.config, **sizes})
    elif damage == "tensor missing":
        del tensors["synthesis.b8.conv0.weight"]
    elif damage == "tensor too many":
        tensors["extra"] = torch.zeros(1)
    elif damage == "shape":
        tensors["synthesis.b8.conv0.weight"] = torch.zeros(1)
    save_safetensors(path, tensors, metadata)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", "not a whole safetensors file"),
        ("foreign", "'format' is 'pt'"),
        ("no metadata", "'format' is None"),
        ("no config", "'config'"),
        ("config is no JSON", "'config' builds no generator"),
        ("config is a list", "'config' builds no generator"),
        ("enormous", "'config'"),
        ("tensor missing", r"missing tensors \['synthesis.b8.conv0.weight'\]"),
        ("tensor too many", r"unknown tensors \['extra'\]"),
        ("shape", r"'synthesis.b8.conv0.weight' has shape \(1,\)"),
    ],
)
def test_a_damaged_file_is_one_clear_error(tmp_path, damage, message):
    path = tmp_path / "g.safetensors"
    damaged_file(path, damage)
    with pytest.raises(StorageError, match=message) as error:
        load_generator(path)
    assert "g.safetensors" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"img_resolution": 48}, "img_resolution is 48; it must be a power of two"),
        ({"img_resolution": 64.0}, "img_resolution is 64.0"),
        ({"img_resolution": 2}, "img_resolution is 2"),
        ({"img_resolution": 256}, "channel_base is 128; it must be at least img_resolution"),
        ({"z_dim": 0}, "z_dim is 0"),
        ({"w_dim": -4}, "w_dim is -4"),
        ({"c_dim": "3"}, "c_dim is '3'"),
        ({"img_channels": 0}, "img_channels is 0"),
        ({"resample_filter": [1, 2, 1]}, r"resample_filter is \[1, 2, 1\]"),
        ({"architecture": "resnet"}, "architecture is 'resnet'"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"fused_modconv": True}, "'fused_modconv' is not known"),
    ],
)
def test_impossible_networks_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_unknown_mapping_options_are_refused_by_name():
    with pytest.raises(ValueError, match="mapping_kwargs 'layers' is not known"):
        Generator(8, 0, 8, 8, 3, {"layers": 2})
    with pytest.raises(ValueError, match="num_layers is 0"):
        Generator(8, 0, 8, 8, 3, {"num_layers": 0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.mapping(torch.zeros(2, 9)), r"z has shape \(2, 9\); it must be \(B, 8\)"),
        (lambda g: g.mapping(torch.zeros(8)), r"z has shape \(8,\)"),
        (lambda g: g.mapping(None), "z is None"),
        (lambda g: g.mapping(torch.zeros(1, 8), c=torch.zeros(1, 2)), "takes no condition"),
        (lambda g: g.mapping(torch.zeros(1, 8), float("nan")), "truncation_psi is nan"),
        (lambda g: g.synthesis(torch.zeros(1, 12)), r"it must be \(B, 6, 12\)"),
        (lambda g: g.synthesis(torch.zeros(1, 8, 12)), r"ws has shape \(1, 8, 12\)"),
        (lambda g: g.synthesis(torch.zeros(1, 6, 12), "constant"), "noise_mode is 'constant'"),
        (lambda g: g.synthesis(torch.zeros(1, 6, 12), max_resolution=32), "max_resolution is 32"),
        (lambda g: g.synthesis(torch.zeros(1, 6, 12), max_resolution=12), "max_resolution is 12"),
    ],
)
def test_impossible_latents_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny())


def test_truncation_without_a_mean_is_refused():
    with torch.random.fork_rng():
        generator = Generator(8, 0, 8, 8, 3, {"w_avg_beta": None}, channel_base=8, channel_max=1)
    assert generator.mapping(torch.ones(1, 8)).shape == (1, 4, 8)
    with pytest.raises(ValueError, match=r"truncation_psi is 0\.5; it must be 1"):
        generator.mapping(torch.ones(1, 8), 0.5)


def test_one_step_of_adversarial_training_moves_every_weight():
    generator = tiny().train()
    discriminator = Discriminator(0, 16, 3, channel_base=128, channel_max=8)
    with torch.autocast("cpu", torch.bfloat16):
        ws = generator.mixed_ws(normal(4, 8), mixing_generator=torch.Generator().manual_seed(0))
        images = generator.synthesis(ws, "random", noise_generator=torch.Generator().manual_seed(1))
        logits = discriminator(images)
    torch.nn.functional.softplus(-logits).mean().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
