"""Where walks end, by the judges that trained nothing.

An identity walk at the other person, a swept attribute where half of the identity is left.
"""

from __future__ import annotations

import json

import pytest
import torch

from l2l_widgets.disentangle import Signature
from l2l_widgets.models.zoo import load
from l2l_widgets.walks.files import parse_walk, walk_recipe
from l2l_widgets.walks.interpolation import Interpolator, Walk
from l2l_widgets.walks.persons import mixed_ends
from l2l_widgets.walks.reach import kept_span
from l2l_widgets.widgets.faces.interpolation_view import InterpolationView

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


#: Faces and attributes whose full reach leaves too little of the person.
SWEPT = ((3, "age"), (7, "age"), (1, "yaw"), (7, "smile"))


@pytest.mark.slow
def test_a_swept_attribute_leaves_half_of_the_identity(walker):
    """Asked by the whole reach, the same walks end with less."""
    lost = []
    for seed, name in SWEPT:
        walk = Walk((seed,), kind="attribute", attribute=name, frames=5)
        kept = (strip := walker.strip(walk)).curves.kept("first")
        assert min(kept[0], kept[-1]) > 0.499, (seed, name, kept)
        assert min(kept) > 0.4, (seed, name, kept)
        whole = walker.strip(
            Walk((seed,), kind="attribute", attribute=name, frames=5, span="reach")
        )
        lost.append(min(whole.curves.kept("first")))
        low, high = strip.walk.span
        assert strip.reach == whole.walk.span
        assert strip.reach[0] <= low < high <= strip.reach[1]
        stops = "It stops where less than half of the identity is kept; the method would ask for"
        said = strip.to_text(walker.models.table)
        assert (stops in said) == (strip.walk.span != strip.reach)
        assert stops not in whole.to_text(walker.models.table)
    assert min(lost) < 0.3, lost


def spans(shares, value=0.4, low=0.0, high=1.0):
    """The span for a face that keeps ``shares(distance)``, and what was looked at."""
    asked = []

    def kept(places):
        asked.extend(places)
        return [shares(abs(place - value)) for place in places]

    return kept_span(kept, value, low, high), asked


def test_the_span_ends_before_half_of_the_identity_is_lost():
    (low, high), asked = spans(lambda far: 1 - far)
    assert (low, high) == (0.0, pytest.approx(0.9, abs=0.6 / 32))
    assert high <= 0.9
    assert len(asked) < 24
    # the first loss counts, not that it comes back further out
    (_, high), _ = spans(lambda far: 0.2 if 0.1 < far < 0.2 else 1.0)
    assert high == pytest.approx(0.5, abs=0.6 / 32)
    assert spans(lambda far: 1.0)[0] == (0.0, 1.0)
    # never empty, and an end of the scale is not searched
    (low, high), asked = spans(lambda far: 0.0, value=1.0)
    assert 0.9 < low < high == 1.0
    assert max(asked) < 1.0
    assert kept_span(lambda places: None, 0.4, 0.0, 1.0) is None


def test_nobody_waits_for_the_span_any_more(tiny_models):
    asked = []

    def stale():
        asked.append(1)
        return True

    walk = Walk((3,), kind="attribute", attribute="age", frames=3)
    assert Interpolator(tiny_models).draw(walk, stale) is None
    assert len(asked) == 1


def test_the_whole_reach_may_be_asked_for_in_a_recipe_and_in_a_view(tiny_models, session):
    walk = Walk((3,), kind="attribute", attribute="age", frames=3, span="reach")
    again = parse_walk(json.dumps(walk_recipe(tiny_models, walk)), tiny_models)
    assert again.key() == walk.key()
    strip = Interpolator(tiny_models).draw(again)
    assert strip.walk.span[0] < strip.walk.span[1]
    assert strip.reach is None
    view = InterpolationView(session, kind="attribute", attribute="age", frames=3)
    assert view.wait(120)
    assert view.settings["extent"] == "kept"
    view.set(span="reach")
    assert view.wait(120)
    assert (view.settings["extent"], view.settings["span"]) == ("reach", list(view.strip.walk.span))
    view.set(attribute="smile")
    assert view.settings["extent"] == "reach"
    view.set(span=[0.2, 0.8])
    assert (view.settings["extent"], view.settings["span"]) == ("", [0.2, 0.8])
    view.set(span=None)
    assert view.settings["extent"] == "kept"
    with pytest.raises(ValueError, match="numbers from 0 to 1, or 'reach'"):
        view.set(span="far")
    view.close()
