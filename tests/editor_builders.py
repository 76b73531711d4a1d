"""A small real editor of each method, fitted to the tiny generator that the fixtures draw with."""

from __future__ import annotations

import functools

import torch
from conftest import build_attribute_net, build_mapper

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.conditional import ConditionalEditor
from l2l_widgets.editors.interfacegan import InterFaceGANEditor, fit_boundaries
from l2l_widgets.editors.origins import Origin

FACES = 600


@functools.cache
def labelled(generator):
    """Codes (600, w_dim) of W and their readings, as a recipe labels them."""
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


#: Method -> (generator, its hash) -> the editor.
BUILDERS = {
    "mapper": lambda generator, _: build_mapper(generator),
    "interfacegan": interfacegan,
    "interfacegan-conditional": conditional,
}
