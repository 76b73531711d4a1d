"""A walk as the Python that draws it again."""

from __future__ import annotations

import json
from dataclasses import fields

from torch import Tensor

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.as_code import models_line
from l2l_widgets.walks.files import walk_recipe
from l2l_widgets.walks.walk import Walk

__all__ = ["walk_code", "walk_name"]

#: Said in the code whatever they are: without them nobody would know which faces these are.
_ALWAYS = ("space", "frames", "truncation_psi")


def walk_code(models: Models, walk: Walk, scale: int = 1) -> str:
    """Python that draws, measures and saves a walk, to the same pixels.

    Parameters
    ----------
    models : Models
        Embedded ones and those of a folder are named in the code; of models that were put together
        in Python, the code leaves the place open.
    walk : Walk
        One that can be drawn. A latent has no short name: with one among its faces, the code
        carries the recipe.
    scale : int
        Enlargement of each frame in the strip that the code saves.

    Returns
    -------
    str
        Ends with a line break.
    """
    line = models_line(models)
    latents = any(isinstance(face, Tensor) for face in walk.faces)
    imports = ["from l2l_widgets import load"] if "load(" in line else []
    if latents:
        imports = ["import json", "", *imports]
        parts = ["read_walk, save_walk", "Interpolator"]
        recipe = json.dumps(walk_recipe(models, walk), allow_nan=False)
        made = [f"RECIPE = {recipe!r}", "walk = read_walk(json.loads(RECIPE), models)"]
    else:
        parts = ["save_walk", "Interpolator, Walk"]
        made = [f"walk = Walk({_arguments(walk)})"]
    larger = "" if scale == 1 else f", scale={scale}"
    return "\n".join(
        [
            *imports,
            f"from l2l_widgets.walks.files import {parts[0]}",
            f"from l2l_widgets.walks.interpolation import {parts[1]}",
            "",
            line,
            *made,
            "strip = Interpolator(models).strip(walk)  # .images, .ws, and .curves of the judges",
            "print(strip.to_text(models.table))",
            f'save_walk("{walk_name(walk)}.png", models, strip{larger})  # with the recipe inside',
            "",
        ]
    )


def walk_name(walk: Walk) -> str:
    """A file name without its ending that says what a walk is: "walk-3-8", "walk-3-smile"."""
    names = [str(f) if isinstance(f, int) else "latent" for f in walk.faces]
    return "-".join(["walk", *names, *([walk.attribute] if walk.attribute else [])])


def _arguments(walk: Walk) -> str:
    """The faces, and what is not as it would be anyway."""
    usual = Walk(walk.faces, space=walk.space)
    names = [field.name for field in fields(walk)]
    given = [n for n in names if getattr(walk, n) != getattr(usual, n) or n in _ALWAYS]
    return ", ".join([repr(walk.faces), *(f"{name}={getattr(walk, name)!r}" for name in given)])
