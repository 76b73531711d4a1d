"""A tiny world with a mixer: untrained networks of the real kind, written as recipes publish."""

from __future__ import annotations

import torch
from conftest import build_embedder, build_generator, write_manifest, write_world

from l2l_widgets.disentangle import MIXER_FILE, FaceMixer, MixerConfig, MixerNetwork, save_mixer
from l2l_widgets.perception import LandmarkNet, save_network
from l2l_widgets.storage import sha256_file

CONFIG = MixerConfig(embedding_dim=8, w_dim=16, width=4, features=16, hidden=(24, 16, 16))


def build_network(seed=21, config=CONFIG):
    """A mixer that at least answers to both of its inputs."""
    generator = build_generator()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        w = generator.mapping(torch.randn(256, 16))[:, 0].detach()
        network = MixerNetwork(config, cloud=torch.stack([w.mean(0), w.std(0)]))
        with torch.no_grad():
            network.layers[-1].weight.mul_(20)
    return network.eval().requires_grad_(False)


def build_mixer():
    return FaceMixer(build_generator(), build_embedder(2), build_network())


def write_mixing_world(folder):
    """An untrained world with a landmark network and a mixer."""
    write_world(folder)
    with torch.random.fork_rng():
        torch.manual_seed(31)
        save_network(folder / "landmarks.safetensors", LandmarkNet(51, width=4, features=16))
    origin = {p: sha256_file(folder / f"{p}.safetensors") for p in ("generator", "embedder")}
    save_mixer(folder / MIXER_FILE, build_network(), origin)
    write_manifest(folder)
    return folder


def face(seed):
    """A picture (3, 32, 32) of the tiny generator's, in colour."""
    generator = build_generator()
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(seed))
    return generator.synthesis(generator.mapping(z))[0].detach().clamp(-1, 1)
