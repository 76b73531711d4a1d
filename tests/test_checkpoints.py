"""Foreign generators: every layout reads to the bit and draws the official numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from l2l_widgets.checkpoints import CheckpointError, convert, describe, open_checkpoint
from l2l_widgets.stylegan2 import Generator, load_generator, save_generator
from tests import checkpoint_files as files
from tests.golden_numbers import numbers_of

TOLERANCE = 1e-4
#: Layout -> what writes a generator so; those without noise of their own are tested apart.
LAYOUTS = {
    "nvlabs": files.nvlabs_bytes,
    "nvlabs of the stylegan3 code": lambda g: files.nvlabs_bytes(g, flat=True),
    "nvlabs with half precision": lambda g: files.nvlabs_bytes(g, fp16_sides=(8, 16, 32)),
    "tensorflow": files.tensorflow_bytes,
    "rosinality zip": files.rosinality_bytes,
    "rosinality legacy": lambda g: files.rosinality_bytes(g, zipped=False),
    "state_dict": lambda g: files.torch_bytes(g.state_dict()),
}


def write(path, data):
    path.write_bytes(data)
    return path


def read(path):
    with open_checkpoint(path) as checkpoint:
        return checkpoint.generator()


def assert_equal(found, wanted):
    state = found.state_dict()
    assert state.keys() == wanted.state_dict().keys()
    for name, tensor in wanted.state_dict().items():
        assert state[name].dtype == torch.float32
        assert torch.equal(state[name], tensor), name
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_to_the_bit(tmp_path, layout):
    generator = files.make_generator(side=32)
    path = write(tmp_path / "own", LAYOUTS[layout](generator))
    found = read(path)
    assert_equal(found, generator)
    assert found.config == generator.config
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(found(z, truncation_psi=0.7), generator(z, truncation_psi=0.7), atol=1e-6)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path, protocol):
    generator = files.make_generator(conv_clamp=2.5)
    for data in (
        files.nvlabs_bytes(generator, protocol),
        files.tensorflow_bytes(generator, protocol),
    ):
        found = read(write(tmp_path / "g.pkl", data))
        assert_equal(found, generator)
        assert found.config["conv_clamp"] == 2.5


def official(golden):
    """The generator of a case."""
    config = {n[7:]: golden[n].item() for n in golden if n.startswith("config/")}
    clamp = None if config["conv_clamp"] < 0 else config["conv_clamp"]
    generator = Generator(
        config["z_dim"], 0, config["w_dim"], config["img_resolution"], 3,
        {"num_layers": config["num_layers"], "lr_multiplier": config["lr_multiplier"]},
        channel_base=config["channel_base"], channel_max=config["channel_max"], conv_clamp=clamp,
    ).eval().requires_grad_(False)  # fmt: skip
    state = {n[6:]: torch.from_numpy(golden[n]) for n in golden if n.startswith("state/")}
    missing = generator.load_state_dict(state, strict=False).missing_keys
    assert not [n for n in missing if not n.startswith("mapping.") and "resample" not in n]
    return generator


@pytest.mark.parametrize(
    "case", ["nvlabs_32px", "nvlabs_64px", "nvlabs_32px_clamp", "rosinality_32px"]
)
def test_the_official_pictures_through_every_layout(tmp_path, case):
    golden = numbers_of(case)
    generator = official(golden)
    clamp = generator.synthesis.b4.conv1.conv_clamp
    pictures = [n for n in golden if n.startswith("image/")]
    assert len(pictures) >= 3
    for layout, writer in LAYOUTS.items():
        if clamp is not None and not layout.startswith(("nvlabs", "tensorflow")):
            continue  # rosinality's code has no clamp
        found = read(write(tmp_path / "g", writer(generator)))
        for name in pictures:
            _, latents, noise = name.split("/")
            ws = torch.from_numpy(golden[latents])
            image = found.synthesis(ws, noise_mode=noise.removeprefix("noise_"))
            kept = image.flatten(2)[..., :: int(golden["pixel_stride"])].numpy()
            assert float(np.abs(kept - golden[name]).max()) <= TOLERANCE, (layout, name)
        if "z" in golden:
            ws = found.mapping(torch.from_numpy(golden["z"]), 0.5, 4).numpy()
            assert float(np.abs(ws - golden["ws_psi0.5_cutoff4"]).max()) <= TOLERANCE, layout


def test_the_layout_of_tensorflow_is_the_official_one(tmp_path):
    """By arrays that the official converter reads: our writer and our reader cannot both be wrong.

    Every seventh number of each array is kept, which no transposed or turned array has in common.
    """
    golden, case = numbers_of("tf_layout_32px"), numbers_of("nvlabs_32px")
    generator = official(case)
    mapping, synthesis = files.tensorflow_variables(generator)
    written = {f"mapping/{n}": a for n, a in mapping.items()}
    written |= {f"synthesis/{n}": a for n, a in synthesis.items()}
    written["dlatent_avg"] = generator.w_avg.numpy()
    assert {n[3:] for n in golden if n.startswith("tf/")} == written.keys()
    for name, array in written.items():
        assert np.shape(array) == tuple(golden[f"shape/{name}"]), name
        assert np.array_equal(np.ravel(array)[::7], golden[f"tf/{name}"]), name
    settings = {n[14:]: a.item() for n, a in golden.items() if n.startswith("static_kwargs/")}
    path = write(tmp_path / "tf.pkl", files.tensorflow_bytes(generator, settings=settings))
    found = read(path)
    for name in (n for n in case if n.startswith("image/")):
        _, latents, noise = name.split("/")
        image = found.synthesis(torch.from_numpy(case[latents]), noise.removeprefix("noise_"))
        kept = image.flatten(2)[..., :: int(case["pixel_stride"])].numpy()
        assert float(np.abs(kept - case[name]).max()) <= TOLERANCE, name
    for name, arguments in (("ws", ()), ("ws_psi0.7", (0.7,)), ("ws_psi0.5_cutoff4", (0.5, 4))):
        ws = found.mapping(torch.from_numpy(case["z"]), *arguments).numpy()
        assert float(np.abs(ws - case[name]).max()) <= TOLERANCE, name


@pytest.mark.parametrize(
    "options",
    [
        {"c_dim": 4},
        {"c_dim": 4, "mapping": {"embed_features": 5, "layer_features": 20, "num_layers": 3}},
        {"mapping": {"num_layers": 1, "lr_multiplier": 0.02, "w_avg_beta": 0.99}},
        {"mapping": {"w_avg_beta": None}},
        {"use_noise": False},
        {"conv_clamp": 256.0, "img_channels": 1},
        {"channel_base": 2048, "channel_max": 8},
        {"side": 4},
        {"side": 64, "channel_base": 128},
    ],
)
def test_every_kind_of_generator_is_read(tmp_path, options):
    generator = files.make_generator(**options)
    found = read(write(tmp_path / "g.pkl", files.nvlabs_bytes(generator)))
    assert_equal(found, generator)
    again = {**generator.config, "mapping_kwargs": found.config["mapping_kwargs"]}
    again.pop("use_noise", None)
    assert again.items() <= {"img_channels": 3, **found.config}.items()
    assert found.mapping.fc0.bias_gain == generator.mapping.fc0.bias_gain
    assert found.mapping.w_avg_beta == generator.mapping.w_avg_beta


def test_classes_in_tensorflow(tmp_path):
    generator = files.make_generator(c_dim=4)
    found = read(write(tmp_path / "g.pkl", files.tensorflow_bytes(generator)))
    assert_equal(found, generator)


def test_half_precision_files_become_single_precision(tmp_path):
    generator = files.make_generator().half()
    for data in (files.nvlabs_bytes(generator), files.torch_bytes(generator.state_dict())):
        found = read(write(tmp_path / "g", data))
        for name, tensor in generator.state_dict().items():
            if not name.endswith("resample_filter"):
                assert torch.equal(found.state_dict()[name], tensor.float()), name


def test_what_a_file_lacks_is_made_up_and_said(tmp_path):
    generator = files.make_generator()
    path = write(tmp_path / "g.pt", files.rosinality_bytes(generator, average=False))
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.generator()
        assert "latent_avg" in checkpoint.notes[0]
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    mean, spread = generator.mapping(z)[:, 0].mean(0), generator.mapping(z)[:, 0].std(0)
    assert float(((found.w_avg - mean) / spread).abs().max()) < 0.1
    assert torch.equal(found.w_avg, read(path).w_avg)

    state = files.rosinality_state(generator)
    bare = {n: t for n, t in state.items() if not n.startswith("noises.")}
    path = write(tmp_path / "n.pt", files.torch_bytes({"g": bare, "latent_avg": generator.w_avg}))
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.generator()
        text = " ".join(checkpoint.notes)
    assert "no constant noise" in text
    assert "no 'g_ema'" in text
    noise = found.synthesis.b16.conv1.noise_const
    assert 0.5 < float(noise.std()) < 1.5
    assert torch.equal(noise, read(path).synthesis.b16.conv1.noise_const)


def test_training_files_are_read_and_only_the_average_generator_of_them(tmp_path):
    generator, other = files.make_generator(0), files.make_generator(1)
    whole = {"g": files.rosinality_state(other), "g_ema": files.rosinality_state(generator)}
    data = files.rosinality_bytes(generator, training=True)
    found = read(write(tmp_path / "train.pt", data))
    assert_equal(found, generator)
    path = write(tmp_path / "both.pt", files.torch_bytes(whole, zipped=False))
    with open_checkpoint(path) as checkpoint:
        assert (checkpoint.network, checkpoint.networks) == ("g_ema", ("g", "g_ema"))
        found = checkpoint.generator()
    assert torch.equal(found.synthesis.b4.const, generator.synthesis.b4.const)


def test_neighbours_are_never_decoded(tmp_path):
    """Garbage in the discriminator's storage goes unnoticed; in the generator's it does not."""
    generator = files.make_generator()
    data = files.nvlabs_bytes(generator, keys=("D", "G_ema"))
    bias = torch.nn.Linear(3, 2).bias
    at = data.index(b"FloatStorage")
    assert at < data.index(b"noise_strength")
    broken = data[:at] + b"OddlyStorage" + data[at + 12 :]
    assert bias.shape == (2,)
    assert_equal(read(write(tmp_path / "d.pkl", broken)), generator)
    at = data.rindex(b"FloatStorage")
    broken = data[:at] + b"OddlyStorage" + data[at + 12 :]
    with pytest.raises(CheckpointError, match=r"torch\.OddlyStorage"):
        open_checkpoint(write(tmp_path / "g.pkl", broken))


def test_conversion_keeps_provenance(tmp_path):
    generator = files.make_generator()
    source = write(tmp_path / "faces.pkl", files.nvlabs_bytes(generator))
    target = tmp_path / "faces.safetensors"
    provenance = convert(source, target)
    assert_equal(load_generator(target), generator)
    told = describe(target)
    assert told["provenance"] == provenance
    assert provenance["source"] == "faces.pkl"
    assert provenance["source_sha256"] == describe(source)["sha256"]
    assert provenance["layout"] == "nvlabs"
    assert provenance["network"] == "G_ema"
    assert provenance["tool"].startswith("l2l_widgets ")
    assert provenance["converted"].endswith("+00:00")
    with pytest.raises(CheckpointError, match="is there already"):
        convert(source, target)
    with pytest.raises(CheckpointError, match=r"allowed: a name that ends in \.safetensors"):
        convert(source, tmp_path / "faces.pt")
    again = convert(target, tmp_path / "again.safetensors")
    assert again["earlier"] == provenance
    assert again["tensors_sha256"] == provenance["tensors_sha256"]
    save_generator(tmp_path / "plain.safetensors", generator, {"recipe": "mine"})
    assert describe(tmp_path / "plain.safetensors")["provenance"] is None


def test_a_description_reads_no_weights(tmp_path):
    generator = files.make_generator(c_dim=4, conv_clamp=256.0)
    path = write(tmp_path / "g.pkl", files.nvlabs_bytes(generator))
    told = describe(path)
    assert json.loads(json.dumps(told)) == told
    assert (told["z_dim"], told["w_dim"], told["num_ws"], told["classes"]) == (8, 12, 6, 4)
    assert told["spaces"] == {"z": [8], "w": [12], "w+": [6, 12]}
    assert told["networks"] == ["G", "D", "G_ema"]
    assert told["parameters"] == sum(p.numel() for p in generator.parameters())
    assert told["channels"] == {"4": 8, "8": 8, "16": 8}
    assert told["can"]["draw"] is True
    assert told["can"]["edit"] is False
    assert "method" in told["can"]["missing"]["edit"][0]


MEASURE = """
import sys, time
from l2l_widgets.checkpoints import describe, open_checkpoint
from l2l_widgets.models.zoo import load
from l2l_widgets.session.edit_session import EditSession
import l2l_widgets.stylegan2

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

