"""A tiny world in which every editor's recipe is run, at settings that take a moment."""

from __future__ import annotations

import torch
from conftest import build_attribute_net, build_generator, write_manifest, write_world

from l2l_widgets.perception import save_network
from l2l_widgets.recipes import build_task, list_recipes, publish
from l2l_widgets.training import train

#: Recipe -> what makes it small.
SMALL = {
    "mapper": {"hidden_dim": 8, "layers": 1, "batch_size": 4, "augment": False},
    "interfacegan": {"chosen": 0.1},
    "ganspace": {"pca_codes": 400, "fresh_codes": 100, "components": 4, "effect_faces": 4},
    "styleflow": {"hidden_layers": 1, "batch_size": 16, "edit_steps": 4, "held_out": 40},
    "stylespace": {"candidates": 1, "effect_faces": 4},
}
LABELLED = {"response_faces": 8, "response_rounds": 0}


def write_open_world(folder):
    """An untrained world whose regressors at least tell its faces apart."""
    write_world(folder)
    (folder / "mapper.safetensors").unlink()
    generator = build_generator()
    z = torch.randn(64, generator.z_dim, generator=torch.Generator().manual_seed(3))
    images = generator.synthesis(generator.mapping(z)).detach()
    for name, seed in (("regressor", 1), ("regressor_b", 4)):
        net = build_attribute_net(seed)
        with torch.no_grad():
            features = net.features(images)
            net.head.weight.mul_(1.5 / (features @ net.head.weight.T).std(0)[:, None])
            net.head.bias.copy_(-(features.mean(0) @ net.head.weight.T))
        save_network(folder / f"{name}.safetensors", net)
    write_manifest(folder)
    return folder


def small(name, triplets, **changes):
    """An editor's recipe on 200 labelled faces, two steps long."""
    common = {"faces": 200, "calibration_faces": 16, "triplets": str(triplets)}
    common |= {"calibration_faces": 0} if name == "mapper" else LABELLED
    settings = {"steps": 2, "log_every": 1, "checkpoint_every": 1, "device": "cpu"}
    return list_recipes()[name].replace(**{**common, **settings, **SMALL[name], **changes})


def run(recipe, world, folder, **options):
    """Train it."""
    return train(build_task(recipe, world), recipe.settings, folder, progress=False, **options)


def publish_all(world, triplets, runs):
    """Train every editor of a world, and publish it there."""
    for name in SMALL:
        recipe = small(name, triplets)
        outcome = run(recipe, world, runs / name)
        publish(recipe, runs / name, world, {}, outcome.scores)
    return world
