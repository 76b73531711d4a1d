"""The faces along a path of a map as a walk, which other views and files know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.walks.as_code import walk_code, walk_name
from l2l_widgets.walks.files import walk_recipe
from l2l_widgets.walks.interpolation import Interpolator
from l2l_widgets.walks.walk import Walk
from l2l_widgets.widgets.taking_home import frame_enlargement, save_strip

if TYPE_CHECKING:
    from l2l_widgets.maps.code_map import CodeMap
    from l2l_widgets.maps.paths import MapWalk

__all__ = ["save_path", "text_of_path", "walk_of_path"]


def walk_of_path(code_map: CodeMap, found: MapWalk) -> Walk:
    """The walk whose frames are the stops of a path: from seed to seed, each face half way too.

    Parameters
    ----------
    code_map : CodeMap
        On which the path was drawn.
    found : MapWalk
        The path.
    """
    seeds = tuple(code_map.seed_of(row) for row in found.rows if row is not None)
    psi = code_map.truncation_psi
    return Walk(seeds, space="w", frames=len(found.rows), truncation_psi=psi)


def save_path(code_map: CodeMap, found: MapWalk, folder: Path) -> dict[str, Any]:
    """Draw and write a path as a strip, as an InterpolationView does; what a page is told of it."""
    strip = Interpolator(code_map.models).draw(walk_of_path(code_map, found))
    assert strip is not None  # nothing abandons it
    return save_strip(code_map.models, strip, folder)


def text_of_path(code_map: CodeMap, found: MapWalk) -> dict[str, str]:
    """A path's name, its recipe and its code, as a page is told: ``what``, ``recipe``, ``code``."""
    walk = walk_of_path(code_map, found)
    recipe, side = walk_recipe(code_map.models, walk), code_map.models.generator.img_resolution
    return {
        "type": "text",
        "what": walk_name(walk),
        "recipe": json.dumps(recipe, indent=1),
        "code": walk_code(code_map.models, walk, frame_enlargement(side)),
    }
