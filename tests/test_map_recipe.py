"""`l2l train map` on a small world: what it writes, and that a killed run goes on."""

from __future__ import annotations

import pytest
import torch
from conftest import write_world

from l2l_widgets.maps.files import MAP_FILE, open_map
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes import build_task, get_recipe, input_hashes, list_recipes, publish
from l2l_widgets.training import train

SMALL = {"count": 100, "neighbours": 6, "seeds": 2, "feature_seeds": 1, "epochs": 20}


@pytest.mark.slow
def test_a_map_is_made_layout_by_layout_and_goes_on_after_a_stop(tmp_path):
    world = write_world(tmp_path / "world")
    recipe = get_recipe("map").replace(**SMALL, thumbnails=20, side=8, steps=4)
    run = tmp_path / "run"
    first = train(
        build_task(recipe.replace(steps=2), world), recipe.replace(steps=2).settings, run,
        progress=False,
    )  # fmt: skip
    assert first.finished
    done = train(
        build_task(recipe, world), recipe.settings, run, resume=True, progress=False
    )  # fmt: skip
    assert done.finished
    assert set(done.scores) > {"w_kept", "identity_trustworthiness", "attributes_continuity"}
    inputs = input_hashes(recipe, list_recipes(), world)
    publish(recipe, run, world, inputs, done.scores)
    models = load(world)
    assert "map" not in models.available_editors
    found = open_map(models)
    assert list(found.layouts) == [("w", 0), ("w", 1), ("identity", 0), ("attributes", 0)]
    assert found.known == 100
    assert found.atlas["count"] == 20
    assert (world / MAP_FILE).stat().st_size == done.scores["bytes"]
    whole = train(build_task(recipe, world), recipe.settings, tmp_path / "again", progress=False)
    assert whole.finished
    again = open_map(models, tmp_path / "again" / "final" / MAP_FILE)
    for key, layout in found.layouts.items():
        assert torch.equal(layout.coordinates, again.layouts[key].coordinates), key


@pytest.mark.parametrize(
    ("change", "words"),
    [({"seeds": 0}, "seeds is 0"), ({"side": 4}, "side is 4"), ({"thumbnails": 10**6}, "10000")],
)
def test_settings_are_checked_before_anything_is_drawn(change, words):
    with pytest.raises(ValueError, match=words):
        get_recipe("map").replace(**change)
