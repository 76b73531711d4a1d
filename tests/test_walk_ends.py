"""Where walks end, by the judges that trained nothing: an identity walk at the other person."""

from __future__ import annotations

import json

import pytest
import torch

from l2l_widgets.disentangle import Signature
from l2l_widgets.models.zoo import load
from l2l_widgets.walks.files import parse_walk, walk_recipe
from l2l_widgets.walks.interpolation import Interpolator, Walk
from l2l_widgets.walks.persons import mixed_ends

#: Pairs of seeds. By the editor alone the lowest of them ends at 17 % of the other person.
PAIRS = ((1, 15), (3, 7), (5, 8), (2, 9), (11, 4), (21, 22), (40, 41))


@pytest.fixture(scope="module")
def walker():
    return Interpolator(load())


@pytest.mark.slow
def test_an_identity_walk_arrives_at_the_other_person(walker):
    arrived, left, shares = [], [], []
    for pair in PAIRS:
        strip = walker.strip(Walk(pair, kind="identity", frames=3))
        curves = strip.curves
        arrived.append(curves.kept("last")[-1])
        held = [i for i, name in enumerate(curves.names) if name in strip.walk.hold]
        off, free = (
            float((values[-1] - values[0])[held].abs().mean())
            for values in (curves.readings, curves.plain)
        )
        shares.append(off / free)
        assert strip.walk.identity_by == "mixer"
        assert torch.equal(strip.ws[0], strip.plain[0]), "the first frame is the face itself"
        left.append(curves.kept("first")[-1])
        said = strip.to_text(walker.models.table)
        assert f"{100 * arrived[-1]:.0f} % that of the other" in said
        assert ("does not reach" in said) == (arrived[-1] < 0.5)
    assert min(arrived) > 0.35, arrived
    assert sum(arrived) / len(arrived) > 0.55, arrived
    assert sum(left) / len(left) < 0.3, left
    assert sum(shares) / len(shares) < 0.9, shares  # and the attributes did come back


@pytest.mark.slow
def test_without_the_mixer_a_walk_says_what_it_reached(walker):
    strip = walker.strip(Walk((40, 41), kind="identity", frames=2, identity_by="editor"))
    said = strip.to_text(walker.models.table)
    assert strip.curves.kept("last")[-1] < 0.5
    assert "does not reach the other person" in said
    assert "without an identity mixer" in said


def test_models_without_a_mixer_walk_by_the_editor(tiny_models):
    walker = Interpolator(tiny_models)
    strip = walker.strip(Walk((3, 8), kind="identity", frames=3))
    assert strip.walk.identity_by == "editor"
    assert "without an identity mixer" in strip.to_text(tiny_models.table)
    with pytest.raises(ValueError, match="have none; allowed: editor"):
        walker.draw(Walk((3, 8), kind="identity", identity_by="mixer"))
    with pytest.raises(ValueError, match="identity_by is 'magic'; allowed: mixer, editor"):
        walker.draw(Walk((3, 8), kind="identity", identity_by="magic"))


def test_an_end_is_half_way_between_the_mix_and_the_moved_face(tiny_generator):
    """Exact for a mixer that is linear: other + (mix - other's own mix), and the mix itself."""

    class Mixer:
        generator = tiny_generator

        def signature(self, image):
            return Signature(image[:, 0, 0, :8], image[:, 1, 0, :8])

        def latent(self, identity, attributes):
            return torch.cat([identity.person, attributes.attributes], dim=1)

    images = list(torch.rand(3, 1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    ends = [torch.full((1, 8, 16), float(i)) for i in range(3)]
    found = mixed_ends(Mixer(), ends, images)
    assert torch.equal(found[0], ends[0])
    for latent, image, end in zip(found[1:], images[1:], ends[1:], strict=True):
        person, other, first = image[0, 0, 0, :8], image[0, 1, 0, :8], images[0][0, 1, 0, :8]
        mix = torch.cat([person, first])
        moved = end[0, 0] + mix - torch.cat([person, other])
        assert torch.allclose(latent[0], ((mix + moved) / 2).expand(8, -1), atol=1e-6)


def test_a_recipe_from_before_the_mixer_walks_as_it_did(walker):
    walk = Walk((3, 8), kind="identity", identity_by="mixer", hold=("age",), method="mapper")
    recipe = walk_recipe(walker.models, walk)
    assert {"embedder", "identity_mixer"} <= set(recipe["models"]["hashes"])
    assert parse_walk(json.dumps(recipe), walker.models).key() == walk.key()
    del recipe["identity_by"]
    assert parse_walk(json.dumps(recipe), walker.models).identity_by == "editor"
    recipe["models"]["hashes"]["identity_mixer"] = "0" * 64
    with pytest.raises(ValueError, match="identity_mixer is 000000"):
        parse_walk(json.dumps(recipe), walker.models)
