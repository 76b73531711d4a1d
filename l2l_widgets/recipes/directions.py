"""Fitting the methods that need no network.

``interfacegan``
    Boundaries of all attributes, and from the same boundaries ``interfacegan-conditional``.

Scores come from the training ensemble alone, on the faces that the mapper is trained on. The fit
itself takes seconds and happens when the task is built; every step then measures the gain of one
attribute, so that a killed run goes on with the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.conditional import ConditionalEditor, usual_conditions
from l2l_widgets.editors.interfacegan import InterFaceGANEditor, fit_boundaries
from l2l_widgets.editors.linear_steps import StepsEditor
from l2l_widgets.editors.origins import Origin
from l2l_widgets.recipes.labelled import Labelled, LabelledWorld, load_parts
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.training import Context, Settings


@dataclass(frozen=True)
class BoundaryFit(Labelled):
    """What `l2l train interfacegan --set FIELD=VALUE` may change.

    Parameters
    ----------
    rule, chosen, split, penalty, solver, ridge
        As ``editors.interfacegan.fit_boundaries`` has them.
    conditions : int
        Attributes that ``interfacegan-conditional`` holds where a request names none.
    """

    rule: str = "svm"
    chosen: float = 0.02
    split: float = 0.7
    penalty: float = 1.0
    solver: str = "liblinear"
    ridge: float = 0.01
    conditions: int = 3


Fit = Callable[[Any, LabelledWorld], dict[str, StepsEditor]]


def boundaries(config: BoundaryFit, world: LabelledWorld) -> dict[str, StepsEditor]:
    """Fit both InterFaceGAN editors."""
    found = fit_boundaries(
        world.codes, world.scores, world.table.names, _origin(world, "w"), rule=config.rule,
        chosen=config.chosen, split=config.split, penalty=config.penalty, solver=config.solver,
        ridge=config.ridge, seed=config.data_seed,
    )  # fmt: skip
    arguments = (found, world.table, world.generator.num_ws, world.origin)
    held = usual_conditions(found, world.table, config.conditions)
    return {
        "interfacegan": InterFaceGANEditor.from_boundaries(*arguments),
        "interfacegan-conditional": ConditionalEditor.from_boundaries(*arguments, held),
    }


def _origin(world: LabelledWorld, space: str, described: str = "") -> Origin:
    return Origin(world.origin.get("generator", ""), space, described or world.described)


class DirectionTask:
    """Editors with one step per attribute, as the training loop sees them.

    Parameters
    ----------
    config : Labelled
        What to fit.
    world : LabelledWorld
        On what.
    fit : callable
        (config, world) -> method name -> editor, its gains not yet measured.
    """

    def __init__(self, config: Any, world: LabelledWorld, fit: Fit) -> None:
        self.config, self.world = config, world
        self.editors = fit(config, world)

    def modules(self) -> dict[str, nn.Module]:
        """Return the steps of each method, with the gains measured so far."""
        return {name: editor.steps for name, editor in self.editors.items()}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return none: nothing here is descended."""
        return {}

    def prepare(self, device: torch.device) -> None:
        """Move the frozen parts."""
        self.world.to(device)

    def batch(self, step: int, generator: torch.Generator) -> Tensor:
        """Return the attribute whose turn it is, (1,)."""
        return torch.tensor([step])

    @torch.no_grad()
    def train_step(self, batch: Tensor, step: int, context: Context) -> dict[str, Tensor]:
        """Measure the gain of one attribute; steps beyond the last have nothing to do."""
        reached = {}
        for name, editor in self.editors.items():
            if step < len(self.world.table) and editor.steps.found[step]:
                value = self.world.calibrate(editor.steps, step)
                reached[f"{name.replace('-', '_')}_reach"] = torch.tensor(value)
        return reached or {"nothing_to_change": torch.tensor(1.0)}

    def evaluate(self, step: int) -> dict[str, float]:
        """Return nothing: a gain is measured once."""
        return {}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the editors' files; return how many attributes each can change."""
        scores = {}
        for name, editor in self.editors.items():
            editor.to("cpu").save(directory / f"{name}.safetensors")
            scores[f"{name.replace('-', '_')}_attributes"] = float(len(editor.attributes))
        return scores


def build_from(weights: Path, config: Labelled, fit: Fit, what: str) -> DirectionTask:
    """Build the task over the frozen parts in a weights folder."""
    generator, regressors, hashes = load_parts(weights, config.ensemble, what)
    world = LabelledWorld(config, generator, regressors, DEFAULT_TABLE, hashes)
    return DirectionTask(config, world, fit)


_SETTINGS = Settings(steps=len(DEFAULT_TABLE), seed=30, checkpoint_every=5, log_every=1, threads=0)


def _recipe(name: str, summary: str, config: Labelled, fit: Any, *outputs: str) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        config=config,
        settings=dataclasses.replace(_SETTINGS),
        build=lambda config, weights: build_from(Path(weights), config, fit, f"recipe {name!r}"),
        outputs=tuple(f"{output}.safetensors" for output in outputs),
        depends_on=("generator", "regressor", "regressor_b"),
        kind="editor",
    )


RECIPES = (
    _recipe(
        "interfacegan",
        "boundaries of all attributes, plain and conditional (Shen et al. 2020)",
        BoundaryFit(),
        boundaries,
        "interfacegan",
        "interfacegan-conditional",
    ),
)
