"""The official numbers of the seeded cases, and the embedded generator, through every layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from l2l_widgets.checkpoints import open_checkpoint
from l2l_widgets.models.zoo import list_models, load
from tests import checkpoint_files as files
from tests.test_stylegan2_parity import CASES, GOLDEN, SLOW, TOLERANCE, build, inputs, sampled


def writers(generator):
    """Layout -> bytes, for the layouts that can hold this generator."""
    yield "nvlabs", lambda: files.nvlabs_bytes(generator, keys=("D", "G_ema"))
    if generator.mapping.w_avg_beta is not None:
        yield "tensorflow", lambda: files.tensorflow_bytes(generator)
    if not generator.c_dim and generator.synthesis.b4.conv1.conv_clamp is None:
        yield "rosinality zip", lambda: files.rosinality_bytes(generator)
        yield "rosinality legacy", lambda: files.rosinality_bytes(generator, zipped=False)


def read(path, data):
    path.write_bytes(data)
    with open_checkpoint(path) as checkpoint:
        return checkpoint.generator()


def check_equal(found, generator, layout):
    state = found.state_dict()
    assert state.keys() == generator.state_dict().keys()
    for name, tensor in generator.state_dict().items():
        if layout == "tensorflow" and name.endswith("affine.bias"):
            # stored less one, which costs the last bits of what is far from one
            assert torch.allclose(state[name], tensor, atol=2e-7, rtol=0), (layout, name)
        else:
            assert torch.equal(state[name], tensor), (layout, name)


@pytest.mark.parametrize("case", SLOW)
def test_seeded_cases_through_the_files(tmp_path, case):
    with np.load(GOLDEN) as numbers:
        prefix = f"{case}/"
        golden = {n.removeprefix(prefix): numbers[n] for n in numbers.files if n.startswith(prefix)}
    generator = build(case)
    z, c, wplus = inputs(case, *CASES[case]["dims"][:2], generator.num_ws, generator.w_dim)
    drawn = 0
    for layout, write in writers(generator):
        found = read(tmp_path / "g", write())
        check_equal(found, generator, layout)
        ws = found.mapping(z, 0.5, 3, c=c).numpy()[:, :5, ::7]
        assert float(np.abs(ws - golden["psi0.5_cutoff3"]).max()) <= TOLERANCE, layout
        if generator.img_resolution > 64 and layout != "nvlabs":
            continue  # equal to the bit: drawn once, from one layout
        image = sampled(found.synthesis(wplus, "const"))
        assert float(np.abs(image - golden["image/const"]).max()) <= TOLERANCE, layout
        drawn += 1
    assert drawn


def test_the_embedded_generator_through_every_layout(tmp_path):
    generator = load(list_models()[0]).generator
    assert generator.img_resolution >= 64
    layouts = dict(writers(generator))
    assert len(layouts) >= 2
    layouts["state_dict"] = lambda: files.torch_bytes(generator.state_dict())
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(0))
    wanted = generator(z, truncation_psi=0.7)
    assert float((wanted[0] - wanted[1]).abs().max()) > 0.1
    for layout, write in layouts.items():
        found = read(tmp_path / "g", write())
        check_equal(found, generator, layout)
        assert float((found(z, truncation_psi=0.7) - wanted).abs().max()) <= TOLERANCE, layout


@pytest.mark.parametrize("rate", [1.0, 0.1, 0.01, 0.001])
def test_a_learning_rate_that_no_file_tells_is_read_off_the_weights(tmp_path, rate):
    generator = files.make_generator(mapping={"lr_multiplier": rate})
    for layout, write in writers(generator):
        found = read(tmp_path / "g", write())
        assert found.mapping.fc0.bias_gain == pytest.approx(rate), layout
        ws = torch.randn(1, found.num_ws, 12, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(found.synthesis(ws), generator.synthesis(ws), atol=1e-6)
