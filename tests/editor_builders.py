"""A small real editor of each method, fitted to the tiny generator that the fixtures draw with."""

from __future__ import annotations

import functools

import torch
from conftest import build_attribute_net, build_mapper

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.conditional import ConditionalEditor
from l2l_widgets.editors.ganspace import GANSpaceEditor, fit_components
from l2l_widgets.editors.interfacegan import InterFaceGANEditor, fit_boundaries
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.styleflow import (
    FlowConfig,
    StyleFlowEditor,
    StyleFlowNetwork,
    published_rows,
)
from l2l_widgets.editors.stylespace import StyleSpaceEditor, style_layers

FACES = 300


@functools.cache
def labelled(generator):
    """Codes (300, w_dim) of W and their readings, as a recipe labels them."""
    z = torch.randn(FACES, generator.z_dim, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        ws = generator.mapping(z)
        images = torch.cat([generator.synthesis(part) for part in ws.split(100)])
        readings = build_attribute_net(1)(images)
    # an untrained regressor reads nearly one number everywhere: spread it, in its own order
    rank = readings.argsort(dim=0).argsort(dim=0)
    return ws[:, 0].clone(), ((rank + 0.5) / FACES).clone()


def origin_of(models_hash, space="w"):
    return Origin(models_hash, space, f"{FACES} codes of a test")


def boundaries(generator, models_hash):
    codes, readings = labelled(generator)
    return fit_boundaries(codes, readings, DEFAULT_TABLE.names, origin_of(models_hash), chosen=0.1)


def interfacegan(generator, models_hash):
    found = boundaries(generator, models_hash)
    return InterFaceGANEditor.from_boundaries(found, DEFAULT_TABLE, generator.num_ws)


def conditional(generator, models_hash):
    found = boundaries(generator, models_hash)
    return ConditionalEditor.from_boundaries(found, DEFAULT_TABLE, generator.num_ws)


def untrained_reader(generator):
    """What reads latents: the tiny regressor, its little differences drawn apart."""
    regressor = build_attribute_net(1)
    codes, _ = labelled(generator)

    def draw(ws):
        with torch.inference_mode():
            return regressor(generator.synthesis(ws))

    known = draw(codes[:64, None].expand(-1, generator.num_ws, -1))
    mean, spread = known.mean(0), known.std(0).clamp_min(1e-6)
    return lambda ws: torch.sigmoid((draw(ws) - mean) / spread).clone()


def ganspace(generator, models_hash):
    codes, readings = labelled(generator)
    components = fit_components(codes.split(200), codes, origin_of(models_hash), count=6)
    ws = codes[:8, None].repeat(1, generator.num_ws, 1)
    return GANSpaceEditor.from_components(
        components, DEFAULT_TABLE, untrained_reader(generator), ws, readings.std(0), most=2
    )


def stylespace(generator, models_hash):
    codes, readings = labelled(generator)
    ws = codes[:8, None].repeat(1, generator.num_ws, 1)
    return StyleSpaceEditor.from_codes(
        style_layers(generator), codes, readings, DEFAULT_TABLE, untrained_reader(generator), ws,
        origin_of(models_hash, "s"), most=2, candidates=1,
    )  # fmt: skip


def styleflow(generator, models_hash):
    codes, readings = labelled(generator)
    config = FlowConfig(generator.w_dim, len(DEFAULT_TABLE), generator.num_ws, hidden_layers=1)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = StyleFlowNetwork(config, codes, readings)
    editor = StyleFlowEditor(network, DEFAULT_TABLE, origin_of(models_hash))
    return editor.set_rows(published_rows(DEFAULT_TABLE, generator.num_ws))


#: Method -> (generator, its hash) -> the editor.
BUILDERS = {
    "mapper": lambda generator, _: build_mapper(generator),
    "interfacegan": interfacegan,
    "interfacegan-conditional": conditional,
    "ganspace": ganspace,
    "styleflow": styleflow,
    "stylespace": stylespace,
}
