"""Small real parts: every fixture runs the package's own networks, at a size that costs nothing."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from exercise_checks import time_every_check

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors import MapperConfig, MapperEditor, MapperNetwork
from l2l_widgets.models.zoo import Models
from l2l_widgets.perception import AttributeNet, FaceEmbeddingNet, save_network
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.storage import sha256_file
from l2l_widgets.stylegan2 import Generator, save_generator

W_DIM = 16
RESOLUTION = 32

pytest_plugins = ["sharing", "apart"]

time_every_check()


class LinearEditor:
    """The plainest editor there is: a direction an attribute, added to every row of W+."""

    name = "linear"
    space = "w"
    can_preserve = False

    def __init__(self, directions, table=DEFAULT_TABLE):
        self.directions = directions  # (A, w_dim)
        self.table = table
        self.attributes = table.names
        self.calls = 0

    def edit(self, w, request):
        self.calls += 1
        deltas = request.deltas(self.table)
        if request.preserve:
            raise ValueError(
                f"preserve is {request.preserve!r}; the linear editor promises nothing"
            )
        if request.empty:
            return w.clone()
        return w + (deltas.to(w) @ self.directions.to(w))[:, None]


class CountingGenerator:
    """A generator that counts its faces, and may be held up to look at what happens meanwhile."""

    def __init__(self, generator):
        self._generator = generator
        self.z_dim, self.w_dim = generator.z_dim, generator.w_dim
        self.num_ws, self.img_resolution = generator.num_ws, generator.img_resolution
        self.faces = 0
        self.mapped = 0
        self.gate = threading.Event()
        self.gate.set()

    @property
    def w_avg(self):
        return self._generator.w_avg

    def mapping(self, z, truncation_psi=1.0, truncation_cutoff=None):
        self.mapped += len(z)
        return self._generator.mapping(z, truncation_psi, truncation_cutoff)

    def synthesis(self, ws, noise_mode="const"):
        assert self.gate.wait(120), "the test never opened the gate"
        self.faces += len(ws)
        return self._generator.synthesis(ws, noise_mode=noise_mode)


def build_generator(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(
            16,
            0,
            W_DIM,
            RESOLUTION,
            3,
            mapping_kwargs={"num_layers": 2},
            channel_base=512,
            channel_max=16,
        )
        generator.eval().requires_grad_(False)
        with torch.no_grad():
            z = torch.randn(512, 16)
            generator.mapping.w_avg.copy_(generator.mapping(z)[:, 0].mean(0))
            for name, noise in generator.named_buffers():
                if name.endswith("noise_const"):
                    noise.normal_()
    return generator


def build_attribute_net(seed, family="residual"):
    options = {"width": 24, "depth": 1} if family == "transformer" else {"width": 4}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = AttributeNet(DEFAULT_TABLE.names, family=family, features=16, **options)
    return net.eval().requires_grad_(False)


def build_embedder(seed, family="residual"):
    options = {"width": 24, "depth": 1} if family == "transformer" else {"width": 4}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = FaceEmbeddingNet(8, family=family, features=16, **options)
    return net.eval().requires_grad_(False)


def build_directions(seed=3):
    rng = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(len(DEFAULT_TABLE), W_DIM, generator=rng)


def build_mapper(generator, seed=6):
    """An untrained mapper whose linear term moves the face, so that its edits can be seen."""
    config = MapperConfig(generator.num_ws, generator.w_dim, len(DEFAULT_TABLE), layers=1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MapperNetwork(config, generator.w_avg, 1.0, build_directions())
    return MapperEditor(network, DEFAULT_TABLE)


def write_manifest(folder, **extra):
    entries = {
        p.name: {"sha256": sha256_file(p), "kind": p.stem, "recipe": f"{p.stem}-recipe"}
        for p in folder.glob("*.safetensors")
    }
    (folder / "MANIFEST.json").write_text(json.dumps({**entries, **extra}))


def write_world(folder):
    """A folder of untrained weights with its manifest, as recipes publish it."""
    folder.mkdir(parents=True)
    generator = build_generator()
    save_generator(folder / "generator.safetensors", generator)
    for name, seed in (("regressor", 1), ("regressor_b", 4)):
        save_network(folder / f"{name}.safetensors", build_attribute_net(seed))
    save_network(folder / "judge_regressor.safetensors", build_attribute_net(5, "transformer"))
    save_network(folder / "embedder.safetensors", build_embedder(2))
    save_network(folder / "judge_embedder.safetensors", build_embedder(12, "transformer"))
    build_mapper(generator).save(folder / "mapper.safetensors")
    write_manifest(folder)
    return folder


def make_session(models, **options):
    """A session with the linear editor and few random edits."""
    return EditSession(models, method="linear", **{"n_random": 8, **options})


def good(result):
    """A result that holds no error."""
    assert result.error is None
    return result


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory):
    """A world in a folder; tests that damage it make their own with write_world."""
    return write_world(tmp_path_factory.mktemp("weights") / "tiny-world")


@pytest.fixture(scope="session")
def tiny_generator():
    """A StyleGAN2 of 32 px with w_dim 16 and random weights."""
    return build_generator()


@pytest.fixture(scope="session")
def tiny_parts(tiny_generator):
    """Every part of Models.from_parts, untrained, the judges of another family."""
    return {
        "generator": tiny_generator,
        "regressor": build_attribute_net(1),
        "embedder": build_embedder(2),
        "attribute_judge": build_attribute_net(11, "transformer"),
        "identity_judge": build_embedder(12, "transformer"),
    }


@pytest.fixture
def tiny_models(tiny_parts):
    """Models with an editor that really edits."""
    editor = LinearEditor(build_directions())
    return Models.from_parts(**tiny_parts, editors={"linear": editor}, name="tiny")


@pytest.fixture
def counting_generator(tiny_generator):
    return CountingGenerator(tiny_generator)


@pytest.fixture
def session(tiny_models):
    return make_session(tiny_models)


@pytest.fixture
def counted(counting_generator, tiny_parts):
    """A session whose generator counts its faces."""
    editor = LinearEditor(build_directions())
    parts = {**tiny_parts, "generator": counting_generator}
    return make_session(Models.from_parts(**parts, editors={"linear": editor}))
