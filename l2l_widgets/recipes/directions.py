"""Fitting the methods that need no network: InterFaceGAN, GANSpace, StyleSpace.

``interfacegan``
    Boundaries of all attributes, and from the same boundaries ``interfacegan-conditional``.
``ganspace``
    Components of W, and those whose sum changes each attribute.
``stylespace``
    Channels of S, likewise.

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
from l2l_widgets.editors.ganspace import GANSpaceEditor, fit_components
from l2l_widgets.editors.interfacegan import InterFaceGANEditor, fit_boundaries
from l2l_widgets.editors.linear_steps import StepsEditor
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.stylespace import StyleSpaceEditor, style_layers
from l2l_widgets.recipes.labelled import (
    Labelled,
    LabelledWorld,
    faces_folder,
    load_parts,
    world_table,
)
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.recipes.watched import FACES, MATRIX_FACES, edit_leakage, edited_pictures
from l2l_widgets.training import Context, Settings
from l2l_widgets.triplets import sample_latents


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


@dataclass(frozen=True)
class ComponentFit(Labelled):
    """What `l2l train ganspace --set FIELD=VALUE` may change.

    Parameters
    ----------
    pca_codes, fresh_codes : int
        Codes that are decomposed, and others on which the spread is measured.
    components : int
        Components that are kept; w_dim at most.
    most : int
        Components of one attribute at most.
    effect_faces : int
        Faces on which each component's effect is measured.
    effect_size : float
        At how many sigmas.
    """

    faces: int = 1024
    calibration_faces: int = 256
    response_faces: int = 16
    response_rounds: int = 1
    pca_codes: int = 1_000_000
    fresh_codes: int = 5000
    components: int = 30
    most: int = 3
    effect_faces: int = 8
    effect_size: float = 2.0


@dataclass(frozen=True)
class ChannelFit(Labelled):
    """What `l2l train stylespace --set FIELD=VALUE` may change.

    Parameters
    ----------
    candidates, positives, most
        As ``StyleSpaceEditor.from_codes`` has them.
    effect_faces : int
        Faces on which each channel's effect is measured.
    effect_size : float
        At how many standard deviations.
    """

    response_faces: int = 32
    response_rounds: int = 2
    candidates: int = 8
    positives: int = 100
    most: int = 3
    effect_faces: int = 8
    effect_size: float = 5.0


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


def components(config: ComponentFit, world: LabelledWorld) -> dict[str, StepsEditor]:
    """Fit the GANSpace editor."""
    generator, chunk = world.generator, 10_000

    @torch.no_grad()
    def codes(stream: int, count: int) -> Any:
        for start in range(0, count, chunk):
            seed = (config.data_seed, 1 << 31, stream, start)
            size = min(chunk, count - start)
            # the whole cloud: components of truncated codes would be the same, only shorter
            yield sample_latents(generator, size, seed, (1.0, 1.0))

    found = fit_components(
        codes(0, config.pca_codes), torch.cat(list(codes(1, config.fresh_codes))),
        _origin(world, "w", f"{config.pca_codes} codes; effects by {world.described}"),
        min(config.components, generator.w_dim),
    )  # fmt: skip
    return {
        "ganspace": GANSpaceEditor.from_components(
            found, world.table, world.read, world.fresh(config.effect_faces, 4),
            world.scores.std(dim=0), most=config.most, size=config.effect_size,
            reasons=world.unfit, provenance=world.origin,
        )
    }  # fmt: skip


def channels(config: ChannelFit, world: LabelledWorld) -> dict[str, StepsEditor]:
    """Fit the StyleSpace editor."""
    return {
        "stylespace": StyleSpaceEditor.from_codes(
            style_layers(world.generator), world.codes, world.scores, world.table, world.read,
            world.fresh(config.effect_faces, 4), _origin(world, "s"), most=config.most,
            candidates=config.candidates, positives=config.positives, size=config.effect_size,
            provenance=world.origin,
        )
    }  # fmt: skip


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

    def pictures(self) -> dict[str, Tensor]:
        """Return the same faces as they are and edited, with the gains measured so far."""
        world = self.world
        faces, found = world.fresh(FACES, stream=9), self._found()
        return edited_pictures(world.generator.synthesis, self._edit, faces, world.table, found)

    def leakage(self) -> dict[str, dict[str, float]]:
        """Return what the edits of a few attributes move, by the training ensemble."""
        world = self.world
        faces, found = world.fresh(MATRIX_FACES, stream=9), self._found()
        return edit_leakage(world.read, self._edit, faces, world.table, found)

    def _found(self) -> list[int]:
        steps = next(iter(self.editors.values())).steps
        return [column for column, there in enumerate(steps.found) if there]

    def _edit(self, w: Tensor, changes: Tensor) -> Tensor:
        steps = next(iter(self.editors.values())).steps.to(w.device)
        return steps(w, steps.gain(changes))

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
    world = LabelledWorld(
        config, generator, regressors, world_table(weights), hashes, faces_folder(weights)
    )
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
    _recipe(
        "ganspace",
        "principal components of W, chosen by measured effect (Härkönen et al. 2020)",
        ComponentFit(),
        components,
        "ganspace",
    ),
    _recipe(
        "stylespace",
        "channels of the styles, chosen by measured effect (Wu et al. 2021)",
        ChannelFit(),
        channels,
        "stylespace",
    ),
)
