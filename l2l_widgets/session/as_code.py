"""An edit as the Python that makes it again."""

from __future__ import annotations

from typing import Any

from l2l_widgets.models.zoo import Models, list_models
from l2l_widgets.session.replay import Recipe
from l2l_widgets.session.states import Edit, SessionState


def python_code(models: Models, state: SessionState, scale: int = 1) -> str:
    """Python that draws, measures and saves what a state describes, to the same pixels.

    Parameters
    ----------
    models : Models
        Embedded ones and those of a folder are named in the code; of models that were put together
        in Python, the code leaves the place open.
    state : SessionState
        One that can be drawn.
    scale : int
        Enlargement of the saved picture.

    Returns
    -------
    str
        With public names only, ends with a line break.
    """
    edits = [edit for edit in state.edits if not edit.empty]
    names = ["EditSession"]
    lines = [models_line(models)]
    names += ["load"] if "load(" in lines[0] else []
    if state.w is None:
        method = edits[0].method if edits else state.edits[-1].method
        given = f"seed={state.seed!r}, truncation_psi={state.truncation_psi!r}, method={method!r}"
        lines.append(f"session = EditSession(models, {given})")
        if state.noise_mode != "const":
            lines.append(f"session.update(noise_mode={state.noise_mode!r})")
        for i, edit in enumerate(edits):
            lines += [f"session.stack({edit.method!r})"] if i else []
            lines.append(f"session.update({_fields(edit)})")
    else:  # a latent has no short name: the recipe carries it
        lines.insert(0, f"RECIPE = {Recipe.of(models, state).to_json()!r}")
        lines.append("session = EditSession.from_recipe(models, parse_recipe(RECIPE))")
    asked = [name for edit in edits for name in (*edit.changes, *edit.targets)]
    stem = "-".join(["face" if state.seed is None else f"face-{state.seed}", *asked[:3]])
    lines += [
        "result = session.render()  # .before, .after, .w, .w_edited; .error where it failed",
        "receipt = session.measure()  # what was asked, what came, what else moved",
        "print(receipt.to_text(models.table))",
        f'session.save("{stem}.png", scale={scale})  # with the recipe inside',
    ]
    imports = [f"from l2l_widgets import {', '.join(names)}"]
    if state.w is not None:
        imports.append("from l2l_widgets.session.replay import parse_recipe")
    return "\n".join([*imports, "", *lines, ""])


def models_line(models: Models) -> str:
    """The line of Python that loads models, or leaves the place open where they have no name."""
    if models.name in list_models():
        return f"models = load({models.name!r})"
    if models.folder is not None:
        return f"models = load({str(models.folder)!r})"
    return f"models = ...  # the Models named {models.name!r}, as you made them"


def _fields(edit: Edit) -> str:
    own: dict[str, Any] = edit.to_dict()
    del own["method"]
    return ", ".join(f"{name}={value!r}" for name, value in own.items() if value not in ({}, []))
