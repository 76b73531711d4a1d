"""Official numbers for networks too large to keep: weights from a seed, pictures from a file.

`golden/nvlabs_seeded.npz` holds what the official code draws with the weights of `seeded_state`.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from l2l_widgets.stylegan2 import Generator
from l2l_widgets.stylegan2.textbook import draw

GOLDEN = Path(__file__).parent / "golden" / "nvlabs_seeded.npz"
TOLERANCE = 1e-4
SMALL = {"channel_base": 512, "channel_max": 32}
#: Name -> arguments of the official constructor (but for num_fp16_res, which a CPU ignores).
CASES = {
    "conditional": {"dims": (48, 5, 64, 32), "mapping": {"num_layers": 8}, **SMALL},
    "conditional_only": {"dims": (0, 5, 32, 16), "mapping": {"num_layers": 2}, **SMALL},
    "embedding": {
        "dims": (48, 5, 64, 16),
        "mapping": {"num_layers": 3, "embed_features": 20, "layer_features": 40},
        **SMALL,
    },
    "clamp_128": {"dims": (64, 0, 64, 128), "channel_base": 8192, "channel_max": 64, "clamp": 1.0},
    "config_f_64": {"dims": (512, 0, 512, 64)},
    "config_f_128": {"dims": (512, 0, 512, 128)},
    "config_f_256": {"dims": (512, 0, 512, 256)},
    "config_f_512": {"dims": (512, 0, 512, 512), "clamp": 256.0},
    "config_f_1024": {"dims": (512, 0, 512, 1024)},
}
LARGE = ("config_f_256", "config_f_512", "config_f_1024")
SLOW = [
    pytest.param(name, marks=pytest.mark.slow) if name.startswith("config_f") else name
    for name in CASES
]


def normal(name, *shape):
    """Numbers that depend on a name and a shape only; NumPy keeps this stream as it is."""
    source = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(source.standard_normal(shape).astype(np.float32))


def seeded_state(case, shapes):
    """Weights for a case: name -> tensor, of the given shapes."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith("resample_filter"):
            row = torch.tensor([1.0, 3.0, 3.0, 1.0])
            state[name] = torch.outer(row, row) / 64
            continue
        value = normal(f"{case}/{name}", *shape)
        if name.startswith("mapping.fc"):
            # Stored divided by the learning rate of 0.01; the bias is multiplied by it.
            value = value * (100.0 if name.endswith("weight") else 10.0)
        elif name.endswith("noise_strength"):
            value = 0.1 + 0.05 * value
        elif name.endswith("affine.bias"):
            value = 1 + 0.1 * value
        elif name.endswith("bias"):
            value = 0.2 * value
        state[name] = value
    return state


def inputs(case, z_dim, c_dim, num_ws, w_dim):
    """(z, c, wplus) of a case; z and c where it has them."""
    z = normal(f"{case}/z", 2, z_dim) if z_dim else None
    c = torch.eye(c_dim)[[1, 3]] if c_dim else None
    return z, c, normal(f"{case}/wplus", 1 if w_dim == 512 else 2, num_ws, w_dim)


def sampled(image):
    """At most 67 pixels of each picture, in every column: (B, C, n)."""
    flat = image.detach().flatten(2)
    step = max(1, flat.shape[2] // 67) | 1
    return flat[..., ::step].numpy()


def build(case):
    options = CASES[case]
    z_dim, c_dim, w_dim, side = options["dims"]
    mapping = options.get("mapping", {"num_layers": 2})
    sizes = {k: options[k] for k in ("channel_base", "channel_max") if k in options}
    generator = Generator(
        z_dim, c_dim, w_dim, side, 3, mapping, conv_clamp=options.get("clamp"), **sizes
    )
    shapes = {name: tuple(t.shape) for name, t in generator.state_dict().items()}
    generator.load_state_dict(seeded_state(case, shapes))
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as numbers:
        return {name: numbers[name] for name in numbers.files}


@pytest.mark.parametrize("case", SLOW)
def test_equal_to_the_official_code(golden, case):
    generator = build(case)
    z, c, wplus = inputs(case, *CASES[case]["dims"][:2], generator.num_ws, generator.w_dim)
    found = {}
    for name, arguments in (("ws", ()), ("psi0.7", (0.7,)), ("psi0.5_cutoff3", (0.5, 3))):
        found[name] = generator.mapping(z, *arguments, c=c).numpy()[:, :5, ::7]
    for noise in ("const", "none"):
        found[f"image/{noise}"] = sampled(generator.synthesis(wplus, noise))
    for picture in generator.synthesis.grow(wplus):
        found[f"block/{picture.shape[-1]}/rgb"] = sampled(picture)
    expected = {n.partition("/")[2]: v for n, v in golden.items() if n.startswith(f"{case}/")}
    features = {n: v for n, v in expected.items() if n.endswith("/x")}
    assert expected.keys() - features.keys() == found.keys()
    for name, value in found.items():
        assert value.shape == expected[name].shape, name
        assert float(np.abs(value - expected[name]).max()) <= TOLERANCE, name
    assert float(np.abs(expected["image/const"] - expected["image/none"]).max()) > 0.01
    # Features block by block: the path that trains. The textbook draws the same.
    assert len(features) == len(generator.synthesis.block_resolutions)
    if case in LARGE:
        return
    x = img = None
    plain = draw(generator.synthesis, wplus)[1]
    for side, rows in generator.synthesis.rows_of_blocks():
        x, img = getattr(generator.synthesis, f"b{side}")(x, img, wplus[:, rows])
        for value in (x, plain[side]):
            difference = np.abs(sampled(value)[:, ::5][:, :4] - features[f"block/{side}/x"])
            assert float(difference.max()) <= TOLERANCE, side


def test_the_clamp_is_reached(golden):
    for side in (16, 128):
        assert float(np.abs(golden[f"clamp_128/block/{side}/x"]).max()) == 1.0