before, start = peak(), time.process_time()
with open_checkpoint(sys.argv[1]) as checkpoint:
    generator = checkpoint.generator()
weights = sum(t.nbytes for t in generator.state_dict().values())
print(time.process_time() - start, (peak() - before) / weights, weights)
del generator
session = EditSession(load(sys.argv[1]))
assert session.render().before is not None
print((peak() - before) / 2**20, describe(sys.argv[1])["drawing_mb"])
"""


@pytest.mark.slow
def test_an_official_1024_px_file_is_read_quickly_and_in_little_memory(tmp_path):
    generators = [
        Generator(512, 0, 512, 1024, 3, conv_clamp=256.0).eval().requires_grad_(False)
        for _ in range(2)
    ]
    assert sum(p.numel() for p in generators[0].parameters()) > 30_000_000
    with files.fake_modules():
        whole = {
            name: files.persistent(g, files.EasyDict(g.config))
            for name, g in zip(("G", "G_ema"), generators, strict=True)
        }
        path = tmp_path / "ffhq.pkl"
        with open(path, "wb") as stream:
            files.pickle.dump(whole, stream, protocol=3)
    assert os.path.getsize(path) > 240e6
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    seconds, times, weights, drawn, stated = map(float, done.stdout.split())
    print(
        f"{weights / 2**20:.0f} MB of weights of {os.path.getsize(path) / 2**20:.0f} MB: "
        f"{seconds:.2f} CPU s, {times:.2f} times the weights, "
        f"{time.perf_counter() - start:.1f} s with the start of Python"
    )
    assert seconds <= 3
    assert times <= 1.3
    print(f"drawing took {drawn:.0f} MB, {stated:.0f} MB were stated")
    assert 0.75 * stated < drawn < 1.1 * stated
